//! Rules about what happened to a phase while it ran.

use std::collections::BTreeSet;

use super::{Subject, groups, name, of_several, percent, worst};
use crate::host::arena::Pages;
use crate::host::cores;
use crate::phase::{Engine, Phase};
use crate::trial::record::PhaseRecord;

const STEAL_LIMIT: f64 = 0.005;
const OTHERS_LIMIT: f64 = 0.02;
const CLOCK_LIMIT: f64 = 0.05;
const MISSES_LIMIT: f64 = 0.01;
const STEP_LIMIT_S: f64 = 0.01;
/// A fault on a fast disk takes 0.1 ms: ten a second are a thousandth of the time.
const FAULTS_PER_S: f64 = 10.0;
/// Wall time that a phase must have, in steps of the clock.
const CLOCK_STEPS: f64 = 100.0;

/// The kernel counts NUMA misses in base pages.
const PAGE_BYTES: f64 = 4096.0;

pub(super) fn too_short(subject: &Subject<'_>) -> Option<String> {
    let resolution_s = subject.timer.precision_ns.max(subject.timer.read_ns) / 1e9;
    let shortage = |phase: &PhaseRecord| Some((CLOCK_STEPS * resolution_s, phase.wall_s));
    worst(subject.phases, shortage, |phase, _| format!("{:.3} us are too short to time", phase.wall_s * 1e6))
}

pub(super) fn affinity(subject: &Subject<'_>) -> Option<String> {
    let strays = subject.phases.iter().filter_map(|phase| {
        let outside: Vec<usize> = phase.cores_seen.iter().copied().filter(|core| !phase.cores.contains(core)).collect();
        (!outside.is_empty()).then_some((phase, outside))
    });
    let strays: Vec<_> = strays.collect();
    let (phase, outside) = strays.first()?;
    let several = if strays.len() > 1 { format!(" (the first of {} phases)", strays.len()) } else { String::new() };
    Some(format!("{}: threads ran on cores {} outside its set{several}", name(phase), cores::format_list(outside)))
}

pub(super) fn other_load(subject: &Subject<'_>) -> Option<String> {
    let words = |phase: &PhaseRecord, seconds: f64| {
        let share = percent(seconds / capacity(phase));
        format!("other programs and the kernel took {seconds:.2} s ({share}) of its cores")
    };
    worst(subject.phases, |phase| Some((phase.counters.other_cpu_s?, OTHERS_LIMIT * capacity(phase))), words)
}

/// CPU time that the phase's cores had, seconds.
pub(super) fn capacity(phase: &PhaseRecord) -> f64 {
    phase.cores.len() as f64 * phase.wall_s
}

pub(super) fn steal(subject: &Subject<'_>) -> Option<String> {
    let words = |_: &PhaseRecord, ratio| format!("the hypervisor gave {} of the CPU time to others", percent(ratio));
    worst(subject.phases, |phase| Some((phase.counters.steal_ratio?, STEAL_LIMIT)), words)
}

pub(super) fn throttled(subject: &Subject<'_>) -> Option<String> {
    let words = |_: &PhaseRecord, events| format!("the CPUs were throttled {events} times for heat or power");
    worst(subject.phases, |phase| Some((phase.counters.throttle_events? as f64, 0.0)), words)
}

pub(super) fn clock_drop(subject: &Subject<'_>) -> Option<String> {
    let drop = |phase: &PhaseRecord| {
        phase.clock.map(|clock| ((clock.before_mhz - clock.after_mhz) / clock.before_mhz, CLOCK_LIMIT))
    };
    let words = |phase: &PhaseRecord, drop| {
        let clock = phase.clock.expect("a phase whose clock dropped has one");
        let (before, after) = (clock.before_mhz, clock.after_mhz);
        format!("the clock fell by {} from {before:.0} to {after:.0} MHz; heat, power or a neighbour", percent(drop))
    };
    worst(subject.phases, drop, words).or_else(|| clocks_apart(subject.phases))
}

/// Repeats of one phase on the same cores that ended at different clocks.
fn clocks_apart(phases: &[PhaseRecord]) -> Option<String> {
    let keys = groups(phases, |phase| (phase.phase, phase.engine, phase.concurrent, phase.cores.clone()));
    let apart = keys.iter().filter_map(|(_, repeats)| {
        let clocks: Vec<f64> = repeats.iter().filter_map(|phase| Some(phase.clock?.after_mhz)).collect();
        let max = clocks.iter().copied().reduce(f64::max)?;
        let min = clocks.iter().copied().reduce(f64::min)?;
        ((max - min) / max > CLOCK_LIMIT).then_some((repeats[0], min, max))
    });
    let apart: Vec<_> = apart.collect();
    let (phase, min, max) = apart.iter().max_by(|a, b| (a.2 / a.1).total_cmp(&(b.2 / b.1)))?;
    let several = of_several(apart.len(), "series");
    Some(format!("repeats of {} of {} ran at {min:.0} to {max:.0} MHz{several}", phase.phase, phase.engine))
}

