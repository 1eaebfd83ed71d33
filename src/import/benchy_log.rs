//! The log of `benchy force`, the old tool of 2020: which line begins and which ends each phase.
//!
//! | phase | begins | ends |
//! | --- | --- | --- |
//! | p1 | `seal_pre_commit_phase1_all_zero: start` | `[benchy::force] p2 enabled` or `p2 disabled` |
//! | p2 | `seal_pre_commit_phase2_all_zero: start` | `[benchy::force] p34 enabled` or `p34 disabled` |
//! | c1 | `seal_commit_phase1:start` | `seal_commit_phase2:start` |
//! | p4 | `got groth params (N) while sealing`, after `seal_commit_phase2:start` | `seal_commit_phase2:finish` |

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::line::{Edge, Event, Stamp, groth_params, phase_of, step};
use super::run::{Findings, Format, PhaseTime, Run, seconds};
use crate::phase::Phase;
use crate::trial::record::{Finding, Severity};

/// Threads that may seal in one process; a log with more is no log of benchy.
const MAX_THREADS: usize = 1024;

/// A phase that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    time: Timestamp,
    line: u64,
    /// It began twice, so its end says nothing.
    twice: bool,
}

/// What one thread has logged of the run that it is at.
#[derive(Debug)]
struct Thread {
    run: Run,
    open: [Option<Open>; 4],
    /// The line that enabled a phase which has not begun yet; for p2.
    enabled: Option<u64>,
    /// When p4 was entered: its parameters are read from then on.
    entered: Option<Open>,
}

/// Reads the log line by line.
#[derive(Debug, Default)]
pub struct BenchyLog {
    threads: BTreeMap<String, Thread>,
    /// Ends without a beginning that are a mistake only if nothing in the file begins.
    lost_end: Option<(u64, Phase)>,
    starts: u64,
}

impl BenchyLog {
    /// Takes a line's event.
    pub fn event(&mut self, line: u64, event: &Event<'_>, found: &mut Findings) {
        let Some(mark) = Mark::of(event) else { return };
        found.recognised += 1;
        let Some(stamp) = event.stamp else {
            found.problem(line, format!("'{}' has no time before it that can be read", mark.words()));
            return;
        };
        let name = event.thread.unwrap_or_default();
        if !self.threads.contains_key(name) {
            if self.threads.len() >= MAX_THREADS {
                found.problem(line, format!("more than {MAX_THREADS} threads seal in it: this is no log of benchy"));
                return;
            }
            let thread = (!name.is_empty()).then(|| name.to_string());
            self.threads.insert(name.to_string(), Thread::new(thread));
        }
        let Some(thread) = self.threads.get_mut(name) else { return };
        thread.run.precision_of(stamp);
        match mark {
            Mark::Files(cache, sealed) => thread.header(cache, sealed, line, found),
            Mark::Start(phase) => {
                self.starts += 1;
                thread.start(phase, stamp, line, found);
            }
            Mark::Switch(ends, on) => {
                if !thread.ends_by_switch(ends, stamp, line, found) {
                    self.lost_end.get_or_insert((line, ends));
                }
                thread.enabled = (ends == Phase::P1 && on).then_some(line);
            }
            Mark::EnterP4 => thread.enter_p4(stamp, line, found),
            Mark::Params(bytes) => thread.params(bytes, stamp, line),
            Mark::FinishP4 => thread.finish_p4(stamp, line, found),
        }
    }

    /// The end of the file: what is open is unfinished.
    pub fn end(self, found: &mut Findings) {
        self.threads.values().flat_map(|thread| &thread.run.phases).for_each(|done| found.took(done));
        for mut thread in self.threads.into_values() {
            thread.unfinished(None, found);
            found.run(thread.take());
        }
        if let Some((line, phase)) = self.lost_end.filter(|_| self.starts == 0) {
            found.problem(
                line,
                format!("here {phase} ends, but no phase begins anywhere in the file: its head is missing"),
            );
        }
    }
}

impl Thread {
    fn new(thread: Option<String>) -> Thread {
        Thread { run: Run { thread, ..Run::new(Format::BenchyLog) }, open: [None; 4], enabled: None, entered: None }
    }

