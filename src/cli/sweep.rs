//! `sealbench sweep`.

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::run::{given, script};
use crate::disk::Promised;
use crate::error::Stop;
use crate::home::home;
use crate::report::ranking::{left_out, ranking};
use crate::report::units;
use crate::sector::Seed;
use crate::store::Store;
use crate::sweep::bench::{Place, here};
use crate::sweep::drive::{Audience, drive, remaining};
use crate::sweep::file::{Grid, SweepFile};
use crate::sweep::rank::{judge_points, rank};
use crate::sweep::state::{State, SweepDir, Trial};
use crate::sweep::{fit, grid};
use crate::trial::estimate::show;
use crate::trial::prepare::check_space;
use crate::trial::request::DEFAULT_SEED;
use crate::trial::run::new_id;
use crate::trial::signals::Signals;

const EXAMPLES: &str = "Examples:
  sealbench sweep params/sweeps/two-cores.toml      what the file says
  sealbench sweep --phases p1,p2 --engines native,reference --layouts 1x2,2x1
  sealbench sweep --phases p2 --layouts 1x8,2x4,4x2,8x1 --sector-size 512MiB --repeats 5
  sealbench sweep FILE.toml --dry-run               the points, what is left out, the time and space it takes
  sealbench sweep --resume                          go on with the last sweep

A layout is instances x cores of each. Each point is measured at least --repeats times in rounds of random order, more often while its
spread is wide. The result is the best point of each phase by output per hour.";

/// Measure a grid of settings and find the best: phases, engines, layouts, kernels, threads, pages, batches.
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct SweepArgs {
    /// The sweep file (TOML; docs/sweep.md)
    #[arg(conflicts_with_all = ["phases", "engines", "layouts", "sector_size", "repeats", "max_repeats"])]
    file: Option<PathBuf>,
    /// Phases
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    phases: Vec<String>,
    /// Engines [default: native where it has the phase, else reference]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    engines: Vec<String>,
    /// Layouts, instances x cores of each
    #[arg(long, value_name = "MxK,...", value_delimiter = ',')]
    layouts: Vec<String>,
    /// Sector size [default: 8MiB]
    #[arg(long, value_name = "SIZE")]
    sector_size: Option<String>,
    /// Fewest samples of each point [default: 3]
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Most samples of a point that spreads [default: twice --repeats]
    #[arg(long, value_name = "N")]
    max_repeats: Option<u32>,
    /// Directory of the sweep [default: below SEALBENCH_HOME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Go on with an interrupted sweep: its directory, its id, or nothing for the last one
    #[arg(long, value_name = "DIR|ID", num_args = 0..=1, default_missing_value = "last", conflicts_with_all = ["file", "phases", "engines", "layouts", "sector_size", "repeats", "max_repeats", "dir", "dry_run", "mock"])]
    resume: Option<String>,
    /// Write the rankings to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say what would be measured and what it takes, and stop
    #[arg(long)]
    dry_run: bool,
    /// What the mock engine does, JSON
    #[arg(long, value_name = "FILE", hide = true)]
    mock: Option<PathBuf>,
}

/// Runs the command; rankings go to stdout.
pub fn run(args: SweepArgs) -> anyhow::Result<()> {
    run_at(&args, false, &here)
}

/// The arguments of a sweep that a file describes, or of one that goes on.
pub(super) fn of_file(
    file: Option<PathBuf>,
    resume: Option<String>,
    mock: Option<PathBuf>,
    dry_run: bool,
) -> SweepArgs {
    SweepArgs { file, resume, mock, dry_run, ..SweepArgs::default() }
}

/// The same with the instances at another place, containers or not.
pub(super) fn run_at(args: &SweepArgs, in_containers: bool, place: Place<'_>) -> anyhow::Result<()> {
    let home = home()?;
    let json = args.json.as_deref().map(|path| Promised::open("--json", path)).transpose()?;
    let sweeps = home.join("sweeps");
    let mut dir = match &args.resume {
        Some(word) => SweepDir::open(&resolve(&sweeps, word)?)?,
        None => {
            let state = State { in_containers, ..plan(args)? };
            let mut out = stdout().lock();
            let _ = out.write_all(left_out(&state.left_out).as_bytes());
            if state.points.is_empty() {
                return Err(Stop::Refused.error("no point of the sweep fits this machine: see what was left out"));
            }
            let path = args.dir.clone().unwrap_or_else(|| sweeps.join(&state.id));
            let disk = fit::disk_bytes(&state.points);
            let _ = writeln!(out, "{}", announcement(&state, disk));
            if args.dry_run {
                let labels: Vec<String> = state.points.iter().map(grid::Point::label).collect();
                let _ = writeln!(out, "{}", labels.join("\n"));
                return Ok(());
            }
            check_space(&path, disk, "the sweep")?;
            SweepDir::create(&path, state)?
        }
    };
    if dir.state.in_containers != in_containers {
        let [what, how] = if in_containers {
            ["processes", "sealbench sweep --resume"]
        } else {
            ["containers", "sealbench scale docker --resume-sweep"]
        };
        return Err(Stop::Usage.error(format!(
            "the instances of the sweep in {0} are {what}: go on with {how} {0}",
            dir.path().display()
        )));
    }
    let signals = Signals::install()?;
    let done = drive(&mut dir, &home, &signals, place, &mut Teller);
    let mut rankings = rank(&dir.state);
    let store = Store::open(&home)?;
    judge_points(&mut rankings, |run| store.record(run).ok());
    for one in &rankings {
        let _ = write!(stdout(), "\n{}", ranking(one));
    }
    if let Some(json) = json {
        json.write(&serde_json::to_vec_pretty(&rankings)?)?;
    }
    if let Err(error) = done {
        let (left, seconds) = remaining(&dir);
        let left = format!("{left} trials, about {}, are left", units::duration(seconds));
        let how = if in_containers { "scale docker --resume-sweep" } else { "sweep --resume" };
        let _ = writeln!(stderr(), "{left}: go on with sealbench {how} {}", dir.path().display());
        return Err(error);
    }
    crate::disk::remove_dir(&dir.path().join(crate::sweep::drive::SECTORS))?;
    failures(&dir)
}

