//! The plan as a report: machines, a drawing of each layout, and what the simulation showed, with the jobs of its first days.

use super::layout::MachineLayout;
use super::ops::instance::Instance;
use super::planner::Plan;
use super::purchase::LayoutCount;
use super::rates::{Rate, minutes};
use super::scenario::Sku;
use super::simulate::Simulation;
use crate::report::chart::Heading;
use crate::report::chart::cores::{self, Cores, Kind};
use crate::report::chart::gantt::{Gantt, Job, Row};
use crate::report::document::{Block, Cell, Chart, Document, Section, Table, Tone};
use crate::report::table::Align;
use crate::report::units;

const LEFT: Align = Align::Left;
const RIGHT: Align = Align::Right;

/// Most instances of a machine that its drawing of jobs shows.
const MAX_ROWS: usize = 48;

/// The report; [`crate::report::html`] makes a page of it.
pub fn document(plan: &Plan) -> Document {
    let title = if plan.scenario.title.is_empty() { "Ratio plan".to_string() } else { plan.scenario.title.clone() };
    let mut sections = vec![
        Section { id: "machines", title: "Machines", blocks: machines(plan) },
        Section { id: "layouts", title: "Layouts", blocks: layouts(plan) },
    ];
    if let Some(simulation) = &plan.simulation {
        sections.push(Section { id: "simulation", title: "Simulation", blocks: simulated(plan, simulation) });
    }
    sections.push(Section { id: "rates", title: "Rates", blocks: vec![Block::Table(rates(&plan.rates))] });
    Document { title, sections }
}

fn machines(plan: &Plan) -> Vec<Block> {
    let (purchase, demand) = (&plan.purchase, &plan.demand);
    let mut blocks = vec![Block::Text(format!(
        "Target: {}, that is {:.2} sectors per hour, {:.1} sectors or {:.2} TiB per day.",
        plan.scenario.target, demand.sectors_per_h, demand.sectors_per_day, demand.tib_per_day
    ))];
    let names = ["machines", "in reserve", "there already", "to buy"].map(|name| (name, RIGHT));
    let mut table = Table::new("", [("model", LEFT)].into_iter().chain(names));
    for machines in &purchase.machines {
        let figures =
            [machines.working, machines.spares, machines.owned, machines.bought].map(|n| Cell::from(n.to_string()));
        table.row([Cell::from(&*machines.sku)].into_iter().chain(figures));
    }
    blocks.extend(table.block());
    let mut stages =
        Table::new("", [("what", LEFT), ("needed, sectors/h", RIGHT), ("can do, sectors/h", RIGHT), ("load", RIGHT)]);
    for stage in &purchase.stages {
        let figures =
            [format!("{:.2}", stage.demand_per_h), format!("{:.2}", stage.per_h), units::percent(stage.load())];
        stages.row([Cell::from(&*stage.stage)].into_iter().chain(figures.map(Cell::from)));
    }
    blocks.extend(stages.block());
    if !plan.warnings.is_empty() {
        blocks.extend(
            plan.warnings.iter().map(|warning| Block::Verdict(Tone::Warning, "To know.".into(), vec![warning.clone()])),
        );
    }
    blocks
}

/// The layouts of the purchase with their models, as the simulation counts them.
fn chosen(plan: &Plan) -> Vec<(&Sku, &LayoutCount)> {
    let of_model =
        |machines: &'_ super::purchase::Machines| plan.scenario.skus.iter().find(|sku| sku.name == machines.sku);
    let all =
        plan.purchase.machines.iter().flat_map(|machines| machines.layouts.iter().map(move |count| (machines, count)));
    all.filter_map(|(machines, count)| Some((of_model(machines)?, count))).collect()
}

fn layouts(plan: &Plan) -> Vec<Block> {
    vec![Block::Charts(chosen(plan).into_iter().map(|(sku, count)| drawing(sku, count)).collect())]
}

