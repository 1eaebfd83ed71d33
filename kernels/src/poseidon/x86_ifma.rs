//! Poseidon on AVX-512 IFMA, a preimage per lane.
//!
//! The matrix is symmetric and constant along its counter-diagonals. Cut into b x b blocks H(k) of m x m, k = row + column,
//!
//! ```text
//! out(a) = sum over c != a of H(a + c) (x(a) + x(c))  +  (sum over c != a of H(a + c)  -  H(2 a)) (-x(a))
//! ```
//!
//! where the product with x(a) + x(c) serves rows a and c: b (b + 1) / 2 block products instead of b^2. The integers in the
//! second bracket are positive from b = 3 on.
//!
//! Only the outermost function carries `target_feature`; the helpers are inlined into it.

use blstrs::Scalar;

use super::plan::{self, Limbs, Plan};
use super::{Arity, NotInField, Preimages};
use crate::fr;
use crate::fr::x86_ifma::{BITS, Element, Ifma, LIMBS, Multiplier, Number, SUBTRACTABLE, Sum, WIDTH, number};

/// Constants of one arity.
pub struct Constants {
    first_keys: Vec<Number>,
    rounds: Vec<Round>,
    matrix: Vec<u64>,
    /// The integers of the second bracket, for each a.
    own: Vec<Vec<u64>>,
    unscale: Multiplier,
}

/// [`plan::Round`] in limbs.
enum Round {
    Full(Vec<Number>),
    Partial { rescale: Multiplier, key: Number },
}

impl Constants {
    pub fn new(arity: Arity) -> Constants {
        let own_ = block(arity.elements() + 1) > 0;
        let plan = Plan::new(arity, Limbs { bits: BITS.into(), count: LIMBS as u64, negated: own_ });
        let round = |round: &plan::Round| match round {
            plan::Round::Full(keys) => Round::Full(keys.iter().map(number).collect()),
            plan::Round::Partial { rescale, key } => {
                Round::Partial { rescale: Multiplier::new(*rescale), key: number(key) }
            }
        };
        Constants {
            first_keys: plan.first_keys.iter().map(number).collect(),
            rounds: plan.rounds.iter().map(round).collect(),
            own: if own_ { own(&plan.matrix, arity) } else { vec![] },
            matrix: plan.matrix,
            unscale: Multiplier::new(plan.unscale * if own_ { - Scalar::from(1 << BITS) } else { Scalar::from(1 << BITS) }),
        }
    }
}

/// The side of a block: a third of the matrix's if that is whole.
fn block(t: usize) -> usize {
    if t % 3 == 0 { t / 3 } else { 0 }
}

fn own(matrix: &[u64], arity: Arity) -> Vec<Vec<u64>> {
    let m = block(arity.elements() + 1);
    let blocks = (arity.elements() + 1) / m;
    let others = |a: usize, k: usize| (0..blocks).filter(|c| *c != a).map(|c| matrix[(a + c) * m + k]).sum::<u64>();
    (0..blocks).map(|a| (0..2 * m - 1).map(|k| others(a, k) - matrix[2 * a * m + k]).collect()).collect()
}

/// See [`super::hash_rows`].
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn hash<const T: usize, const M: usize>(
    constants: &Constants,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    // SAFETY: this function's features.
    let ifma = unsafe { Ifma::new() };
    for (batch, digests) in digests.chunks_mut(WIDTH).enumerate() {
        let (first, count) = (batch * WIDTH, digests.len());
        let mut state = [Element::zero(ifma); T];
        for (i, key) in constants.first_keys.iter().enumerate() {
            let column = &preimages.columns[i][first * preimages.stride..];
            let Some(element) = Element::load(ifma, column, preimages.stride, count) else {
                return Err(preimages.find_foreign(first..first + count));
            };
            state[i + 1] = element.plus_number(key);
        }
        permute::<T, M>(ifma, constants, &mut state).store(digests);
    }
    Ok(())
}

