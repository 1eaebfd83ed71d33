//! SHA-256 on the x86 SHA extensions, one to four streams.
//!
//! `sha256rnds2` does two rounds on a state kept as two vectors, ABEF and CDGH: its result is the new ABEF, and the old ABEF
//! becomes the new CDGH, so two calls that swap the operands do four rounds without a move. The 32 calls of a block depend on
//! each other (4 cycles each on Zen and Intel): 128 cycles that nothing but other streams can fill. The unit begins a call
//! every cycle on Zen 4, every second on Zen 5, where two streams therefore nearly fill it. The schedule (`sha256msg1`,
//! `sha256msg2`) competes with them for time, so it is expanded once for all blocks that repeat it, beside the rounds of a block
//! before them ([`absorb`]).
//!
//! Only the outermost functions carry `target_feature`; the helpers are inlined into them. All unsafe helpers have one
//! contract: the CPU has the SHA extensions, SSSE3 and SSE4.1.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_load_si128, _mm_loadu_si128, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};

use super::schedule::K;
use super::{INITIAL_STATE, PADDING_AFTER_ONE_BLOCK, Schedule, TRIM, digest, sixteen_times};

/// The round constants where an aligned vector load finds them.
static ROUND_CONSTANTS: Schedule = Schedule(K);

/// See [`super::compress`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        let mut rounds = Rounds::load(state);
        for block in blocks {
            absorb_words(&mut rounds, words(block), &mut Forget, &mut Nothing);
        }
        *state = rounds.words();
    }
}

/// See [`super::rounds_chain`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn rounds_chain(state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    rounds_streams::<1>(core::slice::from_mut(state), core::slice::from_ref(schedule), n);
}

/// See [`super::rounds_streams`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn rounds_streams<const S: usize>(states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    let states = states.first_chunk_mut::<S>().expect("a state for each stream");
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        let mut rounds = states.each_ref().map(|state| Rounds::load(state));
        let mut ready = Quads::<S>::zero();
        for (i, quads) in ready.0.iter_mut().enumerate() {
            for (to, schedule) in quads.iter_mut().zip(schedules) {
                *to = quad(schedule, i);
            }
        }
        for _ in 0..n {
            absorb(&mut rounds, &ready, &mut Nothing);
        }
        for (state, rounds) in states.iter_mut().zip(rounds) {
            *state = rounds.words();
        }
    }
}

/// See [`super::hash_node_pairs`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn hash_node_pairs<const S: usize>(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        let (full, rest) = children.as_chunks::<S>();
        let (full_out, rest_out) = out.as_chunks_mut::<S>();
        hash_full(full, full_out);
        hash_full::<1>(rest.as_chunks().0, rest_out.as_chunks_mut().0);
    }
}

/// Groups of pairs, one for each stream: the schedules of a group are expanded beside the padding blocks of the one before.
#[inline(always)]
unsafe fn hash_full<const S: usize>(groups: &[[[u8; 64]; S]], out: &mut [[[u8; 32]; S]]) {
    // SAFETY: the contract of this file.
    unsafe {
        let mut padding = Quads::<S>::zero();
        for (i, quads) in padding.0.iter_mut().enumerate() {
            *quads = [quad(&PADDING_AFTER_ONE_BLOCK, i); S];
        }
        let initial = Rounds::load(&INITIAL_STATE);
        let mut ready = Quads::zero();
        if let Some(first) = groups.first() {
            Expand::new(first, &mut ready).all();
        }
        for (g, out) in out.iter_mut().enumerate() {
            let mut rounds = [initial; S];
            absorb(&mut rounds, &ready, &mut Nothing);
            let next = groups.get(g + 1).unwrap_or(&groups[g]);
            absorb(&mut rounds, &padding, &mut Expand::new(next, &mut ready));
            for (node, rounds) in out.iter_mut().zip(rounds) {
                let mut words = rounds.words();
                words[7] &= TRIM;
                *node = digest(&words);
            }
        }
    }
}

/// W + K of one block of each of `S` streams, the words of four rounds to a vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Quads<const S: usize>(pub [[__m128i; S]; 16]);

impl<const S: usize> Quads<S> {
    #[inline(always)]
    pub fn zero() -> Quads<S> {
        // SAFETY: SSE2 is part of x86-64.
        Quads([[unsafe { _mm_setzero_si128() }; S]; 16])
    }
}

/// What is done while the rounds of a block wait for each other: step i stands before rounds 4 i to 4 i + 3.
pub(crate) trait Beside {
    /// # Safety
    /// The contract of this file.
    unsafe fn step(&mut self, i: usize);
}

/// Nothing is done beside.
pub(crate) struct Nothing;

