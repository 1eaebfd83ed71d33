//! The kernel's perf events of this process: opened once, read as often as needed.
//!
//! An event counts one thread and, inherited, the threads it starts later. So each event is opened once for every thread that
//! exists at the first use (few, if that is early) and then covers all threads there will be, ended ones included, with a
//! handful of descriptors. An interval is the difference of two readings.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software};
use perf_event::{Builder, Counter, ReadFormat};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Core clock cycles.
    Cycles,
    /// Instructions retired.
    Instructions,
    /// Last-level cache misses.
    CacheMisses,
    /// Mispredicted branches.
    BranchMisses,
    /// Reads whose address was not in the data TLB.
    DtlbMisses,
    /// Moves of a thread to another core. Counted by the kernel, so it works without hardware counters.
    Migrations,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Cycles, Kind::Instructions, Kind::CacheMisses, Kind::BranchMisses, Kind::DtlbMisses, Kind::Migrations];

    /// Those the processor counts.
    pub const HARDWARE: [Kind; 5] =
        [Kind::Cycles, Kind::Instructions, Kind::CacheMisses, Kind::BranchMisses, Kind::DtlbMisses];

    /// The record's name of the counter.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cycles => "cycles",
            Kind::Instructions => "instructions",
            Kind::CacheMisses => "cache_misses",
            Kind::BranchMisses => "branch_misses",
            Kind::DtlbMisses => "dtlb_misses",
            Kind::Migrations => "migrations",
        }
    }

    fn builder(self) -> Builder<'static> {
        match self {
            Kind::Cycles => Builder::new(Hardware::CPU_CYCLES),
            Kind::Instructions => Builder::new(Hardware::INSTRUCTIONS),
            Kind::CacheMisses => Builder::new(Hardware::CACHE_MISSES),
            Kind::BranchMisses => Builder::new(Hardware::BRANCH_MISSES),
            Kind::DtlbMisses => {
                Builder::new(Cache { which: CacheId::DTLB, operation: CacheOp::READ, result: CacheResult::MISS })
            }
            Kind::Migrations => Builder::new(Software::CPU_MIGRATIONS),
        }
    }
}

/// An event's count since it was opened, and how long it could count: events share the hardware when there are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    count: u64,
    enabled_ns: u64,
    running_ns: u64,
}

impl Reading {
    /// Events since an earlier reading, scaled up for the time in which the event had to wait for the hardware. `None` if it
    /// waited all the time.
    pub fn since(self, earlier: Reading) -> Option<u64> {
        let count = self.count.saturating_sub(earlier.count);
        let enabled = self.enabled_ns.saturating_sub(earlier.enabled_ns);
        let running = self.running_ns.saturating_sub(earlier.running_ns);
        match running {
            0 => (enabled == 0).then_some(count),
            _ if running >= enabled => Some(count),
            _ => Some((count as f64 * (enabled as f64 / running as f64)).round() as u64),
        }
    }
}

/// All events of the process at one moment.
pub(super) struct Readings {
    /// Those that can be read.
    pub values: BTreeMap<Kind, Reading>,
    /// Why the others cannot.
    pub refused: BTreeMap<Kind, Refusal>,
    /// Whether the hardware counters leave out what the kernel does for the process.
    pub user_only: bool,
}

/// Why an event cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// The kernel's settings or a container's filter forbid it.
    Forbidden,
    /// The machine has no such counter, or does not show it to this virtual machine.
    Absent,
    /// Anything else, in the kernel's words.
    Other(String),
}

impl From<&io::Error> for Refusal {
    fn from(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Refusal::Forbidden,
            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::ENXIO | libc::ENOSYS) => Refusal::Absent,
            _ => Refusal::Other(error.to_string()),
        }
    }
}

/// Reads the process's events now; the first call opens them.
pub(super) fn read() -> Readings {
    static EVENTS: OnceLock<Mutex<Events>> = OnceLock::new();
    let events = EVENTS.get_or_init(|| Mutex::new(Events::open()));
    events.lock().unwrap_or_else(PoisonError::into_inner).read()
}

/// A process that starts threads without pause is counted as it is at the last attempt.
const OPEN_ATTEMPTS: u32 = 16;

struct Events {
    open: BTreeMap<Kind, Vec<Counter>>,
    refused: BTreeMap<Kind, Refusal>,
    user_only: bool,
}

impl Events {
    /// Opens the events so that no thread escapes: one that was started while they were opened may have missed some, so it is
    /// done again until the threads stay the same.
    fn open() -> Events {
        let mut before = threads();
        for _ in 1..OPEN_ATTEMPTS {
            let events = Events::open_for(&before);
            let after = threads();
            if before == after {
                return events;
            }
            before = after;
        }
        Events::open_for(&before)
    }

