//! Several instances side by side: each with its own cores and its own directory, started together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::Context;
use indicatif::MultiProgress;
use jiff::Timestamp;

use crate::host::{cores, sys};
use crate::phase::{Engine, Phase};
use crate::sector::RunDir;
use crate::trial::aggregate::{self, Part};
use crate::trial::estimate;
use crate::trial::gate::Gate;
use crate::trial::lane::{Clear, Common, Lane, Step};
use crate::trial::plan::Plan;
use crate::trial::record::{Aggregate, Finding, PhaseRecord, Severity};
use crate::trial::session::Session;
use crate::trial::spec::Spec;
use crate::trial::station::{Berth, Opened, Processes, Site, Station};
use crate::trial::voice::Manner;

/// The instances of a run.
pub struct Crew {
    lanes: Vec<Lane>,
    /// For each different kind of instance, one that runs with the machine to itself.
    alone: Vec<Lane>,
    /// Instances that failed take no further part.
    failed: Vec<bool>,
}

/// What a crew did in one step or one mix.
#[derive(Default)]
pub struct Round {
    /// Records of the instances that finished.
    pub records: Vec<PhaseRecord>,
    /// What they put out together.
    pub aggregates: Vec<Aggregate>,
    /// Those that did not finish: what happened.
    pub failures: Vec<Finding>,
    /// The round was interrupted.
    pub interrupted: bool,
}

/// One instance's part of a round: its records, and its failure.
type Played = (Vec<PhaseRecord>, Option<(Timestamp, anyhow::Error)>);

impl Crew {
    /// Makes the instances' directories below the run's, with copies of what their first phase reads.
    pub fn assemble(plan: &Plan, base: &RunDir, run: &str) -> anyhow::Result<Crew> {
        let spec = &plan.spec;
        let stage = MultiProgress::new();
        let own: Arc<dyn Station> = Arc::new(Processes::own()?);
        let count = spec.instances.len() as u32;
        let lane = |number: u32, concurrent: u32, name: &str| -> anyhow::Result<Lane> {
            let instance = &spec.instances[number as usize];
            let first = instance.phase.unwrap_or(spec.phases[0]);
            let key = spec.set(spec.engine_of(first, spec.engines[0]), spec.first_repeat);
            let dir = base.twin(&base.path().join(name), run, first, key, spec.sectors)?;
            let phases = instance.phase.map_or(spec.phases.len(), |_| 1) * spec.engines.len();
            let session = Session::start(
                run,
                dir.path(),
                spec.repeats * phases as u32,
                &Manner { stage: Some(&stage), name, quiet: plan.quiet },
            )?;
            Ok(Lane {
                number,
                concurrent,
                cores: instance.cores.clone(),
                threads: instance.threads,
                settings: plan.settings(instance.threads)?,
                dir,
                station: Arc::clone(&own),
                session,
                findings: Vec::new(),
                recalled: Vec::new(),
                done: 0,
            })
        };
        let kinds = spec.kinds();
        let alone = kinds.iter().filter(|_| spec.alone).map(|&number| lane(number, 1, &format!("alone-{number}")));
        let lanes = (0..count).map(|number| lane(number, count, &format!("instance-{number}")));
        let (alone, lanes) = (alone.collect::<anyhow::Result<_>>()?, lanes.collect::<anyhow::Result<_>>()?);
        Ok(Crew { lanes, alone, failed: vec![false; count as usize] })
    }

    /// Gives every instance its station; returns what the record says of them.
    pub fn open(&mut self, site: &dyn Site, common: &Common, run: &str) -> anyhow::Result<Opened> {
        let berth = |lane: &Lane| -> anyhow::Result<Berth> {
            let dir = std::path::absolute(lane.dir.path())?;
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let memory_bytes = estimate::memory_of(&common.spec, lane.number);
            Ok(Berth { instance: lane.number, name, dir, cores: lane.cores.clone(), memory_bytes })
        };
        let berths = self.lanes.iter().chain(&self.alone).map(berth).collect::<anyhow::Result<Vec<_>>>()?;
        let reads: Vec<PathBuf> = [common.params.as_deref().and_then(Path::parent), common.parents.as_deref()]
            .into_iter()
            .flatten()
            .map(std::path::absolute)
            .collect::<Result<_, _>>()?;
        let mut opened = site.open(run, &berths, &reads, &common.signals)?;
        for (lane, station) in self.lanes.iter_mut().chain(&mut self.alone).zip(opened.stations.drain(..)) {
            lane.station = station;
        }
        Ok(opened)
    }

