//! What an element delivers: its record, or why there is none, in a file that is whole or not there.
//!
//! A name says of which element and start a file is, and ends in random digits: an orphan of a dead node and its twin never write the same.

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::disk::{read_plain, write_by_rename};
use crate::store::is_id;
use crate::trial::estimate::show;
use crate::trial::record::{ClusterRun, Record};

use super::acceptance;
use super::submission::{Element, ElementId, RECORDS, STARTED, Submission};

const SCHEMA: &str = "sealbench/slurm-delivery/1";

/// No delivery is larger: what would be is not written, and not read.
const MAX_BYTES: u64 = 64 << 20;

/// Seconds between the tries to write: a shared file system may be away for a minute.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// What an element delivers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Always "sealbench/slurm-delivery/1".
    pub schema: String,
    /// The submission it is of.
    pub submission: String,
    /// Where it ran.
    pub run: ClusterRun,
    /// Why it is no sample, if it is none.
    pub error: Option<String>,
    /// BLAKE3 of the record as JSON without spaces.
    pub digest: Option<String>,
    /// The record.
    pub record: Option<Record>,
}

/// The mark of a start: the element saw the directory from its node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Where it runs.
    pub run: ClusterRun,
    /// Its process on the node.
    pub pid: u32,
    /// When, RFC 3339, UTC.
    pub started_at: String,
}

impl Delivery {
    /// A delivery of what a run ended with.
    pub fn new(submission: &str, run: ClusterRun, record: Option<Record>, error: Option<&anyhow::Error>) -> Delivery {
        let digest = record.as_ref().map(digest);
        let error = error.map(|error| format!("{error:#}"));
        Delivery { schema: SCHEMA.into(), submission: submission.into(), run, error, digest, record }
    }

    /// Writes it into the shared directory.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let bytes = self.bytes(MAX_BYTES)?;
        let path = dir.join(RECORDS).join(format!("{}.{:08x}.json", stem(&self.run), random()));
        patiently(&PAUSES_S, || write_by_rename(&path, &bytes))
    }

    /// As JSON of at most `most` bytes: a sentence in place of a record that nobody would read.
    fn bytes(&self, most: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() as u64 <= most {
            return Ok(bytes);
        }
        let error = format!(
            "its record is {}, and {} are read: submit with fewer --trials-per-element",
            show(bytes.len() as u64),
            show(most)
        );
        Ok(serde_json::to_vec(&Delivery { error: Some(error), digest: None, record: None, ..self.clone() })?)
    }

    /// Whether it is of this element.
    pub fn is_of(&self, submission: &Submission, id: ElementId) -> bool {
        self.schema == SCHEMA && self.submission == submission.id && self.run.element == id.to_string()
    }

    /// Its record, if it is what the submission asked of an element; else what is wrong with it.
    pub fn sample(self, submission: &Submission, id: ElementId, element: &Element) -> Result<Sample, String> {
        if !self.is_of(submission, id) {
            return Err(format!("it is of element {} of submission {}", self.run.element, self.submission));
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let record = self.record.ok_or("it has no record")?;
        if self.digest.as_deref() != Some(digest(&record).as_str()) {
            return Err("its record is not the one whose digest it has".into());
        }
        let is_of =
            record.cluster.as_ref() == Some(&self.run) && self.run.constraint == submission.arrays[id.array].constraint;
        let has_time = record.started_at.parse::<jiff::Timestamp>().is_ok();
        if !is_of || !is_id(&record.id) || !has_time {
            return Err("its record is of another element".into());
        }
        acceptance::check(&record, submission, element)?;
        Ok(Sample { run: self.run, record })
    }
}

/// A delivery that counts.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where it ran.
    pub run: ClusterRun,
    /// Its record.
    pub record: Record,
}

/// Marks a start.
pub fn mark(dir: &Path, run: &ClusterRun) -> anyhow::Result<()> {
    let start = Start { run: run.clone(), pid: std::process::id(), started_at: jiff::Timestamp::now().to_string() };
    let path = dir.join(STARTED).join(format!("{}.{:08x}.json", stem(run), random()));
    let bytes = serde_json::to_vec(&start)?;
    patiently(&PAUSES_S, || write_by_rename(&path, &bytes))
}

