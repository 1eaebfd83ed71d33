//! What a report says of a set of samples.

use super::units;
use crate::measure::stats;
use crate::measure::stats::bootstrap::median_interval;
use crate::trial::record::Interval;

/// Samples in the order in which they were taken, and what is told of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The samples.
    pub samples: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Median absolute deviation; none for one sample.
    pub mad: Option<f64>,
    /// How many repeats they are of.
    pub repeats: usize,
    /// Coefficient of variation of the repeats; none for one.
    pub cv: Option<f64>,
    /// Interval of the repeats' median, 95 % from six on, else their range; none for fewer than three.
    pub interval: Option<Interval>,
}

impl Statistics {
    /// The statistics of samples of which each is a repeat; none without samples.
    pub fn of(samples: Vec<f64>) -> Option<Statistics> {
        let repeats = samples.clone();
        Statistics::of_repeats(samples, &repeats)
    }

    /// The statistics of samples of which several were taken side by side: their spread is that of the repeats, each with its median.
    pub fn of_repeats(samples: Vec<f64>, repeats: &[f64]) -> Option<Statistics> {
        Some(Statistics {
            median: stats::median(&samples)?,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mad: stats::mad(&samples),
            cv: stats::coefficient_of_variation(repeats),
            interval: median_interval(repeats),
            repeats: repeats.len(),
            samples,
        })
    }

    /// The interval as a pair.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.interval.map(|interval| (interval.low, interval.high))
    }

    /// The interval in words; empty without one.
    pub fn interval_text(&self, figure: fn(f64) -> String) -> String {
        self.ends().map_or_else(String::new, |ends| units::interval(ends, self.repeats, figure))
    }

    /// Which samples are far from the others.
    pub fn outliers(&self) -> Vec<bool> {
        stats::outliers(&self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_samples_taken_side_by_side_is_that_of_the_repeats() {
        let samples = vec![10.0, 14.0, 11.0, 15.0, 12.0, 16.0];
        let all = Statistics::of_repeats(samples, &[12.0, 13.0, 14.0]).unwrap();
        assert_eq!((all.median, all.min, all.max, all.ends()), (13.0, 10.0, 16.0, Some((12.0, 14.0))));
        assert!((all.cv.unwrap() - 1.0 / 13.0).abs() < 1e-12);
        let one = Statistics::of_repeats(vec![10.0, 14.0, 11.0, 15.0], &[12.5]).unwrap();
        assert_eq!((one.cv, one.interval), (None, None), "instances side by side say nothing of the spread");
        assert!(Statistics::of(Vec::new()).is_none());
    }
}
