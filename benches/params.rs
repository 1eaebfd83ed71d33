//! Points of generated parameters: the fixed-base kernel against blst's plain multiplication.

use std::hint::black_box;
use std::time::Duration;

use blstrs::{G1Affine, G2Affine, Scalar};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ff::Field;
use group::Curve;
use group::prime::PrimeCurveAffine;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sealbench_kernels::fixed_base::{self, Table};

/// Points of an iteration: several of the kernel's batches.
const POINTS: usize = 16384;

/// Windows that compete, bits.
const WINDOWS: [u32; 4] = [13, 15, 16, 17];

fn scalars() -> Vec<Scalar> {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    (0..POINTS).map(|_| Scalar::random(&mut rng)).collect()
}

fn tables<F: fixed_base::Field>(group: &mut BenchmarkGroup<'_, WallTime>, base: &[u8]) {
    let scalars: Vec<[u8; 32]> = scalars().iter().map(Scalar::to_bytes_le).collect();
    let mut out = vec![0; POINTS * Table::<F>::POINT_BYTES];
    for bits in WINDOWS {
        let table = Table::<F>::with_window(base, bits).expect("the generator is on the curve");
        group.throughput(Throughput::Elements(POINTS as u64));
        group.bench_function(format!("windows of {bits} bits"), |bencher| {
            bencher.iter(|| table.multiply(black_box(&scalars), &mut out));
        });
    }
}

fn params(criterion: &mut Criterion) {
    let scalars = scalars();
    for name in ["g1", "g2"] {
        let mut group = criterion.benchmark_group(format!("fixed base/{name}"));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2)).sample_size(20);
        if name == "g1" {
            tables::<fixed_base::Fp>(&mut group, &G1Affine::generator().to_uncompressed());
        } else {
            tables::<fixed_base::Fp2>(&mut group, &G2Affine::generator().to_uncompressed());
        }
        group.throughput(Throughput::Elements(1));
        let mut next = scalars.iter().cycle();
        group.bench_function("blst", |bencher| {
            bencher.iter(|| {
                let scalar = next.next().expect("a cycle has no end");
                if name == "g1" {
                    black_box((G1Affine::generator() * scalar).to_affine().to_uncompressed()).len()
                } else {
                    black_box((G2Affine::generator() * scalar).to_affine().to_uncompressed()).len()
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, params);
criterion_main!(benches);
