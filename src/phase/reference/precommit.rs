//! p1 and p2 of the reference.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use filecoin_hashers::Hasher;
use filecoin_proofs::{
    PieceInfo, SealPreCommitOutput, SealPreCommitPhase1Output, seal_pre_commit_phase1, seal_pre_commit_phase2,
};
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_core::settings::SETTINGS;
use storage_proofs_porep::stacked::PersistentAux;

use crate::phase::PhaseContext;
use crate::phase::reference::porep;
use crate::phase::store;
use crate::sector::files;
use crate::trial::job::Outcome;
use crate::trial::record::{Output, Verified, Work};

/// Pre-commit 1: `seal_pre_commit_phase1`.
pub fn p1<Tree: 'static + MerkleTreeTrait>(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let (shape, identity, dir) = (context.shape, context.identity, context.dir);
    let config = porep::config(shape, identity);
    let pieces = pieces(dir)?;
    let sealed = dir.join(files::SEALED);
    File::create(&sealed).with_context(|| format!("cannot create {}", sealed.display()))?;
    let output: SealPreCommitPhase1Output<Tree> = context.probe.timed("copy", || {
        seal_pre_commit_phase1(
            &config,
            dir,
            dir.join(files::STAGED),
            &sealed,
            identity.prover_id.0,
            identity.sector_id.into(),
            identity.ticket.0,
            &pieces,
        )
    })?;
    store::write(&dir.join(files::P1_OUTPUT), &output)?;
    let multicore = cfg!(feature = "reference-multicore") && SETTINGS.use_multicore_sdr;
    let sha256 = if multicore { "RustCrypto sha2" } else { "sha2raw" };
    Ok(Outcome {
        variant: Some(if multicore { "multicore SDR" } else { "single-core SDR" }.to_string()),
        kernel: BTreeMap::from([("sha256".to_string(), sha256.to_string())]),
        work: Work { unit: "node".into(), count: shape.labels() },
        output: Output { comm_d: Some(hex::encode(output.comm_d)), ..Output::default() },
        verified: Verified { against: "none".into(), ok: None },
        findings: Vec::new(),
        pages: None,
        reserved_bytes: 0,
        calibration: Vec::new(),
        labelled_together: 1,
    })
}

/// Pre-commit 2: `seal_pre_commit_phase2`. The directory's sealed-file is a copy of the data; it is encoded in place.
pub fn p2<Tree: 'static + MerkleTreeTrait>(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let (shape, dir) = (context.shape, context.dir);
    let config = porep::config(shape, context.identity);
    let labels: SealPreCommitPhase1Output<Tree> = store::read(&dir.join(files::P1_OUTPUT))?;
    let output: SealPreCommitOutput = context
        .probe
        .timed("read", || seal_pre_commit_phase2::<_, _, Tree>(&config, labels, dir, dir.join(files::SEALED)))?;
    store::write(&dir.join(files::P2_OUTPUT), &output)?;
    let aux: PersistentAux<<Tree::Hasher as Hasher>::Domain> = store::read(&dir.join(files::P_AUX))?;
    Ok(Outcome {
        variant: None,
        kernel: BTreeMap::from([("poseidon".to_string(), "neptune".to_string())]),
        work: Work { unit: "column".into(), count: shape.sector_size.nodes() },
        output: Output {
            comm_d: Some(hex::encode(output.comm_d)),
            comm_c: Some(hex::encode(AsRef::<[u8]>::as_ref(&aux.comm_c))),
            comm_r_last: Some(hex::encode(AsRef::<[u8]>::as_ref(&aux.comm_r_last))),
            comm_r: Some(hex::encode(output.comm_r)),
            ..Output::default()
        },
        verified: Verified { against: "none".into(), ok: None },
        findings: Vec::new(),
        pages: None,
        reserved_bytes: 0,
        calibration: Vec::new(),
        labelled_together: 1,
    })
}

/// The sector's pieces.
pub fn pieces(dir: &Path) -> anyhow::Result<Vec<PieceInfo>> {
    let path = dir.join(files::PIECE_INFOS);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}
