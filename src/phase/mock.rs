//! The mock engine: it takes its times from a script and makes placeholder files, so that sweeps, statistics, reports and run rules can be
//! tested exactly and in milliseconds. What it measures is never reportable.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Counters;
use crate::phase::{Phase, PhaseContext};
use crate::sector::files;
use crate::trial::job::Outcome;
use crate::trial::record::{ClockCheck, Finding, Output, Severity, Verified, Work};

/// What the mock engine does in each phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The phases; one that is not named takes a second.
    #[serde(default)]
    pub phases: BTreeMap<Phase, Part>,
}

/// What the mock engine does in one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Seconds on one core, one for each repeat (or round of a sweep), from the start again after the last; none: one second.
    #[serde(default)]
    pub samples: Vec<f64>,
    /// Share of the work that more cores speed up, 0 to 1 (Amdahl).
    #[serde(default)]
    pub parallel: f64,
    /// By how much each further instance side by side slows every one down, e.g. 0.1.
    #[serde(default)]
    pub contention: f64,
    /// Seconds that really pass.
    #[serde(default)]
    pub takes_s: f64,
    /// The instance whose worker dies in the middle.
    #[serde(default)]
    pub dies: Option<u32>,
    /// What the counters show.
    #[serde(default)]
    pub counters: Counters,
    /// The clock around the phase.
    #[serde(default)]
    pub clock: Option<ClockCheck>,
}

/// One performance of a [`Part`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The wall time it claims, seconds.
    pub wall_s: f64,
    /// The time that really passes, seconds.
    pub takes_s: f64,
    /// Its process dies in the middle.
    pub dies: bool,
    /// The counters it claims.
    pub counters: Counters,
    /// The clock it claims.
    pub clock: Option<ClockCheck>,
}

/// Where a performance stands among others.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Which repeat or round, from 0.
    pub sample: u32,
    /// Which instance, from 0.
    pub instance: u32,
    /// Instances side by side.
    pub concurrent: u32,
    /// Cores of the instance.
    pub cores: u32,
}

impl Script {
    /// The performance of a phase at a position.
    pub fn act(&self, phase: Phase, at: Position) -> Act {
        let part = self.phases.get(&phase).cloned().unwrap_or_default();
        let base = match part.samples.len() {
            0 => 1.0,
            n => part.samples[at.sample as usize % n],
        };
        let on_cores = 1.0 - part.parallel + part.parallel / f64::from(at.cores.max(1));
        let crowded = 1.0 + part.contention * f64::from(at.concurrent.saturating_sub(1));
        Act {
            wall_s: base * on_cores * crowded,
            takes_s: part.takes_s,
            dies: part.dies == Some(at.instance),
            counters: part.counters,
            clock: part.clock,
        }
    }
}

/// Plays a phase: placeholder files under the names of its outputs.
pub fn run(phase: Phase, context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let act = context.act.context("the mock engine has no script: name one with --mock FILE")?;
    context.probe.timed("script", || {
        std::thread::sleep(Duration::from_secs_f64(act.takes_s.clamp(0.0, 3600.0)));
        if act.dies {
            std::process::abort();
        }
        Ok(())
    })?;
    for sector in 0..context.sectors {
        let dir = files::sector_dir(context.dir, sector);
        for name in files::outputs(phase, context.shape) {
            let path = dir.join(name);
            fs::write(&path, b"mock").with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let text = "the mock engine seals nothing: its times come from a script";
    Ok(Outcome {
        variant: None,
        kernel: BTreeMap::new(),
        work: Work { unit: "node".into(), count: context.shape.sector_size.nodes() },
        output: Output::default(),
        verified: Verified { against: "none".into(), ok: Some(true) },
        findings: vec![Finding::new("mock-engine", Severity::Error, text)],
        pages: None,
        reserved_bytes: 0,
        calibration: Vec::new(),
        labelled_together: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_cores_instances_and_samples() {
        let part = Part { samples: vec![10.0, 20.0], parallel: 0.5, contention: 0.1, ..Part::default() };
        let script = Script { phases: BTreeMap::from([(Phase::P2, part)]) };
        let at = |sample, concurrent, cores| Position { sample, instance: 0, concurrent, cores };
        let wall = |phase, position| script.act(phase, position).wall_s;
        assert_eq!(wall(Phase::P2, at(0, 1, 1)), 10.0);
        assert_eq!(wall(Phase::P2, at(3, 1, 2)), 15.0);
        assert!((wall(Phase::P2, at(2, 3, 1)) - 12.0).abs() < 1e-12);
        assert_eq!(wall(Phase::P1, at(0, 1, 4)), 1.0, "a phase without a part");
    }
}
