//! One file: every line goes to the readers of all formats, or of the one that was asked for.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use super::benchy_log::BenchyLog;
use super::fil_proofs_log::ProofsLog;
use super::json::JsonReports;
use super::line::{self, Dialect};
use super::lines::Lines;
use super::lotus_text::LotusText;
use super::run::{Findings, Format, Run};

/// What a line must hold to be looked at; the lines of a trace rarely do.
const NEEDLES: [&str; 6] = ["seal", "benchy::", " time: ", "results (", "ommit", "STACKED["];

/// In how many of a file's first lines the time of a report is looked for.
const HEAD: u64 = 1000;

/// Reads a file to its end and gives each run away as it is found. The time is that of its first line that has one, for reports without times.
pub fn scan(
    reader: impl Read,
    file: &Arc<Path>,
    only: Option<Format>,
    mut take: impl FnMut(Run) -> anyhow::Result<()>,
) -> anyhow::Result<(Findings, Option<Timestamp>)> {
    let mut found = Findings::new(file);
    let mut readers = Readers { only, ..Readers::default() };
    let mut lines = Lines::new(reader);
    let mut first_time = None;
    while let Some((number, text)) = lines.next().with_context(|| format!("cannot read {}", file.display()))? {
        if first_time.is_none() && number <= HEAD {
            let head = text.char_indices().nth(64).map_or(&*text, |(end, _)| &text[..end]);
            first_time = line::first_stamp(head).map(|stamp| stamp.time);
        }
        readers.line(number, &text, &mut found);
        found.runs.drain(..).try_for_each(&mut take)?;
    }
    readers.benchy.end(&mut found);
    readers.proofs.end(&mut found);
    readers.json.end(&mut found);
    readers.text.end(&mut found);
    found.end();
    found.runs.drain(..).try_for_each(take)?;
    Ok((found, first_time))
}

#[derive(Default)]
struct Readers {
    only: Option<Format>,
    benchy: BenchyLog,
    proofs: ProofsLog,
    json: JsonReports,
    text: LotusText,
}

impl Readers {
    fn wants(&self, format: Format) -> bool {
        self.only.is_none_or(|only| only == format)
    }

    fn line(&mut self, number: u64, text: &str, found: &mut Findings) {
        if self.wants(Format::BenchyJson) || self.wants(Format::LotusJson) {
            self.json.line(number, text, self.only, found);
        }
        if !NEEDLES.iter().any(|needle| text.contains(needle)) {
            return;
        }
        if let Some(event) = line::event(text) {
            let as_benchy = match self.only {
                None => event.dialect == Dialect::Bracketed,
                Some(only) => only == Format::BenchyLog,
            };
            found.last = found.last.max(event.stamp.map(|stamp| stamp.time));
            if let Some(bytes) = sector_bytes(&event) {
                found.names_size(bytes);
            }
            if as_benchy {
                self.benchy.event(number, &event, found);
            } else if self.wants(Format::ProofsLog) {
                self.proofs.event(number, &event, found);
            }
        } else if self.wants(Format::LotusText) {
            self.text.line(number, text, found);
        }
    }
}

/// The size in `trying parameters memory cache for: STACKED[34359738368]`.
fn sector_bytes(event: &line::Event<'_>) -> Option<u64> {
    if event.target != "filecoin_proofs::caches" {
        return None;
    }
    let (_, rest) = event.message.split_once("STACKED[")?;
    rest.split_once(']')?.0.parse().ok()
}

#[cfg(test)]
pub mod tests {
    use super::super::lines::tests::Pieces;
    use super::super::run::{Problem, Run};
    use super::*;
    use proptest::prelude::*;

    /// What a text holds.
    #[derive(Debug, PartialEq)]
    pub struct Found {
        pub runs: Vec<Run>,
        pub sector_bytes: Option<u64>,
        pub problems: Vec<Problem>,
        pub notes: Vec<Problem>,
    }

    pub fn scan(reader: impl Read) -> Found {
        scan_as(reader, None)
    }

    fn scan_as(reader: impl Read, only: Option<Format>) -> Found {
        let mut runs = Vec::new();
        let keep = |run| {
            runs.push(run);
            Ok(())
        };
        let (found, _) = super::scan(reader, &Path::new("x.log").into(), only, keep).unwrap();
        Found { runs, sector_bytes: found.sector_bytes(), problems: found.problems, notes: found.notes }
    }

    /// Logs of every kind.
    const GOOD: [&str; 5] = [
        include_str!("../../tests/data/logs/all-phases.log"),
        include_str!("../../tests/data/logs/lotus-worker.log"),
        include_str!("../../tests/data/logs/benchy-porep.json"),
        include_str!("../../tests/data/logs/lotus-bench.txt"),
        include_str!("../../tests/data/logs/lotus-bench.json"),
    ];

    #[test]
    fn the_formats_are_told_apart_and_can_be_forced() {
        let formats = [Format::BenchyLog, Format::ProofsLog, Format::BenchyJson, Format::LotusText, Format::LotusJson];
        for (text, format) in GOOD.iter().zip(formats) {
            let found = scan(text.as_bytes());
            assert!(
                !found.runs.is_empty() && found.runs.iter().all(|run| run.format == format),
                "{format:?}: {found:?}"
            );
            assert_eq!(found.problems, [], "{format:?}");
            assert_eq!(scan_as(text.as_bytes(), Some(format)), found);
            let other = if format == Format::LotusText { Format::LotusJson } else { Format::LotusText };
            assert!(scan_as(text.as_bytes(), Some(other)).runs.is_empty());
        }
    }

    #[test]
    fn the_size_may_stand_in_another_line() {
        let text = "2026-01-02T03:00:00 INFO filecoin_proofs::api::seal > seal_pre_commit_phase2:start\n\
            2026-01-02T03:10:00 INFO filecoin_proofs::api::seal > seal_pre_commit_phase2:finish\n\
            2026-01-02T03:10:00 INFO filecoin_proofs::caches > trying parameters memory cache for: STACKED[536870912]\n";
        assert_eq!(scan(text.as_bytes()).sector_bytes, Some(512 << 20));
    }

    /// A log with some bytes changed, some lines doubled, dropped or swapped.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..12);
        (0..GOOD.len(), changes).prop_map(|(which, changes)| {
            let mut lines: Vec<Vec<u8>> = GOOD[which].lines().map(|line| [line.as_bytes(), b"\n"].concat()).collect();
            for (index, byte, kind) in changes {
                let at = index.index(lines.len());
                match kind {
                    0 => {
                        let line = &mut lines[at];
                        let place = index.index(line.len());
                        line[place] = byte;
                    }
                    1 => lines.insert(at, lines[at].clone()),
                    2 if lines.len() > 1 => drop(lines.remove(at)),
                    _ => {
                        let other = usize::from(byte) % lines.len();
                        lines.swap(at, other);
                    }
                }
            }
            lines.concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn random_bytes_and_spoilt_logs_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), log in mutated()) {
            scan(bytes.as_slice());
            let found = scan(log.as_slice());
            prop_assert!(found.runs.iter().flat_map(|run| &run.phases).all(|phase| phase.wall_s >= 0.0 && phase.wall_s.is_finite()));
        }

        #[test]
        fn a_log_that_comes_in_pieces_is_the_same_log(log in mutated(), lengths in proptest::collection::vec(1usize..300, 1..5)) {
            let whole = scan(log.as_slice());
            prop_assert_eq!(scan(Pieces { bytes: &log, lengths, turn: 0 }), whole);
        }
    }
}