    /// A new run begins: hands out the one before.
    fn take(&mut self) -> Run {
        let mut next = Thread::new(self.run.thread.clone());
        next.run.precision_ns = self.run.precision_ns;
        std::mem::replace(self, next).run
    }

    /// What has begun and not ended when the thread goes on in a line, or when the log ends. A thread does one thing after the other, so an end
    /// that has not come before the next thing is missing.
    fn unfinished(&mut self, next: Option<u64>, found: &mut Findings) {
        let open = self.open.iter_mut().zip(Phase::ALL).filter_map(|(open, phase)| Some((open.take()?, phase)));
        let open: Vec<(Open, Phase)> = open.chain(self.entered.take().map(|entered| (entered, Phase::P4))).collect();
        let first = open.into_iter().filter(|(open, _)| !open.twice).min_by_key(|(open, _)| open.line);
        let Some((open, phase)) = first else { return };
        match next {
            Some(next) => found.problem(
                open.line,
                format!(
                    "{phase} begins here and does not end before its thread goes on in line {next}: its end is missing"
                ),
            ),
            None => found.unended(open.line, phase, "", open.time),
        }
        let text = format!("{phase} began in line {} of the log and did not end", open.line);
        self.run.findings.push(Finding::new("unfinished", Severity::Info, text));
        self.run.unfinished = true;
    }

    fn header(&mut self, cache: &str, sealed: &str, line: u64, found: &mut Findings) {
        self.unfinished(Some(line), found);
        found.run(self.take());
        self.run.cache_dir = Some(cache.to_string());
        self.run.sealed_file = Some(sealed.to_string());
    }

    fn start(&mut self, phase: Phase, stamp: Stamp, line: u64, found: &mut Findings) {
        let slot = &mut self.open[phase as usize];
        if let Some(open) = slot {
            found.problem(line, twice(phase, open.line));
            open.twice = true;
            return;
        }
        self.unfinished(Some(line), found);
        if self.run.phases.iter().any(|done| done.phase >= phase) {
            found.run(self.take());
        }
        self.open[phase as usize] = Some(Open { time: stamp.time, line, twice: false });
        if phase == Phase::P2 {
            self.enabled = None;
        }
    }

    /// `p2 enabled` ends p1, `p34 enabled` ends p2. False if nothing was there to end.
    fn ends_by_switch(&mut self, phase: Phase, stamp: Stamp, line: u64, found: &mut Findings) -> bool {
        if let Some(enabled) = self.enabled.take().filter(|_| phase == Phase::P2) {
            found.problem(
                line,
                format!("here p2, which line {enabled} enables, ends before it begins: its start is missing"),
            );
            return true;
        }
        self.finish(phase, stamp, line, found)
    }

    /// False if the phase has not begun.
    fn finish(&mut self, phase: Phase, stamp: Stamp, line: u64, found: &mut Findings) -> bool {
        let Some(open) = self.open[phase as usize].take() else { return false };
        if open.twice {
            return true;
        }
        let wall_s = seconds(open.time, stamp.time);
        if wall_s < 0.0 {
            found.problem(line, backwards(phase, open.line));
            return true;
        }
        let lines = (open.line, line);
        let done = PhaseTime { phase, begun: Some(open.time), wall_s, cpu_s: None, repeat: 0, lines };
        self.run.phases.push(done);
        true
    }

    fn enter_p4(&mut self, stamp: Stamp, line: u64, found: &mut Findings) {
        if let Some(entered) = &mut self.entered {
            found.problem(line, twice(Phase::P4, entered.line));
            entered.twice = true;
            return;
        }
        self.finish(Phase::C1, stamp, line, found);
        self.unfinished(Some(line), found);
        if self.run.phases.iter().any(|done| done.phase == Phase::P4) {
            found.run(self.take());
        }
        self.entered = Some(Open { time: stamp.time, line, twice: false });
    }

