//! Labels of the SDR graph (PoRep API 1.1 and later), layer by layer, for as many sectors as the backend has streams.
//!
//! The label of a node is the SHA-256 digest of 1248 bytes, the top two bits of its last byte cleared
//! (`storage_proofs_porep::stacked::vanilla::create_label`):
//!
//! | bytes | |
//! | --- | --- |
//! | 0 .. 32 | replica id |
//! | 32 .. 36 | layer from 1, big-endian |
//! | 36 .. 44 | node, big-endian |
//! | 44 .. 64 | zeros |
//! | 64 .. 1248 | 37 labels of parents: the 14 (in layer 1 the six base parents) in turn, again and again |
//!
//! Node 0 has no parents: its message is the first 64 bytes.
//!
//! That is 20 blocks with the padding. Each pair of parents is a block, so after block 0 the seven (three) pairs repeat: blocks
//! 8 to 18 (4 to 18) have the same schedules as the blocks before them, word for word, and are nothing but rounds. Block 1
//! begins with the label of the node before, so a sector's labels are one chain of 19 blocks for each node.
//!
//! # Slabs
//!
//! The labels of a layer of S sectors are one slab, a record of 8 S words for each node: whoever knows a node's record has that
//! node in all sectors, so that one parent index serves them all. What a record looks like is the backend's choice:
//!
//! - one to four streams on the SHA extensions: the digests of the streams one after the other, bytes as in a file. With one
//!   stream a slab is therefore the file ([`file_bytes`]); the byte shuffles cost nothing beside the rounds.
//! - all others: word 0 of all streams, then word 1, and so on, as numbers: a word of all streams is a vector.
//!
//! [`read_labels`] and [`write_labels`] turn a stream's labels into bytes of a file and back. A slab should begin at a multiple
//! of 64 bytes: where it does not, every second record of one stream lies across two cache lines, of which only the first is
//! fetched ahead, and a label from memory takes half as long again.

mod avx2;
mod avx512;
mod lanes;
mod layout;
mod portable;
#[cfg(test)]
mod testing;
mod x86_sha;

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

pub use layout::{file_bytes, read_labels, write_labels};

use crate::sha256::lanes::{place, round};
use crate::sha256::{Backend, INITIAL_STATE, Kind, PADDING_OF_ONE_BLOCK, Schedule, TRIM, compress, digest};

/// The parents of a node: six of the same layer, the first being the node before it, and eight of the layer before.
pub type Parents = [u32; 14];

/// Of these, the ones in the same layer.
const BASE: usize = 6;

/// Labels in a message.
const SLOTS: usize = 37;

/// Rounds of block 0 that see nothing of the node: the words of replica id, layer and the node's upper half.
const CONSTANT_ROUNDS: usize = 10;

/// What the labels of one layer of `S` sectors have in common.
#[derive(Clone, Debug)]
pub struct Layer {
    backend: Backend,
    number: u32,
    sectors: Vec<Header>,
}

/// Block 0 of a sector.
#[derive(Clone, Debug)]
struct Header {
    /// The block of node 0.
    words: [u32; 16],
    /// The working variables after [`CONSTANT_ROUNDS`].
    midstate: [u32; 8],
}

impl Header {
    fn new(replica_id: &[u8; 32], layer: u32) -> Header {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(replica_id.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        words[8] = layer;
        let schedule = Schedule::new(&block(&words));
        let mut variables = INITIAL_STATE;
        for (t, wk) in schedule.0[..CONSTANT_ROUNDS].iter().enumerate() {
            round(&mut variables, t % 8, *wk);
        }
        Header { words, midstate: core::array::from_fn(|i| variables[place(i, CONSTANT_ROUNDS)]) }
    }

    /// The label of node 0.
    fn first_label(&self, backend: Backend) -> [u8; 32] {
        let mut state = INITIAL_STATE;
        compress(backend, &mut state, &[block(&self.words), PADDING_OF_ONE_BLOCK]);
        state[7] &= TRIM;
        digest(&state)
    }
}

/// The word of block 0 that is the node's number; the word before it is the number's upper half, which is zero.
const NODE_WORD: usize = 10;

fn block(words: &[u32; 16]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_be_bytes());
    bytes
}

impl Layer {
    /// Layer `number`, from 1, of the sectors with these replica ids, in the order of the streams.
    ///
    /// # Panics
    ///
    /// If there are not exactly [`Backend::streams`] replica ids, or `number` is 0.
    pub fn new(backend: Backend, replica_ids: &[[u8; 32]], number: u32) -> Layer {
        assert_eq!(replica_ids.len(), backend.streams(), "a replica id for each stream of {}", backend.name());
        assert_ne!(number, 0, "layers are counted from 1");
        Layer { backend, number, sectors: replica_ids.iter().map(|id| Header::new(id, number)).collect() }
    }

