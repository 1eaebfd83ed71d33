//! Poseidon on AVX-512 IFMA: 8 preimages in the 64-bit lanes of a vector, `GROUPS` such vectors side by side.
//!
//! `vpmadd52luq` and `vpmadd52huq` multiply the low 52 bits of each lane and add the low or the high 52 bits of the product
//! to a 64-bit sum. An element is 5 limbs of 52 bits, B = 2^52, R = B^5; a sum takes 2^12 terms before it overflows.
//!
//! Only the outermost function carries `target_feature`; the helpers are inlined into it.

use core::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epu64_mask, _mm512_cmpgt_epu64_mask,
    _mm512_cmplt_epu64_mask, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_i64gather_epi64,
    _mm512_mask_i64scatter_epi64, _mm512_mask_mov_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_setr_epi64,
    _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
};
use std::array::from_fn;
use std::ops::Range;

use blstrs::Scalar as Fr;
use ff::PrimeField;

use super::plan::{Limbs, Plan};
use super::{Arity, NotInField, Preimages};
use crate::fr::{self, MODULUS};

/// Lanes of a vector.
const LANES: usize = 8;
/// Vectors side by side.
const GROUPS: usize = 2;
/// Limbs of an element.
const LIMBS: usize = 5;
/// Bits of a limb.
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;

/// A number in limbs, to be broadcast to all lanes.
type Number = [u64; LIMBS];

/// p.
const P: Number = limbs(&MODULUS);
/// 1/B mod p.
const INVERSE_B: Number = limbs(&inverse_b());

/// Constants of one arity.
pub struct Constants {
    partial_rounds: Range<usize>,
    first_keys: Vec<Number>,
    keys: Vec<Vec<Number>>,
    matrix: Vec<u64>,
    rescale: Vec<Multiplier>,
    unscale: Multiplier,
}

/// A constant c as c B^(i+1) mod p for each limb i of the other factor.
struct Multiplier([Number; LIMBS]);

impl Constants {
    pub fn new(arity: Arity) -> Constants {
        let plan = Plan::new(arity, Limbs { bits: BITS.into(), count: LIMBS as u64 });
        Constants {
            partial_rounds: plan.partial_rounds,
            first_keys: plan.first_keys.iter().map(number).collect(),
            keys: plan.keys.iter().map(|round| round.iter().map(number).collect()).collect(),
            matrix: plan.matrix,
            rescale: plan.rescale.into_iter().map(Multiplier::new).collect(),
            unscale: Multiplier::new(plan.unscale * Fr::from(1 << BITS)),
        }
    }
}

impl Multiplier {
    fn new(constant: Fr) -> Multiplier {
        let mut shifted = constant;
        Multiplier(from_fn(|_| {
            shifted *= Fr::from(1 << BITS);
            number(&shifted)
        }))
    }
}

fn number(element: &Fr) -> Number {
    limbs(&fr::words(&element.to_repr()))
}

const fn limbs(words: &[u64; 4]) -> Number {
    let [a, b, c, d] = *words;
    [a & MASK, (a >> 52 | b << 12) & MASK, (b >> 40 | c << 24) & MASK, (c >> 28 | d << 36) & MASK, d >> 16]
}

/// (p (-1/p mod B) + 1) / B: the numerator is a multiple of B.
const fn inverse_b() -> [u64; 4] {
    let q = ((1 << 32) + 1_u64).wrapping_neg() & MASK;
    let mut product = [0; 5];
    let mut carry = 1_u128;
    let mut i = 0;
    while i < 4 {
        carry += MODULUS[i] as u128 * q as u128;
        product[i] = carry as u64;
        carry >>= 64;
        i += 1;
    }
    product[4] = carry as u64;
    let [a, b, c, d, e] = product;
    [a >> 52 | b << 12, b >> 52 | c << 12, c >> 52 | d << 12, d >> 52 | e << 12]
}

/// See [`super::hash_rows`].
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn hash<const WIDTH: usize>(
    constants: &Constants,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    for (batch, digests) in digests.chunks_mut(LANES * GROUPS).enumerate() {
        let first = batch * LANES * GROUPS;
        // SAFETY: this function's features are those the helpers need.
        unsafe {
            let mut state = [[Element::zero(); GROUPS]; WIDTH];
            let mut canonical = true;
            for (element, key) in constants.first_keys.iter().enumerate() {
                for (group, part) in digests.chunks(LANES).enumerate() {
                    let words = load(preimages, element, first + group * LANES, part.len());
                    canonical &= are_canonical(&words);
                    state[element + 1][group] = Element::from_words(&words).plus(key);
                }
            }
            if !canonical {
                return Err(preimages.find_foreign(first..first + digests.len()));
            }
            let hashed = permute(constants, &mut state);
            for (part, digest) in digests.chunks_mut(LANES).zip(&hashed) {
                store(&digest.to_words(), part);
            }
        }
    }
    Ok(())
}

