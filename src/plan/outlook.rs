//! What else could be bought, and what would change the answer.

use serde::Serialize;

use super::layout::{Stage, why_not};
use super::purchase::{Market, Purchase};
use super::rates::Rate;
use super::scenario::{Minimise, Scenario, Sku};
use super::solve::{MOST_MACHINES, Problem, solve};

/// Another purchase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// What it is: "without 64 cores", "next best layout", "only 128 cores", "with what is there".
    pub name: String,
    /// The purchase; `None` if there is none.
    pub purchase: Option<Purchase>,
    /// Where there is none, or it is less than asked for: why. Of the next best layout: how its machines are cut.
    pub remark: Option<String>,
}

/// The purchases without one of the models that are used (the best first) or, if there is only one, with its next best layout; with one model
/// alone; and with what is there.
pub fn alternatives(scenario: &Scenario, market: &Market, rates: &[Rate], chosen: &Purchase) -> Vec<Alternative> {
    let limited = |keep: &dyn Fn(usize) -> bool| {
        let mut problem = market.problem.clone();
        for (_, model) in problem.models.iter_mut().enumerate().filter(|(index, _)| !keep(*index)) {
            model.available = 0;
        }
        market.purchase_of(scenario, &problem, LARGE)
    };
    let name = |index: usize| scenario.skus[index].name.as_str();
    let is_used = |index: &usize| chosen.machines.iter().any(|machines| machines.sku == name(*index));
    let several = scenario.skus.len() > 1;
    let models = || (0..scenario.skus.len()).filter(|_| several);
    let mut without: Vec<(Purchase, Alternative)> = models()
        .filter(is_used)
        .filter_map(|index| {
            let purchase = limited(&|other| other != index)?;
            let name = format!("without {}", name(index));
            Some((purchase.clone(), Alternative { name, purchase: Some(purchase), remark: None }))
        })
        .collect();
    without.sort_by(|a, b| a.0.proof.value.total_cmp(&b.0.proof.value));
    let mut all: Vec<Alternative> = without.into_iter().map(|(_, alternative)| alternative).collect();
    if let Some(next) = all.first_mut() {
        next.name = format!("next best: {}", next.name);
    }
    if !several {
        all.extend(next_layout(scenario, market, rates, chosen));
    }
    for index in models().filter(|index| chosen.machines.len() > 1 || !is_used(index)) {
        let purchase = limited(&|other| other == index);
        let remark = purchase.is_none().then(|| alone(scenario, market, rates, index));
        all.push(Alternative { name: format!("only {}", name(index)), purchase, remark });
    }
    if scenario.skus.iter().any(|sku| sku.owned > 0) {
        all.push(with_what_is_there(scenario, market));
    }
    all
}

/// Why one model alone does not do.
fn alone(scenario: &Scenario, market: &Market, rates: &[Rate], index: usize) -> String {
    let sku = &scenario.skus[index];
    for (stage, what) in Stage::of(scenario).iter().enumerate() {
        if !market.layouts[index].iter().any(|layout| layout.per_h[stage] > 0.0) {
            return why_not(scenario, sku, rates, &what.phases(scenario));
        }
    }
    let working = |other: usize| match sku.available {
        Some(available) if other == index => available.saturating_sub(scenario.rules.spares).min(MOST_MACHINES),
        _ => 0,
    };
    let working: Vec<u32> = (0..scenario.skus.len()).map(working).collect();
    match (sku.available, working[index]) {
        (None, _) => "none was found within the steps that an alternative may take".to_string(),
        (Some(0), _) => "none of them can be had".to_string(),
        (Some(available), 0) => format!("the {available} that can be had are all in reserve"),
        (Some(available), _) => format!("the {available} that can be had: {}", reached(scenario, market, &working)),
    }
}

/// What so many working machines put out: "2.000 sectors/h, 48.0 % of the target".
fn reached(scenario: &Scenario, market: &Market, working: &[u32]) -> String {
    let reach = market.reach(working);
    format!("{:.3} sectors/h, {:.1} % of the target", reach * scenario.target_per_h, reach * 100.0)
}

