//! The graph on AVX-512 (F, BW, DQ), 16 nodes or edges at a time.
//!
//! Only the outermost function carries `target_feature`; the lanes are inlined into it.

use core::arch::x86_64::*;

use super::PARENTS;
use super::drsample::{self, Buckets, Seed};
use super::expander::Expander;
use super::lanes::Lanes;
use super::walk::{self, Outside};

/// See [`drsample::base_parents`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub fn base_parents(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    // SAFETY: this function's features are those of the lanes.
    unsafe { drsample::base_parents::<Avx512>(seed, buckets, first, rows) }
}

/// See [`walk::expander_parents`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub fn expander_parents(expander: &Expander, outside: &mut Outside, first: u32, rows: &mut [[u32; PARENTS]]) {
    // SAFETY: this function's features are those of the lanes.
    unsafe { walk::expander_parents::<Avx512, 4>(expander, outside, first, rows) }
}

/// Sixteen words, two times eight doubles. The first half has nodes 0, 1, 4, 5, 8, 9, 12 and 13.
struct Avx512;

impl Lanes for Avx512 {
    const COUNT: usize = 16;
    type Words = __m512i;
    type Doubles = __m512d;

    #[inline(always)]
    unsafe fn words(word: u32) -> __m512i {
        // SAFETY: the features by the trait's contract, as everywhere below.
        unsafe { _mm512_set1_epi32(word as i32) }
    }

    #[inline(always)]
    unsafe fn counting(first: u32) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_add_epi32(_mm512_set1_epi32(first as i32), steps)
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn xor(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn rotate<const BITS: u32>(a: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_rolv_epi32(a, _mm512_set1_epi32(BITS as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_left(a: __m512i, bits: u32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_right(a: __m512i, bits: u32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_right_each(a: __m512i, bits: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_srlv_epi32(a, bits) }
    }

    #[inline(always)]
    unsafe fn byte_product(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)) }
    }

    #[inline(always)]
    unsafe fn high_product(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_mulhi_epu16(a, b) }
    }

    #[inline(always)]
    unsafe fn less_one_where_equal(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_mask_sub_epi32(a, _mm512_cmpeq_epi32_mask(a, b), a, _mm512_set1_epi32(1)) }
    }

    #[inline(always)]
    unsafe fn interleave(low: __m512i, high: __m512i) -> [__m512d; 2] {
        // SAFETY: as above.
        unsafe {
            let (first, second) = (_mm512_unpacklo_epi32(low, high), _mm512_unpackhi_epi32(low, high));
            [_mm512_castsi512_pd(first), _mm512_castsi512_pd(second)]
        }
    }

    #[inline(always)]
    unsafe fn low_words(halves: [__m512d; 2]) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let [first, second] = [_mm512_castpd_ps(halves[0]), _mm512_castpd_ps(halves[1])];
            _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(first, second))
        }
    }

    #[inline(always)]
    unsafe fn doubles(double: f64) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_set1_pd(double) }
    }

    #[inline(always)]
    unsafe fn plus(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_add_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn minus(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn times(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_mul_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn over(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_div_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn times_plus(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    unsafe fn times_from(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_fnmadd_pd(a, b, c) }
    }

    #[inline(always)]
    unsafe fn floor(a: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_roundscale_pd::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_max_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn where_equal(a: __m512d, b: __m512d, same: __m512d, other: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>(a, b), other, same) }
    }

    #[inline(always)]
    unsafe fn minus_if_not_negative(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_mask_sub_pd(a, _mm512_cmp_pd_mask::<_CMP_GE_OQ>(a, b), a, b) }
    }

    #[inline(always)]
    unsafe fn not_below(a: __m512i, b: __m512i) -> u32 {
        // SAFETY: as above.
        unsafe { u32::from(_mm512_cmpge_epu32_mask(a, b)) }
    }

    #[inline(always)]
    unsafe fn compress(lanes: u32, words: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_maskz_compress_epi32(lanes as __mmask16, words) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> __m512i {
        // SAFETY: features and addresses by the trait's contract, here and below.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u32, words: __m512i) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(to.cast(), words) }
    }

    #[inline(always)]
    unsafe fn gather_bytes(from: *const u8, lanes: u32, index: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_mask_i32gather_epi32::<1>(_mm512_setzero_si512(), lanes as __mmask16, index, from.cast()) }
    }

    #[inline(always)]
    unsafe fn scatter(to: *mut u32, lanes: u32, index: *const u32, words: __m512i) {
        // SAFETY: as above.
        unsafe { _mm512_mask_i32scatter_epi32::<4>(to.cast(), lanes as __mmask16, Avx512::load(index), words) }
    }
}