/// The permutation of [`super::plan`]; the digest, canonical, is element 1 at its end.
///
/// # Safety
/// The CPU has AVX-512F and IFMA.
#[inline(always)]
unsafe fn permute<const WIDTH: usize>(
    constants: &Constants,
    state: &mut [[Element; GROUPS]; WIDTH],
) -> [Element; GROUPS] {
    let mut rescale = constants.rescale.iter();
    // SAFETY: features by this function's contract.
    unsafe {
        for (round, keys) in constants.keys.iter().enumerate() {
            if constants.partial_rounds.contains(&round) {
                let multiplier = rescale.next().expect("one multiplier for each partial round");
                state[0] = rescaled_fifth_power(&state[0], multiplier);
            } else {
                // In the first round element 0 is nothing; its share is in the keys.
                for element in state.iter_mut() {
                    *element = fifth_power(element);
                }
            }
            let old = *state;
            for (i, element) in state.iter_mut().enumerate() {
                *element = row(&old, &constants.matrix[i..], &keys[i]);
            }
        }
        for element in state.iter_mut() {
            *element = fifth_power(element);
        }
        let mut digests = row(state, &constants.matrix[1..], &[0; LIMBS]);
        for digest in &mut digests {
            let [a, b, c, d, e] = digest.times(&constants.unscale).0;
            *digest = divide(&[a, b, c, d, e, _mm512_setzero_si512()]).minus_p_once();
        }
        digests
    }
}

/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn fifth_power(x: &[Element; GROUPS]) -> [Element; GROUPS] {
    // SAFETY: features by this function's contract.
    unsafe {
        let mut power = *x;
        for _ in 0..2 {
            for power in &mut power {
                *power = power.squared();
            }
        }
        for (power, x) in power.iter_mut().zip(x) {
            *power = power.multiplied(x);
        }
        power
    }
}

/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn rescaled_fifth_power(x: &[Element; GROUPS], multiplier: &Multiplier) -> [Element; GROUPS] {
    // SAFETY: features by this function's contract.
    unsafe {
        let mut power = *x;
        for _ in 0..2 {
            for power in &mut power {
                *power = power.squared();
            }
        }
        for (power, x) in power.iter_mut().zip(x) {
            *power = power.multiplied(&x.times(multiplier));
        }
        power
    }
}

/// `(key + sum of matrix[j] * state[j]) / B`.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn row<const WIDTH: usize>(
    state: &[[Element; GROUPS]; WIDTH],
    matrix: &[u64],
    key: &Number,
) -> [Element; GROUPS] {
    // SAFETY: features by this function's contract.
    unsafe {
        let key = Element::broadcast(key).0;
        let mut sums = [[key[0], key[1], key[2], key[3], key[4], _mm512_setzero_si512()]; GROUPS];
        for (element, entry) in state.iter().zip(matrix) {
            let entry = broadcast(*entry);
            for (sum, element) in sums.iter_mut().zip(element) {
                add_products(sum, entry, &element.0);
            }
        }
        let mut quotients = [Element::zero(); GROUPS];
        for (quotient, sum) in quotients.iter_mut().zip(&sums) {
            *quotient = divide(sum);
        }
        quotients
    }
}

/// An element per lane: limbs 0 to 3 below B.
#[derive(Clone, Copy)]
struct Element([__m512i; LIMBS]);

