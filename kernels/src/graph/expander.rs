//! The expander parents: a Feistel permutation of the graph's edges (storage-proofs-core, `crypto::feistel`).
//!
//! Edge 8 v + i of node v goes through a permutation of [0, 4^h), the smallest such range that holds all 8 N edges, again and again
//! until it lands below 8 N (two encodings on average where 8 N is half of 4^h, one where it is all of it); an eighth of that is the
//! parent. An encoding is three rounds (l, r) -> (r, l ^ F(r)) on halves of h bits. F hashes r and the round's key with BLAKE2b, but r
//! has only 2^h values: three tables replace it, 84 KiB at 2^24 nodes, 816 KiB at 2^30.

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

use super::EXPANDER_PARENTS;
use super::lanes::Lanes;

/// Rounds of an encoding.
const ROUNDS: usize = 3;

/// Inputs hashed at a time.
const HASHED: usize = 64;

/// The permutation of a graph.
pub struct Expander {
    /// h
    pub half_bits: u32,
    /// N
    pub nodes: u32,
    /// F of each round.
    pub rounds: [Table; ROUNDS],
}

impl Expander {
    /// The permutation of a graph of at least 8 nodes from its seed, whose first 24 bytes are the keys.
    pub fn new(nodes: u32, seed: &[u8; 32]) -> Expander {
        let edges = u64::from(nodes) * EXPANDER_PARENTS as u64;
        let half_bits = edges.next_power_of_two().ilog2().div_ceil(2);
        let round = |i: usize| Table::new(u64::from_le_bytes(seed.as_chunks().0[i]), half_bits);
        Expander { half_bits, nodes, rounds: [round(0), round(1), round(2)] }
    }

    /// Writes the expander parents of a node, edge by edge as they are defined.
    pub fn one(&self, node: u32, parents: &mut [u32]) {
        for (i, parent) in (0..).zip(parents) {
            let edge = u64::from(node) * EXPANDER_PARENTS as u64 + i;
            let (mut left, mut right) = ((edge >> self.half_bits) as u32, edge as u32 & self.mask());
            loop {
                for round in &self.rounds {
                    (left, right) = (right, left ^ round.value(right));
                }
                *parent = left << (self.half_bits - 3) | right >> 3;
                if *parent < self.nodes {
                    break;
                }
            }
        }
    }

    /// 2^h - 1
    pub fn mask(&self) -> u32 {
        (1 << self.half_bits) - 1
    }
}

/// F of one round for all inputs: 2^h values of h bits, one behind the other, so that three tables are as small as can be. A value lies
/// within four bytes, since h is at most 17.
pub struct Table {
    half_bits: u32,
    bytes: Box<[u8]>,
}

impl Table {
    fn new(key: u64, half_bits: u32) -> Table {
        let inputs = 1_usize << half_bits;
        let mut bytes = vec![0; inputs * half_bits as usize / 8 + 4];
        let params = Params::new();
        let mut messages = [[0; 16]; HASHED];
        for first in (0..inputs).step_by(HASHED) {
            let messages = &mut messages[..HASHED.min(inputs - first)];
            for (input, message) in (first as u64..).zip(messages.iter_mut()) {
                message[..8].copy_from_slice(&input.to_be_bytes());
                message[8..].copy_from_slice(&key.to_be_bytes());
            }
            let mut jobs: Vec<_> = messages.iter().map(|message| HashManyJob::new(&params, message)).collect();
            hash_many(&mut jobs);
            for (input, job) in (first..).zip(&jobs) {
                let hash = u64::from_be_bytes(job.to_hash().as_array().as_chunks().0[0]);
                let bit = input * half_bits as usize;
                let value = (hash as u32 & ((1 << half_bits) - 1)) << (bit % 8);
                for (byte, more) in bytes[bit / 8..].iter_mut().zip(value.to_le_bytes()) {
                    *byte |= more;
                }
            }
        }
        Table { half_bits, bytes: bytes.into_boxed_slice() }
    }

    /// The value of an input.
    fn value(&self, input: u32) -> u32 {
        let bit = (input * self.half_bits) as usize;
        let four: [u8; 4] = self.bytes[bit / 8..][..4].try_into().expect("four bytes");
        u32::from_le_bytes(four) >> (bit % 8) & ((1 << self.half_bits) - 1)
    }

    /// The values of inputs, in these lanes at least.
    ///
    /// # Safety
    /// The instruction set is enabled; the inputs of all lanes are below 2^h.
    #[inline(always)]
    pub unsafe fn values<L: Lanes>(&self, lanes: u32, inputs: L::Words) -> L::Words {
        // SAFETY: by this function's contract; the four bytes from the last value on are in the table.
        unsafe {
            let bit = L::multiply(inputs, L::words(self.half_bits));
            let four = L::gather_bytes(self.bytes.as_ptr(), lanes, L::shift_right(bit, 3));
            let value = L::shift_right_each(four, L::and(bit, L::words(7)));
            L::and(value, L::words((1 << self.half_bits) - 1))
        }
    }
}
