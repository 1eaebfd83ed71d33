//! From layouts to a purchase: the integer program's input, and its answer with the layouts' names.

use serde::Serialize;

use super::layout::{Bound, MachineLayout, Stage, cut, why_not};
use super::rates::Rate;
use super::scenario::{Minimise, Scenario, Sku};
use super::solve::{Answer, Assigned, MOST_MACHINES, Model, OBJECTIVES, Problem, assign, solve};

/// Steps of work that a purchase may take: a few seconds at most.
pub const NODES: u64 = 6_000_000;

/// Hours of energy, machines, and so on are counted in whole cents and watts.
const CENTS: f64 = 100.0;

/// The largest sum of cents or watts of a model: those of all models at twice their price still fit an integer.
const MOST_VALUE: i64 = 1 << 51;

/// Machines to buy, and what they can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Purchase {
    /// Machines by model; a model that is not used is absent.
    pub machines: Vec<Machines>,
    /// All machines, those in reserve included.
    pub total: u32,
    /// Those that have to be bought.
    pub bought: u32,
    /// Purchase and energy over the scenario's period, in its currency; `None` if a used model has no price.
    pub cost: Option<f64>,
    /// Electric power, watts; `None` if a used model does not say.
    pub power_w: Option<f64>,
    /// Rack units; `None` if a used model does not say.
    pub rack_units: Option<f64>,
    /// What each part of a sector's way needs and gets.
    pub stages: Vec<StageLoad>,
    /// Whether it is the best.
    pub proof: Proof,
}

/// Machines of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machines {
    /// The model.
    pub sku: String,
    /// Machines that work.
    pub working: u32,
    /// Machines in reserve.
    pub spares: u32,
    /// How many of them are there already.
    pub owned: u32,
    /// How many are to be bought.
    pub bought: u32,
    /// How those that work are cut.
    pub layouts: Vec<LayoutCount>,
}

/// Machines that are cut alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayoutCount {
    /// How many.
    pub machines: u32,
    /// The layout.
    pub layout: MachineLayout,
}

/// What a part of a sector's way needs and gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageLoad {
    /// Its phases: "p1 + p2 + c1".
    pub stage: String,
    /// What the machines have to be able to do, sectors per hour.
    pub demand_per_h: f64,
    /// What they can do while all of them work.
    pub per_h: f64,
    /// What bounds it on the machines that do it.
    pub bounds: Vec<Bound>,
}

impl StageLoad {
    /// Demand over what the machines can do.
    pub fn load(&self) -> f64 {
        self.demand_per_h / self.per_h
    }
}

/// Whether a purchase is the best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// What was made as small as possible first.
    pub minimised: Minimise,
    /// Its value, in the currency, in machines or in watts.
    pub value: f64,
    /// No purchase is below this.
    pub bound: f64,
    /// How much better another one could be at most: 0 is proven optimal, 0.01 is 1 %.
    pub gap: f64,
    /// Whether it is also proven that no equal one is better in what decides between equals.
    pub is_proven: bool,
    /// Steps of work it took.
    pub nodes: u64,
    /// Layouts that the program could choose from.
    pub layouts: usize,
    /// Layouts that were looked at.
    pub looked_at: u64,
}

/// The layouts of all models of a scenario, and the program that chooses from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Market {
    /// By model, in the scenario's order.
    pub layouts: Vec<Vec<MachineLayout>>,
    /// How many were looked at.
    pub looked_at: u64,
    /// The program.
    pub problem: Problem,
}

