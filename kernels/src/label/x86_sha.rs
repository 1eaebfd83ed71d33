//! Labels on the x86 SHA extensions: of one sector with the least latency, of two to four with the most throughput.
//!
//! One sector is a chain of 19 blocks for each node, so all that is not on the chain is done beside it: schedules, the bytes'
//! order, block 0 of the next node. Several sectors keep the SHA unit busy, so what counts is the work it is given: each
//! schedule is expanded once, beside the rounds of the block before it, and then read from the first-level cache.

use core::arch::x86_64::{__m128i, _mm_and_si128, _mm_loadu_si128, _mm_set_epi32, _mm_storeu_si128};

use super::lanes::PADDING;
use super::{BASE, CONSTANT_ROUNDS, Header, Labels, NODE_WORD, Parents, SLOTS, Window};
use crate::sha256::x86_sha::{
    Beside, Blocks, Expand, Nothing, Quads, Rounds, absorb, absorb_words, four, swap_bytes, wk,
};
use crate::sha256::{INITIAL_STATE, TRIM, sixteen_times};

const ALL: usize = size_of::<Parents>() / 4;

/// See [`super::Layer::label_nodes`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn label_one(sectors: &[Header], window: Window<'_, [[u32; 8]; 1]>) {
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        if window.previous.is_some() {
            one::<ALL>(&sectors[0], window);
        } else {
            one::<BASE>(&sectors[0], window);
        }
    }
}

/// See [`super::Layer::label_nodes`].
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub fn label_streams<const S: usize>(sectors: &[Header], window: Window<'_, [[u32; 8]; S]>) {
    let sectors = sectors.first_chunk().expect("a sector for each stream");
    // SAFETY: this function's features are those the helpers need.
    unsafe {
        if window.previous.is_some() {
            streams::<S, ALL>(sectors, window);
        } else {
            streams::<S, BASE>(sectors, window);
        }
    }
}

/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn one<const PARENTS: usize>(sector: &Header, mut window: Window<'_, [[u32; 8]; 1]>) {
    let mut schedules = [Quads::<1>::zero(); 7];
    let schedules = &mut schedules[..PARENTS / 2];
    // SAFETY: the contract of this function.
    unsafe {
        let mut last = Quads::zero();
        let mut beside = Block0::new(sector, window.first);
        sixteen_times!(i { beside.step(i); });
        let mut label = load(&window.current[window.first - 1][0]);
        for i in 0..window.count {
            let node = window.first + i;
            let mut rounds = [beside.finish()];
            let (labels, to) = window.node(i);

            let [c, d] = load(&labels.parent::<PARENTS>(1)[0]);
            let (first, next) = schedules.split_at_mut(1);
            let mut ahead = Expand::new(PairBlocks::new::<PARENTS>(&labels, 1), &mut next[0]);
            absorb_words(&mut rounds[0], [label[0], label[1], c, d], &mut first[0], &mut ahead);
            for pair in 2..PARENTS / 2 {
                let (ready, next) = schedules.split_at_mut(pair);
                let mut ahead = Expand::new(PairBlocks::new::<PARENTS>(&labels, pair), &mut next[0]);
                absorb(&mut rounds, &ready[pair - 1], &mut ahead);
            }
            let parent = labels.parent::<PARENTS>(SLOTS - 1);
            absorb(&mut rounds, &schedules[PARENTS / 2 - 1], &mut Expand::new(LastBlocks { parent }, &mut last));

            beside = Block0::new(sector, node + 1);
            absorb(&mut rounds, &schedules[0], &mut beside);
            // All at once, so that their page walks overlap where pages are small.
            for pair in 0..PARENTS / 2 {
                labels.fetch_pair(pair);
            }
            for pair in PARENTS / 2 + 1..SLOTS / 2 {
                absorb(&mut rounds, &schedules[pair % (PARENTS / 2)], &mut Nothing);
            }
            absorb(&mut rounds, &last, &mut Nothing);

            label = trim(rounds[0]);
            store(label, &mut to[0]);
        }
    }
}

