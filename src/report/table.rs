//! Terminal tables: at most 100 columns wide, without colour, the same on a terminal and in a pipe.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::bars::{Bar, bars};
use super::units;
use crate::trial::record::{Aggregate, Origin, Output, PhaseRecord, Record, Severity, Span};

/// Columns a table may take; longer texts wrap inside their cell.
const WIDTH: u16 = 100;

/// How a table's column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Figures.
    Right,
}

/// A table with a header line. Control characters in cells are replaced, so that a foreign record cannot drive the terminal.
pub fn table(columns: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.force_no_tty().set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().top_border(line).header_separator(line).bottom_border(line));
    table.set_header(columns.iter().map(|(name, _)| *name));
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    for (column, (_, align)) in table.column_iter_mut().zip(columns) {
        column.set_cell_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// The text without control characters.
pub fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

/// The samples of one phase, engine and instance: its repeats.
#[derive(Clone, Debug)]
pub struct PhaseRow<'a> {
    record: &'a Record,
    /// By wall time, the shortest first; never empty.
    samples: Vec<&'a PhaseRecord>,
}

/// Columns of [`PhaseRow::cells`].
pub const PHASE_COLUMNS: [(&str, Align); 9] = [
    ("phase", Align::Left),
    ("engine", Align::Left),
    ("cores", Align::Left),
    ("threads", Align::Right),
    ("time", Align::Right),
    ("GiB/h", Align::Right),
    ("CPU", Align::Right),
    ("peak memory", Align::Right),
    ("verified", Align::Left),
];

impl<'a> PhaseRow<'a> {
    /// The rows of a record, in the order in which the phases first ran.
    pub fn of(record: &'a Record) -> Vec<PhaseRow<'a>> {
        let mut rows: Vec<PhaseRow> = Vec::new();
        for phase in &record.phases {
            let key = |p: &PhaseRecord| (p.phase, p.engine, p.concurrent, p.instance);
            match rows.iter_mut().find(|row| key(row.samples[0]) == key(phase)) {
                Some(row) => row.samples.push(phase),
                None => rows.push(PhaseRow { record, samples: vec![phase] }),
            }
        }
        for row in &mut rows {
            row.samples.sort_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
        }
        rows
    }

    /// One cell per column of [`PHASE_COLUMNS`]; times and rates are the median's.
    pub fn cells(&self) -> Vec<String> {
        let first = self.samples[0];
        let wall_s: f64 = self.samples.iter().map(|p| p.wall_s).sum();
        let cpu_s: Option<f64> = self.samples.iter().map(|p| p.cpu_s).sum();
        let peak = self.samples.iter().filter_map(|p| p.max_rss_bytes).max();
        vec![
            self.name(),
            first.engine.to_string(),
            units::ranges(&first.cores),
            first.threads.map_or_else(String::new, |threads| threads.to_string()),
            format!("{}{}", units::duration(self.median()), origin_mark(first.origin)),
            gib_per_hour(self.record, first.sectors, self.median()).map_or_else(String::new, units::rate),
            cpu_s.map_or_else(String::new, |cpu_s| units::percent(cpu_s / wall_s)),
            peak.map_or_else(String::new, units::bytes),
            self.verified(),
        ]
    }

    /// The phase, and which of several instances.
    fn name(&self) -> String {
        let first = self.samples[0];
        let several = self.record.phases.iter().any(|p| p.concurrent > 1);
        match first.concurrent {
            1 if several => format!("{} alone", first.phase),
            1 => first.phase.to_string(),
            _ => format!("{} #{}", first.phase, first.instance),
        }
    }

    fn median(&self) -> f64 {
        let middle = self.samples.len() / 2;
        if self.samples.len() % 2 == 1 {
            self.samples[middle].wall_s
        } else {
            (self.samples[middle - 1].wall_s + self.samples[middle].wall_s) / 2.0
        }
    }

    /// The sample at the median, or just below it: a run that happened, whose spans add up.
    fn typical(&self) -> &'a PhaseRecord {
        self.samples[(self.samples.len() - 1) / 2]
    }

    /// The worst verdict of all samples: a failed one, else one that was not checked, else ok.
    fn verified(&self) -> String {
        let verdict = |ok| self.samples.iter().map(|p| &p.verified).find(|verified| verified.ok == ok);
        match (verdict(Some(false)), verdict(None), verdict(Some(true))) {
            (Some(failed), _, _) => format!("FAILED ({})", failed.against),
            (None, Some(_), _) => "not checked".to_string(),
            (None, None, Some(good)) => format!("ok ({})", good.against),
            (None, None, None) => String::new(),
        }
    }
}

