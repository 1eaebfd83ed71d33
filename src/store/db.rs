//! The SQLite file behind the results store.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::is_id;
use crate::error::Stop;
use crate::trial::record::{Record, RunState};

/// The store's file in SEALBENCH_HOME.
pub const FILE: &str = "results.db";

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// How many candidates an ambiguous prefix lists.
const CANDIDATES: usize = 10;

/// The columns that [`run_row`] reads.
pub(super) const COLUMNS: &str =
    "runs.id, runs.started_us, run_dir, command, pid, finished_us, state, records.shape, phases, engines, phases_s";

/// Every run, with its record if it has one.
pub(super) const RUNS: &str = "runs LEFT JOIN records ON records.id = runs.id";

/// The results store: `results.db` in SEALBENCH_HOME. Rows are only inserted, and triggers in the file see to it.
///
/// The file keeps SQLite's rollback journal: a write-ahead log needs memory that all its users share, so it would break a home on
/// a network file system that several machines write to.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

/// A run that starts.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The run's id.
    pub id: String,
    /// Start of the run, RFC 3339.
    pub started_at: String,
    /// Where its files are.
    pub run_dir: PathBuf,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// Process id of `sealbench run`.
    pub pid: u32,
}

/// A run as the store lists it, without its record's document.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run's id.
    pub id: String,
    /// Start of the run.
    pub started_at: Timestamp,
    /// Where its files are; none for a record that came without them.
    pub run_dir: Option<PathBuf>,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// Process id of `sealbench run`; none if the record was imported.
    pub pid: Option<u32>,
    /// How the run ended; none while it has no record: it runs, or it died.
    pub state: Option<RunState>,
    /// When its record came into this store.
    pub finished_at: Option<Timestamp>,
    /// The shape that was sealed.
    pub shape: Option<String>,
    /// The phases in the record, in order, with commas.
    pub phases: Option<String>,
    /// The engines in the record, with commas.
    pub engines: Option<String>,
    /// Sum of the wall times of all phases, seconds.
    pub phases_s: Option<f64>,
}

impl Store {
    /// Opens the store of a SEALBENCH_HOME, creating both if they are not there.
    ///
    /// A store that a newer sealbench wrote, a file that is something else, and a damaged file are errors; none is touched.
    pub fn open(home: &Path) -> anyhow::Result<Store> {
        fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
        Store::at(&home.join(FILE))
    }