    /// One instance with the machine to itself runs a step.
    pub fn alone(&mut self, common: &Common, step: Step) -> anyhow::Result<Vec<PhaseRecord>> {
        let takes_part = |lane: &&mut Lane| common.spec.runs_on(lane.number, step.phase);
        self.alone.iter_mut().filter(takes_part).map(|lane| play_or_recall(lane, common, step)).collect()
    }

    /// Every instance runs the step once, from a common start.
    pub fn together(&mut self, common: &Common, step: Step, alone: &[f64]) -> Round {
        if let Some(records) = self.recall(common, step) {
            return self.round(common, records.into_iter().map(|record| (vec![record], None)).collect(), alone);
        }
        let lanes: Vec<&mut Lane> =
            self.lanes.iter_mut().zip(&self.failed).filter(|(_, failed)| !**failed).map(|(lane, _)| lane).collect();
        let gate = Gate::new(lanes.len());
        let measured: Vec<_> = thread::scope(|scope| {
            let gate = &gate;
            let run = move |lane: &mut Lane| (lane.number, lane.launch(common, step, Some(gate)), Timestamp::now());
            let threads: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(move || run(lane))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a lane does not panic")).collect()
        });
        // Digests use every core: they are made when no clock runs any more.
        let mut played: Vec<Played> = self.lanes.iter().map(|_| (Vec::new(), None)).collect();
        for (number, measured, ended) in measured {
            let record = measured.and_then(|measured| self.lanes[number as usize].conclude(common, step, measured));
            match record {
                Ok(record) => played[number as usize].0.push(record),
                Err(error) => played[number as usize].1 = Some((ended, error)),
            }
        }
        self.round(common, played, alone)
    }

