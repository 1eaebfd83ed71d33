//! A check of labels by other means than those that made them: sampled nodes are read back from the files and hashed by the `sha2` crate.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{Backend, Graph};
use sha2::{Digest, Sha256};

use crate::phase::PhaseContext;
use crate::sector::files::{self, sector_dir};
use crate::sector::shape::NODE_BYTES;
use crate::trial::record::{Finding, Severity, Verified};

/// Nodes of each layer that are checked beside the first and the last ones.
const SAMPLES: u64 = 256;

/// Nodes at either end of a layer that are checked.
const ENDS: u64 = 16;

/// Checks sampled labels of every layer and sector: the verdict, and what is wrong first.
pub fn labels(context: &PhaseContext<'_>, replica_ids: &[[u8; 32]]) -> anyhow::Result<(Verified, Option<Finding>)> {
    let nodes = context.shape.sector_size.nodes();
    let graph = Graph::new(nodes, &context.identity.porep_id.0);
    for (sector, replica_id) in (0..).zip(replica_ids) {
        let dir = sector_dir(context.dir, sector);
        let open = |layer| {
            let path = dir.join(files::layer(layer));
            File::open(&path).with_context(|| format!("cannot open {}", path.display()))
        };
        let mut previous = None;
        for layer in 1..=context.shape.layers {
            let current = open(layer)?;
            for node in sample(replica_id, layer, nodes) {
                let made = read(&current, node)?;
                if made != label(&graph, replica_id, layer, node, &current, previous.as_ref())? {
                    let text = format!(
                        "label {node} of layer {layer} of sector {sector} is wrong: it is {}",
                        hex::encode(made)
                    );
                    let finding = Finding::new("label-wrong", Severity::Error, text);
                    return Ok((Verified { against: "verifier".into(), ok: Some(false) }, Some(finding)));
                }
            }
            previous = Some(current);
        }
    }
    Ok((Verified { against: "verifier".into(), ok: Some(true) }, None))
}

/// The nodes of a layer that are checked: both ends, and others that follow from the replica id.
fn sample(replica_id: &[u8; 32], layer: u32, nodes: u64) -> impl Iterator<Item = u64> {
    let mut stream = blake3::Hasher::new().update(replica_id).update(&layer.to_le_bytes()).finalize_xof();
    let drawn = (0..SAMPLES).map(move |_| {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        u64::from_le_bytes(bytes) % nodes
    });
    let ends = ENDS.min(nodes);
    (0..ends).chain(nodes - ends..nodes).chain(drawn)
}

/// A label as storage-proofs-porep defines it (`create_label_exp`): SHA-256 of the replica id, the layer, the node, and 37 parents.
fn label(
    graph: &Graph,
    replica_id: &[u8; 32],
    layer: u32,
    node: u64,
    current: &File,
    previous: Option<&File>,
) -> anyhow::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    hasher.update(replica_id);
    hasher.update(layer.to_be_bytes());
    hasher.update(node.to_be_bytes());
    hasher.update([0; 20]);
    if node > 0 {
        let mut row = [[0; 14]];
        let portable = Backend::supported(&Features::baseline()).next().expect("the portable backend always runs");
        graph.parents(portable, node, &mut row);
        let (base, expander) = row[0].split_at(6);
        let base = base.iter().map(|parent| read(current, u64::from(*parent)));
        let expander =
            previous.into_iter().flat_map(|file| expander.iter().map(|parent| read(file, u64::from(*parent))));
        let parents: Vec<[u8; 32]> = base.chain(expander).collect::<anyhow::Result<_>>()?;
        parents.iter().cycle().take(37).for_each(|parent| hasher.update(parent));
    }
    let mut label: [u8; 32] = hasher.finalize().into();
    label[31] &= 0x3f;
    Ok(label)
}

fn read(file: &File, node: u64) -> anyhow::Result<[u8; 32]> {
    let mut label = [0; 32];
    file.read_exact_at(&mut label, node * NODE_BYTES).context("cannot read a label back")?;
    Ok(label)
}
