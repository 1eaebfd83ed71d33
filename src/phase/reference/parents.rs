//! The reference's parent cache: 14 parents of every node, 56 bytes a node, in a file.

use filecoin_hashers::Hasher;
use filecoin_proofs::DefaultTreeHasher;
use sha2::{Digest, Sha256};
use storage_proofs_core::crypto::{FEISTEL_DST, derive_porep_domain_seed};
use storage_proofs_core::drgraph::{BASE_DEGREE, Graph};
use storage_proofs_core::parameter_cache::{ParameterSetMetadata, VERSION};
use storage_proofs_porep::stacked::{EXP_DEGREE, StackedBucketGraph};

use crate::phase::reference::porep;
use crate::sector::{Identity, Shape};

fn graph(shape: &Shape, identity: &Identity) -> anyhow::Result<StackedBucketGraph<DefaultTreeHasher>> {
    let nodes = usize::try_from(shape.sector_size.nodes())?;
    StackedBucketGraph::new_stacked(nodes, BASE_DEGREE, EXP_DEGREE, identity.porep_id.0, porep::API_VERSION)
}

/// The name of the cache file of a sector (`cache_path` of storage-proofs-porep's private `cache.rs`): a hash of the graph, the
/// Feistel keys and the number of nodes.
pub fn cache_file(shape: &Shape, identity: &Identity) -> anyhow::Result<String> {
    let hash = Sha256::new()
        .chain_update(DefaultTreeHasher::name())
        .chain_update(graph(shape, identity)?.identifier())
        .chain_update(derive_porep_domain_seed(FEISTEL_DST, identity.porep_id.0))
        .chain_update(u32::try_from(shape.sector_size.nodes())?.to_le_bytes())
        .finalize();
    Ok(format!("v{VERSION}-sdr-parent-{}.cache", hex::encode(hash)))
}

/// Generates the cache file into FIL_PROOFS_PARENT_CACHE. The reference writes under the final name from the start, and a kill leaves a
/// file of zeros that it later trusts: the caller points it at a scratch directory.
pub fn generate(shape: &Shape, identity: &Identity) -> anyhow::Result<()> {
    let graph = graph(shape, identity)?;
    let cache = graph.parent_cache()?;
    anyhow::ensure!(cache.sector_size == graph.size() * 32, "the parent cache is of another sector size");
    Ok(())
}
