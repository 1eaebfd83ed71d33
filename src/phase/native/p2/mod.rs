//! Pre-commit 2: column hashes and tree_c, the replica and tree_r_last, in one pass over the layers.
//!
//! A column's hash is a leaf of tree_c, and an encoded node is a leaf of tree_r_last: a chunk of nodes is read once, from every layer
//! and the data, and gives a subtree of both trees. What is above the subtrees follows at the end.

mod busy;
mod chunk;
mod pipeline;
pub mod tree;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::poseidon::{Arity, Backend, hash_rows};

use crate::phase::PhaseContext;
use crate::phase::native::output::{self, Commitments};
use crate::phase::native::p2::chunk::Sources;
use crate::phase::native::p2::pipeline::Pipeline;
use crate::phase::native::p2::tree::OctTree;
use crate::sector::shape::NODE_BYTES;
use crate::sector::{Shape, files};
use crate::trial::job::Outcome;
use crate::trial::record::{Output, Verified, Work};
use crate::trial::spec::Io;
use crate::trial::verify::BETWEEN_SECTORS;

/// An element, little-endian.
type Node = [u8; 32];

/// Runs p2 of every sector of the batch, one after the other.
pub fn p2(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let shape = context.shape;
    let backend = backend(context)?;
    let (mut made, mut waited) = (Vec::new(), Duration::ZERO);
    let start = Instant::now();
    context.probe.timed("read", || {
        for sector in 0..context.sectors {
            let (commitments, files) = seal(context, backend, sector)?;
            made.push(commitments);
            waited += files;
        }
        Ok(())
    })?;
    let waited = waited.as_secs_f64() / start.elapsed().as_secs_f64();
    let joined = |of: fn(&Commitments) -> Node| {
        let hex: Vec<String> = made.iter().map(|commitments| hex::encode(of(commitments))).collect();
        Some(hex.join(BETWEEN_SECTORS))
    };
    let bound = if waited > BOUND_BY_STORAGE { "storage" } else { "CPU" };
    Ok(Outcome {
        variant: Some(format!(
            "{} reads, bound by {bound} ({:.1} % waiting for files)",
            context.native.io,
            100.0 * waited
        )),
        kernel: BTreeMap::from([("poseidon".to_string(), backend.name().to_string())]),
        work: Work { unit: "column".into(), count: shape.sector_size.nodes() * u64::from(context.sectors) },
        output: Output {
            comm_d: Some(hex::encode(made[0].comm_d)),
            comm_c: joined(|made| made.comm_c),
            comm_r_last: joined(|made| made.comm_r_last),
            comm_r: joined(|made| made.comm_r),
            ..Output::default()
        },
        verified: Verified { against: "none".into(), ok: None },
        findings: Vec::new(),
        pages: None,
        reserved_bytes: 0,
        labelled_together: 1,
        calibration: Vec::new(),
    })
}

/// Memory that p2 holds at a time, whatever the sector's size: chunks that are read or hashed, and of the latter a row with the one above.
pub fn window_bytes(shape: &Shape, threads: u32) -> u64 {
    let nodes = OctTree::subtree_leaves(shape.sector_size.nodes() / shape.sector_size.base_trees());
    let chunks = u64::from(threads) + pipeline::AHEAD as u64;
    chunks * Sources::chunk_bytes(shape, nodes) + u64::from(threads) * 2 * nodes * NODE_BYTES
}

/// The share of the time spent waiting for files from which on storage is said to be the bound.
const BOUND_BY_STORAGE: f64 = 0.1;

/// The kernel that was asked for, or the fastest.
fn backend(context: &PhaseContext<'_>) -> anyhow::Result<Backend> {
    let features = Features::detect();
    match context.native.kernels.get("poseidon") {
        Some(name) => {
            Backend::new(name, &features).with_context(|| format!("this CPU does not run the kernel poseidon={name}"))
        }
        None => Ok(Backend::supported(&features).next().expect("the portable backend always runs")),
    }
}

/// Seals one sector; also gives the time that went into waiting for files.
fn seal(context: &PhaseContext<'_>, backend: Backend, sector: u32) -> anyhow::Result<(Commitments, Duration)> {
    let dir = files::sector_dir(context.dir, sector);
    let comm_d = output::comm_d(&dir)?;
    let trees = Trees::create(context, &dir)?;
    let pipeline = Pipeline { context, backend, dir: &dir, trees: &trees };
    let (roots, mut waited) = pipeline.run(sector)?;
    context.probe.timeline.enter("tree_c");
    let comm_c = trees.finish(&trees.c, backend, &roots.c)?;
    context.probe.timeline.enter("tree_r_last");
    let comm_r_last = trees.finish(&trees.r_last, backend, &roots.r_last)?;
    let comm_r = hash(backend, Arity::Two, &[comm_c, comm_r_last])?;
    context.probe.timeline.enter("write");
    if context.native.io == Io::Direct {
        let start = Instant::now();
        trees.c.iter().chain(&trees.r_last).try_for_each(OctTree::sync)?;
        sync(&dir.join(files::SEALED))?;
        waited += start.elapsed();
    }
    let made = Commitments { comm_d, comm_c, comm_r_last, comm_r };
    output::write_p2(&dir, context.shape, context.rows_to_discard, &made)?;
    Ok((made, waited))
}

fn sync(path: &Path) -> anyhow::Result<()> {
    File::open(path)
        .and_then(|file| file.sync_data())
        .with_context(|| format!("cannot write {} to storage", path.display()))
}

/// One digest.
fn hash(backend: Backend, arity: Arity, preimage: &[Node]) -> anyhow::Result<Node> {
    let mut digest = [0; 32];
    hash_rows(backend, arity, preimage.as_flattened(), &mut digest)
        .map_err(|e| anyhow::anyhow!("element {} of a commitment is not below the field's modulus", e.element))?;
    Ok(digest)
}

/// The base trees of a sector, and how they are joined.
struct Trees {
    c: Vec<OctTree>,
    r_last: Vec<OctTree>,
    /// Base trees under a node, sub-trees under the root; 1 where there is no such level.
    joints: [u64; 2],
}

impl Trees {
    fn create(context: &PhaseContext<'_>, dir: &Path) -> anyhow::Result<Trees> {
        let size = context.shape.sector_size;
        let leaves = size.nodes() / size.base_trees();
        let discarded = OctTree::rows_discarded(leaves, context.rows_to_discard);
        let create = |name: &str, first_row| {
            let names = files::trees(name, context.shape).into_iter();
            names.map(|name| OctTree::create(&dir.join(name), leaves, first_row)).collect::<anyhow::Result<_>>()
        };
        Ok(Trees {
            c: create("tree-c", 0)?,
            r_last: create("tree-r-last", discarded + 1)?,
            joints: size.tree_arities(),
        })
    }

    /// Builds what is above the subtrees' roots, and joins the base trees' roots.
    fn finish(&self, base: &[OctTree], backend: Backend, roots: &[Node]) -> anyhow::Result<Node> {
        let each = roots.len() / base.len();
        let mut row: Vec<Node> = base
            .iter()
            .zip(roots.chunks_exact(each))
            .map(|(tree, roots)| tree.finish(backend, roots))
            .collect::<anyhow::Result<_>>()?;
        for joint in self.joints.into_iter().filter(|joint| *joint > 1) {
            let arity = Arity::new(joint as usize).context("trees are joined by two or eight")?;
            row = row
                .chunks_exact(joint as usize)
                .map(|children| hash(backend, arity, children))
                .collect::<anyhow::Result<_>>()?;
        }
        Ok(row[0])
    }
}
