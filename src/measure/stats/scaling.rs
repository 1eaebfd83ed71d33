//! How a rate grows with cores: Amdahl's law and the universal scalability law, fitted by least squares.
//!
//! Gunther, Guerrilla Capacity Planning (2007), chapters 4 to 6: X(N) = lambda N / (1 + alpha (N - 1) + beta N (N - 1)). alpha is the share
//! of the work that is done one after the other or waits for something shared, beta what every core spends on agreeing with every other.
//! Amdahl's law is beta = 0.

/// A fitted law.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Rate of one core, in the unit of the points.
    pub lambda: f64,
    /// Contention, 0 to 1.
    pub alpha: f64,
    /// Coherency, not negative; 0 for Amdahl's law.
    pub beta: f64,
    /// Measured rate less fitted rate, one per point.
    pub residuals: Vec<f64>,
    /// Share of the rates' variance that the law explains; 1 is a perfect fit. If all rates are equal: 1 or 0.
    pub r_squared: f64,
}

impl Fit {
    /// The rate that the law gives for a number of cores.
    pub fn rate(&self, cores: f64) -> f64 {
        rate(&[self.lambda, self.alpha, self.beta], cores)
    }

    /// The number of cores above which the rate falls; `None` if it never does.
    pub fn peak(&self) -> Option<f64> {
        (self.beta > 0.0).then(|| ((1.0 - self.alpha).max(0.0) / self.beta).sqrt().max(1.0))
    }

    /// The rate that no number of cores exceeds by Amdahl's law, lambda / alpha; `None` if there is no such bound.
    pub fn ceiling(&self) -> Option<f64> {
        (self.alpha > 0.0).then(|| self.lambda / self.alpha)
    }
}

/// Amdahl's law through points of (cores, rate); `None` for fewer than three numbers of cores, or a rate that is not above zero.
pub fn amdahl(points: &[(f64, f64)]) -> Option<Fit> {
    fit(points, 2)
}

/// The universal scalability law through points of (cores, rate); `None` for fewer than four numbers of cores, or a rate that is not above
/// zero. One more number of cores than coefficients is the least that can contradict the law.
pub fn usl(points: &[(f64, f64)]) -> Option<Fit> {
    fit(points, 3)
}

fn rate(law: &[f64; 3], n: f64) -> f64 {
    let [lambda, alpha, beta] = law;
    lambda * n / (1.0 + alpha * (n - 1.0) + beta * n * (n - 1.0))
}

/// Fits the first `coefficients` of lambda, alpha, beta within their bounds; the others are zero.
fn fit(points: &[(f64, f64)], coefficients: usize) -> Option<Fit> {
    let sound = |&(n, x): &(f64, f64)| n >= 1.0 && x > 0.0 && n.is_finite() && x.is_finite();
    let mut cores: Vec<f64> = points.iter().map(|p| p.0).collect();
    cores.sort_by(f64::total_cmp);
    cores.dedup();
    if !points.iter().all(sound) || cores.len() <= coefficients {
        return None;
    }
    // The minimum within the bounds is that of one of these choices of free coefficients: a coefficient at its bound is not free.
    let choices: [&[usize]; 4] = [&[0], &[0, 1], &[0, 2], &[0, 1, 2]];
    let within = choices.into_iter().filter(|free| free.iter().all(|&i| i < coefficients));
    let laws =
        within.filter_map(|free| descend(points, free)).filter(|law| law[1] <= 1.0 && law[1] >= 0.0 && law[2] >= 0.0);
    let [lambda, alpha, beta] = laws.min_by(|a, b| squares(points, a).total_cmp(&squares(points, b)))?;
    let residuals: Vec<f64> = points.iter().map(|&(n, x)| x - rate(&[lambda, alpha, beta], n)).collect();
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
    let left = squares(points, &[lambda, alpha, beta]);
    let total: f64 = points.iter().map(|&(_, x)| (x - mean).powi(2)).sum();
    let r_squared = if total > 0.0 { 1.0 - left / total } else { f64::from(left <= f64::EPSILON * mean * mean) };
    Some(Fit { lambda, alpha, beta, residuals, r_squared })
}

fn squares(points: &[(f64, f64)], law: &[f64; 3]) -> f64 {
    points.iter().map(|&(n, x)| (x - rate(law, n)).powi(2)).sum()
}

