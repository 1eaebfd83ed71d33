//! The names rust-fil-proofs gives a shape's parameter files, derived without it.
//!
//! The cache identifier hashes a description of the circuit's public parameters: `stacked/vanilla/{params,graph}.rs` of
//! storage-proofs-porep 19.1, `drgraph.rs`, `merkle/tree.rs` and `parameter_cache.rs` of storage-proofs-core 19.1. PoRep id, API
//! version and partitions do not enter it; the challenges per partition do.

use sha2::{Digest, Sha256};

use crate::sector::{SectorSize, Shape};

/// The names of a shape's parameter files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// rust-fil-proofs' cache identifier.
    pub identifier: String,
    /// Proving key.
    pub params: String,
    /// Verifying key.
    pub vk: String,
    /// rust-fil-proofs' metadata: the sector size.
    pub meta: String,
    /// Marker of generated parameters, beside the proving key.
    pub sidecar: String,
}

impl Names {
    /// The names of a shape's files.
    pub fn of(shape: &Shape) -> Names {
        Names::from_identifier(identifier(shape))
    }

    /// The names that go with a cache identifier.
    pub fn from_identifier(identifier: String) -> Names {
        // 28 is rust-fil-proofs' parameter version (`parameter_cache::VERSION`).
        let file = |extension: &str| format!("v28-{identifier}.{extension}");
        Names {
            params: file("params"),
            vk: file("vk"),
            meta: file("meta"),
            sidecar: file("params.dev.json"),
            identifier,
        }
    }
}

/// rust-fil-proofs' cache identifier of a shape.
pub fn identifier(shape: &Shape) -> String {
    let tree = tree(shape.sector_size);
    let public_params = format!(
        "layered_drgporep::PublicParams{{ graph: stacked_graph::StackedGraph{{expansion_degree: 8 base_graph: \
         drgraph::BucketGraph{{size: {}; degree: 6; hasher: poseidon_hasher}} }}, \
         challenges: LayerChallenges {{ layers: {}, max_count: {} }}, tree: {tree} }}",
        shape.sector_size.nodes(),
        shape.layers,
        shape.challenges_per_partition(),
    );
    format!("stacked-proof-of-replication-{tree}-sha256_hasher-{}", hex::encode(Sha256::digest(public_params)))
}

/// The display of a size's tree type: its base, sub-tree and top-tree arities.
fn tree(size: SectorSize) -> &'static str {
    match size.base_trees() {
        1 => "merkletree-poseidon_hasher-8-0-0",
        2 => "merkletree-poseidon_hasher-8-2-0",
        8 => "merkletree-poseidon_hasher-8-8-0",
        _ => "merkletree-poseidon_hasher-8-8-2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::manifest;
    use std::collections::HashSet;

    #[test]
    fn published_files_have_the_derived_names() {
        let mut found = 0;
        for size in SectorSize::ALL {
            let names = Names::of(&Shape::network(size));
            let published = manifest::published(&names.params).map(|file| file.sector_size);
            assert_eq!(published, manifest::published(&names.vk).map(|file| file.sector_size));
            assert!(published.is_none_or(|bytes| bytes == size.bytes()));
            found += usize::from(published.is_some());
        }
        assert_eq!(found, 5, "2KiB, 8MiB, 512MiB, 32GiB and 64GiB are published");
    }

    #[test]
    fn a_name_depends_on_size_layers_and_challenges_per_partition_only() {
        let mut names = HashSet::new();
        for size in SectorSize::ALL {
            for layers in 1..=11 {
                for partitions in [1, 2, 3] {
                    names.insert(identifier(&Shape { sector_size: size, layers, partitions }));
                }
            }
        }
        // Eight small sizes have one and two challenges per partition; two production sizes 176, 88 and 59.
        assert_eq!(names.len(), 8 * 11 * 2 + 2 * 11 * 3);
    }

    /// LAYERS is process-wide: other layer counts are set for 1 GiB alone, which no other test uses, and set back.
    #[cfg(feature = "reference")]
    #[test]
    fn names_are_the_reference_crates() {
        use filecoin_proofs::{PoRepConfig, PoRepProofPartitions, with_shape};
        use storage_proofs_core::{api_version::ApiVersion, merkle::MerkleTreeTrait};

        fn reference<Tree: 'static + MerkleTreeTrait>(config: &PoRepConfig) -> String {
            config.get_cache_identifier::<Tree>().unwrap()
        }
        fn check(shape: Shape) {
            let bytes = shape.sector_size.bytes();
            let mut config = PoRepConfig::new_groth16(bytes, [9; 32], ApiVersion::V1_2_0);
            config.partitions = PoRepProofPartitions(shape.partitions as u8);
            assert_eq!(identifier(&shape), with_shape!(bytes, reference, &config), "{shape}");
        }
        for size in SectorSize::ALL {
            let network = Shape::network(size);
            for partitions in [network.partitions, network.partitions * 2] {
                check(Shape { partitions, ..network });
            }
        }
        let size = "1GiB".parse::<SectorSize>().unwrap();
        let set_layers = |layers| filecoin_proofs::constants::LAYERS.write().unwrap().insert(size.bytes(), layers);
        for layers in [1, 5, 11] {
            set_layers(layers as usize);
            check(Shape { layers, ..Shape::network(size) });
        }
        set_layers(2);
    }
}
