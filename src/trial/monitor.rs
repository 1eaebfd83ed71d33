//! What watches a worker from inside: the log sink that turns the crates' events into spans, the panic hook, and a thread that samples the
//! process, reports progress and ends a worker that is stuck.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::host::sys;
use crate::measure::probe::Probe;
use crate::phase::Engine;
use crate::phase::events::{self, Mark};
use crate::phase::progress::Watcher;
use crate::trial::gate::Barrier;
use crate::trial::job::{Message, Report, Task, Trial};
use crate::trial::status::Progress;
use crate::trial::worker::say;

/// How often threads are sampled.
const SAMPLE: Duration = Duration::from_millis(250);

/// How often progress is reported.
const REPORT: Duration = Duration::from_millis(500);

/// A worker that uses no CPU time for this long is stuck.
const STUCK: Duration = Duration::from_secs(300);

/// How long a phase may take to return after one of its threads panicked. A pool that lost a thread can wait for ever.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// State that the phase, the log sink, the hook and the monitor share.
#[derive(Debug, Default)]
pub struct Shared {
    /// The measurement.
    pub probe: Probe,
    /// What a gated start waits for.
    pub barrier: Barrier,
    marks: OnceLock<Vec<(Mark, AtomicBool)>>,
    stop: AtomicBool,
    gated: AtomicBool,
    panic: Mutex<Option<(String, Instant)>>,
    finished: AtomicBool,
    progress_at: AtomicU64,
}

impl Shared {
    /// Writes the report and ends the process. Only the first report counts: a thread that comes second waits for the end.
    pub fn finish(&self, report: Report) -> ! {
        if self.finished.swap(true, Ordering::SeqCst) {
            loop {
                thread::park();
            }
        }
        let code = match &report {
            Report::Done(_) | Report::Prepared | Report::Generated(_) | Report::Looked(_) => 0,
            Report::Failed { code, .. } => i32::from(*code),
            Report::Interrupted => 130,
        };
        let line = serde_json::to_string(&report).expect("a report is plain data");
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        std::process::exit(code)
    }

    /// Asks the phase to stop at the end of the span that runs.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        if self.is_held() {
            self.finish(Report::Interrupted);
        }
    }

    /// Makes the timed part wait for the launcher's word.
    pub fn gate(self: &Arc<Self>) {
        self.gated.store(true, Ordering::SeqCst);
        let shared = Arc::downgrade(self);
        self.probe.start_after(move || {
            let ready = Message::Ready(sys::monotonic().as_nanos() as u64);
            say(&serde_json::to_string(&ready).expect("a message is plain data"));
            shared.upgrade().expect("a worker that measures shares its state").barrier.wait();
        });
    }

    /// Whether the timed part waits, or will.
    fn is_held(&self) -> bool {
        self.gated.load(Ordering::SeqCst) && !self.barrier.is_open()
    }

    /// The first panic as a failure, if there was one.
    pub fn panicked(&self) -> Option<Report> {
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        panic.as_ref().map(|(text, _)| Report::Failed { message: format!("a thread panicked: {text}"), code: 1 })
    }

    /// The marks that never came, quoted; `None` if all did.
    pub fn unseen_marks(&self) -> Option<String> {
        let unseen = self.marks.get()?.iter().filter(|(_, seen)| !seen.load(Ordering::SeqCst));
        let quoted: Vec<String> = unseen.map(|(mark, _)| format!("'{}'", mark.starts)).collect();
        (!quoted.is_empty()).then(|| quoted.join(", "))
    }

    /// Reports progress of work that counts for itself, at most twice a second.
    pub fn report_progress(&self, span: &str, done: u64, total: u64, unit: &str) {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1;
        let last = self.progress_at.load(Ordering::Relaxed);
        if last == 0 || now - last >= REPORT.as_millis() as u64 {
            self.progress_at.store(now, Ordering::Relaxed);
            tell(Progress { span: span.to_string(), done, total, unit: unit.into() });
        }
        if self.stop.load(Ordering::SeqCst) {
            self.finish(Report::Interrupted);
        }
    }
}

