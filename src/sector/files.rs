//! Which file belongs to which phase. Cache files are named as by rust-fil-proofs, the files between phases as by benchy
//! (`--preserve-cache`), so that directories of either can be continued.

use std::path::{Path, PathBuf};

use crate::phase::Phase;
use crate::sector::Shape;

/// The unsealed, Fr32-padded data.
pub const STAGED: &str = "staged-file";
/// The replica; before p2 encodes it, a copy of the data.
pub const SEALED: &str = "sealed-file";
/// The pieces of the data, JSON.
pub const PIECE_INFOS: &str = "piece-infos-file";
/// Output of p1 (`SealPreCommitPhase1Output`, bincode).
pub const P1_OUTPUT: &str = "precommit-phase1-output";
/// Output of p2 (`SealPreCommitOutput`, bincode).
pub const P2_OUTPUT: &str = "precommit-phase2-output";
/// Output of c1 (`SealCommitPhase1Output`, bincode).
pub const C1_OUTPUT: &str = "commit-phase1-output";
/// The Groth16 proofs of all partitions, 192 bytes each.
pub const PROOF: &str = "proof";
/// comm_c and comm_r_last (`PersistentAux`, bincode).
pub const P_AUX: &str = "p_aux";
/// Store configurations of layers and trees (`TemporaryAux`, bincode).
pub const T_AUX: &str = "t_aux";
/// The layers of an unfinished p1 that are whole, JSON; only in a phase's scratch directory.
pub const WHOLE_LAYERS: &str = "whole-layers.json";
/// The binary SHA-256 tree over the data.
pub const TREE_D: &str = "sc-02-data-tree-d.dat";

/// The labels of a layer, counted from 1.
pub fn layer(layer: u32) -> String {
    format!("sc-02-data-layer-{layer}.dat")
}

/// A sector's directory in the scratch directory of a batch: the first sector's files lie in that itself.
pub fn sector_dir(dir: &Path, sector: u32) -> PathBuf {
    if sector == 0 { dir.to_path_buf() } else { dir.join(format!("sector-{sector}")) }
}

/// Files of a tree that is split into base trees: unnumbered if there is but one (`storage_proofs_core::merkle::split_config`).
pub fn trees(name: &str, shape: &Shape) -> Vec<String> {
    match shape.sector_size.base_trees() {
        1 => vec![format!("sc-02-data-{name}.dat")],
        n => (0..n).map(|i| format!("sc-02-data-{name}-{i}.dat")).collect(),
    }
}

/// Layer files in order.
pub fn layers(shape: &Shape) -> Vec<String> {
    (1..=shape.layers).map(layer).collect()
}

/// Every file that a phase makes.
pub fn outputs(phase: Phase, shape: &Shape) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    match phase {
        Phase::P1 => [layers(shape), own(&[TREE_D, P1_OUTPUT])].concat(),
        Phase::P2 => {
            [trees("tree-c", shape), trees("tree-r-last", shape), own(&[P_AUX, T_AUX, SEALED, P2_OUTPUT])].concat()
        }
        Phase::C1 => own(&[C1_OUTPUT]),
        Phase::P4 => own(&[PROOF]),
    }
}

/// What a phase reads: outputs of earlier phases, and files of the sector's data.
pub fn needs(phase: Phase) -> (&'static [Phase], &'static [&'static str]) {
    match phase {
        Phase::P1 => (&[], &[STAGED, PIECE_INFOS]),
        Phase::P2 => (&[Phase::P1], &[STAGED]),
        Phase::C1 => (&[Phase::P1, Phase::P2], &[PIECE_INFOS]),
        Phase::P4 => (&[Phase::C1], &[]),
    }
}
