//! The store's layout: made in an empty file, and brought up to date in one of an earlier version.

use super::Store;

/// The layout of `schema.sql` and `schema_2.sql`, kept in SQLite's user_version.
pub(super) const VERSION: i64 = 2;

/// Version 1.
const SCHEMA_1: &str = include_str!("schema.sql");

/// What version 2 adds.
const SCHEMA_2: &str = include_str!("schema_2.sql");

/// The facts of the records that a version 1 store holds.
const BACK_FILL: &str = "INSERT INTO record_facts SELECT * FROM facts_of_records;
    INSERT OR IGNORE INTO record_phases SELECT * FROM phases_of_records;";

impl Store {
    /// Makes or changes the layout in one transaction: an interruption leaves the file as it was.
    pub(super) fn bring_up_to_date(&self) -> anyhow::Result<()> {
        if self.version()? == VERSION {
            return Ok(());
        }
        let tx = self.begin_write()?;
        match self.version()? {
            // Another process has done it since.
            VERSION => return Ok(()),
            1 => self.sql(|db| db.execute_batch(SCHEMA_2).and_then(|()| db.execute_batch(BACK_FILL)))?,
            _ => {
                self.refuse_foreign_tables()?;
                self.sql(|db| db.execute_batch(SCHEMA_1).and_then(|()| db.execute_batch(SCHEMA_2)))?;
            }
        }
        self.sql(|db| db.pragma_update(None, "user_version", VERSION))?;
        tx.commit().map_err(|e| self.explain(e))
    }

    /// The version of the layout; 0 for an empty file.
    fn version(&self) -> anyhow::Result<i64> {
        let version = self.sql(|db| db.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if version > VERSION {
            anyhow::bail!(
                "{} was written by a newer sealbench (store version {version}, this one knows {VERSION}): \
                 use that sealbench, or another SEALBENCH_HOME; nothing was changed",
                self.path().display()
            );
        }
        Ok(version)
    }

    fn refuse_foreign_tables(&self) -> anyhow::Result<()> {
        let tables: i64 = self.sql(|db| db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)))?;
        if tables > 0 {
            anyhow::bail!(
                "{} is an SQLite file but not a results store: move it away, or use another SEALBENCH_HOME",
                self.path().display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Query, sample};
    use rusqlite::Connection;
    use std::path::Path;

    /// A store as version 1 wrote it, with two records and a run without one.
    fn version_1(home: &Path) -> Connection {
        let db = Connection::open(home.join("results.db")).unwrap();
        db.execute_batch(SCHEMA_1).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        for (id, started) in [("a", 1_000_000), ("b", 2_000_000), ("begun", 3_000_000)] {
            db.execute("INSERT INTO runs VALUES (?1, ?2, NULL, '[]', 1)", (id, started)).unwrap();
        }
        let sweep = sample::changed(|document| {
            document["id"] = "b".into();
            document["sweep"] = serde_json::json!({"sweep": "s1", "point": "p2 native 2x1", "round": 0});
        });
        for record in [sample::record("a"), sweep] {
            let text = serde_json::to_string(&record).unwrap();
            let row = (&record.id, "complete", "8MiB", "p1,p2,p4", "reference", 197.8, text);
            db.execute("INSERT INTO records VALUES (?1, 9, ?2, ?3, ?4, ?5, ?6, ?7)", row).unwrap();
        }
        db
    }

    #[test]
    fn a_version_1_store_keeps_its_rows_and_gains_their_facts() {
        let home = tempfile::tempdir().unwrap();
        let text: String = version_1(home.path())
            .query_row("SELECT record FROM records WHERE id = 'a'", [], |row| row.get(0))
            .unwrap();
        let store = Store::open(home.path()).unwrap();
        assert_eq!(store.version().unwrap(), VERSION);
        assert_eq!((store.count().unwrap(), store.record_text("a").unwrap()), (3, text));
        let ids = |words: &str| {
            let rows = store.query(&words.parse::<Query>().unwrap()).unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("host=bench-1"), ["b", "a"]);
        assert_eq!(ids("sweep=s1,point=p2 native 2x1,phase=p2"), ["b"]);
        store.finish(&sample::record("begun")).unwrap();
        assert_eq!(ids("cpu=7F32,engine=reference"), ["begun", "b", "a"]);
        let again = store.sql(|db| db.execute("UPDATE records SET state = 'failed'", [])).unwrap_err();
        assert!(again.to_string().contains("append-only"), "{again}");
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        version_1(home.path()).execute_batch("CREATE TABLE baselines (x)").unwrap();
        let before = std::fs::read(home.path().join("results.db")).unwrap();
        assert!(Store::open(home.path()).is_err());
        assert_eq!(std::fs::read(home.path().join("results.db")).unwrap(), before);
    }

    #[test]
    fn two_processes_may_migrate_at_once() {
        let home = tempfile::tempdir().unwrap();
        version_1(home.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(Store::open(home.path()).unwrap().count().unwrap(), 3));
            }
        });
    }

    #[test]
    fn a_record_that_is_no_json_has_no_facts_but_stays() {
        let home = tempfile::tempdir().unwrap();
        let db = version_1(home.path());
        db.execute("INSERT INTO records VALUES ('begun', 9, 'complete', '2KiB', 'p1', 'native', 1.0, '{broken')", [])
            .unwrap();
        let store = Store::open(home.path()).unwrap();
        let row = store.query(&"shape=2KiB".parse().unwrap()).unwrap().pop().unwrap();
        assert_eq!(row.id, "begun");
        assert!(store.query(&"shape=2KiB,host=bench-1".parse().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn phases_that_are_no_objects_are_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let db = version_1(home.path());
        let odd = r#"{"phases": ["p1", 3, null, {"phase": "p2", "engine": "native"}]}"#;
        db.execute("INSERT INTO records VALUES ('begun', 9, 'complete', '2KiB', 'p1', 'native', 1.0, ?1)", [odd])
            .unwrap();
        let store = Store::open(home.path()).unwrap();
        let count = |words: &str| store.query(&words.parse::<Query>().unwrap()).unwrap().len();
        assert_eq!((count("shape=2KiB,phase=p2"), count("shape=2KiB,phase=p1")), (1, 0));
    }
}
