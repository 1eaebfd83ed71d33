//! The native engine's parts: leaves of tree_c and tree_r_last per second on one core and on two, and leaves of tree_d.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealbench::host::sys;
use sealbench::phase::native::p2::tree::{OctTree, SUBTREE_LEAVES};
use sealbench_kernels::cpu::Features;
use sealbench_kernels::{poseidon, sha256};

/// Pairs of tree_d in an iteration: a subtree's lowest row.
const PAIRS: usize = 1 << 14;

/// Subtrees of tree_c, one for each core, written to a file as p2 writes them.
fn oct_trees(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("oct tree");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4)).sample_size(10);
    let cores = sys::allowed_cores().expect("the cores are known");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut row = vec![0x11; SUBTREE_LEAVES as usize * 32];
    row.iter_mut().skip(31).step_by(32).for_each(|top| *top = 0x11);
    for backend in poseidon::Backend::supported(&Features::detect()) {
        for used in [1, 2].into_iter().filter(|used| *used <= cores.len()) {
            let tree = OctTree::create(&dir.path().join("tree"), SUBTREE_LEAVES * 8, 0).expect("a file");
            group.throughput(Throughput::Elements(SUBTREE_LEAVES * used as u64));
            group.bench_function(format!("{}/{used} cores", backend.name()), |bencher| {
                bencher.iter(|| {
                    std::thread::scope(|scope| {
                        for (index, &core) in cores[..used].iter().enumerate() {
                            let (tree, row) = (&tree, &row);
                            scope.spawn(move || {
                                sys::pin_process(&[core]).expect("an allowed core");
                                let first = index as u64 * SUBTREE_LEAVES;
                                black_box(tree.write_subtree(backend, row, 0, first, &mut |_| ())).expect("room");
                            });
                        }
                    });
                });
            });
        }
    }
    group.finish();
}

fn binary_trees(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree_d");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    let (pairs, mut nodes) = (vec![0x5a; PAIRS * 64], vec![0; PAIRS * 32]);
    group.throughput(Throughput::Elements(PAIRS as u64));
    for backend in sha256::Backend::supported(&Features::detect()) {
        group.bench_function(format!("{}/pairs", backend.name()), |bencher| {
            bencher.iter(|| sha256::hash_node_pairs(backend, black_box(&pairs), black_box(&mut nodes)));
        });
    }
    group.finish();
}

criterion_group!(native, oct_trees, binary_trees);
criterion_main!(native);