/// The cores of a model, and as figures where each instance is.
fn drawing(sku: &Sku, count: &LayoutCount) -> Chart {
    let layout = &count.layout;
    let instances = Instance::all(sku, layout);
    let blocks = instances.iter().map(|instance| cores::Block {
        name: instance.name.clone(),
        kind: instance.lane.kind(),
        first: instance.set.first,
        cores: instance.set.cores,
    });
    let chart = Cores {
        heading: heading(sku, count),
        cores: sku.cores,
        nodes: sku.numa_nodes,
        group: sku.l3_groups.map(|groups| sku.cores / groups),
        blocks: blocks.collect(),
        kinds: layout.lanes.iter().map(|lane| (lane.kind(), lane.label())).collect(),
    };
    let columns = [("instance", LEFT), ("cores", LEFT), ("memory", RIGHT), ("huge pages", RIGHT), ("volume", LEFT)];
    let mut data = Table::new("", columns);
    for instance in &instances {
        let bytes = |bytes: f64| if bytes > 0.0 { units::bytes(bytes as u64) } else { "-".to_string() };
        let volume = instance.volume.map_or_else(|| "-".to_string(), |place| place.label(sku));
        let cells = [
            instance.name.clone(),
            instance.cores(),
            bytes(instance.lane.memory),
            bytes(instance.lane.huge_memory),
            volume,
        ];
        data.row(cells.map(Cell::from));
    }
    Chart { svg: chart.draw(), data }
}

fn heading(sku: &Sku, count: &LayoutCount) -> Heading {
    let MachineLayout { per_h, bounds, .. } = &count.layout;
    let per_h: Vec<String> = per_h.iter().filter(|rate| **rate > 0.0).map(|rate| format!("{rate:.3}")).collect();
    let bounds: Vec<String> = bounds.iter().flatten().map(|bound| bound.label()).collect();
    Heading {
        title: format!("{} x {}", count.machines, sku.name),
        subtitle: format!("{} sectors/h each, bound by {}", per_h.join(" and "), bounds.join(" and ")),
        description: format!("{} machines of model {}: {}", count.machines, sku.name, count.layout.label()),
    }
}

fn simulated(plan: &Plan, simulation: &Simulation) -> Vec<Block> {
    let tone = match simulation.is_confirmed {
        Some(true) => Tone::Good,
        Some(false) => Tone::Error,
        None => Tone::Info,
    };
    let mut blocks = vec![Block::Verdict(tone, format!("{} days.", simulation.days), vec![simulation.verdict.clone()])];
    let mut table = Table::new("", [("model", LEFT), ("instances", LEFT), ("at work", RIGHT)]);
    for lane in &simulation.utilisation {
        table.row([Cell::from(&*lane.sku), Cell::from(&*lane.lane), units::percent(lane.share).into()]);
    }
    blocks.extend(table.block());
    let charts = chosen(plan).into_iter().enumerate().filter_map(|(number, (sku, count))| {
        gantt(sku, count, simulation.trace.iter().filter(|job| job.layout == number).collect())
    });
    let charts: Vec<Chart> = charts.collect();
    if !charts.is_empty() {
        blocks.push(Block::Text("The first days of one machine of each layout, as simulated.".to_string()));
        blocks.push(Block::Charts(charts));
    }
    blocks
}

