//! SHA-256 of as many independent streams as a vector has lanes: lane i of every vector belongs to stream i.
//!
//! A round is 16 instructions where the instruction set rotates and has three-operand logic (AVX-512), about 34 where it does
//! not (AVX2). All lanes wait for one chain of rounds, so what is not on the chain from e to the next e is added first.

use super::schedule::K;
use super::{INITIAL_STATE, PADDING_AFTER_ONE_BLOCK, Schedule, sixteen_times};

/// One word of each of `COUNT` streams.
///
/// A value exists only on a CPU that has its instructions: the functions that make one from other things are unsafe, those that
/// take one are not.
pub(crate) trait Lanes: Copy {
    /// The streams.
    const COUNT: usize;

    /// The same word in all lanes.
    ///
    /// # Safety
    /// The CPU has the instruction set of the type.
    unsafe fn splat(word: u32) -> Self;

    /// The first `COUNT` words.
    ///
    /// # Panics
    /// If there are fewer.
    ///
    /// # Safety
    /// The CPU has the instruction set of the type.
    unsafe fn load(words: &[u32]) -> Self;

    /// The 16 words of each of the first `COUNT` blocks.
    ///
    /// # Panics
    /// If there are fewer.
    ///
    /// # Safety
    /// The CPU has the instruction set of the type.
    unsafe fn load_blocks(blocks: &[[u8; 64]]) -> [Self; 16];

    /// Writes the first `COUNT` words; panics if there are fewer.
    fn store(self, words: &mut [u32]);

    /// Writes the first `COUNT` digests from their eight words; panics if there are fewer.
    fn store_digests(words: [Self; 8], digests: &mut [[u8; 32]]);

    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;

    /// The functions of FIPS 180-4, 4.1.2, in its order.
    fn choose(e: Self, f: Self, g: Self) -> Self;
    fn majority(a: Self, b: Self, c: Self) -> Self;
    fn big_sigma0(self) -> Self;
    fn big_sigma1(self) -> Self;
    fn small_sigma0(self) -> Self;
    fn small_sigma1(self) -> Self;
}

/// Where the rounds of a block get W + K from, in order: the first 16 rounds ask `first`, the other three groups of 16 `next`.
pub(crate) trait Source<V> {
    fn first(&mut self, j: usize) -> V;
    fn next(&mut self, group: usize, j: usize) -> V;
}

/// A schedule expanded before.
pub(crate) struct Ready<'a, V>(pub &'a [V; 64]);

impl<V: Lanes> Source<V> for Ready<'_, V> {
    #[inline(always)]
    fn first(&mut self, j: usize) -> V {
        self.0[j]
    }

    #[inline(always)]
    fn next(&mut self, group: usize, j: usize) -> V {
        self.0[16 * group + j]
    }
}

/// A schedule that all streams share.
struct Shared<'a>(&'a Schedule);

impl<V: Lanes> Source<V> for Shared<'_> {
    #[inline(always)]
    fn first(&mut self, j: usize) -> V {
        // SAFETY: rounds work on a state of this type, so the CPU has its instructions.
        unsafe { V::splat(self.0.0[j]) }
    }

    #[inline(always)]
    fn next(&mut self, group: usize, j: usize) -> V {
        // SAFETY: as above.
        unsafe { V::splat(self.0.0[16 * group + j]) }
    }
}

/// The words of a block, expanded in place beside the rounds; `keep` takes each W + K.
pub(crate) struct Expanding<V, Keep> {
    pub words: [V; 16],
    pub keep: Keep,
}

/// Takes W + K of round `t`.
pub(crate) trait Keep<V> {
    fn keep(&mut self, t: usize, wk: V);
}

impl<V> Keep<V> for () {
    #[inline(always)]
    fn keep(&mut self, _: usize, _: V) {}
}

impl<V> Keep<V> for &mut [V; 64] {
    #[inline(always)]
    fn keep(&mut self, t: usize, wk: V) {
        self[t] = wk;
    }
}

