//! Physical limits: what the fastest possible implementation would take on this machine, measured here.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sealbench_kernels::cpu::Features;
use sealbench_kernels::poseidon;
use sealbench_kernels::sha256::{Backend, INITIAL_STATE, Schedule, hash_node_pairs, rounds_chain, rounds_streams};

/// SHA-256 blocks of a label that wait for the label before it (PoRep API 1.1 and later).
///
/// The message has 20 blocks: block 0 is the replica id (32 bytes) with layer and node (32 bytes, zero-extended); 37 parents
/// of 32 bytes fill 18.5 more, and the padding the rest of the last. Block 0 depends on no label. From API 1.1 on the first
/// parent is the node before, so block 1 waits for its label, and the blocks after it wait in turn.
pub const DEPENDENT_BLOCKS_PER_LABEL: u64 = 19;

/// Blocks of a label that have to be computed at all: of block 0, the rounds of the first ten words are the same for all nodes of a layer.
const BLOCKS_PER_LABEL: f64 = 19.0 + 54.0 / 64.0;

/// Seconds of one dependent SHA-256 block on the calling thread, whose core and clock it therefore describes: the rounds
/// alone, with the schedule in L1. Takes about 20 ms.
///
/// The fastest of several samples: nothing runs faster than the bound, and whatever else runs on the core only adds to it.
pub fn sha256_chain_block_s(backend: Backend) -> f64 {
    const WARM_UP: Duration = Duration::from_millis(6);
    const SAMPLES: usize = 7;
    const SAMPLE: Duration = Duration::from_millis(2);

    let schedule = Schedule::new(&[0; 64]);
    let mut state = INITIAL_STATE;
    let mut block_s = |blocks| {
        let start = Instant::now();
        rounds_chain(backend, black_box(&mut state), black_box(&schedule), blocks);
        start.elapsed().as_secs_f64() / blocks as f64
    };

    // The clock rises while it warms up; the fastest short sample says how many blocks a proper one takes.
    let start = Instant::now();
    let mut fastest_s = block_s(1000);
    while start.elapsed() < WARM_UP {
        fastest_s = fastest_s.min(block_s(1000));
    }
    let blocks = ((SAMPLE.as_secs_f64() / fastest_s) as u64).max(1);
    let mut samples = [0.0; SAMPLES];
    samples.fill_with(|| block_s(blocks));
    samples.into_iter().fold(f64::INFINITY, f64::min)
}

/// Seconds of one block of one stream where as many streams as the backend has go side by side, rounds alone: the throughput that no
/// batch on one core exceeds. Sampled as in [`sha256_chain_block_s`], in about 10 ms.
pub fn sha256_stream_block_s(backend: Backend) -> f64 {
    const SAMPLES: usize = 7;
    const BLOCKS: u64 = 10_000;

    let schedules = vec![Schedule::new(&[0; 64]); backend.streams()];
    let mut states = vec![INITIAL_STATE; backend.streams()];
    let mut sample = || {
        let start = Instant::now();
        rounds_streams(backend, black_box(&mut states), black_box(&schedules), BLOCKS);
        start.elapsed().as_secs_f64() / (BLOCKS * states.len() as u64) as f64
    };
    (0..SAMPLES).map(|_| sample()).fold(f64::INFINITY, f64::min)
}

/// The backend that hashes pairs of nodes the fastest, found on a few thousand of them.
pub fn fastest_pairs() -> Backend {
    const PAIRS: usize = 2048;
    const SAMPLES: usize = 3;

    let (pairs, mut nodes) = (vec![1; 64 * PAIRS], vec![0; 32 * PAIRS]);
    let mut seconds = |backend: Backend| {
        let mut sample = || {
            let start = Instant::now();
            hash_node_pairs(backend, black_box(&pairs), black_box(&mut nodes));
            start.elapsed().as_secs_f64()
        };
        (0..SAMPLES).map(|_| sample()).fold(f64::INFINITY, f64::min)
    };
    let features = Features::detect();
    let timed = Backend::supported(&features).map(|backend| (backend, seconds(backend)));
    timed.min_by(|a, b| a.1.total_cmp(&b.1)).expect("the portable backend always runs").0
}

