//! A scratch directory for rust-fil-proofs.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Runs `work` with a scratch directory that also holds the parent caches, and removes it afterwards.
///
/// rust-fil-proofs reads `FIL_PROOFS_*` once, from the environment the process began with: so the program starts itself again
/// with that variable set, and the second process does the work.
pub fn in_scratch(work: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    const SCRATCH: &str = "SEALBENCH_SCRATCH";
    if let Some(dir) = env::var_os(SCRATCH) {
        return work(Path::new(&dir));
    }
    let dir = tempfile::Builder::new().prefix("sealbench-").tempdir().context("cannot make a scratch directory")?;
    let status = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(SCRATCH, dir.path())
        .env("FIL_PROOFS_PARENT_CACHE", dir.path().join("parents"))
        .status()?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}