    /// Opens the store in a file, creating it if it is not there, and brings one of an earlier version up to date.
    pub(super) fn at(path: &Path) -> anyhow::Result<Store> {
        let db = Connection::open(path).with_context(|| format!("cannot open the results store {}", path.display()))?;
        let store = Store { db, path: path.to_path_buf() };
        store.db.busy_timeout(BUSY).map_err(|e| store.explain(e))?;
        store.bring_up_to_date()?;
        Ok(store)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a run has started.
    pub fn begin(&self, run: &RunStart) -> anyhow::Result<()> {
        let run_dir = std::path::absolute(&run.run_dir)
            .with_context(|| format!("cannot tell where {} is", run.run_dir.display()))?;
        self.insert_run(&run.id, &run.started_at, Some(&run_dir), &run.command, Some(run.pid))
    }

    /// Keeps a run's record. A run that was never begun here, such as an imported one, gets its start from the record.
    pub fn finish(&self, record: &Record) -> anyhow::Result<()> {
        let text = serde_json::to_string(record).context("cannot write the record as JSON")?;
        let tx = self.begin_write()?;
        self.insert_record(record, &text, None)?;
        tx.commit().map_err(|e| self.explain(e))
    }

    /// Keeps the records of many runs in one step, all or none, as they come; like [`Store::finish`] otherwise.
    pub fn finish_all(&self, records: impl Iterator<Item = anyhow::Result<Record>>) -> anyhow::Result<()> {
        let tx = self.begin_write()?;
        for record in records {
            let record = record?;
            let text = serde_json::to_string(&record).context("cannot write the record as JSON")?;
            self.insert_record(&record, &text, None)?;
        }
        tx.commit().map_err(|e| self.explain(e))
    }

    /// Keeps records that come from elsewhere, all or none: each with its own text and the directory that holds its other files.
    ///
    /// `place` puts those directories where they belong, when every record is accepted and before the store keeps any.
    pub fn import(
        &self,
        runs: &[(&Record, &str, Option<PathBuf>)],
        place: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let tx = self.begin_write()?;
        for (record, text, run_dir) in runs {
            self.insert_record(record, text, run_dir.as_deref())?;
        }
        place()?;
        tx.commit().map_err(|e| self.explain(e))
    }

    fn insert_record(&self, record: &Record, text: &str, run_dir: Option<&Path>) -> anyhow::Result<()> {
        if !self.has_run(&record.id)? {
            self.insert_run(&record.id, &record.started_at, run_dir, &record.spec.given, None)?;
        }
        if self.has_record(&record.id)? {
            anyhow::bail!(
                "run {} already has a record in {}: records are never replaced",
                record.id,
                self.path.display()
            );
        }
        let row = params![
            record.id,
            Timestamp::now().as_microsecond(),
            record.state.name(),
            shape(record),
            distinct(record.phases.iter().map(|p| p.phase.name())),
            distinct(record.phases.iter().map(|p| p.engine.name())),
            record.phases.iter().map(|p| p.wall_s).sum::<f64>(),
            text,
        ];
        self.sql(|db| db.execute("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", row)).map(drop)
    }

    fn insert_run(
        &self,
        id: &str,
        started_at: &str,
        run_dir: Option<&Path>,
        command: &[String],
        pid: Option<u32>,
    ) -> anyhow::Result<()> {
        if !is_id(id) {
            anyhow::bail!("'{}' is not a run id: use up to 64 letters, digits, '.', '_', '-'", id.escape_debug());
        }
        let started: Timestamp =
            started_at.parse().with_context(|| format!("started_at of run {id} is not an RFC 3339 time"))?;
        let command = serde_json::to_string(command)?;
        let row = params![id, started.as_microsecond(), run_dir.map(path_value), command, pid];
        self.sql(|db| db.execute("INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5)", row)).map(drop)
    }

    /// The newest runs first, at most `limit` of them.
    pub fn list(&self, limit: Option<u32>) -> anyhow::Result<Vec<RunRow>> {
        let limit = limit.map_or(-1, i64::from);
        self.rows(
            &format!("SELECT {COLUMNS} FROM {RUNS} ORDER BY runs.started_us DESC, runs.rowid DESC LIMIT ?1"),
            &[&limit],
        )
    }

    /// How many runs the store knows.
    pub fn count(&self) -> anyhow::Result<u64> {
        let count: i64 = self.sql(|db| db.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)))?;
        Ok(count.unsigned_abs())
    }

    /// Ids of every run that has a record, oldest run first.
    pub fn recorded(&self) -> anyhow::Result<Vec<String>> {
        let query = "SELECT runs.id FROM runs JOIN records ON records.id = runs.id ORDER BY started_us, runs.rowid";
        self.sql(|db| db.prepare(query)?.query_map([], |row| row.get(0))?.collect())
    }

    /// Calls with a setting's value in each record whose id begins so and which has the setting, without reading the rest of it.
    pub fn each_setting(&self, start: &str, name: &str, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
        let query = "SELECT json_extract(record, ?3) FROM records WHERE id >= ?1 AND id < ?2";
        let (above, path) = (format!("{start}\u{10ffff}"), format!("$.spec.settings.\"{name}\""));
        self.sql(|db| {
            let mut statement = db.prepare(query)?;
            let mut rows = statement.query(params![start, above, path])?;
            while let Some(row) = rows.next()? {
                if let Some(value) = row.get_ref(0)?.as_str_or_null()? {
                    each(value);
                }
            }
            Ok(())
        })
    }

    /// The run with an id or a prefix that only one id has (exit code 2 if there is none, or several).
    pub fn run(&self, id_or_prefix: &str) -> anyhow::Result<RunRow> {
        self.find(id_or_prefix)?.ok_or_else(|| {
            Stop::Usage.error(format!(
                "there is no run '{}' in {}: `sealbench results list` shows those there are",
                id_or_prefix.escape_debug(),
                self.path.display()
            ))
        })
    }

    /// Like [`Store::run`], but a run that is not there is `None`.
    pub fn find(&self, id_or_prefix: &str) -> anyhow::Result<Option<RunRow>> {
        if let Some(row) =
            self.rows(&format!("SELECT {COLUMNS} FROM {RUNS} WHERE runs.id = ?1"), &[&id_or_prefix])?.pop()
        {
            return Ok(Some(row));
        }
        if !is_id(id_or_prefix) {
            return Ok(None);
        }
        // Ids are ASCII, so every id with this prefix sorts below the prefix followed by the last character of all.
        let above = format!("{id_or_prefix}\u{10ffff}");
        let query =
            format!("SELECT {COLUMNS} FROM {RUNS} WHERE runs.id > ?1 AND runs.id < ?2 ORDER BY runs.id LIMIT ?3");
        let mut rows = self.rows(&query, &[&id_or_prefix, &above, &(CANDIDATES as i64 + 1)])?;
        if rows.len() < 2 {
            return Ok(rows.pop());
        }
        let mut ids: Vec<&str> = rows.iter().take(CANDIDATES).map(|row| row.id.as_str()).collect();
        if rows.len() > CANDIDATES {
            ids.push("...");
        }
        Err(Stop::Usage.error(format!("'{id_or_prefix}' is the start of several runs: {}", ids.join(", "))))
    }

    /// The record of the run with an id or a unique prefix.
    pub fn record(&self, id_or_prefix: &str) -> anyhow::Result<Record> {
        let run = self.run(id_or_prefix)?;
        serde_json::from_str(&self.record_text(&run.id)?).with_context(|| {
            format!("the record of run {} in {} is not what this sealbench reads", run.id, self.path.display())
        })
    }

    /// The record of a run with exactly this id as JSON text, byte for byte as it was stored.
    pub fn record_text(&self, id: &str) -> anyhow::Result<String> {
        let query = "SELECT record FROM records WHERE id = ?1";
        self.sql(|db| db.query_row(query, [id], |row| row.get(0)).optional())?.ok_or_else(|| {
            anyhow::anyhow!("run {id} has no record: it is still running or died; see `sealbench results show {id}`")
        })
    }

    /// Whether a run with exactly this id has a record.
    pub fn has_record(&self, id: &str) -> anyhow::Result<bool> {
        self.has("records", id)
    }

    /// Whether there is a run with exactly this id.
    pub fn has_run(&self, id: &str) -> anyhow::Result<bool> {
        self.has("runs", id)
    }

    fn has(&self, table: &str, id: &str) -> anyhow::Result<bool> {
        let query = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE id = ?1)");
        self.sql(|db| db.query_row(&query, [id], |row| row.get(0)))
    }

    pub(super) fn rows(&self, query: &str, values: &[&dyn rusqlite::ToSql]) -> anyhow::Result<Vec<RunRow>> {
        self.sql(|db| db.prepare(query)?.query_map(values, run_row)?.collect())
    }

    pub(super) fn begin_write(&self) -> anyhow::Result<Transaction<'_>> {
        Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(|e| self.explain(e))
    }

    pub(super) fn sql<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> anyhow::Result<T> {
        work(&self.db).map_err(|e| self.explain(e))
    }

    /// SQLite's error as a sentence with the file and what to do.
    pub(super) fn explain(&self, error: rusqlite::Error) -> anyhow::Error {
        let path = self.path.display();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => anyhow::anyhow!(
                "{path} is damaged ({error}): `sealbench results rescue --out NEW.db` writes what can be read of it into a new store and leaves it as it is"
            ),
            Some(ErrorCode::DatabaseBusy) => {
                anyhow::anyhow!("{path} has been locked by another process for {} s: try again", BUSY.as_secs())
            }
            _ => anyhow::anyhow!("the results store {path} failed: {error}"),
        }
    }
}

