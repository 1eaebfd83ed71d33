//! Several instances side by side: common start, aggregates, a mix, an instance that dies, sets that cannot be.

mod common;

use std::fs;

use common::{Home, codes, phases, read_json, signal, wait_for, words};
use serde_json::{Value, json};

/// A script of the mock engine in this home.
fn script(home: &Home, script: &Value) {
    fs::write(home.path("mock.json"), script.to_string()).unwrap();
}

fn side_by_side(record: &Value) -> Vec<Value> {
    record["phases"].as_array().unwrap().iter().filter(|phase| phase["concurrent"] != 1).cloned().collect()
}

#[test]
fn instances_of_the_native_engine_start_together_on_their_own_cores_and_make_the_same_sector() {
    let home = Home::new();
    let record = home.record(&words(
        "run --engine native --sector-size 2KiB --phases p1,p2 --instances 2 --cores-per-instance 1 --repeats 2",
    ));
    let run = side_by_side(&record);
    assert_eq!(run.len(), 8, "two phases, two instances, two repeats");
    let of = |instance: u32| run.iter().filter(|phase| phase["instance"] == instance).cloned().collect::<Vec<_>>();
    for (a, b) in of(0).iter().zip(of(1)) {
        assert_ne!(a["cores"], b["cores"]);
        assert_eq!(a["cores"].as_array().unwrap().len(), 1);
        assert_eq!((&a["output"], &a["phase"]), (&b["output"], &b["phase"]), "the same sector");
        let [start_a, start_b] = [a, &b].map(|phase| phase["started_at"].as_str().unwrap().parse::<jiff::Timestamp>());
        let apart = start_a.unwrap().duration_since(start_b.unwrap()).as_secs_f64().abs();
        assert!(apart < 1.0, "{apart} s apart");
    }
    assert_eq!(phases(&record, "p1").len(), 6, "and one alone in each repeat");
    let aggregates = record["aggregates"].as_array().unwrap();
    assert_eq!(aggregates.len(), 4);
    for aggregate in aggregates {
        assert_eq!((&aggregate["instances"], &aggregate["completed"]), (&json!(2), &json!(2)));
        assert!(aggregate["slow_down"].as_f64().unwrap() > 0.0 && aggregate["sectors_per_h"].as_f64().unwrap() > 0.0);
    }
    let runs = home.path("home/runs");
    let dir = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    assert!(!dir.join("instance-0").exists() && !dir.join("alone-0").exists(), "nothing is left but the log");
}

#[test]
fn aggregates_are_what_the_script_says() {
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"samples": [10.0, 20.0], "contention": 0.25}}}));
    let record = home.record(&words(
        "run --engine mock --mock mock.json --sector-size 8MiB --phases p1 --instances 2 --cores-per-instance 1 --repeats 2",
    ));
    let figures: Vec<[f64; 2]> = record["aggregates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|aggregate| ["sectors_per_h", "slow_down"].map(|name| aggregate[name].as_f64().unwrap()))
        .collect();
    let near = |got: f64, expected: f64| (got - expected).abs() < 1e-9;
    assert!(near(figures[0][0], 2.0 * 3600.0 / 12.5) && near(figures[0][1], 1.25), "{figures:?}");
    // In the second repeat one alone comes after: what is known then is the first repeat's.
    assert!(near(figures[1][0], 2.0 * 3600.0 / 25.0) && near(figures[1][1], 2.5), "{figures:?}");
    let summary = record["summary"].as_array().unwrap();
    let concurrent: Vec<&Value> = summary.iter().map(|summary| &summary["concurrent"]).collect();
    assert_eq!(concurrent, [&json!(1), &json!(2)]);
}

#[test]
fn a_second_run_in_the_same_directory_measures_anew() {
    let home = Home::new();
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;1 --run-dir d";
    let walls = |seconds: f64| -> Vec<f64> {
        script(&home, &json!({"phases": {"p1": {"samples": [seconds]}}}));
        let record = home.record(&words(line));
        assert!(!codes(&record).contains(&"resumed-phases"));
        record["phases"].as_array().unwrap().iter().map(|phase| phase["wall_s"].as_f64().unwrap()).collect()
    };
    assert_eq!((walls(5.0), walls(7.0)), (vec![5.0; 3], vec![7.0; 3]));
}

#[test]
fn an_instance_that_dies_leaves_the_others_figures() {
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"samples": [5.0], "dies": 1, "takes_s": 0.1}}}));
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;1 --without-alone --json r.json";
    home.run(&words(line)).fails(1, &["1 of 2 instances failed", "instance 1"]);
    let record = read_json(&home.path("r.json"));
    assert_eq!(record["state"], "failed");
    assert!(codes(&record).contains(&"instance-failed"));
    let aggregate = &record["aggregates"][0];
    assert_eq!((&aggregate["instances"], &aggregate["completed"]), (&json!(2), &json!(1)));
    assert!((aggregate["sectors_per_h"].as_f64().unwrap() - 720.0).abs() < 1e-9);
    assert_eq!(side_by_side(&record).len(), 1);
}

