//! Runs a sweep: inputs first, then trial by trial, each one kept as it comes.

use std::path::Path;
use std::time::Instant;

use crate::error::{Stop, stop_of};
use crate::phase::{Engine, Phase};
use crate::sector::Shape;
use crate::sweep::fit::{self, Inputs};
use crate::sweep::grid::Point;
use crate::sweep::schedule::{needs_more, next_round};
use crate::sweep::state::{SweepDir, Trial};
use crate::trial::launch;
use crate::trial::plan::Plan;
use crate::trial::record::{Record, Severity, SweepRun};
use crate::trial::request::Request;
use crate::trial::run::{Finished, measure, new_id};
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
pub fn drive(dir: &mut SweepDir, home: &Path, signals: &Signals, audience: &mut dyn Audience) -> anyhow::Result<()> {
    for (place, (shape, inputs)) in fit::inputs(&dir.state.points) {
        make_inputs(dir, home, signals, audience, &place, &shape, &inputs)?;
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
        let trial = run_trial(dir, home, signals, index)?;
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

/// Seals what the points of a shape read, once, on whichever engine is fastest; a later start finds it.
fn make_inputs(
    dir: &SweepDir,
    home: &Path,
    signals: &Signals,
    audience: &mut dyn Audience,
    place: &str,
    shape: &Shape,
    inputs: &Inputs,
) -> anyhow::Result<()> {
    let path = dir.path().join(SECTORS).join(place);
    for phase in Phase::ALL.into_iter().filter(|&phase| phase < inputs.last) {
        let is_there = crate::sector::RunDir::open(&path, &dir.state.id)?
            .is_some_and(|dir| dir.manifest().sets.values().any(|set| set.phases.contains_key(&phase)));
        if is_there {
            continue;
        }
        audience.say(&format!("making inputs: {phase} of {shape}"));
        let request = Request {
            given: dir.state.given.clone(),
            sector_size: Some(shape.sector_size),
            layers: Some(shape.layers),
            partitions: Some(shape.partitions),
            phases: Some(vec![phase]),
            engines: inputs.mock.then(|| vec![Engine::Mock]),
            mock: dir.state.mock.clone(),
            sectors: Some(if phase <= Phase::P2 && !inputs.mock { inputs.sectors } else { 1 }),
            seed: Some(dir.state.seed),
            run_dir: Some(path.clone()),
            quiet: true,
            ..Request::default()
        };
        if let Some(error) = run(&request, home, signals)?.1.error {
            return Err(error.context(format!("cannot make the inputs of the sweep in {}", path.display())));
        }
    }
    Ok(())
}

fn run(request: &Request, home: &Path, signals: &Signals) -> anyhow::Result<(String, Finished)> {
    let id = new_id();
    let plan = Plan::new(request, home, &id)?;
    plan.check()?;
    let finished = measure(request, plan, home, &id, signals.clone())?;
    Ok((id, finished))
}

fn run_trial(dir: &SweepDir, home: &Path, signals: &Signals, index: usize) -> anyhow::Result<Trial> {
    if signals.stops() > 0 {
        return Err(launch::interrupted());
    }
    let (state, point) = (&dir.state, &dir.state.points[index]);
    let round = state.trials.iter().filter(|trial| trial.point == index).count() as u32;
    let sweep = SweepRun { sweep: state.id.clone(), point: point.label(), round, twin: point.twin };
    let path = dir.path().join(SECTORS).join(fit::place(point));
    let is_new = !path.join(crate::sector::manifest::MANIFEST_FILE).exists();
    let request = Request {
        given: state.given.clone(),
        sweep: Some(sweep),
        seed: is_new.then_some(state.seed),
        run_dir: Some(path),
        ..point.request(state.mock.as_ref())
    };
    let started = Instant::now();
    let (run, finished) = match run(&request, home, signals) {
        Ok(done) => done,
        // What goes wrong before a run starts counts against the point, unless the sweep was stopped.
        Err(error) if stop_of(&error) == Some(Stop::Interrupted) => return Err(error),
        Err(error) => return Ok(failed(index, round, String::new(), started, &error)),
    };
    match finished.error {
        Some(error) if stop_of(&error) == Some(Stop::Interrupted) => Err(error),
        Some(error) => Ok(failed(index, round, run, started, &error)),
        None => Ok(sample(index, round, run, started, point, finished.record.as_ref())),
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

fn sample(index: usize, round: u32, run: String, started: Instant, point: &Point, record: Option<&Record>) -> Trial {
    let aggregate = record.and_then(|record| record.aggregates.iter().find(|aggregate| aggregate.phase == point.phase));
    let findings = record.iter().flat_map(|record| &record.validity.findings);
    let disturbances =
        findings.filter(|finding| finding.severity != Severity::Info).map(|finding| finding.code.clone());
    Trial {
        point: index,
        round,
        run,
        gib_per_h: aggregate.map(|aggregate| aggregate.gib_per_h),
        sectors_per_h: aggregate.map(|aggregate| aggregate.sectors_per_h),
        took_s: started.elapsed().as_secs_f64(),
        error: aggregate.is_none().then(|| "it measured nothing".into()),
        disturbances: disturbances.collect(),
    }
}
