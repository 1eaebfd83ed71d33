//! A submission: what a shared directory holds, written once, before anything is submitted.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::disk::{read_plain, write_by_rename};
use crate::error::Stop;
use crate::phase::mock::Script;
use crate::sector::Seed;
use crate::store::is_id;
use crate::sweep::fit::LeftOut;
use crate::sweep::grid::Point;
use crate::trial::record::SweepRun;

/// Name of the file that makes a directory one of a submission.
pub const FILE: &str = "submission.json";

/// What Slurm's jobs print, a file for each element.
pub const LOGS: &str = "logs";

/// A mark for each start of an element.
pub const STARTED: &str = "started";

/// What the elements deliver.
pub const RECORDS: &str = "records";

/// Which record was taken of each element.
pub const CHOSEN: &str = "chosen";

/// The program that the nodes run, unless another is named.
pub const PROGRAM: &str = "sealbench";

const SCHEMA: &str = "sealbench/slurm/1";

/// No submission is larger.
const MAX_BYTES: u64 = 256 << 20;

/// What is submitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Always "sealbench/slurm/1".
    pub schema: String,
    /// Its id, which is the sweep's: a record of another submission is none of this one.
    pub id: String,
    /// When it was written, RFC 3339, UTC.
    pub created_at: String,
    /// The command line, word by word.
    pub given: Vec<String>,
    /// Seed of the sectors.
    pub seed: Seed,
    /// Seed of the order.
    pub order_seed: u64,
    /// What the mock engine does.
    pub mock: Option<Script>,
    /// The points.
    pub points: Vec<Point>,
    /// Points that no node can run.
    pub left_out: Vec<LeftOut>,
    /// The job arrays.
    pub arrays: Vec<Array>,
    /// The program on the nodes.
    pub program: PathBuf,
    /// Where on a node sectors are made; its TMPDIR if not said.
    pub scratch: Option<PathBuf>,
    /// Where on a node parameters and parent caches are kept; below the scratch directory if not said.
    pub node_home: Option<PathBuf>,
    /// Options that sbatch gets of every array: the partition and what the user added.
    pub options: Vec<String>,
}

/// Elements that ask Slurm for the same: one job array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// The feature that selects the nodes.
    pub constraint: Option<String>,
    /// What each element needs.
    pub ask: Ask,
    /// The elements, in the order in which they should run.
    pub elements: Vec<Element>,
}

/// What an element asks Slurm for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// CPUs.
    pub cpus: u32,
    /// The whole node.
    pub exclusive: bool,
    /// Every hardware thread of the cores.
    #[serde(default)]
    pub smt: bool,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Time limit, minutes.
    pub minutes: u64,
}

/// Trials of one point, one after the other on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// Index of the point.
    pub point: usize,
    /// The first of its rounds.
    pub round: u32,
    /// How many of them.
    pub repeats: u32,
}

/// Names an element: its array and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId {
    /// Which array.
    pub array: usize,
    /// Which element of it: SLURM_ARRAY_TASK_ID.
    pub index: usize,
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.array, self.index)
    }
}

impl FromStr for ElementId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten();
        let id = text
            .split_once('-')
            .and_then(|(array, index)| Some(ElementId { array: number(array)?, index: number(index)? }));
        id.ok_or_else(|| format!("'{}' is no element: it is written like 0-12", text.escape_debug()))
    }
}

impl Submission {
    /// A submission without arrays.
    pub fn new(id: String, given: Vec<String>, seed: Seed, program: PathBuf) -> Submission {
        Submission {
            schema: SCHEMA.into(),
            id,
            created_at: jiff::Timestamp::now().to_string(),
            given,
            seed,
            order_seed: 0,
            mock: None,
            points: Vec::new(),
            left_out: Vec::new(),
            arrays: Vec::new(),
            program,
            scratch: None,
            node_home: None,
            options: Vec::new(),
        }
    }

    /// All elements, array by array.
    pub fn elements(&self) -> impl Iterator<Item = (ElementId, &Element)> {
        self.arrays.iter().enumerate().flat_map(|(array, found)| {
            found.elements.iter().enumerate().map(move |(index, element)| (ElementId { array, index }, element))
        })
    }

    /// The element with this name.
    pub fn element(&self, id: ElementId) -> Option<&Element> {
        self.arrays.get(id.array)?.elements.get(id.index)
    }

    /// The point of an element.
    pub fn point(&self, element: &Element) -> &Point {
        &self.points[element.point]
    }

    /// What the record of an element says of its place in the sweep.
    pub fn sweep(&self, element: &Element) -> SweepRun {
        let point = self.point(element);
        SweepRun { sweep: self.id.clone(), point: point.label(), round: element.round, twin: point.twin }
    }

    /// The name of an array's jobs: no other submission has it.
    pub fn job_name(&self, array: usize) -> String {
        format!("sealbench-{}-{array}", self.id)
    }

    /// What was read is what was written: every index is in range.
    fn is_sound(&self) -> bool {
        let in_range = |element: &Element| element.point < self.points.len() && (1..=1000).contains(&element.repeats);
        self.schema == SCHEMA && is_id(&self.id) && self.elements().all(|(_, element)| in_range(element))
    }
}

/// Reads the submission of a shared directory (exit code 2 if it is none).
pub fn read(dir: &Path) -> anyhow::Result<Submission> {
    let path = dir.join(FILE);
    let none =
        |why: String| Stop::Usage.error(format!("{} is not the directory of a submission: {why}", dir.display()));
    let bytes = read_plain(&path, MAX_BYTES).map_err(|e| match e.kind() {
        ErrorKind::NotFound => none(format!("it has no {FILE}")),
        _ => none(format!("{FILE} cannot be read: {e}")),
    })?;
    let submission: Submission = serde_json::from_slice(&bytes).map_err(|e| none(format!("{FILE}: {e}")))?;
    if !submission.is_sound() {
        return Err(none(format!("{FILE} is damaged or of another version")));
    }
    Ok(submission)
}

/// Takes a directory that is empty or not there yet.
pub fn create_dir(dir: &Path) -> anyhow::Result<()> {
    let failed = |what: &str, e: std::io::Error| {
        Stop::Usage.error(format!(
            "cannot {what} {}: {e}; name a directory in which you can write and which the nodes share",
            dir.display()
        ))
    };
    fs::create_dir_all(dir).map_err(|e| failed("make", e))?;
    let mut entries = fs::read_dir(dir).map_err(|e| failed("read", e))?;
    if entries.next().is_some() {
        return Err(Stop::Usage.error(format!(
            "{0} is not empty: name another directory, or collect what is there with sealbench scale slurm --collect {0}",
            dir.display()
        )));
    }
    [LOGS, STARTED, RECORDS, CHOSEN]
        .iter()
        .try_for_each(|name| fs::create_dir(dir.join(name)))
        .map_err(|e| failed("write in", e))
}

/// Writes the submission into its directory.
pub fn write(dir: &Path, submission: &Submission) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec_pretty(submission)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Stop::Usage.error(format!(
            "the sweep has too many elements for {}, and the nodes would not read it: shorten an axis, or raise --trials-per-element",
            dir.join(FILE).display()
        )));
    }
    write_by_rename(&dir.join(FILE), &bytes)
}
