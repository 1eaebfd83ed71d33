//! Counters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counters of a phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {}
