//! Bad luck while sealing: kills, signals, full and read-only disks, damaged files.

#![cfg(feature = "reference")]

#[path = "support/absent.rs"]
mod absent;
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::mount::Mount;
use common::worker::{report, trial};
use common::{Ended, Home, corrupt, is_running, logged, phase, read_json, signal, wait_for, words, worker_pid};
use sealbench::phase::Phase;
use sealbench::sector::{Identity, Seed, Shape, data};
use sealbench::trial::job::Report;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// The span whose event a run waits for before it is disturbed, and the phase it belongs to.
const ENCODE: &str = "building tree_r_last";
const COLUMNS: &str = "Building column hashes";

/// p1 and p2 of 8 MiB in the background; returns when the log says `event`.
fn sealing(home: &Home, event: &str) -> std::process::Child {
    let child = home.spawn(&words("run --engine reference --sector-size 8MiB --phases p1,p2 --run-dir seal"));
    wait_for(event, || logged(&home.path("seal"), event));
    child
}

/// What a run of p1 and p2 of 8 MiB that nobody disturbs commits to.
fn undisturbed(home: &Home) -> serde_json::Value {
    let record = home.record(&["run", "--engine", "reference", "--sector-size", "8MiB", "--phases", "p1,p2"]);
    phase(&record, "p2")["output"].clone()
}

fn resumed(home: &Home) -> serde_json::Value {
    let record = home.record(&["run", "--resume", "--run-dir", "seal"]);
    assert_eq!(record["phases"].as_array().unwrap().len(), 2);
    phase(&record, "p2")["output"].clone()
}

/// Nothing half-made lies under a final name: every file of the set is in the manifest.
fn assert_only_whole_files(dir: &Path) {
    let manifest = read_json(&dir.join("manifest.json"));
    let whole: Vec<String> = manifest["sets"]["reference-0"]["phases"]
        .as_object()
        .into_iter()
        .flat_map(|phases| phases.values())
        .flat_map(|phase| phase["files"].as_array().unwrap())
        .map(|file| file["name"].as_str().unwrap().to_owned())
        .collect();
    for entry in fs::read_dir(dir.join("reference-0")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(whole.contains(&name) || name.starts_with("work-"), "{name} is not whole");
    }
}

#[test]
fn a_worker_killed_while_it_encodes_is_reported_and_the_run_resumes_to_the_same_replica() {
    let home = Home::new();
    let mut run = sealing(&home, ENCODE);
    signal(worker_pid(&home.path("seal")).unwrap(), SIGKILL);
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let stderr = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(stderr.contains("p2 of reference #0 failed") && stderr.contains("SIGKILL"), "{stderr}");
    assert_only_whole_files(&home.path("seal"));
    assert_eq!(resumed(&home), undisturbed(&home));
    assert_only_whole_files(&home.path("seal"));
}

#[test]
fn a_run_that_is_killed_leaves_no_worker_and_resumes() {
    let home = Home::new();
    let mut run = sealing(&home, COLUMNS);
    let worker = worker_pid(&home.path("seal")).unwrap();
    assert!(is_running(worker));
    signal(run.id(), SIGKILL);
    run.wait().unwrap();
    wait_for("the worker to end", || !is_running(worker));
    let shown = home.run(&["results", "show", "last"]).success();
    assert!(shown.stdout.contains("dead") && shown.stdout.contains("--resume"), "{}", shown.stdout);
    assert_eq!(resumed(&home), undisturbed(&home));
}

#[test]
fn one_interrupt_finishes_the_span_and_is_recorded() {
    let home = Home::new();
    let mut run = sealing(&home, COLUMNS);
    signal(run.id(), SIGINT);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!logged(&home.path("seal"), "tree_c done"), "it stopped at the end of the span, not of the phase");
    let shown = home.run(&["results", "show", "last", "--json"]).success();
    let record: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(record["state"], "interrupted");
    assert_eq!(record["phases"].as_array().unwrap().len(), 1, "p1 was whole");
    assert_only_whole_files(&home.path("seal"));
    assert_eq!(resumed(&home), undisturbed(&home));
}

#[test]
fn two_interrupts_stop_at_once() {
    let home = Home::new();
    let mut run = sealing(&home, COLUMNS);
    let worker = worker_pid(&home.path("seal")).unwrap();
    signal(run.id(), SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(150));
    signal(run.id(), SIGINT);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!is_running(worker));
    assert!(!logged(&home.path("seal"), "building base tree_c"), "it did not wait for the span");
    assert_only_whole_files(&home.path("seal"));
}

#[test]
fn a_lost_terminal_does_not_stop_a_run_and_results_show_finds_it() {
    let home = Home::new();
    let mut run = sealing(&home, COLUMNS);
    signal(run.id(), SIGHUP);
    let dir = home.path("seal");
    let shown = home.run(&["results", "show", dir.to_str().unwrap()]).success();
    assert!(shown.stdout.contains("running") && shown.stdout.contains("p2"), "{}", shown.stdout);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let shown = home.run(&["results", "show", "last"]).success();
    assert!(shown.stdout.contains("complete"), "{}", shown.stdout);
}

