//! SHA-256 of many streams and SDR labels, each backend that this CPU runs.
//!
//! All rates are of blocks (a label has 20, a pair of nodes 2) over all streams. Beside criterion's figures, each line says how
//! many blocks are done in the time of one dependent block (the rounds alone, one chain), measured just before: that ratio does
//! not depend on the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use sealbench_kernels::cpu::Features;
use sealbench_kernels::label::{Layer, Parents, ROWS_AHEAD, read_labels, write_labels};
use sealbench_kernels::sha256::{Backend, INITIAL_STATE, Schedule, hash_node_pairs, rounds_chain, rounds_streams};

/// Blocks that one call takes, about: a few hundred microseconds.
const BLOCKS: usize = 20_000;

/// Bytes of a slab in the second-level cache together with the one before it, and of one that no cache holds.
const CACHED: usize = 256 << 10;
const UNCACHED: usize = 512 << 20;

fn backends() -> Vec<Backend> {
    Backend::supported(&Features::detect()).collect()
}

/// Seconds of the fastest of several calls.
fn fastest(mut call: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64()
    };
    (0..30).map(time).fold(f64::INFINITY, f64::min)
}

/// Benches a call that does `blocks` blocks, and prints how it compares with a chain of them.
fn blocks(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, blocks: usize, mut call: impl FnMut()) {
    const CHAIN: u64 = 2000;
    let one = backends()[0];
    let schedule = Schedule::new(&[1; 64]);
    let chain_s = fastest(|| rounds_chain(one, black_box(&mut INITIAL_STATE.clone()), black_box(&schedule), CHAIN));
    let ratio = chain_s / CHAIN as f64 * blocks as f64 / fastest(&mut call);
    println!("{name}: {ratio:.2} blocks in the time of a dependent one");
    group.throughput(Throughput::Elements(blocks as u64));
    group.bench_function(name, |bencher| bencher.iter(&mut call));
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500)).sample_size(20);
    group
}

fn rounds(criterion: &mut Criterion) {
    let mut group = group(criterion, "rounds");
    for backend in backends() {
        let streams = backend.streams();
        let schedules = vec![Schedule::new(&[1; 64]); streams];
        let mut states = vec![INITIAL_STATE; streams];
        let n = BLOCKS / streams;
        blocks(&mut group, backend.name(), n * streams, || {
            rounds_streams(backend, black_box(&mut states), black_box(&schedules), n as u64);
        });
    }
}

fn pairs(criterion: &mut Criterion) {
    let mut group = group(criterion, "node pairs");
    let children = vec![1; BLOCKS / 2 * 64];
    let mut nodes = vec![0; BLOCKS / 2 * 32];
    for backend in backends() {
        blocks(&mut group, backend.name(), BLOCKS / 2 * 2, || {
            hash_node_pairs(backend, black_box(&children), black_box(&mut nodes));
        });
    }
}

fn labels(criterion: &mut Criterion) {
    let mut group = group(criterion, "label");
    for (place, bytes) in [("cached", CACHED), ("uncached", UNCACHED)] {
        let (previous, mut current) = (Slab::new(bytes), Slab::new(bytes));
        for backend in backends() {
            let record = 8 * backend.streams();
            let nodes = bytes / 4 / record;
            let (previous, current) = (&previous.words()[..nodes * record], &mut current.words_mut()[..nodes * record]);
            let count = (BLOCKS / 20 / backend.streams()).min(nodes / 4);
            let replica_ids: Vec<[u8; 32]> = (0..backend.streams()).map(|s| [s as u8; 32]).collect();
            for number in [1, 2] {
                let layer = Layer::new(backend, &replica_ids, number);
                let previous = (number > 1).then_some(previous);
                // Several windows in turn, so that what one has brought into the caches does not serve the next.
                let windows: Vec<(usize, Vec<Parents>)> = (0..16)
                    .map(|w| nodes / 2 + (nodes / 2 - count) * w / 16)
                    .map(|first| (first, parents(nodes, first, count + ROWS_AHEAD)))
                    .collect();
                let mut turns = windows.iter().cycle();
                let name = format!("{}/layer {number}, {place}", backend.name());
                blocks(&mut group, &name, count * backend.streams() * 20, || {
                    let (first, parents) = turns.next().expect("a cycle has no end");
                    layer.label_nodes(*first, count, parents, previous, current);
                });
            }
        }
    }
}

/// Memory for the records of a layer, in huge pages if the kernel has them for whoever asks.
struct Slab {
    memory: Vec<u32>,
    start: usize,
}

impl Slab {
    const PAGE: usize = 2 << 20;

    fn new(bytes: usize) -> Slab {
        let mut memory: Vec<u32> = Vec::with_capacity((bytes + Slab::PAGE) / 4);
        let start = memory.as_ptr().align_offset(Slab::PAGE);
        // SAFETY: the range is inside the allocation; the advice changes nothing that can be read.
        unsafe { libc::madvise(memory.as_mut_ptr().add(start).cast(), bytes, libc::MADV_HUGEPAGE) };
        // Written, so that every page is one of its own.
        memory.resize(start + bytes / 4, 1);
        Slab { memory, start }
    }

    fn words(&self) -> &[u32] {
        &self.memory[self.start..]
    }

    fn words_mut(&mut self) -> &mut [u32] {
        &mut self.memory[self.start..]
    }
}

/// Parents as SDR has them: distances in one layer are as likely between 2^i and 2^(i+1) for every i, those to the layer before
/// are anywhere.
fn parents(nodes: usize, first: usize, count: usize) -> Vec<Parents> {
    let mut state = first as u64 | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let row = |node: usize| {
        core::array::from_fn(|i| match i {
            0 => node as u32 - 1,
            1..6 => {
                let distance = 1 << random(node.ilog2() as usize);
                (node - distance - random(distance)) as u32
            }
            _ => random(nodes) as u32,
        })
    };
    (first..first + count).map(row).collect()
}

/// Labels to bytes of a file and back, all streams of a window that fits the second-level cache.
fn layout(criterion: &mut Criterion) {
    let mut group = group(criterion, "layout");
    group.throughput(Throughput::Bytes(CACHED as u64));
    for backend in backends() {
        let streams = backend.streams();
        let nodes = CACHED / 32 / streams;
        let mut slab = vec![1; nodes * 8 * streams];
        let mut bytes = vec![0; nodes * 32];
        group.bench_function(format!("{}/read", backend.name()), |bencher| {
            bencher.iter(|| {
                (0..streams).for_each(|stream| read_labels(backend, &slab, stream, 0..nodes, black_box(&mut bytes)));
            });
        });
        group.bench_function(format!("{}/write", backend.name()), |bencher| {
            bencher.iter(|| {
                (0..streams).for_each(|stream| write_labels(backend, &mut slab, stream, 0..nodes, black_box(&bytes)));
            });
        });
    }
}

criterion_group!(benches, rounds, pairs, labels, layout);
criterion_main!(benches);