impl Element {
    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn zero() -> Element {
        // SAFETY: features by this function's contract.
        unsafe { Element([_mm512_setzero_si512(); LIMBS]) }
    }

    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn broadcast(number: &Number) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let [a, b, c, d, e] = *number;
            Element([broadcast(a), broadcast(b), broadcast(c), broadcast(d), broadcast(e)])
        }
    }

    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn from_words([a, b, c, d]: &[__m512i; 4]) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mask = broadcast(MASK);
            Element([
                _mm512_and_si512(*a, mask),
                _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(*a), _mm512_slli_epi64::<12>(*b)), mask),
                _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(*b), _mm512_slli_epi64::<24>(*c)), mask),
                _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(*c), _mm512_slli_epi64::<36>(*d)), mask),
                _mm512_srli_epi64::<16>(*d),
            ])
        }
    }

    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn to_words(self) -> [__m512i; 4] {
        let Element([a, b, c, d, e]) = self;
        // SAFETY: features by this function's contract.
        unsafe {
            [
                _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
                _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
                _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
                _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
            ]
        }
    }

    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn plus(self, number: &Number) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mut sum = self.0;
            for (limb, other) in sum.iter_mut().zip(number) {
                *limb = _mm512_add_epi64(*limb, broadcast(*other));
            }
            carry(sum)
        }
    }

    /// `self`, less p if it is p or more.
    ///
    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn minus_p_once(self) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mut less = [_mm512_setzero_si512(); LIMBS];
            let mut borrow = _mm512_setzero_si512();
            for i in 0..LIMBS {
                let word = _mm512_sub_epi64(_mm512_sub_epi64(self.0[i], broadcast(P[i])), borrow);
                borrow = _mm512_srli_epi64::<63>(word);
                less[i] = _mm512_and_si512(word, broadcast(MASK));
            }
            let keep = _mm512_cmpgt_epu64_mask(borrow, _mm512_setzero_si512());
            for (less, limb) in less.iter_mut().zip(self.0) {
                *less = _mm512_mask_mov_epi64(*less, keep, limb);
            }
            Element(less)
        }
    }

    /// `self * other / R`.
    ///
    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn multiplied(&self, other: &Element) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mut low = [_mm512_setzero_si512(); 2 * LIMBS];
            let mut high = low;
            for i in 0..LIMBS {
                for j in 0..LIMBS {
                    low[i + j] = _mm512_madd52lo_epu64(low[i + j], self.0[i], other.0[j]);
                    high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], self.0[i], other.0[j]);
                }
            }
            for (low, high) in low.iter_mut().zip(high) {
                *low = _mm512_add_epi64(*low, high);
            }
            reduce(low)
        }
    }

    /// `self * self / R`: what two different limbs contribute is computed once and doubled.
    ///
    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn squared(&self) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mut sum = [_mm512_setzero_si512(); 2 * LIMBS];
            for i in 0..LIMBS {
                for j in i + 1..LIMBS {
                    sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], self.0[i], self.0[j]);
                    sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], self.0[i], self.0[j]);
                }
            }
            for limb in &mut sum {
                *limb = _mm512_add_epi64(*limb, *limb);
            }
            for i in 0..LIMBS {
                sum[2 * i] = _mm512_madd52lo_epu64(sum[2 * i], self.0[i], self.0[i]);
                sum[2 * i + 1] = _mm512_madd52hi_epu64(sum[2 * i + 1], self.0[i], self.0[i]);
            }
            reduce(sum)
        }
    }

    /// `self` times the multiplier's constant.
    ///
    /// # Safety
    /// As for [`permute`].
    #[inline(always)]
    unsafe fn times(&self, multiplier: &Multiplier) -> Element {
        // SAFETY: features by this function's contract.
        unsafe {
            let mut low = [_mm512_setzero_si512(); 6];
            let mut high = low;
            for i in 0..LIMBS {
                for j in 0..LIMBS {
                    let factor = broadcast(multiplier.0[i][j]);
                    low[j] = _mm512_madd52lo_epu64(low[j], self.0[i], factor);
                    high[j + 1] = _mm512_madd52hi_epu64(high[j + 1], self.0[i], factor);
                }
            }
            for (low, high) in low.iter_mut().zip(high) {
                *low = _mm512_add_epi64(*low, high);
            }
            divide(&low)
        }
    }
}

/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn broadcast(word: u64) -> __m512i {
    // SAFETY: features by this function's contract.
    unsafe { _mm512_set1_epi64(word as i64) }
}

/// `sum += factor * number`.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn add_products(sum: &mut [__m512i], factor: __m512i, number: &[__m512i; LIMBS]) {
    // SAFETY: features by this function's contract.
    unsafe {
        for i in 0..LIMBS {
            sum[i] = _mm512_madd52lo_epu64(sum[i], factor, number[i]);
            sum[i + 1] = _mm512_madd52hi_epu64(sum[i + 1], factor, number[i]);
        }
    }
}

