//! Records of a slab to the bytes of a file, and back.

use core::ops::Range;

use crate::sha256::{Backend, Kind};

/// Where the words of a stream's label are in a record.
enum Layout {
    /// Next to each other, bytes as in a file.
    Streams,
    /// Each among the same words of all streams, as a number.
    Lanes,
}

fn layout(backend: Backend) -> Layout {
    match backend.kind() {
        Kind::ShaNiX1 | Kind::ShaNiX2 | Kind::ShaNiX3 | Kind::ShaNiX4 => Layout::Streams,
        Kind::Portable | Kind::Avx2X8 | Kind::Avx512X16 | Kind::Avx512X32 => Layout::Lanes,
    }
}

/// The labels of `nodes` in `stream`, 32 bytes each as in a file.
///
/// A record holds all streams: read them one after the other by windows of nodes that fit the second-level cache, and the slab
/// is read from memory once.
///
/// # Panics
///
/// If the backend has no such stream, the slab ends before the last node, or `out` is not 32 bytes for each node.
pub fn read_labels(backend: Backend, slab: &[u32], stream: usize, nodes: Range<usize>, out: &mut [u8]) {
    let streams = backend.streams();
    assert!(stream < streams, "stream {stream} of {streams}");
    assert_eq!(out.len(), 32 * nodes.len(), "32 bytes for each node");
    let records = slab[8 * streams * nodes.start..8 * streams * nodes.end].chunks_exact(8 * streams);
    let out = out.as_chunks_mut::<32>().0.iter_mut();
    for (record, label) in records.zip(out) {
        let words = label.as_chunks_mut::<4>().0.iter_mut();
        match layout(backend) {
            Layout::Streams => words.zip(&record[8 * stream..]).for_each(|(to, word)| *to = word.to_ne_bytes()),
            Layout::Lanes => {
                words.zip(record[stream..].iter().step_by(streams)).for_each(|(to, word)| *to = word.to_be_bytes())
            }
        }
    }
}

/// Fills the labels of `nodes` in `stream` from 32 bytes each as in a file; the other streams stay as they are.
///
/// By windows of nodes as in [`read_labels`].
///
/// # Panics
///
/// As [`read_labels`].
pub fn write_labels(backend: Backend, slab: &mut [u32], stream: usize, nodes: Range<usize>, labels: &[u8]) {
    let streams = backend.streams();
    assert!(stream < streams, "stream {stream} of {streams}");
    assert_eq!(labels.len(), 32 * nodes.len(), "32 bytes for each node");
    let records = slab[8 * streams * nodes.start..8 * streams * nodes.end].chunks_exact_mut(8 * streams);
    for (record, label) in records.zip(labels.as_chunks::<32>().0) {
        let words = label.as_chunks::<4>().0.iter();
        match layout(backend) {
            Layout::Streams => {
                words.zip(&mut record[8 * stream..]).for_each(|(bytes, word)| *word = u32::from_ne_bytes(*bytes))
            }
            Layout::Lanes => words
                .zip(record[stream..].iter_mut().step_by(streams))
                .for_each(|(bytes, word)| *word = u32::from_be_bytes(*bytes)),
        }
    }
}

/// The slab as the bytes of a layer's file, if they are the same: with the backend `sha-ni-x1`.
pub fn file_bytes(backend: Backend, slab: &[u32]) -> Option<&[u8]> {
    // SAFETY: any four bytes are a word and any word is four bytes.
    (backend.kind() == Kind::ShaNiX1).then(|| unsafe { slab.align_to().1 })
}
