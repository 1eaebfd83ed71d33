//! Operations on files: digest, removal, writing by rename.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

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
    refuse_special(path)?;
    let mut file = temporary_beside(path).with_context(what)?;
    let mut out = BufWriter::new(&mut file);
    content(&mut out)?;
    out.flush().with_context(what)?;
    drop(out);
    file.as_file().sync_all().with_context(what)?;
    let kept = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => File::open(parent(path)).and_then(|dir| dir.sync_all()).with_context(what),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Err(exists()),
        Err(e) => Err(e.error).with_context(what),
    }
}

/// Reads a plain file of at most `most` bytes; a link, a pipe or a device is an error and is not waited for.
pub fn read_plain(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK opening a pipe waits for one who writes.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a link"),
        _ => e,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if found.len() > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A rename replaces what is there: a device or a link would be gone.
fn refuse_special(path: &Path) -> anyhow::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            Err(Stop::Usage.error(format!("{} is a link or a device: name a plain file", path.display())))
        }
        _ => Ok(()),
    }
}

/// The directory that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file is private by default; this one is for others, so it gets the modes of a plain file (less the umask).
fn temporary_beside(path: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(parent(path))
}

/// Writes a small file so that its name only ever holds the whole content.
pub fn write_by_rename(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_file(path, true, |out| Ok(out.write_all(bytes)?))
}

/// A file that an option names: opened before the work starts, so that a path that cannot be written is known at once, and written by
/// rename when there is something to write.
pub struct Promised {
    file: NamedTempFile,
    path: PathBuf,
}

impl Promised {
    /// Opens the file; `option` is what the error names.
    pub fn open(option: &str, path: &Path) -> anyhow::Result<Promised> {
        refuse_special(path)?;
        let file = temporary_beside(path)
            .map_err(|e| Stop::Usage.error(format!("{option} {} cannot be written: {e}", path.display())))?;
        if path.is_dir() {
            return Err(Stop::Usage.error(format!("{option} {} is a directory", path.display())));
        }
        Ok(Promised { file, path: path.to_path_buf() })
    }

    /// Writes the file.
    pub fn write(self, bytes: &[u8]) -> anyhow::Result<()> {
        self.fill(|out| Ok(out.write_all(bytes)?))
    }

    /// Writes the file, of any length.
    pub fn fill(self, content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let shown = self.path.display().to_string();
        let what = || format!("cannot write {shown}");
        let Promised { mut file, path } = self;
        let mut out = BufWriter::new(&mut file);
        content(&mut out).and_then(|()| Ok(out.flush()?)).with_context(what)?;
        drop(out);
        file.as_file().sync_all().with_context(what)?;
        file.persist(&path).map(drop).map_err(|e| e.error).with_context(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn only_plain_files_of_a_size_are_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("plain"), "12345").unwrap();
        assert_eq!(read_plain(&at("plain"), 5).unwrap(), b"12345");
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (name, part) in [("link", "a link"), ("pipe", "no plain file"), (".", "no plain file"), ("none", "No such")]
        {
            let error = read_plain(&at(name), 5).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        assert!(read_plain(&at("plain"), 4).unwrap_err().to_string().contains("larger than 4"));
    }

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
