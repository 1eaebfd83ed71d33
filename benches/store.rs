//! A store with 100,000 records: what a listing, a query and a comparison take.

#[path = "support/store.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use sealbench::report::compare::{Side, compare};
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
    // Two points of ten runs, and their whole sweeps, as the command reads them to look for an A/A pair.
    group.bench_function("compare two points of sweeps", |b| {
        b.iter(|| {
            let store = open();
            let [a, b] =
                ["sweep=sweep-500,point=point-3", "sweep=sweep-501,point=point-3"].map(|word| side(&store, word));
            let sweeps = ["sweep=sweep-500", "sweep=sweep-501"].map(|word| side(&store, word).records).concat();
            compare(&a, &b, &sweeps).unwrap()
        });
    });
    group.finish();
}

fn side(store: &Store, word: &str) -> Side {
    let rows = store.query(&word.parse().unwrap()).unwrap();
    let records = rows.iter().map(|row| store.record(&row.id).unwrap()).collect();
    Side { label: word.to_string(), records, ..Side::default() }
}

criterion_group!(benches, large_store);
criterion_main!(benches);
