//! What equal runs differ by: the repeats of one run, and the two arms of a sweep's A/A pair.

use std::collections::BTreeMap;

use super::groups::{Group, Key, pairs};
use super::{Row, Side, disclosure};
use crate::measure::stats::{self, median};
use crate::report::units;
use crate::trial::record::Record;

/// The floor for two sets of samples, each in the order in which they were taken: the noise of either, or the distance of A/A arms, whichever
/// is largest; `None` if none is known.
pub fn floor(a: &[f64], b: &[f64], arms: impl Iterator<Item = f64>) -> Option<f64> {
    let own = |samples: &[f64]| stats::noise(&(0..).zip(samples.iter().copied()).collect::<Vec<_>>());
    [own(a), own(b)].into_iter().flatten().chain(arms).reduce(f64::max)
}

/// The sweep and the machine that a record is of: arms of a pair have both in common.
fn place(record: &Record) -> (Option<&str>, Machine<'_>) {
    (record.sweep.as_ref().map(|sweep| sweep.sweep.as_str()), machine(record))
}

type Machine<'a> = (Option<&'a str>, Option<&'a str>);

/// A machine by its name and its CPU.
fn machine(record: &Record) -> Machine<'_> {
    (record.host.hostname.as_deref(), record.host.cpu.model.as_deref())
}

/// How far the two arms of A/A pairs are apart in each phase, as a ratio: runs of a sweep that are marked as twins against those of the same sweep
/// with the same settings. Pairs of machines that neither side ran on say nothing of them.
pub fn arms(records: &[Record], a: &Side, b: &Side) -> Vec<(Key, f64)> {
    let judged: Vec<Machine> = a.records.iter().chain(&b.records).map(machine).collect();
    let mut places: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.sweep.is_some() && judged.contains(&machine(record))) {
        places.entry(place(record)).or_default().push(record);
    }
    places.into_values().flat_map(|records| of_sweep(&records)).collect()
}

/// The same of one sweep on one machine.
fn of_sweep(records: &[&Record]) -> Vec<(Key, f64)> {
    let is_twin = |record: &&Record| record.sweep.as_ref().is_some_and(|sweep| sweep.twin);
    let (twins, others): (Vec<&Record>, Vec<&Record>) = records.iter().partition(|record| is_twin(record));
    let same = |record: &&&Record| twins.iter().any(|twin| disclosure::same_settings(twin, record));
    let side = |records: Vec<&Record>| Side { records: records.into_iter().cloned().collect(), ..Side::default() };
    let partners: Vec<&Record> = others.iter().filter(same).copied().collect();
    let (a, b) = (Group::of(&side(partners)), Group::of(&side(twins)));
    let exact = |(a, b): &(&Group, &Group)| a.key == b.key && a.shapes == b.shapes;
    let difference = |(a, b): (&Group, &Group)| {
        let ratio = median(&b.walls)? / median(&a.walls)?;
        Some((a.key, ratio.max(1.0 / ratio) - 1.0)).filter(|(_, difference)| difference.is_finite())
    };
    pairs(&a, &b).into_iter().filter(exact).filter_map(difference).collect()
}

/// Where the floors of some rows come from, in words.
pub fn source(rows: &[Row], arms: &[(Key, f64)]) -> String {
    let floors: Vec<f64> = rows.iter().filter_map(|row| row.wall_s.noise_floor).collect();
    let ends = [f64::min, f64::max].map(|end| floors.iter().copied().reduce(end));
    let [Some(least), Some(most)] = ends else {
        return "not known: it takes four repeats on a side, or an A/A pair of a sweep".to_string();
    };
    let source = match arms {
        [] => "the repeats' own, even against odd ones",
        _ => "the larger of the repeats' own, even against odd ones, and the sweep's A/A pair",
    };
    let range = if least == most {
        units::percent(most)
    } else {
        format!("{} to {}", units::percent(least), units::percent(most))
    };
    format!("{range} ({source})")
}
