//! The runs that the report is made of.

use super::Figures;
use crate::report::document::{Block, Cell, Table, Tone};
use crate::report::machines::letter;
use crate::report::table::Align::Left;
use crate::trial::record::RunState;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let several = figures.machines.len() > 1;
    let swept = figures.records.iter().any(|record| record.sweep.is_some());
    let mut columns = vec![("run", Left), ("started (UTC)", Left), ("state", Left), ("reportable", Left)];
    columns.extend(several.then_some(("machine", Left)));
    columns.extend(swept.then_some(("point", Left)));
    columns.push(("command", Left));
    let mut table = Table::new("", columns);
    for (record, machine) in figures.records.iter().zip(&figures.machine_of) {
        let state = record.state.name().to_string();
        let state = if record.state == RunState::Complete { state.into() } else { Cell::Tag(Tone::Error, state) };
        let reportable = if record.validity.reportable { "yes" } else { "no" };
        let started = record.started_at.replacen('T', " ", 1);
        let started = started.split(['.', 'Z']).next().unwrap_or_default().to_string();
        let mut row = vec![Cell::Code(record.id.clone()), started.into(), state, reportable.into()];
        row.extend(several.then(|| letter(*machine).into()));
        let point = record.sweep.as_ref().map_or_else(String::new, |run| {
            format!("{}{}, round {}", run.point, if run.twin { " (A/A twin)" } else { "" }, run.round)
        });
        row.extend(swept.then_some(point.into()));
        row.push(Cell::Code(record.spec.given.join(" ")));
        table.row(row);
    }
    table.block().into_iter().collect()
}