/// GiB of sector data per hour at this wall time; none if no time passed.
pub fn gib_per_hour(record: &Record, sectors: u32, wall_s: f64) -> Option<f64> {
    let gib = record.spec.resolved.shape.sector_size.bytes() as f64 * f64::from(sectors) / f64::from(1 << 30);
    (wall_s > 0.0).then(|| gib * 3600.0 / wall_s)
}

/// Nothing for a measured figure; others say what they are wherever they stand.
pub fn origin_mark(origin: Origin) -> String {
    if origin == Origin::Measured { String::new() } else { format!(" ({})", origin.name()) }
}

/// What `sealbench run` prints at its end: the phases, their spread over repeats, the commitments and the findings.
pub fn run_table(record: &Record) -> String {
    let rows = PhaseRow::of(record);
    join([phases(&rows), aggregates(record), repeats(&rows), commitments(record), findings(record), verdict(record)])
}

/// What `sealbench results show` prints of a record: [`run_table`] with the spans, and on which machine.
pub fn full_report(record: &Record) -> String {
    let rows = PhaseRow::of(record);
    join([
        title(record),
        phases(&rows),
        aggregates(record),
        repeats(&rows),
        spans(&rows),
        span_bars(&rows),
        commitments(record),
        findings(record),
        verdict(record),
    ])
}

fn join(sections: impl IntoIterator<Item = String>) -> String {
    let present: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    present.join("\n")
}

fn title(record: &Record) -> String {
    let spec = &record.spec.resolved;
    let network = if spec.network_shape { "" } else { " (not a network shape)" };
    let seed = record.seed.map_or_else(|| "none".to_string(), |seed| seed.to_string());
    let lines = [
        ("run", format!("{}, started {}, {}", record.id, record.started_at, record.state.name())),
        ("sealed", format!("{}{network}", spec.shape)),
        ("seed", seed),
        ("command", record.spec.given.join(" ")),
        ("host", machine(record)),
        ("system", system(record)),
    ];
    fields(lines)
}

