//! What a report says of a set of samples.

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
    /// Coefficient of variation; none for one sample.
    pub cv: Option<f64>,
    /// 95 % interval of the median; none for fewer than three samples.
    pub interval: Option<Interval>,
}

impl Statistics {
    /// The statistics of samples; none without samples.
    pub fn of(samples: Vec<f64>) -> Option<Statistics> {
        Some(Statistics {
            median: stats::median(&samples)?,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mad: stats::mad(&samples),
            cv: stats::coefficient_of_variation(&samples),
            interval: median_interval(&samples),
            samples,
        })
    }

    /// The interval as a pair.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.interval.map(|interval| (interval.low, interval.high))
    }

    /// Which samples lie more than 1.5 interquartile ranges beyond the quartiles (Tukey 1977); none of fewer than five.
    pub fn outliers(&self) -> Vec<bool> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        if sorted.len() < 5 {
            return vec![false; sorted.len()];
        }
        let (lower, upper) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
        let reach = 1.5 * (upper - lower);
        self.samples.iter().map(|sample| *sample < lower - reach || *sample > upper + reach).collect()
    }
}

/// The quantile of sorted samples, linear between neighbours (Hyndman and Fan's type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_beyond_tukeys_fences() {
        // Quartiles 2 and 4, so the fences are at -1 and 7.
        let outliers = |samples: &[f64]| Statistics::of(samples.to_vec()).unwrap().outliers();
        assert_eq!(outliers(&[7.1, 1.0, 2.0, 3.0, 4.0]), [true, false, false, false, false]);
        assert_eq!(outliers(&[7.0, 1.0, 2.0, 3.0, 4.0]), [false; 5]);
        assert_eq!(outliers(&[100.0, 1.0, 1.0, 1.0]), [false; 4], "four samples tell nothing");
    }

    #[test]
    fn quantiles_of_the_numbers_one_to_ten() {
        let numbers: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&numbers, share)), [1.0, 3.25, 5.5, 7.75, 10.0]);
        assert!(Statistics::of(Vec::new()).is_none());
    }
}
