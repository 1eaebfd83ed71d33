//! The run rules: what must hold before a figure may be reported. `docs/rules.md` is this table.
//!
//! Everything comes in as values, so a rule can be tried on the figures of any machine. What a machine does not say breaks no rule.

mod load;
mod outliers;
mod repeats;
mod setup;

pub use repeats::{CV_LIMIT, NOISE_LIMIT, repeats_needed, wants_more};

use crate::host::arena::Pages;
use crate::host::core_lock::InUse;
use crate::host::{BuildInfo, HostInfo};
use crate::trial::record::{Finding, PhaseRecord, Severity, Summary, Timer};

/// What the rules are about.
pub struct Subject<'a> {
    /// The phases that ran, all repeats and instances.
    pub phases: &'a [PhaseRecord],
    /// Their statistics.
    pub summary: &'a [Summary],
    /// The machine.
    pub host: &'a HostInfo,
    /// The binary.
    pub build: &'a BuildInfo,
    /// The cost and precision of the clock.
    pub timer: Timer,
    /// Pages that the native p1 was told to use.
    pub pages: Pages,
    /// Repeats that failed or died.
    pub failed_runs: u32,
    /// Cores that other runs held when this one began.
    pub in_use: &'a [InUse],
    /// Whether instances of this run share cores.
    pub shared: bool,
    /// What was found already: a rule whose code is there is not told again.
    pub found: &'a [Finding],
    /// Whether the figures are to be reported: then every rule is checked and a broken one is an error.
    pub reportable: bool,
}

/// When a rule is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// In every run: it says that something disturbed what was measured.
    Disturbance,
    /// Only where figures are to be reported: it asks for a protocol that a quick look need not follow.
    Protocol,
}

