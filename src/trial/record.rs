//! The record: one JSON document per run. `docs/record.schema.json` is generated from these types and their comments.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::{BuildInfo, Counters, HostInfo};
use crate::phase::{Engine, Phase};
use crate::sector::Seed;
use crate::trial::spec::Spec;

/// The value of [`Record::schema`].
pub const SCHEMA: &str = "sealbench/record/1";

/// What one run measured, on what, and whether its output is right.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Always "sealbench/record/1".
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The run's id: its start time and a random part; names the run in the store.
    pub id: String,
    /// Start of the run, RFC 3339, UTC.
    pub started_at: String,
    /// How the run ended.
    pub state: RunState,
    /// The machine, captured at start.
    pub host: HostInfo,
    /// The binary that measured.
    pub build: BuildInfo,
    /// The run as asked for and as resolved.
    pub spec: SpecRecord,
    /// The seed, hexadecimal. A run on a benchy directory has no seed; its identity is in `spec.resolved`.
    pub seed: Option<Seed>,
    /// What measuring itself costs here.
    pub timer: Timer,
    /// Which point of which sweep this run measured, if it is part of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepRun>,
    /// The containers that the instances ran in; absent for processes of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Containers>,
    /// Where in a cluster it ran, if it was an element of a job array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRun>,
    /// One entry per phase, engine, instance and repeat that ran. A phase that did not run is absent.
    pub phases: Vec<PhaseRecord>,
    /// What instances side by side put out together, one entry per phase, engine and repeat. Empty for a run of one instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Aggregate>,
    /// Statistics per phase and engine over the repeats.
    pub summary: Vec<Summary>,
    /// Whether the figures may be reported, and what speaks against it.
    pub validity: Validity,
}

/// Containers that instances ran in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Containers {
    /// The engine and its version, e.g. "Docker Engine 20.10.24".
    pub engine: String,
    /// Where it answers, e.g. "unix:///var/run/docker.sock".
    pub endpoint: String,
    /// Name of the image.
    pub image: String,
    /// The image's content address, "sha256:" and hexadecimal.
    pub image_digest: String,
    /// The CPU that its binary was built for, by its own flags: "native", "x86-64-v3", "znver2", ...
    pub target_cpu: String,
    /// One entry for each container.
    pub instances: Vec<Container>,
}

/// A container, as it looks from inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Name of the instance: "instance-0", or "alone-0" for one that is measured alone.
    pub name: String,
    /// The instance's number, as in `phases`.
    pub instance: u32,
    /// The engine's id of it.
    pub id: String,
    /// CPUs that it may use.
    pub cpus: Vec<usize>,
    /// NUMA nodes whose memory it may use.
    pub mems: Vec<usize>,
    /// Its memory limit, bytes; null without one.
    pub memory_max_bytes: Option<u64>,
    /// The capabilities that it has of IPC_LOCK, SYS_NICE and PERFMON.
    pub capabilities: Vec<String>,
}

/// A run as a part of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SweepRun {
    /// The sweep's id.
    pub sweep: String,
    /// The point of the grid, in words that name every setting that varies, e.g. "p2 native 2x1". Runs of one point are samples of the same.
    pub point: String,
    /// Which round over the points, from 0.
    pub round: u32,
    /// Whether this is the second arm of the A/A pair: the same settings as another point, measured as if they were different ones.
    #[serde(default)]
    pub twin: bool,
}

/// A run as an element of a cluster's job array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRun {
    /// The array of the submission and the element in it, from 0, e.g. "0-12".
    pub element: String,
    /// The feature that the node was asked to have; null if any node would do.
    pub constraint: Option<String>,
    /// The job, as the scheduler numbers it.
    pub job: String,
    /// How often the scheduler had started the element before.
    pub restart: u32,
    /// The node's name in the cluster.
    pub node: String,
    /// CPUs that the scheduler bound the job to.
    pub cores: Vec<usize>,
}

