//! The error of a ratio, propagated from the errors of its parts (delta method: Casella and Berger, Statistical Inference, 5.5.4).

use super::median;
use super::special::{student_quantile, student_two_sided};
use crate::trial::record::Interval;

/// The standard error of a median over that of a mean for many normal samples, sqrt(pi / 2). For few samples it is an upper bound.
const MEDIAN_TO_MEAN: f64 = 1.253_314_137_315_5;

/// A figure with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error, in the same unit.
    pub error: f64,
    /// Degrees of freedom that the error was estimated with.
    pub df: f64,
}

impl Estimate {
    /// The median of samples with the error that it has for normal ones; `None` for fewer than two.
    pub fn of_median(samples: &[f64]) -> Option<Estimate> {
        let n = samples.len() as f64;
        let value = median(samples).filter(|_| samples.len() > 1)?;
        let mean = samples.iter().sum::<f64>() / n;
        let deviation = (samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let factor = if samples.len() == 2 { 1.0 } else { MEDIAN_TO_MEAN };
        Some(Estimate { value, error: factor * deviation / n.sqrt(), df: n - 1.0 })
    }

    /// This figure over an independent one; `None` unless both are above zero.
    ///
    /// The squares of the relative errors add up; the degrees of freedom are Welch's and Satterthwaite's.
    pub fn over(self, other: Estimate) -> Option<Estimate> {
        if !(self.value > 0.0 && other.value > 0.0) {
            return None;
        }
        let [a, b] = [self, other].map(|part| (part.error / part.value).powi(2));
        let value = self.value / other.value;
        let df =
            if a + b > 0.0 { (a + b).powi(2) / (a * a / self.df + b * b / other.df) } else { self.df.min(other.df) };
        Some(Estimate { value, error: value * (a + b).sqrt(), df })
    }

    /// The 95 % interval of a ratio, symmetric on a logarithmic scale: so that a over b and b over a say the same.
    pub fn interval(self) -> Interval {
        let reach = (student_quantile(0.05, self.df) * self.error / self.value).exp();
        Interval { low: self.value / reach, high: self.value * reach }
    }

    /// Probability of a ratio at least as far from 1, either way, if the true one is 1.
    pub fn p_of_one(self) -> f64 {
        let distance = self.value.ln().abs();
        if distance == 0.0 { 1.0 } else { student_two_sided(distance * self.value / self.error, self.df) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() <= 1e-9, "{a} is not {b}");
    }

    #[test]
    fn relative_errors_add_up_in_squares() {
        // 200 +- 6 over 100 +- 4: 3 % and 4 % make 5 % of 2.
        let a = Estimate { value: 200.0, error: 6.0, df: 9.0 };
        let b = Estimate { value: 100.0, error: 4.0, df: 4.0 };
        let ratio = a.over(b).unwrap();
        close(ratio.value, 2.0);
        close(ratio.error, 0.1);
        // 0.0025^2 / (0.0009^2 / 9 + 0.0016^2 / 4)
        close(ratio.df, 6.25e-6 / (0.09e-6 + 0.64e-6));
        assert_eq!(a.over(Estimate { value: 0.0, ..b }), None);
    }

    #[test]
    fn the_interval_takes_students_quantile() {
        // df = 10: t = 2.228; 5 % of error reaches exp(0.1114) either way.
        let interval = Estimate { value: 2.0, error: 0.1, df: 10.0 }.interval();
        close(interval.low, 2.0 / (2.228_138_851_964_938_7f64 * 0.05).exp());
        close(interval.low * interval.high, 4.0);
    }

    #[test]
    fn a_ratio_at_the_end_of_its_interval_has_a_p_of_five_percent() {
        let value = (2.228_138_851_964_938_7f64 * 0.05).exp();
        close(Estimate { value, error: 0.05 * value, df: 10.0 }.p_of_one(), 0.05);
        assert_eq!(Estimate { value: 1.0, error: 0.0, df: 3.0 }.p_of_one(), 1.0);
        assert_eq!(Estimate { value: 1.1, error: 0.0, df: 3.0 }.p_of_one(), 0.0);
    }

    #[test]
    fn the_error_of_a_median_is_a_quarter_above_that_of_the_mean() {
        // Deviation of 1, 2, 3, 4, 5: sqrt(2.5).
        let estimate = Estimate::of_median(&[1.0, 5.0, 2.0, 4.0, 3.0]).unwrap();
        assert_eq!((estimate.value, estimate.df), (3.0, 4.0));
        close(estimate.error, 1.253_314_137_315_5 * 0.5f64.sqrt());
        // Of two samples the median is the mean.
        close(Estimate::of_median(&[1.0, 3.0]).unwrap().error, 1.0);
        assert_eq!(Estimate::of_median(&[1.0]), None);
    }
}