/// A span's name and the panic's text and place are all a user needs to report it.
#[test]
fn a_panic_in_the_linked_crates_is_that_phases_failure() {
    let home = Home::new();
    let dir = home.path("work");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(home.path("parents")).unwrap();
    let shape = Shape { layers: 3, ..Shape::network("2KiB".parse().unwrap()) };
    let identity = Identity::from_seed(&Seed([1; 32]));
    let comm_d = data::write(&dir.join("staged-file"), shape.sector_size, &Seed([1; 32])).unwrap();
    fs::write(dir.join("piece-infos-file"), serde_json::json!([{"commitment": comm_d, "size": 2032}]).to_string())
        .unwrap();
    let (p1, _) = report(&home, &trial(Phase::P1, &dir, shape, identity.clone()), &dir);
    assert!(matches!(p1, Report::Done(_)), "{p1:?}");
    let (p2, code) = report(&home, &trial(Phase::P2, &dir, shape, identity), &dir);
    let Report::Failed { message, .. } = p2 else { panic!("{p2:?}") };
    assert_eq!(code, 1);
    assert!(message.contains("Unsupported column arity") && message.contains("proof.rs"), "{message}");
}

#[test]
fn damaged_files_are_named_before_anything_runs_on_them() {
    let home = Home::new();
    home.record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1,p2", "--run-dir", "seal"]);
    let set = home.path("seal/reference-0");
    let c1 = || home.run(&["run", "--engine", "reference", "--phases", "c1", "--run-dir", "seal"]);
    for name in ["sc-02-data-layer-1.dat", "sc-02-data-tree-c.dat", "sealed-file", "p_aux"] {
        let right = fs::read(set.join(name)).unwrap();
        corrupt(&set.join(name), 40);
        c1().fails(1, &[name, "damaged"]);
        fs::write(set.join(name), &right[..right.len() - 1]).unwrap();
        c1().fails(1, &[name, "bytes"]);
        fs::remove_file(set.join(name)).unwrap();
        c1().fails(1, &[name, "missing"]);
        fs::write(set.join(name), right).unwrap();
    }
    c1().success();
}

/// A flipped bit that no checksum knows of changes comm_r, and what the reference made earlier says so.
#[test]
fn a_flipped_label_is_caught_by_the_known_commitment() {
    let home = Home::new();
    home.record(&words("run --engine reference --sector-size 2KiB --phases p1,p2,c1 --run-dir right"));
    home.record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1", "--run-dir", "seal"]);
    let layer = home.path("seal/reference-0/sc-02-data-layer-1.dat");
    corrupt(&layer, 40);
    let manifest = home.path("seal/manifest.json");
    let mut json = read_json(&manifest);
    let files = json["sets"]["reference-0"]["phases"]["p1"]["files"].as_array_mut().unwrap();
    let entry = files.iter_mut().find(|file| file["name"] == "sc-02-data-layer-1.dat").unwrap();
    entry["blake3"] = sealbench::disk::digest(&layer).unwrap().into();
    fs::write(&manifest, json.to_string()).unwrap();
    home.run(&["run", "--engine", "reference", "--phases", "p2", "--run-dir", "seal"]).fails(4, &["p2", "wrong"]);
}

#[test]
fn a_damaged_parent_cache_is_made_again() {
    let home = Home::new();
    let parents = home.path("home/parents");
    let right = p1_with_parents(&home, "right", "generated");
    let cache = only_cache(&parents);
    let content = fs::read(&cache).unwrap();
    p1_with_parents(&home, "unchanged", "");

    corrupt(&cache, 777);
    assert_eq!(p1_with_parents(&home, "corrupt", "does not match its digest"), right);
    assert!(fs::read(&cache).unwrap() == content);

    fs::write(&cache, &content[..content.len() - 1]).unwrap();
    assert_eq!(p1_with_parents(&home, "short", "bytes instead of"), right);
    assert!(fs::read(&cache).unwrap() == content);

    // What the reference leaves when it is killed while it generates.
    fs::remove_file(cache.with_extension("cache.blake3")).unwrap();
    fs::write(&cache, vec![0; content.len()]).unwrap();
    assert_eq!(p1_with_parents(&home, "zeros", "has other parents"), right);
    assert!(fs::read(&cache).unwrap() == content);
}

