//! Whether one side of two sets of samples tends to be larger (Mann and Whitney, 1947), and samples that stand apart.

use super::median;
use super::special::normal_tail;

/// Most samples of a side for which the distribution is counted out.
const EXACT: usize = 25;

/// A modified Z-score above this stands apart (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
pub const OUTLIER: f64 = 3.5;

/// The result of a Mann-Whitney test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// U of the first side: over all pairs, how often its sample is the larger one; ties count half.
    pub u: f64,
    /// Probability, under equal distributions, of a U at least as far from its middle; two-sided.
    pub p: f64,
}

/// The two-sided Mann-Whitney U test; `None` if a side is empty.
///
/// Up to 25 samples a side the distribution is counted out over all ways to deal the ranks, ties included (the exact permutation test on
/// midranks); above that it is the normal approximation with the corrections for ties and continuity.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<MannWhitney> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    // Midranks times two are whole numbers.
    let (ranks, groups) = doubled_ranks(a, b);
    let sum: usize = ranks[..a.len()].iter().sum();
    let u = (sum - a.len() * (a.len() + 1)) as f64 / 2.0;
    let p = if a.len().max(b.len()) <= EXACT {
        exact_p(&ranks, a.len(), sum)
    } else {
        approximate_p(u, a.len() as f64, b.len() as f64, &groups)
    };
    Some(MannWhitney { u, p })
}

/// Smallest p-value that the test can give with these numbers of samples: the two most extreme of all ways to deal the ranks.
pub fn smallest_p(n_a: usize, n_b: usize) -> f64 {
    let few = n_a.min(n_b);
    let ways = (0..few).fold(1.0, |ways, i| ways * (n_a + n_b - i) as f64 / (i + 1) as f64);
    (2.0 / ways).min(1.0)
}

/// Twice the midrank of each sample, those of `a` first, and the sizes of the groups of equal samples.
fn doubled_ranks(a: &[f64], b: &[f64]) -> (Vec<usize>, Vec<usize>) {
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&i, &j| all[i].total_cmp(&all[j]));
    let mut ranks = vec![0; all.len()];
    let mut groups = Vec::new();
    let mut before = 0;
    for group in order.chunk_by(|&i, &j| all[i] == all[j]) {
        for &i in group {
            ranks[i] = 2 * before + group.len() + 1;
        }
        before += group.len();
        groups.push(group.len());
    }
    (ranks, groups)
}

/// The share of all ways to choose `n` of the ranks whose sum is at least as far from the expected one.
fn exact_p(ranks: &[usize], n: usize, sum: usize) -> f64 {
    let most: usize = ranks.iter().sum();
    // ways[k][s]: how many choices of k ranks so far have the sum s.
    let mut ways = vec![vec![0.0f64; most + 1]; n + 1];
    ways[0][0] = 1.0;
    for (seen, &rank) in ranks.iter().enumerate() {
        for k in (1..=n.min(seen + 1)).rev() {
            let (fewer, these) = ways.split_at_mut(k);
            for s in rank..=most {
                these[0][s] += fewer[k - 1][s - rank];
            }
        }
    }
    // The expected sum is n times the mean rank; both sides times the number of ranks, so that all are whole numbers.
    let distance = |s: usize| (s * ranks.len()).abs_diff(n * most);
    let far = distance(sum);
    let total: f64 = ways[n].iter().sum();
    let extreme: f64 = ways[n].iter().enumerate().filter(|(s, _)| distance(*s) >= far).map(|(_, ways)| ways).sum();
    extreme / total
}

fn approximate_p(u: f64, n_a: f64, n_b: f64, groups: &[usize]) -> f64 {
    let n = n_a + n_b;
    let ties: f64 = groups.iter().map(|&t| (t as f64).powi(3) - t as f64).sum();
    let variance = n_a * n_b / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let distance = ((u - n_a * n_b / 2.0).abs() - 0.5).max(0.0);
    2.0 * normal_tail(distance / variance.sqrt())
}

