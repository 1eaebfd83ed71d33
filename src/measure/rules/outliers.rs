//! Samples that are far from the others, and what may have made them so. They are told and never dropped.

use super::{groups, load, percent};
use crate::measure::stats::{median, outliers};
use crate::trial::record::{Finding, PhaseRecord, Severity};

/// Most outliers that are named.
const NAMED: usize = 10;

/// The finding about the outliers among the repeats of each phase and instance.
pub(super) fn find(phases: &[PhaseRecord]) -> Option<Finding> {
    let keys = groups(phases, |phase| (phase.phase, phase.engine, phase.concurrent, phase.instance));
    let outliers: Vec<String> = keys.iter().flat_map(|(_, samples)| of_series(samples)).collect();
    let mut named = outliers.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if outliers.len() > NAMED {
        named += &format!("; and {} more", outliers.len() - NAMED);
    }
    let text = || format!("{named}; outliers are in all figures: remove their cause rather than them");
    (!outliers.is_empty()).then(|| Finding::new("outliers", Severity::Info, text()))
}

fn of_series(samples: &[&PhaseRecord]) -> Vec<String> {
    let walls: Vec<f64> = samples.iter().map(|sample| sample.wall_s).collect();
    let Some(centre) = median(&walls) else { return Vec::new() };
    let far = samples.iter().zip(outliers(&walls)).filter(|(_, is_far)| *is_far).map(|(sample, _)| sample);
    let told = far.map(|sample| {
        let causes = causes(sample, samples, sample.wall_s > centre);
        let causes = if causes.is_empty() { "no counter says why".to_string() } else { causes.join(", ") };
        format!("{} took {:.4} s where the median is {centre:.4} s ({causes})", super::name(sample), sample.wall_s)
    });
    told.collect()
}

/// What sets a sample apart from the others in the direction in which its time is off, likeliest first.
fn causes(sample: &PhaseRecord, all: &[&PhaseRecord], slow: bool) -> Vec<String> {
    let counters = &sample.counters;
    let clock = clock_ratio(sample, all);
    if !slow {
        return clock
            .filter(|&ratio| ratio > 1.01)
            .map(|ratio| format!("clock {} higher", percent(ratio - 1.0)))
            .into_iter()
            .collect();
    }
    let steal = counters.steal_ratio.filter(|&ratio| ratio > 0.001).map(|ratio| format!("steal {}", percent(ratio)));
    let swapped = load::swapped_pages(sample).filter(|&pages| pages > 0).map(|pages| format!("{pages} pages swapped"));
    let throttled =
        counters.throttle_events.filter(|&events| events > 0).map(|events| format!("throttled {events} times"));
    let clock = clock.filter(|&ratio| ratio < 0.99).map(|ratio| format!("clock {} lower", percent(1.0 - ratio)));
    let others = counters.other_cpu_s.map(|seconds| seconds / load::capacity(sample)).filter(|&share| share > 0.005);
    let others = others.map(|share| format!("other load {}", percent(share)));
    let faults = counters.major_faults.filter(|&faults| faults as f64 > load::faults_limit(sample) / 10.0);
    let faults = faults.map(|faults| format!("{faults} page faults from storage"));
    [steal, swapped, throttled, clock, others, faults, switches(sample, all)].into_iter().flatten().collect()
}

/// The sample's clock over the median of all.
fn clock_ratio(sample: &PhaseRecord, all: &[&PhaseRecord]) -> Option<f64> {
    let clocks: Vec<f64> = all.iter().filter_map(|other| Some(other.clock?.after_mhz)).collect();
    Some(sample.clock?.after_mhz / median(&clocks)?)
}

