//! `sealbench scale slurm`.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Write, stderr, stdout};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::cli::run::{given, script};
use crate::disk::{Promised, write_by_rename};
use crate::error::Stop;
use crate::home::home;
use crate::report::ranking::left_out;
use crate::report::table::{Align, one_line, table};
use crate::report::units;
use crate::scale::slurm::collect::{self, Collection, Source, collect};
use crate::scale::slurm::element::Payload;
use crate::scale::slurm::options;
use crate::scale::slurm::prepare::{self, Terms};
use crate::scale::slurm::queue::Queue;
use crate::scale::slurm::script as batch;
use crate::scale::slurm::submission::{self, PROGRAM, Submission};
use crate::scale::slurm::verdict;
use crate::scale::slurm::wait::{Patience, Waited, wait};
use crate::scale::slurm::{client, element};
use crate::sector::Seed;
use crate::store::Store;
use crate::sweep::file::SweepFile;
use crate::sweep::grid;
use crate::trial::estimate::show;
use crate::trial::request::DEFAULT_SEED;
use crate::trial::run::new_id;
use crate::trial::signals::Signals;

const EXAMPLES: &str = "Examples:
  sealbench scale slurm SWEEP.toml --into /shared/s1 --constraint epyc,xeon    submit, wait, compare the two kinds of nodes
  sealbench scale slurm SWEEP.toml --into /shared/s1 --partition bench --exclusive --detach
  sealbench scale status /shared/s1                                            each element: job, node, process, state
  sealbench scale slurm --collect /shared/s1                                   what is there; as often as you like
  sealbench scale slurm --collect /shared/s1 --wait                            wait for the rest again
  sealbench scale slurm SWEEP.toml --emit /shared/s1 -- --account=lab          the scripts only; sh /shared/s1/submit.sh submits them

The directory is one that this machine and the nodes share. Each element of a job array measures a point of the sweep on a node and
delivers its record there; one record of each goes into this machine's store. docs/slurm.md tells the whole.";

/// Run a sweep as job arrays of a Slurm cluster and compare its kinds of nodes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SlurmArgs {
    /// The sweep file (TOML; docs/sweep.md)
    #[arg(required_unless_present = "collect", conflicts_with = "collect")]
    file: Option<PathBuf>,
    /// The shared directory, a new one
    #[arg(long, value_name = "DIR", required_unless_present_any = ["collect", "emit"])]
    into: Option<PathBuf>,
    /// Write the directory and its scripts, submit nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["into", "detach"])]
    emit: Option<PathBuf>,
    /// Take what the elements of a submission delivered, and say where the others stand
    #[arg(long, value_name = "DIR", conflicts_with_all = ["into", "emit", "detach"])]
    collect: Option<PathBuf>,
    /// With --collect: wait for the jobs that go on
    #[arg(long, requires = "collect")]
    wait: bool,
    /// Features of nodes, one for each kind of machine to compare; each takes sbatch's expressions [default: any node]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    constraint: Vec<String>,
    /// Partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Give each element a whole node, not the cores of its point
    #[arg(long)]
    exclusive: bool,
    /// Submit and return; --collect takes the records later
    #[arg(long)]
    detach: bool,
    /// What the estimated time is multiplied by for the jobs' limit
    #[arg(long, value_name = "X", default_value_t = 4.0)]
    time_factor: f64,
    /// Trials of a point that an element runs one after the other [default: by their length]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials_per_element: Option<u32>,
    /// Directory on the nodes for sectors [default: their TMPDIR]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Directory on the nodes for parameters and parent caches; never a shared one [default: sealbench-home-UID in the scratch directory]
    #[arg(long, value_name = "DIR")]
    node_home: Option<PathBuf>,
    /// The program on the nodes [default: a copy of this one in the shared directory]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Seconds between two questions to Slurm
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    poll: f64,
    /// Seconds after which an array is cancelled that waits for nodes that are down
    #[arg(long, value_name = "S", default_value_t = 3600.0)]
    give_up_after: f64,
    /// Seconds that a record of an element that is over may take to show in the shared directory
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    settle: f64,
    /// Write the comparison to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["emit", "detach"])]
    json: Option<PathBuf>,
    /// What the mock engine does, JSON
    #[arg(long, value_name = "FILE", hide = true)]
    mock: Option<PathBuf>,
    /// More options for sbatch, each as one word: --name or --name=value
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    options: Vec<String>,
}

