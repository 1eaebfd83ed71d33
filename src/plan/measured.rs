//! Rates from records: of runs, of sweeps, of imported logs.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::overlap::{self, Together};
use crate::import::record::CORES;
use crate::measure::stats::bootstrap::median_interval;
use crate::measure::stats::{coefficient_of_variation, median};
use crate::phase::Phase;
use crate::plan::rates::{Entry, Rate, from_entry};
use crate::plan::scenario::Stored;
use crate::trial::record::{Aggregate, Interval, Origin, PhaseRecord, Record, RunState, Severity};

/// One thing that was measured: its records' figures are samples of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    phase: Phase,
    engine: &'static str,
    cores: usize,
    instances: u32,
    batch: u32,
    at_once: Option<u32>,
}

/// What was measured of a thing.
#[derive(Clone, Debug, Default)]
struct Samples {
    /// Sectors per hour of an instance, one per repeat.
    rates: Vec<f64>,
    /// Wall times, seconds.
    times: Vec<f64>,
    runs: Vec<String>,
    origins: Vec<Origin>,
}

/// The rates that records of runs give for some models, one for each phase, engine, number of cores, instances side by side and batch. Those of
/// several instances count what all put out together while all ran. The second arm of an A/A pair is left out. An error names the run that cannot
/// be used.
pub fn from_records(records: &[Record], sector_bytes: f64, stored: &Stored) -> Result<Vec<Rate>, String> {
    let mut things: BTreeMap<Thing, Samples> = BTreeMap::new();
    let is_twin = |record: &&Record| record.sweep.as_ref().is_some_and(|sweep| sweep.twin);
    let mut logs: Vec<Record> = Vec::new();
    for record in records.iter().filter(|record| !is_twin(record)) {
        if let Some(why) = why_not(record, sector_bytes) {
            return Err(format!("{why}: leave it out of [[stored]]"));
        }
        if record.phases.iter().any(|phase| phase.origin == Origin::Imported) {
            logs.push(with_cores(record, stored.cores));
        } else {
            add(record, stored.cores, &mut things)?;
        }
    }
    let measured = things.into_iter().filter_map(|(thing, samples)| rate(&thing, samples, &stored.skus)).map(Ok);
    measured.chain(overlap::rates(&logs).iter().map(|rate| of_logs(rate, &logs, &stored.skus))).collect()
}

/// The runs of a sweep that can be used, and a sentence about the others. An error says why there is none.
pub fn of_sweep(sweep: &str, records: Vec<Record>, sector_bytes: f64) -> Result<(Vec<Record>, Option<String>), String> {
    let all = records.len();
    let mut reasons: Vec<String> = Vec::new();
    let mut usable = records;
    usable.retain(|record| {
        let why = why_not(record, sector_bytes);
        let is_usable = why.is_none();
        reasons.extend(why);
        is_usable
    });
    let sweep = sweep.escape_debug();
    match reasons.first() {
        Some(first) if usable.is_empty() => Err(format!("sweep {sweep}: none of its {all} runs can be used: {first}")),
        Some(first) => {
            let left_out = format!("sweep {sweep}: {} of its {all} runs are not used: {first}", reasons.len());
            let more = if reasons.len() > 1 { ", and so on" } else { "" };
            Ok((usable, Some(left_out + more)))
        }
        None => Ok((usable, None)),
    }
}

/// The record of a log with the cores that the scenario says, if the log's import did not say them.
fn with_cores(record: &Record, cores: Option<u32>) -> Record {
    let mut record = record.clone();
    if let Some(cores) = cores {
        record.spec.settings.entry(CORES.to_string()).or_insert_with(|| cores.to_string());
    }
    record
}

/// The rate of imported logs that belong together: which ran side by side is worked out from their times.
fn of_logs(rate: &overlap::Rate, logs: &[Record], skus: &[String]) -> Result<Rate, String> {
    let runs: BTreeSet<&str> = rate.members.iter().map(|member| logs[member.record as usize].id.as_str()).collect();
    let runs: Vec<String> = runs.into_iter().map(str::to_string).collect();
    let first = runs.first().map_or("", String::as_str);
    if rate.cores.is_none() {
        return Err(without_cores(first, rate.phase));
    }
    let rate = from_entry(&Entry {
        place: format!("run {}", first.escape_debug()),
        phase: rate.phase,
        skus: skus.to_vec(),
        cores: rate.cores,
        instances: rate.instances,
        times: by_repeat(rate, logs),
        sectors_per_h: None,
        interval: None,
        cv: None,
        batch: 1,
        partitions_at_once: None,
        memory: None,
        variant: None,
        origin: Some(Origin::Imported),
        source: runs,
        concurrent: match rate.together {
            Together::Alone | Together::Unknown => None,
            Together::Concurrent => Some(true),
            Together::NotConcurrent => Some(false),
        },
    })?;
    // One execution in a log was measured all the same.
    Ok(Rate { typed: false, ..rate })
}

