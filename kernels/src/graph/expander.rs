//! The expander parents: a Feistel permutation of the graph's edges (storage-proofs-core, `crypto::feistel`).
//!
//! Edge 8 v + i of node v goes through a permutation of [0, 4^h), the smallest such range that holds all 8 N edges, again and again
//! until it lands below 8 N (a walk of two encodings on average where 8 N is half of 4^h, of one where it is all of it); an eighth of
//! that is the parent. An encoding is three rounds (l, r) -> (r, l ^ F(r)) on halves of h bits. F hashes r and the round's key with
//! BLAKE2b, but r has only 2^h values: three tables replace it, 96 KiB at 2^24 nodes.

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

use super::{BASE_PARENTS, CHUNK, EXPANDER_PARENTS, PARENTS};

const ROUNDS: usize = 3;

/// Inputs hashed at a time.
const HASHED: usize = 64;

/// The permutation of a graph.
pub struct Expander {
    half_bits: u32,
    nodes: u32,
    tables: Tables,
}

/// The round functions: 2^h values of h bits each.
enum Tables {
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
        let keys = &seed.as_chunks::<8>().0[..ROUNDS];
        let keys = [0, 1, 2].map(|round: usize| u64::from_le_bytes(keys[round]));
        let tables = if half_bits <= 16 {
            Tables::Narrow(keys.map(|key| table(key, half_bits, |value| value as u16)))
        } else {
            Tables::Wide(keys.map(|key| table(key, half_bits, |value| value as u32)))
        };
        Expander { half_bits, nodes, tables }
    }

    /// Writes the expander parents of `first` and the nodes after it, at most `CHUNK`.
    pub fn parents(&self, first: u32, rows: &mut [[u32; PARENTS]]) {
        match &self.tables {
            Tables::Narrow(rounds) => Walker { rounds, half_bits: self.half_bits, nodes: self.nodes }.chunk(first, rows),
            Tables::Wide(rounds) => Walker { rounds, half_bits: self.half_bits, nodes: self.nodes }.chunk(first, rows),
        }
    }
}

/// F of one round for all inputs.
fn table<T>(key: u64, half_bits: u32, entry: impl Fn(u64) -> T) -> Box<[T]> {
    let mask = (1 << half_bits) - 1;
    let mut values = Vec::with_capacity(1 << half_bits);
    let params = Params::new();
    let mut messages = [[0; 16]; HASHED];
    for first in (0_u64..1 << half_bits).step_by(HASHED) {
        for (input, message) in (first..1 << half_bits).zip(&mut messages) {
            message[..8].copy_from_slice(&input.to_be_bytes());
            message[8..].copy_from_slice(&key.to_be_bytes());
        }
        let count = HASHED.min((1 << half_bits) - first as usize);
        let mut jobs: Vec<_> = messages[..count].iter().map(|message| HashManyJob::new(&params, message)).collect();
        hash_many(&mut jobs);
        values.extend(jobs.iter().map(|job| {
            let hash = job.to_hash();
            entry(u64::from_be_bytes(hash.as_array().as_chunks().0[0]) & mask)
        }));
    }
    values.into_boxed_slice()
}

/// Walks the edges of a chunk of nodes.
struct Walker<'a, T> {
    rounds: &'a [Box<[T]>; ROUNDS],
    half_bits: u32,
    nodes: u32,
}

/// An edge still outside the graph: where it is, and the word of the rows that its parent belongs to.
#[derive(Clone, Copy)]
struct Waiting {
    left: u32,
    right: u32,
    word: u32,
}

impl<T: Copy + Into<u32>> Walker<'_, T> {
    /// All edges are encoded once, side by side; those outside the graph are encoded again, side by side, until there are none. There
    /// is no branch on where an edge lands: each writes its parent, right or not, and those that must go on are counted.
    fn chunk(&self, first: u32, rows: &mut [[u32; PARENTS]]) {
        let mut waiting = [Waiting { left: 0, right: 0, word: 0 }; CHUNK * EXPANDER_PARENTS];
        let mut count = 0;
        for (i, row) in rows.iter_mut().enumerate() {
            let edge = (u64::from(first) + i as u64) * EXPANDER_PARENTS as u64;
            let left = (edge >> self.half_bits) as u32;
            let right = edge as u32 & ((1 << self.half_bits) - 1);
            let word = (i * PARENTS + BASE_PARENTS) as u32;
            for (j, to) in (0..).zip(&mut row[BASE_PARENTS..]) {
                let (left, right) = self.encode(left, right + j);
                *to = self.parent(left, right);
                waiting[count] = Waiting { left, right, word: word + j };
                count += usize::from(*to >= self.nodes);
            }
        }
        let words = rows.as_flattened_mut();
        while count > 0 {
            let outside = count;
            count = 0;
            for i in 0..outside {
                let Waiting { left, right, word } = waiting[i];
                let (left, right) = self.encode(left, right);
                let parent = self.parent(left, right);
                words[word as usize] = parent;
                waiting[count] = Waiting { left, right, word };
                count += usize::from(parent >= self.nodes);
            }
        }
    }

    /// One encoding of halves below 2^h.
    #[inline(always)]
    fn encode(&self, left: u32, right: u32) -> (u32, u32) {
        let [f1, f2, f3] = self.rounds;
        // SAFETY: the tables have 2^h entries, all below 2^h, and so are both halves, at the start and after each round.
        let f = |table: &[T], half: u32| unsafe { (*table.get_unchecked(half as usize)).into() };
        let left = left ^ f(f1, right);
        let right = right ^ f(f2, left);
        let left = left ^ f(f3, right);
        (right, left)
    }

    /// The node that an edge belongs to.
    #[inline(always)]
    fn parent(&self, left: u32, right: u32) -> u32 {
        left << (self.half_bits - 3) | right >> 3
    }
}
