//! Logs and reports of other tools, made into records: `benchy force` of 2020, rust-fil-proofs, lotus, curio, benchy's JSON, lotus-bench.
//!
//! [`read`] takes files and gives records, each run once; [`store`] keeps those that the store does not have; [`overlap::rates`] says what
//! they put out side by side. A log may hold hundreds of thousands of runs: the facts of each stay in memory, a record is made when it is asked
//! for. `docs/import.md` says what is taken from which line.

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
use overlap::{Rate, Together, rates};
use record::Told;
use run::{Run, Seen};

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
    /// What the runs put out, by phase and cores.
    pub rates: Vec<Rate>,
    /// Runs that are in another file too: the file that was left out and the one that counts, with how many they are.
    pub duplicates: BTreeMap<(Arc<Path>, Arc<Path>), u64>,
    /// Mistakes in the files. The runs they are about have no records.
    pub problems: Vec<Problem>,
    /// What was left out and is no mistake.
    pub notes: Vec<Problem>,
    /// By start.
    runs: Vec<Run>,
    /// By run.
    marks: Vec<Mark>,
    options: Options,
    build: BuildInfo,
}

/// Which of a run's phases belongs to which rate, as which instance.
#[derive(Debug)]
struct Mark {
    run: usize,
    phase: usize,
    rate: usize,
    instance: u32,
}

/// Reads logs. An error is a file that cannot be read at all; what is wrong inside of one is a problem.
pub fn read(files: &[PathBuf], options: &Options) -> anyhow::Result<Imported> {
    let mut imported = Imported {
        rates: Vec::new(),
        duplicates: BTreeMap::new(),
        problems: Vec::new(),
        notes: Vec::new(),
        runs: Vec::new(),
        marks: Vec::new(),
        options: options.clone(),
        build: BuildInfo::capture(),
    };
    for file in files {
        imported.read_file(file)?;
    }
    let mut wrong = Alike::default();
    imported.keep_one_of_each(&mut wrong);
    imported.keep_possible(&mut wrong);
    imported.problems.extend(wrong.problems());
    imported.runs.sort_by_cached_key(|run| (record::started(run), run.keys()[0]));
    imported.rates = rates(imported.records());
    let members = imported.rates.iter().zip(0..).flat_map(|(of, rate)| of.members.iter().map(move |one| (one, rate)));
    let mark = |(one, rate): (&overlap::Member, usize)| Mark {
        run: one.record,
        phase: one.phase,
        rate,
        instance: one.instance,
    };
    imported.marks = members.map(mark).collect();
    imported.marks.sort_unstable_by_key(|mark| (mark.run, mark.phase));
    Ok(imported)
}

