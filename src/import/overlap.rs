//! Which imported runs were under way at the same time, and the rates that follow: a sum of rates is a machine's rate only if its
//! instances ran side by side.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::record::{CORES, LOG};
use crate::measure::stats::median;
use crate::phase::Phase;
use crate::sector::SectorSize;
use crate::trial::aggregate::{self, Part, Timed};
use crate::trial::record::{Origin, PhaseRecord, Record};

/// From this share of the slowest instance's time on, instances that ran all together ran side by side.
pub const ENOUGH: f64 = 0.5;

/// Whether a sum of rates was ever put out by one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// One instance.
    Alone,
    /// All instances ran together for at least half the time of the slowest.
    Concurrent,
    /// They did not, by their time windows: the sum is no rate of a machine.
    NotConcurrent,
    /// The reports have no times of day.
    Unknown,
}

impl Together {
    /// The words used in tables and findings.
    pub fn words(self) -> &'static str {
        match self {
            Together::Alone => "alone",
            Together::Concurrent => "concurrent",
            Together::NotConcurrent => "not concurrent",
            Together::Unknown => "times unknown",
        }
    }
}

/// What the instances of one phase and number of cores put out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The machine they ran on, as far as it was named.
    pub host: Option<String>,
    /// The phase.
    pub phase: Phase,
    /// Size of the sectors.
    pub sector_size: SectorSize,
    /// Cores of each instance, if they were told.
    pub cores: Option<u32>,
    /// Instances: logs, or executions under way at once in one log.
    pub instances: u32,
    /// Most that were under way at once; none without times.
    pub at_once: Option<u32>,
    /// Sum of the instances' rates, sectors per hour.
    pub sectors_per_h: f64,
    /// What one instance puts out, sectors per hour (by the median of all times).
    pub one_per_h: f64,
    /// Median time of one sector, seconds.
    pub median_s: f64,
    /// Time in which all instances ran, seconds.
    pub window_s: f64,
    /// `window_s` over the time of the slowest instance.
    pub overlap: f64,
    /// Whether they ran side by side.
    pub together: Together,
    /// Number of the record, of its phase record, and of the instance, of each execution.
    pub members: Vec<Member>,
}

/// One execution that a rate is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Number of the record.
    pub record: usize,
    /// Number of the phase record in it.
    pub phase: usize,
    /// Which instance it is, from 0.
    pub instance: u32,
}

/// An execution with its place: what is kept of a record, since there may be hundreds of thousands.
struct Sample {
    record: usize,
    phase: usize,
    /// Number of the log.
    log: usize,
    window: Option<(Timestamp, Timestamp)>,
    wall_s: f64,
}

impl Timed for &Sample {
    fn begun_s(&self) -> Option<f64> {
        self.window.map(|(begun, _)| aggregate::seconds(begun))
    }

    fn wall_s(&self) -> f64 {
        self.wall_s
    }

    /// A log's runs seal one sector each.
    fn sectors(&self) -> u32 {
        1
    }
}

/// What executions must have in common to be one rate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    phase: Phase,
    sector_size: SectorSize,
    cores: Option<u32>,
    host: Option<String>,
}

