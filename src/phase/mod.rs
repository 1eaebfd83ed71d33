//! The phases of sealing and the engines that run them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
