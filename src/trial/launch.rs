//! Starts a worker, hears it out, and leaves none behind.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::error::Stop;
use crate::host::inside::Inside;
use crate::params::install::Generated;
use crate::sector::{Identity, Seed, Shape};
use crate::trial::estimate::show;
use crate::trial::gate::Gate;
use crate::trial::job::{Measured, Message, Report, Task, Trial};
use crate::trial::signals::Signals;
use crate::trial::station::{Ended, Life, Running, Station};
use crate::trial::status::Progress;

/// How long streams may stay open after their worker was ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

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
    /// A look around.
    Looked(Box<Inside>),
}

/// Starts a worker that says what it sees there, and whether that is this file.
pub fn look(
    station: &dyn Station,
    cores: &[usize],
    mark: &Path,
    cwd: &Path,
    signals: &Signals,
) -> anyhow::Result<Inside> {
    let trial = Trial {
        task: Task::Look { mark: mark.to_path_buf() },
        shape: Shape::network("2KiB".parse().expect("it is a size")),
        identity: Identity::from_seed(&Seed::default()),
        cores: cores.to_vec(),
        threads: 1,
        settings: BTreeMap::new(),
        tethered: true,
        gated: false,
    };
    match run(station, &trial, &BTreeMap::new(), cwd, signals, None, &mut Unheard)? {
        Done::Looked(inside) => Ok(*inside),
        _ => anyhow::bail!("the worker did not look around"),
    }
}

/// Nobody listens to a worker that only looks.
struct Unheard;

impl Listener for Unheard {
    fn started(&mut self, _: u32) {}

    fn progress(&mut self, _: Progress) {}

    fn line(&mut self, _: &str) {}
}

enum Event {
    Line(String),
    Report(String),
    Closed,
}

/// Runs a trial in a worker whose current directory is `cwd`, and returns what it did.
///
/// The worker is tethered: it ends when this process does, however that happens. A gated trial starts when the gate opens; it counts as
/// arrived however the worker ends.
pub fn run(
    station: &dyn Station,
    trial: &Trial,
    places: &BTreeMap<String, String>,
    cwd: &Path,
    signals: &Signals,
    gate: Option<&Gate>,
    listener: &mut dyn Listener,
) -> anyhow::Result<Done> {
    let mut start = Start { gate, arrived: false, told: false };
    let variables = trial.settings.clone().into_iter().chain(places.clone()).collect();
    let Running { pid, stdin, stdout, stderr, mut life } = station.start(&variables, cwd)?;
    pid.into_iter().for_each(|pid| listener.started(pid));
    let (events, received) = mpsc::channel();
    read_lines(stderr, events.clone(), Event::Line);
    read_lines(stdout, events, Event::Report);
    let deferred = signals.defer_exit();
    let outcome = listen(stdin, life.as_mut(), trial, &received, signals, &mut start, listener);
    drop(deferred);
    if outcome.is_err() {
        life.kill();
    }
    let ended = life.wait()?;
    judge(outcome?, ended, signals)
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
    mut stdin: Box<dyn Write + Send>,
    life: &mut dyn Life,
    trial: &Trial,
    received: &Receiver<Event>,
    signals: &Signals,
    start: &mut Start<'_>,
    listener: &mut dyn Listener,
) -> anyhow::Result<Option<String>> {
    // A worker that dies before it reads says why on its own streams.
    tell(&mut stdin, &serde_json::to_string(trial)?);
    let (mut report, mut open, mut asked) = (None, 2, 0);
    let mut ended_at: Option<Instant> = None;
    // Where the streams go through others, one that was ended may leave them open.
    while open > 0 && ended_at.is_none_or(|at| at.elapsed() < LAST_WORDS) {
        match received.recv_timeout(POLL) {
            Ok(Event::Line(line)) => match serde_json::from_str(&line) {
                Ok(Message::Progress(progress)) => listener.progress(progress),
                Ok(Message::Ready(clock)) => start.arrive(Some(Duration::from_nanos(clock))),
                Err(_) => listener.line(&line),
            },
            Ok(Event::Report(line)) => report = Some(line),
            Ok(Event::Closed) => open -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        asked = pass_on_stop(signals, asked, life, &mut stdin);
        ended_at = ended_at.or((asked > 1).then(Instant::now));
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
    fn arrive(&mut self, clock: Option<Duration>) {
        if let Some(gate) = self.gate.filter(|_| !self.arrived) {
            self.arrived = true;
            gate.arrive(clock);
        }
    }

    /// Tells the worker when to start, once that is known.
    fn pass_on(&mut self, stdin: &mut dyn Write) {
        if let Some(at) = self.gate.and_then(Gate::opens_at).filter(|_| self.arrived && !self.told) {
            self.told = true;
            tell(stdin, &format!("go {}", at.as_nanos()));
        }
    }
}

impl Drop for Start<'_> {
    /// One that never came must not keep the others waiting.
    fn drop(&mut self) {
        self.arrive(None);
    }
}

/// The first request to stop is passed on; the second ends the worker.
fn pass_on_stop(signals: &Signals, asked: usize, life: &mut dyn Life, stdin: &mut dyn Write) -> usize {
    let stops = signals.stops();
    if stops > asked {
        if stops == 1 { tell(stdin, "stop") } else { life.kill() }
    }
    stops
}

/// A line in one piece. One that is gone does not hear it; how it ended says why.
fn tell(stdin: &mut dyn Write, line: &str) {
    let _ = stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush());
}

fn judge(report: Option<String>, ended: Ended, signals: &Signals) -> anyhow::Result<Done> {
    let parsed = report.as_deref().map(serde_json::from_str::<Report>);
    match parsed {
        Some(Ok(Report::Done(measured))) => Ok(Done::Measured(measured)),
        Some(Ok(Report::Prepared)) => Ok(Done::Prepared),
        Some(Ok(Report::Generated(generated))) => Ok(Done::Generated(generated)),
        Some(Ok(Report::Looked(inside))) => Ok(Done::Looked(inside)),
        Some(Ok(Report::Interrupted)) => Err(interrupted()),
        Some(Ok(Report::Failed { message, code })) => Err(match code {
            2 => Stop::Usage.error(message),
            3 => Stop::Refused.error(message),
            4 => Stop::Check.error(message),
            _ => anyhow!(message),
        }),
        _ if signals.stops() > 0 => Err(interrupted()),
        _ => Err(match ended {
            Ended::Killed(9) => {
                anyhow!("the worker was killed (SIGKILL): if nobody did that, the kernel ran out of memory (see dmesg)")
            }
            Ended::Killed(signal) => anyhow!("the worker died of signal {signal}"),
            Ended::Exited(code) => anyhow!("the worker ended without a report (exit code {code})"),
            Ended::OutOfMemory { whose, limit_bytes, peak_bytes } => {
                let [limit, peak] = [limit_bytes, peak_bytes].map(|bytes| bytes.map_or("unknown".into(), show));
                anyhow!(
                    "{whose} ran out of memory: its limit is {limit}, its peak was {peak}; give it more with --memory"
                )
            }
            Ended::Lost(why) => anyhow!(why),
        }),
    }
}

/// The error of a run that a signal stopped.
pub fn interrupted() -> anyhow::Error {
    Stop::Interrupted.error("interrupted")
}
