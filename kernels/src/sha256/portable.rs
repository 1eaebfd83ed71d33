//! SHA-256 in plain Rust: what every other backend is compared with.

use super::lanes::{self, Lanes};
use super::{Schedule, digest};

pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    for block in blocks {
        rounds(state, &Schedule::new(block));
    }
}

pub fn rounds_chain(state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    for _ in 0..n {
        rounds(state, schedule);
    }
}

/// See [`super::hash_node_pairs`].
pub fn hash_node_pairs(children: &[[u8; 64]], out: &mut [[u8; 32]]) {
    // SAFETY: the type needs no instruction set.
    unsafe { lanes::hash_node_pairs::<u32>(children, out) }
}

/// One stream: the form in which code for vectors runs without them.
impl Lanes for u32 {
    const COUNT: usize = 1;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        words[0]
    }

    #[inline(always)]
    unsafe fn load_blocks(blocks: &[[u8; 64]]) -> [Self; 16] {
        let bytes = blocks[0].as_chunks::<4>().0;
        core::array::from_fn(|i| u32::from_be_bytes(bytes[i]))
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        words[0] = self;
    }

    #[inline(always)]
    fn store_digests(words: [Self; 8], digests: &mut [[u8; 32]]) {
        digests[0] = digest(&words);
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        (e & (f ^ g)) ^ g
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        ((a ^ b) & (b ^ c)) ^ b
    }

    #[inline(always)]
    fn big_sigma0(self) -> Self {
        self.rotate_right(2) ^ self.rotate_right(13) ^ self.rotate_right(22)
    }

    #[inline(always)]
    fn big_sigma1(self) -> Self {
        self.rotate_right(6) ^ self.rotate_right(11) ^ self.rotate_right(25)
    }

    #[inline(always)]
    fn small_sigma0(self) -> Self {
        self.rotate_right(7) ^ self.rotate_right(18) ^ (self >> 3)
    }

    #[inline(always)]
    fn small_sigma1(self) -> Self {
        self.rotate_right(17) ^ self.rotate_right(19) ^ (self >> 10)
    }
}

/// The 64 rounds of one block and the addition of the state before it (FIPS 180-4, 6.2.2 steps 2 to 4).
fn rounds(state: &mut [u32; 8], schedule: &Schedule) {
    let before = *state;
    schedule.0.iter().for_each(|wk| round(state, *wk));
    for (word, add) in state.iter_mut().zip(before) {
        *word = word.wrapping_add(add);
    }
}

/// FIPS 180-4, 6.2.2 step 3, on a to h.
#[inline(always)]
pub(crate) fn round(variables: &mut [u32; 8], wk: u32) {
    let [a, b, c, d, e, f, g, h] = *variables;
    let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = (e & f) ^ (!e & g);
    let t1 = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(wk);
    let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    *variables = [t1.wrapping_add(s0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g];
}
