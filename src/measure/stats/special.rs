//! The tails of the normal and of Student's distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Terms after which a series or a continued fraction is as exact as it gets.
const TERMS: usize = 500;

/// Probability that a standard normal variable exceeds `z`, for z >= 0.
pub fn normal_tail(z: f64) -> f64 {
    let x = z * FRAC_1_SQRT_2;
    if x < 2.0 {
        // erf by its Taylor series with positive terms: 2 / sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6).
        let mut term = x;
        let mut sum = x;
        for n in 1..TERMS {
            term *= 2.0 * x * x / (2 * n + 1) as f64;
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 0.5 - sum * (-x * x).exp() / PI.sqrt();
    }
    // erfc by its continued fraction, from the inside (7.1.14).
    let fraction = (1..60).rev().fold(x, |fraction, n| x + f64::from(n) / 2.0 / fraction);
    0.5 * (-x * x).exp() / (PI.sqrt() * fraction)
}

/// Probability that a variable with Student's distribution of `df` degrees of freedom is farther from zero than `t`.
pub fn student_two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(df / 2.0, 0.5, df / (df + t * t))
}

/// The t that [`student_two_sided`] gives `p` for, by bisection.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, df) > p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if student_two_sided(middle, df) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8) where that converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front / a * beta_fraction(a, b, x)
    } else {
        1.0 - front / b * beta_fraction(b, a, 1.0 - x)
    }
}

/// The continued fraction of the incomplete beta function, evaluated from the front with Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d, mut value) = (1.0, 0.0, 1.0);
    for i in 1..TERMS {
        let m = (i / 2) as f64;
        let coefficient = if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + coefficient * d);
        c = away_from_zero(1.0 + coefficient / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 / value
}

/// The logarithm of the gamma function for x > 0: Stirling's series (Abramowitz and Stegun 6.1.41) after the recurrence has made x large.
fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut shift = 0.0;
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * (1.0 / 1680.0 - inverse / 1188.0))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, relative: f64) {
        assert!((a / b - 1.0).abs() <= relative, "{a} is not {b}");
    }

    #[test]
    fn the_normal_tail_meets_the_tables() {
        assert_eq!(normal_tail(0.0), 0.5);
        close(normal_tail(1.0), 0.158_655_253_931_457_05, 1e-13);
        close(normal_tail(1.959_963_984_540_054), 0.025, 1e-12);
        close(normal_tail(2.9), 0.001_865_813_300_384_037_7, 1e-12);
        close(normal_tail(6.0), 9.865_876_450_376_98e-10, 1e-12);
    }

    #[test]
    fn the_gamma_function_meets_factorials_and_the_half() {
        close(ln_gamma(11.0), 3_628_800.0f64.ln(), 1e-14);
        close(ln_gamma(0.5), PI.sqrt().ln(), 1e-12);
    }

    #[test]
    fn students_quantiles_meet_the_tables() {
        for (df, p, t) in [
            (1.0, 0.05, 12.706_204_736_432_095),
            (2.0, 0.05, 4.302_652_729_696_142),
            (4.0, 0.01, 4.604_094_871_415_898),
            (10.0, 0.05, 2.228_138_851_964_938_7),
            (120.0, 0.01, 2.617_421_145_106_1),
        ] {
            close(student_quantile(p, df), t, 1e-9);
            close(student_two_sided(t, df), p, 1e-9);
        }
        // One degree of freedom is Cauchy's distribution.
        close(student_two_sided(3.0, 1.0), 1.0 - 2.0 / PI * 3.0f64.atan(), 1e-12);
        assert_eq!(student_two_sided(0.0, 5.0), 1.0);
    }
}
