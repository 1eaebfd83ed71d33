//! The run directory.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// Writes a small file so that its name only ever holds the whole content: a temporary file beside it, synced, then renamed.
pub fn write_by_rename(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let what = || format!("cannot write {}", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(what)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(what)?;
    file.persist(path).map_err(|e| e.error).with_context(what)?;
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(what)
}