impl Market {
    /// Cuts every model. The error says which part of a sector's way no model can do, why, and what would help.
    pub fn new(scenario: &Scenario, rates: &[Rate]) -> Result<Market, String> {
        let cuts = scenario.skus.iter().map(|sku| cut(scenario, sku, rates)).collect::<Result<Vec<_>, _>>()?;
        let looked_at = cuts.iter().map(|cut| cut.looked_at).sum();
        let layouts: Vec<Vec<MachineLayout>> = cuts.into_iter().map(|cut| cut.layouts).collect();
        let stages = Stage::of(scenario);
        for (index, stage) in stages.iter().enumerate() {
            if !layouts.iter().flatten().any(|layout| layout.per_h[index] > 0.0) {
                let phases = stage.phases(scenario);
                let reasons: Vec<String> =
                    scenario.skus.iter().map(|sku| why_not(scenario, sku, rates, &phases)).collect();
                return Err(format!("no model can do {}: {}", stage.label(scenario), reasons.join("; ")));
            }
        }
        let models = scenario.skus.iter().zip(&layouts).map(|(sku, layouts)| model(scenario, sku, layouts)).collect();
        let problem = Problem { demand: vec![scenario.demand_per_h(); stages.len()], models };
        check_size(scenario, &problem)?;
        Ok(Market { layouts, looked_at, problem })
    }

    /// The best purchase, or what can be reached at most with all that can be had.
    pub fn purchase(&self, scenario: &Scenario) -> Result<Purchase, String> {
        self.purchase_of(scenario, &self.problem, NODES).ok_or_else(|| {
            let most: Vec<u32> = self.problem.models.iter().map(|m| m.available.saturating_sub(m.spares).min(MOST_MACHINES)).collect();
            let reach = self.reach(&most) * scenario.target_per_h;
            format!(
                "all machines that can be had put out {reach:.3} of {:.3} sectors/h: raise what is available, or add a model",
                scenario.target_per_h
            )
        })
    }

    /// The best purchase of a program with the same layouts, within so many steps of work.
    pub fn purchase_of(&self, scenario: &Scenario, problem: &Problem, nodes: u64) -> Option<Purchase> {
        let answer = solve(problem, nodes)?;
        Some(self.describe(scenario, problem, &answer))
    }

    /// The share of the demand that so many machines of each model reach.
    pub fn reach(&self, machines: &[u32]) -> f64 {
        let enough = |share: f64| {
            let demand = self.problem.demand.iter().map(|demand| demand * share).collect();
            let scaled = Problem { demand, models: self.problem.models.clone() };
            matches!(assign(&scaled, machines, &mut 10_000), Assigned::Yes(_))
        };
        let (mut low, mut high) = (0.0, 1.0);
        while enough(high) && high < 1e6 {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if enough(middle) { low = middle } else { high = middle }
        }
        low
    }

    fn describe(&self, scenario: &Scenario, problem: &Problem, answer: &Answer) -> Purchase {
        let used = answer.machines.iter().enumerate().filter(|(_, counts)| counts.iter().any(|n| *n > 0));
        let machines: Vec<Machines> = used
            .map(|(index, counts)| {
                let (model, working) = (&problem.models[index], counts.iter().sum::<u32>());
                let all = working + model.spares;
                let owned = all.min(model.owned);
                let chosen = counts.iter().zip(&self.layouts[index]).filter(|(n, _)| **n > 0);
                let layouts = chosen.map(|(n, layout)| LayoutCount { machines: *n, layout: layout.clone() }).collect();
                let sku = scenario.skus[index].name.clone();
                Machines { sku, working, spares: model.spares, owned, bought: all - owned, layouts }
            })
            .collect();
        let of_all = |of: fn(&Sku) -> Option<f64>| {
            let each = |m: &Machines| {
                let sku = scenario.skus.iter().find(|sku| sku.name == m.sku)?;
                Some(of(sku)? * f64::from(m.working + m.spares))
            };
            machines.iter().map(each).sum::<Option<f64>>()
        };
        let energy = of_all(|sku| Some(sku.power.unwrap_or(0.0))).unwrap_or(0.0) * energy_price(scenario);
        let price = |m: &Machines| Some(scenario.skus.iter().find(|s| s.name == m.sku)?.price? * f64::from(m.bought));
        let first = scenario.minimise;
        let unit = if first == Minimise::Cost { CENTS } else { 1.0 };
        Purchase {
            total: machines.iter().map(|m| m.working + m.spares).sum(),
            bought: machines.iter().map(|m| m.bought).sum(),
            cost: machines.iter().map(price).sum::<Option<f64>>().map(|price| price + energy),
            power_w: of_all(|sku| sku.power),
            rack_units: of_all(|sku| sku.rack_units),
            stages: stage_loads(scenario, &machines),
            proof: Proof {
                minimised: first,
                value: answer.value[0] as f64 / unit,
                bound: answer.bound as f64 / unit,
                gap: answer.gap(),
                is_proven: answer.is_proven,
                nodes: answer.nodes,
                layouts: self.layouts.iter().map(Vec::len).sum(),
                looked_at: self.looked_at,
            },
            machines,
        }
    }
}