/// Files in the reference's place are others': used when they are right, never touched.
#[test]
fn a_parent_cache_of_the_reference_is_used_only_if_it_is_right() {
    let own = Home::new();
    let right = p1_with_parents(&own, "right", "generated");
    let made = only_cache(&own.path("home/parents"));
    let content = fs::read(&made).unwrap();
    for variable in ["FIL_PROOFS_PARENT_CACHE", "FIL_PROOFS_CACHE_DIR"] {
        let place = tempfile::tempdir().unwrap();
        let (value, dir) = match variable {
            "FIL_PROOFS_PARENT_CACHE" => (place.path().to_path_buf(), place.path().to_path_buf()),
            _ => (place.path().join(""), place.path().join("filecoin-parents")),
        };
        fs::create_dir_all(&dir).unwrap();
        let theirs = dir.join(made.file_name().unwrap());
        let home = Home::with(variable, &value);

        fs::write(&theirs, &content).unwrap();
        assert_eq!(p1_with_parents(&home, "theirs", ""), right);
        assert!(!home.path("home/parents").exists(), "{variable}");

        corrupt(&theirs, 777);
        let corrupted = fs::read(&theirs).unwrap();
        assert_eq!(p1_with_parents(&home, "own", "from node 13 on"), right);
        assert!(fs::read(only_cache(&home.path("home/parents"))).unwrap() == content, "{variable}");
        assert!(fs::read(&theirs).unwrap() == corrupted && fs::read_dir(&dir).unwrap().count() == 1, "{variable}");
    }
}

/// Runs p1 of the one sector these tests use; stderr must say `about` of the parents, or nothing of them. Returns the output.
#[track_caller]
fn p1_with_parents(home: &Home, dir: &str, about: &str) -> serde_json::Value {
    let json = home.path("record.json");
    let words = [
        "run",
        "--engine",
        "reference",
        "--sector-size",
        "2KiB",
        "--phases",
        "p1",
        "--seed",
        "07",
        "--run-dir",
        dir,
        "--json",
    ];
    let ended = home.run(&[&words[..], &[json.to_str().unwrap()]].concat());
    let said = ended.stderr.clone();
    ended.success();
    assert_eq!(said.contains("parent cache"), !about.is_empty(), "{said}");
    assert!(said.contains(about), "{said}");
    phase(&read_json(&json), "p1")["output"].clone()
}

/// The only cache file in a directory: the reference, which makes one where it finds none of the name it looks for, found ours.
#[track_caller]
fn only_cache(dir: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let caches: Vec<&PathBuf> = files.iter().filter(|file| file.extension().is_some_and(|e| e == "cache")).collect();
    assert!(caches.len() == 1 && files.len() == 2, "a cache and its digest: {files:?}");
    caches[0].clone()
}

#[test]
fn a_disk_without_room_is_refused_before_the_run_starts() {
    let home = Home::new();
    let Some(mount) = Mount::tmpfs(&home.path("small"), "size=16m") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    let dir = mount.0.join("seal");
    home.run(&[
        "run",
        "--engine",
        "reference",
        "--sector-size",
        "8MiB",
        "--phases",
        "p1",
        "--run-dir",
        dir.to_str().unwrap(),
    ])
    .fails(3, &["MiB", "free"]);
    assert!(!dir.exists());
}

/// Space that somebody else takes while a phase runs.
#[test]
fn a_disk_that_fills_up_fails_the_phase_and_the_run_resumes_when_there_is_room() {
    let home = Home::new();
    let Some(mount) = Mount::tmpfs(&home.path("small"), "size=96m") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    let dir = mount.0.join("seal");
    let dir_text = dir.to_str().unwrap();
    home.record(&["run", "--engine", "reference", "--sector-size", "8MiB", "--phases", "p1", "--run-dir", dir_text]);
    let mut run = home.spawn(&["run", "--engine", "reference", "--phases", "p2", "--run-dir", dir_text]);
    wait_for(COLUMNS, || logged(&dir, COLUMNS));
    let hog = mount.fill();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let ended = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(ended.contains("p2 of reference #0 failed"), "{ended}");
    assert!(ended.contains("No space left") || ended.contains("SIGBUS") || ended.contains("signal 7"), "{ended}");
    assert_only_whole_files(&dir);
    fs::remove_file(hog).unwrap();
    let record = home.record(&["run", "--resume", "--run-dir", dir_text]);
    assert_eq!(phase(&record, "p2")["output"], undisturbed(&home));
}

#[test]
fn a_read_only_directory_is_one_clear_sentence() {
    let home = Home::new();
    let Some(mount) = Mount::tmpfs(&home.path("fixed"), "size=1m,ro") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    let dir = mount.0.join("seal");
    let run = |words: &[&str]| -> Ended {
        home.run(&[&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1"], words].concat())
    };
    run(&["--run-dir", dir.to_str().unwrap()]).fails(1, &["cannot make the run directory", "Read-only"]);
    run(&["--json", mount.0.join("out.json").to_str().unwrap()]).fails(2, &["--json", "out.json"]);
}

#[test]
fn two_runs_do_not_work_in_one_directory() {
    let home = Home::new();
    let mut run = sealing(&home, COLUMNS);
    home.run(&["run", "--resume", "--run-dir", "seal"]).fails(3, &["another sealbench run works in"]);
    assert_eq!(run.wait().unwrap().code(), Some(0));
}
