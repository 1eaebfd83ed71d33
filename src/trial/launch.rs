//! Starts a worker, hears it out, and leaves none behind.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::error::Stop;
use crate::params::install::Generated;
use crate::trial::gate::Gate;
use crate::trial::job::{Measured, Message, Report, Trial};
use crate::trial::signals::Signals;
use crate::trial::status::Progress;

/// Variables of the caller that a worker keeps. Everything else it gets is chosen by the launcher.
const KEPT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "RUST_BACKTRACE"];

/// How often signals are looked at while a worker runs.
const POLL: Duration = Duration::from_millis(50);

/// A line of a log or a status longer than this is cut: nothing that a worker says may fill the launcher's memory.
const MAX_LINE: u64 = 1 << 20;

/// What a launcher does with what a worker says while it runs.
pub trait Listener {
    /// The worker's process id, once.
    fn started(&mut self, pid: u32);
    /// How far it is.
    fn progress(&mut self, progress: Progress);
    /// A line for the log.
    fn line(&mut self, line: &str);
}

/// What a worker did.
#[derive(Debug)]
pub enum Done {
    /// A phase.
    Measured(Box<Measured>),
    /// The parent cache.
    Prepared,
    /// Parameters.
    Generated(Generated),
}

enum Event {
    Line(String),
    Report(String),
    Closed,
}

/// Runs a trial in a worker whose current directory is `cwd`, and returns what it did.
///
/// The worker is in a process group of its own, so a terminal's Ctrl-C reaches the launcher alone, and it is tethered: it ends when this
/// process does, however that happens. A gated trial starts when the gate opens; it counts as arrived however the worker ends.
pub fn run(
    trial: &Trial,
    places: &BTreeMap<String, String>,
    cwd: &Path,
    signals: &Signals,
    gate: Option<&Gate>,
    listener: &mut dyn Listener,
) -> anyhow::Result<Done> {
    let mut start = Start { gate, arrived: false, told: false };
    let mut child = spawn(trial, places, cwd)?;
    listener.started(child.id());
    let (events, received) = mpsc::channel();
    let stderr = child.stderr.take().expect("stderr is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    read_lines(stderr, events.clone(), Event::Line);
    read_lines(stdout, events, Event::Report);
    let deferred = signals.defer_exit();
    let outcome = listen(&mut child, trial, &received, signals, &mut start, listener);
    drop(deferred);
    if outcome.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("cannot wait for the worker")?;
    judge(outcome?, status, signals)
}

fn spawn(trial: &Trial, places: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Child> {
    let exe = env::current_exe().context("cannot find this program's own file")?;
    Command::new(&exe)
        .arg("worker")
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))))
        .envs(&trial.settings)
        .envs(places)
        .current_dir(cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start a worker from {}", exe.display()))
}

fn read_lines(stream: impl Read + Send + 'static, events: Sender<Event>, wrap: fn(String) -> Event) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            if events.send(wrap(text)).is_err() {
                return;
            }
            line.clear();
        }
        let _ = events.send(Event::Closed);
    });
}

/// Passes on what the worker says until both of its streams are closed; returns its last word on stdout.
fn listen(
    child: &mut Child,
    trial: &Trial,
    received: &Receiver<Event>,
    signals: &Signals,
    start: &mut Start<'_>,
    listener: &mut dyn Listener,
) -> anyhow::Result<Option<String>> {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A worker that dies before it reads says why on its own streams.
    let _ = writeln!(stdin, "{}", serde_json::to_string(trial)?);
    let (mut report, mut open, mut asked) = (None, 2, 0);
    while open > 0 {
        match received.recv_timeout(POLL) {
            Ok(Event::Line(line)) => match serde_json::from_str(&line) {
                Ok(Message::Progress(progress)) => listener.progress(progress),
                Ok(Message::Ready) => start.arrive(),
                Err(_) => listener.line(&line),
            },
            Ok(Event::Report(line)) => report = Some(line),
            Ok(Event::Closed) => open -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        asked = pass_on_stop(signals, asked, child, &mut stdin);
        start.pass_on(&mut stdin);
    }
    Ok(report)
}

/// A worker's part in a common start.
struct Start<'a> {
    gate: Option<&'a Gate>,
    arrived: bool,
    told: bool,
}

impl Start<'_> {
    fn arrive(&mut self) {
        if let Some(gate) = self.gate.filter(|_| !self.arrived) {
            self.arrived = true;
            gate.arrive();
        }
    }

    /// Tells the worker when to start, once that is known.
    fn pass_on(&mut self, stdin: &mut ChildStdin) {
        if let Some(at) = self.gate.and_then(Gate::opens_at).filter(|_| self.arrived && !self.told) {
            self.told = true;
            let _ = writeln!(stdin, "go {}", at.as_nanos());
        }
    }
}

impl Drop for Start<'_> {
    /// One that never came must not keep the others waiting.
    fn drop(&mut self) {
        self.arrive();
    }
}

/// The first request to stop is passed on; the second ends the worker.
fn pass_on_stop(signals: &Signals, asked: usize, child: &mut Child, stdin: &mut ChildStdin) -> usize {
    let stops = signals.stops();
    if stops > asked {
        let _ = if stops == 1 { writeln!(stdin, "stop") } else { child.kill() };
    }
    stops
}

fn judge(report: Option<String>, status: ExitStatus, signals: &Signals) -> anyhow::Result<Done> {
    let parsed = report.as_deref().map(serde_json::from_str::<Report>);
    match parsed {
        Some(Ok(Report::Done(measured))) => Ok(Done::Measured(measured)),
        Some(Ok(Report::Prepared)) => Ok(Done::Prepared),
        Some(Ok(Report::Generated(generated))) => Ok(Done::Generated(generated)),
        Some(Ok(Report::Interrupted)) => Err(interrupted()),
        Some(Ok(Report::Failed { message, code })) => Err(match code {
            2 => Stop::Usage.error(message),
            3 => Stop::Refused.error(message),
            4 => Stop::Check.error(message),
            _ => anyhow!(message),
        }),
        _ if signals.stops() > 0 => Err(interrupted()),
        _ => Err(match status.signal() {
            Some(9) => {
                anyhow!("the worker was killed (SIGKILL): if nobody did that, the kernel ran out of memory (see dmesg)")
            }
            Some(signal) => anyhow!("the worker died of signal {signal}"),
            None => anyhow!("the worker ended without a report (exit code {})", status.code().unwrap_or(-1)),
        }),
    }
}

/// The error of a run that a signal stopped.
pub fn interrupted() -> anyhow::Error {
    Stop::Interrupted.error("interrupted")
}
