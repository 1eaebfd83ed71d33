//! Today's logs: the lines of rust-fil-proofs, also behind the prefixes of lotus, curio and the system's journal.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::benchy_log::{backwards, includes_params, params_read, twice, without_start};
use super::line::{Edge, Event, Stamp, Step, duration, groth_params, phase_of, step};
use super::run::{Findings, Format, PhaseTime, Run, seconds};
use crate::phase::Phase;
use crate::trial::record::{Finding, Severity};

/// Phases that may be under way at once; a log with more is no log.
const MAX_OPEN: usize = 4096;

/// What runs c2 without the check of its proof, alone or inside seal_commit_phase2.
const CIRCUIT_PROOFS: &str = "seal_commit_phase2_circuit_proofs";

/// What tells executions apart that are under way at the same time.
type Which = (Option<String>, Phase, Option<u64>);

/// An execution that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    time: Timestamp,
    line: u64,
    /// The function that began it.
    circuit_proofs: bool,
    /// When p4's parameters were in memory.
    params: Option<Timestamp>,
    /// Sum of the prover's own times, and how many of each of its two lines were seen.
    prover_s: f64,
    prover_lines: [u32; 2],
    /// Another execution was under way at some time.
    beside: bool,
    /// How many are under way that cannot be told from each other; the ends of more than one say nothing.
    under_way: u32,
    twice: bool,
}

/// Reads the log line by line.
#[derive(Debug, Default)]
pub struct ProofsLog {
    open: BTreeMap<Which, Open>,
    /// Executions one after the other, of one sector.
    run: Option<Run>,
}

impl ProofsLog {
    /// Takes a line's event.
    pub fn event(&mut self, line: u64, event: &Event<'_>, found: &mut Findings) {
        if event.target.starts_with("bellperson::groth16") {
            return self.prover(event);
        }
        if !event.target.starts_with("filecoin_proofs::api") {
            return;
        }
        if let (Some(bytes), Some(stamp)) = (groth_params(event.message.trim_end()), event.stamp) {
            found.names_size(bytes);
            return self.params(event, stamp);
        }
        let Some((step, phase)) = step(event.message).and_then(|step| Some((step, phase(&step)?))) else { return };
        found.recognised += 1;
        let Some(stamp) = event.stamp else {
            found.problem(line, format!("'{}' has no time before it that can be read", step.name));
            return;
        };
        let which = (event.process.map(str::to_string), phase, step.sector);
        match step.edge {
            Edge::Start => self.start(which, &step, stamp, line, found),
            Edge::Finish => self.finish(which, &step, stamp, line, found),
        }
    }

    /// The end of the file: what is open is unfinished, or has lost its end.
    pub fn end(mut self, found: &mut Findings) {
        self.flush(found);
        for ((_, phase, sector), open) in self.open.into_iter().filter(|(_, open)| !open.twice) {
            let which = sector.map_or_else(String::new, |sector| format!(" of sector {sector}"));
            found.unended(open.line, phase, &which, open.time);
        }
    }

    fn flush(&mut self, found: &mut Findings) {
        if let Some(run) = self.run.take() {
            found.run(run);
        }
    }

    fn start(&mut self, which: Which, step: &Step<'_>, stamp: Stamp, line: u64, found: &mut Findings) {
        let circuit_proofs = step.name == CIRCUIT_PROOFS;
        let phase = which.1;
        if let Some(open) = self.open.get_mut(&which) {
            // seal_commit_phase2 calls it.
            if circuit_proofs && !open.circuit_proofs {
                return;
            }
            found.problem(line, twice(phase, open.line));
            (open.under_way, open.twice) = (open.under_way + 1, true);
            return;
        }
        if self.open.len() >= MAX_OPEN {
            found.problem(line, format!("more than {MAX_OPEN} phases are under way at once"));
            return;
        }
        let beside = !self.open.is_empty();
        for open in self.open.values_mut() {
            open.beside = true;
        }
        let open = Open {
            time: stamp.time,
            line,
            circuit_proofs,
            params: None,
            prover_s: 0.0,
            prover_lines: [0; 2],
            beside,
            under_way: 1,
            twice: false,
        };
        self.open.insert(which, open);
    }

