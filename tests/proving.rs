//! p4 with the reference engine: Groth16 for real. The parameters are generated once and shared by all tests here.

#![cfg(feature = "reference")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::{Home, codes, corrupt, phase, signal, wait_for, worker_pid};

/// A shape whose circuit has one challenge, half of the network's for this size: 2 KiB in two partitions.
const SHAPE: [&str; 4] = ["--sector-size", "2KiB", "--partitions", "2"];

/// The shared directory of parameters, filled by the first test that asks. `params generate` lets a second process wait for the first.
fn params() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("params");
        let words = [&["params", "generate"], &SHAPE[..], &["--into", dir.to_str().unwrap()]].concat();
        Home::new().run(&words).success();
        dir
    })
}

/// A home that finds the shared parameters.
fn home() -> Home {
    Home::with("FIL_PROOFS_PARAMETER_CACHE", params())
}

/// A sector of two partitions sealed up to c1.
fn sealed(home: &Home) {
    home.record(&[&["run"], &SHAPE[..], &["--phases", "p1,p2,c1", "--run-dir", "seal"]].concat());
}

#[test]
fn every_number_of_partitions_at_once_is_accepted_by_the_verifier() {
    let home = home();
    sealed(&home);
    for (at_once, mode) in [("1", "mapped"), ("2", "resident")] {
        let words = [
            "run",
            "--engine",
            "reference",
            "--phases",
            "p4",
            "--run-dir",
            "seal",
            "--p4-partitions-at-once",
            at_once,
            "--params",
            mode,
        ];
        let record = home.record(&words);
        let p4 = phase(&record, "p4");
        assert_eq!(p4["verified"], serde_json::json!({"against": "verifier", "ok": true}));
        assert_eq!(p4["output"]["proof_bytes"], 2 * 192);
        assert!(!codes(&record).contains(&"span-lines-missing"), "{record}");
        let span = |name: &str| {
            let spans = p4["spans"].as_array().unwrap();
            spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name} in {p4}")).clone()
        };
        let inside: f64 =
            ["synthesize", "ntt", "msm", "assemble"].iter().map(|name| span(name)["wall_s"].as_f64().unwrap()).sum();
        let wall = p4["wall_s"].as_f64().unwrap();
        assert!((inside - wall).abs() < 0.02 * wall, "the params span is outside: {inside} of {wall}");
        assert_eq!(span("params")["bytes"], 557_476_152);
        assert!(["cold", "warm"].contains(&span("params")["note"].as_str().unwrap()));
        let (peak, estimate) = (p4["max_rss_bytes"].as_u64().unwrap(), p4["estimated_rss_bytes"].as_u64().unwrap());
        assert!(peak <= estimate && estimate <= 2 * peak, "{mode} x{at_once}: peak {peak}, estimate {estimate}");
        let threads = p4["threads"].as_u64().unwrap();
        let limit = 2 * threads + u64::from(sealbench::trial::worker::EXTRA_THREADS);
        assert!(p4["threads_peak"].as_u64().unwrap() <= limit, "{p4}");
    }
}

#[test]
fn p4_needs_nothing_but_what_c1_made() {
    let home = home();
    sealed(&home);
    for entry in fs::read_dir(home.path("seal/reference-0")).unwrap().map(Result::unwrap) {
        if entry.file_name() != "commit-phase1-output" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::remove_dir_all(home.path("seal/data")).unwrap();
    let record = home.record(&["run", "--engine", "reference", "--phases", "p4", "--run-dir", "seal"]);
    assert_eq!(phase(&record, "p4")["verified"]["ok"], true);
}

#[test]
fn parameters_that_are_cut_short_or_changed_are_refused_before_p4_starts() {
    let home = Home::new();
    sealed(&home);
    let cache = home.path("cache");
    fs::create_dir(&cache).unwrap();
    for entry in fs::read_dir(params()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), cache.join(entry.file_name())).unwrap();
    }
    let file =
        fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "params"));
    let file = file.unwrap();
    // In SEALBENCH_HOME, where the missing file would be generated: what lies there is never replaced unasked.
    fs::create_dir_all(home.path("home")).unwrap();
    fs::rename(&cache, home.path("home/params")).unwrap();
    let file = home.path("home/params").join(file.file_name().unwrap());
    let p4 = || home.run(&["run", "--engine", "reference", "--phases", "p4", "--run-dir", "seal"]);
    let status = || home.run(&[&["params", "status"], &SHAPE[..]].concat());
    let length = fs::metadata(&file).unwrap().len();
    corrupt(&file, 300_000_000);
    status().fails(4, &[]);
    p4().fails(3, &["cannot be used", "unknown", "--replace"]);
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 96).unwrap();
    status().fails(4, &[]);
    p4().fails(3, &["cannot be used", "truncated"]);
}

#[test]
fn an_interrupted_proof_leaves_no_proof() {
    let home = home();
    sealed(&home);
    let mut run = home.spawn(&["run", "--engine", "reference", "--phases", "p4", "--run-dir", "seal"]);
    wait_for("the proof to start", || common::logged(&home.path("seal"), "starting proof timer"));
    let worker = worker_pid(&home.path("seal")).unwrap();
    signal(run.id(), 2);
    std::thread::sleep(std::time::Duration::from_millis(150));
    signal(run.id(), 2);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!common::is_running(worker));
    assert!(!home.path("seal/reference-0/proof").exists() && !home.path("seal/reference-0/work-p4").exists());
}
