//! c1 and p4 of the reference.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use bellperson::groth16::{MappedParameters, ParameterSource, Parameters, Proof, create_random_proof_batch};
use blstrs::Bls12;
use filecoin_hashers::{Domain, Hasher};
use filecoin_proofs::{
    DefaultPieceDomain, DefaultPieceHasher, SealCommitPhase1Output, SealPreCommitOutput, VanillaSealProof,
    parameters::public_params, seal_commit_phase1, verify_seal,
};
use rand::rngs::OsRng;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_porep::stacked::{self, PublicInputs, StackedCircuit, StackedCompound, Tau};

use crate::disk::write_by_rename;
use crate::host::Counters;
use crate::params::estimate::Estimate;
use crate::phase::PhaseContext;
use crate::phase::reference::porep;
use crate::phase::reference::precommit::pieces;
use crate::phase::store;
use crate::sector::files;
use crate::trial::job::{Outcome, Proving};
use crate::trial::record::{Finding, Output, Severity, Verified, Work};
use crate::trial::spec::ParamsMode;

type Circuit<Tree> = StackedCircuit<Tree, DefaultPieceHasher>;
type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
type Vanilla<Tree> = Vec<VanillaSealProof<Tree>>;

/// Commit 1: `seal_commit_phase1`, which also verifies the vanilla proofs of every partition it makes.
pub fn c1<Tree: 'static + MerkleTreeTrait>(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let (shape, identity, dir) = (context.shape, context.identity, context.dir);
    let config = porep::config(shape, identity);
    let output = context.probe.timed("load", || {
        let precommit: SealPreCommitOutput = store::read(&dir.join(files::P2_OUTPUT))?;
        seal_commit_phase1::<_, Tree>(
            &config,
            dir,
            &dir.join(files::SEALED),
            identity.prover_id.0,
            identity.sector_id.into(),
            identity.ticket.0,
            identity.c1_seed.0,
            precommit,
            &pieces(dir)?,
        )
    })?;
    store::write(&dir.join(files::C1_OUTPUT), &output)?;
    Ok(Outcome {
        variant: None,
        kernel: BTreeMap::new(),
        work: Work {
            unit: "challenge".into(),
            count: u64::from(shape.challenges_per_partition()) * u64::from(shape.partitions),
        },
        output: Output {
            comm_d: Some(hex::encode(output.comm_d)),
            comm_r: Some(hex::encode(output.comm_r)),
            ..Output::default()
        },
        verified: Verified { against: "verifier".into(), ok: Some(true) },
        findings: Vec::new(),
        pages: None,
        reserved_bytes: 0,
        calibration: Vec::new(),
        labelled_together: 1,
    })
}

/// Commit 2: the circuits of K partitions at a time through bellperson's batch prover, which is what `seal_commit_phase2` does with all
/// of them; then, outside the timer, `verify_seal`.
pub fn p4<Tree: 'static + MerkleTreeTrait>(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let proving = context.proving.context("p4 was started without parameters")?;
    let c1: SealCommitPhase1Output<Tree> = store::read(&context.dir.join(files::C1_OUTPUT))?;
    let constraints = Estimate::of(context.shape).constraints;
    let source = ParameterFile::open(context, proving)?;
    let proof = context.probe.timed("synthesize", || match &source {
        ParameterFile::Mapped(params) => prove_all(context, &c1, &**params, proving.at_once),
        ParameterFile::Resident(params) => prove_all(context, &c1, &**params, proving.at_once),
    })?;
    drop(source);
    write_by_rename(&context.dir.join(files::PROOF), &proof)?;
    let accepted = verify(context, &c1, &proof)?;
    let counters = context.probe.result().map(|timed| timed.counters).unwrap_or_default();
    Ok(Outcome {
        variant: Some(format!("{} at once, parameters {}", proving.at_once, proving.mode)),
        kernel: BTreeMap::from([("curve".to_string(), "blst".to_string())]),
        work: Work { unit: "constraint".into(), count: constraints * u64::from(context.shape.partitions) },
        output: Output {
            comm_d: Some(hex::encode(c1.comm_d)),
            comm_r: Some(hex::encode(c1.comm_r)),
            proof_bytes: Some(proof.len() as u64),
            ..Output::default()
        },
        verified: Verified { against: "verifier".into(), ok: Some(accepted) },
        findings: major_faults(&counters).into_iter().collect(),
        pages: None,
        reserved_bytes: 0,
        calibration: Vec::new(),
        labelled_together: 1,
    })
}

/// The Groth16 parameters, read before the timer starts.
enum ParameterFile {
    Mapped(Box<MappedParameters<Bls12>>),
    Resident(Box<Parameters<Bls12>>),
}