/// Places of the samples whose modified Z-score, 0.6745 (x - median) / MAD, is beyond [`OUTLIER`]. They are reported and never dropped.
///
/// Where more than half of the samples are equal the MAD is zero; the mean absolute deviation, times 1.2533, then stands in for it.
pub fn outliers(samples: &[f64]) -> Vec<usize> {
    let Some(centre) = median(samples) else { return Vec::new() };
    let deviations: Vec<f64> = samples.iter().map(|x| (x - centre).abs()).collect();
    let mad = median(&deviations).unwrap_or_default();
    let scale = if mad > 0.0 { mad / 0.6745 } else { 1.2533 * deviations.iter().sum::<f64>() / samples.len() as f64 };
    let apart = |deviation: &f64| scale > 0.0 && deviation / scale > OUTLIER;
    deviations.iter().enumerate().filter(|(_, deviation)| apart(deviation)).map(|(i, _)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within, "{a} is not {b}");
    }

    #[test]
    fn the_example_of_scipys_manual_comes_out() {
        // scipy.stats.mannwhitneyu, ages at the diagnosis of diabetes: U = 17, p = 0.1111 exact.
        let (men, women) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        let test = mann_whitney(&men, &women).unwrap();
        assert_eq!(test.u, 17.0);
        close(test.p, 0.111_111_111_111_111_1, 1e-12);
        // The same by the normal approximation: 0.1113.
        close(approximate_p(17.0, 5.0, 4.0, &[1; 9]), 0.111_346_886_533_140_41, 1e-9);
        assert_eq!(mann_whitney(&women, &men).unwrap().p, test.p);
    }

    #[test]
    fn the_published_critical_values_are_the_last_below_their_level() {
        // The usual tables of two-sided critical values of U (Siegel, Nonparametric Statistics, 1956, table K).
        for (n_a, n_b, level, critical) in [
            (4, 4, 0.05, 0),
            (5, 5, 0.05, 2),
            (5, 5, 0.01, 0),
            (8, 8, 0.05, 13),
            (8, 8, 0.01, 7),
            (10, 10, 0.05, 23),
            (10, 10, 0.01, 16),
            (9, 20, 0.05, 48),
            (20, 20, 0.05, 127),
            (20, 20, 0.01, 105),
        ] {
            let ranks: Vec<usize> = (1..=n_a + n_b).map(|rank| 2 * rank).collect();
            let p = |u: usize| exact_p(&ranks, n_a, 2 * u + n_a * (n_a + 1));
            assert!(
                p(critical) <= level && level < p(critical + 1),
                "{n_a}, {n_b}, {level}: {} {}",
                p(critical),
                p(critical + 1)
            );
        }
    }

    #[test]
    fn the_smallest_p_value_is_that_of_sides_that_do_not_overlap() {
        for n in 1..=8usize {
            let low: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let high: Vec<f64> = (0..n + 1).map(|i| 100.0 + i as f64).collect();
            close(mann_whitney(&low, &high).unwrap().p, smallest_p(n, n + 1), 1e-12);
        }
        close(smallest_p(10, 10), 2.0 / 184_756.0, 1e-15);
    }

    #[test]
    fn ties_share_their_ranks() {
        // By hand: 1, 2, 2 against 2, 3 have the midranks 1, 3, 3 and 3, 5. U = 7 - 6 = 1. Of the 10 ways to choose three of the ranks
        // 1, 3, 3, 3, 5 the sum (expected 9) is 7 in three, 11 in three, 9 in four: six are as far away.
        let test = mann_whitney(&[1.0, 2.0, 2.0], &[2.0, 3.0]).unwrap();
        assert_eq!(test.u, 1.0);
        close(test.p, 0.6, 1e-12);
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]).unwrap().p, 1.0);
        assert_eq!(mann_whitney(&[1.0; 30], &[1.0; 30]).unwrap(), MannWhitney { u: 450.0, p: 1.0 });
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }

    #[test]
    fn the_approximation_meets_the_exact_distribution_where_it_takes_over() {
        let ranks: Vec<usize> = (1..=2 * EXACT).map(|rank| 2 * rank).collect();
        for u in [150usize, 200, 230, 312] {
            let exact = exact_p(&ranks, EXACT, 2 * u + EXACT * (EXACT + 1));
            close(approximate_p(u as f64, EXACT as f64, EXACT as f64, &[1; 2 * EXACT]), exact, 0.004);
        }
        // With ties, by hand: groups of 2 among 4 and 4 take 8 (2^3 - 2) / (8 * 7) off the 9 of the variance.
        let z = 7.5 / (16.0f64 / 12.0 * (9.0 - 24.0 / 56.0)).sqrt();
        close(approximate_p(0.0, 4.0, 4.0, &[2, 2, 2, 2]), 2.0 * normal_tail(z), 1e-15);
    }

    #[test]
    fn samples_that_stand_apart_are_named() {
        // By hand: median 10, MAD 1; 3.5 / 0.6745 = 5.189.
        assert_eq!(outliers(&[9.0, 10.0, 11.0, 9.0, 10.0, 11.0, 15.2, 4.8, 15.1]), [6, 7]);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]), [6]);
        assert!(outliers(&[1.0, 1.01, 0.99, 1.02, 0.98]).is_empty());
        assert!(outliers(&[1.0, 1.0]).is_empty() && outliers(&[]).is_empty());
    }
}
