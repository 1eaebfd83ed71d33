//! `sealbench worker`: one trial in on stdin, one report out on stdout.
//!
//! A process of its own, because the reference's thread pools and settings are process-wide and read once, and because a fresh process gives
//! clean memory figures. It pins itself before any thread exists, so that every thread inherits the cores.

use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::error::{Stop, exit_code};
use crate::host::inside::Inside;
use crate::host::{Meter, cores, memory, sys};
use crate::phase::mock::Act;
use crate::phase::{self, PhaseContext};
use crate::sector::parents::ParentCache;
use crate::trial::bounds::Bounds;
use crate::trial::job::{Measured, Outcome, Report, Task, Trial};
use crate::trial::monitor::{self, Shared};
use crate::trial::record::{Finding, Severity};

/// Threads of a worker beside the two pools: main, the monitor, the tether.
pub const EXTRA_THREADS: u32 = 3;

/// Reads a trial, runs it and reports. The report is the only thing on stdout; the process's exit code says the same in short.
pub fn main() -> ! {
    let shared = Arc::new(Shared::default());
    let report = match start(&shared) {
        Ok(trial) => {
            match panic::catch_unwind(AssertUnwindSafe(|| work(&trial, &shared))) {
                // A pool that lost a thread went on without it: what came out is not a measurement.
                Ok(Ok(report)) => shared.panicked().unwrap_or(report),
                // An error that follows a panic elsewhere ("Worker Pool was poisoned") is only its echo.
                Ok(Err(error)) => shared.panicked().unwrap_or_else(|| failure(&error)),
                Err(_) => shared.panicked().expect("the hook saw the panic"),
            }
        }
        Err(error) => failure(&error),
    };
    shared.finish(report)
}

fn failure(error: &anyhow::Error) -> Report {
    Report::Failed { message: format!("{error:#}"), code: exit_code(error) }
}

/// Reads the trial, pins the process and starts the threads that watch it.
fn start(shared: &Arc<Shared>) -> anyhow::Result<Trial> {
    let mut line = String::new();
    let mut input = io::BufReader::new(io::stdin());
    input.read_line(&mut line).context("cannot read the trial from stdin")?;
    let trial: Trial = serde_json::from_str(&line)
        .map_err(|e| Stop::Usage.error(format!("stdin holds no trial in one line of JSON: {e}")))?;
    // One that looks around sees what it may use, not what it was told to use.
    if !matches!(trial.task, Task::Look { .. }) {
        let cores = cores::resolve(Some(&trial.cores), &sys::allowed_cores()?)?;
        sys::pin_process(&cores)
            .with_context(|| format!("cannot pin the worker to cores {}", cores::format_list(&cores)))?;
    }
    // Opens the perf events on this thread alone: threads that come later inherit them.
    drop(Meter::start());
    for (name, value) in &trial.settings {
        let set = std::env::var(name).unwrap_or_default();
        ensure!(
            &set == value,
            Stop::Usage.error(format!("the environment has {name}='{set}' where the trial says '{value}'"))
        );
    }
    monitor::install(shared, &trial)?;
    if trial.gated {
        shared.gate();
    }
    if trial.tethered {
        let shared = Arc::clone(shared);
        thread::Builder::new().name("tether".into()).spawn(move || tether(input, &shared))?;
    }
    Ok(trial)
}

/// Waits for "stop" and "go", and ends the process when the launcher is gone.
fn tether(mut input: impl BufRead, shared: &Shared) {
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|read| read > 0) {
        match line.trim().split_once(' ') {
            Some(("go", at)) => shared.barrier.open(Duration::from_nanos(at.parse().unwrap_or(0))),
            _ if line.trim() == "stop" => shared.ask_to_stop(),
            _ => {}
        }
        line.clear();
    }
    std::process::exit(1);
}

fn work(trial: &Trial, shared: &Shared) -> anyhow::Result<Report> {
    match &trial.task {
        Task::Phase { phase, engine, dir, proving, sectors, native, parents, act } => {
            let bounds = Bounds::measure(*phase, *engine, &trial.shape);
            let context = PhaseContext {
                shape: &trial.shape,
                identity: &trial.identity,
                sectors: *sectors,
                dir,
                cores: &trial.cores,
                threads: trial.threads,
                rows_to_discard: rows_to_discard(trial),
                native,
                parents: parents.as_deref(),
                proving: proving.as_ref(),
                act: act.as_deref(),
                probe: &shared.probe,
                progress: &|span, done, total, unit| shared.report_progress(span, done, total, unit),
            };
            let outcome = phase::run(*phase, *engine, &context)?;
            measured(trial, shared, outcome, bounds).map(|measured| Report::Done(Box::new(measured)))
        }
        Task::Parents { into } => prepare_parents(trial, shared, into),
        Task::Look { mark } => Ok(Report::Looked(Box::new(Inside::capture(mark)))),
        Task::Params { into, replace, deterministic } => prepare_params(trial, shared, into, *replace, *deterministic),
    }
}