fn tell(progress: Progress) {
    say(&serde_json::to_string(&Message::Progress(progress)).expect("progress is plain data"));
}

/// Installs the log sink and the panic hook, and starts the monitor.
pub fn install(shared: &Arc<Shared>, trial: &Trial) -> anyhow::Result<()> {
    if let Task::Phase { phase, engine: Engine::Reference, .. } = &trial.task {
        let multicore = trial.settings.get("FIL_PROOFS_USE_MULTICORE_SDR").is_some_and(|value| value == "true");
        let marks = events::marks(*phase, &trial.shape, multicore);
        let unseen = marks.into_iter().map(|mark| (mark, AtomicBool::new(false))).collect();
        shared.marks.set(unseen).expect("the monitor is installed once");
    }
    log::set_boxed_logger(Box::new(Sink(Arc::clone(shared)))).context("a log sink is already installed")?;
    log::set_max_level(LevelFilter::Trace);
    let hooked = Arc::clone(shared);
    panic::set_hook(Box::new(move |info| note_panic(&hooked, info)));
    let (shared, trial) = (Arc::clone(shared), trial.clone());
    thread::Builder::new().name("monitor".into()).spawn(move || watch(&shared, &trial))?;
    Ok(())
}

fn note_panic(shared: &Shared, info: &panic::PanicHookInfo<'_>) {
    let text = info
        .payload_as_str()
        .map(str::to_string)
        .or_else(|| info.payload().downcast_ref::<anyhow::Error>().map(|e| format!("{e:#}")))
        .unwrap_or_else(|| "no text".into());
    let mut place = String::new();
    if let Some(location) = info.location() {
        let _ = write!(place, " at {}:{}", location.file(), location.line());
    }
    let text = format!("{text}{place}");
    say(&format!("PANIC {text}"));
    shared.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((text, Instant::now()));
}

/// The log sink: events that are marks begin spans, events of level info and above go to the log.
struct Sink(Arc<Shared>);

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info || self.marks().any(|(mark, _)| mark.target == metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        if self.0.probe.is_running()
            && let Some((mark, seen)) = self.marks().find(|(mark, _)| mark.matches(record.target(), &message))
        {
            self.0.probe.timeline.enter(mark.span);
            seen.store(true, Ordering::SeqCst);
            if self.0.stop.load(Ordering::SeqCst) {
                self.0.finish(Report::Interrupted);
            }
        }
        if record.level() <= Level::Info {
            say(&format!("{} {}: {message}", record.level(), record.target()));
        }
    }

    fn flush(&self) {}
}

impl Sink {
    fn marks(&self) -> impl Iterator<Item = &(Mark, AtomicBool)> {
        self.0.marks.get().into_iter().flatten()
    }
}

/// Samples, reports, and ends the worker when it can no longer end by itself.
fn watch(shared: &Shared, trial: &Trial) {
    let mut reported = Instant::now();
    let mut busy = (Instant::now(), sys::process_cpu_time());
    let mut progress = Watcher::new(trial);
    loop {
        thread::sleep(SAMPLE);
        if shared.probe.is_running() {
            shared.probe.threads().sample();
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            if let Some(progress) = progress.look(&shared.probe) {
                tell(progress);
            }
        }
        let cpu = sys::process_cpu_time();
        if shared.is_held() || cpu.saturating_sub(busy.1) > SAMPLE / 10 {
            busy = (Instant::now(), cpu);
        }
        end_if_lost(shared, busy.0.elapsed());
    }
}

fn end_if_lost(shared: &Shared, idle: Duration) {
    let panicked_long_ago = {
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner);
        panic.as_ref().is_some_and(|(_, when)| when.elapsed() > AFTER_PANIC)
    };
    if panicked_long_ago && let Some(report) = shared.panicked() {
        shared.finish(report);
    }
    if idle > STUCK {
        let span = shared.probe.timeline.current().unwrap_or("preparation");
        let message = format!("no progress for {} s in span {span}: the worker is stuck", STUCK.as_secs());
        shared.finish(Report::Failed { message, code: 1 });
    }
}
