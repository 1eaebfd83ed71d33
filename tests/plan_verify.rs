//! `sealbench plan --verify`: a planned layout tried on this machine.

#[path = "support/absent.rs"]
mod absent;
mod common;

use std::fs;

use common::{Home, words};
use sealbench::host::sys;

const NOTES: &str = include_str!("../params/scenarios/field-notes-2020.toml");

/// A scenario of one model of two cores, an instance of p1 and one of p2 on a core each, with p2 at this many sectors per hour.
fn two_cores(p2_per_h: &str) -> String {
    format!(
        "sector_size = '2 KiB'\nphases = ['p1', 'p2']\ntarget = '1000 sectors per day'\nminimise = 'machines'\n\
         [[sku]]\nname = 'two cores'\ncores = 2\nmemory = '16 GiB'\n\
         [[rate]]\nphase = 'p1'\ncores = 1\ninstances = 1\nsectors_per_h = 100\n\
         [[rate]]\nphase = 'p2'\ncores = 1\ninstances = 1\nsectors_per_h = {p2_per_h}\n"
    )
}

/// What the table of a trial says of a phase.
fn row<'a>(text: &'a str, phase: &str) -> &'a str {
    let kind = format!(" x {phase} on ");
    let mut tried = text.lines().skip_while(|line| !line.starts_with("trying ")).skip(1);
    tried.find(|line| line.contains(&kind)).unwrap_or_else(|| panic!("no {phase} in\n{text}"))
}

/// Time in the mix over time alone, as a row says it.
fn slow_down(row: &str) -> f64 {
    let (_, after) = row.rsplit_once(" x ").unwrap();
    after.split_whitespace().next().unwrap().parse().unwrap_or_else(|e| panic!("{e}: {row}"))
}

/// Whether this machine has a core for each of two kinds of instances.
fn is_large_enough() -> bool {
    let has = sys::allowed_cores().unwrap().len() >= 2;
    if !has {
        absent::absent("a mix of two kinds", "this machine has one core");
    }
    has
}

#[test]
fn a_layout_larger_than_this_machine_is_tried_as_far_as_it_goes() {
    let home = Home::new();
    fs::write(home.path("s.toml"), NOTES).unwrap();
    if !is_large_enough() {
        home.run(&words("plan s.toml --verify --verify-size 2KiB")).fails(3, &["kinds of instances"]);
        return;
    }
    let ended = home.run(&words("plan s.toml --verify --verify-size 2KiB")).success();
    for part in ["trying 128 cores", "p1:", "p2:"] {
        assert!(ended.stdout.contains(part), "'{part}' in\n{}", ended.stdout);
    }
    for (phase, planned) in [("p1", "4 on 8"), ("p2", "4 on 23")] {
        let row = row(&ended.stdout, phase);
        assert!(row.contains(planned) && row.contains("not comparable"), "{row}");
        assert!(slow_down(row) > 0.0, "{row}");
    }
    home.run(&["plan", "s.toml", "--verify=no such model"]).fails(2, &["no machine 'no such model'", "128 cores"]);
}

#[test]
fn a_rate_that_the_machine_does_not_reach_refutes_the_plan() {
    if !is_large_enough() {
        return;
    }
    let home = Home::new();
    fs::write(home.path("s.toml"), two_cores("1")).unwrap();
    // The option stands before the scenario, which is no model's name.
    let ended = home.run(&words("plan --verify s.toml --verify-size 2KiB")).success();
    assert!(ended.stdout.contains("p2:1x1") && !ended.stdout.contains("not comparable"), "{}", ended.stdout);
    // No core hashes the columns of a billion such sectors in an hour.
    fs::write(home.path("s.toml"), two_cores("1e9")).unwrap();
    home.run(&words("plan s.toml --verify --verify-size 2KiB")).fails(4, &["of what is planned"]);
}

#[test]
fn a_batch_is_tried_as_a_batch() {
    if !is_large_enough() {
        return;
    }
    let home = Home::new();
    let batch = two_cores("1").replace("sectors_per_h = 100\n", "sectors_per_h = 1\nbatch = 2\n");
    fs::write(home.path("s.toml"), batch).unwrap();
    let ended = home.run(&words("plan s.toml --verify --verify-size 2KiB")).success();
    assert!(row(&ended.stdout, "p1").contains("1 on 1, batch 2"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("not comparable"), "{}", ended.stdout);
    let shown = home.run(&words("results show last --json")).success();
    let record: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(record["spec"]["resolved"]["sectors"], 2);
}
