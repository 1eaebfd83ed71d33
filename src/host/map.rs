//! A file in memory, read-only.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A whole file mapped read-only; its pages are the page cache's.
pub struct Map(Mmap);

impl Map {
    /// Maps a file that is read from front to back, so the kernel reads ahead.
    pub fn open(path: &Path) -> io::Result<Map> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only, and what it is read as (bytes, words) has no invalid values. The files that sealbench maps
        // reach their names whole, by rename, and are not written after that. If somebody else does so all the same, other values
        // are read, and the process dies of SIGBUS behind a cut end: wrong, but what happens to every program that maps a file.
        let map = unsafe { Mmap::map(&file)? };
        // Only advice: a kernel that does not take it reads all the same.
        let _ = map.advise(Advice::Sequential);
        Ok(Map(map))
    }

    /// The file's whole words of 32 bits, in this machine's byte order.
    pub fn words(&self) -> &[u32] {
        // SAFETY: any four bytes are a word.
        let (before, words, _) = unsafe { self.0.align_to() };
        debug_assert!(before.is_empty(), "a map begins with a page");
        words
    }
}

/// The bytes of words, in this machine's byte order: what [`Map::words`] reads back from a file.
pub fn bytes_of(words: &[u32]) -> &[u8] {
    // SAFETY: any part of a word is a byte.
    unsafe { words.align_to().1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_the_files_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for count in [0, 1, 5000] {
            let words: Vec<u32> = (0..count).map(|i: u32| i.wrapping_mul(0x0102_0305)).collect();
            std::fs::write(&path, bytes_of(&words)).unwrap();
            assert_eq!(Map::open(&path).unwrap().words(), words);
        }
        std::fs::write(&path, [1, 0, 0, 0, 2, 0, 0]).unwrap();
        assert_eq!(Map::open(&path).unwrap().words(), [1], "an incomplete word is none");
        assert_eq!(Map::open(&dir.path().join("absent")).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(Map::open(dir.path()).is_err());
    }
}
