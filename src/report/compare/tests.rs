use serde_json::{Value, json};

use super::*;
use crate::error::exit_code;
use crate::store::sample;

/// A record whose p1 has these wall times, one for each repeat, after a change to its document.
fn record(walls: &[f64], change: impl FnOnce(&mut Value)) -> Record {
    sample::changed(|document| {
        let phase = document["phases"][0].clone();
        let repeats = walls.iter().enumerate().map(|(repeat, wall)| {
            let mut phase = phase.clone();
            phase["repeat"] = repeat.into();
            phase["wall_s"] = (*wall).into();
            phase
        });
        document["phases"] = repeats.collect();
        change(document);
    })
}

fn side(records: Vec<Record>) -> Side {
    Side { label: "some".to_string(), records, ..Side::default() }
}

/// Each entry of the document's phases changed.
fn each(document: &mut Value, change: impl Fn(&mut Value)) {
    document["phases"].as_array_mut().unwrap().iter_mut().for_each(change);
}

const TIMES: [f64; 8] = [10.0, 10.1, 9.9, 10.05, 9.95, 10.02, 9.98, 10.03];

fn slower(percent: f64) -> Vec<f64> {
    TIMES.iter().map(|time| time * (1.0 + percent / 100.0)).collect()
}

#[test]
fn a_phase_is_compared_with_its_own_noise() {
    let report = compare(&side(vec![record(&TIMES, |_| {})]), &side(vec![record(&slower(5.0), |_| {})]), &[]).unwrap();
    let pair = &report.phases[0].wall_s;
    assert!((pair.ratio - 1.05).abs() < 1e-12 && pair.verdict == "slower", "{pair:?}");
    // Even: 10, 9.9, 9.95, 9.98. Odd: 10.1, 10.05, 10.02, 10.03.
    assert!((pair.noise_floor.unwrap() - 0.075 / 10.0025).abs() < 1e-9, "{pair:?}");
    assert!(report.noise.contains("0.750 %"), "{}", report.noise);
    assert!(report.differences.is_empty(), "{:?}", report.differences);
    let error = report.check(4.0).unwrap_err();
    assert_eq!(exit_code(&error), 4);
    assert!(error.to_string().contains("p1 reference takes 1.050 times as long"), "{error}");
    report.check(5.5).unwrap();
}

#[test]
fn the_two_arms_of_a_sweep_raise_the_noise_floor() {
    let of_sweep = |walls: &[f64], twin: bool, threads: u32| {
        record(walls, |document| {
            document["sweep"] = json!({"sweep": "s", "point": format!("p1 {twin}"), "round": 0, "twin": twin});
            document["spec"]["resolved"]["threads"] = threads.into();
        })
    };
    let (a, b) = (side(vec![of_sweep(&TIMES, false, 2)]), side(vec![of_sweep(&slower(5.0), false, 2)]));
    assert_eq!(compare(&a, &b, &[]).unwrap().phases[0].wall_s.verdict, "slower");
    // The same settings differed by six percent; other settings are no arm of the pair.
    let twins = [of_sweep(&TIMES, false, 2), of_sweep(&slower(6.0), true, 2), of_sweep(&slower(50.0), false, 1)];
    let report = compare(&a, &b, &twins).unwrap();
    let pair = &report.phases[0].wall_s;
    assert!((pair.noise_floor.unwrap() - 0.06).abs() < 1e-9 && pair.verdict == "not distinguishable", "{pair:?}");
    assert!(report.noise.contains("A/A pair"), "{}", report.noise);
}

#[test]
fn arms_are_of_one_sweep_and_of_a_machine_that_is_judged() {
    let of = |sweep: &str, host: &str, walls: &[f64], twin: bool| {
        record(walls, |document| {
            document["sweep"] = json!({"sweep": sweep, "point": "p1", "round": 0, "twin": twin});
            document["host"]["hostname"] = host.into();
        })
    };
    let (a, b) = (side(vec![of("s", "x", &TIMES, false)]), side(vec![of("s", "x", &slower(5.0), false)]));
    let floor = |twins: &[Record]| compare(&a, &b, twins).unwrap().phases[0].wall_s.noise_floor.unwrap();
    let own = [of("s", "x", &TIMES, false), of("s", "x", &slower(2.0), true)];
    assert!((floor(&own) - 0.02).abs() < 1e-9);
    let elsewhere = [of("s", "y", &TIMES, false), of("s", "y", &slower(40.0), true)];
    assert!((floor(&[own.clone(), elsewhere].concat()) - 0.02).abs() < 1e-9, "another machine's pair");
    let without_twin = [of("t", "x", &slower(100.0), false), of("u", "x", &slower(100.0), false)];
    assert!((floor(&[own.to_vec(), without_twin.to_vec()].concat()) - 0.02).abs() < 1e-9, "another sweep's arm");
}