/// The times of the repeats that all instances have, those of one repeat after those of another.
fn by_repeat(rate: &overlap::Rate, logs: &[Record]) -> Vec<f64> {
    let mut instances: Vec<Vec<f64>> = vec![Vec::new(); rate.instances as usize];
    for member in &rate.members {
        let phase = &logs[member.record as usize].phases[member.phase as usize];
        instances[member.instance as usize].push(phase.wall_s);
    }
    let repeats = instances.iter().map(Vec::len).min().unwrap_or(0);
    (0..repeats).flat_map(|repeat| instances.iter().map(move |times| times[repeat])).collect()
}

/// Why a record's rates cannot be used, if so. The phases that ended before a run was interrupted are as good as others.
fn why_not(record: &Record, sector_bytes: f64) -> Option<String> {
    let id = record.id.escape_debug();
    let size = record.spec.resolved.shape.sector_size;
    if size.bytes() as f64 != sector_bytes {
        return Some(format!("run {id} sealed a {size} sector, which is not the scenario's size"));
    }
    if record.state == RunState::Failed || record.phases.is_empty() {
        return Some(format!("run {id} is {} and its rates cannot be used", record.state.name()));
    }
    let error = record.validity.findings.iter().find(|finding| finding.severity == Severity::Error)?;
    Some(format!("run {id} has the error '{}' and its rates cannot be used", error.code.escape_debug()))
}

fn without_cores(run: &str, phase: Phase) -> String {
    format!(
        "run {} does not say on how many cores {phase} ran: say so where it is named (cores = ... in its [[stored]])",
        run.escape_debug()
    )
}

