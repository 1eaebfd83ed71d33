//! The graph's parents and their cache file against rust-fil-proofs' own.

#![cfg(feature = "reference")]

use std::fs;
use std::path::Path;

use filecoin_hashers::Hasher;
use filecoin_hashers::poseidon::PoseidonHasher;
use rayon::prelude::*;
use sealbench::sector::SectorSize;
use sealbench::sector::identity::Bytes32;
use sealbench::sector::parents::ParentCache;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{Backend, Graph, PARENTS};
use sha2::{Digest, Sha256};
use storage_proofs_core::api_version::ApiVersion;
use storage_proofs_core::crypto::{FEISTEL_DST, derive_porep_domain_seed};
use storage_proofs_core::drgraph::{BASE_DEGREE, Graph as _};
use storage_proofs_core::parameter_cache::{ParameterSetMetadata, VERSION};
use storage_proofs_porep::stacked::{EXP_DEGREE, StackedBucketGraph};

type Reference = StackedBucketGraph<PoseidonHasher>;

const POREP_IDS: [[u8; 32]; 3] = [
    [0; 32],
    [99; 32],
    [5, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5],
];

fn reference(size: SectorSize, porep_id: &[u8; 32], version: ApiVersion) -> Reference {
    Reference::new_stacked(size.nodes() as usize, BASE_DEGREE, EXP_DEGREE, *porep_id, version).unwrap()
}

fn parents(graph: &Reference, node: u64) -> [u32; PARENTS] {
    let mut parents = [0; PARENTS];
    graph.parents(node as usize, &mut parents).unwrap();
    parents
}

#[test]
fn whole_files_have_the_references_parents() {
    for size in ["2KiB", "16KiB", "8MiB"] {
        let size: SectorSize = size.parse().unwrap();
        let versions = [ApiVersion::V1_1_0, ApiVersion::V1_2_0].into_iter().cycle();
        for (porep_id, version) in POREP_IDS.into_iter().zip(versions) {
            let dir = tempfile::tempdir().unwrap();
            let cache = ParentCache::new(dir.path(), size, &Bytes32(porep_id));
            cache.generate(&mut |_| ()).unwrap();
            let file = fs::read(cache.path()).unwrap();
            assert_eq!(file.len() as u64, size.nodes() * PARENTS as u64 * 4);
            let graph = reference(size, &porep_id, version);
            file.par_chunks(PARENTS * 4).enumerate().for_each(|(node, row)| {
                let expected = parents(&graph, node as u64).map(u32::to_le_bytes);
                assert_eq!(row, expected.as_flattened(), "node {node} of {size}");
            });
        }
    }
}

/// Nodes at both ends, around every power of two and its fifth, and spread over the rest.
#[test]
fn nodes_of_large_graphs_have_the_references_parents() {
    for (size, porep_id) in ["512MiB", "32GiB", "64GiB"].into_iter().zip(POREP_IDS) {
        let size: SectorSize = size.parse().unwrap();
        let nodes = size.nodes();
        let (ours, graph) = (Graph::new(nodes, &porep_id), reference(size, &porep_id, ApiVersion::V1_2_0));
        let thresholds = (1..=nodes.ilog2()).flat_map(|k| [1 << k, (1 << k) * 4 / 5, (1 << k) * 8 / 5]);
        let spread = (0..200).map(|i| nodes / 200 * i + i);
        let starts = thresholds.chain(spread).map(|node: u64| node.saturating_sub(3).min(nodes - 7));
        for first in starts.collect::<Vec<_>>() {
            let expected: Vec<_> = (first..first + 7).map(|node| parents(&graph, node)).collect();
            for backend in Backend::supported(&Features::detect()) {
                let mut rows = [[0; PARENTS]; 7];
                ours.parents(backend, first, &mut rows);
                assert_eq!(rows[..], expected, "{backend:?}, nodes from {first} of {size}");
            }
        }
    }
}

/// `cache_path` of storage-proofs-porep, which is private, with all that goes into it from the crates themselves.
#[test]
fn the_file_has_the_references_name() {
    for size in SectorSize::ALL {
        for porep_id in POREP_IDS {
            let hash = Sha256::new()
                .chain_update(PoseidonHasher::name())
                .chain_update(reference(size, &porep_id, ApiVersion::V1_2_0).identifier())
                .chain_update(derive_porep_domain_seed(FEISTEL_DST, porep_id))
                .chain_update(u32::try_from(size.nodes()).unwrap().to_le_bytes())
                .finalize();
            let expected = format!("dir/v{VERSION}-sdr-parent-{}.cache", hex::encode(hash));
            let cache = ParentCache::new(Path::new("dir"), size, &Bytes32(porep_id));
            assert_eq!(cache.path(), Path::new(&expected), "{size}");
        }
    }
}
