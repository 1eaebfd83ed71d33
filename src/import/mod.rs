//! Logs and reports of other tools, made into records: `benchy force` of 2020, rust-fil-proofs, lotus, curio, benchy's JSON, lotus-bench.
//!
//! [`read`] takes files and gives records, each run once; [`store`] keeps those that the store does not have; [`overlap::rates`] says what
//! they put out side by side. A log may hold hundreds of thousands of runs: they are put on disk ([`spool`]), what is needed to tell and to
//! order them stays in memory, and a record is made when it is asked for. `docs/import.md` says what is taken from which line.

mod benchy_log;
mod fil_proofs_log;
mod json;
mod line;
mod lines;
mod lotus_text;
mod name;
pub mod overlap;
pub mod record;
mod run;
mod scan;
mod spool;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

pub use run::{Format, Key, Problem};

use crate::error::Stop;
use crate::host::BuildInfo;
use crate::measure::stats;
use crate::store::Store;
use crate::trial::record::{Finding, Record, Severity};
use overlap::{Executions, Kind, Member, Rate, Sample, Together};
use record::Told;
use run::{Log, Run, Seen};
use spool::{Place, Spool};

/// How to read logs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Read every file as this; otherwise each format is looked for.
    pub format: Option<Format>,
    /// Take the cores of each instance from the file's name.
    pub cores_from_name: bool,
    /// What the logs do not say.
    pub told: Told,
}

/// What the files hold.
#[derive(Debug)]
pub struct Imported {
    /// What the runs put out, by phase and cores; the records say which of them are members.
    pub rates: Vec<Rate>,
    /// Runs that are in another file too: the file that was left out and the one that counts, with how many they are.
    pub duplicates: BTreeMap<(Arc<Path>, Arc<Path>), u64>,
    /// Mistakes in the files, of each the first. The runs they are about have no records.
    pub problems: Vec<Problem>,
    /// How many more mistakes there are.
    pub more_problems: u64,
    /// What was left out and is no mistake.
    pub notes: Vec<Problem>,
    /// By name.
    logs: Vec<Log>,
    spool: Spool,
    /// By start.
    runs: Vec<Entry>,
    phases: usize,
    /// By run.
    marks: Vec<Mark>,
    options: Options,
    build: BuildInfo,
}

/// A run that was found, before it is known whether it counts.
#[derive(Clone, Copy, Debug)]
struct Found {
    place: Place,
    log: u32,
    phases: u32,
    line: u64,
}

/// A run that counts.
#[derive(Clone, Copy, Debug)]
struct Entry {
    place: Place,
    log: u32,
    started_us: i64,
    /// Orders runs that began at the same time.
    key: Key,
}

/// Which of a run's phases belongs to which rate, as which instance.
#[derive(Debug)]
struct Mark {
    of: Member,
    rate: u32,
}

/// Reads logs. An error is a file that cannot be read at all; what is wrong inside of one is a problem.
pub fn read(files: &[PathBuf], options: &Options) -> anyhow::Result<Imported> {
    let mut imported = Imported {
        rates: Vec::new(),
        duplicates: BTreeMap::new(),
        problems: Vec::new(),
        more_problems: 0,
        notes: Vec::new(),
        logs: Vec::new(),
        spool: Spool::new()?,
        runs: Vec::new(),
        phases: 0,
        marks: Vec::new(),
        options: options.clone(),
        build: BuildInfo::capture(),
    };
    let (mut files, mut found) = (files.to_vec(), Vec::new());
    files.sort();
    for file in &files {
        imported.read_file(file, &mut found)?;
    }
    imported.keep_one_of_each(found)?;
    imported.runs.sort_unstable_by_key(|run| (run.started_us, run.key));
    imported.rates = imported.executions()?.rates();
    let members =
        |(rate, of): (u32, &mut Rate)| std::mem::take(&mut of.members).into_iter().map(move |of| Mark { of, rate });
    imported.marks = (0..).zip(&mut imported.rates).flat_map(members).collect();
    imported.marks.sort_unstable_by_key(|mark| (mark.of.record, mark.of.phase));
    Ok(imported)
}

impl Imported {
    /// A record for each run, by start.
    pub fn records(&self) -> impl Iterator<Item = anyhow::Result<Record>> {
        (0..).zip(&self.runs).map(|(number, entry)| self.record(number, entry))
    }

    /// Phases of all runs.
    pub fn phases(&self) -> usize {
        self.phases
    }

