//! Poseidon on AVX-512 IFMA, a preimage per lane.
//!
//! The matrix is constant along its counter-diagonals, so that products with sums of elements could serve two rows at a time
//! (in 3 x 3 blocks, a third fewer multiplications). Tried and not faster: the sums have to be stored, and a store of 512 bits
//! takes two cycles and more, in which a core does four multiplications. The rows as they are need none but the results'.
//!
//! Only the outermost function carries `target_feature`; the helpers are inlined into it.

use blstrs::Scalar;

use super::plan::{self, Cost, Limbs, Plan};
use super::{Arity, NotInField, Preimages};
use crate::fr;
use crate::fr::x86_ifma::{BITS, Element, Ifma, LIMBS, Multiplier, Number, Sum, WIDTH, number};

/// Constants of one arity.
pub struct Constants {
    first_keys: Vec<Number>,
    rounds: Vec<Round>,
    matrix: Vec<u64>,
    unscale: Multiplier,
    pub multiplications: u64,
}

/// Of 52-bit limbs, low and high half: reduction replaces four limbs by five each and divides by B.
const COST: Cost = Cost { square: 30 + 40 + 9, product: 50 + 40 + 9, scaling: 50 + 9, entry: 10, division: 9 };

/// [`plan::Round`] in limbs.
#[expect(clippy::large_enum_variant, reason = "most rounds are partial ones, read in order")]
enum Round {
    Full(Vec<Number>),
    Partial { rescale: Multiplier, key: Number },
}

impl Constants {
    pub fn new(arity: Arity) -> Constants {
        let plan = Plan::new(arity, Limbs { bits: BITS.into(), count: LIMBS as u64 });
        let round = |round: &plan::Round| match round {
            plan::Round::Full(keys) => Round::Full(keys.iter().map(number).collect()),
            plan::Round::Partial { rescale, key } => {
                Round::Partial { rescale: Multiplier::new(*rescale), key: number(key) }
            }
        };
        Constants {
            multiplications: plan.multiplications(&COST),
            first_keys: plan.first_keys.iter().map(number).collect(),
            rounds: plan.rounds.iter().map(round).collect(),
            matrix: plan.matrix,
            unscale: Multiplier::new(plan.unscale * Scalar::from(1 << BITS)),
        }
    }
}

/// See [`super::hash_rows`].
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn hash<const T: usize>(
    constants: &Constants,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    // SAFETY: this function's features.
    let ifma = unsafe { Ifma::new() };
    let mut state = [Element::zero(ifma); T];
    let mut mixed = state;
    for (batch, digests) in digests.chunks_mut(WIDTH).enumerate() {
        let (first, count) = (batch * WIDTH, digests.len());
        // Element 0 is nothing until the first round's key.
        state[0] = Element::zero(ifma);
        for (i, key) in constants.first_keys.iter().enumerate() {
            let column = &preimages.columns[i][first * preimages.stride..];
            let Some(element) = Element::load(ifma, column, preimages.stride, count) else {
                return Err(preimages.find_foreign(first..first + count));
            };
            state[i + 1] = element.plus(key);
        }
        permute(ifma, constants, &mut state, &mut mixed).store(digests);
    }
    Ok(())
}

/// The permutation of [`plan`]; the digest is element 1 at its end. `other` is a second state to work in: a state copied, or
/// initialised, is a hundred vector stores, and a core does less than one in two cycles.
#[inline(always)]
fn permute<'a, const T: usize>(
    ifma: Ifma,
    constants: &Constants,
    mut state: &'a mut [Element; T],
    mut other: &'a mut [Element; T],
) -> Element {
    let (last, rounds) = constants.rounds.split_last().expect("a permutation has rounds");
    for round in rounds {
        s_boxes(round, state);
        for (i, mixed) in other.iter_mut().enumerate() {
            *mixed = row(ifma, state, &constants.matrix[i..]);
        }
        std::mem::swap(&mut state, &mut other);
    }
    s_boxes(last, state);
    row(ifma, state, &constants.matrix[1..]).times_constant(&constants.unscale).divided_canonical()
}

#[inline(always)]
fn s_boxes<const T: usize>(round: &Round, state: &mut [Element; T]) {
    match round {
        Round::Full(keys) => {
            for (x, key) in state.iter_mut().zip(keys) {
                *x = x.squared().squared().times_plus(x, key);
            }
        }
        Round::Partial { rescale, key } => {
            let rescaled = state[0].times_constant(rescale);
            state[0] = state[0].squared().squared().times_plus(&rescaled, key);
        }
    }
}

/// `sum of matrix[j] * state[j] / B`.
#[inline(always)]
fn row<const T: usize>(ifma: Ifma, state: &[Element; T], matrix: &[u64]) -> Element {
    let mut sum = Sum::zero(ifma);
    for (element, entry) in state.iter().zip(matrix) {
        sum.add_product(*entry, element);
    }
    sum.divided()
}
