//! `sealbench scale docker`.

use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::cli::run::{RunArgs, request};
use crate::cli::sweep;
use crate::disk::{self, Promised};
use crate::error::Stop;
use crate::home::home;
use crate::host::HostInfo;
use crate::host::arena::Pages;
use crate::host::core_sets::Placement;
use crate::report::compare::{Side, compare as compare_sides, text};
use crate::report::table::run_table;
use crate::scale::compose;
use crate::scale::docker::cost::{self, Arm, Sites};
use crate::scale::docker::emit;
use crate::scale::docker::engine::Engine;
use crate::scale::docker::image::{self, Image, Source, TargetCpu};
use crate::scale::docker::leftovers;
use crate::scale::docker::share::Limit;
use crate::scale::docker::site::ContainerSite;
use crate::scale::docker::takeover::take_over;
use crate::trial::plan::Plan;
use crate::trial::record::Record;
use crate::trial::request::Request;
use crate::trial::run::{Finished, new_id, run_at};
use crate::trial::signals::Signals;
use crate::trial::station::Processes;

const EXAMPLES: &str = "Examples:
  sealbench scale docker --instances 4 --cores-per-instance 8 --phases p1,p2
  sealbench scale docker --core-sets '0-7;8-15' --phases p1 --memory 96GiB --target-cpu znver2
  sealbench scale docker --instances 2 --cores-per-instance 1 --phases p1 --against-processes
                                              what a container costs: containers and processes in turns
  sealbench scale docker --mix p1:4x1,p2:4x8  different phases side by side
  sealbench scale docker params/sweeps/two-cores.toml   a sweep, every point as containers
  sealbench scale docker --from OLD.yml --phases p2     the cores and mounts of a Compose file
  sealbench scale docker --instances 2 --cores-per-instance 1 --run-dir /data/two --emit two.yml
  DOCKER_HOST=ssh://bench@node7 sealbench scale docker ... --run-dir /shared/run
  sealbench scale status                      the containers that run now

Each instance is a container with its own cores, no network, a read-only root and no capability that it does not need. The options of
`sealbench run` hold here too. Exit codes are those of `sealbench run`; 3 also where no engine answers.";

/// Run instances as containers of Docker Engine or Podman, started together
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DockerArgs {
    /// A sweep file (docs/sweep.md) whose points run as containers, in place of the options of a single run
    #[arg(value_name = "SWEEP.toml", conflicts_with_all = ["from", "emit", "against_processes", "resume_sweep", "instances", "mix", "core_sets", "phases", "run_dir", "resume"])]
    sweep: Option<PathBuf>,
    /// Go on with an interrupted sweep of containers: its directory, its id, or nothing for the last one
    #[arg(long, value_name = "DIR|ID", num_args = 0..=1, default_missing_value = "last", conflicts_with_all = ["from", "emit", "against_processes", "instances", "mix", "core_sets", "phases", "run_dir", "resume"])]
    resume_sweep: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// CPU that the image's binary is built for [default: native]
    #[arg(long, value_enum, conflicts_with_all = ["binary", "image"])]
    target_cpu: Option<TargetCpu>,
    /// Static binary of sealbench for the image [default: built from the source with cargo]
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    binary: Option<PathBuf>,
    /// Image that the engine has
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Memory limit of each container, or none [default: what is available, in proportion to what each needs]
    #[arg(long, value_name = "SIZE|none")]
    memory: Option<MemoryArg>,
    /// Take the instances' cores, mounts and memory limits from a Compose file that was written by hand
    #[arg(long, value_name = "FILE", conflicts_with_all = ["instances", "cores_per_instance", "core_sets", "mix", "resume"])]
    from: Option<PathBuf>,
    /// Write the instances as a Compose file in place of running them; --run-dir says where their files are
    #[arg(long, value_name = "FILE", requires = "run_dir", conflicts_with_all = ["against_processes", "resume"])]
    emit: Option<PathBuf>,
    /// Measure the same instances as plain processes too, in turns, and compare; so many rounds
    #[arg(long, value_name = "ROUNDS", num_args = 0..=1, default_missing_value = "6", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with_all = ["baseline", "save_baseline", "reportable"])]
    against_processes: Option<u32>,
}

/// `--memory`: bytes, or none.
#[derive(Clone, Copy, Debug)]
struct MemoryArg(Limit);

impl std::str::FromStr for MemoryArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(MemoryArg(Limit::Open));
        }
        let size =
            text.parse::<bytesize::ByteSize>().map_err(|_| format!("'{text}' is no size: write it like 96GiB"))?;
        // What an engine refuses is refused here with the option's name.
        if size.as_u64() < 6 << 20 {
            Err(format!("'{text}' is too little for any process"))
        } else {
            Ok(MemoryArg(Limit::Bytes(size.as_u64())))
        }
    }
}

