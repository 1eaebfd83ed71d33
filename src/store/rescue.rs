//! What can be read of a damaged store, written into a new one.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::pages::{Field, Pages, Row};
use super::{Store, is_id, migrate};
use crate::error::Stop;

/// What a rescue brought over, and what it could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Runs.
    pub runs: Count,
    /// Records.
    pub records: Count,
    /// Outputs of the reference engine.
    pub reference_outputs: Count,
    /// Names of baselines, with their history.
    pub baselines: Count,
    /// Results of criterion.
    pub kernel_benches: Count,
    /// Ids of runs whose record was there and is not readable, as far as an id is left.
    pub lost_records: Vec<String>,
}

/// Rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In the new store.
    pub rescued: u64,
    /// Those that the old one is known to have had: rows are numbered from 1 and none is ever deleted. Others may have followed the last
    /// one that was seen.
    pub known: u64,
}

/// Writes what can be read of a results store into a new file; the damaged one stays as it is.
///
/// `out` must not be there (exit code 2). Rows come over as they are. A store of which no row is readable is an error.
pub fn rescue(damaged: &Path, out: &Path) -> anyhow::Result<Rescued> {
    if out.symlink_metadata().is_ok() {
        return Err(Stop::Usage.error(format!("{} is already there: a rescue writes a new file", out.display())));
    }
    let mut pages = Pages::open(damaged)?;
    if let Some(version) = pages.user_version().filter(|version| i64::from(*version) > migrate::VERSION) {
        bail!(
            "{} was written by a newer sealbench (store version {version}): rescue it with that one",
            damaged.display()
        );
    }
    let parent = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let staging = tempfile::tempdir_in(parent).with_context(|| format!("cannot write {}", out.display()))?;
    let path = staging.path().join("rescued.db");
    let store = Store::at(&path)?;
    let rescued = fill(&store, &mut pages)?;
    drop(store);
    if rescued.runs.rescued + rescued.records.rescued == 0 {
        bail!("nothing in {} can be read: there is no run in it", damaged.display());
    }
    let place = tempfile::TempPath::try_from_path(&path)?.persist_noclobber(out);
    place.map_err(|e| e.error).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(rescued)
}

/// Runs first, as records refer to them.
fn fill(store: &Store, pages: &mut Pages) -> anyhow::Result<Rescued> {
    let tx = store.begin_write()?;
    let mut rescue = Rescue { db: &tx, done: Rescued::default(), records: BTreeSet::new(), named: BTreeSet::new() };
    pages.rows(|row| rescue.run(&row))?;
    pages.rows(|row| rescue.other(&row))?;
    let Rescue { mut done, records, named, .. } = rescue;
    done.lost_records = named.difference(&records).cloned().collect();
    tx.commit().map_err(|e| store.explain(e))?;
    Ok(done)
}

struct Rescue<'a> {
    db: &'a Connection,
    done: Rescued,
    /// Ids of the records that came over.
    records: BTreeSet<String>,
    /// Ids of the records that were there.
    named: BTreeSet<String>,
}

/// What the row of a run's record says beside its document.
#[derive(Deserialize)]
struct Document {
    id: String,
    started_at: Timestamp,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    given: Vec<String>,
}

