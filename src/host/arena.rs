//! Memory on pages of a chosen size.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{Files, bytes_of, field};

/// Pages that memory is asked for on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
pub enum Pages {
    /// The largest that the host gives: reserved ones of 1 GiB, of 2 MiB, transparent ones, base pages.
    #[default]
    #[serde(rename = "auto")]
    #[value(name = "auto")]
    Auto,
    /// Reserved huge pages of 1 GiB (`hugetlbfs`).
    #[serde(rename = "1GiB")]
    #[value(name = "1GiB")]
    Gib,
    /// Reserved huge pages of 2 MiB.
    #[serde(rename = "2MiB")]
    #[value(name = "2MiB")]
    Mib,
    /// Transparent huge pages (`madvise`).
    #[serde(rename = "thp")]
    #[value(name = "thp")]
    Thp,
    /// Base pages; transparent ones are declined.
    #[serde(rename = "4KiB")]
    #[value(name = "4KiB")]
    Base,
}

impl Pages {
    /// The name used on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Pages::Auto => "auto",
            Pages::Gib => "1GiB",
            Pages::Mib => "2MiB",
            Pages::Thp => "thp",
            Pages::Base => "4KiB",
        }
    }

    /// What is tried in turn.
    fn attempts(self) -> &'static [Pages] {
        match self {
            Pages::Auto => &[Pages::Gib, Pages::Mib, Pages::Thp],
            Pages::Gib => &[Pages::Gib],
            Pages::Mib => &[Pages::Mib],
            Pages::Thp => &[Pages::Thp],
            Pages::Base => &[Pages::Base],
        }
    }

    fn page_bytes(self) -> usize {
        match self {
            Pages::Gib => 1 << 30,
            Pages::Auto | Pages::Mib | Pages::Thp => 2 << 20,
            Pages::Base => super::sys::page_size(),
        }
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Words of zeroed private memory. No page of it is there before it is first written to, so the thread that does that decides on
/// which NUMA node it lies.
pub struct Arena {
    start: NonNull<u32>,
    words: usize,
    mapped_bytes: usize,
    pages: Pages,
}

// SAFETY: an arena owns its memory as a Vec does; `u32` may be sent and shared.
unsafe impl Send for Arena {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Arena {}

impl Arena {
    /// Memory for so many words.
    ///
    /// `Auto` takes reserved pages of 1 GiB only where they would be at least half used. Reserved pages are the caller's once this
    /// returns; transparent ones are a wish, see [`Arena::backing`]. The error is the system's answer to the last attempt.
    pub fn new(words: usize, pages: Pages) -> io::Result<Arena> {
        let bytes = words * size_of::<u32>();
        let mut refused = io::Error::from(io::ErrorKind::OutOfMemory);
        for &attempt in pages.attempts() {
            if pages == Pages::Auto && attempt == Pages::Gib && bytes < attempt.page_bytes() / 2 {
                continue;
            }
            let mapped_bytes = bytes.max(1).next_multiple_of(attempt.page_bytes());
            match map(mapped_bytes, attempt) {
                Ok(start) => return Ok(Arena { start, words, mapped_bytes, pages: attempt }),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// What backs it now: "1GiB", "2MiB", "thp" if more than half is on transparent huge pages, else "4KiB".
    pub fn backing(&self) -> &'static str {
        match self.pages {
            Pages::Gib | Pages::Mib => self.pages.name(),
            _ if self.is_mostly_huge(&Files::machine()) => Pages::Thp.name(),
            _ => Pages::Base.name(),
        }
    }

    /// Bytes of reserved huge pages that it holds: they are in no figure of resident memory.
    pub fn reserved_bytes(&self) -> u64 {
        match self.pages {
            Pages::Gib | Pages::Mib => self.mapped_bytes as u64,
            Pages::Auto | Pages::Thp | Pages::Base => 0,
        }
    }

    /// The kernel may join neighbouring mappings of the same kind, so the one that holds this memory is asked.
    fn is_mostly_huge(&self, files: &Files) -> bool {
        let maps = files.text("/proc/self/smaps").unwrap_or_default();
        let at = self.start.as_ptr() as usize;
        let mut inside = false;
        let mut mapping = String::new();
        for line in maps.lines() {
            if let Some((start, end)) = range(line) {
                if inside {
                    break;
                }
                inside = (start..end).contains(&at);
            } else if inside {
                mapping.push_str(line);
                mapping.push('\n');
            }
        }
        let bytes = |key| field(&mapping, key).and_then(bytes_of).unwrap_or(0);
        bytes("AnonHugePages") * 2 > bytes("Anonymous")
    }
}

impl Arena {
    /// Its words as bytes, in this machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes of the words, which have no invalid values.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words * size_of::<u32>()) }
    }

    /// [`Arena::bytes`], to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; any four bytes are a word, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.words * size_of::<u32>()) }
    }
}

/// The addresses of a mapping, from the line that begins it in /proc/PID/smaps.
fn range(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

fn map(bytes: usize, pages: Pages) -> io::Result<NonNull<u32>> {
    let huge = match pages {
        Pages::Gib => libc::MAP_HUGETLB | libc::MAP_HUGE_1GB,
        Pages::Mib => libc::MAP_HUGETLB | libc::MAP_HUGE_2MB,
        _ => 0,
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | huge;
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches no memory of ours.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let advice = match pages {
        // A control group's limit on reserved pages is not known to mmap: without this the first touch would be SIGBUS.
        Pages::Gib | Pages::Mib => libc::MADV_POPULATE_WRITE,
        Pages::Base => libc::MADV_NOHUGEPAGE,
        Pages::Thp | Pages::Auto => libc::MADV_HUGEPAGE,
    };
    // SAFETY: the range is the mapping made above, and none of this advice changes its content.
    let advised = unsafe { libc::madvise(start, bytes, advice) };
    let error = io::Error::last_os_error();
    // EINVAL: a kernel that does not know the advice (populating is of Linux 5.14), which leaves what the mapping is.
    if advised != 0 && huge != 0 && error.raw_os_error() != Some(libc::EINVAL) {
        // SAFETY: the range is the mapping made above; nothing refers to it.
        unsafe { libc::munmap(start, bytes) };
        return Err(error);
    }
    Ok(NonNull::new(start.cast()).expect("a mapping is not at address zero"))
}

impl Deref for Arena {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: the mapping is readable, zeroed, aligned to a page and at least so many words long, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping that `new` made, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_and_writable_to_its_end() {
        for pages in [Pages::Auto, Pages::Thp, Pages::Base] {
            for words in [0, 1, 1023, 1024, (2 << 20) / 4, (2 << 20) / 4 + 1] {
                let mut arena = Arena::new(words, pages).unwrap();
                assert_eq!(arena.len(), words);
                assert!(arena.iter().all(|word| *word == 0));
                arena.fill(7);
                assert!(arena.iter().all(|word| *word == 7));
            }
        }
    }

    #[test]
    fn declined_huge_pages_are_base_pages() {
        let mut arena = Arena::new(16 << 20, Pages::Base).unwrap();
        arena.fill(1);
        assert_eq!(arena.backing(), "4KiB");
    }

    #[test]
    fn transparent_pages_are_told_by_what_the_kernel_gave() {
        let mut arena = Arena::new(16 << 20, Pages::Thp).unwrap();
        arena.fill(1);
        let offered = super::super::memory::thp(&Files::machine()).is_some_and(|setting| setting != "never");
        if offered {
            assert_eq!(arena.backing(), "thp");
        } else {
            assert_eq!(arena.backing(), "4KiB");
        }
    }

    #[test]
    fn reserved_pages_that_the_host_lacks_are_an_error_not_a_kill() {
        // More than any pool holds.
        for pages in [Pages::Gib, Pages::Mib] {
            assert!(Arena::new(1 << 42, pages).is_err());
        }
    }

    #[test]
    fn mappings_by_their_first_line() {
        assert_eq!(range("7f00-7f10 rw-p 0 00:00 0"), Some((0x7f00, 0x7f10)));
        assert_eq!(range("Rss:    12 kB"), None);
    }
}
