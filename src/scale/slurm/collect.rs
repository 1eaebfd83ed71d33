//! One record of each element, however many were delivered, into the store, once.
//!
//! Which one counts is written into the shared directory by the first who collects, so that everyone takes the same: one that the store has
//! already; else that of the latest start, which is the one Slurm stood behind; of several the one that began first; of equals the first by
//! name. An element whose latest start has not delivered yet is unsettled, and nothing is chosen of it until the last look.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::disk::write_file;
use crate::store::{Query, Store};
use crate::trial::record::Record;

use super::delivery::{self, Delivery, Sample, Start};
use super::queue::{Job, Queue};
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
    /// Elements whose jobs are over and whose last start may have a record that does not show yet.
    pub unsettled: BTreeSet<ElementId>,
    /// Valid records that were not taken because another one of the element was.
    pub duplicates: Vec<String>,
    /// Deliveries that are no valid record, and why.
    pub rejected: Vec<(ElementId, String)>,
    /// Why a choice could not be written into the shared directory.
    pub unwritten: Option<String>,
}

/// The choice among an element's records.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    /// The file's name.
    file: String,
    /// The run.
    run: String,
}

/// A valid record of an element.
struct Candidate {
    /// Its file; "the results store" if that is gone.
    file: String,
    sample: Sample,
    /// The store has it.
    is_stored: bool,
}

/// What there is of an element.
#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    /// The latest start that delivered something.
    restart: Option<u32>,
}

/// What is collected, from where and into which store.
pub struct Source<'a> {
    /// What was submitted.
    pub submission: &'a Submission,
    /// The shared directory.
    pub dir: &'a Path,
    /// What Slurm knows, if it could be asked: an element that goes on is not chosen from yet.
    pub queue: Option<&'a Queue>,
    /// Where the records go.
    pub store: &'a Store,
}

/// Collects what is there. Unsettled elements are left for a later look, unless this is the last one.
pub fn collect(source: &Source, is_last: bool) -> anyhow::Result<Collection> {
    let Source { submission, dir, queue, store } = *source;
    let mut collection = Collection::default();
    let mut found = source.found(&mut collection.rejected)?;
    let starts = starts(dir)?;
    for (id, _) in submission.elements() {
        let found = found.remove(&id).unwrap_or_default();
        let is_sure = queue.is_some_and(|queue| queue.is_sure_of(id));
        let has_ended = !is_sure && found.has_delivered(None, starts.get(&id));
        // Slurm may list one that it has forgotten with those that still wait.
        let job = queue.and_then(|queue| queue.job(id)).filter(|_| !has_ended);
        if let Some(job) = job.filter(|job| !job.is_over()) {
            let on = if job.nodes.is_empty() { job.reason.clone() } else { job.nodes.clone() };
            collection.live.insert(id, format!("{} {on}", job.state));
            continue;
        }
        let has_delivered = found.has_delivered(job, starts.get(&id));
        if !is_last && !has_delivered && found.may_grow(job) && !choice_of(dir, id).exists() {
            collection.unsettled.insert(id);
            continue;
        }
        match take(dir, id, found.candidates, store, &mut collection) {
            Ok(true) => {}
            Ok(false) if queue.is_none() && !has_delivered => {
                collection.live.insert(id, "of an unknown state: ask again where Slurm answers".into());
            }
            Ok(false) => {
                let why = why(submission, dir, id, queue, &starts, &collection.rejected);
                collection.failed.insert(id, why);
            }
            Err(error) => drop(collection.failed.insert(id, format!("{error:#}"))),
        }
    }
    Ok(collection)
}

