//! Sealing with the reference engine, through the program: p1, p2 and c1. p4 is in `proving.rs`.

#![cfg(feature = "reference")]

mod common;

use std::fs;

use common::{Home, codes, logged, phase, read_json, words};

#[test]
fn a_seed_reproduces_the_commitments_to_the_bit() {
    let home = Home::new();
    let run = |seed: &str| {
        home.record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1,p2,c1", "--seed", seed])
    };
    let (one, again, other) = (run("01"), run("0100"), run("02"));
    for name in ["comm_d", "comm_r", "comm_c", "comm_r_last"] {
        let of = |record| phase(record, "p2")["output"][name].as_str().unwrap().to_owned();
        assert_eq!(of(&one), of(&again), "{name}");
        assert_ne!(of(&one), of(&other), "{name}");
    }
    assert_eq!(phase(&again, "p1")["verified"]["against"], "reference");
    assert_eq!(phase(&again, "p2")["verified"]["ok"], true);
    assert_eq!(one["seed"], format!("01{}", "00".repeat(31)));
}

#[test]
fn every_small_size_seals_and_every_span_is_seen() {
    let home = Home::new();
    for size in ["2KiB", "4KiB", "16KiB", "32KiB", "8MiB"] {
        let record = home.record(&["run", "--engine", "reference", "--sector-size", size, "--phases", "p1,p2,c1"]);
        assert_eq!(record["state"], "complete", "{size}");
        assert!(!codes(&record).contains(&"span-lines-missing"), "{size}: {record}");
        for name in ["p1", "p2", "c1"] {
            let phase = phase(&record, name);
            assert_eq!(phase["verified"]["ok"], true, "{size} {name}");
            let spans: f64 = phase["spans"].as_array().unwrap().iter().map(|s| s["wall_s"].as_f64().unwrap()).sum();
            let wall = phase["wall_s"].as_f64().unwrap();
            assert!(spans <= wall && spans > 0.9 * wall - 0.001, "{size} {name}: spans {spans} of {wall}");
        }
        let names = |name| -> Vec<String> {
            let spans = phase(&record, name)["spans"].as_array().unwrap().clone();
            spans.iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("p1"), ["copy", "tree_d", "parents", "label", "write"]);
        assert_eq!(names("c1"), ["load", "prove", "check"]);
        assert!(names("p2").iter().any(|name| name.starts_with("columns")), "{size}");
        assert_eq!(phase(&record, "p1")["spans"][3]["parts"].as_array().unwrap().len(), 2, "one label part a layer");
    }
}

#[test]
fn eleven_layers_on_a_small_sector_are_the_production_column() {
    let home = Home::new();
    let record = home.record(&words("run --engine reference --sector-size 2KiB --layers 11 --phases p1,p2,c1"));
    assert_eq!(record["spec"]["resolved"]["shape"]["layers"], 11);
    assert_eq!(record["spec"]["resolved"]["network_shape"], false);
    assert!(codes(&record).contains(&"non-network-shape"));
    assert_eq!(phase(&record, "p1")["work"]["count"], 11 * 64);
    assert_eq!(phase(&record, "c1")["verified"]["ok"], true);
}