impl ParameterFile {
    /// Reads the file through in span `params`: mapped parameters are then in the page cache, resident ones parsed in memory.
    fn open(context: &PhaseContext<'_>, proving: &Proving) -> anyhow::Result<ParameterFile> {
        let path = &proving.params;
        let unreadable = || format!("cannot read the parameters {}", path.display());
        let before = storage_bytes();
        context.probe.timeline.enter("params");
        let source = match proving.mode {
            ParamsMode::Mapped => {
                read_through(path).with_context(unreadable)?;
                let mapped = Parameters::build_mapped_parameters(path.clone(), false).with_context(unreadable)?;
                ParameterFile::Mapped(Box::new(mapped))
            }
            ParamsMode::Resident => {
                let file = BufReader::with_capacity(1 << 20, File::open(path).with_context(unreadable)?);
                ParameterFile::Resident(Box::new(Parameters::read(file, false).with_context(unreadable)?))
            }
        };
        context.probe.timeline.close();
        let bytes = File::open(path).and_then(|file| file.metadata()).with_context(unreadable)?.len();
        // Anything short of most of the file from storage means that the page cache held the rest.
        let cold = storage_bytes().zip(before).map(|(after, before)| after - before > bytes / 2);
        let note = cold.map_or("unknown", |cold| if cold { "cold" } else { "warm" });
        context.probe.timeline.annotate("params", note, bytes);
        Ok(source)
    }
}

/// Bytes this process has read from storage.
fn storage_bytes() -> Option<u64> {
    Some(procfs::process::Process::myself().ok()?.io().ok()?.read_bytes)
}

fn read_through(path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 4 << 20];
    while file.read(&mut block)? > 0 {}
    Ok(())
}

/// Proofs of all partitions, `at_once` of them at a time, as `MultiProof` writes them: one after the other, 192 bytes each.
fn prove_all<'a, Tree, P>(
    context: &PhaseContext<'_>,
    c1: &SealCommitPhase1Output<Tree>,
    params: &'a P,
    at_once: u32,
) -> anyhow::Result<Vec<u8>>
where
    Tree: 'static + MerkleTreeTrait,
    &'a P: ParameterSource<Bls12>,
{
    let public = public_inputs(c1)?;
    let config = porep::config(context.shape, context.identity);
    let graph = public_params::<Tree>(&config)?;
    let mut bytes = Vec::new();
    for batch in c1.vanilla_proofs.chunks(at_once.max(1) as usize) {
        context.probe.timeline.enter("synthesize");
        let circuits = batch.iter().map(|vanilla| circuit(&public, vanilla, &graph)).collect::<anyhow::Result<_>>()?;
        let proofs: Vec<Proof<Bls12>> =
            create_random_proof_batch::<Bls12, Circuit<Tree>, _, _>(circuits, params, &mut OsRng)?;
        context.probe.timeline.enter("assemble");
        proofs.iter().try_for_each(|proof| proof.write(&mut bytes))?;
    }
    Ok(bytes)
}

type Public<Tree> = PublicInputs<<<Tree as MerkleTreeTrait>::Hasher as Hasher>::Domain, DefaultPieceDomain>;

fn public_inputs<Tree: MerkleTreeTrait>(c1: &SealCommitPhase1Output<Tree>) -> anyhow::Result<Public<Tree>> {
    ensure!(
        !c1.vanilla_proofs.is_empty() && c1.vanilla_proofs.iter().all(|p| !p.is_empty()),
        "c1's output holds no proofs"
    );
    Ok(PublicInputs {
        replica_id: c1.replica_id,
        tau: Some(Tau {
            comm_d: DefaultPieceDomain::try_from_bytes(&c1.comm_d)?,
            comm_r: <Tree::Hasher as Hasher>::Domain::try_from_bytes(&c1.comm_r)?,
        }),
        k: None,
        seed: Some(c1.seed),
    })
}

fn circuit<Tree: 'static + MerkleTreeTrait>(
    public: &Public<Tree>,
    vanilla: &Vanilla<Tree>,
    params: &stacked::PublicParams<Tree>,
) -> anyhow::Result<Circuit<Tree>> {
    // The circuit reads its challenges out of the vanilla proof, so the partition's number does not enter it.
    Compound::<Tree>::circuit(public, (), vanilla, params, None)
}

fn verify<Tree: 'static + MerkleTreeTrait>(
    context: &PhaseContext<'_>,
    c1: &SealCommitPhase1Output<Tree>,
    proof: &[u8],
) -> anyhow::Result<bool> {
    let identity = context.identity;
    verify_seal::<Tree>(
        &porep::config(context.shape, identity),
        c1.comm_r,
        c1.comm_d,
        identity.prover_id.0,
        identity.sector_id.into(),
        c1.ticket,
        c1.seed,
        proof,
    )
    .context("verify_seal could not check the proof")
}

fn major_faults(counters: &Counters) -> Option<Finding> {
    let faults = counters.major_faults.filter(|&n| n > 0)?;
    let text = format!(
        "{faults} major page faults inside p4: parameters were read from storage while proving; free memory or use --params resident"
    );
    Some(Finding::new("p4-major-faults", Severity::Warning, text))
}