impl<V: Lanes, Kept: Keep<V>> Expanding<V, Kept> {
    #[inline(always)]
    fn wk(&mut self, t: usize, w: V) -> V {
        // SAFETY: `w` is a value of the type.
        let wk = w.add(unsafe { V::splat(K[t]) });
        self.keep.keep(t, wk);
        wk
    }
}

impl<V: Lanes, Kept: Keep<V>> Source<V> for Expanding<V, Kept> {
    #[inline(always)]
    fn first(&mut self, j: usize) -> V {
        self.wk(j, self.words[j])
    }

    #[inline(always)]
    fn next(&mut self, group: usize, j: usize) -> V {
        let w = &mut self.words;
        let early = w[j].add(w[(j + 1) % 16].small_sigma0()).add(w[(j + 9) % 16]);
        w[j] = early.add(w[(j + 14) % 16].small_sigma1());
        self.wk(16 * group + j, self.words[j])
    }
}

/// The initial state in all lanes.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn initial<V: Lanes>() -> [V; 8] {
    // SAFETY: this function's contract.
    unsafe {
        let mut state = [V::splat(INITIAL_STATE[0]); 8];
        for i in 1..8 {
            state[i] = V::splat(INITIAL_STATE[i]);
        }
        state
    }
}

/// Absorbs one block.
#[inline(always)]
pub(crate) fn absorb<V: Lanes>(state: &mut [V; 8], source: &mut impl Source<V>) {
    let before = *state;
    rounds_from::<V, 0>(state, source);
    add(state, before);
}

#[inline(always)]
pub(crate) fn add<V: Lanes>(state: &mut [V; 8], before: [V; 8]) {
    for (word, before) in state.iter_mut().zip(before) {
        *word = word.add(before);
    }
}

/// The rounds from round `START` (below 16) on, without the addition of the state before the block.
///
/// Variable i of a to h is in [`place`] i, t before round t, so that no round moves any.
#[inline(always)]
pub(crate) fn rounds_from<V: Lanes, const START: usize>(s: &mut [V; 8], source: &mut impl Source<V>) {
    sixteen_times!(j {
        if j >= START {
            let wk = source.first(j);
            round(s, j, wk);
        }
    });
    for group in 1..4 {
        sixteen_times!(j {
            let wk = source.next(group, j);
            round(s, j, wk);
        });
    }
}

/// Where variable i of a to h is before round t, below 16.
#[inline(always)]
pub(crate) const fn place(i: usize, t: usize) -> usize {
    (i + 16 - t) % 8
}

/// FIPS 180-4, 6.2.2 step 3, for a round whose number is `t` modulo 8.
///
/// One addition more than the standard's form, so that three instructions lead from e to the next e and from a to the next a:
/// rotation, exclusive or, addition.
#[inline(always)]
pub(crate) fn round<V: Lanes>(s: &mut [V; 8], t: usize, wk: V) {
    let [a, b, c, d, e, f, g, h] = core::array::from_fn(|i| place(i, t));
    let early = s[h].add(wk).add(s[d]).add(V::choose(s[e], s[f], s[g]));
    let majority = V::majority(s[a], s[b], s[c]).sub(s[d]);
    s[d] = early.add(s[e].big_sigma1());
    s[h] = s[d].add(majority).add(s[a].big_sigma0());
}

/// Absorbs one block `n` times, each lane with a schedule of its own.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn rounds_streams<V: Lanes>(states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    let mut words = [0; 64];
    let mut gather = |word: &dyn Fn(usize) -> u32| {
        let lanes = &mut words[..V::COUNT];
        lanes.iter_mut().enumerate().for_each(|(lane, to)| *to = word(lane));
        // SAFETY: this function's contract.
        unsafe { V::load(lanes) }
    };
    let mut state: [V; 8] = core::array::from_fn(|i| gather(&|lane| states[lane][i]));
    let schedule: [V; 64] = core::array::from_fn(|t| gather(&|lane| schedules[lane].0[t]));
    for _ in 0..n {
        absorb(&mut state, &mut Ready(&schedule));
    }
    for (i, word) in state.into_iter().enumerate() {
        word.store(&mut words);
        states.iter_mut().zip(&words).for_each(|(state, word)| state[i] = *word);
    }
}

