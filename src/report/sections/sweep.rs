//! Sweeps: a heat-map of each phase and engine, the best configurations, and what the A/A pair says of the noise.

use std::collections::BTreeSet;

use super::{Figures, best, by_key, count};
use crate::report::chart::Heading;
use crate::report::chart::heat_map::{Cell as Spot, HeatMap};
use crate::report::document::{Block, Cell, Chart, Table};
use crate::report::group::Group;
use crate::report::machines::letter;
use crate::report::table::Align::{Left, Right};
use crate::report::units;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let points: Vec<&Group> = figures.groups.iter().filter(|group| group.sweep().is_some()).collect();
    let measured: Vec<&Group> = points.iter().copied().filter(|group| !group.is_twin()).collect();
    let maps: Vec<Chart> =
        by_key(measured.iter().copied(), |g| (g.sweep(), g.machine, g.shape(), g.phase(), g.engine()))
            .into_iter()
            .filter_map(|(_, groups)| map(figures, &groups))
            .collect();
    let mut blocks: Vec<Block> = (!maps.is_empty()).then_some(Block::Charts(maps)).into_iter().collect();
    blocks.extend([winners(figures, &measured), twins(&points)].into_iter().filter_map(Table::block));
    blocks
}

/// The heat-map of points of one phase and engine, if they differ in cores or instances.
fn map(figures: &Figures, points: &[&Group]) -> Option<Chart> {
    let rows: BTreeSet<usize> = points.iter().map(|group| group.cores()).collect();
    let columns: BTreeSet<u32> = points.iter().map(|group| group.instances).collect();
    let first = points.first().filter(|_| rows.len() > 1 || columns.len() > 1)?;
    let host = &first.samples[0].record.host;
    let room = host.allowed_cores.as_ref().map(Vec::len).or(host.topology.threads.map(|threads| threads as usize));
    let spot = |cores: usize, instances: u32| {
        let here: Vec<&Group> =
            points.iter().copied().filter(|g| (g.cores(), g.instances) == (cores, instances)).collect();
        match best(&here) {
            Some(group) => Spot::Rate { rate: group.median_rate().unwrap_or(f64::NAN), note: note(group, here.len()) },
            None if room.is_some_and(|room| cores.saturating_mul(instances as usize) > room) => Spot::DoesNotFit,
            None => Spot::NotMeasured,
        }
    };
    let grid: Vec<(String, Vec<Spot>)> =
        rows.iter().map(|&c| (c.to_string(), columns.iter().map(|&i| spot(c, i)).collect())).collect();
    let title = format!("{} {}: GiB/h by cores and instances", first.phase(), first.engine());
    let of = format!("{}, sweep {}", first.shape(), first.sweep().unwrap_or_default());
    let subtitle = if figures.machines.len() > 1 { format!("{of}, machine {}", letter(first.machine)) } else { of };
    let best_text =
        best(points).map_or_else(String::new, |g| format!("The best is {} with {} GiB/h.", g.layout(), g.rate_text()));
    let columns: Vec<String> = columns.iter().map(u32::to_string).collect();
    let data = grid_table(&title, &columns, &grid);
    let description = format!("Rates of all instances together. {best_text}");
    let heading = Heading { title, subtitle, description };
    let (x_title, y_title) = ("instances side by side".to_string(), "cores per instance".to_string());
    let svg = HeatMap { heading, x_title, y_title, unit: "GiB/h".to_string(), columns, rows: grid }.draw();
    Some(Chart { svg, data })
}

/// What else there is to tell of a cell.
fn note(group: &Group, points: usize) -> String {
    let interval = group.rate_interval_text();
    let parts = [
        if points > 1 { format!("best of {points} points: {}", group.name) } else { String::new() },
        if interval.is_empty() { interval } else { format!("95 % interval {interval}") },
        count(group.samples.len(), "sample"),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn grid_table(title: &str, columns: &[String], grid: &[(String, Vec<Spot>)]) -> Table {
    let names = columns.iter().map(|instances| (format!("x {instances}"), Right));
    let mut table = Table::new(title, [("cores per instance".to_string(), Left)].into_iter().chain(names));
    for (cores, spots) in grid {
        let figures = spots.iter().map(|spot| match spot {
            Spot::Rate { rate, .. } => units::rate(*rate),
            Spot::NotMeasured => "not measured".to_string(),
            Spot::DoesNotFit => "does not fit".to_string(),
        });
        table.row([cores.clone()].into_iter().chain(figures).map(Cell::Plain));
    }
    table
}

/// The best point of each phase, and whether the one after it can be told from it.
fn winners(figures: &Figures, points: &[&Group]) -> Table {
    let mut columns = vec![("phase", Left), ("best configuration", Left), ("GiB/h", Right), ("95 % interval", Right)];
    columns.extend([("runner-up", Left), ("GiB/h", Right), ("told apart", Left)]);
    let mut table = Table::new("The best configuration of each phase, by output per hour", columns);
    for ((_, machine, _, phase), groups) in
        by_key(points.iter().copied(), |g| (g.sweep(), g.machine, g.shape(), g.phase()))
    {
        let Some(first) = best(&groups) else { continue };
        let others: Vec<&Group> = groups.into_iter().filter(|group| !std::ptr::eq(*group, first)).collect();
        let second = best(&others);
        let name =
            if figures.machines.len() > 1 { format!("{phase} on {}", letter(machine)) } else { phase.to_string() };
        let cells = [
            name,
            first.name.clone(),
            first.rate_text(),
            first.rate_interval_text(),
            second.map_or_else(|| "none".to_string(), |group| group.name.clone()),
            second.map_or_else(String::new, Group::rate_text),
            second.map_or_else(String::new, |second| told_apart(first, second)),
        ];
        table.row(cells.map(Cell::Plain));
    }
    table
}

/// Whether the intervals of two rates lie apart.
fn told_apart(first: &Group, second: &Group) -> String {
    let ends = |group: &Group| group.rate.as_ref().and_then(|rate| rate.ends());
    match (ends(first), ends(second)) {
        (Some((low, _)), Some((_, high))) if low > high => "yes: the intervals lie apart",
        (Some(_), Some(_)) => "no: the intervals overlap",
        _ => "not known: no intervals",
    }
    .to_string()
}

/// How far the two arms of the A/A pair are apart: the same settings, measured as if they were different ones.
fn twins(points: &[&Group]) -> Table {
    let columns = [("A/A pair", Left), ("first", Right), ("second", Right), ("apart", Right), ("samples", Left)];
    let mut table = Table::new("The same settings measured twice: what differs here is noise", columns);
    let key = |g: &Group| {
        (g.sweep().map(str::to_string), g.machine, g.shape(), g.phase(), g.engine(), g.cores(), g.instances)
    };
    for twin in points.iter().filter(|group| group.is_twin()) {
        let Some(other) = points.iter().find(|group| !group.is_twin() && key(group) == key(twin)) else { continue };
        let (first, second) = (other.time.median, twin.time.median);
        let cells = [
            format!("{} {}, {}", other.phase(), other.engine(), other.layout()),
            units::duration(first),
            units::duration(second),
            units::percent((second - first) / first),
            format!("{} and {}", other.samples.len(), count(twin.samples.len(), "sample")),
        ];
        table.row(cells.map(Cell::Plain));
    }
    table
}
