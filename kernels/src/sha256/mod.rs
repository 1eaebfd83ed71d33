//! SHA-256 (FIPS 180-4): the compression function and the two forms in which sealing uses it.
//!
//! tree_d hashes pairs of nodes ([`hash_node_pair`]); an SDR label is a chain of compressions ([`compress`], [`rounds_chain`]).
//! Only dispatch lives here.

mod portable;
mod schedule;
#[cfg(test)]
mod testing;
mod x86_sha;

pub use schedule::Schedule;

use crate::cpu::Features;

/// The chaining value before the first block (FIPS 180-4, 5.3.3).
pub const INITIAL_STATE: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// An implementation that this CPU can run: the proof is that it exists.
///
/// Opaque because of that: a public variant would let safe code name an instruction the CPU lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    ShaNi,
}

impl Kind {
    /// Every implementation, the fastest first.
    const ALL: [Kind; 2] = [Kind::ShaNi, Kind::Portable];

    fn name(self) -> &'static str {
        match self {
            Kind::Portable => "portable",
            Kind::ShaNi => "sha-ni-x1",
        }
    }

    fn runs_on(self, features: &Features) -> bool {
        match self {
            Kind::Portable => true,
            Kind::ShaNi => features.sha_ni(),
        }
    }
}

impl Backend {
    /// The names of all backends, whether this CPU runs them or not, the fastest first.
    pub fn all() -> impl Iterator<Item = &'static str> {
        Kind::ALL.into_iter().map(Kind::name)
    }

    /// The backend of that name, if there is one and the CPU runs it.
    pub fn new(name: &str, features: &Features) -> Option<Backend> {
        Backend::supported(features).find(|backend| backend.name() == name)
    }

    /// The backends that the CPU runs, the fastest first; the portable one is always among them.
    pub fn supported(features: &Features) -> impl Iterator<Item = Backend> {
        Kind::ALL.into_iter().filter(|kind| kind.runs_on(features)).map(Backend)
    }

    /// The name used on the command line and in records.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

/// Absorbs 64-byte blocks into the chaining value; padding is the caller's.
pub fn compress(backend: Backend, state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    match backend.0 {
        Kind::Portable => portable::compress(state, blocks),
        // SAFETY: `Backend` exists only for a CPU with these features (`Kind::runs_on`).
        Kind::ShaNi => unsafe { x86_sha::compress(state, blocks) },
    }
}

/// Absorbs one block `n` times, its message schedule expanded beforehand: nothing but dependent rounds.
///
/// The state is the same as after [`compress`] with `n` copies of that block. This is the part of an SDR label that no
/// implementation can shorten: each block waits for the one before it, whatever is known of its message.
pub fn rounds_chain(backend: Backend, state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    match backend.0 {
        Kind::Portable => portable::rounds_chain(state, schedule, n),
        // SAFETY: as in `compress`.
        Kind::ShaNi => unsafe { x86_sha::rounds_chain(state, schedule, n) },
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
    let mut node = digest(&state);
    node[31] &= 0x3f;
    node
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
const PADDING_OF_ONE_BLOCK: [u8; 64] = {
    let mut block = [0; 64];
    block[0] = 0x80;
    block[62] = 2;
    block
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_without_extensions_gets_the_portable_backend_only() {
        let plain = Features::baseline();
        assert_eq!(Backend::supported(&plain).map(Backend::name).collect::<Vec<_>>(), ["portable"]);
        assert_eq!(Backend::new("sha-ni-x1", &plain), None);
    }

    #[test]
    fn every_supported_backend_is_found_by_its_name() {
        let features = Features::detect();
        for backend in Backend::supported(&features) {
            assert_eq!(Backend::new(backend.name(), &features), Some(backend));
            assert!(Backend::all().any(|name| name == backend.name()));
        }
        assert_eq!(Backend::new("", &features), None);
        assert_eq!(Backend::new("SHA-NI-X1", &features), None);
    }

    #[test]
    fn every_backend_is_right_or_absent_by_name() {
        let features = Features::detect();
        for name in Backend::all() {
            match Backend::new(name, &features) {
                Some(backend) => testing::check(backend),
                None => crate::absent::absent(&format!("sha256 {name}"), "the CPU lacks the instructions"),
            }
        }
    }
}
