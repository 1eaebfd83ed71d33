//! Run rules on a run that is really disturbed.

mod common;

use std::fs;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use common::{Home, codes, read_json, signal, wait_for, words, worker_pid};
use sealbench::host::sys;
use serde_json::Value;

/// Runs of this file know of each other on the same cores: they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that keeps one core busy until it is dropped.
struct Busy(Child);

impl Busy {
    fn on(core: usize) -> Busy {
        let spawn = move || {
            sys::pin_process(&[core]).unwrap();
            Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()
        };
        Busy(thread::spawn(spawn).join().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The finding with this code.
#[track_caller]
fn finding(record: &Value, code: &str) -> Value {
    let findings = record["validity"]["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|finding| finding["code"] == code)
        .unwrap_or_else(|| panic!("no {code} in {findings:?}"))
        .clone()
}

#[test]
fn a_busy_process_on_the_same_core_is_other_load() {
    let _turn = turn();
    let home = Home::new();
    let core = sys::allowed_cores().unwrap()[0];
    let line = format!("run --engine native --phases p1 --sector-size 8MiB --cores {core}");
    let busy = Busy::on(core);
    let record = home.record(&words(&line));
    drop(busy);
    let p1 = &record["phases"][0];
    let figure = |pointer: &str| p1.pointer(pointer).and_then(Value::as_f64).unwrap();
    let wall_s = figure("/wall_s");
    // The scheduler gives each a half, or the phase a little more or less.
    let share = figure("/counters/other_cpu_s") / wall_s;
    assert!(share > 0.2 && share < 0.95, "{share}");
    assert!(figure("/cpu_s") < 0.8 * wall_s, "{p1}");
    assert!(figure("/clock/before_mhz") > 100.0 && figure("/clock/after_mhz") > 100.0, "{p1}");
    let load = finding(&record, "other-load");
    assert_eq!(load["severity"], "warning");
    let text = load["text"].as_str().unwrap();
    assert!(text.starts_with("p1 of native, repeat 0: other programs and the kernel took"), "{text}");
    assert_eq!(record["validity"]["reportable"], false);
}

#[test]
fn a_reportable_run_repeats_as_often_as_the_rules_ask_and_ends_with_those_that_are_broken() {
    let _turn = turn();
    let home = Home::new();
    fs::write(
        home.path("mock.json"),
        r#"{"phases": {"p1": {"samples": [1.0, 1.001], "clock": {"before_mhz": 3000, "after_mhz": 2000},
        "counters": {"steal_ratio": 0.02}}}}"#,
    )
    .unwrap();
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --reportable --json r.json";
    home.run(&words(line)).fails(4, &["not reportable", "mock-engine", "steal", "clock-drop"]);
    let record = read_json(&home.path("r.json"));
    assert_eq!(record["phases"].as_array().unwrap().len(), 10, "quick runs need ten samples, close ones no more");
    for code in ["mock-engine", "steal", "clock-drop"] {
        assert_eq!(finding(&record, code)["severity"], "error");
    }
    let rules: Vec<&str> =
        record["validity"]["rules"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert!(rules.contains(&"too-few-repeats") && rules.contains(&"virtual-machine"), "{rules:?}");
    assert!(!codes(&record).contains(&"too-few-repeats") && !codes(&record).contains(&"spread-too-wide"));
    let summary = &record["summary"][0];
    assert!(summary["ci"]["low"].as_f64().unwrap() >= 1.0 && summary["ci"]["high"].as_f64().unwrap() <= 1.001);

    // Samples that are far apart are taken up to twice as often.
    fs::write(home.path("mock.json"), r#"{"phases": {"p1": {"samples": [1.0, 1.3]}}}"#).unwrap();
    home.run(&words(line)).fails(4, &["spread-too-wide"]);
    let record = read_json(&home.path("r.json"));
    assert_eq!(record["phases"].as_array().unwrap().len(), 20, "every sample is there");
}

#[test]
fn a_second_run_on_the_same_cores_is_a_finding_or_refused() {
    let _turn = turn();
    let home = Home::new();
    fs::write(home.path("mock.json"), r#"{"phases": {"p1": {"takes_s": 30}}}"#).unwrap();
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --run-dir first";
    let mut first = home.spawn(&words(line));
    wait_for("the first worker", || worker_pid(&home.path("first")).is_some());
    fs::write(home.path("quick.json"), "{}").unwrap();
    let second = "run --engine mock --mock quick.json --sector-size 2KiB --phases p1";
    let record = home.record(&words(second));
    let text = finding(&record, "cores-in-use")["text"].as_str().unwrap().to_owned();
    assert!(text.contains(&first.id().to_string()), "{text} names {}", first.id());
    home.run(&words(&format!("{second} --reportable"))).fails(3, &["another sealbench"]);
    signal(first.id(), 9);
    first.wait().unwrap();
}

#[test]
fn a_reportable_run_with_an_instance_that_died_repeats_no_more() {
    let _turn = turn();
    let home = Home::new();
    let dies = r#"{"phases": {"p1": {"samples": [5.0], "dies": 1, "takes_s": 0.1}}}"#;
    fs::write(home.path("mock.json"), dies).unwrap();
    let line = "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;1 --without-alone --reportable --json r.json";
    home.run(&words(line)).fails(1, &["1 of 2 instances failed"]);
    let record = read_json(&home.path("r.json"));
    assert_eq!(record["phases"].as_array().unwrap().len(), 1, "it cannot become reportable any more");
}