#[test]
fn instances_of_a_repeat_are_one_sample_and_their_rates_are_compared() {
    let crowd = |factor: f64| {
        record(&TIMES, |document| {
            each(document, |phase| phase["concurrent"] = 2.into());
            let mut second = document["phases"].as_array().unwrap().clone();
            for phase in &mut second {
                phase["instance"] = 1.into();
                phase["wall_s"] = (phase["wall_s"].as_f64().unwrap() + 1.0).into();
            }
            document["phases"].as_array_mut().unwrap().extend(second);
            let aggregates = TIMES.iter().enumerate().map(|(repeat, wall)| {
                json!({
                    "phase": "p1", "engine": "reference", "repeat": repeat, "instances": 2, "completed": 2,
                    "window_s": 1.0, "overlap": 1.0, "sectors_per_h": factor * 7200.0 / wall, "gib_per_h": 1.0,
                    "slow_down": null
                })
            });
            document["aggregates"] = aggregates.collect();
        })
    };
    let (alone, two) = (side(vec![record(&TIMES, |_| {})]), side(vec![crowd(0.9)]));
    let report = compare(&alone, &two, &[]).unwrap();
    let row = &report.phases[0];
    assert_eq!((row.name().as_str(), row.wall_s.n_b), ("p1 reference -> reference x2", 8));
    assert!((row.wall_s.b - row.wall_s.a - 0.5).abs() < 1e-9, "{row:?}");
    let rate = row.sectors_per_h.as_ref().unwrap();
    assert!((rate.ratio - 1.8).abs() < 1e-9 && rate.verdict == "faster", "{rate:?}");
    // Each takes longer, but together they put out more.
    assert_eq!(row.wall_s.verdict, "slower");
    report.check(1.0).unwrap();
    let error = compare(&side(vec![crowd(1.0)]), &two, &[]).unwrap().check(10.0).unwrap_err();
    assert!(error.to_string().contains("p1 reference x2 gives 0.900 times the sectors per hour"), "{error}");
}

#[test]
fn engines_are_paired_where_each_side_has_one() {
    let native = record(&slower(-50.0), |document| each(document, |phase| phase["engine"] = "native".into()));
    let report = compare(&side(vec![record(&TIMES, |_| {})]), &side(vec![native.clone()]), &[]).unwrap();
    assert_eq!(report.phases[0].name(), "p1 reference -> native");
    assert_eq!(report.phases[0].wall_s.verdict, "faster");
    // Both engines on one side: only the same one is a pair.
    let mut both = native;
    both.phases.extend(record(&TIMES, |_| {}).phases);
    let report = compare(&side(vec![record(&TIMES, |_| {})]), &side(vec![both.clone()]), &[]).unwrap();
    assert_eq!(report.phases.iter().map(Row::name).collect::<Vec<_>>(), ["p1 reference"]);
    assert!(report.warnings.contains(&"only in B: p1 native".to_string()), "{:?}", report.warnings);
    let only = Side { engine: Some(Engine::Native), ..side(vec![both]) };
    assert_eq!(compare(&only, &only, &[]).unwrap().phases.len(), 1);
}

#[test]
fn partitions_are_no_other_shape_for_p1() {
    let partitions = |n: u32| record(&TIMES, |document| document["spec"]["resolved"]["shape"]["partitions"] = n.into());
    let report = compare(&side(vec![partitions(1)]), &side(vec![partitions(4)]), &[]).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.starts_with("the shapes differ")), "{:?}", report.warnings);
    let layers = record(&TIMES, |document| document["spec"]["resolved"]["shape"]["layers"] = 11.into());
    let error = compare(&side(vec![partitions(1)]), &side(vec![layers]), &[]).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("p1 reference has different shapes"), "{error}");
}

