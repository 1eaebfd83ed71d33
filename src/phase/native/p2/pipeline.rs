//! One pass over the layers: the next chunks are read while threads hash and write the ones before.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use sealbench_kernels::fr::add_many;
use sealbench_kernels::poseidon::{Arity, Backend, hash_columns};

use super::busy::{Busy, Kind, Watch};
use super::chunk::{Chunk, Sources};
use super::tree::{OctTree, Step};
use super::{Node, Trees};
use crate::host::sys;
use crate::phase::PhaseContext;
use crate::sector::files;
use crate::sector::shape::NODE_BYTES;

/// Chunks that are read ahead of the hashing threads.
pub const AHEAD: usize = 2;

/// What the pass over a sector needs.
pub struct Pipeline<'a> {
    /// The phase.
    pub context: &'a PhaseContext<'a>,
    /// The Poseidon kernel.
    pub backend: Backend,
    /// The sector's directory.
    pub dir: &'a Path,
    /// The trees that are built.
    pub trees: &'a Trees,
}

/// Roots of the subtrees of both trees, in order.
pub struct Roots {
    /// Of tree_c.
    pub c: Vec<Node>,
    /// Of tree_r_last.
    pub r_last: Vec<Node>,
}

/// A chunk that is hashed: the roots of its subtrees.
struct Hashed {
    chunk: u64,
    c: Node,
    r_last: Node,
}

/// The file that the encoded nodes go to.
struct Replica {
    file: File,
    path: PathBuf,
}

impl Pipeline<'_> {
    /// Hashes, encodes and writes everything up to the roots of the subtrees; also gives the time that a thread on the mean waited for
    /// files.
    pub fn run(&self, sector: u32) -> anyhow::Result<(Roots, Duration)> {
        let context = self.context;
        let tree_leaves = context.shape.sector_size.nodes() / context.shape.sector_size.base_trees();
        let nodes = OctTree::subtree_leaves(tree_leaves);
        let chunks = context.shape.sector_size.nodes() / nodes;
        let sources = Sources::open(self.dir, context.shape, nodes, context.native.io)?;
        let path = self.dir.join(files::SEALED);
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let replica = Replica { file, path };
        let cores = context.working_cores();
        let cores = &cores[..cores.len().min(chunks as usize)];
        let done = AtomicU64::new(u64::from(sector) * context.shape.sector_size.nodes());
        let failed = AtomicBool::new(false);

        context.probe.timeline.close();
        let start = Instant::now();
        let mut hashed: Vec<Hashed> = Vec::new();
        let mut busy = Busy::default();
        // Room for all buffers: a reader whose threads are gone must not wait for them.
        let (full, ready) = sync_channel(AHEAD + cores.len());
        let (empty, used) = channel();
        for _ in 0..AHEAD + cores.len() {
            empty.send(sources.buffer(context.native.pages)?).expect("its receiver is alive");
        }
        let ready = Mutex::new(ready);
        thread::scope(|scope| {
            let (ready, replica, done, failed) = (&ready, &replica, &done, &failed);
            let threads: Vec<_> = cores
                .iter()
                .map(|&core| {
                    let empty = empty.clone();
                    scope.spawn(move || {
                        let work = || self.hash(core, ready, &empty, replica, done, failed);
                        work().inspect_err(|_| failed.store(true, Ordering::SeqCst))
                    })
                })
                .collect();
            drop(empty);
            let read = read_all(&sources, chunks, &used, full, failed);
            for thread in threads {
                let (part, time) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                hashed.extend(part);
                busy.add(&time);
            }
            read
        })?;
        busy.report(cores.len(), start.elapsed(), &context.probe.timeline);
        hashed.sort_unstable_by_key(|hashed| hashed.chunk);
        let (c, r_last) = hashed.into_iter().map(|hashed| (hashed.c, hashed.r_last)).unzip();
        Ok((Roots { c, r_last }, busy.waited() / cores.len() as u32))
    }

    /// A hashing thread: takes chunks as they come.
    fn hash(
        &self,
        core: usize,
        ready: &Mutex<Receiver<Chunk>>,
        empty: &Sender<Chunk>,
        replica: &Replica,
        done: &AtomicU64,
        failed: &AtomicBool,
    ) -> anyhow::Result<(Vec<Hashed>, Busy)> {
        sys::pin_process(&[core]).with_context(|| format!("cannot pin a thread to core {core}"))?;
        let total = self.context.shape.sector_size.nodes() * u64::from(self.context.sectors);
        let (mut roots, mut watch) = (Vec::new(), Watch::start());
        loop {
            let received = ready.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(chunk) = received else { break };
            if failed.load(Ordering::SeqCst) {
                break;
            }
            let (c, r_last) = self.chunk(&chunk, replica, &mut watch)?;
            roots.push(Hashed { chunk: chunk.index, c, r_last });
            let nodes = chunk.layers_and_data().1.len() as u64 / NODE_BYTES;
            let done = done.fetch_add(nodes, Ordering::Relaxed) + nodes;
            (self.context.progress)("columns", done, total, "column");
            watch.enter(Kind::Read);
            // The reader that has read everything takes none back.
            let _ = empty.send(chunk);
        }
        Ok((roots, watch.stop()))
    }

    /// The work on a chunk; gives the roots of its subtrees.
    fn chunk(&self, chunk: &Chunk, replica: &Replica, watch: &mut Watch) -> anyhow::Result<(Node, Node)> {
        let (layers, data) = chunk.layers_and_data();
        let labels = *layers.last().context("a sector has layers")?;
        let leaves_of_a_tree = self.context.shape.sector_size.nodes() / self.trees.c.len() as u64;
        let (tree, first) = ((chunk.first() / leaves_of_a_tree) as usize, chunk.first() % leaves_of_a_tree);
        let damaged = |what: &str, node: usize| {
            anyhow::anyhow!(
                "node {} of {what} is not below the field's modulus: the file is damaged",
                chunk.first() + node as u64
            )
        };

        watch.enter(Kind::Columns);
        let arity = Arity::new(layers.len()).context("columns have 2 or 11 labels")?;
        let mut row = vec![0; data.len()];
        hash_columns(self.backend, arity, &layers, &mut row)
            .map_err(|e| damaged(&format!("layer {}", e.element + 1), e.preimage))?;
        let c = self.trees.c[tree].write_subtree(self.backend, &row, 0, first, &mut |step| {
            watch.enter(if step == Step::Hash { Kind::TreeC } else { Kind::Write });
        })?;

        watch.enter(Kind::Encode);
        add_many(labels, data, &mut row).map_err(|e| damaged("the last layer or of the data", e.index))?;
        watch.enter(Kind::Write);
        replica
            .file
            .write_all_at(&row, chunk.first() * NODE_BYTES)
            .with_context(|| format!("cannot write {}", replica.path.display()))?;
        let r_last = self.trees.r_last[tree].write_subtree(self.backend, &row, 0, first, &mut |step| {
            watch.enter(if step == Step::Hash { Kind::TreeRLast } else { Kind::Write });
        })?;
        Ok((c, r_last))
    }
}

/// Reads all chunks in order, each into a buffer that is free again.
fn read_all(
    sources: &Sources,
    chunks: u64,
    used: &Receiver<Chunk>,
    full: SyncSender<Chunk>,
    failed: &AtomicBool,
) -> anyhow::Result<()> {
    for index in 0..chunks {
        let Ok(mut chunk) = used.recv() else { break };
        if failed.load(Ordering::SeqCst) {
            break;
        }
        sources.read(index, &mut chunk)?;
        if full.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}
