//! Poseidon's constants, derived from neptune's, in the form the kernels use.
//!
//! The permutation is the textbook one: add round constants, x^5 on every element (full rounds) or the first (partial
//! rounds), multiply by the matrix M. neptune spends most of its time on M and on the sparse matrices it factors M into for
//! the partial rounds. Here M stays whole and becomes cheap instead:
//!
//! 1. M[i][j] = 1 / (i + j + t) with t = arity + 1. Times L = lcm(t, .., 3t - 2) every entry is an integer: below 2^8 for
//!    t = 3, 2^44 for t = 12. A product with a state element is one row of partial products, not a field multiplication, and
//!    the sum of a row needs one step of Montgomery reduction, not one for each limb.
//! 2. The factor L, the reduction's 1/B (B = 2^52 or 2^64, one limb) and Montgomery's 1/R (R = all limbs) in x^5 are never
//!    undone: the state is the true one times a known scale, the same for all elements; constants are stored times the scale.
//!    Input enters with scale 1, so nothing converts it.
//! 3. A partial round raises only the first element's scale to the fifth power. One multiplication by a constant
//!    ([`Plan::rescale`]) brings it back to the others' scale; it runs beside the squarings.
//! 4. In the first round the first element is a constant, the domain tag plus a round constant: its share of the matrix
//!    product is part of the second round's constants. In the last round only the digest's row of M is needed.

use std::ops::Range;

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
    /// Rounds in which only the first element goes through the S-box; every round before and after is a full one.
    pub partial_rounds: Range<usize>,
    /// Added to the elements of the preimage before the first round.
    pub first_keys: Vec<Fr>,
    /// For each round but the last, what to add to each row of the matrix product *before* its division by B.
    pub keys: Vec<Vec<Fr>>,
    /// L / (k + t): row i of the matrix is `matrix[i..i + t]`.
    pub matrix: Vec<u64>,
    /// For each partial round, the multiplier of the first element beside its fourth power.
    pub rescale: Vec<Fr>,
    /// The multiplier that makes the digest of the last product divided by B.
    pub unscale: Fr,
}

impl Plan {
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
        let rounds = neptune.full_rounds + neptune.partial_rounds;
        let partial_rounds = neptune.half_full_rounds..neptune.half_full_rounds + neptune.partial_rounds;
        let constants = neptune.round_constants.as_ref().expect("neptune keeps the constants it computes");
        let (multiple, matrix) = integer_matrix(&neptune.mds_matrices.m);

        let limb = Fr::from(2).pow_vartime([limbs.bits]);
        let montgomery_4 = limb.pow_vartime([4 * limbs.count]);
        let inverse = |x: Fr| x.invert().expect("scales are products of nonzero numbers");
        let per_matrix = multiple * inverse(limb);

        let tag = (neptune.domain_tag + constants[0]).pow_vartime([5]);
        let mut scale = Fr::ONE;
        let mut keys = Vec::new();
        let mut rescale = Vec::new();
        for round in 0..rounds {
            let fourth = scale.square().square();
            if partial_rounds.contains(&round) {
                rescale.push(montgomery_4 * inverse(fourth));
            } else {
                scale *= fourth * inverse(montgomery_4);
            }
            let tag_share = if round == 0 { scale * tag } else { Fr::ZERO };
            scale *= per_matrix;
            if let Some(next) = constants.chunks(width).nth(round + 1).filter(|_| round + 1 < rounds) {
                let row = next.iter().zip(&matrix);
                keys.push(row.map(|(key, entry)| *key * scale * limb + Fr::from(*entry) * tag_share).collect());
            }
        }
        Plan {
            partial_rounds,
            first_keys: constants[1..width].to_vec(),
            keys,
            matrix,
            rescale,
            unscale: inverse(scale),
        }
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