    /// Runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    fn record(&self, number: u32, entry: &Entry) -> anyhow::Result<Record> {
        let (run, log, told) = (self.run(entry.place, entry.log)?, self.log(entry.log), &self.options.told);
        let size = record::sector_size(&run, told).expect("runs of other sizes are not kept");
        let mut record = record::record(&run, log, told, size, &self.build);
        let first = self.marks.partition_point(|mark| mark.of.record < number);
        for mark in self.marks[first..].iter().take_while(|mark| mark.of.record == number) {
            let rate = &self.rates[mark.rate as usize];
            let phase = &mut record.phases[mark.of.phase as usize];
            phase.instance = mark.of.instance;
            if rate.together == Together::Concurrent {
                phase.concurrent = rate.instances;
            }
            let findings = &mut record.validity.findings;
            findings.extend(finding(rate, told.instances).filter(|finding| !findings.contains(finding)));
        }
        record.summary = stats::summarize(&record.phases);
        Ok(record)
    }

    fn log(&self, number: u32) -> &Log {
        &self.logs[number as usize]
    }

    /// The run in a place. A log that names one sector size names it for all its runs.
    fn run(&self, place: Place, log: u32) -> anyhow::Result<Run> {
        let run = self.spool.read(place)?;
        Ok(Run { sector_bytes: run.sector_bytes.or(self.log(log).sector_bytes), ..run })
    }

    fn read_file(&mut self, file: &Path, runs: &mut Vec<Found>) -> anyhow::Result<()> {
        let opened = File::open(file).map_err(|e| Stop::Usage.error(format!("cannot open {}: {e}", file.display())))?;
        let about = opened.metadata().with_context(|| format!("cannot read {}", file.display()))?;
        if about.is_dir() {
            return Err(Stop::Usage.error(format!("{} is a directory: name the logs in it", file.display())));
        }
        let (path, format): (Arc<Path>, _) = (Arc::from(file), self.options.format);
        let (log, spool) = (self.logs.len() as u32, &mut self.spool);
        let (found, first_time) = scan::scan(opened, &path, format, |run| {
            let (phases, line) = (run.phases.len() as u32, run.phases[0].lines.0);
            runs.push(Found { place: spool.add(&run)?, log, phases, line });
            Ok(())
        })?;
        let modified = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let logged = first_time.or(modified).unwrap_or(Timestamp::UNIX_EPOCH);
        let named = name::cores(file).filter(|_| self.options.cores_from_name);
        self.logs.push(Log { path: Arc::clone(&path), named, logged, sector_bytes: found.sector_bytes() });
        if found.recognised == 0 && found.problems.is_empty() {
            self.problems.push(Problem { file: path, line: 0, text: nothing_in_it(format) });
        }
        self.problems.extend(found.problems);
        self.more_problems += found.more_problems;
        self.notes.extend(found.notes);
        Ok(())
    }

    /// Of copies the one with most phases counts, then one whose name says the cores, then the first by name. A record holds the sizes of
    /// sectors that there are.
    fn keep_one_of_each(&mut self, mut found: Vec<Found>) -> anyhow::Result<()> {
        let is_unnamed = |run: &Found| self.log(run.log).named.is_none();
        found.sort_unstable_by_key(|run| (Reverse(run.phases), is_unnamed(run), run.log, run.line));
        let (mut wrong, mut seen) = (Alike::default(), Seen::default());
        for one in found {
            let mut run = self.run(one.place, one.log)?;
            let keys = run.keys();
            let known: Vec<bool> = keys.iter().map(|key| seen.find(key).is_some()).collect();
            if let Some(&other) = seen.find(&keys[0]).filter(|_| !known.contains(&false)) {
                self.duplicate(&one, other, &mut wrong);
                continue;
            }
            keys.into_iter().for_each(|key| seen.add(key, one.log));
            if let Err(text) = record::sector_size(&run, &self.options.told) {
                wrong.add(&self.log(one.log).path, one.line, text);
                continue;
            }
            // Two logs may each hold a part of a run, and both the middle.
            let place = if known.contains(&true) {
                let mut known = known.into_iter();
                run.phases.retain(|_| known.next() != Some(true));
                self.spool.add(&run)?
            } else {
                one.place
            };
            self.phases += run.phases.len();
            let started_us = record::started(&run, self.log(one.log)).as_microsecond();
            self.runs.push(Entry { place, log: one.log, started_us, key: run.keys()[0] });
        }
        self.problems.extend(wrong.problems());
        Ok(())
    }

    /// The run is in another log too.
    fn duplicate(&mut self, run: &Found, other: u32, wrong: &mut Alike) {
        let (log, other) = (self.log(run.log), self.log(other));
        if let Some(text) = contradiction(log.named, other.named, &other.path) {
            wrong.add(&log.path, run.line, text);
        }
        let both = (Arc::clone(&log.path), Arc::clone(&other.path));
        *self.duplicates.entry(both).or_default() += 1;
    }

    fn executions(&self) -> anyhow::Result<Executions> {
        let mut executions = Executions::default();
        let told = &self.options.told;
        let host: Option<Arc<str>> = told.host.as_deref().map(Arc::from);
        for (number, entry) in (0..).zip(&self.runs) {
            let run = self.run(entry.place, entry.log)?;
            let sector_size = record::sector_size(&run, told).expect("runs of other sizes are not kept");
            let cores = self.log(entry.log).named.or(told.cores);
            for (place, phase) in (0..).zip(&run.phases) {
                let begun = phase.begun.filter(|_| run.format.has_times());
                let (host, is_untimed) = (host.clone(), begun.is_none());
                let begun_us = begun.map_or(0, Timestamp::as_microsecond);
                let kind = Kind { phase: phase.phase, sector_size, cores, host, is_untimed };
                executions
                    .add(kind, Sample { record: number, phase: place, log: entry.log, begun_us, wall_s: phase.wall_s });
            }
        }
        Ok(executions)
    }
}

