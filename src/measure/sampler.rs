//! Samples of this process while a phase runs: how many threads exist, how many want to run, and on which cores they are.

use std::collections::BTreeSet;
use std::fs;

/// What the samples have shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    /// Most threads at once.
    pub peak: u32,
    /// Most threads in state R (running or waiting for a core) at once, the sampling thread not counted.
    pub runnable_peak: u32,
    /// Cores on which threads other than the sampler were last seen running.
    pub cores_seen: BTreeSet<usize>,
}

impl Threads {
    /// Takes one sample from /proc/self/task, the calling thread not counted as runnable. Threads that end while being read are skipped.
    pub fn sample(&mut self) {
        self.sample_without(own_thread());
    }

    /// Takes one sample that counts the calling thread too: it does the work.
    pub fn sample_with_self(&mut self) {
        self.sample_without(None);
    }

    fn sample_without(&mut self, own: Option<u64>) {
        let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
        let (mut count, mut runnable) = (0, 0);
        for task in tasks.flatten() {
            let Some(stat) = fs::read_to_string(task.path().join("stat")).ok().and_then(|text| parse(&text)) else {
                continue;
            };
            count += 1;
            if stat.running && Some(stat.id) != own {
                runnable += 1;
                self.cores_seen.insert(stat.core);
            }
        }
        self.peak = self.peak.max(count);
        self.runnable_peak = self.runnable_peak.max(runnable);
    }
}

fn own_thread() -> Option<u64> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

struct ThreadStat {
    id: u64,
    running: bool,
    core: usize,
}

/// Fields 1 (tid), 3 (state) and 39 (processor) of a stat line; the name in parentheses may itself hold blanks and parentheses.
fn parse(stat: &str) -> Option<ThreadStat> {
    let (id, rest) = stat.split_once(' ')?;
    let fields: Vec<&str> = rest.get(rest.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(ThreadStat { id: id.parse().ok()?, running: *fields.first()? == "R", core: fields.get(36)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "17 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 5 0";
        let stat = parse(line).unwrap();
        assert_eq!((stat.id, stat.running, stat.core), (17, true, 5));
        for bad in ["", "17", "17 (x", "17 (x) R 1 2"] {
            assert!(parse(bad).is_none());
        }
    }

    #[test]
    fn busy_threads_are_counted_as_runnable_and_sleeping_ones_are_not() {
        let stop = AtomicBool::new(false);
        let mut threads = Threads::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            threads.sample();
            stop.store(true, Ordering::Relaxed);
        });
        assert!(threads.runnable_peak >= 2 && threads.peak >= 4, "{threads:?}");
        assert!(!threads.cores_seen.is_empty());
    }
}