fn run_row(row: &Row) -> rusqlite::Result<RunRow> {
    let run_dir = match row.get_ref(2)? {
        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
            Some(PathBuf::from(OsStr::from_bytes(bytes)))
        }
        _ => None,
    };
    let command: String = row.get(3)?;
    Ok(RunRow {
        id: row.get(0)?,
        started_at: timestamp(1, row.get(1)?)?,
        run_dir,
        command: serde_json::from_str(&command).map_err(|e| unreadable(3, e))?,
        pid: row.get(4)?,
        finished_at: row.get::<_, Option<i64>>(5)?.map(|us| timestamp(5, us)).transpose()?,
        state: row.get::<_, Option<String>>(6)?.map(|name| state(6, &name)).transpose()?,
        shape: row.get(7)?,
        phases: row.get(8)?,
        engines: row.get(9)?,
        phases_s: row.get(10)?,
    })
}

fn timestamp(column: usize, us: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(us).map_err(|e| unreadable(column, e))
}

fn state(column: usize, name: &str) -> rusqlite::Result<RunState> {
    [RunState::Complete, RunState::Interrupted, RunState::Failed]
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| unreadable(column, format!("'{name}' is not a state")))
}

fn unreadable(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}

fn path_value(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_string()),
        None => Value::Blob(path.as_os_str().as_bytes().to_vec()),
    }
}

