//! The phase tables: times with their spread, every sample, and what else a phase took.

use super::Figures;
use crate::report::document::{Block, Cell, Table, Tone};
use crate::report::group::Group;
use crate::report::table::Align::{Left, Right};
use crate::report::units;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let tables = [times(&figures.groups), samples(&figures.groups), resources(&figures.groups)];
    tables.into_iter().filter_map(Table::block).collect()
}

fn times(groups: &[Group]) -> Table {
    let mut columns = vec![("what", Left), ("n", Right), ("median", Right), ("min", Right), ("max", Right)];
    columns.extend([("MAD", Right), ("CV", Right), ("95 % interval", Right), ("GiB/h", Right), ("verified", Left)]);
    let mut table = Table::new("Wall time of each phase and its spread", columns);
    for group in groups {
        let time = &group.time;
        let maybe = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(String::new, text);
        let figures = [
            time.samples.len().to_string(),
            group.time_text(),
            units::duration(time.min),
            units::duration(time.max),
            maybe(time.mad, units::duration),
            maybe(time.cv, units::percent),
            time.interval_text(units::duration),
            group.median_rate().map_or_else(String::new, units::rate),
        ];
        let cells = [group.name.clone()].into_iter().chain(figures).map(Cell::Plain);
        table.row(cells.chain([verified(group)]));
    }
    table
}

/// The worst verdict of all samples.
fn verified(group: &Group) -> Cell {
    let verdict = |ok| group.samples.iter().map(|sample| &sample.phase.verified).find(|verified| verified.ok == ok);
    match (verdict(Some(false)), verdict(None), verdict(Some(true))) {
        (Some(failed), _, _) => Cell::Tag(Tone::Error, format!("FAILED ({})", failed.against)),
        (None, Some(_), _) => "not checked".into(),
        (None, None, Some(good)) => format!("ok ({})", good.against).into(),
        (None, None, None) => "".into(),
    }
}

/// Every sample of what was measured more than once.
fn samples(groups: &[Group]) -> Table {
    let columns = [("what", Left), ("samples in the order in which they were taken", Left)];
    let mut table = Table::new("All samples", columns);
    for group in groups.iter().filter(|group| group.samples.len() > 1) {
        let marked = |(seconds, outlier): (&f64, bool)| {
            format!("{}{}", units::duration(*seconds), if outlier { " (outlier)" } else { "" })
        };
        let all: Vec<String> = group.time.samples.iter().zip(group.time.outliers()).map(marked).collect();
        table.row([group.name.clone().into(), all.join(", ").into()]);
    }
    table
}

fn resources(groups: &[Group]) -> Table {
    let mut columns = vec![("what", Left), ("cores", Left), ("threads", Right), ("pages", Left), ("CPU", Right)];
    columns.extend([("peak memory", Right), ("read", Right), ("written", Right), ("kernels", Left)]);
    let mut table = Table::new("What each phase ran on and took", columns);
    for group in groups {
        let phase = group.typical().phase;
        let bytes = |value: Option<u64>| value.map_or_else(String::new, units::bytes);
        let kernels = phase.kernel.iter().map(|(primitive, kernel)| format!("{primitive}={kernel}"));
        let peak = group.samples.iter().filter_map(|sample| sample.phase.max_rss_bytes).max();
        let cells = [
            group.name.clone(),
            units::ranges(&phase.cores),
            phase.threads.map_or_else(String::new, |threads| threads.to_string()),
            phase.pages.clone().unwrap_or_default(),
            phase.cpu_s.map_or_else(String::new, |cpu_s| units::percent(cpu_s / phase.wall_s)),
            bytes(peak),
            bytes(phase.read_bytes),
            bytes(phase.written_bytes),
            phase.variant.clone().into_iter().chain(kernels).collect::<Vec<_>>().join(", "),
        ];
        table.row(cells.map(Cell::Plain));
    }
    table
}
