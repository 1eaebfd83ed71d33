//! The sections of a report, one file each: from groups of samples to tables and charts.

mod disclosure;
mod limits;
mod machines;
mod phases;
mod runs;
mod scaling;
mod spans;
mod spread;
mod summary;
mod sweep;
mod validity;

use super::document::{Block, Document, Section};
use super::group::Group;
use super::machines::Machine;
use crate::trial::record::Record;

/// What the sections are made of.
struct Figures<'a> {
    records: &'a [Record],
    machines: Vec<Machine>,
    /// For each record, which of the machines it is of.
    machine_of: Vec<usize>,
    groups: Vec<Group<'a>>,
}

/// The report on records. Sections that have nothing to say are left out.
pub fn document(title: &str, records: &[Record]) -> Document {
    let (machines, machine_of) = super::machines::of(records);
    let groups = Group::of(records, &machine_of);
    let figures = Figures { records, machines, machine_of, groups };
    let sections = [
        ("summary", "Summary", summary::blocks(&figures)),
        ("phases", "Phases", phases::blocks(&figures)),
        ("sweep", "Sweep", sweep::blocks(&figures)),
        ("scaling", "Scaling over cores", scaling::blocks(&figures)),
        ("spans", "Where the time goes", spans::blocks(&figures)),
        ("spread", "Spread of the samples", spread::blocks(&figures)),
        ("limits", "Fraction of the physical limit", limits::blocks(&figures)),
        ("machines", "Machines compared", machines::blocks(&figures)),
        ("validity", "Validity", validity::blocks(&figures)),
        ("disclosure", "Disclosure", disclosure::blocks(&figures)),
        ("runs", "Runs", runs::blocks(&figures)),
    ];
    let present = sections.into_iter().filter(|(_, _, blocks): &(_, _, Vec<Block>)| !blocks.is_empty());
    Document {
        title: title.to_string(),
        sections: present.map(|(id, title, blocks)| Section { id, title, blocks }).collect(),
    }
}

/// Groups with the same key, in the order in which the keys first appear.
fn by_key<'g, 'a, K: PartialEq>(
    groups: impl IntoIterator<Item = &'g Group<'a>>,
    key: impl Fn(&Group<'a>) -> K,
) -> Vec<(K, Vec<&'g Group<'a>>)> {
    let mut sets: Vec<(K, Vec<&Group>)> = Vec::new();
    for group in groups {
        let key = key(group);
        match sets.iter_mut().find(|(known, _)| *known == key) {
            Some((_, set)) => set.push(group),
            None => sets.push((key, vec![group])),
        }
    }
    sets
}

/// The group with the highest rate; the first of several.
fn best<'g, 'a>(groups: &[&'g Group<'a>]) -> Option<&'g Group<'a>> {
    let rated = groups.iter().filter(|group| group.median_rate().is_some());
    rated.copied().reduce(|best, group| if group.median_rate() > best.median_rate() { group } else { best })
}

/// "1 run", "2 runs".
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Block, Cell, Document, Table};
    use super::*;
    use crate::store::sample;

    pub fn section<'d>(document: &'d Document, id: &str) -> Option<&'d Section> {
        document.sections.iter().find(|section| section.id == id)
    }

    /// The texts of the cells of a section's tables, row by row.
    pub fn rows(document: &Document, id: &str) -> Vec<Vec<String>> {
        let tables =
            section(document, id).into_iter().flat_map(|section| &section.blocks).flat_map(|block| match block {
                Block::Table(table) => vec![table],
                Block::Charts(charts) => charts.iter().map(|chart| &chart.data).collect(),
                _ => Vec::new(),
            });
        let texts = |table: &Table| table.rows.iter().map(|row| row.iter().map(text).collect()).collect::<Vec<_>>();
        tables.flat_map(texts).collect()
    }

    fn text(cell: &Cell) -> String {
        match cell {
            Cell::Plain(text) | Cell::Code(text) | Cell::Tag(_, text) => text.clone(),
            Cell::Differing(values) => {
                values.iter().map(|(who, value)| format!("{who}={value}")).collect::<Vec<_>>().join(";")
            }
        }
    }

    #[test]
    fn a_single_run_has_no_section_without_data() {
        let document = document("t", &[sample::record("a")]);
        let ids: Vec<&str> = document.sections.iter().map(|section| section.id).collect();
        assert_eq!(ids, ["summary", "phases", "spans", "limits", "validity", "disclosure", "runs"]);
        assert!(
            rows(&document, "phases").iter().any(|row| row[0] == "p2 reference" && row.contains(&"12.4 s".to_string()))
        );
        assert_eq!(
            rows(&document, "limits")[0][..5],
            ["p1 reference", "label", "sha256 chain", "sha256=sha2raw intrinsics", "81.5 %"]
        );
    }
}