/// The least seconds of a Poseidon hash on a core: the multiplications that it takes at the rate of independent ones, nothing else.
/// Sampled as in [`sha256_chain_block_s`], in about 10 ms.
pub fn poseidon_hash_s(backend: poseidon::Backend, arity: poseidon::Arity) -> f64 {
    const SAMPLES: usize = 7;
    const MULTIPLICATIONS: u64 = 4 << 20;

    let sample = || {
        let start = Instant::now();
        let done = poseidon::multiply(backend, black_box(MULTIPLICATIONS));
        start.elapsed().as_secs_f64() / done as f64
    };
    let one_s = (0..SAMPLES).map(|_| sample()).fold(f64::INFINITY, f64::min);
    one_s * poseidon::multiplications(backend, arity) as f64
}

/// How fast one core of this machine can hash at most, measured here.
#[derive(Clone, Copy, Debug)]
pub struct Sha256 {
    /// Seconds of a block that waits for the one before: the fastest backend's.
    pub chain_block_s: f64,
    /// Seconds of a block among independent ones: the fastest backend's.
    pub stream_block_s: f64,
}

impl Sha256 {
    /// Measures all backends of this CPU.
    pub fn measure() -> Sha256 {
        let features = Features::detect();
        let backends = || Backend::supported(&features);
        let chains = backends().filter(|backend| backend.streams() == 1);
        Sha256 {
            chain_block_s: chains.map(sha256_chain_block_s).fold(f64::INFINITY, f64::min),
            stream_block_s: backends().map(sha256_stream_block_s).fold(f64::INFINITY, f64::min),
        }
    }

    /// The least seconds in which one core makes `labels` labels of each of `together` sectors, by each bound, the tighter first.
    pub fn labels(&self, labels: u64, together: u32) -> [(&'static str, f64); 2] {
        let chain = ("sha256 chain", label_chain(labels, self.chain_block_s));
        let streams = labels as f64 * f64::from(together) * BLOCKS_PER_LABEL * self.stream_block_s;
        let streams = ("sha256 streams", streams);
        if chain.1 >= streams.1 { [chain, streams] } else { [streams, chain] }
    }
}

/// The least seconds in which one core can make `labels` labels one after the other, given [`sha256_chain_block_s`].
fn label_chain(labels: u64, block_s: f64) -> f64 {
    (labels * DEPENDENT_BLOCKS_PER_LABEL) as f64 * block_s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_20_blocks_of_which_19_are_dependent() {
        let message = 32 + 32 + 37 * 32;
        let padded = (message + 1 + 8_u64).next_multiple_of(64);
        assert_eq!(padded / 64 - 1, DEPENDENT_BLOCKS_PER_LABEL);
        assert_eq!(label_chain(1 << 24, 1e-9), 19.0 * 16_777_216.0 * 1e-9);
        assert_eq!(label_chain(0, 1.0), 0.0);
    }

    #[test]
    fn every_backend_has_a_finite_time_per_block() {
        for backend in Backend::supported(&Features::detect()) {
            for block_s in [sha256_chain_block_s(backend), sha256_stream_block_s(backend)] {
                assert!(block_s > 0.0 && block_s.is_finite(), "{}: {block_s} s", backend.name());
            }
        }
    }

    #[test]
    fn every_poseidon_kernel_has_a_finite_bound() {
        for backend in poseidon::Backend::supported(&Features::detect()) {
            let seconds = poseidon::Arity::ALL.map(|arity| poseidon_hash_s(backend, arity));
            assert!(
                seconds.iter().all(|seconds| *seconds > 1e-8 && *seconds < 1e-3),
                "{}: {seconds:?}",
                backend.name()
            );
            assert!(seconds[0] < seconds[3], "two elements take less than eleven");
        }
    }

    #[test]
    fn one_sector_is_bound_by_the_chain_and_many_by_the_streams() {
        let bounds = Sha256 { chain_block_s: 4.0, stream_block_s: 1.0 };
        assert_eq!(bounds.labels(10, 1)[0], ("sha256 chain", 760.0));
        assert_eq!(bounds.labels(10, 3).map(|(name, _)| name), ["sha256 chain", "sha256 streams"]);
        assert_eq!(bounds.labels(10, 16)[0], ("sha256 streams", 160.0 * (19.0 + 54.0 / 64.0)));
    }
}
