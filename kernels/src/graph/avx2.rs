//! DRSample on AVX2 with FMA, 8 nodes at a time.
//!
//! Only the outermost function carries `target_feature`; the lanes are inlined into it.

use core::arch::x86_64::*;

use super::PARENTS;
use super::drsample::{self, Buckets, Lanes, Seed};

/// See [`drsample::base_parents`].
#[target_feature(enable = "avx2,fma")]
pub fn base_parents(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    // SAFETY: this function's features are those of the lanes.
    unsafe { drsample::base_parents::<Avx2>(seed, buckets, first, rows) }
}

/// Eight words, two times four doubles. The first half has nodes 0, 1, 4 and 5.
struct Avx2;

impl Lanes for Avx2 {
    const COUNT: usize = 8;
    type Words = __m256i;
    type Doubles = __m256d;

    #[inline(always)]
    unsafe fn words(word: u32) -> __m256i {
        // SAFETY: the features by the trait's contract, as everywhere below.
        unsafe { _mm256_set1_epi32(word as i32) }
    }

    #[inline(always)]
    unsafe fn counting(first: u32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(_mm256_set1_epi32(first as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn xor(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_xor_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn rotate<const BITS: u32>(a: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let left = _mm256_sllv_epi32(a, _mm256_set1_epi32(BITS as i32));
            _mm256_or_si256(left, _mm256_srlv_epi32(a, _mm256_set1_epi32(32 - BITS as i32)))
        }
    }

    #[inline(always)]
    unsafe fn shift_left<const BITS: u32>(a: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_sllv_epi32(a, _mm256_set1_epi32(BITS as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_right<const BITS: u32>(a: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_srlv_epi32(a, _mm256_set1_epi32(BITS as i32)) }
    }

    #[inline(always)]
    unsafe fn byte_product(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)) }
    }

    #[inline(always)]
    unsafe fn high_product(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_mulhi_epu16(a, b) }
    }

    #[inline(always)]
    unsafe fn less_one_where_equal(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above. An equal lane compares to -1.
        unsafe { _mm256_add_epi32(a, _mm256_cmpeq_epi32(a, b)) }
    }

    #[inline(always)]
    unsafe fn interleave(low: __m256i, high: __m256i) -> [__m256d; 2] {
        // SAFETY: as above.
        unsafe {
            [_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high)].map(|half| _mm256_castsi256_pd(half))
        }
    }

    #[inline(always)]
    unsafe fn low_words(halves: [__m256d; 2]) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let [a, b] = halves.map(|half| _mm256_castpd_ps(half));
            _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b))
        }
    }

    #[inline(always)]
    unsafe fn doubles(double: f64) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_set1_pd(double) }
    }

    #[inline(always)]
    unsafe fn plus(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_add_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn minus(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_sub_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn times(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_mul_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn over(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_div_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn times_plus(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    unsafe fn times_from(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_fnmadd_pd(a, b, c) }
    }

    #[inline(always)]
    unsafe fn floor(a: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_floor_pd(a) }
    }

    #[inline(always)]
    unsafe fn max(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_max_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn where_equal(a: __m256d, b: __m256d, same: __m256d, other: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_blendv_pd(other, same, _mm256_cmp_pd::<_CMP_EQ_OQ>(a, b)) }
    }

    #[inline(always)]
    unsafe fn minus_if_not_negative(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above. The blend looks at the sign.
        unsafe {
            let difference = _mm256_sub_pd(a, b);
            _mm256_blendv_pd(difference, a, difference)
        }
    }

    #[inline(always)]
    unsafe fn store(words: __m256i) -> [u32; 16] {
        let mut array = [0; 16];
        // SAFETY: as above; the array is two vectors long, the store needs no alignment.
        unsafe { _mm256_storeu_si256(array.as_mut_ptr().cast(), words) };
        array
    }
}
