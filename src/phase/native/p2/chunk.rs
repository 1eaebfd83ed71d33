//! A chunk of nodes: the part of every layer and of the data that gives one subtree of each tree.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::host::arena::{Arena, Pages};
use crate::sector::shape::NODE_BYTES;
use crate::sector::{Shape, files};
use crate::trial::spec::Io;

/// The files that chunks are read from: the layers in order, then the data.
pub struct Sources {
    files: Vec<(File, PathBuf)>,
    nodes: u64,
}

impl Sources {
    /// Opens the files of a sector, each of the full length; chunks will have `nodes` nodes. Direct reads go past the page cache.
    pub fn open(dir: &Path, shape: &Shape, nodes: u64, io: Io) -> anyhow::Result<Sources> {
        let names = files::layers(shape).into_iter().chain([files::STAGED.to_string()]);
        let files = names.map(|name| {
            let path = dir.join(name);
            let flags = if io == Io::Direct { libc::O_DIRECT } else { 0 };
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(flags)
                .open(&path)
                .with_context(|| format!("cannot open {} for {io} reads", path.display()))?;
            let bytes = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
            anyhow::ensure!(
                bytes == shape.sector_size.bytes(),
                "{} has {bytes} bytes where a sector has {}: run p1 again",
                path.display(),
                shape.sector_size.bytes()
            );
            Ok((file, path))
        });
        Ok(Sources { files: files.collect::<anyhow::Result<_>>()?, nodes })
    }

    /// Memory of one chunk, bytes.
    pub fn chunk_bytes(shape: &Shape, nodes: u64) -> u64 {
        u64::from(shape.layers + 1) * nodes * NODE_BYTES
    }

    /// Memory for a chunk. It is small and read in order: reserved pages are for p1's layers.
    pub fn buffer(&self, pages: Pages) -> anyhow::Result<Chunk> {
        let pages = if pages == Pages::Base { Pages::Base } else { Pages::Thp };
        let words = self.files.len() * (self.nodes * NODE_BYTES / 4) as usize;
        let memory = Arena::new(words, pages).context("cannot get memory for a chunk of the layers")?;
        Ok(Chunk { index: 0, nodes: self.nodes, memory })
    }

    /// Fills a buffer with a chunk.
    pub fn read(&self, index: u64, chunk: &mut Chunk) -> anyhow::Result<()> {
        chunk.index = index;
        let bytes = (self.nodes * NODE_BYTES) as usize;
        for ((file, path), part) in self.files.iter().zip(chunk.memory.bytes_mut().chunks_exact_mut(bytes)) {
            file.read_exact_at(part, index * bytes as u64)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(())
    }
}

/// A chunk in memory.
pub struct Chunk {
    /// Its number, from 0.
    pub index: u64,
    nodes: u64,
    memory: Arena,
}

impl Chunk {
    /// Its first node.
    pub fn first(&self) -> u64 {
        self.index * self.nodes
    }

    /// Its part of each layer, in order, and of the data.
    pub fn layers_and_data(&self) -> (Vec<&[u8]>, &[u8]) {
        let mut parts: Vec<&[u8]> = self.memory.bytes().chunks_exact((self.nodes * NODE_BYTES) as usize).collect();
        let data = parts.pop().expect("the data comes last");
        (parts, data)
    }
}
