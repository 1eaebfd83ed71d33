//! Runs on disk: a log may hold any number of them, and each takes memory only while something is asked of it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use anyhow::Context;

use super::run::Run;

/// How much is written at once, bytes.
const BUFFER: usize = 256 << 10;

/// Runs in a file that has no name and is gone when the program is.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// What is in the file, bytes.
    written: u64,
    /// What comes after it.
    tail: Vec<u8>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    at: u64,
    length: u32,
}

impl Spool {
    /// Without runs.
    pub fn new() -> anyhow::Result<Spool> {
        let file = tempfile::tempfile().with_context(trouble)?;
        Ok(Spool { file, written: 0, tail: Vec::with_capacity(BUFFER) })
    }

    /// Keeps a run.
    pub fn add(&mut self, run: &Run) -> anyhow::Result<Place> {
        if self.tail.len() >= BUFFER {
            self.file.write_all(&self.tail).with_context(trouble)?;
            self.written += self.tail.len() as u64;
            self.tail.clear();
        }
        let start = self.tail.len();
        bincode::serialize_into(&mut self.tail, run).with_context(trouble)?;
        Ok(Place { at: self.written + start as u64, length: (self.tail.len() - start) as u32 })
    }

    /// The run in a place.
    pub fn read(&self, place: Place) -> anyhow::Result<Run> {
        let Place { at, length } = place;
        if let Some(start) = at.checked_sub(self.written) {
            return bincode::deserialize(&self.tail[start as usize..]).with_context(trouble);
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at).with_context(trouble)?;
        bincode::deserialize(&bytes).with_context(trouble)
    }
}

fn trouble() -> String {
    let place = std::env::temp_dir();
    format!("cannot keep the runs of the logs in {}: free space there, or set TMPDIR to another place", place.display())
}

#[cfg(test)]
mod tests {
    use super::super::run::{Format, Machine, PhaseTime};
    use super::*;
    use crate::phase::Phase;
    use crate::trial::record::{Finding, Severity};

    #[test]
    fn runs_come_back_as_they_were_from_the_file_and_from_what_is_not_written_yet() {
        let mut spool = Spool::new().unwrap();
        let run = |number: u64| Run {
            sector: Some(number),
            thread: Some("7".to_string()),
            machine: Some(Box::new(Machine { cores: Some(64), ..Machine::default() })),
            phases: vec![PhaseTime {
                phase: Phase::P2,
                begun: Some("2020-07-19T02:35:20.123456789Z".parse().unwrap()),
                wall_s: 0.1 + number as f64,
                cpu_s: None,
                repeat: 0,
                lines: (number, number + 1),
            }],
            findings: vec![Finding::new("params-read", Severity::Info, "x".repeat(300))],
            ..Run::new(Format::BenchyLog)
        };
        let places: Vec<Place> = (0..2000).map(|number| spool.add(&run(number)).unwrap()).collect();
        assert!(spool.written > 0 && !spool.tail.is_empty());
        for (number, place) in (0..).zip(places) {
            assert_eq!(spool.read(place).unwrap(), run(number));
        }
    }
}
