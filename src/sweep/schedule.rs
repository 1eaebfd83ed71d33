//! Which point comes next: rounds over all points that need another sample, each round in an order of its own that follows from the seed.
//! So a drift of the machine, by heat or by its neighbours, falls on all points alike.

use crate::measure::stats::coefficient_of_variation;
use crate::sweep::grid::Point;

/// What is known of a point so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// GiB per hour of each sample.
    pub samples: Vec<f64>,
    /// Trials that failed.
    pub failures: u32,
}

/// Trials that may fail before a point is given up.
const MAX_FAILURES: u32 = 2;

/// Whether a point needs another sample: it has too few, or their spread is too wide and the cap is not reached.
pub fn needs_more(point: &Point, progress: &Progress) -> bool {
    let n = progress.samples.len() as u32;
    let wide = || coefficient_of_variation(&progress.samples).is_some_and(|cv| cv > point.max_cv);
    progress.failures < MAX_FAILURES && (n < point.repeats || (n < point.max_repeats && wide()))
}

/// The points of the next round by their indices, in their order; empty when nothing needs more.
pub fn next_round(points: &[Point], progress: &[Progress], seed: u64, round: u32) -> Vec<usize> {
    let mut due: Vec<usize> = (0..points.len()).filter(|&i| needs_more(&points[i], &progress[i])).collect();
    due.sort_by_key(|&i| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&round.to_le_bytes()).update(&(i as u64).to_le_bytes());
        *hasher.finalize().as_bytes()
    });
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::file::SweepFile;
    use crate::sweep::grid::expand;

    fn points(count: u32) -> Vec<Point> {
        let layouts: Vec<String> = (1..=count).map(|n| format!("'{n}x1'")).collect();
        let text = format!("twins = false\n[[grid]]\nlayouts = [{}]\nrepeats = 2\nmax_repeats = 4", layouts.join(","));
        expand(&SweepFile::parse(&text).unwrap()).unwrap()
    }

    fn progress(samples: &[f64]) -> Progress {
        Progress { samples: samples.to_vec(), failures: 0 }
    }

    #[test]
    fn a_point_is_measured_again_while_it_spreads_up_to_the_cap() {
        let point = &points(1)[0];
        let more = |samples: &[f64]| needs_more(point, &progress(samples));
        assert!(more(&[]) && more(&[1.0]));
        assert!(!more(&[1.0, 1.01]), "close enough");
        assert!(more(&[1.0, 1.2]) && more(&[1.0, 1.2, 1.1]), "too wide");
        assert!(!more(&[1.0, 2.0, 3.0, 4.0]), "the cap");
        assert!(!needs_more(point, &Progress { samples: vec![], failures: 2 }), "given up");
    }

    #[test]
    fn every_round_has_its_own_order_that_the_seed_decides() {
        let points = points(20);
        let none = vec![Progress::default(); 20];
        let round = |seed, round| next_round(&points, &none, seed, round);
        let mut sorted = round(1, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        assert_eq!(round(1, 0), round(1, 0));
        assert!(round(1, 0) != round(1, 1) && round(1, 0) != round(2, 0));
        let all_done = vec![progress(&[1.0, 1.0]); 20];
        assert!(next_round(&points, &all_done, 1, 2).is_empty());
    }
}