/// The size alone where the shape is the network's.
fn shape(record: &Record) -> String {
    let spec = &record.spec.resolved;
    if spec.network_shape { spec.shape.sector_size.to_string() } else { spec.shape.to_string() }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::sample;
    use proptest::prelude::*;

    fn start(id: &str, started_at: &str) -> RunStart {
        RunStart {
            id: id.to_string(),
            started_at: started_at.to_string(),
            run_dir: PathBuf::from("/runs").join(id),
            command: vec!["sealbench".to_string(), "run".to_string()],
            pid: 7,
        }
    }

    fn open() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        (home, store)
    }

    #[test]
    fn a_run_is_there_from_its_start_and_keeps_its_directory() {
        let (home, store) = open();
        store.begin(&start("run-a", "2026-11-24T10:00:00+02:00")).unwrap();
        let begun = store.run("run-a").unwrap();
        assert_eq!((begun.state, begun.pid, begun.run_dir.as_deref()), (None, Some(7), Some(Path::new("/runs/run-a"))));
        assert_eq!(begun.started_at.to_string(), "2026-11-24T08:00:00Z");
        assert!(store.record("run-a").unwrap_err().to_string().contains("still running or died"));

        store.finish(&sample::record("run-a")).unwrap();
        let finished = Store::open(home.path()).unwrap().run("run").unwrap();
        assert_eq!(finished.state, Some(RunState::Complete));
        assert_eq!((finished.shape.as_deref(), finished.phases.as_deref()), (Some("8MiB"), Some("p1,p2,p4")));
        assert_eq!(finished.engines.as_deref(), Some("reference"));
        assert!((finished.phases_s.unwrap() - 197.8113).abs() < 1e-9);
        assert_eq!(finished.run_dir, begun.run_dir);
        assert_eq!(store.record("run-a").unwrap().phases[0].wall_s, 0.2113);
    }

    #[test]
    fn a_record_that_was_never_begun_is_listed_by_its_own_start() {
        let (_home, store) = open();
        store.begin(&start("new", "2026-11-24T09:00:00Z")).unwrap();
        store.begin(&start("old", "2026-11-24T07:00:00.5Z")).unwrap();
        store.begin(&start("old2", "2026-11-24T07:00:00Z")).unwrap();
        store.finish(&sample::record("imported")).unwrap();
        let ids = |limit| store.list(limit).unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(None), ["new", "imported", "old", "old2"]);
        assert_eq!(ids(Some(2)), ["new", "imported"]);
        assert_eq!((store.count().unwrap(), store.recorded().unwrap()), (4, vec!["imported".to_string()]));
    }

    #[test]
    fn rows_are_never_changed() {
        let (home, store) = open();
        store.begin(&start("a", "2026-11-24T09:00:00Z")).unwrap();
        store.finish(&sample::record("a")).unwrap();
        assert!(store.finish(&sample::record("a")).unwrap_err().to_string().contains("never replaced"));
        assert!(store.begin(&start("a", "2026-11-24T09:00:00Z")).unwrap_err().to_string().contains("append-only"));
        let db = Connection::open(home.path().join("results.db")).unwrap();
        for statement in [
            "UPDATE runs SET pid = 1",
            "DELETE FROM runs",
            "INSERT OR REPLACE INTO runs SELECT * FROM runs",
            "UPDATE records SET state = 'complete'",
            "DELETE FROM records",
            "REPLACE INTO records SELECT * FROM records",
            "UPDATE record_facts SET host = 'x'",
            "DELETE FROM record_facts",
            "REPLACE INTO record_facts SELECT * FROM record_facts",
            "UPDATE record_phases SET phase = 'p2'",
            "DELETE FROM record_phases",
        ] {
            let error = db.execute(statement, []).unwrap_err().to_string();
            assert!(error.contains("append-only"), "{statement}: {error}");
        }
        store.record("a").unwrap();
    }

    #[test]
    fn what_is_no_id_or_time_stays_out() {
        let (_home, store) = open();
        assert!(store.begin(&start("../a", "2026-11-24T09:00:00Z")).is_err());
        assert!(store.begin(&start("a", "yesterday")).is_err());
        assert!(store.finish(&sample::record("a/b")).is_err());
        assert_eq!(store.count().unwrap(), 0);
    }

    #[test]
    fn a_foreign_newer_or_damaged_file_is_left_alone() {
        let sql = |statements: &str| {
            let home = tempfile::tempdir().unwrap();
            Connection::open(home.path().join("results.db")).unwrap().execute_batch(statements).unwrap();
            home
        };
        let garbage = tempfile::tempdir().unwrap();
        fs::write(garbage.path().join("results.db"), "not a database, but long enough for a header".repeat(9)).unwrap();
        for (home, part) in [
            (sql("PRAGMA user_version = 3"), "newer sealbench"),
            (sql("CREATE TABLE other (x)"), "not a results store"),
            (garbage, "is damaged"),
        ] {
            let file = home.path().join("results.db");
            let before = fs::read(&file).unwrap();
            let error = format!("{:#}", Store::open(home.path()).unwrap_err());
            assert!(error.contains(part) && error.contains("results.db"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), before, "{part}");
        }
    }

    #[test]
    fn a_file_damaged_in_the_middle_is_an_error_with_advice() {
        let (home, store) = open();
        for n in 0..50 {
            store.finish(&sample::record(&format!("run-{n}"))).unwrap();
        }
        drop(store);
        let file = home.path().join("results.db");
        let mut bytes = fs::read(&file).unwrap();
        let length = bytes.len();
        bytes[4096..length / 2].fill(0xa5);
        fs::write(&file, bytes).unwrap();
        let error = Store::open(home.path()).and_then(|store| store.list(None)).unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("sealbench results rescue --out"), "{error}");
    }

    #[test]
    fn two_processes_may_write_at_once() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let home = home.path();
                scope.spawn(move || {
                    let store = Store::open(home).unwrap();
                    for n in 0..5 {
                        store.finish(&sample::record(&format!("w{writer}-{n}"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(Store::open(home.path()).unwrap().recorded().unwrap().len(), 20);
    }

    #[test]
    fn listing_and_lookup_walk_an_index_and_sort_nothing() {
        let (_home, store) = open();
        let plan = |query: &str| {
            let query = format!("EXPLAIN QUERY PLAN SELECT {COLUMNS} FROM {RUNS} {query}");
            let lines: Vec<String> =
                store.sql(|db| db.prepare(&query)?.query_map([], |row| row.get(3))?.collect()).unwrap();
            lines.join("; ")
        };
        let list = plan("ORDER BY runs.started_us DESC, runs.rowid DESC LIMIT 20");
        assert!(list.contains("runs_by_start") && list.contains("SEARCH records") && !list.contains("TEMP"), "{list}");
        let find = plan("WHERE runs.id > 'a' AND runs.id < 'b' ORDER BY runs.id LIMIT 11");
        assert!(find.contains("SEARCH runs") && !find.contains("TEMP"), "{find}");
    }

    #[test]
    fn a_path_that_is_not_utf8_comes_back_as_it_was() {
        let (_home, store) = open();
        let dir = PathBuf::from(OsStr::from_bytes(b"/runs/\xff\xfe"));
        store.begin(&RunStart { run_dir: dir.clone(), ..start("a", "2026-11-24T09:00:00Z") }).unwrap();
        assert_eq!(store.run("a").unwrap().run_dir, Some(dir));
    }

    #[test]
    fn an_ambiguous_or_unknown_prefix_is_a_usage_error() {
        let (_home, store) = open();
        for n in 10..30 {
            store.begin(&start(&format!("r{n}"), "2026-11-24T09:00:00Z")).unwrap();
        }
        let error = store.run("r1").unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().ends_with("r10, r11, r12, r13, r14, r15, r16, r17, r18, r19"), "{error}");
        assert!(store.run("r").unwrap_err().to_string().ends_with("r19, ..."));
        for unknown in ["", "x", "r1%", "r1_", "r10\u{10ffff}", "'", "\u{1b}[2J"] {
            let error = store.run(unknown).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{unknown:?}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_prefix_finds_the_one_id_that_starts_with_it(
            ids in prop::collection::hash_set("[a-c.A][a-c._-]{0,5}".prop_filter("an id", |id| is_id(id)), 1..12),
            prefix in "[a-cA][a-c._-]{0,4}",
        ) {
            let (_home, store) = open();
            let tx = store.begin_write().unwrap();
            for id in &ids {
                store.begin(&start(id, "2026-11-24T09:00:00Z")).unwrap();
            }
            tx.commit().unwrap();
            let matching: Vec<&String> = ids.iter().filter(|id| id.starts_with(&prefix)).collect();
            match (ids.contains(&prefix), matching.as_slice()) {
                (true, _) => prop_assert_eq!(store.run(&prefix).unwrap().id, prefix),
                (false, [one]) => prop_assert_eq!(&store.run(&prefix).unwrap().id, *one),
                (false, _) => prop_assert!(store.run(&prefix).is_err()),
            }
        }
    }
}
