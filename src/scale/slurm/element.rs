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
use crate::host::{HostInfo, cores, sys};
use crate::sweep::bench::{Bench, here};
use crate::sweep::fit;
use crate::trial::record::ClusterRun;
use crate::trial::request::Request;
use crate::trial::run::Finished;
use crate::trial::signals::Signals;

use super::delivery::{Delivery, mark};
use super::submission::{self, Ask, ElementId, Submission};

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
    let delivery = Delivery::new(&submission.id, run, record, error.as_ref());
    delivery.write(&payload.dir).with_context(|| {
        let node = &delivery.run.node;
        format!("element {id} could not deliver; what it measured is in the results store of its home on {node} (sealbench results list)")
    })?;
    error.map_or(Ok(()), Err)
}

/// Where this job runs, by what Slurm tells it.
fn whereabouts(submission: &Submission, id: ElementId) -> anyhow::Result<ClusterRun> {
    let job = number("SLURM_ARRAY_JOB_ID")?;
    let node = env::var("SLURMD_NODENAME").ok().filter(|name| !name.is_empty());
    let constraint = submission.arrays.get(id.array).and_then(|array| array.constraint.clone());
    // Not set for the first start.
    let restart = env::var_os("SLURM_RESTART_COUNT").map_or(Ok(0), |_| number("SLURM_RESTART_COUNT"))?;
    Ok(ClusterRun {
        element: id.to_string(),
        constraint,
        job: format!("{job}_{}", id.index),
        restart,
        node: node
            .or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok())
            .unwrap_or_default()
            .trim()
            .to_string(),
        cores: sys::allowed_cores()
            .context("cannot tell which cores this job may use: see whether its node is well")?,
    })
}

/// Refuses a job that may run where others are: what it measured would be theirs too.
fn check_bound(ask: &Ask, run: &ClusterRun, core_groups: Option<&[Vec<usize>]>) -> anyhow::Result<()> {
    let is_allowed = |core: &Vec<usize>| core.iter().any(|cpu| run.cores.contains(cpu));
    let cores = core_groups.map_or(run.cores.len(), |groups| groups.iter().filter(|core| is_allowed(core)).count());
    if ask.exclusive || cores <= ask.cpus as usize {
        return Ok(());
    }
    Err(Stop::Refused.error(format!(
        "the cluster does not bind jobs to their cores: this one asked for {} and may run on {cores} of {} ({}), where others may run too; \
         submit with --exclusive, or set TaskPlugin=task/affinity or task/cgroup in slurm.conf",
        ask.cpus,
        run.node,
        cores::format_list(&run.cores)
    )))
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
    let element = submission.element(id).ok_or_else(|| {
        Stop::Usage.error(format!("the submission has no element {id}: submit the scripts in its own directory"))
    })?;
    let topology = HostInfo::capture().topology;
    check_bound(&submission.arrays[id.array].ask, run, topology.core_groups.as_deref())?;
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
        let failed = || {
            format!(
                "cannot make sectors in {}: name a directory that the nodes can write with --scratch",
                base.display()
            )
        };
        fs::create_dir_all(base).with_context(failed)?;
        remove_dead(base).with_context(failed)?;
        let dir = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(base);
        let path = dir.with_context(failed)?.keep();
        let lock = File::open(&path).with_context(failed)?;
        lock.lock().with_context(failed)?;
        Ok(Scratch { path, _lock: lock })
    }

    /// SEALBENCH_HOME beside it, this user's own. It is the node's: SQLite over a network file system loses its locks.
    fn home(&self, base: &Path) -> anyhow::Result<PathBuf> {
        let (owner, _) = sys::user();
        let home = base.join(format!("sealbench-home-{owner}"));
        let failed = || format!("cannot make {}: name a directory with --node-home", home.display());
        fs::create_dir_all(&home).with_context(failed)?;
        if fs::symlink_metadata(&home).with_context(failed)?.uid() != owner {
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

/// Removes what killed elements left. A living one holds a lock on its directory; one that has just made it will in a moment.
fn remove_dead(base: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        // Only directories are opened: a pipe would wait for one who writes.
        let is_ours = entry.file_name().to_string_lossy().starts_with(SCRATCH)
            && entry.file_type().is_ok_and(|found| found.is_dir());
        let age = || entry.metadata().ok().and_then(|found| found.modified().ok()?.elapsed().ok());
        let is_dead = is_ours
            && age().is_some_and(|age| age >= MOMENT)
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_dead && let Err(error) = remove_dir(&entry.path()) {
            let _ = writeln!(stderr(), "{error:#}: remove it by hand");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_may_use_more_cores_than_it_asked_for_is_refused_unless_the_node_is_its_own() {
        let ask = Ask { cpus: 2, exclusive: false, smt: false, memory_mib: 512, minutes: 8 };
        let run = |cores: &[usize]| ClusterRun {
            element: "0-0".into(),
            constraint: None,
            job: "1_0".into(),
            restart: 0,
            node: "n1".into(),
            cores: cores.to_vec(),
        };
        let groups = [vec![0, 4], vec![1, 5], vec![2, 6], vec![3, 7]];
        assert!(check_bound(&ask, &run(&[0, 1, 4, 5]), Some(&groups)).is_ok(), "two cores of two hardware threads");
        assert!(check_bound(&ask, &run(&[0]), Some(&groups)).is_ok(), "too few is the layout's affair");
        let refused = check_bound(&ask, &run(&[0, 1, 2]), Some(&groups)).unwrap_err().to_string();
        assert!(
            refused.contains("asked for 2 and may run on 3 of n1 (0-2)") && refused.contains("--exclusive"),
            "{refused}"
        );
        assert!(check_bound(&ask, &run(&[0, 1, 2]), None).is_err());
        assert!(check_bound(&Ask { exclusive: true, ..ask }, &run(&[0, 1, 2]), Some(&groups)).is_ok());
    }
}
