//! What must be there before a timer starts: Groth16 parameters and the reference's parent cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::Stop;
use crate::host::sys;
use crate::params::install::announcement;
use crate::params::search::{self, SearchPath, examine};
use crate::sector::disk::{digest, remove_dir, write_by_rename};
use crate::trial::estimate::show;
use crate::trial::job::{Task, Trial};
use crate::trial::launch::{self, Listener};
use crate::trial::session::Session;
use crate::trial::signals::Signals;
use crate::trial::spec::Spec;
use crate::trial::status::Progress;

/// A trial that prepares, with the run's cores and threads.
fn trial(task: Task, spec: &Spec, settings: &BTreeMap<String, String>) -> Trial {
    Trial {
        task,
        shape: spec.shape,
        identity: spec.identity.clone(),
        cores: spec.cores.clone(),
        threads: spec.threads,
        settings: settings.clone(),
        tethered: true,
    }
}

/// The parameter file that p4 will use; generates development parameters where there are none, after saying what that takes.
///
/// What is there but damaged or of unknown origin is never replaced unasked.
pub fn parameters(
    spec: &Spec,
    settings: &BTreeMap<String, String>,
    signals: &Signals,
    session: &mut Session,
) -> anyhow::Result<PathBuf> {
    let search = SearchPath::from_env()?;
    if let Some(usable) = locate(spec, &search, session) {
        return Ok(usable);
    }
    let into = search.generate_into();
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
    generate(spec, settings, &into, false, signals, session)?;
    locate(spec, &search, session).with_context(|| format!("the parameters generated into {} are not usable", into.display()))
}

fn locate(spec: &Spec, search: &SearchPath, session: &mut Session) -> Option<PathBuf> {
    let mut hashing = |file: &str, done: u64, total: u64| {
        session.progress(Progress { span: format!("checking {file}"), done, total, unit: "byte".into() });
    };
    let located = search::locate(&spec.shape, search, &mut hashing);
    located.usable().map(|candidate| candidate.params.path.clone())
}

/// Generates development parameters in a worker.
pub fn generate(
    spec: &Spec,
    settings: &BTreeMap<String, String>,
    into: &Path,
    replace: bool,
    signals: &Signals,
    session: &mut Session,
) -> anyhow::Result<()> {
    session.say(&announcement(&spec.shape, into, spec.threads as usize));
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    session.begin("parameters".into());
    let into = std::path::absolute(into)?;
    let task = Task::Params { into: into.clone(), replace };
    launch::run(&trial(task, spec, settings), &BTreeMap::new(), &into, signals, session)?;
    session.end(0, "generated");
    Ok(())
}

/// Directory of a usable parent cache: generated where there is none, into a scratch directory and renamed, with its digest beside it.
///
/// The reference uses any file of that name, whatever is in it; here it must match its digest, or it is made again.
pub fn parents(
    spec: &Spec,
    settings: &BTreeMap<String, String>,
    home: &Path,
    signals: &Signals,
    session: &mut Session,
) -> anyhow::Result<PathBuf> {
    let dir = home.join("parents");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let name = cache_file(spec)?;
    let (file, sidecar) = (dir.join(&name), dir.join(format!("{name}.blake3")));
    if file.exists() {
        let expected = fs::read_to_string(&sidecar).unwrap_or_default();
        if digest(&file)? == expected.trim() {
            return Ok(dir);
        }
        session.say(&format!("the parent cache {} does not match its digest: generating it again", file.display()));
    }
    let bytes = spec.shape.sector_size.nodes() * 56;
    check_space(&dir, bytes, "the parent cache")?;
    let scratch = dir.join(format!("scratch-{}", std::process::id()));
    remove_dir(&scratch)?;
    fs::create_dir(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    session.begin(format!("parent cache ({})", show(bytes)));
    let places = BTreeMap::from([("FIL_PROOFS_PARENT_CACHE".to_string(), scratch.display().to_string())]);
    let made = launch::run(&trial(Task::Parents, spec, settings), &places, &scratch, signals, session).and_then(|_| {
        write_by_rename(&sidecar, digest(&scratch.join(&name))?.as_bytes())?;
        fs::rename(scratch.join(&name), &file).with_context(|| format!("cannot write {}", file.display()))
    });
    remove_dir(&scratch)?;
    made?;
    session.end(0, "generated");
    Ok(dir)
}

#[cfg(feature = "reference")]
fn cache_file(spec: &Spec) -> anyhow::Result<String> {
    crate::phase::reference::cache_file(&spec.shape, &spec.identity)
}

#[cfg(not(feature = "reference"))]
fn cache_file(_: &Spec) -> anyhow::Result<String> {
    Err(crate::phase::unavailable(crate::phase::Engine::Reference))
}

/// Refuses where a file system lacks the room.
pub fn check_space(dir: &Path, needed: u64, what: &str) -> anyhow::Result<()> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let free = sys::free_bytes(existing).with_context(|| format!("cannot ask for the free space of {}", existing.display()))?;
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
