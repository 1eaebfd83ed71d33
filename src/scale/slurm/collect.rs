//! One record of each element, however many were delivered, into the store, once.
//!
//! Which one counts is written into the shared directory by the first who collects, so that everyone takes the same: that of the latest start,
//! which is the one Slurm stood behind; of several the one that began first; of equals the first by name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::write_file;
use crate::store::Store;
use crate::trial::record::Record;

use super::delivery::{self, Delivery, Sample, Start};
use super::queue::Queue;
use super::submission::{CHOSEN, ElementId, LOGS, RECORDS, STARTED, Submission};

/// Where the elements of a submission stand.
#[derive(Debug, Default)]
pub struct Collection {
    /// Their records.
    pub collected: BTreeMap<ElementId, Sample>,
    /// How many of them the store did not have yet.
    pub new: usize,
    /// Elements that will have no record, and why.
    pub failed: BTreeMap<ElementId, String>,
    /// Elements that run or wait, and where or for what.
    pub live: BTreeMap<ElementId, String>,
    /// Valid records that were not taken because another one of the element was.
    pub duplicates: Vec<String>,
    /// Deliveries that are no valid record, and why.
    pub rejected: Vec<(ElementId, String)>,
}

/// The choice among an element's records.
#[derive(Serialize, Deserialize)]
struct Choice {
    /// The file's name.
    file: String,
    /// The run.
    run: String,
}

/// A valid delivery and its file.
struct Candidate {
    file: String,
    sample: Sample,
}

/// Collects what is there. `queue` is what Slurm knows, if it could be asked: an element that goes on is not chosen from yet.
pub fn collect(
    submission: &Submission,
    dir: &Path,
    queue: Option<&Queue>,
    store: &Store,
) -> anyhow::Result<Collection> {
    let mut collection = Collection::default();
    let mut found = candidates(submission, dir, &mut collection)?;
    let starts = starts(dir)?;
    for (id, _) in submission.elements() {
        let candidates = found.remove(&id).unwrap_or_default();
        if let Some(job) = queue.and_then(|queue| queue.job(id)).filter(|job| !job.is_over()) {
            let on = if job.nodes.is_empty() { job.reason.clone() } else { job.nodes.clone() };
            collection.live.insert(id, format!("{} {on}", job.state));
            continue;
        }
        match choose(dir, id, candidates, store, &mut collection.duplicates) {
            Ok(Some(sample)) => {
                collection.new += usize::from(keep(store, &sample.record)?);
                collection.collected.insert(id, sample);
            }
            Ok(None) => {
                let why = why(submission, dir, id, queue, &starts, &collection.rejected);
                collection.failed.insert(id, why);
            }
            Err(error) => drop(collection.failed.insert(id, format!("{error:#}"))),
        }
    }
    Ok(collection)
}

/// The valid deliveries of each element.
fn candidates(
    submission: &Submission,
    dir: &Path,
    collection: &mut Collection,
) -> anyhow::Result<BTreeMap<ElementId, Vec<Candidate>>> {
    let mut found: BTreeMap<ElementId, Vec<Candidate>> = BTreeMap::new();
    for (id, path) in delivery::files(&dir.join(RECORDS))? {
        let file = file_name(&path);
        let sample = delivery::read::<Delivery>(&path).and_then(|delivery| {
            let element = submission.element(id).ok_or_else(|| format!("there is no element {id}"))?;
            delivery.sample(submission, id, element)
        });
        match sample {
            Ok(sample) => found.entry(id).or_default().push(Candidate { file, sample }),
            Err(why) => collection.rejected.push((id, format!("{file}: {why}"))),
        }
    }
    Ok(found)
}

