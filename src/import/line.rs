//! One line of a log: when, from which thread, module and process, and what it says.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::phase::Phase;

/// Which of the two ways of writing a line this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `thread_id: ThreadId(1) 2020-07-19 02:35:20 INFO [module] message`: the old benchy.
    Bracketed,
    /// `2026-01-02T03:04:05.678 INFO module > message` and its relatives: rust-fil-proofs, lotus, curio.
    Plain,
}

/// A moment as a log writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The moment; a log that names no time zone is taken to be in UTC.
    pub time: Timestamp,
    /// Digits after the second.
    pub digits: u32,
}

impl Stamp {
    /// The smallest step of the clock that the digits show, nanoseconds.
    pub fn step_ns(self) -> f64 {
        10f64.powi(9 - self.digits as i32)
    }
}

/// A line that says which module it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// How it is written.
    pub dialect: Dialect,
    /// When; `None` if nothing before the module reads as a time.
    pub stamp: Option<Stamp>,
    /// The thread's number.
    pub thread: Option<&'a str>,
    /// The process's number, where the system's log put it in front.
    pub process: Option<&'a str>,
    /// The module.
    pub target: &'a str,
    /// What it says.
    pub message: &'a str,
}

/// Modules whose lines matter.
const TARGETS: [&str; 3] = ["benchy::force", "filecoin_proofs::", "bellperson::groth16"];

/// The event of a line; `None` if it names none of the modules.
pub fn event(text: &str) -> Option<Event<'_>> {
    let at = TARGETS.iter().filter_map(|target| text.find(target)).min()?;
    let (prefix, rest) = text.split_at(at);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    let message = rest[end..].trim_start_matches([' ', '\t', ']', '>']);
    Some(Event {
        dialect: if prefix.ends_with('[') { Dialect::Bracketed } else { Dialect::Plain },
        stamp: last_stamp(prefix),
        thread: between(prefix, "ThreadId(", ')'),
        process: process(prefix),
        target: rest[..end].trim_end_matches(':'),
        message,
    })
}

/// The digits between an opening and the character that closes it.
fn between<'a>(text: &'a str, open: &str, close: char) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    let (inside, _) = rest.split_once(close)?;
    (!inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit())).then_some(inside)
}

/// The number in `lotus-worker[3939]: `.
fn process(prefix: &str) -> Option<&str> {
    let (before, _) = prefix.split_once("]: ")?;
    between(&prefix[before.rfind('[')?..], "[", ']')
}

/// The last time in a text: services put a time of their own in front.
pub fn last_stamp(text: &str) -> Option<Stamp> {
    (0..text.len().saturating_sub(18)).rev().find_map(|at| stamp_at(text.as_bytes(), at))
}

/// The first time in a text.
pub fn first_stamp(text: &str) -> Option<Stamp> {
    (0..text.len().saturating_sub(18)).find_map(|at| stamp_at(text.as_bytes(), at))
}

