//! Whether two sets of wall times differ.

use super::bootstrap::{self, ENOUGH};
use super::median;
use super::rank::mann_whitney;
use super::ratio::Estimate;
use crate::trial::record::Interval;

/// Two sides differ only if chance alone would show such a difference less often than this.
///
/// It is stricter than the 95 % of the intervals, since a comparison is a table: with a dozen phases and spans, one in twenty would be wrong in
/// every other table.
pub const LEVEL: f64 = 0.01;

/// How the second side compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes less time.
    Faster,
    /// It takes more time.
    Slower,
    /// The samples do not tell them apart.
    NotDistinguishable,
}

impl Verdict {
    /// The name used in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::NotDistinguishable => "not distinguishable",
        }
    }

    /// The verdict with the sides exchanged; also that on rates, where more is faster, in place of times.
    pub fn reversed(self) -> Verdict {
        match self {
            Verdict::Faster => Verdict::Slower,
            Verdict::Slower => Verdict::Faster,
            Verdict::NotDistinguishable => self,
        }
    }
}

/// The second side's times against the first's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Median of the second over median of the first; NaN if a side has no samples or one that is not above zero.
    pub ratio: f64,
    /// Lower end of the ratio's 95 % interval; 0 where nothing is known.
    pub low: f64,
    /// Its upper end; infinite where nothing is known.
    pub high: f64,
    /// Probability of such a difference if there is none.
    pub p: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Samples of the first side.
    pub n_a: usize,
    /// Samples of the second side.
    pub n_b: usize,
}

/// Compares the times `b` with the times `a`.
///
/// With six samples a side and more: the Mann-Whitney test and a bootstrap interval of the ratio of medians, which assume no distribution. With
/// two to five, where ranks cannot tell much: Student's distribution on the ratio's propagated error, which takes the samples as normal. A
/// single sample a side says nothing about its spread, so nothing is told from it.
///
/// The sides differ if p is below [`LEVEL`], the interval leaves out 1, and the ratio is farther from 1 than `noise_floor` (0.01 is 1 %), what
/// the machine shows between equal runs.
pub fn judge(a: &[f64], b: &[f64], noise_floor: Option<f64>) -> Comparison {
    let mut comparison = Comparison {
        ratio: f64::NAN,
        low: 0.0,
        high: f64::INFINITY,
        p: 1.0,
        verdict: Verdict::NotDistinguishable,
        n_a: a.len(),
        n_b: b.len(),
    };
    let usable = |samples: &[f64]| median(samples).filter(|_| samples.iter().all(|x| *x > 0.0 && x.is_finite()));
    let (Some(median_a), Some(median_b)) = (usable(a), usable(b)) else { return comparison };
    comparison.ratio = median_b / median_a;
    if let Some((interval, p)) = by_ranks(a, b).or_else(|| by_errors(a, b)) {
        let Interval { low, high } = interval;
        let distance = comparison.ratio.max(1.0 / comparison.ratio) - 1.0;
        let differ = p < LEVEL && (high < 1.0 || low > 1.0) && distance > noise_floor.unwrap_or(0.0);
        let verdict = if !differ {
            Verdict::NotDistinguishable
        } else if comparison.ratio < 1.0 {
            Verdict::Faster
        } else {
            Verdict::Slower
        };
        comparison = Comparison { low, high, p, verdict, ..comparison };
    }
    comparison
}

fn by_ranks(a: &[f64], b: &[f64]) -> Option<(Interval, f64)> {
    if a.len().min(b.len()) < ENOUGH {
        return None;
    }
    Some((bootstrap::ratio_interval(a, b)?, mann_whitney(a, b)?.p))
}

