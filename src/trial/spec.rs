//! A run's resolved settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::arena::Pages;
use crate::host::core_sets::Placement;
use crate::phase::mock::Script;
use crate::phase::{self, Engine, Phase};
use crate::sector::{Identity, SetKey, Shape};
use crate::trial::layout::Instance;

/// Every setting of a run with its effective value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What is sealed.
    pub shape: Shape,
    /// Whether the shape is the network's for its size.
    pub network_shape: bool,
    /// The sector's ids and randomness.
    pub identity: Identity,
    /// The phases that run, contiguous and in order.
    pub phases: Vec<Phase>,
    /// The engines, each on its own copy of the input.
    pub engines: Vec<Engine>,
    /// Cores that the phases are pinned to.
    pub cores: Vec<usize>,
    /// Worker threads per pool.
    pub threads: u32,
    /// Number of the first repetition's set of files in the run directory: earlier runs there hold the numbers below.
    pub first_repeat: u32,
    /// Repetitions of each phase.
    pub repeats: u32,
    /// Groth16 partitions proved at once.
    pub p4_partitions_at_once: u32,
    /// How p4 holds its parameters.
    pub params: ParamsMode,
    /// Phases that an engine lacks run on the reference.
    #[serde(default)]
    pub fallback: bool,
    /// Sectors processed together.
    #[serde(default = "one")]
    pub sectors: u32,
    /// The sector of a batch that the run works on or begins with, from 0.
    #[serde(default)]
    pub sector: u32,
    /// Settings of the native engine.
    #[serde(default)]
    pub native: Native,
    /// The instances side by side; empty for a run of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
    /// What the placement of the instances may do.
    #[serde(default)]
    pub placement: Placement,
    /// Whether one instance of each kind is also measured with the machine to itself.
    #[serde(default)]
    pub alone: bool,
    /// Whether the instances are containers.
    #[serde(default)]
    pub containers: bool,
    /// Whether the run rules decide about repeats and validity.
    #[serde(default)]
    pub reportable: bool,
    /// What the mock engine does; for tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<Script>,
}

/// What the native engine can be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Native {
    /// Kernels by primitive that are forced; the others are chosen.
    #[serde(default)]
    pub kernels: BTreeMap<String, String>,
    /// Pages of the layers that p1 labels.
    #[serde(default)]
    pub pages: Pages,
    /// Where the parents of the SDR graph come from.
    #[serde(default)]
    pub parents: ParentsMode,
    /// How p2 reads the layers.
    #[serde(default)]
    pub io: Io,
}

/// How the native p2 reads the layers and the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// Through the page cache.
    #[default]
    Cached,
    /// Past the page cache (O_DIRECT), and what was written is brought to storage before the clock stops: the run is about the disk.
    Direct,
}

impl std::fmt::Display for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Io::Cached => "cached",
            Io::Direct => "direct",
        })
    }
}

/// Where the native engine's p1 takes the parents of the SDR graph from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ParentsMode {
    /// Whichever of the two costs the labels less.
    #[default]
    Auto,
    /// Computed just ahead of the labels.
    Compute,
    /// Read from the parent cache file, which is made if there is none.
    Cache,
}

impl ParentsMode {
    /// The choice for so many sectors on so many cores.
    ///
    /// A core that labels one sector and computes too takes 6 % longer than one that reads a cache in memory (the first layer of 512 MiB on
    /// Zen 5: 10.1 s against 9.5 s). A core that labels nothing computes for free, and four sectors or more on a core share the cost.
    pub fn resolve(self, sectors: u32, cores: u32) -> ParentsMode {
        match self {
            ParentsMode::Auto if sectors < cores || sectors >= 4 * cores => ParentsMode::Compute,
            ParentsMode::Auto => ParentsMode::Cache,
            chosen => chosen,
        }
    }
}

fn one() -> u32 {
    1
}

impl Spec {
    /// The engine that a phase of an engine's set runs on.
    pub fn engine_of(&self, phase: Phase, engine: Engine) -> Engine {
        if self.fallback && !phase::is_available(engine, phase) { Engine::Reference } else { engine }
    }

    /// Each phase with the engine that it runs on, over all engines.
    pub fn runs(&self) -> impl Iterator<Item = (Phase, Engine)> {
        let of = move |&engine: &Engine| self.phases.iter().map(move |&phase| (phase, self.engine_of(phase, engine)));
        self.engines.iter().flat_map(of)
    }

    /// Whether any engine runs this phase on this engine.
    pub fn has(&self, phase: Phase, engine: Engine) -> bool {
        self.runs().any(|run| run == (phase, engine))
    }

    /// Whether a phase reads the parent cache file.
    pub fn reads_parent_cache(&self) -> bool {
        self.has(Phase::P1, Engine::Reference)
            || (self.has(Phase::P1, Engine::Native) && self.native.parents == ParentsMode::Cache)
    }

    /// Whether the instances run different phases.
    pub fn is_mix(&self) -> bool {
        self.instances.iter().any(|instance| instance.phase.is_some())
    }

    /// Whether an instance runs a phase.
    pub fn runs_on(&self, instance: u32, phase: Phase) -> bool {
        self.instances[instance as usize].phase.is_none_or(|own| own == phase)
    }

    /// The first instance of each kind: of each phase in a mix, else one.
    pub fn kinds(&self) -> Vec<u32> {
        let is_first = |&number: &u32| {
            let phase = self.instances[number as usize].phase;
            self.instances[..number as usize].iter().all(|earlier| earlier.phase != phase)
        };
        (0..self.instances.len() as u32).filter(is_first).collect()
    }

    /// The set of an engine and repeat that this run begins with.
    pub fn set(&self, engine: Engine, repeat: u32) -> SetKey {
        SetKey { engine, repeat, sector: self.sector }
    }
}

/// How p4 holds its Groth16 parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ParamsMode {
    /// Mapped from the file, parsed inside the prover: what production software does.
    #[default]
    Mapped,
    /// Loaded and parsed before the timer starts (FIL_PROOFS_USE_FULL_GROTH_PARAMS of the older software).
    Resident,
}

impl std::fmt::Display for ParamsMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ParamsMode::Mapped => "mapped",
            ParamsMode::Resident => "resident",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_only_where_a_core_would_have_to_make_them_for_few_sectors() {
        let auto = |sectors, cores| ParentsMode::Auto.resolve(sectors, cores);
        assert_eq!([auto(1, 1), auto(3, 1), auto(2, 2), auto(7, 2)], [ParentsMode::Cache; 4]);
        assert_eq!([auto(1, 2), auto(4, 1), auto(8, 2)], [ParentsMode::Compute; 3]);
        assert_eq!(ParentsMode::Cache.resolve(1, 9), ParentsMode::Cache);
    }
}
