//! The calendar: events in the order of their time, those of one time in the order in which they were entered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A sector is to be sealed.
    Arrival,
    /// An instance has done its job, unless the job was stopped since.
    Done {
        /// The instance.
        instance: u32,
        /// Which of its jobs.
        job: u32,
    },
    /// A sector's seed is there.
    Seed(u32),
    /// c1 of a sector is done that ran while p2 of another one stood still.
    Vanilla(u32),
    /// A finished sector is on the shared storage.
    Moved(u32),
    /// A machine fails.
    Down(u32),
    /// A machine is back.
    Up(u32),
    /// Figures are counted from now on.
    Steady,
}

/// The events to come.
#[derive(Debug, Default)]
pub struct Calendar {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    entered: u64,
}

impl Calendar {
    /// Enters an event, nanoseconds from the start.
    pub fn enter(&mut self, at: u64, event: Event) {
        self.heap.push(Reverse((at, self.entered, event)));
        self.entered += 1;
    }

    /// Takes the next event.
    pub fn next(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }

    /// How many were entered.
    pub fn entered(&self) -> u64 {
        self.entered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_time_come_as_they_were_entered() {
        let mut calendar = Calendar::default();
        for (at, event) in [(5, Event::Steady), (3, Event::Up(1)), (5, Event::Arrival), (3, Event::Down(0))] {
            calendar.enter(at, event);
        }
        let order: Vec<(u64, Event)> = std::iter::from_fn(|| calendar.next()).collect();
        assert_eq!(order, [(3, Event::Up(1)), (3, Event::Down(0)), (5, Event::Steady), (5, Event::Arrival)]);
    }
}
