//! `sealbench plan`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Args;

use crate::cli::plan_verify;
use crate::disk::Promised;
use crate::error::Stop;
use crate::home::home;
use crate::plan::measured::{from_records, of_sweep};
use crate::plan::ops;
use crate::plan::page;
use crate::plan::planner::plan;
use crate::plan::rates::Rate;
use crate::plan::report;
use crate::plan::scenario::{Minimise, Scenario};
use crate::plan::simulate::simulate;
use crate::plan::workbook::workbook;
use crate::report::{html, units};
use crate::sector::SectorSize;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  sealbench plan params/scenarios/field-notes-2020.toml
  sealbench plan SCENARIO.toml --simulate 365       and see whether it comes out
  sealbench plan SCENARIO.toml --minimise cost --json plan.json
  sealbench plan SCENARIO.toml --verify             try the first model's layout on this machine
  sealbench plan SCENARIO.toml --verify='64 cores'  or that of another one
  sealbench plan SCENARIO.toml --simulate 90 --xlsx plan.xlsx --html plan.html --ops ops

The scenario says what is to be put out, which machines there are and how fast they are; docs/plan.md describes it. Rates come from it or from
the results store ([[stored]]).";

/// Share of a planned rate that a trial must reach.
const ENOUGH: f64 = 0.9;

/// Plan machines for a target: how many of which model, and how each is cut.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    /// The scenario (TOML; docs/plan.md)
    scenario: PathBuf,
    /// What to make as small as possible [default: what the scenario says]
    #[arg(long, value_enum, value_name = "WHAT")]
    minimise: Option<Minimise>,
    /// Simulate so many days of the plan; exit code 4 if it does not come out
    #[arg(long, value_name = "DAYS")]
    simulate: Option<u32>,
    /// Seed of the simulation
    #[arg(long, value_name = "N", default_value_t = 0, requires = "simulate")]
    seed: u64,
    /// Run the layout of a model (--verify=SKU; alone the plan's first) for real, as far as this machine can, and compare the rates under load
    /// with the plan's; exit code 4 if one is more than a tenth lower
    #[arg(long, value_name = "SKU", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    verify: Option<String>,
    /// Size of the sectors of --verify [default: 8MiB]
    #[arg(long, value_name = "SIZE", requires = "verify")]
    verify_size: Option<SectorSize>,
    /// Write a workbook that purchasing can change: inputs, rates, layouts, machines as formulas, charts
    #[arg(long, value_name = "FILE")]
    xlsx: Option<PathBuf>,
    /// Write a page with a drawing of each layout and, with --simulate, the jobs of the first days
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write for each model of machine its containers, core map, mounts, huge pages and a sheet into this directory: new or empty
    #[arg(long, value_name = "DIR")]
    ops: Option<PathBuf>,
    /// Replace the files that an earlier plan wrote with --ops
    #[arg(long, requires = "ops")]
    force: bool,
    /// Write the plan to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command; the plan goes to stdout.
pub fn run(args: PlanArgs) -> anyhow::Result<()> {
    let mut scenario = Scenario::read(&args.scenario)?;
    scenario.minimise = args.minimise.unwrap_or(scenario.minimise);
    let promised =
        |option, path: &Option<PathBuf>| path.as_deref().map(|path| Promised::open(option, path)).transpose();
    let json = promised("--json", &args.json)?;
    let xlsx = promised("--xlsx", &args.xlsx)?;
    let page_file = promised("--html", &args.html)?;
    let ops = args.ops.as_deref().map(|path| ops::Target::new(path, args.force)).transpose()?;
    let (stored, left_out) = stored(&scenario)?;
    let mut plan = plan(&scenario, stored)?;
    plan.warnings.extend(left_out);
    if let Some(days) = args.simulate {
        let result = simulate(&scenario, &plan.purchase, days, args.seed).map_err(|e| Stop::Usage.error(e))?;
        plan.simulation = Some(result);
    }
    // Everything that may be refused comes before the first file.
    let ops = ops.map(|ops| ops.prepare(&plan)).transpose()?;
    let _ = stdout().write_all(report::text(&plan).as_bytes());
    if let Some(json) = json {
        json.write(&serde_json::to_vec_pretty(&plan)?)?;
    }
    if let Some(xlsx) = xlsx {
        xlsx.write(&workbook(&plan)?)?;
    }
    if let Some(file) = page_file {
        file.write(html::render(&page::document(&plan)).as_bytes())?;
    }
    if let Some(ops) = ops {
        ops.publish()?;
    }
    if let Some(sku) = &args.verify {
        let size = args.verify_size.unwrap_or_else(|| "8MiB".parse().expect("the default size is valid"));
        let found = plan_verify::run(&plan, sku, size)?;
        if let Some(short) = found.iter().find(|one| one.of_plan.is_some_and(|share| share < ENOUGH)) {
            let share = units::percent(short.of_plan.unwrap_or_default());
            return Err(
                Stop::Check.error(format!("{} in the mix puts out {share} of what is planned", short.part.phase))
            );
        }
    }
    match &plan.simulation {
        Some(simulation) if simulation.is_confirmed == Some(false) => {
            Err(Stop::Check.error(simulation.verdict.clone()))
        }
        _ => Ok(()),
    }
}

/// The rates that the scenario takes from the results store, and sentences about runs of sweeps that are not used.
fn stored(scenario: &Scenario) -> anyhow::Result<(Vec<Rate>, Vec<String>)> {
    let (mut rates, mut left_out) = (Vec::new(), Vec::new());
    if scenario.stored.is_empty() {
        return Ok((rates, left_out));
    }
    let store = Store::open(&home()?)?;
    let wrong = |e: String| Stop::Usage.error(e);
    for stored in &scenario.stored {
        let mut records = stored.runs.iter().map(|id| store.record(id)).collect::<anyhow::Result<Vec<_>>>()?;
        for sweep in &stored.sweeps {
            let ids = store.of_sweep(sweep)?;
            let all = ids.iter().map(|id| store.record(id)).collect::<anyhow::Result<Vec<_>>>()?;
            let (usable, others) = of_sweep(sweep, all, scenario.sector_bytes).map_err(wrong)?;
            records.extend(usable);
            left_out.extend(others);
        }
        rates.extend(from_records(&records, scenario.sector_bytes, stored).map_err(wrong)?);
    }
    Ok((rates, left_out))
}
