//! How far the reference is, from what can be seen of it while it runs.

use std::fs;

use crate::measure::probe::Probe;
use crate::measure::timeline::Timeline;
use crate::phase::Phase;
use crate::sector::Shape;
use crate::sector::shape::{NODE_BYTES, PARENTS};
use crate::trial::job::{Task, Trial};
use crate::trial::status::Progress;

/// Looks at a worker's timeline and at its /proc while it runs.
pub struct Watcher {
    trial: Trial,
    read_before: Option<u64>,
}

struct Seen<'a> {
    shape: &'a Shape,
    span: &'a str,
    timeline: &'a Timeline,
    /// Bytes read by system calls since the phase began.
    read_bytes: u64,
}

impl Watcher {
    /// Watches the process this runs in.
    pub fn new(trial: &Trial) -> Watcher {
        Watcher { trial: trial.clone(), read_before: None }
    }

    /// How far the work is; `None` before it starts and where it reports for itself. Within a span that shows nothing it stands still.
    pub fn look(&mut self, probe: &Probe) -> Option<Progress> {
        match &self.trial.task {
            Task::Params { .. } => None,
            Task::Parents => Some(parents(&self.trial.shape)),
            Task::Phase { phase, proving, .. } => {
                let span = probe.timeline.current()?;
                let read = read_bytes()?;
                let before = if probe.is_running() { *self.read_before.get_or_insert(read) } else { read };
                let (shape, timeline) = (&self.trial.shape, &probe.timeline);
                let seen = Seen { shape, span, timeline, read_bytes: read - before };
                let at_once = proving.as_ref().map_or(1, |proving| proving.at_once);
                Some(progress(*phase, at_once, &seen))
            }
        }
    }
}

/// Bytes this process has read by system calls, from storage or not.
fn read_bytes() -> Option<u64> {
    Some(procfs::process::Process::myself().ok()?.io().ok()?.rchar)
}

fn progress(phase: Phase, at_once: u32, seen: &Seen<'_>) -> Progress {
    let (done, total, unit) = match phase {
        Phase::P1 => (labels(seen), seen.shape.labels(), "node"),
        Phase::P2 => columns(seen),
        Phase::C1 => (0, u64::from(seen.shape.sector_size.challenges()), "challenge"),
        Phase::P4 => partitions(seen, at_once),
    };
    Progress { span: seen.span.to_string(), done: done.min(total), total, unit: unit.to_string() }
}

/// The parent cache is written through a map, part by part: its resident pages say how much is done.
fn parents(shape: &Shape) -> Progress {
    let nodes = shape.sector_size.nodes();
    let resident_kib = procfs::process::Process::myself().ok().and_then(|me| me.status().ok()?.rssfile).unwrap_or(0);
    let done = (resident_kib * 1024 / (PARENTS * 4)).min(nodes);
    Progress { span: "parents".into(), done, total: nodes, unit: "node".into() }
}

/// Whole layers, and within a layer the window of the parent cache that is mapped now: the labels follow it node by node.
fn labels(seen: &Seen<'_>) -> u64 {
    let nodes = seen.shape.sector_size.nodes();
    let within = if seen.span == "label" { parent_window(nodes).unwrap_or(0) } else { 0 };
    seen.timeline.parts("label") as u64 * nodes + within
}

/// First node of the mapped window of the parent cache, from /proc/self/maps.
fn parent_window(nodes: u64) -> Option<u64> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("-sdr-parent-"))?;
    let offset = u64::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
    Some((offset / (PARENTS * 4)).min(nodes))
}

/// Cost of one hash relative to the others, measured with neptune on one Zen 4 core, microseconds.
const ARITY_2: f64 = 14.9;
const ARITY_8: f64 = 48.5;
const ARITY_11: f64 = 71.2;

/// Columns, with the trees counted as the columns that take as long. A column is read label by label, so the bytes read say how many are
/// done.
fn columns(seen: &Seen<'_>) -> (u64, u64, &'static str) {
    let nodes = seen.shape.sector_size.nodes();
    let column = if seen.shape.layers == 2 { ARITY_2 } else { ARITY_11 };
    let tree = ARITY_8 / 7.0;
    let columns = (seen.read_bytes / (NODE_BYTES * u64::from(seen.shape.layers))).min(nodes) as f64;
    let done = match seen.span {
        "columns" | "columns+tree_c" => columns * column,
        "tree_c" => nodes as f64 * column,
        "read" if seen.timeline.parts("columns") + seen.timeline.parts("columns+tree_c") == 0 => 0.0,
        "read" | "encode" | "tree_r_last" | "encode+tree_r_last" => nodes as f64 * (column + tree),
        _ => nodes as f64 * (column + 2.0 * tree),
    };
    ((done / (column + 2.0 * tree)) as u64, nodes, "column")
}

/// Partitions in hundredths, and within a batch the share of the spans that are over.
fn partitions(seen: &Seen<'_>, at_once: u32) -> (u64, u64, &'static str) {
    let total = u64::from(seen.shape.partitions) * 100;
    let batch = u64::from(at_once.max(1)) * 100;
    let within = match seen.span {
        "ntt" => batch / 5,
        "msm" => batch * 2 / 5,
        "assemble" => batch,
        _ => 0,
    };
    let whole = seen.timeline.parts("msm") as u64 * batch - if seen.span == "assemble" { batch } else { 0 };
    ((whole + within).min(total), total, "hundredth of a partition")
}
