//! A tree of eight children to a node in a file: its rows from the leaves up, the root last, some of the lower rows left out
//! (`merkletree`'s DiskStore and LevelCacheStore).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sealbench_kernels::poseidon::{Arity, Backend, hash_rows};

use super::Node;
use crate::sector::shape::NODE_BYTES;

/// Leaves of the subtree that a chunk of nodes gives: five rows, 1 MiB.
pub const SUBTREE_LEAVES: u64 = 8 * 8 * 8 * 8 * 8;

/// A base tree that is being built.
pub struct OctTree {
    file: File,
    path: PathBuf,
    leaves: u64,
    /// The first row that is in the file; row 0 are the leaves.
    first_row: u32,
}

impl OctTree {
    /// Creates the file of a tree over `leaves` leaves, a power of eight, that holds its rows from `first_row` on.
    pub fn create(path: &Path, leaves: u64, first_row: u32) -> anyhow::Result<OctTree> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(OctTree { file, path: path.to_path_buf(), leaves, first_row })
    }

    /// Rows above the leaves that tree_r_last leaves out when `wanted` are to be (`default_rows_to_discard` of storage-proofs-core):
    /// the row under the root stays, but in a tree of three rows.
    pub fn rows_discarded(leaves: u64, wanted: u32) -> u32 {
        match leaves.ilog(8) + 1 {
            0..=2 => 0,
            3 => 1,
            rows => wanted.min(rows - 2),
        }
    }

    /// Leaves of the subtrees that it is built from.
    pub fn subtree_leaves(leaves: u64) -> u64 {
        SUBTREE_LEAVES.min(leaves)
    }

    /// Writes the subtree over `row`, whose first node is number `first` of row `level`; gives its root. `timed` is told the kind of work
    /// that begins.
    pub fn write_subtree(
        &self,
        backend: Backend,
        row: &[u8],
        mut level: u32,
        mut first: u64,
        timed: &mut dyn FnMut(Step),
    ) -> anyhow::Result<Node> {
        let mut above;
        let mut row = row;
        loop {
            if let Some(begin) = self.begin(level) {
                timed(Step::Write);
                self.file
                    .write_all_at(row, (begin + first) * NODE_BYTES)
                    .with_context(|| format!("cannot write {}", self.path.display()))?;
            }
            if let Ok(root) = row.try_into() {
                return Ok(root);
            }
            timed(Step::Hash);
            let mut next = vec![0; row.len() / 8];
            hash_rows(backend, Arity::Eight, row, &mut next).map_err(|e| {
                anyhow::anyhow!("node {} of a tree is not below the field's modulus", 8 * e.preimage + e.element)
            })?;
            above = next;
            row = &above;
            (level, first) = (level + 1, first / 8);
        }
    }

    /// Builds what is above the roots of all subtrees; gives the tree's root.
    pub fn finish(&self, backend: Backend, roots: &[Node]) -> anyhow::Result<Node> {
        if let [root] = roots {
            return Ok(*root);
        }
        let mut above = vec![0; roots.len() * 4];
        hash_rows(backend, Arity::Eight, roots.as_flattened(), &mut above).map_err(|e| {
            anyhow::anyhow!("the root of subtree {} is not below the field's modulus", 8 * e.preimage + e.element)
        })?;
        self.write_subtree(backend, &above, SUBTREE_LEAVES.ilog(8) + 1, 0, &mut |_| ())
    }

    /// Brings what was written to storage.
    pub fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().with_context(|| format!("cannot write {} to storage", self.path.display()))
    }

    /// Where a row begins in the file, in nodes; `None` if it is not there.
    fn begin(&self, level: u32) -> Option<u64> {
        (level >= self.first_row).then(|| (self.first_row..level).map(|row| self.leaves >> (3 * row)).sum())
    }
}

/// A kind of work on a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hashing a row.
    Hash,
    /// Writing a row.
    Write,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_one_after_the_other_from_the_first_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tree = |first_row| OctTree::create(&dir.path().join("tree"), 512, first_row).unwrap();
        assert_eq!([0, 1, 2, 3].map(|level| tree(0).begin(level)), [Some(0), Some(512), Some(576), Some(584)]);
        assert_eq!([0, 1, 2, 3].map(|level| tree(2).begin(level)), [None, None, Some(0), Some(8)]);
    }

    #[test]
    fn discarded_rows_are_the_references() {
        let discarded = |rows: u32, wanted| OctTree::rows_discarded(8u64.pow(rows - 1), wanted);
        assert_eq!([2, 3, 4, 5, 10].map(|rows| discarded(rows, 2)), [0, 1, 2, 2, 2]);
        assert_eq!((discarded(4, 9), discarded(10, 0), discarded(10, 9)), (2, 0, 8));
    }
}
