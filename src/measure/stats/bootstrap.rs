//! Intervals of confidence by resampling (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), from a fixed seed: the
//! same samples give the same interval on every machine.

use super::special::{normal_tail, student_quantile};
use crate::trial::record::Interval;

/// Resamples of an interval. The ends of a 95 % interval are then known to about a tenth of its width.
pub const RESAMPLES: usize = 2000;

/// Fewest samples from which a bootstrap interval of the median covers about 95 %. With fewer, the extremes of the resamples are the samples'
/// own and no choice among them reaches 95 %.
pub const ENOUGH: usize = 6;

/// From here on the resamples say nothing that order statistics do not, and would take long.
const MANY: usize = 1000;

/// So many standard deviations around the mean hold 95 % of a normal variable.
const NORMAL_95: f64 = 1.96;

const SEED: u64 = 0x5ea1_be9c;

/// The 95 % interval of the median; `None` for fewer than three samples.
///
/// From [`ENOUGH`] samples on: the middle of the resampled medians. With three to five: from the smallest to the largest, which covers the
/// median with a probability of 1 - 2^(1-n) (order statistics: 75, 87.5 and 94 %), the most that so few samples can say. From a
/// thousand on: between the order statistics that hold the median with 95 %, which is what the resampled medians tend to.
pub fn median_interval(samples: &[f64]) -> Option<Interval> {
    match samples.len() {
        0..3 => None,
        3..ENOUGH => Some(range(samples)),
        MANY.. => Some(order_statistics(samples)),
        _ => {
            let mut rng = SplitMix64::new(SEED);
            let mut scratch = samples.to_vec();
            Some(percentiles(
                (0..RESAMPLES).map(|_| resampled_median(samples, &mut scratch, &mut rng)).collect(),
                samples.len(),
            ))
        }
    }
}

/// The 95 % interval of median(b) / median(a) from resampled ratios; `None` if a side has fewer than [`ENOUGH`] samples or one
/// that is not above zero.
pub fn ratio_interval(a: &[f64], b: &[f64]) -> Option<Interval> {
    if a.len().min(b.len()) < ENOUGH || a.iter().chain(b).any(|x| *x <= 0.0) {
        return None;
    }
    let mut rng = SplitMix64::new(SEED);
    let (mut scratch_a, mut scratch_b) = (a.to_vec(), b.to_vec());
    let ratio = |_| resampled_median(b, &mut scratch_b, &mut rng) / resampled_median(a, &mut scratch_a, &mut rng);
    Some(percentiles((0..RESAMPLES).map(ratio).collect(), a.len().min(b.len())))
}

fn range(samples: &[f64]) -> Interval {
    let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
    Interval { low, high: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max) }
}

/// The samples between which the median lies with 95 %: how many are below it is binomial, by so many nearly normal.
fn order_statistics(samples: &[f64]) -> Interval {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let reach = (NORMAL_95 * (n as f64).sqrt() / 2.0).ceil() as usize;
    let low = (n / 2).saturating_sub(reach);
    Interval { low: sorted[low], high: sorted[n - 1 - low] }
}

/// The median of as many draws, with replacement, as there are samples.
fn resampled_median(samples: &[f64], scratch: &mut [f64], rng: &mut SplitMix64) -> f64 {
    for value in scratch.iter_mut() {
        *value = samples[rng.below(samples.len())];
    }
    let middle = scratch.len() / 2;
    let (below, upper, _) = scratch.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if samples.len() % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (lower + upper) / 2.0
}

/// The interval that leaves out as much of the resamples at each end as Student's quantile of `n` samples asks for in place of the normal one:
/// plain percentiles are too narrow for few samples (Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
fn percentiles(mut values: Vec<f64>, n: usize) -> Interval {
    let df = (n - 1) as f64;
    let share = normal_tail((n as f64 / df).sqrt() * student_quantile(0.05, df));
    values.sort_by(f64::total_cmp);
    let tail = (values.len() as f64 * share) as usize;
    Interval { low: values[tail], high: values[values.len() - 1 - tail] }
}

/// A small generator of random numbers (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator with a seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero; the bias of the multiplication is below 2^-32 for any count of samples.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::median;
    use super::super::testing::normal;
    use super::*;

    #[test]
    fn the_generator_gives_its_published_numbers() {
        // The first outputs for the seed 1234567 of the reference implementation.
        let mut rng = SplitMix64::new(1_234_567);
        let known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        assert_eq!(known.map(|_| rng.next_u64()), known);
    }

    #[test]
    fn the_interval_of_few_samples_is_their_range() {
        assert_eq!(median_interval(&[1.0, 2.0]), None);
        assert_eq!(median_interval(&[3.0, 1.0, 2.0]), Some(Interval { low: 1.0, high: 3.0 }));
        assert_eq!(median_interval(&[5.0, 1.0, 2.0, 3.0, 4.0]), Some(Interval { low: 1.0, high: 5.0 }));
    }

    #[test]
    fn an_interval_holds_the_true_median_as_often_as_it_says() {
        for (n, least) in [(6, 0.90), (10, 0.92), (25, 0.92), (MANY, 0.94), (MANY + 1, 0.94)] {
            let mut rng = SplitMix64::new(n as u64);
            let covered = (0..1000)
                .filter(|_| {
                    let samples: Vec<f64> = (0..n).map(|_| normal(&mut rng, 10.0, 0.1)).collect();
                    let interval = median_interval(&samples).unwrap();
                    interval.low <= 10.0 && 10.0 <= interval.high
                })
                .count();
            assert!(covered as f64 / 1000.0 >= least, "n = {n}: {covered} of 1000");
        }
    }

    #[test]
    fn the_interval_of_many_samples_is_that_of_few_and_takes_no_time() {
        let mut rng = SplitMix64::new(3);
        let mut times: Vec<f64> = (0..MANY).map(|_| normal(&mut rng, 10.0, 0.1)).collect();
        let (many, few) = (median_interval(&times).unwrap(), median_interval(&times[1..]).unwrap());
        assert!((many.low - few.low).abs() < 0.004 && (many.high - few.high).abs() < 0.004, "{many:?} {few:?}");
        times.extend((0..100_000).map(|_| normal(&mut rng, 10.0, 0.1)));
        let most = median_interval(&times).unwrap();
        assert!(most.low < 10.0 && 10.0 < most.high && most.high - most.low < 0.003, "{most:?}");
    }

    #[test]
    fn the_same_samples_give_the_same_interval() {
        let samples = [1.0, 1.2, 0.9, 1.1, 1.05, 0.95, 1.01];
        assert_eq!(median_interval(&samples), median_interval(&samples));
        let ratio = ratio_interval(&samples, &samples.map(|x| x * 2.0)).unwrap();
        assert!(ratio.low < 2.0 && 2.0 < ratio.high, "{ratio:?}");
        assert_eq!(ratio_interval(&[1.0; 4], &samples), None);
        assert_eq!(ratio_interval(&[0.0; 6], &samples), None);
        assert_eq!(ratio_interval(&[2.0; 6], &[1.0; 6]), Some(Interval { low: 0.5, high: 0.5 }));
    }

    #[test]
    fn a_resampled_median_of_an_even_count_lies_between_its_two_middle_draws() {
        let mut rng = SplitMix64::new(7);
        let samples = [1.0, 2.0, 4.0, 8.0];
        for _ in 0..100 {
            let mut scratch = samples;
            let drawn = resampled_median(&samples, &mut scratch, &mut rng);
            assert_eq!(Some(drawn), median(&scratch));
        }
    }
}
