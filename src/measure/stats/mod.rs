//! Statistics over repeats, as pure functions.

pub mod bootstrap;
mod outliers;
pub mod rank;
pub mod ratio;
pub mod scaling;
mod special;
pub mod verdict;

pub use outliers::outliers;
pub use verdict::{Comparison, Verdict, judge};

use std::collections::BTreeMap;

use crate::trial::record::{PhaseRecord, Summary};

/// The median; `None` without samples. Samples must not be NaN.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sorted[n / 2]),
        _ => Some((sorted[n / 2 - 1] + sorted[n / 2]) / 2.0),
    }
}

/// The median absolute deviation from the median; `None` for fewer than two samples.
pub fn mad(samples: &[f64]) -> Option<f64> {
    let centre = median(samples).filter(|_| samples.len() > 1)?;
    median(&samples.iter().map(|x| (x - centre).abs()).collect::<Vec<_>>())
}

/// The coefficient of variation, sample standard deviation (n - 1) over mean; `None` for fewer than two samples or a zero mean.
pub fn coefficient_of_variation(samples: &[f64]) -> Option<f64> {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    if samples.len() < 2 || mean == 0.0 {
        return None;
    }
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(variance.sqrt() / mean)
}

/// How far the medians of the even and the odd repeats are apart, over their mean; `None` for fewer than four repeats.
///
/// Both halves ran the same, interleaved: what they differ by is the noise of this run against itself.
pub fn noise(samples: &[(u32, f64)]) -> Option<f64> {
    let mut repeats: Vec<u32> = samples.iter().map(|(repeat, _)| *repeat).collect();
    repeats.sort_unstable();
    repeats.dedup();
    if repeats.len() < 4 {
        return None;
    }
    let half = |rest: u32| {
        let samples = samples.iter().filter(|(repeat, _)| repeat % 2 == rest).map(|(_, sample)| *sample);
        median(&samples.collect::<Vec<_>>())
    };
    let (even, odd) = (half(0)?, half(1)?);
    (even + odd > 0.0).then(|| 2.0 * (even - odd).abs() / (even + odd))
}

/// The wall times of each phase, engine and number of instances side by side, in the order they first appear.
pub fn series<'a>(phases: impl Iterator<Item = &'a PhaseRecord>) -> Vec<Vec<f64>> {
    grouped(phases).into_iter().map(|group| group.iter().map(|phase| phase.wall_s).collect()).collect()
}

/// The records of each phase, engine and number of instances side by side, in the order they first appear.
fn grouped<'a>(phases: impl Iterator<Item = &'a PhaseRecord>) -> Vec<Vec<&'a PhaseRecord>> {
    let mut groups: Vec<Vec<&PhaseRecord>> = Vec::new();
    let key = |phase: &PhaseRecord| (phase.phase, phase.engine, phase.concurrent);
    for phase in phases {
        match groups.iter_mut().find(|group| key(group[0]) == key(phase)) {
            Some(group) => group.push(phase),
            None => groups.push(vec![phase]),
        }
    }
    groups
}

/// The medians of samples of one repeat each, in the order in which the repeats first appear: what ran side by side is one sample.
pub fn by_repeat<K: Ord>(samples: &[(K, f64)]) -> Vec<f64> {
    let mut places: BTreeMap<&K, usize> = BTreeMap::new();
    let mut repeats: Vec<Vec<f64>> = Vec::new();
    for (repeat, sample) in samples {
        let place = *places.entry(repeat).or_insert(repeats.len());
        if place == repeats.len() {
            repeats.push(Vec::new());
        }
        repeats[place].push(*sample);
    }
    repeats.iter().filter_map(|of_repeat| median(of_repeat)).collect()
}

/// One summary per phase, engine and number of instances side by side, in the order they first appear. Its spread is that of the repeats.
pub fn summarize(phases: &[PhaseRecord]) -> Vec<Summary> {
    let summary = |group: Vec<&PhaseRecord>| {
        let samples: Vec<f64> = group.iter().map(|phase| phase.wall_s).collect();
        let samples_of: Vec<(u32, f64)> = group.iter().map(|phase| (phase.repeat, phase.wall_s)).collect();
        let repeats = by_repeat(&samples_of);
        Some(Summary {
            phase: group[0].phase,
            engine: group[0].engine,
            concurrent: group[0].concurrent,
            n: samples.len() as u32,
            median: median(&samples)?,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mad: mad(&samples),
            cv: coefficient_of_variation(&repeats),
            ci: bootstrap::median_interval(&repeats),
            noise: noise(&samples_of),
        })
    };
    grouped(phases.iter()).into_iter().filter_map(summary).collect()
}