impl Beside for Nothing {
    #[inline(always)]
    unsafe fn step(&mut self, _: usize) {}
}

/// A block of each of several streams.
pub(crate) trait Blocks {
    /// Words 4 i to 4 i + 3 of the block of stream `s`.
    ///
    /// # Safety
    /// The contract of this file; `i` is below 4.
    unsafe fn quad(&self, s: usize, i: usize) -> __m128i;
}

impl<const S: usize> Blocks for &[[u8; 64]; S] {
    #[inline(always)]
    unsafe fn quad(&self, s: usize, i: usize) -> __m128i {
        // SAFETY: the contract of this file.
        unsafe { load_words(&self[s].as_chunks::<16>().0[i]) }
    }
}

/// Expands the schedules of `S` blocks beside each other: each is a chain of its own.
pub(crate) struct Expand<'a, B, const S: usize> {
    blocks: B,
    words: [[__m128i; 4]; S],
    to: &'a mut Quads<S>,
}

impl<'a, B: Blocks, const S: usize> Expand<'a, B, S> {
    #[inline(always)]
    pub fn new(blocks: B, to: &'a mut Quads<S>) -> Self {
        // SAFETY: SSE2 is part of x86-64.
        Expand { blocks, words: [[unsafe { _mm_setzero_si128() }; 4]; S], to }
    }

    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn all(mut self) {
        // SAFETY: the contract of this file.
        unsafe { sixteen_times!(i { self.step(i); }) }
    }
}

impl<B: Blocks, const S: usize> Beside for Expand<'_, B, S> {
    #[inline(always)]
    unsafe fn step(&mut self, i: usize) {
        for s in 0..S {
            // SAFETY: the contract of this file.
            unsafe {
                if i < 4 {
                    self.words[s][i] = self.blocks.quad(s, i);
                }
                self.to.0[i][s] = wk(&mut self.words[s], i);
            }
        }
    }
}

/// Absorbs one block of each stream, their schedules ready.
///
/// # Safety
/// The contract of this file.
#[inline(always)]
pub(crate) unsafe fn absorb<const S: usize>(rounds: &mut [Rounds; S], ready: &Quads<S>, beside: &mut impl Beside) {
    let before = *rounds;
    // SAFETY: the contract of this file.
    unsafe {
        sixteen_times!(i {
            beside.step(i);
            four(rounds, &ready.0[i]);
        });
        for (rounds, before) in rounds.iter_mut().zip(before) {
            rounds.add(before);
        }
    }
}

/// Four rounds of each stream.
///
/// # Safety
/// The contract of this file.
#[inline(always)]
pub(crate) unsafe fn four<const S: usize>(rounds: &mut [Rounds; S], wk: &[__m128i; S]) {
    // SAFETY: the contract of this file.
    unsafe {
        for (rounds, wk) in rounds.iter_mut().zip(wk) {
            rounds.cdgh = _mm_sha256rnds2_epu32(rounds.cdgh, rounds.abef, *wk);
        }
        for (rounds, wk) in rounds.iter_mut().zip(wk) {
            rounds.abef = _mm_sha256rnds2_epu32(rounds.abef, rounds.cdgh, second_half(*wk));
        }
    }
}

/// Takes the schedule of a block as its rounds expand it.
pub(crate) trait Keep {
    fn keep(&mut self, i: usize, wk: __m128i);
}

/// The schedule is used once.
pub(crate) struct Forget;

impl Keep for Forget {
    #[inline(always)]
    fn keep(&mut self, _: usize, _: __m128i) {}
}

impl Keep for Quads<1> {
    #[inline(always)]
    fn keep(&mut self, i: usize, wk: __m128i) {
        self.0[i] = [wk];
    }
}

/// Absorbs one block of one stream and expands its schedule beside.
///
/// # Safety
/// The contract of this file.
#[inline(always)]
pub(crate) unsafe fn absorb_words(
    rounds: &mut Rounds,
    mut words: [__m128i; 4],
    keep: &mut impl Keep,
    beside: &mut impl Beside,
) {
    let before = *rounds;
    // SAFETY: the contract of this file.
    unsafe {
        sixteen_times!(i {
            let wk = wk(&mut words, i);
            keep.keep(i, wk);
            rounds.four(wk);
            beside.step(i);
        });
        rounds.add(before);
    }
}

/// The working variables, high word first: A B E F and C D G H.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    abef: __m128i,
    cdgh: __m128i,
}