/// A run rule.
pub struct Rule {
    /// The stable code of its finding.
    pub code: &'static str,
    /// When it is checked.
    pub group: Group,
    /// How much a broken one matters where figures are not to be reported.
    pub severity: Severity,
    /// When it is broken.
    pub limit: &'static str,
    /// Why it is there.
    pub why: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// What broke it.
    check: fn(&Subject<'_>) -> Option<String>,
}

/// A rule as the table below writes it.
const fn rule(
    code: &'static str,
    group: Group,
    severity: Severity,
    check: fn(&Subject<'_>) -> Option<String>,
    [limit, why, advice]: [&'static str; 3],
) -> Rule {
    Rule { code, group, severity, limit, why, advice, check }
}

use Group::{Disturbance, Protocol};
use Severity::{Error, Warning};

/// All rules, in the order in which they are told.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule("mock-engine", Disturbance, Error, setup::mock, [
        "the mock engine ran a phase",
        "its times come from a script",
        "measure with --engine native or reference",
    ]),
    rule("estimated-or-imported", Protocol, Warning, setup::not_measured, [
        "a figure is extrapolated, modelled or another tool's",
        "only what was measured here has a spread, counters and a check",
        "measure it",
    ]),
    rule("unverified", Protocol, Warning, setup::unverified, [
        "a phase's output was not checked, or is wrong",
        "a wrong result can be had in any time",
        "run the phases up to c1, or --engine both, so that every output is checked",
    ]),
    rule("debug-build", Protocol, Warning, setup::debug_build, [
        "the binary is no release build, or has debug assertions",
        "the compiler left the code slow",
        "build with cargo build --release",
    ]),
    rule("dirty-build", Protocol, Warning, setup::dirty_build, [
        "the source differed from its revision",
        "nobody can build this binary again",
        "commit, then build",
    ]),
    rule("virtual-machine", Protocol, Warning, setup::virtual_machine, [
        "the CPU says that a hypervisor runs it",
        "neighbours share caches and memory, and the hypervisor hides how much",
        "measure on the bare machine",
    ]),
    rule("failed-runs", Protocol, Warning, repeats::failed, [
        "more than one repeat failed",
        "what makes runs fail may slow the others",
        "find the cause in run.log, then repeat all",
    ]),
    rule("too-few-repeats", Protocol, Warning, repeats::too_few, [
        "fewer than 3 repeats of more than 30 min, 5 of more than 1 min, 10 of less (by the median)",
        "the spread of a few samples says little",
        "raise --repeats",
    ]),
    rule("spread-too-wide", Protocol, Warning, repeats::spread, [
        "coefficient of variation above 3.5 %",
        "differences of a few per cent would be chance",
        "look at the outliers and disturbances, remove their cause, and repeat",
    ]),
    rule("noise", Protocol, Warning, repeats::noise, [
        "the medians of even and odd repeats are more than 3.5 % apart",
        "the run differs from itself by that much",
        "let the machine warm up and settle, remove other load, and repeat",
    ]),
    rule("too-short", Protocol, Warning, load::too_short, [
        "wall time below 100 times the clock's resolution",
        "the clock's steps are a part of the figure",
        "take a larger sector, or more of them",
    ]),
    rule("cores-in-use", Disturbance, Warning, setup::in_use, [
        "another sealbench holds one of the cores",
        "both take time from each other",
        "wait for it, or choose other cores",
    ]),
    rule("cores-shared", Disturbance, Error, setup::shared, [
        "instances of this run share cores",
        "each waits for the others",
        "leave out --share-cores and give each its own",
    ]),
    rule("affinity-not-honoured", Disturbance, Error, load::affinity, [
        "a thread was seen on a core outside the phase's set",
        "the figure is not one of these cores",
        "see who changes affinities (taskset, cpuset, a scheduler) and stop it",
    ]),
    rule("other-load", Disturbance, Warning, load::other_load, [
        "others used more than 2 % of the phase's cores",
        "their time and the caches they emptied are in the figure",
        "stop other programs, or keep them off these cores (isolcpus, cpuset)",
    ]),
    rule("steal", Disturbance, Warning, load::steal, [
        "the hypervisor gave more than 0.5 % of the machine's CPU time to others",
        "the phase waited for its cores",
        "reserve the CPUs of this virtual machine, or measure on the bare one",
    ]),
    rule("throttled", Disturbance, Warning, load::throttled, [
        "a CPU was throttled for heat or power",
        "the figure is one of the cooling",
        "improve cooling or raise the power limit, then repeat",
    ]),
    rule("clock-drop", Disturbance, Warning, load::clock_drop, [
        "a core's clock was more than 5 % lower after the phase than before, or differs by more between repeats",
        "the work ran at several speeds",
        "fix the governor (performance) or the frequency, check the cooling, and repeat",
    ]),
    rule("swapping", Disturbance, Warning, load::swapping, [
        "pages went to or came from swap, or there is swap and no count of it",
        "memory that waits for storage is no memory",
        "switch swap off (swapoff -a), or run fewer instances",
    ]),
    rule("major-faults", Disturbance, Warning, load::major_faults, [
        "more than 10 page faults a second (10 in a shorter phase) read from storage",
        "the phase waited for files that fell out of memory",
        "leave more memory free, or run twice and take the second",
    ]),
    rule("pages-not-as-asked", Disturbance, Warning, load::pages, [
        "the native p1 lay on other pages than --pages says, or its repeats on different ones",
        "labels that miss the caches then also miss the TLB, or do so in some repeats only",
        "reserve huge pages for all repeats and instances, and name them with --pages",
    ]),
    rule("numa-misses", Disturbance, Warning, load::numa_misses, [
        "pages from another NUMA node than wanted came to more than 1 % of the phase's peak memory",
        "remote memory is slower",
        "free memory of the node (drop its page cache), or use cores of one that has enough",
    ]),
    rule("clock-stepped", Disturbance, Warning, load::clock_stepped, [
        "the clock of the day was stepped by more than 10 ms",
        "start times and logs cannot be matched with others",
        "let NTP settle before measuring",
    ]),
    rule("resumed-phases", Disturbance, Warning, elsewhere, [
        "phases of an earlier run are in the record",
        "machine and build may have been others",
        "run all phases in one run",
    ]),
    rule("resumed-layers", Disturbance, Warning, elsewhere, [
        "p1 continued after layers of an earlier run",
        "its times are those of the rest",
        "run p1 from its beginning",
    ]),
];

/// For rules that are found where they are broken, which [`Subject::found`] tells.
fn elsewhere(_: &Subject<'_>) -> Option<String> {
    None
}

/// Checks the rules, those of [`Group::Protocol`] only where figures are to be reported, and looks for outliers.
pub fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let told = |rule: &Rule| subject.found.iter().any(|finding| finding.code == rule.code);
    let due = RULES.iter().filter(|rule| is_due(rule, subject.reportable) && !told(rule));
    let broken = due.filter_map(|rule| {
        let severity = if subject.reportable { Severity::Error } else { rule.severity };
        (rule.check)(subject).map(|what| Finding::new(rule.code, severity, format!("{what}: {}", rule.advice)))
    });
    broken.chain(outliers::find(subject.phases)).collect()
}

/// The codes of the rules that [`check`] checks.
pub fn checked(reportable: bool) -> Vec<&'static str> {
    RULES.iter().filter(|rule| is_due(rule, reportable)).map(|rule| rule.code).collect()
}

fn is_due(rule: &Rule, reportable: bool) -> bool {
    reportable || rule.group == Group::Disturbance
}

/// Whether figures with these findings may be reported, if every rule was checked: none is broken, and nothing else is an error.
pub fn all_hold(findings: &[Finding]) -> bool {
    let breaks = |finding: &Finding| RULES.iter().any(|rule| rule.code == finding.code);
    !findings.iter().any(|finding| finding.severity == Severity::Error || breaks(finding))
}