#[test]
fn the_record_validates_against_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../docs/record.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let record = Home::new().record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1,p2,c1"]);
    let errors: Vec<String> = validator.iter_errors(&record).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn phases_run_one_by_one_on_the_same_directory() {
    let home = Home::new();
    let whole = home.record(&["run", "--engine", "reference", "--sector-size", "4KiB", "--phases", "p1,p2,c1"]);
    home.record(&["run", "--engine", "reference", "--sector-size", "4KiB", "--phases", "p1", "--run-dir", "seal"]);
    let p2 = home.record(&["run", "--engine", "reference", "--phases", "p2", "--run-dir", "seal"]);
    assert_eq!(p2["phases"].as_array().unwrap().len(), 1);
    assert_eq!(phase(&p2, "p2")["output"]["comm_r"], phase(&whole, "p2")["output"]["comm_r"]);
    let c1 = home.record(&["run", "--engine", "reference", "--phases", "c1", "--run-dir", "seal"]);
    assert_eq!(phase(&c1, "c1")["verified"]["ok"], true);
    // Measuring a phase again makes a set of its own and leaves the first one as it was.
    let again = home.record(&["run", "--engine", "reference", "--phases", "p2", "--run-dir", "seal"]);
    assert_eq!(phase(&again, "p2")["output"]["comm_r"], phase(&whole, "p2")["output"]["comm_r"]);
    let manifest = read_json(&home.path("seal/manifest.json"));
    assert_eq!(manifest["sets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["reference-0", "reference-1"]);
}

/// The reference skips a layer that lies in its directory: a second repeat in the same one would measure nothing.
#[test]
fn every_repeat_does_all_of_the_work() {
    let home = Home::new();
    let record =
        home.record(&words("run --engine reference --sector-size 2KiB --phases p1,p2 --repeats 3 --run-dir seal"));
    assert_eq!(record["phases"].as_array().unwrap().len(), 6);
    assert!(!logged(&home.path("seal"), "skipping layer") && !logged(&home.path("seal"), "found valid labels"));
    let log = fs::read_to_string(home.path("seal/run.log")).unwrap();
    assert_eq!(log.matches("generating layer: 2").count(), 3);
    assert_eq!(log.matches("Building column hashes").count(), 3);
    assert_eq!(record["summary"][0]["n"], 3);
    assert!(record["summary"][0]["mad"].is_number());
}

/// The reference takes an existing tree_c for its own and its last node for the root.
#[test]
fn a_wrong_tree_left_behind_does_not_reach_comm_r() {
    let home = Home::new();
    let right = home.record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1,p2"]);
    home.record(&["run", "--engine", "reference", "--sector-size", "2KiB", "--phases", "p1", "--run-dir", "seal"]);
    for dir in ["seal/reference-0", "seal/reference-0/work-p2"] {
        fs::create_dir_all(home.path(dir)).unwrap();
        fs::write(home.path(dir).join("sc-02-data-tree-c.dat"), [7; 2336]).unwrap();
    }
    let record = home.record(&["run", "--engine", "reference", "--phases", "p2", "--run-dir", "seal"]);
    assert_eq!(phase(&record, "p2")["output"], phase(&right, "p2")["output"]);
}

#[test]
fn a_directory_that_benchy_left_is_continued() {
    let home = Home::new();
    let benchy = home.path("benchy");
    common::worker::benchy_directory(&home, &benchy);
    let record = home.record(&["run", "--engine", "reference", "--phases", "p2,c1", "--run-dir", "benchy"]);
    assert_eq!(phase(&record, "c1")["verified"]["ok"], true);
    assert!(record["seed"].is_null());
    assert_eq!(record["spec"]["resolved"]["identity"]["porep_id"], "63".repeat(32));
    // What benchy left is not touched.
    assert!(!benchy.join("p_aux").exists());
    assert_eq!(fs::read(benchy.join("sealed-file")).unwrap(), fs::read(benchy.join("staged-file")).unwrap());
}

#[test]
fn threads_are_pinned_and_bounded() {
    let home = Home::new();
    let record = home.record(&words("run --engine reference --sector-size 8MiB --phases p1,p2 --cores 0 --threads 1"));
    for name in ["p1", "p2"] {
        let phase = phase(&record, name);
        assert_eq!(phase["cores"], serde_json::json!([0]));
        assert_eq!(phase["cores_seen"], serde_json::json!([0]), "{name}");
        let limit = 2 + u64::from(sealbench::trial::worker::EXTRA_THREADS);
        assert!(phase["threads_peak"].as_u64().unwrap() <= limit, "{name}: {phase}");
    }
    let record =
        home.record(&["run", "--engine", "reference", "--sector-size", "8MiB", "--phases", "p1,p2", "--threads", "2"]);
    let p2 = phase(&record, "p2");
    assert!(p2["threads_peak"].as_u64().unwrap() <= 4 + u64::from(sealbench::trial::worker::EXTRA_THREADS));
    // Two work; the main thread, which waits for them, is runnable for a moment when they are done.
    assert!(p2["runnable_peak"].as_u64().unwrap() <= 3, "{p2}");
}
