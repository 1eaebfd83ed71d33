//! Layer files: written whole or not at all, with a list of those that are, from which an interrupted p1 goes on.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::Context;
use sealbench_kernels::label::{file_bytes, read_labels, write_labels};
use sealbench_kernels::sha256::Backend;
use serde::{Deserialize, Serialize};

use crate::disk::{digest, remove_file, write_by_rename};
use crate::sector::files::{self, sector_dir};
use crate::sector::shape::NODE_BYTES;

/// Nodes that are copied at once between a slab and a file.
const PIECE: usize = 1 << 15;

/// The largest list that is read.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// Writes one sector's labels of a layer from a slab; gives their BLAKE3. The file has its final name only when it is whole.
pub fn write(dir: &Path, layer: u32, backend: Backend, slab: &[u32], stream: usize) -> anyhow::Result<String> {
    let path = dir.join(files::layer(layer));
    let scratch = path.with_extension("tmp");
    let mut file = File::create(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let mut hasher = blake3::Hasher::new();
    let nodes = slab.len() / (backend.streams() * 8);
    let mut bytes = vec![0; nodes.min(PIECE) * NODE_BYTES as usize];
    for first in (0..nodes).step_by(PIECE) {
        let end = nodes.min(first + PIECE);
        let range = first * NODE_BYTES as usize..end * NODE_BYTES as usize;
        let piece = match file_bytes(backend, slab) {
            Some(bytes) => &bytes[range],
            None => {
                let piece = &mut bytes[..range.len()];
                read_labels(backend, slab, stream, first..end, piece);
                piece
            }
        };
        hasher.update(piece);
        file.write_all(piece).with_context(|| format!("cannot write layer {layer} to {}", path.display()))?;
    }
    fs::rename(&scratch, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Reads one sector's labels of a layer into a slab.
pub fn read(dir: &Path, layer: u32, backend: Backend, slab: &mut [u32], stream: usize) -> anyhow::Result<()> {
    let path = dir.join(files::layer(layer));
    let mut file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let nodes = slab.len() / (backend.streams() * 8);
    let mut bytes = vec![0; nodes.min(PIECE) * NODE_BYTES as usize];
    for first in (0..nodes).step_by(PIECE) {
        let end = nodes.min(first + PIECE);
        let piece = &mut bytes[..(end - first) * NODE_BYTES as usize];
        file.read_exact(piece).with_context(|| format!("cannot read {}", path.display()))?;
        write_labels(backend, slab, stream, first..end, piece);
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
    pub fn resume(dir: &Path, sectors: u32, layers: u32) -> anyhow::Result<Whole> {
        let mut listed = Whole::read_list(dir)?.layers;
        listed.truncate(layers as usize);
        let good = (1..).zip(&listed).take_while(|(layer, digests)| {
            digests.len() == sectors as usize
                && (0..sectors).zip(*digests).all(|(sector, expected)| {
                    let path = sector_dir(dir, sector).join(files::layer(*layer));
                    digest(&path).is_ok_and(|found| found == *expected)
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
