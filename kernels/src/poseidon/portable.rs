//! Poseidon in plain Rust: 4 limbs of 64 bits, B = 2^64, R = B^4.
//!
//! A row of the matrix product is summed in one 128-bit number per limb: the matrix's integers have at most 44 bits and the
//! sum 12 terms, so no carry leaves a column before the row is complete.
//!
//! Invariant: an [`Element`] is below 2^255 = 1.1041 p.

use std::ops::Range;

use ff::{Field, PrimeField};

use super::plan::{Limbs, Plan};
use super::{Arity, NotInField, Preimages};
use crate::fr::{self, MODULUS};

type Element = [u64; 4];

/// R mod p times a constant: what a Montgomery multiplication by the constant takes.
struct Multiplier(Element);

/// Constants of one arity.
pub struct Constants {
    partial_rounds: Range<usize>,
    first_keys: Vec<Element>,
    keys: Vec<Vec<Element>>,
    matrix: Vec<u64>,
    rescale: Vec<Multiplier>,
    unscale: Multiplier,
}

impl Constants {
    pub fn new(arity: Arity) -> Constants {
        let plan = Plan::new(arity, Limbs { bits: 64, count: 4 });
        let words = |constant: &blstrs::Scalar| fr::words(&constant.to_repr());
        let r = blstrs::Scalar::from(2).pow_vartime([256]);
        Constants {
            partial_rounds: plan.partial_rounds,
            first_keys: plan.first_keys.iter().map(words).collect(),
            keys: plan.keys.iter().map(|round| round.iter().map(words).collect()).collect(),
            matrix: plan.matrix,
            rescale: plan.rescale.iter().map(|constant| Multiplier(words(&(constant * r)))).collect(),
            unscale: Multiplier(words(&(plan.unscale * r))),
        }
    }
}

/// See [`super::hash_rows`].
pub fn hash<const WIDTH: usize>(
    constants: &Constants,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    for (preimage, digest) in digests.iter_mut().enumerate() {
        let mut state = [[0; 4]; WIDTH];
        for (element, key) in constants.first_keys.iter().enumerate() {
            let words = preimages.words(preimage, element);
            if !fr::is_canonical(&words) {
                return Err(NotInField { preimage, element });
            }
            state[element + 1] = fr::sum(&words, key);
        }
        *digest = fr::bytes(&permute(constants, &mut state));
    }
    Ok(())
}

/// The permutation of [`super::plan`]; the digest is element 1 at its end.
fn permute<const WIDTH: usize>(constants: &Constants, state: &mut [Element; WIDTH]) -> Element {
    let mut rescale = constants.rescale.iter();
    for (round, keys) in constants.keys.iter().enumerate() {
        if constants.partial_rounds.contains(&round) {
            let Multiplier(multiplier) = rescale.next().expect("one multiplier for each partial round");
            state[0] = multiply(&fourth_power(&state[0]), &multiply(&state[0], multiplier));
        } else {
            // In the first round element 0 is nothing; its share is in the keys.
            state.iter_mut().for_each(fifth_power);
        }
        *state = std::array::from_fn(|i| row(state, &constants.matrix[i..], &keys[i]));
    }
    state.iter_mut().for_each(fifth_power);
    let digest = row(state, &constants.matrix[1..], &[0; 4]);
    fr::subtract_modulus_once(&multiply(&digest, &constants.unscale.0))
}

/// `(keys + sum of matrix[j] * state[j]) / B`, below p + 2^238.
#[inline(always)]
fn row<const WIDTH: usize>(state: &[Element; WIDTH], matrix: &[u64], keys: &Element) -> Element {
    let mut columns = keys.map(u128::from);
    for (element, entry) in state.iter().zip(matrix) {
        for (column, limb) in columns.iter_mut().zip(element) {
            *column += u128::from(*entry) * u128::from(*limb);
        }
    }
    let mut sum = [0; 5];
    let mut carry = 0;
    for (word, column) in sum.iter_mut().zip(columns) {
        let column = column + carry;
        (*word, carry) = (column as u64, column >> 64);
    }
    sum[4] = carry as u64;
    divide(sum)
}

fn fifth_power(x: &mut Element) {
    *x = multiply(&fourth_power(x), x);
}

#[inline(always)]
fn fourth_power(x: &Element) -> Element {
    square(&square(x))
}

/// `a b / R`: below (1.1041^2 p / R + 1) p < 1.56 p before the last step.
#[inline(always)]
fn multiply(a: &Element, b: &Element) -> Element {
    let mut sum = [0; 4];
    for word in b {
        sum = divide(add_product(sum, a, *word));
    }
    below_2_255(sum)
}

/// `a a / R`, with the same bounds.
#[inline(always)]
fn square(a: &Element) -> Element {
    multiply(a, a)
}

/// `sum + a * word`: below 2^320 for numbers of four words.
#[inline(always)]
fn add_product(sum: [u64; 4], a: &Element, word: u64) -> [u64; 5] {
    let mut carry = 0;
    let low: [u64; 4] = std::array::from_fn(|i| {
        let limb;
        (limb, carry) = a[i].carrying_mul_add(word, sum[i], carry);
        limb
    });
    [low[0], low[1], low[2], low[3], carry]
}

/// `(sum + q p) / B` with the q that makes it exact: below sum / B + p, which the caller keeps below R.
#[inline(always)]
fn divide(sum: [u64; 5]) -> Element {
    // -1/p mod B = -(1 + 2^32), as p mod B = 1 - 2^32.
    let q = (sum[0] << 32).wrapping_add(sum[0]).wrapping_neg();
    let [zero, a, b, c, high] = add_product([sum[0], sum[1], sum[2], sum[3]], &MODULUS, q);
    debug_assert_eq!(zero, 0);
    [a, b, c, high + sum[4]]
}

/// `a`, less p if `a` is 2^255 or more.
#[inline(always)]
fn below_2_255(a: Element) -> Element {
    let take = ((a[3] as i64) >> 63) as u64;
    let mut borrow = false;
    std::array::from_fn(|i| {
        let word;
        (word, borrow) = a[i].borrowing_sub(MODULUS[i] & take, borrow);
        word
    })
}
