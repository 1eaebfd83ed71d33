//! What the machine and the binary are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {}

/// The binary.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BuildInfo {}
