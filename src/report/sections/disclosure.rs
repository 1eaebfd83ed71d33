//! What the figures were measured on and with, and in what the machines and the runs' settings differ.

use std::collections::BTreeMap;

use super::{Figures, count};
use crate::report::document::{Block, Cell, Table};
use crate::report::machines::{compare, letter};
use crate::report::table::Align::{Left, Right};
use crate::trial::record::Record;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let several = figures.machines.len() > 1;
    let words = "A machine is one disclosure: hardware, system and binary. What differs between them is marked, with the letters of the machines.";
    let mut blocks: Vec<Block> = several.then(|| Block::Text(words.to_string())).into_iter().collect();
    let tables = [several.then(|| letters(figures)), Some(disclosure(figures)), Some(settings(figures.records))];
    blocks.extend(tables.into_iter().flatten().filter_map(Table::block));
    blocks
}

fn letters(figures: &Figures) -> Table {
    let mut table = Table::new("Machines", [("", Left), ("machine", Left), ("runs", Right)]);
    for (n, machine) in figures.machines.iter().enumerate() {
        table.row([letter(n), machine.name.clone(), machine.records.to_string()].map(Cell::Plain));
    }
    table
}

fn disclosure(figures: &Figures) -> Table {
    let mut table = Table::new("Hardware, system and binary", [("", Left), ("value", Left)]);
    for (name, values) in compare(&figures.machines) {
        table.row([name.into(), cell(values)]);
    }
    table
}

/// One value, or those that differ; what is not known says so.
fn cell(values: Vec<(String, String)>) -> Cell {
    let known = |value: String| if value.is_empty() { "not known".to_string() } else { value };
    match values.len() {
        1 => Cell::Plain(values.into_iter().map(|(_, value)| value).collect()),
        _ => Cell::Differing(values.into_iter().map(|(whose, value)| (whose, known(value))).collect()),
    }
}

/// Settings of the linked crates, and the seed, over all runs.
fn settings(records: &[Record]) -> Table {
    let mut values: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for record in records {
        let seed = record.seed.map_or_else(|| "none: a benchy directory".to_string(), |seed| seed.to_string());
        let settings = record.spec.settings.iter().map(|(name, value)| (name.clone(), value.clone()));
        for (name, value) in settings.chain([("seed".to_string(), seed)]) {
            let known = values.entry(name).or_default();
            match known.iter_mut().find(|(found, _)| *found == value) {
                Some((_, runs)) => *runs += 1,
                None => known.push((value, 1)),
            }
        }
    }
    let mut table = Table::new("Settings in force", [("setting", Left), ("value", Left)]);
    for (name, values) in values {
        let values = values.into_iter().map(|(value, runs)| (count(runs, "run"), value)).collect();
        table.row([Cell::Code(name), cell(values)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::super::tests::rows;
    use crate::store::sample;

    #[test]
    fn what_differs_is_told_with_whose_it_is() {
        let run = |id: &str, kernel: Option<&str>, threads: &str| {
            sample::changed(|r| {
                r["id"] = id.into();
                r["host"]["kernel"]["release"] = kernel.into();
                r["spec"]["settings"]["RAYON_NUM_THREADS"] = threads.into();
            })
        };
        let records = [run("a", Some("6.1"), "2"), run("b", None, "2"), run("c", None, "4")];
        let rows = rows(&document("t", &records), "disclosure");
        let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap()[1].as_str();
        assert_eq!(row("kernel"), "A=6.1;B=not known");
        assert_eq!(row("CPU"), "AMD EPYC 7F32 8-Core Processor");
        assert_eq!(row("RAYON_NUM_THREADS"), "2 runs=2;1 run=4");
    }
}
