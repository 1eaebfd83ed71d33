//! One test body for all backends: the caller names the backend, no backend has expected values of its own.

use sha2::{Digest, Sha256};

use super::{
    Backend, INITIAL_STATE, Schedule, compress, digest, hash_node_pair, hash_node_pairs, rounds_chain, rounds_streams,
};
use crate::cpu::Features;

/// More blocks than any stream count; every smaller number is tried too.
const MOST_BLOCKS: usize = 33;

/// Checks everything a SHA-256 backend does.
pub fn check(backend: Backend) {
    known_answers(backend);
    every_length(backend);
    every_block_count_and_offset(backend);
    chain(backend);
    streams(backend);
    node_pairs(backend);
    rows_of_node_pairs(backend);
}

/// FIPS 180-4's examples, and the empty message.
fn known_answers(backend: Backend) {
    let million = vec![b'a'; 1_000_000];
    let messages: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    for (message, expected) in messages {
        assert_eq!(hex(&hash(backend, message)), expected, "{backend:?}, {} bytes", message.len());
    }
}

fn every_length(backend: Backend) {
    let message = painted(MOST_BLOCKS * 64);
    for length in 0..=message.len() {
        let expected: [u8; 32] = Sha256::digest(&message[..length]).into();
        assert_eq!(hash(backend, &message[..length]), expected, "{backend:?}, {length} bytes");
    }
}

/// Every count of blocks, at every alignment, from a chaining value that is no initial one, against the portable backend:
/// the words around the state stay as they are, the bytes around the blocks do not matter.
fn every_block_count_and_offset(backend: Backend) {
    const GUARD: u32 = 0xdead_beef;
    let start = [1, 2, 3, 4, 5, 6, 7, u32::MAX];
    for count in 0..=MOST_BLOCKS {
        for offset in 0..16 {
            let mut bytes = vec![0xaa; offset];
            bytes.extend(painted(count * 64));
            bytes.extend([0x55; 64]);
            let blocks = &bytes[offset..].as_chunks::<64>().0[..count];

            let mut guarded = [GUARD; 24];
            let state: &mut [u32; 8] = (&mut guarded[8..16]).try_into().unwrap();
            *state = start;
            compress(backend, state, blocks);

            let mut expected = [GUARD; 24];
            let state: &mut [u32; 8] = (&mut expected[8..16]).try_into().unwrap();
            *state = start;
            compress(portable(), state, painted(count * 64).as_chunks::<64>().0);
            assert_eq!(guarded, expected, "{backend:?}, {count} blocks at offset {offset}");
        }
    }
}

fn chain(backend: Backend) {
    let block: [u8; 64] = painted(64).try_into().unwrap();
    let schedule = Schedule::new(&block);
    for n in 0..=MOST_BLOCKS {
        let mut state = INITIAL_STATE;
        rounds_chain(backend, &mut state, &schedule, n as u64);
        let mut expected = INITIAL_STATE;
        compress(portable(), &mut expected, &vec![block; n]);
        assert_eq!(state, expected, "{backend:?}, {n} blocks");
    }
}

/// Every stream keeps to its own state and schedule.
fn streams(backend: Backend) {
    let blocks: Vec<[u8; 64]> = (0..backend.streams()).map(|s| painted(64 + s)[s..].try_into().unwrap()).collect();
    let schedules: Vec<Schedule> = blocks.iter().map(Schedule::new).collect();
    for n in 0..4 {
        let start: Vec<[u32; 8]> = (0..backend.streams() as u32).map(|s| [s, 1, 2, 3, 4, 5, 6, !s]).collect();
        let mut states = start.clone();
        rounds_streams(backend, &mut states, &schedules, n as u64);
        for (stream, (mut expected, block)) in start.into_iter().zip(&blocks).enumerate() {
            compress(portable(), &mut expected, &vec![*block; n]);
            assert_eq!(states[stream], expected, "{backend:?}, stream {stream}, {n} blocks");
        }
    }
}

fn node_pairs(backend: Backend) {
    let mut top_bits = 0;
    for i in 0..=250 {
        let (left, right) = ([i; 32], [250 - i; 32]);
        let mut expected: [u8; 32] = Sha256::new().chain_update(left).chain_update(right).finalize().into();
        top_bits |= expected[31] & 0xc0;
        expected[31] &= 0x3f;
        assert_eq!(hash_node_pair(backend, &left, &right), expected, "{backend:?}, pair {i}");
    }
    assert_eq!(top_bits, 0xc0, "the digests tried must have had both bits set");
}

/// Every count of pairs, so every remainder of every stream count.
fn rows_of_node_pairs(backend: Backend) {
    let children = painted(70 * 64);
    for pairs in 0..=70 {
        let mut nodes = vec![0; pairs * 32];
        hash_node_pairs(backend, &children[..pairs * 64], &mut nodes);
        for (pair, (node, children)) in nodes.chunks(32).zip(children.as_chunks::<64>().0).enumerate() {
            let (left, right) = (children[..32].try_into().unwrap(), children[32..].try_into().unwrap());
            assert_eq!(node, hash_node_pair(portable(), left, right), "{backend:?}, pair {pair} of {pairs}");
        }
    }
}

fn portable() -> Backend {
    Backend::new("portable", &Features::baseline()).unwrap()
}

/// The digest of a message: FIPS 180-4's padding around `compress`.
fn hash(backend: Backend, message: &[u8]) -> [u8; 32] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut state = INITIAL_STATE;
    compress(backend, &mut state, padded.as_chunks::<64>().0);
    digest(&state)
}

/// Bytes that repeat with a prime period, so that no two blocks are alike and every byte's place shows.
fn painted(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
