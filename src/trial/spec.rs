//! A run's resolved settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::{Engine, Phase};
use crate::sector::{Identity, Shape};

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
