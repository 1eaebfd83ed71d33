//! `sealbench scale status`: which container, or which job, is this?

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Args;

use crate::cli::scale::slurm;
use crate::host::cores;
use crate::report::table::{Align, table};
use crate::scale::docker::engine::Engine;
use crate::scale::docker::leftovers::{self, Found};
use crate::trial::status::RunStatus;

/// The containers of runs that go on: instance, cores, processes, phase and progress; or the jobs of a Slurm submission
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The shared directory of a submission: each element with its job, node, process and cores, in place of containers
    #[arg(conflicts_with = "json")]
    dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One container's line.
#[derive(Debug, serde::Serialize)]
struct Line {
    run: String,
    instance: String,
    container: String,
    running: bool,
    pids: Vec<u32>,
    cores: String,
    phase: Option<String>,
    progress: Option<String>,
    launcher: u32,
}

/// Runs the command.
pub fn run(args: &StatusArgs) -> anyhow::Result<()> {
    if let Some(dir) = &args.dir {
        return slurm::status(dir);
    }
    let engine = Engine::connect()?;
    let lines = leftovers::list(&engine)?.into_iter().map(|found| line(&engine, found));
    let lines: Vec<Line> = lines.collect();
    let mut out = stdout().lock();
    if args.json {
        let _ = writeln!(out, "{}", serde_json::to_string_pretty(&lines)?);
        return Ok(());
    }
    if lines.is_empty() {
        let _ = writeln!(out, "no containers of sealbench at {}", engine.endpoint());
        return Ok(());
    }
    let columns = ["run", "instance", "container", "cores", "PIDs", "phase", "progress", "launcher"];
    let _ = write!(out, "{}", table(&columns.map(|name| (name, Align::Left)), lines.into_iter().map(cells)));
    Ok(())
}

fn cells(line: Line) -> Vec<String> {
    let pids: Vec<String> = line.pids.iter().map(u32::to_string).collect();
    vec![
        line.run,
        line.instance,
        line.container.chars().take(12).collect(),
        line.cores,
        if line.running { pids.join(" ") } else { "stopped".into() },
        line.phase.unwrap_or_default(),
        line.progress.unwrap_or_default(),
        line.launcher.to_string(),
    ]
}

fn line(engine: &Engine, found: Found) -> Line {
    let at = RunStatus::read(&found.labels.dir).ok().flatten().and_then(|status| status.at);
    let progress = at.as_ref().and_then(|at| at.progress.as_ref());
    Line {
        pids: if found.is_running { leftovers::pids(engine, &found.id) } else { Vec::new() },
        cores: cores::format_list(&found.labels.cores),
        phase: at.as_ref().map(|at| format!("{} {} #{}", at.phase, at.engine, at.repeat)),
        progress: progress.map(|progress| format!("{} {:.0} %", progress.span, progress.percent())),
        run: found.labels.run,
        instance: found.labels.name,
        container: found.id,
        running: found.is_running,
        launcher: found.labels.launcher.0,
    }
}
