//! The scalar field in the 64-bit lanes of AVX-512 vectors, one element per lane, on IFMA.
//!
//! `vpmadd52luq` and `vpmadd52huq` multiply the low 52 bits of two lanes and add the low or the high 52 bits of the product
//! to a third. An element is 5 limbs of 52 bits: B = 2^52, R = B^5, and p = 2^254.86 is less than R / 35.
//!
//! An instruction takes 4 cycles and a core starts one or two in each, so every operation works on `GROUPS` vectors in step.
//!
//! How far lazy limbs go, tried with the largest of each in the tests below:
//! - An [`Element`] is below 6 p < 2^257.5: four limbs below B, the last below 2^50.
//! - A sum's limb is at most 26 halves of products below B, and carries: below 2^57 of its 2^64.
//! - A product of elements below a p and b p is below (2 + a b / 35) p, plus what is added to it.
//! - A [`Sum`] divided by B is below itself / B + p.

use core::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epu64_mask, _mm512_cmplt_epi64_mask,
    _mm512_cmplt_epu64_mask, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_i64gather_epi64,
    _mm512_mask_i64scatter_epi64, _mm512_mask_mov_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_setr_epi64,
    _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
};
use std::hint::black_box;
use std::ops::{Add, AddAssign, BitAnd, BitOr, Sub};

use blstrs::Scalar;
use ff::PrimeField;

use super::{BYTES, MODULUS, words};

/// Vectors in step.
const GROUPS: usize = 2;
/// Lanes of a vector.
const LANES: usize = 8;
/// Field elements in an [`Element`].
pub const WIDTH: usize = GROUPS * LANES;
/// Limbs of an element.
pub const LIMBS: usize = 5;
/// Bits of a limb.
pub const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;

/// One field element in limbs, the same for all lanes.
pub type Number = [u64; LIMBS];

/// p.
const P: Number = limbs(&MODULUS);
/// 1/B mod p = (q p + 1) / B with q = -1/p mod B = -(1 + 2^32) mod B, as p mod B = 1 - 2^32.
const INVERSE_B: Number = shifted(&product(&MODULUS, ((1 << 32) + 1_u64).wrapping_neg() & MASK, 1), BITS);

/// The limbs of a field element.
pub fn number(element: &Scalar) -> Number {
    limbs(&words(&element.to_repr()))
}

const fn limbs([a, b, c, d]: &[u64; 4]) -> Number {
    shifted(&[*a, *b, *c, *d, 0], 0)
}

/// `number >> bits` in limbs, of which there are enough.
const fn shifted(number: &[u64; 5], bits: u32) -> Number {
    let mut limbs = [0; LIMBS];
    let mut i = 0;
    while i < LIMBS {
        let bit = i as u32 * BITS + bits;
        let (word, shift) = ((bit / 64) as usize, bit % 64);
        let above = if word + 1 < 5 { number[word + 1] } else { 0 };
        limbs[i] = ((number[word] as u128 | (above as u128) << 64) >> shift) as u64 & MASK;
        i += 1;
    }
    limbs
}

/// `number * factor + add`.
const fn product(number: &[u64; 4], factor: u64, add: u64) -> [u64; 5] {
    let mut product = [0; 5];
    let mut carry = add as u128;
    let mut i = 0;
    while i < 4 {
        carry += number[i] as u128 * factor as u128;
        product[i] = carry as u64;
        carry >>= 64;
        i += 1;
    }
    product[4] = carry as u64;
    product
}

/// The proof that the CPU has AVX-512F and IFMA. A [`Lanes`] is one too: only this makes the first.
#[derive(Clone, Copy)]
pub struct Ifma(());

impl Ifma {
    /// # Safety
    /// The CPU has AVX-512F and IFMA.
    #[inline(always)]
    pub unsafe fn new() -> Ifma {
        Ifma(())
    }

    #[inline(always)]
    fn broadcast(self, word: u64) -> Lanes {
        // SAFETY: `self` is the proof.
        Lanes([unsafe { _mm512_set1_epi64(word as i64) }; GROUPS])
    }

