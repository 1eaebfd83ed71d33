//! The measuring clocks, and what using them costs.

use std::time::{Duration, Instant};

use crate::host::sys;
use crate::measure::stats::median;
use crate::measure::timeline::Timeline;
use crate::trial::record::Timer;

/// One reading of both clocks: monotonic time and CPU time of all threads of this process.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    wall: Instant,
    cpu: Duration,
}

impl Stamp {
    /// Reads the clocks.
    pub fn now() -> Stamp {
        Stamp { wall: Instant::now(), cpu: sys::process_cpu_time() }
    }

    /// Wall and CPU seconds from this reading to a later one.
    pub fn until(&self, later: &Stamp) -> (f64, f64) {
        (later.wall.duration_since(self.wall).as_secs_f64(), later.cpu.saturating_sub(self.cpu).as_secs_f64())
    }
}

const ROUNDS: usize = 301;

/// Measures the monotonic clock's precision, the cost of reading it, and the cost of a span. Takes about a millisecond.
pub fn calibrate() -> Timer {
    let precision = (0..ROUNDS).map(|_| smallest_step()).fold(f64::INFINITY, f64::min);
    let read = sample(|| {
        std::hint::black_box(Instant::now());
    });
    let timeline = Timeline::new();
    let span = sample(|| timeline.enter("calibration"));
    Timer { precision_ns: precision, read_ns: read, span_ns: span }
}

fn smallest_step() -> f64 {
    let start = Instant::now();
    loop {
        let step = start.elapsed();
        if !step.is_zero() {
            return step.as_secs_f64() * 1e9;
        }
    }
}

fn sample(mut operation: impl FnMut()) -> f64 {
    const BATCH: u32 = 8;
    let nanoseconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| operation());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
        })
        .collect();
    median(&nanoseconds).expect("there are samples")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_knows_its_own_cost() {
        let timer = calibrate();
        assert!(timer.precision_ns > 0.0 && timer.precision_ns.is_finite());
        assert!(timer.read_ns > 0.0 && timer.span_ns > timer.read_ns, "{timer:?}");
    }

    #[test]
    fn cpu_time_advances_with_work_and_not_with_sleep() {
        let start = Stamp::now();
        std::thread::sleep(Duration::from_millis(30));
        let slept = Stamp::now();
        let mut x = 1u64;
        while slept.wall.elapsed() < Duration::from_millis(30) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let worked = Stamp::now();
        let (wall, _) = start.until(&slept);
        assert!(wall >= 0.03);
        assert!(slept.until(&worked).1 > 0.0);
    }
}
