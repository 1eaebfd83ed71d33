//! Two sides compared: ratios with intervals and verdicts per phase and span, and what differs between machines, builds and settings.

mod disclosure;
mod groups;
mod kernels;
mod noise;
mod text;
mod warnings;

use std::collections::BTreeSet;

use serde::Serialize;

pub use disclosure::Difference;
pub use kernels::{KernelReport, KernelRow, compare_kernels};
pub use text::{kernel_text, text};

use crate::error::Stop;
use crate::measure::stats::{Verdict, judge, median};
use crate::phase::{Engine, Phase};
use crate::trial::record::Record;
use groups::{Group, Key};

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "sealbench/comparison/1";

/// Records that are one side of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What the user called it.
    pub label: String,
    /// The records, all of which count as samples.
    pub records: Vec<Record>,
    /// Only this phase of them.
    pub phase: Option<Phase>,
    /// Only this engine.
    pub engine: Option<Engine>,
}

/// A figure of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Median of A.
    pub a: f64,
    /// Median of B.
    pub b: f64,
    /// Samples of A.
    pub n_a: usize,
    /// Samples of B.
    pub n_b: usize,
    /// B / A.
    pub ratio: f64,
    /// Lower end of the ratio's 95 % interval.
    pub low: f64,
    /// Its upper end; null if there is none.
    pub high: f64,
    /// Probability of such a difference if there is none.
    pub p: f64,
    /// "faster", "slower" or "not distinguishable": B against A.
    pub verdict: &'static str,
    /// The noise floor that the difference was held against, as a ratio; null if it is not known.
    pub noise_floor: Option<f64>,
}

impl Pair {
    /// Two sets of times.
    fn of_times(a: &[f64], b: &[f64], floor: Option<f64>) -> Pair {
        Pair::of(a, b, floor, |verdict| verdict)
    }

    /// Whether B's times are longer by more than so many percent, told apart with certainty.
    fn is_slower_by(&self, percent: f64) -> bool {
        self.verdict == Verdict::Slower.name() && self.ratio > 1.0 + percent / 100.0
    }

    /// The same of rates: the time for each sector is the reciprocal.
    fn gives_less_by(&self, percent: f64) -> bool {
        self.verdict == Verdict::Slower.name() && 1.0 / self.ratio > 1.0 + percent / 100.0
    }

    fn in_words(&self, name: &str) -> String {
        format!("{name} takes {:.3} times as long ({:.3} to {:.3})", self.ratio, self.low, self.high)
    }

    /// Two sets of rates: more is faster.
    fn of_rates(a: &[f64], b: &[f64], floor: Option<f64>) -> Pair {
        Pair::of(a, b, floor, Verdict::reversed)
    }

    fn of(a: &[f64], b: &[f64], noise_floor: Option<f64>, meaning: fn(Verdict) -> Verdict) -> Pair {
        let compared = judge(a, b, noise_floor);
        Pair {
            a: median(a).unwrap_or(f64::NAN),
            b: median(b).unwrap_or(f64::NAN),
            n_a: a.len(),
            n_b: b.len(),
            ratio: compared.ratio,
            low: compared.low,
            high: compared.high,
            p: compared.p,
            verdict: meaning(compared.verdict).name(),
            noise_floor,
        }
    }
}

/// A phase on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The phase.
    pub phase: Phase,
    /// The engine of A.
    pub engine: Engine,
    /// The engine of B, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_b: Option<Engine>,
    /// Instances side by side in A.
    pub concurrent: u32,
    /// Those in B, if there are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_b: Option<u32>,
    /// Wall time, seconds: of each repeat, the median of its instances.
    pub wall_s: Pair,
    /// Sectors per hour of all instances together; null where no side ran instances side by side.
    pub sectors_per_h: Option<Pair>,
    /// The spans that both have, seconds.
    pub spans: Vec<SpanRow>,
}

/// A span on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct SpanRow {
    /// The span.
    pub name: String,
    /// Its wall time, seconds.
    pub wall_s: Pair,
}

/// One side in the report.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// What the user called it.
    pub label: String,
    /// Ids of the runs.
    pub runs: Vec<String>,
}

/// A whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Always "sealbench/comparison/1".
    pub schema: &'static str,
    /// The side that is compared with.
    pub a: Named,
    /// The side that is compared.
    pub b: Named,
    /// The phases that both have.
    pub phases: Vec<Row>,
    /// Where noise floors come from.
    pub noise: String,
    /// What differs between machines, builds and settings.
    pub differences: Vec<Difference>,
    /// What a reader must know before believing the ratios.
    pub warnings: Vec<String>,
}

