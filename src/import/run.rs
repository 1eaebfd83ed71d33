//! What was found in a log, before it becomes records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::{NonZeroU64, ParseIntError};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::Stamp;
use crate::phase::Phase;
use crate::trial::record::Finding;

/// A kind of log or report that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum Format {
    /// `benchy force` of 2020, lines with a thread id and the module in brackets
    BenchyLog,
    /// rust-fil-proofs, lotus or curio, lines with `module > message`
    ProofsLog,
    /// The JSON that benchy prints, any generation
    BenchyJson,
    /// `lotus-bench sealing --json-out`
    LotusJson,
    /// The text that lotus-bench prints
    LotusText,
}

impl Format {
    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Format::BenchyLog => "benchy-log",
            Format::ProofsLog => "proofs-log",
            Format::BenchyJson => "benchy-json",
            Format::LotusJson => "lotus-json",
            Format::LotusText => "lotus-text",
        }
    }

    /// Whether its figures come with the time of day.
    pub fn has_times(self) -> bool {
        matches!(self, Format::BenchyLog | Format::ProofsLog)
    }
}

/// What an operator must know about a log: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1; 0 for the whole file.
    pub line: u64,
    /// What is wrong, one sentence.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// What is known of a log as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The file.
    pub path: Arc<Path>,
    /// Cores of each instance that its name says, if it is to be asked.
    pub named: Option<u32>,
    /// When it was written, for reports without times.
    pub logged: Timestamp,
    /// The one sector size that it names, bytes; of all its runs that do not name another.
    pub sector_bytes: Option<u64>,
}

/// One execution of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// When it began; none where the report does not say.
    pub begun: Option<Timestamp>,
    /// How long it took, seconds.
    pub wall_s: f64,
    /// CPU time, seconds.
    pub cpu_s: Option<f64>,
    /// Which of several executions, from 0.
    pub repeat: u32,
    /// Its first and last line.
    pub lines: (u64, u64),
}

/// The machine, as far as a report describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU's name.
    pub cpu: Option<String>,
    /// Base clock, MHz.
    pub base_mhz: Option<u32>,
    /// Highest clock, MHz.
    pub max_mhz: Option<u32>,
    /// Physical cores.
    pub cores: Option<u32>,
    /// Hardware threads.
    pub threads: Option<u32>,
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// The kernel's release.
    pub kernel: Option<String>,
}

/// One run in a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it was read as.
    pub format: Format,
    /// The thread that sealed.
    pub thread: Option<String>,
    /// The process.
    pub process: Option<String>,
    /// The sector's number.
    pub sector: Option<u64>,
    /// Sector size in bytes, if the log says it.
    pub sector_bytes: Option<u64>,
    /// SDR layers, if the report says them.
    pub layers: Option<u32>,
    /// Groth16 partitions, if the report says them.
    pub partitions: Option<u32>,
    /// The cache directory.
    pub cache_dir: Option<String>,
    /// The sealed file that belongs to it.
    pub sealed_file: Option<String>,
    /// The revision of the software.
    pub revision: Option<String>,
    /// The machine, where the report describes it.
    pub machine: Option<Box<Machine>>,
    /// Peak memory of the process, bytes.
    pub max_rss_bytes: Option<u64>,
    /// The phases that are whole.
    pub phases: Vec<PhaseTime>,
    /// A phase began and did not end.
    pub unfinished: bool,
    /// Smallest difference of two times in it, nanoseconds.
    pub precision_ns: f64,
    /// What a reader of the figures must know.
    pub findings: Vec<Finding>,
}

impl Run {
    /// A run in which nothing was found yet.
    pub fn new(format: Format) -> Run {
        Run {
            format,
            thread: None,
            process: None,
            sector: None,
            sector_bytes: None,
            layers: None,
            partitions: None,
            cache_dir: None,
            sealed_file: None,
            revision: None,
            machine: None,
            max_rss_bytes: None,
            phases: Vec::new(),
            unfinished: false,
            precision_ns: 1.0,
            findings: Vec::new(),
        }
    }

