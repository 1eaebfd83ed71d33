//! Poseidon in plain Rust: 4 limbs of 64 bits, B = 2^64, R = B^4, p = 0.4529 R.
//!
//! How far lazy reduction goes, tried with the largest numbers in the tests below:
//! - A row of the matrix product is below p + 2^239; so is what enters an S-box.
//! - Its square is below 1.454 p, its fourth power below 1.957 p, its fifth power below 1.98 p: all below R = 2.208 p.
//! - The constant after the S-box is added to at most 1.1041 p = 2^255, and the sum, below R, goes to the matrix product.
//!
//! Vectors of 256 bits would not be faster: they multiply 32-bit numbers, so an element is 10 limbs, a product 100
//! multiplications for 4 lanes and as many additions. That is 25 a lane, at two a cycle, where 16 of 64 bits do.

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
        *digest = fr::bytes(&permute(constants, &mut state));
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
fn permute<const T: usize>(constants: &Constants, state: &mut [Element; T]) -> Element {
    let (mut state, mut mixed) = (state, &mut [[0; 4]; T]);
    let (last, rounds) = constants.rounds.split_last().expect("a permutation has rounds");
    for round in rounds {
        s_boxes(round, state);
        for (i, element) in mixed.iter_mut().enumerate() {
            *element = row(state, &constants.matrix[i..]);
        }
        std::mem::swap(&mut state, &mut mixed);
    }
    s_boxes(last, state);
    fr::subtract_modulus_once(&multiply(&row(state, &constants.matrix[1..]), &constants.unscale))
}

fn s_boxes<const T: usize>(round: &Round, state: &mut [Element; T]) {
    match round {
        Round::Full(keys) => {
            for (x, key) in state.iter_mut().zip(keys) {
                let fifth = multiply(x, &square(&square(x)));
                *x = sum(&below_2_255(fifth), key);
            }
        }
        Round::Partial { rescale, key } => {
            let rescaled = below_2_255(multiply(&state[0], rescale));
            let fifth = multiply(&rescaled, &square(&square(&state[0])));
            state[0] = sum(&below_2_255(fifth), key);
        }
    }
}

/// `sum of matrix[j] * state[j] / B`, below p + 2^239. Limb by limb: two registers take a column.
#[inline(always)]
fn row<const T: usize>(state: &[Element; T], matrix: &[u64]) -> Element {
    let matrix: &[u64; T] = matrix[..T].try_into().expect("a row is as long as the state");
    let mut column = 0;
    let words: [u64; 4] = std::array::from_fn(|limb| {
        for (element, entry) in state.iter().zip(matrix) {
            column += u128::from(*entry) * u128::from(element[limb]);
        }
        let word = column as u64;
        column >>= 64;
        word
    });
    let [a, b, c, d] = words;
    divide([a, b, c, d, column as u64])
}

/// `a b / R + p` at most, for `a` below 1.2 p: what is summed stays below `a + p`.
#[inline(always)]
fn multiply(a: &Element, b: &Element) -> Element {
    let mut sum = [0; 4];
    for word in b {
        sum = divide(add_product(sum, a, *word));
    }
    sum
}

/// `a a / R + p` at most: the product of two different words is computed once and doubled.
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
    sum(&lower, &upper)
}

/// `a + b`, known to be below R.
#[inline(always)]
fn sum(a: &Element, b: &Element) -> Element {
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

/// `a`, less p if it is 2^255 = 1.1041 p or more. A branch, as one product in ten is.
#[inline(always)]
fn below_2_255(a: Element) -> Element {
    #[cold]
    #[inline(never)]
    fn minus_p(a: &Element) -> Element {
        fr::subtract_modulus_once(a)
    }
    if a[3] >> 63 == 0 { a } else { minus_p(&a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(number: &Element) -> Scalar {
        number
            .iter()
            .rev()
            .fold(Scalar::ZERO, |sum, word| sum * Scalar::from(2).pow_vartime([64]) + Scalar::from(*word))
    }

    /// The greatest number with that top word, and the edges of the field below it.
    fn largest(top: u64) -> Vec<Element> {
        let [a, b, c, d] = MODULUS;
        vec![[u64::MAX, u64::MAX, u64::MAX, top], [a - 1, b, c, d], MODULUS, [a + 1, b, c, d], [1, 0, 0, 0], [0; 4]]
    }

    /// The top words of 1.1041 p, 1.454 p, 1.957 p and 1.98 p.
    const P_1_104: u64 = (1 << 63) - 1;
    const P_1_454: u64 = (MODULUS[3] as u128 * 1454 / 1000) as u64;
    const P_1_957: u64 = (MODULUS[3] as u128 * 1957 / 1000) as u64;
    const P_1_98: u64 = (MODULUS[3] as u128 * 198 / 100) as u64;

    fn inverse_r() -> Scalar {
        Scalar::from(2).pow_vartime([256]).invert().unwrap()
    }

    #[test]
    fn products_of_the_largest_numbers_are_exact_and_bounded() {
        for a in largest(P_1_104) {
            for b in largest(P_1_957) {
                let product = multiply(&a, &b);
                assert_eq!(scalar(&product), scalar(&a) * scalar(&b) * inverse_r(), "{a:x?} * {b:x?}");
                assert!(product[3] <= P_1_98, "{a:x?} * {b:x?} = {product:x?}");
            }
        }
        for a in largest(P_1_454) {
            let square = square(&a);
            assert_eq!(scalar(&square), scalar(&a).square() * inverse_r(), "{a:x?}");
            assert!(square[3] <= P_1_957, "{a:x?}^2 = {square:x?}");
        }
    }

    #[test]
    fn rows_of_the_largest_numbers_are_exact_and_bounded() {
        for x in largest(u64::MAX) {
            // The largest entries are those of arity 11: below 2^44.
            for entry in [0, 1, (1 << 44) - 1] {
                let sum = row(&[x; 12], &[entry; 12]);
                let inverse_b = Scalar::from(2).pow_vartime([64]).invert().unwrap();
                assert_eq!(scalar(&sum), scalar(&x) * Scalar::from(12 * entry) * inverse_b, "{x:x?} * {entry}");
                assert!(sum[3] < MODULUS[3] + (1 << 47), "{x:x?} * {entry} = {sum:x?}");
            }
        }
    }

    #[test]
    fn what_is_below_2_255_stays_as_it_is() {
        for x in largest(P_1_98) {
            let less = below_2_255(x);
            assert_eq!(scalar(&less), scalar(&x));
            assert!(less[3] <= P_1_104 && (less == x || x[3] > P_1_104));
        }
    }
}