/// The permutation of [`super::plan`]; the digest is element 1 at its end.
#[inline(always)]
fn permute<const T: usize, const M: usize>(ifma: Ifma, constants: &Constants, state: &mut [Element; T]) -> Element {
    let (mut state, mut next) = (state, &mut [Element::zero(ifma); T]);
    let mut pairs = [[Element::zero(ifma); M]; 3];
    for round in &constants.rounds[..constants.rounds.len() - 1] {
        match round {
            Round::Partial { rescale, key } => {
                let scaled = state[0].times_constant(rescale);
                state[0] = state[0].squared().squared().times_plus(&scaled, key);
            }
            Round::Full(keys) => {
                for (x, key) in state.iter_mut().zip(keys) {
                    *x = x.squared().squared().times_plus(x, key);
                }
            }
        }
        mix::<T, M>(ifma, constants, state, &mut pairs, next);
        std::mem::swap(&mut state, &mut next);
    }
    if let Some(Round::Full(keys)) = constants.rounds.last() {
        for (x, key) in state.iter_mut().zip(keys) {
            *x = x.squared().squared().times_plus(x, key);
        }
    }
    row(ifma, state, &constants.matrix[1..]).times_constant(&constants.unscale).divided_canonical()
}

#[inline(always)]
fn mix<const T: usize, const M: usize>(
    ifma: Ifma,
    constants: &Constants,
    x: &[Element; T],
    pairs: &mut [[Element; M]; 3],
    out: &mut [Element; T],
) {
    if M == 0 {
        for (i, out) in out.iter_mut().enumerate() {
            *out = row(ifma, x, &constants.matrix[i..]);
        }
        return;
    }
    for k in 0..3 {
        let (a, c) = ((k + 1) % 3, (k + 2) % 3);
        for j in 0..M {
            pairs[k][j] = x[a * M + j].plus(&x[c * M + j]);
        }
    }
    for i in 0..M {
        let shared = [
            products(ifma, &pairs[0], &constants.matrix[3 * M + i..]),
            products(ifma, &pairs[1], &constants.matrix[2 * M + i..]),
            products(ifma, &pairs[2], &constants.matrix[M + i..]),
        ];
        for a in 0..3 {
            let mut sum = Sum::new(ifma, &SUBTRACTABLE);
            for k in 0..3 {
                if a != k {
                    sum.subtract(&shared[k]);
                }
            }
            for j in 0..M {
                sum.add_product(constants.own[a][i + j], &x[a * M + j]);
            }
            out[a * M + i] = sum.divided();
        }
    }
}

#[inline(always)]
fn products<const M: usize>(ifma: Ifma, x: &[Element; M], matrix: &[u64]) -> Sum {
    let mut sum = Sum::zero(ifma);
    for (element, entry) in x.iter().zip(matrix) {
        sum.add_product(*entry, element);
    }
    sum
}

/// `(key + sum of matrix[j] * state[j]) / B`.
#[inline(always)]
fn row<const T: usize>(ifma: Ifma, state: &[Element; T], matrix: &[u64]) -> Element {
    let mut sum = Sum::zero(ifma);
    for (element, entry) in state.iter().zip(matrix) {
        sum.add_product(*entry, element);
    }
    sum.divided()
}

// TEMPORARY
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn micro<const T: usize, const M: usize>(n: usize, arity: Arity) -> u64 {
    let ifma = unsafe { Ifma::new() };
    let constants = &Constants::new(arity);
    let mut state = [Element::zero(ifma); T];
    let mut next = state;
    let mut pairs = [[Element::zero(ifma); M]; 3];
    let t = std::time::Instant::now();
    let (mut a, mut b) = (&mut state, &mut next);
    for _ in 0..n {
        mix::<T, M>(ifma, constants, a, &mut pairs, b);
        std::mem::swap(&mut a, &mut b);
    }
    let t = t.elapsed().as_nanos() as u64;
    let mut out = [[0; 32]; 16];
    a[1].store(&mut out);
    std::hint::black_box(out);
    t
}
