//! `sealbench run`: from a request to a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::disk::{Promised, remove_dir};
use crate::error::{Stop, stop_of};
use crate::home::home;
use crate::host::core_lock::{CoreLock, InUse};
use crate::host::{BuildInfo, HostInfo, core_sets, cores, sys};
use crate::measure::{clock, rules, stats};
use crate::phase::{Engine, Phase};
use crate::sector::{RunDir, files};
use crate::store::{RunStart, Store};
use crate::trial::crew::{Crew, Round, play_or_recall};
use crate::trial::estimate::ProvingMemory;
use crate::trial::lane::{Clear, Common, Lane, Step};
use crate::trial::launch;
use crate::trial::parents;
use crate::trial::plan::Plan;
use crate::trial::prepare::{self, Setup};
use crate::trial::record::{
    Aggregate, Containers, Finding, Output, PhaseRecord, Record, RunState, SCHEMA, Severity, SpecRecord, Timer,
    Validity,
};
use crate::trial::request::Request;
use crate::trial::session::Session;
use crate::trial::signals::Signals;
use crate::trial::spec::Spec;
use crate::trial::station::Processes;
use crate::trial::verify;
use crate::trial::voice::Manner;

/// What a run ended with.
pub struct Finished {
    /// The record; `None` for a dry run.
    pub record: Option<Record>,
    /// Why it is not complete and verified, if it is not.
    pub error: Option<anyhow::Error>,
}

/// Runs a request. Errors before the first phase are returned; later ones come with the record of what was whole.
pub fn run(request: &Request) -> anyhow::Result<Finished> {
    run_at(request, |_| Ok(()))
}

/// The same, where `place` may give the plan another site once it has been checked.
pub fn run_at(request: &Request, place: impl FnOnce(&mut Plan) -> anyhow::Result<()>) -> anyhow::Result<Finished> {
    let home = home()?;
    let json = request.json.as_deref().map(|path| Promised::open("--json", path)).transpose()?;
    let id = new_id();
    let mut plan = Plan::new(request, &home, &id)?;
    plan.check()?;
    if request.dry_run {
        plan.describe();
        return Ok(Finished { record: None, error: None });
    }
    place(&mut plan)?;
    let signals = Signals::install()?;
    let finished = measure(request, plan, &home, &id, signals)?;
    if let (Some(json), Some(record)) = (json, &finished.record) {
        json.write(&serde_json::to_vec_pretty(record)?)?;
    }
    Ok(finished)
}

/// Runs what a plan says; it has been checked.
pub fn measure(request: &Request, mut plan: Plan, home: &Path, id: &str, signals: Signals) -> anyhow::Result<Finished> {
    plan.settle()?;
    // Dropped after the run, and so after its stations.
    let _alive = plan.spec.containers.then(|| signals.defer_exit());
    let mut run = Run::start(request, plan, home, id, signals)?;
    let result = run.execute();
    run.finish(result, request)
}

/// A run's id: its start and eight random digits.
pub fn new_id() -> String {
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
    /// The run's own directory; of a run of one instance, also where that works.
    base: Lane,
    /// The instances, where there are several.
    crew: Option<Crew>,
    store: Store,
    signals: Signals,
    host: HostInfo,
    build: BuildInfo,
    timer: Timer,
    /// Where parameters and parents were found.
    found: BTreeMap<String, String>,
    phases: Vec<PhaseRecord>,
    aggregates: Vec<Aggregate>,
    containers: Option<Containers>,
    findings: Vec<Finding>,
    discard: bool,
    round: u32,
    _cores: CoreLock,
    in_use: Vec<InUse>,
}

