//! Signals of `sealbench run`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Counts requests to stop. The first lets the span that runs finish; the second stops at once. SIGHUP is ignored: a run survives its
/// terminal.
#[derive(Clone, Debug)]
pub struct Signals {
    stops: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    pub fn install() -> anyhow::Result<Signals> {
        let stops = Arc::new(AtomicUsize::new(0));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        let counted = Arc::clone(&stops);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        })?;
        Ok(Signals { stops })
    }

    /// Requests to stop so far.
    pub fn stops(&self) -> usize {
        self.stops.load(Ordering::SeqCst)
    }
}