/// Least squares over some of the coefficients, without bounds: Levenberg and Marquardt's method from the solution of the linear problem
/// N / X = 1 / lambda + alpha / lambda (N - 1) + beta / lambda N (N - 1).
fn descend(points: &[(f64, f64)], free: &[usize]) -> Option<[f64; 3]> {
    let mut law = linear(points, free)?;
    let mut error = squares(points, &law);
    let mut damping = 1e-3;
    for _ in 0..500 {
        let step = step(points, &law, free, damping)?;
        let mut next = law;
        for (&i, change) in free.iter().zip(step) {
            next[i] += change;
        }
        let next_error = squares(points, &next);
        if next_error.is_finite() && next_error <= error {
            let done = error - next_error <= 1e-15 * error;
            (law, error, damping) = (next, next_error, damping / 10.0);
            if done {
                break;
            }
        } else if damping > 1e12 {
            break;
        } else {
            damping *= 10.0;
        }
    }
    (law[0] > 0.0).then_some(law)
}

/// The linear problem, each equation weighted so that its error is about one of the rate.
fn linear(points: &[(f64, f64)], free: &[usize]) -> Option<[f64; 3]> {
    let rows = points.iter().map(|&(n, x)| {
        let weight = x * x / n;
        (free.iter().map(|&i| weight * [1.0, n - 1.0, n * (n - 1.0)][i]).collect(), weight * n / x)
    });
    let solution = least_squares(rows, free.len(), 0.0)?;
    let mut law = [0.0; 3];
    for (&i, value) in free.iter().zip(&solution) {
        law[i] = value / solution[0];
    }
    law[0] = 1.0 / solution[0];
    Some(law)
}

fn step(points: &[(f64, f64)], law: &[f64; 3], free: &[usize], damping: f64) -> Option<Vec<f64>> {
    let rows = points.iter().map(|&(n, x)| {
        let fitted = rate(law, n);
        // d rate / d lambda, alpha, beta.
        let by_growth = -fitted * fitted / (law[0] * n);
        let gradient = [fitted / law[0], by_growth * (n - 1.0), by_growth * n * (n - 1.0)];
        (free.iter().map(|&i| gradient[i]).collect(), x - fitted)
    });
    least_squares(rows, free.len(), damping)
}

/// Solves the normal equations of rows (coefficients, value), the diagonal raised by a factor 1 + `damping`; `None` if they have no one solution.
fn least_squares(rows: impl Iterator<Item = (Vec<f64>, f64)>, unknowns: usize, damping: f64) -> Option<Vec<f64>> {
    let mut matrix = vec![vec![0.0; unknowns + 1]; unknowns];
    for (coefficients, value) in rows {
        for (line, own) in matrix.iter_mut().zip(&coefficients) {
            let products = coefficients.iter().chain([&value]).map(|other| own * other);
            line.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        }
    }
    // Unknowns in units that make the diagonal 1: theirs differ by many orders of magnitude.
    let scale: Vec<f64> = (0..unknowns).map(|i| matrix[i][i].sqrt()).collect();
    if scale.iter().any(|s| !s.is_normal()) {
        return None;
    }
    for (i, line) in matrix.iter_mut().enumerate() {
        line.iter_mut().zip(scale.iter().chain([&1.0])).for_each(|(x, other)| *x /= scale[i] * other);
        line[i] += damping;
    }
    let solution = eliminate(matrix)?;
    Some(solution.iter().zip(scale).map(|(x, s)| x / s).collect())
}

