//! A common start: workers that stand ready wait for each other.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::sys;

/// From the moment everyone is ready to the start: longer than a launcher takes to pass the moment on.
const NOTICE: Duration = Duration::from_millis(150);

/// A sleep may end this much late; the rest is waited for on the core.
const SPIN: Duration = Duration::from_millis(2);

/// The launchers' side: opens when every instance is ready or gone.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    missing: usize,
    /// The workers' clock when the latest of them was ready, and the moment here.
    latest: Option<(Duration, Instant)>,
    opens_at: Option<Duration>,
}

impl Gate {
    /// A gate for so many instances, at least one.
    pub fn new(instances: usize) -> Gate {
        Gate { state: Mutex::new(State { missing: instances, latest: None, opens_at: None }) }
    }

    /// One instance is ready, and its monotonic clock says this; or it will never be. The last one sets the start, on the workers' clock:
    /// they share one machine's, which need not be the launcher's.
    pub fn arrive(&self, clock: Option<Duration>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.missing = state.missing.saturating_sub(1);
        if let Some(clock) = clock {
            state.latest = Some((clock, Instant::now()));
        }
        if state.missing == 0 && state.opens_at.is_none() {
            state.opens_at = state.latest.map(|(clock, here)| clock + here.elapsed() + NOTICE);
        }
    }

    /// When everyone starts, on the monotonic clock that all processes of the machine share; `None` while someone is missing.
    pub fn opens_at(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).opens_at
    }
}

/// The worker's side: closed until its launcher says when to start.
#[derive(Debug, Default)]
pub struct Barrier {
    opens_at: Mutex<Option<Duration>>,
    told: Condvar,
}

impl Barrier {
    /// The moment of the start, on the monotonic clock.
    pub fn open(&self, at: Duration) {
        *self.opens_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.told.notify_all();
    }

    /// Whether the start is known.
    pub fn is_open(&self) -> bool {
        self.opens_at.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns at the start.
    pub fn wait(&self) {
        let mut opens_at = self.opens_at.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loop {
            match *opens_at {
                Some(at) => break at,
                None => opens_at = self.told.wait(opens_at).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(opens_at);
        thread::sleep(at.saturating_sub(sys::monotonic()).saturating_sub(SPIN));
        while sys::monotonic() < at {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_opens_for_all_at_one_moment_when_the_last_one_comes() {
        let gate = Gate::new(2);
        gate.arrive(Some(sys::monotonic()));
        assert_eq!(gate.opens_at(), None);
        gate.arrive(None);
        let at = gate.opens_at().unwrap();
        gate.arrive(Some(Duration::ZERO));
        assert_eq!(gate.opens_at(), Some(at), "whoever comes later does not move it");

        let barriers = [Barrier::default(), Barrier::default()];
        let starts: Vec<Duration> = thread::scope(|scope| {
            let waiting: Vec<_> = barriers
                .iter()
                .map(|barrier| {
                    scope.spawn(|| {
                        barrier.wait();
                        sys::monotonic()
                    })
                })
                .collect();
            assert!(!barriers[0].is_open());
            barriers.iter().for_each(|barrier| barrier.open(at));
            waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(starts.iter().all(|&start| start >= at), "{starts:?} {at:?}");
    }
}
