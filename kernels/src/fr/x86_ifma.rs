//! The scalar field in the 64-bit lanes of AVX-512 vectors, one element per lane, on IFMA.
//!
//! `vpmadd52luq` and `vpmadd52huq` multiply the low 52 bits of two lanes and add the low or the high 52 bits of the product
//! to a third. An element is 5 limbs of 52 bits: B = 2^52, R = B^5, and p = 2^254.86 is less than R / 35.
//!
//! An instruction takes 4 cycles and a core starts one or two in each, so every operation works on `GROUPS` vectors in step.
//!
//! How far lazy limbs go (the tests below try the largest):
//! - An [`Element`] is below 6 p < 2^257.5, its limbs below B, the last below 2^50.
//! - A [`Sum`]'s limbs stay below 2^63: that is 2^10 additions, of two 52-bit numbers each.
//! - A product of elements below a p and b p is below (2 + a b / 35) p.
//! - A sum divided by B is below itself / B + p.

use core::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epu64_mask, _mm512_cmplt_epi64_mask,
    _mm512_cmplt_epu64_mask, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_i64gather_epi64,
    _mm512_mask_i64scatter_epi64, _mm512_mask_mov_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_setr_epi64,
    _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
};
use std::ops::{Add, AddAssign, BitAnd, BitOr, Sub};

use blstrs::Scalar;
use ff::PrimeField;

use super::{BYTES, MODULUS, words};

/// Lanes of a vector.
pub const LANES: usize = 8;
/// Limbs of an element.
pub const LIMBS: usize = 5;
/// Bits of a limb.
pub const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;

/// One field element in limbs, the same for all lanes.
pub type Number = [u64; LIMBS];

/// p.
const P: Number = limbs(&MODULUS);
/// 3 p.
const P_3: Number = shifted(&product(&MODULUS, 3, 0), 0);
/// 1/B mod p = (q p + 1) / B with q = -1/p mod B = -(1 + 2^32) mod B, as p mod B = 1 - 2^32.
const INVERSE_B: Number = shifted(&product(&MODULUS, ((1 << 32) + 1_u64).wrapping_neg() & MASK, 1), BITS);

pub type SumNumber = [u64; LIMBS + 1];
/// 2^50 p
pub const SUBTRACTABLE: SumNumber = {
    let mut limbs = [0; LIMBS + 1];
    let mut i = 0;
    while i < LIMBS {
        limbs[i] += P[i] << 50 & MASK;
        limbs[i + 1] += P[i] >> 2;
        i += 1;
    }
    limbs
};

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
    fn broadcast<const G: usize>(self, word: u64) -> Lanes<G> {
        // SAFETY: `self` is the proof.
        Lanes([unsafe { _mm512_set1_epi64(word as i64) }; G])
    }

    #[inline(always)]
    fn broadcast_all<const G: usize>(self, number: &Number) -> [Lanes<G>; LIMBS] {
        number.map(|limb| self.broadcast(limb))
    }
}

/// A 64-bit number per lane.
#[derive(Clone, Copy)]
struct Lanes<const G: usize>([__m512i; G]);

/// The lanes in which each vector `g` is `$operation`.
macro_rules! each_vector {
    ($lanes:expr, $g:ident => $operation:expr) => {{
        let mut lanes: Lanes<G> = $lanes;
        for $g in 0..G {
            // SAFETY: where there is a `Lanes`, the CPU has AVX-512F and IFMA.
            lanes.0[$g] = unsafe { $operation };
        }
        lanes
    }};
}

impl<const G: usize> Add for Lanes<G> {
    type Output = Lanes<G>;

    #[inline(always)]
    fn add(self, other: Lanes<G>) -> Lanes<G> {
        each_vector!(self, g => _mm512_add_epi64(self.0[g], other.0[g]))
    }
}

impl<const G: usize> AddAssign for Lanes<G> {
    #[inline(always)]
    fn add_assign(&mut self, other: Lanes<G>) {
        *self = *self + other;
    }
}

