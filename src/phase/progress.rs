//! How far the reference is, from what can be seen of it while it runs: its log events, the bytes it reads, the parents it has mapped.

use std::fs;

use crate::measure::probe::Probe;
use crate::measure::timeline::Timeline;
use crate::params::estimate::Estimate;
use crate::phase::{Engine, Phase};
use crate::sector::Shape;
use crate::sector::parents::ROW_BYTES;
use crate::sector::shape::NODE_BYTES;
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
            Task::Params { .. }
            | Task::Parents { .. }
            | Task::Look { .. }
            | Task::Phase { engine: Engine::Native | Engine::Mock, .. } => None,
            Task::Phase { phase, proving, .. } => {
                let span = probe.timeline.current()?;
                let read = read_bytes()?;
                let before = if probe.is_running() { *self.read_before.get_or_insert(read) } else { read };
                let (shape, timeline) = (&self.trial.shape, &probe.timeline);
                let seen = Seen { shape, span, timeline, read_bytes: read - before };
                let at_once = proving.as_ref().map_or(1, |proving| proving.at_once);
                Some(progress(*phase, at_once, self.trial.threads, &seen))
            }
        }
    }
}

/// Bytes this process has read by system calls, from storage or not.
fn read_bytes() -> Option<u64> {
    Some(procfs::process::Process::myself().ok()?.io().ok()?.rchar)
}

fn progress(phase: Phase, at_once: u32, threads: u32, seen: &Seen<'_>) -> Progress {
    let (done, total, unit) = match phase {
        Phase::P1 => (labels(seen), seen.shape.labels(), "node"),
        Phase::P2 => columns(seen),
        Phase::C1 => (0, u64::from(seen.shape.sector_size.challenges()), "challenge"),
        Phase::P4 => constraints(seen, at_once, threads),
    };
    Progress { span: seen.span.to_string(), done: done.min(total), total, unit: unit.to_string() }
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
    Some((offset / ROW_BYTES).min(nodes))
}

/// Cost of one hash relative to the others, measured with neptune on one Zen 4 core, microseconds.
const ARITY_2: f64 = 14.9;
const ARITY_8: f64 = 48.5;
const ARITY_11: f64 = 71.2;

/// Columns, with the trees counted as the columns that take as long. A column is read label by label, so the bytes read say how many are
/// done; a tree shows nothing, so its share is the time it has taken of what the columns' rate predicts.
fn columns(seen: &Seen<'_>) -> (u64, u64, &'static str) {
    let nodes = seen.shape.sector_size.nodes();
    let column = if seen.shape.layers == 2 { ARITY_2 } else { ARITY_11 };
    let tree = ARITY_8 / 7.0;
    let read = (seen.read_bytes / (NODE_BYTES * u64::from(seen.shape.layers))) as f64 / nodes as f64;
    let grown = || tree * seen.share_of(seen.timeline.closed_s("columns") * tree / column);
    let cost = match seen.span {
        "columns" | "columns+tree_c" => column * read.min(1.0),
        "tree_c" => column + grown(),
        "encode" | "encode+tree_r_last" => column + tree,
        "tree_r_last" => column + tree + grown(),
        "write" => column + 2.0 * tree,
        _ if seen.timeline.closed_s("columns") + seen.timeline.closed_s("columns+tree_c") > 0.0 => column + tree,
        _ => 0.0,
    };
    ((cost / (column + 2.0 * tree) * nodes as f64) as u64, nodes, "column")
}

/// Core time of each span of a proof per element of the domain, measured with bellperson 0.27 on one Zen 3 core, microseconds.
const SYNTHESIZE: f64 = 0.5;
const NTT: f64 = 6.9;
const MSM: f64 = 22.0;

/// Constraints of all partitions. A span of the prover shows nothing, so its share is the time it has taken of what is predicted: from the
/// figures above at first, for the sums from the transforms of this very proof.
fn constraints(seen: &Seen<'_>, at_once: u32, threads: u32) -> (u64, u64, &'static str) {
    let circuit = Estimate::of(seen.shape);
    let batches = seen.shape.partitions.div_ceil(at_once.max(1));
    let domain = f64::from(at_once) * (1u64 << circuit.domain_log2) as f64 / 1e6;
    let parallel = f64::from(threads.max(1));
    let whole = seen.timeline.parts("msm");
    let cost = match seen.span {
        "synthesize" => SYNTHESIZE * seen.share_of(domain * SYNTHESIZE / parallel.min(f64::from(at_once))),
        "ntt" => SYNTHESIZE + NTT * seen.share_of(domain * NTT / parallel),
        "msm" => {
            let transforms = seen.timeline.closed_s("ntt") / (whole + 1) as f64;
            SYNTHESIZE + NTT + MSM * seen.share_of(transforms * MSM / NTT)
        }
        _ => 0.0,
    };
    let done = (whole as f64 + cost / (SYNTHESIZE + NTT + MSM)) / f64::from(batches);
    let total = circuit.constraints * u64::from(seen.shape.partitions);
    ((done * total as f64) as u64, total, "constraint")
}

impl Seen<'_> {
    /// Share of the open span that is over if it takes `predicted_s` seconds; never quite all of it.
    fn share_of(&self, predicted_s: f64) -> f64 {
        if predicted_s > 0.0 { (self.timeline.open_for_s() / predicted_s).min(0.98) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(shape: &'a Shape, timeline: &'a Timeline, span: &'a str, read_bytes: u64) -> Seen<'a> {
        Seen { shape, span, timeline, read_bytes }
    }

    #[test]
    fn columns_follow_the_bytes_read_and_never_pass_the_end() {
        let shape = Shape::network("8MiB".parse().unwrap());
        let timeline = Timeline::new();
        let at = |span, read| progress(Phase::P2, 1, 1, &seen(&shape, &timeline, span, read));
        let all = shape.sector_size.bytes() * 2;
        assert_eq!(at("read", 0).done, 0);
        let (half, whole) = (at("columns", all / 2), at("columns", all));
        assert!(half.done * 2 <= whole.done + 1 && whole.done < whole.total);
        assert_eq!(at("columns", all * 9).done, whole.done);
        assert!(at("encode", all).done > whole.done);
        assert_eq!(at("write", all).done, shape.sector_size.nodes());
    }

    #[test]
    fn a_proof_counts_whole_batches_and_never_passes_the_end() {
        let shape = Shape { partitions: 4, ..Shape::network("2KiB".parse().unwrap()) };
        let timeline = Timeline::new();
        let at = |timeline: &Timeline, span| progress(Phase::P4, 2, 1, &seen(&shape, timeline, span, 0));
        timeline.enter("synthesize");
        assert!(at(&timeline, "synthesize").done < at(&timeline, "synthesize").total / 50);
        for span in ["ntt", "msm", "assemble"] {
            timeline.enter(span);
        }
        let half = at(&timeline, "assemble");
        assert!((half.percent() - 50.0).abs() < 0.01, "{half:?}");
    }

    #[test]
    fn labels_are_whole_layers_until_the_parents_show_more() {
        let shape = Shape::network("2KiB".parse().unwrap());
        let timeline = Timeline::new();
        ["label", "write", "label", "write"].iter().for_each(|span| timeline.enter(span));
        let now = progress(Phase::P1, 1, 1, &seen(&shape, &timeline, "write", 0));
        assert_eq!((now.done, now.total, now.unit.as_str()), (128, 128, "node"));
    }
}