fn by_errors(a: &[f64], b: &[f64]) -> Option<(Interval, f64)> {
    let ratio = Estimate::of_median(b)?.over(Estimate::of_median(a)?)?;
    Some((ratio.interval(), ratio.p_of_one()))
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::SplitMix64;
    use super::super::testing::{skewed, times};
    use super::*;

    const TRIALS: u32 = 400;

    type Samples = fn(&mut SplitMix64, usize, f64) -> Vec<f64>;

    /// In how many of the trials the second side, `factor` times as long, is told apart in the right direction, and in how many in the wrong one.
    fn rates(samples: Samples, n: (usize, usize), factor: f64) -> (u32, u32) {
        let mut rng = SplitMix64::new(n.0 as u64);
        let (mut slower, mut faster) = (0, 0);
        for _ in 0..TRIALS {
            let a = samples(&mut rng, n.0, 10.0);
            let b = samples(&mut rng, n.1, 10.0 * factor);
            match judge(&a, &b, None).verdict {
                Verdict::Slower => slower += 1,
                Verdict::Faster => faster += 1,
                Verdict::NotDistinguishable => {}
            }
        }
        (slower, faster)
    }

    #[test]
    fn equal_distributions_are_not_told_apart() {
        for samples in [times as Samples, skewed] {
            for n in [(10, 10), (2, 2), (3, 3), (4, 4), (5, 5), (2, 10), (6, 6), (30, 30)] {
                let (slower, faster) = rates(samples, n, 1.0);
                assert!(slower + faster <= TRIALS / 20, "{n:?}: {slower} + {faster} of {TRIALS} trials");
            }
        }
    }

    #[test]
    fn three_percent_are_told_apart_with_ten_samples_of_one_percent_spread() {
        let (slower, faster) = rates(times, (10, 10), 1.03);
        assert!(slower >= TRIALS * 98 / 100 && faster == 0, "{slower} and {faster} of {TRIALS} trials");
        let (slower, faster) = rates(times, (10, 10), 0.97);
        assert!(faster >= TRIALS * 98 / 100 && slower == 0, "{slower} and {faster} of {TRIALS} trials");
    }

    #[test]
    fn few_samples_tell_large_differences_and_keep_quiet_about_small_ones() {
        for (n, factor, least, most) in [(2, 2.0, 90, 100), (3, 1.2, 98, 100), (4, 1.1, 98, 100), (3, 1.01, 0, 5)] {
            let (slower, faster) = rates(times, (n, n), factor);
            assert!(
                least * TRIALS <= slower * 100 && slower * 100 <= most * TRIALS && faster == 0,
                "{n}, {factor}: {slower} and {faster} of {TRIALS} trials"
            );
        }
    }

    #[test]
    fn three_percent_are_told_apart_above_a_noise_floor_that_the_samples_show_themselves() {
        let mut rng = SplitMix64::new(3);
        let noise = |samples: &[f64]| {
            let half = |first| median(&samples.iter().copied().skip(first).step_by(2).collect::<Vec<_>>()).unwrap();
            2.0 * (half(0) - half(1)).abs() / (half(0) + half(1))
        };
        let detected = (0..TRIALS).filter(|_| {
            let (a, b) = (times(&mut rng, 10, 10.0), times(&mut rng, 10, 10.3));
            judge(&a, &b, Some(noise(&a).max(noise(&b)))).verdict == Verdict::Slower
        });
        let detected = detected.count() as u32;
        assert!(detected >= TRIALS * 96 / 100, "{detected} of {TRIALS} trials");
    }

    #[test]
    fn a_single_sample_a_side_tells_nothing() {
        for (a, b) in [(vec![1.0], vec![100.0]), (vec![1.0], vec![100.0; 20]), (vec![1.0; 3], vec![100.0])] {
            let comparison = judge(&a, &b, None);
            assert_eq!((comparison.ratio, comparison.verdict), (100.0, Verdict::NotDistinguishable));
            assert_eq!((comparison.low, comparison.high, comparison.p), (0.0, f64::INFINITY, 1.0));
        }
    }

    #[test]
    fn a_difference_below_the_noise_floor_is_none() {
        let a: Vec<f64> = (0..20).map(|i| 10.0 + 0.001 * f64::from(i)).collect();
        let b: Vec<f64> = a.iter().map(|x| x * 1.02).collect();
        assert_eq!(judge(&a, &b, None).verdict, Verdict::Slower);
        assert_eq!(judge(&a, &b, Some(0.019)).verdict, Verdict::Slower);
        assert_eq!(judge(&a, &b, Some(0.021)).verdict, Verdict::NotDistinguishable);
        assert_eq!(judge(&b, &a, Some(0.021)).verdict, Verdict::NotDistinguishable);
        assert_eq!(judge(&b, &a, Some(0.019)).verdict, Verdict::Faster);
    }

    #[test]
    fn what_is_no_time_is_not_compared() {
        for bad in [&[][..], &[0.0, 1.0], &[-1.0, 1.0], &[f64::NAN, 1.0], &[f64::INFINITY, 1.0]] {
            let comparison = judge(bad, &[1.0, 2.0], None);
            assert!(comparison.ratio.is_nan() && comparison.verdict == Verdict::NotDistinguishable, "{bad:?}");
        }
    }
}
