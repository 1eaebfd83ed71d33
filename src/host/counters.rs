//! What a phase cost the machine beside time: faults, switches, migrations, storage, steal, and hardware counters.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disturbance::{Moment, with_siblings};
use super::files::{Files, field};
use super::perf::{self, Kind, Readings, Refusal};
use super::sys::{self, Usage};
use crate::trial::record::{Finding, Severity};

/// Counters of an interval: of this process with all its threads, ended ones included, where nothing else is said. null where
/// the host refuses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Page faults served without reading from storage.
    pub minor_faults: Option<u64>,
    /// Page faults that read from storage.
    pub major_faults: Option<u64>,
    /// Times a thread gave up its core to wait.
    pub voluntary_switches: Option<u64>,
    /// Times a thread was taken off its core.
    pub involuntary_switches: Option<u64>,
    /// Times a thread moved to another core.
    pub migrations: Option<u64>,
    /// Bytes fetched from storage.
    pub read_bytes: Option<u64>,
    /// Bytes written towards storage.
    pub written_bytes: Option<u64>,
    /// Bytes asked for by read calls, page cache included.
    pub rchar_bytes: Option<u64>,
    /// Bytes passed to write calls, page cache included.
    pub wchar_bytes: Option<u64>,
    /// Share of the whole machine's CPU time that its hypervisor gave to others, 0 to 1; null in an interval too short for the
    /// kernel's clock ticks.
    pub steal_ratio: Option<f64>,
    /// CPU time that the kernel and other processes took of the phase's cores, seconds; null in an interval too short for the kernel's clock
    /// ticks.
    #[serde(default)]
    pub other_cpu_s: Option<f64>,
    /// Times the CPUs were throttled for heat or power; null where the machine does not say.
    #[serde(default)]
    pub throttle_events: Option<u64>,
    /// Pages of the whole machine that were wanted on one NUMA node and came from another.
    #[serde(default)]
    pub numa_miss_pages: Option<u64>,
    /// Seconds by which the clock of the day was stepped against the monotonic one.
    #[serde(default)]
    pub clock_step_s: Option<f64>,
    /// Pages the whole machine read back from swap.
    pub swap_in_pages: Option<u64>,
    /// Pages the whole machine wrote to swap.
    pub swap_out_pages: Option<u64>,
    /// Core clock cycles.
    pub cycles: Option<u64>,
    /// Instructions retired.
    pub instructions: Option<u64>,
    /// Last-level cache misses.
    pub cache_misses: Option<u64>,
    /// Mispredicted branches.
    pub branch_misses: Option<u64>,
    /// Reads whose address was not in the data TLB.
    pub dtlb_misses: Option<u64>,
    /// Whether the five hardware counters above leave out what the kernel did for the process; null if there are none.
    pub hardware_user_only: Option<bool>,
}

/// Counts from its start to its stop.
pub struct Meter {
    start: Snapshot,
}

impl Meter {
    /// Begins an interval. The process's first one should begin before its thread pools exist: perf events are opened then.
    pub fn start() -> Meter {
        Meter { start: Snapshot::take(&Files::machine()) }
    }

    /// Ends the interval: its counters, and what could not be counted, why, and what to do. The cores are those that the calling thread may
    /// use: of a process that is pinned, the process's.
    pub fn stop(self) -> (Counters, Vec<Finding>) {
        let files = Files::machine();
        let end = Snapshot::take(&files);
        let counters = between(&self.start, &end, &with_siblings(&files, &sys::allowed_cores().unwrap_or_default()));
        let findings = unavailable(&end.perf, counters.migrations.is_some(), paranoia(&files));
        (counters, findings.into_iter().collect())
    }
}

/// Everything that is counted, at one moment.
struct Snapshot {
    usage: Usage,
    /// Migrations of each thread that exists.
    thread_migrations: BTreeMap<String, u64>,
    storage: [Option<u64>; 4],
    swap: [Option<u64>; 2],
    machine_ticks: Option<Ticks>,
    moment: Moment,
    perf: Readings,
}