/// One element of a submission (started by Slurm)
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct ElementArgs {
    #[arg(long)]
    into: PathBuf,
    #[arg(long)]
    submission: String,
    #[arg(long)]
    array: usize,
}

/// Runs an element.
pub fn element(args: ElementArgs) -> anyhow::Result<()> {
    element::run(&Payload { dir: args.into, submission: args.submission, array: args.array })
}

/// Runs the command; the comparison goes to stdout.
pub fn run(args: &SlurmArgs) -> anyhow::Result<()> {
    check(args)?;
    let json = args.json.as_deref().map(|path| Promised::open("--json", path)).transpose()?;
    match (&args.collect, &args.emit, &args.into) {
        (Some(dir), ..) => {
            let submission = submission::read(dir)?;
            let signals = args.wait.then(Signals::install).transpose()?;
            finish(args, &submission, &absolute(dir)?, signals.as_ref(), json)
        }
        (_, Some(dir), _) => emit(args, &absolute(dir)?),
        (.., Some(dir)) => start(args, &absolute(dir)?, json),
        _ => Err(Stop::Usage.error("name the shared directory with --into")),
    }
}

/// Writes the scripts only.
fn emit(args: &SlurmArgs, dir: &Path) -> anyhow::Result<()> {
    prepare(args, dir)?;
    let shown = dir.display();
    tell(&format!("nothing submitted: sh {shown}/submit.sh submits, sealbench scale slurm --collect {shown} collects"));
    Ok(())
}

/// Submits a sweep, and waits for it unless it is told not to.
fn start(args: &SlurmArgs, dir: &Path, json: Option<Promised>) -> anyhow::Result<()> {
    // One that cannot be opened is known before anything runs.
    Store::open(&home()?)?;
    let submission = prepare(args, dir)?;
    // Who cannot ask what became of jobs should not submit any.
    client::squeue(&submission)?;
    let signals = Signals::install()?;
    submit(&submission, dir, &signals)?;
    if args.detach {
        tell(&format!("go on with sealbench scale slurm --collect {}", dir.display()));
        return Ok(());
    }
    finish(args, &submission, dir, Some(&signals), json)
}

/// Collects what the elements delivered: as it is, or with `signals` when all are over or one comes.
fn finish(
    args: &SlurmArgs,
    submission: &Submission,
    dir: &Path,
    signals: Option<&Signals>,
    json: Option<Promised>,
) -> anyhow::Result<()> {
    let store = Store::open(&home()?)?;
    let (queue, interrupted, silence) = match signals {
        Some(signals) => {
            let Waited { queue, interrupted, silence } = wait(submission, patience(args), signals, &mut tell);
            (Some(queue).filter(|_| silence.is_none()), interrupted, silence)
        }
        None => (ask(submission), None, None),
    };
    let source = Source { submission, dir, queue: queue.as_ref(), store: &store };
    let collection = settled(&source, args.settle, &|| signals.is_some_and(|signals| signals.stops() > 0))?;
    report(submission, &collection, json)?;
    silence.map_or(Ok(()), Err)?;
    match interrupted {
        Some(left) => Err(interruption(submission, &left)),
        None if !collection.unsettled.is_empty() => {
            Err(Stop::Interrupted.error("interrupted before all records could be chosen: collect again"))
        }
        None => verdict_of(submission, &collection),
    }
}

