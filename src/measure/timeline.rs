//! Spans: which kind of work a phase was doing, one at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::measure::clock::Stamp;
use crate::trial::record::Span;

/// The sequence of spans of a phase. At most one span is open: entering one closes the one before.
#[derive(Debug, Default)]
pub struct Timeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<(&'static str, Stamp)>,
    closed: Vec<Span>,
}

impl Timeline {
    /// An empty timeline.
    pub fn new() -> Timeline {
        Timeline::default()
    }

    /// Closes the open span and opens this one. Entering the span that is open starts a new part of it.
    pub fn enter(&self, name: &'static str) {
        let now = Stamp::now();
        let mut state = self.lock();
        state.close(&now);
        state.open = Some((name, now));
    }

    /// Closes the open span, if there is one.
    pub fn close(&self) {
        let now = Stamp::now();
        self.lock().close(&now);
    }

    /// Adds a span that was measured elsewhere, to what there is of that name.
    pub fn add(&self, span: Span) {
        let mut state = self.lock();
        match state.closed.iter_mut().find(|known| known.name == span.name) {
            Some(known) => {
                known.wall_s += span.wall_s;
                known.cpu_s += span.cpu_s;
            }
            None => state.closed.push(span),
        }
    }

    /// The name of the open span.
    pub fn current(&self) -> Option<&'static str> {
        self.lock().open.map(|(name, _)| name)
    }

    /// Wall seconds since the open span opened.
    pub fn open_for_s(&self) -> f64 {
        self.lock().open.map_or(0.0, |(_, start)| start.until(&Stamp::now()).0)
    }

    /// Wall seconds of the closed parts of this span.
    pub fn closed_s(&self, name: &str) -> f64 {
        self.lock().closed.iter().find(|span| span.name == name).map_or(0.0, |span| span.wall_s)
    }

    /// Adds to a closed span what a reader must know of it, and the bytes it read.
    pub fn annotate(&self, name: &str, note: &str, bytes: u64) {
        if let Some(span) = self.lock().closed.iter_mut().find(|span| span.name == name) {
            span.note = Some(note.to_string());
            span.bytes = Some(bytes);
        }
    }

    /// Parts of this span that are closed.
    pub fn parts(&self, name: &str) -> usize {
        self.lock().closed.iter().find(|span| span.name == name).map_or(0, |span| span.parts.len())
    }

    /// The closed spans in the order they first opened; `parts` only where a span repeats.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.lock().closed.clone();
        spans.iter_mut().filter(|span| span.parts.len() == 1).for_each(|span| span.parts.clear());
        spans
    }

    /// A span is complete in itself, so a thread that panicked while it held the lock left nothing half-done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, now: &Stamp) {
        let Some((name, start)) = self.open.take() else { return };
        let (wall_s, cpu_s) = start.until(now);
        match self.closed.iter_mut().find(|span| span.name == name) {
            Some(span) => {
                span.wall_s += wall_s;
                span.cpu_s += cpu_s;
                span.parts.push(wall_s);
            }
            None => self.closed.push(Span {
                name: name.to_string(),
                wall_s,
                cpu_s,
                parts: vec![wall_s],
                note: None,
                bytes: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_each_other_and_repeats_add_up() {
        let timeline = Timeline::new();
        for name in ["copy", "label", "write", "label", "write"] {
            timeline.enter(name);
            assert_eq!(timeline.current(), Some(name));
        }
        timeline.close();
        timeline.close();
        let spans = timeline.spans();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["copy", "label", "write"]);
        assert_eq!(spans.iter().map(|span| span.parts.len()).collect::<Vec<_>>(), [0, 2, 2]);
        for span in &spans[1..] {
            assert!((span.parts.iter().sum::<f64>() - span.wall_s).abs() < 1e-12);
        }
        assert_eq!(timeline.parts("label"), 2);
    }
}
