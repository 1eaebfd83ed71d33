//! SHA-256 on the x86 SHA extensions, one stream.
//!
//! `sha256rnds2` does two rounds on a state kept as two vectors, ABEF and CDGH: its result is the new ABEF, and the old ABEF
//! becomes the new CDGH, so two calls that swap the operands do four rounds without a move. The 32 calls of a block depend on
//! each other (4 cycles each on Zen and Intel): 128 cycles that nothing but a second stream can fill. The schedule
//! (`sha256msg1`, `sha256msg2`) runs beside them.
//!
//! Only the outermost functions carry `target_feature`; the helpers are inlined into them.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_load_si128, _mm_loadu_si128, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_storeu_si128,
};

use super::Schedule;
use super::schedule::K;

/// The round constants where an aligned vector load finds them.
static ROUND_CONSTANTS: Schedule = Schedule(K);

/// See [`super::compress`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        let mut rounds = Rounds::load(state);
        for block in blocks {
            let before = rounds;
            let mut w = words(block);
            for (i, w) in w.iter().enumerate() {
                rounds.four(_mm_add_epi32(*w, quad(&ROUND_CONSTANTS, i)));
            }
            for i in (4..16).step_by(4) {
                for j in 0..4 {
                    w[j] = next_words(w[j], w[(j + 1) % 4], w[(j + 2) % 4], w[(j + 3) % 4]);
                    rounds.four(_mm_add_epi32(w[j], quad(&ROUND_CONSTANTS, i + j)));
                }
            }
            rounds.add(before);
        }
        rounds.store(state);
    }
}

/// See [`super::rounds_chain`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn rounds_chain(state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        let mut rounds = Rounds::load(state);
        for _ in 0..n {
            let before = rounds;
            for i in 0..16 {
                rounds.four(quad(schedule, i));
            }
            rounds.add(before);
        }
        rounds.store(state);
    }
}

/// The working variables, high word first: A B E F and C D G H.
#[derive(Clone, Copy)]
struct Rounds {
    abef: __m128i,
    cdgh: __m128i,
}

impl Rounds {
    /// # Safety
    /// The CPU has SSSE3 and SSE4.1.
    #[inline(always)]
    unsafe fn load(state: &[u32; 8]) -> Rounds {
        let low = state.as_ptr().cast::<__m128i>();
        // SAFETY: the state is two vectors long, the loads need no alignment; features by this function's contract.
        unsafe {
            let cdab = _mm_shuffle_epi32(_mm_loadu_si128(low), 0xb1);
            let efgh = _mm_shuffle_epi32(_mm_loadu_si128(low.add(1)), 0x1b);
            Rounds { abef: _mm_alignr_epi8(cdab, efgh, 8), cdgh: _mm_blend_epi16(efgh, cdab, 0xf0) }
        }
    }

    /// # Safety
    /// The CPU has SSSE3 and SSE4.1.
    #[inline(always)]
    unsafe fn store(self, state: &mut [u32; 8]) {
        let low = state.as_mut_ptr().cast::<__m128i>();
        // SAFETY: the state is two vectors long, the stores need no alignment; features by this function's contract.
        unsafe {
            let feba = _mm_shuffle_epi32(self.abef, 0x1b);
            let dchg = _mm_shuffle_epi32(self.cdgh, 0xb1);
            _mm_storeu_si128(low, _mm_blend_epi16(feba, dchg, 0xf0));
            _mm_storeu_si128(low.add(1), _mm_alignr_epi8(dchg, feba, 8));
        }
    }

    /// Four rounds with their four words of W + K.
    ///
    /// # Safety
    /// The CPU has the SHA extensions.
    #[inline(always)]
    unsafe fn four(&mut self, wk: __m128i) {
        // SAFETY: the feature by this function's contract.
        unsafe {
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, wk);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32(wk, 0x0e));
        }
    }

    /// # Safety
    /// The CPU has SSE2.
    #[inline(always)]
    unsafe fn add(&mut self, other: Rounds) {
        // SAFETY: the feature by this function's contract.
        unsafe {
            self.abef = _mm_add_epi32(self.abef, other.abef);
            self.cdgh = _mm_add_epi32(self.cdgh, other.cdgh);
        }
    }
}

/// The 16 words of a block, four to a vector, the first in the lowest lane.
///
/// # Safety
/// The CPU has SSSE3.
#[inline(always)]
unsafe fn words(block: &[u8; 64]) -> [__m128i; 4] {
    let from = block.as_ptr().cast::<__m128i>();
    // SAFETY: a block is four vectors long, the loads need no alignment; the feature by this function's contract.
    unsafe {
        let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        [0, 1, 2, 3].map(|i| _mm_shuffle_epi8(_mm_loadu_si128(from.add(i)), big_endian))
    }
}

/// W of the next four rounds from the sixteen before.
///
/// # Safety
/// The CPU has the SHA extensions and SSSE3.
#[inline(always)]
unsafe fn next_words(w0: __m128i, w1: __m128i, w2: __m128i, w3: __m128i) -> __m128i {
    // SAFETY: the features by this function's contract.
    unsafe {
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
        _mm_sha256msg2_epu32(sum, w3)
    }
}

/// Words `4 i` to `4 i + 3` of a schedule.
///
/// # Safety
/// `i` is below 16.
#[inline(always)]
unsafe fn quad(schedule: &Schedule, i: usize) -> __m128i {
    // SAFETY: a schedule is 16 vectors long and aligned to them; SSE2 is part of x86-64.
    unsafe { _mm_load_si128(schedule.0.as_ptr().cast::<__m128i>().add(i)) }
}