/// How a wait ends that a signal ended; `left` are the arrays that could not be cancelled.
fn interruption(submission: &Submission, left: &[usize]) -> anyhow::Error {
    let done = "interrupted: what was delivered is collected";
    Stop::Interrupted.error(match left {
        [] => format!("{done}, and the jobs were cancelled"),
        left => format!("{done}, and jobs may go on: {}", by_hand(submission, left)),
    })
}

/// How people cancel arrays.
fn by_hand(submission: &Submission, arrays: &[usize]) -> String {
    let one = |array: &usize| format!("scancel --name={}", submission.job_name(*array));
    format!("when Slurm answers, {}", arrays.iter().map(one).collect::<Vec<_>>().join(" && "))
}

/// Values that no sweep means.
fn check(args: &SlurmArgs) -> anyhow::Result<()> {
    let seconds = [("--poll", args.poll), ("--give-up-after", args.give_up_after), ("--settle", args.settle)];
    let bad = seconds.iter().find(|(_, value)| !(0.0..=1e9).contains(value));
    if let Some((option, value)) = bad {
        return Err(Stop::Usage.error(format!("{option} {value} is no number of seconds: use 0 to 1000000000")));
    }
    options::check(&args.options).map_err(|text| Stop::Usage.error(text))?;
    if !(0.1..=1000.0).contains(&args.time_factor) {
        return Err(Stop::Usage.error(format!("--time-factor {} is out of range: use 0.1 to 1000", args.time_factor)));
    }
    let twice =
        args.constraint.iter().enumerate().find(|(n, name)| args.constraint[..*n].contains(name) || name.is_empty());
    match twice {
        Some((_, name)) => Err(Stop::Usage
            .error(format!("--constraint '{}' is empty or there twice: name each feature once", name.escape_debug()))),
        None => Ok(()),
    }
}

fn patience(args: &SlurmArgs) -> Patience {
    let seconds = Duration::from_secs_f64;
    Patience { poll: seconds(args.poll.max(0.05)), give_up: seconds(args.give_up_after) }
}

/// Writes the shared directory.
fn prepare(args: &SlurmArgs, dir: &Path) -> anyhow::Result<Submission> {
    let file = SweepFile::read(args.file.as_deref().expect("the command line has it"))?;
    let seed = file.seed.as_deref().unwrap_or(DEFAULT_SEED);
    let seed: Seed = seed.parse().map_err(|e| Stop::Usage.error(format!("seed '{seed}': {e}")))?;
    let program = args.program.as_deref().map(absolute).transpose()?;
    let copied = program.is_none();
    let mut submission = Submission::new(new_id(), given(), seed, program.unwrap_or_else(|| dir.join(PROGRAM)));
    submission.order_seed = file.order_seed;
    submission.mock = args.mock.as_deref().map(script).transpose()?;
    (submission.points, submission.left_out) = prepare::split(grid::expand(&file)?);
    let _ = write!(stdout(), "{}", left_out(&submission.left_out));
    if submission.points.is_empty() {
        return Err(Stop::Refused.error("no point of the sweep can run on a node: see what was left out"));
    }
    let constraints: Vec<Option<String>> = args.constraint.iter().cloned().map(Some).collect();
    let terms = Terms {
        constraints: if constraints.is_empty() { vec![None] } else { constraints },
        exclusive: args.exclusive,
        time_factor: args.time_factor,
        trials_per_element: args.trials_per_element,
    };
    submission.arrays = prepare::arrays(&submission.points, submission.order_seed, &terms);
    submission.scratch = args.scratch.as_deref().map(absolute).transpose()?;
    submission.node_home = args.node_home.as_deref().map(absolute).transpose()?;
    submission.options = args.partition.iter().map(|name| format!("--partition={name}")).collect();
    submission.options.extend(args.options.iter().cloned());
    announce(&submission);
    submission::create_dir(dir)?;
    if copied {
        let own = std::env::current_exe().context("cannot tell which program this is: name it with --program")?;
        fs::copy(&own, dir.join(PROGRAM)).with_context(|| {
            format!("cannot copy {} into {}: make room, or name one with --program", own.display(), dir.display())
        })?;
    }
    for array in 0..submission.arrays.len() {
        write_script(&dir.join(batch::name(array)), &batch::of_array(&submission, dir, array)?)?;
    }
    write_script(&dir.join("submit.sh"), &batch::submit(&submission, dir)?)?;
    submission::write(dir, &submission)?;
    Ok(submission)
}

