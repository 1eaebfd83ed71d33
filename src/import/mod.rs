//! Logs and reports of other tools, made into records: `benchy force` of 2020, rust-fil-proofs, lotus, curio, benchy's JSON, lotus-bench.
//!
//! [`read`] takes files and gives records, each run once; [`store`] keeps those that the store does not have; [`overlap::rates`] says what
//! they put out side by side. `docs/import.md` says what is taken from which line.

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

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

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
    /// A record for each run, by start.
    pub records: Vec<Record>,
    /// What they put out, by phase and cores.
    pub rates: Vec<Rate>,
    /// Runs, or parts of them, that are in another file too: which file was left out, and which one counts.
    pub duplicates: Vec<(PathBuf, PathBuf)>,
    /// Mistakes in the files. The runs they are about are not in `records`.
    pub problems: Vec<Problem>,
    /// What was left out and is no mistake.
    pub notes: Vec<Problem>,
}

/// Reads logs. An error is a file that cannot be read at all; what is wrong inside of one is a problem.
pub fn read(files: &[PathBuf], options: &Options) -> anyhow::Result<Imported> {
    let mut imported = Imported {
        records: Vec::new(),
        rates: Vec::new(),
        duplicates: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let mut runs: Vec<(Run, Timestamp)> = Vec::new();
    for file in files {
        runs.extend(read_file(file, options, &mut imported)?);
    }
    let cores = |run: &Run| name::cores(&run.log).filter(|_| options.cores_from_name);
    // Of copies the one with most phases counts, then one whose name says the cores, then the first by name.
    runs.sort_by(|(a, _), (b, _)| {
        let rank = |run: &Run| (std::cmp::Reverse(run.phases.len()), cores(run).is_none());
        rank(a).cmp(&rank(b)).then_with(|| (&a.log, a.phases[0].lines).cmp(&(&b.log, b.phases[0].lines)))
    });
    let mut kept: Vec<(Run, Timestamp)> = Vec::new();
    let mut seen = Seen::default();
    for (mut run, time) in runs {
        let keys = run.keys();
        let numbers: Vec<Option<usize>> = keys.iter().map(|key| seen.find(key)).collect();
        match numbers[0] {
            Some(number) if numbers.iter().all(|other| *other == Some(number)) => {
                let other = &kept[number].0;
                imported.problems.extend(contradiction(&run, other, cores));
                imported.duplicates.push((run.log, other.log.clone()));
            }
            _ => {
                // Two logs may each hold a part of a run, and both the middle.
                let mut known = numbers.iter().map(Option::is_some);
                run.phases.retain(|_| known.next() != Some(true));
                if run.phases.is_empty() {
                    // Every part of it is in one of several logs.
                    let number = numbers.into_iter().flatten().next().expect("all of its phases are known");
                    imported.duplicates.push((run.log, kept[number].0.log.clone()));
                    continue;
                }
                keys.into_iter().for_each(|key| seen.add(key, kept.len()));
                kept.push((run, time));
            }
        }
    }
    let build = BuildInfo::capture();
    for (run, time) in kept {
        match record::record(&run, &options.told, cores(&run).or(options.told.cores), time, &build) {
            Ok(record) => imported.records.push(record),
            Err(text) => imported.problems.push(Problem { line: run.phases[0].lines.0, file: run.log, text }),
        }
    }
    imported.records.sort_by(|a, b| (&a.started_at, &a.id).cmp(&(&b.started_at, &b.id)));
    imported.rates = rates(&imported.records);
    mark(&mut imported.records, &imported.rates, options.told.instances);
    Ok(imported)
}

fn read_file(file: &Path, options: &Options, imported: &mut Imported) -> anyhow::Result<Vec<(Run, Timestamp)>> {
    let opened = File::open(file).map_err(|e| Stop::Usage.error(format!("cannot open {}: {e}", file.display())))?;
    let about = opened.metadata().with_context(|| format!("cannot read {}", file.display()))?;
    if about.is_dir() {
        return Err(Stop::Usage.error(format!("{} is a directory: name the logs in it", file.display())));
    }
    let (found, first_time) =
        scan::scan(opened, file, options.format).with_context(|| format!("cannot read {}", file.display()))?;
    let modified = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let time = first_time.or(modified).unwrap_or(Timestamp::UNIX_EPOCH);
    if found.recognised == 0 && found.problems.is_empty() {
        let text = match options.format {
            Some(format) => format!("nothing in it is a {}: --format may name another", format.name()),
            None => {
                "no line of it belongs to a log or report that can be imported (docs/import.md lists them)".to_string()
            }
        };
        imported.problems.push(Problem { file: file.to_path_buf(), line: 0, text });
    }
    imported.problems.extend(found.problems);
    imported.notes.extend(found.notes);
    Ok(found.runs.into_iter().map(|run| (run, time)).collect())
}

/// One run under two names that say different things.
fn contradiction(run: &Run, other: &Run, cores: impl Fn(&Run) -> Option<u32>) -> Option<Problem> {
    let (one, two) = (cores(run)?, cores(other)?);
    let text =
        format!("it is the same run as {}, but its name says {one} cores and the other's {two}", other.log.display());
    (one != two).then(|| Problem { file: run.log.clone(), line: run.phases[0].lines.0, text })
}

/// Writes into the records which instance each execution was and whether it ran beside others.
fn mark(records: &mut [Record], rates: &[Rate], told: Option<u32>) {
    for rate in rates {
        let finding = finding(rate, told);
        for member in &rate.members {
            let record = &mut records[member.record];
            if let Some(phase) = record.phases.get_mut(member.phase) {
                phase.instance = member.instance;
                if rate.together == Together::Concurrent {
                    phase.concurrent = rate.instances;
                }
            }
            let known = &mut record.validity.findings;
            known.extend(finding.iter().filter(|finding| !known.contains(finding)).cloned().collect::<Vec<_>>());
        }
    }
    for record in records {
        record.summary = stats::summarize(&record.phases);
    }
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

/// Which records were new to a store.
#[derive(Debug, Default)]
pub struct Kept {
    /// Ids of the records that were added.
    pub new: Vec<String>,
    /// Ids of those whose phases were all there already.
    pub known: Vec<String>,
}

/// Keeps the records in the store. A phase that is there already, from whatever file, is not added again.
pub fn store(store: &Store, records: &[Record]) -> anyhow::Result<Kept> {
    let mut known = Seen::default();
    for id in store.recorded()?.iter().filter(|id| id.starts_with(record::ID_START)) {
        record::keys(&store.record(id)?).into_iter().for_each(|key| known.add(key, 0));
    }
    let mut kept = Kept::default();
    let mut added: Vec<Cow<Record>> = Vec::new();
    for record in records {
        let keys = record::keys(record);
        let is_new: Vec<bool> = keys.iter().map(|key| known.find(key).is_none()).collect();
        if !is_new.contains(&true) {
            kept.known.push(record.id.clone());
            continue;
        }
        keys.into_iter().for_each(|key| known.add(key, 0));
        added.push(if is_new.contains(&false) {
            Cow::Owned(without_known(record, &is_new))
        } else {
            Cow::Borrowed(record)
        });
    }
    store.finish_all(added.iter().map(AsRef::as_ref))?;
    kept.new = added.iter().map(|record| record.id.clone()).collect();
    Ok(kept)
}

/// The record with its new phases only.
fn without_known(record: &Record, is_new: &[bool]) -> Record {
    let mut part = record.clone();
    let new = |place: usize| is_new.get(place).copied().unwrap_or(true);
    let mut place = 0;
    part.phases.retain(|_| {
        place += 1;
        new(place - 1)
    });
    let keys = record::keys(record).into_iter().enumerate().filter(|(place, _)| new(*place));
    let keys: Vec<String> = keys.map(|(_, key)| key.to_string()).collect();
    part.id = record::id_of(&part.id, &keys);
    part.spec.settings.insert(record::KEYS.to_string(), keys.join(","));
    part.summary = stats::summarize(&part.phases);
    let text = "the run's other phases were imported before, with an earlier state of this log";
    part.validity.findings.push(Finding::new("rest-of-run", Severity::Info, text));
    part
}
