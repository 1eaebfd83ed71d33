//! The walks of the expander's edges in vector lanes.
//!
//! A node takes 24 lookups where every edge is encoded once, 48 where every second encoding must be repeated. Zen 4 gathers 16 words in
//! 13 cycles from L1 and in 20 from L2, so 20 to 60 cycles are what its walks must cost there.

use core::mem::swap;
use core::sync::atomic::{Ordering, compiler_fence};

use super::expander::Expander;
use super::lanes::Lanes;
use super::{BASE_PARENTS, CHUNK, EXPANDER_PARENTS, PARENTS};

/// The most edges encoded side by side: a lookup waits for the one before it, and those of other edges fill the time.
const AT_ONCE: usize = 64;

/// The longest vector, words.
const MAX_LANES: usize = 16;

/// Edges still outside the graph: where they are, and the words of the chunk's rows that their parents belong to.
///
/// The halves are below 2^h in every place, used or not: they start as zeros, and only results of encodings are written.
#[repr(align(64))]
pub struct Outside {
    left: [u32; Self::ROOM],
    right: [u32; Self::ROOM],
    word: [u32; Self::ROOM],
}

impl Outside {
    /// All edges of a chunk, and behind the last as many as are encoded side by side.
    const ROOM: usize = CHUNK * EXPANDER_PARENTS + AT_ONCE;

    /// No edges.
    pub fn new() -> Outside {
        Outside { left: [0; Self::ROOM], right: [0; Self::ROOM], word: [0; Self::ROOM] }
    }
}

/// Vectors of edges, at most `AT_ONCE` of them.
#[derive(Clone, Copy)]
struct Edges<L: Lanes, const VECTORS: usize> {
    left: [L::Words; VECTORS],
    right: [L::Words; VECTORS],
    /// The lanes that are used.
    lanes: [u32; VECTORS],
}

/// Writes the expander parents of `first` and the nodes after it, at most `CHUNK`; encodes this many vectors side by side.
///
/// All edges are encoded once, in order; then those outside the graph again and again, side by side, until there are none. No branch
/// depends on where an edge lands: each writes its parent, right or not, and those that must go on are moved together.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
pub unsafe fn expander_parents<L: Lanes, const VECTORS: usize>(
    expander: &Expander,
    outside: &mut Outside,
    first: u32,
    rows: &mut [[u32; PARENTS]],
) {
    const { assert!(VECTORS * L::COUNT <= AT_ONCE) };
    assert!(rows.len() <= CHUNK);
    let out = rows.as_flattened_mut();
    let first = u64::from(first) * EXPANDER_PARENTS as u64;
    let mut count = out.len() / PARENTS * EXPANDER_PARENTS;
    // SAFETY: by this function's contract. `outside` has room for as many edges as are encoded side by side behind the last, and never
    // keeps more than were read from it, so nothing is overwritten before it is read; its words are those of rows of this chunk.
    unsafe {
        let mut kept = 0;
        for at in (0..count).step_by(VECTORS * L::COUNT) {
            let mut edges: Edges<L, VECTORS> = in_sequence(expander, first, at, count);
            edges.encode(expander);
            for i in 0..VECTORS {
                let at = at + i * L::COUNT;
                let parents = edges.parents(expander, i);
                write_in_sequence::<L>(parents, at, out);
                let words = L::words((at / EXPANDER_PARENTS * PARENTS) as u32);
                kept += edges.keep(expander, i, parents, L::add(L::load(WORDS.as_ptr()), words), outside, kept);
            }
        }
        while kept > 0 {
            (count, kept) = (kept, 0);
            for at in (0..count).step_by(VECTORS * L::COUNT) {
                let mut edges: Edges<L, VECTORS> = outside.load(at, count);
                edges.encode(expander);
                for i in 0..VECTORS {
                    let words = outside.word.as_ptr().add(at + i * L::COUNT);
                    let parents = edges.parents(expander, i);
                    L::scatter(out.as_mut_ptr(), edges.lanes[i], words, parents);
                    kept += edges.keep(expander, i, parents, L::load(words), outside, kept);
                }
            }
        }
    }
}

/// The edges that follow `first` at a distance of `at`, of `count` in all.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn in_sequence<L: Lanes, const VECTORS: usize>(
    expander: &Expander,
    first: u64,
    at: usize,
    count: usize,
) -> Edges<L, VECTORS> {
    // SAFETY: by this function's contract.
    unsafe {
        let zeros = [L::words(0); VECTORS];
        let mut edges = Edges { left: zeros, right: zeros, lanes: lanes::<L, VECTORS>(at, count) };
        let mask = L::words(expander.mask());
        for i in 0..VECTORS {
            let at = at + i * L::COUNT;
            let edge = first + at as u64;
            // Where the right half wraps, the left one goes up; behind the last edge of a graph it wraps too, in lanes that are not used.
            let right = L::counting(edge as u32 & expander.mask());
            let left = L::add(L::words((edge >> expander.half_bits) as u32), L::shift_right(right, expander.half_bits));
            edges.left[i] = L::and(left, mask);
            edges.right[i] = L::and(right, mask);
        }
        edges
    }
}

