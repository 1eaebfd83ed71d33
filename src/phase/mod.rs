//! The phases of sealing and the engines that run them.

pub mod events;
pub mod mock;
pub mod native;
pub mod progress;
#[cfg(feature = "reference")]
pub mod reference;
pub mod settings;
mod store;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::measure::probe::Probe;
use crate::sector::{Identity, Shape};
use crate::trial::job::{Outcome, Proving};
use crate::trial::spec::Native;

/// A phase of sealing, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Pre-commit 1: tree_d and the SDR labels.
    P1,
    /// Pre-commit 2: column hashes, tree_c, the replica, tree_r_last.
    P2,
    /// Commit 1: challenges and vanilla (inclusion) proofs.
    C1,
    /// Commit 2: Groth16 proofs of the partitions.
    P4,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Phase; 4] = [Phase::P1, Phase::P2, Phase::C1, Phase::P4];

    /// The name used on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Phase::P1 => "p1",
            Phase::P2 => "p2",
            Phase::C1 => "c1",
            Phase::P4 => "p4",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Phase::ALL
            .into_iter()
            .find(|phase| phase.name() == text)
            .ok_or_else(|| format!("'{text}' is not a phase; use p1, p2, c1 or p4"))
    }
}

/// Who computes a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// sealbench's own kernels.
    Native,
    /// rust-fil-proofs, linked.
    Reference,
    /// A script in place of sealing, for tests of everything around it.
    Mock,
}

impl Engine {
    /// All engines.
    pub const ALL: [Engine; 3] = [Engine::Native, Engine::Reference, Engine::Mock];

    /// The name used on the command line, in records and in directory names.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Native => "native",
            Engine::Reference => "reference",
            Engine::Mock => "mock",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an engine gets to run a phase with.
pub struct PhaseContext<'a> {
    /// What is sealed.
    pub shape: &'a Shape,
    /// The sector's ids; of a batch, the first sector's.
    pub identity: &'a Identity,
    /// Sectors processed together.
    pub sectors: u32,
    /// Directory of the phase's inputs; its outputs go there too, those of a batch's further sectors in directories in it
    /// ([`crate::sector::files::sector_dir`]).
    pub dir: &'a Path,
    /// Cores that the process is pinned to.
    pub cores: &'a [usize],
    /// Worker threads.
    pub threads: u32,
    /// Rows above the leaves that tree_r_last leaves out.
    pub rows_to_discard: u32,
    /// Settings of the native engine.
    pub native: &'a Native,
    /// Directory of the parent cache, for a native p1 that reads it.
    pub parents: Option<&'a Path>,
    /// For p4: how to prove.
    pub proving: Option<&'a Proving>,
    /// For the mock engine: what it does.
    pub act: Option<&'a mock::Act>,
    /// Where the measurement goes.
    pub probe: &'a Probe,
    /// Called with a span, units done, units in all, and the unit's name, by a phase that counts for itself. Does not return when the run
    /// is to stop.
    pub progress: &'a (dyn Fn(&str, u64, u64, &str) + Sync),
}

impl<'a> PhaseContext<'a> {
    /// The cores that threads of the native engine work on, one each.
    pub fn working_cores(&self) -> &'a [usize] {
        &self.cores[..self.cores.len().min(self.threads as usize)]
    }
}

/// Whether an engine can run a phase in this build.
pub fn is_available(engine: Engine, phase: Phase) -> bool {
    match engine {
        Engine::Native => native::PHASES.contains(&phase),
        Engine::Reference => cfg!(feature = "reference"),
        Engine::Mock => true,
    }
}

/// Runs a phase.
pub fn run(phase: Phase, engine: Engine, context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    match engine {
        Engine::Native => native::run(phase, context),
        #[cfg(feature = "reference")]
        Engine::Reference => reference::run(phase, context),
        #[cfg(not(feature = "reference"))]
        Engine::Reference => Err(unavailable(engine, phase)),
        Engine::Mock => mock::run(phase, context),
    }
}

/// The error for a phase that an engine lacks in this build.
pub fn unavailable(engine: Engine, phase: Phase) -> anyhow::Error {
    Stop::Usage.error(match engine {
        Engine::Native => {
            let has: Vec<&str> = native::PHASES.iter().map(|phase| phase.name()).collect();
            format!(
                "the native engine has no {phase}: name the phases that it has with --phases {}, or leave --engine out and the reference \
                 runs the others",
                has.join(",")
            )
        }
        Engine::Reference | Engine::Mock => {
            "this binary was built without the reference engine: build it with the feature `reference`".to_string()
        }
    })
}