/// A time that begins here: `2020-07-19 02:35:20`, with `T` in place of the blank, a fraction, `Z` or `+08:00` or `+0800`.
fn stamp_at(bytes: &[u8], at: usize) -> Option<Stamp> {
    let text = bytes.get(at..at + 19)?;
    let separators = [(4, "-"), (7, "-"), (10, "T "), (13, ":"), (16, ":")];
    if !separators.iter().all(|(place, allowed)| allowed.as_bytes().contains(&text[*place])) {
        return None;
    }
    let part = |from: usize, to: usize| number(&text[from..to]);
    let small = |from, to| part(from, to).map(|n| n as i8);
    let rest = &bytes[at + 19..];
    let fraction = match rest.first() {
        Some(b'.' | b',') => rest[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let nanos = if fraction == 0 { 0 } else { nanoseconds(&rest[1..=fraction])? };
    let zone = &rest[if fraction == 0 { 0 } else { fraction + 1 }..];
    let (year, month, day) = (part(0, 4)? as i16, small(5, 7)?, small(8, 10)?);
    let moment = DateTime::new(year, month, day, small(11, 13)?, small(14, 16)?, small(17, 19)?, nanos).ok()?;
    Some(Stamp { time: offset(zone)?.to_timestamp(moment).ok()?, digits: fraction.min(9) as u32 })
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// Digits after the second as nanoseconds; those beyond nine are dropped.
fn nanoseconds(digits: &[u8]) -> Option<i32> {
    let kept = &digits[..digits.len().min(9)];
    Some((number(kept)? * 10u32.pow(9 - kept.len() as u32)) as i32)
}

/// The time zone that a text begins with; UTC if it begins with none.
fn offset(text: &[u8]) -> Option<Offset> {
    let sign = match text.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some(Offset::UTC),
    };
    let (hours, minutes) = match text.get(1..) {
        Some([a, b, b':', c, d, ..]) => (number(&[*a, *b]), number(&[*c, *d])),
        Some([a, b, c, d, ..]) => (number(&[*a, *b]), number(&[*c, *d])),
        _ => return Some(Offset::UTC),
    };
    match (hours, minutes) {
        (Some(hours), Some(minutes)) => Offset::from_seconds(sign * (hours * 3600 + minutes * 60) as i32).ok(),
        _ => Some(Offset::UTC),
    }
}

/// Whether a line begins or ends a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It begins.
    Start,
    /// It ends.
    Finish,
}

/// A message like `seal_commit_phase1:start: SectorId(5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The function.
    pub name: &'a str,
    /// Begin or end.
    pub edge: Edge,
    /// The sector's number.
    pub sector: Option<u64>,
}

/// The step that a message of rust-fil-proofs begins or ends.
pub fn step(message: &str) -> Option<Step<'_>> {
    let (name, rest) = message.split_once(':')?;
    let rest = rest.trim_start();
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let edge = match word {
        "start" => Edge::Start,
        "finish" => Edge::Finish,
        _ => return None,
    };
    let sector = between(rest, "SectorId(", ')').and_then(|digits| digits.parse().ok());
    Some(Step { name: name.trim(), edge, sector })
}

/// The phase that a function of rust-fil-proofs, or of the fork that the old benchy was built with, runs.
pub fn phase_of(name: &str) -> Option<Phase> {
    match name {
        "seal_pre_commit_phase1" | "seal_pre_commit_phase1_all_zero" => Some(Phase::P1),
        "seal_pre_commit_phase2" | "seal_pre_commit_phase2_all_zero" => Some(Phase::P2),
        "seal_commit_phase1" => Some(Phase::C1),
        "seal_commit_phase2" => Some(Phase::P4),
        _ => None,
    }
}

/// The sector size in `got groth params (34359738368) while sealing`.
pub fn groth_params(message: &str) -> Option<u64> {
    message.ends_with("while sealing").then(|| between(message, "got groth params (", ')')?.parse().ok()).flatten()
}

