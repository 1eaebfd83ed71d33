//! A run that breaks no rule, for the tests of each rule to break.

use super::{Subject, check};
use crate::host::arena::Pages;
use crate::host::core_lock::InUse;
use crate::host::{BuildInfo, Counters, HostInfo};
use crate::measure::stats;
use crate::phase::{Engine, Phase};
use crate::store::sample;
use crate::trial::record::{ClockCheck, Finding, Origin, PhaseRecord, Timer, Verified};

/// The values of a subject.
pub struct Case {
    pub phases: Vec<PhaseRecord>,
    pub noise: Option<f64>,
    pub host: HostInfo,
    pub build: BuildInfo,
    pub timer: Timer,
    pub pages: Pages,
    pub failed_runs: u32,
    pub in_use: Vec<InUse>,
    pub shared: bool,
    pub found: Vec<Finding>,
    pub reportable: bool,
}

impl Case {
    /// Ten repeats of the native p1, each 10 s on two cores of a bare machine, by a release build. To be reported.
    pub fn good() -> Case {
        let record = sample::record("good");
        let phase = PhaseRecord {
            phase: Phase::P1,
            engine: Engine::Native,
            pages: Some("1GiB".into()),
            wall_s: 10.0,
            max_rss_bytes: Some(1 << 30),
            counters: Counters {
                major_faults: Some(0),
                involuntary_switches: Some(10),
                steal_ratio: Some(0.0),
                other_cpu_s: Some(0.0),
                throttle_events: Some(0),
                numa_miss_pages: Some(0),
                clock_step_s: Some(0.0),
                swap_in_pages: Some(0),
                swap_out_pages: Some(0),
                ..Counters::default()
            },
            clock: Some(ClockCheck { before_mhz: 4000.0, after_mhz: 4000.0 }),
            verified: Verified { against: "verifier".into(), ok: Some(true) },
            origin: Origin::Measured,
            ..record.phases[0].clone()
        };
        let (mut host, mut build) = (record.host, record.build);
        host.virtualisation.virtual_machine = Some(false);
        (build.git_revision, build.git_dirty) = (Some("5f3a".into()), Some(false));
        Case {
            phases: (0..10).map(|repeat| PhaseRecord { repeat, ..phase.clone() }).collect(),
            noise: Some(0.0),
            host,
            build,
            timer: Timer { precision_ns: 20.0, read_ns: 25.0, span_ns: 400.0 },
            pages: Pages::Gib,
            failed_runs: 0,
            in_use: Vec::new(),
            shared: false,
            found: Vec::new(),
            reportable: true,
        }
    }

    /// The same with other wall times, one for each repeat.
    pub fn with_walls(walls: &[f64]) -> Case {
        let mut case = Case::good();
        let first = case.phases[0].clone();
        let repeats = walls.iter().enumerate();
        case.phases =
            repeats.map(|(repeat, &wall_s)| PhaseRecord { repeat: repeat as u32, wall_s, ..first.clone() }).collect();
        case
    }

    pub fn quick(&mut self) -> &Case {
        self.reportable = false;
        self
    }

    pub fn strict(&mut self) -> &Case {
        self.reportable = true;
        self
    }

    pub fn findings(&self) -> Vec<Finding> {
        let mut summary = stats::summarize(&self.phases);
        summary.iter_mut().for_each(|one| one.noise = self.noise);
        check(&Subject {
            phases: &self.phases,
            summary: &summary,
            host: &self.host,
            build: &self.build,
            timer: self.timer,
            pages: self.pages,
            failed_runs: self.failed_runs,
            in_use: &self.in_use,
            shared: self.shared,
            found: &self.found,
            reportable: self.reportable,
        })
    }

    pub fn codes(&self) -> Vec<String> {
        self.findings().into_iter().map(|finding| finding.code).collect()
    }

    /// Asserts that a change to the third repeat holds the rule at its limit and breaks it just above.
    #[track_caller]
    pub fn at_limit(code: &str, limit: f64, above: f64, change: impl Fn(&mut PhaseRecord, f64)) {
        for (value, expected) in [(limit, &[][..]), (above, &[code])] {
            let mut case = Case::good();
            change(&mut case.phases[2], value);
            assert_eq!(case.codes(), expected, "{value}");
        }
    }
}
