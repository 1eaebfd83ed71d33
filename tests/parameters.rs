//! Generating parameters through the program, and what may go wrong meanwhile. The circuit is the smallest: 2 KiB with one challenge.

#![cfg(feature = "reference")]

#[path = "support/absent.rs"]
mod absent;
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use common::mount::Mount;
use common::{Home, is_running, read_json, signal, wait_for};

const SHAPE: [&str; 4] = ["--sector-size", "2KiB", "--partitions", "2"];
const SEED: &str = "0700000000000000000000000000000000000000000000000000000000000007";
const BYTES: u64 = 557_476_152;

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

fn words<'a>(into: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["params", "generate"], &SHAPE[..], &["--into", into.to_str().unwrap()], more].concat()
}

/// Files of a directory by extension, those of a generation under way left out.
fn with_extension(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Starts generating; returns when points are being written.
fn generating(home: &Home, into: &Path) -> Child {
    let child = home.spawn(&words(into, &[]));
    wait_for("what a dead generator left to go", || under_way(into) == 0);
    wait_for("points to be written", || under_way(into) > 4 << 20);
    child
}

/// Bytes in the scratch directories of a directory.
fn under_way(into: &Path) -> u64 {
    let scratch = fs::read_dir(into.join(".generating")).into_iter().flatten().flatten();
    let files = scratch.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn worker_of(child: &Child) -> u32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_deterministic_seed_makes_the_same_files_and_two_processes_make_them_once() {
    let home = Home::new();
    let (one, two) = (home.path("one"), home.path("two"));
    let seed = ["--deterministic-seed", SEED];
    let mut first = home.spawn(&words(&one, &seed));
    wait_for("the first to work", || one.join(".generating").exists());
    let second = home.run(&words(&one, &seed)).success();
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let outputs = [fs::read_to_string(home.path("stdout")).unwrap(), second.stdout];
    assert_eq!(outputs.iter().filter(|text| text.starts_with("Generated")).count(), 1, "{outputs:?}");
    assert_eq!(outputs.iter().filter(|text| text.starts_with("There already")).count(), 1, "{outputs:?}");

    home.run(&words(&two, &seed)).success();
    for extension in ["params", "vk", "meta"] {
        let files = [&one, &two].map(|dir| with_extension(dir, extension));
        assert_eq!(files.each_ref().map(Vec::len), [1, 1], "{extension}");
        assert_eq!(files[0][0].file_name(), files[1][0].file_name());
        let digest = |path: &Path| sealbench::disk::digest(path).unwrap();
        assert_eq!(digest(&files[0][0]), digest(&files[1][0]), "{extension}");
    }
    assert_eq!(fs::metadata(&with_extension(&one, "params")[0]).unwrap().len(), BYTES);
    assert_eq!(read_json(&with_extension(&one, "json")[0])["seed"], "deterministic");
}

#[test]
fn an_interrupted_or_killed_generation_leaves_no_file_and_the_next_one_finishes() {
    let home = Home::new();
    let into = home.path("params");
    for (number, code) in [(SIGINT, Some(130)), (SIGKILL, None)] {
        let mut child = generating(&home, &into);
        let worker = worker_of(&child);
        signal(child.id(), number);
        assert_eq!(child.wait().unwrap().code(), code);
        wait_for("the worker to end", || !is_running(worker));
        for extension in ["params", "vk", "meta", "json"] {
            assert!(with_extension(&into, extension).is_empty(), "{extension} after signal {number}");
        }
    }
    home.run(&words(&into, &[])).success();
    let status = [&["params", "status"], &SHAPE[..]].concat();
    let found = Home::with("FIL_PROOFS_PARAMETER_CACHE", &into).run(&status).success();
    assert!(found.stdout.contains("development"), "{}", found.stdout);
    assert_eq!(under_way(&into), 0);
    // What is whole is used, not made again.
    assert!(home.run(&words(&into, &[])).success().stdout.starts_with("There already"));
}

#[test]
fn a_disk_without_room_is_refused_and_one_that_fills_up_keeps_no_half_file() {
    let home = Home::new();
    let Some(small) = Mount::tmpfs(&home.path("small"), "size=400m") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    home.run(&words(&small.0, &[])).fails(3, &["bytes", "free", small.0.to_str().unwrap()]);
    let tight = Mount::tmpfs(&home.path("tight"), "size=640m").expect("the first one was mounted");
    let mut child = generating(&home, &tight.0);
    tight.fill();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(said.contains("No space left"), "{said}");
    assert!(with_extension(&tight.0, "params").is_empty() && with_extension(&tight.0, "vk").is_empty());
    let fixed = Mount::tmpfs(&home.path("fixed"), "size=1m,ro").expect("the first one was mounted");
    home.run(&words(&fixed.0.join("params"), &[])).fails(1, &["Read-only", fixed.0.to_str().unwrap()]);
}