impl Rescue<'_> {
    /// A row of `runs`: id, start, directory, command, process.
    fn run(&mut self, row: &Row) -> anyhow::Result<()> {
        let [Some(id), Some(started)] = [row.fields.first(), row.fields.get(1)] else { return Ok(()) };
        let (Some(_), Some(started), 5) = (id.text().filter(|id| is_id(id)), started.integer(), row.columns) else {
            return Ok(());
        };
        let command = row.fields.get(3).and_then(Field::text);
        let sound = Timestamp::from_microsecond(started).is_ok() && command.is_some_and(is_json::<Vec<String>>);
        let kept = sound && insert(self.db, "runs", &row.fields, 5)?;
        self.done.runs.count(row, kept);
        Ok(())
    }

    /// A row of any other table, told by the number and kind of its columns.
    fn other(&mut self, row: &Row) -> anyhow::Result<()> {
        let text = |at: usize| row.fields.get(at).and_then(Field::text);
        let number = |at: usize| row.fields.get(at).and_then(Field::integer);
        match row.columns {
            8 if number(1).is_some() => self.record(row)?,
            // Facts of a record, numbered as the records are.
            7 if number(1).is_some() => {
                self.named.extend(text(0).filter(|id| is_id(id)).map(str::to_string));
                self.done.records.known = self.done.records.known.max(row.rowid.unsigned_abs());
            }
            3 if number(2).is_some() => {
                let sound = text(0).is_some() && text(1).is_some_and(is_id);
                let kept = sound && insert(self.db, "baselines", &row.fields, 3)?;
                self.done.baselines.count(row, kept);
            }
            3 => {
                let sound = text(2).is_some_and(is_json::<IgnoredAny>);
                let kept = sound && insert(self.db, "reference_outputs", &row.fields, 3)?;
                self.done.reference_outputs.count(row, kept);
            }
            10 => {
                let sound = text(9).is_some_and(is_json::<Vec<f64>>) && text(7).is_some_and(is_json::<IgnoredAny>);
                let kept = sound && insert(self.db, "kernel_benches", &row.fields, 10)?;
                self.done.kernel_benches.count(row, kept);
            }
            _ => {}
        }
        Ok(())
    }

    /// A row of `records`: id, arrival, state, shape, phases, engines, time, document.
    fn record(&mut self, row: &Row) -> anyhow::Result<()> {
        let text = |at: usize| row.fields.get(at).and_then(Field::text);
        let Some(id) = text(0).filter(|id| is_id(id)) else { return Ok(()) };
        self.named.insert(id.to_string());
        let arrived = row.fields[1].integer().is_some_and(|us| Timestamp::from_microsecond(us).is_ok());
        let state = text(2).is_some_and(|state| ["complete", "interrupted", "failed"].contains(&state));
        let document = text(7).and_then(|text| serde_json::from_str::<Document>(text).ok());
        let kept = match document.filter(|document| document.id == id && arrived && state) {
            Some(document) => {
                self.run_of(&document)?;
                insert(self.db, "records", &row.fields, 8)?
            }
            None => false,
        };
        if kept {
            self.records.insert(id.to_string());
        }
        self.done.records.count(row, kept);
        Ok(())
    }

    /// The run of a record, as the record tells it, unless its own row came over.
    fn run_of(&mut self, document: &Document) -> anyhow::Result<()> {
        let there = "SELECT EXISTS (SELECT 1 FROM runs WHERE id = ?1)";
        if !self.db.query_row(there, [&document.id], |row| row.get::<_, bool>(0))? {
            let command = serde_json::to_string(&document.spec.given)?;
            let row = (&document.id, document.started_at.as_microsecond(), command);
            self.db.execute("INSERT INTO runs VALUES (?1, ?2, NULL, ?3, NULL)", row)?;
        }
        Ok(())
    }
}

impl Count {
    fn count(&mut self, row: &Row, kept: bool) {
        self.known = self.known.max(row.rowid.unsigned_abs());
        self.rescued += u64::from(kept);
    }
}