fn stage_loads(scenario: &Scenario, machines: &[Machines]) -> Vec<StageLoad> {
    let layouts: Vec<&LayoutCount> = machines.iter().flat_map(|m| &m.layouts).collect();
    let of = |(index, stage): (usize, &Stage)| {
        let mut bounds: Vec<Bound> = Vec::new();
        for bound in layouts.iter().filter_map(|count| count.layout.bounds[index].clone()) {
            if !bounds.contains(&bound) {
                bounds.push(bound);
            }
        }
        let per_h = layouts.iter().map(|count| count.layout.per_h[index] * f64::from(count.machines)).sum();
        StageLoad { stage: stage.label(scenario), demand_per_h: scenario.demand_per_h(), per_h, bounds }
    };
    Stage::of(scenario).iter().enumerate().map(of).collect()
}

/// Price of a watt over the scenario's period.
fn energy_price(scenario: &Scenario) -> f64 {
    let prices = &scenario.prices;
    prices.period_s / 3600.0 / 1000.0 * prices.kwh * prices.pue
}

/// Refuses numbers of machines that are slips, and figures of which no sum could be made.
fn check_size(scenario: &Scenario, problem: &Problem) -> Result<(), String> {
    for (sku, model) in scenario.skus.iter().zip(&problem.models) {
        let (name, most) = (&sku.name, model.most(&problem.demand));
        if most > MOST_MACHINES {
            return Err(format!(
                "the target could take {most} machines of '{name}', more than {MOST_MACHINES}: check target and rates, or say how many are available"
            ));
        }
        let all = i64::from(most) + i64::from(model.spares);
        let figures = model.each.iter().zip(&model.bought).map(|(each, bought)| each.checked_add(*bought));
        let sums = figures.map(|figure| figure.and_then(|figure| figure.checked_mul(all)));
        if sums.into_iter().any(|sum| sum.is_none_or(|sum| sum > MOST_VALUE)) {
            return Err(format!(
                "what {all} machines of '{name}' cost or draw is out of range: check its price and power, and kwh and period of [prices]"
            ));
        }
    }
    Ok(())
}

fn model(scenario: &Scenario, sku: &Sku, layouts: &[MachineLayout]) -> Model {
    let cents = |amount: f64| (amount * CENTS).round() as i64;
    let power = sku.power.unwrap_or(0.0);
    let energy = cents(power * energy_price(scenario));
    let (mut each, mut bought) = ([0; OBJECTIVES], [0; OBJECTIVES]);
    for (objective, what) in scenario.minimise.order().into_iter().enumerate() {
        (each[objective], bought[objective]) = match what {
            Minimise::Cost => (energy, cents(sku.price.unwrap_or(0.0))),
            Minimise::Machines => (1, 0),
            Minimise::Power => (power.round() as i64, 0),
        };
    }
    Model {
        layouts: layouts.iter().map(|layout| layout.per_h.clone()).collect(),
        spares: scenario.rules.spares,
        owned: sku.owned,
        available: sku.available.unwrap_or(u32::MAX),
        each,
        bought,
    }
}
