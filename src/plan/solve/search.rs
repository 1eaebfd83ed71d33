//! The search through numbers of machines, model by model: depth first, the number with the lowest bound first.

use std::ops::RangeInclusive;

use super::assign::{Assigned, assign};
use super::bound::{Cap, Cut, Relaxation};
use super::corners::corners;
use super::reach::Reach;
use super::{Answer, Model, OBJECTIVES, Problem};

/// Most cuts that are kept.
const MOST_CUTS: usize = 256;

/// Work that one question of layouts may take at first, and by how much it grows while questions stay open.
const ASSIGN_WORK: u64 = 500;
const ASSIGN_GROWTH: u64 = 16;

/// The best purchase, or `None` if none reaches the demand. The work is limited to about `nodes` steps, so that the answer does not depend on
/// how fast the machine is; [`Answer::is_proven`] and [`Answer::gap`] say what is left open.
///
/// # Panics
/// If the demand has no or more than two stages, or one that is not above zero.
pub fn solve(problem: &Problem, nodes: u64) -> Option<Answer> {
    let demand = &problem.demand;
    assert!((1..=2).contains(&demand.len()) && demand.iter().all(|d| *d > 0.0), "one or two stages above zero");
    let order = order(problem);
    let sorted = Problem { models: order.iter().map(|i| problem.models[*i].clone()).collect(), ..problem.clone() };
    let mut caps: Vec<Cap> = Vec::new();
    let mut best: Option<Found> = None;
    let (mut bound, mut is_proven, mut left) = (0, true, nodes);
    for objective in 0..OBJECTIVES {
        // Each objective may take an equal share of what is left.
        let share = left / (OBJECTIVES - objective) as u64;
        let mut search = Search::new(&sorted, objective, caps.clone(), best.take(), share);
        search.run();
        is_proven &= search.unknown.is_none();
        left = left - share + search.nodes;
        let found = search.best?;
        let value = found.value(&sorted, objective);
        if objective == 0 {
            bound = search.unknown.map_or(value, |unknown| unknown.min(value));
        }
        caps.push(Cap { objective, value });
        best = Some(found);
    }
    let found = best?;
    let mut machines = vec![Vec::new(); order.len()];
    for (place, counts) in order.iter().zip(found.counts.iter()) {
        machines[*place] = counts.clone();
    }
    let value = std::array::from_fn(|objective| found.value(&sorted, objective));
    Some(Answer { machines, value, bound, is_proven, nodes: nodes - left })
}

/// The models, those that give most for their price first.
fn order(problem: &Problem) -> Vec<usize> {
    let price = |model: &Model| (model.each[0] + model.bought[0]).max(1) as f64;
    let share = |model: &Model| {
        let of =
            |layout: &Vec<f64>| layout.iter().zip(&problem.demand).map(|(rate, demand)| rate / demand).sum::<f64>();
        model.layouts.iter().map(of).fold(0.0, f64::max) / price(model)
    };
    let mut order: Vec<usize> = (0..problem.models.len()).collect();
    order.sort_by(|a, b| share(&problem.models[*b]).total_cmp(&share(&problem.models[*a])));
    order
}

/// A purchase: machines by model and layout, in the order of the search.
#[derive(Clone, Debug)]
struct Found {
    counts: Vec<Vec<u32>>,
}

impl Found {
    fn value(&self, problem: &Problem, objective: usize) -> i64 {
        problem.models.iter().zip(&self.counts).map(|(model, counts)| model.value(objective, counts.iter().sum())).sum()
    }
}