    #[inline(always)]
    fn broadcast_all(self, number: &Number) -> [Lanes; LIMBS] {
        number.map(|limb| self.broadcast(limb))
    }
}

/// A 64-bit number per lane.
#[derive(Clone, Copy)]
struct Lanes([__m512i; GROUPS]);

/// The lanes in which each vector `g` is `$operation`.
macro_rules! each_vector {
    ($lanes:expr, $g:ident => $operation:expr) => {{
        let mut lanes: Lanes = $lanes;
        for $g in 0..GROUPS {
            // SAFETY: where there is a `Lanes`, the CPU has AVX-512F and IFMA.
            lanes.0[$g] = unsafe { $operation };
        }
        lanes
    }};
}

impl Add for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn add(self, other: Lanes) -> Lanes {
        each_vector!(self, g => _mm512_add_epi64(self.0[g], other.0[g]))
    }
}

impl AddAssign for Lanes {
    #[inline(always)]
    fn add_assign(&mut self, other: Lanes) {
        *self = *self + other;
    }
}

impl Sub for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn sub(self, other: Lanes) -> Lanes {
        each_vector!(self, g => _mm512_sub_epi64(self.0[g], other.0[g]))
    }
}

impl BitAnd for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn bitand(self, other: Lanes) -> Lanes {
        each_vector!(self, g => _mm512_and_si512(self.0[g], other.0[g]))
    }
}

impl BitOr for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn bitor(self, other: Lanes) -> Lanes {
        each_vector!(self, g => _mm512_or_si512(self.0[g], other.0[g]))
    }
}

impl Lanes {
    #[inline(always)]
    fn ifma(self) -> Ifma {
        Ifma(())
    }

    #[inline(always)]
    fn left<const BITS: u32>(self) -> Lanes {
        each_vector!(self, g => _mm512_slli_epi64::<BITS>(self.0[g]))
    }

    #[inline(always)]
    fn right<const BITS: u32>(self) -> Lanes {
        each_vector!(self, g => _mm512_srli_epi64::<BITS>(self.0[g]))
    }

    /// Shifts in copies of the sign.
    #[inline(always)]
    fn signed_right<const BITS: u32>(self) -> Lanes {
        each_vector!(self, g => _mm512_srai_epi64::<BITS>(self.0[g]))
    }

    /// `self += (a * b) mod B`, of the low 52 bits of each.
    #[inline(always)]
    fn add_low(&mut self, a: Lanes, b: Lanes) {
        *self = each_vector!(*self, g => _mm512_madd52lo_epu64(self.0[g], a.0[g], b.0[g]));
    }

    /// `self += (a * b) / B`, of the low 52 bits of each.
    #[inline(always)]
    fn add_high(&mut self, a: Lanes, b: Lanes) {
        *self = each_vector!(*self, g => _mm512_madd52hi_epu64(self.0[g], a.0[g], b.0[g]));
    }

    /// `self` where `sign` is negative, else `other`.
    #[inline(always)]
    fn if_negative(self, sign: Lanes, other: Lanes) -> Lanes {
        let zero = self.ifma().broadcast(0);
        each_vector!(self, g => {
            let negative = _mm512_cmplt_epi64_mask(sign.0[g], zero.0[g]);
            _mm512_mask_mov_epi64(other.0[g], negative, self.0[g])
        })
    }
}

/// A field element per lane, not necessarily below p.
#[derive(Clone, Copy)]
pub struct Element([Lanes; LIMBS]);

impl Element {
    /// Zero in every lane.
    #[inline(always)]
    pub fn zero(ifma: Ifma) -> Element {
        Element([ifma.broadcast(0); LIMBS])
    }

