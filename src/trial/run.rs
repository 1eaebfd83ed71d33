//! `sealbench run`: from a request to a record.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::disk::{Promised, remove_dir};
use crate::error::{Stop, stop_of};
use crate::home::home;
use crate::host::{BuildInfo, HostInfo};
use crate::measure::{clock, stats};
use crate::phase::mock::Position;
use crate::phase::{Engine, Phase};
use crate::sector::{RunDir, SetKey, files};
use crate::store::{RunStart, Store};
use crate::trial::estimate::{self, ProvingMemory, show};
use crate::trial::job::{Measured, Proving, Task, Trial};
use crate::trial::launch::{self, Done};
use crate::trial::parents;
use crate::trial::plan::Plan;
use crate::trial::prepare::{self, Setup};
use crate::trial::record::{
    Finding, Origin, Output, PhaseRecord, Record, RunState, SCHEMA, Severity, SpecRecord, Timer, Validity,
};
use crate::trial::request::Request;
use crate::trial::session::Session;
use crate::trial::signals::Signals;
use crate::trial::spec::{ParentsMode, Spec};
use crate::trial::verify;

/// What a run ended with.
pub struct Finished {
    /// The record; `None` for a dry run.
    pub record: Option<Record>,
    /// Why it is not complete and verified, if it is not.
    pub error: Option<anyhow::Error>,
}

/// Runs a request. Errors before the first phase are returned; later ones come with the record of what was whole.
pub fn run(request: &Request) -> anyhow::Result<Finished> {
    let home = home()?;
    let json = request.json.as_deref().map(|path| Promised::open("--json", path)).transpose()?;
    let id = new_id();
    let plan = Plan::new(request, &home, &id)?;
    plan.check()?;
    if request.dry_run {
        plan.describe();
        return Ok(Finished { record: None, error: None });
    }
    let signals = Signals::install()?;
    let mut run = Run::start(request, plan, &home, &id, signals)?;
    let result = run.execute();
    let finished = run.finish(result, request)?;
    if let (Some(json), Some(record)) = (json, &finished.record) {
        json.write(&serde_json::to_vec_pretty(record)?)?;
    }
    Ok(finished)
}

/// A run's id: its start and eight random digits.
fn new_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let random = blake3::hash(format!("{:?} {}", std::time::SystemTime::now(), std::process::id()).as_bytes());
    format!("{now}-{}", &random.to_hex()[..8])
}

/// A run under way.
struct Run<'a> {
    id: String,
    started_at: String,
    home: &'a Path,
    plan: Plan,
    dir: RunDir,
    store: Store,
    session: Session,
    signals: Signals,
    host: HostInfo,
    build: BuildInfo,
    timer: Timer,
    /// Phases that were whole before this run.
    resumed: Vec<(Phase, Engine, u32)>,
    /// Where parameters and parents were found.
    found: BTreeMap<String, String>,
    phases: Vec<PhaseRecord>,
    findings: Vec<Finding>,
}

