//! Remaining time from measured progress.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Span of time over which the rate is taken: long enough to even out bursts, short enough to follow a change of kind of work.
const WINDOW: Duration = Duration::from_secs(60);

/// Estimates the remaining time of a piece of work from the rate at which its units were finished lately.
#[derive(Debug, Default)]
pub struct Eta {
    samples: VecDeque<(Instant, u64)>,
}

impl Eta {
    /// Notes that `done` units were finished at `now`; `done` never shrinks within one piece of work.
    pub fn observe(&mut self, now: Instant, done: u64) {
        if self.samples.back().is_some_and(|&(_, last)| done < last) {
            self.samples.clear();
        }
        self.samples.push_back((now, done));
        while self.samples.len() > 2 && now.duration_since(self.samples[0].0) > WINDOW {
            self.samples.pop_front();
        }
    }

    /// Time until `total` units are done; `None` until a rate is known.
    pub fn remaining(&self, total: u64) -> Option<Duration> {
        let (&(first, from), &(last, done)) = (self.samples.front()?, self.samples.back()?);
        let elapsed = last.duration_since(first).as_secs_f64();
        if done <= from || elapsed <= 0.0 {
            return None;
        }
        let rate = (done - from) as f64 / elapsed;
        Duration::try_from_secs_f64(total.saturating_sub(done) as f64 / rate).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_the_last_minute_counts() {
        let start = Instant::now();
        let mut eta = Eta::default();
        assert_eq!(eta.remaining(100), None);
        for second in 0..=200u64 {
            let done = if second <= 100 { second } else { 100 + 2 * (second - 100) };
            eta.observe(start + Duration::from_secs(second), done);
        }
        let remaining = eta.remaining(400).unwrap().as_secs_f64();
        assert!((remaining - 50.0).abs() < 0.01, "{remaining}");
    }

    #[test]
    fn no_rate_without_progress_and_none_left_at_the_end() {
        let start = Instant::now();
        let mut eta = Eta::default();
        eta.observe(start, 5);
        eta.observe(start + Duration::from_secs(9), 5);
        assert_eq!(eta.remaining(10), None);
        eta.observe(start + Duration::from_secs(10), 10);
        assert_eq!(eta.remaining(10), Some(Duration::ZERO));
    }
}