fn add(record: &Record, cores: Option<u32>, things: &mut BTreeMap<Thing, Samples>) -> Result<(), String> {
    for phase in &record.phases {
        let cores = if phase.cores.is_empty() { cores.map(|cores| cores as usize) } else { Some(phase.cores.len()) };
        let Some(cores) = cores else { return Err(without_cores(&record.id, phase.phase)) };
        if !(phase.wall_s > 0.0 && phase.wall_s.is_finite()) {
            return Err(format!("run {}: {} took no time", record.id.escape_debug(), phase.phase));
        }
        // Of instances side by side the aggregate counts; one alone beside them is a thing of its own.
        let together = side_by_side(record, phase);
        if phase.concurrent > 1 && together.is_none() {
            continue;
        }
        let thing = Thing {
            phase: phase.phase,
            engine: phase.engine.name(),
            cores,
            instances: together.map_or(1, |aggregate| aggregate.instances),
            batch: phase.sectors.max(1),
            at_once: (phase.phase == Phase::P4).then_some(record.spec.resolved.p4_partitions_at_once),
        };
        let samples = things.entry(thing).or_default();
        samples.times.push(phase.wall_s);
        samples.origins.push(phase.origin);
        if samples.runs.last() != Some(&record.id) {
            samples.runs.push(record.id.clone());
        }
        match together {
            None => samples.rates.push(f64::from(thing.batch) * 3600.0 / phase.wall_s),
            Some(aggregate) if first_of_repeat(record, phase) => {
                samples.rates.push(aggregate.sectors_per_h / f64::from(aggregate.instances));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What the instances beside this one put out with it; only if all of them finished.
fn side_by_side<'a>(record: &'a Record, phase: &PhaseRecord) -> Option<&'a Aggregate> {
    let key =
        |other: &&Aggregate| (other.phase, other.engine, other.repeat) == (phase.phase, phase.engine, phase.repeat);
    let aggregate = record.aggregates.iter().find(key).filter(|_| phase.concurrent > 1)?;
    (aggregate.completed == aggregate.instances && aggregate.sectors_per_h > 0.0).then_some(aggregate)
}

/// Whether this is the first entry of its repeat: the aggregate counts once.
fn first_of_repeat(record: &Record, phase: &PhaseRecord) -> bool {
    let key = |other: &PhaseRecord| (other.phase, other.engine, other.repeat, other.concurrent);
    let first = record.phases.iter().find(|other| key(other) == key(phase));
    first.is_some_and(|first| std::ptr::eq(first, phase))
}

fn rate(thing: &Thing, samples: Samples, skus: &[String]) -> Option<Rate> {
    let Samples { rates, times, runs, origins } = samples;
    let range = times.iter().fold(Interval { low: f64::INFINITY, high: 0.0 }, |range, time| Interval {
        low: range.low.min(*time),
        high: range.high.max(*time),
    });
    let worst =
        [Origin::Estimated, Origin::Imported, Origin::Measured].into_iter().find(|one| origins.contains(one))?;
    Some(Rate {
        phase: thing.phase,
        skus: skus.to_vec(),
        cores: thing.cores as u32,
        instances: thing.instances,
        batch: thing.batch,
        variant: Some(thing.engine.to_string()),
        partitions_at_once: thing.at_once,
        memory: None,
        sectors_per_h: median(&rates)?,
        interval: median_interval(&rates),
        n: rates.len() as u32,
        cv: coefficient_of_variation(&times),
        mean_s: times.iter().sum::<f64>() / times.len() as f64,
        range_s: Some(range),
        origin: worst,
        typed: false,
        source: runs,
        // One alone was not beside others, whatever the run did later.
        concurrent: Some(thing.instances > 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    const MIB8: f64 = 8.0 * 1024.0 * 1024.0;

    fn one_phase(id: &str, wall_s: f64) -> Record {
        sample::changed(|r| {
            r["id"] = id.into();
            r["validity"]["findings"] = serde_json::json!([]);
            let mut p1 = r["phases"][0].clone();
            p1["wall_s"] = wall_s.into();
            r["phases"] = serde_json::json!([p1]);
        })
    }

    fn stored(skus: &[&str]) -> Stored {
        Stored { skus: skus.iter().map(|sku| sku.to_string()).collect(), ..Stored::default() }
    }

    #[test]
    fn runs_of_one_thing_are_samples_of_it() {
        let records = [one_phase("a", 10.0), one_phase("b", 12.0), one_phase("c", 20.0)];
        let rates = from_records(&records, MIB8, &stored(&["box"])).unwrap();
        let [rate] = rates.as_slice() else { panic!("{rates:?}") };
        assert_eq!((rate.phase, rate.cores, rate.instances, rate.n), (Phase::P1, 2, 1, 3));
        assert_eq!((rate.sectors_per_h, rate.interval), (300.0, Some(Interval { low: 180.0, high: 360.0 })));
        assert_eq!((rate.origin, rate.concurrent, rate.typed), (Origin::Measured, Some(false), false));
        assert_eq!((rate.source.join(","), rate.mean_s), ("a,b,c".to_string(), 14.0));
        assert_eq!(rate.skus, ["box"]);
    }

    #[test]
    fn instances_side_by_side_count_together() {
        let together = sample::changed(|r| {
            r["validity"]["findings"] = serde_json::json!([]);
            let mut phases = Vec::new();
            for (repeat, instance, wall_s) in [(0, 0, 10.0), (0, 1, 11.0), (1, 0, 12.0), (1, 1, 12.5)] {
                let mut p1 = r["phases"][0].clone();
                for (key, value) in [("repeat", repeat), ("instance", instance), ("concurrent", 2)] {
                    p1[key] = value.into();
                }
                p1["wall_s"] = wall_s.into();
                phases.push(p1);
            }
            r["phases"] = phases.into();
            let aggregate = |repeat: u32, rate: f64| {
                serde_json::json!({"phase": "p1", "engine": "reference", "repeat": repeat, "instances": 2, "completed": 2,
                    "window_s": 10.0, "overlap": 1.0, "sectors_per_h": rate, "gib_per_h": 1.0, "slow_down": null})
            };
            r["aggregates"] = serde_json::json!([aggregate(0, 700.0), aggregate(1, 600.0)]);
        });
        let rates = from_records(&[together], MIB8, &stored(&[])).unwrap();
        let [rate] = rates.as_slice() else { panic!("{rates:?}") };
        assert_eq!((rate.instances, rate.n, rate.sectors_per_h, rate.concurrent), (2, 2, 325.0, Some(true)));
    }

    #[test]
    fn the_repeats_of_logs_are_those_that_all_instances_have() {
        let logs = [[10.0, 20.0, 30.0].as_slice(), &[11.0, 21.0]].map(|times| {
            sample::changed(|r| {
                let of = |time: &f64| {
                    let mut p1 = r["phases"][0].clone();
                    p1["wall_s"] = (*time).into();
                    p1
                };
                r["phases"] = times.iter().map(of).collect();
            })
        });
        let member = |(record, phase)| overlap::Member { record, phase, instance: record };
        let rate = overlap::Rate {
            host: None,
            phase: Phase::P1,
            sector_size: logs[0].spec.resolved.shape.sector_size,
            cores: Some(2),
            instances: 2,
            at_once: Some(2),
            sectors_per_h: 1.0,
            one_per_h: 1.0,
            median_s: 20.0,
            window_s: 60.0,
            overlap: 1.0,
            together: Together::Concurrent,
            members: [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)].map(member).to_vec(),
        };
        assert_eq!(by_repeat(&rate, &logs), [10.0, 11.0, 20.0, 21.0]);
        // A single execution is a measurement, which a typed figure would displace.
        let single = overlap::Rate { instances: 1, members: vec![member((0, 0))], ..rate };
        let single = of_logs(&single, &logs, &[]).unwrap();
        assert_eq!((single.n, single.typed), (1, false));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let of = |record: Record, bytes: f64| from_records(&[record], bytes, &stored(&[])).unwrap_err();
        assert!(of(one_phase("small", 1.0), 32.0 * 1073741824.0).contains("run small sealed a 8MiB sector"));
        let mut failed = one_phase("dead", 1.0);
        failed.state = RunState::Failed;
        assert!(of(failed, MIB8).contains("run dead is failed"));
        let mut timeless = one_phase("odd", 1.0);
        timeless.phases[0].wall_s = 0.0;
        assert!(of(timeless, MIB8).contains("took no time"));
    }

    #[test]
    fn cores_that_a_run_does_not_say_may_be_said_where_it_is_named() {
        let mut measured = one_phase("bare", 10.0);
        measured.phases[0].cores.clear();
        let mut imported = measured.clone();
        imported.id = "log-bare".into();
        imported.phases[0].origin = Origin::Imported;
        for record in [measured, imported] {
            let error = from_records(std::slice::from_ref(&record), MIB8, &stored(&[])).unwrap_err();
            assert!(
                error.contains("bare does not say on how many cores p1 ran: say so where it is named (cores = ...")
            );
            let rates = from_records(&[record], MIB8, &Stored { cores: Some(23), ..stored(&[]) }).unwrap();
            assert_eq!((rates.len(), rates[0].cores, rates[0].sectors_per_h), (1, 23, 360.0));
        }
    }

    #[test]
    fn phases_that_ended_before_an_interruption_are_good_rates() {
        let mut cut = one_phase("cut", 10.0);
        cut.state = RunState::Interrupted;
        let mut log = cut.clone();
        log.id = "log-cut".into();
        log.phases[0].origin = Origin::Imported;
        log.spec.settings.insert(CORES.to_string(), "8".to_string());
        for record in [cut.clone(), log] {
            let rates = from_records(&[record], MIB8, &stored(&[])).unwrap();
            assert_eq!((rates[0].phase, rates[0].sectors_per_h), (Phase::P1, 360.0));
        }
        cut.phases.clear();
        assert!(from_records(&[cut], MIB8, &stored(&[])).unwrap_err().contains("run cut is interrupted"));
    }

    #[test]
    fn a_sweep_is_used_without_the_runs_that_failed() {
        let mut failed = one_phase("dead", 1.0);
        failed.state = RunState::Failed;
        let all = || vec![one_phase("a", 10.0), failed.clone(), one_phase("b", 10.0)];
        let (usable, left_out) = of_sweep("s", all(), MIB8).unwrap();
        assert_eq!(usable.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let expected = "sweep s: 1 of its 3 runs are not used: run dead is failed and its rates cannot be used";
        assert_eq!(left_out.as_deref(), Some(expected));
        assert!(of_sweep("s", all(), 2048.0).unwrap_err().contains("none of its 3 runs can be used: run a sealed"));
        assert_eq!(of_sweep("s", vec![one_phase("a", 10.0)], MIB8).unwrap().1, None);
    }
}
