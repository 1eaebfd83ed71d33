//! The files between the phases: bincode 1, as benchy writes them.

use std::fs;
use std::path::Path;

use anyhow::Context;
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::write_by_rename;

/// Reads a bincode file. No value in it may claim more bytes than the file has.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_limit(bytes.len() as u64)
        .deserialize(&bytes)
        .with_context(|| format!("{} is damaged or belongs to another sector size", path.display()))
}

/// Writes a bincode file.
pub fn write<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    write_by_rename(path, &bincode::serialize(value)?)
}
