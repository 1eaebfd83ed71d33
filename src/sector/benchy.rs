//! Directories of benchy, rust-fil-proofs' own benchmark: its pieces file, and a manifest for what `--preserve-cache` left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::phase::Phase;
use crate::sector::identity::Bytes32;
use crate::sector::manifest::{Data, Manifest, SCHEMA, Set, Whole, entries};
use crate::sector::{Identity, Shape, files};

/// Name of the set that benchy's files are.
pub(super) const SET: &str = "benchy";

/// A manifest for a directory that benchy left with `--preserve-cache`; `None` if it holds no benchy files.
pub(super) fn adopt(path: &Path, run: &str) -> anyhow::Result<Option<Manifest>> {
    let has = |name: &str| path.join(name).is_file();
    if !has(files::PIECE_INFOS) || !has(files::STAGED) {
        return Ok(None);
    }
    let bytes = fs::metadata(path.join(files::STAGED))?.len();
    let size =
        bytes.try_into().map_err(|e| Stop::Usage.error(format!("{}: {e}", path.join(files::STAGED).display())))?;
    let counted = (1..=11).take_while(|&layer| has(&files::layer(layer))).count() as u32;
    let layers = Some(counted).filter(|&n| n > 0);
    let shape = Shape::new(size, layers, None, false)?;
    let data_files = entries(path, &[files::STAGED.into(), files::PIECE_INFOS.into()])?;
    let comm_d = read_comm_d(&path.join(files::PIECE_INFOS), size.bytes())?;
    let mut phases = BTreeMap::new();
    for phase in Phase::ALL {
        let names = files::outputs(phase, &shape);
        if names.iter().all(|name| has(name)) {
            phases.insert(phase, Whole { files: entries(path, &names)?, record: None });
        }
    }
    Ok(Some(Manifest {
        schema: SCHEMA.to_string(),
        run: run.to_string(),
        seed: None,
        identity: Identity::benchy(),
        shape,
        spec: None,
        data: Some(Data { comm_d: Bytes32(comm_d), dir: ".".into(), files: data_files }),
        sets: BTreeMap::from([(SET.to_string(), Set { dir: ".".into(), engine: None, repeat: 0, sector: 0, phases })]),
    }))
}

/// A piece as rust-fil-proofs writes it (`filecoin_proofs::PieceInfo`).
#[derive(Serialize, Deserialize)]
struct Piece {
    commitment: [u8; 32],
    size: u64,
}

/// One piece that fills the sector: its commitment is comm_d, its size is the unpadded one (127/128).
pub(super) fn piece_infos(comm_d: [u8; 32], sector_bytes: u64) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&[Piece { commitment: comm_d, size: unpadded(sector_bytes) }])?)
}

fn unpadded(sector_bytes: u64) -> u64 {
    sector_bytes / 128 * 127
}

fn read_comm_d(path: &Path, sector_bytes: u64) -> anyhow::Result<[u8; 32]> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let pieces: Vec<Piece> = serde_json::from_slice(&text)
        .map_err(|e| Stop::Usage.error(format!("{} is not benchy's list of pieces: {e}", path.display())))?;
    match pieces.as_slice() {
        [piece] if piece.size == unpadded(sector_bytes) => Ok(piece.commitment),
        _ => Err(Stop::Usage.error(format!("{} does not hold one piece that fills the sector", path.display()))),
    }
}
