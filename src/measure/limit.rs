//! Physical limits: what the fastest possible implementation would take on this machine, measured here.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sealbench_kernels::cpu::Features;
use sealbench_kernels::sha256::{Backend, INITIAL_STATE, Schedule, rounds_chain};

/// SHA-256 blocks of a label that wait for the label before it (PoRep API 1.1 and later).
///
/// The message has 20 blocks: block 0 is the replica id (32 bytes) with layer and node (32 bytes, zero-extended); 37 parents
/// of 32 bytes fill 18.5 more, and the padding the rest of the last. Block 0 depends on no label. From API 1.1 on the first
/// parent is the node before, so block 1 waits for its label, and the blocks after it wait in turn.
pub const DEPENDENT_BLOCKS_PER_LABEL: u64 = 19;

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

/// The fastest SHA-256 of this CPU.
pub fn best_backend() -> Backend {
    Backend::supported(&Features::detect()).next().expect("the portable backend always runs")
}

/// The least seconds in which one core can make `labels` labels one after the other, given [`sha256_chain_block_s`].
pub fn label_chain(labels: u64, block_s: f64) -> f64 {
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
            let block_s = sha256_chain_block_s(backend);
            assert!(block_s > 0.0 && block_s.is_finite(), "{}: {block_s} s", backend.name());
        }
    }
}
