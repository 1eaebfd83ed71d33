//! A plan: everything that follows from a scenario and rates, without measuring anything.

use serde::Serialize;

use super::flows::{InFlight, SharedLoad, in_flight, shared_load};
use super::layout::{Lane, MachineLayout};
use super::outlook::{Alternative, Sensitivity, alternatives, sensitivity};
use super::purchase::{Market, Purchase};
use super::quantity::GIB;
use super::rates::{Rate, from_entry, settle};
use super::scenario::Scenario;
use super::scenario::file::check_objective;
use super::simulate::Simulation;
use crate::error::Stop;
use crate::report::units;

/// The value of [`Plan::schema`].
pub const SCHEMA: &str = "sealbench/plan/1";

/// What to buy for a target, how to cut it, and how sure that is.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What it was made for.
    pub scenario: Scenario,
    /// The target in the usual forms.
    pub demand: Demand,
    /// What to buy, with the rates' medians.
    pub purchase: Purchase,
    /// What to buy if every rate is at the lower end of its 95 % interval; `None` without intervals.
    pub at_bound: Option<Purchase>,
    /// Other purchases.
    pub alternatives: Vec<Alternative>,
    /// Where rates and prices change the answer.
    pub sensitivity: Vec<Sensitivity>,
    /// Sectors on their way.
    pub in_flight: Vec<InFlight>,
    /// Storage that they hold, bytes.
    pub scratch_bytes: f64,
    /// What the shared storage carries.
    pub shared: Vec<SharedLoad>,
    /// What bounds the plan as a whole.
    pub bottleneck: Bottleneck,
    /// The rates that the purchase uses.
    pub rates: Vec<Rate>,
    /// What a reader must know.
    pub warnings: Vec<String>,
    /// The plan's simulation, if one was asked for.
    pub simulation: Option<Simulation>,
    /// What it was chosen from.
    #[serde(skip)]
    pub choice: Choice,
}

/// What a plan is chosen from.
#[derive(Clone, Debug)]
pub struct Choice {
    /// All rates, those included that no layout uses.
    pub rates: Vec<Rate>,
    /// By model, in the scenario's order: the layouts that no other beats.
    pub layouts: Vec<Vec<MachineLayout>>,
}

/// The target in the usual forms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// The target, sectors per hour.
    pub sectors_per_h: f64,
    /// The same per day.
    pub sectors_per_day: f64,
    /// The same in TiB per day.
    pub tib_per_day: f64,
    /// Sectors to start per hour: with the headroom, and those that fail.
    pub starts_per_h: f64,
    /// What the machines have to be able to do while all work, sectors per hour.
    pub demand_per_h: f64,
}

/// What bounds the plan as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bottleneck {
    /// Its name.
    pub what: String,
    /// How much of it is taken at the target; above 1 the target is not reached.
    pub load: f64,
}

/// Makes a plan from the scenario's own rates and those that come from elsewhere. Errors are sentences: contradicting or unusable rates are exit
/// code 2, what no purchase can do is 3.
pub fn plan(scenario: &Scenario, stored: Vec<Rate>) -> anyhow::Result<Plan> {
    check_objective(scenario).map_err(|e| Stop::Usage.error(e))?;
    let typed = scenario.rates.iter().map(from_entry).collect::<Result<Vec<_>, _>>();
    let skus: Vec<&str> = scenario.skus.iter().map(|sku| sku.name.as_str()).collect();
    let all = typed.map(|typed| typed.into_iter().chain(stored).collect());
    let all = all.and_then(|rates| settle(rates, &skus));
    let settled = all.map_err(|e| Stop::Usage.error(e))?;
    let refused = |e: String| Stop::Refused.error(e);
    let market = Market::new(scenario, &settled.rates).map_err(refused)?;
    let purchase = market.purchase(scenario).map_err(refused)?;
    let rates = used(&purchase);
    let mut warnings = settled.warnings;
    let at_bound = at_bound(scenario, &settled.rates, &rates, &mut warnings);
    warnings.extend(doubts(&purchase));
    warnings.extend(gaps(scenario, &purchase));
    let in_flight = in_flight(scenario, &purchase);
    let shared = shared_load(scenario);
    warnings.extend(shared.iter().filter_map(shared_warning));
    let sensitivity = sensitivity(scenario, &market, &settled.rates, &purchase);
    if sensitivity.is_none() {
        warnings.push("what would change the answer is not looked for: there are too many layouts".into());
    }
    let sectors: f64 = in_flight.iter().map(|flow| flow.sectors).sum();
    let per_h = scenario.target_per_h;
    Ok(Plan {
        schema: SCHEMA.to_string(),
        demand: Demand {
            sectors_per_h: per_h,
            sectors_per_day: per_h * 24.0,
            tib_per_day: per_h * 24.0 * scenario.sector_bytes / (1024.0 * GIB),
            starts_per_h: scenario.starts_per_h(),
            demand_per_h: scenario.demand_per_h(),
        },
        alternatives: alternatives(scenario, &market, &settled.rates, &purchase),
        sensitivity: sensitivity.unwrap_or_default(),
        bottleneck: bottleneck(&purchase, &shared),
        scratch_bytes: sectors * scenario.needs.scratch,
        scenario: scenario.clone(),
        purchase,
        at_bound,
        in_flight,
        shared,
        rates,
        warnings,
        simulation: None,
        choice: Choice { rates: settled.rates, layouts: market.layouts },
    })
}

