//! What a run says while it goes on: the log and the status in its directory, progress on stderr.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::host::process;
use crate::measure::eta::Eta;
use crate::phase::{Engine, Phase};
use crate::report::units;
use crate::trial::launch::Listener;
use crate::trial::status::{At, LOG_FILE, Progress, RunStatus};

/// How often the status file is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How often progress is said where there is no terminal to show a bar on.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// A run's voice.
pub struct Session {
    dir: PathBuf,
    log: File,
    status: RunStatus,
    bar: ProgressBar,
    eta: Eta,
    step: String,
    step_started: Instant,
    written: Instant,
    said: Instant,
}

impl Session {
    /// Opens the log and writes the first status.
    pub fn start(run: &str, dir: &Path, phases_total: u32) -> anyhow::Result<Session> {
        let path = dir.join(LOG_FILE);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let pid = std::process::id();
        let now = Instant::now();
        let session = Session {
            dir: dir.to_path_buf(),
            log: log.with_context(|| format!("cannot open {}", path.display()))?,
            status: RunStatus {
                run: run.to_string(),
                pid,
                pid_start: process::start_ticks(pid).unwrap_or(0),
                ended: false,
                at: None,
                phases_done: 0,
                phases_total,
                updated_at: now_text(),
            },
            bar: bar(),
            eta: Eta::default(),
            step: String::new(),
            step_started: now,
            written: now,
            said: now,
        };
        session.status.write(dir)?;
        Ok(session)
    }

    /// A phase begins.
    pub fn phase(&mut self, phase: Phase, engine: Engine, repeat: u32) {
        self.status.at = Some(At { phase, engine, repeat, progress: None });
        self.begin(format!("{phase} {engine} #{repeat}"));
    }

    /// A preparation begins.
    pub fn begin(&mut self, step: String) {
        self.eta = Eta::default();
        self.step_started = Instant::now();
        self.said = self.step_started;
        self.bar.reset();
        self.note(&format!("{step}: started"));
        self.step = step;
        self.renew_status();
    }

    /// What began is over.
    pub fn end(&mut self, phases_done: u32, what: &str) {
        self.status.phases_done = phases_done;
        self.status.at = None;
        self.bar.finish_and_clear();
        let took = units::duration(self.step_started.elapsed().as_secs_f64());
        self.say(&format!("{}: {what} ({took})", self.step));
        self.renew_status();
    }

    /// The run is over, well or not.
    pub fn close(&mut self) {
        self.bar.finish_and_clear();
        self.status.ended = true;
        self.status.at = None;
        self.renew_status();
    }

    /// Says a line on stderr and in the log.
    pub fn say(&mut self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(stderr(), "{line}");
        });
        self.note(line);
    }

    /// Writes a line to the log. A full disk must not stop a measurement that needs no more space.
    fn note(&mut self, line: &str) {
        let _ = writeln!(self.log, "{} {line}", now_text());
    }

    /// The status is a courtesy to other processes: failing to renew it is noted, not fatal.
    fn renew_status(&mut self) {
        self.written = Instant::now();
        self.status.updated_at = now_text();
        if let Err(error) = self.status.write(&self.dir) {
            self.note(&format!("{error:#}"));
        }
    }

    fn show(&mut self, progress: &Progress) {
        let remaining = self.eta.remaining(progress.total);
        let eta = remaining.map_or("ETA unknown".into(), |left| format!("ETA {}", units::duration(left.as_secs_f64())));
        let Progress { span, done, total, unit } = progress;
        let text = format!("{} {span} {done}/{total} {unit}s, {:.0} %, {eta}", self.step, progress.percent());
        self.bar.set_length(*total);
        self.bar.set_position(*done);
        self.bar.set_message(text.clone());
        if self.bar.is_hidden() && self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            self.say(&text);
        }
    }
}

impl Listener for Session {
    fn started(&mut self, pid: u32) {
        self.note(&format!("{}: worker {pid}", self.step));
    }

    fn progress(&mut self, progress: Progress) {
        self.eta.observe(Instant::now(), progress.done);
        self.show(&progress);
        if let Some(at) = &mut self.status.at {
            at.progress = Some(progress);
        }
        if self.written.elapsed() >= STATUS_EVERY {
            self.renew_status();
        }
    }

    fn line(&mut self, line: &str) {
        self.note(line);
    }
}

/// A bar on a terminal; hidden elsewhere.
fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {msg}").expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}

fn now_text() -> String {
    jiff::Timestamp::now().to_string()
}
