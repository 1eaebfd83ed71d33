//! Other processes, told apart from later ones with the same id.

use std::io::{self, ErrorKind};

use super::files::Files;
use super::sys;

/// When the process started, clock ticks since boot (field 22 of /proc/PID/stat). `None` if there is no such process.
pub fn start_ticks(pid: u32) -> Option<u64> {
    stat(&Files::machine(), pid).map(|stat| stat.start_ticks)
}

/// Whether this very process, and not a later one with its id, still runs. One that ended and only waits to be collected
/// (a zombie) does not run. One of another user whose entry is hidden (/proc mounted with hidepid) counts as running.
pub fn is_alive(pid: u32, start_ticks: u64) -> bool {
    is_running(stat(&Files::machine(), pid), start_ticks, || sys::kill(pid, 0))
}

fn is_running(stat: Option<Stat>, start_ticks: u64, probe: impl FnOnce() -> io::Result<()>) -> bool {
    match stat {
        Some(stat) => stat.start_ticks == start_ticks && !stat.ended,
        None => probe().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ended: bool,
    start_ticks: u64,
}

fn stat(files: &Files, pid: u32) -> Option<Stat> {
    let text = files.text(&format!("/proc/{pid}/stat"))?;
    // Field 2 is the command in parentheses; it may itself hold spaces and parentheses, so the last one ends it.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Stat { ended: matches!(state, "Z" | "X" | "x"), start_ticks: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;
    use std::process::Command;

    fn parsed(line: &str) -> Option<Stat> {
        stat(&Fixture::new().put("/proc/7/stat", line).files(), 7)
    }

    #[test]
    fn a_command_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let rest = "1 7 7 0 -1 4194304 1 0 0 0 3 4 0 0 20 0 1 0 987654 1 2 3";
        for comm in ["cat", "a b) R 1", ") Z (", "((("] {
            let stat = parsed(&format!("7 ({comm}) S {rest}\n")).unwrap();
            assert_eq!(stat, Stat { ended: false, start_ticks: 987654 }, "{comm}");
        }
        assert!(parsed(&format!("7 (x) Z {rest}")).unwrap().ended);
    }

    #[test]
    fn damaged_lines_are_no_process() {
        for line in ["", "7 (x", "7 (x) S 1 2", "7 (x) S 1 7 7 0 -1 4 1 0 0 0 3 4 0 0 20 0 1 0 many"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn one_that_is_hidden_is_not_taken_for_gone() {
        let refused = |code| move || Err(io::Error::from_raw_os_error(code));
        assert!(is_running(None, 7, refused(libc::EPERM)));
        assert!(!is_running(None, 7, refused(libc::ESRCH)));
        assert!(!is_running(None, 7, || Ok(())), "one's own is never hidden: it came after the other had gone");
        assert!(!is_running(Some(Stat { ended: false, start_ticks: 8 }), 7, refused(libc::EPERM)));
    }

    #[test]
    fn a_process_is_alive_until_it_ends_even_uncollected() {
        let own = std::process::id();
        let started = start_ticks(own).unwrap();
        assert!(is_alive(own, started));
        assert!(!is_alive(own, started + 1), "another process with the same id");

        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let started = start_ticks(child.id()).unwrap();
        assert!(is_alive(child.id(), started));
        sys::kill(child.id(), libc::SIGKILL).unwrap();
        while is_alive(child.id(), started) {
            std::thread::yield_now();
        }
        assert_eq!(start_ticks(child.id()), Some(started), "a zombie still has its entry");
        child.wait().unwrap();
        assert_eq!(start_ticks(child.id()), None);
    }
}
