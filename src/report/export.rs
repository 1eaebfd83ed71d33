//! Records as files for other programs: CSV, Markdown and JSON. Each writes record by record, whatever their number.

use std::borrow::Cow;
use std::io::{self, Write};

use anyhow::Context;

use super::table::{PHASE_COLUMNS, PhaseRow, gib_per_hour, one_line};
use super::units;
use crate::store::Store;
use crate::trial::record::{PhaseRecord, Record};

/// A column's name and what it holds of a phase; the name says the unit.
type Column = (&'static str, fn(&Record, &PhaseRecord) -> String);

/// The columns before the spans.
const COLUMNS: [Column; 43] = [
    ("run", |r, _| text(&r.id)),
    ("run_started_at", |r, _| text(&r.started_at)),
    ("state", |r, _| text(r.state.name())),
    ("reportable", |r, _| r.validity.reportable.to_string()),
    ("seed", |r, _| number(r.seed)),
    ("sector_size", |r, _| r.spec.resolved.shape.sector_size.to_string()),
    ("layers", |r, _| r.spec.resolved.shape.layers.to_string()),
    ("partitions", |r, _| r.spec.resolved.shape.partitions.to_string()),
    ("network_shape", |r, _| r.spec.resolved.network_shape.to_string()),
    ("phase", |_, p| p.phase.to_string()),
    ("engine", |_, p| p.engine.to_string()),
    ("variant", |_, p| maybe_text(&p.variant)),
    ("kernel", |_, p| text(&kernels(p))),
    ("instance", |_, p| p.instance.to_string()),
    ("repeat", |_, p| p.repeat.to_string()),
    ("cores", |_, p| text(&units::ranges(&p.cores))),
    ("threads", |_, p| number(p.threads)),
    ("threads_peak", |_, p| number(p.threads_peak)),
    ("pages", |_, p| maybe_text(&p.pages)),
    ("sectors", |_, p| p.sectors.to_string()),
    ("started_at", |_, p| text(&p.started_at)),
    ("wall_s", |_, p| p.wall_s.to_string()),
    ("cpu_s", |_, p| number(p.cpu_s)),
    ("throughput_gib_per_h", |r, p| number(gib_per_hour(r, p.sectors, p.wall_s))),
    ("max_rss_bytes", |_, p| number(p.max_rss_bytes)),
    ("estimated_rss_bytes", |_, p| number(p.estimated_rss_bytes)),
    ("read_bytes", |_, p| number(p.read_bytes)),
    ("written_bytes", |_, p| number(p.written_bytes)),
    ("work_unit", |_, p| p.work.as_ref().map_or_else(String::new, |work| text(&work.unit))),
    ("work_count", |_, p| number(p.work.as_ref().map(|work| work.count))),
    ("limit_name", |_, p| p.limit.as_ref().map_or_else(String::new, |limit| text(&limit.name))),
    ("limit_span", |_, p| p.limit.as_ref().map_or_else(String::new, |limit| text(&limit.span))),
    ("limit_s", |_, p| number(p.limit.as_ref().map(|limit| limit.seconds))),
    ("limit_ratio", |_, p| number(p.limit.as_ref().map(|limit| limit.ratio))),
    ("comm_d", |_, p| maybe_text(&p.output.comm_d)),
    ("comm_c", |_, p| maybe_text(&p.output.comm_c)),
    ("comm_r_last", |_, p| maybe_text(&p.output.comm_r_last)),
    ("comm_r", |_, p| maybe_text(&p.output.comm_r)),
    ("proof_bytes", |_, p| number(p.output.proof_bytes)),
    ("digest", |_, p| maybe_text(&p.output.digest)),
    ("verified_against", |_, p| text(&p.verified.against)),
    ("verified_ok", |_, p| number(p.verified.ok)),
    ("origin", |_, p| p.origin.name().to_string()),
];

/// One row per phase record; a column `span_NAME_wall_s` for each span that occurs. What is absent is empty, never 0.
pub fn csv(store: &Store, ids: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    csv_of(ids, |id| store.record(id).map(Cow::Owned), out)
}

/// The same for records in memory.
pub fn csv_of_records(records: &[Record], out: &mut dyn Write) -> anyhow::Result<()> {
    csv_of(records, |record| Ok(Cow::Borrowed(record)), out)
}

/// The rows of what `record` gives for each key.
fn csv_of<'r, K>(
    keys: &'r [K],
    record: impl Fn(&'r K) -> anyhow::Result<Cow<'r, Record>>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // Two passes: which spans there are is known only at the end, and a store may be larger than memory.
    let mut spans: Vec<String> = Vec::new();
    for key in keys {
        for span in record(key)?.phases.iter().flat_map(|phase| &phase.spans) {
            if !spans.contains(&span.name) {
                spans.push(span.name.clone());
            }
        }
    }
    let span_columns = spans.iter().map(|name| format!("span_{name}_wall_s"));
    csv_line(out, COLUMNS.iter().map(|(name, _)| name.to_string()).chain(span_columns))?;
    for key in keys {
        let record = record(key)?;
        for phase in &record.phases {
            let cells = COLUMNS.iter().map(|(_, cell)| cell(&record, phase));
            csv_line(out, cells.chain(spans.iter().map(|name| span(phase, name))))?;
        }
    }
    Ok(())
}

fn kernels(phase: &PhaseRecord) -> String {
    let pairs: Vec<String> = phase.kernel.iter().map(|(primitive, kernel)| format!("{primitive}={kernel}")).collect();
    pairs.join(" ")
}

fn span(phase: &PhaseRecord, name: &str) -> String {
    number(phase.spans.iter().find(|span| span.name == name).map(|span| span.wall_s))
}

/// A figure that may be absent.
fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn maybe_text(value: &Option<String>) -> String {
    value.as_deref().map_or_else(String::new, text)
}

/// A text that a spreadsheet must not take for a formula: one that starts like a formula gets an apostrophe in front.
fn text(value: &str) -> String {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{value}") } else { value.to_string() }
}

/// One line as RFC 4180 has it, except that it ends in a line feed alone.
fn csv_line(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    for (column, cell) in cells.enumerate() {
        if column > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

/// A table for people, one row per phase and engine of each run.
pub fn markdown(store: &Store, ids: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    let headers: Vec<&str> = ["run", "shape"].into_iter().chain(PHASE_COLUMNS.map(|(name, _)| name)).collect();
    writeln!(out, "| {} |", headers.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(headers.len()))?;
    for id in ids {
        let record = store.record(id)?;
        for row in PhaseRow::of(&record) {
            let cells = [record.id.clone(), record.spec.resolved.shape.to_string()].into_iter().chain(row.cells());
            let cells: Vec<String> = cells.map(|cell| markdown_cell(&cell)).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    Ok(())
}

fn markdown_cell(cell: &str) -> String {
    one_line(cell).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}

/// An array of the records, each exactly as it was stored.
pub fn json(store: &Store, ids: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    for (n, id) in ids.iter().enumerate() {
        let record = store.record_text(id)?;
        out.write_all(if n == 0 { b"[\n" } else { b",\n" })?;
        out.write_all(record.trim_end().as_bytes())?;
    }
    out.write_all(if ids.is_empty() { b"[]\n" } else { b"\n]\n" }).context("cannot write")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;
    use crate::trial::record::Record;
    use proptest::prelude::*;

    type Writer = fn(&Store, &[String], &mut dyn Write) -> anyhow::Result<()>;

    fn exported(records: &[Record], format: Writer) -> String {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for record in records {
            store.finish(record).unwrap();
        }
        let mut out = Vec::new();
        format(&store, &store.recorded().unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What a CSV reader makes of a text.
    fn parse(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => cell.push(chars.next().unwrap()),
                '"' => quoted = !quoted,
                ',' if !quoted => row.push(std::mem::take(&mut cell)),
                '\n' if !quoted => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                c => cell.push(c),
            }
        }
        rows
    }

    #[test]
    fn csv_has_a_row_per_phase_and_leaves_absent_figures_empty() {
        let rows = parse(&exported(&[sample::record("a")], csv));
        let cell = |row: usize, name: &str| {
            let column = rows[0].iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
            rows[row][column].as_str()
        };
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        assert_eq!((cell(1, "phase"), cell(1, "wall_s"), cell(1, "span_label_wall_s")), ("p1", "0.2113", "0.1721"));
        assert_eq!((cell(1, "comm_r"), cell(1, "estimated_rss_bytes"), cell(1, "verified_ok")), ("", "", ""));
        assert_eq!((cell(2, "limit_s"), cell(2, "span_label_wall_s"), cell(2, "span_columns_wall_s")), ("", "", "8.1"));
        assert_eq!((cell(2, "verified_against"), cell(2, "verified_ok")), ("verifier", "true"));
        assert_eq!((cell(3, "cores"), cell(3, "kernel"), cell(3, "proof_bytes")), ("0-1", "", "192"));
        assert_eq!(cell(1, "kernel"), "sha256=sha2raw intrinsics");
    }

    #[test]
    fn a_foreign_text_is_no_formula_and_breaks_no_table() {
        let evil = sample::changed(|r| {
            r["phases"][0]["variant"] = "=HYPERLINK(\"http://x\",\"y\")".into();
            r["phases"][0]["pages"] = "a\nb,c".into();
            r["phases"][0]["spans"][0]["name"] = "x,y".into();
            r["phases"][1]["verified"]["against"] = "a|b\n<script>".into();
        });
        let rows = parse(&exported(std::slice::from_ref(&evil), csv));
        assert!(rows[1].contains(&"'=HYPERLINK(\"http://x\",\"y\")".to_string()));
        assert!(rows[1].contains(&"a\nb,c".to_string()) && rows[0].contains(&"span_x,y_wall_s".to_string()));
        let table = exported(&[evil], markdown);
        assert_eq!(table.lines().count(), 5);
        assert!(table.contains("a\\|b") && !table.contains("<script>"), "{table}");
    }

    #[test]
    fn json_is_the_records_as_they_were_stored() {
        let records = [sample::record("a"), sample::record("b")];
        let text = exported(&records, json);
        let read: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, records.map(|record| serde_json::to_value(record).unwrap()));
        assert_eq!(exported(&[], json), "[]\n");
        assert_eq!(parse(&exported(&[], csv)).len(), 1);
    }

    proptest! {
        #[test]
        fn a_csv_reader_gets_back_every_cell(cells in prop::collection::vec("[ -~\n\r\t\"',=+@-]{0,8}", 1..6)) {
            let mut out = Vec::new();
            csv_line(&mut out, cells.iter().map(|cell| text(cell))).unwrap();
            let rows = parse(std::str::from_utf8(&out).unwrap());
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(rows[0].len(), cells.len());
            for (read, written) in rows[0].iter().zip(&cells) {
                prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']));
                let unmarked = read.strip_prefix('\'').filter(|rest| rest == written).unwrap_or(read);
                prop_assert_eq!(unmarked, written);
            }
        }
    }
}
