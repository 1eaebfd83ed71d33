//! What threads that work side by side spent their time with.

use std::time::Duration;

use crate::host::sys;
use crate::measure::timeline::Timeline;
use crate::trial::record::Span;

/// Kinds of work, in the order of the spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Waiting for what is to be hashed.
    Read,
    /// Column hashes.
    Columns,
    /// Rows of tree_c.
    TreeC,
    /// Adding the labels to the data.
    Encode,
    /// Rows of tree_r_last.
    TreeRLast,
    /// Writing trees and replica.
    Write,
}

const SPANS: [&str; 6] = ["read", "columns", "tree_c", "encode", "tree_r_last", "write"];

/// Wall and CPU time of each kind, of one thread or the sum of some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Busy {
    wall: [Duration; 6],
    cpu: [Duration; 6],
}

/// A thread's stopwatch: one kind of work at a time.
pub struct Watch {
    busy: Busy,
    now: Kind,
    since: (std::time::Instant, Duration),
}

impl Watch {
    /// Starts with waiting for work.
    pub fn start() -> Watch {
        Watch { busy: Busy::default(), now: Kind::Read, since: (std::time::Instant::now(), sys::thread_cpu_time()) }
    }

    /// Another kind of work begins.
    pub fn enter(&mut self, kind: Kind) {
        let now = (std::time::Instant::now(), sys::thread_cpu_time());
        self.busy.wall[self.now as usize] += now.0 - self.since.0;
        self.busy.cpu[self.now as usize] += now.1.saturating_sub(self.since.1);
        (self.now, self.since) = (kind, now);
    }

    /// What the thread did.
    pub fn stop(mut self) -> Busy {
        self.enter(Kind::Read);
        self.busy
    }
}

impl Busy {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Busy) {
        for kind in 0..SPANS.len() {
            self.wall[kind] += other.wall[kind];
            self.cpu[kind] += other.cpu[kind];
        }
    }

    /// Adds spans to a timeline: of each kind the mean over `threads` threads, which together worked for `wall`. A thread that was done
    /// before the others had nothing to read.
    pub fn report(&self, threads: usize, wall: Duration, timeline: &Timeline) {
        let worked: Duration = self.wall.iter().sum();
        for (kind, name) in SPANS.iter().enumerate() {
            let idle = if kind == Kind::Read as usize {
                (wall * threads as u32).saturating_sub(worked)
            } else {
                Duration::ZERO
            };
            timeline.add(Span {
                name: name.to_string(),
                wall_s: (self.wall[kind] + idle).as_secs_f64() / threads as f64,
                cpu_s: self.cpu[kind].as_secs_f64(),
                parts: Vec::new(),
                note: None,
                bytes: None,
            });
        }
    }

    /// The time that went into waiting for files: that of reading and writing in which the thread did not run. Copying to and from the
    /// page cache is work of the CPU.
    pub fn waited(&self) -> Duration {
        let idle = |kind: Kind| self.wall[kind as usize].saturating_sub(self.cpu[kind as usize]);
        idle(Kind::Read) + idle(Kind::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_means_over_the_threads_and_add_up_to_the_wall_time() {
        let (mut all, timeline) = (Busy::default(), Timeline::new());
        for seconds in [3, 5] {
            let mut busy = Busy::default();
            busy.wall[Kind::Columns as usize] = Duration::from_secs(seconds);
            busy.wall[Kind::Write as usize] = Duration::from_secs(1);
            busy.cpu[Kind::Write as usize] = Duration::from_millis(500);
            all.add(&busy);
        }
        assert_eq!(all.waited(), Duration::from_secs(1));
        all.report(2, Duration::from_secs(6), &timeline);
        let spans = timeline.spans();
        let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap().wall_s;
        assert_eq!((of("columns"), of("write"), of("read"), of("encode")), (4.0, 1.0, 1.0, 0.0));
    }

    #[test]
    fn a_watch_counts_one_kind_at_a_time() {
        let mut watch = Watch::start();
        watch.enter(Kind::Columns);
        std::thread::sleep(Duration::from_millis(20));
        watch.enter(Kind::Write);
        let busy = watch.stop();
        assert!(busy.wall[Kind::Columns as usize] >= Duration::from_millis(20));
        assert!(busy.wall[Kind::Encode as usize].is_zero());
    }
}