    /// Reads `elements[i * stride]` into lane `i`, for `count` lanes; the others hold zero. None if one is not below p.
    ///
    /// # Panics
    /// If there are more than [`WIDTH`], or the slice ends before the last one.
    #[inline(always)]
    pub fn load(ifma: Ifma, elements: &[[u8; BYTES]], stride: usize, count: usize) -> Option<Element> {
        assert!(0 < count && count <= WIDTH && (count - 1) * stride < elements.len());
        let mut words = [ifma.broadcast(0); 4];
        let mut below = [0; GROUPS];
        for (i, word) in words.iter_mut().enumerate() {
            let p = ifma.broadcast(MODULUS[i]);
            for (g, below) in below.iter_mut().enumerate() {
                // SAFETY: the lanes of the mask read from the slice, as was asserted; `ifma` proves the features.
                unsafe {
                    let base = elements.as_ptr().wrapping_add(g * LANES * stride).cast::<i64>().wrapping_add(i);
                    let (lanes, offsets) = (lanes_below(count, g), offsets(ifma, stride));
                    word.0[g] = _mm512_mask_i64gather_epi64::<1>(word.0[g], lanes, offsets, base);
                    let equal = _mm512_cmpeq_epu64_mask(word.0[g], p.0[g]);
                    *below = _mm512_cmplt_epu64_mask(word.0[g], p.0[g]) | (equal & *below);
                }
            }
        }
        (below == [__mmask8::MAX; GROUPS]).then(|| Element::from_words(words))
    }

    /// Writes the first lanes, whose elements are below p.
    ///
    /// # Panics
    /// If the slice is longer than [`WIDTH`].
    #[inline(always)]
    pub fn store(self, elements: &mut [[u8; BYTES]]) {
        assert!(elements.len() <= WIDTH);
        for (i, word) in self.into_words().into_iter().enumerate() {
            for g in 0..GROUPS {
                // SAFETY: the lanes of the mask write to the slice, as was asserted; the features as for all lanes.
                unsafe {
                    let base = elements.as_mut_ptr().wrapping_add(g * LANES).cast::<i64>().wrapping_add(i);
                    let (lanes, offsets) = (lanes_below(elements.len(), g), offsets(word.ifma(), 1));
                    _mm512_mask_i64scatter_epi64::<1>(base, lanes, offsets, word.0[g]);
                }
            }
        }
    }

    #[inline(always)]
    fn from_words([a, b, c, d]: [Lanes; 4]) -> Element {
        let mask = a.ifma().broadcast(MASK);
        Element([
            a & mask,
            (a.right::<52>() | b.left::<12>()) & mask,
            (b.right::<40>() | c.left::<24>()) & mask,
            (c.right::<28>() | d.left::<36>()) & mask,
            d.right::<16>(),
        ])
    }

    #[inline(always)]
    fn into_words(self) -> [Lanes; 4] {
        let Element([a, b, c, d, e]) = self;
        [
            a | b.left::<52>(),
            b.right::<12>() | c.left::<40>(),
            c.right::<24>() | d.left::<28>(),
            d.right::<36>() | e.left::<16>(),
        ]
    }

    /// An element from limbs of any sign: moves what is above bit 52 of a limb to the next.
    #[inline(always)]
    fn carried(mut limbs: [Lanes; LIMBS]) -> Element {
        let mask = limbs[0].ifma().broadcast(MASK);
        for i in 0..LIMBS - 1 {
            let carry = limbs[i].signed_right::<BITS>();
            limbs[i + 1] += carry;
            limbs[i] = limbs[i] & mask;
        }
        Element(limbs)
    }

    /// `self + number`.
    #[inline(always)]
    pub fn plus(mut self, number: &Number) -> Element {
        for (limb, other) in self.0.iter_mut().zip(number) {
            *limb += limb.ifma().broadcast(*other);
        }
        Element::carried(self.0)
    }

    /// The same element below p, for one below 2 p.
    #[inline(always)]
    fn canonical(self) -> Element {
        let mut less = self.0;
        for (limb, p) in less.iter_mut().zip(self.0[0].ifma().broadcast_all(&P)) {
            *limb = *limb - p;
        }
        let Element(mut limbs) = Element::carried(less);
        let sign = limbs[LIMBS - 1];
        for (limb, original) in limbs.iter_mut().zip(self.0) {
            *limb = original.if_negative(sign, *limb);
        }
        Element(limbs)
    }

