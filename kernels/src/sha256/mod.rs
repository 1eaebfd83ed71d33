//! SHA-256 (FIPS 180-4): the compression function and the two forms in which sealing uses it.
//!
//! tree_d hashes pairs of nodes ([`hash_node_pairs`]); an SDR label is a chain of compressions ([`compress`], [`rounds_chain`],
//! [`rounds_streams`]; the label itself is in [`crate::label`]). Only dispatch lives here.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod lanes;
pub(crate) mod portable;
mod schedule;
#[cfg(test)]
mod testing;
pub(crate) mod x86_sha;

pub use schedule::Schedule;

use crate::backend::Implementation;
use crate::cpu::Features;

/// The chaining value before the first block (FIPS 180-4, 5.3.3).
pub const INITIAL_STATE: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// An implementation. [`Backend::all`] has fewer streams first, among as many the faster first: so the first that the CPU runs is the
/// fastest for a single chain. Which is the fastest for many streams depends on the CPU; only a measurement says.
pub type Backend = crate::backend::Backend<Kind>;

/// The implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No instructions beyond the baseline, one stream.
    Portable,
    /// The SHA extensions, one stream.
    ShaNiX1,
    /// The SHA extensions, two streams.
    ShaNiX2,
    /// The SHA extensions, three streams.
    ShaNiX3,
    /// The SHA extensions, four streams.
    ShaNiX4,
    /// AVX2, a stream in each of 8 lanes.
    Avx2X8,
    /// AVX-512, a stream in each of 16 lanes.
    Avx512X16,
    /// AVX-512, two vectors of 16 lanes in turn.
    Avx512X32,
}

impl Implementation for Kind {
    const ALL: &'static [Kind] = &[
        Kind::ShaNiX1,
        Kind::Portable,
        Kind::ShaNiX2,
        Kind::ShaNiX3,
        Kind::ShaNiX4,
        Kind::Avx2X8,
        Kind::Avx512X16,
        Kind::Avx512X32,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Portable => "portable",
            Kind::ShaNiX1 => "sha-ni-x1",
            Kind::ShaNiX2 => "sha-ni-x2",
            Kind::ShaNiX3 => "sha-ni-x3",
            Kind::ShaNiX4 => "sha-ni-x4",
            Kind::Avx2X8 => "avx2-x8",
            Kind::Avx512X16 => "avx512-x16",
            Kind::Avx512X32 => "avx512-x32",
        }
    }

    fn runs_on(self, features: &Features) -> bool {
        match self {
            Kind::Portable => true,
            Kind::ShaNiX1 | Kind::ShaNiX2 | Kind::ShaNiX3 | Kind::ShaNiX4 => features.sha_ni(),
            Kind::Avx2X8 => features.avx2(),
            Kind::Avx512X16 | Kind::Avx512X32 => features.avx512(),
        }
    }
}

impl Backend {
    /// How many independent chains one call advances.
    pub fn streams(self) -> usize {
        match self.kind() {
            Kind::Portable | Kind::ShaNiX1 => 1,
            Kind::ShaNiX2 => 2,
            Kind::ShaNiX3 => 3,
            Kind::ShaNiX4 => 4,
            Kind::Avx2X8 => 8,
            Kind::Avx512X16 => 16,
            Kind::Avx512X32 => 32,
        }
    }
}

/// Absorbs 64-byte blocks into the chaining value; padding is the caller's.
///
/// One chain, whatever the backend's streams: vectors of streams have nothing to gain on it and leave it to the portable code.
pub fn compress(backend: Backend, state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    match backend.kind() {
        Kind::Portable | Kind::Avx2X8 | Kind::Avx512X16 | Kind::Avx512X32 => portable::compress(state, blocks),
        // SAFETY: `Backend` exists only for a CPU with these features (`Kind::runs_on`).
        Kind::ShaNiX1 | Kind::ShaNiX2 | Kind::ShaNiX3 | Kind::ShaNiX4 => unsafe { x86_sha::compress(state, blocks) },
    }
}

/// Absorbs one block `n` times, its message schedule expanded beforehand: nothing but dependent rounds.
///
/// The state is the same as after [`compress`] with `n` copies of that block. This is the part of an SDR label that no
/// implementation can shorten: each block waits for the one before it, whatever is known of its message. One chain, as in
/// [`compress`].
pub fn rounds_chain(backend: Backend, state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    match backend.kind() {
        Kind::Portable | Kind::Avx2X8 | Kind::Avx512X16 | Kind::Avx512X32 => portable::rounds_chain(state, schedule, n),
        // SAFETY: as in `compress`.
        Kind::ShaNiX1 | Kind::ShaNiX2 | Kind::ShaNiX3 | Kind::ShaNiX4 => unsafe {
            x86_sha::rounds_chain(state, schedule, n)
        },
    }
}

