//! Layer files: written whole or not at all, with a list of those that are, from which an interrupted p1 goes on.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sealbench_kernels::label::{file_bytes, read_labels, write_labels};
use sealbench_kernels::sha256::Backend;
use serde::{Deserialize, Serialize};

use crate::disk::{digest, remove_file, write_by_rename};
use crate::sector::Shape;
use crate::sector::files::{self, sector_dir};
use crate::sector::shape::NODE_BYTES;

/// Bytes of a slab that are copied at once to or from files: they stay in the second-level cache while each stream takes its part.
const WINDOW_BYTES: usize = 512 << 10;

/// The largest list that is read.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// Nodes of a slab whose records are [`WINDOW_BYTES`].
fn window(backend: Backend) -> usize {
    WINDOW_BYTES / (backend.streams() * NODE_BYTES as usize)
}

/// A layer file that is being written.
struct Growing {
    path: PathBuf,
    scratch: PathBuf,
    file: File,
    hasher: blake3::Hasher,
}

impl Growing {
    fn create(dir: &Path, layer: u32) -> anyhow::Result<Growing> {
        let path = dir.join(files::layer(layer));
        let scratch = path.with_extension("tmp");
        let file = File::create(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        Ok(Growing { path, scratch, file, hasher: blake3::Hasher::new() })
    }

    fn add(&mut self, labels: &[u8]) -> anyhow::Result<()> {
        self.hasher.update(labels);
        self.file.write_all(labels).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn finish(self) -> anyhow::Result<String> {
        fs::rename(&self.scratch, &self.path).with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.hasher.finalize().to_hex().to_string())
    }
}

/// Writes a layer of the sectors in a slab, each into its own directory; gives the BLAKE3 of each. A file has its final name only when
/// it is whole.
pub fn write(dirs: &[PathBuf], layer: u32, backend: Backend, slab: &[u32]) -> anyhow::Result<Vec<String>> {
    let mut layers: Vec<Growing> = dirs.iter().map(|dir| Growing::create(dir, layer)).collect::<anyhow::Result<_>>()?;
    let nodes = slab.len() / (backend.streams() * 8);
    let window = window(backend);
    let mut bytes = vec![0; nodes.min(window) * NODE_BYTES as usize];
    for first in (0..nodes).step_by(window) {
        let end = nodes.min(first + window);
        let range = first * NODE_BYTES as usize..end * NODE_BYTES as usize;
        if let Some(file) = file_bytes(backend, slab) {
            layers[0].add(&file[range])?;
            continue;
        }
        for (stream, layer) in layers.iter_mut().enumerate() {
            let piece = &mut bytes[..range.len()];
            read_labels(backend, slab, stream, first..end, piece);
            layer.add(piece)?;
        }
    }
    layers.into_iter().map(Growing::finish).collect()
}

/// Reads a layer of the sectors of a slab back into it.
pub fn read(dirs: &[PathBuf], layer: u32, backend: Backend, slab: &mut [u32]) -> anyhow::Result<()> {
    let open = |dir: &PathBuf| {
        let path = dir.join(files::layer(layer));
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        anyhow::Ok((file, path))
    };
    let mut layers: Vec<(File, PathBuf)> = dirs.iter().map(open).collect::<anyhow::Result<_>>()?;
    let nodes = slab.len() / (backend.streams() * 8);
    let window = window(backend);
    let mut bytes = vec![0; nodes.min(window) * NODE_BYTES as usize];
    for first in (0..nodes).step_by(window) {
        let end = nodes.min(first + window);
        let piece = &mut bytes[..(end - first) * NODE_BYTES as usize];
        for (stream, (file, path)) in layers.iter_mut().enumerate() {
            file.read_exact(piece).with_context(|| format!("cannot read {}", path.display()))?;
            write_labels(backend, slab, stream, first..end, piece);
        }
    }
    Ok(())
}

/// The layers that are whole, of every sector of a batch: BLAKE3 by layer, then by sector.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    layers: Vec<Vec<String>>,
}

impl Whole {
    /// Whole layers in `dir`, each checked against the list: those before the first that is missing or damaged in any sector. What the
    /// list does not name, or names wrongly, is removed.
    pub fn resume(dir: &Path, sectors: u32, shape: &Shape) -> anyhow::Result<Whole> {
        let layers = shape.layers;
        let mut listed = Whole::read_list(dir)?.layers;
        listed.truncate(layers as usize);
        let good = (1..).zip(&listed).take_while(|(layer, digests)| {
            digests.len() == sectors as usize
                && (0..sectors).zip(*digests).all(|(sector, expected)| {
                    let path = sector_dir(dir, sector).join(files::layer(*layer));
                    let whole = fs::metadata(&path).is_ok_and(|found| found.len() == shape.sector_size.bytes());
                    whole && digest(&path).is_ok_and(|found| found == *expected)
                })
        });
        let count = good.count();
        listed.truncate(count);
        for layer in count as u32 + 1..=layers {
            (0..sectors).try_for_each(|sector| remove_file(&sector_dir(dir, sector).join(files::layer(layer))))?;
        }
        Ok(Whole { layers: listed })
    }

    fn read_list(dir: &Path) -> anyhow::Result<Whole> {
        let path = dir.join(files::WHOLE_LAYERS);
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Whole::default()),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
            Ok(found) if !found.is_file() || found.len() > MAX_LIST_BYTES => return Ok(Whole::default()),
            Ok(_) => {}
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// How many layers are whole.
    pub fn count(&self) -> u32 {
        self.layers.len() as u32
    }

    /// Adds the next layer, by the digests of its files, and writes the list.
    pub fn add(&mut self, dir: &Path, digests: Vec<String>) -> anyhow::Result<()> {
        self.layers.push(digests);
        write_by_rename(&dir.join(files::WHOLE_LAYERS), &serde_json::to_vec(self)?)
    }
}
