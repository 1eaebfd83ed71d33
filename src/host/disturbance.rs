//! What others did to an interval: CPU time they took of its cores, throttling, memory from the wrong node, a stepped clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::files::Files;
use super::{sys, topology};

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// The shortest interval in which others' CPU time is told: the kernel counts it in ticks of 10 ms.
const SHORTEST: Duration = Duration::from_millis(100);

/// Clock readings that are farther apart than this are no step: it is above what preemption between two readings makes of them.
const SMALLEST_STEP_S: f64 = 0.001;

/// All that is counted here, at one moment.
pub(super) struct Moment {
    clocks: Clocks,
    /// CPU time of this process.
    own: Duration,
    /// Ticks in which each CPU ran nothing of this machine: idle, waiting for storage, or taken by the hypervisor.
    unused: BTreeMap<usize, u64>,
    throttled: Option<u64>,
    numa_misses: Option<u64>,
}

/// What happened between two moments; null where the machine does not say.
#[derive(Debug, PartialEq)]
pub(super) struct Disturbance {
    pub other_cpu_s: Option<f64>,
    pub throttle_events: Option<u64>,
    pub numa_miss_pages: Option<u64>,
    pub clock_step_s: Option<f64>,
}

impl Moment {
    /// This moment. `stat` is the text of /proc/stat, read just before.
    pub fn now(files: &Files, stat: &str) -> Moment {
        let (clocks, own) = (Clocks::now(), sys::process_cpu_time());
        Moment { clocks, own, unused: unused(stat), throttled: throttled(files), numa_misses: numa_misses(files) }
    }

    /// What happened since an earlier moment, on these CPUs where CPUs matter.
    pub fn since(&self, start: &Moment, cores: &[usize]) -> Disturbance {
        let grown = |end: Option<u64>, start: Option<u64>| Some(end?.saturating_sub(start?));
        let wall = self.clocks.monotonic.saturating_duration_since(start.clocks.monotonic);
        let own = self.own.saturating_sub(start.own);
        Disturbance {
            other_cpu_s: others(&start.unused, &self.unused, cores, wall, own),
            throttle_events: grown(self.throttled, start.throttled),
            numa_miss_pages: grown(self.numa_misses, start.numa_misses),
            clock_step_s: self.clocks.step_since(&start.clocks),
        }
    }
}

/// These CPUs and the other threads of their cores: who runs there takes a part of the core.
pub(super) fn with_siblings(files: &Files, cpus: &[usize]) -> Vec<usize> {
    let all = cpus.iter().flat_map(|&cpu| topology::siblings(files, cpu).unwrap_or_default().into_iter().chain([cpu]));
    all.collect::<BTreeSet<usize>>().into_iter().collect()
}

fn unused(stat: &str) -> BTreeMap<usize, u64> {
    let of_line = |line: &str| {
        let (cpu, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        // user nice system idle iowait irq softirq steal
        let ticks: Vec<u64> = times.split_ascii_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let [_, _, _, idle, iowait, _, _, steal] = ticks[..] else { return None };
        Some((cpu.parse().ok()?, idle.saturating_add(iowait).saturating_add(steal)))
    };
    stat.lines().filter_map(of_line).collect()
}

/// CPU time of these CPUs that was neither unused nor this process's own, seconds.
///
/// The unused time is subtracted from the wall time rather than the busy ticks added up: the kernel times idleness exactly, whereas a busy
/// tick goes whole to who runs when it comes. Idle and waiting time are rounded to ticks each, so up to two ticks of a CPU are nothing.
fn others(
    start: &BTreeMap<usize, u64>,
    end: &BTreeMap<usize, u64>,
    cores: &[usize],
    wall: Duration,
    own: Duration,
) -> Option<f64> {
    if wall < SHORTEST || cores.is_empty() {
        return None;
    }
    let unused = cores.iter().map(|core| Some(end.get(core)?.saturating_sub(*start.get(core)?)));
    let unused = unused.sum::<Option<u64>>()? as f64 / sys::clock_ticks() as f64;
    let others = cores.len() as f64 * wall.as_secs_f64() - unused - own.as_secs_f64();
    let resolution = 2.0 * cores.len() as f64 / sys::clock_ticks() as f64;
    Some(if others < resolution { 0.0 } else { others })
}

/// Times the CPUs were throttled since boot, summed over CPUs; a package's count appears at each of its CPUs.
fn throttled(files: &Files) -> Option<u64> {
    let is_cpu = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<usize>().is_ok());
    let dirs = files.names(CPUS).into_iter().filter(is_cpu).map(|cpu| format!("{CPUS}/{cpu}/thermal_throttle"));
    let counts = dirs.flat_map(|dir| {
        ["core_throttle_count", "package_throttle_count"].map(|name| files.number::<u64>(&format!("{dir}/{name}")))
    });
    counts.flatten().reduce(u64::saturating_add)
}

/// Pages since boot that were wanted on one NUMA node and came from another. The kernel counts each at both nodes: as foreign where it was
/// wanted, as a miss where it came from.
fn numa_misses(files: &Files) -> Option<u64> {
    let nodes = files.names(NODES).into_iter().filter(|name| name.starts_with("node"));
    let misses = nodes.filter_map(|node| files.field(&format!("{NODES}/{node}/numastat"), "numa_miss")?.parse().ok());
    misses.reduce(u64::saturating_add)
}

/// The monotonic clock and the clock of the day, read at the same time. NTP slews both alike, so only a step moves one against the other.
struct Clocks {
    monotonic: Instant,
    day: SystemTime,
}

