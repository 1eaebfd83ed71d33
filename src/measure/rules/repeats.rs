//! Rules about how often something was measured and how far the samples are apart.

use super::{Subject, groups, of_several, percent};
use crate::measure::stats::{coefficient_of_variation, median};

/// The largest coefficient of variation of figures that may be reported (the Phoronix Test Suite's limit).
pub const CV_LIMIT: f64 = 0.035;

/// The largest difference of a run from itself.
pub const NOISE_LIMIT: f64 = 0.035;

/// Repeats that samples of this length need: the longer one takes, the more it averages by itself and the more it costs.
pub fn repeats_needed(walls: &[f64]) -> u32 {
    match median(walls) {
        Some(wall) if wall > 30.0 * 60.0 => 3,
        Some(wall) if wall > 60.0 => 5,
        _ => 10,
    }
}

/// Whether another repeat is worth its time: while there are fewer than needed, and then while they are too far apart, up to twice what is
/// needed and never more than `cap`.
pub fn wants_more(samples: &[f64], cap: u32) -> bool {
    let (n, needed) = (samples.len() as u32, repeats_needed(samples));
    let apart = coefficient_of_variation(samples).is_none_or(|cv| cv > CV_LIMIT);
    n < cap && (n < needed || (apart && n < 2 * needed))
}

pub(super) fn failed(subject: &Subject<'_>) -> Option<String> {
    (subject.failed_runs > 1).then(|| format!("{} repeats failed", subject.failed_runs))
}

pub(super) fn too_few(subject: &Subject<'_>) -> Option<String> {
    let keys = groups(subject.phases, |phase| (phase.phase, phase.engine, phase.concurrent));
    let short = keys.iter().filter_map(|((phase, engine, _), samples)| {
        let walls: Vec<f64> = samples.iter().map(|sample| sample.wall_s).collect();
        // Instances side by side are one repeat.
        let repeats = samples.iter().filter(|sample| sample.instance == samples[0].instance).count();
        let needed = repeats_needed(&walls) as usize;
        (repeats < needed)
            .then(|| format!("{phase} of {engine} was measured {repeats} times where {needed} are needed"))
    });
    let short: Vec<String> = short.collect();
    (!short.is_empty()).then(|| short.join(", "))
}

pub(super) fn spread(subject: &Subject<'_>) -> Option<String> {
    let wide: Vec<_> =
        subject.summary.iter().filter_map(|one| Some((one, one.cv.filter(|&cv| cv > CV_LIMIT)?))).collect();
    let (one, cv) = wide.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let several = of_several(wide.len(), "series");
    Some(format!("the repeats of {} of {} vary by {}{several}", one.phase, one.engine, percent(*cv)))
}

pub(super) fn noise(subject: &Subject<'_>) -> Option<String> {
    let far = subject.summary.iter().filter_map(|one| Some((one, one.noise.filter(|&noise| noise > NOISE_LIMIT)?)));
    let far: Vec<_> = far.collect();
    let (one, noise) = far.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let several = of_several(far.len(), "series");
    Some(format!("{} of {} differs from itself by {}{several}", one.phase, one.engine, percent(*noise)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn repeats_go_by_cost() {
        assert_eq!(repeats_needed(&[]), 10);
        assert_eq!(repeats_needed(&[60.0]), 10);
        assert_eq!(repeats_needed(&[60.1]), 5);
        assert_eq!(repeats_needed(&[1.0, 61.0, 9999.0]), 5, "the median");
        assert_eq!(repeats_needed(&[1800.0]), 5);
        assert_eq!(repeats_needed(&[1800.1]), 3);
    }

    /// Samples whose coefficient of variation is exactly this: half of them each side of 100.
    fn varied(n: usize, cv: f64) -> Vec<f64> {
        let d = 100.0 * cv * ((n - 1) as f64 / n as f64).sqrt();
        (0..n).map(|i| if i % 2 == 0 { 100.0 - d } else { 100.0 + d }).collect()
    }

    #[test]
    fn more_repeats_are_wanted_up_to_the_needed_ones_and_while_they_vary() {
        assert!(wants_more(&[], 20) && wants_more(&[1.0; 9], 20));
        assert!(!wants_more(&[1.0; 10], 20), "they do not vary");
        let five = |cv| wants_more(&varied(6, cv), 100);
        assert!(!five(0.0349) && five(0.0351));
        assert!(wants_more(&varied(8, 0.2), 100) && !wants_more(&varied(10, 0.2), 100), "twice five");
        assert!(!wants_more(&[1.0; 3], 3), "a cap below what is needed");
        assert!(!wants_more(&[], 0));
    }

    #[test]
    fn too_few_repeats_by_cost() {
        for (wall, needed) in [(10.0, 10), (100.0, 5), (2000.0, 3)] {
            assert_eq!(Case::with_walls(&vec![wall; needed]).codes(), [""; 0], "{wall}");
            let findings = Case::with_walls(&vec![wall; needed - 1]).findings();
            assert_eq!(findings[0].code, "too-few-repeats");
            let words = format!("p1 of native was measured {} times where {needed} are needed", needed - 1);
            assert!(findings[0].text.starts_with(&words), "{}", findings[0].text);
        }
    }

    #[test]
    fn instances_side_by_side_are_one_repeat() {
        let mut case = Case::good();
        for (index, phase) in case.phases.iter_mut().enumerate() {
            (phase.concurrent, phase.instance, phase.repeat) = (2, index as u32 % 2, index as u32 / 2);
        }
        assert!(case.findings()[0].text.contains("measured 5 times where 10 are needed"));
    }

    #[test]
    fn a_spread_at_its_limit_and_above() {
        assert_eq!(Case::with_walls(&varied(10, 0.03499)).codes(), [""; 0]);
        let findings = Case::with_walls(&varied(10, 0.036)).findings();
        assert_eq!(findings[0].code, "spread-too-wide");
        assert!(
            findings[0].text.starts_with("the repeats of p1 of native vary by 3.6 %: look"),
            "{}",
            findings[0].text
        );
    }

    #[test]
    fn noise_at_its_limit_and_above() {
        let with = |noise| Case { noise, ..Case::good() }.codes();
        assert_eq!(with(Some(0.035)), [""; 0]);
        assert_eq!(with(None), [""; 0]);
        assert_eq!(with(Some(0.0351)), ["noise"]);
    }

    #[test]
    fn one_failed_repeat_may_happen() {
        let with = |failed_runs| Case { failed_runs, ..Case::good() }.codes();
        assert_eq!(with(1), [""; 0]);
        assert_eq!(with(2), ["failed-runs"]);
    }
}
