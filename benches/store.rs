//! A store with 100,000 records: what a listing, a query and a comparison take.

#[path = "support/store.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use sealbench::store::Store;

const RECORDS: u32 = 100_000;

fn large_store(c: &mut Criterion) {
    let home = tempfile::tempdir().unwrap();
    support::fill(&Store::open(home.path()).unwrap(), RECORDS);
    let mut group = c.benchmark_group("store of 100000");
    group.sample_size(10);
    let open = || Store::open(home.path()).unwrap();
    group.bench_function("list", |b| {
        b.iter(|| {
            let store = open();
            (store.list(Some(20)).unwrap(), store.count().unwrap())
        });
    });
    group.bench_function("query a point of a sweep", |b| {
        b.iter(|| open().query(&"sweep=sweep-500,point=point-3".parse().unwrap()).unwrap());
    });
    group.bench_function("query a host and phase", |b| {
        b.iter(|| open().query(&"host=host-7,phase=p1,limit=20".parse().unwrap()).unwrap());
    });
    group.bench_function("query a phase that is not there", |b| {
        b.iter(|| open().query(&"phase=p4".parse().unwrap()).unwrap());
    });
    group.finish();
}

criterion_group!(benches, large_store);
criterion_main!(benches);
