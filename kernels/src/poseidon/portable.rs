//! Poseidon in plain Rust: 4 limbs of 64 bits, B = 2^64, R = B^4.
//!
//! A row of the matrix product is summed in one 128-bit number per limb: the matrix's integers have at most 44 bits and the
//! sum 12 terms, so no carry leaves a column before the row is complete.
//!
//! Invariant: an [`Element`] is below 2^255 = 1.1041 p.

use std::hint::black_box;

use blstrs::Scalar;
use ff::{Field, PrimeField};

use super::plan::{self, Cost, Limbs, Plan};
use super::{Arity, NotInField, Preimages};
use crate::fr::{self, MODULUS};

type Element = [u64; 4];

/// Constants of one arity. A multiplier is stored times R, to be multiplied by [`multiply`].
pub struct Constants {
    first_keys: Vec<Element>,
    rounds: Vec<Round>,
    matrix: Vec<u64>,
    unscale: Element,
    pub multiplications: u64,
}

/// Of 64-bit words; reduction takes four times four.
const COST: Cost = Cost { square: 10 + 16, product: 16 + 16, scaling: 16 + 16, entry: 4, division: 4 };

/// [`plan::Round`] in words.
enum Round {
    Full(Vec<Element>),
    Partial { rescale: Element, key: Element },
}

impl Constants {
    pub fn new(arity: Arity) -> Constants {
        let plan = Plan::new(arity, Limbs { bits: 64, count: 4 });
        let words = |constant: &Scalar| fr::words(&constant.to_repr());
        let multiplier = |constant: &Scalar| words(&(constant * Scalar::from(2).pow_vartime([256])));
        let round = |round: &plan::Round| match round {
            plan::Round::Full(keys) => Round::Full(keys.iter().map(words).collect()),
            plan::Round::Partial { rescale, key } => Round::Partial { rescale: multiplier(rescale), key: words(key) },
        };
        Constants {
            multiplications: plan.multiplications(&COST),
            first_keys: plan.first_keys.iter().map(words).collect(),
            rounds: plan.rounds.iter().map(round).collect(),
            matrix: plan.matrix,
            unscale: multiplier(&plan.unscale),
        }
    }
}

/// See [`super::hash_rows`].
pub fn hash<const T: usize>(
    constants: &Constants,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    for (preimage, digest) in digests.iter_mut().enumerate() {
        // Element 0 is nothing until the first round's key.
        let mut state = [[0; 4]; T];
        for (element, key) in constants.first_keys.iter().enumerate() {
            let words = preimages.words(preimage, element);
            if !fr::is_canonical(&words) {
                return Err(NotInField { preimage, element });
            }
            state[element + 1] = fr::sum(&words, key);
        }
        *digest = fr::bytes(&permute(constants, state));
    }
    Ok(())
}

/// Multiplies `n` words or a few more, nothing else, in more chains than the instruction has cycles; returns how many.
pub fn multiply_words(n: u64) -> u64 {
    const CHAINS: usize = 8;
    let steps = n.div_ceil(CHAINS as u64);
    let factor = black_box(u64::MAX);
    let mut products = [factor; CHAINS];
    for _ in 0..steps {
        for product in &mut products {
            (_, *product) = factor.carrying_mul(*product, 0);
        }
    }
    black_box(products);
    steps * CHAINS as u64
}

/// The permutation of [`plan`]; the digest is element 1 at its end.
fn permute<const T: usize>(constants: &Constants, mut state: [Element; T]) -> Element {
    let (last, rounds) = constants.rounds.split_last().expect("a permutation has rounds");
    for round in rounds {
        s_boxes(round, &mut state);
        state = std::array::from_fn(|i| row(&state, &constants.matrix[i..]));
    }
    s_boxes(last, &mut state);
    fr::subtract_modulus_once(&multiply(&row(&state, &constants.matrix[1..]), &constants.unscale))
}

fn s_boxes<const T: usize>(round: &Round, state: &mut [Element; T]) {
    match round {
        Round::Full(keys) => {
            for (x, key) in state.iter_mut().zip(keys) {
                *x = plus(multiply(&square(&square(x)), x), key);
            }
        }
        Round::Partial { rescale, key } => {
            let rescaled = multiply(&state[0], rescale);
            state[0] = plus(multiply(&square(&square(&state[0])), &rescaled), key);
        }
    }
}

/// `sum of matrix[j] * state[j] / B`, below p + 2^238.
#[inline(always)]
fn row<const T: usize>(state: &[Element; T], matrix: &[u64]) -> Element {
    let mut columns = [0; 4];
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

/// `a b / R`: below (1.1041^2 p / R + 1) p < 1.56 p before the last step.
#[inline(always)]
fn multiply(a: &Element, b: &Element) -> Element {
    let mut sum = [0; 4];
    for word in b {
        sum = divide(add_product(sum, a, *word));
    }
    below_2_255(sum)
}

/// `a a / R`, with the same bounds: the product of two different words is computed once and doubled.
#[inline(always)]
fn square(&[a, b, c, d]: &Element) -> Element {
    let (ab, carry) = a.carrying_mul(b, 0);
    let (ac, carry) = a.carrying_mul(c, carry);
    let (ad, high) = a.carrying_mul(d, carry);
    let (bc, carry) = b.carrying_mul_add(c, ad, 0);
    let (bd, carry) = b.carrying_mul_add(d, high, carry);
    let (cd, high) = c.carrying_mul_add(d, carry, 0);
    let once = [0, ab, ac, bc, bd, cd, high, 0];
    let mut square = [0; 8];
    let mut carry = false;
    for (i, word) in [a, b, c, d].into_iter().enumerate() {
        let (low, high) = word.carrying_mul(word, 0);
        let doubled = |i: usize| once[i] << 1 | if i == 0 { 0 } else { once[i - 1] >> 63 };
        (square[2 * i], carry) = doubled(2 * i).carrying_add(low, carry);
        (square[2 * i + 1], carry) = doubled(2 * i + 1).carrying_add(high, carry);
    }
    let [e, f, g, h, upper @ ..] = square;
    let lower = (0..4).fold([e, f, g, h], |sum, _| divide([sum[0], sum[1], sum[2], sum[3], 0]));
    below_2_255(wide_sum(lower, upper))
}

/// `a + b`, known to be below R.
#[inline(always)]
fn wide_sum(a: Element, b: Element) -> Element {
    let mut carry = false;
    std::array::from_fn(|i| {
        let word;
        (word, carry) = a[i].carrying_add(b[i], carry);
        word
    })
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

/// `a + b` for `b` below p.
#[inline(always)]
fn plus(a: Element, b: &Element) -> Element {
    below_2_255(wide_sum(a, *b))
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
