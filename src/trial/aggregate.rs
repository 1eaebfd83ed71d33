//! What instances side by side put out together, from their records.

use jiff::Timestamp;

use crate::measure::stats::median;
use crate::trial::record::{Aggregate, PhaseRecord};

/// A run of which the time is known.
pub trait Timed {
    /// When it began, in seconds since 1970, if that is known.
    fn begun_s(&self) -> Option<f64>;
    /// How long it took, seconds.
    fn wall_s(&self) -> f64;
    /// Sectors that it made.
    fn sectors(&self) -> u32;
}

impl Timed for &PhaseRecord {
    fn begun_s(&self) -> Option<f64> {
        self.started_at.parse().ok().map(seconds)
    }

    fn wall_s(&self) -> f64 {
        self.wall_s
    }

    fn sectors(&self) -> u32 {
        self.sectors
    }
}

/// One instance's part of a round.
#[derive(Clone, Debug)]
pub struct Part<R> {
    /// Its runs of the phase, in order; one, unless it went on until every instance was done.
    pub runs: Vec<R>,
    /// When it failed, if it did.
    pub failed_at: Option<Timestamp>,
}

/// Seconds since 1970.
pub fn seconds(time: Timestamp) -> f64 {
    time.as_nanosecond() as f64 / 1e9
}

/// The window in which all instances ran, in seconds since 1970: from the last start to the first end. `None` if there was no such time.
///
/// An instance that failed ends the window, if it started in time to be in it.
pub fn window<R: Timed>(parts: &[Part<R>]) -> Option<(f64, f64)> {
    let starts = parts.iter().filter_map(|part| part.runs.first()?.begun_s());
    let from = starts.fold(f64::NEG_INFINITY, f64::max);
    let ends = parts.iter().filter_map(|part| {
        let last = part.runs.last().and_then(|run| Some(run.begun_s()? + run.wall_s()));
        let failed = part.failed_at.map(seconds).filter(|&at| at > from);
        failed.or(last)
    });
    let to = ends.fold(f64::INFINITY, f64::min);
    (from.is_finite() && to.is_finite() && to > from).then_some((from, to))
}

/// What instances put out together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// Time in which all instances ran, seconds.
    pub window_s: f64,
    /// `window_s` over the time of the slowest instance, at most 1.
    pub overlap: f64,
    /// Their rates together.
    pub sectors_per_h: f64,
    /// Median time of an instance's run, seconds.
    pub typical_s: f64,
}

/// Whether a run ends within a window.
fn is_inside<R: Timed>(run: &R, window: Option<(f64, f64)>) -> bool {
    window.is_none_or(|(_, to)| run.begun_s().is_some_and(|start| start + run.wall_s() <= to + 1e-3))
}

/// Wall times of a part's runs that lie in the window. A part of which none does, because another instance failed early, has its first run.
fn walls<R: Timed>(part: &Part<R>, window: Option<(f64, f64)>) -> Vec<f64> {
    let inside: Vec<f64> = part.runs.iter().filter(|run| is_inside(*run, window)).map(Timed::wall_s).collect();
    if inside.is_empty() { part.runs.first().map(Timed::wall_s).into_iter().collect() } else { inside }
}

/// What the instances put out within the window of all instances; `None` if none of them ran.
///
/// In the window an instance makes sectors at a steady rate: the sectors of one run over its wall time, the median of its runs that lie in the
/// window. The instances' rates add up.
pub fn sum<R: Timed>(parts: &[Part<R>], window: Option<(f64, f64)>) -> Option<Sum> {
    let sectors = parts.iter().flat_map(|part| &part.runs).next()?.sectors();
    let medians: Vec<f64> = parts.iter().filter_map(|part| median(&walls(part, window))).collect();
    let sectors_per_h = medians.iter().map(|wall_s| f64::from(sectors) * 3600.0 / wall_s).sum();
    let window_s = window.map_or(0.0, |(from, to)| to - from);
    let busy = parts.iter().filter(|part| !part.runs.is_empty()).map(|part| match part.runs.as_slice() {
        [one] => one.wall_s(),
        runs if !runs.iter().any(|run| is_inside(run, window)) => runs[0].wall_s(),
        _ => window_s * window_s / walls(part, window).iter().sum::<f64>().max(f64::MIN_POSITIVE),
    });
    let slowest = busy.fold(0.0, f64::max);
    let typical_s = median(&medians)?;
    Some(Sum { window_s, overlap: (window_s / slowest).min(1.0), sectors_per_h, typical_s })
}

