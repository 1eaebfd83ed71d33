//! The payload: one element of an array, on a node. It makes what its point reads on the node's own disk, measures, and delivers.

use std::env;
use std::fs::{self, File};
use std::io::{Write, stderr, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::disk::remove_dir;
use crate::error::Stop;
use crate::host::sys;
use crate::sweep::bench::{Bench, here};
use crate::sweep::fit;
use crate::trial::record::ClusterRun;
use crate::trial::request::Request;
use crate::trial::run::Finished;
use crate::trial::signals::Signals;

use super::delivery::{Delivery, mark};
use super::submission::{self, ElementId, Submission};

/// Beginning of the name of an element's scratch directory.
const SCRATCH: &str = "sealbench-element-";

/// Time to make a directory and lock it.
const MOMENT: Duration = Duration::from_secs(60);

/// What the script of an array names.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The shared directory.
    pub dir: PathBuf,
    /// The submission's id.
    pub submission: String,
    /// The array.
    pub array: usize,
}

/// Runs the element that this job is and delivers what came of it. An error is also in what it delivers.
pub fn run(payload: &Payload) -> anyhow::Result<()> {
    let submission = submission::read(&payload.dir)?;
    if submission.id != payload.submission {
        return Err(Stop::Usage.error(format!(
            "{} holds submission {}, and this job is of {}",
            payload.dir.display(),
            submission.id,
            payload.submission
        )));
    }
    let id = ElementId { array: payload.array, index: number("SLURM_ARRAY_TASK_ID")? as usize };
    let run = whereabouts(&submission, id)?;
    mark(&payload.dir, &run)?;
    let done = measure(&submission, id, &run);
    let (record, error) = match done {
        Ok(finished) => (finished.record, finished.error),
        Err(error) => (None, Some(error)),
    };
    Delivery::new(&submission.id, run, record, error.as_ref()).write(&payload.dir)?;
    error.map_or(Ok(()), Err)
}

/// Where this job runs, by what Slurm tells it.
fn whereabouts(submission: &Submission, id: ElementId) -> anyhow::Result<ClusterRun> {
    let job = number("SLURM_ARRAY_JOB_ID")?;
    let node = env::var("SLURMD_NODENAME").ok().filter(|name| !name.is_empty());
    let constraint = submission.arrays.get(id.array).and_then(|array| array.constraint.clone());
    Ok(ClusterRun {
        element: id.to_string(),
        constraint,
        job: format!("{job}_{}", id.index),
        // Not set for the first start.
        restart: number("SLURM_RESTART_COUNT").unwrap_or(0),
        node: node
            .or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok())
            .unwrap_or_default()
            .trim()
            .to_string(),
        cores: sys::allowed_cores()?,
    })
}

fn number(variable: &str) -> anyhow::Result<u32> {
    let text = env::var(variable).unwrap_or_default();
    text.parse().map_err(|_| {
        Stop::Usage.error(format!(
            "{variable} is '{}': an element is started by Slurm, as a task of a job array",
            text.escape_debug()
        ))
    })
}

fn measure(submission: &Submission, id: ElementId, run: &ClusterRun) -> anyhow::Result<Finished> {
    let element =
        submission.element(id).ok_or_else(|| Stop::Usage.error(format!("the submission has no element {id}")))?;
    let point = submission.point(element);
    let signals = Signals::install()?;
    let base = submission.scratch.clone().unwrap_or_else(env::temp_dir);
    let scratch = Scratch::new(&base)?;
    let home = submission.node_home.clone().map_or_else(|| scratch.home(&base), Ok)?;
    let path = scratch.path.join("sectors");
    let bench = Bench {
        path: &path,
        given: &submission.given,
        seed: submission.seed,
        mock: submission.mock.as_ref(),
        home: &home,
        signals: &signals,
        place: &here,
    };
    // To the job's log, which may be on a full disk.
    let mut say = |line: &str| drop(writeln!(stdout(), "{line}"));
    for (shape, inputs) in fit::inputs(std::slice::from_ref(point)).values() {
        bench.make_inputs(shape, inputs, &mut say)?;
    }
    let sweep = submission.sweep(element);
    say(&format!("measuring {}, {} times, on {}", sweep.point, element.repeats, run.node));
    let request = Request { repeats: Some(element.repeats), cluster: Some(run.clone()), ..bench.request(point, sweep) };
    Ok(bench.run(&request)?.1)
}

/// A directory of this process on the node, removed with all that is in it; what killed ones left goes first.
struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    fn new(base: &Path) -> anyhow::Result<Scratch> {
        fs::create_dir_all(base).with_context(|| format!("cannot make {}", base.display()))?;
        remove_dead(base)?;
        let dir = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(base);
        let path = dir.with_context(|| format!("cannot write in {}", base.display()))?.keep();
        let lock = File::open(&path)?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Scratch { path, _lock: lock })
    }

    /// SEALBENCH_HOME beside it, this user's own. It is the node's: SQLite over a network file system loses its locks.
    fn home(&self, base: &Path) -> anyhow::Result<PathBuf> {
        let owner = fs::metadata(&self.path)?.uid();
        let home = base.join(format!("sealbench-home-{owner}"));
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        if fs::symlink_metadata(&home)?.uid() != owner {
            return Err(
                Stop::Refused.error(format!("{} is another user's: name a directory with --node-home", home.display()))
            );
        }
        Ok(home)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove_dir(&self.path) {
            let _ = writeln!(stderr(), "{error:#}");
        }
    }
}

/// A living element holds a lock on its directory; one that has just made it will in a moment.
fn remove_dead(base: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(base).with_context(|| format!("cannot read {}", base.display()))?;
    let ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(SCRATCH);
    for entry in entries.flatten().filter(ours) {
        let age = entry.metadata().ok().and_then(|found| found.modified().ok()?.elapsed().ok());
        let is_dead =
            age.is_some_and(|age| age >= MOMENT) && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_dead {
            remove_dir(&entry.path())?;
        }
    }
    Ok(())
}
