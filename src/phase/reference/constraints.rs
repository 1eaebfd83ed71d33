//! Counts the constraints of the reference's circuit.

use bellperson::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use blstrs::Scalar;
use filecoin_proofs::{DefaultPieceHasher, parameters::public_params};
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_porep::stacked::StackedCompound;

use crate::phase::reference::porep;
use crate::sector::{Identity, Shape};

/// Constraints of one partition's circuit, the prover's own one per public input included.
pub fn count<Tree: 'static + MerkleTreeTrait>(shape: &Shape, identity: &Identity) -> anyhow::Result<u64> {
    let params = public_params::<Tree>(&porep::config(shape, identity))?;
    let mut counter = Counter { inputs: 1, aux: 0, constraints: 0 };
    StackedCompound::<Tree, DefaultPieceHasher>::blank_circuit(&params).synthesize(&mut counter)?;
    Ok(counter.constraints + counter.inputs)
}

/// A constraint system that counts and evaluates nothing.
struct Counter {
    inputs: u64,
    aux: u64,
    constraints: u64,
}

impl ConstraintSystem<Scalar> for Counter {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux += 1;
        Ok(Variable(Index::Aux(self.aux as usize - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs += 1;
        Ok(Variable(Index::Input(self.inputs as usize - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
        self.constraints += 1;
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}
