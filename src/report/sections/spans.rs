//! Where the time of a phase goes, and when the phases of a run ran.

use super::{Figures, best, by_key};
use crate::report::chart::Heading;
use crate::report::chart::waterfall::{Row, Stretch, Waterfall};
use crate::report::document::{Block, Chart, Table};
use crate::report::group::{Group, Sample};
use crate::report::table::Align::{Left, Right};
use crate::report::table::origin_mark;
use crate::report::units;
use crate::trial::record::{PhaseRecord, Record, Span};

/// So many charts at most; then only the best group of each phase and engine has one.
const MOST_CHARTS: usize = 24;

/// So many spans, and parts of a span, are drawn; a record may have any number.
const MOST_SPANS: usize = 30;
const MOST_PARTS: usize = 200;

/// So many runs at most get a chart of their phases.
const MOST_RUNS: usize = 6;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let mut charts: Vec<Chart> = Vec::new();
    if figures.records.len() <= MOST_RUNS {
        charts.extend(figures.records.iter().filter_map(run_chart));
    }
    let mut groups: Vec<&Group> = figures.groups.iter().filter(|g| !g.typical().phase.spans.is_empty()).collect();
    let all = groups.len();
    if all > MOST_CHARTS {
        let sets = by_key(groups, |g| (g.phase(), g.engine(), g.machine));
        groups =
            sets.into_iter().filter_map(|(_, set)| best(&set).or(set.first().copied())).take(MOST_CHARTS).collect();
    }
    charts.extend(groups.iter().map(|group| phase_chart(group)));
    let left_out = (groups.len() < all).then(|| {
        Block::Text(format!("Of {all} sets of samples the best of each phase, engine and machine are drawn."))
    });
    (!charts.is_empty()).then_some(Block::Charts(charts)).into_iter().chain(left_out).collect()
}

/// When the phases of a run ran; none for a run of a single phase.
fn run_chart(record: &Record) -> Option<Chart> {
    let start: jiff::Timestamp = record.started_at.parse().ok()?;
    let mut rows: Vec<Row> = Vec::new();
    let several = record.phases.iter().any(|phase| phase.instance > 0);
    for phase in record.phases.iter().take(MOST_PARTS) {
        let begun: jiff::Timestamp = phase.started_at.parse().ok()?;
        let stretch = Stretch { start_s: begun.duration_since(start).as_secs_f64(), length_s: phase.wall_s };
        let instance = if several { format!(" #{}", phase.instance) } else { String::new() };
        let name = format!("{} {}{instance}{}", phase.phase, phase.engine, origin_mark(phase.origin));
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.stretches.push(stretch),
            None => rows.push(row(name, vec![stretch], false)),
        }
    }
    if rows.len() < 2 {
        return None;
    }
    rows.truncate(MOST_SPANS);
    let total = |row: &Row| row.stretches.iter().map(|stretch| stretch.length_s).sum::<f64>();
    rows.iter_mut().for_each(|row| row.time = units::duration(total(row)));
    let title = "The run: its phases".to_string();
    let mut data =
        Table::new(&format!("Phases of run {}", record.id), [("phase", Left), ("began after", Right), ("time", Right)]);
    for row in &rows {
        let began = row.stretches.first().map_or(0.0, |stretch| stretch.start_s);
        data.row([row.name.clone(), units::duration(began), row.time.clone()].map(Into::into));
    }
    let description =
        "The timed part of each phase on the run's own clock; between them inputs are checked and outputs hashed.";
    let heading = Heading { title, subtitle: format!("run {}", record.id), description: description.to_string() };
    let chart = Waterfall { heading, x_title: "time since the run started".to_string(), rows };
    Some(Chart { svg: chart.draw(), data })
}

/// The spans of a group's typical sample.
fn phase_chart(group: &Group) -> Chart {
    let Sample { record, phase } = group.typical();
    let title = format!("{}: {}", group.name, units::duration(phase.wall_s));
    let repeat = if group.samples.len() > 1 { format!(", repeat {}, the median", phase.repeat) } else { String::new() };
    let rows = rows(phase);
    let longest = phase.spans.iter().max_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
    let description = longest.map_or_else(String::new, |span| {
        format!("The longest span is {} with {}.", span.name, units::duration(span.wall_s))
    });
    let heading = Heading { title: title.clone(), subtitle: format!("run {}{repeat}", record.id), description };
    let svg = Waterfall { heading, x_title: "time, spans end to end".to_string(), rows }.draw();
    Chart { svg, data: table(&title, phase) }
}

/// Whether the phase's time contains the span: all but the reading of parameters.
fn is_inside(span: &Span) -> bool {
    span.name != "params"
}

