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
use crate::fr::x86_ifma::{BITS, Element, Ifma, LIMBS, Multiplier, Number, LANES, SUBTRACTABLE, Sum, number};

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
        let own_ = block(arity.elements() + 1) > 1;
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
            unscale: Multiplier::new(plan.unscale * Scalar::from(1 << BITS)),
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
    let mut states = [[Element::zero(ifma); T]; 2];
    for (batch, digests) in digests.chunks_mut(2 * LANES).enumerate() {
        let first = batch * 2 * LANES;
        let count = digests.len();
        for (g, state) in states.iter_mut().enumerate() {
            let first = (first + g * LANES).min(first + count);
            let count = count.saturating_sub(g * LANES).min(LANES);
            for (i, key) in constants.first_keys.iter().enumerate() {
                let column = &preimages.columns[i][first * preimages.stride..];
                let Some(element) = Element::load(ifma, column, preimages.stride, count) else {
                    return Err(preimages.find_foreign(first..first + count));
                };
                state[i + 1] = element.plus_number(key);
            }
        }
        let hashed = permute::<T, M>(ifma, constants, &mut states);
        for (digests, digest) in digests.chunks_mut(LANES).zip(hashed) {
            digest.store(digests);
        }
    }
    Ok(())
}

/// The permutation of [`super::plan`]; the digest is element 1 at its end.
#[inline(always)]
fn permute<const T: usize, const M: usize>(ifma: Ifma, constants: &Constants, states: &mut [[Element<1>; T]; 2]) -> [Element<1>; 2] {
    let mut pairs = [[Element::zero(ifma); M]; 3];
    let (mut states, mut next) = (states, &mut [[Element::zero(ifma); T]; 2]);
    states[0][0] = Element::zero(ifma);
    states[1][0] = Element::zero(ifma);
    for round in &constants.rounds {
        match round {
            Round::Partial { rescale, key } => {
                let x = Element::join(&states[0][0], &states[1][0]);
                let scaled = x.times_constant(rescale);
                [states[0][0], states[1][0]] = x.squared().squared().times_plus(&scaled, key).split();
            }
            Round::Full(keys) => {
                for (i, key) in keys.iter().enumerate() {
                    let x = Element::join(&states[0][i], &states[1][i]);
                    [states[0][i], states[1][i]] = x.squared().squared().times_plus(&x, key).split();
                }
            }
        }
        for (state, next) in states.iter().zip(next.iter_mut()) {
            mix::<T, M>(ifma, constants, state, &mut pairs, next);
        }
        std::mem::swap(&mut states, &mut next);
    }
    Element::join(&states[0][1], &states[1][1]).times_constant(&constants.unscale).divided_canonical().split()
}

#[inline(always)]
fn mix<const T: usize, const M: usize>(
    ifma: Ifma,
    constants: &Constants,
    x: &[Element<1>; T],
    pairs: &mut [[Element<1>; M]; 3],
    out: &mut [Element<1>; T],
) {
    if M == T {
        let mut sums = [Sum::zero(ifma); T];
        add_products(&mut sums, x, &constants.matrix);
        for i in 0..T {
            out[i] = sums[i].divided();
        }
        return;
    }
    for k in 0..3 {
        let (a, c) = ((k + 1) % 3, (k + 2) % 3);
        for j in 0..opaque(M) {
            pairs[k][j] = x[a * M + j].plus(&x[c * M + j]);
        }
    }
    for i in 0..opaque(M) {
        let mut shared = [Sum::zero(ifma); 3];
        for j in 0..opaque(M) {
            for k in 0..3 {
                shared[k].add_product(constants.matrix[(3 - k) * M + i + j], &pairs[k][j]);
            }
        }
        let mut sums = [Sum::new(ifma, &SUBTRACTABLE); 3];
        for a in 0..3 {
            sums[a].subtract(&shared[(a + 1) % 3]);
            sums[a].subtract(&shared[(a + 2) % 3]);
        }
        for j in 0..opaque(M) {
            for a in 0..3 {
                sums[a].add_product(constants.own[a][i + j], &x[a * M + j]);
            }
        }
        for a in 0..3 {
            out[a * M + i] = sums[a].divided();
        }
    }
}

#[inline(always)]
fn opaque(n: usize) -> usize {
    let mut n = n;
    unsafe { core::arch::asm!("/* {0} */", inout(reg) n, options(pure, nomem, nostack, preserves_flags)) };
    n
}

#[inline(always)]
fn add_products<const M: usize>(sums: &mut [Sum<1>; M], x: &[Element<1>; M], matrix: &[u64]) {
    let matrix = &matrix[..2 * M - 1];
    for j in 0..M {
        for i in 0..M {
            sums[i].add_product(matrix[i + j], &x[j]);
        }
    }
}

// TEMPORARY
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn micro<const T: usize, const M: usize>(n: usize, arity: Arity) -> u64 {
    let ifma = unsafe { Ifma::new() };
    let constants = &Constants::new(arity);
    let mut s = [Element::zero(ifma); T];
    let mut pairs = [[Element::zero(ifma); M]; 3];
    let mut o = s;
    let (mut s, mut o) = (&mut s, &mut o);

    let t = std::time::Instant::now();
    for _ in 0..n {
        mix::<T, M>(ifma, constants, s, &mut pairs, o); std::mem::swap(&mut s, &mut o);
    }
    let t = t.elapsed().as_nanos() as u64;
    let mut out = [[0; 32]; 8];
    s[1].store(&mut out);
    std::hint::black_box(out);
    t
}
