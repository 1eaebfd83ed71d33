//! A scenario: what is to be put out, on which machines, under which rules. `docs/plan.md` describes the file; [`file`] reads it.

pub mod file;

use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::plan::rates::Entry;

/// What a plan is made for. Sizes are bytes, times seconds, rates bytes per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scenario {
    /// What it is called.
    pub title: String,
    /// Size of a sector.
    pub sector_bytes: f64,
    /// The target as it was written.
    pub target: String,
    /// The target, sectors per hour.
    pub target_per_h: f64,
    /// Seconds of a month.
    pub month_s: f64,
    /// What the plan makes as small as possible, first of all.
    pub minimise: Minimise,
    /// The phases that are planned, in order.
    pub phases: Vec<Phase>,
    /// How sectors go through the machines.
    pub rules: Rules,
    /// What a sector takes.
    pub needs: Needs,
    /// What things cost.
    pub prices: Prices,
    /// Storage that all machines share.
    pub shared: Shared,
    /// Models of machines.
    pub skus: Vec<Sku>,
    /// Rates that are typed in the scenario.
    pub rates: Vec<Entry>,
    /// Rates that come from the results store.
    pub stored: Vec<Stored>,
}

/// What a plan makes as small as possible; the others decide between equals, in the order cost, machines, power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Minimise {
    /// Purchase and energy.
    Cost,
    /// Number of machines.
    Machines,
    /// Electric power.
    Power,
}

impl Minimise {
    /// All objectives, this one first.
    pub fn order(self) -> [Minimise; 3] {
        match self {
            Minimise::Cost => [Minimise::Cost, Minimise::Machines, Minimise::Power],
            Minimise::Machines => [Minimise::Machines, Minimise::Cost, Minimise::Power],
            Minimise::Power => [Minimise::Power, Minimise::Cost, Minimise::Machines],
        }
    }

    /// The name used on the command line and in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Minimise::Cost => "cost",
            Minimise::Machines => "machines",
            Minimise::Power => "power",
        }
    }
}

/// How p1 and p2 of a machine share its cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precommit {
    /// Each phase has instances of its own.
    SideBySide,
    /// An instance labels a sector and hashes it afterwards.
    InTurn,
    /// Whichever gives more.
    Either,
}

/// Where p4 may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvingPlace {
    /// On any machine; a machine may do p1, p2 and p4 of different sectors.
    Anywhere,
    /// On machines that do nothing else.
    Elsewhere,
    /// On the machine that has the sector.
    SameMachine,
}

/// How sectors go through the machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// How p1 and p2 share a machine. p1, p2 and c1 of a sector are always on one machine and one volume group.
    pub precommit: Precommit,
    /// Where p4 may run.
    pub p4: ProvingPlace,
    /// Whether an instance may take a part of an L3 group.
    pub split_l3: bool,
    /// From the end of p2 to the seed of c1 (150 epochs of 30 s on the main network).
    pub wait_seed_s: f64,
    /// Share of the time in which a machine works.
    pub availability: f64,
    /// How long a machine stays away when it fails.
    pub repair_s: f64,
    /// Share of the sectors that have to be sealed again.
    pub failed_sectors: f64,
    /// Reserve on top of the target: 0.1 is 10 %.
    pub headroom: f64,
    /// Machines in reserve of each model that is used.
    pub spares: u32,
    /// Sectors that a p4 process proves before it reads its parameters again.
    pub sectors_per_p4_process: f64,
}

/// What a sector takes: memory of an instance, storage, bytes moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Memory of p1 on huge pages, for each sector of a batch.
    pub p1_memory: f64,
    /// Memory of p2 and c1.
    pub p2_memory: f64,
    /// Parameters that p4 holds.
    pub p4_parameters: f64,
    /// Memory of p4 for each partition that is proved at once.
    pub p4_partition: f64,
    /// Storage that a sector holds from the start of p1 to the end of p4.
    pub scratch: f64,
    /// Bytes that p1 reads from the volume.
    pub p1_reads: f64,
    /// Bytes that p1 writes.
    pub p1_writes: f64,
    /// Bytes that p2, c1 and taking the sector away read.
    pub p2_reads: f64,
    /// Bytes that p2 and c1 write.
    pub p2_writes: f64,
    /// The sealed sector, which goes to the shared storage.
    pub finished: f64,
    /// Output of c1, which goes to p4 through the shared storage.
    pub c1_output: f64,
}

/// What things cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// Name of the currency.
    pub currency: String,
    /// Price of a kWh.
    pub kwh: f64,
    /// Energy used over energy used by the machines: cooling and losses.
    pub pue: f64,
    /// Time for which energy is counted.
    pub period_s: f64,
}

/// Storage that all machines share.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shared {
    /// Measured rate of writing; not limited if absent.
    pub write: Option<f64>,
    /// Measured rate of reading.
    pub read: Option<f64>,
    /// Whether p4 reads its parameters from there.
    pub holds_parameters: bool,
}

/// A model of machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sku {
    /// Its name.
    pub name: String,
    /// Physical cores.
    pub cores: u32,
    /// Groups of cores with an L3 cache of their own; not known if absent.
    pub l3_groups: Option<u32>,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Memory.
    pub memory: f64,
    /// Memory that sealing must leave.
    pub reserved_memory: f64,
    /// Memory reserved as huge pages, for p1 alone; as much as p1 needs if absent.
    pub huge_pages: Option<f64>,
    /// Volumes for sectors; storage is not checked if there is none.
    pub volumes: Vec<Volume>,
    /// Rate of the machine's network.
    pub network: Option<f64>,
    /// Price of one machine.
    pub price: Option<f64>,
    /// Power that it draws, watts.
    pub power: Option<f64>,
    /// Rack units.
    pub rack_units: Option<f64>,
    /// Machines of this model that are there already.
    pub owned: u32,
    /// Most machines that can be had, with those that are there.
    pub available: Option<u32>,
}

impl Sku {
    /// A NUMA node's share of the memory for sealing.
    pub fn node_memory(&self) -> f64 {
        (self.memory - self.reserved_memory).max(0.0) / f64::from(self.numa_nodes)
    }
}

/// A volume of a machine on which sectors are sealed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volume {
    /// Where it is mounted.
    pub mount: Option<String>,
    /// Its size.
    pub size: f64,
    /// Measured rate of reading alone.
    pub read: Option<f64>,
    /// Measured rate of writing alone.
    pub write: Option<f64>,
    /// Most instances of a phase that work on it.
    pub instances: Option<u32>,
}

/// Rates in the results store that belong to models of this scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The models that were measured.
    pub skus: Vec<String>,
    /// Ids of runs.
    pub runs: Vec<String>,
    /// Ids of sweeps; all their runs.
    pub sweeps: Vec<String>,
    /// Cores of each instance, of runs that do not say them.
    pub cores: Option<u32>,
}

impl Scenario {
    /// Sectors that have to be started per hour: the target with its headroom, and those that fail.
    pub fn starts_per_h(&self) -> f64 {
        self.target_per_h * (1.0 + self.rules.headroom) / (1.0 - self.rules.failed_sectors)
    }

    /// What the machines together have to be able to do while all of them work, sectors per hour.
    pub fn demand_per_h(&self) -> f64 {
        self.starts_per_h() / self.rules.availability
    }

    /// Whether a phase is planned.
    pub fn plans(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// Whether the part of a sector's way before p4 is planned.
    pub fn plans_precommit(&self) -> bool {
        self.phases.iter().any(|phase| *phase != Phase::P4)
    }
}
