//! P1, P2 and C1 by rust-fil-proofs' public functions, called in order with nothing around them.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use filecoin_proofs::parameters::public_params;
use filecoin_proofs::{
    PieceInfo, PoRepConfig, seal_commit_phase1, seal_pre_commit_phase1, seal_pre_commit_phase2, with_shape,
};
use sealbench::sector::{Identity, SectorSize, Seed, data};
use storage_proofs_core::api_version::ApiVersion;
use storage_proofs_core::merkle::MerkleTreeTrait;

/// A sector sealed as far as C1, with the wall time of each phase.
pub struct Sealed {
    pub comm_d: [u8; 32],
    pub comm_r: [u8; 32],
    pub p1_s: f64,
    pub p2_s: f64,
    pub c1_s: f64,
}

/// Seals the sector of a seed in `dir`, which is empty. The parent cache is made first, if it is missing, outside the times.
pub fn seal(dir: &Path, size: SectorSize, seed: &Seed) -> anyhow::Result<Sealed> {
    with_shape!(size.bytes(), seal_shape, dir, size, seed)
}

fn seal_shape<Tree: 'static + MerkleTreeTrait>(dir: &Path, size: SectorSize, seed: &Seed) -> anyhow::Result<Sealed> {
    let id = Identity::from_seed(seed);
    let (prover, sector, ticket) = (id.prover_id.0, id.sector_id.into(), id.ticket.0);
    let config = PoRepConfig::new_groth16(size.bytes(), id.porep_id.0, ApiVersion::V1_2_0);
    let [cache, unsealed, sealed] = ["cache", "unsealed", "sealed"].map(|name| dir.join(name));
    fs::create_dir(&cache)?;
    File::create(&sealed)?;
    let comm_d = data::write(&unsealed, size, seed)?;
    let pieces = [PieceInfo::new(comm_d, config.unpadded_bytes_amount())?];
    public_params::<Tree>(&config)?.graph.parent_cache()?;

    let start = Instant::now();
    let p1 =
        seal_pre_commit_phase1::<_, _, _, Tree>(&config, &cache, &unsealed, &sealed, prover, sector, ticket, &pieces)?;
    let p1_s = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let p2 = seal_pre_commit_phase2(&config, p1, &cache, &sealed)?;
    let p2_s = start.elapsed().as_secs_f64();
    let comm_r = p2.comm_r;

    let start = Instant::now();
    let c1_seed = id.c1_seed.0;
    seal_commit_phase1::<_, Tree>(&config, &cache, &sealed, prover, sector, ticket, c1_seed, p2, &pieces)?;
    let c1_s = start.elapsed().as_secs_f64();

    Ok(Sealed { comm_d, comm_r, p1_s, p2_s, c1_s })
}
