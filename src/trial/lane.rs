//! One instance: a directory, a set of cores, and the phases that run there one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::disk::remove_dir;
use crate::phase::mock::Position;
use crate::phase::{Engine, Phase};
use crate::sector::{RunDir, SetKey};
use crate::trial::estimate::{self, show};
use crate::trial::gate::Gate;
use crate::trial::job::{Measured, Proving, Task, Trial};
use crate::trial::launch::{self, Done};
use crate::trial::record::{Finding, Origin, Output, PhaseRecord, Severity};
use crate::trial::session::Session;
use crate::trial::signals::Signals;
use crate::trial::spec::{ParentsMode, Spec};
use crate::trial::station::Station;
use crate::trial::verify;

/// What all instances of a run share.
pub struct Common {
    /// The run's settings.
    pub spec: Spec,
    /// The caller's signals.
    pub signals: Signals,
    /// The Groth16 parameters, for p4.
    pub params: Option<PathBuf>,
    /// Directory of the parent cache.
    pub parents: Option<PathBuf>,
    /// What the reference made earlier of each sector.
    pub known: BTreeMap<Phase, Vec<Option<Output>>>,
    /// Whether the run goes on where an earlier one stopped; else nothing that lies there is taken for its own.
    pub resume: bool,
    /// Rounds of the sweep before this run.
    pub round: u32,
}

/// What becomes of files that nobody needs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear {
    /// They go; that they were whole, and what was measured, stays in the manifest.
    Files,
    /// They and their entries go: the directory is as before.
    Forget,
}

/// One phase of one set.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// The set.
    pub key: SetKey,
}

/// An instance.
pub struct Lane {
    /// Its number, from 0.
    pub number: u32,
    /// Instances that run beside it, itself included.
    pub concurrent: u32,
    /// Its cores.
    pub cores: Vec<usize>,
    /// Threads per pool.
    pub threads: u32,
    /// Settings of the linked crates.
    pub settings: BTreeMap<String, String>,
    /// Its directory.
    pub dir: RunDir,
    /// Where its workers run.
    pub station: Arc<dyn Station>,
    /// Its voice and status.
    pub session: Session,
    /// What a reader of its figures must know.
    pub findings: Vec<Finding>,
    /// Steps that an earlier run finished here.
    pub recalled: Vec<Step>,
    /// Phases that it finished.
    pub done: u32,
}

impl Lane {
    /// Runs a phase from its inputs to its record.
    pub fn run(&mut self, common: &Common, step: Step, gate: Option<&Gate>) -> anyhow::Result<PhaseRecord> {
        let measured = self.launch(common, step, gate)?;
        self.conclude(common, step, measured)
    }

    /// The measured part: inputs linked, a worker run. Whatever happens, the gate counts this lane as arrived.
    pub fn launch(&mut self, common: &Common, step: Step, gate: Option<&Gate>) -> anyhow::Result<Measured> {
        let Step { phase, key } = step;
        self.session.begin(phase, key.engine, self.repeat(common, key));
        let prepared = self.prepare(common, step, gate.is_some()).inspect_err(|_| {
            if let Some(gate) = gate {
                gate.arrive(None);
            }
        });
        let measured = prepared.and_then(|(work, places, trial)| {
            match launch::run(self.station.as_ref(), &trial, &places, &work, &common.signals, gate, &mut self.session)?
            {
                Done::Measured(measured) => Ok(*measured),
                _ => anyhow::bail!("the worker measured nothing"),
            }
        });
        measured.map_err(|error| self.failed(step, error))
    }

    /// What comes after the clock has stopped: digests, verification, the record, the files under their final names.
    pub fn conclude(&mut self, common: &Common, step: Step, measured: Measured) -> anyhow::Result<PhaseRecord> {
        self.record(common, step, measured).map_err(|error| self.failed(step, error))
    }

    /// Removes what a step made.
    pub fn clear(&mut self, spec: &Spec, step: Step, how: Clear) -> anyhow::Result<()> {
        match how {
            Clear::Files => self.dir.remove_set_files(step.key, spec.sectors),
            Clear::Forget => self.dir.forget(step.phase, step.key, spec.sectors),
        }
    }

    fn failed(&mut self, step: Step, error: anyhow::Error) -> anyhow::Error {
        if let Err(left) = self.dir.discard(step.phase, step.key) {
            self.session.voice.note(&format!("{left:#}"));
        }
        let instance = if self.concurrent > 1 { format!(" in instance {}", self.number) } else { String::new() };
        error.context(format!("{} of {} #{}{instance} failed", step.phase, step.key.engine, step.key.repeat))
    }

    fn repeat(&self, common: &Common, key: SetKey) -> u32 {
        key.repeat - common.spec.first_repeat
    }