impl Source<'_> {
    /// The valid records of each element, the best first.
    fn found(&self, rejected: &mut Vec<(ElementId, String)>) -> anyhow::Result<BTreeMap<ElementId, Found>> {
        let mut found: BTreeMap<ElementId, Found> = BTreeMap::new();
        let mut owners: BTreeMap<String, ElementId> = BTreeMap::new();
        for (id, path) in delivery::files(&self.dir.join(RECORDS))? {
            let file = file_name(&path);
            let of = found.entry(id).or_default();
            let delivery = delivery::read::<Delivery>(&path);
            let own = delivery.as_ref().ok().filter(|delivery| delivery.is_of(self.submission, id));
            of.restart = of.restart.max(own.map(|delivery| delivery.run.restart));
            let candidate = delivery.and_then(|delivery| self.candidate(id, delivery, &file));
            match candidate.and_then(|candidate| candidate.owned(id, &mut owners)) {
                Ok(candidate) => of.candidates.push(candidate),
                Err(why) => rejected.push((id, format!("{file}: {why}"))),
            }
        }
        for (id, sample) in self.stored()? {
            let candidates = &mut found.entry(id).or_default().candidates;
            if candidates.iter().all(|candidate| candidate.sample.record.id != sample.record.id) {
                candidates.push(Candidate { file: "the results store".into(), sample, is_stored: true });
            }
        }
        found.values_mut().for_each(|of| of.candidates.sort_by_cached_key(Candidate::rank));
        Ok(found)
    }

    fn candidate(&self, id: ElementId, delivery: Delivery, file: &str) -> Result<Candidate, String> {
        let element = self.submission.element(id).ok_or_else(|| format!("there is no element {id}"))?;
        let sample = delivery.sample(self.submission, id, element)?;
        let is_stored = is_stored(self.store, &sample.record).map_err(|e| format!("{e:#}"))?;
        Ok(Candidate { file: file.to_string(), sample, is_stored })
    }

    /// Records that were collected earlier, though their files may be gone or damaged since.
    fn stored(&self) -> anyhow::Result<Vec<(ElementId, Sample)>> {
        let query = Query { sweep: Some(self.submission.id.clone()), ..Query::default() };
        let runs = self.store.query(&query)?;
        // One that cannot be read is missed where a delivery or a choice names it.
        let of = |run: String| {
            let record = self.store.record(&run).ok()?;
            let run = record.cluster.clone()?;
            let id = run.element.parse().ok()?;
            let element = self.submission.element(id)?;
            let delivery = Delivery::new(&self.submission.id, run, Some(record), None);
            Some((id, delivery.sample(self.submission, id, element).ok()?))
        };
        Ok(runs.into_iter().filter_map(|run| of(run.id)).collect())
    }
}

impl Candidate {
    /// Itself, unless its run is another element's: an id names one run.
    fn owned(self, id: ElementId, owners: &mut BTreeMap<String, ElementId>) -> Result<Candidate, String> {
        let run = &self.sample.record.id;
        match *owners.entry(run.clone()).or_insert(id) {
            owner if owner != id => Err(format!("its record has the id of element {owner}'s run {run}")),
            _ => Ok(self),
        }
    }

    /// The lowest counts.
    fn rank(&self) -> (bool, Reverse<u32>, Option<jiff::Timestamp>, String) {
        let Sample { run, record } = &self.sample;
        (!self.is_stored, Reverse(run.restart), record.started_at.parse().ok(), self.file.clone())
    }
}

impl Found {
    /// Whether the last start, which Slurm or its mark tells of, has delivered something.
    fn has_delivered(&self, job: Option<&Job>, start: Option<&Start>) -> bool {
        let last = job.map(|job| job.restart).max(start.map(|start| start.run.restart.into()));
        self.restart.is_some_and(|restart| Some(restart.into()) >= last)
    }

    /// Whether it is worth waiting for: an earlier start's record must not take the last one's place, unless it has; or the job completed.
    fn may_grow(&self, job: Option<&Job>) -> bool {
        match self.candidates.first() {
            Some(first) => !first.is_stored,
            None => job.is_some_and(|job| job.state == "COMPLETED"),
        }
    }
}