#[cfg(test)]
mod testing {
    //! Samples to test with.

    use super::bootstrap::SplitMix64;

    /// A normal variable (Box and Muller).
    pub fn normal(rng: &mut SplitMix64, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * rng.unit()).cos()
    }

    /// Wall times with a coefficient of variation of 1 %.
    pub fn times(rng: &mut SplitMix64, n: usize, mean: f64) -> Vec<f64> {
        (0..n).map(|_| normal(rng, mean, mean / 100.0)).collect()
    }

    /// Wall times as a busy machine shows them: most within half a percent above the fastest, one in ten up to 10 % longer.
    pub fn skewed(rng: &mut SplitMix64, n: usize, fastest: f64) -> Vec<f64> {
        let one = |rng: &mut SplitMix64| {
            let late = if rng.unit() < 0.1 { 0.1 * rng.unit() } else { 0.0 };
            fastest * (1.0 + 0.005 * rng.unit() + late)
        };
        (0..n).map(|_| one(rng)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn medians_and_spreads_of_known_samples() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
        assert_eq!(mad(&[5.0]), None);
        assert_eq!(coefficient_of_variation(&[5.0]), None);
        let cv = coefficient_of_variation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((cv - (32.0f64 / 7.0).sqrt() / 5.0).abs() < 1e-12);
    }

    #[test]
    fn noise_is_the_distance_of_even_and_odd_repeats() {
        // Even: 10, 12, 14. Odd: 11, 13. 12 against 12.
        let samples = |values: &[f64]| (0..).zip(values.iter().copied()).collect::<Vec<_>>();
        assert_eq!(noise(&samples(&[10.0, 11.0, 12.0, 13.0, 14.0])), Some(0.0));
        assert_eq!(noise(&samples(&[10.0, 30.0, 10.0, 30.0])), Some(1.0));
        assert_eq!(noise(&samples(&[1.0, 2.0, 3.0])), None);
        assert_eq!(noise(&[(0, 1.0), (0, 2.0), (1, 1.0), (1, 3.0)]), None, "two repeats of two instances");
        assert_eq!(noise(&[(0, 1.0), (2, 1.0), (4, 1.0), (6, 1.0)]), None, "no odd one");
    }

    #[test]
    fn a_summary_has_the_interval_and_noise_of_its_own_samples() {
        let record = sample::record("a");
        let repeats = |walls: &[f64]| -> Vec<PhaseRecord> {
            let one = |(repeat, &wall_s)| PhaseRecord { repeat, wall_s, ..record.phases[0].clone() };
            (0..).zip(walls).map(one).collect()
        };
        let mut phases = repeats(&[1.0, 3.0, 1.0, 3.0]);
        phases.push(PhaseRecord { concurrent: 2, ..record.phases[0].clone() });
        let [alone, crowded] = summarize(&phases).try_into().unwrap();
        assert_eq!((alone.n, alone.median, alone.ci.map(|ci| (ci.low, ci.high))), (4, 2.0, Some((1.0, 3.0))));
        assert_eq!(alone.noise, Some(1.0));
        assert_eq!((crowded.n, crowded.ci, crowded.noise), (1, None, None));
    }

    #[test]
    fn instances_side_by_side_are_one_sample_of_the_spread() {
        let record = sample::record("a");
        let one = |(repeat, instance, wall_s)| PhaseRecord {
            repeat,
            instance,
            wall_s,
            concurrent: 2,
            ..record.phases[0].clone()
        };
        let walls = [(0, 0, 10.0), (0, 1, 14.0), (1, 0, 11.0), (1, 1, 15.0), (2, 0, 12.0), (2, 1, 16.0)];
        let [summary] = summarize(&walls.map(one)).try_into().unwrap();
        assert_eq!((summary.n, summary.median, summary.min, summary.max), (6, 13.0, 10.0, 16.0));
        assert_eq!(summary.ci, Some(crate::trial::record::Interval { low: 12.0, high: 14.0 }));
        assert!((summary.cv.unwrap() - 1.0 / 13.0).abs() < 1e-12, "{summary:?}");
        let [single] = summarize(&walls.map(one)[..2]).try_into().unwrap();
        assert_eq!((single.cv, single.ci), (None, None));
    }
}