/// Block 0 of a node, beside the chain of the node before.
struct Block0 {
    rounds: Rounds,
    words: [__m128i; 4],
}

impl Block0 {
    /// # Safety
    /// The contract of [`crate::sha256::x86_sha`].
    #[inline(always)]
    unsafe fn new(sector: &Header, node: usize) -> Block0 {
        let sectors = core::array::from_ref(sector);
        let block = NodeBlocks { sectors, node };
        // SAFETY: the contract of this function.
        unsafe {
            Block0 {
                rounds: Rounds::load(&sector.midstate),
                words: [block.quad(0, 0), block.quad(0, 1), block.quad(0, 2), block.quad(0, 3)],
            }
        }
    }

    /// The state after all steps.
    ///
    /// # Safety
    /// The contract of [`crate::sha256::x86_sha`].
    #[inline(always)]
    unsafe fn finish(&self) -> Rounds {
        let mut rounds = self.rounds;
        // SAFETY: the contract of this function.
        unsafe { rounds.add(Rounds::load(&INITIAL_STATE)) };
        rounds
    }
}

impl Beside for Block0 {
    #[inline(always)]
    unsafe fn step(&mut self, i: usize) {
        // SAFETY: the trait's contract.
        unsafe {
            let wk = wk(&mut self.words, i);
            varying_rounds(core::array::from_mut(&mut self.rounds), &[wk], i);
        }
    }
}

/// Rounds 4 i to 4 i + 3 of block 0, of which the first ten are done.
///
/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn varying_rounds<const S: usize>(rounds: &mut [Rounds; S], wk: &[__m128i; S], i: usize) {
    const { assert!(CONSTANT_ROUNDS == 4 * 2 + 2) };
    // SAFETY: the contract of this function.
    unsafe {
        if i == 2 {
            rounds.iter_mut().zip(wk).for_each(|(rounds, wk)| rounds.last_two(*wk));
        } else if i > 2 {
            four(rounds, wk);
        }
    }
}

/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn streams<const S: usize, const PARENTS: usize>(sectors: &[Header; S], mut window: Window<'_, [[u32; 8]; S]>) {
    let mut schedules = [Quads::<S>::zero(); 7];
    let schedules = &mut schedules[..PARENTS / 2];
    let (mut block0, mut last) = (Quads::zero(), Quads::zero());
    // SAFETY: the contract of this function.
    unsafe {
        Expand::new(NodeBlocks { sectors, node: window.first }, &mut block0).all();
        let initial = Rounds::load(&INITIAL_STATE);
        for i in 0..window.count {
            let node = window.first + i;
            let (labels, to) = window.node(i);

            let mut rounds = [initial; S];
            for (rounds, sector) in rounds.iter_mut().zip(sectors) {
                *rounds = Rounds::load(&sector.midstate);
            }
            labels.fetch_pair(0);
            let mut beside = Expand::new(PairBlocks::new::<PARENTS>(&labels, 0), &mut schedules[0]);
            sixteen_times!(i {
                beside.step(i);
                varying_rounds(&mut rounds, &block0.0[i], i);
            });
            rounds.iter_mut().for_each(|rounds| rounds.add(initial));

            for pair in 1..PARENTS / 2 {
                labels.fetch_pair(pair);
                let (ready, next) = schedules.split_at_mut(pair);
                let mut ahead = Expand::new(PairBlocks::new::<PARENTS>(&labels, pair), &mut next[0]);
                absorb(&mut rounds, &ready[pair - 1], &mut ahead);
            }
            let parent = labels.parent::<PARENTS>(SLOTS - 1);
            absorb(&mut rounds, &schedules[PARENTS / 2 - 1], &mut Expand::new(LastBlocks { parent }, &mut last));
            let blocks = NodeBlocks { sectors, node: node + 1 };
            absorb(&mut rounds, &schedules[0], &mut Expand::new(blocks, &mut block0));
            for pair in PARENTS / 2 + 1..SLOTS / 2 {
                absorb(&mut rounds, &schedules[pair % (PARENTS / 2)], &mut Nothing);
            }
            absorb(&mut rounds, &last, &mut Nothing);

            for (to, rounds) in to.iter_mut().zip(rounds) {
                store(trim(rounds), to);
            }
        }
    }
}