    fn finish(&mut self, which: Which, step: &Step<'_>, stamp: Stamp, line: u64, found: &mut Findings) {
        let phase = which.1;
        let circuit_proofs = step.name == CIRCUIT_PROOFS;
        let Some(open) = self.open.get_mut(&which) else {
            if !circuit_proofs {
                found.problem(line, without_start(phase));
            }
            return;
        };
        if circuit_proofs && !open.circuit_proofs {
            return;
        }
        open.under_way -= 1;
        if open.under_way > 0 {
            return;
        }
        let Some(open) = self.open.remove(&which).filter(|open| !open.twice) else { return };
        if stamp.time < open.time {
            found.problem(line, backwards(phase, open.line));
            return;
        }
        self.keep(which, open, stamp, line, found);
    }

    fn keep(&mut self, which: Which, open: Open, stamp: Stamp, line: u64, found: &mut Findings) {
        let (process, phase, sector) = which;
        let mut findings = Vec::new();
        let (begun, wall_s) = if phase == Phase::P4 {
            p4(&open, stamp, &mut findings)
        } else {
            (open.time, seconds(open.time, stamp.time))
        };
        let lines = (open.line, line);
        let done = PhaseTime { phase, begun: Some(begun), wall_s, cpu_s: None, repeat: 0, lines };
        let joins = self.run.as_ref().is_some_and(|run| !open.beside && follows(run, &done, &process, sector));
        if !joins {
            self.flush(found);
        }
        let run = self.run.get_or_insert_with(|| Run { process, sector, ..Run::new(Format::ProofsLog) });
        run.sector = run.sector.or(sector);
        run.precision_of(stamp);
        run.phases.push(done);
        run.findings.append(&mut findings);
        if open.beside {
            self.flush(found);
        }
    }

    /// The only p4 of a process that is under way.
    fn only_p4(&mut self, process: Option<&str>) -> Option<&mut Open> {
        let is_p4 = |which: &Which| which.1 == Phase::P4 && which.0.as_deref() == process;
        let mut all = self.open.iter_mut().filter(|(which, _)| is_p4(which));
        let one = all.next()?.1;
        all.next().is_none().then_some(one)
    }

    fn params(&mut self, event: &Event<'_>, stamp: Stamp) {
        if let Some(open) = self.only_p4(event.process) {
            open.params.get_or_insert(stamp.time);
        }
    }

    /// `synthesis time: 12.3s` and `prover time: 45.6s`, of each batch of partitions.
    fn prover(&mut self, event: &Event<'_>) {
        let Some((name, took)) = event.message.split_once(" time: ") else { return };
        let place = match name {
            "synthesis" => 0,
            "prover" => 1,
            _ => return,
        };
        if let (Some(seconds), Some(open)) = (duration(took), self.only_p4(event.process)) {
            open.prover_s += seconds;
            open.prover_lines[place] += 1;
        }
    }
}

fn phase(step: &Step<'_>) -> Option<Phase> {
    if step.name == CIRCUIT_PROOFS { Some(Phase::P4) } else { phase_of(step.name) }
}

/// Whether an execution belongs to a run: the same sector's next phase, after the one before.
fn follows(run: &Run, next: &PhaseTime, process: &Option<String>, sector: Option<u64>) -> bool {
    let same_sector = run.sector.is_none() || sector.is_none() || run.sector == sector;
    let after = run.phases.last().is_some_and(|last| {
        let end = last.begun.and_then(|begun| begun.checked_add(SignedDuration::from_secs_f64(last.wall_s)).ok());
        last.phase < next.phase && end.zip(next.begun).is_some_and(|(end, begun)| begun >= end)
    });
    same_sector && run.process == *process && after
}

