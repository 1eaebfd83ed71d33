//! The reference's parent cache, made and checked before p1's timer.
//!
//! The reference uses any file of the right name, whatever is in it, and generates it under that name from the start, inside the first p1.
//! Here it is generated into a scratch directory and renamed, with its BLAKE3 beside it, and made again if it does not match.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::disk::{digest, remove_dir, write_by_rename};
use crate::sector::shape::PARENTS;
use crate::trial::estimate::show;
use crate::trial::job::Task;
use crate::trial::launch;
use crate::trial::prepare::{Setup, check_space};
use crate::trial::spec::Spec;
use crate::trial::voice::Voice;

const SCRATCH: &str = "scratch-";

/// The directory whose parent cache the reference will use: FIL_PROOFS_PARENT_CACHE if it holds one with a matching digest beside it, else
/// `parents` in SEALBENCH_HOME, where it is generated if need be.
pub fn ensure(spec: &Spec, setup: &Setup<'_>, home: &Path, voice: &mut Voice) -> anyhow::Result<PathBuf> {
    let name = cache_file(spec)?;
    let own = home.join("parents");
    let named = env::var_os("FIL_PROOFS_PARENT_CACHE").map(PathBuf::from);
    for dir in named.iter().chain([&own]) {
        let file = dir.join(&name);
        if !file.exists() {
            continue;
        }
        let expected = fs::read_to_string(sidecar(dir, &name)).unwrap_or_default();
        if digest(&file)? == expected.trim() {
            return Ok(dir.clone());
        }
        voice.say(&format!("the parent cache {} does not match its digest: not used", file.display()));
    }
    generate(spec, setup, &own, &name, voice)?;
    Ok(own)
}

fn sidecar(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.blake3"))
}

fn generate(spec: &Spec, setup: &Setup<'_>, dir: &Path, name: &str, voice: &mut Voice) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    remove_scratch_of_the_dead(dir)?;
    let bytes = spec.shape.sector_size.nodes() * PARENTS * 4;
    check_space(dir, bytes, "the parent cache")?;
    let scratch = std::path::absolute(dir.join(format!("{SCRATCH}{}", std::process::id())))?;
    fs::create_dir(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    voice.begin(&format!("parent cache ({})", show(bytes)));
    let places = BTreeMap::from([("FIL_PROOFS_PARENT_CACHE".to_string(), scratch.display().to_string())]);
    let trial = setup.trial(Task::Parents, spec.shape, spec.identity.clone());
    let made = launch::run(&trial, &places, &scratch, setup.signals, voice).and_then(|_| {
        let file = dir.join(name);
        write_by_rename(&sidecar(dir, name), digest(&scratch.join(name))?.as_bytes())?;
        fs::rename(scratch.join(name), &file).with_context(|| format!("cannot write {}", file.display()))
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

#[cfg(feature = "reference")]
fn cache_file(spec: &Spec) -> anyhow::Result<String> {
    crate::phase::reference::cache_file(&spec.shape, &spec.identity)
}

#[cfg(not(feature = "reference"))]
fn cache_file(_: &Spec) -> anyhow::Result<String> {
    Err(crate::phase::unavailable(crate::phase::Engine::Reference))
}
