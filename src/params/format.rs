//! The layout of bellperson's parameter files, read from their counts alone.
//!
//! A file is a verifying key followed by five counted sections (bellperson 0.27, `groth16/params.rs` and `verifying_key.rs`), all
//! points uncompressed: the counts fix the size. A download cut short is therefore found in six small reads, where bellperson
//! itself maps the file and panics far into it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of an uncompressed point of G1.
pub const G1_BYTES: u64 = 96;

/// Bytes of an uncompressed point of G2.
pub const G2_BYTES: u64 = 192;

/// Bytes of a section's count (big endian).
const COUNT_BYTES: u64 = 4;

/// The verifying key's fixed points: alpha_g1, beta_g1, beta_g2, gamma_g2, delta_g1, delta_g2.
const VK_POINTS_BYTES: u64 = 3 * G1_BYTES + 3 * G2_BYTES;

/// How many points each section of a `.params` file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Structure {
    /// Public inputs and the constant one, in the verifying key (G1).
    pub ic: u32,
    /// Powers of tau times t(tau)/delta: the domain less one (G1).
    pub h: u32,
    /// Auxiliary variables (G1).
    pub l: u32,
    /// Variables in an A polynomial (G1).
    pub a: u32,
    /// Variables in a B polynomial (G1).
    pub b_g1: u32,
    /// Variables in a B polynomial (G2).
    pub b_g2: u32,
}

impl Structure {
    /// Bytes of a `.params` file with these counts.
    pub fn params_bytes(&self) -> u64 {
        self.vk_bytes() + self.sections().into_iter().map(|(count, point)| COUNT_BYTES + count * point).sum::<u64>()
    }

    /// Bytes of the `.vk` file that goes with it.
    pub fn vk_bytes(&self) -> u64 {
        VK_POINTS_BYTES + COUNT_BYTES + u64::from(self.ic) * G1_BYTES
    }

    /// Points of G1 over all sections.
    pub fn g1_points(&self) -> u64 {
        [self.ic, self.h, self.l, self.a, self.b_g1].into_iter().map(u64::from).sum()
    }

    /// Points of G2.
    pub fn g2_points(&self) -> u64 {
        u64::from(self.b_g2)
    }

    fn sections(&self) -> [(u64, u64); 5] {
        let g1 = |count: u32| (u64::from(count), G1_BYTES);
        [g1(self.h), g1(self.l), g1(self.a), g1(self.b_g1), (u64::from(self.b_g2), G2_BYTES)]
    }
}

/// Why a file cannot be a whole parameter file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends before what its own counts announce.
    #[error("truncated: {actual} bytes of at least {expected_at_least}")]
    Truncated {
        /// Bytes that the counts read so far call for.
        expected_at_least: u64,
        /// Bytes of the file.
        actual: u64,
    },
    /// The file goes on after what its own counts announce.
    #[error("{actual} bytes where its own counts make {expected}")]
    Overlong {
        /// Bytes that the counts call for.
        expected: u64,
        /// Bytes of the file.
        actual: u64,
    },
    /// The file cannot be opened or read, or is no regular file.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// The structure of a `.params` file; reads its counts only.
pub fn structure(path: &Path) -> Result<Structure, Damage> {
    let mut counts = Counts::open(path)?;
    let structure = Structure {
        ic: counts.next_at(VK_POINTS_BYTES, G1_BYTES)?,
        h: counts.next(G1_BYTES)?,
        l: counts.next(G1_BYTES)?,
        a: counts.next(G1_BYTES)?,
        b_g1: counts.next(G1_BYTES)?,
        b_g2: counts.next(G2_BYTES)?,
    };
    counts.finish()?;
    Ok(structure)
}

/// The number of public inputs (with the constant one) of a `.vk` file; reads that count only.
pub fn verifying_key_inputs(path: &Path) -> Result<u32, Damage> {
    let mut counts = Counts::open(path)?;
    let inputs = counts.next_at(VK_POINTS_BYTES, G1_BYTES)?;
    counts.finish()?;
    Ok(inputs)
}

/// Walks from count to count. `end` is where the sections read so far end; the file must reach it.
struct Counts {
    file: File,
    bytes: u64,
    end: u64,
}