/// The best purchase of the only model without one of the layouts that are used, or without one of their rates. Layouts that others beat are not
/// in the market: they come up when what beats them cannot be had.
fn next_layout(scenario: &Scenario, market: &Market, rates: &[Rate], chosen: &Purchase) -> Option<Alternative> {
    let layouts = |purchase: &Purchase| -> Vec<String> {
        let counts = purchase.machines.iter().flat_map(|machines| &machines.layouts);
        counts.map(|count| format!("{} x ({})", count.machines, count.layout.label())).collect()
    };
    let used = || chosen.machines.iter().flat_map(|machines| &machines.layouts).map(|count| &count.layout);
    let without_layout = used().filter_map(|used| {
        let mut problem = market.problem.clone();
        let place = market.layouts[0].iter().position(|layout| layout == used)?;
        problem.models[0].layouts[place].fill(0.0);
        market.purchase_of(scenario, &problem, LARGE)
    });
    let mut things: Vec<String> =
        used().flat_map(|layout| &layout.lanes).flat_map(|lane| &lane.rates).map(Rate::label).collect();
    things.sort();
    things.dedup();
    let without_rate = things.iter().filter(|_| market.looked_at <= MANY).filter_map(|thing| {
        let rest: Vec<Rate> = rates.iter().filter(|rate| rate.label() != *thing).cloned().collect();
        let market = Market::new(scenario, &rest).ok()?;
        market.purchase_of(scenario, &market.problem, LARGE)
    });
    let best =
        without_layout.chain(without_rate).filter(|other| layouts(other) != layouts(chosen)).min_by(|a, b| {
            let load = |purchase: &Purchase| purchase.stages.iter().map(|stage| stage.load()).fold(0.0, f64::max);
            a.proof.value.total_cmp(&b.proof.value).then(load(a).total_cmp(&load(b)))
        })?;
    let remark = Some(layouts(&best).join(", "));
    Some(Alternative { name: "next best layout".to_string(), purchase: Some(best), remark })
}

fn with_what_is_there(scenario: &Scenario, market: &Market) -> Alternative {
    let name = "with what is there".to_string();
    let mut problem = market.problem.clone();
    for model in &mut problem.models {
        model.available = model.owned;
    }
    if let Some(purchase) = market.purchase_of(scenario, &problem, LARGE) {
        return Alternative { name, purchase: Some(purchase), remark: None };
    }
    let working: Vec<u32> = problem.models.iter().map(|model| model.owned.saturating_sub(model.spares)).collect();
    Alternative { name, purchase: None, remark: Some(reached(scenario, market, &working)) }
}

/// Where a rate or a price changes the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sensitivity {
    /// What changes: "p1 on 8 cores", "price of 128 cores".
    pub what: String,
    /// Its value, in words.
    pub now: String,
    /// The nearest lower value with another answer, in words, and that answer; `None` down to a half.
    pub lower: Option<(String, String)>,
    /// The nearest higher value, up to twice.
    pub higher: Option<(String, String)>,
}

/// Steps of work for the answer to a changed question; where the question itself took more, changes are not looked for.
const LARGE: u64 = 100_000;

/// Layouts to look at above which models are not cut anew for each changed rate.
const MANY: u64 = 2_000;

/// Steps of a search for a value: to a ten-thousandth.
const STEPS: u32 = 13;

