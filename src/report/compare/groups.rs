//! The samples of a side, phase by phase.

use std::collections::BTreeSet;
use std::fmt;

use super::Side;
use crate::measure::stats::median;
use crate::phase::{Engine, Phase};
use crate::trial::record::{PhaseRecord, Record};

/// What samples of one kind have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The phase.
    pub phase: Phase,
    /// The engine.
    pub engine: Engine,
    /// Instances side by side; 1 for one alone.
    pub concurrent: u32,
}

impl Key {
    fn of(phase: &PhaseRecord) -> Key {
        Key { phase: phase.phase, engine: phase.engine, concurrent: phase.concurrent }
    }

    /// The engine and instances in words.
    pub fn without_phase(self) -> String {
        if self.concurrent == 1 { self.engine.to_string() } else { format!("{} x{}", self.engine, self.concurrent) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.phase, self.without_phase())
    }
}

/// All samples of a key, one for each repeat of each record, in the order in which they were taken.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub key: Key,
    /// The shapes as far as they decide the phase's work; one, unless a query pooled several.
    pub shapes: BTreeSet<String>,
    /// The sizes of batches.
    pub sectors: BTreeSet<u32>,
    /// Wall times per sector of a batch, seconds; of a repeat with several instances, their median.
    pub walls: Vec<f64>,
    /// Sectors per hour of all instances together.
    pub rates: Vec<f64>,
    /// Wall times of each span, likewise, in the order of the spans; a span counts only where every repeat has it.
    pub spans: Vec<(String, Vec<f64>)>,
}

impl Group {
    /// The groups of a side, in the order in which the phases first ran.
    pub fn of(side: &Side) -> Vec<Group> {
        let mut records: Vec<&Record> = side.records.iter().collect();
        records.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        let mut groups: Vec<Group> = Vec::new();
        for record in records {
            for repeat in repeats(record, side) {
                let key = Key::of(repeat[0]);
                let place = groups.iter().position(|group| group.key == key).unwrap_or_else(|| {
                    groups.push(Group::new(key, repeat[0]));
                    groups.len() - 1
                });
                groups[place].add(record, &repeat);
            }
        }
        for group in &mut groups {
            let samples = group.walls.len();
            group.spans.retain(|(_, walls)| walls.len() == samples);
            // A rate is compared only if every repeat has one.
            if group.rates.len() != samples {
                group.rates.clear();
            }
        }
        groups.sort_by_key(|group| group.key.phase);
        groups
    }

    fn new(key: Key, first: &PhaseRecord) -> Group {
        let spans = first.spans.iter().map(|span| (span.name.clone(), Vec::new())).collect();
        Group { key, shapes: BTreeSet::new(), sectors: BTreeSet::new(), walls: Vec::new(), rates: Vec::new(), spans }
    }

    fn add(&mut self, record: &Record, repeat: &[&PhaseRecord]) {
        self.shapes.insert(shape(record, self.key.phase));
        self.sectors.extend(repeat.iter().map(|phase| phase.sectors));
        let of_each = |figure: &dyn Fn(&PhaseRecord) -> Option<f64>| -> Option<f64> {
            let per_sector = |phase: &&PhaseRecord| Some(figure(phase)? / f64::from(phase.sectors.max(1)));
            median(&repeat.iter().map(per_sector).collect::<Option<Vec<f64>>>()?)
        };
        self.walls.extend(of_each(&|phase| Some(phase.wall_s)));
        for (name, walls) in &mut self.spans {
            let span = |phase: &PhaseRecord| phase.spans.iter().find(|span| span.name == *name).map(|span| span.wall_s);
            walls.extend(of_each(&span));
        }
        self.rates.extend(rate(record, repeat));
    }
}

/// The phase records of a side's record, those of one key and repeat together.
fn repeats<'a>(record: &'a Record, side: &Side) -> Vec<Vec<&'a PhaseRecord>> {
    let mut repeats: Vec<Vec<&PhaseRecord>> = Vec::new();
    let wanted = |phase: &&PhaseRecord| {
        side.phase.is_none_or(|wanted| wanted == phase.phase) && side.engine.is_none_or(|wanted| wanted == phase.engine)
    };
    for phase in record.phases.iter().filter(wanted) {
        let same = |other: &&PhaseRecord| Key::of(other) == Key::of(phase) && other.repeat == phase.repeat;
        match repeats.iter_mut().find(|repeat| same(&repeat[0])) {
            Some(repeat) => repeat.push(phase),
            None => repeats.push(vec![phase]),
        }
    }
    repeats
}

/// What decides how much work a phase does: partitions are cut only in c1 and p4.
fn shape(record: &Record, phase: Phase) -> String {
    let shape = &record.spec.resolved.shape;
    let text = format!("{}, {} layers", shape.sector_size, shape.layers);
    if phase >= Phase::C1 { format!("{text}, {} partitions", shape.partitions) } else { text }
}

/// Sectors per hour of one repeat: as its aggregate says, or those of one instance alone.
fn rate(record: &Record, repeat: &[&PhaseRecord]) -> Option<f64> {
    let first = repeat[0];
    if first.concurrent == 1 {
        return (first.wall_s > 0.0).then(|| f64::from(first.sectors) * 3600.0 / first.wall_s);
    }
    let of_repeat = |a: &&crate::trial::record::Aggregate| {
        (a.phase, a.engine, a.repeat) == (first.phase, first.engine, first.repeat)
    };
    record.aggregates.iter().find(of_repeat).map(|aggregate| aggregate.sectors_per_h)
}

/// The groups to compare: those with the same key; then, phase by phase, one that is left over on each side (another number of instances or
/// another engine).
pub fn pairs<'a>(a: &'a [Group], b: &'a [Group]) -> Vec<(&'a Group, &'a Group)> {
    let mut pairs: Vec<(&Group, &Group)> = Vec::new();
    let alike: [fn(&Key, &Key) -> bool; 3] =
        [|a, b| a == b, |a, b| (a.phase, a.engine) == (b.phase, b.engine), |a, b| a.phase == b.phase];
    for alike in alike {
        let left_a: Vec<&Group> = a.iter().filter(|group| !pairs.iter().any(|(a, _)| a.key == group.key)).collect();
        let left_b: Vec<&Group> = b.iter().filter(|group| !pairs.iter().any(|(_, b)| b.key == group.key)).collect();
        for group in &left_a {
            let others: Vec<&&Group> = left_b.iter().filter(|other| alike(&group.key, &other.key)).collect();
            let rivals = left_a.iter().filter(|other| alike(&other.key, &group.key)).count();
            if let ([other], 1) = (others.as_slice(), rivals) {
                pairs.push((group, other));
            }
        }
    }
    pairs.sort_by_key(|(a, _)| a.key.phase);
    pairs
}