impl Imported {
    /// A record for each run, by start.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.runs.iter().enumerate().map(|(number, run)| self.record(number, run))
    }

    /// Phases of all runs.
    pub fn phases(&self) -> usize {
        self.runs.iter().map(|run| run.phases.len()).sum()
    }

    /// Runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    fn record(&self, number: usize, run: &Run) -> Record {
        let told = &self.options.told;
        let size = record::sector_size(run, told).expect("runs of other sizes are not kept");
        let mut record = record::record(run, told, size, self.cores(&run.log).or(told.cores), &self.build);
        let first = self.marks.partition_point(|mark| mark.run < number);
        for mark in self.marks[first..].iter().take_while(|mark| mark.run == number) {
            let rate = &self.rates[mark.rate];
            let phase = &mut record.phases[mark.phase];
            phase.instance = mark.instance;
            if rate.together == Together::Concurrent {
                phase.concurrent = rate.instances;
            }
            let findings = &mut record.validity.findings;
            findings.extend(finding(rate, told.instances).filter(|finding| !findings.contains(finding)));
        }
        record.summary = stats::summarize(&record.phases);
        record
    }

    /// The cores that a log's name says, if it is to be asked.
    fn cores(&self, log: &Path) -> Option<u32> {
        name::cores(log).filter(|_| self.options.cores_from_name)
    }

    fn read_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let opened = File::open(file).map_err(|e| Stop::Usage.error(format!("cannot open {}: {e}", file.display())))?;
        let about = opened.metadata().with_context(|| format!("cannot read {}", file.display()))?;
        if about.is_dir() {
            return Err(Stop::Usage.error(format!("{} is a directory: name the logs in it", file.display())));
        }
        let (name, format) = (Arc::from(file), self.options.format);
        let (found, first_time) =
            scan::scan(opened, &name, format).with_context(|| format!("cannot read {}", file.display()))?;
        let modified = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let logged = first_time.or(modified).unwrap_or(Timestamp::UNIX_EPOCH);
        if found.recognised == 0 && found.problems.is_empty() {
            let text = match format {
                Some(format) => format!("nothing in it is a {}: --format may name another", format.name()),
                None => "no line of it belongs to a log or report that can be imported (docs/import.md lists them)"
                    .to_string(),
            };
            self.problems.push(Problem { file: name, line: 0, text });
        }
        self.problems.extend(found.problems);
        self.notes.extend(found.notes);
        let mut runs = found.runs;
        runs.iter_mut().for_each(|run| run.logged = logged);
        // The longer list takes in the shorter one: both may be long.
        if runs.len() > self.runs.len() {
            std::mem::swap(&mut runs, &mut self.runs);
        }
        self.runs.append(&mut runs);
        Ok(())
    }

    /// Of copies the one with most phases counts, then one whose name says the cores, then the first by name.
    fn keep_one_of_each(&mut self, wrong: &mut Alike) {
        let mut runs = std::mem::take(&mut self.runs);
        runs.sort_unstable_by(|a, b| {
            let rank = |run: &Run| (Reverse(run.phases.len()), self.cores(&run.log).is_none());
            rank(a).cmp(&rank(b)).then_with(|| (&a.log, a.phases[0].lines).cmp(&(&b.log, b.phases[0].lines)))
        });
        let mut seen: Seen<Arc<Path>> = Seen::default();
        runs.retain_mut(|run| {
            let keys = run.keys();
            let known: Vec<bool> = keys.iter().map(|key| seen.find(key).is_some()).collect();
            if let Some(other) = seen.find(&keys[0]).filter(|_| !known.contains(&false)) {
                let line = run.phases[0].lines.0;
                if let Some(text) = contradiction(self.cores(&run.log), self.cores(other), other) {
                    wrong.add(&run.log, line, text);
                }
                *self.duplicates.entry((Arc::clone(&run.log), Arc::clone(other))).or_default() += 1;
                return false;
            }
            // Two logs may each hold a part of a run, and both the middle.
            let mut known = known.into_iter();
            run.phases.retain(|_| known.next() != Some(true));
            keys.into_iter().for_each(|key| seen.add(key, Arc::clone(&run.log)));
            true
        });
        self.runs = runs;
    }

    /// A record holds the sizes of sectors that there are.
    fn keep_possible(&mut self, wrong: &mut Alike) {
        self.runs.retain(|run| match record::sector_size(run, &self.options.told) {
            Ok(_) => true,
            Err(text) => {
                wrong.add(&run.log, run.phases[0].lines.0, text);
                false
            }
        });
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
pub fn store(store: &Store, records: impl Iterator<Item = Record>) -> anyhow::Result<Kept> {
    let mut known = Seen::default();
    for id in store.recorded()?.iter().filter(|id| id.starts_with(record::ID_START)) {
        record::keys(&store.record(id)?).into_iter().for_each(|key| known.add(key, ()));
    }
    let mut kept = Kept::default();
    store.finish_all(records.filter_map(|record| {
        let keys = record::keys(&record);
        let is_new: Vec<bool> = keys.iter().map(|key| known.find(key).is_none()).collect();
        if !is_new.contains(&true) {
            kept.known += 1;
            return None;
        }
        kept.new += 1;
        keys.into_iter().for_each(|key| known.add(key, ()));
        Some(if is_new.contains(&false) { without_known(record, &is_new) } else { record })
    }))?;
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