    /// `self * other / R + number`, below (3 + a b / 35) p for factors below a p and b p and a number below p.
    #[inline(always)]
    pub fn times_plus(&self, other: &Element, number: &Number) -> Element {
        let mut sum = [self.0[0].ifma().broadcast(0); 2 * LIMBS];
        sum[LIMBS..].copy_from_slice(&self.0[0].ifma().broadcast_all(number));
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                sum[i + j].add_low(self.0[i], other.0[j]);
                sum[i + j + 1].add_high(self.0[i], other.0[j]);
            }
        }
        reduced(sum)
    }

    /// `self * self / R`, below (2 + a a / 35) p: the product of two different limbs is computed once and doubled.
    #[inline(always)]
    pub fn squared(&self) -> Element {
        let mut sum = [self.0[0].ifma().broadcast(0); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                sum[i + j].add_low(self.0[i], self.0[j]);
                sum[i + j + 1].add_high(self.0[i], self.0[j]);
            }
        }
        for limb in &mut sum[1..2 * LIMBS - 1] {
            *limb = *limb + *limb;
        }
        for i in 0..LIMBS {
            sum[2 * i].add_low(self.0[i], self.0[i]);
            sum[2 * i + 1].add_high(self.0[i], self.0[i]);
        }
        reduced(sum)
    }

    /// `self` times the multiplier's constant, below (4 + 1/4 + 1) p.
    #[inline(always)]
    pub fn times_constant(&self, multiplier: &Multiplier) -> Element {
        let ifma = self.0[0].ifma();
        let mut sum = Sum::zero(ifma);
        for (limb, number) in self.0.iter().zip(&multiplier.0) {
            for (j, factor) in ifma.broadcast_all(number).into_iter().enumerate() {
                sum.0[j].add_low(*limb, factor);
                sum.0[j + 1].add_high(*limb, factor);
            }
        }
        sum.divided()
    }

    /// `self / B`, canonical.
    #[inline(always)]
    pub fn divided_canonical(self) -> Element {
        let [a, b, c, d, e] = self.0;
        Sum([a, b, c, d, e, a.ifma().broadcast(0)]).divided().canonical()
    }
}

/// A constant c as c B^(i+1) mod p for each limb i of the other factor: the shares of the limbs are no longer than the
/// element, and their sum is divided once.
pub struct Multiplier([Number; LIMBS]);

impl Multiplier {
    /// The multiplier by `constant`.
    pub fn new(constant: Scalar) -> Multiplier {
        let mut shifted = constant;
        Multiplier([(); LIMBS].map(|()| {
            shifted *= Scalar::from(1 << BITS);
            number(&shifted)
        }))
    }
}

/// A sum of products of one limb and an element, per lane.
#[derive(Clone, Copy)]
pub struct Sum([Lanes; LIMBS + 1]);

impl Sum {
    /// No product yet.
    #[inline(always)]
    pub fn zero(ifma: Ifma) -> Sum {
        Sum([ifma.broadcast(0); LIMBS + 1])
    }

    /// `self += factor * element` for a factor below B.
    #[inline(always)]
    pub fn add_product(&mut self, factor: u64, element: &Element) {
        let factor = self.0[0].ifma().broadcast(factor);
        for i in 0..LIMBS {
            self.0[i].add_low(factor, element.0[i]);
            self.0[i + 1].add_high(factor, element.0[i]);
        }
    }

