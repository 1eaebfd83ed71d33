//! What a reader must know before believing the ratios.

use std::collections::BTreeSet;

use super::groups::{Group, Key};
use super::{Row, Side, disclosure, list};
use crate::trial::record::{Origin, RunState, Severity};

/// All warnings of a comparison.
pub fn warnings(
    a: &Side,
    b: &Side,
    groups: (&[Group], &[Group]),
    pairs: &[(&Group, &Group)],
    rows: &[Row],
) -> Vec<String> {
    let mut warnings = side_warnings(a, "A");
    warnings.extend(side_warnings(b, "B"));
    warnings.extend(pair_warnings(a, b, pairs, rows));
    warnings.extend(unpaired(groups.0, groups.1, pairs));
    warnings
}

fn side_warnings(side: &Side, name: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let records = || side.records.iter();
    let phases = || records().flat_map(|record| &record.phases);
    let unfinished = records().filter(|record| record.state != RunState::Complete).count();
    if unfinished > 0 {
        warnings.push(format!("{name}: {unfinished} of {} runs did not complete", side.records.len()));
    }
    let wrong = phases().filter(|phase| phase.verified.ok == Some(false)).count();
    if wrong > 0 {
        warnings.push(format!("{name}: {wrong} outputs are wrong: their times mean nothing"));
    }
    if phases().any(|phase| phase.origin != Origin::Measured) {
        warnings.push(format!("{name}: some figures were not measured here but imported or estimated"));
    }
    let errors: BTreeSet<&str> = records()
        .flat_map(|record| &record.validity.findings)
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.code.as_str())
        .collect();
    if !errors.is_empty() {
        warnings.push(format!(
            "{name}: findings speak against its figures: {}",
            list(errors.into_iter().map(String::from))
        ));
    }
    let points: BTreeSet<&str> =
        records().filter_map(|record| record.sweep.as_ref()).map(|sweep| sweep.point.as_str()).collect();
    if points.len() > 1 || disclosure::mixed_settings(&side.records) {
        warnings.push(format!("{name} pools runs with different settings; what differs is listed with '|'"));
    }
    warnings
}

fn pair_warnings(a: &Side, b: &Side, pairs: &[(&Group, &Group)], rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    let seeds = |side: &Side| -> BTreeSet<String> {
        side.records
            .iter()
            .map(|record| record.seed.map_or_else(|| "none".to_string(), |seed| seed.to_string()))
            .collect()
    };
    if seeds(a) != seeds(b) {
        warnings.push("the seeds differ: the sectors hold different data".to_string());
    }
    let shapes = |side: &Side| -> BTreeSet<String> {
        side.records.iter().map(|record| record.spec.resolved.shape.to_string()).collect()
    };
    if shapes(a) != shapes(b) {
        let text = "the shapes differ, though not for the phases compared";
        warnings.push(format!("{text}: {} and {}", list(shapes(a).into_iter()), list(shapes(b).into_iter())));
    }
    if pairs.iter().any(|(a, b)| a.sectors != b.sectors || a.sectors.len() > 1) {
        warnings.push("batches of different sizes: times are per sector".to_string());
    }
    let single: Vec<String> = rows.iter().filter(|row| row.wall_s.n_a.min(row.wall_s.n_b) < 2).map(Row::name).collect();
    if !single.is_empty() {
        let text = "a single sample on a side says nothing about its spread";
        warnings
            .push(format!("{text}, so nothing is told apart: {} (run with --repeats 5 or more)", single.join(", ")));
    }
    warnings
}

fn unpaired(a: &[Group], b: &[Group], pairs: &[(&Group, &Group)]) -> Vec<String> {
    let only = |groups: &[Group], name: &str, used: &dyn Fn(&Key) -> bool| {
        let left: Vec<String> =
            groups.iter().filter(|group| !used(&group.key)).map(|group| group.key.to_string()).collect();
        (!left.is_empty()).then(|| format!("only in {name}: {}", left.join(", ")))
    };
    let in_a = only(a, "A", &|key| pairs.iter().any(|(a, _)| a.key == *key));
    let in_b = only(b, "B", &|key| pairs.iter().any(|(_, b)| b.key == *key));
    in_a.into_iter().chain(in_b).collect()
}
