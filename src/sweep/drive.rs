//! Runs a sweep: inputs first, then trial by trial, each one kept as it comes.

use std::path::Path;
use std::time::Instant;

use crate::error::{Stop, stop_of};
use crate::sweep::bench::{Bench, Place};
use crate::sweep::fit;
use crate::sweep::schedule::{needs_more, next_round};
use crate::sweep::state::{SweepDir, Trial};
use crate::trial::launch;
use crate::trial::record::SweepRun;
use crate::trial::signals::Signals;

/// Directory of the sectors in a sweep's directory; nobody needs it when the sweep is complete.
pub const SECTORS: &str = "sectors";

/// What is told while a sweep runs.
pub trait Audience {
    /// A line for people.
    fn say(&mut self, line: &str);
    /// A trial is over: how many are, how many there will be as far as is known, and about how many seconds are left.
    fn trial(&mut self, point: &str, trial: &Trial, done: usize, total: usize, left_s: f64);
}

/// Runs what is left of a sweep. A trial that fails is kept as such, and the sweep goes on; a signal ends it after the trial that runs.
pub fn drive(
    dir: &mut SweepDir,
    home: &Path,
    signals: &Signals,
    place: Place<'_>,
    audience: &mut dyn Audience,
) -> anyhow::Result<()> {
    for (name, (shape, inputs)) in fit::inputs(&dir.state.points) {
        let path = dir.path().join(SECTORS).join(name);
        bench(dir, &path, home, signals, place).make_inputs(&shape, &inputs, &mut |line| audience.say(line))?;
    }
    loop {
        if dir.state.queue.is_empty() {
            let state = &mut dir.state;
            state.queue = next_round(&state.points, &state.progress(), state.order_seed, state.round);
            state.complete = state.queue.is_empty();
            dir.save()?;
            if dir.state.complete {
                return Ok(());
            }
        }
        let index = dir.state.queue[0];
        let trial = run_trial(dir, home, signals, place, index)?;
        let state = &mut dir.state;
        state.trials.push(trial);
        state.queue.remove(0);
        state.round += u32::from(state.queue.is_empty());
        dir.save()?;
        let (left, left_s) = remaining(dir);
        let (point, trial) = (dir.state.points[index].label(), dir.state.trials.last().expect("one was just kept"));
        audience.trial(&point, trial, dir.state.trials.len(), dir.state.trials.len() + left, left_s);
    }
}

/// Trials that are still needed at least, and the seconds they take, by what each point's trials took so far.
pub fn remaining(dir: &SweepDir) -> (usize, f64) {
    let (state, progress) = (&dir.state, dir.state.progress());
    let mut left = (0, 0.0);
    for (index, point) in state.points.iter().enumerate() {
        let samples = progress[index].samples.len() as u32;
        let due = point.repeats.saturating_sub(samples).max(u32::from(needs_more(point, &progress[index])));
        let due = if needs_more(point, &progress[index]) { due } else { 0 };
        let took: Vec<f64> =
            state.trials.iter().filter(|trial| trial.point == index).map(|trial| trial.took_s).collect();
        let each = crate::measure::stats::median(&took).unwrap_or_else(|| fit::trial_seconds(point));
        left.0 += due as usize;
        left.1 += f64::from(due) * each;
    }
    left
}

fn bench<'a>(dir: &'a SweepDir, path: &'a Path, home: &'a Path, signals: &'a Signals, place: Place<'a>) -> Bench<'a> {
    let state = &dir.state;
    Bench { path, given: &state.given, seed: state.seed, mock: state.mock.as_ref(), home, signals, place }
}

fn run_trial(dir: &SweepDir, home: &Path, signals: &Signals, place: Place<'_>, index: usize) -> anyhow::Result<Trial> {
    if signals.stops() > 0 {
        return Err(launch::interrupted());
    }
    let (state, point) = (&dir.state, &dir.state.points[index]);
    let round = state.trials.iter().filter(|trial| trial.point == index).count() as u32;
    let sweep = SweepRun { sweep: state.id.clone(), point: point.label(), round, twin: point.twin };
    let path = dir.path().join(SECTORS).join(fit::place(point));
    let bench = bench(dir, &path, home, signals, place);
    let started = Instant::now();
    let (run, finished) = match bench.run(&bench.request(point, sweep)) {
        Ok(done) => done,
        // What goes wrong before a run starts counts against the point, unless the sweep was stopped.
        Err(error) if stop_of(&error) == Some(Stop::Interrupted) => return Err(error),
        Err(error) => return Ok(failed(index, round, String::new(), started, &error)),
    };
    match finished.error {
        Some(error) if stop_of(&error) == Some(Stop::Interrupted) => Err(error),
        Some(error) => Ok(failed(index, round, run, started, &error)),
        None => {
            let samples = finished.record.iter().flat_map(|record| Trial::samples(index, point, round, record)).next();
            let took_s = started.elapsed().as_secs_f64();
            Ok(samples.map_or_else(
                || failed(index, round, run, started, &anyhow::anyhow!("it measured nothing")),
                |trial| Trial { took_s, ..trial },
            ))
        }
    }
}

fn failed(point: usize, round: u32, run: String, started: Instant, error: &anyhow::Error) -> Trial {
    Trial {
        point,
        round,
        run,
        gib_per_h: None,
        sectors_per_h: None,
        took_s: started.elapsed().as_secs_f64(),
        error: Some(format!("{error:#}")),
        disturbances: Vec::new(),
    }
}