    /// Notes the precision of a time in it.
    pub fn precision_of(&mut self, stamp: Stamp) {
        self.precision_ns = self.precision_ns.max(stamp.step_ns());
    }

    /// What tells each phase from every other one that was ever logged, whatever the file is called: its times, thread and sector; of a
    /// report without times all its figures.
    pub fn keys(&self) -> Vec<Key> {
        let figures = |p: &PhaseTime| (p.phase, p.repeat, p.wall_s.to_bits(), p.cpu_s.map(f64::to_bits));
        let whole: Vec<_> = self.phases.iter().map(figures).collect();
        let whole = hash(&format!("{whole:?} {:?}", self.sector_bytes));
        let files = self.sealed_file.as_ref().map(|file| hash(&format!("{:?} {file}", self.cache_dir)));
        let key = |phase: &PhaseTime| Key {
            content: hash(&match phase.begun {
                Some(begun) => {
                    let wall_ms = (phase.wall_s * 1e3).round();
                    format!("{} {begun} {wall_ms} {:?} {:?} {:?}", phase.phase, self.thread, self.process, self.sector)
                }
                None => format!("{} {} {whole:016x}", phase.phase, phase.repeat),
            }),
            files: files.and_then(NonZeroU64::new),
        };
        self.phases.iter().map(key).collect()
    }
}

fn hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Tells one execution of a phase from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Hash of what was logged.
    pub content: u64,
    /// Hash of the files that were sealed; none if the log does not name them, as an excerpt of a log may not.
    pub files: Option<NonZeroU64>,
}

impl Key {
    /// Whether both are the same execution: no time, thread or file speaks against it.
    pub fn is(&self, other: &Key) -> bool {
        let same_files = match (self.files, other.files) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.content == other.content && same_files
    }
}

/// Executions that are known, each with what is kept about it.
#[derive(Debug)]
pub struct Seen<T> {
    known: BTreeMap<Key, T>,
}

impl<T> Default for Seen<T> {
    fn default() -> Seen<T> {
        Seen { known: BTreeMap::new() }
    }
}

impl<T> Seen<T> {
    /// Keeps an execution.
    pub fn add(&mut self, key: Key, about: T) {
        self.known.entry(key).or_insert(about);
    }

    /// What is kept about an execution, if it is known.
    pub fn find(&self, key: &Key) -> Option<&T> {
        let of = |files| Key { content: key.content, files };
        let mut alike = self.known.range(of(None)..=of(Some(NonZeroU64::MAX)));
        alike.find(|(known, _)| key.is(known)).map(|(_, about)| about)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.content)?;
        self.files.map_or(Ok(()), |files| write!(f, "/{files:016x}"))
    }
}

impl FromStr for Key {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Key, ParseIntError> {
        let number = |digits: &str| u64::from_str_radix(digits, 16);
        let (content, files) = text.split_once('/').map_or((text, None), |(content, files)| (content, Some(files)));
        Ok(Key { content: number(content)?, files: files.map(number).transpose()?.and_then(NonZeroU64::new) })
    }
}

/// A sink for what a reader finds.
#[derive(Debug)]
pub struct Findings {
    file: Arc<Path>,
    /// Runs with at least one whole phase.
    pub runs: Vec<Run>,
    /// What is wrong with the log, the first of it.
    pub problems: Vec<Problem>,
    /// How much more is wrong.
    pub more_problems: u64,
    /// What was left out and is no mistake, such as a run that is not over; the first of it.
    pub notes: Vec<Problem>,
    more_notes: u64,
    /// How often something was found that belongs to a format.
    pub recognised: u64,
    /// The last time in the log.
    pub last: Option<Timestamp>,
    /// The longest whole execution of each phase, seconds.
    longest_s: [f64; 4],
    /// Sector sizes that the log names, bytes; two are as good as many.
    sector_bytes: BTreeSet<u64>,
    /// The runs that were found: a log may repeat itself.
    seen: Seen<()>,
    /// Lines of the first run that repeats an earlier one, and how many do.
    repeated: Option<(u64, u64)>,
}

