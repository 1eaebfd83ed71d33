//! Where a run stands: a small file in its run directory that another process can read while it runs or after it died.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::phase::{Engine, Phase};

/// Name of the status file in a run directory.
pub const STATUS_FILE: &str = "status.json";

/// No status is larger.
const MAX_STATUS_BYTES: u64 = 1 << 16;

/// Name of a run's log in its run directory.
pub const LOG_FILE: &str = "run.log";

/// What a run was doing when it last said so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// The run's id.
    pub run: String,
    /// Process id of `sealbench run`.
    pub pid: u32,
    /// Start of that process in clock ticks since boot (field 22 of /proc/PID/stat): tells it from a later process with the same id.
    pub pid_start: u64,
    /// The run is over: it wrote its record (or its failure) and removed its worker.
    pub ended: bool,
    /// What runs now, if anything does.
    pub at: Option<At>,
    /// Phases that are whole so far, of `phases_total`.
    pub phases_done: u32,
    /// Phases the run will execute, over engines and repeats.
    pub phases_total: u32,
    /// Time of this report, RFC 3339, UTC.
    pub updated_at: String,
}

/// The phase a run is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// The phase.
    pub phase: Phase,
    /// The engine.
    pub engine: Engine,
    /// The repetition, from 0.
    pub repeat: u32,
    /// The latest progress, once there is some.
    pub progress: Option<Progress>,
}

/// How far a phase is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The span that runs now.
    pub span: String,
    /// Units of work done in the phase.
    pub done: u64,
    /// Units of work in the phase.
    pub total: u64,
    /// "node", "column", "challenge", "constraint", "point" or "byte".
    pub unit: String,
}

impl Progress {
    /// Share of the phase that is done, in percent.
    pub fn percent(&self) -> f64 {
        if self.total == 0 { 0.0 } else { 100.0 * self.done.min(self.total) as f64 / self.total as f64 }
    }
}

impl RunStatus {
    /// Writes the status into a run directory, by rename: a reader never sees half of it.
    pub fn write(&self, run_dir: &Path) -> anyhow::Result<()> {
        crate::disk::write_by_rename(&run_dir.join(STATUS_FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// Reads the status of a run directory; `None` if it holds none.
    pub fn read(run_dir: &Path) -> anyhow::Result<Option<RunStatus>> {
        let path = run_dir.join(STATUS_FILE);
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file() || found.len() > MAX_STATUS_BYTES) {
            anyhow::bail!("{} is no status of a run", path.display());
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let status = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(status))
    }
}
