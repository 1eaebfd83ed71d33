//! Options of `sealbench run` that compare its result with an earlier one.

use std::io::{Write, stdout};

use clap::Args;

use super::results::compare::{percent, report};
use super::results::side::{Found, side};
use crate::error::Stop;
use crate::home::home;
use crate::report::compare::{self, Side};
use crate::store::{Store, baseline};
use crate::trial::record::Record;

/// `--baseline` and what goes with it.
#[derive(Debug, Default, Args)]
pub struct BaselineArgs {
    /// Keep the run under this name, to compare later ones with; not if --fail-if-slower fails
    #[arg(long, value_name = "NAME")]
    save_baseline: Option<String>,
    /// Compare the run with this one: a baseline's name, or whatever `sealbench results compare` takes
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Exit with 4 if a phase is slower than in --baseline by more than this many percent, told apart with certainty
    #[arg(long, value_name = "PCT", value_parser = percent, requires = "baseline")]
    fail_if_slower: Option<f64>,
}

/// What to do with a run's record, resolved before the run.
#[derive(Debug)]
pub struct Afterwards {
    earlier: Option<Side>,
    args: BaselineArgs,
}

impl BaselineArgs {
    /// Reads the baseline before anything runs: afterwards `last` is the run itself. A name that cannot be and a baseline that is not there
    /// are refused (exit code 2).
    pub fn prepare(self) -> anyhow::Result<Afterwards> {
        if let Some(name) = &self.save_baseline {
            baseline::check_name(name)?;
        }
        let earlier = self.baseline.as_ref().map(|word| earlier(&Store::open(&home()?)?, word)).transpose()?;
        Ok(Afterwards { earlier, args: self })
    }
}

impl Afterwards {
    /// Compares the run's record, prints the comparison, and keeps the run under its name.
    pub fn finish(&self, record: &Record) -> anyhow::Result<()> {
        if self.earlier.is_none() && self.args.save_baseline.is_none() {
            return Ok(());
        }
        let store = Store::open(&home()?)?;
        if let Some(earlier) = &self.earlier {
            let now =
                Side { label: format!("this run, {}", record.id), records: vec![record.clone()], ..Side::default() };
            let report = report(&store, earlier, &now)?;
            // A terminal that is gone is no failure.
            let _ = write!(stdout(), "\n{}", compare::text(&report));
            self.args.fail_if_slower.map_or(Ok(()), |percent| report.check(percent))?;
        }
        self.args.save_baseline.as_deref().map_or(Ok(()), |name| store.save_baseline(name, &record.id))
    }
}

fn earlier(store: &Store, word: &str) -> anyhow::Result<Side> {
    match side(store, word)? {
        Found::Runs(side) => Ok(side),
        Found::Kernels(_) => Err(Stop::Usage.error("--baseline: a run is compared with runs, not with kernels")),
    }
}