/// The machine in one line: processor, cores, memory, kernel and what it runs in, as far as the record tells.
fn machine(record: &Record) -> String {
    let host = &record.host;
    let count = |n: Option<u32>, what: &str| n.map(|n| format!("{n} {what}"));
    let parts = [
        host.hostname.clone(),
        host.cpu.model.clone(),
        count(host.topology.cores, "cores"),
        count(host.topology.threads, "threads"),
        host.memory.total_bytes.map(units::bytes),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn system(record: &Record) -> String {
    let host = &record.host;
    let parts = [
        host.kernel.release.as_ref().map(|release| format!("Linux {release}")),
        host.virtualisation.hypervisor.as_ref().map(|name| format!("under {name}")),
        host.virtualisation.container.as_ref().map(|name| format!("in {name}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Names and values, one a line, the values under each other; without those that are empty.
pub fn fields<const N: usize>(lines: [(&str, String); N]) -> String {
    let present = lines.into_iter().filter(|(_, value)| !value.is_empty());
    present.fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<10} {}", one_line(&value));
        text
    })
}

fn phases(rows: &[PhaseRow]) -> String {
    if rows.is_empty() {
        return "No phase was finished.\n".to_string();
    }
    table(&PHASE_COLUMNS, rows.iter().map(PhaseRow::cells))
}

/// What instances side by side put out together, and what they cost each other.
fn aggregates(record: &Record) -> String {
    if record.aggregates.is_empty() {
        return String::new();
    }
    let columns = [
        ("side by side", Align::Left),
        ("engine", Align::Left),
        ("repeat", Align::Right),
        ("instances", Align::Right),
        ("sectors/h", Align::Right),
        ("GiB/h", Align::Right),
        ("all ran for", Align::Right),
        ("overlap", Align::Right),
        ("slow-down", Align::Right),
    ];
    let cells = |aggregate: &Aggregate| {
        let Aggregate { instances, completed, .. } = *aggregate;
        let whole = if completed == instances { instances.to_string() } else { format!("{completed} of {instances}") };
        vec![
            aggregate.phase.to_string(),
            aggregate.engine.to_string(),
            format!("#{}", aggregate.repeat),
            whole,
            units::rate(aggregate.sectors_per_h),
            units::rate(aggregate.gib_per_h),
            units::duration(aggregate.window_s),
            units::percent(aggregate.overlap),
            aggregate.slow_down.map_or_else(String::new, |ratio| format!("x {ratio:.3}")),
        ]
    };
    table(&columns, record.aggregates.iter().map(cells))
}

fn repeats(rows: &[PhaseRow]) -> String {
    if rows.iter().all(|row| row.samples.len() == 1) {
        return String::new();
    }
    let columns = [
        ("phase", Align::Left),
        ("engine", Align::Left),
        ("repeats", Align::Right),
        ("median", Align::Right),
        ("min", Align::Right),
        ("max", Align::Right),
        ("(max - min) / median", Align::Right),
    ];
    let cells = |row: &PhaseRow| {
        let (min, max) = (row.samples[0].wall_s, row.samples[row.samples.len() - 1].wall_s);
        vec![
            row.name(),
            row.samples[0].engine.to_string(),
            row.samples.len().to_string(),
            units::duration(row.median()),
            units::duration(min),
            units::duration(max),
            units::percent((max - min) / row.median()),
        ]
    };
    table(&columns, rows.iter().map(cells))
}

fn spans(rows: &[PhaseRow]) -> String {
    let columns = [
        ("phase", Align::Left),
        ("engine", Align::Left),
        ("span", Align::Left),
        ("time", Align::Right),
        ("of the phase", Align::Right),
        ("CPU", Align::Right),
        ("remarks", Align::Left),
    ];
    let of_row = |row: &PhaseRow| {
        let (name, phase) = (row.name(), row.typical());
        phase.spans.iter().map(|span| span_cells(&name, phase, span)).collect::<Vec<_>>()
    };
    let cells: Vec<Vec<String>> = rows.iter().flat_map(of_row).collect();
    if cells.is_empty() { String::new() } else { table(&columns, cells) }
}

fn span_cells(name: &str, phase: &PhaseRecord, span: &Span) -> Vec<String> {
    // The one span that the phase's time does not contain.
    let inside = span.name != "params";
    let limit = phase.limit.as_ref().filter(|limit| limit.span == span.name);
    let limit = limit.map(|limit| format!("{} x the limit of {}", units::rate(limit.ratio), limit.name));
    let parts = (span.parts.len() > 1).then(|| format!("{} parts", span.parts.len()));
    let read = span.bytes.map(|bytes| format!("read {}", units::bytes(bytes)));
    let remarks: Vec<String> = [limit, parts, read, span.note.clone()].into_iter().flatten().collect();
    vec![
        name.to_string(),
        phase.engine.to_string(),
        span.name.clone(),
        units::duration(span.wall_s),
        if inside { units::percent(span.wall_s / phase.wall_s) } else { "outside".to_string() },
        units::percent(span.cpu_s / span.wall_s),
        remarks.join(", "),
    ]
}

/// The spans of each phase that has several as bars.
fn span_bars(rows: &[PhaseRow]) -> String {
    let of_row = |row: &PhaseRow| {
        let phase = row.typical();
        let bar = |span: &Span| Bar {
            name: span.name.clone(),
            value: span.wall_s,
            interval: None,
            figure: units::duration(span.wall_s),
        };
        let drawn = bars(&phase.spans.iter().map(bar).collect::<Vec<_>>(), usize::from(WIDTH));
        format!("{} {}\n{drawn}", row.name(), phase.engine)
    };
    join(rows.iter().filter(|row| row.typical().spans.len() > 1).map(of_row))
}

/// comm_d and comm_r; where engines differ, each with who computed it.
fn commitments(record: &Record) -> String {
    commitment("comm_d", record, |output| &output.comm_d) + &commitment("comm_r", record, |output| &output.comm_r)
}

fn commitment(name: &str, record: &Record, of: fn(&Output) -> &Option<String>) -> String {
    let mut values: Vec<(&str, &PhaseRecord)> = Vec::new();
    for phase in &record.phases {
        if let Some(value) = of(&phase.output).as_deref().filter(|value| values.iter().all(|(known, _)| known != value))
        {
            values.push((value, phase));
        }
    }
    let who = |phase: &PhaseRecord| {
        if values.len() > 1 { format!(" ({} {})", phase.engine, phase.phase) } else { String::new() }
    };
    values.iter().map(|(value, phase)| fields([(name, format!("{value}{}", who(phase)))])).collect()
}

fn findings(record: &Record) -> String {
    if record.validity.findings.is_empty() {
        return String::new();
    }
    let mut findings: Vec<_> = record.validity.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let columns = [("severity", Align::Left), ("finding", Align::Left), ("what", Align::Left)];
    let severity = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    table(&columns, findings.iter().map(|f| vec![severity(f.severity).to_string(), f.code.clone(), f.text.clone()]))
}

fn verdict(record: &Record) -> String {
    let reportable = if record.validity.reportable { "yes" } else { "no" };
    fields([("reportable", reportable.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    /// The text with all white space, also that of wrapped cells, made one blank.
    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_run_table_says_how_long_on_what_and_whether_it_is_right() {
        let text = run_table(&sample::record("a"));
        let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_string();
        let row = |start: &str| words(&line(start));
        assert_eq!(row("phase"), "phase engine cores threads time GiB/h CPU peak memory verified");
        assert_eq!(row("p1"), "p1 reference 0-1 2 0.211 s 133 118 % 60.0 MiB not checked");
        assert_eq!(row("p2"), "p2 reference 0-1 2 12.4 s 2.27 193 % 100 MiB ok (verifier)");
        assert_eq!(row("p4"), "p4 reference 0-1 2 3 min 05 s 0.152 195 % 3.00 GiB ok (verifier)");
        assert!(line("comm_r").ends_with("0e0f") && line("comm_d").ends_with("0507"));
        assert!(
            text.find("counters-unavailable") < text.find("reference-single-core"),
            "the worse finding comes first"
        );
        assert_eq!(row("reportable"), "reportable no");
        assert!(!text.contains("c1") && !text.contains("repeats"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100 && !line.contains('\u{1b}')), "{text}");
    }

    #[test]
    fn repeats_show_the_median_and_the_spread() {
        let record = sample::changed(|r| {
            let first = r["phases"][1].clone();
            for (repeat, wall_s, ok) in [(1, 10.0, None), (2, 16.0, Some(false))] {
                let mut again = first.clone();
                again["repeat"] = repeat.into();
                again["wall_s"] = wall_s.into();
                again["verified"]["ok"] = ok.into();
                r["phases"].as_array_mut().unwrap().push(again);
            }
        });
        let text = run_table(&record);
        let rows: Vec<_> = text.lines().filter(|line| line.trim_start().starts_with("p2")).collect();
        assert!(rows.len() == 2 && rows[0].contains("12.4 s") && rows[0].contains("FAILED (verifier)"), "{text}");
        assert_eq!(words(rows[1]), "p2 reference 3 12.4 s 10.0 s 16.0 s 48.4 %");
        assert!(full_report(&record).contains("8.10 s"), "spans are those of the median repeat");
    }

    #[test]
    fn a_figure_that_was_not_measured_says_so_and_engines_that_differ_are_named() {
        let record = sample::changed(|r| {
            r["phases"][0]["origin"] = "imported".into();
            let mut native = r["phases"][1].clone();
            native["engine"] = "native".into();
            native["output"]["comm_r"] = "ffff".into();
            r["phases"].as_array_mut().unwrap().push(native);
        });
        let text = run_table(&record);
        assert!(words(&text).contains("not checked (imported)"), "{text}");
        assert!(text.contains("ffff (native p2)") && text.contains("0e0f (reference p2)"), "{text}");
    }

    #[test]
    fn the_full_report_has_spans_limits_and_the_machine() {
        let text = full_report(&sample::record("a"));
        assert!(text.contains("p1 reference\n tree_d ██"), "{text}");
        for part in
            ["1.23 x the limit of sha256 chain, 2 parts", "outside", "read 1.50 GiB, cold", "8MiB, 2 layers", "81.4 %"]
        {
            assert!(words(&text).contains(part), "{part} in\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with("command") || line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn an_empty_or_hostile_record_prints_too() {
        let empty = sample::changed(|r| {
            r["phases"] = serde_json::json!([]);
            r["summary"] = serde_json::json!([]);
            r["validity"]["findings"] = serde_json::json!([]);
        });
        assert_eq!(run_table(&empty), "No phase was finished.\n\nreportable no\n");
        let hostile = sample::changed(|r| {
            r["phases"][0]["wall_s"] = 0.0.into();
            r["phases"][0]["spans"][0]["wall_s"] = 0.0.into();
            r["phases"][0]["verified"] = serde_json::json!({"against": "\u{1b}]0;x\u{7}\n", "ok": true});
            r["spec"]["given"][1] = "\u{1b}[2J".into();
            r["validity"]["findings"][0]["text"] = "a\rb\u{1b}c".repeat(500).into();
        });
        let text = full_report(&hostile);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r']));
    }
}
