//! The reference's configuration for a shape and an identity.

use std::sync::Once;

use filecoin_proofs::{PoRepConfig, PoRepProofPartitions, SectorSize, constants::LAYERS};
use storage_proofs_core::api_version::ApiVersion;

use crate::sector::{Identity, Shape};

/// The API version of what is sealed: the network's today. From 1.1 on a node's predecessor is its first parent.
pub const API_VERSION: ApiVersion = ApiVersion::V1_2_0;

/// The PoRep configuration.
///
/// The layer count is a process-wide setting of the reference, and its key caches know a sector size only: one shape per process.
pub fn config(shape: &Shape, identity: &Identity) -> PoRepConfig {
    static LAYERS_SET: Once = Once::new();
    let bytes = shape.sector_size.bytes();
    LAYERS_SET.call_once(|| {
        LAYERS.write().expect("nobody panics while setting the layers").insert(bytes, shape.layers as usize);
    });
    PoRepConfig {
        sector_size: SectorSize(bytes),
        partitions: PoRepProofPartitions(u8::try_from(shape.partitions).expect("a shape has at most 255 partitions")),
        porep_id: identity.porep_id.0,
        api_version: API_VERSION,
        api_features: Vec::new(),
    }
}
