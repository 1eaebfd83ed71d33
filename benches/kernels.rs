//! The kernels of `sealbench-kernels`, each backend that this CPU runs.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealbench_kernels::cpu::Features;
use sealbench_kernels::sha256::{Backend, INITIAL_STATE, Schedule, compress, hash_node_pair, rounds_chain};

/// Blocks in a bulk measurement: 64 KiB, which stays in L2.
const BULK: usize = 1024;

fn sha256(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sha256");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    let blocks = vec![[0x5a; 64]; BULK];
    let schedule = Schedule::new(&blocks[0]);
    // One chain or pair at a time; streams are in the benches of the kernels crate.
    for backend in Backend::supported(&Features::detect()).filter(|backend| backend.streams() == 1) {
        let name = backend.name();

        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}/block"), |bencher| {
            let mut state = INITIAL_STATE;
            bencher.iter(|| compress(backend, &mut state, black_box(&blocks[..1])));
        });
        group.bench_function(format!("{name}/node pair"), |bencher| {
            bencher.iter(|| hash_node_pair(backend, black_box(&[1; 32]), black_box(&[2; 32])));
        });

        group.throughput(Throughput::Bytes((BULK * 64) as u64));
        group.bench_function(format!("{name}/64 KiB"), |bencher| {
            let mut state = INITIAL_STATE;
            bencher.iter(|| compress(backend, &mut state, black_box(&blocks)));
        });

        // The rate is blocks per second: what `sealbench::measure::limit` takes as the bound of a label's chain.
        group.throughput(Throughput::Elements(BULK as u64));
        group.bench_function(format!("{name}/chain of {BULK} blocks"), |bencher| {
            let mut state = INITIAL_STATE;
            bencher.iter(|| rounds_chain(backend, &mut state, black_box(&schedule), BULK as u64));
        });
    }
    group.finish();
}

criterion_group!(kernels, sha256);
criterion_main!(kernels);
