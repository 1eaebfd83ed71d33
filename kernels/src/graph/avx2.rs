//! The graph on AVX2 with FMA, 8 nodes or edges at a time.
//!
//! Only the outermost function carries `target_feature`; the lanes are inlined into it.

use core::arch::x86_64::*;

use super::PARENTS;
use super::drsample::{self, Buckets, Seed};
use super::expander::Expander;
use super::lanes::Lanes;
use super::walk::{self, Outside};

/// See [`drsample::base_parents`].
#[target_feature(enable = "avx2,fma")]
pub fn base_parents(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    // SAFETY: this function's features are those of the lanes.
    unsafe { drsample::base_parents::<Avx2>(seed, buckets, first, rows) }
}

/// See [`walk::expander_parents`].
#[target_feature(enable = "avx2,fma")]
pub fn expander_parents(expander: &Expander, outside: &mut Outside, first: u32, rows: &mut [[u32; PARENTS]]) {
    // SAFETY: this function's features are those of the lanes.
    unsafe { walk::expander_parents::<Avx2, 4>(expander, outside, first, rows) }
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
    unsafe fn and(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_or_si256(a, b) }
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
    unsafe fn shift_left(a: __m256i, bits: u32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_right(a: __m256i, bits: u32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
    }

    #[inline(always)]
    unsafe fn shift_right_each(a: __m256i, bits: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_srlv_epi32(a, bits) }
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
            let (first, second) = (_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high));
            [_mm256_castsi256_pd(first), _mm256_castsi256_pd(second)]
        }
    }

    #[inline(always)]
    unsafe fn low_words(halves: [__m256d; 2]) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let [first, second] = [_mm256_castpd_ps(halves[0]), _mm256_castpd_ps(halves[1])];
            _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(first, second))
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
    unsafe fn not_below(a: __m256i, b: __m256i) -> u32 {
        // SAFETY: as above.
        unsafe {
            let not_below = _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a);
            _mm256_movemask_ps(_mm256_castsi256_ps(not_below)) as u32
        }
    }

    #[inline(always)]
    unsafe fn compress(lanes: u32, words: __m256i) -> __m256i {
        // SAFETY: as above; the table has an entry, of eight bytes, for every value of eight bits.
        unsafe {
            let order = _mm_loadl_epi64(COMPRESSION[lanes as usize % 256].as_ptr().cast());
            _mm256_permutevar8x32_epi32(words, _mm256_cvtepu8_epi32(order))
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> __m256i {
        // SAFETY: features and addresses by the trait's contract, here and below.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u32, words: __m256i) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.cast(), words) }
    }

    #[inline(always)]
    unsafe fn gather_bytes(from: *const u8, _: u32, index: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_i32gather_epi32::<1>(from.cast(), index) }
    }

    #[inline(always)]
    unsafe fn scatter(to: *mut u32, lanes: u32, index: *const u32, words: __m256i) {
        let mut values = [0; 8];
        // SAFETY: as above; the array is one vector long.
        unsafe {
            Avx2::store(values.as_mut_ptr(), words);
            for (lane, value) in values.into_iter().enumerate() {
                if lanes >> lane & 1 == 1 {
                    *to.add(*index.add(lane) as usize) = value;
                }
            }
        }
    }
}

/// For each set of lanes, the lanes in order.
static COMPRESSION: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut lanes = 0;
    while lanes < 256 {
        let (mut lane, mut count) = (0, 0);
        while lane < 8 {
            if lanes >> lane & 1 == 1 {
                table[lanes][count] = lane;
                count += 1;
            }
            lane += 1;
        }
        lanes += 1;
    }
    table
};
