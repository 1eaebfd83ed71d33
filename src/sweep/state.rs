//! A sweep's directory: what is measured, and how far it is, so that an interrupted sweep goes on where it was.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::disk::write_by_rename;
use crate::error::Stop;
use crate::phase::mock::Script;
use crate::sector::Seed;
use crate::store::is_id;
use crate::sweep::fit::LeftOut;
use crate::sweep::grid::Point;
use crate::sweep::schedule::Progress;
use crate::trial::record::{Aggregate, Record, Severity};

/// Name of the state in a sweep's directory.
pub const STATE_FILE: &str = "sweep.json";

const SCHEMA: &str = "sealbench/sweep/1";

/// No state is larger: thousands of points with hundreds of samples fit.
const MAX_BYTES: u64 = 256 << 20;

/// A sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Always "sealbench/sweep/1".
    pub schema: String,
    /// The sweep's id.
    pub id: String,
    /// Start, RFC 3339, UTC.
    pub started_at: String,
    /// The command line, word by word.
    pub given: Vec<String>,
    /// Seed of the sectors.
    pub seed: Seed,
    /// Seed of the order.
    pub order_seed: u64,
    /// What the mock engine does.
    pub mock: Option<Script>,
    /// Whether the instances are containers.
    #[serde(default)]
    pub in_containers: bool,
    /// The points.
    pub points: Vec<Point>,
    /// Points that this machine cannot run.
    pub left_out: Vec<LeftOut>,
    /// The round that runs.
    pub round: u32,
    /// Points that the round has still to measure, by index, in order.
    pub queue: Vec<usize>,
    /// Trials that are over, in order.
    pub trials: Vec<Trial>,
    /// Nothing is left to measure.
    pub complete: bool,
}

/// A trial that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Index of its point.
    pub point: usize,
    /// Its round.
    pub round: u32,
    /// The run in the results store.
    pub run: String,
    /// What it put out; `None` if it failed.
    pub gib_per_h: Option<f64>,
    /// The same in sectors.
    pub sectors_per_h: Option<f64>,
    /// Wall time of a trial from start to end, seconds.
    pub took_s: f64,
    /// Why it failed.
    pub error: Option<String>,
    /// Codes of the findings that speak against the sample.
    pub disturbances: Vec<String>,
}

impl Trial {
    /// The samples that a run brought of a point, from a round on: one for each repeat.
    pub fn samples(index: usize, point: &Point, round: u32, record: &Record) -> Vec<Trial> {
        let against = record.validity.findings.iter().filter(|finding| finding.severity != Severity::Info);
        let disturbances: Vec<String> = against.map(|finding| finding.code.clone()).collect();
        let aggregates = record.aggregates.iter().filter(|aggregate| aggregate.phase == point.phase);
        let of = |aggregate: &Aggregate| Trial {
            point: index,
            round: round + aggregate.repeat,
            run: record.id.clone(),
            gib_per_h: Some(aggregate.gib_per_h),
            sectors_per_h: Some(aggregate.sectors_per_h),
            took_s: aggregate.window_s,
            error: None,
            disturbances: disturbances.clone(),
        };
        aggregates.map(of).collect()
    }
}

/// A sweep's directory that this process works in.
#[derive(Debug)]
pub struct SweepDir {
    path: PathBuf,
    /// What is known.
    pub state: State,
    _lock: File,
}

impl State {
    /// A sweep that starts.
    pub fn new(id: String, given: Vec<String>, seed: Seed, order_seed: u64, points: Vec<Point>) -> State {
        State {
            schema: SCHEMA.into(),
            id,
            started_at: jiff::Timestamp::now().to_string(),
            given,
            seed,
            order_seed,
            mock: None,
            in_containers: false,
            points,
            left_out: Vec::new(),
            round: 0,
            queue: Vec::new(),
            trials: Vec::new(),
            complete: false,
        }
    }

    /// What is known of each point.
    pub fn progress(&self) -> Vec<Progress> {
        let mut progress = vec![Progress::default(); self.points.len()];
        for trial in &self.trials {
            match trial.gib_per_h {
                Some(rate) => progress[trial.point].samples.push(rate),
                None => progress[trial.point].failures += 1,
            }
        }
        progress
    }

