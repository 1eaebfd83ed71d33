//! SEALBENCH_HOME: where results, parameters and parent caches are kept.

use std::env;
use std::path::PathBuf;

use crate::error::Stop;

/// `SEALBENCH_HOME`, or `sealbench` in the XDG data directory (`$XDG_DATA_HOME`, else `~/.local/share`).
pub fn home() -> anyhow::Result<PathBuf> {
    if let Some(dir) = set("SEALBENCH_HOME") {
        return Ok(dir);
    }
    if let Some(dir) = set("XDG_DATA_HOME") {
        return Ok(dir.join("sealbench"));
    }
    match set("HOME") {
        Some(dir) => Ok(dir.join(".local/share/sealbench")),
        None => Err(Stop::Usage.error(
            "neither SEALBENCH_HOME nor HOME is set: set SEALBENCH_HOME to a directory for results and parameters",
        )),
    }
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
