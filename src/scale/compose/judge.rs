//! What is wrong with services that somebody cut a machine into.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Service, Source};
use crate::host::core_sets::{self, Placement};
use crate::host::{Topology, cores};
use crate::trial::record::{Finding, Severity};

/// Where programs put temporary files unless they are told another place.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What a reader of the services must know, on a machine of this topology.
pub fn judge(services: &[Service], topology: &Topology) -> Vec<Finding> {
    let mut findings = shared(services, topology);
    let here: Vec<usize> = topology.core_groups.iter().flatten().flatten().copied().collect();
    for service in services {
        let of = |(code, severity, what): (&str, Severity, String)| {
            Finding::new(code, severity, format!("service '{}': {what}", service.name.escape_debug()))
        };
        findings.extend(cpuset(service, topology, &here).into_iter().map(of));
        findings.extend(confinement(service, services.len()).into_iter().map(of));
        findings.extend(temporary(service).map(of));
    }
    findings
}

/// Cores that several services use, once for each set of services.
fn shared(services: &[Service], topology: &Topology) -> Vec<Finding> {
    let mut core_of: BTreeMap<usize, usize> = BTreeMap::new();
    for core in topology.core_groups.iter().flatten() {
        core_of.extend(core.iter().map(|cpu| (*cpu, core[0])));
    }
    // By core: the services that use it, and the CPUs by which they do.
    let mut users: BTreeMap<usize, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
    for (number, service) in services.iter().enumerate() {
        for &cpu in service.cpus.iter().flatten() {
            let (services, cpus) = users.entry(*core_of.get(&cpu).unwrap_or(&cpu)).or_default();
            services.insert(number);
            cpus.insert(cpu);
        }
    }
    let mut by_services: BTreeMap<BTreeSet<usize>, BTreeSet<usize>> = BTreeMap::new();
    for (services, cpus) in users.into_values().filter(|(services, _)| services.len() > 1) {
        by_services.entry(services).or_default().extend(cpus);
    }
    let finding = |(numbers, cpus): (BTreeSet<usize>, BTreeSet<usize>)| {
        let names: Vec<String> =
            numbers.iter().map(|number| format!("'{}'", services[*number].name.escape_debug())).collect();
        let cpus = cores::format_list(&cpus.into_iter().collect::<Vec<_>>());
        let text = format!(
            "services {} share the cores of CPUs {cpus}: each waits for the others; give each its own",
            names.join(" and ")
        );
        Finding::new("cpuset-shared", Severity::Warning, text)
    };
    by_services.into_iter().map(finding).collect()
}

type What = (&'static str, Severity, String);

/// A cpuset that is not of this machine, or takes a part of a cache.
fn cpuset(service: &Service, topology: &Topology, here: &[usize]) -> Vec<What> {
    let Some(cpus) = service.cpus.as_ref().filter(|_| !here.is_empty()) else { return Vec::new() };
    let list = cores::format_list(cpus);
    let absent: Vec<usize> = cpus.iter().copied().filter(|cpu| !here.contains(cpu)).collect();
    if !absent.is_empty() {
        let what = format!("this machine has no CPU {} of its cpuset {list}", cores::format_list(&absent));
        return vec![("cpuset-outside", Severity::Error, what)];
    }
    let anything = Placement { share: true, split_l3: true, smt: true };
    let found = core_sets::check(topology, here, std::slice::from_ref(cpus), &anything).unwrap_or_default();
    let what = |finding: Finding| match finding.code.as_str() {
        "l3-split" => Some((
            "cpuset-splits-l3",
            Severity::Warning,
            format!(
                "its cpuset {list} takes a part of an L3 group and more than that: what others do there slows it down"
            ),
        )),
        "numa-split" => Some((
            "cpuset-splits-numa",
            Severity::Warning,
            format!("its cpuset {list} lies on several NUMA nodes where one could hold it: its memory is far away"),
        )),
        _ => None,
    };
    found.into_iter().filter_map(what).collect()
}

/// What lets a container out, or others in.
fn confinement(service: &Service, all: usize) -> Vec<What> {
    let mut found = Vec::new();
    if service.privileged {
        let what = "privileged lets it do everything on the machine: sealbench needs no such thing; mount what it may use instead";
        found.push(("privileged", Severity::Warning, what.to_string()));
    }
    if service.network_mode.as_deref() == Some("host") {
        let what = "network_mode host gives it the machine's name and ports, so nobody in it can tell which container it is: sealing needs no \
                    network";
        found.push(("network-host", Severity::Warning, what.to_string()));
    }
    if service.cpus.is_none() && all > 1 {
        let what = "it has no cpuset: it runs on the cores of all others";
        found.push(("no-cpuset", Severity::Warning, what.to_string()));
    }
    found
}

/// Temporary files that would land in the container's own layer on the machine's root disk.
fn temporary(service: &Service) -> Option<What> {
    let is_mounted = |dir: &&str| {
        let above = service.mounts.iter().filter(|mount| Path::new(dir).starts_with(&mount.target));
        // The mount that is nearest counts.
        above.max_by_key(|mount| Path::new(&mount.target).components().count()).is_some_and(|mount| !mount.read_only)
    };
    let told = service.environment.iter().find(|(name, _)| name == "TMPDIR").map(|(_, dir)| dir.as_str());
    let told = told.map(|dir| service.working_dir.as_deref().map_or(dir.into(), |here| Path::new(here).join(dir)));
    let told = told.as_ref().and_then(|dir| dir.to_str());
    let dirs: Vec<&str> = told.map_or(TEMPORARY.to_vec(), |dir| vec![dir]);
    let in_memory = |dir: &&str| {
        let here = |target: &str| Path::new(dir).starts_with(target);
        service.mounts.iter().any(|mount| mount.source == Source::Tmpfs && here(&mount.target))
    };
    let left: Vec<&str> = dirs.iter().filter(|dir| !is_mounted(dir)).copied().collect();
    if !left.is_empty() {
        let what = format!(
            "{} {} on no mount that it may write to: temporary files, 32 GiB of a sector and more, land on the machine's root disk and stay \
             there; mount a volume there, or set TMPDIR to a directory on one",
            left.join(" and ").escape_debug(),
            if left.len() == 1 { "is" } else { "are" }
        );
        return Some(("tmpdir-not-mounted", Severity::Warning, what));
    }
    dirs.iter().find(|dir| in_memory(dir)).map(|dir| {
        let what = format!(
            "{} is in memory: temporary files, 32 GiB of a sector and more, count as its memory",
            dir.escape_debug()
        );
        ("tmpdir-in-memory", Severity::Warning, what)
    })
}