    /// The parameters are in memory: p4 proper begins.
    fn params(&mut self, bytes: u64, stamp: Stamp, line: u64) {
        self.run.sector_bytes = Some(bytes);
        if let Some(entered) = &self.entered
            && self.open[Phase::P4 as usize].is_none()
        {
            let text = params_read(seconds(entered.time, stamp.time));
            self.run.findings.push(Finding::new("params-read", Severity::Info, text));
            self.open[Phase::P4 as usize] = Some(Open { time: stamp.time, line, twice: entered.twice });
        }
    }

    fn finish_p4(&mut self, stamp: Stamp, line: u64, found: &mut Findings) {
        let Some(entered) = self.entered.take() else {
            found.problem(line, without_start(Phase::P4));
            return;
        };
        if self.open[Phase::P4 as usize].is_none() {
            self.open[Phase::P4 as usize] = Some(entered);
            self.run.findings.push(includes_params());
        }
        self.finish(Phase::P4, stamp, line, found);
    }
}

/// The sentence about a phase that begins again.
pub fn twice(phase: Phase, before: u64) -> String {
    format!("{phase} begins here although it began in line {before} and has not ended since: two starts without an end")
}

/// The sentence about an end that is earlier than its start.
pub fn backwards(phase: Phase, start: u64) -> String {
    format!(
        "{phase} ends here at an earlier time than it began in line {start}: the clock was set, or lines are missing"
    )
}

/// The sentence about an end that has no start.
pub fn without_start(phase: Phase) -> String {
    format!("{phase} ends here, but it does not begin in this log: the log has no start for this end")
}

/// How long the parameters were read before p4's time began.
pub fn params_read(seconds: f64) -> String {
    format!("before p4's time began its parameters were read for {seconds} s")
}

/// A p4 whose beginning is not in the log.
pub fn includes_params() -> Finding {
    let text = "the log does not say when the parameters were in memory: p4 counts from seal_commit_phase2:start and includes reading them";
    Finding::new("params-included", Severity::Warning, text)
}

/// A line that matters.
#[derive(Clone, Copy, Debug)]
enum Mark<'a> {
    Files(&'a str, &'a str),
    Start(Phase),
    /// Which phase it ends, and whether the next one is enabled.
    Switch(Phase, bool),
    EnterP4,
    Params(u64),
    FinishP4,
}

