//! Digests of parameter files, and a cache of them: a 48 GB file takes a minute to hash.
//!
//! A cached digest stands for a file while path, size, modification and change time, device and inode are the same. It is kept
//! below SEALBENCH_HOME only, never in a parameter cache that others share. It guards against accidents, not against someone who
//! sets clocks back; `params status --verify` hashes again.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::write_by_rename;

/// Hexadecimal digits of a digest: 16 of the 64 bytes of BLAKE2b-512, as in the manifest.
pub const HEX_DIGITS: usize = 32;

/// No JSON file this module's neighbours read is larger.
const JSON_LIMIT: u64 = 64 << 10;

/// Called with the bytes hashed so far and the bytes there are.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// A digest under way; also a writer, to hash a file while it is written.
pub struct Digest(blake2b_simd::State);

impl Digest {
    /// An empty digest.
    pub fn new() -> Digest {
        Digest(blake2b_simd::Params::new().to_state())
    }

    /// The manifest's form: the first 32 hexadecimal digits of BLAKE2b-512.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex()[..HEX_DIGITS].to_owned()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Digest::new()
    }
}

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where digests come from.
#[derive(Clone, Debug)]
pub struct Digests {
    /// Directory of cached digests; without one every look hashes.
    cache: Option<PathBuf>,
    /// Cached digests are replaced, not used.
    recompute: bool,
    /// Smaller files are not cached: hashing them takes less than the clock tick that timestamps have, so a cached digest could
    /// outlive a change.
    smallest: u64,
}

impl Digests {
    /// Hashes at every look.
    pub fn uncached() -> Digests {
        Digests { cache: None, recompute: false, smallest: u64::MAX }
    }

    /// Uses and fills a cache directory (below SEALBENCH_HOME). A cache that cannot be written only costs time.
    pub fn cached(dir: PathBuf) -> Digests {
        Digests { cache: Some(dir), recompute: false, smallest: 16 << 20 }
    }

    /// The same cache, with every file hashed again.
    pub fn recomputed(&self) -> Digests {
        Digests { recompute: true, ..self.clone() }
    }

    /// The digest of a file.
    pub fn of(&self, path: &Path, progress: &mut Progress<'_>) -> io::Result<String> {
        let file = File::open(path)?;
        let identity = Identity::of(path, &file.metadata()?);
        let cached =
            self.cache.as_ref().filter(|_| identity.bytes >= self.smallest).map(|dir| dir.join(identity.key()));
        if let Some(entry) =
            cached.as_ref().filter(|_| !self.recompute).and_then(|entry| read_json::<Entry>(entry).ok())
            && entry.file == identity
        {
            return Ok(entry.digest);
        }
        let digest = hash(&file, identity.bytes, progress)?;
        if let Some(entry) = cached
            && Identity::of(path, &file.metadata()?) == identity
        {
            store(&entry, &Entry { file: identity, digest: digest.clone() });
        }
        Ok(digest)
    }
}

/// A cached digest.
#[derive(Serialize, Deserialize)]
struct Entry {
    file: Identity,
    digest: String,
}

/// What tells that a file is the one that was hashed.
#[derive(PartialEq, Serialize, Deserialize)]
struct Identity {
    path: String,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path, metadata: &Metadata) -> Identity {
        let ns = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Identity {
            path: hex::encode(path.as_os_str().as_encoded_bytes()),
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    fn key(&self) -> String {
        format!("{}.json", &blake3::hash(self.path.as_bytes()).to_hex()[..32])
    }
}

fn store(path: &Path, entry: &Entry) {
    let stored = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .map_err(anyhow::Error::from)
        .and_then(|()| write_by_rename(path, serde_json::to_string(entry)?.as_bytes()));
    if let Err(error) = stored {
        log::debug!("digest not cached: {error:#}");
    }
}

fn hash(mut file: &File, total: u64, progress: &mut Progress<'_>) -> io::Result<String> {
    let mut digest = Digest::new();
    let mut buffer = vec![0; 4 << 20];
    let mut done = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.write_all(&buffer[..read])?;
        done += read as u64;
        progress(done, total);
    }
}

/// Reads a small JSON file; a larger one is an error, whatever it holds.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidData, "not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(JSON_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > JSON_LIMIT {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("larger than {JSON_LIMIT} bytes")));
    }
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_digest_is_the_manifests_form_of_blake2b_512() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let mut seen = Vec::new();
        let digest = Digests::uncached().of(&path, &mut |done, total| seen.push((done, total))).unwrap();
        // RFC 7693, appendix A.
        assert_eq!(digest, "ba80a53f981c4d0d6a2797b69f12f6e9");
        assert_eq!(seen, [(3, 3)]);
    }

    #[test]
    fn a_cached_digest_is_used_until_the_file_changes_or_is_hashed_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("file"), dir.path().join("cache"));
        fs::write(&path, vec![1; 1000]).unwrap();
        let digests = Digests { smallest: 1000, ..Digests::cached(cache.clone()) };
        let hashed = |digests: &Digests| {
            let mut hashed = false;
            let digest = digests.of(&path, &mut |_, _| hashed = true).unwrap();
            (digest, hashed)
        };
        let (first, fresh) = hashed(&digests);
        assert!(fresh);
        assert_eq!(hashed(&digests), (first.clone(), false));
        assert_eq!(hashed(&digests.recomputed()), (first.clone(), true));

        // Another modification time than the cached one: the change is seen although the size is the same.
        File::options().write(true).open(&path).unwrap().write_all_at(&[2], 500).unwrap();
        File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let (second, fresh) = hashed(&digests);
        assert!(fresh && second != first);

        // A corrupt entry is hashed over, not believed.
        let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        fs::write(&entry, "{").unwrap();
        assert_eq!(hashed(&digests), (second.clone(), true));
        assert_eq!(hashed(&digests), (second, false));
    }

    #[test]
    fn small_files_are_always_hashed_and_a_lost_cache_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let (path, blocked) = (dir.path().join("file"), dir.path().join("file/cache"));
        fs::write(&path, "abc").unwrap();
        let cache = dir.path().join("cache");
        Digests::cached(cache.clone()).of(&path, &mut |_, _| ()).unwrap();
        assert!(!cache.exists());
        Digests { smallest: 0, ..Digests::cached(blocked) }.of(&path, &mut |_, _| ()).unwrap();
    }

    #[test]
    fn an_oversized_json_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge.json");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read_json::<serde_json::Value>(&path).unwrap_err().to_string().contains("larger than"));
    }
}
