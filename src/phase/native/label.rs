//! The labels of all layers: each core labels its sectors window by window while another thread writes the layer before.

use std::mem;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Context;
use sealbench_kernels::label::Layer;
use sealbench_kernels::sha256::Backend;

use crate::error::Stop;
use crate::host::arena::{Arena, Pages};
use crate::host::{cores, sys};
use crate::phase::PhaseContext;
use crate::phase::native::calibrate::Arrangement;
use crate::phase::native::layers::{self, Whole};
use crate::phase::native::parents::{Parents, Window};
use crate::sector::files::sector_dir;
use crate::trial::estimate::show;

/// A batch that is being labelled.
pub struct Labelling<'a> {
    context: &'a PhaseContext<'a>,
    parents: &'a Parents,
    /// One for each sector.
    replica_ids: &'a [[u8; 32]],
    shares: Vec<Share>,
    /// Cores that label nothing: they compute parents and write layers.
    helpers: &'a [usize],
    labelled: AtomicU64,
    failed: AtomicBool,
}

struct Share {
    core: usize,
    groups: Vec<Group>,
}

/// Sectors that one kernel labels together, with their two layers.
struct Group {
    backend: Backend,
    sectors: Range<u32>,
    /// The layer before, from the second on.
    previous: Arena,
    /// The layer that is being labelled.
    current: Arena,
}

impl<'a> Labelling<'a> {
    /// Takes the memory: two layers of every sector, on the asked pages, touched first by the core that will label them.
    pub fn new(
        context: &'a PhaseContext<'a>,
        arrangement: &Arrangement,
        parents: &'a Parents,
        replica_ids: &'a [[u8; 32]],
    ) -> anyhow::Result<Labelling<'a>> {
        let nodes = usize::try_from(context.shape.sector_size.nodes())?;
        let pages = context.native.pages;
        let shares = thread::scope(|scope| {
            let threads: Vec<_> = arrangement
                .shares
                .iter()
                .map(|share| {
                    scope.spawn(move || {
                        pin(&[share.core])?;
                        let group = |(backend, sectors): &(Backend, Range<u32>)| {
                            let words = nodes * backend.streams() * 8;
                            let (previous, current) = (touched(words, pages)?, touched(words, pages)?);
                            anyhow::Ok(Group { backend: *backend, sectors: sectors.clone(), previous, current })
                        };
                        let groups = share.groups.iter().map(group).collect::<anyhow::Result<_>>()?;
                        anyhow::Ok(Share { core: share.core, groups })
                    })
                })
                .collect();
            threads.into_iter().map(join).collect::<anyhow::Result<Vec<Share>>>()
        })?;
        Ok(Labelling {
            context,
            parents,
            replica_ids,
            helpers: &context.working_cores()[shares.len()..],
            shares,
            labelled: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })
    }

    /// What backs the layers, once they are written to: the least of all.
    pub fn pages(&self) -> &'static str {
        let backing = self.groups().flat_map(|group| [group.previous.backing(), group.current.backing()]);
        backing
            .min_by_key(|name| ["4KiB", "thp", "2MiB", "1GiB"].iter().position(|known| known == name))
            .unwrap_or("4KiB")
    }

    /// Bytes of reserved huge pages under the layers.
    pub fn reserved_bytes(&self) -> u64 {
        self.groups().map(|group| group.previous.reserved_bytes() + group.current.reserved_bytes()).sum()
    }

    /// Labels and writes the layers that are not whole yet.
    pub fn run(&mut self, mut whole: Whole) -> anyhow::Result<()> {
        let layers = self.context.shape.layers;
        let first = whole.count() + 1;
        if first > 1 {
            self.load(first - 1)?;
        }
        for layer in first..=layers {
            self.context.probe.timeline.enter("label");
            // The layer before is in `previous` now; one that was loaded is whole on disk.
            let digests = self.label_layer(layer, layer > first)?;
            if let Some(digests) = digests {
                whole.add(self.context.dir, digests)?;
            }
            for group in self.shares.iter_mut().flat_map(|share| &mut share.groups) {
                mem::swap(&mut group.previous, &mut group.current);
            }
        }
        if first <= layers {
            self.context.probe.timeline.enter("write");
            write_layer(self.context, layers, &tasks(&mut self.shares).1)?;
        }
        Ok(())
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.shares.iter().flat_map(|share| &share.groups)
    }

    /// Reads a layer that is whole, to go on from it.
    fn load(&mut self, layer: u32) -> anyhow::Result<()> {
        for group in self.shares.iter_mut().flat_map(|share| &mut share.groups) {
            let dirs = dirs(self.context, &group.sectors);
            layers::read(&dirs, layer, group.backend, &mut group.previous)?;
        }
        Ok(())
    }

    /// Labels a layer on all cores, and writes the layer before meanwhile if `write` says so; gives that one's digests by sector.
    fn label_layer(&mut self, layer: u32, write: bool) -> anyhow::Result<Option<Vec<String>>> {
        let Labelling { context, parents, replica_ids, shares, helpers, labelled, failed } = self;
        let work = Work { context, parents, replica_ids, helpers, labelled, failed, layer };
        let (tasks, finished) = tasks(shares);
        thread::scope(|scope| {
            let work = &work;
            let labelling: Vec<_> =
                tasks.into_iter().map(|task| scope.spawn(move || work.checked(|| work.label(task)))).collect();
            let writing = write.then(|| scope.spawn(move || work.checked(|| work.write(&finished))));
            let written = writing.map(join).transpose();
            let mut errors: Vec<anyhow::Error> =
                labelling.into_iter().filter_map(|thread| join(thread).err()).collect();
            match written {
                Ok(digests) if errors.is_empty() => return Ok(digests),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
            // The cause is what did not stop because of another.
            let cause = errors.iter().position(|error| !error.is::<StoppedByAnother>()).unwrap_or(0);
            Err(errors.swap_remove(cause))
        })
    }
}

