//! The text that lotus-bench prints: the block after `results (v28) SectorSize:(N), SectorNumber:(M)` and the lines of `simple`.

use super::line::duration;
use super::run::{Findings, Format, PhaseTime, Run};
use crate::phase::Phase;
use crate::sector::SectorSize;
use crate::trial::record::{Finding, Severity};

/// Most sectors a block may claim to sum up.
const MAX_SECTORS: u64 = 1 << 20;

/// Reads the text line by line.
#[derive(Debug)]
pub struct LotusText {
    run: Option<Run>,
    /// Sectors that the block's figures are the sum of.
    sectors: u64,
}

impl Default for LotusText {
    fn default() -> LotusText {
        LotusText { run: None, sectors: 1 }
    }
}

impl LotusText {
    /// Takes a line; indented and quoted ones too, as in the results that people publish.
    pub fn line(&mut self, number: u64, text: &str, found: &mut Findings) {
        let text = text.trim_start_matches(['>', ' ', '\t']);
        if let Some((bytes, sectors)) = header(text) {
            self.end_run(found);
            found.recognised += 1;
            self.sectors = sectors.clamp(1, MAX_SECTORS);
            self.run = Some(self.block(bytes));
        } else if let Some((name, took)) = text.strip_prefix("seal: ").and_then(|rest| rest.split_once(": ")) {
            self.block_line(name, took, number, found);
        } else if let Some((phase, took)) = simple(text) {
            found.recognised += 1;
            if self.run.as_ref().is_some_and(|run| run.phases.iter().any(|done| done.phase >= phase)) {
                self.end_run(found);
            }
            let run = self.run.get_or_insert_with(|| Run::new(Format::LotusText));
            run.sector_bytes = run.sector_bytes.or_else(|| size_of(took));
            keep(run, phase, took, 1, number);
        }
    }

    /// The end of the file.
    pub fn end(mut self, found: &mut Findings) {
        self.end_run(found);
    }

    fn end_run(&mut self, found: &mut Findings) {
        if let Some(run) = self.run.take() {
            found.run(run);
        }
        self.sectors = 1;
    }

    fn block(&self, bytes: Option<u64>) -> Run {
        let mut run = Run { sector_bytes: bytes, ..Run::new(Format::LotusText) };
        if self.sectors > 1 {
            let text =
                format!("the times are the sums of {} sectors, divided: their spread is not in the text", self.sectors);
            run.findings.push(Finding::new("mean-of-sectors", Severity::Warning, text));
        }
        run
    }

    fn block_line(&mut self, name: &str, took: &str, number: u64, found: &mut Findings) {
        let phase = match name {
            "preCommit phase 1" => Phase::P1,
            "preCommit phase 2" => Phase::P2,
            "commit phase 1" => Phase::C1,
            "commit phase 2" => Phase::P4,
            // Versions of 2019 and early 2020.
            "preCommit" | "commit" => {
                found.recognised += 1;
                found.note(number, format!("'{name}' is two phases in one time: left out"));
                return;
            }
            _ => return,
        };
        found.recognised += 1;
        let run = self.run.get_or_insert_with(|| Run::new(Format::LotusText));
        keep(run, phase, took, self.sectors, number);
    }
}

/// Sector size and number of sectors in a block's first line, in any version: `results (134217728)`, `results (v25) (34359738368)`,
/// `results (v28) SectorSize:(34359738368), SectorNumber:(2)`.
fn header(text: &str) -> Option<(Option<u64>, u64)> {
    let mut groups = text.strip_prefix("results (")?.split('(').filter_map(|group| group.split(')').next());
    let mut numbers = groups.by_ref().filter_map(|group| group.parse::<u64>().ok());
    Some((numbers.next(), numbers.next().unwrap_or(1)))
}

/// `PreCommit1 3h10m38.9s (2.865 MiB/s)`.
fn simple(text: &str) -> Option<(Phase, &str)> {
    let (name, took) = text.split_once(' ')?;
    let phase = match name {
        "PreCommit1" => Phase::P1,
        "PreCommit2" => Phase::P2,
        "Commit1" => Phase::C1,
        "Commit2" => Phase::P4,
        _ => return None,
    };
    duration(took.split(' ').next()?).map(|_| (phase, took))
}

