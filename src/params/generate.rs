//! Development parameters of a shape's circuit.
//!
//! Everything about where files go is [`install`](crate::params::install)'s, and what is in them
//! [`groth16`](crate::params::groth16)'s; this file knows the circuit.

use std::io::Write;

use bytesize::ByteSize;
use filecoin_hashers::sha256::Sha256Hasher;
use filecoin_proofs::parameters::setup_params;
use filecoin_proofs::{PoRepConfig, with_shape};
use storage_proofs_core::api_version::ApiVersion;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_core::proof::ProofScheme;
use storage_proofs_porep::stacked::{Challenges, PublicParams, StackedCircuit, StackedCompound, StackedDrg};

use crate::error::Stop;
use crate::host::memory;
use crate::params::estimate::Estimate;
use crate::params::groth16::write_keys;
use crate::params::install::{Generated, Order, install};
use crate::params::setup::{Seed, Setup};
use crate::params::{Progress, name, stages};
use crate::sector::Shape;

/// The generator's name in the marker of its files.
const GENERATOR: &str = concat!("sealbench ", env!("CARGO_PKG_VERSION"), " fixed-base");

/// Makes a shape's development parameters and puts them in place, or uses those that are there.
///
/// Stages reported: "wait" (another process makes the same files), then those of [`write_keys`] as parts of the whole. Runs on the process's rayon
/// pool; does not depend on rust-fil-proofs' `LAYERS`.
pub fn generate(order: &Order<'_>, seed: Seed, progress: &mut Progress<'_>) -> anyhow::Result<Generated> {
    let make = |params: &mut dyn Write, vk: &mut dyn Write, progress: &mut Progress<'_>| {
        require_memory(&order.estimate(), memory::available_bytes())?;
        let mut progress = stages::whole(&order.estimate(), progress);
        with_shape!(order.shape.sector_size.bytes(), set_up, &order.shape, seed, params, vk, &mut progress)
    };
    install(order, GENERATOR, seed.mode(), make, progress)
}

fn require_memory(estimate: &Estimate, available: Option<u64>) -> anyhow::Result<()> {
    let need = estimate.generate_peak_bytes;
    match available {
        Some(available) if available < need => Err(Stop::Refused.error(format!(
            "generating takes up to {} of memory, and {} are available: free some, or generate on a larger machine and copy the files",
            ByteSize(need).display().si(),
            ByteSize(available).display().si()
        ))),
        _ => Ok(()),
    }
}

fn set_up<Tree: 'static + MerkleTreeTrait>(
    shape: &Shape,
    seed: Seed,
    params: &mut dyn Write,
    vk: &mut dyn Write,
    progress: &mut Progress<'_>,
) -> anyhow::Result<String> {
    let circuit = blank_circuit::<Tree>(shape)?;
    let constraints = Estimate::of(shape).constraints;
    Ok(write_keys(circuit, constraints, Setup::draw(seed), params, vk, progress)?.to_hex().to_string())
}

type Compound<Tree> = StackedCompound<Tree, Sha256Hasher>;
type Scheme<Tree> = StackedDrg<'static, Tree, Sha256Hasher>;
type Circuit<Tree> = StackedCircuit<Tree, Sha256Hasher>;

/// The circuit of one partition, without a witness.
pub(crate) fn blank_circuit<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> anyhow::Result<Circuit<Tree>> {
    let public = public_params::<Tree>(shape)?;
    let identifier = <Compound<Tree> as CacheableParameters<Circuit<Tree>, _>>::cache_identifier(&public);
    let expected = name::identifier(shape);
    anyhow::ensure!(
        identifier == expected,
        "rust-fil-proofs names the parameters of {shape} {identifier}, sealbench {expected}: the linked version is not the one \
         sealbench was written for"
    );
    Ok(<Compound<Tree> as CompoundProof<Scheme<Tree>, Circuit<Tree>>>::blank_circuit(&public))
}

/// The public parameters of a shape; layers and challenges are set here, so that the process-wide `LAYERS` plays no part.
fn public_params<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> anyhow::Result<PublicParams<Tree>> {
    let config = PoRepConfig::new_groth16(shape.sector_size.bytes(), [0; 32], ApiVersion::V1_2_0);
    let mut setup = setup_params(&config)?;
    setup.num_layers = shape.layers as usize;
    setup.challenges = Challenges::new_interactive(shape.challenges_per_partition() as usize);
    Scheme::<Tree>::setup(&setup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::stop_of;
    use crate::params::digest::Digest;
    use bellperson::groth16;
    use blstrs::Bls12;
    use std::io;

    #[test]
    fn too_little_memory_is_refused_with_both_figures() {
        let estimate = Estimate::of(&Shape::network("2KiB".parse().unwrap()));
        require_memory(&estimate, None).unwrap();
        require_memory(&estimate, Some(estimate.generate_peak_bytes)).unwrap();
        let error = require_memory(&estimate, Some(100_000_000)).unwrap_err();
        assert_eq!(stop_of(&error), Some(Stop::Refused));
        assert!(error.to_string().contains("100.0 MB"), "{error}");
    }

    /// BLAKE2b of the proving key and the verifying key, of one seed, by us.
    fn ours<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> [String; 2] {
        let (mut params, mut vk) = (Digest::new(), Digest::new());
        set_up::<Tree>(shape, Seed::Deterministic([3; 32]), &mut params, &mut vk, &mut |_, _, _| ()).unwrap();
        [params.finish(), vk.finish()]
    }

    /// The same by bellperson.
    fn bellpersons<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> [String; 2] {
        let setup = Setup::draw(Seed::Deterministic([3; 32]));
        let [alpha, beta, gamma, delta, tau] = *setup.waste();
        let circuit = blank_circuit::<Tree>(shape).unwrap();
        let keys =
            groth16::generate_parameters::<Bls12, _>(circuit, setup.g1, setup.g2, alpha, beta, gamma, delta, tau);
        let keys = keys.unwrap();
        let (mut params, mut vk) = (Digest::new(), Digest::new());
        keys.write(io::BufWriter::new(&mut params)).unwrap();
        keys.vk.write(&mut vk).unwrap();
        [params.finish(), vk.finish()]
    }

    fn check(partitions: u32) {
        let shape = Shape { partitions, ..Shape::network("2KiB".parse().unwrap()) };
        let ours = with_shape!(shape.sector_size.bytes(), ours, &shape);
        assert_eq!(ours, with_shape!(shape.sector_size.bytes(), bellpersons, &shape));
    }

    #[test]
    #[ignore = "bellperson takes 11 minutes on two cores and 10 GB: cargo test --release -- --ignored two_challenges"]
    fn the_2kib_circuit_of_two_challenges_is_bellpersons() {
        check(1);
    }

    #[test]
    #[ignore = "bellperson takes 6 minutes on two cores: cargo test --release -- --ignored one_challenge"]
    fn the_2kib_circuit_of_one_challenge_is_bellpersons() {
        check(2);
    }
}