fn layouts(purchase: &Purchase) -> impl Iterator<Item = &MachineLayout> {
    purchase.machines.iter().flat_map(|machines| &machines.layouts).map(|count| &count.layout)
}

fn used(purchase: &Purchase) -> Vec<Rate> {
    let mut used: Vec<Rate> = Vec::new();
    for rate in layouts(purchase).flat_map(|layout| &layout.lanes).flat_map(|lane| &lane.rates) {
        if !used.contains(rate) {
            used.push(rate.clone());
        }
    }
    used
}

/// The purchase with every rate at its lower end, if one that is used has an interval.
fn at_bound(scenario: &Scenario, all: &[Rate], used: &[Rate], warnings: &mut Vec<String>) -> Option<Purchase> {
    let without: Vec<String> = used.iter().filter(|rate| rate.interval.is_none()).map(Rate::label).collect();
    if !without.is_empty() {
        warnings.push(format!("no interval is known of {}: how sure the plan is cannot be said", without.join("; ")));
    }
    if without.len() == used.len() {
        return None;
    }
    let rates: Vec<Rate> = all.iter().map(Rate::at_bound).collect();
    let purchase = Market::new(scenario, &rates).and_then(|market| market.purchase(scenario));
    purchase.map_err(|e| warnings.push(format!("with every rate at its lower end: {e}"))).ok()
}

/// Rates that were not measured as they are used.
fn doubts(purchase: &Purchase) -> Vec<String> {
    let mut doubts: Vec<String> = Vec::new();
    for layout in layouts(purchase) {
        for lane in &layout.lanes {
            let doubt = |rate: &Rate| rate.doubt(lane.instances, layout.lanes.len() == 1);
            for doubt in lane.rates.iter().filter_map(doubt) {
                if !doubts.contains(&doubt) {
                    doubts.push(doubt);
                }
            }
        }
    }
    let unsaid: Vec<String> = used(purchase).iter().filter(|rate| rate.concurrent.is_none()).map(Rate::label).collect();
    if !unsaid.is_empty() {
        doubts.push(format!("nobody said whether these were measured side by side: {}", unsaid.join("; ")));
    }
    doubts
}

/// What the scenario does not say, so that it is not checked.
fn gaps(scenario: &Scenario, purchase: &Purchase) -> Vec<String> {
    let mut gaps = Vec::new();
    for machines in &purchase.machines {
        let Some(sku) = scenario.skus.iter().find(|sku| sku.name == machines.sku) else { continue };
        let starts = machines.layouts.iter().any(|count| count.layout.sectors_in_flight > 0.0);
        if starts && sku.volumes.is_empty() {
            gaps.push(format!("sku '{}' has no [[sku.volume]]: its storage is not checked", sku.name));
        } else if starts && sku.volumes.iter().any(|volume| volume.read.is_none() || volume.write.is_none()) {
            gaps.push(format!("sku '{}' has a volume without measured rates: its speed is not checked", sku.name));
        }
        let group = sku.l3_groups.map_or(1, |groups| sku.cores / groups);
        let mut lanes = machines.layouts.iter().flat_map(|count| &count.layout.lanes);
        if scenario.rules.split_l3 && lanes.any(|lane| lane.cores % group != 0 && group % lane.cores != 0) {
            gaps.push(format!(
                "on '{}' instances split L3 groups (split_l3): their rates must have been measured so",
                sku.name
            ));
        }
    }
    let beside = layouts(purchase).filter(|layout| layout.lanes.len() > 1);
    gaps.extend(beside.map(|layout| {
        let lane = |lane: &Lane| format!("{}:{}x{}", lane.phases[0], lane.instances, lane.cores);
        let mix = layout.lanes.iter().map(lane).collect::<Vec<_>>().join(",");
        format!(
            "rates of phases that share a '{}' were measured apart: sealbench run --mix {mix} measures them together",
            layout.sku
        )
    }));
    gaps
}

fn shared_warning(load: &SharedLoad) -> Option<String> {
    let rate = |bytes: f64| format!("{}/s", units::bytes(bytes as u64));
    let SharedLoad { direction, bytes_per_s, .. } = load;
    let Some(limit) = load.limit else {
        let needed = rate(*bytes_per_s);
        return Some(format!("the rate of {direction} of the shared storage is not known: the plan needs {needed}"));
    };
    load.is_bottleneck().then(|| {
        format!(
            "the shared storage is the bottleneck: {direction} takes {} and it carries {}, which lets {:.1} sectors/h through",
            rate(*bytes_per_s),
            rate(limit),
            load.most_per_h.unwrap_or(0.0)
        )
    })
}

/// What is taken most of.
fn bottleneck(purchase: &Purchase, shared: &[SharedLoad]) -> Bottleneck {
    let stages = purchase.stages.iter().map(|stage| {
        let bounds: Vec<String> = stage.bounds.iter().map(|bound| bound.label()).collect();
        Bottleneck { what: bounds.join(" and "), load: stage.load() }
    });
    let shared = shared.iter().filter_map(|load| {
        let what = format!("{} of the shared storage", load.direction);
        Some(Bottleneck { what, load: load.bytes_per_s / load.limit? })
    });
    let none = Bottleneck { what: String::new(), load: 0.0 };
    stages.chain(shared).fold(none, |most, one| if one.load > most.load { one } else { most })
}
