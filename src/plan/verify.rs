//! A plan's layout tried on this machine: the mix of its instances, as far as there are cores for it, and its rates under load against those
//! planned.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::phase::Phase;
use crate::plan::layout::{Lane, MachineLayout};
use crate::plan::rates::Rate;
use crate::trial::record::Record;
use crate::trial::spec::Spec;

/// A kind of instance as it is tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The phase that is tried: of an instance that does several, the one that takes longest.
    pub phase: Phase,
    /// Instances that run.
    pub instances: u32,
    /// Cores of each.
    pub cores: u32,
    /// What is planned of it.
    pub planned: Planned,
}

/// A kind of instance as it is planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// Instances.
    pub instances: u32,
    /// Cores of each.
    pub cores: u32,
    /// Sectors that each takes together.
    pub batch: u32,
    /// Partitions that p4 proves at once.
    pub partitions_at_once: Option<u32>,
    /// Output of each, sectors per hour.
    pub per_h: f64,
}

impl Planned {
    /// Its words in tables: "4 on 23, batch 8".
    pub fn label(&self) -> String {
        let batch = if self.batch > 1 { format!(", batch {}", self.batch) } else { String::new() };
        let at_once = self.partitions_at_once.map_or_else(String::new, |k| format!(", {k} at once"));
        format!("{} on {}{batch}{at_once}", self.instances, self.cores)
    }
}

impl Part {
    /// Whether it was tried as it is planned. p2 takes the sectors of a batch one after the other, so for its rate the batch does not count.
    fn is_as_planned(&self, spec: &Spec) -> bool {
        let Planned { instances, cores, batch, partitions_at_once, .. } = self.planned;
        (instances, cores) == (self.instances, self.cores)
            && (self.phase != Phase::P1 || batch == spec.sectors)
            && partitions_at_once.is_none_or(|at_once| at_once == spec.p4_partitions_at_once)
    }
}

/// What a trial of a layout showed of one kind of instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was tried.
    #[serde(flatten)]
    pub part: Part,
    /// Output of each alone, sectors per hour.
    pub alone_per_h: Option<f64>,
    /// Output of each in the mix, sectors per hour.
    pub mixed_per_h: Option<f64>,
    /// Time in the mix over time alone.
    pub slow_down: Option<f64>,
    /// Output in the mix over what is planned; only where cores, batch, partitions at once and sector size are the plan's.
    pub of_plan: Option<f64>,
}

/// The parts of a layout that fit this many cores: all of it, or fewer instances, at least one of each kind, of fewer cores if need be.
/// `None` if there are fewer cores than kinds.
pub fn scale(layout: &MachineLayout, cores: u32) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = layout.lanes.iter().filter_map(part).collect();
    let kinds = parts.len() as u32;
    if kinds == 0 || cores < kinds {
        return None;
    }
    let used = |parts: &[Part]| parts.iter().map(|part| part.instances * part.cores).sum::<u32>();
    // The largest kind gives way first: first its number, then its cores.
    while used(&parts) > cores {
        let by_cores = |part: &&mut Part| part.instances * part.cores;
        match parts.iter_mut().filter(|part| part.instances > 1).max_by_key(by_cores) {
            Some(part) => part.instances -= 1,
            None => parts.iter_mut().max_by_key(by_cores)?.cores -= 1,
        }
    }
    Some(parts)
}

fn part(lane: &Lane) -> Option<Part> {
    let time_s = |rate: &Rate| lane.phase_s(rate.phase, lane.batch).unwrap_or(0.0);
    let longest = lane.rates.iter().max_by(|a, b| time_s(a).total_cmp(&time_s(b)))?;
    Some(Part {
        phase: longest.phase,
        instances: lane.instances,
        cores: lane.cores,
        planned: Planned {
            instances: lane.instances,
            cores: lane.cores,
            batch: lane.batch,
            partitions_at_once: longest.partitions_at_once,
            per_h: longest.sectors_per_h,
        },
    })
}

/// Sectors that a trial takes together: p1's batch, as long as no phase beside it takes one sector at a time.
pub fn sectors(parts: &[Part]) -> u32 {
    let takes_batches = parts.iter().all(|part| matches!(part.phase, Phase::P1 | Phase::P2));
    let batches = parts.iter().filter(|part| part.phase == Phase::P1).map(|part| part.planned.batch);
    batches.max().filter(|_| takes_batches).unwrap_or(1)
}

/// Partitions that p4 proves at once in a trial of sectors with so many partitions; the usual if the plan does not say.
pub fn partitions_at_once(parts: &[Part], partitions: u32) -> Option<u32> {
    parts.iter().find_map(|part| part.planned.partitions_at_once).map(|at_once| at_once.min(partitions))
}

