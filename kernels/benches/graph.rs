//! Parents of the SDR graph: nodes per second of each backend on one core, against hashing as the definition has it.

use std::hint::black_box;
use std::time::Duration;

use blake2b_simd::blake2b;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{Backend, Graph, PARENTS};

/// Nodes of an iteration: several of the kernel's chunks, rows that stay in L2.
const NODES: usize = 2048;

/// Nodes of the scalar model, which is slow.
const MODEL_NODES: usize = 16;

fn graph(criterion: &mut Criterion) {
    for (size, nodes) in [("512 MiB", 1 << 24), ("32 GiB", 1 << 30), ("64 GiB", 1 << 31)] {
        let mut group = criterion.benchmark_group(format!("graph/{size}"));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
        let graph = Graph::new(nodes, &[7; 32]);
        let mut rows = vec![[0; PARENTS]; NODES];
        group.throughput(Throughput::Elements(NODES as u64));
        for backend in Backend::supported(&Features::detect()) {
            group.bench_function(backend.name(), |bencher| {
                let mut first = 0;
                bencher.iter(|| {
                    graph.parents(backend, first, black_box(&mut rows));
                    first = (first + NODES as u64) % nodes;
                });
            });
        }
        group.throughput(Throughput::Elements(MODEL_NODES as u64));
        group.bench_function("scalar model", |bencher| {
            let mut node = 2;
            bencher.iter(|| {
                for _ in 0..MODEL_NODES {
                    black_box(model(nodes, node));
                    node = (node + 1) % nodes.next_power_of_two();
                }
            });
        });
        group.finish();
    }
}

/// The operations of the reference for one node, in its order: ten draws and their remainders, and hashed Feistel rounds until each
/// edge is in the graph. (Only the time is compared here; the parents are tested in the library.)
fn model(nodes: u64, node: u64) -> [u64; PARENTS] {
    let mut parents = [node; PARENTS];
    let mut seed = [7; 32];
    seed[28..].copy_from_slice(&(node as u32).to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(seed);
    let metanode = node * 5;
    let buckets = ((metanode + 1) as f64).log2().ceil() as u64;
    for parent in &mut parents[1..6] {
        let largest = metanode.min(1 << (rng.next_u64() % buckets + 1));
        let smallest = 2.max(largest >> 1);
        *parent = metanode.wrapping_sub(smallest + rng.next_u64() % (largest - smallest + 1)) / 5;
    }
    let half_bits = (nodes * 8).ilog2().div_ceil(2);
    let mask = (1 << half_bits) - 1;
    for (i, parent) in (0..).zip(&mut parents[6..]) {
        let mut edge = node * 8 + i;
        loop {
            let (mut left, mut right) = (edge >> half_bits, edge & mask);
            for key in [1_u64, 2, 3] {
                let mut input = [0; 16];
                input[..8].copy_from_slice(&right.to_be_bytes());
                input[8..].copy_from_slice(&key.to_be_bytes());
                let hash = blake2b(&input);
                let value = u64::from_be_bytes(hash.as_bytes().as_chunks().0[0]);
                (left, right) = (right, left ^ (value & mask));
            }
            edge = left << half_bits | right;
            if edge < nodes * 8 {
                break;
            }
        }
        *parent = edge / 8;
    }
    parents
}

criterion_group!(kernels, graph);
criterion_main!(kernels);