/// The aggregate of the instances that ran one phase on one engine, within the window of all instances. `alone` holds the wall times of one
/// instance with the machine to itself.
pub fn of(
    parts: &[Part<&PhaseRecord>],
    window: Option<(f64, f64)>,
    sector_bytes: u64,
    alone: &[f64],
) -> Option<Aggregate> {
    let first = parts.iter().flat_map(|part| &part.runs).next()?;
    let Sum { window_s, overlap, sectors_per_h, typical_s } = sum(parts, window)?;
    Some(Aggregate {
        phase: first.phase,
        engine: first.engine,
        repeat: first.repeat,
        instances: parts.len() as u32,
        completed: parts.iter().filter(|part| part.failed_at.is_none() && !part.runs.is_empty()).count() as u32,
        window_s,
        overlap,
        sectors_per_h,
        gib_per_h: sectors_per_h * sector_bytes as f64 / f64::from(1 << 30),
        slow_down: median(alone).map(|alone| typical_s / alone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Engine, Phase};
    use crate::store::sample;

    /// A p2 that began so many seconds after noon and took so long.
    fn run(begin_s: f64, wall_s: f64) -> PhaseRecord {
        let noon: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let started = noon + jiff::SignedDuration::from_secs_f64(begin_s);
        let record = sample::record("20260101T000000Z-a").phases[0].clone();
        let (phase, engine, repeat, sectors) = (Phase::P2, Engine::Mock, 0, 2);
        PhaseRecord { phase, engine, repeat, sectors, wall_s, started_at: started.to_string(), ..record }
    }

    fn parts(runs: &[Vec<PhaseRecord>]) -> Vec<Part<&PhaseRecord>> {
        runs.iter().map(|runs| Part { runs: runs.iter().collect(), failed_at: None }).collect()
    }

    #[test]
    fn rates_add_up_over_the_time_in_which_all_ran() {
        let runs = [vec![run(0.0, 100.0)], vec![run(10.0, 80.0)]];
        let parts = parts(&runs);
        let window = window(&parts);
        let (from, to) = window.unwrap();
        assert!((to - from - 80.0).abs() < 1e-6);
        let got = of(&parts, window, 1 << 30, &[60.0]).unwrap();
        assert_eq!((got.instances, got.completed), (2, 2));
        assert!((got.sectors_per_h - (72.0 + 90.0)).abs() < 1e-9, "{got:?}");
        assert!((got.overlap - 0.8).abs() < 1e-6 && (got.slow_down.unwrap() - 1.5).abs() < 1e-12, "{got:?}");
        assert!((got.gib_per_h - got.sectors_per_h).abs() < 1e-9);
    }

    #[test]
    fn an_instance_that_fails_ends_the_window_and_the_others_count() {
        let runs = [vec![run(0.0, 100.0)], vec![]];
        let mut parts = parts(&runs);
        parts[1].failed_at = Some("2026-11-24T12:00:30Z".parse().unwrap());
        let window = window(&parts);
        let got = of(&parts, window, 1 << 30, &[]).unwrap();
        assert_eq!((got.instances, got.completed, got.slow_down), (2, 1, None));
        assert!((got.window_s - 30.0).abs() < 1e-6 && (got.overlap - 0.3).abs() < 1e-6, "{got:?}");
        assert!((got.sectors_per_h - 72.0).abs() < 1e-9);
    }

    #[test]
    fn a_kind_whose_runs_outlast_an_early_death_of_another_kind_has_its_first_run() {
        let runs = [vec![run(0.0, 40.0), run(40.0, 50.0)], vec![]];
        let mut parts = parts(&runs);
        parts[1].failed_at = Some("2026-11-24T12:00:00Z".parse().unwrap());
        assert_eq!(window(&parts).map(|(from, to)| (to - from).round()), Some(40.0 + 50.0), "it failed before all ran");
        parts[1].failed_at = Some("2026-11-24T12:00:30Z".parse().unwrap());
        let got = of(&parts[..1], window(&parts), 1 << 30, &[20.0]).unwrap();
        assert!((got.sectors_per_h - 180.0).abs() < 1e-9 && (got.overlap - 0.75).abs() < 1e-6, "{got:?}");
        assert_eq!((got.completed, got.slow_down), (1, Some(2.0)));
    }

    #[test]
    fn runs_that_outlast_the_window_do_not_count() {
        let fast = vec![run(0.0, 40.0), run(40.0, 40.0), run(80.0, 20.0)];
        let slow = vec![run(0.0, 90.0)];
        let all = [fast.clone(), slow];
        let window = window(&parts(&all));
        assert!((window.unwrap().1 - window.unwrap().0 - 90.0).abs() < 1e-6);
        let group = [fast];
        let got = of(&parts(&group), window, 1 << 30, &[]).unwrap();
        assert!((got.sectors_per_h - 180.0).abs() < 1e-9, "{got:?}");
        assert!((got.overlap - 80.0 / 90.0).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn instances_that_never_ran_together_have_no_window() {
        let runs = [vec![run(0.0, 5.0)], vec![run(10.0, 5.0)]];
        let parts = parts(&runs);
        assert_eq!(window(&parts), None);
        assert_eq!(of(&parts, None, 1, &[]).unwrap().overlap, 0.0);
        assert!(of(&[], None, 1, &[]).is_none());
    }
}