fn is_json<'a, T: Deserialize<'a>>(text: &'a str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

/// Puts a row as it is; `false` if it is not whole, there is one with its key, or the table does not take its values.
fn insert(db: &Connection, table: &str, fields: &[Field], columns: usize) -> anyhow::Result<bool> {
    let values: Option<Vec<Value>> = fields.iter().map(value).collect();
    let Some(values) = values.filter(|values| values.len() == columns) else { return Ok(false) };
    let places: Vec<String> = (1..=columns).map(|i| format!("?{i}")).collect();
    let statement = format!("INSERT INTO {table} VALUES ({})", places.join(", "));
    match db.prepare_cached(&statement)?.execute(params_from_iter(values)) {
        Ok(_) => Ok(true),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
        Err(e) => Err(e).context("cannot write the new store"),
    }
}

fn value(field: &Field) -> Option<Value> {
    Some(match field {
        Field::Null => Value::Null,
        Field::Integer(value) => Value::Integer(*value),
        Field::Real(value) => Value::Real(*value),
        Field::Text(_) => Value::Text(field.text()?.to_string()),
        Field::Blob(bytes) => Value::Blob(bytes.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::phase::Phase;
    use crate::store::{RunStart, criterion, sample};
    use std::fs;
    use std::path::PathBuf;

    const RUNS: usize = 60;

    /// A store with sixty runs with records, one without, a baseline and an output; and the bytes of its file.
    fn store() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for n in 0..RUNS {
            let start = RunStart {
                id: format!("run-{n}"),
                started_at: "2026-11-24T08:00:00Z".to_string(),
                run_dir: PathBuf::from("/runs").join(n.to_string()),
                command: vec!["sealbench".to_string()],
                pid: 1,
            };
            store.begin(&start).unwrap();
            store.finish(&sample::record(&start.id)).unwrap();
            if n == 7 {
                store.begin(&RunStart { id: "begun".to_string(), ..start }).unwrap();
            }
        }
        store.save_baseline("v1", "run-3").unwrap();
        store.keep_reference_output("sector", Phase::P1, &Default::default()).unwrap();
        let criterion = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion");
        store.keep_kernel_benches(&criterion::read(&criterion).unwrap()).unwrap();
        drop(store);
        let file = home.path().join("results.db");
        let bytes = fs::read(&file).unwrap();
        (home, file, bytes)
    }

    /// The rescued store, which opens and takes more.
    fn reopened(out: &Path) -> Store {
        let store = Store::at(out).unwrap();
        store.finish(&sample::record("later")).unwrap();
        store
    }

    #[test]
    fn a_sound_store_comes_over_whole() {
        let (home, file, bytes) = store();
        let out = home.path().join("new.db");
        let rescued = rescue(&file, &out).unwrap();
        let both = |n| Count { rescued: n, known: n };
        assert_eq!((rescued.runs, rescued.records), (both(RUNS as u64 + 1), both(RUNS as u64)));
        assert_eq!((rescued.baselines, rescued.reference_outputs), (both(1), both(1)));
        assert_eq!(rescued.kernel_benches, both(4));
        assert!(rescued.lost_records.is_empty());
        let (old, new) = (Store::at(&file).unwrap(), Store::at(&out).unwrap());
        assert_eq!(old.list(None).unwrap(), new.list(None).unwrap());
        assert_eq!(old.record_text("run-5").unwrap(), new.record_text("run-5").unwrap());
        assert_eq!(new.baseline("v1").unwrap().as_deref(), Some("run-3"));
        assert_eq!(new.query(&"host=bench-1".parse().unwrap()).unwrap().len(), RUNS);
        assert_eq!(fs::read(&file).unwrap(), bytes, "the old file is as it was");
        assert_eq!(exit_code(&rescue(&file, &out).unwrap_err()), 2, "nothing is overwritten");
    }

    #[test]
    fn records_on_sound_pages_survive_damage_in_the_middle() {
        let (home, file, mut bytes) = store();
        let pages = bytes.len() / 4096;
        for page in [pages / 3, pages / 2, pages / 2 + 1, pages * 3 / 4] {
            bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
        }
        fs::write(&file, &bytes).unwrap();
        let out = home.path().join("new.db");
        let rescued = rescue(&file, &out).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes, "the damaged file is as it was");
        assert_eq!(rescued.records.known, RUNS as u64);
        // A damaged page holds a part of one record, or few whole rows.
        assert!(rescued.records.rescued >= RUNS as u64 - 12 && rescued.records.rescued < RUNS as u64, "{rescued:?}");
        assert_eq!(rescued.records.rescued + rescued.lost_records.len() as u64, RUNS as u64, "{rescued:?}");
        let store = reopened(&out);
        for n in 0..RUNS {
            let id = format!("run-{n}");
            let lost = rescued.lost_records.contains(&id);
            assert_eq!(store.has_record(&id).unwrap(), !lost, "{id}");
            if !lost {
                assert_eq!(store.record_text(&id).unwrap(), serde_json::to_string(&sample::record(&id)).unwrap());
            }
        }
    }

    #[test]
    fn a_store_without_its_first_pages_gives_its_records_back() {
        let (home, file, mut bytes) = store();
        // The header, the schema and the roots of the first tables.
        bytes[..5 * 4096].fill(0);
        fs::write(&file, &bytes).unwrap();
        assert!(Store::at(&file).is_err());
        let rescued = rescue(&file, &home.path().join("new.db")).unwrap();
        assert!(rescued.records.rescued >= RUNS as u64 - 2, "{rescued:?}");
        assert!(reopened(&home.path().join("new.db")).list(None).unwrap().len() as u64 >= rescued.records.rescued);
    }

    #[test]
    fn a_run_whose_row_is_lost_is_taken_from_its_record() {
        let (home, file, bytes) = store();
        // The command is no JSON any more.
        let mut damaged = bytes;
        let run = b"/runs/9[\"sealbench\"]";
        let at = damaged.windows(run.len()).position(|window| window == run).unwrap();
        damaged[at + 7] = b'x';
        fs::write(&file, &damaged).unwrap();
        let out = home.path().join("new.db");
        let rescued = rescue(&file, &out).unwrap();
        assert_eq!((rescued.runs.rescued, rescued.records.rescued), (RUNS as u64, RUNS as u64));
        let store = Store::at(&out).unwrap();
        let run = store.run("run-9").unwrap();
        assert_eq!((run.run_dir, run.pid), (None, None));
        assert_eq!(run.command, sample::record("run-9").spec.given);
        assert_eq!(store.record("run-9").unwrap().id, "run-9");
    }

    #[test]
    fn what_holds_no_run_is_an_error_and_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("results.db");
        let out = home.path().join("new.db");
        fs::write(&file, vec![0x0d; 40_960]).unwrap();
        assert!(rescue(&file, &out).unwrap_err().to_string().contains("nothing in"));
        Connection::open(home.path().join("newer.db")).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
        let newer = rescue(&home.path().join("newer.db"), &out).unwrap_err();
        assert!(newer.to_string().contains("newer sealbench"), "{newer}");
        assert!(!out.exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "no temporary file is left");
    }
}
