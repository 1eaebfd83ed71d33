//! A Compose file that somebody wrote by hand, as instances: its cpusets, mounts and memory limits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::container::Bind;
use super::site::Own;
use crate::error::Stop;
use crate::host::{HostInfo, cores, sys};
use crate::scale::compose::{self, Service, Source};
use crate::trial::record::{Finding, Severity};

/// Where the linked crates look for parameters: nothing else belongs there.
const PARAMETERS: &str = "filecoin-proof-parameters";

/// What is taken over.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// The instances' cores.
    pub core_sets: Vec<Vec<usize>>,
    /// What each sees and may use.
    pub own: Vec<Own>,
    /// A directory for sectors that every service mounts and may write, the one with the most room; `None` if there is none.
    pub storage: Option<PathBuf>,
    /// What is wrong with the file, on this machine.
    pub findings: Vec<Finding>,
}

/// Reads a Compose file.
pub fn take_over(path: &Path) -> anyhow::Result<Takeover> {
    let old = compose::read(path)?;
    let allowed = sys::allowed_cores()?;
    let mut findings = old.findings;
    findings.extend(compose::judge(&old.services, &HostInfo::capture().topology));
    let mut core_sets = Vec::new();
    for service in &old.services {
        if service.cpus_unclear {
            return Err(Stop::Usage.error(format!(
                "{}: the cpuset of service '{}' is not understood ({}): write its CPUs like 0-7,16",
                path.display(),
                service.name.escape_debug(),
                findings.iter().map(|finding| &*finding.text).find(|text| text.contains("cpuset")).unwrap_or_default()
            )));
        }
        let set = service.cpus.clone().unwrap_or_else(|| allowed.clone());
        let outside: Vec<usize> = set.iter().copied().filter(|core| !allowed.contains(core)).collect();
        if !outside.is_empty() {
            return Err(Stop::Usage.error(format!(
                "{}: the cpuset of service '{}' has CPUs {} which this machine does not have or sealbench may not use: it may use {}",
                path.display(),
                service.name.escape_debug(),
                cores::format_list(&outside),
                cores::format_list(&allowed)
            )));
        }
        core_sets.push(set);
    }
    let own: Vec<Own> = old.services.iter().map(|service| own(service, &mut findings)).collect();
    Ok(Takeover { core_sets, storage: storage(&own), own, findings })
}

fn own(service: &Service, findings: &mut Vec<Finding>) -> Own {
    let mut binds = Vec::new();
    for mount in &service.mounts {
        let target = PathBuf::from(&mount.target);
        match &mount.source {
            Source::Bind(source) if Path::new(source).exists() => {
                binds.push(Bind { source: source.into(), target, read_only: mount.read_only });
            }
            Source::Bind(source) => findings.push(left_out(service, &format!("there is no {source} here"))),
            Source::Volume(_) | Source::Tmpfs => {
                findings.push(left_out(service, &format!("what is at {} is no path of the machine", mount.target)));
            }
        }
    }
    Own { binds, memory_bytes: service.memory_bytes }
}

fn left_out(service: &Service, why: &str) -> Finding {
    let text = format!("service '{}': a mount is left out: {why}", service.name.escape_debug());
    Finding::new("mount-left-out", Severity::Warning, text)
}

fn storage(own: &[Own]) -> Option<PathBuf> {
    let writable = |own: &Own| -> BTreeSet<PathBuf> {
        let fits = |bind: &&Bind| {
            !bind.read_only && bind.source.is_dir() && !bind.source.to_string_lossy().contains(PARAMETERS)
        };
        own.binds.iter().filter(fits).map(|bind| bind.source.clone()).collect()
    };
    let common = own.iter().map(writable).reduce(|a, b| a.intersection(&b).cloned().collect())?;
    common.into_iter().max_by_key(|dir| sys::free_bytes(dir).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_kind_of_file_gives_cores_mounts_and_a_place_for_sectors() {
        let dir = tempfile::tempdir().unwrap();
        let storage = dir.path().join("storage");
        std::fs::create_dir(&storage).unwrap();
        let parameters = dir.path().join(PARAMETERS);
        std::fs::create_dir(&parameters).unwrap();
        let service = |name: &str, cpus: &str| {
            format!(
                "    {name}:\n        image: test\n        cpuset: '{cpus}'\n        network_mode: \"host\"\n        privileged: true\n        \
                 volumes:\n            - {0}/:{0}/\n            - {1}/:{1}/\n            - /nowhere/at/all/:/x/\n        command: tail -f /dev/null\n",
                storage.display(),
                parameters.display()
            )
        };
        let first = sys::allowed_cores().unwrap()[0];
        let path = dir.path().join("p2.yml");
        let text = format!(
            "version: \"2\"\nservices:\n{}{}",
            service("bench1", &first.to_string()),
            service("bench2", &first.to_string())
        );
        std::fs::write(&path, text).unwrap();
        let taken = take_over(&path).unwrap();
        assert_eq!(taken.core_sets, [[first], [first]]);
        assert_eq!(taken.storage.as_deref().map(|dir| dir.file_name().unwrap().to_owned()), Some("storage".into()));
        assert_eq!(taken.own[0].binds.len(), 2);
        let codes: BTreeSet<&str> = taken.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains("cpuset-shared") && codes.contains("mount-left-out"), "{codes:?}");

        for unclear in ["${NO_SUCH_CPUS}", "0-x", "[0, 1]"] {
            std::fs::write(&path, format!("services:\n  a:\n    cpuset: {unclear}\n")).unwrap();
            let error = take_over(&path).unwrap_err();
            assert!(format!("{error}").contains("service 'a' is not understood"), "{unclear}: {error}");
        }
        std::fs::write(&path, "services:\n  a:\n    cpuset: '0-8000'\n").unwrap();
        let error = take_over(&path).unwrap_err();
        assert!(format!("{error}").contains("service 'a'") && format!("{error}").contains("8000"), "{error}");
    }
}