#[test]
fn batches_are_compared_by_the_sector() {
    let batch = record(&slower(300.0), |document| each(document, |phase| phase["sectors"] = 4.into()));
    let report = compare(&side(vec![record(&TIMES, |_| {})]), &side(vec![batch]), &[]).unwrap();
    assert!((report.phases[0].wall_s.ratio - 1.0).abs() < 1e-9, "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("per sector")), "{:?}", report.warnings);
}

#[test]
fn what_differs_is_named_by_the_keys_of_the_record() {
    let other = record(&TIMES, |document| {
        document["host"]["cpu"]["microcode"] = "0xa0011d5".into();
        document["host"]["mitigations"] = json!({"spectre_v2": "Vulnerable"});
        document["host"]["memory"]["available_bytes"] = 1.into();
        document["host"]["kernel"]["release"] = "6.12.0".into();
        document["build"]["rustflags"] = json!(["-C", "target-cpu=x86-64-v3"]);
        document["spec"]["settings"]["FIL_PROOFS_USE_MULTICORE_SDR"] = "1".into();
        each(document, |phase| phase["pages"] = "2MiB".into());
    });
    let report = compare(&side(vec![record(&TIMES, |_| {})]), &side(vec![other.clone()]), &[]).unwrap();
    let found: Vec<String> =
        report.differences.iter().map(|d| format!("{}: {} / {}", d.key, d.a.join("|"), d.b.join("|"))).collect();
    assert_eq!(
        found,
        [
            r#"build.rustflags: ["-C","target-cpu=native"] / ["-C","target-cpu=x86-64-v3"]"#,
            "host.cpu.microcode:  / 0xa0011d5",
            "host.kernel.release: 6.1.0-28-amd64 / 6.12.0",
            "host.mitigations.spectre_v2:  / Vulnerable",
            "p1 reference: pages: 4KiB / 2MiB",
            "settings.FIL_PROOFS_USE_MULTICORE_SDR: 0 / 1",
        ]
    );
    let mixed = compare(&side(vec![record(&TIMES, |_| {}), other.clone()]), &side(vec![other]), &[]).unwrap();
    assert!(mixed.warnings.iter().any(|warning| warning.starts_with("A pools runs")), "{:?}", mixed.warnings);
    assert!(text(&mixed).contains("6.1.0-28-amd64 | 6.12.0"), "{}", text(&mixed));
}

#[test]
fn what_a_variant_measured_is_no_difference() {
    let variant = |words: &str| record(&TIMES, |document| each(document, |phase| phase["variant"] = words.into()));
    let differing = |a: &str, b: &str| {
        let report = compare(&side(vec![variant(a)]), &side(vec![variant(b)]), &[]).unwrap();
        report.differences.iter().map(|difference| difference.key.clone()).collect::<Vec<_>>()
    };
    let cpu = ["cached reads, bound by CPU (0.1 % waiting)", "cached reads, bound by CPU (0.2 % waiting)"];
    assert_eq!(differing(cpu[0], cpu[1]), Vec::<String>::new());
    assert_eq!(differing(cpu[0], "cached reads, bound by storage (30.0 % waiting)"), ["p1 reference: variant"]);
}

#[test]
fn what_speaks_against_the_figures_is_said() {
    let doubtful = record(&TIMES, |document| {
        document["state"] = "failed".into();
        document["seed"] = "ff".into();
        document["validity"]["findings"] = json!([{"code": "steal", "severity": "error", "text": "x"}]);
        each(document, |phase| {
            phase["verified"]["ok"] = false.into();
            phase["origin"] = "imported".into();
        });
    });
    let warnings = compare(&side(vec![record(&[1.0], |_| {})]), &side(vec![doubtful]), &[]).unwrap().warnings;
    for part in ["did not complete", "outputs are wrong", "imported", ": steal", "seeds differ", "--repeats 5"] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part}: {warnings:?}");
    }
}

#[test]
fn the_text_fits_a_terminal_whatever_the_ratios() {
    for (a, b) in [(&TIMES[..], slower(-99.9)), (&TIMES, slower(1e6)), (&[1.0], vec![2.0]), (&TIMES, TIMES.to_vec())] {
        let report = compare(&side(vec![record(a, |_| {})]), &side(vec![record(&b, |_| {})]), &[]).unwrap();
        let text = text(&report);
        assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("warning")), "{text}");
    }
}
