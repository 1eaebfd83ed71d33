//! Development parameters from bellperson's own generator.
//!
//! Everything about where files go is [`install`](crate::params::install)'s; this file only makes their content.

use std::io::{self, Write};

use bellperson::groth16::{self, Parameters};
use blstrs::Bls12;
use filecoin_hashers::sha256::Sha256Hasher;
use filecoin_proofs::parameters::setup_params;
use filecoin_proofs::{PoRepConfig, with_shape};
use rand::rngs::OsRng;
use storage_proofs_core::api_version::ApiVersion;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_core::proof::ProofScheme;
use storage_proofs_porep::stacked::{Challenges, PublicParams, StackedCircuit, StackedCompound, StackedDrg};

use crate::params::install::{Generated, Order, install};
use crate::params::sidecar::SeedMode;
use crate::params::{Progress, name};
use crate::sector::Shape;

/// The generator's name in the marker of its files.
const GENERATOR: &str = "bellperson 0.27.0 generate_random_parameters";

/// Makes a shape's development parameters and puts them in place, or uses those that are there.
///
/// Stages reported: "wait" (another process makes the same files), "generate" (points; bellperson tells nothing in between) and
/// "write" (bytes). Runs on the process's rayon and `EC_GPU_NUM_THREADS` pools; does not depend on rust-fil-proofs' `LAYERS`.
pub fn generate(order: &Order<'_>, progress: &mut Progress<'_>) -> anyhow::Result<Generated> {
    let make = |params: &mut dyn Write, vk: &mut dyn Write, progress: &mut Progress<'_>| {
        let points = order.estimate().points();
        progress("generate", 0, points);
        let parameters = with_shape!(order.shape.sector_size.bytes(), set_up, &order.shape)?;
        progress("generate", points, points);
        let total = order.estimate().params_bytes;
        parameters.write(Reporting { inner: params, done: 0, reported: 0, total, progress })?;
        parameters.vk.write(vk)?;
        Ok(())
    };
    install(order, GENERATOR, SeedMode::Os, make, progress)
}

fn set_up<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> anyhow::Result<Parameters<Bls12>> {
    let circuit = blank_circuit::<Tree>(shape)?;
    Ok(groth16::generate_random_parameters::<Bls12, _, _>(circuit, &mut OsRng)?)
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

/// Reports every 16 MiB that pass through.
struct Reporting<'a, 'p> {
    inner: &'a mut dyn Write,
    done: u64,
    reported: u64,
    total: u64,
    progress: &'a mut Progress<'p>,
}

impl Write for Reporting<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.done += written as u64;
        if self.done - self.reported >= 16 << 20 || self.done == self.total {
            self.reported = self.done;
            (self.progress)("write", self.done, self.total);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