#[test]
fn a_mix_keeps_every_instance_busy_until_all_are_done() {
    let home = Home::new();
    script(
        &home,
        &json!({"phases": {"p1": {"samples": [0.1], "takes_s": 0.1}, "p2": {"samples": [0.4], "takes_s": 0.4}}}),
    );
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --mix p1:1x1,p2:1x1 --repeats 2 --run-dir mix";
    let record = home.record(&words(line));
    let run = side_by_side(&record);
    let count = |name: &str| run.iter().filter(|phase| phase["phase"] == name).count();
    assert!(count("p2") == 2 && count("p1") > 2, "{} {}", count("p1"), count("p2"));
    let rates: Vec<f64> =
        record["aggregates"].as_array().unwrap().iter().map(|one| one["sectors_per_h"].as_f64().unwrap()).collect();
    assert!((rates[0] - 36_000.0).abs() < 1e-6 && (rates[1] - 9_000.0).abs() < 1e-6, "{rates:?}");
    // The inputs of p2 were made, once, and are kept; what the mix made is not.
    let manifest = read_json(&home.path("mix/manifest.json"));
    assert_eq!(manifest["sets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mock-0"]);
    let made = read_json(&home.path("mix/instance-0/manifest.json"));
    assert_eq!(made["sets"], json!({}));

    // A manifest that others changed is no run to resume.
    let path = home.path("mix/manifest.json");
    let mut changed = manifest;
    changed["spec"]["instances"][1]["phase"] = Value::Null;
    fs::write(&path, changed.to_string()).unwrap();
    home.run(&words("run --resume --run-dir mix")).fails(2, &["the settings in the manifest"]);
}

#[test]
fn the_native_mix_seals() {
    let home = Home::new();
    let record = home.record(&words("run --engine native --sector-size 8MiB --mix p1:1x1,p2:1x1"));
    let run = side_by_side(&record);
    let comm_r: Vec<&Value> =
        run.iter().filter(|phase| phase["phase"] == "p2").map(|phase| &phase["output"]["comm_r"]).collect();
    assert!(!comm_r.is_empty() && comm_r.iter().all(|root| root.is_string() && *root == comm_r[0]));
}

#[test]
fn layouts_that_cannot_be_are_refused_with_what_helps() {
    let home = Home::new();
    let run = |options: &str| home.run(&words(&format!("run --sector-size 2KiB --phases p1 {options}")));
    run("--core-sets 0;0").fails(2, &["--share-cores"]);
    run("--core-sets 0;8000").fails(2, &["8000", "may use"]);
    run("--instances 2").fails(2, &["--cores-per-instance"]);
    run("--instances 1 --cores-per-instance 1 --core-sets 0").fails(2, &["name one of them"]);
    run("--instances 9000 --cores-per-instance 1").fails(2, &["9000"]);
    let mix = |options: &str| home.run(&words(&format!("run --sector-size 2KiB {options}")));
    mix("--mix p1:1").fails(2, &["p1:1"]);
    mix("--mix p1:1x1 --phases p1").fails(2, &["drop --phases"]);
}

#[test]
fn instances_that_share_cores_are_measured_and_never_reportable() {
    let home = Home::new();
    script(&home, &json!({}));
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;0 --share-cores";
    let record = home.record(&words(line));
    assert!(codes(&record).contains(&"cores-shared"));
    assert_eq!(record["validity"]["reportable"], false);
}

#[test]
fn an_interrupted_run_of_instances_resumes_together() {
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"takes_s": 0.4}, "p2": {"takes_s": 0.4}}}));
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1,p2 --core-sets 0;1 --without-alone --repeats 3 \
                --run-dir seal";
    let mut run = home.spawn(&words(line));
    let whole = |instance: u32| {
        let manifest = home.path("seal").join(format!("instance-{instance}")).join("manifest.json");
        fs::read_to_string(manifest).is_ok_and(|text| text.contains("\"p1\""))
    };
    wait_for("a whole p1 in both instances", || whole(0) && whole(1));
    signal(run.id(), 9);
    run.wait().unwrap();
    let record = home.record(&words("run --resume --run-dir seal"));
    assert_eq!(side_by_side(&record).len(), 12);
    assert_eq!(record["aggregates"].as_array().unwrap().len(), 6);
    assert!(codes(&record).contains(&"resumed-phases"));
}