pub(super) fn swapping(subject: &Subject<'_>) -> Option<String> {
    let words = |_: &PhaseRecord, pages| format!("the machine moved {pages} pages to or from swap");
    let swapped = worst(subject.phases, |phase| Some((swapped_pages(phase)? as f64, 0.0)), words);
    let has_swap = subject.host.memory.swap_total_bytes.is_some_and(|bytes| bytes > 0);
    let unknown = subject.phases.iter().find(|phase| has_swap && swapped_pages(phase).is_none());
    swapped.or_else(|| {
        unknown.map(|phase| format!("{}: the machine has swap and does not say whether it was used", name(phase)))
    })
}

pub(super) fn swapped_pages(phase: &PhaseRecord) -> Option<u64> {
    Some(phase.counters.swap_in_pages?.saturating_add(phase.counters.swap_out_pages?))
}

pub(super) fn major_faults(subject: &Subject<'_>) -> Option<String> {
    let faults = |phase: &PhaseRecord| Some((phase.counters.major_faults? as f64, faults_limit(phase)));
    worst(subject.phases, faults, |_, faults| format!("{faults} page faults read from storage"))
}

/// Page faults from storage that a phase may have.
pub(super) fn faults_limit(phase: &PhaseRecord) -> f64 {
    FAULTS_PER_S * phase.wall_s.max(1.0)
}

pub(super) fn pages(subject: &Subject<'_>) -> Option<String> {
    let is_p1 = |phase: &&PhaseRecord| (phase.phase, phase.engine) == (Phase::P1, Engine::Native);
    let p1 = || subject.phases.iter().filter(is_p1).filter_map(|phase| Some((phase, phase.pages.as_deref()?)));
    let asked = subject.pages.name();
    let other = p1().find(|&(_, pages)| subject.pages != Pages::Auto && pages != asked);
    if let Some((phase, pages)) = other {
        return Some(format!("{}: its layers lay on pages of {pages} where {asked} was asked for", name(phase)));
    }
    let kinds: BTreeSet<&str> = p1().map(|(_, pages)| pages).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    (kinds.len() > 1).then(|| format!("executions of p1 of native lay on different pages: {}", kinds.join(", ")))
}

pub(super) fn numa_misses(subject: &Subject<'_>) -> Option<String> {
    let missed = |phase: &PhaseRecord| {
        Some((phase.counters.numa_miss_pages? as f64, MISSES_LIMIT * phase.max_rss_bytes? as f64 / PAGE_BYTES))
    };
    worst(subject.phases, missed, |_, pages| format!("{pages} pages came from another NUMA node than wanted"))
}

