//! What a process sees of the limits around it: in a container, those of the container.

use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::{BuildInfo, HostInfo, cgroup, cores};

/// Capabilities that a run may ask for, with their numbers (linux/capability.h).
const CAPABILITIES: [(&str, u32); 3] = [("IPC_LOCK", 14), ("SYS_NICE", 23), ("PERFMON", 38)];

/// What this process sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inside {
    /// The machine.
    pub host: HostInfo,
    /// The binary.
    pub build: BuildInfo,
    /// CPUs that it may use.
    pub cpus: Vec<usize>,
    /// NUMA nodes whose memory it may use.
    pub mems: Vec<usize>,
    /// Its group's memory limit, bytes.
    pub memory_max_bytes: Option<u64>,
    /// The most memory its group ever used, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes of its group that the kernel killed for memory.
    pub oom_kills: Option<u64>,
    /// Of the capabilities that matter for measuring, those it has.
    pub capabilities: Vec<String>,
    /// Whether it sees the file that it was asked to look for.
    pub sees_mark: bool,
    /// Whether it may write to that file.
    pub writes_mark: bool,
}

impl Inside {
    /// Looks around, and for a file.
    pub fn capture(mark: &Path) -> Inside {
        let files = Files::machine();
        let status = |key: &str| files.field("/proc/self/status", key);
        let list = |key: &str| status(key).and_then(|list| cores::parse_list(list.trim()).ok()).unwrap_or_default();
        let effective = status("CapEff").and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
        Inside {
            host: HostInfo::capture(),
            build: BuildInfo::capture(),
            cpus: list("Cpus_allowed_list"),
            mems: list("Mems_allowed_list"),
            memory_max_bytes: cgroup::memory_max(&files),
            memory_peak_bytes: cgroup::memory_peak(&files),
            oom_kills: cgroup::oom_kills(&files),
            capabilities: capabilities(effective),
            sees_mark: mark.exists(),
            writes_mark: OpenOptions::new().append(true).open(mark).is_ok(),
        }
    }
}

fn capabilities(effective: u64) -> Vec<String> {
    let has = |&(_, bit): &(&str, u32)| effective >> bit & 1 == 1;
    CAPABILITIES.into_iter().filter(has).map(|(name, _)| name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_cpus_and_the_mark() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inside = Inside::capture(file.path());
        assert!(inside.sees_mark && inside.writes_mark && !inside.cpus.is_empty() && !inside.mems.is_empty());
        let nowhere = Inside::capture(Path::new("/nowhere/at/all"));
        assert!(!nowhere.sees_mark && !nowhere.writes_mark);
    }

    #[test]
    fn capabilities_are_bits() {
        assert_eq!(capabilities(0), Vec::<String>::new());
        assert_eq!(capabilities(1 << 14 | 1 << 38 | 1), ["IPC_LOCK", "PERFMON"]);
    }
}