impl<'a> Run<'a> {
    fn start(request: &Request, mut plan: Plan, home: &'a Path, id: &str, signals: Signals) -> anyhow::Result<Run<'a>> {
        let store = Store::open(home)?;
        let started_at = jiff::Timestamp::now().to_string();
        let spec = &plan.spec;
        let mut dir = match plan.existing.take() {
            Some(mut dir) => {
                dir.settle(request.resume)?;
                dir
            }
            None => {
                let seed = plan.seed.expect("a new directory has a seed");
                RunDir::create(&plan.dir, id, seed, spec.identity.clone(), spec.shape)?
            }
        };
        dir.set_spec(id, spec)?;
        let total = spec.repeats * (spec.engines.len() * spec.phases.len()) as u32;
        let session = Session::start(id, dir.path(), total)?;
        let run_dir = std::path::absolute(dir.path())?;
        let pid = std::process::id();
        let command = request.given.clone();
        store.begin(&RunStart { id: id.to_string(), started_at: started_at.clone(), run_dir, command, pid })?;
        let mut findings = spec_findings(&plan);
        if request.engines.is_none() {
            findings.push(Finding::new("engine-chosen", Severity::Info, engines_chosen(spec)));
        }
        let id = id.to_string();
        Ok(Run {
            id,
            started_at,
            home,
            plan,
            dir,
            store,
            session,
            signals,
            host: HostInfo::capture(),
            build: BuildInfo::capture(),
            timer: clock::calibrate(),
            resumed: Vec::new(),
            found: BTreeMap::new(),
            phases: Vec::new(),
            findings,
        })
    }

    /// Prepares, then runs every phase of every engine and repeat that is not whole yet.
    fn execute(&mut self) -> anyhow::Result<()> {
        let spec = self.plan.spec.clone();
        let settings = self.plan.settings.clone();
        let signals = self.signals.clone();
        let setup = Setup { cores: &spec.cores, threads: spec.threads, settings: &settings, signals: &signals };
        let params = if spec.has(Phase::P4, Engine::Reference) {
            let memory = ProvingMemory::new(&spec.shape, spec.params, spec.p4_partitions_at_once);
            self.session.voice.say(&memory.line(spec.p4_partitions_at_once));
            Some(prepare::parameters(&spec, &setup, self.home, &mut self.session.voice)?)
        } else {
            None
        };
        let parent_cache = if spec.reads_parent_cache() {
            Some(parents::ensure(&spec, &setup, self.home, &mut self.session.voice)?)
        } else {
            None
        };
        let found = [
            ("FIL_PROOFS_PARAMETER_CACHE", params.as_deref().and_then(Path::parent)),
            ("FIL_PROOFS_PARENT_CACHE", parent_cache.as_deref()),
        ];
        for (name, dir) in found.into_iter().filter_map(|(name, dir)| Some((name, dir?))) {
            self.found.insert(name.to_string(), dir.display().to_string());
        }
        if spec.phases.iter().any(|&phase| !files::needs(phase).1.is_empty()) {
            self.dir.ensure_data()?;
        }
        for repeat in spec.first_repeat..spec.first_repeat + spec.repeats {
            for &engine in &spec.engines {
                for &phase in &spec.phases {
                    let key = spec.set(spec.engine_of(phase, engine), repeat);
                    self.phase(phase, key, params.as_deref(), parent_cache.as_deref())?;
                }
                if self.plan.transient {
                    for &phase in &spec.phases {
                        self.dir.remove_set_files(spec.set(spec.engine_of(phase, engine), repeat), spec.sectors)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn phase(
        &mut self,
        phase: Phase,
        key: SetKey,
        params: Option<&Path>,
        parents: Option<&Path>,
    ) -> anyhow::Result<()> {
        if let Some(record) = self.dir.whole_record(phase, key) {
            self.resumed.push((phase, key.engine, key.repeat));
            self.phases.push(record);
            return Ok(());
        }
        if self.signals.stops() > 0 {
            return Err(launch::interrupted());
        }
        let repeat = self.repeat_in_run(key.repeat);
        self.session.begin(phase, key.engine, repeat);
        let record = self
            .measure(phase, key, params, parents)
            .with_context(|| format!("{phase} of {} #{repeat} failed", key.engine));
        match record {
            Ok(record) => {
                let seconds = crate::report::units::duration(record.wall_s);
                self.phases.push(record);
                self.session.end(self.phases.len() as u32, &format!("{seconds} measured"));
                Ok(())
            }
            Err(error) => {
                if let Err(left) = self.dir.discard(phase, key) {
                    self.session.voice.note(&format!("{left:#}"));
                }
                Err(error)
            }
        }
    }

    fn measure(
        &mut self,
        phase: Phase,
        key: SetKey,
        params: Option<&Path>,
        parents: Option<&Path>,
    ) -> anyhow::Result<PhaseRecord> {
        let (spec, engine) = (&self.plan.spec, key.engine);
        let work = std::path::absolute(self.dir.prepare(phase, key, spec.sectors)?)?;
        let proving = params.filter(|_| phase == Phase::P4).map(|params| Proving {
            params: params.to_path_buf(),
            mode: spec.params,
            at_once: spec.p4_partitions_at_once,
        });
        let places = places(&work, proving.as_ref(), parents)?;
        let trial = Trial {
            task: Task::Phase {
                phase,
                engine,
                dir: work.clone(),
                proving,
                sectors: spec.sectors,
                native: spec.native.clone(),
                parents: parents.filter(|_| spec.native.parents == ParentsMode::Cache).map(Path::to_path_buf),
                act: spec.mock.as_ref().filter(|_| engine == Engine::Mock).map(|script| {
                    let cores = spec.cores.len() as u32;
                    let sample = self.repeat_in_run(key.repeat);
                    script.act(phase, Position { sample, instance: 0, concurrent: 1, cores })
                }),
            },
            shape: spec.shape,
            identity: spec.identity.clone(),
            cores: spec.cores.clone(),
            threads: spec.threads,
            settings: self.plan.settings.clone(),
            tethered: true,
        };
        let Done::Measured(measured) = launch::run(&trial, &places, &work, &self.signals, &mut self.session)? else {
            anyhow::bail!("the worker measured nothing");
        };
        let entries = self.dir.digests(phase, key, spec.sectors)?;
        self.findings.extend(measured.findings.iter().cloned());
        let mut record = self.record(phase, engine, key.repeat, *measured);
        self.findings.extend(memory_finding(&record));
        self.findings.extend(runnable_finding(&record));
        record.output.digest = verify::digests(phase, &spec.shape, &entries);
        let comm_d = self.dir.manifest().data.as_ref().map(|data| data.comm_d.to_string());
        self.findings.extend(verify::check(&mut record, comm_d.as_deref(), &self.known(phase)?));
        self.dir.commit(phase, key, entries, record.clone())?;
        Ok(record)
    }

    fn record(&self, phase: Phase, engine: Engine, repeat: u32, measured: Measured) -> PhaseRecord {
        let spec = &self.plan.spec;
        let outcome = measured.outcome;
        PhaseRecord {
            phase,
            engine,
            variant: outcome.variant,
            kernel: outcome.kernel,
            instance: 0,
            concurrent: 1,
            repeat: self.repeat_in_run(repeat),
            cores: spec.cores.clone(),
            cores_seen: measured.cores_seen,
            threads: spec.threads,
            threads_peak: measured.threads_peak,
            runnable_peak: measured.runnable_peak,
            pages: measured.pages,
            sectors: spec.sectors,
            started_at: measured.started_at,
            wall_s: measured.wall_s,
            cpu_s: measured.cpu_s,
            spans: measured.spans,
            max_rss_bytes: measured.max_rss_bytes,
            estimated_rss_bytes: Some(estimate::memory(phase, engine, spec)),
            read_bytes: measured.counters.read_bytes,
            written_bytes: measured.counters.written_bytes,
            counters: measured.counters,
            clock: measured.clock,
            work: outcome.work,
            calibration: outcome.calibration,
            limit: measured.limits.first().cloned(),
            other_limits: measured.limits.into_iter().skip(1).collect(),
            output: outcome.output,
            verified: outcome.verified,
            origin: Origin::Measured,
        }
    }

    fn repeat_in_run(&self, repeat: u32) -> u32 {
        repeat - self.plan.spec.first_repeat
    }

    /// What the reference made earlier for each of these sectors.
    fn known(&self, phase: Phase) -> anyhow::Result<Vec<Option<Output>>> {
        let spec = &self.plan.spec;
        (0..spec.sectors).map(|sector| self.store.reference_output(&verify::key(spec, sector), phase)).collect()
    }

    /// Builds the record, stores it, and cleans up.
    fn finish(mut self, result: anyhow::Result<()>, request: &Request) -> anyhow::Result<Finished> {
        self.signals.defer_exit(true);
        if !self.resumed.is_empty() {
            let text = "some phases were measured by an earlier run in this directory: the machine and build are those of this run";
            self.findings.push(Finding::new("resumed-phases", Severity::Warning, text));
        }
        self.findings.extend(verify::across_engines(&mut self.phases));
        verify::through_c1(&mut self.phases, self.plan.spec.fallback);
        let (state, mut error) = match result {
            Ok(()) => (RunState::Complete, None),
            Err(error) if stop_of(&error) == Some(Stop::Interrupted) => (RunState::Interrupted, Some(error)),
            Err(error) => {
                self.findings.push(Finding::new("phase-failed", Severity::Error, format!("{error:#}")));
                (RunState::Failed, Some(error))
            }
        };
        if let Some(wrong) = verify::wrong(&self.phases).filter(|_| error.is_none()) {
            error = Some(Stop::Check.error(wrong));
        }
        let record = self.build(state, request);
        // A store that cannot take the record must not keep it from --json and the table.
        let first = self.plan.spec.first_repeat;
        let own = |record: &&PhaseRecord| !self.resumed.contains(&(record.phase, record.engine, record.repeat + first));
        let stored = verify::remember(&self.store, &self.plan.spec, record.phases.iter().filter(own))
            .and_then(|()| self.store.finish(&record))
            .context("the record is not in the results store");
        error = error.or(stored.err());
        if self.plan.transient
            && error.is_none()
            && let Err(left) = self.dir.remove_sector()
        {
            self.session.voice.say(&format!("{left:#}"));
        }
        self.session.close();
        if self.plan.transient && state != RunState::Complete && error.is_some() {
            self.session.voice.say(&format!(
                "what was whole is in {0}: continue with sealbench run --resume --run-dir {0}",
                self.dir.path().display()
            ));
        }
        Ok(Finished { record: Some(record), error })
    }

    fn build(&mut self, state: RunState, request: &Request) -> Record {
        let mut findings: Vec<Finding> = Vec::new();
        for finding in self.findings.drain(..) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings.push(Finding::new(
            "run-rules-not-checked",
            Severity::Info,
            "this version checks no run rules: the figures are an estimate, not a reportable result",
        ));
        Record {
            schema: SCHEMA.to_string(),
            id: self.id.clone(),
            started_at: self.started_at.clone(),
            state,
            host: self.host.clone(),
            build: self.build.clone(),
            spec: SpecRecord {
                given: request.given.clone(),
                resolved: self.plan.spec.clone(),
                settings: self.plan.settings.clone().into_iter().chain(std::mem::take(&mut self.found)).collect(),
            },
            seed: self.plan.seed,
            timer: self.timer,
            summary: stats::summarize(&self.phases),
            phases: std::mem::take(&mut self.phases),
            sweep: None,
            aggregates: Vec::new(),
            validity: Validity { reportable: false, rules: Vec::new(), findings },
        }
    }
}

/// The estimate that a run is refused by must hold.
fn memory_finding(record: &PhaseRecord) -> Option<Finding> {
    let estimated = record.estimated_rss_bytes.filter(|&estimated| record.max_rss_bytes > estimated)?;
    let text = format!(
        "{} of {} used {} of memory where {} were estimated: the refusal of runs that do not fit is too lenient for this shape",
        record.phase,
        record.engine,
        show(record.max_rss_bytes),
        show(estimated)
    );
    Some(Finding::new("memory-estimate-exceeded", Severity::Warning, text))
}

/// The linked prover parses mapped parameters on one pool while the other works.
fn runnable_finding(record: &PhaseRecord) -> Option<Finding> {
    let text = format!(
        "{} of {} had up to {} runnable threads where {} were asked for: its pools or helpers overlap, on the same cores",
        record.phase, record.engine, record.runnable_peak, record.threads
    );
    (record.runnable_peak > record.threads).then(|| Finding::new("pools-overlap", Severity::Info, text))
}

/// What runs where no engine was named.
fn engines_chosen(spec: &Spec) -> String {
    let on = |engine| {
        let phases = spec.runs().filter(|run| run.1 == engine).map(|(phase, _)| phase.name());
        phases.collect::<Vec<_>>().join(",")
    };
    format!("no engine was named: native runs [{}], reference [{}]", on(Engine::Native), on(Engine::Reference))
}

/// What a reader must know about the spec itself.
fn spec_findings(plan: &Plan) -> Vec<Finding> {
    let spec = &plan.spec;
    let mut findings = Vec::new();
    if !spec.network_shape {
        let text = format!("{} is not a shape the network seals: compare it only with itself", spec.shape);
        findings.push(Finding::new("non-network-shape", Severity::Info, text));
    }
    if spec.has(Phase::P1, Engine::Reference) && plan.settings["FIL_PROOFS_USE_MULTICORE_SDR"] == "false" {
        let text = "reference p1 is the single-core SDR; production software uses the multicore one (feature reference-multicore)";
        findings.push(Finding::new("reference-single-core", Severity::Info, text));
    }
    findings
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