pub(super) fn clock_stepped(subject: &Subject<'_>) -> Option<String> {
    let stepped = |phase: &PhaseRecord| Some((phase.counters.clock_step_s?.abs(), STEP_LIMIT_S));
    worst(subject.phases, stepped, |_, step| format!("the clock of the day was stepped by {step:.3} s"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::trial::record::ClockCheck;

    #[test]
    fn steal_at_its_limit_and_above() {
        Case::at_limit("steal", 0.005, 0.0051, |phase, ratio| phase.counters.steal_ratio = Some(ratio));
    }

    #[test]
    fn others_may_have_two_per_cent_of_the_cores() {
        // Two cores for 10 s.
        Case::at_limit("other-load", 0.4, 0.401, |phase, seconds| phase.counters.other_cpu_s = Some(seconds));
        let mut case = Case::good();
        case.phases[4].counters.other_cpu_s = Some(5.0);
        let text = &case.findings()[0].text;
        assert!(text.contains("repeat 4: other programs and the kernel took 5.00 s (25.0 %) of its cores"), "{text}");
    }

    #[test]
    fn one_throttling_is_too_much() {
        Case::at_limit("throttled", 0.0, 1.0, |phase, events| phase.counters.throttle_events = Some(events as u64));
    }

    #[test]
    fn one_page_of_swap_is_too_much_either_way() {
        Case::at_limit("swapping", 0.0, 1.0, |phase, pages| phase.counters.swap_in_pages = Some(pages as u64));
        Case::at_limit("swapping", 0.0, 1.0, |phase, pages| phase.counters.swap_out_pages = Some(pages as u64));
    }

    #[test]
    fn swap_that_is_not_counted_is_no_proof() {
        let with = |swap_total_bytes| {
            let mut case = Case::good();
            case.host.memory.swap_total_bytes = swap_total_bytes;
            case.phases[1].counters.swap_in_pages = None;
            case.codes()
        };
        assert_eq!(with(Some(0)), [""; 0]);
        assert_eq!(with(Some(1 << 30)), ["swapping"]);
    }

    #[test]
    fn major_faults_go_by_time() {
        Case::at_limit("major-faults", 100.0, 101.0, |phase, faults| phase.counters.major_faults = Some(faults as u64));
        let mut case = Case::with_walls(&[0.1; 10]);
        case.phases[0].counters.major_faults = Some(10);
        assert_eq!(case.codes(), [""; 0], "a short phase");
        case.phases[0].counters.major_faults = Some(11);
        assert_eq!(case.codes(), ["major-faults"]);
    }

    #[test]
    fn a_clock_may_fall_by_five_per_cent() {
        let clock =
            |phase: &mut PhaseRecord, after_mhz| phase.clock = Some(ClockCheck { before_mhz: 4000.0, after_mhz });
        Case::at_limit("clock-drop", 3800.0, 3799.0, clock);
        let mut case = Case::good();
        clock(&mut case.phases[2], 3000.0);
        let text = &case.findings()[0].text;
        assert!(text.contains("the clock fell by 25.0 % from 4000 to 3000 MHz"), "{text}");
    }

    #[test]
    fn repeats_may_run_at_clocks_five_per_cent_apart() {
        let slow = |phase: &mut PhaseRecord, mhz| phase.clock = Some(ClockCheck { before_mhz: mhz, after_mhz: mhz });
        Case::at_limit("clock-drop", 3800.0, 3799.0, slow);
        let mut case = Case::good();
        slow(&mut case.phases[9], 2000.0);
        case.phases[9].cores = vec![7, 8];
        case.phases[9].cores_seen = vec![7];
        assert_eq!(case.codes(), [""; 0], "other cores have clocks of their own");
    }

    #[test]
    fn a_core_outside_the_set_is_one_too_many() {
        let seen = |phase: &mut PhaseRecord, core| phase.cores_seen = vec![0, core as usize];
        Case::at_limit("affinity-not-honoured", 1.0, 2.0, seen);
    }

    #[test]
    fn pages_must_be_those_asked_for_and_the_same_in_all_repeats() {
        let with = |asked, got: [&str; 2]| {
            let mut case = Case { pages: asked, ..Case::good() };
            case.phases.iter_mut().enumerate().for_each(|(i, phase)| phase.pages = Some(got[i % 2].to_string()));
            case.codes()
        };
        assert_eq!(with(Pages::Auto, ["4KiB", "4KiB"]), [""; 0]);
        assert_eq!(with(Pages::Mib, ["2MiB", "2MiB"]), [""; 0]);
        assert_eq!(with(Pages::Mib, ["2MiB", "4KiB"]), ["pages-not-as-asked"]);
        assert_eq!(with(Pages::Auto, ["1GiB", "thp"]), ["pages-not-as-asked"]);
        let mut case = Case::good();
        case.phases.iter_mut().for_each(|phase| (phase.engine, phase.pages) = (Engine::Reference, Some("4KiB".into())));
        assert_eq!(case.codes(), [""; 0], "the setting is the native p1's");
    }

    #[test]
    fn numa_misses_go_by_memory() {
        // 1 % of 1 GiB is 2621.44 pages.
        Case::at_limit("numa-misses", 2621.0, 2622.0, |phase, pages| {
            phase.counters.numa_miss_pages = Some(pages as u64)
        });
    }

    #[test]
    fn clock_steps_count_either_way() {
        Case::at_limit("clock-stepped", 0.01, 0.0101, |phase, step| phase.counters.clock_step_s = Some(step));
        Case::at_limit("clock-stepped", -0.01, -0.0101, |phase, step| phase.counters.clock_step_s = Some(step));
    }

    #[test]
    fn a_phase_is_a_hundred_steps_of_the_clock_long() {
        let codes = |wall| Case::with_walls(&[wall; 10]).codes();
        assert_eq!(codes(2.5001e-6), [""; 0]);
        assert_eq!(codes(2.4999e-6), ["too-short"]);
    }

    #[test]
    fn what_the_machine_does_not_say_breaks_no_rule() {
        let mut case = Case::good();
        for phase in &mut case.phases {
            (phase.counters, phase.clock) = (Default::default(), None);
        }
        case.host.memory.swap_total_bytes = Some(0);
        assert_eq!(case.codes(), [""; 0]);
    }
}