/// A duration as Rust and Go write them: `3h10m38.9s`, `428.302455ms`, `101.5µs`, `12ns`; seconds.
pub fn duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    // Both count whole nanoseconds: summed as such, the seconds are the number nearest to what was measured.
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|&end| end > 0)?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit: u64 = match &rest[digits..unit_end] {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            // The micro sign and the Greek letter.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = rest[..digits].split_once('.').unwrap_or((&rest[..digits], "0"));
        let part: f64 = format!("0.{fraction}").parse().ok()?;
        let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
        nanos = nanos.checked_add(whole)?.checked_add((part * unit as f64).round() as u64)?;
        rest = &rest[unit_end..];
    }
    Some(nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Option<String> {
        last_stamp(text).map(|stamp| stamp.time.to_string())
    }

    #[test]
    fn a_line_of_the_old_benchy() {
        let text = "thread_id: ThreadId(1) 2020-07-19 02:35:20 INFO [filecoin_proofs::api::seal_pledge] \
            seal_pre_commit_phase2_all_zero: start";
        let event = event(text).unwrap();
        assert_eq!((event.dialect, event.thread, event.process), (Dialect::Bracketed, Some("1"), None));
        assert_eq!(event.target, "filecoin_proofs::api::seal_pledge");
        assert_eq!(event.stamp.unwrap().time.to_string(), "2020-07-19T02:35:20Z");
        let step = step(event.message).unwrap();
        assert_eq!((phase_of(step.name), step.edge, step.sector), (Some(Phase::P2), Edge::Start, None));
    }

    #[test]
    fn lines_of_todays_software() {
        for (text, time, process) in [
            (
                "2026-01-02T03:04:05.678 INFO filecoin_proofs::api::seal > seal_commit_phase1:start: SectorId(7)",
                ".678",
                None,
            ),
            ("[2026-01-02T03:04:05Z INFO  filecoin_proofs::api::seal] seal_commit_phase1:start: SectorId(7)", "", None),
            (
                "2026-01-02T03:04:05.678901Z  INFO filecoin_proofs::api::seal: seal_commit_phase1:start: SectorId(7)",
                ".678901",
                None,
            ),
            (
                "Jan 22 10:24:53 p54-1 lotus-worker[3939]: 2026-01-02T03:04:05.678 INFO filecoin_proofs::api::seal > \
                 seal_commit_phase1:start: SectorId(7)",
                ".678",
                Some("3939"),
            ),
            (
                "2020-01-02T03:04:05.1+0800\tINFO\tffi\t2026-01-02T03:04:05 INFO filecoin_proofs::api::seal > \
                 seal_commit_phase1:start: SectorId(7)",
                "",
                None,
            ),
        ] {
            let event = event(text).unwrap();
            assert_eq!(
                (event.dialect, event.target, event.process),
                (Dialect::Plain, "filecoin_proofs::api::seal", process)
            );
            assert_eq!(event.stamp.unwrap().time.to_string(), format!("2026-01-02T03:04:05{time}Z"), "{text}");
            let step = step(event.message).unwrap();
            assert_eq!((step.name, step.edge, step.sector), ("seal_commit_phase1", Edge::Start, Some(7)));
        }
        assert_eq!(event("2022-01-22T10:24:53.207 INFO filcrypto::proofs::api > seal_pre_commit_phase2: start"), None);
    }

    #[test]
    fn times_with_and_without_zones() {
        assert_eq!(at("2022-01-22T10:24:53.207+0800 x").unwrap(), "2022-01-22T02:24:53.207Z");
        assert_eq!(at("2022-01-22T10:24:53+08:00").unwrap(), "2022-01-22T02:24:53Z");
        assert_eq!(at("2020-02-29 23:59:59,5").unwrap(), "2020-02-29T23:59:59.5Z");
        for bad in [
            "",
            "2021-02-29 00:00:00",
            "2020-13-01 00:00:00",
            "2020-01-01 25:00:00",
            "2020/01/01 00:00:00",
            "Jan 22 10:24:53",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
        assert_eq!(
            first_stamp("a 2020-01-01 00:00:00 b 2021-01-01 00:00:00").unwrap().time.to_string(),
            "2020-01-01T00:00:00Z"
        );
    }

    #[test]
    fn durations_of_two_languages() {
        for (text, seconds) in [
            ("3h10m38.9s", 11438.9),
            ("2h48m36.947479519s", 10116.947479519),
            ("428.302455ms", 0.428302455),
            ("18.391743ms", 0.018391743),
            ("101.562µs", 0.000101562),
            ("12ns", 12e-9),
            ("0s", 0.0),
        ] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for bad in ["", "s", "3", "1.2.3s", "3x", "-3s", "3h s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(text in ".{0,80}", digits in "[0-9:T. +Z-]{0,40}") {
            let _ = (event(&text), step(&text), duration(&text), last_stamp(&digits), first_stamp(&text), groth_params(&text));
            let _ = event(&format!("{digits}filecoin_proofs::{text}"));
        }
    }
}
