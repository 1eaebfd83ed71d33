//! Whether one side of two sets of samples tends to be larger (Mann and Whitney, 1947).

use super::special::normal_tail;

/// Most samples of a side for which the distribution is counted out.
const EXACT: usize = 25;

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
}