/// See [`super::hash_node_pairs`]; `children` and `out` are as long as each other.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn hash_node_pairs<V: Lanes>(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    let mut children = children.chunks_exact(V::COUNT);
    let mut out = out.chunks_exact_mut(V::COUNT);
    for (children, out) in children.by_ref().zip(out.by_ref()) {
        // SAFETY: this function's contract.
        unsafe { hash_full::<V>(children, out) };
    }
    let (children, out) = (children.remainder(), out.into_remainder());
    if !children.is_empty() {
        let (mut full, mut nodes) = ([[0; 64]; 32], [[0; 32]; 32]);
        full[..children.len()].copy_from_slice(children);
        // SAFETY: this function's contract.
        unsafe { hash_full::<V>(&full, &mut nodes) };
        out.copy_from_slice(&nodes[..out.len()]);
    }
}

/// A pair for each lane.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn hash_full<V: Lanes>(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: this function's contract.
    let (mut state, words) = unsafe { (initial::<V>(), V::load_blocks(children)) };
    absorb(&mut state, &mut Expanding { words, keep: () });
    absorb(&mut state, &mut Shared(&PADDING_AFTER_ONE_BLOCK));
    V::store_digests(trim(state), out);
}

/// Clears the top two bits of a digest's last byte.
#[inline(always)]
pub(crate) fn trim<V: Lanes>(mut state: [V; 8]) -> [V; 8] {
    // SAFETY: there are values of the type.
    state[7] = state[7].and(unsafe { V::splat(super::TRIM) });
    state
}

/// Twice the streams: two independent chains of rounds in turn, for CPUs whose vector instructions are not done in one cycle.
#[derive(Clone, Copy)]
pub(crate) struct Two<V>(V, V);

impl<V: Lanes> Lanes for Two<V> {
    const COUNT: usize = 2 * V::COUNT;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: this function's contract.
        unsafe { Two(V::splat(word), V::splat(word)) }
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        // SAFETY: this function's contract.
        unsafe { Two(V::load(words), V::load(&words[V::COUNT..])) }
    }

    #[inline(always)]
    unsafe fn load_blocks(blocks: &[[u8; 64]]) -> [Self; 16] {
        // SAFETY: this function's contract.
        let (a, b) = unsafe { (V::load_blocks(blocks), V::load_blocks(&blocks[V::COUNT..])) };
        let mut words = [Two(a[0], b[0]); 16];
        for i in 1..16 {
            words[i] = Two(a[i], b[i]);
        }
        words
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        self.0.store(words);
        self.1.store(&mut words[V::COUNT..]);
    }

    #[inline(always)]
    fn store_digests(words: [Self; 8], digests: &mut [[u8; 32]]) {
        let (mut a, mut b) = ([words[0].0; 8], [words[0].1; 8]);
        for i in 1..8 {
            (a[i], b[i]) = (words[i].0, words[i].1);
        }
        V::store_digests(a, digests);
        V::store_digests(b, &mut digests[V::COUNT..]);
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Two(self.0.add(other.0), self.1.add(other.1))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Two(self.0.sub(other.0), self.1.sub(other.1))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Two(self.0.and(other.0), self.1.and(other.1))
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        Two(V::choose(e.0, f.0, g.0), V::choose(e.1, f.1, g.1))
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        Two(V::majority(a.0, b.0, c.0), V::majority(a.1, b.1, c.1))
    }

    #[inline(always)]
    fn big_sigma0(self) -> Self {
        Two(self.0.big_sigma0(), self.1.big_sigma0())
    }

    #[inline(always)]
    fn big_sigma1(self) -> Self {
        Two(self.0.big_sigma1(), self.1.big_sigma1())
    }

    #[inline(always)]
    fn small_sigma0(self) -> Self {
        Two(self.0.small_sigma0(), self.1.small_sigma0())
    }

    #[inline(always)]
    fn small_sigma1(self) -> Self {
        Two(self.0.small_sigma1(), self.1.small_sigma1())
    }
}