/// Takes the record of an element that counts; whether there is one. The others are duplicates.
fn take(
    dir: &Path,
    id: ElementId,
    mut candidates: Vec<Candidate>,
    store: &Store,
    collection: &mut Collection,
) -> anyhow::Result<bool> {
    let Some(place) = choose(&choice_of(dir, id), &candidates, &mut collection.unwritten)? else { return Ok(false) };
    let Candidate { sample, is_stored, .. } = candidates.remove(place);
    collection.new += usize::from(!is_stored && keep(store, &sample.record)?);
    collection.duplicates.extend(candidates.iter().map(|other| {
        let Sample { run, record } = &other.sample;
        format!(
            "{}: run {} of start {} on {}; run {} counts",
            other.file, record.id, run.restart, run.node, sample.record.id
        )
    }));
    collection.collected.insert(id, sample);
    Ok(true)
}

/// The place of the candidate that counts: that of the choice in the shared directory, which is made here if there is none.
fn choose(path: &Path, candidates: &[Candidate], unwritten: &mut Option<String>) -> anyhow::Result<Option<usize>> {
    let is_there = || path.try_exists().with_context(|| format!("cannot tell whether there is {}", path.display()));
    if !is_there()? {
        let Some(first) = candidates.first() else { return Ok(None) };
        if let Err(error) = note(path, first) {
            // Another one who collects may be faster: then that choice holds. If nobody can write, the store knows what it took.
            if !is_there()? {
                unwritten.get_or_insert(format!("{error:#}"));
                return Ok(Some(0));
            }
        }
    }
    let again = |why: String| anyhow::anyhow!("{why}; remove {} to choose anew", path.display());
    let choice: Choice =
        delivery::read(path).map_err(|why| again(format!("which record counts is not known: {why}")))?;
    let is_chosen = |one: &Candidate| one.sample.record.id == choice.run && (one.file == choice.file || one.is_stored);
    let place = candidates.iter().position(is_chosen);
    let place = place.ok_or_else(|| again(format!("{} was chosen and is no valid record any more", choice.file)))?;
    match candidates.iter().find(|other| other.is_stored && !candidates[place].is_stored) {
        Some(other) => {
            let known = &other.sample.record.id;
            Err(again(format!("run {} was chosen, and the store here has run {known} of the element", choice.run)))
        }
        None => Ok(Some(place)),
    }
}

fn note(path: &Path, candidate: &Candidate) -> anyhow::Result<()> {
    let choice = Choice { file: candidate.file.clone(), run: candidate.sample.record.id.clone() };
    let json = serde_json::to_vec(&choice)?;
    write_file(path, false, |out| Ok(out.write_all(&json)?))
}

fn choice_of(dir: &Path, id: ElementId) -> PathBuf {
    dir.join(CHOSEN).join(format!("{id}.json"))
}

/// Whether the store has this record; another one under its id is an error.
fn is_stored(store: &Store, record: &Record) -> anyhow::Result<bool> {
    if !store.has_record(&record.id)? {
        return Ok(false);
    }
    let known = store.record(&record.id)?;
    if serde_json::to_value(&known)? != serde_json::to_value(record)? {
        anyhow::bail!("the store here has another record of run {}: move the store away, and collect again", record.id);
    }
    Ok(true)
}

/// Puts a record into the store; whether it was new.
fn keep(store: &Store, record: &Record) -> anyhow::Result<bool> {
    match store.finish(record) {
        // Another one who collects was faster.
        Err(_) if is_stored(store, record)? => Ok(false),
        done => done.map(|()| true),
    }
}

/// The last start of each element that saw the shared directory.
pub fn starts(dir: &Path) -> anyhow::Result<BTreeMap<ElementId, Start>> {
    let mut starts: BTreeMap<ElementId, Start> = BTreeMap::new();
    for (id, path) in delivery::files(&dir.join(STARTED))? {
        // One that cannot be read is as good as none: it is told of, and not relied on.
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
        (None, None) => "Slurm could not be asked".into(),
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
