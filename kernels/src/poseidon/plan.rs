//! Poseidon's constants, derived from neptune's, in the form the kernels use.
//!
//! A round is: x^5 of every element (full rounds) or the first (partial rounds), add constants (neptune's compressed form: in
//! a partial round only the first element has one), multiply by the matrix M. neptune spends most of its time on M and, in
//! partial rounds, on the sparse matrices it factors M into. Here M stays whole and becomes cheap instead:
//!
//! 1. M[i][j] = 1 / (i + j + t) with t = arity + 1. Times L = lcm(t, .., 3t - 2) every entry is an integer: below 2^8 for
//!    t = 3, 2^44 for t = 12. A product with a state element is one row of partial products, not a field multiplication, and
//!    the sum of a row needs one step of Montgomery reduction, not one for each limb.
//! 2. The factor L, the reduction's 1/B (B = 2^52 or 2^64, one limb) and Montgomery's 1/R (R = all limbs) in x^5 are never
//!    undone: the state is the true one times a known scale, the same for all elements; constants are stored times the scale.
//!    Input enters with scale 1, so nothing converts it.
//! 3. A partial round raises only the first element's scale to the fifth power. One multiplication by a constant
//!    ([`Plan::rescale`]) brings it back to the others' scale; it runs beside the squarings.
//! 4. In the first round the first element is a constant: the domain tag's. In the last round only the digest's row of M is
//!    needed.

use std::iter;

use blstrs::Scalar as Fr;
use ff::Field;
use generic_array::typenum::{U2, U4, U8, U11};
use neptune::Arity as NeptuneArity;
use neptune::poseidon::PoseidonConstants;

use super::Arity;

/// The limbs in which a kernel keeps field elements: B = 2^bits, R = B^count.
#[derive(Clone, Copy)]
pub struct Limbs {
    pub bits: u64,
    pub count: u64,
}

/// What one permutation adds and multiplies, as field elements and integers.
pub struct Plan {
    /// Added to the elements of the preimage before the first round.
    pub first_keys: Vec<Fr>,
    /// What the rounds do to the state before each multiplication by the matrix. In the first round element 0 is nothing but its
    /// key, in the last round the keys are zero.
    pub rounds: Vec<Round>,
    /// L / (k + t): row i of the matrix is `matrix[i..i + t]`.
    pub matrix: Vec<u64>,
    /// The multiplier that makes the digest of the last product divided by B.
    pub unscale: Fr,
}

/// An S-box layer and the constants added after it.
pub enum Round {
    /// Every element to the fifth power, plus its key.
    Full(Vec<Fr>),
    /// Element 0 times its fourth power times `rescale`, plus `key`.
    Partial { rescale: Fr, key: Fr },
}

/// How many multiplications of limbs a kernel does for each kind of step.
pub struct Cost {
    pub square: u64,
    pub product: u64,
    /// A multiplication by a constant.
    pub scaling: u64,
    /// An entry of the matrix times an element.
    pub entry: u64,
    /// The step of reduction at the end of a row.
    pub division: u64,
}

impl Plan {
    /// Multiplications of limbs in one hash.
    pub fn multiplications(&self, cost: &Cost) -> u64 {
        let width = self.first_keys.len() as u64 + 1;
        let partial = self.rounds.iter().filter(|round| matches!(round, Round::Partial { .. })).count() as u64;
        let rounds = self.rounds.len() as u64;
        // The first round's element 0 is a constant.
        let s_boxes = partial + (rounds - partial) * width - 1;
        let rows = (rounds - 1) * width + 1;
        s_boxes * (2 * cost.square + cost.product)
            + (partial + 1) * cost.scaling
            + rows * (width * cost.entry + cost.division)
    }

    pub fn new(arity: Arity, limbs: Limbs) -> Plan {
        match arity {
            Arity::Two => Plan::of(PoseidonConstants::<Fr, U2>::new(), limbs),
            Arity::Four => Plan::of(PoseidonConstants::<Fr, U4>::new(), limbs),
            Arity::Eight => Plan::of(PoseidonConstants::<Fr, U8>::new(), limbs),
            Arity::Eleven => Plan::of(PoseidonConstants::<Fr, U11>::new(), limbs),
        }
    }

    fn of<A: NeptuneArity<Fr>>(neptune: PoseidonConstants<Fr, A>, limbs: Limbs) -> Plan {
        let width = neptune.width();
        let (multiple, matrix) = integer_matrix(&neptune.mds_matrices.m);
        let (first_keys, keys) = neptune.compressed_round_constants.split_at(width);
        // There are none after the last round.
        let mut keys = keys.iter().copied().chain(iter::repeat(Fr::ZERO));

        let limb = Fr::from(2).pow_vartime([limbs.bits]);
        let montgomery_4 = limb.pow_vartime([4 * limbs.count]);
        let inverse = |x: Fr| x.invert().expect("scales are products of nonzero numbers");
        let per_matrix = multiple * inverse(limb);

        let mut scale = Fr::ONE;
        let mut rounds = Vec::new();
        let partial = neptune.half_full_rounds..neptune.half_full_rounds + neptune.partial_rounds;
        for round in 0..neptune.full_rounds + neptune.partial_rounds {
            let rescale = montgomery_4 * inverse(scale.square().square());
            if partial.contains(&round) {
                let key = keys.by_ref().map(|key| key * scale).next().expect("the zeros never end");
                rounds.push(Round::Partial { rescale, key });
            } else {
                scale *= inverse(rescale);
                rounds.push(Round::Full(keys.by_ref().take(width).map(|key| key * scale).collect()));
            }
            scale *= per_matrix;
        }
        // After the first S-boxes the scale is 1 / R^4.
        if let Some(Round::Full(keys)) = rounds.first_mut() {
            keys[0] += (neptune.domain_tag + first_keys[0]).pow_vartime([5]) * inverse(montgomery_4);
        }
        Plan { first_keys: first_keys[1..].to_vec(), rounds, matrix, unscale: inverse(scale) }
    }
}

/// L and the integers L / (k + t), for the t x t matrix of entries 1 / (i + j + t).
fn integer_matrix(matrix: &[Vec<Fr>]) -> (Fr, Vec<u64>) {
    let width = matrix.len() as u64;
    let denominators = width..=3 * width - 2;
    let multiple = denominators.clone().fold(1, lcm);
    let integers: Vec<u64> = denominators.map(|denominator| multiple / denominator).collect();
    for (i, row) in matrix.iter().enumerate() {
        for (entry, integer) in row.iter().zip(&integers[i..]) {
            assert_eq!(*entry * Fr::from(multiple), Fr::from(*integer), "neptune's matrix is 1 / (i + j + t)");
        }
    }
    (Fr::from(multiple), integers)
}

fn lcm(a: u64, b: u64) -> u64 {
    a / gcd(a, b) * b
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
