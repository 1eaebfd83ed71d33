//! The parent cache that p1 reads, checked or made before its timer.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::disk::{remove_dir, remove_file};
use crate::sector::parents::ParentCache;
use crate::trial::estimate::show;
use crate::trial::job::Task;
use crate::trial::launch;
use crate::trial::prepare::{Setup, check_space};
use crate::trial::spec::Spec;
use crate::trial::station::Processes;
use crate::trial::voice::Voice;

const SCRATCH: &str = "scratch-";

/// Where rust-fil-proofs keeps its caches unless FIL_PROOFS_CACHE_DIR names another place; it puts no slash behind either.
const CACHE_DIR: &str = "/var/tmp/";

/// A directory with a good parent cache: FIL_PROOFS_PARENT_CACHE, `parents` in SEALBENCH_HOME, or the reference's own place. If none of
/// them has one, it is made in SEALBENCH_HOME, in the place of one that is damaged. Nothing is ever written elsewhere.
pub fn ensure(spec: &Spec, setup: &Setup<'_>, home: &Path, voice: &mut Voice) -> anyhow::Result<PathBuf> {
    let cache = |dir: &Path| ParentCache::new(dir, spec.shape.sector_size, &spec.identity.porep_id);
    let own = home.join("parents");
    let named = env::var_os("FIL_PROOFS_PARENT_CACHE").map(PathBuf::from);
    for dir in named.iter().chain([&own, &reference_place()]) {
        let cache = cache(dir);
        if !cache.exists() {
            continue;
        }
        match cache.fault()? {
            None => return Ok(dir.clone()),
            Some(fault) => {
                voice.say(&format!("the parent cache {} {fault}: it is not used", cache.path().display()));
            }
        }
    }
    generate(spec, setup, &cache(&own), voice)?;
    Ok(own)
}

fn reference_place() -> PathBuf {
    let mut place = env::var_os("FIL_PROOFS_CACHE_DIR").unwrap_or_else(|| CACHE_DIR.into());
    place.push("filecoin-parents");
    place.into()
}

/// Makes the file in a scratch directory beside it, in a pinned worker, and renames it.
fn generate(spec: &Spec, setup: &Setup<'_>, cache: &ParentCache, voice: &mut Voice) -> anyhow::Result<()> {
    let dir = cache.path().parent().expect("a cache is in a directory");
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    remove_scratch_of_the_dead(dir)?;
    // A damaged one makes room first. Its digest goes with it, so that what a kill leaves is not judged by a digest of another file.
    remove_file(cache.path())?;
    remove_file(&cache.sidecar())?;
    check_space(dir, cache.bytes(), "the parent cache")?;
    let scratch = std::path::absolute(dir.join(format!("{SCRATCH}{}", std::process::id())))?;
    fs::create_dir(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    voice.begin(&format!("parent cache ({})", show(cache.bytes())));
    let trial = setup.trial(Task::Parents { into: scratch.clone() }, spec.shape, spec.identity.clone());
    let made = launch::run(&Processes::own()?, &trial, &BTreeMap::new(), &scratch, setup.signals, None, voice)
        .and_then(|_| {
            let new = ParentCache::new(&scratch, spec.shape.sector_size, &spec.identity.porep_id);
            for (from, to) in [(new.sidecar(), cache.sidecar()), (new.path().into(), cache.path().into())] {
                fs::rename(from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            }
            Ok(())
        });
    remove_dir(&scratch)?;
    made?;
    voice.end("generated");
    Ok(())
}

/// Scratch directories are named after the process that works in them.
fn remove_scratch_of_the_dead(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(SCRATCH).and_then(|pid| pid.parse::<u32>().ok());
        if process.is_some_and(|pid| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists()) {
            remove_dir(&entry.path())?;
        }
    }
    Ok(())
}
