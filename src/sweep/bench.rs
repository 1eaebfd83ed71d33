//! Trials of points in one run directory: the inputs that they share are made once, then each trial is a run.

use std::path::Path;

use crate::phase::mock::Script;
use crate::phase::{Engine, Phase};
use crate::sector::manifest::MANIFEST_FILE;
use crate::sector::{RunDir, Seed, Shape};
use crate::sweep::fit::Inputs;
use crate::sweep::grid::Point;
use crate::trial::plan::Plan;
use crate::trial::record::SweepRun;
use crate::trial::request::Request;
use crate::trial::run::{Finished, measure, new_id};
use crate::trial::signals::Signals;

/// What trials in a directory have in common.
pub struct Bench<'a> {
    /// The run directory.
    pub path: &'a Path,
    /// The command line, word by word.
    pub given: &'a [String],
    /// Seed of the sectors.
    pub seed: Seed,
    /// What the mock engine does.
    pub mock: Option<&'a Script>,
    /// SEALBENCH_HOME.
    pub home: &'a Path,
    /// Requests to stop.
    pub signals: &'a Signals,
    /// Where the instances run.
    pub place: Place<'a>,
}

/// Gives a checked plan the site of its instances.
pub type Place<'a> = &'a dyn Fn(&mut Plan) -> anyhow::Result<()>;

/// Leaves them processes of this machine.
pub fn here(_: &mut Plan) -> anyhow::Result<()> {
    Ok(())
}

impl Bench<'_> {
    /// Seals what the points of a shape read, once, on whichever engine is fastest; what is there is kept. `say` hears what begins.
    pub fn make_inputs(&self, shape: &Shape, inputs: &Inputs, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        for phase in Phase::ALL.into_iter().filter(|&phase| phase < inputs.last) {
            let is_there = RunDir::open(self.path, &new_id())?
                .is_some_and(|dir| dir.manifest().sets.values().any(|set| set.phases.contains_key(&phase)));
            if is_there {
                continue;
            }
            say(&format!("making inputs: {phase} of {shape}"));
            let request = Request {
                given: self.given.to_vec(),
                sector_size: Some(shape.sector_size),
                layers: Some(shape.layers),
                partitions: Some(shape.partitions),
                phases: Some(vec![phase]),
                engines: inputs.mock.then(|| vec![Engine::Mock]),
                mock: self.mock.cloned(),
                sectors: Some(if phase <= Phase::P2 && !inputs.mock { inputs.sectors } else { 1 }),
                seed: Some(self.seed),
                run_dir: Some(self.path.to_path_buf()),
                quiet: true,
                ..Request::default()
            };
            if let Some(error) = self.run(&request)?.1.error {
                return Err(error.context(format!("cannot make the inputs of the sweep in {}", self.path.display())));
            }
        }
        Ok(())
    }

    /// The request of a trial of a point.
    pub fn request(&self, point: &Point, sweep: SweepRun) -> Request {
        let is_new = !self.path.join(MANIFEST_FILE).exists();
        Request {
            given: self.given.to_vec(),
            sweep: Some(sweep),
            seed: is_new.then_some(self.seed),
            run_dir: Some(self.path.to_path_buf()),
            ..point.request(self.mock)
        }
    }

    /// Runs a request; the id of the run, and how it ended.
    pub fn run(&self, request: &Request) -> anyhow::Result<(String, Finished)> {
        let id = new_id();
        let mut plan = Plan::new(request, self.home, &id)?;
        plan.check()?;
        (self.place)(&mut plan)?;
        let finished = measure(request, plan, self.home, &id, self.signals.clone())?;
        Ok((id, finished))
    }
}
