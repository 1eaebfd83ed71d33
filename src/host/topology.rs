//! How the CPUs of the machine are put together: sockets, cores, threads, caches, NUMA nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{Files, bytes_of};

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// How the online CPUs are put together. What cannot be read is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Sockets with at least one online CPU.
    pub sockets: Option<u32>,
    /// Physical cores with at least one online CPU.
    pub cores: Option<u32>,
    /// Online CPUs (hardware threads).
    pub threads: Option<u32>,
    /// Whether cores run several hardware threads.
    pub smt: Option<bool>,
    /// The CPUs of each physical core.
    pub core_groups: Option<Vec<Vec<usize>>>,
    /// The CPUs that share each level 3 cache.
    pub l3_groups: Option<Vec<Vec<usize>>>,
    /// The caches that the first online CPU uses.
    pub caches: Option<Vec<Cache>>,
    /// The NUMA nodes.
    pub numa_nodes: Option<Vec<NumaNode>>,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// 1, 2, 3.
    pub level: u32,
    /// "Data", "Instruction" or "Unified".
    pub kind: String,
    /// Its size, bytes.
    pub size_bytes: Option<u64>,
    /// How many CPUs share it.
    pub shared_by: Option<u32>,
}

/// A NUMA node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NumaNode {
    /// The kernel's number.
    pub id: usize,
    /// Its CPUs; empty for a node of memory only.
    pub cores: Vec<usize>,
    /// Its memory, bytes.
    pub memory_bytes: Option<u64>,
}

impl Topology {
    /// Reads the topology.
    pub(super) fn read(files: &Files) -> Topology {
        let online = files.cores(&format!("{CPUS}/online")).unwrap_or_default();
        let core_groups = groups(&online, |cpu| siblings(files, cpu));
        let sockets = groups(&online, |cpu| listed(files, cpu, ["package_cpus_list", "core_siblings_list"]));
        Topology {
            sockets: sockets.map(|groups| groups.len() as u32),
            cores: core_groups.as_ref().map(|groups| groups.len() as u32),
            threads: (!online.is_empty()).then_some(online.len() as u32),
            smt: core_groups.as_ref().map(|groups| groups.iter().any(|core| core.len() > 1)),
            core_groups,
            l3_groups: groups(&online, |cpu| shared_l3(files, cpu)),
            caches: online.first().and_then(|&cpu| caches(files, cpu)),
            numa_nodes: numa_nodes(files),
        }
    }
}

/// The online CPUs that are threads of the same core as this one, itself included.
pub(super) fn siblings(files: &Files, cpu: usize) -> Option<Vec<usize>> {
    listed(files, cpu, ["core_cpus_list", "thread_siblings_list"])
}

/// A list of CPUs in a CPU's topology. The kernel renamed these lists in 5.2; both names hold the same.
fn listed(files: &Files, cpu: usize, names: [&str; 2]) -> Option<Vec<usize>> {
    names.into_iter().find_map(|name| files.cores(&format!("{CPUS}/cpu{cpu}/topology/{name}")))
}

/// The online CPUs in the groups that `members` names for them, each group once, in order of its first CPU. CPUs it names no
/// group for are left out; `None` if that is all of them.
fn groups(online: &[usize], members: impl Fn(usize) -> Option<Vec<usize>>) -> Option<Vec<Vec<usize>>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &cpu in online {
        if !groups.iter().any(|group| group.binary_search(&cpu).is_ok())
            && let Some(group) = members(cpu)
        {
            groups.push(group);
        }
    }
    (!groups.is_empty()).then_some(groups)
}

/// The directories of a CPU's caches.
fn cache_dirs(files: &Files, cpu: usize) -> impl Iterator<Item = String> {
    let dir = format!("{CPUS}/cpu{cpu}/cache");
    let names = files.names(&dir).into_iter().filter(|name| name.starts_with("index"));
    names.map(move |name| format!("{dir}/{name}"))
}

fn shared_l3(files: &Files, cpu: usize) -> Option<Vec<usize>> {
    let dir = cache_dirs(files, cpu).find(|dir| files.number(&format!("{dir}/level")) == Some(3))?;
    files.cores(&format!("{dir}/shared_cpu_list"))
}

fn caches(files: &Files, cpu: usize) -> Option<Vec<Cache>> {
    let cache = |dir: String| {
        Some(Cache {
            level: files.number(&format!("{dir}/level"))?,
            kind: files.text(&format!("{dir}/type"))?,
            size_bytes: files.text(&format!("{dir}/size")).and_then(|size| cache_bytes(&size)),
            shared_by: files.cores(&format!("{dir}/shared_cpu_list")).map(|cores| cores.len() as u32),
        })
    };
    let caches: Vec<Cache> = cache_dirs(files, cpu).filter_map(cache).collect();
    (!caches.is_empty()).then_some(caches)
}

/// Bytes of a cache's size, e.g. "32768K".
fn cache_bytes(size: &str) -> Option<u64> {
    let unit = match size.bytes().last()? {
        b'K' => 1 << 10,
        b'M' => 1 << 20,
        b'G' => 1 << 30,
        _ => return size.parse().ok(),
    };
    size[..size.len() - 1].parse::<u64>().ok()?.checked_mul(unit)
}

