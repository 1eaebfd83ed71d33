//! What was found in a log, before it becomes records.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::Stamp;
use crate::phase::Phase;
use crate::trial::record::{Finding, Span};

/// A kind of log or report that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
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
    pub file: PathBuf,
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

/// One execution of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// When it began; none where the report does not say.
    pub begun: Option<Timestamp>,
    /// How long it took, seconds.
    pub wall_s: f64,
    /// CPU time, seconds.
    pub cpu_s: Option<f64>,
    /// Its parts, where the report has them.
    pub spans: Vec<Span>,
    /// Which of several executions, from 0.
    pub repeat: u32,
    /// Its first and last line.
    pub lines: (u64, u64),
}

/// The machine, as far as a report describes it.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The log.
    pub log: PathBuf,
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
    /// The machine.
    pub machine: Machine,
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
    pub fn new(log: &Path, format: Format) -> Run {
        Run {
            log: log.to_path_buf(),
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
            machine: Machine::default(),
            max_rss_bytes: None,
            phases: Vec::new(),
            unfinished: false,
            precision_ns: 1.0,
            findings: Vec::new(),
        }
    }

    /// Notes the precision of a time in it.
    pub fn precision_of(&mut self, stamp: Stamp) {
        self.precision_ns = self.precision_ns.max(10f64.powi(9 - stamp.digits as i32));
    }

    /// What tells each phase from every other one that was ever logged, whatever the file is called: its times, thread and sector; of a
    /// report without times all its figures.
    pub fn keys(&self) -> Vec<Key> {
        let figures = |p: &PhaseTime| (p.phase, p.repeat, p.wall_s.to_bits(), p.cpu_s.map(f64::to_bits));
        let whole: Vec<_> = self.phases.iter().map(figures).collect();
        let key = |phase: &PhaseTime| Key {
            content: hash(&match phase.begun {
                Some(begun) => {
                    let wall_ms = (phase.wall_s * 1e3).round();
                    format!("{} {begun} {wall_ms} {:?} {:?} {:?}", phase.phase, self.thread, self.process, self.sector)
                }
                None => format!("{} {} {whole:?} {:?}", phase.phase, phase.repeat, self.sector_bytes),
            }),
            files: self.sealed_file.as_ref().map(|file| hash(&format!("{:?} {file}", self.cache_dir))),
        };
        self.phases.iter().map(key).collect()
    }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_string()
}

/// Tells one execution of a phase from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Hash of what was logged.
    pub content: String,
    /// Hash of the files that were sealed; none if the log does not name them, as an excerpt of a log may not.
    pub files: Option<String>,
}

impl Key {
    /// Whether both are the same execution: no time, thread or file speaks against it.
    pub fn is(&self, other: &Key) -> bool {
        let same_files = match (&self.files, &other.files) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.content == other.content && same_files
    }
}

/// Executions that are known, each with a number, found by what was logged.
#[derive(Debug, Default)]
pub struct Seen {
    by_content: HashMap<String, Vec<(Key, usize)>>,
}

impl Seen {
    /// Keeps an execution under a number.
    pub fn add(&mut self, key: Key, number: usize) {
        self.by_content.entry(key.content.clone()).or_default().push((key, number));
    }

    /// The number under which an execution is known.
    pub fn find(&self, key: &Key) -> Option<usize> {
        self.by_content.get(&key.content)?.iter().find(|(known, _)| key.is(known)).map(|(_, number)| *number)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.content)?;
        self.files.as_ref().map_or(Ok(()), |files| write!(f, "/{files}"))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        let (content, files) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b.to_string())));
        Key { content: content.to_string(), files }
    }
}

/// A sink for what a reader finds.
#[derive(Debug)]
pub struct Findings {
    file: PathBuf,
    /// Runs with at least one whole phase.
    pub runs: Vec<Run>,
    /// What is wrong with the log.
    pub problems: Vec<Problem>,
    /// What was left out and is no mistake, such as a run that is not over.
    pub notes: Vec<Problem>,
    /// How often something was found that belongs to a format.
    pub recognised: u64,
    /// Sector sizes that the log names, bytes.
    pub sector_bytes: BTreeSet<u64>,
    /// What `runs` hold: a log may repeat itself, and does not take more memory for it.
    seen: Seen,
    /// Lines of the first run that repeats an earlier one, and how many do.
    repeated: Option<(u64, u64)>,
}

/// No more problems of one file are kept; a log with more is no log.
const MAX_PROBLEMS: usize = 100;

impl Findings {
    /// Nothing yet.
    pub fn new(file: &Path) -> Findings {
        Findings {
            file: file.to_path_buf(),
            runs: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            recognised: 0,
            sector_bytes: BTreeSet::new(),
            seen: Seen::default(),
            repeated: None,
        }
    }

    /// Something is wrong in a line.
    pub fn problem(&mut self, line: u64, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { file: self.file.clone(), line, text });
        }
    }

    /// Something is left out from a line on.
    pub fn note(&mut self, line: u64, text: String) {
        if self.notes.len() < MAX_PROBLEMS {
            self.notes.push(Problem { file: self.file.clone(), line, text });
        }
    }

    /// Keeps a run that has a whole phase, once.
    pub fn run(&mut self, run: Run) {
        let Some(first) = run.phases.first() else { return };
        let keys = run.keys();
        if keys.iter().all(|key| self.seen.find(key).is_some()) {
            self.repeated.get_or_insert((first.lines.0, 0)).1 += 1;
            return;
        }
        keys.into_iter().for_each(|key| self.seen.add(key, 0));
        self.runs.push(run);
    }

    /// The end of the file.
    pub fn end(&mut self) {
        if let Some((line, count)) = self.repeated {
            self.note(line, format!("from here on {count} runs repeat earlier ones of this file: each counts once"));
        }
    }
}

/// Seconds from one moment to a later one; negative if it is earlier.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