/// What instances side by side put out together in one repeat of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Aggregate {
    /// The phase.
    pub phase: Phase,
    /// The engine.
    pub engine: Engine,
    /// The repeat, from 0.
    pub repeat: u32,
    /// Instances that ran this phase.
    pub instances: u32,
    /// Those that finished it.
    pub completed: u32,
    /// Time in which all instances ran, seconds.
    pub window_s: f64,
    /// `window_s` over the time of the slowest instance: 1 if all began and ended together.
    pub overlap: f64,
    /// Sectors per hour of the instances that finished, while all ran.
    pub sectors_per_h: f64,
    /// The same in GiB of sector data per hour.
    pub gib_per_h: f64,
    /// Median wall time of an instance over the time of one instance alone on the same cores; null if that was not measured.
    pub slow_down: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Every phase ran.
    Complete,
    /// A signal stopped it; the phases that were whole are recorded.
    Interrupted,
    /// A phase failed; `validity.findings` says which and why.
    Failed,
}

impl RunState {
    /// The name used in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Complete => "complete",
            RunState::Interrupted => "interrupted",
            RunState::Failed => "failed",
        }
    }
}

/// The run as the user asked for it and as it was resolved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SpecRecord {
    /// The command line, word by word.
    pub given: Vec<String>,
    /// Every setting with its effective value.
    pub resolved: Spec,
    /// Settings of the linked crates in force: each FIL_PROOFS_*, RAYON_NUM_THREADS, EC_GPU_NUM_THREADS; and the directories in which
    /// parameters and parents were found.
    pub settings: BTreeMap<String, String>,
}

/// The cost and precision of the measuring clock, measured at start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Timer {
    /// Smallest step the monotonic clock showed, nanoseconds.
    pub precision_ns: f64,
    /// One reading of the monotonic clock, nanoseconds (median).
    pub read_ns: f64,
    /// Opening and closing one span (wall and CPU time), nanoseconds (median).
    pub span_ns: f64,
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Measured in this run.
    Measured,
    /// Extrapolated or modelled.
    Estimated,
    /// Read from another tool's log.
    Imported,
}

impl Origin {
    /// The name used in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Measured => "measured",
            Origin::Estimated => "estimated",
            Origin::Imported => "imported",
        }
    }
}

/// One phase of one sector, executed once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRecord {
    /// p1, p2, c1 or p4.
    pub phase: Phase,
    /// Which engine ran it.
    pub engine: Engine,
    /// The engine's variant, e.g. "single-core SDR": what a reader must know before comparing; in parentheses what was measured of it.
    pub variant: Option<String>,
    /// Kernel per primitive, e.g. {"sha256": "sha2raw intrinsics"}.
    pub kernel: BTreeMap<String, String>,
    /// Which of the instances side by side, from 0.
    pub instance: u32,
    /// Instances that ran side by side, of any phase; 1 for one alone.
    #[serde(default = "one")]
    pub concurrent: u32,
    /// Which repetition, from 0.
    pub repeat: u32,
    /// Cores that the phase was pinned to; empty where an imported log does not say.
    pub cores: Vec<usize>,
    /// Cores on which its threads were seen running, sampled.
    pub cores_seen: Vec<usize>,
    /// Worker threads each pool was given; null where an imported log does not say, as in the other figures.
    pub threads: Option<u32>,
    /// Most threads that existed at once, sampled.
    pub threads_peak: Option<u32>,
    /// Most threads that were runnable at once, sampled.
    pub runnable_peak: Option<u32>,
    /// What backed the memory of the phase: "1GiB", "2MiB", "thp" or "4KiB".
    pub pages: Option<String>,
    /// Sectors processed together.
    pub sectors: u32,
    /// Start of the timed part, RFC 3339, UTC.
    pub started_at: String,
    /// Wall time of the phase proper, seconds; reading Groth16 parameters is never inside.
    pub wall_s: f64,
    /// CPU time of the whole process during `wall_s`, seconds.
    pub cpu_s: Option<f64>,
    /// Where the time went.
    pub spans: Vec<Span>,
    /// Peak resident memory of the worker (VmHWM) and the reserved huge pages it held, bytes.
    pub max_rss_bytes: Option<u64>,
    /// Memory estimated before the phase started, bytes.
    pub estimated_rss_bytes: Option<u64>,
    /// Bytes read from storage during the phase (read_bytes of /proc/self/io).
    pub read_bytes: Option<u64>,
    /// Bytes written towards storage during the phase (write_bytes of /proc/self/io).
    pub written_bytes: Option<u64>,
    /// Counters of the phase: faults, switches, migrations, steal, and hardware counters where allowed.
    pub counters: Counters,
    /// The clock of one of the phase's cores just before and after its timed part, measured with a chain of additions that takes one cycle each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockCheck>,
    /// The amount of work done.
    pub work: Option<Work>,
    /// The times by which the engine chose its kernels, measured just before the phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// The physical bound of the dominating span on this machine, measured here.
    pub limit: Option<Limit>,
    /// Other bounds of that span that were measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_limits: Vec<Limit>,
    /// What came out.
    pub output: Output,
    /// What the output was checked against.
    pub verified: Verified,
    /// Where the figures come from.
    pub origin: Origin,
}