    fn open_for(threads: &[i32]) -> Events {
        let mut events = Events { open: BTreeMap::new(), refused: BTreeMap::new(), user_only: false };
        for kind in Kind::ALL {
            let opened = match open_event(kind.builder(), threads, true) {
                // The kernel's own events all happen in the kernel: without that part they would read 0.
                Err(e) if Refusal::from(&e) == Refusal::Forbidden && kind != Kind::Migrations => {
                    let opened = open_event(kind.builder(), threads, false);
                    events.user_only |= opened.is_ok();
                    opened
                }
                opened => opened,
            };
            match opened {
                Ok(counters) => drop(events.open.insert(kind, counters)),
                Err(e) => drop(events.refused.insert(kind, Refusal::from(&e))),
            }
        }
        events
    }

    fn read(&mut self) -> Readings {
        let mut readings =
            Readings { values: BTreeMap::new(), refused: self.refused.clone(), user_only: self.user_only };
        for (&kind, counters) in &mut self.open {
            match sum(counters) {
                Ok(reading) => drop(readings.values.insert(kind, reading)),
                Err(e) => drop(readings.refused.insert(kind, Refusal::from(&e))),
            }
        }
        readings
    }
}

/// Opens an event for each of the threads; one that has ended meanwhile is left out.
fn open_event(mut builder: Builder<'_>, threads: &[i32], with_kernel: bool) -> io::Result<Vec<Counter>> {
    builder
        .inherit(true)
        .enabled(true)
        .exclude_kernel(!with_kernel)
        .read_format(ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING);
    let opened = threads.iter().map(|&thread| builder.observe_pid(thread).build());
    opened.filter(|result| !matches!(result, Err(e) if e.raw_os_error() == Some(libc::ESRCH))).collect()
}

fn sum(counters: &mut [Counter]) -> io::Result<Reading> {
    let mut total = Reading::default();
    for counter in counters {
        let data = counter.read_full()?;
        let nanoseconds = |time: Option<std::time::Duration>| time.map_or(0, |time| time.as_nanos() as u64);
        total.count += data.count();
        total.enabled_ns += nanoseconds(data.time_enabled());
        total.running_ns += nanoseconds(data.time_running());
    }
    Ok(total)
}

/// The process's threads now; the calling thread (0) alone if they cannot be listed.
fn threads() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    if threads.is_empty() { vec![0] } else { threads }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(count: u64, enabled_ns: u64, running_ns: u64) -> Reading {
        Reading { count, enabled_ns, running_ns }
    }

    #[test]
    fn counts_are_differences_scaled_for_waiting() {
        let start = reading(100, 1000, 1000);
        assert_eq!(reading(150, 2000, 2000).since(start), Some(50));
        assert_eq!(reading(150, 3000, 2000).since(start), Some(100), "counted half of the time");
        assert_eq!(reading(100, 3000, 1000).since(start), None, "never counted");
        assert_eq!(start.since(start), Some(0), "nothing ran");
    }

    #[test]
    fn refusals_by_error_number() {
        let refusal = |number| Refusal::from(&io::Error::from_raw_os_error(number));
        assert_eq!(refusal(libc::EACCES), Refusal::Forbidden);
        assert_eq!(refusal(libc::ENOENT), Refusal::Absent);
        assert!(matches!(refusal(libc::EMFILE), Refusal::Other(text) if text.contains("open files")));
    }

    /// A software event of the calling thread and those it starts, counted over `work`; `None` where the kernel forbids perf events.
    fn software(event: Software, work: impl FnOnce()) -> Option<u64> {
        let opened = [true, false].map(|with_kernel| open_event(Builder::new(event), &[0], with_kernel));
        let mut counters = match opened {
            [Ok(counters), _] | [_, Ok(counters)] => counters,
            [_, Err(e)] => {
                let refusal = Refusal::from(&e);
                assert!(matches!(refusal, Refusal::Forbidden | Refusal::Absent), "{refusal:?}");
                return None;
            }
        };
        let start = sum(&mut counters).unwrap();
        work();
        sum(&mut counters).unwrap().since(start)
    }

    #[test]
    fn software_events_count_threads_that_came_later_and_ended() {
        let pages = 512;
        let touch = move || {
            let page = crate::host::sys::page_size();
            // Larger than anything an allocator keeps for reuse.
            let mut memory = vec![0u8; (64 << 20) + pages * page];
            (0..pages).for_each(|i| memory[i * page] = 1);
            std::hint::black_box(memory);
        };
        let faults = software(Software::PAGE_FAULTS, move || std::thread::spawn(touch).join().unwrap());
        // Transparent huge pages may serve many pages with one fault.
        assert!(faults.is_none_or(|faults| (1..=100_000).contains(&faults)), "{faults:?}");
        let spin = || {
            let start = crate::host::sys::thread_cpu_time();
            while (crate::host::sys::thread_cpu_time() - start).as_millis() < 20 {
                std::hint::spin_loop();
            }
        };
        let nanoseconds = software(Software::TASK_CLOCK, move || std::thread::spawn(spin).join().unwrap());
        assert!(nanoseconds.is_none_or(|ns| (19_000_000..1_000_000_000).contains(&ns)), "{nanoseconds:?}");
    }

    #[test]
    fn every_event_is_read_or_refused() {
        let readings = read();
        for kind in Kind::ALL {
            assert!(readings.values.contains_key(&kind) != readings.refused.contains_key(&kind), "{kind:?}");
        }
    }
}
