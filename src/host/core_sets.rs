//! Which cores each of several instances gets, so that they share neither cores nor, unless told otherwise, a cache or memory by halves.

mod cells;
mod check;
mod place;

pub use check::check;
pub use place::place;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::cores;

/// Most instances that one run may have: one for each CPU that Linux can be configured for.
const MAX_INSTANCES: usize = 8192;

/// Instances of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub count: u32,
    /// Physical cores of each.
    pub cores: u32,
}

/// What instances may do to each other. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Instances may split L3 groups and NUMA nodes (`--split-l3`).
    pub split_l3: bool,
    /// An instance gets every hardware thread of its cores (`--smt`), not the first alone.
    pub smt: bool,
    /// Instances may use the same cores (`--share-cores`).
    pub share: bool,
}

/// Reads core sets like "0-3;4-7", one for each instance.
pub fn parse_sets(text: &str) -> Result<Vec<Vec<usize>>, String> {
    if text.split(';').nth(MAX_INSTANCES).is_some() {
        return Err(format!("there are more than {MAX_INSTANCES} core sets"));
    }
    let sets = text.split(';').map(cores::parse_list).collect::<Result<_, _>>();
    sets.map_err(|error| format!("{error} (core sets are written like 0-3;4-7, one for each instance)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Stop;
    use crate::error::stop_of;
    use crate::host::files::fixture::Fixture;
    use crate::host::topology::tests::two_sockets;
    use crate::host::{NumaNode, Topology};
    use crate::trial::record::{Finding, Severity};
    use proptest::prelude::*;

    const CPUS: &str = "/sys/devices/system/cpu";

    /// A machine of so many cores and threads of each, cut into L3 groups and NUMA nodes of so many cores; 0: the machine does not say.
    /// The first threads of all cores come first.
    fn machine(cores: usize, threads: usize, l3: usize, node: usize) -> Topology {
        let cut = |size: usize| -> Vec<Vec<usize>> {
            let all: Vec<usize> = (0..cores).collect();
            let with_threads =
                |part: &[usize]| (0..threads).flat_map(|t| part.iter().map(move |core| core + t * cores)).collect();
            all.chunks(size).map(with_threads).collect()
        };
        let nodes = |size| {
            cut(size).into_iter().enumerate().map(|(id, cores)| NumaNode { id, cores, memory_bytes: None }).collect()
        };
        Topology {
            sockets: None,
            cores: Some(cores as u32),
            threads: Some((cores * threads) as u32),
            smt: Some(threads > 1),
            core_groups: Some(cut(1)),
            l3_groups: (l3 > 0).then(|| cut(l3)),
            caches: None,
            numa_nodes: (node > 0).then(|| nodes(node)),
        }
    }

    fn all(topology: &Topology) -> Vec<usize> {
        (0..topology.threads.unwrap() as usize).collect()
    }

    fn group(count: u32, cores: u32) -> Group {
        Group { count, cores }
    }

    const STRICT: Placement = Placement { split_l3: false, smt: false, share: false };
    const SPLIT: Placement = Placement { split_l3: true, ..STRICT };
    const SMT: Placement = Placement { smt: true, ..STRICT };
    const SHARE: Placement = Placement { share: true, ..STRICT };

    /// The sets on a machine whose CPUs are all allowed, in words.
    fn placed(topology: &Topology, groups: &[Group], how: Placement) -> Vec<String> {
        let sets = place(topology, &all(topology), groups, &how).unwrap();
        sets.iter().map(|set| cores::format_list(set)).collect()
    }

    /// The sentence of a refusal with exit code 2.
    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
        let error = result.unwrap_err();
        assert_eq!(stop_of(&error), Some(Stop::Usage));
        error.to_string()
    }

    fn codes(findings: &[Finding]) -> Vec<(&str, Severity)> {
        findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect()
    }

    #[test]
    fn two_sockets_with_smt_read_from_their_files() {
        let topology = Topology::read(&two_sockets().files());
        assert_eq!(placed(&topology, &[group(4, 2)], STRICT), ["0-1", "4-5", "2-3", "6-7"], "sockets take turns");
        assert_eq!(placed(&topology, &[group(2, 2)], SMT), ["0-1,8-9", "4-5,12-13"]);
        assert_eq!(placed(&topology, &[group(2, 4)], STRICT), ["0-3", "4-7"], "an instance stays on its socket");
        assert_eq!(placed(&topology, &[group(1, 8)], STRICT), ["0-7"]);
        assert_eq!(
            placed(&topology, &[group(1, 6)], STRICT),
            ["0-5"],
            "larger than a socket: whole L3 groups of several"
        );
        assert_eq!(placed(&topology, &[group(8, 1)], STRICT), ["0", "4", "2", "6", "1", "5", "3", "7"]);
    }

    #[test]
    fn l3_groups_of_four_and_eight_cores() {
        let zen2 = machine(64, 2, 4, 64);
        assert_eq!(placed(&zen2, &[group(3, 4)], STRICT), ["0-3", "4-7", "8-11"]);
        assert_eq!(placed(&zen2, &[group(5, 12)], STRICT), ["0-11", "12-23", "24-35", "36-47", "48-59"]);
        assert_eq!(placed(&zen2, &[group(32, 2)], STRICT)[15..18], ["60-61", "2-3", "6-7"]);
        let zen3 = machine(64, 2, 8, 64);
        assert_eq!(placed(&zen3, &[group(2, 1), group(2, 24)], STRICT), ["48", "56", "0-23", "24-47"]);
        assert_eq!(placed(&zen3, &[group(9, 6)], SPLIT)[8], "6-7,14-15,22-23", "what eight instances left over");
    }

    #[test]
    fn sizes_that_would_split_a_cache_name_those_that_do_not() {
        let zen3 = machine(64, 1, 8, 64);
        let text = refused(place(&zen3, &all(&zen3), &[group(4, 23)], &STRICT));
        assert!(text.contains("L3 groups of 8 cores: use 16 or 24 cores, or --split-l3"), "{text}");
        let text = refused(place(&zen3, &all(&zen3), &[group(4, 23)], &SPLIT));
        assert_eq!(
            text,
            "4 x 23 cores are 92 and this process may use 64: 2 instances of 23 cores fit; use fewer or smaller ones, or --share-cores"
        );
        let text = refused(place(&zen3, &all(&zen3), &[group(12, 5)], &STRICT));
        assert_eq!(
            text,
            "12 x 5 cores do not fit on L3 groups of 8 cores: 8 instances of 5 cores fit; use fewer or smaller ones, --split-l3, or \
             --share-cores"
        );
        let text = refused(place(&zen3, &all(&zen3), &[group(1, 40), group(1, 32)], &STRICT));
        assert!(text.contains("no instance of 32 cores fits beside the others"), "{text}");
    }

    #[test]
    fn a_size_that_only_other_nodes_would_give_is_no_size() {
        // Nodes of 20 cores, cut into L3 groups of 8, 8 and 4 by a cpuset.
        let topology = machine(48, 1, 8, 24);
        let allowed: Vec<usize> = (0..48).filter(|cpu| cpu % 24 < 20).collect();
        let text = refused(place(&topology, &allowed, &[group(1, 18)], &STRICT));
        assert!(text.contains("L3 groups of 4 to 8 cores: use 16 or 20 cores"), "{text}");
        assert_eq!(
            place(&topology, &allowed, &[group(2, 12)], &STRICT).unwrap()[1],
            [24, 25, 26, 27, 28, 29, 30, 31, 40, 41, 42, 43]
        );
        assert!(place(&topology, &allowed, &[group(1, 24)], &STRICT).is_ok(), "larger than a node");
    }

    /// Four nodes per socket of two L3 groups each (NPS4), read from files.
    fn nps4() -> Topology {
        let mut tree =
            Fixture::new().put(&format!("{CPUS}/online"), "0-31").put("/sys/devices/system/node/online", "0-3");
        for cpu in 0..32 {
            let (l3, dir) = (cpu / 4 * 4, format!("{CPUS}/cpu{cpu}"));
            tree = tree
                .put(&format!("{dir}/topology/core_cpus_list"), &cpu.to_string())
                .put(&format!("{dir}/cache/index3/level"), "3")
                .put(&format!("{dir}/cache/index3/shared_cpu_list"), &format!("{l3}-{}", l3 + 3));
        }
        for node in 0..4 {
            tree = tree.put(
                &format!("/sys/devices/system/node/node{node}/cpulist"),
                &format!("{}-{}", node * 8, node * 8 + 7),
            );
        }
        Topology::read(&tree.files())
    }

    #[test]
    fn sub_numa_clusters_with_several_l3_groups() {
        let nps4 = nps4();
        assert_eq!(placed(&nps4, &[group(4, 8)], STRICT), ["0-7", "8-15", "16-23", "24-31"]);
        assert_eq!(placed(&nps4, &[group(4, 4)], STRICT), ["0-3", "8-11", "16-19", "24-27"], "one in each node first");
        let findings = check(&nps4, &all(&nps4), &parse_sets("4-11").unwrap(), &SPLIT).unwrap();
        assert_eq!(
            codes(&findings),
            [("numa-split", Severity::Warning)],
            "whole L3 groups of two nodes where one would do"
        );
    }

    #[test]
    fn sub_numa_clusters_that_share_an_l3_cache() {
        // SNC-2: one L3 cache per socket of 16 cores, two nodes in it.
        let snc2 = machine(32, 2, 16, 8);
        assert_eq!(placed(&snc2, &[group(4, 8)], STRICT), ["0-7", "8-15", "16-23", "24-31"]);
        let text = refused(place(&snc2, &all(&snc2), &[group(1, 12)], &STRICT));
        assert!(text.contains("NUMA nodes of 8 cores: use 8 or 16 cores"), "{text}");
        let findings = check(&snc2, &all(&snc2), &parse_sets("0-11").unwrap(), &SPLIT).unwrap();
        assert_eq!(codes(&findings), [("numa-split", Severity::Warning)]);
    }

    #[test]
    fn offline_cpus_and_a_cpuset_leave_holes() {
        // CPUs 1 and 10 are offline: core 1 is CPU 9, core 2 is CPU 2.
        let mut tree = Fixture::new().put(&format!("{CPUS}/online"), "0,2-9,11-15");
        for cpu in [0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15] {
            let core = cpu % 8;
            let siblings = match core {
                1 => "9".to_string(),
                2 => "2".to_string(),
                _ => format!("{core},{}", core + 8),
            };
            tree = tree.put(&format!("{CPUS}/cpu{cpu}/topology/core_cpus_list"), &siblings);
        }
        let topology = Topology::read(&tree.files());
        let online = [0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15];
        let placed = |allowed: &[usize], groups: &[Group], how| place(&topology, allowed, groups, &how).unwrap();
        assert_eq!(placed(&online, &[group(2, 4)], STRICT), [[0, 2, 3, 4], [5, 6, 7, 9]]);
        assert_eq!(placed(&online, &[group(1, 3)], SMT), [[0, 2, 3, 8, 11]]);
        // A cpuset without the first thread of core 3.
        assert_eq!(placed(&[0, 8, 9, 11], &[group(1, 3)], STRICT), [[0, 9, 11]]);
        let text = refused(place(&topology, &[0, 8, 9, 11], &[group(4, 1)], &STRICT));
        assert!(text.starts_with("4 x 1 cores are 4 and this process may use 3: 3 instances of 1 core fit"), "{text}");
    }

    #[test]
    fn a_virtual_machine_with_one_core() {
        let one = machine(1, 1, 0, 0);
        assert_eq!(placed(&one, &[group(1, 1)], STRICT), ["0"]);
        assert_eq!(placed(&one, &[group(3, 1)], SHARE), ["0", "0", "0"]);
        let text = refused(place(&one, &[0], &[group(1, 2)], &SHARE));
        assert_eq!(text, "an instance of 2 cores is larger than what this process may use, 1 physical core (CPUs 0)");
        let threads = machine(1, 2, 1, 1);
        let text = refused(place(&threads, &[0, 1], &[group(1, 2)], &STRICT));
        assert!(text.contains("1 physical core (CPUs 0-1); threads of a core do not count, --smt gives"), "{text}");
        let nothing = Topology { core_groups: None, ..machine(2, 1, 0, 0) };
        assert_eq!(placed(&nothing, &[group(2, 1)], STRICT), ["0", "1"], "a machine that says nothing");
    }

    #[test]
    fn with_shared_cores_instances_begin_again_when_all_are_taken() {
        let topology = machine(8, 1, 4, 8);
        assert_eq!(placed(&topology, &[group(5, 3)], SHARE), ["0-2", "4-6", "0-2", "4-6", "0-2"]);
        assert_eq!(placed(&topology, &[group(2, 4)], SHARE), ["0-3", "4-7"], "nothing is shared without need");
    }

    #[test]
    fn nonsense_is_refused() {
        let topology = machine(4, 1, 4, 4);
        let fails = |groups: &[Group]| refused(place(&topology, &all(&topology), groups, &SHARE));
        for groups in [&[][..], &[group(0, 1)], &[group(1, 0)]] {
            assert!(fails(groups).contains("at least one"), "{groups:?}");
        }
        assert!(fails(&[group(u32::MAX, 1), group(u32::MAX, 1)]).contains("more than the 8192"));
        assert!(fails(&[group(1, u32::MAX)]).contains("larger than what"));
        assert!(refused(place(&topology, &[], &[group(1, 1)], &STRICT)).contains("0 physical cores"));
        assert!(refused(check(&topology, &[0], &[], &STRICT)).contains("1 to 8192"));
        assert!(refused(check(&topology, &[0], &[vec![]], &STRICT)).contains("no CPU was given"));
    }

    #[test]
    fn chosen_sets_may_not_leave_the_allowed_cpus_or_overlap() {
        let topology = machine(8, 2, 4, 8);
        let check = |sets: &str, how| check(&topology, &all(&topology)[..15], &parse_sets(sets).unwrap(), &how);
        assert_eq!(check("0-3;4-7", STRICT).unwrap(), []);
        assert_eq!(check("0-1;2-3;4", STRICT).unwrap(), []);
        let text = refused(check("0-3;15,16", STRICT));
        assert_eq!(text, "CPUs 15-16 are not allowed here; this process may use 0-14");
        let text = refused(check("0-3;3-6", SMT));
        assert!(
            text.starts_with("instances 0 and 1 share CPUs 3,11, threads of one core")
                && text.contains("--share-cores"),
            "{text}"
        );
        let text = refused(check("7;6,7", STRICT));
        assert!(text.starts_with("instances 0 and 1 share CPU 7:"), "its sibling is not allowed: {text}");
        assert!(refused(check("0;8", STRICT)).starts_with("instances 0 and 1 share CPUs 0,8"), "siblings");
        let findings = check("0-1;1-2;8", SHARE).unwrap();
        assert_eq!(codes(&findings), [("cores-shared", Severity::Error)]);
        assert!(findings[0].text.contains("CPUs 0-1,8-9,"), "{}", findings[0].text);
    }

    #[test]
    fn both_threads_of_a_core_in_one_set_need_a_flag() {
        let topology = machine(4, 2, 4, 4);
        let check = |how| check(&topology, &all(&topology), &parse_sets("0,4").unwrap(), &how);
        let text = refused(check(STRICT));
        assert!(
            text.starts_with("CPUs 0 and 4 of instance 0 are threads of one core") && text.contains("--smt"),
            "{text}"
        );
        assert_eq!(check(SMT).unwrap(), []);
    }

    #[test]
    fn chosen_sets_that_split_an_l3_group_are_refused_or_found() {
        let topology = machine(16, 1, 4, 8);
        let check = |sets: &str, how| check(&topology, &all(&topology), &parse_sets(sets).unwrap(), &how);
        for whole in ["0-7", "0-3;4-5;6-7", "0-15", "0-11"] {
            assert_eq!(check(whole, STRICT).unwrap(), [], "{whole}");
        }
        let text = refused(check("0-1;2-5", STRICT));
        assert!(text.starts_with("the cores of instance 1 (2-5) split an L3 group: on L3 groups of 4 cores"), "{text}");
        assert!(text.ends_with("--split-l3"), "{text}");
        assert_eq!(codes(&check("0-1;2-5;6-9", SPLIT).unwrap()), [("l3-split", Severity::Warning)]);
        assert!(refused(check("0-3,8-11", STRICT)).contains("split a NUMA node"), "one node would hold it");
        assert_eq!(
            codes(&check("0-3,8-11;4-6,12", SPLIT).unwrap()),
            [("l3-split", Severity::Warning), ("numa-split", Severity::Warning)]
        );
    }

    /// A machine, the CPUs of it that are allowed, and instances.
    fn requests() -> impl Strategy<Value = (Topology, Vec<usize>, Vec<Group>)> {
        let machines = (1usize..5, 1usize..4, 1usize..4, 1usize..3, any::<(bool, bool)>()).prop_map(
            |(l3, in_node, nodes, threads, knows)| {
                machine(
                    l3 * in_node * nodes,
                    threads,
                    if knows.0 { l3 } else { 0 },
                    if knows.1 { l3 * in_node } else { 0 },
                )
            },
        );
        let groups = prop::collection::vec((1u32..5, 1u32..9).prop_map(|(count, cores)| group(count, cores)), 1..4);
        (machines, prop::collection::vec(prop::bool::weighted(0.85), 128), groups).prop_map(
            |(topology, mask, groups)| {
                let allowed = all(&topology).into_iter().filter(|&cpu| mask[cpu]).collect();
                (topology, allowed, groups)
            },
        )
    }

    proptest! {
        #[test]
        fn placed_sets_are_disjoint_allowed_of_the_right_size_and_pass_the_check(
            (topology, allowed, groups) in requests(), (split_l3, smt, share) in any::<(bool, bool, bool)>()
        ) {
            let how = Placement { split_l3, smt, share };
            let sizes: Vec<u32> = groups.iter().flat_map(|group| (0..group.count).map(|_| group.cores)).collect();
            let cells = cells::Cells::new(&topology, &allowed);
            match place(&topology, &allowed, &groups, &how) {
                Ok(sets) => {
                    prop_assert_eq!(sets.len(), sizes.len());
                    let findings = check(&topology, &allowed, &sets, &how).unwrap();
                    prop_assert!(split_l3 || codes(&findings).iter().all(|&(code, _)| code == "cores-shared"));
                    prop_assert!(share || codes(&findings).iter().all(|&(code, _)| code != "cores-shared"));
                    for (set, &size) in sets.iter().zip(&sizes) {
                        let of: std::collections::BTreeSet<usize> = set.iter().map(|&cpu| cells.core_of(cpu).unwrap()).collect();
                        prop_assert_eq!(of.len(), size as usize);
                        let threads: usize = of.iter().map(|&core| cells.cores[core].len()).sum();
                        prop_assert_eq!(set.len(), if smt { threads } else { size as usize });
                        prop_assert!(set.is_sorted());
                    }
                }
                Err(error) => {
                    let need: u32 = sizes.iter().sum();
                    let fits = need as usize <= cells.cores.len();
                    prop_assert!(!(split_l3 && fits), "enough cores, and splitting is allowed: {error}");
                    prop_assert_eq!(stop_of(&error), Some(Stop::Usage));
                }
            }
        }

        #[test]
        fn as_many_instances_fit_as_the_cells_hold(l3 in 1usize..9, groups in 1usize..9, size in 1u32..9) {
            let topology = machine(l3 * groups, 1, l3, 0);
            let per_cell = l3 / size as usize;
            let most = if per_cell > 0 { per_cell * groups } else if (size as usize).is_multiple_of(l3) { groups / (size as usize / l3) } else { 0 };
            for count in [most, most + 1].into_iter().filter(|&count| count > 0) {
                let result = place(&topology, &all(&topology), &[group(count as u32, size)], &STRICT);
                prop_assert_eq!(result.is_ok(), count == most, "{} of {} on {} x {}", count, size, groups, l3);
            }
        }
    }

    #[test]
    fn sets_are_lists_joined_by_semicolons() {
        assert_eq!(parse_sets("0-3;4-7").unwrap(), [[0, 1, 2, 3], [4, 5, 6, 7]]);
        assert_eq!(parse_sets("2,0; 1").unwrap(), [vec![0, 2], vec![1]]);
        for text in ["", ";", "0-3;", "0-3;;4", "a;1"] {
            assert!(parse_sets(text).unwrap_err().ends_with("like 0-3;4-7, one for each instance)"), "{text}");
        }
        assert!(parse_sets("3-1;0").unwrap_err().starts_with("'3-1' runs backwards"));
        assert!(parse_sets(&"0;".repeat(9000)).unwrap_err().contains("more than 8192"));
    }
}