/// The jobs of a machine; `None` if it had none.
fn gantt(sku: &Sku, count: &LayoutCount, jobs: Vec<&super::simulate::Job>) -> Option<Chart> {
    let of = |phase: &str| match phase {
        "p1" => Kind::P1,
        "p2" => Kind::P2,
        "c1" => Kind::C1,
        "p4" => Kind::P4,
        _ => Kind::InTurn,
    };
    let mut kinds: Vec<(Kind, String)> = Vec::new();
    for job in &jobs {
        if !kinds.iter().any(|(_, phase)| *phase == job.phase) {
            kinds.push((of(&job.phase), job.phase.clone()));
        }
    }
    let mut data =
        Table::new("", [("instance", LEFT), ("jobs", RIGHT), ("first from, h", RIGHT), ("last to, h", RIGHT)]);
    let mut rows = Vec::new();
    for instance in Instance::all(sku, &count.layout).iter().take(MAX_ROWS) {
        let own = jobs.iter().filter(|job| (job.lane, job.instance) == (instance.set.lane, instance.set.instance));
        let own: Vec<Job> = own.map(|job| Job { kind: of(&job.phase), from_h: job.from_h, to_h: job.to_h }).collect();
        let first = own.iter().map(|job| job.from_h).reduce(f64::min);
        let last = own.iter().map(|job| job.to_h).reduce(f64::max);
        let hours = |time: Option<f64>| time.map_or_else(|| "-".to_string(), |h| format!("{h:.2}"));
        data.row([instance.name.clone(), own.len().to_string(), hours(first), hours(last)].map(Cell::from));
        rows.push(Row { name: instance.name.clone(), jobs: own });
    }
    let all = count.layout.core_sets.len();
    let subtitle = if all > MAX_ROWS { format!("the first {MAX_ROWS} of {all} instances") } else { String::new() };
    let description = format!("When each instance of a machine of model {} works, from the start of sealing", sku.name);
    let heading = Heading { title: format!("First days of a machine: {}", sku.name), subtitle, description };
    (!jobs.is_empty()).then(|| Chart { svg: Gantt { heading, rows, kinds }.draw(), data })
}

fn rates(rates: &[Rate]) -> Table {
    let columns = [
        ("rate", LEFT),
        ("minutes", RIGHT),
        ("sectors/h each", RIGHT),
        ("95 % interval", RIGHT),
        ("n", RIGHT),
        ("origin", LEFT),
        ("source", LEFT),
    ];
    let mut table = Table::new("", columns);
    for rate in rates {
        let interval = rate.interval.map_or_else(|| "-".to_string(), |i| format!("{:.4} to {:.4}", i.low, i.high));
        let figures = [minutes(rate.run_s()), format!("{:.4}", rate.sectors_per_h), interval, rate.n.to_string()];
        let cells = [rate.label()].into_iter().chain(figures).chain([rate.origin.name().to_string(), rate.sources()]);
        table.row(cells.map(Cell::from));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::planner::plan;
    use crate::plan::scenario::Scenario;
    use crate::plan::simulate::simulate;
    use crate::report::html;

    const NOTES: &str = include_str!("../../params/scenarios/field-notes-2020.toml");

    fn planned(change: impl Fn(&mut Scenario)) -> Plan {
        let mut scenario = Scenario::parse(NOTES).unwrap();
        change(&mut scenario);
        let mut plan = plan(&scenario, Vec::new()).unwrap();
        plan.simulation = Some(simulate(&scenario, &plan.purchase, 4, 1).unwrap());
        plan
    }

    #[test]
    fn the_notes_layouts_are_drawn_and_their_first_days_shown() {
        let page = html::render(&document(&planned(|_| ())));
        for part in [
            ">41 x 128 cores<",
            ">28 x 64 cores<",
            ">NUMA node 1<",
            ">First days of a machine: 128 cores<",
            ">time, h<",
        ] {
            assert!(page.contains(part), "{part}");
        }
        // Four p1 of eight cores on lines of 16 (two of them are on two lines), their legend, and their jobs with a legend.
        assert!(page.matches("class=\"p1\"").count() > 4 * 10, "a p1 of 2.5 h runs 28 times in three days");
        assert_eq!(page.matches("<svg").count(), 4);
    }

    #[test]
    fn without_a_simulation_there_is_no_section_for_it() {
        let mut plan = planned(|_| ());
        plan.simulation = None;
        let ids: Vec<&str> = document(&plan).sections.iter().map(|section| section.id).collect();
        assert_eq!(ids, ["machines", "layouts", "rates"]);
    }

    #[test]
    fn foreign_words_are_no_markup() {
        let evil = "<script>alert(1)</script>\u{202e}";
        let page = html::render(&document(&planned(|scenario| {
            scenario.title = evil.into();
            scenario.skus[1].name = evil.into();
            scenario.skus[0].volumes[0].mount = Some(evil.into());
            for rate in scenario.rates.iter_mut() {
                rate.source = vec![evil.into()];
                rate.skus.iter_mut().filter(|sku| *sku == "64 cores").for_each(|sku| *sku = evil.into());
            }
        })));
        assert!(!page.contains("<script") && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }
}