impl Outside {
    /// The edges from `at` on, of `count` in all.
    ///
    /// # Safety
    /// The instruction set is enabled; there is room for `AT_ONCE` edges from there on.
    #[inline(always)]
    unsafe fn load<L: Lanes, const VECTORS: usize>(&self, at: usize, count: usize) -> Edges<L, VECTORS> {
        // SAFETY: by this function's contract.
        unsafe {
            let zeros = [L::words(0); VECTORS];
            let mut edges = Edges { left: zeros, right: zeros, lanes: lanes::<L, VECTORS>(at, count) };
            for i in 0..VECTORS {
                let at = at + i * L::COUNT;
                edges.left[i] = L::load(self.left.as_ptr().add(at));
                edges.right[i] = L::load(self.right.as_ptr().add(at));
            }
            edges
        }
    }
}

impl<L: Lanes, const VECTORS: usize> Edges<L, VECTORS> {
    /// One encoding of all lanes, used or not; halves stay below 2^h.
    ///
    /// # Safety
    /// The instruction set is enabled; all halves are below 2^h.
    #[inline(always)]
    unsafe fn encode(&mut self, expander: &Expander) {
        for round in &expander.rounds {
            for i in 0..VECTORS {
                // SAFETY: by this function's contract.
                unsafe { self.left[i] = L::xor(self.left[i], round.values::<L>(self.lanes[i], self.right[i])) };
            }
            swap(&mut self.left, &mut self.right);
            // Left to itself the compiler puts all rounds of one vector first, and the core waits for each.
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// The nodes that the edges of a vector belong to.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn parents(&self, expander: &Expander, vector: usize) -> L::Words {
        let (left, right) = (self.left[vector], self.right[vector]);
        // SAFETY: by this function's contract.
        unsafe { L::or(L::shift_left(left, expander.half_bits - 3), L::shift_right(right, 3)) }
    }

    /// Puts the edges of a vector that are outside the graph into `outside` from `at` on; returns how many they are.
    ///
    /// # Safety
    /// The instruction set is enabled; `outside` has room for a vector there.
    #[inline(always)]
    unsafe fn keep(
        &self,
        expander: &Expander,
        vector: usize,
        parents: L::Words,
        words: L::Words,
        outside: &mut Outside,
        at: usize,
    ) -> usize {
        // SAFETY: by this function's contract.
        unsafe {
            let lanes = L::not_below(parents, L::words(expander.nodes)) & self.lanes[vector];
            L::store(outside.left.as_mut_ptr().add(at), L::compress(lanes, self.left[vector]));
            L::store(outside.right.as_mut_ptr().add(at), L::compress(lanes, self.right[vector]));
            L::store(outside.word.as_mut_ptr().add(at), L::compress(lanes, words));
            lanes.count_ones() as usize
        }
    }
}

/// Writes the parents of the edges from `at` on, as far as there are rows.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn write_in_sequence<L: Lanes>(parents: L::Words, at: usize, out: &mut [u32]) {
    let mut words = [0; MAX_LANES];
    // SAFETY: by this function's contract; no vector has more words.
    unsafe { L::store(words.as_mut_ptr(), parents) };
    let words = &words.as_chunks::<EXPANDER_PARENTS>().0[..L::COUNT / EXPANDER_PARENTS];
    for (row, words) in out.as_chunks_mut::<PARENTS>().0.iter_mut().skip(at / EXPANDER_PARENTS).zip(words) {
        row[BASE_PARENTS..].copy_from_slice(words);
    }
}

/// Which lanes of the vectors that begin at `at` have edges, of `count` in all.
#[inline(always)]
fn lanes<L: Lanes, const VECTORS: usize>(at: usize, count: usize) -> [u32; VECTORS] {
    let all = L::COUNT;
    let mut lanes = [0; VECTORS];
    for (i, lanes) in lanes.iter_mut().enumerate() {
        *lanes = (1 << count.saturating_sub(at + i * all).min(all)) - 1;
    }
    lanes
}

/// The words of the expander parents of two nodes.
static WORDS: [u32; MAX_LANES] = {
    let mut words = [0; MAX_LANES];
    let mut i = 0;
    while i < MAX_LANES {
        words[i] = (i / EXPANDER_PARENTS * PARENTS + BASE_PARENTS + i % EXPANDER_PARENTS) as u32;
        i += 1;
    }
    words
};
