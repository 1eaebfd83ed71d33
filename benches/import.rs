//! Reading logs: a trace of 64 MiB in which a run is hidden. docs/import.md has the command that also measures memory.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealbench::import::{Options, read};

const BYTES: usize = 64 << 20;

/// The notes' p2, with the lines between start and end that `RUST_LOG=trace` gives, some of them of the modules that matter.
fn log() -> String {
    let at = |time: &str, what: &str| format!("thread_id: ThreadId(1) 2020-07-19 {time} {what}\n");
    let mut log = at("02:35:20", "INFO [filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start");
    let mut number = 0;
    while log.len() < BYTES {
        number += 1;
        let module = if number % 50 == 0 { "filecoin_proofs::caches" } else { "merkletree::store::disk" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            log,
            "thread_id: ThreadId(7) 2020-07-19 02:36:20 TRACE [{module}] building layer {number} of 11, width 134217728"
        );
    }
    log + &at("04:45:50", "INFO [benchy::force] p34 disabled")
}

fn import(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p2.log");
    let log = log();
    std::fs::write(&path, &log).unwrap();
    let mut group = criterion.benchmark_group("import");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5)).sample_size(10);
    group.throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("benchy log", |bencher| {
        bencher.iter(|| {
            let imported = read(black_box(std::slice::from_ref(&path)), &Options::default()).unwrap();
            assert_eq!(imported.runs(), 1);
        });
    });
    group.finish();
}

criterion_group!(logs, import);
criterion_main!(logs);