    /// Whether what a file says hangs together.
    fn is_sound(&self) -> bool {
        let count = self.points.len();
        let trials = self.trials.iter().all(|trial| trial.point < count && trial.gib_per_h.is_none_or(f64::is_finite));
        let points = self.points.iter().all(|point| {
            let sizes = point.instances > 0 && point.cores > 0 && point.sectors > 0;
            sizes && point.repeats > 0 && point.max_repeats >= point.repeats && point.max_cv.is_finite()
        });
        self.schema == SCHEMA && is_id(&self.id) && trials && points && self.queue.iter().all(|&point| point < count)
    }
}

impl SweepDir {
    /// Makes the directory of a sweep that starts; one that holds anything is refused (exit code 2).
    pub fn create(path: &Path, state: State) -> anyhow::Result<SweepDir> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        if entries.next().is_some() {
            return Err(Stop::Usage.error(format!(
                "{} is not empty: name another directory, or go on with sealbench sweep --resume {0}",
                path.display()
            )));
        }
        let dir = SweepDir { path: path.to_path_buf(), state, _lock: lock(path)? };
        dir.save()?;
        Ok(dir)
    }

    /// Opens the directory of an earlier sweep (exit code 2 if it is none).
    pub fn open(path: &Path) -> anyhow::Result<SweepDir> {
        let file = path.join(STATE_FILE);
        let no_sweep = |why: String| Stop::Usage.error(format!("{} is no sweep: {why}", path.display()));
        let size = match fs::symlink_metadata(&file) {
            Ok(found) if found.is_file() && found.len() <= MAX_BYTES => found.len(),
            Ok(_) => return Err(no_sweep(format!("{STATE_FILE} is too large or no plain file"))),
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(no_sweep(format!("it has no {STATE_FILE}"))),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
        };
        let lock = lock(path)?;
        let mut bytes = Vec::with_capacity(size as usize);
        std::io::Read::read_to_end(&mut File::open(&file)?, &mut bytes)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let state: State = serde_json::from_slice(&bytes).map_err(|e| no_sweep(format!("{STATE_FILE}: {e}")))?;
        if !state.is_sound() {
            return Err(no_sweep(format!("{STATE_FILE} is damaged or of another version")));
        }
        Ok(SweepDir { path: path.to_path_buf(), state, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the state.
    pub fn save(&self) -> anyhow::Result<()> {
        write_by_rename(&self.path.join(STATE_FILE), &serde_json::to_vec_pretty(&self.state)?)
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Stop::Refused.error(format!("another sealbench works in {}: wait for it", path.display())))
        }
        Err(fs::TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::stop_of;
    use crate::sweep::file::SweepFile;
    use crate::sweep::grid::expand;

    fn state() -> State {
        let file = SweepFile::parse("[[grid]]\nlayouts = ['1x1', '2x1']").unwrap();
        State::new("s1".into(), vec!["sealbench".into()], Seed::default(), 7, expand(&file).unwrap())
    }

    fn trial(point: usize, gib_per_h: Option<f64>) -> Trial {
        let (run, error) = ("r".into(), gib_per_h.is_none().then(|| "it died".into()));
        let disturbances = Vec::new();
        Trial { point, round: 0, run, gib_per_h, sectors_per_h: gib_per_h, took_s: 1.0, error, disturbances }
    }

    #[test]
    fn a_sweep_is_read_back_as_it_was_and_only_one_process_works_in_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s1");
        let mut dir = SweepDir::create(&path, state()).unwrap();
        dir.state.trials = vec![trial(0, Some(2.5)), trial(1, None), trial(0, Some(2.0))];
        dir.save().unwrap();
        assert_eq!(stop_of(&SweepDir::open(&path).unwrap_err()), Some(Stop::Refused));
        drop(dir);
        let progress = SweepDir::open(&path).unwrap().state.progress();
        assert_eq!(progress[0], Progress { samples: vec![2.5, 2.0], failures: 0 });
        assert_eq!(progress[1], Progress { samples: vec![], failures: 1 });
        assert_eq!(stop_of(&SweepDir::create(&path, state()).unwrap_err()), Some(Stop::Usage));
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let refused = || SweepDir::open(home.path()).unwrap_err().to_string();
        assert!(refused().contains("it has no sweep.json"));
        fs::write(home.path().join(STATE_FILE), "{").unwrap();
        assert!(refused().contains("EOF"));
        let mut wrong = state();
        wrong.queue = vec![99];
        fs::write(home.path().join(STATE_FILE), serde_json::to_vec(&wrong).unwrap()).unwrap();
        assert!(refused().contains("damaged"));
    }
}