/// The value of `sealbench run --mix`.
pub fn mix(parts: &[Part]) -> String {
    let parts: Vec<String> =
        parts.iter().map(|part| format!("{}:{}x{}", part.phase, part.instances, part.cores)).collect();
    parts.join(",")
}

/// What the record of the mix says of each part.
pub fn findings(parts: &[Part], record: &Record, plan_sector_bytes: f64) -> Vec<Finding> {
    let mut alone: BTreeMap<Phase, Vec<f64>> = BTreeMap::new();
    for phase in record.phases.iter().filter(|phase| phase.concurrent == 1) {
        alone.entry(phase.phase).or_default().push(3600.0 * f64::from(phase.sectors) / phase.wall_s);
    }
    let spec = &record.spec.resolved;
    let same_size = spec.shape.sector_size.bytes() as f64 == plan_sector_bytes;
    let of = |part: &Part| {
        let aggregate = record.aggregates.iter().find(|aggregate| aggregate.phase == part.phase);
        let mixed_per_h = aggregate.map(|aggregate| aggregate.sectors_per_h / f64::from(aggregate.completed.max(1)));
        Finding {
            part: part.clone(),
            alone_per_h: alone.get(&part.phase).and_then(|rates| crate::measure::stats::median(rates)),
            mixed_per_h,
            slow_down: aggregate.and_then(|aggregate| aggregate.slow_down),
            of_plan: mixed_per_h
                .filter(|_| same_size && part.is_as_planned(spec))
                .map(|rate| rate / part.planned.per_h),
        }
    };
    parts.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;
    use serde_json::json;

    fn parts(sizes: &[(Phase, u32, u32)]) -> Vec<Part> {
        let part = |&(phase, instances, cores): &(Phase, u32, u32)| Part {
            phase,
            instances,
            cores,
            planned: Planned { instances, cores, batch: 1, partitions_at_once: None, per_h: 2.0 },
        };
        sizes.iter().map(part).collect()
    }

    #[test]
    fn a_trial_gives_each_kind_its_rate_alone_and_in_the_mix() {
        let record = sample::changed(|r| {
            r["phases"].as_array_mut().unwrap().truncate(1);
            r["phases"][0]["phase"] = "p2".into();
            r["phases"][0]["sectors"] = 1.into();
            r["phases"][0]["wall_s"] = 1800.0.into();
            r["phases"][0]["concurrent"] = 1.into();
            r["aggregates"] = json!([{"phase": "p2", "engine": "native", "repeat": 0, "instances": 4, "completed": 4, "window_s": 1.0,
                "overlap": 1.0, "sectors_per_h": 6.0, "gib_per_h": 1.0, "slow_down": 1.25}]);
        });
        let parts = parts(&[(Phase::P2, 4, 23), (Phase::P1, 4, 1)]);
        let found = findings(&parts, &record, f64::from(8 << 20));
        assert_eq!(
            (found[0].alone_per_h, found[0].mixed_per_h, found[0].slow_down),
            (Some(2.0), Some(1.5), Some(1.25))
        );
        assert_eq!(found[0].of_plan, Some(0.75));
        assert_eq!((found[1].mixed_per_h, found[1].of_plan), (None, None));
        assert_eq!(findings(&parts, &record, 32e9)[0].of_plan, None, "another sector size");
        assert_eq!(mix(&parts), "p2:4x23,p1:4x1");
    }

    #[test]
    fn a_batch_and_partitions_at_once_are_tried_where_every_phase_takes_them() {
        let mut of = parts(&[(Phase::P1, 2, 1), (Phase::P2, 1, 2), (Phase::P4, 1, 2)]);
        (of[0].planned.batch, of[2].planned.partitions_at_once) = (8, Some(5));
        assert_eq!((sectors(&of), partitions_at_once(&of, 10), partitions_at_once(&of, 1)), (1, Some(5), Some(1)));
        assert_eq!((sectors(&of[..2]), partitions_at_once(&of[..2], 10)), (8, None));
        assert_eq!(of[0].planned.label(), "2 on 1, batch 8");
        assert_eq!(of[2].planned.label(), "1 on 2, 5 at once");
        let mut spec = sample::record("a").spec.resolved;
        let mut as_planned = |sectors: u32, at_once: u32| {
            (spec.sectors, spec.p4_partitions_at_once) = (sectors, at_once);
            of.iter().map(|part| part.is_as_planned(&spec)).collect::<Vec<bool>>()
        };
        assert_eq!(as_planned(1, 10), [false, true, false], "another batch, and other partitions at once");
        assert_eq!(as_planned(8, 5), [true, true, true]);
    }
}
