//! tree_d: the binary SHA-256 tree over a sector's data, in one file: the leaves, then each row above them, the root last
//! (`merkletree`'s DiskStore).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use rayon::prelude::*;
use sealbench_kernels::sha256::{Backend, hash_node_pairs};

use crate::sector::shape::NODE_BYTES;

/// Leaves of a subtree that one task builds: 1 MiB of data, which stays in the second-level cache with its rows.
const SUBTREE: u64 = 1 << 15;

/// Builds the tree over `nodes` leaves (a power of two) from the file `data` into the file `tree`; gives the root, comm_d.
///
/// Subtrees are read, hashed and written by the threads of the current rayon pool; `progress` gets the leaves that are done.
pub fn build(
    backend: Backend,
    data: &Path,
    tree: &Path,
    nodes: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<[u8; 32]> {
    let source = File::open(data).with_context(|| format!("cannot open {}", data.display()))?;
    let file = File::create(tree).with_context(|| format!("cannot create {}", tree.display()))?;
    let leaves = SUBTREE.min(nodes);
    let rows = Rows { file: &file, nodes };
    let written = || format!("cannot write {}", tree.display());
    let roots: Vec<[u8; 32]> = (0..nodes / leaves)
        .into_par_iter()
        .map(|index| {
            let mut row = vec![0; (leaves * NODE_BYTES) as usize];
            source
                .read_exact_at(&mut row, index * leaves * NODE_BYTES)
                .with_context(|| format!("cannot read {}", data.display()))?;
            let root = rows.write_subtree(backend, row, 0, index * leaves).with_context(written)?;
            progress(leaves);
            Ok(root)
        })
        .collect::<anyhow::Result<_>>()?;
    if roots.len() == 1 {
        return Ok(roots[0]);
    }
    // The row of the subtrees' roots is written already: the tree above them begins one row higher.
    let above = hash_row(backend, roots.as_flattened());
    rows.write_subtree(backend, above, leaves.ilog2() + 1, 0).with_context(written)
}

/// Where each row of the tree is in its file.
struct Rows<'a> {
    file: &'a File,
    nodes: u64,
}

impl Rows<'_> {
    /// Writes a row that begins at node `first` of row `level`, and the rows that follow from it up to a single node.
    fn write_subtree(
        &self,
        backend: Backend,
        mut row: Vec<u8>,
        mut level: u32,
        mut first: u64,
    ) -> std::io::Result<[u8; 32]> {
        loop {
            self.file.write_all_at(&row, (self.begin(level) + first) * NODE_BYTES)?;
            if let Ok(root) = row.as_slice().try_into() {
                return Ok(root);
            }
            row = hash_row(backend, &row);
            (level, first) = (level + 1, first / 2);
        }
    }

    /// Nodes before a row.
    fn begin(&self, level: u32) -> u64 {
        2 * self.nodes - ((2 * self.nodes) >> level)
    }
}

fn hash_row(backend: Backend, row: &[u8]) -> Vec<u8> {
    let mut above = vec![0; row.len() / 2];
    hash_node_pairs(backend, row, &mut above);
    above
}
