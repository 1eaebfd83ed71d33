//! What the reference engine made of a sector, kept for later runs to be verified against.

use anyhow::Context;
use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::phase::Phase;
use crate::trial::record::Output;

impl Store {
    /// The reference's output of a phase of the sector with this key, if a run here has made it.
    pub fn reference_output(&self, sector: &str, phase: Phase) -> anyhow::Result<Option<Output>> {
        let query = "SELECT output FROM reference_outputs WHERE sector = ?1 AND phase = ?2";
        let text: Option<String> =
            self.sql(|db| db.query_row(query, params![sector, phase.name()], |row| row.get(0)).optional())?;
        text.map(|text| serde_json::from_str(&text).context("a reference output in the store is damaged")).transpose()
    }

    /// Keeps the reference's output of a phase; the first one stays.
    pub fn keep_reference_output(&self, sector: &str, phase: Phase, output: &Output) -> anyhow::Result<()> {
        let row = params![sector, phase.name(), serde_json::to_string(output)?];
        self.sql(|db| db.execute("INSERT OR IGNORE INTO reference_outputs VALUES (?1, ?2, ?3)", row)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_output_of_a_sector_stays() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let output = |comm_r: &str| Output { comm_r: Some(comm_r.into()), ..Output::default() };
        assert_eq!(store.reference_output("a", Phase::P2).unwrap(), None);
        store.keep_reference_output("a", Phase::P2, &output("1")).unwrap();
        store.keep_reference_output("a", Phase::P2, &output("2")).unwrap();
        store.keep_reference_output("a", Phase::P1, &output("3")).unwrap();
        assert_eq!(store.reference_output("a", Phase::P2).unwrap(), Some(output("1")));
        assert_eq!(store.reference_output("b", Phase::P2).unwrap(), None);
    }
}