/// Runs the command; the table goes to stdout.
pub fn run(mut args: DockerArgs) -> anyhow::Result<()> {
    let afterwards = std::mem::take(&mut args.run.baseline).prepare()?;
    let (source, cpu, memory) = (source(&args), args.target_cpu.unwrap_or_default(), args.memory);
    let rounds = args.against_processes;
    let (emit, from) = (args.emit, args.from);
    let asked_sweep = (args.sweep.is_some() || args.resume_sweep.is_some())
        .then(|| sweep::of_file(args.sweep, args.resume_sweep, args.run.mock.clone(), args.run.dry_run));
    let mut request = request(args.run)?;
    let home = home()?;
    let taken = from.as_deref().map(take_over).transpose()?;
    if let Some(taken) = &taken {
        taken.findings.iter().for_each(|finding| say(&format!("{}: {}", finding.code, finding.text)));
        request.layout.core_sets = Some(taken.core_sets.clone());
        // What is wrong with its cores is a finding: it runs as it is written.
        let share = taken.findings.iter().any(|finding| finding.code == "cpuset-shared" || finding.code == "no-cpuset");
        request.layout.placement =
            Placement { smt: true, split_l3: true, share: share || request.layout.placement.share };
        request.scratch = taken.storage.as_ref().map(|dir| dir.join("sealbench"));
    }
    let request = containerised(request)?;
    if request.dry_run && asked_sweep.is_none() {
        return run_at(&request, |_| Ok(())).map(drop);
    }
    let engine = Arc::new(Engine::connect()?);
    let keep = request.run_dir.as_deref().and_then(|dir| dir.canonicalize().ok());
    let cleaned = leftovers::clean(&engine, keep.as_deref())?;
    if cleaned > 0 {
        let s = if cleaned == 1 { "" } else { "s" };
        say(&format!("removed {cleaned} container{s} that launchers that are gone had left"));
    }
    let image = image::ensure(&engine, &source, cpu, &mut say)?;
    let site = |transient: bool| ContainerSite {
        engine: Arc::clone(&engine),
        image: image.clone(),
        memory: memory.map_or(Limit::Share, |MemoryArg(limit)| limit),
        nodes: HostInfo::capture().topology.numa_nodes.unwrap_or_default(),
        own: taken.as_ref().map(|taken| taken.own.clone()).unwrap_or_default(),
        findings: taken.as_ref().map(|taken| taken.findings.clone()).unwrap_or_default(),
        reserved_pages: matches!(request.native.pages, Pages::Gib | Pages::Mib),
        transient,
    };
    if let Some(asked) = asked_sweep {
        let place = |plan: &mut Plan| {
            plan.site = Arc::new(site(false));
            Ok(())
        };
        return sweep::run_at(&asked, true, &place);
    }
    if let Some(file) = emit {
        return write_compose(&request, &file, &home, &site(false));
    }
    if let Some(rounds) = rounds {
        return against_processes(&request, &image, site(request.run_dir.is_none()), rounds);
    }
    let Finished { record, error } = run_at(&request, |plan| {
        plan.site = Arc::new(site(plan.transient));
        Ok(())
    })?;
    if let Some(record) = &record {
        let _ = write!(stdout(), "{}", run_table(record));
    }
    error.map_or(Ok(()), Err)?;
    record.map_or(Ok(()), |record| afterwards.finish(&record))
}

fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

fn source(args: &DockerArgs) -> Source {
    match (&args.image, &args.binary) {
        (Some(name), _) => Source::Image(name.clone()),
        (None, Some(path)) => Source::Binary(path.clone()),
        (None, None) => Source::Build,
    }
}

/// A run that names no layout is one instance on all its cores.
fn containerised(mut request: Request) -> anyhow::Result<Request> {
    let layout = &mut request.layout;
    let is_one = layout.instances.is_none() && layout.core_sets.is_none() && layout.mix.is_none() && !request.resume;
    if is_one && layout.cores_per_instance.is_none() {
        let cores = crate::host::cores::resolve(request.cores.as_deref(), &crate::host::sys::allowed_cores()?)?;
        layout.core_sets = Some(vec![cores]);
        layout.placement.smt = true;
        request.without_alone = true;
    }
    Ok(request)
}

/// Writes the Compose file, and makes the directories that its services mount.
fn write_compose(request: &Request, file: &Path, home: &Path, site: &ContainerSite) -> anyhow::Result<()> {
    let plan = Plan::new(request, home, &new_id())?;
    plan.check()?;
    let services = emit::services(&plan, site, home)?;
    for dir in services.iter().filter_map(|service| service.working_dir.as_deref()) {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {dir}"))?;
    }
    disk::write_by_rename(file, compose::compose(&services).as_bytes())?;
    say(&format!("wrote {}: start it with docker-compose -f {0} up", file.display()));
    Ok(())
}

fn against_processes(request: &Request, image: &Image, site: ContainerSite, rounds: u32) -> anyhow::Result<()> {
    let Some(binary) = &image.binary else {
        return Err(Stop::Usage.error(
            "--against-processes runs the image's own binary as processes: name it with --binary in place of --image, or let it be built",
        ));
    };
    let json = request.json.as_deref().map(|path| Promised::open("--json", path)).transpose()?;
    let signals = Signals::install()?;
    let sites = Sites { processes: Arc::new(Processes::of(binary.clone())), containers: Arc::new(site) };
    let records = cost::compare(request, &sites, rounds, &home()?, &signals, &mut say)?;
    let side = |label: &str, arm: Arm| Side {
        label: label.into(),
        records: records.iter().filter(|(of, _)| *of == arm).map(|(_, record)| record.clone()).collect(),
        ..Side::default()
    };
    let all: Vec<Record> = records.iter().map(|(_, record)| record.clone()).collect();
    let (processes, containers) = (side("processes", Arm::Processes), side("containers", Arm::Containers));
    let report = compare_sides(&processes, &containers, &all)?;
    let _ = write!(stdout(), "{}", text(&report));
    if let Some(json) = json {
        json.write(&serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}
