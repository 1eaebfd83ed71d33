//! The manifest of a run directory: what is sealed, which phases are whole, and what tells a damaged file.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::disk::digest;
use crate::error::Stop;
use crate::phase::{Engine, Phase};
use crate::sector::benchy;
use crate::sector::identity::Bytes32;
use crate::sector::rundir::is_set_name;
use crate::sector::{Identity, Seed, Shape, files};
use crate::trial::record::PhaseRecord;
use crate::trial::spec::Spec;

/// Name of the manifest in a run directory.
pub const MANIFEST_FILE: &str = "manifest.json";

pub(super) const SCHEMA: &str = "sealbench/run/1";

/// The largest manifest that is read: records of a few hundred phases fit many times over.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The most repetitions of a run.
pub const MAX_REPEATS: u32 = 10_000;

/// The most sectors of a batch.
pub const MAX_SECTORS: u32 = 4096;

/// What a run directory holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always "sealbench/run/1".
    pub schema: String,
    /// The run that made the directory.
    pub run: String,
    /// The seed, unless the directory came from benchy.
    pub seed: Option<Seed>,
    /// The sector's ids.
    pub identity: Identity,
    /// What is sealed.
    pub shape: Shape,
    /// Settings of the run that last worked here; `--resume` continues it.
    pub spec: Option<Spec>,
    /// The sector's data, once it is there.
    pub data: Option<Data>,
    /// The sets of files by name.
    pub sets: BTreeMap<String, Set>,
}

/// The sector's data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Commitment of the data.
    pub comm_d: Bytes32,
    /// Directory of staged-file and piece-infos-file, relative to the run directory.
    pub dir: String,
    /// The files.
    pub files: Vec<FileEntry>,
}

/// The files of one engine, repeat and sector.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Directory of the files, relative to the run directory.
    pub dir: String,
    /// The engine; `None` for files that came from benchy.
    pub engine: Option<Engine>,
    /// The repeat, from 0.
    pub repeat: u32,
    /// The sector of a batch, from 0.
    #[serde(default)]
    pub sector: u32,
    /// The phases that are whole.
    pub phases: BTreeMap<Phase, Whole>,
}

impl Data {
    fn holds_only_inputs(&self) -> bool {
        self.files.iter().all(|file| [files::STAGED, files::PIECE_INFOS].contains(&file.name.as_str()))
    }
}

impl Set {
    fn holds_only_outputs(&self, shape: &Shape) -> bool {
        self.phases.iter().all(|(&phase, whole)| {
            let outputs = files::outputs(phase, shape);
            whole.files.iter().all(|file| outputs.contains(&file.name))
        })
    }
}

/// A phase that is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// Its files.
    pub files: Vec<FileEntry>,
    /// What was measured; `None` if it came from benchy.
    pub record: Option<PhaseRecord>,
}

/// A file with what tells a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name within its directory.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
}

impl FileEntry {
    pub(super) fn of(dir: &Path, name: &str) -> anyhow::Result<FileEntry> {
        let path = dir.join(name);
        let bytes = fs::metadata(&path).with_context(|| format!("{} is missing", path.display()))?.len();
        Ok(FileEntry { name: name.to_string(), bytes, blake3: digest(&path)? })
    }

    pub(super) fn check(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(&self.name);
        let damaged = |what: String| {
            Err(anyhow::anyhow!("{} {what}: remove the run directory or start from another one", path.display()))
        };
        let bytes = match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return damaged("is no plain file".into()),
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == ErrorKind::NotFound => return damaged("is missing".into()),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        if bytes != self.bytes {
            return damaged(format!("has {bytes} bytes where the manifest says {}", self.bytes));
        }
        if digest(&path)? != self.blake3 {
            return damaged("is damaged: its digest is not the manifest's".into());
        }
        Ok(())
    }
}

/// Reads and checks a manifest. It may come from anywhere, so every name in it must stay inside the directory.
pub fn read(dir: &Path) -> anyhow::Result<Option<Manifest>> {
    let path = dir.join(MANIFEST_FILE);
    match fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_MANIFEST_BYTES => {
            return Err(Stop::Usage.error(format!(
                "{} is no manifest: it has {} bytes",
                path.display(),
                metadata.len()
            )));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|e| Stop::Usage.error(format!("{} is damaged or of another version: {e}", path.display())))?;
    let data = manifest.data.iter().flat_map(|data| names(&data.dir, &data.files));
    let sets = manifest.sets.values().flat_map(|set| {
        set.phases.values().flat_map(|whole| names(&set.dir, &whole.files)).chain(std::iter::once(set.dir.as_str()))
    });
    if let Some(key) = manifest.sets.keys().find(|key| !is_set_name(key) && *key != benchy::SET) {
        return Err(Stop::Usage.error(format!("{} names a set '{key}', which is none", path.display())));
    }
    if let Some(name) = data.chain(sets).find(|name| !stays_inside(name)) {
        return Err(Stop::Usage.error(format!("{} names '{name}', which is no plain name", path.display())));
    }
    if manifest.schema != SCHEMA {
        let schema = &manifest.schema;
        return Err(Stop::Usage.error(format!("{} has schema '{schema}'; this version reads {SCHEMA}", path.display())));
    }
    let Shape { sector_size, layers, partitions } = manifest.shape;
    Shape::new(sector_size, Some(layers), Some(partitions), true)
        .map_err(|e| Stop::Usage.error(format!("{} has an impossible shape: {e}", path.display())))?;
    let foreign = manifest
        .sets
        .values()
        .find(|set| set.repeat > MAX_REPEATS || set.sector >= MAX_SECTORS || !set.holds_only_outputs(&manifest.shape));
    if foreign.is_some() || manifest.data.as_ref().is_some_and(|data| !data.holds_only_inputs()) {
        return Err(Stop::Usage.error(format!("{} lists files that no phase makes", path.display())));
    }
    Ok(Some(manifest))
}

fn names<'a>(dir: &'a str, files: &'a [FileEntry]) -> impl Iterator<Item = &'a str> {
    std::iter::once(dir).chain(files.iter().map(|file| file.name.as_str()))
}

fn stays_inside(name: &str) -> bool {
    name == "." || (!name.is_empty() && name != ".." && !name.contains(['/', '\\', '\0']))
}

/// Size and digest of each of these files.
pub(super) fn entries(dir: &Path, names: &[String]) -> anyhow::Result<Vec<FileEntry>> {
    names.iter().map(|name| FileEntry::of(dir, name)).collect()
}

/// Checks files against the manifest and links them into `to`; where the file system has no hard links they are copied.
pub(super) fn link_all<'a>(
    from: &Path,
    files: impl IntoIterator<Item = &'a FileEntry>,
    to: &Path,
) -> anyhow::Result<()> {
    for file in files {
        file.check(from)?;
        let (source, target) = (from.join(&file.name), to.join(&file.name));
        let linked = fs::hard_link(&source, &target).or_else(|error| match error.kind() {
            // To copy would be to truncate the source, if the two are one file.
            ErrorKind::AlreadyExists => Err(error),
            _ => fs::copy(&source, &target).map(|_| ()),
        });
        linked.with_context(|| format!("cannot link {} to {}", source.display(), target.display()))?;
    }
    Ok(())
}