/// The phase with the largest excess over its limit, in words. `value` gives what was measured and the most that is allowed.
fn worst(
    phases: &[PhaseRecord],
    value: impl Fn(&PhaseRecord) -> Option<(f64, f64)>,
    words: impl Fn(&PhaseRecord, f64) -> String,
) -> Option<String> {
    let measured = phases.iter().filter_map(|phase| value(phase).map(|(value, limit)| (phase, value, value - limit)));
    let over: Vec<_> = measured.filter(|&(_, _, excess)| excess > 0.0).collect();
    let (phase, value, _) = over.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
    Some(format!("{}: {}{}", name(phase), words(phase, *value), of_several(over.len(), "phases")))
}

/// How many others there are like the one that was named.
fn of_several(count: usize, what: &str) -> String {
    if count > 1 { format!(" (the worst of {count} {what})") } else { String::new() }
}

/// Which execution of a phase this was.
fn name(phase: &PhaseRecord) -> String {
    let instance = if phase.concurrent > 1 { format!(", instance {}", phase.instance) } else { String::new() };
    format!("{} of {}, repeat {}{instance}", phase.phase, phase.engine, phase.repeat)
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", 100.0 * ratio)
}

/// The phases in groups of one key, in the order in which the keys first appear.
fn groups<K: PartialEq>(phases: &[PhaseRecord], key: impl Fn(&PhaseRecord) -> K) -> Vec<(K, Vec<&PhaseRecord>)> {
    let mut groups: Vec<(K, Vec<&PhaseRecord>)> = Vec::new();
    for phase in phases {
        let key = key(phase);
        match groups.iter_mut().find(|group| group.0 == key) {
            Some(group) => group.1.push(phase),
            None => groups.push((key, vec![phase])),
        }
    }
    groups
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::testing::Case;
    use super::*;

    #[test]
    fn codes_are_unique_and_words_are_there() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(RULES[..index].iter().all(|other| other.code != rule.code), "{}", rule.code);
            for text in [rule.limit, rule.why, rule.advice] {
                assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('|'), "{}: {text}", rule.code);
            }
        }
    }

    #[test]
    fn the_page_about_the_rules_is_their_table() {
        let page = include_str!("../../docs/rules.md");
        let when = |rule: &Rule| if rule.group == Group::Disturbance { "always" } else { "`--reportable`" };
        let row = |rule: &Rule| {
            format!("| `{}` | {} | {} | {} | {} |", rule.code, when(rule), rule.limit, rule.why, rule.advice)
        };
        let expected: Vec<String> = RULES.iter().map(row).collect();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows, expected, "docs/rules.md must have these rows:\n{}\n", expected.join("\n"));
    }

    #[test]
    fn an_undisturbed_protocol_breaks_no_rule() {
        let case = Case::good();
        assert_eq!(case.findings(), []);
        assert!(all_hold(&case.findings()));
    }

    #[test]
    fn a_quick_look_is_judged_by_its_disturbances_alone() {
        let mut case = Case::good();
        case.phases.truncate(1);
        case.build.profile = "debug".into();
        case.phases[0].counters.steal_ratio = Some(0.01);
        let findings = case.quick().findings();
        assert_eq!(findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["steal"]);
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(case.strict().codes(), ["debug-build", "too-few-repeats", "steal"]);
        assert!(case.findings().iter().all(|finding| finding.severity == Severity::Error));
        assert!(checked(true).len() == RULES.len() && !checked(false).contains(&"debug-build"));
    }

    #[test]
    fn what_is_found_already_is_not_told_again_and_still_breaks_the_rule() {
        let mut case = Case::good();
        case.shared = true;
        assert_eq!(case.codes(), ["cores-shared"]);
        case.found = vec![Finding::new("cores-shared", Severity::Error, "as asked")];
        assert_eq!(case.codes(), [""; 0]);
        assert!(!all_hold(&case.found));
    }

    #[test]
    fn errors_and_broken_rules_keep_figures_from_being_reported() {
        let of = |code, severity| all_hold(&[Finding::new(code, severity, "")]);
        assert!(of("counters-unavailable", Severity::Info) && of("l3-split", Severity::Warning));
        assert!(!of("output-mismatch", Severity::Error));
        assert!(!of("resumed-phases", Severity::Warning));
    }

    #[test]
    fn a_finding_says_which_phase_what_and_what_to_do() {
        let mut case = Case::good();
        for repeat in [3, 7] {
            case.phases[repeat].counters.steal_ratio = Some(0.01 * repeat as f64);
        }
        let text = &case.findings()[0].text;
        let expected = "p1 of native, repeat 7: the hypervisor gave 7.0 % of the CPU time to others (the worst of 2 phases): reserve";
        assert!(text.starts_with(expected), "{text}");
    }
}
