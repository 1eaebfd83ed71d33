//! The limits of the control groups (version 1 and 2) that this process is in.

use std::path::Path;

use super::files::{Files, bytes_of, field};

/// Version 1's "no limit" is the largest page-aligned number; anything of this size is none.
const UNLIMITED: u64 = 1 << 62;

/// The version of the hierarchy that controls a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The directories of this process's group in one hierarchy: its own first, then its parents up to the mount.
struct Group<'a> {
    files: &'a Files,
    version: Version,
    levels: Vec<String>,
}

impl<'a> Group<'a> {
    /// The group that a controller ("memory", "cpu", "cpuset") of this process is in.
    fn of(files: &'a Files, controller: &str) -> Option<Group<'a>> {
        let membership = files.text("/proc/self/cgroup")?;
        let (version, path) = group_path(&membership, controller)?;
        let mounts = files.text("/proc/self/mountinfo")?;
        let (root, mount) = mounted_at(&mounts, version, controller, path)?;
        let inside = Path::new(path).strip_prefix(root).ok().and_then(Path::to_str).unwrap_or("");
        Some(Group { files, version, levels: levels(&mount, inside) })
    }

    /// The first value that the process's own group or one of its parents gives.
    fn nearest<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.levels.iter().find_map(|dir| read(dir))
    }

    /// The smallest value over the process's group and its parents: every level limits.
    fn tightest<T: PartialOrd>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.levels.iter().filter_map(|dir| read(dir)).min_by(|a, b| a.partial_cmp(b).expect("limits are ordered"))
    }

    fn memory_max(&self, dir: &str) -> Option<u64> {
        let name = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        self.files.number::<u64>(&format!("{dir}/{name}")).filter(|&bytes| bytes < UNLIMITED)
    }

    /// The limit minus what is in use and cannot be reclaimed; file pages can.
    fn memory_available(&self, dir: &str) -> Option<u64> {
        let (usage, active, inactive) = match self.version {
            Version::V1 => ("memory.usage_in_bytes", "total_active_file", "total_inactive_file"),
            Version::V2 => ("memory.current", "active_file", "inactive_file"),
        };
        let used = self.files.number::<u64>(&format!("{dir}/{usage}"))?;
        let stat = self.files.text(&format!("{dir}/memory.stat")).unwrap_or_default();
        let bytes = |key| field(&stat, key).and_then(bytes_of).unwrap_or(0);
        let reclaimable = bytes(active).saturating_add(bytes(inactive));
        Some(self.memory_max(dir)?.saturating_sub(used.saturating_sub(reclaimable)))
    }

    fn memory_peak(&self, dir: &str) -> Option<u64> {
        let name = match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak",
        };
        self.files.number(&format!("{dir}/{name}"))
    }

    fn oom_kills(&self, dir: &str) -> Option<u64> {
        let name = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        field(&self.files.text(&format!("{dir}/{name}"))?, "oom_kill")?.parse().ok()
    }

    fn cpu_quota(&self, dir: &str) -> Option<f64> {
        let (quota, period) = match self.version {
            Version::V1 => {
                let number = |name| self.files.number::<f64>(&format!("{dir}/{name}"));
                (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
            }
            Version::V2 => {
                let text = self.files.text(&format!("{dir}/cpu.max"))?;
                let (quota, period) = text.split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    }
}

/// Most memory the process's group may use, bytes. `None` without a limit.
pub(super) fn memory_max(files: &Files) -> Option<u64> {
    let group = Group::of(files, "memory")?;
    group.tightest(|dir| group.memory_max(dir))
}

/// Memory the process's group can still take before it reaches its limit, bytes. `None` without a limit.
pub(super) fn memory_available(files: &Files) -> Option<u64> {
    let group = Group::of(files, "memory")?;
    group.tightest(|dir| group.memory_available(dir))
}

/// Most memory that the process's group ever used, bytes. `None` where the kernel does not say.
pub(super) fn memory_peak(files: &Files) -> Option<u64> {
    let group = Group::of(files, "memory")?;
    group.nearest(|dir| group.memory_peak(dir))
}

/// Processes of this process's group that the kernel killed for memory. `None` where it does not say.
pub(super) fn oom_kills(files: &Files) -> Option<u64> {
    let group = Group::of(files, "memory")?;
    group.nearest(|dir| group.oom_kills(dir))
}

/// CPU time the process's group may use, in cores. `None` without a limit.
pub(super) fn cpu_quota(files: &Files) -> Option<f64> {
    let group = Group::of(files, "cpu")?;
    group.tightest(|dir| group.cpu_quota(dir))
}

/// The CPUs the process's group may use.
pub(super) fn cpuset(files: &Files) -> Option<Vec<usize>> {
    let group = Group::of(files, "cpuset")?;
    let names: &[&str] = match group.version {
        Version::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
        Version::V2 => &["cpuset.cpus.effective"],
    };
    group.nearest(|dir| names.iter().find_map(|name| files.cores(&format!("{dir}/{name}"))))
}

/// The version of the hierarchies of cgroups: "v1", "v2" or "hybrid" (both mounted, controllers in version 1).
pub(super) fn version(files: &Files) -> Option<String> {
    let membership = files.text("/proc/self/cgroup")?;
    let version = |line: &str| if line.starts_with("0::") { Version::V2 } else { Version::V1 };
    let has = |wanted| membership.lines().any(|line| version(line) == wanted);
    let name = match (has(Version::V1), has(Version::V2)) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => return None,
    };
    Some(name.to_string())
}

/// The path of this process's group from /proc/self/cgroup: in the version 1 hierarchy of the controller, else in version 2.
fn group_path<'a>(membership: &'a str, controller: &str) -> Option<(Version, &'a str)> {
    let lines = || membership.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
    let v2 = lines().find(|(controllers, _)| controllers.is_empty());
    v1.map(|(_, path)| (Version::V1, path)).or(v2.map(|(_, path)| (Version::V2, path)))
}