impl<'a> Run<'a> {
    fn start(request: &Request, mut plan: Plan, home: &'a Path, id: &str, signals: Signals) -> anyhow::Result<Run<'a>> {
        let (cores, in_use) = CoreLock::take(&plan.spec.cores).context("cannot mark the cores as in use")?;
        if (plan.spec.reportable || plan.spec.containers)
            && let Some(first) = in_use.first()
        {
            return Err(Stop::Refused.error(format!(
                "cores {} are used by another sealbench{}: wait for it, or name other --cores",
                cores::format_list(&first.cores),
                first.pid.map_or_else(String::new, |pid| format!(", process {pid}"))
            )));
        }
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
        let session = Session::start(id, dir.path(), total, &Manner { quiet: plan.quiet, ..Manner::default() })?;
        let run_dir = std::path::absolute(dir.path())?;
        let pid = std::process::id();
        let command = request.given.clone();
        store.begin(&RunStart { id: id.to_string(), started_at: started_at.clone(), run_dir, command, pid })?;
        let host = HostInfo::capture();
        let mut findings = spec_findings(&plan);
        if !spec.instances.is_empty() {
            let sets: Vec<Vec<usize>> = spec.instances.iter().map(|instance| instance.cores.clone()).collect();
            findings.extend(core_sets::check(&host.topology, &sys::allowed_cores()?, &sets, &spec.placement)?);
        }
        if request.engines.is_none() {
            findings.push(Finding::new("engine-chosen", Severity::Info, engines_chosen(spec)));
        }
        let base = Lane {
            number: 0,
            concurrent: 1,
            cores: spec.cores.clone(),
            threads: spec.threads,
            settings: plan.settings.clone(),
            dir,
            station: Arc::new(Processes::own()?),
            session,
            findings: Vec::new(),
            recalled: Vec::new(),
            done: 0,
        };
        Ok(Run {
            id: id.to_string(),
            started_at,
            home,
            plan,
            base,
            crew: None,
            store,
            signals,
            host,
            build: BuildInfo::capture(),
            timer: clock::calibrate(),
            found: BTreeMap::new(),
            phases: Vec::new(),
            aggregates: Vec::new(),
            containers: None,
            findings,
            discard: request.discard,
            round: request.sweep.as_ref().map_or(0, |sweep| sweep.round),
            _cores: cores,
            in_use,
        })
    }

    /// Prepares, then runs every phase of every engine and repeat that is not whole yet.
    fn execute(&mut self) -> anyhow::Result<()> {
        let common = self.prepare()?;
        if common.spec.instances.is_empty() {
            return self.one(&common);
        }
        if common.spec.is_mix() {
            self.make_inputs(&common)?;
        }
        let mut crew = Crew::assemble(&self.plan, &self.base.dir, &self.id)?;
        let done = match crew.open(self.plan.site.as_ref(), &common, &self.id) {
            Ok(opened) => {
                self.build = opened.build.unwrap_or_else(|| self.build.clone());
                self.host = opened.host.unwrap_or_else(|| self.host.clone());
                self.containers = opened.containers;
                self.findings.extend(opened.findings);
                if common.spec.is_mix() { self.mix(&common, &mut crew) } else { self.several(&common, &mut crew) }
            }
            Err(error) => Err(error),
        };
        self.findings.extend(crew.dismiss());
        self.crew = Some(crew);
        done
    }

    /// What every phase needs before any clock starts.
    fn prepare(&mut self) -> anyhow::Result<Common> {
        let spec = self.plan.spec.clone();
        let settings = self.plan.settings.clone();
        let signals = self.signals.clone();
        let setup = Setup { cores: &spec.cores, threads: spec.threads, settings: &settings, signals: &signals };
        let voice = &mut self.base.session.voice;
        let params = if spec.has(Phase::P4, Engine::Reference) {
            let memory = ProvingMemory::new(&spec.shape, spec.params, spec.p4_partitions_at_once);
            voice.say(&memory.line(spec.p4_partitions_at_once));
            Some(prepare::parameters(&spec, &setup, self.home, voice)?)
        } else {
            None
        };
        let parents =
            if spec.reads_parent_cache() { Some(parents::ensure(&spec, &setup, self.home, voice)?) } else { None };
        let found = [
            ("FIL_PROOFS_PARAMETER_CACHE", params.as_deref().and_then(Path::parent)),
            ("FIL_PROOFS_PARENT_CACHE", parents.as_deref()),
        ];
        for (name, dir) in found.into_iter().filter_map(|(name, dir)| Some((name, dir?))) {
            self.found.insert(name.to_string(), dir.display().to_string());
        }
        if spec.is_mix() || spec.phases.iter().any(|&phase| !files::needs(phase).1.is_empty()) {
            self.base.dir.ensure_data()?;
        }
        let known = spec.phases.iter().map(|&phase| Ok((phase, self.known(&spec, phase)?)));
        let known = known.collect::<anyhow::Result<_>>()?;
        let resume = self.plan.resume;
        Ok(Common { spec, signals, params, parents, known, resume, round: self.round })
    }

    /// What the reference made earlier for each of these sectors.
    fn known(&self, spec: &Spec, phase: Phase) -> anyhow::Result<Vec<Option<Output>>> {
        (0..spec.sectors).map(|sector| self.store.reference_output(&verify::key(spec, sector), phase)).collect()
    }

    /// Runs one instance.
    fn one(&mut self, common: &Common) -> anyhow::Result<()> {
        let spec = &common.spec;
        let mut repeat = 0;
        while self.wants(spec, repeat) {
            for step in steps(spec, repeat) {
                let record = play_or_recall(&mut self.base, common, step)?;
                self.phases.push(record);
            }
            if let Some(how) = self.clearing() {
                steps(spec, repeat).try_for_each(|step| self.base.clear(spec, step, how))?;
            }
            repeat += 1;
        }
        Ok(())
    }

    /// Runs instances side by side, and one alone.
    fn several(&mut self, common: &Common, crew: &mut Crew) -> anyhow::Result<()> {
        let spec = &common.spec;
        let mut repeat = 0;
        while self.wants(spec, repeat) {
            for step in steps(spec, repeat) {
                // Turns about, so that a drift of the machine does not favour one of the two.
                let alone_first = repeat % 2 == 0;
                if alone_first {
                    self.phases.extend(crew.alone(common, step)?);
                }
                let round = crew.together(common, step, &self.alone_walls(step));
                self.take(round)?;
                if !alone_first {
                    self.phases.extend(crew.alone(common, step)?);
                }
                if crew.is_lost() {
                    return Err(self.lost());
                }
            }
            if let Some(how) = self.clearing() {
                steps(spec, repeat).try_for_each(|step| crew.clear(spec, step, how))?;
            }
            repeat += 1;
        }
        self.losses()
    }

    /// Runs a mix: one of each kind alone, then all of them.
    fn mix(&mut self, common: &Common, crew: &mut Crew) -> anyhow::Result<()> {
        let spec = &common.spec;
        let mut repeat = 0;
        while spec.alone && self.wants(spec, repeat) {
            for step in steps(spec, repeat) {
                self.phases.extend(crew.alone(common, step)?);
                crew.clear(spec, step, Clear::Forget)?;
            }
            repeat += 1;
        }
        let repeats = if spec.alone { repeat } else { spec.repeats };
        for &engine in &spec.engines {
            let round = crew.mix(common, repeats, engine, &self.phases);
            self.take(round)?;
            if crew.is_lost() {
                return Err(self.lost());
            }
        }
        self.losses()
    }

    /// Runs the phases before those of a mix, once, unmeasured in this run's record.
    fn make_inputs(&mut self, common: &Common) -> anyhow::Result<()> {
        let spec = &common.spec;
        let last = spec.phases.last().copied().expect("a mix has phases");
        for phase in Phase::ALL.into_iter().filter(|&phase| phase < last) {
            let native = crate::phase::is_available(spec.engines[0], phase);
            let engine = if native { spec.engines[0] } else { Engine::Reference };
            let step = Step { phase, key: spec.set(engine, spec.first_repeat) };
            let is_there = |set: &crate::sector::manifest::Set| set.phases.contains_key(&phase);
            if !self.base.dir.manifest().sets.values().any(is_there) {
                self.base.run(common, step, None)?;
            }
        }
        Ok(())
    }

    /// What becomes of the files of a repeat that is over.
    fn clearing(&self) -> Option<Clear> {
        match (self.discard, self.plan.transient) {
            (true, _) => Some(Clear::Forget),
            (false, true) => Some(Clear::Files),
            (false, false) => None,
        }
    }

    /// Whether another repeat is due.
    fn wants(&self, spec: &Spec, repeat: u32) -> bool {
        let failed = self.findings.iter().any(|finding| finding.code == "instance-failed");
        if repeat >= spec.repeats || !spec.reportable || repeat == 0 || failed {
            return repeat < spec.repeats && !(failed && spec.reportable);
        }
        // Those side by side are one repeat: one instance of each kind speaks for it.
        let key = |record: &PhaseRecord| (record.phase, record.engine, record.concurrent);
        let first = |record: &&PhaseRecord| {
            let alike = self.phases.iter().filter(|other| key(other) == key(record));
            alike.map(|other| other.instance).min() == Some(record.instance)
        };
        stats::series(self.phases.iter().filter(first)).iter().any(|walls| rules::wants_more(walls, spec.repeats))
    }

    /// Takes over what a round brought.
    fn take(&mut self, round: Round) -> anyhow::Result<()> {
        self.phases.extend(round.records);
        self.aggregates.extend(round.aggregates);
        self.findings.extend(round.failures);
        if round.interrupted { Err(launch::interrupted()) } else { Ok(()) }
    }

    fn alone_walls(&self, step: Step) -> Vec<f64> {
        let same = |record: &&PhaseRecord| {
            (record.phase, record.engine, record.concurrent) == (step.phase, step.key.engine, 1)
        };
        self.phases.iter().filter(same).map(|record| record.wall_s).collect()
    }

    /// The error of a run some of whose instances failed.
    fn losses(&self) -> anyhow::Result<()> {
        if self.findings.iter().any(|finding| finding.code == "instance-failed") { Err(self.lost()) } else { Ok(()) }
    }

    fn lost(&self) -> anyhow::Error {
        let failed: Vec<&str> =
            self.findings.iter().filter(|finding| finding.code == "instance-failed").map(|f| f.text.as_str()).collect();
        anyhow::anyhow!(
            "{} of {} instances failed: {}",
            failed.len(),
            self.plan.spec.instances.len(),
            failed.join("; ")
        )
    }

    /// Builds the record, stores it, and cleans up.
    fn finish(mut self, result: anyhow::Result<()>, request: &Request) -> anyhow::Result<Finished> {
        let _deferred = self.signals.defer_exit();
        if !self.base.recalled.is_empty() || self.crew.as_ref().is_some_and(Crew::has_recalled) {
            let text = "some phases were measured by an earlier run in this directory: the machine and build are those of this run";
            self.findings.push(Finding::new("resumed-phases", Severity::Warning, text));
        }
        self.findings.append(&mut self.base.findings);
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
        if self.plan.spec.reportable && !record.validity.reportable {
            error = error.or_else(|| Some(Stop::Check.error(broken_rules(&record.validity))));
        }
        // A store that cannot take the record must not keep it from --json and the table.
        let recalled = |record: &PhaseRecord| {
            let repeat = record.repeat + self.plan.spec.first_repeat;
            let is =
                |step: &Step| (step.phase, step.key.engine, step.key.repeat) == (record.phase, record.engine, repeat);
            self.base.recalled.iter().any(is)
        };
        let own = |record: &&PhaseRecord| !recalled(record);
        let stored = verify::remember(&self.store, &self.plan.spec, record.phases.iter().filter(own))
            .and_then(|()| self.store.finish(&record))
            .context("the record is not in the results store");
        error = error.or(stored.err());
        let session = &mut self.base.session;
        if self.plan.transient && error.is_none() {
            let dirs: Vec<PathBuf> = self.crew.iter().flat_map(Crew::dirs).map(Path::to_path_buf).collect();
            // The crew holds the locks of its directories.
            self.crew = None;
            let removed = dirs.iter().try_for_each(|dir| remove_dir(dir)).and_then(|()| self.base.dir.remove_sector());
            if let Err(left) = removed {
                session.voice.say(&format!("{left:#}"));
            }
        }
        session.close();
        if self.plan.transient && state != RunState::Complete && error.is_some() {
            let dir = self.base.dir.path().display();
            session.voice.say(&format!("what was whole is in {dir}: {}", self.plan.how_to_go_on()));
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
        let spec = &self.plan.spec;
        let summary = stats::summarize(&self.phases);
        let subject = rules::Subject {
            phases: &self.phases,
            summary: &summary,
            host: &self.host,
            build: &self.build,
            timer: self.timer,
            pages: spec.native.pages,
            failed_runs: findings.iter().filter(|finding| finding.code == "instance-failed").count() as u32,
            in_use: &self.in_use,
            shared: findings.iter().any(|finding| finding.code == "cores-shared"),
            found: &findings,
            reportable: spec.reportable,
        };
        let broken = rules::check(&subject);
        findings.extend(broken);
        if !spec.reportable {
            let text = "the figures are an estimate: --reportable checks the rules of docs/rules.md and repeats as often as they ask";
            findings.push(Finding::new("run-rules-not-asked", Severity::Info, text));
        }
        let reportable = spec.reportable && state == RunState::Complete && rules::all_hold(&findings);
        let rules = rules::checked(spec.reportable).into_iter().map(str::to_string).collect();
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
            summary,
            phases: std::mem::take(&mut self.phases),
            sweep: request.sweep.clone(),
            containers: self.containers.take(),
            cluster: request.cluster.clone(),
            aggregates: std::mem::take(&mut self.aggregates),
            validity: Validity { reportable, rules, findings },
        }
    }
}

/// Why a run is not reportable, in a sentence.
fn broken_rules(validity: &Validity) -> String {
    let errors = validity.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let codes: Vec<&str> = errors.map(|finding| finding.code.as_str()).collect();
    format!("the run is not reportable: {}; the findings say what to do", codes.join(", "))
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

/// The steps of one repeat, in order.
fn steps(spec: &Spec, repeat: u32) -> impl Iterator<Item = Step> + '_ {
    let of = move |engine: Engine| {
        let key = move |phase| spec.set(spec.engine_of(phase, engine), spec.first_repeat + repeat);
        spec.phases.iter().map(move |&phase| Step { phase, key: key(phase) })
    };
    spec.engines.iter().flat_map(move |&engine| of(engine))
}
