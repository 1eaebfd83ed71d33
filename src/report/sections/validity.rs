//! Whether the figures may be reported: the findings, and the rules that were checked.

use super::{Figures, count};
use crate::report::document::{Block, Cell, Table, Tone};
use crate::report::table::Align::Left;
use crate::trial::record::{Finding, Record, Severity};

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let tables = [findings(figures.records), rules(figures.records)];
    tables.into_iter().filter_map(Table::block).collect()
}

/// Each finding once, the worst first, with the runs that have it.
fn findings(records: &[Record]) -> Table {
    let mut found: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for record in records {
        for finding in &record.validity.findings {
            match found.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, runs)) if runs.last() == Some(&record.id.as_str()) => {}
                Some((_, runs)) => runs.push(&record.id),
                None => found.push((finding, vec![&record.id])),
            }
        }
    }
    found.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
    let several = records.len() > 1;
    let columns = [("severity", Left), ("finding", Left), ("what", Left)].into_iter();
    let mut table = Table::new("Findings", columns.chain(several.then_some(("runs", Left))));
    for (finding, runs) in found {
        let tag = match finding.severity {
            Severity::Error => Cell::Tag(Tone::Error, "error".to_string()),
            Severity::Warning => Cell::Tag(Tone::Warning, "warning".to_string()),
            Severity::Info => Cell::Tag(Tone::Info, "info".to_string()),
        };
        let runs = several.then(|| Cell::Plain(which(&runs, records.len())));
        table.row([tag, Cell::Code(finding.code.clone()), finding.text.as_str().into()].into_iter().chain(runs));
    }
    table
}

/// The runs by name if they are few.
fn which(runs: &[&str], all: usize) -> String {
    match runs.len() {
        n if n == all => "all".to_string(),
        1..=3 => runs.join(", "),
        n => count(n, "run"),
    }
}

/// Each rule that any run checked, with how many broke it.
fn rules(records: &[Record]) -> Table {
    let mut rules: Vec<(&str, usize, usize)> = Vec::new();
    for record in records {
        for rule in &record.validity.rules {
            let broken = record.validity.findings.iter().any(|finding| finding.code == *rule);
            match rules.iter_mut().find(|(known, _, _)| known == rule) {
                Some((_, checked, bad)) => (*checked, *bad) = (*checked + 1, *bad + usize::from(broken)),
                None => rules.push((rule, 1, usize::from(broken))),
            }
        }
    }
    let mut table = Table::new("Run rules that were checked", [("rule", Left), ("verdict", Left)]);
    for (rule, checked, broken) in rules {
        let of =
            if checked == records.len() { String::new() } else { format!(" (checked in {})", count(checked, "run")) };
        let verdict = match broken {
            0 => Cell::Tag(Tone::Good, format!("held{of}")),
            n if n == checked => Cell::Tag(Tone::Warning, format!("broken{of}")),
            n => Cell::Tag(Tone::Warning, format!("broken in {n} of {checked} runs")),
        };
        table.row([Cell::Code(rule.to_string()), verdict]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::super::tests::rows;
    use crate::store::sample;

    #[test]
    fn findings_are_told_once_and_rules_say_whether_they_held() {
        let run = |id: &str, code: &str| {
            sample::changed(|r| {
                r["id"] = id.into();
                r["validity"]["rules"] = serde_json::json!(["steal", "swap"]);
                r["validity"]["findings"][0] = serde_json::json!({"code": code, "severity": "error", "text": "t"});
            })
        };
        let rows = rows(&document("t", &[run("a", "steal"), run("b", "other")]), "validity");
        assert_eq!(rows[0], ["error", "steal", "t", "a"]);
        assert_eq!((rows[2][1].as_str(), rows[2][3].as_str()), ("counters-unavailable", "all"));
        assert_eq!(rows[3..], [["steal", "broken in 1 of 2 runs"], ["swap", "held"]]);
    }
}