fn prepare_parents(trial: &Trial, shared: &Shared, into: &Path) -> anyhow::Result<Report> {
    let cache = ParentCache::new(into, trial.shape.sector_size, &trial.identity.porep_id);
    let nodes = trial.shape.sector_size.nodes();
    cache.generate(&mut |done| shared.report_progress("parents", done, nodes, "node"))?;
    Ok(Report::Prepared)
}

#[cfg(feature = "reference")]
fn prepare_params(
    trial: &Trial,
    shared: &Shared,
    into: &Path,
    replace: bool,
    deterministic: Option<[u8; 32]>,
) -> anyhow::Result<Report> {
    use crate::params::setup::Seed;

    let order = crate::params::install::Order { shape: trial.shape, into, replace, free: sys::free_bytes(into).ok() };
    let mut progress = |stage: &str, done, total| shared.report_progress(stage, done, total, "point");
    let seed = deterministic.map_or(Seed::Os, Seed::Deterministic);
    crate::params::generate::generate(&order, seed, &mut progress).map(Report::Generated)
}

#[cfg(not(feature = "reference"))]
fn prepare_params(_: &Trial, _: &Shared, _: &Path, _: bool, _: Option<[u8; 32]>) -> anyhow::Result<Report> {
    Err(phase::unavailable(phase::Engine::Reference, phase::Phase::P4))
}

/// The setting that both engines follow; it was checked when the settings were resolved.
fn rows_to_discard(trial: &Trial) -> u32 {
    let setting = trial.settings.get("FIL_PROOFS_ROWS_TO_DISCARD");
    setting.and_then(|rows| rows.parse().ok()).unwrap_or(2)
}

/// Sectors that the trial processes together.
fn sectors(trial: &Trial) -> u32 {
    match trial.task {
        Task::Phase { sectors, .. } => sectors.max(1),
        Task::Parents { .. } | Task::Params { .. } | Task::Look { .. } => 1,
    }
}

fn measured(trial: &Trial, shared: &Shared, outcome: Outcome, bounds: Bounds) -> anyhow::Result<Measured> {
    let timed = shared.probe.result().context("the engine never started the clock")?;
    let spans = shared.probe.timeline.spans();
    let threads = shared.probe.threads().clone();
    let limits = bounds.limits(&outcome, sectors(trial), trial.threads, &spans);
    let mut findings = [timed.findings, outcome.findings.clone()].concat();
    findings.extend(shared.unseen_marks().map(|lines| {
        Finding::new(
            "span-lines-missing",
            Severity::Error,
            format!("the linked crates no longer log {lines}: the spans of this phase are wrong"),
        )
    }));
    let strays: Vec<usize> = threads.cores_seen.iter().copied().filter(|core| !trial.cores.contains(core)).collect();
    if !strays.is_empty() {
        let text = format!("threads ran on cores {} outside the pinned set", cores::format_list(&strays));
        findings.push(Finding::new("affinity-not-honoured", Severity::Error, text));
    }
    let act = act(trial);
    Ok(Measured {
        limits,
        started_at: timed.started_at,
        wall_s: act.map_or(timed.wall_s, |act| act.wall_s),
        cpu_s: timed.cpu_s,
        spans,
        counters: act.map_or(timed.counters, |act| act.counters.clone()),
        clock: act.map_or(Some(timed.clock), |act| act.clock),
        max_rss_bytes: timed.max_rss_bytes.context("/proc/self/status shows no VmHWM")? + outcome.reserved_bytes,
        pages: outcome.pages.clone().unwrap_or_else(memory::pages_backing),
        cores_seen: threads.cores_seen.into_iter().collect(),
        threads_peak: threads.peak,
        runnable_peak: threads.runnable_peak,
        findings,
        outcome,
    })
}

/// What the mock engine claims in place of what was measured.
fn act(trial: &Trial) -> Option<&Act> {
    match &trial.task {
        Task::Phase { act, .. } => act.as_deref(),
        Task::Parents { .. } | Task::Params { .. } | Task::Look { .. } => None,
    }
}

/// Writes a line to stderr; a launcher that is gone is no reason to fail.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
