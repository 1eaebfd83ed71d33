//! Whether a point's figures may be reported: the run rules over all of its trials, as if they were the repeats of one run.

use crate::measure::rules::{self, Subject};
use crate::measure::stats;
use crate::trial::record::{Finding, PhaseRecord, Record, RunState, Severity, Validity};

/// The verdict on a point from the records of its trials, oldest first; `None` without a record.
pub fn of_point(records: &[Record]) -> Option<Validity> {
    let newest = records.last()?;
    let complete = records.iter().filter(|record| record.state == RunState::Complete);
    let mut phases: Vec<PhaseRecord> = Vec::new();
    for record in complete {
        let first = phases.iter().map(|phase| phase.repeat + 1).max().unwrap_or(0);
        let repeats = record.phases.iter().map(|phase| PhaseRecord { repeat: first + phase.repeat, ..phase.clone() });
        phases.extend(repeats);
    }
    let mut findings: Vec<Finding> = Vec::new();
    for finding in records.iter().flat_map(|record| &record.validity.findings) {
        // What was told of each trial alone is told of all of them below.
        if finding.severity == Severity::Error && findings.iter().all(|known| known.code != finding.code) {
            findings.push(finding.clone());
        }
    }
    let subject = Subject {
        phases: &phases,
        summary: &stats::summarize(&phases),
        host: &newest.host,
        build: &newest.build,
        timer: newest.timer,
        pages: newest.spec.resolved.native.pages,
        failed_runs: records.iter().filter(|record| record.state == RunState::Failed).count() as u32,
        in_use: &[],
        shared: false,
        found: &findings,
        reportable: true,
    };
    let broken = rules::check(&subject);
    findings.extend(broken);
    findings.extend(in_use(records));
    let rules = rules::checked(true).into_iter().map(str::to_string).collect();
    Some(Validity { reportable: rules::all_hold(&findings), rules, findings })
}

const IN_USE: &str = "cores-in-use";

/// Another run on the same cores during any trial: only the trials themselves could see it.
fn in_use(records: &[Record]) -> Option<Finding> {
    let seen = records.iter().flat_map(|record| &record.validity.findings).find(|finding| finding.code == IN_USE);
    seen.map(|finding| Finding { severity: Severity::Error, ..finding.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn trials_are_judged_as_the_repeats_of_one_run() {
        let record = |wall_s: f64| {
            let mut record = sample::record("run-a");
            record.phases.truncate(1);
            record.phases[0].wall_s = wall_s;
            record.validity.findings.clear();
            record
        };
        let codes = |records: &[Record]| -> Vec<String> {
            of_point(records).unwrap().findings.into_iter().map(|finding| finding.code).collect()
        };
        let close: Vec<Record> = (0..10).map(|round| record(50.0 + 0.01 * f64::from(round))).collect();
        assert!(!codes(&close).contains(&"too-few-repeats".to_string()), "{:?}", codes(&close));
        assert!(codes(&close[..9]).contains(&"too-few-repeats".to_string()));
        let apart: Vec<Record> = (0..10).map(|round| record(50.0 + f64::from(round))).collect();
        assert!(codes(&apart).contains(&"spread-too-wide".to_string()));
        let mut disturbed = close.clone();
        disturbed[3].validity.findings.push(Finding::new(IN_USE, Severity::Warning, "process 7"));
        let validity = of_point(&disturbed).unwrap();
        assert!(!validity.reportable && validity.findings.iter().any(|finding| finding.code == IN_USE));
        assert_eq!(of_point(&[]), None);
    }
}
