//! What an element delivers: its record, or why there is none, in a file that is whole or not there.
//!
//! A name says of which element and start a file is, and ends in random digits: an orphan of a dead node and its twin never write the same.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::write_by_rename;
use crate::store::is_id;
use crate::trial::record::{ClusterRun, Record, RunState};
use crate::trial::verify;

use super::submission::{Element, ElementId, RECORDS, STARTED, Submission};

const SCHEMA: &str = "sealbench/slurm-delivery/1";

/// No delivery is larger.
const MAX_BYTES: u64 = 16 << 20;

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
        let name = format!("{}.{:08x}.json", stem(&self.run), random());
        write_by_rename(&dir.join(RECORDS).join(name), &serde_json::to_vec(self)?)
    }

    /// Its record, if it is what the submission asked of an element; else what is wrong with it.
    pub fn sample(self, submission: &Submission, id: ElementId, element: &Element) -> Result<Sample, String> {
        if self.schema != SCHEMA || self.submission != submission.id || self.run.element != id.to_string() {
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
            record.sweep.as_ref() == Some(&submission.sweep(element)) && record.cluster.as_ref() == Some(&self.run);
        let has_time = record.started_at.parse::<jiff::Timestamp>().is_ok();
        if !is_of || !is_id(&record.id) || !has_time {
            return Err("its record is of another element".into());
        }
        if record.state != RunState::Complete {
            return Err(format!("its run is {}", record.state.name()));
        }
        let phase = submission.point(element).phase;
        let samples = record.aggregates.iter().filter(|aggregate| aggregate.phase == phase).count();
        if samples != element.repeats as usize {
            return Err(format!("it has {samples} of {} samples", element.repeats));
        }
        match verify::wrong(&record.phases) {
            Some(wrong) => Err(wrong),
            None => Ok(Sample { run: self.run, record }),
        }
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
    let name = format!("{}.{:08x}.json", stem(run), random());
    write_by_rename(&dir.join(STARTED).join(name), &serde_json::to_vec(&start)?)
}

/// The files of a directory that are named after elements, in the order of their names; temporary ones are not.
pub fn files(dir: &Path) -> anyhow::Result<Vec<(ElementId, PathBuf)>> {
    let entries =
        fs::read_dir(dir).map_err(|e| anyhow::Error::new(e).context(format!("cannot read {}", dir.display())))?;
    let of = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_string();
        let id = name.strip_suffix(".json")?.split('.').next()?.parse().ok()?;
        Some((id, path))
    };
    let mut files: Vec<(ElementId, PathBuf)> = entries.flatten().filter_map(|entry| of(entry.path())).collect();
    files.sort();
    Ok(files)
}

/// Reads a delivery or a mark; what is wrong with the file in words.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, String> {
    let found = path.symlink_metadata().map_err(|e| e.to_string())?;
    if !found.is_file() || found.len() > MAX_BYTES {
        return Err("it is too large or no plain file".into());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
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
