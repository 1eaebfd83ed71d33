//! The primitives of rust-fil-proofs, as today's production software runs them: the baseline of the native kernels.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use blstrs::Scalar as Fr;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use filecoin_hashers::poseidon::PoseidonHasher;
use filecoin_hashers::sha256::{Sha256Domain, Sha256Function};
use filecoin_hashers::{HashFunction, POSEIDON_CONSTANTS_2, POSEIDON_CONSTANTS_8, POSEIDON_CONSTANTS_11};
use neptune::Arity;
use neptune::poseidon::{Poseidon, PoseidonConstants};
use sealbench::sector::Seed;
use sha2::{Digest, Sha256};
use storage_proofs_core::api_version::ApiVersion;
use storage_proofs_core::drgraph::BASE_DEGREE;
use storage_proofs_porep::stacked::create_label::single::{create_label, create_label_exp};
use storage_proofs_porep::stacked::{EXP_DEGREE, StackedBucketGraph};

#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/seal.rs"]
mod seal;

fn main() -> anyhow::Result<()> {
    scratch::in_scratch(|dir| {
        let mut criterion = Criterion::default().configure_from_args();
        sha256(&mut criterion);
        label(&mut criterion);
        poseidon(&mut criterion);
        seal(&mut criterion, dir);
        criterion.final_summary();
        Ok(())
    })
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    group
}

/// The `sha2` crate, which hashes tree_d, and the node of tree_d around it.
fn sha256(criterion: &mut Criterion) {
    let mut group = group(criterion, "sha256");
    let bulk = vec![0x5a; 64 << 10];

    group.throughput(Throughput::Elements(1));
    group.bench_function("reference/block", |bencher| {
        let mut hasher = Sha256::new();
        bencher.iter(|| hasher.update(black_box(&bulk[..64])));
    });
    group.bench_function("reference/node pair", |bencher| {
        let (left, right) = (Sha256Domain([1; 32]), Sha256Domain([2; 32]));
        bencher.iter(|| Sha256Function::hash2(black_box(&left), black_box(&right)));
    });

    group.throughput(Throughput::Bytes(bulk.len() as u64));
    group.bench_function("reference/64 KiB", |bencher| {
        let mut hasher = Sha256::new();
        bencher.iter(|| hasher.update(black_box(&bulk)));
    });
    group.finish();
}

/// Labels of an 8 MiB sector, node after node, through `sha2raw`: with the parent cache, as P1 makes them, and with the
/// parents computed for each label.
fn label(criterion: &mut Criterion) {
    const LAYER: usize = 8 << 20;
    const NODES: usize = LAYER / 32;

    let mut group = group(criterion, "label");
    group.throughput(Throughput::Elements(1));
    let graph =
        StackedBucketGraph::<PoseidonHasher>::new_stacked(NODES, BASE_DEGREE, EXP_DEGREE, [99; 32], ApiVersion::V1_2_0)
            .expect("the shape is valid");
    let mut cache = graph.parent_cache().expect("the scratch directory takes the parent cache");
    let replica_id = [7; 32];
    let before = vec![0x3c; LAYER];
    let mut labels = vec![0; LAYER];

    // Node 0 has no parents, and the cache is read in ascending order.
    let mut each_node = |name: &str, label: &mut dyn FnMut(usize)| {
        let mut node = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                node = node % (NODES - 1) + 1;
                label(node);
            });
        });
    };
    each_node("layer 1/parents cached", &mut |node| {
        if node == 1 {
            cache.reset().expect("the cache maps");
        }
        create_label(&graph, Some(&mut cache), replica_id, &mut labels, 1, node).expect("a label");
    });
    each_node("layer 2/parents cached", &mut |node| {
        if node == 1 {
            cache.reset().expect("the cache maps");
        }
        create_label_exp(&graph, Some(&mut cache), replica_id, &before, &mut labels, 2, node).expect("a label");
    });
    each_node("layer 1/parents computed", &mut |node| {
        create_label(&graph, None, replica_id, &mut labels, 1, node).expect("a label");
    });
    each_node("layer 2/parents computed", &mut |node| {
        create_label_exp(&graph, None, replica_id, &before, &mut labels, 2, node).expect("a label");
    });
    group.finish();
}

/// Neptune's CPU hasher with the reference's constants: 2 and 11 layers make the columns of tree_c, 8 the nodes of both trees.
fn poseidon(criterion: &mut Criterion) {
    let mut group = group(criterion, "poseidon");
    group.throughput(Throughput::Elements(1));
    poseidon_hash(&mut group, &POSEIDON_CONSTANTS_2);
    poseidon_hash(&mut group, &POSEIDON_CONSTANTS_8);
    poseidon_hash(&mut group, &POSEIDON_CONSTANTS_11);
    group.finish();
}

fn poseidon_hash<A: Arity<Fr>>(group: &mut BenchmarkGroup<'_, WallTime>, constants: &PoseidonConstants<Fr, A>) {
    let preimage: Vec<Fr> = (1..=constants.arity() as u64).map(Fr::from).collect();
    group.bench_function(format!("arity {}", preimage.len()), |bencher| {
        bencher.iter(|| Poseidon::new_with_preimage(black_box(&preimage), constants).hash());
    });
}

/// P1, P2 and C1 of a 2 KiB sector, each time in a fresh directory: the reference reuses whatever files it finds.
fn seal(criterion: &mut Criterion, dir: &Path) {
    let mut group = group(criterion, "seal");
    let size = "2KiB".parse().expect("a sector size");
    let seed = Seed::default();
    let mut roots = None;
    group.bench_function("2 KiB/p1 to c1", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut seconds = 0.0;
            for _ in 0..iterations {
                let fresh = tempfile::tempdir_in(dir).expect("a scratch directory");
                let sealed = seal::seal(fresh.path(), size, &seed).expect("a sealed sector");
                let these = (sealed.comm_d, sealed.comm_r);
                assert_eq!(*roots.get_or_insert(these), these, "one seed, one replica");
                seconds += sealed.p1_s + sealed.p2_s + sealed.c1_s;
            }
            Duration::from_secs_f64(seconds)
        });
    });
    group.finish();
}
