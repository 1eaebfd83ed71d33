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
    for part in ["trying 128 cores", "p1:", "p2:", "4 on 23", "not comparable", "x "] {
        assert!(ended.stdout.contains(part), "'{part}' in\n{}", ended.stdout);
    }
    home.run(&["plan", "s.toml", "--verify", "no such model"]).fails(2, &["no machine 'no such model'", "128 cores"]);
}

#[test]
fn a_rate_that_the_machine_does_not_reach_refutes_the_plan() {
    if !is_large_enough() {
        return;
    }
    let home = Home::new();
    fs::write(home.path("s.toml"), two_cores("1")).unwrap();
    let ended = home.run(&words("plan s.toml --verify --verify-size 2KiB")).success();
    assert!(ended.stdout.contains("p2:1x1") && !ended.stdout.contains("not comparable"), "{}", ended.stdout);
    // No core hashes the columns of a billion such sectors in an hour.
    fs::write(home.path("s.toml"), two_cores("1e9")).unwrap();
    home.run(&words("plan s.toml --verify --verify-size 2KiB")).fails(4, &["of what is planned"]);
}