    /// `(self + q p) / B` with the q below B that makes it exact.
    #[inline(always)]
    pub fn divided(self) -> Element {
        let Sum([lowest, mut limbs @ ..]) = self;
        let ifma = lowest.ifma();
        // -1/p mod B = -(1 + 2^32), as p mod B = 1 - 2^32.
        let q = ifma.broadcast(0) - (lowest + lowest.left::<32>());
        // q p makes the lowest limb a multiple of B, the next one from the limb up.
        limbs[0] += (lowest + ifma.broadcast(MASK)).right::<BITS>();
        let p = ifma.broadcast_all(&P);
        for i in 1..LIMBS {
            limbs[i - 1].add_low(q, p[i]);
        }
        for i in 0..LIMBS {
            limbs[i].add_high(q, p[i]);
        }
        Element::carried(limbs)
    }
}

/// `sum / R`: the four lowest limbs are replaced by themselves times 1/B, one place up, and the fifth divided off. The first
/// adds B p / B at most, the second p.
#[inline(always)]
fn reduced(mut sum: [Lanes; 2 * LIMBS]) -> Element {
    let inverse_b = sum[0].ifma().broadcast_all(&INVERSE_B);
    for i in 0..LIMBS - 1 {
        for (j, factor) in inverse_b.iter().enumerate() {
            let limb = sum[i];
            sum[i + j + 1].add_low(limb, *factor);
            sum[i + j + 2].add_high(limb, *factor);
        }
        let carry = sum[i].right::<BITS>();
        sum[i + 1] += carry;
    }
    let [_, _, _, _, a, b, c, d, e, f] = sum;
    Sum([a, b, c, d, e, f]).divided()
}

/// The offsets in bytes of the elements of the lanes.
#[inline(always)]
fn offsets(_: Ifma, stride: usize) -> __m512i {
    let n = (stride * BYTES) as i64;
    // SAFETY: `Ifma` is the proof of the features.
    unsafe { _mm512_setr_epi64(0, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n) }
}

/// A mask of those of the first `count` lanes that are in vector `g`.
#[inline(always)]
fn lanes_below(count: usize, g: usize) -> __mmask8 {
    let count = count.saturating_sub(g * LANES).min(LANES);
    ((1_u16 << count) - 1) as __mmask8
}

