//! The expander parents: a Feistel permutation of the graph's edges (storage-proofs-core, `crypto::feistel`), in vector lanes.
//!
//! Edge 8 v + i of node v goes through a permutation of [0, 4^h), the smallest such range that holds all 8 N edges, again and again
//! until it lands below 8 N (two encodings on average where 8 N is half of 4^h, one where it is all of it); an eighth of that is the
//! parent. An encoding is three rounds (l, r) -> (r, l ^ F(r)) on halves of h bits. F hashes r and the round's key with BLAKE2b, but r
//! has only 2^h values: three tables replace it, 96 KiB at 2^24 nodes.

use core::sync::atomic::{Ordering, compiler_fence};

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

use super::lanes::Lanes;
use super::{BASE_PARENTS, CHUNK, EXPANDER_PARENTS, PARENTS};

/// Rounds of an encoding.
pub const ROUNDS: usize = 3;

/// Inputs hashed at a time.
const HASHED: usize = 64;

/// The longest vector, words.
const MAX_LANES: usize = 16;

/// Edges encoded side by side: a lookup waits for the one before it, and those of other edges fill the time.
const AT_ONCE: usize = 64;

/// The permutation of a graph.
pub struct Expander {
    /// h
    pub half_bits: u32,
    /// N
    pub nodes: u32,
    /// F of each round.
    pub tables: Tables,
}

/// The round functions: 2^h values of h bits each, and after them the first ones again, so that a vector can be loaded from anywhere.
pub enum Tables {
    /// h is at most 16.
    Narrow([Box<[u16]>; ROUNDS]),
    /// h is 17, at more than 2^29 nodes.
    Wide([Box<[u32]>; ROUNDS]),
}

impl Expander {
    /// The permutation of a graph of at least 8 nodes from its seed, whose first 24 bytes are the keys.
    pub fn new(nodes: u32, seed: &[u8; 32]) -> Expander {
        let edges = u64::from(nodes) * EXPANDER_PARENTS as u64;
        let half_bits = edges.next_power_of_two().ilog2().div_ceil(2);
        let keys = [0, 1, 2].map(|round: usize| u64::from_le_bytes(seed.as_chunks().0[round]));
        let tables = if half_bits <= 16 {
            Tables::Narrow(keys.map(|key| table(key, half_bits, |value| value as u16)))
        } else {
            Tables::Wide(keys.map(|key| table(key, half_bits, |value| value as u32)))
        };
        Expander { half_bits, nodes, tables }
    }

    /// Writes the expander parents of `first` and the nodes after it, at most `CHUNK`. `AT_ONCE` edges are in `VECTORS`.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    pub unsafe fn parents<L: Lanes, const VECTORS: usize>(
        &self,
        walk: &mut Walk,
        first: u32,
        rows: &mut [[u32; PARENTS]],
    ) {
        // SAFETY: by this function's contract.
        unsafe {
            match &self.tables {
                Tables::Narrow(rounds) => Walker::<L, u16, VECTORS>::new(self, rounds).chunk(walk, first, rows),
                Tables::Wide(rounds) => Walker::<L, u32, VECTORS>::new(self, rounds).chunk(walk, first, rows),
            }
        }
    }
}

/// F of one round for all inputs.
fn table<T: Copy>(key: u64, half_bits: u32, entry: impl Fn(u64) -> T) -> Box<[T]> {
    let inputs = 1_usize << half_bits;
    let params = Params::new();
    let mut messages = [[0; 16]; HASHED];
    let mut values = Vec::with_capacity(inputs + MAX_LANES);
    for first in (0..inputs).step_by(HASHED) {
        let messages = &mut messages[..HASHED.min(inputs - first)];
        for (input, message) in (first as u64..).zip(messages.iter_mut()) {
            message[..8].copy_from_slice(&input.to_be_bytes());
            message[8..].copy_from_slice(&key.to_be_bytes());
        }
        let mut jobs: Vec<_> = messages.iter().map(|message| HashManyJob::new(&params, message)).collect();
        hash_many(&mut jobs);
        values.extend(jobs.iter().map(|job| {
            let hash = job.to_hash();
            entry(u64::from_be_bytes(hash.as_array().as_chunks().0[0]) & (inputs as u64 - 1))
        }));
    }
    values.extend((0..MAX_LANES).map(|i| values[i % inputs]).collect::<Vec<_>>());
    values.into_boxed_slice()
}

/// Edges still outside the graph: where they are, and the words of the chunk's rows that their parents belong to.
///
/// The halves are below 2^h in every place, used or not: they start as zeros, and only results of rounds are written.
#[repr(align(64))]
pub struct Walk {
    left: [u32; Self::ROOM],
    right: [u32; Self::ROOM],
    word: [u32; Self::ROOM],
}

impl Walk {
    /// All edges of a chunk, and behind the last as many as are encoded side by side.
    const ROOM: usize = CHUNK * EXPANDER_PARENTS + AT_ONCE;

