//! A run without a record: whether it still runs, where it stands or stood, and what to do about it.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use super::table::fields;
use super::units;
use crate::host::process::is_alive;
use crate::store::RunRow;
use crate::trial::status::{At, LOG_FILE, RunStatus};

/// What is known of a run that has no record in the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfinished {
    /// Its process runs.
    Running(RunStatus),
    /// Its process is gone; this is the last it said.
    Died(RunStatus),
    /// It said that it is over, but the store has no record of it.
    Ended(RunStatus),
    /// Another run, with this id, has used its directory since.
    Replaced(String),
    /// It left nothing to read; why.
    Silent(String),
}

impl Unfinished {
    /// Looks into the directory of a run that has no record.
    pub fn of(row: &RunRow) -> Unfinished {
        let Some(dir) = &row.run_dir else {
            return Unfinished::Silent("the store does not know its directory".to_string());
        };
        match RunStatus::read(dir) {
            Ok(Some(status)) if status.run != row.id => Unfinished::Replaced(status.run),
            Ok(Some(status)) if status.ended => Unfinished::Ended(status),
            Ok(Some(status)) if is_alive(status.pid, status.pid_start) => Unfinished::Running(status),
            Ok(Some(status)) => Unfinished::Died(status),
            Ok(None) if dir.is_dir() => Unfinished::Silent("it ended before it reported anything".to_string()),
            Ok(None) => Unfinished::Silent(format!("its directory {} is gone", dir.display())),
            Err(e) => Unfinished::Silent(format!("{e:#}")),
        }
    }

    /// "running" or "dead".
    pub fn state(&self) -> &'static str {
        if matches!(self, Unfinished::Running(_)) { "running" } else { "dead" }
    }

    /// The phase in which the run is or was when it last said so.
    pub fn at(&self) -> Option<&At> {
        self.status().and_then(|status| status.at.as_ref())
    }

    fn status(&self) -> Option<&RunStatus> {
        match self {
            Unfinished::Running(status) | Unfinished::Died(status) | Unfinished::Ended(status) => Some(status),
            Unfinished::Replaced(_) | Unfinished::Silent(_) => None,
        }
    }

    /// What `sealbench results show` prints of the run.
    pub fn report(&self, row: &RunRow, now: Timestamp) -> String {
        let status = self.status();
        let dir = row.run_dir.as_deref();
        fields([
            ("run", format!("{}, started {}", row.id, row.started_at)),
            ("command", row.command.join(" ")),
            ("directory", dir.map_or_else(String::new, |dir| dir.display().to_string())),
            ("state", self.explanation()),
            ("phases", status.map_or_else(String::new, |s| format!("{} of {} done", s.phases_done, s.phases_total))),
            ("in phase", self.at().map_or_else(String::new, at)),
            ("last word", status.map_or_else(String::new, |s| last_word(&s.updated_at, now))),
            ("what to do", self.advice(row)),
        ])
    }

    fn explanation(&self) -> String {
        match self {
            Unfinished::Running(status) => format!("running, process {}", status.pid),
            Unfinished::Died(status) => format!("dead: process {} is gone and left no record", status.pid),
            Unfinished::Ended(_) => "dead: it ended, but its record is not in this store".to_string(),
            Unfinished::Replaced(by) => format!("dead: run {by} has used its directory since"),
            Unfinished::Silent(why) => format!("dead: {why}"),
        }
    }

    fn advice(&self, row: &RunRow) -> String {
        let dir = row.run_dir.as_deref().unwrap_or(Path::new("."));
        match self {
            Unfinished::Running(_) => format!("wait, or follow it: tail -f {}", shell_word(&dir.join(LOG_FILE))),
            Unfinished::Died(_) => format!("go on from its last whole phase: {}", resume(dir)),
            Unfinished::Ended(_) => {
                format!("if it wrote a --json FILE: sealbench results import FILE; else {}", resume(dir))
            }
            Unfinished::Replaced(by) => format!("sealbench results show {by}"),
            Unfinished::Silent(_) => match fs::exists(dir.join(LOG_FILE)) {
                Ok(true) => format!("see {}, then start it again", shell_word(&dir.join(LOG_FILE))),
                _ => "start it again".to_string(),
            },
        }
    }
}