/// Gauss' elimination with a choice of pivots, on a matrix with the right side as its last column.
fn eliminate(mut matrix: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = matrix.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&i, &j| matrix[i][column].abs().total_cmp(&matrix[j][column].abs()))?;
        matrix.swap(column, pivot);
        let top = matrix[column].clone();
        if top[column].abs() < 1e-13 {
            return None;
        }
        for row in &mut matrix[column + 1..] {
            let factor = row[column] / top[column];
            row.iter_mut().zip(&top).for_each(|(x, t)| *x -= factor * t);
        }
    }
    let mut solution = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| matrix[i][j] * solution[j]).sum();
        solution[i] = (matrix[i][n] - known) / matrix[i][i];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, relative: f64) {
        assert!((a - b).abs() <= relative * b.abs(), "{a} is not {b}");
    }

    #[test]
    fn the_published_fit_of_spec_sdm_comes_out() {
        // SPEC SDM91 on a SPARCcenter 2000 (data, coefficients and residual error as the R package usl publishes them).
        let points = [
            (1.0, 64.9),
            (18.0, 995.9),
            (36.0, 1652.4),
            (72.0, 1853.2),
            (108.0, 1828.9),
            (144.0, 1775.0),
            (216.0, 1702.2),
        ];
        let fit = usl(&points).unwrap();
        close(fit.lambda, 89.995_233, 1e-6);
        close(fit.alpha, 0.027_728_5, 2e-6);
        close(fit.beta, 0.000_104_4, 5e-4);
        close(fit.peak().unwrap(), 96.5, 1e-3);
        close(fit.ceiling().unwrap(), 3250.0, 2e-3);
        let square: f64 = fit.residuals.iter().map(|r| r * r).sum();
        close((square / 4.0).sqrt(), 82.8, 1e-3);
        assert!(fit.r_squared > 0.98, "{}", fit.r_squared);
    }

    #[test]
    fn the_published_fit_of_a_ray_tracer_has_no_coherency() {
        // A ray tracer on an SGI Origin 2000 (from Gunther 2007; coefficients of the R package usl, beta at its bound, 0).
        let points = [
            (1.0, 20.0),
            (4.0, 78.0),
            (8.0, 130.0),
            (12.0, 170.0),
            (16.0, 190.0),
            (20.0, 200.0),
            (24.0, 210.0),
            (28.0, 230.0),
            (32.0, 260.0),
            (48.0, 280.0),
            (64.0, 310.0),
        ];
        let fit = usl(&points).unwrap();
        assert_eq!(fit.beta, 0.0);
        close(fit.lambda, 21.848_843, 1e-6);
        close(fit.alpha, 0.057_771, 1e-5);
        close(fit.residuals.iter().map(|r| r * r).sum::<f64>(), 697.2378, 1e-5);
        assert_eq!(fit.peak(), None);
        assert_eq!(amdahl(&points).unwrap(), fit);
    }

    #[test]
    fn exact_points_give_their_law_back() {
        for law in [[3.0, 0.0, 0.0], [12.5, 0.05, 0.0], [0.7, 1.0, 0.0], [100.0, 0.0, 0.001], [55.0, 0.03, 0.0002]] {
            let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0].map(|n| (n, rate(&law, n))).to_vec();
            let fit = usl(&points).unwrap();
            for (found, real) in [fit.lambda, fit.alpha, fit.beta].into_iter().zip(law) {
                assert!((found - real).abs() <= 1e-7 * real.max(0.01), "{law:?}: {fit:?}");
            }
            assert!(fit.r_squared > 1.0 - 1e-9 && fit.residuals.iter().all(|r| r.abs() < 1e-6), "{fit:?}");
            close(fit.rate(32.0), rate(&law, 32.0), 1e-6);
        }
    }

    #[test]
    fn too_few_numbers_of_cores_are_not_fitted() {
        let points = [(1.0, 10.0), (2.0, 19.0), (4.0, 35.0), (8.0, 60.0)];
        assert_eq!(amdahl(&points[..2]), None);
        assert_eq!(usl(&points[..3]), None);
        assert!(amdahl(&points[..3]).is_some() && usl(&points).is_some());
        assert_eq!(amdahl(&[(1.0, 10.0), (1.0, 10.1), (2.0, 19.0)]), None, "two numbers of cores");
        for bad in [(16.0, 0.0), (16.0, f64::NAN), (0.0, 1.0), (f64::INFINITY, 1.0)] {
            assert_eq!(usl(&[points.as_slice(), &[bad]].concat()), None, "{bad:?}");
        }
        assert_eq!(amdahl(&[]), None);
    }

    #[test]
    fn a_rate_that_does_not_grow_is_all_contention() {
        let fit = amdahl(&[(1.0, 10.0), (2.0, 10.0), (4.0, 10.0)]).unwrap();
        close(fit.alpha, 1.0, 1e-6);
        close(fit.lambda, 10.0, 1e-6);
        // Faster than the number of cores: contention is at its bound, 0.
        assert_eq!(amdahl(&[(1.0, 10.0), (2.0, 22.0), (4.0, 50.0)]).unwrap().alpha, 0.0);
    }
}