impl Snapshot {
    fn take(files: &Files) -> Snapshot {
        let io = files.text("/proc/self/io").unwrap_or_default();
        let vm = files.text("/proc/vmstat").unwrap_or_default();
        let number = |text: &str, key| field(text, key)?.parse().ok();
        let stat = files.text("/proc/stat").unwrap_or_default();
        let moment = Moment::now(files, &stat);
        Snapshot {
            usage: sys::usage(),
            thread_migrations: thread_migrations(files),
            storage: ["read_bytes", "write_bytes", "rchar", "wchar"].map(|key| number(&io, key)),
            swap: ["pswpin", "pswpout"].map(|key| number(&vm, key)),
            machine_ticks: Ticks::parse(&stat),
            moment,
            perf: perf::read(),
        }
    }
}

/// CPU time of the whole machine since boot, clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    total: u64,
    steal: u64,
}

impl Ticks {
    fn parse(stat: &str) -> Option<Ticks> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guest time follows, which user already holds.
        let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Ticks { total: ticks.iter().sum(), steal: *ticks.get(7)? })
    }

    fn steal_ratio(self, earlier: Ticks) -> Option<f64> {
        let total = self.total.saturating_sub(earlier.total);
        let steal = self.steal.saturating_sub(earlier.steal);
        (total > 0).then(|| steal as f64 / total as f64)
    }
}

fn thread_migrations(files: &Files) -> BTreeMap<String, u64> {
    let threads = files.names("/proc/self/task").into_iter();
    let migrations = threads.filter_map(|thread| {
        let count = files.field(&format!("/proc/self/task/{thread}/sched"), "se.nr_migrations")?.parse().ok()?;
        Some((thread, count))
    });
    migrations.collect()
}

fn between(start: &Snapshot, end: &Snapshot, cores: &[usize]) -> Counters {
    let difference = |end: Option<u64>, start: Option<u64>| Some(end?.saturating_sub(start?));
    let [read_bytes, written_bytes, rchar_bytes, wchar_bytes] =
        std::array::from_fn(|i| difference(end.storage[i], start.storage[i]));
    let [swap_in_pages, swap_out_pages] = std::array::from_fn(|i| difference(end.swap[i], start.swap[i]));
    let event = |kind| end.perf.values.get(&kind)?.since(*start.perf.values.get(&kind)?);
    let hardware = Kind::HARDWARE.iter().any(|kind| end.perf.values.contains_key(kind));
    let disturbance = end.moment.since(&start.moment, cores);
    Counters {
        other_cpu_s: disturbance.other_cpu_s,
        throttle_events: disturbance.throttle_events,
        numa_miss_pages: disturbance.numa_miss_pages,
        clock_step_s: disturbance.clock_step_s,
        minor_faults: Some(end.usage.minor_faults.saturating_sub(start.usage.minor_faults)),
        major_faults: Some(end.usage.major_faults.saturating_sub(start.usage.major_faults)),
        voluntary_switches: Some(end.usage.voluntary_switches.saturating_sub(start.usage.voluntary_switches)),
        involuntary_switches: Some(end.usage.involuntary_switches.saturating_sub(start.usage.involuntary_switches)),
        migrations: event(Kind::Migrations).or_else(|| live_migrations(start, end)),
        read_bytes,
        written_bytes,
        rchar_bytes,
        wchar_bytes,
        steal_ratio: end.machine_ticks.zip(start.machine_ticks).and_then(|(end, start)| end.steal_ratio(start)),
        swap_in_pages,
        swap_out_pages,
        cycles: event(Kind::Cycles),
        instructions: event(Kind::Instructions),
        cache_misses: event(Kind::CacheMisses),
        branch_misses: event(Kind::BranchMisses),
        dtlb_misses: event(Kind::DtlbMisses),
        hardware_user_only: hardware.then_some(end.perf.user_only),
    }
}

/// Migrations of the threads that exist at the end: without perf events, those of threads that ended are lost.
fn live_migrations(start: &Snapshot, end: &Snapshot) -> Option<u64> {
    let since_start = |(thread, count): (&String, &u64)| {
        count.saturating_sub(start.thread_migrations.get(thread).copied().unwrap_or(0))
    };
    (!end.thread_migrations.is_empty()).then(|| end.thread_migrations.iter().map(since_start).sum())
}