fn numa_nodes(files: &Files) -> Option<Vec<NumaNode>> {
    let node = |id| NumaNode {
        id,
        cores: files.cores(&format!("{NODES}/node{id}/cpulist")).unwrap_or_default(),
        memory_bytes: files.text(&format!("{NODES}/node{id}/meminfo")).and_then(|text| node_memory(&text)),
    };
    Some(files.cores(&format!("{NODES}/online"))?.into_iter().map(node).collect())
}

/// The MemTotal of a node's meminfo, whose lines begin with "Node N".
fn node_memory(text: &str) -> Option<u64> {
    let (_, value) = text.lines().find_map(|line| line.split_once(" MemTotal:"))?;
    bytes_of(value.trim())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;

    /// Two sockets of four cores with two threads each; two L3 caches per socket; CPU n and n+8 share a core.
    pub fn two_sockets() -> Fixture {
        let mut tree = Fixture::new()
            .put("/sys/devices/system/cpu/online", "0-15")
            .put("/sys/devices/system/node/online", "0-2\n");
        for cpu in 0..16 {
            let core = cpu % 8;
            let (socket, l3) = (core / 4 * 4, core / 2 * 2);
            let dir = format!("{CPUS}/cpu{cpu}");
            let pair = format!("{core},{}\n", core + 8);
            tree = tree
                .put(&format!("{dir}/topology/thread_siblings_list"), &pair)
                .put(
                    &format!("{dir}/topology/core_siblings_list"),
                    &format!("{socket}-{},{}-{}", socket + 3, socket + 8, socket + 11),
                )
                .put(&format!("{dir}/cache/index0/level"), "1")
                .put(&format!("{dir}/cache/index0/type"), "Data")
                .put(&format!("{dir}/cache/index0/size"), "48K")
                .put(&format!("{dir}/cache/index0/shared_cpu_list"), &pair)
                .put(&format!("{dir}/cache/index3/level"), "3")
                .put(&format!("{dir}/cache/index3/type"), "Unified")
                .put(&format!("{dir}/cache/index3/size"), "16384K")
                .put(&format!("{dir}/cache/index3/shared_cpu_list"), &format!("{l3}-{},{}-{}", l3 + 1, l3 + 8, l3 + 9));
        }
        for node in 0..2 {
            let first = node * 4;
            tree = tree
                .put(
                    &format!("{NODES}/node{node}/cpulist"),
                    &format!("{first}-{},{}-{}", first + 3, first + 8, first + 11),
                )
                .put(
                    &format!("{NODES}/node{node}/meminfo"),
                    &format!("Node {node} MemTotal:       1024 kB\nNode {node} MemFree:        512 kB\n"),
                );
        }
        tree.put(&format!("{NODES}/node2/cpulist"), "\n")
    }

    #[test]
    fn two_sockets_with_smt_and_several_l3_caches() {
        let topology = Topology::read(&two_sockets().files());
        assert_eq!((topology.sockets, topology.cores, topology.threads), (Some(2), Some(8), Some(16)));
        assert_eq!(topology.smt, Some(true));
        assert_eq!(topology.core_groups.unwrap()[3], [3, 11]);
        let l3 = topology.l3_groups.unwrap();
        assert_eq!(l3, [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15]]);
        let caches = topology.caches.unwrap();
        let sizes: Vec<_> = caches.iter().map(|cache| (cache.level, cache.size_bytes, cache.shared_by)).collect();
        assert_eq!(sizes, [(1, Some(48 << 10), Some(2)), (3, Some(16 << 20), Some(4))]);
    }

    #[test]
    fn numa_nodes_may_lack_cores_or_memory() {
        let nodes = numa_nodes(&two_sockets().files()).unwrap();
        assert_eq!(nodes[1], NumaNode { id: 1, cores: vec![4, 5, 6, 7, 12, 13, 14, 15], memory_bytes: Some(1 << 20) });
        assert_eq!(nodes[2], NumaNode { id: 2, cores: vec![], memory_bytes: None });
    }

    #[test]
    fn newer_kernels_name_the_lists_differently() {
        let tree = Fixture::new()
            .put("/sys/devices/system/cpu/online", "0-1")
            .put("/sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0")
            .put("/sys/devices/system/cpu/cpu1/topology/core_cpus_list", "1")
            .put("/sys/devices/system/cpu/cpu0/topology/package_cpus_list", "0-1");
        let topology = Topology::read(&tree.files());
        assert_eq!((topology.sockets, topology.cores, topology.smt), (Some(1), Some(2), Some(false)));
    }

    #[test]
    fn cpus_without_an_l3_cache_are_in_no_group() {
        let l3 = "/sys/devices/system/cpu/cpu0/cache/index2";
        let tree = Fixture::new()
            .put("/sys/devices/system/cpu/online", "0-3")
            .put(&format!("{l3}/level"), "3")
            .put(&format!("{l3}/shared_cpu_list"), "0-1");
        assert_eq!(Topology::read(&tree.files()).l3_groups, Some(vec![vec![0, 1]]));
    }

    #[test]
    fn nothing_to_read_is_null_throughout() {
        let topology = Topology::read(&Fixture::new().files());
        assert_eq!((topology.sockets, topology.cores, topology.threads, topology.smt), (None, None, None, None));
        assert!(topology.l3_groups.is_none() && topology.caches.is_none() && topology.numa_nodes.is_none());
    }

    #[test]
    fn cache_sizes_carry_a_unit() {
        assert_eq!(
            ["32K", "2M", "100", "K", ""].map(cache_bytes),
            [Some(32 << 10), Some(2 << 20), Some(100), None, None]
        );
    }
}