/// The spans one after the other: those outside the phase's time before its start, and at the end what no span covers.
fn rows(phase: &PhaseRecord) -> Vec<Row> {
    let outside: f64 = phase.spans.iter().filter(|span| !is_inside(span)).map(|span| span.wall_s).sum();
    let (mut before, mut inside) = (-outside, 0.0);
    let mut rows: Vec<Row> = Vec::new();
    for span in phase.spans.iter().take(MOST_SPANS) {
        let at = if is_inside(span) { &mut inside } else { &mut before };
        rows.push(Row {
            time: units::duration(span.wall_s),
            share: share(phase, span),
            ..row(span.name.clone(), stretches(span, *at), !is_inside(span))
        });
        *at += span.wall_s;
    }
    let more = phase.spans.len().saturating_sub(MOST_SPANS);
    if more > 0 {
        rows.push(row(format!("{more} more spans"), Vec::new(), true));
    }
    let rest = phase.wall_s - inside;
    if more == 0 && rest > 0.005 * phase.wall_s {
        rows.push(Row {
            time: units::duration(rest),
            share: units::percent(rest / phase.wall_s),
            ..row("in no span".to_string(), vec![Stretch { start_s: inside, length_s: rest }], true)
        });
    }
    rows
}

/// A row without figures.
fn row(name: String, stretches: Vec<Stretch>, aside: bool) -> Row {
    Row { name, time: String::new(), share: String::new(), stretches, aside }
}

/// The span's share of its phase.
fn share(phase: &PhaseRecord, span: &Span) -> String {
    if is_inside(span) { units::percent(span.wall_s / phase.wall_s) } else { "outside".to_string() }
}

/// The parts of a span where there are several, scaled to fill it: the rest of its time lies between them.
fn stretches(span: &Span, start_s: f64) -> Vec<Stretch> {
    let sum: f64 = span.parts.iter().sum();
    if !(2..=MOST_PARTS).contains(&span.parts.len()) || sum <= 0.0 {
        return vec![Stretch { start_s, length_s: span.wall_s }];
    }
    let mut at = start_s;
    let part = |part: &f64| {
        let length_s = part * span.wall_s / sum;
        at += length_s;
        Stretch { start_s: at - length_s, length_s }
    };
    span.parts.iter().map(part).collect()
}

fn table(title: &str, phase: &PhaseRecord) -> Table {
    let columns = [("span", Left), ("time", Right), ("of the phase", Right), ("CPU", Right), ("remarks", Left)];
    let mut table = Table::new(title, columns);
    for span in &phase.spans {
        let parts = (span.parts.len() > 1).then(|| format!("{} parts", span.parts.len()));
        let read = span.bytes.map(|bytes| format!("read {}", units::bytes(bytes)));
        let cells = [
            span.name.clone(),
            units::duration(span.wall_s),
            share(phase, span),
            units::percent(span.cpu_s / span.wall_s),
            [parts, read, span.note.clone()].into_iter().flatten().collect::<Vec<_>>().join(", "),
        ];
        table.row(cells.map(Into::into));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn spans_lie_end_to_end_and_parameters_before_the_clock() {
        let record = sample::record("a");
        let rows = rows(&record.phases[2]);
        let told: Vec<(&str, f64, bool)> =
            rows.iter().map(|row| (row.name.as_str(), row.stretches[0].start_s, row.aside)).collect();
        assert_eq!(told[..3], [("params", -4.5, true), ("synthesize", 0.0, false), ("msm", 61.3, false)]);
        assert_eq!((told[3].0, told[3].2), ("in no span", true));
        assert!((told[3].1 - 154.0).abs() < 1e-9 && rows[3].share == "16.8 %", "{:?}", rows[3]);
        let label = &self::rows(&record.phases[0])[1];
        assert_eq!((label.stretches.len(), label.time.as_str(), label.share.as_str()), (2, "0.172 s", "81.4 %"));
    }

    #[test]
    fn the_phases_of_a_run_lie_on_its_own_clock() {
        let chart = run_chart(&sample::record("a")).unwrap();
        let svg = chart.svg.into_string();
        assert!(svg.contains(">time since the run started, s<") && svg.contains(">p4 reference<"), "{svg}");
        assert_eq!(chart.data.rows[1][1], "0.383 s".into());
    }

    #[test]
    fn a_record_with_any_number_of_spans_makes_a_small_chart() {
        let record = sample::changed(|r| {
            let span = r["phases"][0]["spans"][0].clone();
            r["phases"][0]["spans"] = vec![span; 500].into();
        });
        let rows = rows(&record.phases[0]);
        assert_eq!((rows.len(), rows[MOST_SPANS].name.as_str()), (MOST_SPANS + 1, "470 more spans"));
    }
}
