//! Which records a question is about.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rusqlite::ToSql;

use super::db::COLUMNS;
use super::{RunRow, Store};
use crate::phase::{Engine, Phase};

/// Conditions on records; a record matches if it meets all of those that are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// It has this phase.
    pub phase: Option<Phase>,
    /// It has a phase of this engine; with `phase`, that phase.
    pub engine: Option<Engine>,
    /// The shape as listings show it: "8MiB" for the network's.
    pub shape: Option<String>,
    /// The machine's name.
    pub host: Option<String>,
    /// A part of the CPU's model, in either case.
    pub cpu: Option<String>,
    /// The sweep's id.
    pub sweep: Option<String>,
    /// The point of the sweep.
    pub point: Option<String>,
    /// It started at this time or later.
    pub since: Option<Timestamp>,
    /// At most this many, the newest ones.
    pub limit: Option<u32>,
}

/// The keys of a query in text, for messages.
const KEYS: &str = "phase, engine, shape, host, cpu, sweep, point, since, limit";

impl FromStr for Query {
    type Err = String;

    /// Reads "phase=p1,engine=native,host=NAME": KEY=VALUE with commas between them. A comma in a value is followed by no "KEY=".
    fn from_str(text: &str) -> Result<Self, String> {
        let mut query = Query::default();
        let pairs = pairs(text)?;
        for (i, (key, value)) in pairs.iter().enumerate() {
            if pairs[..i].iter().any(|(earlier, _)| earlier == key) {
                return Err(format!("{key} is in the query twice"));
            }
            query.set(key, value)?;
        }
        Ok(query)
    }
}

impl Query {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("'{value}' in the query is not {what}");
        match key {
            "phase" => self.phase = Some(value.parse().map_err(|_| wrong("a phase: p1, p2, c1 or p4"))?),
            "engine" => {
                let engine = Engine::ALL.into_iter().find(|engine| engine.name() == value);
                self.engine = Some(engine.ok_or_else(|| wrong("an engine: native or reference"))?);
            }
            "shape" => self.shape = Some(value.to_string()),
            "host" => self.host = Some(value.to_string()),
            "cpu" => self.cpu = Some(value.to_string()),
            "sweep" => self.sweep = Some(value.to_string()),
            "point" => self.point = Some(value.to_string()),
            "since" => self.since = Some(time(value).ok_or_else(|| wrong("a day such as 2026-11-24, or a time"))?),
            "limit" => self.limit = Some(value.parse().map_err(|_| wrong("a number"))?),
            _ => return Err(format!("'{key}' is no key of a query; there are {KEYS}")),
        }
        Ok(())
    }
}

/// Splits at the commas that a KEY= follows.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| format!("'{rest}' in the query is not KEY=VALUE"))?;
        let is_key = |part: &str| part.split_once('=').is_some_and(|(k, _)| k.bytes().all(|b| b.is_ascii_lowercase()));
        let end = after.match_indices(',').map(|(at, _)| at).find(|at| is_key(&after[at + 1..])).unwrap_or(after.len());
        pairs.push((key.trim(), after[..end].trim()));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    if pairs.is_empty() { Err(format!("an empty query; its keys are {KEYS}")) } else { Ok(pairs) }
}

/// A time, or the start of a day in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let day = || Offset::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
    text.parse().ok().or_else(day)
}

impl Store {
    /// The runs whose records match, the newest first.
    pub fn query(&self, query: &Query) -> anyhow::Result<Vec<RunRow>> {
        let (text, values) = statement(query);
        let values: Vec<&dyn ToSql> = values.iter().map(|value| &**value as &dyn ToSql).collect();
        self.rows(&text, &values)
    }
}

