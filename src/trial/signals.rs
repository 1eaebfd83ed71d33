//! Signals of `sealbench run`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Counts requests to stop. The first lets the span that runs finish; the second stops at once: the launcher ends its worker, and where
/// there is none this process ends here. SIGHUP is ignored: a run survives its terminal.
#[derive(Clone, Debug)]
pub struct Signals {
    stops: Arc<AtomicUsize>,
    deferred: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    pub fn install() -> anyhow::Result<Signals> {
        let stops = Arc::new(AtomicUsize::new(0));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        let deferred = Arc::new(AtomicUsize::new(0));
        let (counted, worker) = (Arc::clone(&stops), Arc::clone(&deferred));
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                let before = counted.fetch_add(1, Ordering::SeqCst);
                if before > 0 && worker.load(Ordering::SeqCst) == 0 {
                    std::process::exit(130);
                }
            }
        })?;
        Ok(Signals { stops, deferred })
    }

    /// A second request leaves this process running while the guard lives: while a worker runs, which the launcher then ends, and while the
    /// record is written.
    pub fn defer_exit(&self) -> Deferred {
        self.deferred.fetch_add(1, Ordering::SeqCst);
        Deferred(Arc::clone(&self.deferred))
    }

    /// Requests to stop so far.
    pub fn stops(&self) -> usize {
        self.stops.load(Ordering::SeqCst)
    }
}

/// Keeps this process alive, see [`Signals::defer_exit`].
#[derive(Debug)]
pub struct Deferred(Arc<AtomicUsize>);

impl Drop for Deferred {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