    /// No edges.
    pub fn new() -> Walk {
        Walk { left: [0; Self::ROOM], right: [0; Self::ROOM], word: [0; Self::ROOM] }
    }
}

/// An entry of a table.
trait Entry: Sized {
    /// The entries from `first` on.
    ///
    /// # Safety
    /// The instruction set is enabled, and there are as many entries as lanes.
    unsafe fn run<L: Lanes>(table: &[Self], first: u32) -> L::Words;

    /// The entries of these inputs.
    ///
    /// # Safety
    /// The instruction set is enabled, and no input is that of the last entry or beyond.
    unsafe fn lookup<L: Lanes>(table: &[Self], lanes: u32, inputs: L::Words) -> L::Words;
}

impl Entry for u16 {
    #[inline(always)]
    unsafe fn run<L: Lanes>(table: &[u16], first: u32) -> L::Words {
        // SAFETY: by this function's contract.
        unsafe { L::load_half_words(table.as_ptr().add(first as usize)) }
    }

    #[inline(always)]
    unsafe fn lookup<L: Lanes>(table: &[u16], lanes: u32, inputs: L::Words) -> L::Words {
        // SAFETY: by this function's contract: the half word behind the one meant is read too.
        unsafe { L::and(L::gather_half_words(table.as_ptr(), lanes, inputs), L::words(0xffff)) }
    }
}

impl Entry for u32 {
    #[inline(always)]
    unsafe fn run<L: Lanes>(table: &[u32], first: u32) -> L::Words {
        // SAFETY: by this function's contract.
        unsafe { L::load(table.as_ptr().add(first as usize)) }
    }

    #[inline(always)]
    unsafe fn lookup<L: Lanes>(table: &[u32], lanes: u32, inputs: L::Words) -> L::Words {
        // SAFETY: by this function's contract.
        unsafe { L::gather(table.as_ptr(), lanes, inputs) }
    }
}

/// Walks the edges of chunks.
struct Walker<'a, L: Lanes, T, const VECTORS: usize> {
    rounds: &'a [Box<[T]>; ROUNDS],
    half_bits: u32,
    /// 2^h - 1
    mask: u32,
    nodes: L::Words,
}

impl<'a, L: Lanes, T: Entry, const VECTORS: usize> Walker<'a, L, T, VECTORS> {
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn new(expander: &Expander, rounds: &'a [Box<[T]>; ROUNDS]) -> Self {
        // SAFETY: by this function's contract.
        let nodes = unsafe { L::words(expander.nodes) };
        Walker { rounds, half_bits: expander.half_bits, mask: (1 << expander.half_bits) - 1, nodes }
    }