/// A thread stopped because another one failed.
#[derive(Debug, thiserror::Error)]
#[error("another thread failed")]
struct StoppedByAnother;

/// A layer of some sectors that is finished.
struct Finished<'a> {
    backend: Backend,
    sectors: Range<u32>,
    slab: &'a [u32],
}

/// A layer of some sectors that is to be labelled, beside the one before.
struct Task<'a> {
    core: usize,
    groups: Vec<(Finished<'a>, &'a mut [u32])>,
}

/// The tasks of each core, and the finished layers that they read.
fn tasks(shares: &mut [Share]) -> (Vec<Task<'_>>, Vec<Finished<'_>>) {
    let mut finished = Vec::new();
    let tasks = shares.iter_mut().map(|share| {
        let groups = share.groups.iter_mut().map(|Group { backend, sectors, previous, current }| {
            let before = || Finished { backend: *backend, sectors: sectors.clone(), slab: previous };
            finished.push(before());
            (before(), &mut **current)
        });
        Task { core: share.core, groups: groups.collect() }
    });
    (tasks.collect(), finished)
}

/// What the threads of one layer share.
struct Work<'a> {
    context: &'a PhaseContext<'a>,
    parents: &'a Parents,
    replica_ids: &'a [[u8; 32]],
    helpers: &'a [usize],
    /// Nodes labelled so far, over all layers and sectors.
    labelled: &'a AtomicU64,
    failed: &'a AtomicBool,
    layer: u32,
}

impl Work<'_> {
    /// Lets the other threads know of a failure, so that nobody labels for hours what cannot be written.
    fn checked<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        work().inspect_err(|_| self.failed.store(true, Ordering::SeqCst))
    }

    fn label(&self, mut task: Task<'_>) -> anyhow::Result<()> {
        pin(&[task.core])?;
        let layers: Vec<Layer> = task
            .groups
            .iter()
            .map(|(before, _)| {
                let ids = &self.replica_ids[before.sectors.start as usize..before.sectors.end as usize];
                Layer::new(before.backend, ids, self.layer)
            })
            .collect();
        let nodes = u32::try_from(self.context.shape.sector_size.nodes())?;
        self.parents.each_window(nodes, self.helpers, &mut |Window { first, count, rows }| {
            anyhow::ensure!(!self.failed.load(Ordering::SeqCst), StoppedByAnother);
            for (layer, (before, current)) in layers.iter().zip(&mut task.groups) {
                let previous = (self.layer > 1).then_some(before.slab);
                layer.label_nodes(first as usize, count, rows, previous, current);
                self.note(count as u64 * before.sectors.len() as u64);
            }
            Ok(())
        })
    }

    fn note(&self, nodes: u64) {
        let done = self.labelled.fetch_add(nodes, Ordering::Relaxed) + nodes;
        let total = self.context.shape.labels() * u64::from(self.context.sectors);
        (self.context.progress)("label", done.min(total), total, "node");
    }

    /// Writes the layer before this one; gives the digests by sector.
    fn write(&self, finished: &[Finished<'_>]) -> anyhow::Result<Vec<String>> {
        if !self.helpers.is_empty() {
            pin(self.helpers)?;
        }
        write_layer(self.context, self.layer - 1, finished)
    }
}

/// Writes a finished layer of all sectors; gives the digests by sector.
fn write_layer(context: &PhaseContext<'_>, layer: u32, finished: &[Finished<'_>]) -> anyhow::Result<Vec<String>> {
    let mut digests = vec![String::new(); context.sectors as usize];
    for Finished { backend, sectors, slab } in finished {
        let written = layers::write(&dirs(context, sectors), layer, *backend, slab)?;
        digests[sectors.start as usize..sectors.end as usize].clone_from_slice(&written);
    }
    Ok(digests)
}

/// Directories of some sectors.
fn dirs(context: &PhaseContext<'_>, sectors: &Range<u32>) -> Vec<PathBuf> {
    sectors.clone().map(|sector| sector_dir(context.dir, sector)).collect()
}

fn pin(cores: &[usize]) -> anyhow::Result<()> {
    sys::pin_process(cores).with_context(|| format!("cannot pin a thread to cores {}", cores::format_list(cores)))
}

/// A thread's result; a panic goes on in the caller.
fn join<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Memory that the calling thread has written to, so that it is there and near.
fn touched(words: usize, pages: Pages) -> anyhow::Result<Arena> {
    let mut arena = Arena::new(words, pages).map_err(|e| {
        Stop::Refused.error(format!(
            "{} of memory on pages of {pages} are not to be had: {e}; reserve them (/proc/sys/vm/nr_hugepages) or choose other --pages",
            show(words as u64 * 4)
        ))
    })?;
    arena.fill(0);
    Ok(arena)
}