    /// Every instance runs its own phase again and again until each has done so `repeats` times, so that none ever runs with less
    /// beside it. What comes after a run's clock stays on that instance's cores.
    pub fn mix(&mut self, common: &Common, repeats: u32, engine: Engine, alone: &[PhaseRecord]) -> Round {
        let (gate, busy) = (Gate::new(self.lanes.len()), AtomicU32::new(self.lanes.len() as u32));
        let played: Vec<Played> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .lanes
                .iter_mut()
                .map(|lane| {
                    scope.spawn(|| {
                        on_own_cores(lane, &gate, |lane| keep_on(lane, common, repeats, engine, &gate, &busy))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a lane does not panic")).collect()
        });
        let (parts, window) = (parts(&played), aggregate::window(&parts(&played)));
        let bytes = common.spec.shape.sector_size.bytes();
        let mut round = Round::default();
        for phase in Phase::ALL {
            let of_phase = |lane: &Lane| common.spec.instances[lane.number as usize].phase == Some(phase);
            let group: Vec<Part<&PhaseRecord>> = self
                .lanes
                .iter()
                .zip(&parts)
                .filter(|(lane, _)| of_phase(lane))
                .map(|(_, part)| part.clone())
                .collect();
            let walls: Vec<f64> =
                alone.iter().filter(|record| record.phase == phase).map(|record| record.wall_s).collect();
            round.aggregates.extend(aggregate::of(&group, window, bytes, &walls));
        }
        self.account(played, &mut round);
        round
    }

    /// The records of a step that every instance had finished in a run that is resumed; those of some only are forgotten, so that all
    /// run it together again.
    fn recall(&mut self, common: &Common, step: Step) -> Option<Vec<PhaseRecord>> {
        let found: Option<Vec<PhaseRecord>> =
            self.lanes.iter().map(|lane| lane.dir.whole_record(step.phase, step.key)).collect();
        let whole = found.filter(|_| common.resume);
        if whole.is_none() {
            for lane in &mut self.lanes {
                if let Err(left) = lane.clear(&common.spec, step, Clear::Forget) {
                    lane.session.voice.note(&format!("{left:#}"));
                }
            }
        } else {
            self.lanes.iter_mut().for_each(|lane| lane.recalled.push(step));
        }
        whole
    }

    fn round(&mut self, common: &Common, played: Vec<Played>, alone: &[f64]) -> Round {
        let parts = parts(&played);
        let bytes = common.spec.shape.sector_size.bytes();
        let aggregate = aggregate::of(&parts, aggregate::window(&parts), bytes, alone);
        let mut round = Round { aggregates: aggregate.into_iter().collect(), ..Round::default() };
        self.account(played, &mut round);
        round
    }

    fn account(&mut self, played: Vec<Played>, round: &mut Round) {
        for (number, (records, failure)) in played.into_iter().enumerate() {
            round.records.extend(records);
            let Some((_, error)) = failure else { continue };
            self.failed[number] = true;
            if crate::error::stop_of(&error) == Some(crate::error::Stop::Interrupted) {
                round.interrupted = true;
                continue;
            }
            let text = format!("{error:#}: the figures of the others hold for the time until then");
            round.failures.push(Finding::new("instance-failed", Severity::Error, text));
        }
    }

    /// Whether some phases were measured by an earlier run.
    pub fn has_recalled(&self) -> bool {
        self.lanes.iter().chain(&self.alone).any(|lane| !lane.recalled.is_empty())
    }

    /// Whether every instance has failed.
    pub fn is_lost(&self) -> bool {
        self.failed.iter().all(|&failed| failed)
    }

    /// Removes what a step made in the directories of those that ran it.
    pub fn clear(&mut self, spec: &Spec, step: Step, how: Clear) -> anyhow::Result<()> {
        let ran = |lane: &&mut Lane| spec.runs_on(lane.number, step.phase);
        self.lanes.iter_mut().chain(&mut self.alone).filter(ran).try_for_each(|lane| lane.clear(spec, step, how))
    }

    /// What the instances found, and the end of their voices.
    pub fn dismiss(&mut self) -> Vec<Finding> {
        let lanes = self.lanes.iter_mut().chain(&mut self.alone);
        lanes
            .flat_map(|lane| {
                lane.session.close();
                std::mem::take(&mut lane.findings)
            })
            .collect()
    }

    /// The instances' directories.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.lanes.iter().chain(&self.alone).map(|lane| lane.dir.path())
    }
}

fn parts(played: &[Played]) -> Vec<Part<&PhaseRecord>> {
    let parts = played.iter().map(|(records, failure)| Part {
        runs: records.iter().collect(),
        failed_at: failure.as_ref().map(|(at, _)| *at),
    });
    parts.collect()
}

/// Runs a step, unless a run that is resumed has done so.
pub fn play_or_recall(lane: &mut Lane, common: &Common, step: Step) -> anyhow::Result<PhaseRecord> {
    match lane.dir.whole_record(step.phase, step.key) {
        Some(_) if !common.resume => {
            lane.clear(&common.spec, step, Clear::Forget)?;
            lane.run(common, step, None)
        }
        Some(record) => {
            lane.recalled.push(step);
            Ok(record)
        }
        None => lane.run(common, step, None),
    }
}

/// Does work on threads that are bound to a lane's cores, and so does everything that it starts.
fn on_own_cores(lane: &mut Lane, gate: &Gate, work: impl FnOnce(&mut Lane) -> Played + Send) -> Played {
    let cores = lane.cores.clone();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(lane.threads as usize)
        .start_handler(move |_| {
            // The worker pins itself and fails if it cannot; here it only matters for the neighbours.
            let _ = sys::pin_process(&cores);
        })
        .build();
    match pool.with_context(|| format!("cannot start threads on cores {}", cores::format_list(&lane.cores))) {
        Ok(pool) => pool.install(|| work(lane)),
        Err(error) => {
            // One that cannot come must not keep the others waiting.
            gate.arrive(None);
            (Vec::new(), Some((Timestamp::now(), error)))
        }
    }
}

/// Runs a lane's phase until nobody is `busy`: that is, until every lane has done so `repeats` times or failed.
fn keep_on(lane: &mut Lane, common: &Common, repeats: u32, engine: Engine, gate: &Gate, busy: &AtomicU32) -> Played {
    let phase = common.spec.instances[lane.number as usize].phase.expect("an instance of a mix has a phase");
    let engine = common.spec.engine_of(phase, engine);
    let (mut records, mut failure): Played = (Vec::new(), None);
    while failure.is_none() && (records.is_empty() || busy.load(Ordering::SeqCst) > 0) {
        let done = records.len() as u32;
        let step = Step { phase, key: common.spec.set(engine, common.spec.first_repeat + done) };
        let record = lane.run(common, step, (done == 0).then_some(gate));
        match record.and_then(|record| lane.clear(&common.spec, step, Clear::Forget).map(|()| record)) {
            Ok(record) => records.push(record),
            Err(error) => failure = Some((Timestamp::now(), error)),
        }
        let enough = records.len() as u32 == repeats;
        if (enough && failure.is_none()) || (failure.is_some() && (records.len() as u32) < repeats) {
            busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
    (records, failure)
}
