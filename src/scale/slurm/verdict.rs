//! What the elements say of the kinds of nodes: the points of each in order, and the best of each against those of the others.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::report::machines::short_model;
use crate::report::ranking::ranking;
use crate::report::table::{Align, table};
use crate::sweep::rank::{Ranked, Ranking, judge_points, rank};
use crate::sweep::state::{State, Trial};
use crate::trial::record::Record;

use super::collect::Collection;
use super::delivery::Sample;
use super::submission::Submission;

/// The nodes that one constraint selects.
#[derive(Clone, Debug, Serialize)]
pub struct Sku {
    /// The constraint.
    pub name: String,
    /// Their processors; one, unless the constraint selects machines that differ.
    pub cpus: BTreeSet<String>,
    /// Their names.
    pub nodes: BTreeSet<String>,
    /// Elements that were collected.
    pub elements: usize,
    /// The points of each phase and shape.
    pub rankings: Vec<Ranking>,
}

/// All kinds of nodes.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The submission, which is the sweep's id in the store.
    pub sweep: String,
    /// Each kind of node.
    pub skus: Vec<Sku>,
    /// The best point of each kind, of each phase and shape; empty for one kind.
    pub across: Vec<Ranking>,
}

/// What the collected records say.
pub fn of(submission: &Submission, collection: &Collection) -> Verdict {
    let mut constraints: Vec<&Option<String>> = Vec::new();
    for array in &submission.arrays {
        if !constraints.contains(&&array.constraint) {
            constraints.push(&array.constraint);
        }
    }
    let skus: Vec<Sku> = constraints.into_iter().map(|constraint| sku(submission, collection, constraint)).collect();
    let across = if skus.len() > 1 { across(&skus) } else { Vec::new() };
    Verdict { sweep: submission.id.clone(), skus, across }
}

fn sku(submission: &Submission, collection: &Collection, constraint: &Option<String>) -> Sku {
    let mut state = State::new(
        submission.id.clone(),
        Vec::new(),
        submission.seed,
        submission.order_seed,
        submission.points.clone(),
    );
    let mut samples: Vec<&Sample> = Vec::new();
    for (id, element) in submission.elements() {
        if submission.arrays[id.array].constraint != *constraint {
            continue;
        }
        let point = submission.point(element);
        if let Some(sample) = collection.collected.get(&id) {
            state.trials.extend(Trial::samples(element.point, point, element.round, &sample.record));
            samples.push(sample);
        }
    }
    let mut rankings = rank(&state);
    let records: BTreeMap<&str, &Record> = samples.iter().map(|s| (s.record.id.as_str(), &s.record)).collect();
    judge_points(&mut rankings, |run| records.get(run).map(|record| (*record).clone()));
    let cpu = |sample: &&Sample| sample.record.host.cpu.model.as_deref().map_or("unknown".into(), short_model);
    Sku {
        name: constraint.clone().unwrap_or_else(|| "any node".into()),
        cpus: samples.iter().map(cpu).collect(),
        nodes: samples.iter().map(|sample| sample.run.node.clone()).collect(),
        elements: samples.len(),
        rankings,
    }
}

/// The best point of each kind of node, of each phase and shape.
fn across(skus: &[Sku]) -> Vec<Ranking> {
    let classes = skus[0].rankings.iter().map(|ranking| ranking.class.clone());
    let of_class = |class: String| {
        let own = |sku: &'_ Sku| sku.rankings.iter().find(|ranking| ranking.class == class).cloned();
        let rankings: Vec<(String, Ranking)> =
            skus.iter().filter_map(|sku| Some((sku.name.clone(), own(sku)?))).collect();
        let floor = rankings.iter().filter_map(|(_, ranking)| ranking.noise_floor).reduce(f64::max);
        let best = |(name, ranking): (String, Ranking)| {
            let best = ranking.points.into_iter().next()?;
            Some(Ranked { point: format!("{name}: {}", best.point), ..best })
        };
        Ranking::of(class, rankings.into_iter().filter_map(best).collect(), floor)
    };
    classes.map(of_class).collect()
}

/// The verdict on a terminal.
pub fn text(verdict: &Verdict) -> String {
    let columns =
        [("nodes with", Align::Left), ("CPU", Align::Left), ("nodes", Align::Left), ("elements", Align::Right)];
    let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let row = |sku: &Sku| vec![sku.name.clone(), list(&sku.cpus), list(&sku.nodes), sku.elements.to_string()];
    let mut text = table(&columns, verdict.skus.iter().map(row));
    for sku in &verdict.skus {
        if sku.cpus.len() > 1 {
            text.push_str(&format!("{} selects different machines: give each kind a feature of its own\n", sku.name));
        }
        for one in &sku.rankings {
            let named = Ranking { class: format!("{}: {}", sku.name, one.class), ..one.clone() };
            text.push_str(&format!("\n{}", ranking(&named)));
        }
    }
    for one in &verdict.across {
        let named = Ranking { class: format!("the best of each: {}", one.class), ..one.clone() };
        text.push_str(&format!("\n{}", ranking(&named)));
    }
    text
}
