//! One test body for all backends: the graph's definition restated with public crates, one node at a time.

use blake2b_simd::blake2b;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use super::{Backend, CHUNK, Graph, PARENTS};

/// The graph as storage-proofs-core and -porep define it.
pub struct Definition {
    nodes: u64,
    seed: [u8; 32],
    keys: [u64; 3],
}

impl Definition {
    pub fn new(nodes: u64, porep_id: &[u8; 32]) -> Definition {
        let derive = |tag: &str| <[u8; 32]>::from(Sha256::new().chain_update(tag).chain_update(porep_id).finalize());
        let keys = derive("Filecoin_Feistel");
        let key = |i: usize| u64::from_le_bytes(keys[8 * i..][..8].try_into().unwrap());
        Definition { nodes, seed: derive("Filecoin_DRSample"), keys: [key(0), key(1), key(2)] }
    }

    pub fn parents(&self, node: u64) -> [u32; PARENTS] {
        let mut parents = [0; PARENTS];
        self.base(node, &mut parents[..6]);
        for (i, parent) in parents[6..].iter_mut().enumerate() {
            *parent = u32::try_from(self.permute(node * 8 + i as u64) / 8).unwrap();
        }
        parents
    }

    fn base(&self, node: u64, parents: &mut [u32]) {
        if node < 2 {
            return;
        }
        let mut seed = self.seed;
        seed[28..].copy_from_slice(&(node as u32).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(seed);
        let metanode = node * 5;
        let buckets = (metanode as f64).log2().ceil() as u64;
        parents[0] = node as u32 - 1;
        for parent in &mut parents[1..] {
            let largest = metanode.min(1 << (rng.next_u64() % buckets + 1));
            let smallest = 2.max(largest >> 1);
            let distance = smallest + rng.next_u64() % (largest - smallest + 1);
            let mapped = (metanode - distance) / 5;
            *parent = if mapped == node { node - 1 } else { mapped } as u32;
        }
    }

    fn permute(&self, mut edge: u64) -> u64 {
        let mut half_bits = 1;
        while 1 << (2 * half_bits) < self.nodes * 8 {
            half_bits += 1;
        }
        let mask = (1 << half_bits) - 1;
        loop {
            let (mut left, mut right) = (edge >> half_bits, edge & mask);
            for key in self.keys {
                let input = [right.to_be_bytes(), key.to_be_bytes()].concat();
                let hash = u64::from_be_bytes(blake2b(&input).as_bytes()[..8].try_into().unwrap());
                (left, right) = (right, left ^ (hash & mask));
            }
            edge = left << half_bits | right;
            if edge < self.nodes * 8 {
                return edge;
            }
        }
    }
}

/// Checks everything a backend does.
pub fn check(backend: Backend) {
    whole_graphs(backend);
    every_length_and_start(backend);
    large_graphs(backend);
}

/// Ids that differ in the first byte, in the last, and in all.
const POREP_IDS: [[u8; 32]; 3] = [
    [0; 32],
    [99; 32],
    [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255],
];

/// All nodes of small graphs: sizes whose edges are a power of four, half of one, and neither.
fn whole_graphs(backend: Backend) {
    for nodes in [8, 9, 24, 48, 64, 100, 128, 512, 1024, 5000, 1 << 14] {
        for porep_id in &POREP_IDS {
            let (graph, definition) = (Graph::new(nodes, porep_id), Definition::new(nodes, porep_id));
            let mut parents = vec![[u32::MAX; PARENTS]; nodes as usize];
            graph.parents(backend, 0, &mut parents);
            for (node, parents) in (0..).zip(parents) {
                assert_eq!(parents, definition.parents(node), "{backend:?}, node {node} of {nodes}");
            }
        }
    }
}

/// Windows of every length around a vector's and a chunk's, at starts around every change of the number of buckets and every power of
/// two; what is around the window stays as it is.
fn every_length_and_start(backend: Backend) {
    const GUARD: [u32; PARENTS] = [0xdead_beef; PARENTS];
    const LONGEST: usize = CHUNK + 18;
    let (nodes, porep_id) = (1 << 14, &POREP_IDS[1]);
    let graph = Graph::new(nodes, porep_id);
    let mut all = vec![GUARD; nodes as usize];
    for (first, rows) in (0..).zip(all.chunks_mut(1)) {
        graph.parents(backend, first, rows);
    }
    for first in thresholds(nodes).chain(0..20).chain([nodes - 40]) {
        let lengths = [(0..LONGEST), (0..4)].into_iter().flatten().chain([CHUNK * 2, CHUNK * 2 + 1]);
        for length in lengths.filter(|&length| first + length as u64 <= nodes) {
            let mut rows = vec![GUARD; length + 2];
            graph.parents(backend, first, &mut rows[1..=length]);
            assert!(rows[0] == GUARD && rows[length + 1] == GUARD, "{backend:?}, {length} from {first}");
            assert!(rows[1..=length] == all[first as usize..][..length], "{backend:?}, {length} from {first}");
        }
    }
}

/// Windows of graphs too large to make whole: around thresholds, at the ends, and spread over the rest.
fn large_graphs(backend: Backend) {
    const WINDOW: u64 = 6;
    for nodes in [1 << 18, (1 << 20) + 12_345, 1 << 24, 1 << 25, 1 << 29, 1 << 30, 1 << 31] {
        let porep_id = &POREP_IDS[nodes as usize % 3];
        let (graph, definition) = (Graph::new(nodes, porep_id), Definition::new(nodes, porep_id));
        let spread = (0..64).map(|i| (nodes - WINDOW) * i / 64 + i % 7);
        for first in thresholds(nodes - WINDOW).chain(spread).chain([nodes - WINDOW]) {
            let mut rows = [[u32::MAX; PARENTS]; WINDOW as usize];
            graph.parents(backend, first, &mut rows);
            for (node, row) in (first..).zip(rows) {
                assert_eq!(row, definition.parents(node), "{backend:?}, node {node} of {nodes}");
            }
        }
    }
}

/// Nodes just before every power of two, and before every node whose fivefold passes one.
fn thresholds(nodes: u64) -> impl Iterator<Item = u64> {
    let powers = (1..=nodes.ilog2()).map(|k| 1_u64 << k);
    powers
        .flat_map(|power| [power, power * 4 / 5, power * 8 / 5])
        .map(|at| at.saturating_sub(3))
        .filter(move |&at| at < nodes)
}