/// The sentence about a file in which nothing was found.
fn nothing_in_it(format: Option<Format>) -> String {
    match format {
        Some(format) => format!("nothing in it is a {}: --format may name another", format.name()),
        None => "no line of it belongs to a log or report that can be imported (docs/import.md lists them)".to_string(),
    }
}

/// What is wrong with many runs of a file alike is said once.
#[derive(Default)]
struct Alike {
    /// By file and text: the first line, and further runs.
    found: BTreeMap<(Arc<Path>, String), (u64, u64)>,
}

impl Alike {
    fn add(&mut self, file: &Arc<Path>, line: u64, text: String) {
        let known = self.found.entry((Arc::clone(file), text));
        known.and_modify(|(first, more)| (*first, *more) = (line.min(*first), *more + 1)).or_insert((line, 0));
    }

    fn problems(self) -> impl Iterator<Item = Problem> {
        self.found.into_iter().map(|((file, text), (line, more))| {
            let more = if more > 0 { format!(" (and so it is with {more} more runs of it)") } else { String::new() };
            Problem { file, line, text: text + &more }
        })
    }
}

/// One run under two names that say different things.
fn contradiction(cores: Option<u32>, others: Option<u32>, other: &Path) -> Option<String> {
    let (one, two) = cores.zip(others).filter(|(one, two)| one != two)?;
    Some(format!("it is the same run as {}, but its name says {one} cores and the other's {two}", other.display()))
}

/// What a reader of one of the rate's runs must know.
fn finding(rate: &Rate, told: Option<u32>) -> Option<Finding> {
    let what = match rate.cores {
        Some(cores) => format!("{} on {cores} cores", rate.phase),
        None => rate.phase.to_string(),
    };
    let most = rate.at_once.unwrap_or(1);
    match rate.together {
        Together::NotConcurrent => {
            let text = format!(
                "the {} runs of {what} were not concurrent by their time windows ({most} at once at most): their sum, {:.3} sectors/h, is no \
                 rate of a machine; one gives {:.3}",
                rate.instances, rate.sectors_per_h, rate.one_per_h
            );
            Some(Finding::new("not-concurrent", Severity::Warning, text))
        }
        Together::Concurrent => {
            let text = format!(
                "{} instances of {what} ran side by side, all of them for {:.0} s ({:.0} % of the slowest): {:.3} sectors/h",
                rate.instances,
                rate.window_s,
                rate.overlap * 100.0,
                rate.sectors_per_h
            );
            Some(Finding::new("concurrent", Severity::Info, text))
        }
        Together::Alone if told.is_some_and(|told| told > 1) && rate.at_once.is_some() => {
            let text = format!(
                "{what} was told to have run with {} instances side by side, but no other log of these ran at the same time",
                told.unwrap_or(1)
            );
            Some(Finding::new("not-concurrent", Severity::Warning, text))
        }
        Together::Alone | Together::Unknown => None,
    }
}

/// How many records were new to a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Records that were added.
    pub new: u64,
    /// Those whose phases were all there already.
    pub known: u64,
}

/// Keeps the records in the store. A phase that is there already, from whatever file, is not added again.
pub fn store(store: &Store, records: impl Iterator<Item = anyhow::Result<Record>>) -> anyhow::Result<Kept> {
    let mut known = Seen::default();
    store.each_setting(record::ID_START, record::KEYS, |keys| {
        record::keys_in(keys).for_each(|key| known.add(key, ()));
    })?;
    let mut kept = Kept::default();
    let mut is_new = |record: Record| {
        let keys = record::keys(&record);
        let is_new: Vec<bool> = keys.iter().map(|key| known.find(key).is_none()).collect();
        if !is_new.contains(&true) {
            kept.known += 1;
            return None;
        }
        kept.new += 1;
        keys.into_iter().for_each(|key| known.add(key, ()));
        Some(if is_new.contains(&false) { without_known(record, &is_new) } else { record })
    };
    store.finish_all(records.filter_map(|record| record.map(&mut is_new).transpose()))?;
    Ok(kept)
}

/// The record with its new phases only.
fn without_known(mut part: Record, is_new: &[bool]) -> Record {
    let new = |place: usize| is_new.get(place).copied().unwrap_or(true);
    let mut place = 0;
    part.phases.retain(|_| {
        place += 1;
        new(place - 1)
    });
    let keys = record::keys(&part).into_iter().enumerate().filter(|(place, _)| new(*place));
    let keys: Vec<String> = keys.map(|(_, key)| key.to_string()).collect();
    part.id = record::id_of(&part.id, &keys);
    part.spec.settings.insert(record::KEYS.to_string(), keys.join(","));
    part.summary = stats::summarize(&part.phases);
    let text = "the run's other phases were imported before, with an earlier state of this log";
    part.validity.findings.push(Finding::new("rest-of-run", Severity::Info, text));
    part
}
