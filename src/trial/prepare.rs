//! What must be there before a timer starts: Groth16 parameters here, the parent cache in `parents`; and room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::Stop;
use crate::host::{cores, sys};
use crate::params::install::{Generated, announcement};
use crate::params::search::{self, SearchPath, examine};
use crate::phase::settings;
use crate::sector::{Identity, Seed, Shape};
use crate::trial::estimate::show;
use crate::trial::job::{Task, Trial};
use crate::trial::launch::{self, Done, Listener};
use crate::trial::request::{MAX_THREADS, within};
use crate::trial::signals::Signals;
use crate::trial::spec::Spec;
use crate::trial::station::Processes;
use crate::trial::status::Progress;
use crate::trial::voice::{Manner, Voice};

/// What a worker that prepares is started with.
pub struct Setup<'a> {
    /// Cores that it is pinned to.
    pub cores: &'a [usize],
    /// Threads per pool.
    pub threads: u32,
    /// Settings of the linked crates.
    pub settings: &'a BTreeMap<String, String>,
    /// The caller's signals.
    pub signals: &'a Signals,
}

impl Setup<'_> {
    /// A trial that prepares.
    pub fn trial(&self, task: Task, shape: Shape, identity: Identity) -> Trial {
        let (cores, settings) = (self.cores.to_vec(), self.settings.clone());
        Trial { task, shape, identity, cores, threads: self.threads, settings, tethered: true, gated: false }
    }
}

/// Development parameters to make.
#[derive(Clone, Copy, Debug)]
pub struct ParamsOrder<'a> {
    /// The shape.
    pub shape: Shape,
    /// The directory of parameters.
    pub into: &'a Path,
    /// Replace files that are there, unless they are the network's.
    pub replace: bool,
    /// The secrets come from this seed, for tests, instead of the operating system.
    pub deterministic: Option<[u8; 32]>,
}

/// The parameter file that p4 will use; generates development parameters where there are none, after saying what that takes.
///
/// What is there but damaged or of unknown origin is never replaced unasked.
pub fn parameters(spec: &Spec, setup: &Setup<'_>, home: &Path, voice: &mut Voice) -> anyhow::Result<PathBuf> {
    let search = SearchPath::with_home(home)?;
    if let Some(usable) = locate(spec, &search, voice) {
        return Ok(usable);
    }
    let into = search::params_dir(home);
    let found = examine(&into, &spec.shape, &search.digests, &mut |_, _, _| ());
    let size = spec.shape.sector_size;
    if !found.is_empty() {
        return Err(Stop::Refused.error(format!(
            "the Groth16 parameters of {} in {} cannot be used ({found}): replace them with sealbench params generate --replace \
             --sector-size {size}, or remove them",
            spec.shape,
            into.display()
        )));
    }
    if size.is_production() {
        return Err(Stop::Refused.error(format!(
            "p4 of {} needs the network's Groth16 parameters, which are nowhere: sealbench params status --sector-size {size} lists the \
             files and the places",
            spec.shape
        )));
    }
    generate(&ParamsOrder { shape: spec.shape, into: &into, replace: false, deterministic: None }, setup, voice)?;
    locate(spec, &search, voice)
        .with_context(|| format!("the parameters generated into {} are not usable", into.display()))
}

fn locate(spec: &Spec, search: &SearchPath, voice: &mut Voice) -> Option<PathBuf> {
    let mut hashing = |file: &str, done: u64, total: u64| {
        voice.progress(Progress { span: format!("checking {file}"), done, total, unit: "byte".into() });
    };
    let located = search::locate(&spec.shape, search, &mut hashing);
    located.usable().map(|candidate| candidate.params.path.clone())
}

/// Generates development parameters in a pinned worker.
pub fn generate(order: &ParamsOrder<'_>, setup: &Setup<'_>, voice: &mut Voice) -> anyhow::Result<Generated> {
    let ParamsOrder { shape, into, replace, deterministic } = *order;
    voice.say(&announcement(&shape, into, setup.threads as usize));
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let into = std::path::absolute(into)?;
    let task = Task::Params { into: into.clone(), replace, deterministic };
    let trial = setup.trial(task, shape, Identity::from_seed(&Seed::default()));
    voice.begin("parameters");
    let done = launch::run(&Processes::own()?, &trial, &BTreeMap::new(), &into, setup.signals, None, voice)?;
    voice.end("in place");
    match done {
        Done::Generated(generated) => Ok(generated),
        _ => anyhow::bail!("the worker generated nothing"),
    }
}

/// Generates development parameters outside a run.
pub fn generate_for(
    order: &ParamsOrder<'_>,
    cores: Option<&[usize]>,
    threads: Option<u32>,
) -> anyhow::Result<Generated> {
    let cores = cores::resolve(cores, &sys::allowed_cores()?)?;
    let threads = within("--threads", threads.unwrap_or(cores.len() as u32), 1, MAX_THREADS)?;
    let settings = settings::resolve(&BTreeMap::new(), threads)?;
    let signals = Signals::install()?;
    let setup = Setup { cores: &cores, threads, settings: &settings, signals: &signals };
    generate(order, &setup, &mut Voice::new(None, &Manner::default()))
}

/// Refuses where a file system lacks the room.
pub fn check_space(dir: &Path, needed: u64, what: &str) -> anyhow::Result<()> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let free = sys::free_bytes(existing)
        .with_context(|| format!("cannot ask for the free space of {}", existing.display()))?;
    if free < needed {
        return Err(Stop::Refused.error(format!(
            "{what} needs {} in {} and {} are free: make room or name another directory",
            show(needed),
            dir.display(),
            show(free)
        )));
    }
    Ok(())
}