/// [`rounds_chain`] for as many streams as the backend has, each with its own state and schedule: as many rounds as the core
/// can do at a time. A label is 20 such blocks less the ten rounds that see nothing of the node, and expands up to nine schedules.
///
/// # Panics
///
/// If there are not exactly [`Backend::streams`] states and schedules.
pub fn rounds_streams(backend: Backend, states: &mut [[u32; 8]], schedules: &[Schedule], n: u64) {
    assert_eq!((states.len(), schedules.len()), (backend.streams(), backend.streams()), "one of each for every stream");
    // SAFETY: as in `compress`.
    unsafe {
        match backend.kind() {
            Kind::Portable => portable::rounds_chain(&mut states[0], &schedules[0], n),
            Kind::ShaNiX1 => x86_sha::rounds_streams::<1>(states, schedules, n),
            Kind::ShaNiX2 => x86_sha::rounds_streams::<2>(states, schedules, n),
            Kind::ShaNiX3 => x86_sha::rounds_streams::<3>(states, schedules, n),
            Kind::ShaNiX4 => x86_sha::rounds_streams::<4>(states, schedules, n),
            Kind::Avx2X8 => avx2::rounds_streams(states, schedules, n),
            Kind::Avx512X16 => avx512::rounds_streams(states, schedules, n),
            Kind::Avx512X32 => avx512::rounds_streams_x32(states, schedules, n),
        }
    }
}

/// A node of tree_d: the SHA-256 digest of its two children, the top two bits of the last byte cleared so that it is an
/// element of the scalar field (`filecoin_hashers::sha256`, `trim_to_fr32`).
pub fn hash_node_pair(backend: Backend, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut blocks = [[0; 64], PADDING_OF_ONE_BLOCK];
    blocks[0][..32].copy_from_slice(left);
    blocks[0][32..].copy_from_slice(right);
    let mut state = INITIAL_STATE;
    compress(backend, &mut state, &blocks);
    state[7] &= TRIM;
    digest(&state)
}

/// A row of tree_d: [`hash_node_pair`] of each 64 bytes of `children`, to 32 bytes each of `out`.
///
/// # Panics
///
/// If `children` is not a whole number of pairs, or `out` is not half as long.
pub fn hash_node_pairs(backend: Backend, children: &[u8], out: &mut [u8]) {
    assert!(children.len().is_multiple_of(64), "{} bytes are no pairs of nodes", children.len());
    assert_eq!(out.len() * 2, children.len(), "a node for each pair");
    let (children, out) = (children.as_chunks().0, out.as_chunks_mut().0);
    // SAFETY: as in `compress`.
    unsafe {
        match backend.kind() {
            Kind::Portable => portable::hash_node_pairs(children, out),
            Kind::ShaNiX1 => x86_sha::hash_node_pairs::<1>(children, out),
            Kind::ShaNiX2 => x86_sha::hash_node_pairs::<2>(children, out),
            Kind::ShaNiX3 => x86_sha::hash_node_pairs::<3>(children, out),
            Kind::ShaNiX4 => x86_sha::hash_node_pairs::<4>(children, out),
            Kind::Avx2X8 => avx2::hash_node_pairs(children, out),
            Kind::Avx512X16 => avx512::hash_node_pairs(children, out),
            Kind::Avx512X32 => avx512::hash_node_pairs_x32(children, out),
        }
    }
}

/// A chaining value as the bytes of a digest.
pub fn digest(state: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

/// The block that ends a message of 64 bytes: a one bit, zeros, the length of 512 bits.
pub(crate) const PADDING_OF_ONE_BLOCK: [u8; 64] = {
    let mut block = [0; 64];
    block[0] = 0x80;
    block[62] = 2;
    block
};

/// Its schedule.
pub(crate) static PADDING_AFTER_ONE_BLOCK: Schedule = Schedule::new(&PADDING_OF_ONE_BLOCK);

/// What a digest's last word keeps when it is made an element of the scalar field.
pub(crate) const TRIM: u32 = 0xffff_ff3f;

/// Writes a body 16 times, its variable being 0 to 15, each a constant: register arrays stay in registers.
macro_rules! sixteen_times {
    ($j:ident $body:block) => {
        $crate::sha256::sixteen_times!(@ $j $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $j:ident $body:block $($value:literal)*) => {{
        $({
            let $j: usize = $value;
            $body
        })*
    }};
}
pub(crate) use sixteen_times;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_right_or_absent_by_name() {
        crate::backend::check_all("sha256", testing::check);
    }
}