impl Counts {
    fn open(path: &Path) -> Result<Counts, Damage> {
        // Opening a FIFO would wait for a writer, so the kind of file is looked at first.
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Damage::Unreadable("not a regular file".into()));
        }
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        Ok(Counts { file, bytes, end: 0 })
    }

    fn next(&mut self, point: u64) -> Result<u32, Damage> {
        self.next_at(self.end, point)
    }

    fn next_at(&mut self, offset: u64, point: u64) -> Result<u32, Damage> {
        self.require(offset + COUNT_BYTES)?;
        let mut count = [0; COUNT_BYTES as usize];
        self.file.read_exact_at(&mut count, offset).map_err(|e| match e.kind() {
            // The file shrank under us.
            ErrorKind::UnexpectedEof => Damage::Truncated { expected_at_least: offset + COUNT_BYTES, actual: offset },
            _ => unreadable(e),
        })?;
        let count = u32::from_be_bytes(count);
        self.require(offset + COUNT_BYTES + u64::from(count) * point)?;
        Ok(count)
    }

    fn require(&mut self, end: u64) -> Result<(), Damage> {
        self.end = end;
        if self.bytes < end {
            return Err(Damage::Truncated { expected_at_least: end, actual: self.bytes });
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Damage> {
        if self.bytes > self.end {
            return Err(Damage::Overlong { expected: self.end, actual: self.bytes });
        }
        Ok(())
    }
}

fn unreadable(error: io::Error) -> Damage {
    Damage::Unreadable(error.to_string())
}

/// Synthetic files for the tests of this module's neighbours: right counts, arbitrary points.
#[cfg(test)]
pub(crate) mod synthetic {
    use super::*;

    /// Counts small enough for a test.
    pub(crate) const SMALL: Structure = Structure { ic: 2, h: 7, l: 5, a: 4, b_g1: 3, b_g2: 3 };

    /// A `.vk` file's bytes.
    pub(crate) fn vk(structure: &Structure, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; VK_POINTS_BYTES as usize];
        section(&mut bytes, structure.ic, G1_BYTES, fill);
        bytes
    }

    /// A `.params` file's bytes.
    pub(crate) fn params(structure: &Structure, fill: u8) -> Vec<u8> {
        let mut bytes = vk(structure, fill);
        for count in [structure.h, structure.l, structure.a, structure.b_g1] {
            section(&mut bytes, count, G1_BYTES, fill);
        }
        section(&mut bytes, structure.b_g2, G2_BYTES, fill);
        bytes
    }

    fn section(bytes: &mut Vec<u8>, count: u32, point: u64, fill: u8) {
        bytes.extend(count.to_be_bytes());
        bytes.resize(bytes.len() + (u64::from(count) * point) as usize, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::synthetic::{SMALL, params, vk};
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn the_known_file_has_the_size_its_counts_make() {
        let known = Structure { ic: 40, h: 4_194_303, l: 2_685_673, a: 2_674_948, b_g1: 685_522, b_g2: 685_522 };
        assert_eq!(known.params_bytes(), 1_114_707_768);
        assert_eq!(known.vk_bytes(), 868 + 40 * 96);
    }

    #[test]
    fn whole_files_give_their_counts() {
        let whole = file(&params(&SMALL, 7));
        assert_eq!(structure(whole.path()), Ok(SMALL));
        assert_eq!(whole.as_file().metadata().unwrap().len(), SMALL.params_bytes());
        assert_eq!(verifying_key_inputs(file(&vk(&SMALL, 7)).path()), Ok(SMALL.ic));
    }

    #[test]
    fn a_file_cut_anywhere_is_truncated_and_a_longer_one_overlong() {
        let whole = params(&SMALL, 7);
        let cut = file(&whole);
        for length in (0..whole.len() as u64).rev().step_by(13) {
            cut.as_file().set_len(length).unwrap();
            match structure(cut.path()) {
                Err(Damage::Truncated { expected_at_least, actual }) => {
                    assert!(actual == length && length < expected_at_least);
                    assert!(expected_at_least <= whole.len() as u64);
                }
                other => panic!("{length} bytes: {other:?}"),
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        let (expected, actual) = (whole.len() as u64, longer.len() as u64);
        assert_eq!(structure(file(&longer).path()), Err(Damage::Overlong { expected, actual }));
        assert!(matches!(verifying_key_inputs(file(&whole).path()), Err(Damage::Overlong { .. })));
    }

    /// A 48 GB file cut by one point, as a sparse file: found without reading it.
    #[test]
    fn a_large_file_is_judged_by_its_counts() {
        let large = file(&params(&Structure { ic: 321, ..Structure::default() }, 0));
        let h_count = VK_POINTS_BYTES + COUNT_BYTES + 321 * G1_BYTES;
        let h = (1 << 27) - 1;
        large.as_file().write_all_at(&u32::to_be_bytes(h), h_count).unwrap();
        let whole = Structure { ic: 321, h, ..Structure::default() }.params_bytes();
        large.as_file().set_len(whole).unwrap();
        assert_eq!(structure(large.path()).map(|s| s.h), Ok(h));
        large.as_file().set_len(whole - G2_BYTES).unwrap();
        assert!(matches!(structure(large.path()), Err(Damage::Truncated { .. })));
    }

    #[test]
    fn what_is_no_regular_file_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), &dir.path().join("none"), Path::new("/dev/null")] {
            assert!(matches!(structure(path), Err(Damage::Unreadable(_))), "{}", path.display());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let file = file(&bytes);
            prop_assert!(verifying_key_inputs(file.path()).is_err() || bytes.len() >= 868);
            let _ = structure(file.path());
        }

        /// A whole file with one byte changed keeps its size, so it is whole or damaged by its counts, never a panic.
        #[test]
        fn a_changed_byte_never_panics(at in 0..params(&SMALL, 0).len(), value in any::<u8>()) {
            let mut bytes = params(&SMALL, 0);
            bytes[at] = value;
            let found = structure(file(&bytes).path());
            prop_assert!(found != Ok(SMALL) || found.map(|s| s.params_bytes()) == Ok(bytes.len() as u64));
        }
    }
}