/// The record of an element that counts; the others are duplicates.
fn choose(
    dir: &Path,
    id: ElementId,
    mut candidates: Vec<Candidate>,
    store: &Store,
    duplicates: &mut Vec<String>,
) -> anyhow::Result<Option<Sample>> {
    candidates.sort_by_key(|candidate| {
        let Candidate { file, sample } = candidate;
        (Reverse(sample.run.restart), sample.record.started_at.clone(), file.clone())
    });
    let path = dir.join(CHOSEN).join(format!("{id}.json"));
    if let (Some(first), false) = (candidates.first(), path.exists()) {
        let choice = Choice { file: first.file.clone(), run: first.sample.record.id.clone() };
        let json = serde_json::to_vec(&choice)?;
        let written = write_file(&path, false, |out| Ok(out.write_all(&json)?));
        // Another one who collects may be faster: then that choice holds.
        written.or_else(|error| if path.exists() { Ok(()) } else { Err(error) })?;
    }
    if !path.exists() {
        return Ok(None);
    }
    let again = |why: String| anyhow::anyhow!("{why}; remove {} to choose anew", path.display());
    let choice: Choice =
        delivery::read(&path).map_err(|why| again(format!("which record counts is not known: {why}")))?;
    let is_chosen = |c: &Candidate| c.file == choice.file && c.sample.record.id == choice.run;
    let sample = match candidates.iter().position(is_chosen) {
        Some(place) => candidates.remove(place).sample,
        None => in_store(store, &choice.run)?
            .ok_or_else(|| again(format!("{} was chosen and is no valid record any more", choice.file)))?,
    };
    duplicates.extend(candidates.iter().map(|other| {
        let Sample { run, record } = &other.sample;
        format!("{}: run {} of start {} on {}; {} counts", other.file, record.id, run.restart, run.node, choice.file)
    }));
    Ok(Some(sample))
}

/// A record that was collected earlier, though its file is gone or damaged since.
fn in_store(store: &Store, run: &str) -> anyhow::Result<Option<Sample>> {
    if !store.has_record(run)? {
        return Ok(None);
    }
    let record = store.record(run)?;
    Ok(record.cluster.clone().map(|run| Sample { run, record }))
}

/// Puts a record into the store unless it has it; whether it was new.
fn keep(store: &Store, record: &Record) -> anyhow::Result<bool> {
    if store.has_record(&record.id)? {
        let known = store.record(&record.id)?;
        if serde_json::to_value(&known)? != serde_json::to_value(record)? {
            anyhow::bail!("the store has another record of run {}: move the store away, and collect again", record.id);
        }
        return Ok(false);
    }
    match store.finish(record) {
        // Another one who collects was faster.
        Err(_) if store.has_record(&record.id)? => Ok(false),
        done => done.map(|()| true),
    }
}

/// The last start of each element that saw the shared directory.
pub fn starts(dir: &Path) -> anyhow::Result<BTreeMap<ElementId, Start>> {
    let mut starts: BTreeMap<ElementId, Start> = BTreeMap::new();
    for (id, path) in delivery::files(&dir.join(STARTED))? {
        let Ok(start) = delivery::read::<Start>(&path) else { continue };
        if starts
            .get(&id)
            .is_none_or(|known| (known.run.restart, &known.started_at) < (start.run.restart, &start.started_at))
        {
            starts.insert(id, start);
        }
    }
    Ok(starts)
}

/// Why an element has no record, by what was delivered, what Slurm says, and whether it ever saw the directory.
fn why(
    submission: &Submission,
    dir: &Path,
    id: ElementId,
    queue: Option<&Queue>,
    starts: &BTreeMap<ElementId, Start>,
    rejected: &[(ElementId, String)],
) -> String {
    let job = queue.and_then(|queue| queue.job(id));
    let started = starts.get(&id);
    let ending = match (job, queue) {
        (Some(job), _) => job.ending(),
        (None, Some(_)) => "Slurm does not know its job: it was not submitted, or is forgotten".into(),
        (None, None) => "Slurm was not asked".into(),
    };
    let mut parts = vec![ending];
    parts.extend(rejected.iter().filter(|(of, _)| *of == id).map(|(_, text)| text.clone()));
    match (started, job) {
        (Some(start), _) => parts.push(format!("it was started on {}", start.run.node)),
        (None, Some(job)) if !job.nodes.is_empty() => parts.push(format!(
            "it never saw {} on {}: that directory is not shared with the node, or the program does not run there",
            dir.display(),
            job.nodes
        )),
        _ => {}
    }
    let log = dir.join(LOGS).join(format!("{}-{}.log", id.array, id.index));
    parts.extend(log.exists().then(|| format!("see {}", log.display())));
    let point = submission.element(id).map_or_else(String::new, |element| submission.point(element).label());
    format!("{point}: {}", parts.join("; "))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
