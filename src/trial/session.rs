//! A run's voice, and its status in its directory.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::host::process;
use crate::phase::{Engine, Phase};
use crate::trial::launch::Listener;
use crate::trial::status::{At, LOG_FILE, Progress, RunStatus};
use crate::trial::voice::{Manner, Voice};

/// How often the status file is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// A run as others see it.
pub struct Session {
    /// What it says.
    pub voice: Voice,
    dir: PathBuf,
    status: RunStatus,
    written: Instant,
}

impl Session {
    /// Opens the log and writes the first status.
    pub fn start(run: &str, dir: &Path, phases_total: u32, manner: &Manner<'_>) -> anyhow::Result<Session> {
        let path = dir.join(LOG_FILE);
        let log = OpenOptions::new().create(true).append(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let log = log.with_context(|| format!("cannot open {}", path.display()))?;
        let pid = std::process::id();
        let status = RunStatus {
            run: run.to_string(),
            pid,
            pid_start: process::start_ticks(pid).unwrap_or(0),
            ended: false,
            at: None,
            phases_done: 0,
            phases_total,
            updated_at: jiff::Timestamp::now().to_string(),
        };
        status.write(dir)?;
        let voice = Voice::new(Some(log), manner);
        Ok(Session { voice, dir: dir.to_path_buf(), status, written: Instant::now() })
    }

    /// A phase begins.
    pub fn begin(&mut self, phase: Phase, engine: Engine, repeat: u32) {
        self.status.at = Some(At { phase, engine, repeat, progress: None });
        self.voice.begin(&format!("{phase} {engine} #{repeat}"));
        self.renew_status();
    }

    /// The phase is over; so many are whole now.
    pub fn end(&mut self, phases_done: u32, what: &str) {
        self.status.phases_done = phases_done;
        self.status.at = None;
        self.voice.end(what);
        self.renew_status();
    }

    /// The run is over, well or not.
    pub fn close(&mut self) {
        self.voice.silence();
        self.status.ended = true;
        self.status.at = None;
        self.renew_status();
    }

    /// The status is a courtesy to other processes: failing to renew it is noted, not fatal.
    fn renew_status(&mut self) {
        self.written = Instant::now();
        self.status.updated_at = jiff::Timestamp::now().to_string();
        if let Err(error) = self.status.write(&self.dir) {
            self.voice.note(&format!("{error:#}"));
        }
    }
}

impl Listener for Session {
    fn started(&mut self, pid: u32) {
        self.voice.started(pid);
    }

    fn progress(&mut self, progress: Progress) {
        self.voice.progress(progress.clone());
        if let Some(at) = &mut self.status.at {
            at.progress = Some(progress);
        }
        if self.written.elapsed() >= STATUS_EVERY {
            self.renew_status();
        }
    }

    fn line(&mut self, line: &str) {
        self.voice.line(line);
    }
}