impl<const G: usize> Sub for Lanes<G> {
    type Output = Lanes<G>;

    #[inline(always)]
    fn sub(self, other: Lanes<G>) -> Lanes<G> {
        each_vector!(self, g => _mm512_sub_epi64(self.0[g], other.0[g]))
    }
}

impl<const G: usize> BitAnd for Lanes<G> {
    type Output = Lanes<G>;

    #[inline(always)]
    fn bitand(self, other: Lanes<G>) -> Lanes<G> {
        each_vector!(self, g => _mm512_and_si512(self.0[g], other.0[g]))
    }
}

impl<const G: usize> BitOr for Lanes<G> {
    type Output = Lanes<G>;

    #[inline(always)]
    fn bitor(self, other: Lanes<G>) -> Lanes<G> {
        each_vector!(self, g => _mm512_or_si512(self.0[g], other.0[g]))
    }
}

impl<const G: usize> Lanes<G> {
    #[inline(always)]
    fn ifma(self) -> Ifma {
        Ifma(())
    }

    #[inline(always)]
    fn left<const BITS: u32>(self) -> Lanes<G> {
        each_vector!(self, g => _mm512_slli_epi64::<BITS>(self.0[g]))
    }

    #[inline(always)]
    fn right<const BITS: u32>(self) -> Lanes<G> {
        each_vector!(self, g => _mm512_srli_epi64::<BITS>(self.0[g]))
    }

    /// Shifts in copies of the sign.
    #[inline(always)]
    fn signed_right<const BITS: u32>(self) -> Lanes<G> {
        each_vector!(self, g => _mm512_srai_epi64::<BITS>(self.0[g]))
    }

    /// `self += (a * b) mod B`, of the low 52 bits of each.
    #[inline(always)]
    fn add_low(&mut self, a: Lanes<G>, b: Lanes<G>) {
        *self = each_vector!(*self, g => _mm512_madd52lo_epu64(self.0[g], a.0[g], b.0[g]));
    }

    /// `self += (a * b) / B`, of the low 52 bits of each.
    #[inline(always)]
    fn add_high(&mut self, a: Lanes<G>, b: Lanes<G>) {
        *self = each_vector!(*self, g => _mm512_madd52hi_epu64(self.0[g], a.0[g], b.0[g]));
    }

    /// `self` where `sign` is negative, else `other`.
    #[inline(always)]
    fn if_negative(self, sign: Lanes<G>, other: Lanes<G>) -> Lanes<G> {
        let zero: Lanes<G> = self.ifma().broadcast(0);
        each_vector!(self, g => {
            let negative = _mm512_cmplt_epi64_mask(sign.0[g], zero.0[g]);
            _mm512_mask_mov_epi64(other.0[g], negative, self.0[g])
        })
    }
}

/// A field element per lane, not necessarily below p.
#[derive(Clone, Copy)]
pub struct Element<const G: usize>([Lanes<G>; LIMBS]);

impl<const G: usize> Element<G> {
    /// Zero in every lane.
    #[inline(always)]
    pub fn zero(ifma: Ifma) -> Element<G> {
        Element([ifma.broadcast(0); LIMBS])
    }