/// Multiplies `n` limbs or a few more, nothing else, in more chains than the instruction has cycles; returns how many.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn multiply(n: u64) -> u64 {
    const CHAINS: usize = 8;
    let steps = n.div_ceil((CHAINS * WIDTH) as u64);
    // SAFETY: this function's features.
    let ifma = unsafe { Ifma::new() };
    let factor = ifma.broadcast(black_box(MASK));
    let mut sums = [factor; CHAINS];
    for _ in 0..steps {
        for sum in &mut sums {
            sum.add_low(factor, factor);
        }
    }
    black_box(sums);
    steps * (CHAINS * WIDTH) as u64
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;
    use crate::cpu::Features;

    fn proof() -> Option<Ifma> {
        if !Features::detect().avx512_ifma() {
            crate::absent::absent("scalar field on IFMA", "the CPU lacks the instructions");
            return None;
        }
        // SAFETY: as was just asked.
        Some(unsafe { Ifma::new() })
    }

    /// The largest elements: the largest value with and without full limbs below, and p - 1, p, p + 1, 0.
    fn largest() -> Vec<Number> {
        let six_p = shifted(&product(&MODULUS, 6, 0), 0);
        let p_plus_1 = [P[0] + 1, P[1], P[2], P[3], P[4]];
        let p_minus_1 = [P[0] - 1, P[1], P[2], P[3], P[4]];
        let below_6_p = [six_p[0] - 1, six_p[1], six_p[2], six_p[3], six_p[4]];
        let full_limbs = [MASK, MASK, MASK, MASK, six_p[4] - 1];
        vec![below_6_p, full_limbs, p_plus_1, P, p_minus_1, [1, 0, MASK, 0, 0], [0; LIMBS]]
    }

    fn everywhere(ifma: Ifma, number: &Number) -> Element {
        Element(ifma.broadcast_all(number))
    }

    /// The number in every lane, its limbs in their bounds and itself below `most` times p / 8.
    fn number_of(element: &Element, most: u128) -> Number {
        let number = element.0.map(|limb| {
            // SAFETY: a vector is eight words.
            let lanes: [[u64; LANES]; GROUPS] = unsafe { std::mem::transmute(limb.0) };
            assert!(lanes.iter().flatten().all(|lane| *lane == lanes[0][0]), "the lanes differ: {lanes:x?}");
            lanes[0][0]
        });
        assert!(number[..4].iter().all(|limb| *limb <= MASK) && number[4] < 1 << 50, "{number:x?}");
        let times = |number: Number, factor| value(&number.map(|limb| u128::from(limb) * factor));
        assert!(times(number, 8) < times(P, most), "{number:x?} is not below {most} p / 8");
        number
    }

    /// Limbs as a number to compare: carried, the highest first.
    fn value(limbs: &[u128]) -> Vec<u128> {
        let mut carry = 0;
        let mut carried: Vec<u128> = limbs
            .iter()
            .map(|limb| {
                carry += limb;
                let limb = carry & u128::from(MASK);
                carry >>= BITS;
                limb
            })
            .collect();
        carried.push(carry);
        carried.reverse();
        carried
    }

    fn scalar(number: &Number) -> Scalar {
        number.iter().rev().fold(Scalar::ZERO, |sum, limb| sum * Scalar::from(1 << BITS) + Scalar::from(*limb))
    }

    fn inverse_power_of_b(exponent: u64) -> Scalar {
        Scalar::from(1 << BITS).pow_vartime([exponent]).invert().unwrap()
    }

    #[test]
    fn the_constants_are_what_they_are_called() {
        assert_eq!(number(&-Scalar::ONE), [P[0] - 1, P[1], P[2], P[3], P[4]]);
        assert_eq!(INVERSE_B, number(&inverse_power_of_b(1)));
    }

    #[test]
    fn products_of_the_largest_elements_are_exact_and_bounded() {
        let Some(ifma) = proof() else { return };
        for a in largest() {
            let x = everywhere(ifma, &a);
            // 8 (2 + 36 / 35) < 25, and 8 p more for what is added.
            assert_eq!(scalar(&number_of(&x.squared(), 25)), scalar(&a).square() * inverse_power_of_b(5), "{a:x?}");
            for b in largest() {
                for add in [[0; LIMBS], number(&-Scalar::ONE)] {
                    let product = number_of(&x.times_plus(&everywhere(ifma, &b), &add), 33);
                    let expected = scalar(&a) * scalar(&b) * inverse_power_of_b(5) + scalar(&add);
                    assert_eq!(scalar(&product), expected, "{a:x?} * {b:x?} + {add:x?}");
                }
            }
        }
    }

    #[test]
    fn products_with_constants_are_exact_and_bounded() {
        let Some(ifma) = proof() else { return };
        for a in largest() {
            for constant in [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, inverse_power_of_b(1), -inverse_power_of_b(3)] {
                let product = everywhere(ifma, &a).times_constant(&Multiplier::new(constant));
                assert_eq!(scalar(&number_of(&product, 42)), scalar(&a) * constant, "{a:x?} * {constant}");
                let divided = number_of(&product.divided_canonical(), 8);
                assert_eq!(divided, number(&(scalar(&a) * constant * inverse_power_of_b(1))), "{a:x?} * {constant}");
            }
        }
    }

    /// More terms than any matrix row has, with larger factors.
    #[test]
    fn sums_of_the_largest_products_are_exact_and_bounded() {
        const TERMS: u64 = 13;
        let Some(ifma) = proof() else { return };
        for a in largest() {
            for factor in [0, 1, (1 << 45) - 1] {
                let mut sum = Sum::zero(ifma);
                for _ in 0..TERMS {
                    sum.add_product(factor, &everywhere(ifma, &a));
                }
                let expected = scalar(&a) * Scalar::from(factor * TERMS) * inverse_power_of_b(1);
                // 8 (13 * 6 / 2^7 + 1) < 13.
                assert_eq!(scalar(&number_of(&sum.divided(), 13)), expected, "{a:x?} * {factor}");
            }
        }
    }
}
