//! Operations on files: digest, removal, writing by rename.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use crate::error::Stop;

/// BLAKE3 of a file, hexadecimal; all cores help with large files.
pub fn digest(path: &Path) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Removes a directory with everything in it, if it exists.
pub fn remove_dir(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a file, if it exists.
pub fn remove_file(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file of any length under its final name by rename; without `overwrite` a file that is there stays and is an error (exit code 2).
pub fn write_file(
    path: &Path,
    overwrite: bool,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let exists =
        || Stop::Usage.error(format!("{} is already there: choose another name or add --force", path.display()));
    let what = || format!("cannot write {}", path.display());
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file is private by default; this one is for others, so it gets the modes of a plain file (less the umask).
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(dir).with_context(what)?;
    let mut out = BufWriter::new(&mut file);
    content(&mut out)?;
    out.flush().with_context(what)?;
    drop(out);
    file.as_file().sync_all().with_context(what)?;
    let kept = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => File::open(dir).and_then(|dir| dir.sync_all()).with_context(what),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Err(exists()),
        Err(e) => Err(e.error).with_context(what),
    }
}

/// Writes a small file so that its name only ever holds the whole content.
pub fn write_by_rename(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_file(path, true, |out| Ok(out.write_all(bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let put = |text: &'static str| move |out: &mut dyn Write| Ok(out.write_all(text.as_bytes())?);
        write_file(&path, false, put("one")).unwrap();
        assert_eq!(exit_code(&write_file(&path, false, put("two")).unwrap_err()), 2);
        write_file(&path, true, |out| {
            out.write_all(b"half")?;
            anyhow::bail!("stopped")
        })
        .unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write_file(&path, true, put("three")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