impl<'a> Mark<'a> {
    fn of(event: &Event<'a>) -> Option<Mark<'a>> {
        if event.target == "benchy::force" {
            return match event.message.trim_end() {
                "p2 enabled" => Some(Mark::Switch(Phase::P1, true)),
                "p2 disabled" => Some(Mark::Switch(Phase::P1, false)),
                "p34 enabled" => Some(Mark::Switch(Phase::P2, true)),
                "p34 disabled" => Some(Mark::Switch(Phase::P2, false)),
                message => files(message).map(|(cache, sealed)| Mark::Files(cache, sealed)),
            };
        }
        if !event.target.starts_with("filecoin_proofs::api") {
            return None;
        }
        if let Some(bytes) = groth_params(event.message.trim_end()) {
            return Some(Mark::Params(bytes));
        }
        let step = step(event.message)?;
        match (phase_of(step.name)?, step.edge) {
            (Phase::P4, Edge::Start) => Some(Mark::EnterP4),
            (Phase::P4, Edge::Finish) => Some(Mark::FinishP4),
            (phase, Edge::Start) => Some(Mark::Start(phase)),
            // The table at the top has the line that ends these.
            (_, Edge::Finish) => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Mark::Files(..) => "using cache dir".to_string(),
            Mark::Start(phase) => format!("start of {phase}"),
            Mark::Switch(phase, _) => format!("end of {phase}"),
            Mark::EnterP4 => "seal_commit_phase2:start".to_string(),
            Mark::Params(_) => "got groth params".to_string(),
            Mark::FinishP4 => "seal_commit_phase2:finish".to_string(),
        }
    }
}

/// C and S of `using cache dir "C", sealed file "S", thread id is ThreadId(1)`.
fn files(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix("using cache dir \"")?;
    let (cache, rest) = rest.split_once("\", sealed file \"")?;
    let (sealed, _) = rest.split_once('"')?;
    Some((cache, sealed))
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::{Found, scan};
    use super::*;

    const P2: &str = "thread_id: ThreadId(1) 2020-07-19 02:35:15 INFO [benchy::force] using cache dir \".tmp9f8O1K/\", sealed file \"/mnt/storage/./.tmp4lDfbd\", thread id is ThreadId(1)
thread_id: ThreadId(1) 2020-07-19 02:35:16 INFO [benchy::force] p1 disabled
thread_id: ThreadId(1) 2020-07-19 02:35:16 INFO [benchy::force] p2 enabled
thread_id: ThreadId(1) 2020-07-19 02:35:20 INFO [filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start
thread_id: ThreadId(1) 2020-07-19 04:45:50 INFO [benchy::force] p34 disabled
";

    fn line(time: &str, what: &str) -> String {
        format!("thread_id: ThreadId(1) {time} INFO {what}\n")
    }

    const API: &str = "[filecoin_proofs::api::seal]";

    fn found(text: &str) -> Found {
        scan(text.as_bytes())
    }

    fn times(found: &Found) -> Vec<(Phase, f64)> {
        found.runs.iter().flat_map(|run| run.phases.iter().map(|p| (p.phase, p.wall_s))).collect()
    }

    #[test]
    fn p2_of_the_notes_with_its_files() {
        let found = found(P2);
        let run = &found.runs[0];
        assert_eq!(times(&found), [(Phase::P2, 7830.0)], "130.5 minutes");
        assert_eq!(run.cache_dir.as_deref(), Some(".tmp9f8O1K/"));
        assert_eq!(run.sealed_file.as_deref(), Some("/mnt/storage/./.tmp4lDfbd"));
        assert_eq!((run.phases[0].lines, run.precision_ns), ((4, 5), 1e9));
        assert!(found.problems.is_empty() && found.notes.is_empty() && !run.unfinished);
    }

    #[test]
    fn all_four_phases_of_one_run() {
        let text = [
            line("2020-07-23 14:52:09", "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase1_all_zero: start"),
            line("2020-07-23 17:44:04", "[benchy::force] p2 enabled"),
            line("2020-07-23 17:44:05", "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start"),
            line("2020-07-23 18:59:44", "[benchy::force] p34 enabled"),
            line("2020-07-23 18:59:44", &format!("{API} seal_commit_phase1:start")),
            line("2020-07-23 19:00:19", &format!("{API} seal_commit_phase2:start")),
            line("2020-07-23 19:03:48", &format!("{API} got groth params (34359738368) while sealing")),
            line("2020-07-23 19:52:28", &format!("{API} seal_commit_phase2:finish")),
        ]
        .concat();
        let found = found(&text);
        let expected = [(Phase::P1, 10315.0), (Phase::P2, 4539.0), (Phase::C1, 35.0), (Phase::P4, 2920.0)];
        assert_eq!((found.runs.len(), times(&found)), (1, expected.to_vec()));
        assert_eq!(found.runs[0].sector_bytes, Some(32 << 30));
        assert_eq!(found.runs[0].findings[0].text, "before p4's time began its parameters were read for 209 s");
        let untold = text.replace("got groth params", "had groth params");
        let found = self::found(&untold);
        assert_eq!(times(&found)[3], (Phase::P4, 3129.0));
        assert_eq!(found.runs[0].findings[0].code, "params-included");
    }

    #[test]
    fn runs_may_follow_each_other_and_cross_any_border() {
        let p2 = |from: &str, to: &str| {
            line(from, "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start")
                + &line(to, "[benchy::force] p34 disabled")
        };
        let text = p2("2020-07-31 23:59:30", "2020-08-01 00:00:30")
            + &p2("2020-12-31 23:00:00", "2021-01-01 01:00:00")
            + &p2("2020-02-28 23:00:00", "2020-03-01 00:00:00");
        let found = found(&text);
        assert_eq!(found.runs.len(), 3);
        assert_eq!(times(&found), [(Phase::P2, 60.0), (Phase::P2, 7200.0), (Phase::P2, 90000.0)]);
    }

    #[test]
    fn a_run_whose_end_is_missing_is_a_mistake_and_the_others_count() {
        let started: String = P2.lines().take(4).map(|line| format!("{line}\n")).collect();
        let found = found(&(started.clone() + P2));
        assert_eq!((times(&found), found.problems[0].line), (vec![(Phase::P2, 7830.0)], 4));
        assert!(found.problems[0].text.contains("goes on in line 5: its end is missing"), "{}", found.problems[0]);
        assert_eq!((found.problems.len(), found.notes.len()), (1, 0));
        let begun =
            |time: &str| line(time, "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase1_all_zero: start");
        let middle = self::found(&(begun("2020-07-18 01:00:00") + P2.split_once("p2 enabled\n").unwrap().1));
        assert_eq!((times(&middle), middle.problems[0].line), (vec![(Phase::P2, 7830.0)], 1), "p1 does not end");
        assert!(middle.runs[0].unfinished);
    }

    #[test]
    fn a_run_that_is_under_way_at_the_end_of_the_log_is_noted() {
        let started: String = P2.lines().take(4).map(|line| format!("{line}\n")).collect();
        let alone = found(&started);
        assert_eq!((alone.runs.len(), alone.notes[0].line, alone.problems.len()), (0, 4, 0));
        let last = found(&(P2.replace("2020-07", "2020-06") + &started));
        assert_eq!((last.runs.len(), last.notes[0].line, last.problems.len()), (1, 9, 0));
    }

    #[test]
    fn an_end_that_is_long_overdue_is_missing() {
        let second = P2.replace("ThreadId(1)", "ThreadId(2)").replace("2020-07-19 02:35:20", "2020-07-18 02:35:20");
        let started: String = second.lines().take(4).map(|line| format!("{line}\n")).collect();
        let found = found(&(started + P2));
        assert_eq!((times(&found), found.problems[0].line), (vec![(Phase::P2, 7830.0)], 4));
        assert!(
            found.problems[0].text.contains("no other took more than 7830 s: its end is missing"),
            "{}",
            found.problems[0]
        );
    }

    #[test]
    fn more_mistakes_than_are_listed_are_counted() {
        let end = line("2020-07-23 19:52:28", &format!("{API} seal_commit_phase2:finish"));
        let found = found(&end.repeat(150));
        assert_eq!((found.problems.len(), found.notes.len()), (100, 1));
        assert_eq!(found.notes[0].text, "50 more places where something is wrong are not listed");
    }

    #[test]
    fn a_log_that_repeats_itself_has_its_run_once() {
        let found = found(&P2.repeat(3));
        assert_eq!((found.runs.len(), found.problems.len(), found.notes.len()), (1, 0, 1));
        assert!(found.notes[0].line == 9 && found.notes[0].text.contains("2 runs repeat"), "{}", found.notes[0]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let start = P2.lines().nth(3).unwrap();
        let end = P2.lines().nth(4).unwrap();
        for (text, line, word) in [
            (format!("{start}\n{start}\n{end}\n"), 2, "began in line 1"),
            (format!("x\n{end}\n"), 2, "no phase begins"),
            (P2.replace(&format!("{start}\n"), ""), 4, "which line 3 enables"),
            (P2.replace("04:45:50", "01:45:50"), 5, "earlier time than it began in line 4"),
            (P2.replace("2020-07-19 04:45:50", "2020-07-19 04:65:50"), 5, "no time"),
            (self::line("2020-07-23 19:52:28", &format!("{API} seal_commit_phase2:finish")), 1, "no start"),
        ] {
            let found = found(&text);
            assert_eq!(found.problems[0].line, line, "{text}");
            assert!(found.problems[0].text.contains(word), "{}", found.problems[0].text);
            assert!(found.runs.is_empty(), "{text}");
        }
    }

    #[test]
    fn threads_of_one_process_are_kept_apart() {
        let second = P2.replace("ThreadId(1)", "ThreadId(2)").replace("04:45", "04:46");
        let mixed: String = P2.lines().zip(second.lines()).map(|(a, b)| format!("{a}\n{b}\n")).collect();
        assert_eq!(times(&found(&mixed)), [(Phase::P2, 7830.0), (Phase::P2, 7890.0)]);
    }
}
