//! Which imported runs were under way at the same time, and the rates that follow: a sum of rates is a machine's rate only if its
//! instances ran side by side.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use jiff::Timestamp;

use super::record::{CORES, LOG};
use crate::measure::stats::median;
use crate::phase::Phase;
use crate::sector::SectorSize;
use crate::trial::aggregate::{self, Part, Timed};
use crate::trial::record::{Origin, Record};

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

/// One execution that a rate is made of. There may be hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Number of the record.
    pub record: u32,
    /// Number of the phase record in it.
    pub phase: u32,
    /// Which instance it is, from 0.
    pub instance: u32,
}

/// What executions must have in common to be one rate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The phase.
    pub phase: Phase,
    /// Size of the sectors.
    pub sector_size: SectorSize,
    /// Cores of each instance, if they were told.
    pub cores: Option<u32>,
    /// The machine, as far as it was named.
    pub host: Option<Arc<str>>,
    /// It is not known when they began.
    pub is_untimed: bool,
}

/// An execution with its place: what is kept of a record.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Number of the record.
    pub record: u32,
    /// Number of the phase record in it.
    pub phase: u32,
    /// Number of the log.
    pub log: u32,
    /// When it began, microseconds since 1970; 0 where that is not known.
    pub begun_us: i64,
    /// How long it took, seconds.
    pub wall_s: f64,
}

impl Sample {
    fn end_us(&self) -> i64 {
        self.begun_us.saturating_add(((self.wall_s * 1e3) as i64).saturating_mul(1000))
    }
}

impl Timed for &Sample {
    fn begun_s(&self) -> Option<f64> {
        Some(self.begun_us as f64 / 1e6)
    }

    fn wall_s(&self) -> f64 {
        self.wall_s
    }

    /// A log's runs seal one sector each.
    fn sectors(&self) -> u32 {
        1
    }
}

/// Executions, to be put together to rates.
#[derive(Debug, Default)]
pub struct Executions {
    groups: BTreeMap<Kind, Vec<Sample>>,
}

impl Executions {
    /// Takes one in. A time below the step of the log's clock gives no rate.
    pub fn add(&mut self, kind: Kind, sample: Sample) {
        if sample.wall_s > 0.0 {
            self.groups.entry(kind).or_default().push(sample);
        }
    }

    /// The rates, by phase and cores.
    ///
    /// Executions are one rate if they have the machine, the phase, the sector size and the cores in common and their time windows are
    /// connected. Those that were never beside another are one rate too, which is not concurrent if they come from several logs: each log is
    /// an instance.
    pub fn rates(self) -> Vec<Rate> {
        let of_group = |(kind, mut samples): (Kind, Vec<Sample>)| {
            if !kind.is_untimed {
                samples.sort_unstable_by_key(|sample| (sample.begun_us, sample.end_us(), sample.log, sample.record));
            }
            split(&samples, kind.is_untimed).into_iter().filter_map(|part| rate(&kind, &part)).collect::<Vec<_>>()
        };
        self.groups.into_iter().flat_map(of_group).collect()
    }
}

/// The rates in imported records; other records are passed over.
pub fn rates(records: &[Record]) -> Vec<Rate> {
    let mut executions = Executions::default();
    let mut logs: BTreeMap<&str, u32> = BTreeMap::new();
    for (number, record) in (0..).zip(records) {
        let settings = &record.spec.settings;
        let (known, log) = (logs.len() as u32, settings.get(LOG).map_or("", String::as_str));
        let log = *logs.entry(log).or_insert(known);
        let kind = |phase: Phase, is_untimed: bool| Kind {
            phase,
            sector_size: record.spec.resolved.shape.sector_size,
            cores: settings.get(CORES).and_then(|cores| cores.parse().ok()),
            host: record.host.hostname.as_deref().map(Arc::from),
            is_untimed,
        };
        let timed = super::record::has_times(record);
        for (place, run) in (0..).zip(&record.phases).filter(|(_, run)| run.origin == Origin::Imported) {
            let begun = run.started_at.parse().ok().filter(|_| timed).map(Timestamp::as_microsecond);
            let begun_us = begun.unwrap_or_default();
            let sample = Sample { record: number, phase: place, log, begun_us, wall_s: run.wall_s };
            executions.add(kind(run.phase, begun.is_none()), sample);
        }
    }
    executions.rates()
}

/// Executions whose windows are connected; then all that were alone. Those without times are one part. They are sorted by their beginning.
fn split(samples: &[Sample], is_untimed: bool) -> Vec<Vec<&Sample>> {
    if is_untimed {
        return vec![samples.iter().collect()];
    }
    let (mut parts, mut alone) = (Vec::new(), Vec::new());
    let mut until = i64::MIN;
    let connected = samples.chunk_by(|one, next| {
        until = until.max(one.end_us());
        next.begun_us < until
    });
    for part in connected {
        match part {
            [one] => alone.push(one),
            several => parts.push(several.iter().collect()),
        }
    }
    if !alone.is_empty() {
        parts.push(alone);
    }
    parts
}

/// The executions by instance: each log is one, and more than one where its executions are under way at once.
fn lanes<'a>(samples: &[&'a Sample], is_untimed: bool) -> Vec<Part<&'a Sample>> {
    let mut lanes: Vec<Part<&Sample>> = Vec::new();
    let mut of_log: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for sample in samples {
        let of_log = of_log.entry(sample.log).or_default();
        let is_free =
            |lane: &Part<&Sample>| is_untimed || lane.runs.last().is_none_or(|last| sample.begun_us >= last.end_us());
        match of_log.iter().find(|lane| is_free(&lanes[**lane])) {
            Some(lane) => lanes[*lane].runs.push(sample),
            None => {
                of_log.push(lanes.len());
                lanes.push(Part { runs: vec![*sample], failed_at: None });
            }
        }
    }
    lanes
}

/// Most that were under way at once, of executions by their beginning.
fn most_at_once(samples: &[&Sample]) -> u32 {
    let mut ends = BinaryHeap::new();
    let at_once = samples.iter().map(|sample| {
        while ends.peek().is_some_and(|Reverse(end)| *end <= sample.begun_us) {
            ends.pop();
        }
        ends.push(Reverse(sample.end_us()));
        ends.len() as u32
    });
    at_once.max().unwrap_or(0)
}

fn rate(kind: &Kind, samples: &[&Sample]) -> Option<Rate> {
    let lanes = lanes(samples, kind.is_untimed);
    let at_once = (!kind.is_untimed).then(|| most_at_once(samples));
    let window = at_once.and_then(|_| aggregate::window(&lanes));
    let sum = aggregate::sum(&lanes, window)?;
    let median_s = median(&samples.iter().map(|sample| sample.wall_s).collect::<Vec<f64>>())?;
    let together = match at_once {
        _ if lanes.len() == 1 => Together::Alone,
        None => Together::Unknown,
        Some(_) if sum.overlap >= ENOUGH => Together::Concurrent,
        Some(_) => Together::NotConcurrent,
    };
    let members = (0..).zip(&lanes).flat_map(|(instance, lane)| {
        lane.runs.iter().map(move |sample| Member { record: sample.record, phase: sample.phase, instance })
    });
    Some(Rate {
        host: kind.host.as_deref().map(str::to_string),
        phase: kind.phase,
        sector_size: kind.sector_size,
        cores: kind.cores,
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
