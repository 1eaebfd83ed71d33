//! Poseidon: each backend that this CPU runs beside neptune, and replica encoding.
//!
//! First a table: everything measured in turn in one process, the fastest of many short samples, with the least time that
//! the multiplications of a hash take on this machine. Then criterion's own statistics.

use std::arch::asm;
use std::hint::black_box;
use std::time::{Duration, Instant};

use blstrs::Scalar;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use ff::{Field, PrimeField};
use generic_array::typenum::{U2, U4, U8, U11};
use neptune::Poseidon;
use neptune::poseidon::{Arity as NeptuneArity, PoseidonConstants};
use sealbench_kernels::cpu::Features;
use sealbench_kernels::fr;
use sealbench_kernels::poseidon::{Arity, Backend, hash_rows, multiplications, multiply};

/// Preimages in a bulk measurement: their elements stay in L2.
const PREIMAGES: usize = 256;

/// What neptune hashes and what the backends hash: the same preimages.
struct Input<A: NeptuneArity<Scalar>> {
    arity: Arity,
    neptune: PoseidonConstants<Scalar, A>,
    elements: Vec<Scalar>,
    rows: Vec<u8>,
}

impl<A: NeptuneArity<Scalar>> Input<A> {
    fn new() -> Input<A> {
        let neptune = PoseidonConstants::new();
        let arity = Arity::new(neptune.arity()).expect("an arity of the trees");
        let mut element = Scalar::from(3);
        let mut next = |_| {
            element = element.square() + Scalar::ONE;
            element
        };
        let elements: Vec<Scalar> = (0..PREIMAGES * arity.elements()).map(&mut next).collect();
        let rows = elements.iter().flat_map(Scalar::to_repr).collect();
        Input { arity, neptune, elements, rows }
    }

    fn hash_by_neptune(&self, count: usize) {
        for preimage in self.elements.chunks(self.arity.elements()).take(count) {
            black_box(Poseidon::new_with_preimage(black_box(preimage), &self.neptune).hash());
        }
    }

    fn hash(&self, backend: Backend, digests: &mut [u8]) {
        hash_rows(backend, self.arity, black_box(&self.rows), black_box(digests)).expect("elements below p");
    }

    /// A line for neptune and one for each backend.
    fn table(&self) {
        /// Hashes of a sample by neptune, which takes tens of microseconds for one.
        const FEW: usize = 16;
        let backends: Vec<Backend> = Backend::supported(&Features::detect()).collect();
        let mut digests = vec![0; PREIMAGES * fr::BYTES];
        let mut cycle = Fastest::default();
        let mut neptune = Fastest::default();
        let mut hashes = vec![Fastest::default(); backends.len()];
        let mut limits = hashes.clone();
        for _ in 0..40 {
            cycle.sample(|| dependent_additions(20_000));
            neptune.sample(|| {
                self.hash_by_neptune(FEW);
                FEW as u64
            });
            for ((backend, hash), limit) in backends.iter().zip(&mut hashes).zip(&mut limits) {
                hash.sample(|| {
                    self.hash(*backend, &mut digests);
                    PREIMAGES as u64
                });
                limit.sample(|| multiply(*backend, 1_000_000));
            }
        }
        let arity = self.arity.elements();
        println!("arity {arity:2}: neptune  {:8.0} ns {:8.0} cycles", neptune.ns, neptune.ns / cycle.ns);
        for ((backend, hash), limit) in backends.iter().zip(hashes).zip(limits) {
            let bound = limit.ns * multiplications(*backend, self.arity) as f64;
            println!(
                "          {:8} {:8.0} ns {:8.0} cycles, {:5.2} x neptune, limit {bound:6.0} ns",
                backend.name(),
                hash.ns,
                hash.ns / cycle.ns,
                neptune.ns / hash.ns,
            );
        }
    }

    fn bench(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("poseidon");
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800)).sample_size(20);
        let arity = self.arity.elements();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("neptune", arity), |bencher| bencher.iter(|| self.hash_by_neptune(1)));
        group.throughput(Throughput::Elements(PREIMAGES as u64));
        let mut digests = vec![0; PREIMAGES * fr::BYTES];
        for backend in Backend::supported(&Features::detect()) {
            group.bench_function(BenchmarkId::new(backend.name(), arity), |bencher| {
                bencher.iter(|| self.hash(backend, &mut digests));
            });
        }
    }
}

/// The least nanoseconds of one of the things a sample counts.
#[derive(Clone, Copy)]
struct Fastest {
    ns: f64,
}

impl Default for Fastest {
    fn default() -> Fastest {
        Fastest { ns: f64::INFINITY }
    }
}

impl Fastest {
    fn sample(&mut self, work: impl FnOnce() -> u64) {
        let start = Instant::now();
        let count = work();
        self.ns = self.ns.min(start.elapsed().as_nanos() as f64 / count as f64);
    }
}

/// That many additions of which each waits for the one before: one cycle each, whatever the clock is now.
fn dependent_additions(n: u64) -> u64 {
    let mut sum = 0_u64;
    for _ in 0..n {
        // SAFETY: adds registers.
        unsafe { asm!("add {0}, {1}", inout(reg) sum, in(reg) n, options(pure, nomem, nostack)) };
    }
    black_box(sum);
    n
}

fn hashes(criterion: &mut Criterion) {
    Input::<U2>::new().bench(criterion);
    Input::<U4>::new().bench(criterion);
    Input::<U8>::new().bench(criterion);
    Input::<U11>::new().bench(criterion);
}

/// Encoding, in L2 and from memory, beside a copy of as many bytes as it reads.
fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800)).sample_size(20);
    for (name, bytes) in [("256 KiB", 1 << 18), ("64 MiB", 1 << 26)] {
        let (a, b, mut out) = (vec![1; bytes], vec![2; bytes], vec![0; bytes]);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("add_many", name), |bencher| {
            bencher.iter(|| fr::add_many(black_box(&a), black_box(&b), black_box(&mut out)));
        });
        group.bench_function(BenchmarkId::new("copy", name), |bencher| {
            bencher.iter(|| black_box(&mut out).copy_from_slice(black_box(&a)));
        });
    }
}

criterion_group!(benches, hashes, encoding);

fn main() {
    Input::<U2>::new().table();
    Input::<U4>::new().table();
    Input::<U8>::new().table();
    Input::<U11>::new().table();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
