//! A plan on a terminal.

use std::fmt::Write;

use super::planner::Plan;
use super::purchase::{Machines, Proof, Purchase};
use super::rates::Rate;
use super::scenario::{Minimise, Scenario};
use super::simulate::Simulation;
use crate::report::table::{Align, one_line, table};
use crate::report::units;
use crate::trial::record::Interval;

/// All of it.
pub fn text(plan: &Plan) -> String {
    let mut text = headline(plan);
    text += &purchase(plan);
    text += &layouts(&plan.purchase);
    text += &loads(plan);
    text += &rates(&plan.rates);
    text += &others(plan);
    text += &sensitivity(plan);
    if let Some(simulation) = &plan.simulation {
        text += &self::simulation(simulation);
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    text
}

fn headline(plan: &Plan) -> String {
    let (demand, rules) = (&plan.demand, &plan.scenario.rules);
    let mut text = String::new();
    if !plan.scenario.title.is_empty() {
        let _ = writeln!(text, "{}", one_line(&plan.scenario.title));
    }
    let _ = writeln!(
        text,
        "target: {} = {:.2} sectors/h = {:.2} sectors/day = {:.2} TiB/day",
        one_line(&plan.scenario.target),
        demand.sectors_per_h,
        demand.sectors_per_day,
        demand.tib_per_day
    );
    let extra = [
        (rules.headroom, "headroom"),
        (rules.failed_sectors, "failed sectors"),
        (1.0 - rules.availability, "down time"),
    ];
    let extra: Vec<String> = extra
        .iter()
        .filter(|(share, _)| *share > 0.0)
        .map(|(share, name)| format!("{} {name}", units::percent(*share)))
        .collect();
    if !extra.is_empty() {
        let _ =
            writeln!(text, "with {}: {:.2} sectors/h while all machines work", extra.join(", "), demand.demand_per_h);
    }
    text
}

fn purchase(plan: &Plan) -> String {
    let columns = [
        ("model", Align::Left),
        ("machines", Align::Right),
        ("in reserve", Align::Right),
        ("there already", Align::Right),
        ("to buy", Align::Right),
        ("at the 95 % bound", Align::Right),
    ];
    let row = |machines: &Machines| {
        let bound = plan.at_bound.as_ref().map(|purchase| {
            let same = purchase.machines.iter().find(|other| other.sku == machines.sku);
            same.map_or(0, |other| other.working + other.spares).to_string()
        });
        vec![
            machines.sku.clone(),
            machines.working.to_string(),
            machines.spares.to_string(),
            machines.owned.to_string(),
            machines.bought.to_string(),
            bound.unwrap_or_else(|| "-".into()),
        ]
    };
    let mut text = table(&columns, plan.purchase.machines.iter().map(row));
    let _ =
        writeln!(text, "{}; {}", totals(&plan.scenario, &plan.purchase), proof(&plan.scenario, &plan.purchase.proof));
    if let Some(bound) = &plan.at_bound {
        let _ =
            writeln!(text, "with every rate at the lower end of its 95 % interval: {}", summary(&plan.scenario, bound));
    }
    let load = units::percent(plan.bottleneck.load);
    let _ = writeln!(text, "bottleneck: {}, {load} of what it can do\n", plan.bottleneck.what);
    text
}

/// "69 machines, 69 to buy, 1.20 M USD, 41.0 kW, 138 U".
fn totals(scenario: &Scenario, purchase: &Purchase) -> String {
    let machines = if purchase.total == 1 { "machine" } else { "machines" };
    let mut parts = vec![format!("{} {machines}, {} to buy", purchase.total, purchase.bought)];
    parts.extend(purchase.cost.map(|cost| format!("{cost:.0} {}", one_line(&scenario.prices.currency))));
    parts.extend(purchase.power_w.map(|watts| format!("{:.1} kW", watts / 1000.0)));
    parts.extend(purchase.rack_units.map(|rack| format!("{rack} U")));
    parts.join(", ")
}

/// "41 of 128 cores, 28 of 64 cores (69 machines, ...)".
fn summary(scenario: &Scenario, purchase: &Purchase) -> String {
    let of = |machines: &Machines| format!("{} of {}", machines.working + machines.spares, one_line(&machines.sku));
    let models: Vec<String> = purchase.machines.iter().map(of).collect();
    format!("{} ({})", models.join(", "), totals(scenario, purchase))
}

fn proof(scenario: &Scenario, proof: &Proof) -> String {
    let (what, unit) = match proof.minimised {
        Minimise::Cost => ("cost", scenario.prices.currency.as_str()),
        Minimise::Machines => ("number of machines", "machines"),
        Minimise::Power => ("power", "W"),
    };
    let layouts = format!("{} layouts of {} looked at", proof.layouts, proof.looked_at);
    if proof.gap > 0.0 {
        let (gap, bound) = (units::percent(proof.gap), proof.bound);
        return format!("least {what} found, gap {gap}: none is below {bound} {} ({layouts})", one_line(unit));
    }
    let ties = if proof.is_proven { "" } else { ", equal ones not all compared" };
    format!("proven least {what}{ties} ({layouts})")
}

fn layouts(purchase: &Purchase) -> String {
    let columns = [
        ("machines", Align::Right),
        ("layout of each", Align::Left),
        ("sectors/h", Align::Left),
        ("bound by", Align::Left),
        ("cores", Align::Right),
        ("memory", Align::Right),
        ("huge pages", Align::Right),
        ("in flight", Align::Right),
    ];
    let counts = purchase.machines.iter().flat_map(|machines| &machines.layouts);
    let rows = counts.map(|count| {
        let layout = &count.layout;
        let of_stages = layout.per_h.iter().filter(|rate| **rate > 0.0);
        vec![
            format!("{} x {}", count.machines, layout.sku),
            layout.label(),
            of_stages.map(|rate| format!("{rate:.3}")).collect::<Vec<_>>().join(", "),
            layout.bounds.iter().flatten().map(|bound| bound.label()).collect::<Vec<_>>().join(", "),
            layout.cores.to_string(),
            units::bytes(layout.memory as u64),
            if layout.huge_memory > 0.0 { units::bytes(layout.huge_memory as u64) } else { "-".into() },
            if layout.sectors_in_flight > 0.0 { format!("{:.2}", layout.sectors_in_flight) } else { "-".into() },
        ]
    });
    table(&columns, rows) + "\n"
}

fn loads(plan: &Plan) -> String {
    let columns = [("what", Align::Left), ("needed", Align::Right), ("can do", Align::Right), ("load", Align::Right)];
    let rate = |bytes: f64| format!("{}/s", units::bytes(bytes as u64));
    let stages = plan.purchase.stages.iter().map(|stage| {
        let per_h = |rate: f64| format!("{rate:.2} sectors/h");
        vec![stage.stage.clone(), per_h(stage.demand_per_h), per_h(stage.per_h), units::percent(stage.load())]
    });
    let shared = plan.shared.iter().flat_map(|load| {
        let all = vec![
            format!("shared storage, {}", load.direction),
            rate(load.bytes_per_s),
            load.limit.map_or_else(|| "not known".into(), rate),
            load.limit.map_or_else(|| "-".into(), |limit| units::percent(load.bytes_per_s / limit)),
        ];
        let part =
            |(name, bytes): &(String, f64)| vec![format!("  {name}"), rate(*bytes), String::new(), String::new()];
        std::iter::once(all).chain(load.parts.iter().map(part)).collect::<Vec<_>>()
    });
    let mut text = table(&columns, stages.chain(shared));
    let flows: Vec<String> = plan.in_flight.iter().map(|flow| format!("{} {:.2}", flow.place, flow.sectors)).collect();
    let _ = writeln!(text, "sectors in flight: {}", flows.join(", "));
    let _ = writeln!(text, "storage that they hold: {}\n", units::bytes(plan.scratch_bytes as u64));
    text
}

fn rates(rates: &[Rate]) -> String {
    let columns = [
        ("rate", Align::Left),
        ("sectors/h each", Align::Right),
        ("time", Align::Right),
        ("95 % interval", Align::Right),
        ("n", Align::Right),
        ("origin", Align::Left),
        ("source", Align::Left),
    ];
    let row = |rate: &Rate| {
        let interval = |interval: Interval| match rate.typed {
            true => format!("{:.4} to {:.4}", interval.low, interval.high),
            false => units::interval((interval.low, interval.high), rate.n as usize, |rate| format!("{rate:.4}")),
        };
        vec![
            rate.label(),
            format!("{:.4}", rate.sectors_per_h),
            units::duration(rate.run_s()),
            rate.interval.map_or_else(|| "-".into(), interval),
            rate.n.to_string(),
            rate.origin.name().to_string(),
            rate.sources(),
        ]
    };
    table(&columns, rates.iter().map(row)) + "\n"
}

fn others(plan: &Plan) -> String {
    if plan.alternatives.is_empty() {
        return String::new();
    }
    let columns = [("instead", Align::Left), ("machines", Align::Left)];
    let rows = plan.alternatives.iter().map(|other| {
        let purchase = other.purchase.as_ref().map(|purchase| summary(&plan.scenario, purchase));
        let text: Vec<String> = purchase.into_iter().chain(other.remark.clone()).collect();
        vec![other.name.clone(), text.join("; ")]
    });
    table(&columns, rows) + "\n"
}

fn sensitivity(plan: &Plan) -> String {
    if plan.sensitivity.is_empty() {
        return String::new();
    }
    let columns = [
        ("what changes the answer", Align::Left),
        ("now", Align::Right),
        ("down to", Align::Left),
        ("up to", Align::Left),
    ];
    let show = |change: &Option<(String, String)>| {
        change.as_ref().map_or_else(|| "-".into(), |(value, then)| format!("{value}: {then}"))
    };
    let rows =
        plan.sensitivity.iter().map(|one| vec![one.what.clone(), one.now.clone(), show(&one.lower), show(&one.higher)]);
    table(&columns, rows) + "\n"
}

/// What a simulation showed.
pub fn simulation(simulation: &Simulation) -> String {
    let mut text = format!(
        "simulation of {} days (seed {}): {}\n",
        simulation.days,
        simulation.seed,
        one_line(&simulation.verdict)
    );
    if let Some(first) = simulation.first_sector_h {
        let _ = writeln!(
            text,
            "first sector after {first:.2} h; first days: {} sectors",
            simulation.output_per_day.iter().take(7).map(u32::to_string).collect::<Vec<_>>().join(", ")
        );
    }
    if simulation.machine_failures + simulation.failed_sectors > 0 {
        let _ = writeln!(
            text,
            "{} failures of machines, {} failed sectors",
            simulation.machine_failures, simulation.failed_sectors
        );
    }
    let used = [("model", Align::Left), ("lane", Align::Left), ("at work", Align::Right)];
    let rows =
        simulation.utilisation.iter().map(|one| vec![one.sku.clone(), one.lane.clone(), units::percent(one.share)]);
    text += &table(&used, rows);
    let levels = [("sectors", Align::Left), ("mean", Align::Right), ("most", Align::Right)];
    let rows = simulation
        .in_flight
        .iter()
        .map(|one| vec![one.place.clone(), format!("{:.2}", one.mean), one.peak.to_string()]);
    text += &table(&levels, rows);
    for scratch in &simulation.scratch {
        let show = |bytes: f64| units::bytes(bytes as u64);
        let room = scratch.room_bytes.map_or_else(String::new, |room| format!(" of {}", show(room)));
        let (mean, peak) = (show(scratch.mean_bytes), show(scratch.peak_bytes));
        let _ = writeln!(text, "storage held on {}: {mean} on average, {peak} at most{room}", one_line(&scratch.sku));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_remains_is_stated() {
        let scenario = Scenario::parse(include_str!("../../params/scenarios/field-notes-2020.toml")).unwrap();
        let open = Proof {
            minimised: Minimise::Machines,
            value: 250.0,
            bound: 247.0,
            gap: 0.012,
            is_proven: false,
            nodes: 9,
            layouts: 4,
            looked_at: 77,
        };
        let text = proof(&scenario, &open);
        assert_eq!(
            text,
            "least number of machines found, gap 1.20 %: none is below 247 machines (4 layouts of 77 looked at)"
        );
        let ties = proof(&scenario, &Proof { bound: 250.0, gap: 0.0, ..open });
        assert!(ties.starts_with("proven least number of machines, equal ones not all compared"), "{ties}");
    }
}