/// Writes, and after a failure again when each of these pauses is over.
fn patiently(pauses_s: &[u64], write: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for &pause in pauses_s {
        let Err(error) = write() else { return Ok(()) };
        // To the job's log, which may be on the same file system.
        let _ = writeln!(stderr(), "{error:#}; trying again in {pause} s");
        std::thread::sleep(Duration::from_secs(pause));
    }
    write()
}

/// The files of a directory that are named after elements, in the order of their names; temporary ones are not.
pub fn files(dir: &Path) -> anyhow::Result<Vec<(ElementId, PathBuf)>> {
    let failed = || {
        format!("cannot read {}: see whether the shared directory is mounted here, and collect again", dir.display())
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        files.extend(element_of(&path).map(|id| (id, path)));
    }
    files.sort();
    Ok(files)
}

fn element_of(path: &Path) -> Option<ElementId> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.split('.').next()?.parse().ok()
}

/// Reads a delivery or a mark; what is wrong with the file in words.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, String> {
    let bytes = read_plain(path, MAX_BYTES).map_err(|e| format!("it cannot be read: {e}"))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("it is damaged or cut off ({e})"))
}

/// "0-12.17_12.1": the element, its job and how often it was started before.
fn stem(run: &ClusterRun) -> String {
    format!("{}.{}.{}", run.element, run.job, run.restart)
}

fn digest(record: &Record) -> String {
    // A record is plain data: it can be written.
    blake3::hash(&serde_json::to_vec(record).expect("a record is JSON")).to_hex().to_string()
}

/// Digits that no other process writes: the clock, the process, and where the kernel put its code.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((std::time::SystemTime::now(), std::process::id())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::slurm::submission::{Array, Ask};
    use crate::sector::Seed;
    use crate::store::sample;
    use std::cell::Cell;

    fn run() -> ClusterRun {
        let (constraint, cores) = (None, vec![0]);
        ClusterRun { element: "0-0".into(), constraint, job: "1_0".into(), restart: 2, node: "n1".into(), cores }
    }

    #[test]
    fn a_record_that_nobody_would_read_is_delivered_as_a_sentence() {
        let delivery = Delivery::new("s", run(), Some(sample::record("a")), None);
        let whole = delivery.bytes(MAX_BYTES).unwrap();
        assert_eq!(delivery.bytes(whole.len() as u64).unwrap(), whole);
        let told: Delivery = serde_json::from_slice(&delivery.bytes(whole.len() as u64 - 1).unwrap()).unwrap();
        let mut submission = Submission::new("s".into(), Vec::new(), Seed::default(), "/p".into());
        let element = Element { point: 0, round: 0, repeats: 1 };
        let ask = Ask { cpus: 1, exclusive: false, smt: false, memory_mib: 512, minutes: 8 };
        submission.arrays = vec![Array { constraint: None, ask, elements: vec![element] }];
        let why = told.sample(&submission, ElementId { array: 0, index: 0 }, &element).unwrap_err();
        assert!(why.contains("fewer --trials-per-element"), "{why}");
    }

    #[test]
    fn writing_is_tried_again_until_it_works_or_the_last_pause_is_over() {
        let tries = Cell::new(0);
        let third = || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(anyhow::anyhow!("stale file handle")) } else { Ok(()) }
        };
        patiently(&[0, 0, 0], third).unwrap();
        assert_eq!(tries.get(), 3);
        tries.set(0);
        let error = patiently(&[0], || {
            tries.set(tries.get() + 1);
            anyhow::bail!("gone")
        });
        assert_eq!((tries.get(), error.unwrap_err().to_string().as_str()), (2, "gone"));
    }

    #[test]
    fn a_file_is_named_after_its_element() {
        let file = format!("{}.0000abcd.json", stem(&run()));
        assert_eq!(element_of(Path::new(&format!("/r/{file}"))), Some(ElementId { array: 0, index: 0 }));
        assert_eq!(element_of(Path::new("/r/.tmpabc")), None);
    }
}
