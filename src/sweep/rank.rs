//! Which point of each phase puts out most, and how sure that is.

use serde::Serialize;

use crate::measure::stats::bootstrap::median_interval;
use crate::measure::stats::verdict::{Comparison, Verdict, judge};
use crate::measure::stats::{coefficient_of_variation, median};
use crate::sweep::grid::Point;
use crate::sweep::state::{State, Trial};
use crate::sweep::validity;
use crate::trial::record::{Interval, Record, Validity};

/// The points of one phase and shape, the best first; points without a sample last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The phase and shape.
    pub class: String,
    /// The points; the second arm of the A/A pair is not among them.
    pub points: Vec<Ranked>,
    /// By how much the two arms of the A/A pair differ (0.01 is 1 %): what the machine shows between equal points. `None` without two arms.
    pub noise_floor: Option<f64>,
    /// Whether the best differs from the runner-up; `None` if there is none.
    pub is_distinguishable: Option<bool>,
}

/// A point with what was measured of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// Its name.
    pub point: String,
    /// Instances side by side.
    pub instances: u32,
    /// Cores of each.
    pub cores: u32,
    /// GiB of sector data per hour, sample by sample, all instances together.
    pub samples: Vec<f64>,
    /// Their median.
    pub gib_per_h: Option<f64>,
    /// 95 % interval of the median; from three samples on.
    pub interval: Option<Interval>,
    /// The same output in sectors per hour.
    pub sectors_per_h: Option<f64>,
    /// Coefficient of variation; from two samples on.
    pub cv: Option<f64>,
    /// Output over that of the best: 1 or less.
    pub of_best: Option<f64>,
    /// Probability of so much less than the best if they were equal.
    pub p: Option<f64>,
    /// Samples that something disturbed.
    pub disturbed: u32,
    /// Trials that failed.
    pub failed: u32,
    /// Runs in the results store.
    pub runs: Vec<String>,
    /// The run rules over all of its trials; `None` where their records could not be read.
    pub validity: Option<Validity>,
}

/// A ranking per class, in the order of the sweep file.
pub fn rank(state: &State) -> Vec<Ranking> {
    let mut classes: Vec<String> = Vec::new();
    for point in &state.points {
        if !classes.contains(&point.class()) {
            classes.push(point.class());
        }
    }
    classes.into_iter().map(|class| of_class(state, class)).collect()
}

/// Judges every point by the records of its runs.
pub fn judge_points(rankings: &mut [Ranking], record: impl Fn(&str) -> Option<Record>) {
    for point in rankings.iter_mut().flat_map(|ranking| &mut ranking.points) {
        let records: Vec<Record> = point.runs.iter().filter_map(|run| record(run)).collect();
        point.validity = validity::of_point(&records);
    }
}

fn of_class(state: &State, class: String) -> Ranking {
    let in_class = |(_, point): &(usize, &Point)| point.class() == class;
    let measured = |(index, point)| ranked(point, state.trials.iter().filter(|trial| trial.point == index));
    let (twins, originals): (Vec<_>, Vec<_>) =
        state.points.iter().enumerate().filter(in_class).partition(|(_, point)| point.twin);
    let noise_floor = twins.first().and_then(|&(index, twin)| {
        let original = originals.iter().find(|(_, point)| Point { twin: true, ..(*point).clone() } == *twin)?;
        let [a, b] =
            [measured((index, twin)), measured(*original)].map(|arm| arm.gib_per_h.filter(|_| arm.samples.len() > 1));
        let (a, b) = (a?, b?);
        Some(a.max(b) / a.min(b) - 1.0)
    });
    Ranking::of(class, originals.into_iter().map(measured).collect(), noise_floor)
}

impl Ranking {
    /// Points in the order of their output, judged against the best.
    pub fn of(class: String, mut points: Vec<Ranked>, noise_floor: Option<f64>) -> Ranking {
        points.sort_by(|a, b| b.gib_per_h.unwrap_or(0.0).total_cmp(&a.gib_per_h.unwrap_or(0.0)));
        let best = points.first().map(|best| best.samples.clone()).unwrap_or_default();
        let comparisons: Vec<Comparison> =
            points.iter().map(|point| judge(&times(&best), &times(&point.samples), noise_floor)).collect();
        let highest = points.first().and_then(|best| best.gib_per_h);
        for (point, comparison) in points.iter_mut().zip(&comparisons) {
            point.of_best = point.gib_per_h.zip(highest).map(|(rate, highest)| rate / highest);
            point.p = Some(comparison.p).filter(|_| point.of_best.is_some());
        }
        let is_distinguishable = comparisons.get(1).map(|second| second.verdict == Verdict::Slower);
        Ranking { class, points, noise_floor, is_distinguishable }
    }
}