/// The root and the mount point of a hierarchy from /proc/self/mountinfo; of several mounts, one that shows `path`.
fn mounted_at(mounts: &str, version: Version, controller: &str, path: &str) -> Option<(String, String)> {
    let mut found = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, mount) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let fits = match version {
            Version::V1 => kind == "cgroup" && options.split(',').any(|option| option == controller),
            Version::V2 => kind == "cgroup2",
        };
        fits.then(|| (root.to_string(), mount.to_string()))
    });
    let first = found.next()?;
    let shows = |root: &str| Path::new(path).starts_with(root);
    if shows(&first.0) { Some(first) } else { Some(found.find(|(root, _)| shows(root)).unwrap_or(first)) }
}

/// The directories from `inside` a mount up to the mount itself.
fn levels(mount: &str, inside: &str) -> Vec<String> {
    let mut inside = inside.trim_matches('/');
    let mut levels = Vec::new();
    // A path with ".." lies outside what this process sees; only the mount itself can be read then.
    while !inside.is_empty() && !inside.contains("..") {
        levels.push(format!("{mount}/{inside}"));
        inside = inside.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    levels.push(mount.to_string());
    levels
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn v2(membership: &str, root: &str) -> Fixture {
        Fixture::new()
            .put("/proc/self/cgroup", membership)
            .put("/proc/self/mountinfo", &format!("24 1 0:22 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"))
    }

    #[test]
    fn version_2_takes_the_tightest_level() {
        let tree = v2("0::/slice/job\n", "/")
            .put("/sys/fs/cgroup/slice/memory.max", &(8 * GIB).to_string())
            .put("/sys/fs/cgroup/slice/memory.current", &(7 * GIB).to_string())
            .put("/sys/fs/cgroup/slice/memory.stat", &format!("anon 5\ninactive_file {GIB}\nactive_file {}\n", 2 * GIB))
            .put("/sys/fs/cgroup/slice/job/memory.max", &(6 * GIB).to_string())
            .put("/sys/fs/cgroup/slice/job/memory.current", &GIB.to_string())
            .put("/sys/fs/cgroup/slice/cpu.max", "150000 100000\n")
            .put("/sys/fs/cgroup/slice/job/cpu.max", "max 100000\n")
            .put("/sys/fs/cgroup/slice/cpuset.cpus.effective", "0-3\n");
        let files = tree.files();
        assert_eq!(memory_max(&files), Some(6 * GIB));
        assert_eq!(memory_available(&files), Some(4 * GIB), "8 - (7 - 3 reclaimable) of the slice");
        assert_eq!(cpu_quota(&files), Some(1.5));
        assert_eq!(cpuset(&files), Some(vec![0, 1, 2, 3]), "the nearest level that says so");
        assert_eq!(version(&files).as_deref(), Some("v2"));
    }

    #[test]
    fn a_container_sees_its_group_as_the_root() {
        let tree = v2("0::/\n", "/")
            .put("/sys/fs/cgroup/memory.max", &(2 * GIB).to_string())
            .put("/sys/fs/cgroup/memory.current", &(GIB / 2).to_string())
            .put("/sys/fs/cgroup/cpuset.cpus.effective", "4-7");
        let files = tree.files();
        assert_eq!((memory_max(&files), memory_available(&files)), (Some(2 * GIB), Some(2 * GIB - GIB / 2)));
        assert_eq!(cpuset(&files), Some(vec![4, 5, 6, 7]));
        assert_eq!(cpu_quota(&files), None);
    }

    #[test]
    fn no_limit_is_none() {
        let tree = v2("0::/job\n", "/")
            .put("/sys/fs/cgroup/job/memory.max", "max\n")
            .put("/sys/fs/cgroup/job/memory.current", "5\n");
        assert_eq!((memory_max(&tree.files()), memory_available(&tree.files())), (None, None));
        let bare = Fixture::new();
        assert_eq!((memory_max(&bare.files()), cpu_quota(&bare.files()), cpuset(&bare.files())), (None, None, None));
        assert_eq!(version(&bare.files()), None);
    }

    /// Docker on version 1 without a private cgroup namespace: the mounts show the container's group as their root.
    fn docker_v1() -> Fixture {
        let group = "/docker/abc";
        let mount = |name: &str| format!("31 1 0:27 {group} /sys/fs/cgroup/{name} ro - cgroup cgroup rw,{name}\n");
        Fixture::new()
            .put(
                "/proc/self/cgroup",
                &format!("5:cpuset:{group}\n4:memory:{group}\n3:cpu,cpuacct:{group}\n1:name=systemd:{group}\n0::/x\n"),
            )
            .put("/proc/self/mountinfo", &[mount("memory"), mount("cpu,cpuacct"), mount("cpuset")].concat())
    }

    #[test]
    fn version_1_reads_each_controllers_hierarchy() {
        let tree = docker_v1()
            .put("/sys/fs/cgroup/memory/memory.limit_in_bytes", &(4 * GIB).to_string())
            .put("/sys/fs/cgroup/memory/memory.usage_in_bytes", &(3 * GIB).to_string())
            .put(
                "/sys/fs/cgroup/memory/memory.stat",
                &format!("inactive_file 1\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}\n"),
            )
            .put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000")
            .put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
            .put("/sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0,2")
            .put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-7");
        let files = tree.files();
        assert_eq!((memory_max(&files), memory_available(&files)), (Some(4 * GIB), Some(3 * GIB)));
        assert_eq!(cpu_quota(&files), Some(2.0));
        assert_eq!(cpuset(&files), Some(vec![0, 2]));
        assert_eq!(version(&files).as_deref(), Some("hybrid"));
    }

    #[test]
    fn version_1s_large_number_is_no_limit() {
        let tree = docker_v1()
            .put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
            .put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1")
            .put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
            .put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
        let files = tree.files();
        assert_eq!((memory_max(&files), memory_available(&files), cpu_quota(&files)), (None, None, None));
    }

    #[test]
    fn a_path_outside_the_namespace_leads_to_the_mount() {
        assert_eq!(levels("/sys/fs/cgroup", "/../../other"), ["/sys/fs/cgroup"]);
        assert_eq!(levels("/m", "/a/b"), ["/m/a/b", "/m/a", "/m"]);
        assert_eq!(levels("/m", "/"), ["/m"]);
    }

    #[test]
    fn of_several_mounts_the_one_that_shows_the_group() {
        let mounts = "1 1 0:1 /other /a rw - cgroup2 none rw\n2 1 0:1 /job /b rw shared:3 - cgroup2 none rw\n";
        let found = mounted_at(mounts, Version::V2, "memory", "/job/x").unwrap();
        assert_eq!(found, ("/job".to_string(), "/b".to_string()));
    }
}
