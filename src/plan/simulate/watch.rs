//! Levels over time: their mean and their peak.

/// A number that changes, watched.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    now: u64,
    peak: u64,
    area: f64,
    since: u64,
}

impl Watched {
    /// Adds to it at a time.
    pub fn add(&mut self, at: u64, amount: u64) {
        self.advance(at);
        self.now += amount;
        self.peak = self.peak.max(self.now);
    }

    /// Takes from it at a time.
    pub fn take(&mut self, at: u64, amount: u64) {
        self.advance(at);
        self.now -= amount;
    }

    fn advance(&mut self, at: u64) {
        self.area += self.now as f64 * (at - self.since) as f64;
        self.since = at;
    }

    /// Forgets what was before a time.
    pub fn restart(&mut self, at: u64) {
        *self = Watched { now: self.now, peak: self.now, area: 0.0, since: at };
    }

    /// Its mean up to a time, over so long.
    pub fn mean(&self, at: u64, over: u64) -> f64 {
        let area = self.area + self.now as f64 * (at - self.since) as f64;
        if over == 0 { self.now as f64 } else { area / over as f64 }
    }

    /// Its highest value.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Its value.
    pub fn now(&self) -> u64 {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_over_time() {
        let mut level = Watched::default();
        level.add(10, 4);
        level.take(20, 3);
        assert_eq!((level.mean(30, 30), level.peak(), level.now()), ((4.0 * 10.0 + 1.0 * 10.0) / 30.0, 4, 1));
        level.restart(30);
        assert_eq!((level.mean(40, 10), level.peak()), (1.0, 1));
    }
}