/// The rates in imported records, by phase and cores; other records are passed over.
///
/// Executions are one rate if they have the machine, the phase, the sector size and the cores in common and their time windows are connected.
/// Those that were never beside another are one rate too, which is not concurrent if they come from several logs: each log is an instance.
pub fn rates<R: Borrow<Record>>(records: impl IntoIterator<Item = R>) -> Vec<Rate> {
    let mut groups: BTreeMap<Kind, Vec<Sample>> = BTreeMap::new();
    let mut logs: BTreeMap<String, usize> = BTreeMap::new();
    for (number, record) in records.into_iter().enumerate() {
        let record = record.borrow();
        let settings = &record.spec.settings;
        let (known, log) = (logs.len(), settings.get(LOG).cloned().unwrap_or_default());
        let log = *logs.entry(log).or_insert(known);
        let cores: Option<u32> = settings.get(CORES).and_then(|cores| cores.parse().ok());
        let timed = super::record::has_times(record);
        for (place, run) in record.phases.iter().enumerate().filter(|(_, run)| counts(run)) {
            let window = timed.then(|| window(run)).flatten();
            let sample = Sample { record: number, phase: place, log, window, wall_s: run.wall_s };
            let sector_size = record.spec.resolved.shape.sector_size;
            let kind = Kind { phase: run.phase, sector_size, cores, host: record.host.hostname.clone() };
            groups.entry(kind).or_default().push(sample);
        }
    }
    let of_group = |(kind, samples): (Kind, Vec<Sample>)| {
        split(&samples).iter().filter_map(|part| rate(&kind, part)).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(of_group).collect()
}

/// A time below the step of the log's clock gives no rate.
fn counts(run: &PhaseRecord) -> bool {
    run.origin == Origin::Imported && run.wall_s > 0.0
}

fn window(run: &PhaseRecord) -> Option<(Timestamp, Timestamp)> {
    let begun: Timestamp = run.started_at.parse().ok()?;
    let end = begun.checked_add(jiff::SignedDuration::from_millis((run.wall_s * 1e3) as i64)).ok()?;
    Some((begun, end))
}

/// Executions whose windows are connected; then all that were alone; then those without times.
fn split(samples: &[Sample]) -> Vec<Vec<&Sample>> {
    let (mut timed, untimed): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|sample| sample.window.is_some());
    timed.sort_by_key(|sample| (sample.window, sample.log, sample.record));
    let mut parts: Vec<Vec<&Sample>> = Vec::new();
    let mut until = None;
    for sample in timed {
        let Some((from, to)) = sample.window else { continue };
        match parts.last_mut() {
            Some(part) if until.is_some_and(|until| from < until) => part.push(sample),
            _ => parts.push(vec![sample]),
        }
        until = until.max(Some(to));
    }
    let (mut parts, alone): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.len() > 1);
    parts.push(alone.concat());
    parts.push(untimed);
    parts.retain(|part| !part.is_empty());
    parts
}

/// The executions by instance: each log is one, and more than one where its executions are under way at once.
fn lanes<'a>(samples: &[&'a Sample]) -> Vec<Vec<&'a Sample>> {
    let mut lanes: Vec<Vec<&Sample>> = Vec::new();
    for sample in samples {
        let free = |lane: &&mut Vec<&Sample>| {
            let last = lane[lane.len() - 1];
            let after = last.window.zip(sample.window).is_none_or(|((_, end), (from, _))| from >= end);
            last.log == sample.log && after
        };
        match lanes.iter_mut().find(free) {
            Some(lane) => lane.push(sample),
            None => lanes.push(vec![sample]),
        }
    }
    lanes
}

/// Most that were under way at once.
fn most_at_once(samples: &[&Sample]) -> Option<u32> {
    let windows: Option<Vec<_>> = samples.iter().map(|sample| sample.window).collect();
    let edges = windows?.into_iter().flat_map(|(from, to)| [(from, 1), (to, -1)]);
    let mut edges: Vec<(Timestamp, i32)> = edges.collect();
    // At the same moment ends come before starts.
    edges.sort();
    let mut count = 0;
    let most = edges.iter().map(|edge| {
        count += edge.1;
        count
    });
    most.max().map(|most| most.max(1) as u32)
}

fn rate(kind: &Kind, samples: &[&Sample]) -> Option<Rate> {
    let Kind { phase, sector_size, cores, host } = kind.clone();
    let lanes = lanes(samples);
    let parts: Vec<Part<&Sample>> = lanes.iter().map(|lane| Part { runs: lane.clone(), failed_at: None }).collect();
    let at_once = most_at_once(samples);
    let window = at_once.and_then(|_| aggregate::window(&parts));
    let sum = aggregate::sum(&parts, window)?;
    let walls: Vec<f64> = samples.iter().map(|sample| sample.wall_s).collect();
    let median_s = median(&walls)?;
    let together = match at_once {
        _ if lanes.len() == 1 => Together::Alone,
        None => Together::Unknown,
        Some(_) if sum.overlap >= ENOUGH => Together::Concurrent,
        Some(_) => Together::NotConcurrent,
    };
    let members = lanes.iter().enumerate().flat_map(|(instance, lane)| {
        lane.iter().map(move |sample| Member { record: sample.record, phase: sample.phase, instance: instance as u32 })
    });
    Some(Rate {
        host,
        phase,
        sector_size,
        cores,
        instances: lanes.len() as u32,
        at_once,
        sectors_per_h: sum.sectors_per_h,
        one_per_h: 3600.0 / median_s,
        median_s,
        window_s: sum.window_s,
        overlap: sum.overlap,
        together,
        members: members.collect(),
    })
}
