//! The measurement of one phase: spans, and the timed part with its counters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::host::{Counters, Meter, memory};
use crate::measure::clock::Stamp;
use crate::measure::effective_clock;
use crate::measure::sampler::Threads;
use crate::measure::timeline::Timeline;
use crate::trial::record::{ClockCheck, Finding};

/// Collects what is measured while a phase runs. Shared between the phase, the log sink and the monitor thread.
#[derive(Default)]
pub struct Probe {
    /// The spans, in and outside the timed part.
    pub timeline: Timeline,
    running: AtomicBool,
    timed: Mutex<Option<Timed>>,
    threads: Mutex<Threads>,
    gate: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("timeline", &self.timeline).field("timed", &self.timed).finish_non_exhaustive()
    }
}

/// The timed part of a phase.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Start, RFC 3339, UTC.
    pub started_at: String,
    /// Wall time, seconds.
    pub wall_s: f64,
    /// CPU time of the process, seconds.
    pub cpu_s: f64,
    /// VmHWM at its end, bytes.
    pub max_rss_bytes: Option<u64>,
    /// Counters over the timed part.
    pub counters: Counters,
    /// The clock of the core that its main thread was on, before and after.
    pub clock: ClockCheck,
    /// What the counters could not say.
    pub findings: Vec<Finding>,
}

impl Probe {
    /// Sets what the timed part waits for.
    pub fn start_after(&self, gate: impl Fn() + Send + Sync + 'static) {
        let _ = self.gate.set(Box::new(gate));
    }

    /// Runs the phase proper: the clock starts here, in span `first`, and stops when `work` returns. What comes before and after
    /// is preparation and checking. Called once per phase.
    pub fn timed<T>(&self, first: &'static str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before_mhz = effective_clock::mhz();
        if let Some(wait) = self.gate.get() {
            wait();
        }
        let started_at = jiff::Timestamp::now().to_string();
        let meter = Meter::start();
        let start = Stamp::now();
        self.timeline.enter(first);
        self.running.store(true, Ordering::SeqCst);
        let result = work();
        // However short the phase was, its threads and cores are seen once.
        self.threads().sample_with_self();
        self.running.store(false, Ordering::SeqCst);
        self.timeline.close();
        let (wall_s, cpu_s) = start.until(&Stamp::now());
        let (counters, findings) = meter.stop();
        let clock = ClockCheck { before_mhz, after_mhz: effective_clock::mhz() };
        let max_rss_bytes = memory::max_rss_bytes();
        let timed = Timed { started_at, wall_s, cpu_s, max_rss_bytes, counters, clock, findings };
        *self.timed.lock().unwrap_or_else(PoisonError::into_inner) = Some(timed);
        result
    }

    /// What the samples of threads have shown; the monitor adds to it.
    pub fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the timed part runs now.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// The timed part, once it is over.
    pub fn result(&self) -> Option<Timed> {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
