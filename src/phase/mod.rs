//! The phases of sealing and the engines that run them.

pub mod events;
pub mod progress;
#[cfg(feature = "reference")]
pub mod reference;
pub mod settings;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::measure::probe::Probe;
use crate::sector::{Identity, Shape};
use crate::trial::job::{Outcome, Proving};

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
}

impl Engine {
    /// The name used on the command line, in records and in directory names.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Native => "native",
            Engine::Reference => "reference",
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
    /// The sector's ids.
    pub identity: &'a Identity,
    /// Directory of the phase's inputs; its outputs go there too.
    pub dir: &'a Path,
    /// For p4: how to prove.
    pub proving: Option<&'a Proving>,
    /// Where the measurement goes.
    pub probe: &'a Probe,
}

/// Whether an engine can run a phase in this build.
pub fn is_available(engine: Engine) -> bool {
    match engine {
        Engine::Native => false,
        Engine::Reference => cfg!(feature = "reference"),
    }
}

/// Runs a phase.
#[cfg(feature = "reference")]
pub fn run(phase: Phase, engine: Engine, context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    match engine {
        Engine::Reference => reference::run(phase, context),
        Engine::Native => Err(unavailable(engine)),
    }
}

/// Runs a phase.
#[cfg(not(feature = "reference"))]
pub fn run(_: Phase, engine: Engine, _: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    Err(unavailable(engine))
}

/// The error for an engine that this build lacks.
pub fn unavailable(engine: Engine) -> anyhow::Error {
    Stop::Usage.error(match engine {
        Engine::Native => "there is no native engine yet: use --engine reference",
        Engine::Reference => {
            "this binary was built without the reference engine: build it with the feature `reference`"
        }
    })
}
