//! `sealbench plan --verify`: a machine of the plan tried on this one.

use std::io::{Write, stdout};

use crate::cli::run::given;
use crate::error::Stop;
use crate::host::sys;
use crate::plan::layout::MachineLayout;
use crate::plan::planner::Plan;
use crate::plan::verify::{Finding, findings, mix, partitions_at_once, scale, sectors};
use crate::report::table::{Align, table};
use crate::report::units;
use crate::sector::{SectorSize, Shape};
use crate::trial::layout::{Layout, MixPart};
use crate::trial::request::Request;
use crate::trial::run::run as run_request;

/// Times that each instance of the mix does its phase at least.
const REPEATS: u32 = 3;

/// Runs the mix of a model's layout as far as this machine can, and prints its rates against those planned.
pub fn run(plan: &Plan, sku: &str, size: SectorSize) -> anyhow::Result<Vec<Finding>> {
    let layout = chosen(plan, sku)?;
    let cores = sys::allowed_cores()?.len() as u32;
    let parts = scale(layout, cores).ok_or_else(|| {
        let kinds = layout.lanes.len();
        Stop::Refused
            .error(format!("{} needs {kinds} kinds of instances and this machine has {cores} cores", layout.sku))
    })?;
    let parts_of_mix: Result<Vec<MixPart>, String> = mix(&parts).split(',').map(str::parse).collect();
    let sectors = sectors(&parts);
    let request = Request {
        given: given(),
        sector_size: Some(size),
        repeats: Some(REPEATS),
        sectors: (sectors > 1).then_some(sectors),
        at_once: partitions_at_once(&parts, Shape::network(size).partitions),
        layout: Layout { mix: Some(parts_of_mix.map_err(anyhow::Error::msg)?), ..Layout::default() },
        ..Request::default()
    };
    let mut out = stdout().lock();
    let _ = writeln!(out, "\ntrying {} of {}: {} of {size}", layout.sku, layout.label(), mix(&parts));
    let finished = run_request(&request)?;
    if let Some(error) = finished.error {
        return Err(error.context(format!("the layout of {} was not tried to its end", layout.sku)));
    }
    let Some(record) = finished.record else { anyhow::bail!("the trial of the layout left no record") };
    let found = findings(&parts, &record, plan.scenario.sector_bytes);
    let _ = out.write_all(text(&found).as_bytes());
    let _ = writeln!(out, "run {}", record.id);
    Ok(found)
}

/// The layout that most machines of a model have; `auto` is the plan's first model.
fn chosen<'p>(plan: &'p Plan, sku: &str) -> anyhow::Result<&'p MachineLayout> {
    let machines = &plan.purchase.machines;
    let of_sku = machines.iter().find(|machines| sku == "auto" || machines.sku == sku);
    let layout = of_sku.and_then(|machines| machines.layouts.iter().max_by_key(|count| count.machines));
    layout.map(|count| &count.layout).ok_or_else(|| {
        let names: Vec<&str> = machines.iter().map(|machines| machines.sku.as_str()).collect();
        Stop::Usage.error(format!("the plan has no machine '{}': it has {}", sku.escape_debug(), names.join(", ")))
    })
}

fn text(found: &[Finding]) -> String {
    let columns = [
        ("tried", Align::Left),
        ("planned", Align::Left),
        ("planned sectors/h", Align::Right),
        ("alone", Align::Right),
        ("in the mix", Align::Right),
        ("slow-down", Align::Right),
        ("of the plan", Align::Right),
    ];
    let rate = |rate: Option<f64>| rate.map_or_else(String::new, units::rate);
    let cells = |one: &Finding| {
        let part = &one.part;
        vec![
            format!("{} x {} on {}", part.instances, part.phase, part.cores),
            part.planned.label(),
            units::rate(part.planned.per_h),
            rate(one.alone_per_h),
            rate(one.mixed_per_h),
            one.slow_down.map_or_else(String::new, |ratio| format!("x {ratio:.3}")),
            one.of_plan.map_or_else(|| "not comparable".into(), units::percent),
        ]
    };
    table(&columns, found.iter().map(cells))
}