impl Clocks {
    /// The pair with the least time between its readings, of several.
    fn now() -> Clocks {
        let pairs = (0..5).map(|_| {
            let before = Instant::now();
            let day = SystemTime::now();
            (before.elapsed(), Clocks { monotonic: before, day })
        });
        pairs.min_by_key(|&(took, _)| took).expect("there are pairs").1
    }

    /// Seconds by which the clock of the day was stepped, forwards or (negative) backwards; 0 below what the readings can tell.
    fn step_since(&self, start: &Clocks) -> Option<f64> {
        let day = match self.day.duration_since(start.day) {
            Ok(forwards) => forwards.as_secs_f64(),
            Err(backwards) => -backwards.duration().as_secs_f64(),
        };
        let step = day - self.monotonic.checked_duration_since(start.monotonic)?.as_secs_f64();
        Some(if step.abs() < SMALLEST_STEP_S { 0.0 } else { step })
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;

    fn ticks(seconds: f64) -> u64 {
        (seconds * sys::clock_ticks() as f64).round() as u64
    }

    #[test]
    fn unused_ticks_are_idle_waiting_and_stolen_ones_of_each_cpu() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 20 4 5 3 7 7\ncpu11 0 0 0 8 0 0 0 0\nintr 5\ncpu2 1 2\ncpu3 a 0 0 0 0 0 0 0\n";
        assert_eq!(unused(text), BTreeMap::from([(0, 123), (11, 8)]));
        assert_eq!(unused(""), BTreeMap::new());
    }

    #[test]
    fn what_is_neither_unused_nor_our_own_is_others() {
        let start = BTreeMap::from([(0, 1000), (1, 5000), (2, 0)]);
        let after =
            |idle0: f64, idle1: f64| BTreeMap::from([(0, 1000 + ticks(idle0)), (1, 5000 + ticks(idle1)), (2, 9)]);
        let others = |end, wall: f64, own: f64| {
            others(&start, &end, &[0, 1], Duration::from_secs_f64(wall), Duration::from_secs_f64(own))
        };
        let near = |got: Option<f64>, expected: f64| assert!((got.unwrap() - expected).abs() < 1e-9, "{got:?}");
        near(others(after(1.0, 9.0), 10.0, 10.0), 0.0);
        near(others(after(1.0, 4.0), 10.0, 10.0), 5.0);
        // 0.04 s are two ticks of each core.
        near(others(after(1.0, 9.0), 10.0, 9.95), 0.05);
        near(others(after(1.0, 9.0), 10.0, 9.97), 0.0);
        near(others(after(5.0, 9.0), 10.0, 10.0), 0.0);
        assert_eq!(others(after(0.0, 0.0), 0.099, 0.0), None, "too short");
        near(others(after(0.0, 0.0), 0.1, 0.1), 0.1);
    }

    #[test]
    fn a_core_that_the_kernel_does_not_count_makes_it_unknown() {
        let one = BTreeMap::from([(0, 1)]);
        let second = Duration::from_secs(1);
        assert_eq!(others(&one, &one, &[0, 1], second, second), None);
        assert_eq!(others(&one, &one, &[], second, second), None);
    }

    #[test]
    fn the_other_threads_of_a_core_belong_to_it() {
        let tree = topology::tests::two_sockets();
        assert_eq!(with_siblings(&tree.files(), &[1, 3, 11]), [1, 3, 9, 11]);
        assert_eq!(with_siblings(&Fixture::new().files(), &[4]), [4]);
    }

    #[test]
    fn throttling_is_summed_over_cpus() {
        let count = |cpu: &str, name: &str| format!("{CPUS}/{cpu}/thermal_throttle/{name}_throttle_count");
        let tree = Fixture::new()
            .put(&count("cpu0", "core"), "3\n")
            .put(&count("cpu0", "package"), "10\n")
            .put(&count("cpu1", "core"), "4\n")
            .put(&count("cpufreq", "core"), "1000\n");
        assert_eq!(throttled(&tree.files()), Some(17));
        assert_eq!(throttled(&Fixture::new().put(&format!("{CPUS}/cpu0/online"), "1").files()), None);
    }

    #[test]
    fn numa_misses_are_summed_over_nodes() {
        let stat = |misses: u64| format!("numa_hit 900\nnuma_miss {misses}\nnuma_foreign 77\nlocal_node 1\n");
        let tree = Fixture::new()
            .put(&format!("{NODES}/node0/numastat"), &stat(5))
            .put(&format!("{NODES}/node1/numastat"), &stat(6))
            .put(&format!("{NODES}/online"), "0-1");
        assert_eq!(numa_misses(&tree.files()), Some(11));
        assert_eq!(numa_misses(&Fixture::new().files()), None);
    }

    #[test]
    fn only_a_step_moves_the_clocks_against_each_other() {
        let start = Clocks::now();
        let after = |monotonic: f64, day: f64| {
            let day = match day < 0.0 {
                true => start.day - Duration::from_secs_f64(-day),
                false => start.day + Duration::from_secs_f64(day),
            };
            Clocks { monotonic: start.monotonic + Duration::from_secs_f64(monotonic), day }.step_since(&start).unwrap()
        };
        assert_eq!(after(10.0, 10.0), 0.0);
        assert_eq!(after(10.0, 10.0009), 0.0);
        assert!((after(10.0, 10.5) - 0.5).abs() < 1e-6);
        assert!((after(10.0, -2.0) + 12.0).abs() < 1e-6);
    }

    #[test]
    fn a_machine_that_shows_nothing_gives_nulls() {
        let nothing = Fixture::new();
        let moment = || Moment::now(&nothing.files(), "");
        let (start, end) = (moment(), moment());
        let none =
            Disturbance { other_cpu_s: None, throttle_events: None, numa_miss_pages: None, clock_step_s: Some(0.0) };
        assert_eq!(end.since(&start, &[0]), none);
    }
}
