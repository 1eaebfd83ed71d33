//! SHA-256 in AVX2, 8 streams: a rotation is two shifts, so it takes twice the instructions of AVX-512. For CPUs without the
//! SHA extensions.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_set_epi64x,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_storeu_si256, _mm256_sub_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::Schedule;
use super::lanes::{self, Lanes};

/// See [`super::rounds_streams`].
#[target_feature(enable = "avx2")]
pub fn rounds_streams(states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    // SAFETY: this function's feature is that of the type.
    unsafe { lanes::rounds_streams::<Words>(states, schedules, n) }
}

/// See [`super::hash_node_pairs`].
#[target_feature(enable = "avx2")]
pub fn hash_node_pairs(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: this function's feature is that of the type.
    unsafe { lanes::hash_node_pairs::<Words>(children, out) }
}

/// A word of each of 8 streams.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Words(__m256i);

impl Lanes for Words {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: the feature by this function's contract.
        unsafe { Words(_mm256_set1_epi32(word.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        let words = words.first_chunk::<8>().expect("a word for each lane");
        // SAFETY: 8 words are a vector, the load needs no alignment; the feature by this function's contract.
        unsafe { Words(_mm256_loadu_si256(words.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn load_blocks(blocks: &[[u8; 64]]) -> [Self; 16] {
        let blocks = blocks.first_chunk::<8>().expect("a block for each lane");
        // SAFETY: the feature by this function's contract.
        let mut words = [unsafe { Words(_mm256_setzero_si256()) }; 16];
        for (half, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (words, block) in words.iter_mut().zip(blocks) {
                // SAFETY: a block is two vectors, the load needs no alignment; the feature by this function's contract.
                *words = swap_bytes(unsafe { Words(_mm256_loadu_si256(block.as_ptr().cast::<__m256i>().add(half))) });
            }
            transpose(words);
        }
        words
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words = words.first_chunk_mut::<8>().expect("a place for each lane");
        // SAFETY: 8 words are a vector, the store needs no alignment; `self` exists.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn store_digests(words: [Self; 8], digests: &mut [[u8; 32]]) {
        let digests = digests.first_chunk_mut::<8>().expect("a place for each lane");
        let mut rows = words;
        for row in &mut rows {
            *row = swap_bytes(*row);
        }
        transpose(&mut rows);
        for (digest, row) in digests.iter_mut().zip(rows) {
            // SAFETY: a vector is a digest, the store needs no alignment; `row` exists.
            unsafe { _mm256_storeu_si256(digest.as_mut_ptr().cast(), row.0) }
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm256_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm256_sub_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm256_and_si256(self.0, other.0)) }
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        xor(e.and(xor(f, g)), g)
    }

    /// One of its differences is the one that the next round needs.
    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        xor(xor(a, b).and(xor(b, c)), b)
    }

    #[inline(always)]
    fn big_sigma0(self) -> Self {
        xor(xor(rotate::<2, 30>(self), rotate::<13, 19>(self)), rotate::<22, 10>(self))
    }

    #[inline(always)]
    fn big_sigma1(self) -> Self {
        xor(xor(rotate::<6, 26>(self), rotate::<11, 21>(self)), rotate::<25, 7>(self))
    }

    #[inline(always)]
    fn small_sigma0(self) -> Self {
        xor(xor(rotate::<7, 25>(self), rotate::<18, 14>(self)), right::<3>(self))
    }

    #[inline(always)]
    fn small_sigma1(self) -> Self {
        xor(xor(rotate::<17, 15>(self), rotate::<19, 13>(self)), right::<10>(self))
    }
}

#[inline(always)]
fn xor(a: Words, b: Words) -> Words {
    // SAFETY: `a` exists.
    unsafe { Words(_mm256_xor_si256(a.0, b.0)) }
}

#[inline(always)]
fn right<const BITS: i32>(words: Words) -> Words {
    // SAFETY: `words` exists.
    unsafe { Words(_mm256_srli_epi32::<BITS>(words.0)) }
}

/// To the right by `RIGHT` bits, which is to the left by `LEFT`: together 32.
#[inline(always)]
fn rotate<const RIGHT: i32, const LEFT: i32>(words: Words) -> Words {
    const { assert!(RIGHT + LEFT == 32) };
    // SAFETY: `words` exists.
    unsafe { xor(right::<RIGHT>(words), Words(_mm256_slli_epi32::<LEFT>(words.0))) }
}

#[inline(always)]
fn swap_bytes(words: Words) -> Words {
    // SAFETY: `words` exists.
    unsafe {
        let (high, low) = (0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        Words(_mm256_shuffle_epi8(words.0, _mm256_set_epi64x(high, low, high, low)))
    }
}

/// Word i of vector j becomes word j of vector i: first in 4 by 4 words, then 2 by 2 of those.
#[inline(always)]
fn transpose(rows: &mut [Words; 8]) {
    let mut within = [rows[0].0; 8];
    // SAFETY: `rows` exist.
    unsafe {
        for i in 0..2 {
            let [a, b, c, d] = [rows[4 * i].0, rows[4 * i + 1].0, rows[4 * i + 2].0, rows[4 * i + 3].0];
            let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            within[4 * i] = _mm256_unpacklo_epi64(ab_low, cd_low);
            within[4 * i + 1] = _mm256_unpackhi_epi64(ab_low, cd_low);
            within[4 * i + 2] = _mm256_unpacklo_epi64(ab_high, cd_high);
            within[4 * i + 3] = _mm256_unpackhi_epi64(ab_high, cd_high);
        }
        for i in 0..4 {
            rows[i] = Words(_mm256_permute2x128_si256::<0x20>(within[i], within[4 + i]));
            rows[4 + i] = Words(_mm256_permute2x128_si256::<0x31>(within[i], within[4 + i]));
        }
    }
}