    #[inline(always)]
    fn from_words([a, b, c, d]: [Lanes<G>; 4]) -> Element<G> {
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
    fn into_words(self) -> [Lanes<G>; 4] {
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
    fn carried(mut limbs: [Lanes<G>; LIMBS]) -> Element<G> {
        let mask = limbs[0].ifma().broadcast(MASK);
        for i in 0..LIMBS - 1 {
            let carry = limbs[i].signed_right::<BITS>();
            limbs[i + 1] += carry;
            limbs[i] = limbs[i] & mask;
        }
        Element(limbs)
    }

    /// `self + other`.
    #[inline(always)]
    pub fn plus(mut self, other: &Element<G>) -> Element<G> {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb += other;
        }
        Element::carried(self.0)
    }

    /// `self + number`.
    #[inline(always)]
    pub fn plus_number(self, number: &Number) -> Element<G> {
        self.plus(&Element(self.0[0].ifma().broadcast_all(number)))
    }

    /// `-self` for an element below 3 p, as is the result.
    #[inline(always)]
    pub fn negated(self) -> Element<G> {
        let mut limbs = self.0[0].ifma().broadcast_all(&P_3);
        for (limb, subtract) in limbs.iter_mut().zip(self.0) {
            *limb = *limb - subtract;
        }
        Element::carried(limbs)
    }

    /// The same element below p, for one of at most p.
    #[inline(always)]
    fn canonical(self) -> Element<G> {
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

    /// `self * other / R + number`.
    #[inline(always)]
    pub fn times_plus(&self, other: &Element<G>, number: &Number) -> Element<G> {
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

    /// `self * self / R`: the product of two different limbs is computed once and doubled.
    #[inline(always)]
    pub fn squared(&self) -> Element<G> {
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

    /// `self` times the multiplier's constant: below 5.2 p.
    #[inline(always)]
    pub fn times_constant(&self, multiplier: &Multiplier) -> Element<G> {
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

    /// `self / B`, below p.
    #[inline(always)]
    pub fn divided_canonical(self) -> Element<G> {
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
pub struct Sum<const G: usize>([Lanes<G>; LIMBS + 1]);

impl<const G: usize> Sum<G> {
    /// The sum that so far is `number`.
    #[inline(always)]
    pub fn new(ifma: Ifma, number: &SumNumber) -> Sum<G> {
        Sum(number.map(|limb| ifma.broadcast(limb)))
    }

    #[inline(always)]
    pub fn zero(ifma: Ifma) -> Sum<G> {
        Sum([ifma.broadcast(0); LIMBS + 1])
    }

    /// `self -= other`.
    #[inline(always)]
    pub fn subtract(&mut self, other: &Sum<G>) {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb = *limb - other;
        }
    }

    /// `self += factor * element` for a factor below B.
    #[inline(always)]
    pub fn add_product(&mut self, factor: u64, element: &Element<G>) {
        let factor = self.0[0].ifma().broadcast(factor);
        for i in 0..LIMBS {
            self.0[i].add_low(factor, element.0[i]);
            self.0[i + 1].add_high(factor, element.0[i]);
        }
    }

    /// `self += other`.
    #[inline(always)]
    pub fn add(&mut self, other: &Sum<G>) {
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            *limb += other;
        }
    }

    /// `(self + q p) / B` with the q that makes it exact.
    #[inline(always)]
    pub fn divided(self) -> Element<G> {
        let Sum([lowest, mut limbs @ ..]) = self;
        let ifma = lowest.ifma();
        // -1/p mod B = -(1 + 2^32), as p mod B = 1 - 2^32.
        let q = ifma.broadcast(0) - (lowest + lowest.left::<32>());
        // q p makes the lowest limb a multiple of B, the next one from the limb up.
        limbs[0] += (lowest + ifma.broadcast(MASK)).signed_right::<BITS>();
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

/// `sum / R`: the four lowest limbs are replaced by themselves times 1/B, one place up; the fifth is divided off.
#[inline(always)]
fn reduced<const G: usize>(mut sum: [Lanes<G>; 2 * LIMBS]) -> Element<G> {
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

impl Element<1> {
    /// Reads `elements[i * stride]` into lane `i`, for `count` lanes; the others hold zero. None if one is not below p.
    ///
    /// # Panics
    /// If there are more than [`LANES`], or the slice ends before the last one.
    #[inline(always)]
    pub fn load(ifma: Ifma, elements: &[[u8; BYTES]], stride: usize, count: usize) -> Option<Element<1>> {
        assert!(count <= LANES && (count == 0 || (count - 1) * stride < elements.len()));
        let mut words = [ifma.broadcast(0); 4];
        let mut below: __mmask8 = 0;
        for (i, word) in words.iter_mut().enumerate() {
            let p: Lanes<1> = ifma.broadcast(MODULUS[i]);
            // SAFETY: the lanes of the mask read from the slice, as was asserted; `ifma` proves the features.
            unsafe {
                let base = elements.as_ptr().cast::<i64>().add(i);
                word.0[0] = _mm512_mask_i64gather_epi64::<1>(word.0[0], first(count), offsets(ifma, stride), base);
                let equal = _mm512_cmpeq_epu64_mask(word.0[0], p.0[0]);
                below = _mm512_cmplt_epu64_mask(word.0[0], p.0[0]) | (equal & below);
            }
        }
        (below == __mmask8::MAX).then(|| Element::from_words(words))
    }

    /// Writes the first lanes, whose elements are below p.
    ///
    /// # Panics
    /// If the slice is longer than [`LANES`].
    #[inline(always)]
    pub fn store(self, elements: &mut [[u8; BYTES]]) {
        let count = elements.len();
        assert!(count <= LANES);
        for (i, word) in self.into_words().into_iter().enumerate() {
            let offsets = offsets(word.ifma(), 1);
            // SAFETY: the lanes of the mask write to the slice, as was asserted; the features as for all lanes.
            unsafe {
                let base = elements.as_mut_ptr().cast::<i64>().add(i);
                _mm512_mask_i64scatter_epi64::<1>(base, first(count), offsets, word.0[0]);
            }
        }
    }

    /// Two vectors to be worked on in step.
    #[inline(always)]
    pub fn join(a: &Element<1>, b: &Element<1>) -> Element<2> {
        let mut limbs = [a.0[0].ifma().broadcast(0); LIMBS];
        for i in 0..LIMBS {
            limbs[i] = Lanes([a.0[i].0[0], b.0[i].0[0]]);
        }
        Element(limbs)
    }
}

impl Element<2> {
    /// The inverse of [`Element::join`].
    #[inline(always)]
    pub fn split(&self) -> [Element<1>; 2] {
        let mut halves = [Element::zero(self.0[0].ifma()); 2];
        for i in 0..LIMBS {
            halves[0].0[i] = Lanes([self.0[i].0[0]]);
            halves[1].0[i] = Lanes([self.0[i].0[1]]);
        }
        halves
    }
}

/// The offsets in bytes of the elements of the lanes.
#[inline(always)]
fn offsets(_: Ifma, stride: usize) -> __m512i {
    let n = (stride * BYTES) as i64;
    // SAFETY: `Ifma` is the proof of the features.
    unsafe { _mm512_setr_epi64(0, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n) }
}

/// A mask of the first lanes.
#[inline(always)]
fn first(count: usize) -> __mmask8 {
    ((1_u16 << count) - 1) as __mmask8
}

// TEMPORARY
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(missing_docs,clippy::all)]
pub fn micro(n: usize, which: u32, key: &Number, m: &Multiplier) -> u64 {
    let ifma = unsafe { Ifma::new() };
    let mut x = Element::<2>::zero(ifma).plus_number(key);
    let y = x;
    match which {
        0 => for _ in 0..n { x = x.squared(); },
        1 => for _ in 0..n { x = x.times_plus(&y, key); },
        2 => for _ in 0..n { x = x.times_constant(m); },
        5 => { let mut s = [x; 12]; for _ in 0..n/12 { for i in 0..12 { s[i] = s[i].squared(); } } x = s[3]; }
        6 => { let mut s = [x; 12]; for _ in 0..n/12 { for i in 0..12 { s[i] = s[i].times_plus(&s[(i+1)%12], key); } } x = s[3]; }
        7 => { let mut s = [x; 12]; for _ in 0..n/12 { for i in 0..12 { s[i] = s[i].times_constant(m); } } x = s[3]; }
        10 => { let mut s = [x; 12]; for _ in 0..n/12 { for i in 0..12 { s[i] = s[i].squared().squared().times_plus(&s[i], key); } } x = s[3]; }
        _ => {}
    }
    let mut out = [[0; 32]; 8];
    x.split()[0].store(&mut out);
    out[0][0] as u64
}