    fn prepare(
        &mut self,
        common: &Common,
        step: Step,
        gated: bool,
    ) -> anyhow::Result<(PathBuf, BTreeMap<String, String>, Trial)> {
        if common.signals.stops() > 0 {
            return Err(launch::interrupted());
        }
        let (Step { phase, key }, spec) = (step, &common.spec);
        let work = std::path::absolute(self.dir.prepare(phase, key, spec.sectors)?)?;
        let params = common.params.as_deref().filter(|_| phase == Phase::P4);
        let proving = params.map(|params| Proving {
            params: params.to_path_buf(),
            mode: spec.params,
            at_once: spec.p4_partitions_at_once,
        });
        let places = places(&work, proving.as_ref(), common.parents.as_deref())?;
        let at = Position {
            sample: common.round + self.repeat(common, key),
            instance: self.number,
            concurrent: self.concurrent,
            cores: self.cores.len() as u32,
        };
        let trial = Trial {
            task: Task::Phase {
                phase,
                engine: key.engine,
                dir: work.clone(),
                proving,
                sectors: spec.sectors,
                native: spec.native.clone(),
                parents: common.parents.clone().filter(|_| spec.native.parents == ParentsMode::Cache),
                act: spec
                    .mock
                    .as_ref()
                    .filter(|_| key.engine == Engine::Mock)
                    .map(|script| Box::new(script.act(phase, at))),
            },
            shape: spec.shape,
            identity: spec.identity.clone(),
            cores: self.cores.clone(),
            threads: self.threads,
            settings: self.settings.clone(),
            tethered: true,
            gated,
        };
        Ok((work, places, trial))
    }

    fn record(&mut self, common: &Common, step: Step, measured: Measured) -> anyhow::Result<PhaseRecord> {
        let (Step { phase, key }, spec) = (step, &common.spec);
        let entries = self.dir.digests(phase, key, spec.sectors)?;
        self.findings.extend(measured.findings.iter().cloned());
        let mut record = self.figures(common, step, measured);
        self.findings.extend(memory_finding(&record));
        self.findings.extend(runnable_finding(&record));
        record.output.digest = verify::digests(phase, &spec.shape, &entries);
        let comm_d = self.dir.manifest().data.as_ref().map(|data| data.comm_d.to_string());
        let known = common.known.get(&phase).map_or(&[][..], Vec::as_slice);
        self.findings.extend(verify::check(&mut record, comm_d.as_deref(), known));
        self.dir.commit(phase, key, entries, record.clone())?;
        self.done += 1;
        let seconds = crate::report::units::duration(record.wall_s);
        self.session.end(self.done, &format!("{seconds} measured"));
        Ok(record)
    }

    fn figures(&self, common: &Common, step: Step, measured: Measured) -> PhaseRecord {
        let (Step { phase, key }, spec, outcome) = (step, &common.spec, measured.outcome);
        PhaseRecord {
            phase,
            engine: key.engine,
            variant: outcome.variant,
            kernel: outcome.kernel,
            instance: self.number,
            concurrent: self.concurrent,
            repeat: self.repeat(common, key),
            cores: self.cores.clone(),
            cores_seen: measured.cores_seen,
            threads: Some(self.threads),
            threads_peak: Some(measured.threads_peak),
            runnable_peak: Some(measured.runnable_peak),
            pages: Some(measured.pages),
            sectors: spec.sectors,
            started_at: measured.started_at,
            wall_s: measured.wall_s,
            cpu_s: Some(measured.cpu_s),
            spans: measured.spans,
            max_rss_bytes: Some(measured.max_rss_bytes),
            estimated_rss_bytes: Some(estimate::memory(phase, key.engine, spec, self.threads)),
            read_bytes: measured.counters.read_bytes,
            written_bytes: measured.counters.written_bytes,
            counters: measured.counters,
            clock: measured.clock,
            work: Some(outcome.work),
            calibration: outcome.calibration,
            limit: measured.limits.first().cloned(),
            other_limits: measured.limits.into_iter().skip(1).collect(),
            output: outcome.output,
            verified: outcome.verified,
            origin: Origin::Measured,
        }
    }
}

/// The estimate that a run is refused by must hold.
fn memory_finding(record: &PhaseRecord) -> Option<Finding> {
    let (used, estimated) = record.max_rss_bytes.zip(record.estimated_rss_bytes)?;
    let text = format!(
        "{} of {} used {} of memory where {} were estimated: the refusal of runs that do not fit is too lenient for this shape",
        record.phase,
        record.engine,
        show(used),
        show(estimated)
    );
    (used > estimated).then(|| Finding::new("memory-estimate-exceeded", Severity::Warning, text))
}

/// The linked prover parses mapped parameters on one pool while the other works.
fn runnable_finding(record: &PhaseRecord) -> Option<Finding> {
    let (peak, threads) = record.runnable_peak.zip(record.threads)?;
    let text = format!(
        "{} of {} had up to {peak} runnable threads where {threads} were asked for: its pools or helpers overlap, on the same cores",
        record.phase, record.engine
    );
    (peak > threads).then(|| Finding::new("pools-overlap", Severity::Info, text))
}

/// Where the reference finds its caches: the parents, and a directory that holds nothing but links to this shape's parameters, so that
/// a key it wants to write never lands in a shared cache.
fn places(work: &Path, proving: Option<&Proving>, parents: Option<&Path>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut places = BTreeMap::new();
    let mut place = |name: &str, path: &Path| places.insert(name.to_string(), path.display().to_string());
    if let Some(parents) = parents {
        place("FIL_PROOFS_PARENT_CACHE", &std::path::absolute(parents)?);
    }
    if let Some(proving) = proving {
        let links = work.join("params");
        remove_dir(&links)?;
        std::fs::create_dir(&links).with_context(|| format!("cannot make {}", links.display()))?;
        for file in [proving.params.clone(), proving.params.with_extension("vk")] {
            if let Some(name) = file.file_name().filter(|_| file.exists()) {
                let target = std::path::absolute(&file)?;
                std::os::unix::fs::symlink(target, links.join(name)).context("cannot link the parameters")?;
            }
        }
        place("FIL_PROOFS_PARAMETER_CACHE", &links);
    }
    Ok(places)
}
