//! Run rules on a run that is really disturbed.

mod common;

use std::process::{Child, Command};
use std::thread;

use common::{Home, words};
use sealbench::host::sys;
use sealbench::measure::rules::{self, Subject};
use sealbench::trial::record::{Finding, Record, Severity};

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

fn findings(record: &Record, reportable: bool) -> Vec<Finding> {
    rules::check(&Subject {
        phases: &record.phases,
        summary: &record.summary,
        host: &record.host,
        build: &record.build,
        timer: record.timer,
        pages: record.spec.resolved.native.pages,
        failed_runs: 0,
        in_use: &[],
        shared: false,
        found: &[],
        reportable,
    })
}

#[test]
fn a_busy_process_on_the_same_core_is_other_load() {
    let home = Home::new();
    let core = sys::allowed_cores().unwrap()[0];
    let line = format!("run --engine native --phases p1 --sector-size 8MiB --cores {core}");
    let busy = Busy::on(core);
    let record: Record = serde_json::from_value(home.record(&words(&line))).unwrap();
    drop(busy);
    let p1 = &record.phases[0];
    // The scheduler gives each a half, or the phase a little more or less.
    let share = p1.counters.other_cpu_s.unwrap() / p1.wall_s;
    assert!(share > 0.2 && share < 0.95, "{share}");
    assert!(p1.cpu_s < 0.8 * p1.wall_s, "{} of {}", p1.cpu_s, p1.wall_s);
    let clock = p1.clock.unwrap();
    assert!(clock.before_mhz > 100.0 && clock.after_mhz > 100.0, "{clock:?}");

    let found = findings(&record, false);
    let load = found.iter().find(|finding| finding.code == "other-load").unwrap();
    assert_eq!(load.severity, Severity::Warning);
    assert!(load.text.starts_with("p1 of native, repeat 0: other programs and the kernel took"), "{}", load.text);
    let strict = findings(&record, true);
    for code in ["other-load", "too-few-repeats"] {
        let finding =
            strict.iter().find(|finding| finding.code == code).unwrap_or_else(|| panic!("no {code}: {strict:?}"));
        assert_eq!(finding.severity, Severity::Error);
    }
    assert!(!rules::all_hold(&strict));
}
