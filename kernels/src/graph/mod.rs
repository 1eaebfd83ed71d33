//! The SDR graph: the 14 parents of every node (Filecoin spec, "Stacked DRGs"; storage-proofs-porep, API 1.1 and 1.2).
//!
//! The first parent is the predecessor, so that hashing a label cannot begin early. Five more come from DRSample: ten draws of a
//! ChaCha8 generator that the node seeds pick a bucket of distances and a distance in it (`drsample`). Eight come from a
//! Feistel permutation of all edges (`expander`, `walk`). Both are written once over the vectors of an instruction set (`lanes`).
//! Only dispatch lives here.

mod avx2;
mod avx512;
mod drsample;
mod expander;
mod lanes;
mod portable;
#[cfg(test)]
mod testing;
mod walk;

use drsample::{Buckets, Seed};
use expander::Expander;
use walk::Outside;

use crate::backend::Implementation;
use crate::cpu::Features;
use crate::sha256::{self, INITIAL_STATE};

/// Parents of a node from DRSample, the predecessor among them.
pub const BASE_PARENTS: usize = 6;

/// Parents of a node from the expander.
pub const EXPANDER_PARENTS: usize = 8;

/// Parents of a node.
pub const PARENTS: usize = BASE_PARENTS + EXPANDER_PARENTS;

/// Nodes whose base parents are made before their expander parents: so many that the last walks of a chunk, which fill no vector, hardly
/// count, and so few that rows and walks (14 and 25 KiB) leave the caches to the tables.
const CHUNK: usize = 256;

/// An implementation; the fastest is the first.
pub type Backend = crate::backend::Backend<Kind>;

/// The implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No instructions beyond the baseline.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Implementation for Kind {
    const ALL: &'static [Kind] = &[Kind::Avx512, Kind::Avx2, Kind::Portable];

    fn name(self) -> &'static str {
        match self {
            Kind::Portable => "portable",
            Kind::Avx2 => "avx2",
            Kind::Avx512 => "avx512",
        }
    }

    fn runs_on(self, features: &Features) -> bool {
        match self {
            Kind::Portable => true,
            Kind::Avx2 => features.avx2(),
            Kind::Avx512 => features.avx512(),
        }
    }
}

/// The graph of a sector size and a PoRep id.
pub struct Graph {
    nodes: u32,
    seed: Seed,
    expander: Expander,
}

impl Graph {
    /// The fewest nodes: the eight edges of a node must share the left half of the Feistel cipher's input.
    pub const MIN_NODES: u64 = 8;

    /// The most nodes, those of a 64 GiB sector.
    pub const MAX_NODES: u64 = 1 << 31;

    /// The graph of this many nodes. Builds the tables of the round functions: 3 x 2^14 hashes at 2^24 nodes, 3 x 2^17 (20 ms) at 2^30.
    ///
    /// # Panics
    /// If `nodes` is not within [`Self::MIN_NODES`] and [`Self::MAX_NODES`].
    pub fn new(nodes: u64, porep_id: &[u8; 32]) -> Graph {
        assert!((Self::MIN_NODES..=Self::MAX_NODES).contains(&nodes), "a graph of {nodes} nodes is not supported");
        let nodes = nodes as u32;
        let seed = Seed::new(&domain_seed(b"Filecoin_DRSample", porep_id));
        let expander = Expander::new(nodes, &domain_seed(b"Filecoin_Feistel", porep_id));
        Graph { nodes, seed, expander }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> u64 {
        u64::from(self.nodes)
    }

    /// Writes the parents of `first_node` and the nodes after it: 6 base parents, then 8 expander parents, which is also their
    /// order in a label and in the parent cache file.
    ///
    /// # Panics
    /// If one of the nodes is not in the graph.
    pub fn parents(&self, backend: Backend, first_node: u64, out: &mut [[u32; PARENTS]]) {
        let end = first_node.checked_add(out.len() as u64);
        assert!(end.is_some_and(|end| end <= self.nodes()), "the graph has {} nodes", self.nodes);
        let mut outside = Outside::new();
        let mut first = first_node as u32;
        for rows in out.chunks_mut(CHUNK) {
            self.base_parents(backend, first, rows);
            self.expander_parents(backend, &mut outside, first, rows);
            first += rows.len() as u32;
        }
    }

    /// The base parents, in parts that have the same number of buckets.
    fn base_parents(&self, backend: Backend, mut first: u32, mut rows: &mut [[u32; PARENTS]]) {
        // The first two nodes have no one else to refer to.
        while first < 2 && !rows.is_empty() {
            rows[0][..BASE_PARENTS].fill(0);
            (first, rows) = (first + 1, &mut rows[1..]);
        }
        while !rows.is_empty() {
            let buckets = Buckets::of(first);
            let (part, rest) = rows.split_at_mut(rows.len().min((buckets.end() - u64::from(first)) as usize));
            match backend.kind() {
                Kind::Portable => portable::base_parents(&self.seed, &buckets, first, part),
                // SAFETY: `Backend` exists only for a CPU with these features (`Kind::runs_on`).
                Kind::Avx2 => unsafe { avx2::base_parents(&self.seed, &buckets, first, part) },
                // SAFETY: as above.
                Kind::Avx512 => unsafe { avx512::base_parents(&self.seed, &buckets, first, part) },
            }
            (first, rows) = (first + part.len() as u32, rest);
        }
    }

    fn expander_parents(&self, backend: Backend, outside: &mut Outside, first: u32, rows: &mut [[u32; PARENTS]]) {
        match backend.kind() {
            Kind::Portable => portable::expander_parents(&self.expander, first, rows),
            // SAFETY: as in `base_parents`.
            Kind::Avx2 => unsafe { avx2::expander_parents(&self.expander, outside, first, rows) },
            // SAFETY: as in `base_parents`.
            Kind::Avx512 => unsafe { avx512::expander_parents(&self.expander, outside, first, rows) },
        }
    }
}

/// A random value for one purpose from the PoRep id (storage-proofs-core, `derive_porep_domain_seed`).
fn domain_seed(tag: &[u8], porep_id: &[u8; 32]) -> [u8; 32] {
    let length = tag.len() + porep_id.len();
    let mut block = [0; 64];
    block[..tag.len()].copy_from_slice(tag);
    block[tag.len()..length].copy_from_slice(porep_id);
    block[length] = 0x80;
    block[62..].copy_from_slice(&(length as u16 * 8).to_be_bytes());
    let mut state = INITIAL_STATE;
    let portable = sha256::Backend::new("portable", &Features::baseline()).expect("it always runs");
    sha256::compress(portable, &mut state, &[block]);
    sha256::digest(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_right_or_absent_by_name() {
        crate::backend::check_all("graph", testing::check);
    }

    #[test]
    #[should_panic(expected = "7 nodes")]
    fn a_graph_too_small_for_the_cipher_is_refused() {
        Graph::new(7, &[0; 32]);
    }

    #[test]
    #[should_panic(expected = "64 nodes")]
    fn nodes_beyond_the_graph_are_refused() {
        let portable = Backend::new("portable", &Features::baseline()).unwrap();
        Graph::new(64, &[0; 32]).parents(portable, 60, &mut [[0; PARENTS]; 5]);
    }
}