/// Rates as times: hours per GiB.
fn times(rates: &[f64]) -> Vec<f64> {
    rates.iter().map(|rate| 1.0 / rate).collect()
}

fn ranked<'a>(point: &Point, trials: impl Iterator<Item = &'a Trial>) -> Ranked {
    let trials: Vec<&Trial> = trials.collect();
    let samples: Vec<f64> = trials.iter().filter_map(|trial| trial.gib_per_h).collect();
    let sectors: Vec<f64> = trials.iter().filter_map(|trial| trial.sectors_per_h).collect();
    let counted = |matches: fn(&Trial) -> bool| trials.iter().filter(|trial| matches(trial)).count() as u32;
    Ranked {
        point: point.label(),
        instances: point.instances,
        cores: point.cores,
        gib_per_h: median(&samples),
        interval: median_interval(&samples),
        sectors_per_h: median(&sectors),
        cv: coefficient_of_variation(&samples),
        of_best: None,
        p: None,
        disturbed: counted(|trial| trial.gib_per_h.is_some() && !trial.disturbances.is_empty()),
        failed: counted(|trial| trial.error.is_some()),
        validity: None,
        runs: runs(&trials),
        samples,
    }
}

/// The runs of trials, each once: one run may have measured several.
fn runs(trials: &[&Trial]) -> Vec<String> {
    let mut runs: Vec<String> = trials.iter().map(|trial| trial.run.clone()).filter(|run| !run.is_empty()).collect();
    runs.dedup();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::Seed;
    use crate::sweep::file::SweepFile;
    use crate::sweep::grid::expand;

    /// A sweep over layouts with these samples of each point, the A/A twin last.
    fn sweep(layouts: &[&str], samples: &[&[f64]]) -> State {
        let layouts: Vec<String> = layouts.iter().map(|layout| format!("'{layout}'")).collect();
        let text = format!("[[grid]]\nengines = ['mock']\nlayouts = [{}]", layouts.join(","));
        let points = expand(&SweepFile::parse(&text).unwrap()).unwrap();
        assert_eq!(points.len(), samples.len());
        let mut state = State::new("s".into(), Vec::new(), Seed::default(), 0, points);
        for (point, samples) in samples.iter().enumerate() {
            for (round, &rate) in (0..).zip(*samples) {
                state.trials.push(Trial {
                    point,
                    round,
                    run: format!("r{point}-{round}"),
                    gib_per_h: Some(rate),
                    sectors_per_h: Some(rate * 128.0),
                    took_s: 1.0,
                    error: None,
                    disturbances: Vec::new(),
                });
            }
        }
        state
    }

    #[test]
    fn the_best_is_the_one_with_the_highest_output_and_stands_out_if_it_does() {
        let fast = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2];
        let slow = [80.0, 81.0, 79.0, 80.5, 79.5, 80.2];
        let twin = [80.1, 80.9, 79.2, 80.4, 79.6, 80.3];
        let state = sweep(&["1x2", "2x1"], &[&slow, &fast, &twin]);
        let ranking = &rank(&state)[0];
        assert_eq!(ranking.class, "p1 of 8MiB, 2 layers, 1 partition");
        let names: Vec<&str> = ranking.points.iter().map(|point| point.point.as_str()).collect();
        assert_eq!(names, ["p1 mock 2x1", "p1 mock 1x2"]);
        assert_eq!(ranking.is_distinguishable, Some(true));
        assert!((ranking.points[1].of_best.unwrap() - 80.1 / 100.1).abs() < 1e-12);
        assert_eq!(ranking.points[0].sectors_per_h, Some(100.1 * 128.0));
        assert!((ranking.noise_floor.unwrap() - (80.2 / 80.1 - 1.0)).abs() < 1e-9, "{ranking:?}");
    }

    #[test]
    fn a_lead_within_the_noise_of_equal_points_is_none() {
        let a = [100.0, 100.2, 99.9, 100.1, 100.0, 100.1];
        let b = [98.0, 98.2, 97.9, 98.1, 98.0, 98.1];
        let noisy_twin = [95.0, 95.2, 94.9, 95.1, 95.0, 95.1];
        let state = sweep(&["1x2", "2x1"], &[&a, &b, &noisy_twin]);
        assert_eq!(rank(&state)[0].is_distinguishable, Some(false));
    }

    #[test]
    fn points_without_samples_come_last_and_one_point_has_no_runner_up() {
        let state = sweep(&["1x1", "1x2", "2x1"], &[&[], &[5.0], &[7.0], &[]]);
        let ranking = &rank(&state)[0];
        assert_eq!(ranking.points[2].gib_per_h, None);
        assert_eq!((ranking.is_distinguishable, ranking.noise_floor), (Some(false), None));
        let alone = sweep(&["1x1"], &[&[1.0], &[]]);
        assert_eq!(rank(&alone)[0].is_distinguishable, None);
    }
}
