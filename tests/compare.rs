//! Comparisons through the program, on runs of the mock engine: what the samples are is known exactly.

mod common;

use common::{Home, read_json, words};
use sealbench::measure::stats::bootstrap::SplitMix64;
use serde_json::{Value, json};

/// Ten wall times around a mean with a spread of about one percent, another draw for each seed.
fn times(seed: u64, mean: f64) -> Vec<f64> {
    let mut rng = SplitMix64::new(seed);
    // The sum of twelve uniform numbers has the variance 1.
    let normal = |rng: &mut SplitMix64| (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
    (0..10).map(|_| mean * (1.0 + 0.01 * normal(&mut rng))).collect()
}

/// A mock run with a script for p1 and a line of options.
fn mock(home: &Home, samples: &[f64], line: &str) -> common::Ended {
    let path = home.path("script.json");
    std::fs::write(&path, json!({ "phases": { "p1": { "samples": samples } } }).to_string()).unwrap();
    let start = ["run", "--engine", "mock", "--cores", "0", "--mock", path.to_str().unwrap()];
    home.run(&[&start, words(line).as_slice()].concat())
}

/// Ten repeats of p1.
fn run(home: &Home, samples: &[f64], options: &str) -> common::Ended {
    mock(home, samples, &format!("--sector-size 2KiB --phases p1 --repeats 10 {options}"))
}

fn compare(home: &Home, a: &str, b: &str) -> Value {
    let ended = home.run(&["results", "compare", a, b, "--json"]).success();
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn equal_runs_are_not_told_apart_and_three_percent_are() {
    let home = Home::new();
    for (name, seed, mean) in [("a", 1, 10.0), ("same", 2, 10.0), ("slow", 3, 10.3), ("fast", 4, 9.7)] {
        run(&home, &times(seed, mean), &format!("--save-baseline {name}")).success();
    }
    for (b, verdict) in [("same", "not distinguishable"), ("slow", "slower"), ("fast", "faster")] {
        let report = compare(&home, "a", b);
        let pair = &report["phases"][0]["wall_s"];
        assert_eq!(pair["verdict"], verdict, "{report:#}");
        assert_eq!((&pair["n_a"], &pair["n_b"]), (&json!(10), &json!(10)));
        let [low, ratio, high] = ["low", "ratio", "high"].map(|key| pair[key].as_f64().unwrap());
        assert!(low <= ratio && ratio <= high && high - low < 0.05, "{pair}");
        assert!(pair["noise_floor"].as_f64().is_some(), "{pair}");
        assert_eq!(report["schema"], "sealbench/comparison/1");
    }
    let text = home.run(&words("results compare a slow")).success().stdout;
    for part in ["p1 mock", "slower", "noise floor", "●", "95 % interval", "mock-engine"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    home.run(&words("results compare a slow --fail-if-slower 1")).fails(4, &["p1 mock takes 1.0", "slower than a"]);
    home.run(&words("results compare a slow --fail-if-slower 10")).success();
    home.run(&words("results compare a same --fail-if-slower 0")).success();
}

#[test]
fn a_run_is_compared_with_a_baseline_and_fails_only_if_it_is_slower() {
    let home = Home::new();
    run(&home, &times(1, 10.0), "--save-baseline main").success();
    let same = run(&home, &times(2, 10.0), "--baseline main --fail-if-slower 1 --save-baseline next").success();
    assert!(same.stdout.contains("not distinguishable"), "{}", same.stdout);
    let slow = run(&home, &times(3, 10.5), "--baseline main --fail-if-slower 2 --save-baseline next");
    let slow = slow.fails(4, &["p1 mock", "slower than main by more than 2 %"]);
    assert!(slow.stdout.contains("B / A"), "{}", slow.stdout);
    let listed = home.run(&words("results list --baselines")).success().stdout;
    assert!(listed.contains("main") && listed.contains("next"), "{listed}");
    // The run that was too slow is in the store, and no baseline.
    let last = compare(&home, "next", "last");
    assert_eq!(last["phases"][0]["wall_s"]["verdict"], "slower");
    // `last` is the run before this one.
    let after = run(&home, &times(4, 10.5), "--baseline last").success().stdout;
    assert!(after.contains("not distinguishable"), "{after}");
}

#[test]
fn names_that_are_not_there_are_refused_before_anything_runs() {
    let home = Home::new();
    run(&home, &[1.0], "--baseline main").fails(2, &["'main'"]);
    run(&home, &[1.0], "--save-baseline a=b").fails(2, &["cannot name a baseline"]);
    run(&home, &[1.0], "--fail-if-slower 3").fails(2, &["required arguments"]);
    run(&home, &[1.0], "--baseline main --fail-if-slower minus").fails(2, &["number of percent"]);
    assert!(home.run(&words("results list")).success().stdout.contains("no runs yet"));
    run(&home, &[1.0], "--save-baseline main").success();
    home.run(&words("results compare main other")).fails(2, &["'other'", "baselines: main"]);
    home.run(&words("results compare main host=elsewhere")).fails(2, &["no record matches"]);
    home.run(&words("results compare main hots=a")).fails(2, &["'hots'", "host"]);
    home.run(&words("results compare main kernels:")).fails(2, &["list --kernels"]);
}

#[test]
fn sides_are_files_prefixes_and_queries_too() {
    let home = Home::new();
    let file = home.path("one.json");
    run(&home, &times(1, 10.0), &format!("--json {}", file.display())).success();
    run(&home, &times(2, 10.3), "").success();
    let id = read_json(&file)["id"].as_str().unwrap().to_string();
    for a in [&id, &id[..id.len() - 2], file.to_str().unwrap()] {
        let report = compare(&home, a, "last");
        assert_eq!(report["phases"][0]["wall_s"]["verdict"], "slower", "{a}: {report:#}");
    }
    // Both runs are samples of one side.
    let report = compare(&home, "phase=p1,engine=mock,shape=2KiB", "last");
    assert_eq!(report["phases"][0]["wall_s"]["n_a"], 20);
    assert_eq!(report["a"]["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn other_shapes_are_refused_and_other_seeds_are_told() {
    let home = Home::new();
    run(&home, &times(1, 10.0), "--save-baseline a").success();
    run(&home, &times(2, 10.0), "--save-baseline b --seed ff").success();
    let report = compare(&home, "a", "b");
    assert!(report["warnings"].to_string().contains("seeds differ"), "{report:#}");
    mock(&home, &[1.0], "--sector-size 4KiB --phases p1 --save-baseline c").success();
    home.run(&words("results compare a c")).fails(2, &["p1 mock", "2KiB", "4KiB"]);
    mock(&home, &[1.0], "--sector-size 2KiB --phases p1,p2 --save-baseline d").success();
    let report = compare(&home, "a", "d");
    assert!(report["warnings"].to_string().contains("only in B: p2 mock"), "{report:#}");
    home.run(&["results", "compare", "a", "phase=p2"]).fails(2, &["no phase in common", "a has p1 mock"]);
}

#[test]
fn a_single_sample_is_honest_about_what_it_does_not_tell() {
    let home = Home::new();
    for (name, wall) in [("a", 1.0), ("b", 9.0)] {
        mock(&home, &[wall], &format!("--sector-size 2KiB --phases p1 --save-baseline {name}")).success();
    }
    let report = compare(&home, "a", "b");
    let pair = &report["phases"][0]["wall_s"];
    assert_eq!((&pair["verdict"], &pair["high"]), (&json!("not distinguishable"), &Value::Null));
    assert_eq!(pair["ratio"], 9.0);
    assert!(report["warnings"].to_string().contains("--repeats 5"), "{report:#}");
}

#[test]
fn what_criterion_measured_is_imported_listed_and_compared() {
    let home = Home::new();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/criterion");
    let imported = home.run(&["results", "import-criterion", dir]).success().stdout;
    assert!(imported.starts_with("4 results imported"), "{imported}");
    assert!(home.run(&["results", "import-criterion", dir]).success().stdout.starts_with("0 results imported, 4"));
    let listed = home.run(&words("results list --kernels")).success().stdout;
    assert!(listed.contains("graph/512 MiB/avx2") && listed.contains("elements/s"), "{listed}");
    let report = compare(&home, "kernels:graph@v1", "kernels:graph@v1");
    let pair = &report["kernels"][0]["seconds"];
    assert_eq!((&pair["ratio"], &pair["verdict"]), (&json!(1.0), &json!("not distinguishable")));
    assert_eq!((&pair["n_a"], &report["kernels"][0]["bench"]), (&json!(30), &json!("graph/512 MiB/avx2")));
    home.run(&words("results compare kernels:graph@v1 kernels:graph@v1 --fail-if-slower 1")).success();
    home.run(&words("results compare kernels:label kernels:graph")).fails(2, &["list --kernels"]);
    run(&home, &[1.0], "").success();
    home.run(&words("results compare kernels:graph last")).fails(2, &["compared with kernels"]);
    home.run(&["results", "import-criterion", "nowhere"]).fails(1, &["nowhere"]);
}

#[test]
fn a_damaged_store_is_rescued_into_a_new_file() {
    let home = Home::new();
    for n in 0..6 {
        run(&home, &times(n, 10.0), "").success();
    }
    let store = home.path("home/results.db");
    let mut bytes = std::fs::read(&store).unwrap();
    let pages = bytes.len() / 4096;
    for page in [pages / 2, pages * 2 / 3] {
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
    }
    bytes[4096..2 * 4096].fill(0xa5);
    std::fs::write(&store, &bytes).unwrap();
    home.run(&words("results list")).fails(1, &["is damaged", "results rescue --out"]);
    let rescued = home.run(&words("results rescue --out new.db")).success().stdout;
    assert!(rescued.contains("of 6 records") && rescued.contains("Nothing was changed"), "{rescued}");
    assert_eq!(std::fs::read(&store).unwrap(), bytes);
    home.run(&words("results rescue --out new.db")).fails(2, &["already there"]);
    std::fs::rename(home.path("new.db"), &store).unwrap();
    let listed = home.run(&words("results list")).success().stdout;
    assert!(listed.matches("complete").count() >= 3, "{listed}");
}