/// Compares side B with side A. `twins` are the runs of an A/A pair of the same sweep, whose difference is a noise floor.
///
/// Phases of different shapes, or sides without a phase in common, are refused (exit code 2).
pub fn compare(a: &Side, b: &Side, twins: &[Record]) -> anyhow::Result<Report> {
    let (groups_a, groups_b) = (Group::of(a), Group::of(b));
    let pairs = groups::pairs(&groups_a, &groups_b);
    if pairs.is_empty() {
        let has = |side: &Side, groups: &[Group]| match groups {
            [] => format!("{} has no phase", side.label),
            some => format!("{} has {}", side.label, list(some.iter().map(|group| group.key.to_string()))),
        };
        let text = format!("no phase in common: {}, {}", has(a, &groups_a), has(b, &groups_b));
        return Err(Stop::Usage.error(text));
    }
    for (a, b) in &pairs {
        refuse_other_shapes(a, b)?;
    }
    let arms = noise::arms(twins, a, b);
    let rows: Vec<Row> = pairs.iter().map(|(a, b)| row(a, b, &arms)).collect();
    let warnings = warnings::warnings(a, b, (&groups_a, &groups_b), &pairs, &rows);
    Ok(Report {
        schema: SCHEMA,
        a: named(a),
        b: named(b),
        noise: noise::source(&rows, &arms),
        phases: rows,
        differences: disclosure::differences(&a.records, &b.records),
        warnings,
    })
}

impl Report {
    /// An error with exit code 4 if a phase of B is slower by more than `percent`, told apart with certainty; it names the phases.
    pub fn check(&self, percent: f64) -> anyhow::Result<()> {
        let slower = self.phases.iter().flat_map(|row| {
            // With another number of instances only what all put out together says which is faster.
            let same_layout = row.concurrent_b.is_none() || row.sectors_per_h.is_none();
            let time = Some(&row.wall_s).filter(|pair| same_layout && pair.is_slower_by(percent));
            let time = time.map(|pair| pair.in_words(&row.name()));
            let rate = row.sectors_per_h.as_ref().filter(|pair| pair.gives_less_by(percent));
            let rate = rate.map(|pair| format!("{} gives {:.3} times the sectors per hour", row.name(), pair.ratio));
            time.into_iter().chain(rate)
        });
        check(&self.a.label, percent, slower.collect())
    }
}

fn check(than: &str, percent: f64, slower: Vec<String>) -> anyhow::Result<()> {
    if slower.is_empty() {
        return Ok(());
    }
    Err(Stop::Check.error(format!("slower than {than} by more than {percent} %: {}", slower.join("; "))))
}

impl Row {
    /// The phase, engine and instances in words.
    pub fn name(&self) -> String {
        let key = |engine, concurrent| Key { phase: self.phase, engine, concurrent };
        let a = key(self.engine, self.concurrent);
        let b = key(self.engine_b.unwrap_or(self.engine), self.concurrent_b.unwrap_or(self.concurrent));
        if a == b { a.to_string() } else { format!("{a} -> {}", b.without_phase()) }
    }
}

fn named(side: &Side) -> Named {
    Named { label: side.label.clone(), runs: side.records.iter().map(|record| record.id.clone()).collect() }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn refuse_other_shapes(a: &Group, b: &Group) -> anyhow::Result<()> {
    let shapes: BTreeSet<&String> = a.shapes.union(&b.shapes).collect();
    if shapes.len() > 1 {
        return Err(Stop::Usage.error(format!(
            "{} has different shapes, which do different work: {}; compare runs of one shape",
            a.key,
            list(shapes.into_iter().cloned())
        )));
    }
    Ok(())
}

fn row(a: &Group, b: &Group, arms: &[(Key, f64)]) -> Row {
    let arm = arms.iter().filter(|(key, _)| (key.phase, key.engine) == (b.key.phase, b.key.engine)).map(|(_, d)| *d);
    let floor = |a: &[f64], b: &[f64]| noise::floor(a, b, arm.clone());
    let pair = |a: &[f64], b: &[f64]| Pair::of_times(a, b, floor(a, b));
    let rates = a.key.concurrent > 1 || b.key.concurrent > 1;
    let spans = a.spans.iter().filter_map(|(name, a)| {
        let (_, b) = b.spans.iter().find(|(other, _)| other == name)?;
        Some(SpanRow { name: name.clone(), wall_s: pair(a, b) })
    });
    Row {
        phase: a.key.phase,
        engine: a.key.engine,
        engine_b: Some(b.key.engine).filter(|engine| *engine != a.key.engine),
        concurrent: a.key.concurrent,
        concurrent_b: Some(b.key.concurrent).filter(|concurrent| *concurrent != a.key.concurrent),
        wall_s: pair(&a.walls, &b.walls),
        sectors_per_h: (rates && !a.rates.is_empty() && !b.rates.is_empty())
            .then(|| Pair::of_rates(&a.rates, &b.rates, floor(&a.rates, &b.rates))),
        spans: spans.collect(),
    }
}

#[cfg(test)]
mod tests;