/// What is asked for, as far as it fits this machine.
fn plan(args: &SweepArgs) -> anyhow::Result<State> {
    let file = match &args.file {
        Some(path) => SweepFile::read(path)?,
        None => SweepFile { twins: true, grids: vec![flags(args)], ..SweepFile::default() },
    };
    let seed = file.seed.as_deref().unwrap_or(DEFAULT_SEED);
    let seed: Seed = seed.parse().map_err(|e| Stop::Usage.error(format!("seed '{seed}': {e}")))?;
    let (points, left_out) = fit::split(grid::expand(&file)?);
    let mut state = State::new(new_id(), given(), seed, file.order_seed, points);
    state.left_out = left_out;
    state.mock = args.mock.as_deref().map(script).transpose()?;
    Ok(state)
}

fn flags(args: &SweepArgs) -> Grid {
    Grid {
        sector_size: args.sector_size.clone(),
        phases: args.phases.clone(),
        engines: args.engines.clone(),
        layouts: args.layouts.clone(),
        repeats: args.repeats,
        max_repeats: args.max_repeats,
        ..Grid::default()
    }
}

fn announcement(state: &State, disk: u64) -> String {
    let seconds = |samples: fn(&grid::Point) -> u32| -> f64 {
        state.points.iter().map(|point| f64::from(samples(point)) * fit::trial_seconds(point)).sum()
    };
    let trials: u32 = state.points.iter().map(|point| point.repeats).sum();
    format!(
        "sweep {}: {} points, at least {trials} trials, roughly {} (up to {} if all spread) and {} of space",
        state.id,
        state.points.len(),
        units::duration(seconds(|point| point.repeats)),
        units::duration(seconds(|point| point.max_repeats)),
        show(disk)
    )
}

/// The directory that `--resume` names.
fn resolve(sweeps: &Path, word: &str) -> anyhow::Result<PathBuf> {
    if word.contains('/') || Path::new(word).is_dir() {
        return Ok(word.into());
    }
    let entries = std::fs::read_dir(sweeps).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut dirs: Vec<PathBuf> = entries.unwrap_or_default();
    // Ids begin with their time.
    dirs.sort();
    let named = |dir: &&PathBuf| word == "last" || dir.file_name().is_some_and(|name| name == word);
    dirs.iter().rev().find(named).cloned().ok_or_else(|| {
        Stop::Usage.error(format!(
            "there is no sweep '{}' in {}: start one with sealbench sweep FILE.toml",
            word.escape_debug(),
            sweeps.display()
        ))
    })
}

/// Exit code 1 if a point could not be measured at all.
fn failures(dir: &SweepDir) -> anyhow::Result<()> {
    let progress = dir.state.progress();
    let lost = |(point, progress): (&grid::Point, &crate::sweep::schedule::Progress)| {
        progress.samples.is_empty().then(|| point.label())
    };
    let lost: Vec<String> = dir.state.points.iter().zip(&progress).filter_map(lost).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!("every trial of {} failed: see {}", lost.join(", "), dir.path().display()))
}

/// Tells people on stderr.
struct Teller;

impl Audience for Teller {
    fn say(&mut self, line: &str) {
        let _ = writeln!(stderr(), "{line}");
    }

    fn trial(&mut self, point: &str, trial: &Trial, done: usize, total: usize, left_s: f64) {
        let result = match (&trial.error, trial.gib_per_h) {
            (Some(error), _) => format!("FAILED: {error}"),
            (None, rate) => format!("{} GiB/h", rate.map_or_else(String::new, units::rate)),
        };
        let disturbed =
            if trial.disturbances.is_empty() { String::new() } else { format!(" ({})", trial.disturbances.join(", ")) };
        let left = if done < total { format!(", ETA {}", units::duration(left_s)) } else { String::new() };
        let took = units::duration(trial.took_s);
        let _ = writeln!(stderr(), "[{done}/{total}] {point}: {result}{disturbed} in {took}{left}");
    }
}