/// Where each rate that the purchase uses and each price changes the answer. `None` for problems so large that it would take minutes.
pub fn sensitivity(
    scenario: &Scenario,
    market: &Market,
    rates: &[Rate],
    chosen: &Purchase,
) -> Option<Vec<Sensitivity>> {
    if market.looked_at > MANY || chosen.proof.nodes > LARGE {
        return None;
    }
    let lanes = chosen.machines.iter().flat_map(|machines| &machines.layouts).flat_map(|count| &count.layout.lanes);
    let mut used: Vec<&Rate> = Vec::new();
    for rate in lanes.flat_map(|lane| &lane.rates) {
        if !used.contains(&rate) {
            used.push(rate);
        }
    }
    let of_rates = used.into_iter().map(|rate| of_rate(scenario, market, rates, rate));
    let priced =
        scenario.skus.iter().enumerate().filter_map(|(index, sku)| Some((index, sku.price.filter(|p| *p > 0.0)?)));
    Some(of_rates.chain(priced.map(|(index, price)| of_price(scenario, market, index, price))).collect())
}

fn of_rate(scenario: &Scenario, market: &Market, rates: &[Rate], rate: &Rate) -> Sensitivity {
    let base = solve(&market.problem, LARGE).map(|answer| answer.value);
    // A longer time is a lower rate.
    let changed = |factor: f64| {
        let scaled = |other: &Rate| match other == rate {
            true => Rate { sectors_per_h: other.sectors_per_h / factor, ..other.clone() },
            false => other.clone(),
        };
        let rates: Vec<Rate> = rates.iter().map(scaled).collect();
        let problem = Market::new(scenario, &rates).ok()?.problem;
        match solve(&problem, LARGE) {
            Some(answer) => (Some(answer.value) != base).then(|| machines(scenario, &answer.machines)),
            None => none(&problem),
        }
    };
    let show = |factor: f64| match rate.run_s() * factor {
        seconds if seconds < 600.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.2} min", seconds / 60.0),
    };
    let found = |end: f64| nearest(end, &changed).map(|(factor, text)| (show(factor), text));
    Sensitivity { what: rate.label(), now: show(1.0), lower: found(0.5), higher: found(2.0) }
}

/// The answer where there is none, if that is sure.
fn none(problem: &Problem) -> Option<String> {
    problem.is_impossible().then(|| "no purchase reaches the target".to_string())
}

fn of_price(scenario: &Scenario, market: &Market, index: usize, price: f64) -> Sensitivity {
    let answer = |factor: f64| {
        let mut problem: Problem = market.problem.clone();
        for (objective, what) in scenario.minimise.order().into_iter().enumerate() {
            if what == Minimise::Cost {
                problem.models[index].bought[objective] = (price * factor * 100.0).round() as i64;
            }
        }
        solve(&problem, LARGE).map(|answer| machines(scenario, &answer.machines))
    };
    let base = answer(1.0);
    // What can be bought does not depend on prices.
    let changed = |factor: f64| answer(factor).filter(|text| Some(text) != base.as_ref());
    let show = |factor: f64| format!("{:.0} {}", price * factor, scenario.prices.currency);
    let found = |end: f64| nearest(end, &changed).map(|(factor, text)| (show(factor), text));
    let what = format!("price of {}", scenario.skus[index].name);
    Sensitivity { what, now: show(1.0), lower: found(0.5), higher: found(2.0) }
}

/// The factor nearest to 1, between 1 and `end`, at which something changes, if it has changed at `end`.
fn nearest(end: f64, changed: &dyn Fn(f64) -> Option<String>) -> Option<(f64, String)> {
    let mut text = changed(end)?;
    let (mut same, mut other) = (1.0, end);
    for _ in 0..STEPS {
        let middle = (same + other) / 2.0;
        match changed(middle) {
            Some(then) => (other, text) = (middle, then),
            None => same = middle,
        }
    }
    Some((other, text))
}

/// "41 of 128 cores, 28 of 64 cores".
fn machines(scenario: &Scenario, counts: &[Vec<u32>]) -> String {
    let of = |(sku, counts): (&Sku, &Vec<u32>)| {
        let working: u32 = counts.iter().sum();
        (working > 0).then(|| format!("{working} of {}", sku.name))
    };
    scenario.skus.iter().zip(counts).filter_map(of).collect::<Vec<_>>().join(", ")
}
