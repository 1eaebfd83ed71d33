//! SHA-256 in plain Rust: what every other backend is compared with.

use super::lanes::{self, Expanding, Lanes, Ready};
use super::{Schedule, digest};

pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    for block in blocks {
        // SAFETY: the type needs no instruction set.
        let words = unsafe { u32::load_blocks(core::slice::from_ref(block)) };
        lanes::absorb(state, &mut Expanding { words, keep: () });
    }
}

pub fn rounds_chain(state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    for _ in 0..n {
        lanes::absorb(state, &mut Ready(&schedule.0));
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
    fn sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
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