/// The command that goes on with a run from its last whole phase.
pub fn resume(dir: &Path) -> String {
    format!("sealbench run --resume --run-dir {}", shell_word(dir))
}

fn at(at: &At) -> String {
    let phase = format!("{}, {} engine, repeat {}", at.phase, at.engine, at.repeat);
    match &at.progress {
        None => phase,
        Some(p) => {
            format!("{phase}: {:.1} % ({} of {} {}s), span {}", p.percent(), p.done, p.total, p.unit, p.span)
        }
    }
}

fn last_word(updated_at: &str, now: Timestamp) -> String {
    match updated_at.parse::<Timestamp>() {
        Ok(time) => format!("{updated_at}, {} ago", units::duration(now.duration_since(time).as_secs_f64().max(0.0))),
        Err(_) => updated_at.to_string(),
    }
}

/// A path as a word that a shell takes as it is.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Engine, Phase};
    use crate::trial::status::Progress;

    fn row(dir: &Path) -> RunRow {
        RunRow {
            id: "a".to_string(),
            started_at: "2026-11-24T08:00:00Z".parse().unwrap(),
            run_dir: Some(dir.to_path_buf()),
            command: vec!["sealbench".to_string(), "run".to_string()],
            pid: Some(1),
            state: None,
            finished_at: None,
            shape: None,
            phases: None,
            engines: None,
            phases_s: None,
        }
    }

    fn status(pid: u32, pid_start: u64) -> RunStatus {
        let progress = Progress { span: "columns".into(), done: 25, total: 100, unit: "column".into() };
        RunStatus {
            run: "a".to_string(),
            pid,
            pid_start,
            ended: false,
            at: Some(At { phase: Phase::P2, engine: Engine::Reference, repeat: 0, progress: Some(progress) }),
            phases_done: 1,
            phases_total: 4,
            updated_at: "2026-11-24T08:00:10Z".to_string(),
        }
    }

    fn own_start() -> u64 {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
    }

    fn report(dir: &Path) -> String {
        Unfinished::of(&row(dir)).report(&row(dir), "2026-11-24T08:03:15Z".parse().unwrap())
    }

    #[test]
    fn a_live_run_says_where_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        status(std::process::id(), own_start()).write(dir.path()).unwrap();
        let text = report(dir.path());
        for part in [
            "running, process",
            "1 of 4 done",
            "p2, reference engine",
            "25.0 % (25 of 100 columns)",
            "3 min 05 s ago",
            "tail -f",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_later_process_with_the_same_id_is_not_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("with space");
        fs::create_dir(&dir).unwrap();
        status(std::process::id(), own_start() + 1).write(&dir).unwrap();
        let text = report(&dir);
        assert!(text.contains("dead: process") && text.contains("25.0 %"), "{text}");
        assert!(text.contains(&format!("sealbench run --resume --run-dir '{}'", dir.display())), "{text}");
    }

    #[test]
    fn a_run_that_cannot_be_resumed_is_not_advised_to() {
        let dir = tempfile::tempdir().unwrap();
        assert!(report(dir.path()).contains("before it reported anything"));
        assert!(report(&dir.path().join("gone")).contains("gone is gone"));
        let mut other = status(1, 1);
        other.run = "b".to_string();
        other.write(dir.path()).unwrap();
        assert!(report(dir.path()).contains("sealbench results show b"));
        fs::write(dir.path().join("status.json"), "{").unwrap();
        let text = report(dir.path());
        assert!(text.contains("is damaged") && !text.contains("--resume"), "{text}");
    }

    #[test]
    fn an_ended_run_without_record_says_so() {
        let dir = tempfile::tempdir().unwrap();
        RunStatus { ended: true, ..status(std::process::id(), own_start()) }.write(dir.path()).unwrap();
        assert!(report(dir.path()).contains("its record is not in this store"));
    }
}