fn paranoia(files: &Files) -> Option<i32> {
    files.number("/proc/sys/kernel/perf_event_paranoid")
}

/// The finding that some counters are null: which, why, and what to do. Migrations may be known from elsewhere.
fn unavailable(perf: &Readings, migrations_known: bool, paranoia: Option<i32>) -> Option<Finding> {
    let refused: Vec<(Kind, &Refusal)> = perf
        .refused
        .iter()
        .filter(|(kind, _)| !(migrations_known && **kind == Kind::Migrations))
        .map(|(&kind, refusal)| (kind, refusal))
        .collect();
    if refused.is_empty() {
        return None;
    }
    let names: Vec<&str> = refused.iter().map(|(kind, _)| kind.name()).collect();
    let reasons: BTreeSet<String> = refused.iter().map(|(_, refusal)| advice(refusal, paranoia)).collect();
    let reasons: Vec<String> = reasons.into_iter().collect();
    let text = format!("not counted: {}; {}", names.join(", "), reasons.join("; "));
    Some(Finding::new("counters-unavailable", Severity::Info, text))
}

fn advice(refusal: &Refusal, paranoia: Option<i32>) -> String {
    match refusal {
        Refusal::Forbidden => {
            let level = paranoia.map_or_else(|| "unknown".to_string(), |level| level.to_string());
            format!(
                "the kernel forbids perf events here (kernel.perf_event_paranoid is {level}): lower it to 1 with sysctl, or \
                 give the process CAP_PERFMON (docker: --cap-add PERFMON)"
            )
        }
        Refusal::Absent => {
            "this machine shows no such hardware counter, as virtual machines without a virtual PMU do: enable \
                            that, or measure on the bare machine"
                .to_string()
        }
        Refusal::Other(reason) => format!("the kernel says: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;
    use std::fs;
    use std::hint::{black_box, spin_loop};
    use std::io::Write;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn faults_and_switches_of_a_thread_that_has_ended_are_counted() {
        let meter = Meter::start();
        let pages = 256;
        thread::spawn(move || {
            black_box(vec![1u8; pages * sys::page_size()]);
            for _ in 0..20 {
                thread::sleep(Duration::from_micros(50));
            }
        })
        .join()
        .unwrap();
        let (counters, _) = meter.stop();
        assert!(counters.minor_faults.unwrap() > 0);
        assert!(counters.voluntary_switches.unwrap() >= 20);
        assert!(counters.involuntary_switches.is_some() && counters.major_faults.is_some());
    }

    #[test]
    fn a_thread_sent_from_core_to_core_migrates() {
        let allowed = sys::allowed_cores().unwrap();
        let (first, last) = (allowed[0], *allowed.last().unwrap());
        let meter = Meter::start();
        thread::spawn(move || {
            for _ in 0..10 {
                for core in [first, last] {
                    sys::pin_process(&[core]).unwrap();
                }
            }
        })
        .join()
        .unwrap();
        let (counters, _) = meter.stop();
        let inherited = perf::read().values.contains_key(&Kind::Migrations);
        if inherited && first != last {
            assert!(counters.migrations.unwrap() >= 19, "{counters:?}");
        }
        assert!(counters.migrations.is_some() || !fs::exists("/proc/self/sched").unwrap());
    }

    #[test]
    fn bytes_passed_to_write_calls_are_counted() {
        let meter = Meter::start();
        tempfile::tempfile().unwrap().write_all(&[7; 1 << 16]).unwrap();
        let (counters, _) = meter.stop();
        assert!(counters.wchar_bytes.unwrap() >= 1 << 16, "{counters:?}");
        assert!(counters.rchar_bytes.is_some() && counters.read_bytes.is_some() && counters.written_bytes.is_some());
        assert!(counters.swap_in_pages.is_some() && counters.swap_out_pages.is_some());
    }

    #[test]
    fn every_null_counter_has_its_finding() {
        let meter = Meter::start();
        let start = sys::process_cpu_time();
        while sys::process_cpu_time() - start < Duration::from_millis(30) {
            spin_loop();
        }
        let (counters, findings) = meter.stop();
        assert!(counters.steal_ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)), "{counters:?}");
        let hardware = [
            ("cycles", counters.cycles),
            ("instructions", counters.instructions),
            ("cache_misses", counters.cache_misses),
            ("branch_misses", counters.branch_misses),
            ("dtlb_misses", counters.dtlb_misses),
        ];
        for (name, value) in hardware {
            let told =
                findings.iter().any(|finding| finding.code == "counters-unavailable" && finding.text.contains(name));
            assert!(value.is_some() != told, "{name}: {value:?}, {findings:?}");
        }
        assert!(findings.len() <= 1);
        assert_eq!(counters.hardware_user_only.is_some(), hardware.iter().any(|(_, value)| value.is_some()));
        assert!(counters.cycles.is_none_or(|cycles| cycles > 1_000_000));
    }

    fn refused(kinds: &[(Kind, Refusal)]) -> Readings {
        Readings { values: BTreeMap::new(), refused: kinds.iter().cloned().collect(), user_only: false }
    }

    #[test]
    fn the_finding_says_what_to_do() {
        let forbidden = refused(&[(Kind::Cycles, Refusal::Forbidden), (Kind::Instructions, Refusal::Forbidden)]);
        let text = unavailable(&forbidden, true, Some(4)).unwrap().text;
        assert!(text.starts_with("not counted: cycles, instructions; the kernel forbids"), "{text}");
        assert!(text.contains("perf_event_paranoid is 4") && text.contains("CAP_PERFMON"), "{text}");
        let absent = refused(&[(Kind::DtlbMisses, Refusal::Absent), (Kind::Cycles, Refusal::Other("no room".into()))]);
        let text = unavailable(&absent, true, None).unwrap().text;
        assert!(text.contains("virtual PMU") && text.contains("the kernel says: no room"), "{text}");
    }

    #[test]
    fn migrations_known_from_elsewhere_are_not_missing() {
        let only = refused(&[(Kind::Migrations, Refusal::Forbidden)]);
        assert_eq!(unavailable(&only, true, None), None);
        assert!(unavailable(&only, false, None).is_some());
        assert_eq!(unavailable(&refused(&[]), true, None), None);
    }

    #[test]
    fn steal_is_the_eighth_kind_of_tick() {
        let ticks = |text| Ticks::parse(text);
        let start = ticks("cpu  10 0 10 70 5 0 0 5 4 4\ncpu0 1 2 3\n").unwrap();
        assert_eq!(start, Ticks { total: 100, steal: 5 });
        let end = ticks("cpu  90 0 30 70 5 0 0 105 9 9\n").unwrap();
        assert_eq!(end.steal_ratio(start), Some(0.5));
        assert_eq!(start.steal_ratio(start), None, "no tick has passed");
        for text in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  1 2 3 4 5 6 7 x"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn migrations_of_live_threads_without_perf() {
        let sched = |thread: u32, count: u32| {
            (format!("/proc/self/task/{thread}/sched"), format!("x (7)\nse.nr_migrations : {count}\n"))
        };
        let snapshot = |threads: &[(u32, u32)]| {
            let tree = threads.iter().fold(Fixture::new(), |tree, &(thread, count)| {
                let (path, text) = sched(thread, count);
                tree.put(&path, &text)
            });
            Snapshot::take(&tree.files())
        };
        let start = snapshot(&[(7, 10), (8, 100)]);
        let end = snapshot(&[(7, 13), (9, 4)]);
        assert_eq!(live_migrations(&start, &end), Some(7), "thread 8 ended, thread 9 is new");
        assert_eq!(live_migrations(&start, &snapshot(&[])), None);
    }

    #[test]
    fn a_host_that_shows_nothing_gives_nulls() {
        let nothing = Fixture::new();
        let (start, end) = (Snapshot::take(&nothing.files()), Snapshot::take(&nothing.files()));
        let counters = between(&start, &end, &[0]);
        assert_eq!((counters.read_bytes, counters.wchar_bytes, counters.swap_in_pages), (None, None, None));
        assert_eq!(counters.steal_ratio, None);
    }
}
