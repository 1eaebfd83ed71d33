//! Rules about what ran, where, and beside whom.

use super::{Subject, name, of_several};
use crate::host::cores;
use crate::phase::Engine;
use crate::trial::record::Origin;

pub(super) fn mock(subject: &Subject<'_>) -> Option<String> {
    let phase = subject.phases.iter().find(|phase| phase.engine == Engine::Mock)?;
    Some(format!("{}: the mock engine seals nothing", name(phase)))
}

pub(super) fn not_measured(subject: &Subject<'_>) -> Option<String> {
    let phase = subject.phases.iter().find(|phase| phase.origin != Origin::Measured)?;
    Some(format!("{}: its figures are {}", name(phase), phase.origin.name()))
}

pub(super) fn unverified(subject: &Subject<'_>) -> Option<String> {
    let unsure: Vec<_> = subject.phases.iter().filter(|phase| phase.verified.ok != Some(true)).collect();
    let phase = unsure.iter().find(|phase| phase.verified.ok.is_some()).or(unsure.first())?;
    let verdict = if phase.verified.ok.is_some() { "is wrong" } else { "was not checked" };
    Some(format!("{}: its output {verdict}{}", name(phase), of_several(unsure.len(), "phases")))
}

pub(super) fn debug_build(subject: &Subject<'_>) -> Option<String> {
    let build = subject.build;
    let assertions = if build.debug_assertions { " with debug assertions" } else { "" };
    (build.debug_assertions || build.profile != "release")
        .then(|| format!("this is a {} build{assertions}", build.profile))
}

pub(super) fn dirty_build(subject: &Subject<'_>) -> Option<String> {
    let revision = subject.build.git_revision.as_deref().unwrap_or("its revision");
    (subject.build.git_dirty == Some(true)).then(|| format!("the source of this binary differed from {revision}"))
}

pub(super) fn virtual_machine(subject: &Subject<'_>) -> Option<String> {
    let host = &subject.host.virtualisation;
    let by = host.hypervisor.as_deref().map(|by| format!(" ({by})")).unwrap_or_default();
    (host.virtual_machine == Some(true)).then(|| format!("this is a virtual machine{by}"))
}

pub(super) fn in_use(subject: &Subject<'_>) -> Option<String> {
    let others = subject.in_use.iter().map(|other| {
        let who = other.pid.map_or_else(|| "one that does not show itself".to_string(), |pid| format!("process {pid}"));
        format!("{} by {who}", cores::format_list(&other.cores))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| format!("other runs of sealbench hold cores: {}", others.join(", ")))
}

pub(super) fn shared(subject: &Subject<'_>) -> Option<String> {
    subject.shared.then(|| "instances of this run share cores".to_string())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::host::core_lock::InUse;

    /// The codes of a good run after a change.
    fn after(change: impl FnOnce(&mut Case)) -> Vec<String> {
        let mut case = Case::good();
        change(&mut case);
        case.codes()
    }

    #[test]
    fn every_output_must_be_checked_and_right() {
        assert_eq!(after(|case| case.phases[3].verified.ok = None), ["unverified"]);
        let mut case = Case::good();
        (case.phases[3].verified.ok, case.phases[5].verified.ok) = (None, Some(false));
        let text = &case.findings()[0].text;
        assert!(text.starts_with("p1 of native, repeat 5: its output is wrong (the worst of 2 phases): run"), "{text}");
    }

    #[test]
    fn only_what_was_measured_is_reported() {
        assert_eq!(after(|case| case.phases[3].origin = Origin::Imported), ["estimated-or-imported"]);
        assert_eq!(after(|case| case.phases[3].origin = Origin::Estimated), ["estimated-or-imported"]);
        assert_eq!(after(|case| case.phases.iter_mut().for_each(|phase| phase.engine = Engine::Mock)), ["mock-engine"]);
    }

    #[test]
    fn builds_must_be_releases_of_a_known_source() {
        assert_eq!(after(|case| case.build.debug_assertions = true), ["debug-build"]);
        assert_eq!(after(|case| case.build.profile = "debug".into()), ["debug-build"]);
        assert_eq!(after(|case| case.build.git_dirty = Some(true)), ["dirty-build"]);
        assert_eq!(after(|case| case.build.git_dirty = None), [""; 0], "built from an archive");
    }

    #[test]
    fn a_virtual_machine_is_named() {
        let mut case = Case::good();
        case.host.virtualisation.virtual_machine = Some(true);
        case.host.virtualisation.hypervisor = Some("KVM".into());
        assert!(case.findings()[0].text.starts_with("this is a virtual machine (KVM): measure"));
        assert_eq!(after(|case| case.host.virtualisation.virtual_machine = None), [""; 0]);
    }

    #[test]
    fn cores_of_others_are_listed_with_who_holds_them() {
        let mut case = Case::good();
        case.in_use = vec![InUse { cores: vec![0, 1], pid: Some(77) }, InUse { cores: vec![5], pid: None }];
        let findings = case.findings();
        assert_eq!(findings[0].code, "cores-in-use");
        let text = &findings[0].text;
        assert!(text.contains("0-1 by process 77, 5 by one that does not show itself: wait"), "{text}");
        assert_eq!(after(|case| case.shared = true), ["cores-shared"]);
    }
}
