//! The rule for what a machine cannot run: its test says so by name, and where everything is required it fails.

use std::env;
use std::io::{self, Write};

const LIST: &str = include_str!("../absent-on-ci.txt");

/// Says that `name` was not tested here, and why. With `SEALBENCH_REQUIRE_ALL=1` this is a failure, unless
/// `tests/absent-on-ci.txt` lists the name.
pub fn absent(name: &str, why: &str) {
    let required = env::var_os("SEALBENCH_REQUIRE_ALL").is_some_and(|value| value == "1");
    if let Err(sentence) = verdict(name, why, required, LIST) {
        panic!("{sentence}");
    }
    // Not eprintln!, which the test runner swallows when a test passes.
    writeln!(io::stderr(), "ABSENT {name}: {why}").expect("stderr takes the notice");
}

fn verdict(name: &str, why: &str, required: bool, list: &str) -> Result<(), String> {
    if required && !listed(list).any(|(listed, _)| listed == name) {
        return Err(format!("{name} cannot run here ({why}) and tests/absent-on-ci.txt does not list it"));
    }
    Ok(())
}

fn listed(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
}

#[test]
fn what_is_absent_fails_only_where_it_is_required_and_not_listed() {
    let list = "# gpu: a comment lists nothing\n\navx512: the CI machine is a Zen 3\n";
    assert!(verdict("gpu", "none", false, list).is_ok());
    assert!(verdict("avx512", "none", true, list).is_ok());
    assert!(verdict("gpu", "none", true, list).unwrap_err().contains("gpu"));
    assert!(verdict("avx51", "none", true, list).is_err());
}

#[test]
fn every_listed_name_has_a_reason() {
    for (name, reason) in listed(LIST) {
        assert!(!name.is_empty() && !reason.trim().is_empty(), "tests/absent-on-ci.txt: '{name}' has no reason");
    }
}
