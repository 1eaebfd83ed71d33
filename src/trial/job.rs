//! What goes into a worker and what comes out: one trial on stdin, one report on stdout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::host::Counters;
use crate::host::inside::Inside;
use crate::params::install::Generated;
use crate::phase::mock::Act;
use crate::phase::{Engine, Phase};
use crate::sector::{Identity, Shape};
use crate::trial::record::{Calibration, ClockCheck, Finding, Limit, Output, Span, Verified, Work};
use crate::trial::spec::{Native, ParamsMode};

/// One piece of work for a worker process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What to do.
    pub task: Task,
    /// What is sealed.
    pub shape: Shape,
    /// The sector's ids.
    pub identity: Identity,
    /// Cores that every thread is pinned to.
    pub cores: Vec<usize>,
    /// Threads per pool.
    pub threads: u32,
    /// Settings of the linked crates; the environment of the worker must say the same.
    pub settings: BTreeMap<String, String>,
    /// The launcher keeps stdin open as long as it lives: the worker ends when stdin does, and stops at the next span on "stop".
    pub tethered: bool,
    /// The timed part starts when the launcher says so: the worker reports that it is ready and waits for "go" with a moment on the monotonic
    /// clock, in nanoseconds.
    #[serde(default)]
    pub gated: bool,
}

/// The kinds of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Run one phase in a directory that holds its inputs and nothing else.
    Phase {
        /// The phase.
        phase: Phase,
        /// The engine.
        engine: Engine,
        /// The directory.
        dir: PathBuf,
        /// For p4: how to prove.
        proving: Option<Proving>,
        /// Sectors processed together.
        sectors: u32,
        /// Settings of the native engine.
        native: Native,
        /// Directory of the parent cache, for a native p1 that reads it.
        parents: Option<PathBuf>,
        /// For the mock engine: what it does.
        act: Option<Box<Act>>,
    },
    /// Generate the parent cache into a scratch directory.
    Parents {
        /// The directory.
        into: PathBuf,
    },
    /// Generate development parameters into a directory.
    Params {
        /// The directory of parameters.
        into: PathBuf,
        /// Replace files that are there, unless they are the network's.
        replace: bool,
        /// The seed of the setup's secrets, for tests; without one they are the operating system's random numbers.
        deterministic: Option<[u8; 32]>,
    },
    /// Say what can be seen from here, and whether a file is there.
    Look {
        /// The file.
        mark: PathBuf,
    },
}

/// How p4 proves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proving {
    /// The Groth16 parameters.
    pub params: PathBuf,
    /// How they are held.
    pub mode: ParamsMode,
    /// Partitions proved at once.
    pub at_once: u32,
}

/// How a worker ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The phase ran.
    Done(Box<Measured>),
    /// The parent cache is made.
    Prepared,
    /// The parameters are in place.
    Generated(Generated),
    /// It failed.
    Failed {
        /// One sentence with its causes.
        message: String,
        /// The exit code that says what kind of failure it is.
        code: u8,
    },
    /// It looked around.
    Looked(Box<Inside>),
    /// It stopped at the end of a span because it was asked to.
    Interrupted,
}

/// What a worker measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// What the engine did and made.
    pub outcome: Outcome,
    /// Start of the timed part.
    pub started_at: String,
    /// Wall time of the timed part, seconds.
    pub wall_s: f64,
    /// CPU time of the timed part, seconds.
    pub cpu_s: f64,
    /// The spans.
    pub spans: Vec<Span>,
    /// Counters of the timed part.
    pub counters: Counters,
    /// The clock around it.
    pub clock: Option<ClockCheck>,
    /// VmHWM at the end of the timed part, bytes.
    pub max_rss_bytes: u64,
    /// What backed the memory.
    pub pages: String,
    /// Cores on which threads were seen.
    pub cores_seen: Vec<usize>,
    /// Most threads at once.
    pub threads_peak: u32,
    /// Most runnable threads at once.
    pub runnable_peak: u32,
    /// The physical bounds that are known, the tightest first.
    pub limits: Vec<Limit>,
    /// What a reader must know.
    pub findings: Vec<Finding>,
}

/// What an engine did and made in one phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The engine's variant, where it has several.
    pub variant: Option<String>,
    /// Kernel per primitive.
    pub kernel: BTreeMap<String, String>,
    /// Work done.
    pub work: Work,
    /// Results.
    pub output: Output,
    /// What they were checked against.
    pub verified: Verified,
    /// Findings of the engine.
    pub findings: Vec<Finding>,
    /// What backed its large buffers, where the engine knows.
    pub pages: Option<String>,
    /// Bytes of reserved huge pages that it held: they are not in the process's resident memory.
    pub reserved_bytes: u64,
    /// The times by which it chose kernels.
    pub calibration: Vec<Calibration>,
    /// p1: the most sectors that one core labelled together.
    pub labelled_together: u32,
}

/// A line on a worker's stderr that is meant for its launcher; any other line goes to the log as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Everything is prepared: the timed part would start now, at this moment of the monotonic clock, nanoseconds.
    Ready(u64),
    /// How far the work is.
    Progress(crate::trial::status::Progress),
}
