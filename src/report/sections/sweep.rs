//! Sweeps: a heat-map of each phase and engine, the best configurations, and what the A/A pair says of the noise.

use std::collections::BTreeSet;

use super::{Figures, best, by_key, count};
use crate::measure::stats::verdict::{Verdict, judge};
use crate::report::chart::Heading;
use crate::report::chart::heat_map::{Cell as Spot, HeatMap};
use crate::report::document::{Block, Cell, Chart, Table};
use crate::report::group::Group;
use crate::report::machines::letter;
use crate::report::table::Align::{Left, Right};
use crate::report::table::origin_mark;
use crate::report::units;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let points: Vec<&Group> = figures.groups.iter().filter(|group| group.sweep().is_some()).collect();
    let measured: Vec<&Group> = points.iter().copied().filter(|group| !group.is_twin()).collect();
    let maps: Vec<Chart> = by_key(measured.iter().copied(), |g| {
        (g.sweep(), g.machine, g.shape(), g.phase(), g.engine(), g.origin().name())
    })
    .into_iter()
    .filter_map(|(_, groups)| map(figures, &groups))
    .collect();
    let mut blocks: Vec<Block> = (!maps.is_empty()).then_some(Block::Charts(maps)).into_iter().collect();
    blocks.extend([winners(figures, &points), twins(&points)].into_iter().filter_map(Table::block));
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
    let origin = origin_mark(first.origin());
    let title = format!("{} {}{origin}: GiB/h by cores and instances", first.phase(), first.engine());
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
        let floor = noise_floor(&groups);
        let groups: Vec<&Group> = groups.into_iter().filter(|group| !group.is_twin()).collect();
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
            second.map_or_else(String::new, |second| told_apart(first, second, floor)),
        ];
        table.row(cells.map(Cell::Plain));
    }
    table
}

/// Whether chance and the noise of equal points leave anything of the lead.
fn told_apart(first: &Group, second: &Group, noise_floor: Option<f64>) -> String {
    // Hours per GiB: the verdict is on times.
    let times = |group: &Group| -> Vec<f64> {
        group.rate.iter().flat_map(|rate| &rate.samples).map(|rate| 1.0 / rate).collect()
    };
    let comparison = judge(&times(first), &times(second), noise_floor);
    let p = if comparison.p < 0.001 { "p < 0.001".to_string() } else { format!("p = {:.3}", comparison.p) };
    match comparison.verdict {
        Verdict::Slower => format!("yes ({p})"),
        _ => format!("no ({p})"),
    }
}

/// By how much the rates of the A/A pairs among these points differ at most (0.01 is 1 %).
fn noise_floor(points: &[&Group]) -> Option<f64> {
    let apart = points.iter().filter(|group| group.is_twin()).filter_map(|twin| {
        let (a, b) = (original(points, twin)?.median_rate()?, twin.median_rate()?);
        Some(a.max(b) / a.min(b) - 1.0)
    });
    apart.reduce(f64::max)
}

/// The point that a twin repeats.
fn original<'p, 'r>(points: &[&'p Group<'r>], twin: &Group) -> Option<&'p Group<'r>> {
    let key = |g: &Group| {
        (g.sweep().map(str::to_string), g.machine, g.shape(), g.phase(), g.engine(), g.cores(), g.instances)
    };
    points.iter().copied().find(|group| !group.is_twin() && key(group) == key(twin))
}

