//! Machines beside each other: the best rate of each in every phase.

use super::{Figures, best, by_key};
use crate::report::chart::Heading;
use crate::report::chart::bars::{Bar, Bars};
use crate::report::document::{Block, Chart, Table};
use crate::report::group::Group;
use crate::report::machines::letter;
use crate::report::statistics::Statistics;
use crate::report::table::Align::{Left, Right};
use crate::report::units;
use crate::trial::record::Origin;

/// Bars of one chart.
const BARS: usize = 20;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    if figures.machines.len() < 2 {
        return Vec::new();
    }
    let counted = figures.groups.iter().filter(|group| !group.is_twin());
    let charts: Vec<Chart> = by_key(counted, |g| (g.phase(), g.engine(), g.shape()))
        .into_iter()
        .flat_map(|(_, groups)| charts(figures, &groups))
        .collect();
    (!charts.is_empty()).then_some(Block::Charts(charts)).into_iter().collect()
}

/// The best group of each machine, if there are several machines, the best machine first.
fn charts(figures: &Figures, groups: &[&Group]) -> Vec<Chart> {
    let sets = by_key(groups.iter().copied(), |group| group.machine);
    let mut bests: Vec<&Group> = sets.into_iter().filter_map(|(_, set)| best(&set)).collect();
    bests.sort_by(|a, b| b.median_rate().unwrap_or(0.0).total_cmp(&a.median_rate().unwrap_or(0.0)));
    if bests.len() < 2 {
        return Vec::new();
    }
    bests.chunks(BARS).map(|bests| chart(figures, bests)).collect()
}

fn name(figures: &Figures, group: &Group) -> String {
    format!("{}: {}", letter(group.machine), figures.machines[group.machine].name)
}

fn chart(figures: &Figures, groups: &[&Group]) -> Chart {
    let first = groups[0];
    let title = format!("{} {}: GiB/h of each machine", first.phase(), first.engine());
    let bar = |group: &&Group| Bar {
        name: name(figures, group),
        figure: format!("{}, {}", units::rate(group.median_rate().unwrap_or(f64::NAN)), group.layout()),
        value: group.median_rate().unwrap_or(0.0),
        interval: group.rate.as_ref().and_then(Statistics::ends),
        hollow: group.origin() != Origin::Measured,
    };
    let description = format!("The best is {} with {} GiB/h.", name(figures, first), first.rate_text());
    let heading = Heading {
        title: title.clone(),
        subtitle: format!("{}, best configuration of each", first.shape()),
        description,
    };
    let chart = Bars { heading, x_title: "GiB/h".to_string(), mark: None, bars: groups.iter().map(bar).collect() };
    Chart { svg: chart.draw(), data: table(figures, &title, groups) }
}

fn table(figures: &Figures, title: &str, groups: &[&Group]) -> Table {
    let mut columns = vec![("machine", Left), ("configuration", Left), ("GiB/h", Right), ("95 % interval", Right)];
    columns.extend([("of the best", Right), ("time", Right)]);
    let mut table = Table::new(title, columns);
    for group in groups {
        let rate = |group: &Group| group.median_rate().unwrap_or(f64::NAN);
        let cells = [
            name(figures, group),
            group.layout(),
            group.rate_text(),
            group.rate_interval_text(),
            units::percent(rate(group) / rate(groups[0])),
            group.time_text(),
        ];
        table.row(cells.map(Into::into));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::super::tests::{rows, section};
    use crate::store::sample;

    #[test]
    fn several_machines_are_ranked_by_their_best_rate() {
        let on = |id: &str, model: &str, wall: f64| {
            sample::changed(|r| {
                r["id"] = id.into();
                r["host"]["cpu"]["model"] = model.into();
                r["phases"].as_array_mut().unwrap().truncate(1);
                r["phases"][0]["wall_s"] = wall.into();
            })
        };
        let records = [on("a", "Slow", 0.9), on("b", "Quick", 0.5), on("c", "Quick", 0.4)];
        let page = document("t", &records);
        let rows = rows(&page, "machines");
        assert_eq!(rows[0][..5], ["B: Quick, bench-1", "2 cores", "70.3", "", "100 %"]);
        assert_eq!(rows[1][..5], ["A: Slow, bench-1", "2 cores", "31.2", "", "44.4 %"]);
        assert!(section(&document("t", &records[1..]), "machines").is_none(), "one machine is no comparison");
    }
}
