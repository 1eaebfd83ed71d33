//! Samples that are far from the others. They are told and never dropped.

use super::{mad, median};

/// Fewest samples among which one can be far away.
const FEWEST: usize = 5;

/// Distance from the median, in standard deviations that the MAD stands for (Iglewicz and Hoaglin, How to detect and handle outliers, 1993).
const FAR: f64 = 3.5;

/// The standard deviation of a normal distribution over its MAD.
const SIGMA_PER_MAD: f64 = 1.4826;

/// Samples nearer to the median than this share of it are none, however quiet the others are.
const NEAR: f64 = 0.01;

/// Which samples are far from the median of all; none of fewer than five.
pub fn outliers(samples: &[f64]) -> Vec<bool> {
    let (Some(centre), Some(mad), FEWEST..) = (median(samples), mad(samples), samples.len()) else {
        return vec![false; samples.len()];
    };
    let distance = (FAR * SIGMA_PER_MAD * mad).max(NEAR * centre);
    samples.iter().map(|sample| (sample - centre).abs() > distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(samples: &[f64]) -> Vec<usize> {
        outliers(samples).iter().enumerate().filter(|(_, far)| **far).map(|(place, _)| place).collect()
    }

    #[test]
    fn samples_that_stand_apart_are_named() {
        // By hand: median 10, MAD 1; 3.5 x 1.4826 = 5.189.
        assert_eq!(places(&[9.0, 10.0, 11.0, 9.0, 10.0, 11.0, 15.2, 4.8, 15.1]), [6, 7]);
        assert_eq!(places(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.009, 1.011]), [6], "where the MAD is 0 a hundredth is near");
        assert!(places(&[1.0, 1.01, 0.99, 1.02, 0.98]).is_empty());
        assert!(places(&[100.0, 1.0, 1.0, 1.0]).is_empty() && places(&[]).is_empty(), "four samples tell nothing");
    }
}