/// Involuntary switches, where they are more than twice as many as usual and more than ten a second.
fn switches(sample: &PhaseRecord, all: &[&PhaseRecord]) -> Option<String> {
    let of = |phase: &PhaseRecord| phase.counters.involuntary_switches.map(|switches| switches as f64);
    let usual = median(&all.iter().filter_map(|&other| of(other)).collect::<Vec<_>>())?;
    let many = of(sample).filter(|&switches| switches > 2.0 * usual && switches > 10.0 * sample.wall_s)?;
    Some(format!("taken off its cores {many} times, usually {usual}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::trial::record::ClockCheck;

    /// The finding about a series of which one sample was changed.
    fn found(walls: &[f64], index: usize, change: impl FnOnce(&mut PhaseRecord)) -> Option<String> {
        let mut case = Case::with_walls(walls);
        change(&mut case.phases[index]);
        let finding = find(&case.phases)?;
        assert_eq!((finding.code.as_str(), finding.severity), ("outliers", Severity::Info));
        Some(finding.text)
    }

    const WALLS: [f64; 7] = [10.0, 10.1, 9.9, 10.0, 12.0, 10.1, 9.9];

    #[test]
    fn a_slow_repeat_is_named_with_its_likely_causes() {
        let text = found(&WALLS, 4, |phase| phase.counters.steal_ratio = Some(0.15)).unwrap();
        assert!(
            text.starts_with("p1 of native, repeat 4 took 12.0000 s where the median is 10.0000 s (steal 15.0 %);"),
            "{text}"
        );
        let cause = |change: fn(&mut PhaseRecord)| {
            let text = found(&WALLS, 4, change).unwrap();
            text.split_once('(').unwrap().1.split_once(')').unwrap().0.to_string()
        };
        assert_eq!(cause(|_| ()), "no counter says why");
        assert_eq!(cause(|phase| phase.counters.swap_out_pages = Some(9)), "9 pages swapped");
        assert_eq!(cause(|phase| phase.counters.throttle_events = Some(2)), "throttled 2 times");
        assert_eq!(cause(|phase| phase.counters.other_cpu_s = Some(2.4)), "other load 10.0 %");
        assert_eq!(cause(|phase| phase.counters.major_faults = Some(50)), "50 page faults from storage");
        let slower = |phase: &mut PhaseRecord| phase.clock = Some(ClockCheck { before_mhz: 4000.0, after_mhz: 3400.0 });
        assert_eq!(cause(slower), "clock 15.0 % lower");
        let switched = |phase: &mut PhaseRecord| phase.counters.involuntary_switches = Some(5000);
        assert_eq!(cause(switched), "taken off its cores 5000 times, usually 10");
    }

    #[test]
    fn a_fast_repeat_is_one_too_and_no_load_explains_it() {
        let walls = WALLS.map(|wall| 20.0 - wall);
        let text = found(&walls, 4, |phase| phase.counters.steal_ratio = Some(0.15)).unwrap();
        assert!(text.contains("repeat 4 took 8.0000 s") && text.contains("(no counter says why)"), "{text}");
        let faster = |phase: &mut PhaseRecord| phase.clock = Some(ClockCheck { before_mhz: 4000.0, after_mhz: 4800.0 });
        assert!(found(&walls, 4, faster).unwrap().contains("(clock 20.0 % higher)"));
    }

    #[test]
    fn distance_is_measured_by_the_median_deviation() {
        // Median 100, MAD 1: the limit is 3.5 x 1.4826 = 5.1891.
        let series = |last: f64| [99.0, 100.0, 101.0, 99.0, 101.0, 100.0, last];
        assert_eq!(found(&series(105.18), 0, |_| ()), None);
        assert!(found(&series(105.20), 0, |_| ()).is_some());
        // MAD 0: the limit is 1 %.
        let quiet = |last: f64| [100.0, 100.0, 100.0, 100.0, last];
        assert_eq!(found(&quiet(100.99), 0, |_| ()), None);
        assert!(found(&quiet(101.01), 0, |_| ()).is_some());
    }

    #[test]
    fn few_samples_have_no_outliers_and_instances_are_series_of_their_own() {
        assert_eq!(found(&[10.0, 10.0, 10.0, 20.0], 0, |_| ()), None);
        let mut case = Case::with_walls(&[10.0, 20.0, 10.0, 20.0, 10.0, 20.0, 10.0, 20.0, 10.0, 20.0]);
        for (index, phase) in case.phases.iter_mut().enumerate() {
            (phase.concurrent, phase.instance) = (2, index as u32 % 2);
        }
        assert_eq!(find(&case.phases), None);
    }

    #[test]
    fn of_many_outliers_ten_are_named() {
        let walls: Vec<f64> = (0..40).map(|i| if i % 3 == 0 { 20.0 + f64::from(i) } else { 10.0 }).collect();
        let text = find(&Case::with_walls(&walls).phases).unwrap().text;
        assert_eq!(text.matches("took").count(), 10);
        assert!(text.contains("; and 4 more; outliers are in all figures"), "{text}");
    }
}