/// Keeps a phase unless it took no time: lotus-bench prints 0s for what it skipped.
fn keep(run: &mut Run, phase: Phase, took: &str, sectors: u64, line: u64) {
    let Some(seconds) = took.split(' ').next().and_then(duration).filter(|&seconds| seconds > 0.0) else { return };
    if run.phases.iter().any(|done| done.phase == phase) {
        return;
    }
    if phase == Phase::P4 {
        run.findings.push(lotus_commit2());
    }
    let wall_s = seconds / sectors as f64;
    run.phases.push(PhaseTime { phase, begun: None, wall_s, cpu_s: None, repeat: 0, lines: (line, line) });
}

/// lotus-bench times a call that reads the parameters.
pub fn lotus_commit2() -> Finding {
    let text = "lotus-bench's commit phase 2 includes reading the parameters (the first time) and verifying the proof";
    Finding::new("params-included", Severity::Warning, text)
}

/// The sector size that fits `3h10m38.9s (2.865 MiB/s)`: lotus prints the rate to four digits.
fn size_of(took: &str) -> Option<u64> {
    let (time, rate) = took.split_once(" (")?;
    let (amount, unit) = rate.split_once("/s)")?.0.split_once(' ')?;
    let unit = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    let bytes = duration(time)? * amount.parse::<f64>().ok()? * f64::from(unit).exp2();
    SectorSize::ALL.into_iter().map(SectorSize::bytes).find(|&size| (bytes / size as f64 - 1.0).abs() < 0.01)
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::scan;
    use super::*;

    /// A run's sector size and the times of its phases.
    type Times = (Option<u64>, Vec<(Phase, f64)>);

    fn times(text: &str) -> Vec<Times> {
        let phases = |run: &Run| run.phases.iter().map(|p| (p.phase, p.wall_s)).collect();
        scan(text.as_bytes()).runs.iter().map(|run| (run.sector_bytes, phases(run))).collect()
    }

    #[test]
    fn blocks_of_all_versions() {
        let body = "seal: addPiece: 1m19.8s (410.3 MiB/s)\nseal: preCommit phase 1: 2h48m36.5s (3.239 MiB/s)\n\
            seal: commit phase 1: 428.5ms (74.71 GiB/s)\nseal: commit phase 2: 0s (+Inf YiB/s)\nseal: verify: 12.7ms\n";
        for (header, size) in [
            ("results (134217728)", 128 << 20),
            ("results (v25) (34359738368)", 32 << 30),
            ("> results (v28) (34359738368)", 32 << 30),
            ("    results (v28) SectorSize:(34359738368), SectorNumber:(1)", 32u64 << 30),
        ] {
            let expected = vec![(Some(size), vec![(Phase::P1, 10116.5), (Phase::C1, 0.4285)])];
            assert_eq!(times(&format!("----\n{header}\n{body}")), expected, "{header}");
        }
    }

    #[test]
    fn sums_over_sectors_are_divided_and_say_so() {
        let text =
            "results (v28) SectorSize:(536870912), SectorNumber:(4)\nseal: preCommit phase 2: 40s (51.2 MiB/s)\n";
        let found = scan(text.as_bytes());
        assert_eq!(found.runs[0].phases[0].wall_s, 10.0);
        assert_eq!(found.runs[0].findings[0].code, "mean-of-sectors");
    }

    #[test]
    fn lines_of_simple_tell_their_sector_size_by_the_rate() {
        let text = "PreCommit1 3h10m38.9s (2.865 MiB/s)\nAAAA==\nPreCommit2 11.748902504s (2.723 GiB/s)\nPreCommit1 1s (8 MiB/s)\n";
        let expected = [
            (Some(32 << 30), vec![(Phase::P1, 11438.9), (Phase::P2, 11.748902504)]),
            (Some(8 << 20), vec![(Phase::P1, 1.0)]),
        ];
        assert_eq!(times(text), expected);
    }

    #[test]
    fn two_phases_in_one_time_are_left_out() {
        let found =
            scan("results (1073741824)\nseal: preCommit: 5m0s (3.4 MiB/s)\nseal: commit: 1m0s (17 MiB/s)\n".as_bytes());
        assert_eq!((found.runs.len(), found.notes.len()), (0, 2));
    }
}