    /// All edges are encoded once, in order; then those outside the graph again and again, side by side, until there are none. No
    /// branch depends on where an edge lands: each writes its parent, right or not, and those that must go on are moved together.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn chunk(&self, walk: &mut Walk, first: u32, rows: &mut [[u32; PARENTS]]) {
        // SAFETY: by this function's contract.
        unsafe {
            let mut count = self.first_encodings(walk, first, rows);
            while count > 0 {
                count = self.more_encodings(walk, count, rows.as_flattened_mut());
            }
        }
    }

    /// Encodes every edge of the nodes; returns how many are outside the graph.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn first_encodings(&self, walk: &mut Walk, first: u32, rows: &mut [[u32; PARENTS]]) -> usize {
        let edges = rows.len() * EXPANDER_PARENTS;
        let first_edge = u64::from(first) * EXPANDER_PARENTS as u64;
        let mut count = 0;
        for i in (0..edges).step_by(AT_ONCE) {
            let (at, valid) = parts::<VECTORS>(i, edges);
            // SAFETY: by this function's contract; a table has a vector's entries behind the last input, and a walk has room for all
            // edges of a chunk and as many vectors as are encoded at a time.
            unsafe {
                let (mut left, mut right) = ([self.nodes; VECTORS], [self.nodes; VECTORS]);
                for vector in 0..VECTORS {
                    // The halves of edges in order: where the right one wraps, the left one goes up.
                    let edge = first_edge + at[vector] as u64;
                    let start = edge as u32 & self.mask;
                    let sum = L::counting(start);
                    let lefts = L::add(L::words((edge >> self.half_bits) as u32), L::shift_right(sum, self.half_bits));
                    left[vector] = L::xor(lefts, T::run::<L>(&self.rounds[0], start));
                    right[vector] = L::and(sum, L::words(self.mask));
                }
                let (left, right) = self.encode_after(valid, left, right);
                for vector in 0..VECTORS {
                    let parent = self.parent(left[vector], right[vector]);
                    let mut parents = [0; MAX_LANES];
                    L::store(parents.as_mut_ptr(), parent);
                    let first_row = at[vector] / EXPANDER_PARENTS;
                    let parents = parents.as_chunks::<EXPANDER_PARENTS>().0.iter().take(L::COUNT / EXPANDER_PARENTS);
                    for (row, parents) in rows.iter_mut().skip(first_row).zip(parents) {
                        row[BASE_PARENTS..].copy_from_slice(parents);
                    }
                    let word = L::add(L::load(WORDS.as_ptr()), L::words((first_row * PARENTS) as u32));
                    let outside = L::not_below(parent, self.nodes) & valid[vector];
                    count += self.keep(walk, count, outside, [left[vector], right[vector], word]);
                }
            }
        }
        count
    }

    /// Encodes edges that are outside the graph; returns how many still are.
    ///
    /// # Safety
    /// The instruction set is enabled; the walk has that many edges, their words are words of `out`.
    #[inline(always)]
    unsafe fn more_encodings(&self, walk: &mut Walk, edges: usize, out: &mut [u32]) -> usize {
        let mut count = 0;
        for i in (0..edges).step_by(AT_ONCE) {
            let (at, valid) = parts::<VECTORS>(i, edges);
            // SAFETY: by this function's contract; as many vectors as are encoded at a time are in the walk.
            unsafe {
                let (mut left, mut right, mut word) =
                    ([self.nodes; VECTORS], [self.nodes; VECTORS], [self.nodes; VECTORS]);
                for vector in 0..VECTORS {
                    left[vector] = L::load(walk.left.as_ptr().add(at[vector]));
                    right[vector] = L::load(walk.right.as_ptr().add(at[vector]));
                    word[vector] = L::load(walk.word.as_ptr().add(at[vector]));
                    let f = T::lookup::<L>(&self.rounds[0], valid[vector], right[vector]);
                    left[vector] = L::xor(left[vector], f);
                }
                let (left, right) = self.encode_after(valid, left, right);
                for vector in 0..VECTORS {
                    let parent = self.parent(left[vector], right[vector]);
                    L::scatter(out.as_mut_ptr(), valid[vector], word[vector], parent);
                    let outside = L::not_below(parent, self.nodes) & valid[vector];
                    count += self.keep(walk, count, outside, [left[vector], right[vector], word[vector]]);
                }
            }
        }
        count
    }

    /// The second and third round of encodings; the first one's results are the left halves.
    ///
    /// # Safety
    /// The instruction set is enabled; all halves are below 2^h, and so are then those returned.
    #[inline(always)]
    unsafe fn encode_after(
        &self,
        lanes: [u32; VECTORS],
        mut left: [L::Words; VECTORS],
        mut right: [L::Words; VECTORS],
    ) -> ([L::Words; VECTORS], [L::Words; VECTORS]) {
        // SAFETY: by this function's contract; a table has more than 2^h entries, of which none is 2^h or more.
        unsafe {
            compiler_fence(Ordering::SeqCst);
            for i in 0..VECTORS {
                right[i] = L::xor(right[i], T::lookup::<L>(&self.rounds[1], lanes[i], left[i]));
            }
            compiler_fence(Ordering::SeqCst);
            for i in 0..VECTORS {
                left[i] = L::xor(left[i], T::lookup::<L>(&self.rounds[2], lanes[i], right[i]));
            }
        }
        compiler_fence(Ordering::SeqCst);
        (right, left)
    }

    /// The nodes that edges belong to.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn parent(&self, left: L::Words, right: L::Words) -> L::Words {
        // SAFETY: by this function's contract.
        unsafe { L::or(L::shift_left(left, self.half_bits - 3), L::shift_right(right, 3)) }
    }

    /// Moves these lanes' edges to the walk's place `at`; returns how many they are.
    ///
    /// # Safety
    /// The instruction set is enabled; the walk has room for a vector there.
    #[inline(always)]
    unsafe fn keep(&self, walk: &mut Walk, at: usize, lanes: u32, [left, right, word]: [L::Words; 3]) -> usize {
        // SAFETY: by this function's contract.
        unsafe {
            L::store(walk.left.as_mut_ptr().add(at), L::compress(lanes, left));
            L::store(walk.right.as_mut_ptr().add(at), L::compress(lanes, right));
            L::store(walk.word.as_mut_ptr().add(at), L::compress(lanes, word));
        }
        lanes.count_ones() as usize
    }
}

/// Where the vectors of `AT_ONCE` edges from `first` on begin, and which of their lanes are among the first `edges`.
#[inline(always)]
fn parts<const VECTORS: usize>(first: usize, edges: usize) -> ([usize; VECTORS], [u32; VECTORS]) {
    let lanes = AT_ONCE / VECTORS;
    let (mut at, mut valid) = ([0; VECTORS], [0; VECTORS]);
    for vector in 0..VECTORS {
        at[vector] = first + vector * lanes;
        valid[vector] = (1 << edges.saturating_sub(at[vector]).min(lanes)) - 1;
    }
    (at, valid)
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
