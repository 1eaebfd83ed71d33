//! What work says while it goes on: a bar with the remaining time on a terminal, a line now and then elsewhere, everything in the log.

use std::fs::File;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::measure::eta::Eta;
use crate::report::units;
use crate::trial::launch::Listener;
use crate::trial::status::Progress;

/// How often progress is said where there is no terminal to show a bar on.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// How a voice speaks among others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Where the bars of all stand, if there are several.
    pub stage: Option<&'a MultiProgress>,
    /// The name of this one, if there are several.
    pub name: &'a str,
    /// Lines go to the log only.
    pub quiet: bool,
}

/// The voice of a step after the other.
pub struct Voice {
    log: Option<File>,
    stage: Option<MultiProgress>,
    name: String,
    quiet: bool,
    bar: ProgressBar,
    eta: Eta,
    step: String,
    started: Instant,
    said: Instant,
}

impl Voice {
    /// A voice that also writes to a log, if there is one.
    pub fn new(log: Option<File>, manner: &Manner<'_>) -> Voice {
        let now = Instant::now();
        Voice {
            log,
            stage: manner.stage.cloned(),
            name: manner.name.to_string(),
            quiet: manner.quiet,
            bar: ProgressBar::hidden(),
            eta: Eta::default(),
            step: String::new(),
            started: now,
            said: now,
        }
    }

    /// A step begins.
    pub fn begin(&mut self, step: &str) {
        self.eta = Eta::default();
        self.started = Instant::now();
        self.said = self.started;
        self.step = if self.name.is_empty() { step.to_string() } else { format!("{}: {step}", self.name) };
        self.bar = match &self.stage {
            Some(stage) => stage.add(bar()),
            None => bar(),
        };
        self.note(&format!("{step}: started"));
    }

    /// The step is over.
    pub fn end(&mut self, what: &str) {
        self.silence();
        let took = units::duration(self.started.elapsed().as_secs_f64());
        self.say(&format!("{}: {what} ({took})", self.step));
    }

    /// Removes the bar.
    pub fn silence(&mut self) {
        self.bar.finish_and_clear();
    }

    /// Says a line on stderr and in the log. A terminal that is gone does not stop the work.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| {
                let _ = writeln!(stderr(), "{line}");
            });
        }
        self.note(line);
    }

    /// Writes a line to the log. A full disk must not stop a measurement that needs no more space.
    pub fn note(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{} {line}", jiff::Timestamp::now());
        }
    }
}

impl Listener for Voice {
    fn started(&mut self, pid: u32) {
        self.note(&format!("{}: worker {pid}", self.step));
    }

    fn progress(&mut self, progress: Progress) {
        self.eta.observe(Instant::now(), progress.done);
        let remaining = self.eta.remaining(progress.total);
        let eta = remaining.map_or("ETA unknown".into(), |left| format!("ETA {}", units::duration(left.as_secs_f64())));
        let percent = progress.percent();
        let Progress { span, done, total, unit } = progress;
        let text = format!("{} {span}: {done}/{total} {unit}s, {percent:.0} %, {eta}", self.step);
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(text.clone());
        if self.bar.is_hidden() && self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            self.say(&text);
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
    let style = ProgressStyle::with_template("{bar:24} {wide_msg}").expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}