/// How far the two arms of the A/A pair are apart: the same settings, measured as if they were different ones.
fn twins(points: &[&Group]) -> Table {
    let columns = [("A/A pair", Left), ("first", Right), ("second", Right), ("apart", Right), ("samples", Left)];
    let mut table = Table::new("The same settings measured twice: what differs here is noise", columns);
    for twin in points.iter().filter(|group| group.is_twin()) {
        let Some(other) = original(points, twin) else { continue };
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

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::super::tests::{rows, section};
    use super::Block;
    use crate::store::sample;
    use crate::trial::record::Record;
    use serde_json::json;

    /// A run of p2 on one instance with these cores, as a point of a sweep.
    fn run(id: &str, cores: usize, wall: f64, twin: bool) -> Record {
        sample::changed(|r| {
            r["id"] = id.into();
            r["sweep"] = json!({"sweep": "s", "point": format!("p2 1x{cores}"), "round": 0, "twin": twin});
            r["host"]["allowed_cores"] = json!([0, 1, 2]);
            let mut phase = r["phases"][1].clone();
            phase["cores"] = (0..cores).collect();
            phase["threads"] = cores.into();
            phase["wall_s"] = wall.into();
            r["phases"] = json!([phase]);
            r["summary"] = json!([{"phase": "p2", "engine": "reference", "n": 1, "median": wall, "min": wall, "max": wall, "mad": null,
                "cv": null, "ci": {"low": wall * 0.9, "high": wall * 1.1}}]);
        })
    }

    /// Two instances of so many cores, 9 GiB/h together.
    fn pair(id: &str, cores: usize) -> Record {
        let mut record = run(id, cores, 20.0, false);
        record.sweep.as_mut().unwrap().point = format!("p2 2x{cores}");
        record.phases[0].concurrent = 2;
        record.aggregates = vec![
            serde_json::from_value(
                json!({"phase": "p2", "engine": "reference", "repeat": 0, "instances": 2, "completed": 2,
                "window_s": 20.0, "overlap": 1.0, "sectors_per_h": 1152.0, "gib_per_h": 9.0, "slow_down": null}),
            )
            .unwrap(),
        ];
        record
    }

    #[test]
    fn the_grid_names_what_is_missing_and_the_best_is_told_from_the_next() {
        let records = [run("a", 1, 10.0, false), run("b", 2, 5.0, false), run("c", 3, 4.0, false), pair("d", 1)];
        let page = document("t", &records);
        // 28.125 GiB in an hour at one second; three cores are allowed, so two instances of two do not fit.
        let grid = [["1", "2.81", "9.00"], ["2", "5.62", "does not fit"], ["3", "7.03", "does not fit"]];
        let found = rows(&page, "sweep");
        assert_eq!(found[..3], grid.map(|row| row.map(str::to_string).to_vec()));
        let best = ["p2", "p2 reference, 2 x 1 core", "9.00", "", "p2 reference, 3 cores", "7.03", "no (p = 1.000)"];
        assert_eq!(found[3], best);
        let Block::Charts(charts) = &section(&page, "sweep").unwrap().blocks[0] else {
            panic!("the heat-map comes first")
        };
        assert!(charts[0].svg.clone().into_string().contains("The best is 2 x 1 core with 9.00 GiB/h."));
    }

    #[test]
    fn a_lead_beyond_chance_and_the_twins_noise_tells_the_best_from_the_next() {
        let told = |lead: f64, twin: f64| {
            let samples = |id: &str, cores: usize, wall: f64, is_twin: bool| -> Vec<Record> {
                let sample = |i: u32| run(&format!("{id}{i}"), cores, wall * (1.0 + 0.001 * f64::from(i)), is_twin);
                (0..6).map(sample).collect()
            };
            let points =
                [samples("a", 1, 10.0, false), samples("b", 2, 10.0 / lead, false), samples("t", 1, twin, true)];
            let rows = rows(&document("t", &points.concat()), "sweep");
            rows.iter().find(|row| row.len() == 7).unwrap()[6].clone()
        };
        assert!(told(1.5, 10.1).starts_with("yes (p = 0.00"), "{}", told(1.5, 10.1));
        assert!(told(1.05, 12.0).starts_with("no (p = 0.00"), "equal points differ by more");
        assert!(told(1.0001, 10.0).starts_with("no (p = "));
    }

    #[test]
    fn the_twin_is_compared_with_its_point_and_with_nothing_else() {
        let records = [run("a", 1, 10.0, false), run("b", 1, 10.2, true), run("c", 2, 6.0, false)];
        let found = rows(&document("t", &records), "sweep");
        assert_eq!(found.last().unwrap()[..4], ["p2 reference, 1 core", "10.0 s", "10.2 s", "2.00 %"]);
        assert_eq!(found[0], ["1", "2.81"], "the twin is in no cell");
    }
}
