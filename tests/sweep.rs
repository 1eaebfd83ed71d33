//! Sweeps: the best point, what does not fit, adaptive samples, an interruption, mistakes in the file.

mod common;

use std::fs;

use common::{Home, read_json, signal, wait_for, words};
use serde_json::{Value, json};

const FILE: &str = "order_seed = 3
[[grid]]
sector_size = '2KiB'
phases = ['p1', 'p2']
engines = ['mock']
layouts = ['1x9000', '1x2', '2x1']
repeats = 3
";

/// A home with a sweep file and a script of the mock engine.
fn home(file: &str, script: &Value) -> Home {
    let home = Home::new();
    fs::write(home.path("sweep.toml"), file).unwrap();
    fs::write(home.path("mock.json"), script.to_string()).unwrap();
    home
}

fn steady() -> Value {
    let p1 = json!({"samples": [10.0, 10.1, 9.9], "parallel": 0.5, "contention": 0.2});
    json!({"phases": {"p1": p1, "p2": {"samples": [5.0, 5.01, 5.02], "parallel": 1.0, "contention": 0.5}}})
}

fn only_sweep(home: &Home) -> std::path::PathBuf {
    fs::read_dir(home.path("home/sweeps")).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_sweep_ends_with_the_best_point_of_each_phase() {
    let home = home(FILE, &steady());
    let ended = home.run(&words("sweep sweep.toml --mock mock.json --json rankings.json")).success();
    for part in [
        "left out: p1 mock 1x9000: ",
        "best: p1 mock 2x1",
        "best: p2 mock 1x2",
        "distinguishable from p1 mock 1x2",
        "(A/A)",
    ] {
        assert!(ended.stdout.contains(part), "'{part}' in\n{}", ended.stdout);
    }
    assert!(ended.stderr.contains("[18/18] "), "{}", ended.stderr);
    let rankings = read_json(&home.path("rankings.json"));
    let best = &rankings[0]["points"][0];
    // Two instances of 12 s (10 s, and a fifth more for the neighbour) against one of 7.5 s on two cores.
    assert!((best["sectors_per_h"].as_f64().unwrap() - 600.0).abs() < 1e-9);
    assert!((rankings[0]["points"][1]["of_best"].as_f64().unwrap() - 0.8).abs() < 1e-9);
    assert_eq!(rankings[0]["noise_floor"], 0.0, "the script gives equal points equal times");
    // Every sample is a run of its own in the store, with its place in the sweep.
    let run = best["runs"][0].as_str().unwrap();
    let shown = home.run(&["results", "show", run, "--json"]).success();
    let record: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(record["sweep"]["point"], "p1 mock 2x1");
    assert_eq!(record["spec"]["resolved"]["instances"].as_array().unwrap().len(), 2);
    assert!(!only_sweep(&home).join("sectors").exists(), "a complete sweep keeps no sectors");
}

#[test]
fn a_point_that_spreads_is_measured_more_often_up_to_the_cap() {
    let file = "twins = false\n[[grid]]\nsector_size = '2KiB'\nengines = ['mock']\nlayouts = ['1x1']\nrepeats = 2\nmax_repeats = 5";
    let samples = |samples: Value| json!({"phases": {"p1": {"samples": samples}}});
    for (samples, trials) in [(samples(json!([1.0, 1.01])), 2), (samples(json!([1.0, 1.5])), 5)] {
        let home = home(file, &samples);
        home.run(&words("sweep sweep.toml --mock mock.json")).success();
        assert_eq!(read_json(&only_sweep(&home).join("sweep.json"))["trials"].as_array().unwrap().len(), trials);
    }
}

#[test]
fn an_interrupted_sweep_loses_at_most_the_trial_that_ran() {
    for kill in [2, 9] {
        let mut script = steady();
        script["phases"]["p1"]["takes_s"] = json!(0.15);
        let home = home(FILE, &script);
        let mut sweep = home.spawn(&words("sweep sweep.toml --mock mock.json"));
        let trials = || {
            let state = fs::read_dir(home.path("home/sweeps")).ok()?.next()?.ok()?.path().join("sweep.json");
            let state: Value = serde_json::from_str(&fs::read_to_string(state).ok()?).ok()?;
            Some(state["trials"].as_array()?.len())
        };
        wait_for("five trials", || trials() >= Some(5));
        signal(sweep.id(), kill);
        let code = sweep.wait().unwrap().code();
        assert_eq!(code, if kill == 2 { Some(130) } else { None });
        let kept = trials().unwrap();
        assert!((5..18).contains(&kept), "{kept}");
        let before = read_json(&only_sweep(&home).join("sweep.json"))["trials"].clone();
        let ended = home.run(&words("sweep --resume")).success();
        assert!(ended.stdout.contains("best: p1 mock 2x1"), "{}", ended.stdout);
        let after = read_json(&only_sweep(&home).join("sweep.json"));
        let after = after["trials"].as_array().unwrap();
        assert_eq!(after.len(), 18);
        assert_eq!(&after[..kept], before.as_array().unwrap().as_slice(), "what was measured stays");
    }
}

#[test]
fn a_trial_that_fails_is_counted_and_the_others_go_on() {
    let mut script = steady();
    script["phases"]["p2"]["dies"] = json!(1);
    let home = home(FILE, &script);
    let ended = home.run(&words("sweep sweep.toml --mock mock.json"));
    let ended = ended.fails(1, &["every trial of p2 mock 2x1 failed"]);
    assert!(ended.stdout.contains("best: p2 mock 1x2") && ended.stdout.contains("2 trials failed"), "{}", ended.stdout);
}

#[test]
fn mistakes_in_a_sweep_file_are_named() {
    for (file, parts) in [
        ("[[grid]]\nphase = ['p1']", &["sweep.toml", "unknown key 'phase'", "did you mean 'phases'?"][..]),
        ("order_seed = 1", &["no [[grid]]"]),
        ("[[grid]]\nlayouts = []", &["name layouts"]),
        ("[[grid]]\nlayouts = ['2y1']", &["layouts", "2y1"]),
    ] {
        home(file, &steady()).run(&words("sweep sweep.toml")).fails(2, parts);
    }
    let home = home("[[grid]]\nlayouts = ['9000x1']", &steady());
    home.run(&words("sweep sweep.toml")).fails(3, &["no point of the sweep fits"]);
    home.run(&words("sweep nowhere.toml")).fails(2, &["nowhere.toml"]);
    home.run(&words("sweep --resume")).fails(2, &["no sweep 'last'"]);
    home.run(&words("sweep --resume last --dry-run")).fails(2, &["cannot be used with"]);
}

#[test]
fn a_dry_run_says_what_it_would_take_and_measures_nothing() {
    let home = home(FILE, &steady());
    let ended = home.run(&words("sweep sweep.toml --dry-run")).success();
    assert!(ended.stdout.contains("6 points, at least 18 trials, roughly"), "{}", ended.stdout);
    assert!(!home.path("home/sweeps").exists());
}

#[test]
fn native_points_are_sealed_and_verified() {
    let file = "twins = false\n[[grid]]\nphases = ['p1', 'p2']\nlayouts = ['1x1']\nsectors = [1, 2]\nrepeats = 1\nmax_repeats = 1";
    let home = home(file, &steady());
    let ended = home.run(&words("sweep sweep.toml --json rankings.json")).success();
    assert!(ended.stdout.contains("p2 native 1x1 2 sectors"), "{}", ended.stdout);
    for ranking in read_json(&home.path("rankings.json")).as_array().unwrap() {
        assert!(ranking["points"].as_array().unwrap().iter().all(|point| point["gib_per_h"].as_f64().unwrap() > 0.0));
    }
}