fn announce(submission: &Submission) {
    let mut out = stdout().lock();
    let elements = submission.elements().count();
    let seconds = prepare::seconds(&submission.points, &submission.arrays);
    let _ = writeln!(
        out,
        "submission {}: {} points, {elements} elements in {} arrays, roughly {} of nodes' time",
        submission.id,
        submission.points.len(),
        submission.arrays.len(),
        units::duration(seconds)
    );
    for (number, array) in submission.arrays.iter().enumerate() {
        let nodes =
            array.constraint.as_deref().map_or("any node".into(), |name| format!("nodes with {}", name.escape_debug()));
        let room = match array.ask.exclusive {
            true => format!("whole nodes, CPUs at least {}", array.ask.cpus),
            false => format!("CPUs {}, memory {}", array.ask.cpus, show(array.ask.memory_mib << 20)),
        };
        let _ = writeln!(
            out,
            "array {number}: {} elements on {nodes}: {room}, at most {}",
            array.elements.len(),
            units::duration(array.ask.minutes as f64 * 60.0)
        );
    }
}

fn write_script(path: &Path, text: &str) -> anyhow::Result<()> {
    write_by_rename(path, text.as_bytes())?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).with_context(|| format!("cannot write {}", path.display()))
}

/// Submits every array; when one is refused or a signal comes, what has been submitted is cancelled.
fn submit(submission: &Submission, dir: &Path, signals: &Signals) -> anyhow::Result<()> {
    // A second signal would leave jobs behind.
    let _alive = signals.defer_exit();
    for array in 0..submission.arrays.len() {
        let sent = batch::arguments(submission, dir, array).and_then(|words| client::sbatch(&words));
        if signals.stops() > 0 {
            return Err(withdraw(submission, array + 1, Stop::Interrupted.error("interrupted while submitting")));
        }
        match sent {
            Ok(job) => tell(&format!("array {array} is job {job}")),
            Err(error) => {
                // An answer that was lost may have been a yes.
                let _ = client::scancel(submission, [array]);
                return Err(withdraw(submission, array, error.context(format!("array {array} was not submitted"))));
            }
        }
    }
    Ok(())
}

/// Cancels the first arrays; the error that led to it, with what came of that.
fn withdraw(submission: &Submission, arrays: usize, why: anyhow::Error) -> anyhow::Error {
    let failed = client::scancel(submission, 0..arrays);
    let left: Vec<usize> = failed.into_iter().map(|(array, _)| array).collect();
    match left.as_slice() {
        [] => why.context("nothing was left submitted"),
        left => why.context(format!("what was submitted may go on: {}", by_hand(submission, left))),
    }
}

/// What Slurm knows, if it can be asked from here.
fn ask(submission: &Submission) -> Option<Queue> {
    client::squeue(submission).map_err(|error| tell(&format!("{error:#}; what is there is collected"))).ok()
}

/// Collects; waits a while for records that may still come, since a shared directory shows them late. Who is stopped leaves those unsettled.
fn settled(source: &Source, settle: f64, is_stopped: &dyn Fn() -> bool) -> anyhow::Result<Collection> {
    let end = Instant::now() + Duration::from_secs_f64(settle);
    let mut collection = collect(source, settle == 0.0)?;
    let mut new = collection.new;
    if !collection.unsettled.is_empty() {
        let (count, limit) = (collection.unsettled.len(), units::duration(settle));
        tell(&format!("waiting for what {count} elements that are over may still deliver, at most {limit}"));
    }
    while !collection.unsettled.is_empty() && !is_stopped() {
        std::thread::sleep(Duration::from_millis(500));
        collection = collect(source, Instant::now() >= end)?;
        new += collection.new;
    }
    Ok(Collection { new, ..collection })
}

