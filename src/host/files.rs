//! Reading /proc and /sys below a root, so that the files of another machine can stand in for this one's.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use super::cores;

/// Most bytes read of one file: the longest (/proc/cpuinfo, /proc/self/smaps) only matter in their first part or total.
const MAX_BYTES: u64 = 16 << 20;

/// Where /proc and /sys are.
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// This machine's files.
    pub fn machine() -> Files {
        Files::at("/")
    }

    /// The files below another root.
    pub fn at(root: impl Into<PathBuf>) -> Files {
        Files { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether there is such a file or directory.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The file's text without surrounding space. `None` if it cannot be read or says nothing.
    pub fn text(&self, path: &str) -> Option<String> {
        self.head(path, MAX_BYTES)
    }

    /// Like [`Files::text`], of the first `bytes` bytes only.
    pub fn head(&self, path: &str, bytes: u64) -> Option<String> {
        let mut content = Vec::new();
        File::open(self.path(path)).ok()?.take(bytes).read_to_end(&mut content).ok()?;
        let text = String::from_utf8_lossy(&content);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    /// The number a file holds.
    pub fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The CPU list ("0-3,8") a file holds.
    pub fn cores(&self, path: &str) -> Option<Vec<usize>> {
        cores::parse_list(&self.text(path)?).ok()
    }

    /// The value of `key` in a file of "key: value" or "key value" lines, without surrounding space.
    pub fn field(&self, path: &str, key: &str) -> Option<String> {
        field(&self.text(path)?, key).map(str::to_string)
    }

    /// The names in a directory, sorted; empty if it cannot be read.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// The value of `key` in lines of "key: value", "key\t: value" or "key value". `None` if it is absent or empty.
pub(super) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':').or_else(|| line.split_once(' '))?;
        (name.trim_end() == key).then_some(value.trim()).filter(|value| !value.is_empty())
    })
}

/// Bytes in a value like "1024 kB", the unit of /proc/meminfo and its like, or in a bare number of bytes.
pub(super) fn bytes_of(value: &str) -> Option<u64> {
    match value.strip_suffix("kB") {
        Some(number) => number.trim().parse::<u64>().ok()?.checked_mul(1024),
        None => value.parse().ok(),
    }
}

#[cfg(test)]
pub(super) mod fixture {
    //! Builds a tree of /proc and /sys files that stands in for another machine's.

    use super::Files;
    use std::fs;

    /// A temporary root and its files.
    pub struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        /// An empty tree.
        pub fn new() -> Fixture {
            Fixture { dir: tempfile::tempdir().unwrap() }
        }

        /// Adds or replaces one file.
        pub fn put(self, path: &str, content: &str) -> Fixture {
            let path = self.dir.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            self
        }

        /// The tree as files to read.
        pub fn files(&self) -> Files {
            Files::at(self.dir.path())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_key() {
        let text = "Mem: 1\nMemTotal:       24 kB\nmodel name\t: EPYC\nmodel\t\t: 25\nempty:\ninactive_file 7";
        assert_eq!(field(text, "MemTotal"), Some("24 kB"));
        assert_eq!(field(text, "MemTot"), None);
        assert_eq!((field(text, "model name"), field(text, "model")), (Some("EPYC"), Some("25")));
        assert_eq!(field(text, "inactive_file"), Some("7"));
        assert_eq!(field(text, "empty"), None);
    }

    #[test]
    fn bytes_carry_their_unit() {
        assert_eq!(bytes_of("24 kB"), Some(24 * 1024));
        assert_eq!(bytes_of("24"), Some(24));
        assert_eq!(bytes_of("max"), None);
        assert_eq!(bytes_of("18446744073709551615 kB"), None);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let tree = Fixture::new().put("/proc/empty", "\n").put("/proc/word", "many");
        let files = tree.files();
        assert_eq!(files.text("/proc/absent"), None);
        assert_eq!(files.text("/proc/empty"), None);
        assert_eq!(files.text("/proc"), None);
        assert_eq!(files.number::<u64>("/proc/word"), None);
        assert!(files.names("/sys").is_empty());
        assert_eq!(files.names("/proc"), ["empty", "word"]);
    }
}
