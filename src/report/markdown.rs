//! A report as Markdown: the tables, and those of the charts' figures.

use std::fmt::Write;

use super::chart::text::clean;
use super::document::{Block, Cell, Document, Table};
use super::table::Align;

/// The whole document.
pub fn render(document: &Document) -> String {
    let mut text = format!("# {}\n", escaped(&document.title));
    for section in &document.sections {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n## {}", escaped(section.title));
        for block in &section.blocks {
            text.push('\n');
            match block {
                Block::Text(words) => text.push_str(&format!("{}\n", escaped(words))),
                Block::Verdict(_, words, sentences) => {
                    let sentences: Vec<String> = sentences.iter().map(|sentence| escaped(sentence)).collect();
                    text.push_str(&format!("**{}** {}\n", escaped(words), sentences.join(" ")));
                }
                Block::Table(rows) => text.push_str(&table(rows)),
                Block::Charts(charts) => {
                    let tables: Vec<String> = charts.iter().map(|chart| table(&chart.data)).collect();
                    text.push_str(&tables.join("\n"));
                }
            }
        }
    }
    text
}

fn table(table: &Table) -> String {
    let mut text = String::new();
    if !table.caption.is_empty() {
        text.push_str(&format!("{}\n\n", escaped(&table.caption)));
    }
    let names: Vec<String> = table.columns.iter().map(|(name, _)| escaped(name)).collect();
    let rules = table.columns.iter().map(|(_, align)| if *align == Align::Right { "---:" } else { "---" });
    text.push_str(&format!("| {} |\n|{}|\n", names.join(" | "), rules.collect::<Vec<_>>().join("|")));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(&plain(cell))).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Plain(text) | Cell::Code(text) | Cell::Tag(_, text) => text.clone(),
        Cell::Differing(values) => {
            values.iter().map(|(whose, value)| format!("{whose}: {value}")).collect::<Vec<_>>().join("; ")
        }
    }
}

/// The text on one line, with nothing that Markdown or HTML would act on.
fn escaped(text: &str) -> String {
    clean(text).chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::{Section, Tone};

    #[test]
    fn tables_verdicts_and_foreign_texts() {
        let mut rows = Table::new("Phases", [("phase", Align::Left), ("time", Align::Right)]);
        rows.row(["p1".into(), Cell::Differing(vec![("A".into(), "1 s".into()), ("B".into(), "2 s".into())])]);
        rows.row([Cell::Code("a|b\n<script>".into()), Cell::Tag(Tone::Error, "*no*".into())]);
        let document = Document {
            title: "A report".into(),
            sections: vec![Section {
                id: "s",
                title: "Summary",
                blocks: vec![
                    Block::Verdict(Tone::Good, "Reportable.".into(), vec!["All held.".into()]),
                    Block::Table(rows),
                ],
            }],
        };
        let expected = "# A report\n\n## Summary\n\n**Reportable.** All held.\n\nPhases\n\n| phase | time |\n|---|---:|\n\
            | p1 | A: 1 s; B: 2 s |\n| a\\|b\u{fffd}&lt;script> | \\*no\\* |\n";
        assert_eq!(render(&document), expected);
    }
}
