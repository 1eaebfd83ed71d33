//! A comparison for the terminal.

use std::fmt::Write;

use super::{KernelReport, KernelRow, Pair, Report, Row};
use crate::report::table::{Align, one_line, table};
use crate::report::units;

/// Columns of the chart between its ends; odd, so that 1 has a column of its own.
const CHART: usize = 61;

/// Characters of a value of the disclosure.
const VALUE: usize = 60;

/// The whole comparison.
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "A  {}\nB  {}\n",
        side(&report.a.label, report.a.runs.len()),
        side(&report.b.label, report.b.runs.len())
    );
    text += &phases(&report.phases);
    text += &chart(report.phases.iter().map(|row| (row.name(), &row.wall_s)));
    text += &spans(&report.phases);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "noise floor: {}", report.noise);
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    text += &differences(report);
    text
}

/// The comparison of two sides of criterion's results.
pub fn kernel_text(report: &KernelReport) -> String {
    let columns = [&[("kernel", Align::Left)], &PAIR_COLUMNS[..]].concat();
    let rows = &report.kernels;
    let cells = |row: &KernelRow| [vec![row.bench.clone()], pair_cells(&row.seconds, units::fine_duration)].concat();
    let mut text = format!("A  {}\nB  {}\n", one_line(&report.a), one_line(&report.b));
    text += &table(&columns, rows.iter().map(cells));
    text += &chart(rows.iter().map(|row| (row.bench.clone(), &row.seconds)));
    for warning in &report.warnings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "warning: {}", one_line(warning));
    }
    text
}

fn side(label: &str, runs: usize) -> String {
    let label = one_line(label);
    if runs == 1 { label } else { format!("{label} ({runs} runs)") }
}

const PAIR_COLUMNS: [(&str, Align); 6] = [
    ("A", Align::Right),
    ("B", Align::Right),
    ("B / A", Align::Right),
    ("95 % interval", Align::Right),
    ("n", Align::Right),
    ("B is", Align::Left),
];

fn pair_cells(pair: &Pair, figure: fn(f64) -> String) -> Vec<String> {
    let interval = if pair.high.is_finite() { format!("{:.3} to {:.3}", pair.low, pair.high) } else { "-".to_string() };
    vec![
        figure(pair.a),
        figure(pair.b),
        if pair.ratio.is_finite() { format!("{:.3}", pair.ratio) } else { "-".to_string() },
        interval,
        format!("{}, {}", pair.n_a, pair.n_b),
        pair.verdict.to_string(),
    ]
}

fn phases(rows: &[Row]) -> String {
    let columns = [&[("phase", Align::Left)], &PAIR_COLUMNS[..]].concat();
    let cells = rows.iter().flat_map(|row| {
        let wall = [vec![row.name()], pair_cells(&row.wall_s, units::fine_duration)].concat();
        let rate = |pair| [vec![format!("{}, sectors/h", row.name())], pair_cells(pair, units::rate)].concat();
        [wall].into_iter().chain(row.sectors_per_h.as_ref().map(rate))
    });
    table(&columns, cells)
}

fn spans(rows: &[Row]) -> String {
    if rows.iter().all(|row| row.spans.is_empty()) {
        return String::new();
    }
    let columns = [&[("span", Align::Left)], &PAIR_COLUMNS[..]].concat();
    let cells = rows.iter().flat_map(|row| {
        let name = row.name();
        row.spans.iter().map(move |span| {
            [vec![format!("{name}: {}", span.name)], pair_cells(&span.wall_s, units::fine_duration)].concat()
        })
    });
    table(&columns, cells)
}

fn differences(report: &Report) -> String {
    if report.differences.is_empty() {
        return "no difference in machine, build and settings\n".to_string();
    }
    let columns = [("what differs", Align::Left), ("A", Align::Left), ("B", Align::Left)];
    let values = |values: &[String]| match values {
        [] => "-".to_string(),
        some => some.iter().map(|value| shortened(value)).collect::<Vec<_>>().join(" | "),
    };
    table(&columns, report.differences.iter().map(|d| vec![d.key.clone(), values(&d.a), values(&d.b)]))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= VALUE {
        return text.to_string();
    }
    text.chars().take(VALUE - 3).chain("...".chars()).collect()
}

/// Intervals of ratios on one logarithmic scale with 1 in the middle; those without an interval are left out.
fn chart<'a>(pairs: impl Iterator<Item = (String, &'a Pair)>) -> String {
    let shown: Vec<(String, &Pair)> =
        pairs.filter(|(_, pair)| pair.low > 0.0 && pair.high.is_finite() && pair.ratio > 0.0).collect();
    let ends = shown.iter().flat_map(|(_, pair)| [pair.low, pair.high, pair.ratio]).map(|end| end.ln().abs());
    let Some(reach) = ends.reduce(f64::max).map(|reach| reach.max(0.01)) else { return String::new() };
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default().min(30);
    let place = |ratio: f64| (((ratio.ln() / reach + 1.0) / 2.0 * (CHART - 1) as f64).round() as usize).min(CHART - 1);
    let ends = [format!("{:.3}", (-reach).exp()), format!("{:.3}", reach.exp())];
    let gap = CHART / 2 - ends[0].len();
    let mut text = format!("{:width$}  {}{:^gap$}1{:>rest$}\n", "B / A", ends[0], "", ends[1], rest = CHART / 2);
    for (name, pair) in shown {
        let mut line = vec![' '; CHART];
        line[place(pair.low)..=place(pair.high)].fill('─');
        line[CHART / 2] = '│';
        line[place(pair.ratio)] = '●';
        let name: String = one_line(&name).chars().take(width).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {}", line.into_iter().collect::<String>().trim_end());
    }
    text
}