/// `sum / R`: four limbs are replaced by themselves times 1/B, one place up; the rest is [`divide`].
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn reduce(mut sum: [__m512i; 2 * LIMBS]) -> Element {
    // SAFETY: features by this function's contract.
    unsafe {
        let inverse_b = Element::broadcast(&INVERSE_B).0;
        for i in 0..LIMBS - 1 {
            sum[i + 1] = _mm512_add_epi64(sum[i + 1], _mm512_srli_epi64::<BITS>(sum[i]));
            let (limb, above) = (sum[i], &mut sum[i + 1..i + 7]);
            add_products(above, limb, &inverse_b);
        }
        let [_, _, _, _, a, b, c, d, e, f] = sum;
        divide(&[a, b, c, d, e, f])
    }
}

/// `(sum + q p) / B` with the q that makes it exact: below sum / B + p.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn divide(sum: &[__m512i; LIMBS + 1]) -> Element {
    // SAFETY: features by this function's contract.
    unsafe {
        // -1/p mod B = -(1 + 2^32), as p mod B = 1 - 2^32.
        let negated = _mm512_add_epi64(sum[0], _mm512_slli_epi64::<32>(sum[0]));
        let q = _mm512_sub_epi64(_mm512_setzero_si512(), negated);
        // Limb 0 of q p makes limb 0 of the sum a multiple of B, the next one: its carry is the limb's, rounded up.
        let rounded_up = _mm512_add_epi64(sum[0], broadcast(MASK));
        let p = Element::broadcast(&P).0;
        let mut quotient = [sum[1], sum[2], sum[3], sum[4], sum[5]];
        quotient[0] = _mm512_add_epi64(quotient[0], _mm512_srli_epi64::<BITS>(rounded_up));
        for i in 0..LIMBS {
            quotient[i] = _mm512_madd52hi_epu64(quotient[i], q, p[i]);
        }
        for i in 1..LIMBS {
            quotient[i - 1] = _mm512_madd52lo_epu64(quotient[i - 1], q, p[i]);
        }
        carry(quotient)
    }
}

/// Moves what is above bit 52 of a limb to the next one.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn carry(mut limbs: [__m512i; LIMBS]) -> Element {
    // SAFETY: features by this function's contract.
    unsafe {
        let mask = broadcast(MASK);
        for i in 0..LIMBS - 1 {
            limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srli_epi64::<BITS>(limbs[i]));
            limbs[i] = _mm512_and_si512(limbs[i], mask);
        }
        Element(limbs)
    }
}

/// Whether every lane's number is below p.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn are_canonical(words: &[__m512i; 4]) -> bool {
    // SAFETY: features by this function's contract.
    unsafe {
        let mut below = 0;
        for (word, p) in words.iter().zip(MODULUS) {
            let p = broadcast(p);
            below = _mm512_cmplt_epu64_mask(*word, p) | (_mm512_cmpeq_epu64_mask(*word, p) & below);
        }
        below == __mmask8::MAX
    }
}

/// The words of one element of `count` preimages, a preimage per lane; zeros in the other lanes.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn load(preimages: &Preimages, element: usize, first: usize, count: usize) -> [__m512i; 4] {
    let column = &preimages.columns[element][first * preimages.stride..];
    assert!((count - 1) * preimages.stride < column.len());
    // SAFETY: the lanes below `count` read elements 0 to `(count - 1) * stride` of the column; features as above.
    unsafe {
        let offsets = lane_offsets(preimages.stride * fr::BYTES);
        let mut words = [_mm512_setzero_si512(); 4];
        for (i, word) in words.iter_mut().enumerate() {
            let base = column.as_ptr().cast::<i64>().add(i);
            *word = _mm512_mask_i64gather_epi64::<1>(*word, first_lanes(count), offsets, base);
        }
        words
    }
}

/// Writes one element for each of the first lanes.
///
/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn store(words: &[__m512i; 4], elements: &mut [[u8; fr::BYTES]]) {
    // SAFETY: the lanes below the slice's length write one element of it each; features by this function's contract.
    unsafe {
        let offsets = lane_offsets(fr::BYTES);
        for (i, word) in words.iter().enumerate() {
            let base = elements.as_mut_ptr().cast::<i64>().add(i);
            _mm512_mask_i64scatter_epi64::<1>(base, first_lanes(elements.len()), offsets, *word);
        }
    }
}

/// # Safety
/// As for [`permute`].
#[inline(always)]
unsafe fn lane_offsets(stride: usize) -> __m512i {
    let n = stride as i64;
    // SAFETY: features by this function's contract.
    unsafe { _mm512_setr_epi64(0, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n) }
}

/// A mask of the first lanes.
fn first_lanes(count: usize) -> __mmask8 {
    ((1_u16 << count) - 1) as __mmask8
}
