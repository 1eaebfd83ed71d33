//! SHA-256 in AVX-512, 16 streams: rotations and any logic of three operands are one instruction each.
//!
//! A round is then 17 instructions, and five of them are on the chain from e to the next e: three rotations, of which two start
//! at a time, exclusive or, addition. Where each takes a cycle (Zen 4) or only two of 512 bits start at a time (Intel), 16
//! streams fill the core. Zen 5 starts four and takes two cycles for each: a round of 16 streams takes nearly nine cycles, and
//! 32 streams, two chains in turn, twelve and a half.

use core::arch::x86_64::{
    __m512i, _mm256_storeu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_castsi512_si256, _mm512_loadu_si512,
    _mm512_ror_epi32, _mm512_set1_epi32, _mm512_set4_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_storeu_si512, _mm512_sub_epi32, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::Schedule;
use super::lanes::{self, Lanes, Two};

/// See [`super::rounds_streams`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn rounds_streams(states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::rounds_streams::<Words>(states, schedules, n) }
}

/// See [`super::hash_node_pairs`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn hash_node_pairs(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::hash_node_pairs::<Words>(children, out) }
}

/// See [`super::rounds_streams`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn rounds_streams_x32(states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::rounds_streams::<Two<Words>>(states, schedules, n) }
}

/// See [`super::hash_node_pairs`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn hash_node_pairs_x32(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::hash_node_pairs::<Two<Words>>(children, out) }
}

/// A word of each of 16 streams.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Words(__m512i);

/// The truth tables of three-operand logic, indexed by the bits of the operands, the first being the highest.
const XOR: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

impl Lanes for Words {
    const COUNT: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: the feature by this function's contract.
        unsafe { Words(_mm512_set1_epi32(word.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        let words = words.first_chunk::<16>().expect("a word for each lane");
        // SAFETY: 16 words are a vector, the load needs no alignment; the feature by this function's contract.
        unsafe { Words(_mm512_loadu_si512(words.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn load_blocks(blocks: &[[u8; 64]]) -> [Self; 16] {
        let blocks = blocks.first_chunk::<16>().expect("a block for each lane");
        // SAFETY: the feature by this function's contract.
        let mut words = [unsafe { Words(_mm512_setzero_si512()) }; 16];
        for (words, block) in words.iter_mut().zip(blocks) {
            // SAFETY: a block is a vector, the load needs no alignment; the feature by this function's contract.
            *words = swap_bytes(unsafe { Words(_mm512_loadu_si512(block.as_ptr().cast())) });
        }
        transpose(&mut words);
        words
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words = words.first_chunk_mut::<16>().expect("a place for each lane");
        // SAFETY: 16 words are a vector, the store needs no alignment; `self` exists.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn store_digests(words: [Self; 8], digests: &mut [[u8; 32]]) {
        let digests = digests.first_chunk_mut::<16>().expect("a place for each lane");
        let mut rows = [words[0]; 16];
        for (row, words) in rows.iter_mut().zip(words) {
            *row = swap_bytes(words);
        }
        transpose(&mut rows);
        for (digest, row) in digests.iter_mut().zip(rows) {
            // SAFETY: half a vector is a digest, the store needs no alignment; `row` exists.
            unsafe { _mm256_storeu_si256(digest.as_mut_ptr().cast(), _mm512_castsi512_si256(row.0)) }
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm512_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm512_sub_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: `self` exists.
        unsafe { Words(_mm512_and_si512(self.0, other.0)) }
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        logic::<CHOOSE>(e, f, g)
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        logic::<MAJORITY>(a, b, c)
    }

    #[inline(always)]
    fn big_sigma0(self) -> Self {
        logic::<XOR>(rotate::<2>(self), rotate::<13>(self), rotate::<22>(self))
    }

    #[inline(always)]
    fn big_sigma1(self) -> Self {
        logic::<XOR>(rotate::<6>(self), rotate::<11>(self), rotate::<25>(self))
    }

    #[inline(always)]
    fn small_sigma0(self) -> Self {
        logic::<XOR>(rotate::<7>(self), rotate::<18>(self), shift::<3>(self))
    }

    #[inline(always)]
    fn small_sigma1(self) -> Self {
        logic::<XOR>(rotate::<17>(self), rotate::<19>(self), shift::<10>(self))
    }
}

#[inline(always)]
fn logic<const TABLE: i32>(a: Words, b: Words, c: Words) -> Words {
    // SAFETY: `a` exists.
    unsafe { Words(_mm512_ternarylogic_epi32::<TABLE>(a.0, b.0, c.0)) }
}

#[inline(always)]
fn rotate<const BITS: i32>(words: Words) -> Words {
    // SAFETY: `words` exists.
    unsafe { Words(_mm512_ror_epi32::<BITS>(words.0)) }
}

#[inline(always)]
fn shift<const BITS: u32>(words: Words) -> Words {
    // SAFETY: `words` exists.
    unsafe { Words(_mm512_srli_epi32::<BITS>(words.0)) }
}

#[inline(always)]
fn swap_bytes(words: Words) -> Words {
    // SAFETY: `words` exists.
    unsafe {
        let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
        Words(_mm512_shuffle_epi8(words.0, big_endian))
    }
}

/// Word i of vector j becomes word j of vector i: first in 4 by 4 words, then 4 by 4 of those.
#[inline(always)]
fn transpose(rows: &mut [Words; 16]) {
    let mut within = [rows[0].0; 16];
    // SAFETY: `rows` exist.
    unsafe {
        for i in 0..4 {
            let [a, b, c, d] = [rows[4 * i].0, rows[4 * i + 1].0, rows[4 * i + 2].0, rows[4 * i + 3].0];
            let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            within[4 * i] = _mm512_unpacklo_epi64(ab_low, cd_low);
            within[4 * i + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
            within[4 * i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
            within[4 * i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
        }
        for i in 0..4 {
            let [a, b, c, d] = [within[i], within[4 + i], within[8 + i], within[12 + i]];
            let (ab_even, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
            let (cd_even, cd_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
            rows[i] = Words(_mm512_shuffle_i32x4::<0x88>(ab_even, cd_even));
            rows[4 + i] = Words(_mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd));
            rows[8 + i] = Words(_mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even));
            rows[12 + i] = Words(_mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd));
        }
    }
}
