//! Layouts: how a machine is cut into instances of the phases, and what that puts out.

mod choose;
mod groups;
mod impossible;
mod limits;
mod menus;
mod pack;

pub use choose::{Cut, cut};
pub use groups::Group;
pub use impossible::why_not;
pub use limits::{busy_s, network_bytes, parameter_bytes, slots};
pub use menus::PROGRAM;

use serde::Serialize;

use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::{ProvingPlace, Scenario};
use crate::report::chart::cores::Kind;

/// A part of a sector's way that is done on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// p1, p2 and c1.
    Precommit,
    /// p4.
    Proof,
    /// All of them on one machine.
    Whole,
}

impl Stage {
    /// The stages of a scenario, in the order of the sector's way; a plan's demands and capacities have one entry for each.
    pub fn of(scenario: &Scenario) -> Vec<Stage> {
        let (precommit, proof) = (scenario.plans_precommit(), scenario.plans(Phase::P4));
        match (precommit, proof) {
            (true, true) if scenario.rules.p4 == ProvingPlace::SameMachine => vec![Stage::Whole],
            (true, true) => vec![Stage::Precommit, Stage::Proof],
            (true, false) => vec![Stage::Precommit],
            _ => vec![Stage::Proof],
        }
    }

    /// Its phases that a scenario plans.
    pub fn phases(self, scenario: &Scenario) -> Vec<Phase> {
        let has = |phase: &Phase| match self {
            Stage::Precommit => *phase != Phase::P4,
            Stage::Proof => *phase == Phase::P4,
            Stage::Whole => true,
        };
        scenario.phases.iter().copied().filter(has).collect()
    }

    /// Its name in tables: "p1 + p2 + c1".
    pub fn label(self, scenario: &Scenario) -> String {
        self.phases(scenario).iter().map(|phase| phase.name()).collect::<Vec<_>>().join(" + ")
    }
}

/// Instances of one kind on a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// What each does, in order: p1; p2 and c1; p4; or p1, p2 and c1 in turn.
    pub phases: Vec<Phase>,
    /// How many there are.
    pub instances: u32,
    /// Cores of each.
    pub cores: u32,
    /// Memory of each on ordinary pages, bytes.
    pub memory: f64,
    /// Memory of each on huge pages, bytes.
    pub huge_memory: f64,
    /// Sectors that each takes together.
    pub batch: u32,
    /// Time of each for what it takes together, seconds.
    pub job_s: f64,
    /// What all put out together, sectors per hour.
    pub sectors_per_h: f64,
    /// The rates used, one per phase.
    pub rates: Vec<Rate>,
}

impl Lane {
    /// Its name in tables: "4 x p2+c1 on 23 cores".
    pub fn label(&self) -> String {
        let phases: Vec<&str> = self.phases.iter().map(|phase| phase.name()).collect();
        let cores = if self.cores == 1 { "core" } else { "cores" };
        let batch = if self.batch > 1 { format!(" ({} sectors together)", self.batch) } else { String::new() };
        format!("{} x {} on {} {cores}{batch}", self.instances, phases.join("+"), self.cores)
    }

    /// What it does, as drawings and tables tell lanes apart.
    pub fn kind(&self) -> Kind {
        match (self.phases.contains(&Phase::P1), self.phases.contains(&Phase::P4)) {
            (_, true) => Kind::P4,
            (true, _) if self.phases.len() > 1 => Kind::InTurn,
            (true, _) => Kind::P1,
            _ => Kind::P2,
        }
    }

    /// Whether it does a phase.
    pub fn does(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// What one of its instances puts out, sectors per hour.
    pub fn instance_per_h(&self) -> f64 {
        f64::from(self.batch) / self.job_s * 3600.0
    }

    /// Time of a phase for so many sectors, seconds; `None` if it does not do that phase. p1 labels a batch together, the other phases take one
    /// sector after the other.
    pub fn phase_s(&self, phase: Phase, sectors: u32) -> Option<f64> {
        let rate = self.rates.iter().find(|rate| rate.phase == phase)?;
        let sectors = f64::from(sectors);
        Some(if phase == Phase::P1 {
            rate.run_s() * (sectors / f64::from(rate.batch)).max(1.0)
        } else {
            rate.sector_s() * sectors
        })
    }
}

/// What keeps a machine from putting out more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The instances of a phase.
    Phase(Phase),
    /// Reading and writing of a volume.
    VolumeRate,
    /// Room on a volume for the sectors on their way.
    VolumeSpace,
    /// The machine's network.
    Network,
}

impl Bound {
    /// Its name in tables.
    pub fn label(&self) -> String {
        match self {
            Bound::Phase(phase) => phase.to_string(),
            Bound::VolumeRate => "volume rate".into(),
            Bound::VolumeSpace => "volume space".into(),
            Bound::Network => "network".into(),
        }
    }
}

/// Where an instance sits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoreSet {
    /// Which lane of the layout.
    pub lane: usize,
    /// Which instance of the lane.
    pub instance: u32,
    /// First core; cores count through the machine, L3 groups and NUMA nodes one after the other.
    pub first: u32,
    /// Number of cores.
    pub cores: u32,
    /// Which volume its sectors are on; p4 has none.
    pub volume: Option<usize>,
}

/// A way to cut a model of machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineLayout {
    /// The model's name.
    pub sku: String,
    /// Kinds of instances.
    pub lanes: Vec<Lane>,
    /// What it puts out of each stage, sectors per hour; see [`Stage::of`].
    pub per_h: Vec<f64>,
    /// What bounds each stage; `None` where it does nothing of it.
    pub bounds: Vec<Option<Bound>>,
    /// Cores in use.
    pub cores: u32,
    /// Memory in use on ordinary pages, bytes.
    pub memory: f64,
    /// Huge pages in use, bytes.
    pub huge_memory: f64,
    /// Sectors that hold storage while it puts out all it can (Little's law).
    pub sectors_in_flight: f64,
    /// Share of its volumes' time that reading and writing takes then; 0 without measured volumes.
    pub volume_load: f64,
    /// The instances before p4 by volume; a sector stays on its volume.
    pub groups: Vec<Group>,
    /// Where each instance sits.
    pub core_sets: Vec<CoreSet>,
}

impl MachineLayout {
    /// Its name in tables.
    pub fn label(&self) -> String {
        self.lanes.iter().map(Lane::label).collect::<Vec<_>>().join(", ")
    }

    /// The lane that does a phase.
    pub fn lane(&self, phase: Phase) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.phases.contains(&phase))
    }
}