struct Search<'a> {
    relaxation: Relaxation<'a>,
    reach: Reach,
    cuts: Vec<Cut>,
    /// Numbers of machines of the first models.
    fixed: Vec<u32>,
    /// By depth and cut: the bound's part of the models that are fixed.
    parts: Vec<Vec<f64>>,
    /// All values of the objective are multiples of this.
    grain: i64,
    scale: f64,
    best: Option<Found>,
    best_value: i64,
    /// The least value that could not be ruled out.
    unknown: Option<i64>,
    nodes: u64,
    assign_work: u64,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, objective: usize, caps: Vec<Cap>, best: Option<Found>, nodes: u64) -> Search<'a> {
        let most: Vec<u32> = problem.models.iter().map(|model| model.most(&problem.demand)).collect();
        let reach = Reach::new(problem, &most);
        let figures = problem.models.iter().flat_map(|model| [model.each[objective], model.bought[objective]]);
        let grain = figures.fold(0, greatest_common_divisor).max(1);
        let best_value = best.as_ref().map_or(i64::MAX, |best| best.value(problem, objective));
        let corners = problem.models.iter().map(|model| corners(&model.layouts)).collect();
        let relaxation = Relaxation { problem, objective, caps, most, corners };
        let parts = vec![Vec::new()];
        let (cuts, fixed) = (Vec::new(), Vec::new());
        let mut search = Search {
            relaxation,
            reach,
            cuts,
            fixed,
            parts,
            grain,
            scale: 1.0,
            best,
            best_value,
            unknown: None,
            nodes,
            assign_work: ASSIGN_WORK,
        };
        search.scale = search.first_scale();
        search
    }

    /// About what a purchase costs: each stage by the model that does it at the lowest price.
    fn first_scale(&self) -> f64 {
        let Relaxation { problem, objective, .. } = &self.relaxation;
        let of_stage = |stage: usize| {
            let price = |model: &Model| (model.each[*objective] + model.bought[*objective]) as f64;
            let best = |model: &Model| model.layouts.iter().map(|layout| layout[stage]).fold(0.0, f64::max);
            let costs = problem.models.iter().map(|model| price(model) * problem.demand[stage] / best(model));
            costs.fold(f64::INFINITY, f64::min)
        };
        let scale: f64 = (0..problem.demand.len()).map(of_stage).filter(|cost| cost.is_finite()).sum();
        scale.max(1.0)
    }

    fn run(&mut self) {
        let zero = vec![0.0; self.relaxation.problem.demand.len() + self.relaxation.caps.len()];
        self.add(&zero);
        self.improve();
        loop {
            self.unknown = None;
            self.descend();
            if self.unknown.is_none() || self.nodes == 0 {
                return;
            }
            self.assign_work *= ASSIGN_GROWTH;
        }
    }

    /// Adds the cut of some prices, for the models that are fixed now.
    fn add(&mut self, prices: &[f64]) {
        let cut = self.relaxation.cut(prices);
        let mut part = 0.0;
        for (depth, parts) in self.parts.iter_mut().enumerate() {
            parts.push(part);
            if let Some(machines) = self.fixed.get(depth) {
                part += self.relaxation.term(&cut, depth, *machines);
            }
        }
        self.cuts.push(cut);
    }

    /// A cut made for the models that are fixed now, if it is better than those that are there. Returns whether it rules them out.
    fn improve(&mut self) -> bool {
        if self.cuts.len() >= MOST_CUTS {
            return false;
        }
        let known = self.bound();
        let (bound, prices) = self.relaxation.best_prices(&self.fixed, self.scale, self.best_value as f64);
        if bound > known + 1e-6 * self.scale {
            self.add(&prices);
        }
        self.is_ruled_out(bound)
    }

    /// The bound for the models that are fixed now.
    fn bound(&self) -> f64 {
        let depth = self.fixed.len();
        let of = |(cut, part): (&Cut, &f64)| cut.constant + part + cut.rest[depth];
        self.cuts.iter().zip(&self.parts[depth]).map(of).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The bound of the first `cuts` cuts with so many machines of the next model.
    fn bound_with(&self, cuts: usize, machines: u32) -> f64 {
        let depth = self.fixed.len();
        let of = |(cut, part): (&Cut, &f64)| {
            cut.constant + part + self.relaxation.term(cut, depth, machines) + cut.rest[depth + 1]
        };
        self.cuts[..cuts].iter().zip(&self.parts[depth]).map(of).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The least value of the objective that a bound allows.
    fn least(&self, bound: f64) -> i64 {
        let slack = 1e-7 * self.scale.max(bound.abs());
        let grains = ((bound - slack) / self.grain as f64).ceil();
        if grains >= i64::MAX as f64 / self.grain as f64 { i64::MAX } else { (grains as i64).max(0) * self.grain }
    }

    fn is_ruled_out(&self, bound: f64) -> bool {
        self.least(bound) >= self.best_value
    }

    fn descend(&mut self) {
        let depth = self.fixed.len();
        if depth == self.relaxation.problem.models.len() {
            return self.leaf();
        }
        let mut candidates = Candidates::new(self);
        while let Some((bound, machines)) = candidates.next(self) {
            if self.is_ruled_out(bound) {
                return;
            }
            if self.nodes == 0 {
                self.leave_open(bound);
                return;
            }
            self.nodes -= 1;
            let next: Vec<f64> = self
                .cuts
                .iter()
                .zip(&self.parts[depth])
                .map(|(cut, part)| part + self.relaxation.term(cut, depth, machines))
                .collect();
            self.fixed.push(machines);
            self.parts.push(next);
            if !self.improve() {
                self.descend();
            }
            self.parts.pop();
            self.fixed.pop();
        }
    }

    fn leaf(&mut self) {
        let problem = self.relaxation.problem;
        let value = |objective: usize| -> i64 {
            problem.models.iter().zip(&self.fixed).map(|(model, machines)| model.value(objective, *machines)).sum()
        };
        let here = value(self.relaxation.objective);
        let within = self.relaxation.caps.iter().all(|cap| value(cap.objective) <= cap.value);
        if here >= self.best_value || !within {
            return;
        }
        let mut work = self.assign_work.min(self.nodes);
        let before = work;
        let assigned = assign(problem, &self.fixed, &mut work);
        self.nodes -= before - work;
        match assigned {
            Assigned::Yes(counts) => {
                self.best = Some(Found { counts });
                self.best_value = here;
            }
            Assigned::No => {}
            Assigned::Unknown => self.unknown = Some(self.unknown.map_or(here, |unknown| unknown.min(here))),
        }
    }

    /// Notes that nothing better than this bound was ruled out.
    fn leave_open(&mut self, bound: f64) {
        let least = self.least(bound);
        self.unknown = Some(self.unknown.map_or(least, |unknown| unknown.min(least)));
    }
}

/// Numbers of machines of the next model with their bounds, the lowest first. From one machine on the bound is convex in their number: the next is
/// none, or beside those that were taken, to the left or to the right.
struct Candidates {
    /// Cuts that the bounds are of: those that are added meanwhile would change the order.
    cuts: usize,
    /// The fewest that may be enough, and the most.
    range: RangeInclusive<u32>,
    /// Where the bound is lowest.
    lowest: u32,
    none: Option<(f64, u32)>,
    left: Option<(f64, u32)>,
    right: Option<(f64, u32)>,
}

impl Candidates {
    fn new(search: &Search) -> Candidates {
        let (depth, cuts) = (search.fixed.len(), search.cuts.len());
        let (least, most) = (search.reach.least(&search.fixed), search.relaxation.most[depth]);
        let bound = |machines: u32| search.bound_with(cuts, machines);
        let (mut low, mut high) = (least.max(1), most);
        while low < high {
            let middle = low + (high - low) / 2;
            if bound(middle) <= bound(middle + 1) { high = middle } else { low = middle + 1 }
        }
        let range = least.max(1)..=most;
        let none = (least == 0).then(|| (bound(0), 0));
        let mut candidates = Candidates { cuts, range, lowest: low, none, left: None, right: None };
        candidates.left = candidates.some(search, low - 1);
        candidates.right = candidates.some(search, low);
        candidates
    }

    fn some(&self, search: &Search, machines: u32) -> Option<(f64, u32)> {
        self.range.contains(&machines).then(|| (search.bound_with(self.cuts, machines), machines))
    }

    fn next(&mut self, search: &Search) -> Option<(f64, u32)> {
        let open = [self.none, self.right, self.left].into_iter().flatten();
        let next = open.min_by(|a, b| a.0.total_cmp(&b.0))?;
        match next.1 {
            0 => self.none = None,
            machines if machines < self.lowest => self.left = self.some(search, machines - 1),
            machines => self.right = self.some(search, machines + 1),
        }
        Some(next)
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { greatest_common_divisor(b, a % b) }
}