    /// Labels nodes `first .. first + count`, all nodes before them being labelled.
    ///
    /// `parents` begins with the row of node `first`. Rows beyond `count`, as many as there are, only tell which labels to fetch
    /// from memory ahead of time: [`ROWS_AHEAD`] are enough. `previous` is the slab of the layer before, `None` in layer 1, whose
    /// nodes have base parents only.
    ///
    /// # Panics
    ///
    /// If a slab is not a whole number of records or ends before a node that is needed, rows are missing, `previous` does not
    /// fit the layer's number, the first parent is not the node before, or a base parent does not come before its node. Labels
    /// of some of the nodes may have been written then.
    pub fn label_nodes(
        &self,
        first: usize,
        count: usize,
        parents: &[Parents],
        previous: Option<&[u32]>,
        current: &mut [u32],
    ) {
        assert_eq!(previous.is_none(), self.number == 1, "layer 1 has none before it, all others have");
        assert!(count <= parents.len(), "{count} nodes, but parents of {}", parents.len());
        let record = 8 * self.backend.streams();
        for slab in [&*current, previous.unwrap_or(&[])] {
            assert!(slab.len().is_multiple_of(record), "{} words are no records of {record}", slab.len());
        }
        let nodes = current.len() / record;
        assert!(first <= nodes && count <= nodes - first, "nodes {first} .. +{count} of {nodes}");
        let (mut first, mut count, mut parents) = (first, count, parents);
        if first == 0 && count > 0 {
            for (stream, header) in self.sectors.iter().enumerate() {
                write_labels(self.backend, current, stream, 0..1, &header.first_label(self.backend));
            }
            (first, count, parents) = (1, count - 1, &parents[1..]);
        }
        if count > 0 {
            self.dispatch(Window { first, count, parents, previous, current });
        }
    }

    fn dispatch(&self, window: Window<'_, u32>) {
        let sectors = &self.sectors;
        // SAFETY: `Backend` exists only for a CPU with the features of its kind.
        unsafe {
            match self.backend.kind() {
                Kind::Portable => portable::label_nodes(sectors, window.of_lanes()),
                Kind::ShaNiX1 => x86_sha::label_one(sectors, window.of_streams()),
                Kind::ShaNiX2 => x86_sha::label_streams::<2>(sectors, window.of_streams()),
                Kind::ShaNiX3 => x86_sha::label_streams::<3>(sectors, window.of_streams()),
                Kind::ShaNiX4 => x86_sha::label_streams::<4>(sectors, window.of_streams()),
                Kind::Avx2X8 => avx2::label_nodes(sectors, window.of_lanes()),
                Kind::Avx512X16 => avx512::label_nodes(sectors, window.of_lanes()),
                Kind::Avx512X32 => avx512::label_nodes_x32(sectors, window.of_lanes()),
            }
        }
    }
}

/// Rows of parents that [`Layer::label_nodes`] reads ahead of the nodes it labels.
///
/// A node takes 0.5 us or more, so what is asked for four nodes ahead has come from memory, with all that a miss of the TLB
/// adds on a virtual machine. Two to eight measured the same within the noise on Zen 5.
pub const ROWS_AHEAD: usize = 4;

/// The nodes of one call, from 1 on, and the records of their layers.
struct Window<'a, Record> {
    first: usize,
    count: usize,
    parents: &'a [Parents],
    previous: Option<&'a [Record]>,
    current: &'a mut [Record],
}

impl<'a> Window<'a, u32> {
    /// Records of `S` digests.
    fn of_streams<const S: usize>(self) -> Window<'a, [[u32; 8]; S]> {
        self.of_records()
    }

    /// Records of eight words of `S` lanes.
    fn of_lanes<const S: usize>(self) -> Window<'a, [[u32; S]; 8]> {
        self.of_records()
    }

    fn of_records<const A: usize, const B: usize>(self) -> Window<'a, [[u32; A]; B]> {
        Window {
            first: self.first,
            count: self.count,
            parents: self.parents,
            previous: self.previous.map(|slab| slab.as_chunks::<A>().0.as_chunks().0),
            current: self.current.as_chunks_mut::<A>().0.as_chunks_mut().0,
        }
    }
}

impl<Record> Window<'_, Record> {
    /// The labels of the parents of node `first + i`, and the place for its own.
    #[inline(always)]
    fn node(&mut self, i: usize) -> (Labels<'_, Record>, &mut Record) {
        let node = self.first + i;
        let (labelled, rest) = self.current.split_at_mut(node);
        let parents = &self.parents[i];
        assert_eq!(parents[0] as usize, node - 1, "the first parent is the node before");
        let ahead = self.parents.get(i + ROWS_AHEAD);
        let labels = Labels { parents, ahead, labelled, previous: self.previous.unwrap_or(&[]) };
        (labels, &mut rest[0])
    }
}

/// The labels that the label of a node is made of.
struct Labels<'a, Record> {
    parents: &'a Parents,
    /// The parents of a later node.
    ahead: Option<&'a Parents>,
    /// All nodes before it: no base parent can be another one.
    labelled: &'a [Record],
    previous: &'a [Record],
}

impl<Record> Labels<'_, Record> {
    /// The label in place `slot` of the message.
    #[inline(always)]
    fn parent<const PARENTS: usize>(&self, slot: usize) -> &Record {
        let parent = slot % PARENTS;
        let records = if parent < BASE { self.labelled } else { self.previous };
        &records[self.parents[parent] as usize]
    }

    /// Begins to fetch the labels of the later node in places 2 `pair` and 2 `pair` + 1.
    #[inline(always)]
    fn fetch_pair(&self, pair: usize) {
        if let Some(ahead) = self.ahead {
            for parent in [2 * pair, 2 * pair + 1] {
                let records = if parent < BASE { self.labelled } else { self.previous };
                // The record may be beyond the nodes that are labelled: it has an address all the same.
                let record = records.as_ptr().wrapping_add(ahead[parent] as usize);
                for line in (0..size_of::<Record>()).step_by(64) {
                    // SAFETY: prefetching reads nothing and faults nowhere.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(record.cast::<i8>().wrapping_add(line)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_labels_as_the_model_does_or_is_absent_by_name() {
        crate::backend::check_all("label", testing::check);
    }
}
