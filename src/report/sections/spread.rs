//! All samples of what was measured more than once, as differences from their median.

use super::Figures;
use crate::report::chart::Heading;
use crate::report::chart::strip::{Row, Sample, Strip};
use crate::report::document::{Block, Chart, Table};
use crate::report::group::Group;
use crate::report::table::Align::{Left, Right};
use crate::report::units;

/// Rows of one chart.
const ROWS: usize = 16;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let repeated: Vec<&Group> =
        figures.groups.iter().filter(|group| group.samples.len() > 1 && group.time.median > 0.0).collect();
    let charts: Vec<Chart> = repeated.chunks(ROWS).map(chart).collect();
    (!charts.is_empty()).then_some(Block::Charts(charts)).into_iter().collect()
}

fn chart(groups: &[&Group]) -> Chart {
    let title = "Wall time: each sample against the median";
    let widest = groups.iter().max_by(|a, b| range(a).total_cmp(&range(b)));
    let description = widest.map_or_else(String::new, |group| {
        format!(
            "The widest spread is that of {}: {} of its median from the least to the most.",
            group.name,
            units::percent(range(group))
        )
    });
    let heading = Heading { title: title.to_string(), subtitle: String::new(), description };
    let x_title = "difference from the median, %".to_string();
    let svg = Strip { heading, x_title, rows: groups.iter().map(|group| row(group)).collect() }.draw();
    Chart { svg, data: table(title, groups) }
}

/// From the least to the most, as a share of the median.
fn range(group: &Group) -> f64 {
    (group.time.max - group.time.min) / group.time.median
}

fn row(group: &Group) -> Row {
    let time = &group.time;
    let percent = |seconds: f64| (seconds / time.median - 1.0) * 100.0;
    let sample = |((seconds, outlier), sample): ((&f64, bool), &crate::report::group::Sample)| Sample {
        value: percent(*seconds),
        outlier,
        text: format!(
            "{}: run {}, repeat {}, instance {}",
            units::duration(*seconds),
            sample.record.id,
            sample.phase.repeat,
            sample.phase.instance
        ),
    };
    Row {
        name: group.name.clone(),
        figure: format!("{}, n = {}", units::duration(time.median), time.samples.len()),
        samples: time.samples.iter().zip(time.outliers()).zip(&group.samples).map(sample).collect(),
        median: 0.0,
        interval: time.ends().map(|(low, high)| (percent(low), percent(high))),
    }
}

fn table(title: &str, groups: &[&Group]) -> Table {
    let columns =
        [("what", Left), ("n", Right), ("median", Right), ("min", Right), ("max", Right), ("outliers", Right)];
    let mut table = Table::new(title, columns);
    for group in groups {
        let (time, percent) = (&group.time, |seconds: f64| units::percent(seconds / group.time.median - 1.0));
        let outliers = time.outliers().into_iter().filter(|outlier| *outlier).count();
        let figures = [group.time_text(), percent(time.min), percent(time.max), outliers.to_string()];
        let cells = [group.name.clone(), time.samples.len().to_string()].into_iter().chain(figures);
        table.row(cells.map(Into::into));
    }
    table
}
