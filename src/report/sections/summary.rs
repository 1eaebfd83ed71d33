//! What was measured, and whether it may be reported.

use std::collections::BTreeSet;

use super::{Figures, best, by_key, count};
use crate::report::document::{Block, Table, Tone};
use crate::report::machines::letter;
use crate::report::table::Align;
use crate::trial::record::{Origin, RunState, Severity};

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let mut blocks = vec![Block::Text(what(figures)), verdict(figures)];
    blocks.extend(failures(figures));
    blocks.extend(estimates(figures));
    blocks.extend(headline(figures).block());
    blocks
}

fn what(figures: &Figures) -> String {
    let (records, machines) = (figures.records, &figures.machines);
    let starts = || records.iter().map(|record| record.started_at.as_str());
    let days = match (starts().min(), starts().max()) {
        (Some(first), Some(last)) if day(first) != day(last) => format!("{} to {}", day(first), day(last)),
        (Some(first), _) => day(first).to_string(),
        _ => String::new(),
    };
    let shapes: BTreeSet<String> = records.iter().map(|record| record.spec.resolved.shape.to_string()).collect();
    let shapes = shapes.into_iter().collect::<Vec<_>>().join("; ");
    let on = match machines.as_slice() {
        [one] => one.name.clone(),
        several => count(several.len(), "machine"),
    };
    format!("{} of {shapes} on {on}, {days}.", count(records.len(), "run"))
}

fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

fn verdict(figures: &Figures) -> Block {
    let records = figures.records;
    let bad = records.iter().filter(|record| !record.validity.reportable).count();
    if bad == 0 {
        return Block::Verdict(Tone::Good, "Reportable.".into(), vec!["Every run rule was checked and held.".into()]);
    }
    let mut sentences = Vec::new();
    if bad < records.len() {
        sentences.push(format!("This holds for {bad} of {} runs.", records.len()));
    }
    for (severity, words) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings")] {
        let findings = records.iter().flat_map(|record| &record.validity.findings);
        let codes: BTreeSet<&str> = findings.filter(|f| f.severity == severity).map(|f| f.code.as_str()).collect();
        if !codes.is_empty() {
            sentences.push(format!("{words}: {}.", codes.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    let unchecked = records.iter().filter(|record| record.validity.rules.is_empty()).count();
    if unchecked > 0 {
        let which = if unchecked == records.len() { "any run".to_string() } else { count(unchecked, "run") };
        sentences.push(format!("The run rules were not checked for {which}."));
    }
    Block::Verdict(Tone::Warning, "Not reportable.".into(), sentences)
}

/// Wrong outputs and runs that did not end as they should.
fn failures(figures: &Figures) -> Option<Block> {
    let wrong = figures.groups.iter().filter(|g| g.samples.iter().any(|s| s.phase.verified.ok == Some(false)));
    let mut sentences: Vec<String> =
        wrong.map(|group| format!("The output of {} is wrong: its figures mean nothing.", group.name)).collect();
    let ended = |state| figures.records.iter().filter(move |record| record.state == state);
    for (state, words) in [(RunState::Failed, "failed"), (RunState::Interrupted, "was interrupted")] {
        sentences.extend(ended(state).map(|record| format!("Run {} {words}.", record.id)));
    }
    (!sentences.is_empty()).then(|| Block::Verdict(Tone::Error, "Not all is well.".into(), sentences))
}

fn estimates(figures: &Figures) -> Option<Block> {
    let others = figures.groups.iter().filter(|group| group.origin() != Origin::Measured).count();
    (others > 0).then(|| {
        let words = format!(
            "{others} of {} sets of figures were estimated or imported: they are labelled.",
            figures.groups.len()
        );
        Block::Verdict(Tone::Info, "Not all is measured.".into(), vec![words])
    })
}

/// The configuration with the highest rate of each phase, engine, shape and machine.
fn headline(figures: &Figures) -> Table {
    let several = figures.machines.len() > 1;
    let mut columns = vec![("phase", Align::Left), ("engine", Align::Left), ("configuration", Align::Left)];
    columns.extend([("time", Align::Right), ("GiB/h", Align::Right), ("95 % interval", Align::Right)]);
    columns.extend(several.then_some(("machine", Align::Left)));
    let mut table = Table::new("The best of each phase and engine", columns);
    let counted = figures.groups.iter().filter(|group| !group.is_twin());
    for (_, groups) in by_key(counted, |g| (g.phase(), g.engine(), g.shape(), g.machine, g.origin().name())) {
        let Some(group) = best(&groups) else { continue };
        let configuration = match group.sectors() {
            1 => group.layout(),
            n => format!("{}, {n} sectors", group.layout()),
        };
        let mut row = vec![group.phase().to_string(), group.engine().to_string(), configuration];
        row.extend([group.time_text(), group.rate_text(), group.rate_interval_text()]);
        row.extend(several.then(|| letter(group.machine)));
        table.row(row.into_iter().map(Into::into));
    }
    table
}