/// A core's effective clock around a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockCheck {
    /// Before, MHz.
    pub before_mhz: f64,
    /// After, MHz.
    pub after_mhz: f64,
}

fn one() -> u32 {
    1
}

/// A part of a phase that does one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// p1: copy, tree_d, parents, label, write; p2: read, columns, tree_c, encode, tree_r_last, write (columns+tree_c and
    /// encode+tree_r_last where there are several base trees); c1: load, prove, check; p4: params (outside
    /// wall_s), synthesize, ntt, msm, assemble.
    pub name: String,
    /// Wall time, seconds, summed over the parts.
    pub wall_s: f64,
    /// CPU time of the process, seconds, summed over the parts.
    pub cpu_s: f64,
    /// Wall time of each part where the span repeats (layers, sub-trees, batches), seconds, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<f64>,
    /// Anything a reader must know, e.g. "cold" for parameters that were not in the page cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Bytes this span read, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// An amount of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// "node" (layers x nodes x sectors), "column", "challenge" or "constraint".
    pub unit: String,
    /// How many.
    pub count: u64,
}

/// How fast a kernel was in a calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The kernel.
    pub kernel: String,
    /// Seconds in which it makes one label of one sector, its inputs in the caches.
    pub label_s: f64,
}

/// A physical bound and how near the measurement came to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Which bound, e.g. "sha256 chain".
    pub name: String,
    /// The span it bounds.
    pub span: String,
    /// The time that bound allows, seconds.
    pub seconds: f64,
    /// The span's wall time / `seconds`; 1 is the limit.
    pub ratio: f64,
}

/// Results of a phase, hexadecimal where they are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Commitment of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm_d: Option<String>,
    /// Root of tree_c.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm_c: Option<String>,
    /// Root of tree_r_last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm_r_last: Option<String>,
    /// Commitment of the replica: Poseidon(comm_c, comm_r_last).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm_r: Option<String>,
    /// Length of the proof, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_bytes: Option<u64>,
    /// p1: BLAKE3 of the layer files in order, joined by commas, those of the sectors of a batch by semicolons, hashed outside wall_s; c1 and p4: BLAKE3 of the output file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What a phase's output was checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// "reference" (the reference engine's output for the same shape and seed), "verifier" (the crates' own verification) or "none".
    pub against: String,
    /// The verdict; null where nothing was checked.
    pub ok: Option<bool>,
}

/// Statistics of a phase and engine over its repeats and instances, seconds of wall time. Instances side by side and one alone are told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The phase.
    pub phase: Phase,
    /// The engine.
    pub engine: Engine,
    /// Instances that ran side by side; 1 for one alone.
    #[serde(default = "one")]
    pub concurrent: u32,
    /// Number of samples.
    pub n: u32,
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Median absolute deviation; null for one sample.
    pub mad: Option<f64>,
    /// Coefficient of variation (standard deviation / mean) of the repeats, each with the median of its instances; null for one repeat.
    pub cv: Option<f64>,
    /// Confidence interval of the median of the repeats, seconds: 95 % (bootstrap) from six on, the range of three to five; null for fewer.
    #[serde(default)]
    pub ci: Option<Interval>,
    /// How far the medians of the even and the odd repeats are apart, as a ratio to their mean: the noise that the run shows against itself;
    /// null for fewer than four repeats.
    #[serde(default)]
    pub noise: Option<f64>,
}

/// An interval of confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Whether a run's figures may be reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// True only if every run rule was checked and held.
    pub reportable: bool,
    /// Codes of the run rules that were checked; a rule that was broken is also a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Something a reader of the figures must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// A stable code, e.g. "counters-unavailable".
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence: what, where, what to do.
    pub text: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// The figures may be off.
    Warning,
    /// The figures must not be used.
    Error,
}

impl Finding {
    /// A finding with its code, severity and sentence.
    pub fn new(code: &str, severity: Severity, text: impl Into<String>) -> Finding {
        Finding { code: code.to_string(), severity, text: text.into() }
    }
}