impl Rounds {
    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn load(state: &[u32; 8]) -> Rounds {
        let low = state.as_ptr().cast::<__m128i>();
        // SAFETY: the state is two vectors long, the loads need no alignment; the contract of this file.
        unsafe {
            let cdab = _mm_shuffle_epi32(_mm_loadu_si128(low), 0xb1);
            let efgh = _mm_shuffle_epi32(_mm_loadu_si128(low.add(1)), 0x1b);
            Rounds { abef: _mm_alignr_epi8(cdab, efgh, 8), cdgh: _mm_blend_epi16(efgh, cdab, 0xf0) }
        }
    }

    /// A to D and E to H, the first word in the lowest lane.
    ///
    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn halves(self) -> [__m128i; 2] {
        // SAFETY: the contract of this file.
        unsafe {
            let feba = _mm_shuffle_epi32(self.abef, 0x1b);
            let dchg = _mm_shuffle_epi32(self.cdgh, 0xb1);
            [_mm_blend_epi16(feba, dchg, 0xf0), _mm_alignr_epi8(dchg, feba, 8)]
        }
    }

    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn words(self) -> [u32; 8] {
        let mut words = [0; 8];
        // SAFETY: eight words are two vectors, the stores need no alignment; the contract of this file.
        unsafe {
            let [low, high] = self.halves();
            let to = words.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(to, low);
            _mm_storeu_si128(to.add(1), high);
        }
        words
    }

    /// Four rounds with their four words of W + K.
    ///
    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn four(&mut self, wk: __m128i) {
        // SAFETY: the contract of this file.
        unsafe {
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, wk);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, second_half(wk));
        }
    }

    /// The last two of four rounds.
    ///
    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn last_two(&mut self, wk: __m128i) {
        // SAFETY: the contract of this file.
        let abef = unsafe { _mm_sha256rnds2_epu32(self.cdgh, self.abef, second_half(wk)) };
        *self = Rounds { abef, cdgh: self.abef };
    }

    /// # Safety
    /// The contract of this file.
    #[inline(always)]
    pub unsafe fn add(&mut self, other: Rounds) {
        // SAFETY: the contract of this file.
        unsafe {
            self.abef = _mm_add_epi32(self.abef, other.abef);
            self.cdgh = _mm_add_epi32(self.cdgh, other.cdgh);
        }
    }
}

/// W + K of the third and fourth round, where the instruction takes them.
#[inline(always)]
unsafe fn second_half(wk: __m128i) -> __m128i {
    // SAFETY: the contract of this file.
    unsafe { _mm_shuffle_epi32(wk, 0x0e) }
}

/// The 16 words of a block, four to a vector, the first in the lowest lane.
#[inline(always)]
unsafe fn words(block: &[u8; 64]) -> [__m128i; 4] {
    let [a, b, c, d] = block.as_chunks::<16>().0 else { unreachable!("a block is four times 16 bytes") };
    // SAFETY: the contract of this file.
    unsafe { [load_words(a), load_words(b), load_words(c), load_words(d)] }
}

/// Four words from their big-endian bytes.
///
/// # Safety
/// The contract of this file.
#[inline(always)]
pub(crate) unsafe fn load_words(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are a vector, the load needs no alignment; the contract of this file.
    unsafe { swap_bytes(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

/// # Safety
/// The contract of this file.
#[inline(always)]
pub(crate) unsafe fn swap_bytes(words: __m128i) -> __m128i {
    // SAFETY: the contract of this file.
    unsafe { _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203)) }
}

/// W + K of rounds 4 i to 4 i + 3; `words` holds the block at first, then the last 16 words of the schedule.
///
/// # Safety
/// The contract of this file; `i` is below 16.
#[inline(always)]
pub(crate) unsafe fn wk(words: &mut [__m128i; 4], i: usize) -> __m128i {
    // SAFETY: the contract of this file.
    unsafe {
        if i >= 4 {
            words[i % 4] = next_words(words[i % 4], words[(i + 1) % 4], words[(i + 2) % 4], words[(i + 3) % 4]);
        }
        _mm_add_epi32(words[i % 4], quad(&ROUND_CONSTANTS, i))
    }
}

/// W of the next four rounds from the sixteen before.
#[inline(always)]
unsafe fn next_words(w0: __m128i, w1: __m128i, w2: __m128i, w3: __m128i) -> __m128i {
    // SAFETY: the contract of this file.
    unsafe {
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
        _mm_sha256msg2_epu32(sum, w3)
    }
}

/// Words 4 i to 4 i + 3 of a schedule.
#[inline(always)]
unsafe fn quad(schedule: &Schedule, i: usize) -> __m128i {
    // SAFETY: `i` is below 16, a schedule is 16 vectors long and aligned to them; SSE2 is part of x86-64.
    unsafe { _mm_load_si128(schedule.0.as_ptr().cast::<__m128i>().add(i)) }
}
