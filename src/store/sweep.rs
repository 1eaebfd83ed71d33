//! The runs of a sweep.

use rusqlite::params;

use super::Store;
use crate::error::Stop;

/// How many candidates an ambiguous start of an id lists.
const CANDIDATES: usize = 10;

impl Store {
    /// Ids of the recorded runs of the sweep with this id, this start of an id, or the `last` one; the oldest run first (exit code 2 if
    /// there is none, or several).
    pub fn of_sweep(&self, sweep: &str) -> anyhow::Result<Vec<String>> {
        let query = "SELECT id, sweep FROM record_facts
                     WHERE sweep IS NOT NULL AND (?1 = 'last' OR substr(sweep, 1, length(?1)) = ?1)
                     ORDER BY started_us, rowid";
        let rows: Vec<(String, String)> = self
            .sql(|db| db.prepare(query)?.query_map(params![sweep], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())?;
        let wanted = wanted(sweep, &rows)?;
        Ok(rows.into_iter().filter(|(_, of)| *of == wanted).map(|(id, _)| id).collect())
    }
}

/// The sweep that a word names, of those that runs are of.
fn wanted(word: &str, rows: &[(String, String)]) -> anyhow::Result<String> {
    let mut sweeps: Vec<&str> = Vec::new();
    for (_, sweep) in rows {
        if !sweeps.contains(&sweep.as_str()) {
            sweeps.push(sweep);
        }
    }
    match (sweeps.as_slice(), rows.last()) {
        (_, None) => Err(Stop::Usage.error(format!("there is no sweep '{}' with a recorded run", word.escape_debug()))),
        (_, Some((_, last))) if word == "last" => Ok(last.clone()),
        (all, _) if all.contains(&word) => Ok(word.to_string()),
        ([one], _) => Ok(one.to_string()),
        (all, _) => {
            let some = all.iter().take(CANDIDATES).copied().collect::<Vec<_>>().join(", ");
            Err(Stop::Usage.error(format!("'{}' is the start of several sweeps: {some}", word.escape_debug())))
        }
    }
}
