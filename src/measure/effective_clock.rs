//! The clock that a core really runs at, from the time of a chain of additions that takes one cycle each. Needs no counters, so it works
//! in virtual machines too; what a hypervisor takes away looks like a slower clock.

use std::hint::black_box;
use std::time::Instant;

use sealbench_kernels::chain;

/// Pairs of additions of one try: 50 us at 4 GHz, thousands of times the clock's resolution and shorter than most interruptions.
const PAIRS: u64 = 100_000;

/// Tries, about a millisecond in all.
const TRIES: u32 = 20;

/// MHz of the core that the calling thread runs on. The fastest of the tries counts: nothing makes a core faster than its clock.
pub fn mhz() -> f64 {
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        black_box(chain::additions(black_box(PAIRS), black_box(1), black_box(2)));
        start.elapsed().as_secs_f64()
    });
    2.0 * PAIRS as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_one_of_a_processor_and_steady() {
        let clocks: Vec<f64> = (0..20).map(|_| mhz()).collect();
        let fastest = clocks.iter().copied().fold(0.0, f64::max);
        assert!((500.0..10_000.0).contains(&fastest), "{clocks:?}");
        let near = clocks.iter().filter(|&&clock| clock > 0.9 * fastest).count();
        assert!(near >= 10, "{clocks:?}");
    }
}