fn report(submission: &Submission, collection: &Collection, json: Option<Promised>) -> anyhow::Result<()> {
    let verdict = verdict::of(submission, collection);
    let mut out = stdout().lock();
    let _ = write!(out, "{}{}", verdict::text(&verdict), lines(collection));
    let _ = writeln!(
        out,
        "\n{} of {} elements collected, {} of them new in the store, as sweep {}",
        collection.collected.len(),
        submission.elements().count(),
        collection.new,
        submission.id
    );
    json.map_or(Ok(()), |json| json.write(&serde_json::to_vec_pretty(&verdict)?))
}

/// What did not become a sample, line by line; elements that go on by what they do.
fn lines(collection: &Collection) -> String {
    let mut lines: Vec<String> = collection.duplicates.iter().map(|line| format!("duplicate: {line}")).collect();
    // What a lost element delivered is in its own line.
    let others = collection.rejected.iter().filter(|(id, _)| !collection.failed.contains_key(id));
    lines.extend(others.map(|(_, text)| format!("not a record: {text}")));
    lines.extend(collection.failed.iter().map(|(id, why)| format!("lost: {id} {why}")));
    let mut live: BTreeMap<&str, usize> = BTreeMap::new();
    for what in collection.live.values() {
        *live.entry(what).or_default() += 1;
    }
    lines.extend(live.iter().map(|(what, count)| format!("not over: {count} {what}")));
    let unsettled = collection.unsettled.iter();
    lines.extend(
        unsettled.map(|id| format!("not settled: {id} is over, and its last start may still deliver: collect again")),
    );
    lines.extend(collection.unwritten.iter().map(|why| {
        format!("others who collect may choose other records, since these choices are in this store only: {why}")
    }));
    lines.iter().map(|line| format!("{}\n", one_line(line))).collect()
}

fn verdict_of(submission: &Submission, collection: &Collection) -> anyhow::Result<()> {
    let total = submission.elements().count();
    match (collection.live.len(), collection.failed.len()) {
        (0, 0) => Ok(()),
        (0, failed) => Err(anyhow::anyhow!("{failed} of {total} elements have no valid record: see the lines above")),
        (live, failed) => Err(anyhow::anyhow!(
            "{live} of {total} elements are not over yet, and {failed} have no valid record: collect again, or add --wait"
        )),
    }
}

/// One line for each element of a submission.
pub fn status(dir: &Path) -> anyhow::Result<()> {
    let submission = submission::read(dir)?;
    let queue = ask(&submission);
    let starts = collect::starts(dir)?;
    let rows = submission.elements().map(|(id, element)| {
        let job = queue.as_ref().and_then(|queue| queue.job(id));
        let start = starts.get(&id);
        let run = start.map(|start| &start.run);
        let nodes = job.map(|job| job.nodes.clone()).filter(|nodes| !nodes.is_empty());
        vec![
            id.to_string(),
            submission.point(element).label(),
            submission.arrays[id.array].constraint.clone().unwrap_or_default(),
            job.map_or_else(|| "unknown".into(), |job| job.state.clone()),
            run.map_or_else(String::new, |run| run.job.clone()),
            nodes.or_else(|| run.map(|run| run.node.clone())).unwrap_or_default(),
            start.map_or_else(String::new, |start| start.pid.to_string()),
            run.map_or_else(String::new, |run| units::ranges(&run.cores)),
            job.map_or(0, |job| job.restart).to_string(),
        ]
    });
    let columns = [
        ("element", Align::Left),
        ("point", Align::Left),
        ("nodes with", Align::Left),
        ("state", Align::Left),
        ("job", Align::Left),
        ("node", Align::Left),
        ("process", Align::Right),
        ("cores", Align::Left),
        ("restarts", Align::Right),
    ];
    let _ = write!(stdout(), "{}", table(&columns, rows));
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}

/// Tells people on stderr.
fn tell(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
