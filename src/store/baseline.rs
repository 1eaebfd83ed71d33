//! Runs kept under a name, to compare later ones with.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Store, is_id};
use crate::error::Stop;

/// A name and the run that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The name.
    pub name: String,
    /// Id of the run.
    pub run: String,
    /// When it was saved.
    pub saved_at: Timestamp,
}

impl Store {
    /// Lets a name stand for a run that has a record. A name that is there already stands for the new run from now on; its history stays.
    ///
    /// A name is made like a run's id and may not be `last`, nor the id of a run (exit code 2).
    pub fn save_baseline(&self, name: &str, run: &str) -> anyhow::Result<()> {
        check_name(name)?;
        if self.has_run(name)? {
            return Err(Stop::Usage.error(format!("'{name}' is a run's id: choose another name for the baseline")));
        }
        if !self.has_record(run)? {
            return Err(Stop::Usage.error(format!("run {run} has no record: a baseline needs one")));
        }
        let row = params![name, run, Timestamp::now().as_microsecond()];
        self.sql(|db| db.execute("INSERT INTO baselines VALUES (?1, ?2, ?3)", row)).map(drop)
    }

    /// The run that a name stands for now.
    pub fn baseline(&self, name: &str) -> anyhow::Result<Option<String>> {
        let query = "SELECT run FROM baselines WHERE name = ?1 ORDER BY rowid DESC LIMIT 1";
        self.sql(|db| db.query_row(query, [name], |row| row.get(0)).optional())
    }

    /// Every name with the run that it stands for now, by name.
    pub fn baselines(&self) -> anyhow::Result<Vec<Baseline>> {
        // SQLite takes the other columns from the row of the maximum.
        let query = "SELECT name, run, saved_us, max(rowid) FROM baselines GROUP BY name ORDER BY name";
        let rows: Vec<(String, String, i64)> = self
            .sql(|db| db.prepare(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect())?;
        let baseline =
            |(name, run, saved_us)| Ok(Baseline { name, run, saved_at: Timestamp::from_microsecond(saved_us)? });
        rows.into_iter().map(baseline).collect()
    }
}

/// Refuses what cannot be the name of a baseline (exit code 2).
pub fn check_name(name: &str) -> anyhow::Result<()> {
    if name == "last" || !is_id(name) {
        return Err(Stop::Usage.error(format!(
            "'{}' cannot name a baseline: use up to 64 letters, digits, '.', '_', '-', and not 'last'",
            name.escape_debug()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::sample;

    #[test]
    fn a_name_stands_for_the_run_it_was_saved_for_last() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for id in ["run-a", "run-b"] {
            store.finish(&sample::record(id)).unwrap();
        }
        assert_eq!(store.baseline("v1").unwrap(), None);
        for (name, run) in [("v1", "run-a"), ("v2", "run-a"), ("v1", "run-b")] {
            store.save_baseline(name, run).unwrap();
        }
        assert_eq!(store.baseline("v1").unwrap().as_deref(), Some("run-b"));
        let all: Vec<_> = store.baselines().unwrap().into_iter().map(|b| (b.name, b.run)).collect();
        assert_eq!(all, [("v1".into(), "run-b".into()), ("v2".into(), "run-a".into())]);
        let rows: i64 = store.sql(|db| db.query_row("SELECT count(*) FROM baselines", [], |row| row.get(0))).unwrap();
        assert_eq!(rows, 3, "the history stays");
        for statement in ["UPDATE baselines SET run = 'x'", "DELETE FROM baselines"] {
            let error = store.sql(|db| db.execute(statement, [])).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        store.finish(&sample::record("run-a")).unwrap();
        for (name, run) in [("last", "run-a"), ("a=b", "run-a"), ("", "run-a"), ("run-a", "run-a"), ("v1", "run-x")] {
            assert_eq!(exit_code(&store.save_baseline(name, run).unwrap_err()), 2, "{name} {run}");
        }
        assert!(store.baselines().unwrap().is_empty());
    }
}