/// Block 0 of a node.
struct NodeBlocks<'a, const S: usize> {
    sectors: &'a [Header; S],
    node: usize,
}

impl<const S: usize> Blocks for NodeBlocks<'_, S> {
    #[inline(always)]
    unsafe fn quad(&self, s: usize, i: usize) -> __m128i {
        const { assert!(NODE_WORD == 4 * 2 + 2) };
        let words = &self.sectors[s].words.as_chunks::<4>().0[i];
        // SAFETY: the trait's contract; four words are a vector, the load needs no alignment.
        unsafe {
            if i == 2 {
                _mm_set_epi32(0, self.node as i32, 0, words[0].cast_signed())
            } else {
                _mm_loadu_si128(words.as_ptr().cast())
            }
        }
    }
}

/// Two parents.
struct PairBlocks<'a, const S: usize>([&'a [[u32; 8]; S]; 2]);

impl<'a, const S: usize> PairBlocks<'a, S> {
    #[inline(always)]
    fn new<const PARENTS: usize>(labels: &'a Labels<'a, [[u32; 8]; S]>, pair: usize) -> Self {
        PairBlocks([labels.parent::<PARENTS>(2 * pair), labels.parent::<PARENTS>(2 * pair + 1)])
    }
}

impl<const S: usize> Blocks for PairBlocks<'_, S> {
    #[inline(always)]
    unsafe fn quad(&self, s: usize, i: usize) -> __m128i {
        // SAFETY: the trait's contract.
        unsafe { load_half(&self.0[i / 2][s], i % 2) }
    }
}

/// A parent and the padding.
struct LastBlocks<'a, const S: usize> {
    parent: &'a [[u32; 8]; S],
}

impl<const S: usize> Blocks for LastBlocks<'_, S> {
    #[inline(always)]
    unsafe fn quad(&self, s: usize, i: usize) -> __m128i {
        // SAFETY: the trait's contract.
        unsafe { if i < 2 { load_half(&self.parent[s], i) } else { padding(i - 2) } }
    }
}

/// Words 4 `half` to 4 `half` + 3 of the padding.
#[inline(always)]
unsafe fn padding(half: usize) -> __m128i {
    let words = &PADDING.as_chunks::<4>().0[half];
    // SAFETY: four words are a vector, the load needs no alignment; SSE2 is part of x86-64.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// The words of a label from its bytes.
///
/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn load(label: &[u32; 8]) -> [__m128i; 2] {
    // SAFETY: the contract of this function.
    unsafe { [load_half(label, 0), load_half(label, 1)] }
}

/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn load_half(label: &[u32; 8], half: usize) -> __m128i {
    let bytes = &label.as_chunks::<4>().0[half];
    // SAFETY: four words are a vector, the load needs no alignment; the contract of this function.
    unsafe { swap_bytes(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

/// The words of the label from the last state.
///
/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn trim(rounds: Rounds) -> [__m128i; 2] {
    // SAFETY: the contract of this function.
    unsafe {
        let [low, high] = rounds.halves();
        [low, _mm_and_si128(high, _mm_set_epi32(TRIM.cast_signed(), -1, -1, -1))]
    }
}

/// Writes the bytes of a label.
///
/// # Safety
/// The contract of [`crate::sha256::x86_sha`].
#[inline(always)]
unsafe fn store(label: [__m128i; 2], to: &mut [u32; 8]) {
    let to = to.as_mut_ptr().cast::<__m128i>();
    // SAFETY: eight words are two vectors, the stores need no alignment; the contract of this function.
    unsafe {
        _mm_storeu_si128(to, swap_bytes(label[0]));
        _mm_storeu_si128(to.add(1), swap_bytes(label[1]));
    }
}
