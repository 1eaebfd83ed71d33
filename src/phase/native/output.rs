//! The files that other phases read, as the linked crates' types encode themselves (bincode 1).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::phase::native::p2::tree::OctTree;
use crate::phase::store;
use crate::sector::{Shape, files};

/// `merkletree::store::StoreConfig`: where a layer or a tree lies.
#[derive(Serialize, Deserialize)]
struct StoreConfig {
    path: PathBuf,
    id: String,
    size: Option<usize>,
    rows_to_discard: usize,
}

/// `filecoin_proofs::SealPreCommitPhase1Output`; its `Labels` are the configurations of the layers and nothing else.
#[derive(Serialize, Deserialize)]
struct PreCommitPhase1Output {
    labels: Vec<StoreConfig>,
    tree_d: StoreConfig,
    comm_d: [u8; 32],
}

/// `filecoin_proofs::SealPreCommitOutput`.
#[derive(Serialize)]
struct PreCommitOutput {
    comm_r: [u8; 32],
    comm_d: [u8; 32],
}

/// `storage_proofs_porep::stacked::PersistentAux`.
#[derive(Serialize)]
struct PersistentAux {
    comm_c: [u8; 32],
    comm_r_last: [u8; 32],
}

/// `storage_proofs_porep::stacked::TemporaryAux`.
#[derive(Serialize)]
struct TemporaryAux {
    labels: Vec<StoreConfig>,
    tree_d: StoreConfig,
    tree_r_last: StoreConfig,
    tree_c: StoreConfig,
}

/// What p2 commits a sector to.
#[derive(Clone, Copy, Debug)]
pub struct Commitments {
    /// Root of tree_d.
    pub comm_d: [u8; 32],
    /// Root of tree_c.
    pub comm_c: [u8; 32],
    /// Root of tree_r_last.
    pub comm_r_last: [u8; 32],
    /// Poseidon of the two before.
    pub comm_r: [u8; 32],
}

/// Writes p1's output for a sector whose layers and tree_d are in `dir`.
pub fn write_p1(dir: &Path, shape: &Shape, comm_d: [u8; 32]) -> anyhow::Result<()> {
    let output = PreCommitPhase1Output { labels: labels(dir, shape), tree_d: tree_d(dir, shape), comm_d };
    store::write(&dir.join(files::P1_OUTPUT), &output)
}

/// comm_d, from p1's output.
pub fn comm_d(dir: &Path) -> anyhow::Result<[u8; 32]> {
    let output: PreCommitPhase1Output = store::read(&dir.join(files::P1_OUTPUT))?;
    Ok(output.comm_d)
}

/// Writes p2's output and what c1 reads beside it.
pub fn write_p2(dir: &Path, shape: &Shape, rows_to_discard: u32, made: &Commitments) -> anyhow::Result<()> {
    let Commitments { comm_d, comm_c, comm_r_last, comm_r } = *made;
    let leaves = shape.sector_size.nodes() / shape.sector_size.base_trees();
    // The rows of a tree of eight children to a node: 1 + 8 + 64 + ...
    let size = (8 * leaves - 1) / 7;
    let discarded = OctTree::rows_discarded(leaves, rows_to_discard) as usize;
    let aux = TemporaryAux {
        labels: labels(dir, shape),
        tree_d: tree_d(dir, shape),
        tree_r_last: config(dir, "tree-r-last", size, discarded),
        tree_c: config(dir, "tree-c", size, 0),
    };
    store::write(&dir.join(files::T_AUX), &aux)?;
    store::write(&dir.join(files::P_AUX), &PersistentAux { comm_c, comm_r_last })?;
    store::write(&dir.join(files::P2_OUTPUT), &PreCommitOutput { comm_r, comm_d })
}

fn labels(dir: &Path, shape: &Shape) -> Vec<StoreConfig> {
    (1..=shape.layers).map(|layer| config(dir, &format!("layer-{layer}"), shape.sector_size.nodes(), 0)).collect()
}

fn tree_d(dir: &Path, shape: &Shape) -> StoreConfig {
    config(dir, "tree-d", 2 * shape.sector_size.nodes() - 1, 0)
}

fn config(dir: &Path, id: &str, size: u64, rows_to_discard: usize) -> StoreConfig {
    StoreConfig { path: dir.to_path_buf(), id: id.to_string(), size: Some(size as usize), rows_to_discard }
}