/// An execution that has been under way for so many times the longest other one will not end.
const OVERDUE: f64 = 2.0;

/// No more problems of one file are listed; a log with more is no log.
const MAX_PROBLEMS: usize = 100;

impl Findings {
    /// Nothing yet.
    pub fn new(file: &Arc<Path>) -> Findings {
        Findings {
            file: Arc::clone(file),
            runs: Vec::new(),
            problems: Vec::new(),
            more_problems: 0,
            notes: Vec::new(),
            more_notes: 0,
            recognised: 0,
            last: None,
            longest_s: [0.0; 4],
            sector_bytes: BTreeSet::new(),
            seen: Seen::default(),
            repeated: None,
        }
    }

    /// Something is wrong in a line.
    pub fn problem(&mut self, line: u64, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { file: Arc::clone(&self.file), line, text });
        } else {
            self.more_problems += 1;
        }
    }

    /// Something is left out from a line on.
    pub fn note(&mut self, line: u64, text: String) {
        if self.notes.len() < MAX_PROBLEMS {
            self.notes.push(Problem { file: Arc::clone(&self.file), line, text });
        } else {
            self.more_notes += 1;
        }
    }

    /// The log names a sector size.
    pub fn names_size(&mut self, bytes: u64) {
        if self.sector_bytes.len() < 2 {
            self.sector_bytes.insert(bytes);
        }
    }

    /// The sector size of the log, if it names one only.
    pub fn sector_bytes(&self) -> Option<u64> {
        self.sector_bytes.first().copied().filter(|_| self.sector_bytes.len() == 1)
    }

    /// An execution took so long.
    pub fn took(&mut self, done: &PhaseTime) {
        let longest_s = &mut self.longest_s[done.phase as usize];
        *longest_s = longest_s.max(done.wall_s);
    }

    /// A phase that has begun in a line and not ended when the log does: it is under way, or its end is missing. `which` says of what it is.
    pub fn unended(&mut self, line: u64, phase: Phase, which: &str, begun: Timestamp) {
        let open_s = self.last.map_or(0.0, |last| seconds(begun, last));
        let longest_s = self.longest_s[phase as usize];
        if longest_s > 0.0 && open_s > OVERDUE * longest_s {
            self.problem(
                line,
                format!(
                    "{phase}{which} begins here and does not end in the {open_s:.0} s that the log goes on, and no other took more than \
                     {longest_s:.0} s: its end is missing"
                ),
            );
        } else {
            self.note(line, format!("{phase}{which} begins here and does not end: left out as unfinished"));
        }
    }

    /// Keeps a run that has a whole phase, once.
    pub fn run(&mut self, run: Run) {
        let Some(first) = run.phases.first() else { return };
        run.phases.iter().for_each(|done| self.took(done));
        let keys = run.keys();
        if keys.iter().all(|key| self.seen.find(key).is_some()) {
            self.repeated.get_or_insert((first.lines.0, 0)).1 += 1;
            return;
        }
        keys.into_iter().for_each(|key| self.seen.add(key, ()));
        self.runs.push(run);
    }

    /// The end of the file.
    pub fn end(&mut self) {
        if let Some((line, count)) = self.repeated {
            self.note(line, format!("from here on {count} runs repeat earlier ones of this file: each counts once"));
        }
        for (more, what) in [(self.more_notes, "left out"), (self.more_problems, "wrong")] {
            if more > 0 {
                let text = format!("{more} more places where something is {what} are not listed");
                self.notes.push(Problem { file: Arc::clone(&self.file), line: 0, text });
            }
        }
    }
}

/// Seconds from one moment to a later one; negative if it is earlier.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