/// When p4 proper began and how long it took: from the parameters on if the log says when they were there, else the prover's own times, else
/// all of it.
fn p4(open: &Open, stamp: Stamp, findings: &mut Vec<Finding>) -> (Timestamp, f64) {
    if let Some(begun) = open.params.filter(|begun| *begun <= stamp.time) {
        findings.push(Finding::new("params-read", Severity::Info, params_read(seconds(open.time, begun))));
        return (begun, seconds(begun, stamp.time));
    }
    let [synthesis, prover] = open.prover_lines;
    let window_s = seconds(open.time, stamp.time);
    // The clock's step is what both moments may be off.
    let fits = open.prover_s <= window_s + stamp.step_ns() / 1e9;
    if synthesis > 0 && synthesis == prover && fits {
        let text = "p4 is the prover's synthesis time and prover time: the log does not say when the parameters were in memory";
        findings.push(Finding::new("prover-times", Severity::Info, text));
        let begun = stamp.time.checked_sub(SignedDuration::from_secs_f64(open.prover_s)).unwrap_or(open.time);
        return (begun.max(open.time), open.prover_s);
    }
    if !fits {
        let text = format!(
            "the prover's own times add up to {} s, more than the {window_s} s between start and finish: they are of several proofs and \
             not taken",
            open.prover_s
        );
        findings.push(Finding::new("prover-times-too-long", Severity::Warning, text));
    }
    findings.push(includes_params());
    (open.time, window_s)
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::{Found, scan};
    use super::*;

    fn line(time: &str, what: &str) -> String {
        format!("2026-01-02T{time} INFO filecoin_proofs::api::seal > {what}\n")
    }

    fn found(lines: &[String]) -> Found {
        scan(lines.concat().as_bytes())
    }

    fn times(found: &Found) -> Vec<Vec<(Phase, f64)>> {
        found.runs.iter().map(|run| run.phases.iter().map(|p| (p.phase, p.wall_s)).collect()).collect()
    }

    #[test]
    fn phases_one_after_the_other_are_one_run() {
        let prover =
            |time: &str, what: &str| format!("2026-01-02T{time} INFO bellperson::groth16::prover::native > {what}\n");
        let found = found(&[
            line("03:00:00.000", "seal_pre_commit_phase1:start: SectorId(5)"),
            line("06:00:00.500", "seal_pre_commit_phase1:finish: SectorId(5)"),
            line("06:00:01.000", "seal_pre_commit_phase2:start"),
            line("06:10:01.000", "seal_pre_commit_phase2:finish"),
            line("06:11:00.000", "seal_commit_phase1:start: SectorId(5)"),
            line("06:11:00.250", "seal_commit_phase1:finish: SectorId(5)"),
            line("06:12:00.000", "seal_commit_phase2:start: SectorId(5)"),
            line("06:12:00.001", "seal_commit_phase2_circuit_proofs:start: SectorId(5)"),
            prover("06:20:00.000", "synthesis time: 100.5s"),
            prover("06:30:00.000", "prover time: 300.25s"),
            line("06:30:00.001", "seal_commit_phase2_circuit_proofs:finish: SectorId(5)"),
            line("06:30:00.100", "seal_commit_phase2:finish: SectorId(5)"),
        ]);
        let expected = vec![vec![(Phase::P1, 10800.5), (Phase::P2, 600.0), (Phase::C1, 0.25), (Phase::P4, 400.75)]];
        assert_eq!(times(&found), expected);
        let run = &found.runs[0];
        assert_eq!((run.sector, run.precision_ns, run.findings[0].code.as_str()), (Some(5), 1e6, "prover-times"));
        assert_eq!(run.phases[3].begun.unwrap().to_string(), "2026-01-02T06:23:19.35Z");
    }

    #[test]
    fn p4_begins_when_its_parameters_are_in_memory_or_says_that_it_does_not() {
        let start = line("01:00:00.000", "seal_commit_phase2:start: SectorId(1)");
        let finish = line("01:10:00.000", "seal_commit_phase2:finish: SectorId(1)");
        let params = line("01:04:00.000", "got groth params (34359738368) while sealing");
        let traced = found(&[start.clone(), params, finish.clone()]);
        assert_eq!((times(&traced), traced.sector_bytes), (vec![vec![(Phase::P4, 360.0)]], Some(32 << 30)));
        let plain = found(&[start, finish]);
        assert_eq!(
            (times(&plain), plain.runs[0].findings[0].code.as_str()),
            (vec![vec![(Phase::P4, 600.0)]], "params-included")
        );
        let curio = found(&[
            line("01:00:00.000", "seal_commit_phase2_circuit_proofs:start: SectorId(1)"),
            line("01:10:00.000", "seal_commit_phase2_circuit_proofs:finish: SectorId(1)"),
        ]);
        assert_eq!(times(&curio), vec![vec![(Phase::P4, 600.0)]]);
    }

    #[test]
    fn prover_times_that_are_longer_than_the_proof_are_not_its_own() {
        let prover = |what: &str| format!("2026-01-02T01:05:00.000 INFO bellperson::groth16::prover > {what}\n");
        let took = |synthesis: &str, time: &str| {
            found(&[
                line("01:00:00.000", "seal_commit_phase2:start: SectorId(1)"),
                prover(&format!("synthesis time: {synthesis}")),
                prover("prover time: 300s"),
                line(time, "seal_commit_phase2:finish: SectorId(1)"),
            ])
        };
        let long = took("300.5s", "01:10:00.000");
        assert_eq!(times(&long), vec![vec![(Phase::P4, 600.0)]], "from start to finish");
        let codes: Vec<&str> = long.runs[0].findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["prover-times-too-long", "params-included"]);
        assert!(long.runs[0].findings[0].text.contains("600.5 s, more than the 600 s"));
        let whole = took("300.5s", "01:10:00.500");
        assert_eq!(
            (times(&whole), whole.runs[0].findings[0].code.as_str()),
            (vec![vec![(Phase::P4, 600.5)]], "prover-times")
        );
    }

    #[test]
    fn sectors_at_once_are_runs_of_their_own() {
        let found = found(&[
            line("01:00:00.000", "seal_pre_commit_phase1:start: SectorId(1)"),
            line("01:30:00.000", "seal_pre_commit_phase1:start: SectorId(2)"),
            line("02:00:00.000", "seal_pre_commit_phase1:finish: SectorId(1)"),
            line("02:00:10.000", "seal_pre_commit_phase2:start"),
            line("02:30:00.000", "seal_pre_commit_phase1:finish: SectorId(2)"),
            line("02:30:10.000", "seal_pre_commit_phase2:finish"),
            line("03:00:00.000", "seal_commit_phase1:start: SectorId(9)"),
        ]);
        let expected = vec![vec![(Phase::P1, 3600.0)], vec![(Phase::P1, 3600.0)], vec![(Phase::P2, 1800.0)]];
        assert_eq!(times(&found), expected);
        assert_eq!((found.notes.len(), found.problems.len()), (1, 0));
    }

    #[test]
    fn what_cannot_be_told_apart_is_a_mistake_and_does_not_count() {
        let found = found(&[
            line("00:30:00.000", "seal_commit_phase1:finish: SectorId(3)"),
            line("01:00:00.000", "seal_pre_commit_phase2:start"),
            line("01:01:00.000", "seal_pre_commit_phase2:start"),
            line("01:30:00.000", "seal_pre_commit_phase2:finish"),
            line("01:31:00.000", "seal_pre_commit_phase2:finish"),
            line("02:00:00.000", "seal_pre_commit_phase2:start"),
            line("02:01:00.000", "seal_pre_commit_phase2:finish"),
        ]);
        let lines: Vec<u64> = found.problems.iter().map(|problem| problem.line).collect();
        assert_eq!((lines, times(&found)), (vec![1, 3], vec![vec![(Phase::P2, 60.0)]]));
    }

    #[test]
    fn an_end_that_is_long_overdue_is_missing() {
        let p1 = |time: &str, edge: &str, sector: u32| {
            line(time, &format!("seal_pre_commit_phase1:{edge}: SectorId({sector})"))
        };
        let lines = |last: &str| {
            found(&[
                p1("01:00:00.000", "start", 1),
                p1("01:00:00.000", "start", 2),
                p1("02:00:00.000", "finish", 2),
                p1("02:00:00.000", "start", 3),
                p1("02:50:00.000", "finish", 3),
                p1("02:50:00.000", "start", 4),
                p1(last, "finish", 4),
            ])
        };
        let late = lines("02:59:00.000");
        assert_eq!((late.runs.len(), late.notes.len(), late.problems.len()), (3, 1, 0), "it may still be under way");
        let missing = lines("03:00:01.000");
        assert_eq!((missing.runs.len(), missing.notes.len(), missing.problems[0].line), (3, 0, 1));
        assert!(missing.problems[0].text.contains("p1 of sector 1"), "{}", missing.problems[0]);
    }

    #[test]
    fn processes_in_one_journal_are_kept_apart() {
        let line = |pid: u32, time: &str, edge: &str| {
            format!(
                "Jan 02 01:00:00 host lotus-worker[{pid}]: 2026-01-02T{time} INFO filecoin_proofs::api::seal > \
                 seal_pre_commit_phase2:{edge}\n"
            )
        };
        let found = found(&[
            line(1, "01:00:00.000", "start"),
            line(2, "01:10:00.000", "start"),
            line(1, "02:00:00.000", "finish"),
            line(2, "02:20:00.000", "finish"),
        ]);
        assert_eq!(times(&found), vec![vec![(Phase::P2, 3600.0)], vec![(Phase::P2, 4200.0)]]);
    }
}