/// The SQL of a query with its values.
fn statement(query: &Query) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions: Vec<String> = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |condition: &str, value: Box<dyn ToSql>| {
        values.push(value);
        conditions.push(condition.replace('?', &format!("?{}", values.len())));
    };
    for (column, value) in
        [("shape", &query.shape), ("host", &query.host), ("sweep", &query.sweep), ("point", &query.point)]
    {
        if let Some(value) = value {
            add(&format!("record_facts.{column} = ?"), Box::new(value.clone()));
        }
    }
    if let Some(cpu) = &query.cpu {
        // The few models that there are come from the index; then each is a search.
        let models = "record_facts.cpu IN (SELECT DISTINCT cpu FROM record_facts WHERE instr(lower(cpu), ?) > 0)";
        add(models, Box::new(cpu.to_lowercase()));
    }
    if let Some(since) = query.since {
        add("record_facts.started_us >= ?", Box::new(since.as_microsecond()));
    }
    let of_phase = [("phase", query.phase.map(Phase::name)), ("engine", query.engine.map(Engine::name))];
    let mut in_phases = String::new();
    for (column, name) in of_phase {
        if let Some(name) = name {
            values.push(Box::new(name));
            in_phases += &format!(" AND record_phases.{column} = ?{}", values.len());
        }
    }
    if !in_phases.is_empty() {
        let exists = "EXISTS (SELECT 1 FROM record_phases WHERE record_phases.id = record_facts.id";
        conditions.push(format!("{exists}{in_phases})"));
    }
    let filter = if conditions.is_empty() { "true".to_string() } else { conditions.join(" AND ") };
    values.push(Box::new(query.limit.map_or(-1, i64::from)));
    let text = format!(
        "SELECT {COLUMNS} FROM record_facts JOIN runs ON runs.id = record_facts.id JOIN records ON records.id = runs.id
         WHERE {filter} ORDER BY record_facts.started_us DESC, record_facts.rowid DESC LIMIT ?{}",
        values.len()
    );
    (text, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn a_query_is_read_word_by_word() {
        let query: Query =
            "phase=p1,engine=native,host=a-1,point=p1 4x1, 2MiB,since=2026-11-24,limit=7".parse().unwrap();
        assert_eq!((query.phase, query.engine, query.limit), (Some(Phase::P1), Some(Engine::Native), Some(7)));
        assert_eq!((query.host.as_deref(), query.point.as_deref()), (Some("a-1"), Some("p1 4x1, 2MiB")));
        assert_eq!(query.since.unwrap().to_string(), "2026-11-24T00:00:00Z");
        let since: Query = "since=2026-11-24T10:00:00+02:00".parse().unwrap();
        assert_eq!(since.since.unwrap().to_string(), "2026-11-24T08:00:00Z");
        for (text, part) in [
            ("", "empty"),
            ("p1", "not KEY=VALUE"),
            ("phase=p3", "p1, p2, c1 or p4"),
            ("engine=gpu", "native or reference"),
            ("since=soon", "2026-11-24"),
            ("limit=-1", "not a number"),
            ("hots=a", "shape, host, cpu"),
            ("host=a,host=b", "twice"),
        ] {
            let error = text.parse::<Query>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn conditions_join_and_the_newest_come_first() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for (id, host, started) in [("a", "h1", 1), ("b", "h2", 2), ("c", "h1", 3)] {
            let record = sample::changed(|document| {
                document["id"] = id.into();
                document["host"]["hostname"] = host.into();
                document["started_at"] = format!("2026-11-2{started}T00:00:00Z").into();
                document["phases"][0]["engine"] = if id == "c" { "native".into() } else { "reference".into() };
            });
            store.finish(&record).unwrap();
        }
        let ids = |text: &str| -> Vec<String> {
            store.query(&text.parse().unwrap()).unwrap().into_iter().map(|row| row.id).collect()
        };
        assert_eq!(ids("host=h1"), ["c", "a"]);
        assert_eq!(ids("host=h1,limit=1"), ["c"]);
        assert_eq!(ids("since=2026-11-22"), ["c", "b"]);
        assert_eq!(ids("phase=p1,engine=reference"), ["b", "a"]);
        assert_eq!(ids("engine=native"), ["c"]);
        assert_eq!(ids("phase=c1"), [""; 0]);
        assert_eq!(ids("cpu=epyc"), ["c", "b", "a"]);
        assert_eq!(ids("cpu=xeon"), [""; 0]);
        assert_eq!(ids("host=h1' OR '1'='1"), [""; 0]);
        assert_eq!(ids("shape=8MiB,host=h2"), ["b"]);
    }

    #[test]
    fn every_condition_walks_its_index() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for (text, index) in [
            ("sweep=sweep-123,point=point-3", "facts_by_sweep (sweep=? AND point=?)"),
            ("host=host-7", "facts_by_host (host=?)"),
            ("shape=8MiB", "facts_by_shape (shape=?)"),
            ("cpu=7F32", "facts_by_cpu (cpu=?)"),
            ("since=2026-11-24,phase=p1", "facts_by_start (started_us>?)"),
        ] {
            let (sql, values) = statement(&text.parse().unwrap());
            let plan: Vec<String> = store
                .sql(|db| {
                    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    explain.query_map(rusqlite::params_from_iter(&values), |row| row.get(3))?.collect()
                })
                .unwrap();
            assert!(plan.iter().any(|line| line.contains(index)), "{text}: {plan:#?}");
        }
    }

    #[test]
    fn the_facts_of_a_new_record_are_looked_up_by_its_id() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for view in ["facts_of_records", "phases_of_records"] {
            let explain = format!("EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE id = 'a'");
            let plan: Vec<String> =
                store.sql(|db| db.prepare(&explain)?.query_map([], |row| row.get(3))?.collect()).unwrap();
            let search = |line: &String| line.contains("SEARCH records USING") && line.contains("(id=?)");
            assert!(plan.iter().any(search), "{view}: {plan:#?}");
        }
    }
}
