//! How a run is cut into instances: from what was asked to cores, threads and phases of each.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::host::Topology;
use crate::host::core_sets::{self, Group, Placement};
use crate::phase::Phase;

/// One of the instances that run side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its cores.
    pub cores: Vec<usize>,
    /// Its threads per pool.
    pub threads: u32,
    /// In a mix, the phase that it runs again and again; else it runs all phases of the run.
    pub phase: Option<Phase>,
}

/// Instances of one phase in a mix: "p2:4x23" is four instances of p2 with 23 cores each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixPart {
    /// The phase.
    pub phase: Phase,
    /// How many instances of how many cores.
    pub group: Group,
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |word: &str| word.parse::<u32>().ok().filter(|&n| n > 0 && word.starts_with(|c: char| c.is_ascii_digit()));
        let group = text
            .split_once('x')
            .and_then(|(count, cores)| Some(Group { count: number(count)?, cores: number(cores)? }));
        group.ok_or_else(|| format!("'{text}' is no layout: write it like 4x23, instances x cores of each"))
    }
}

impl FromStr for MixPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (phase, group) = text.split_once(':').ok_or_else(|| {
            format!("'{text}' is no part of a mix: write it like p2:4x23, a phase, instances x cores of each")
        })?;
        Ok(MixPart { phase: phase.parse()?, group: group.parse()? })
    }
}

/// What was asked; empty is one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Instances side by side.
    pub instances: Option<u32>,
    /// Cores of each.
    pub cores_per_instance: Option<u32>,
    /// The instances' cores one by one, in place of the two above.
    pub core_sets: Option<Vec<Vec<usize>>>,
    /// Different phases side by side, in place of all above.
    pub mix: Option<Vec<MixPart>>,
    /// What the placement may do.
    pub placement: Placement,
}

impl Layout {
    /// The instances on these cores; empty if there is but one, on all of them.
    pub fn resolve(&self, topology: &Topology, cores: &[usize], threads: Option<u32>) -> anyhow::Result<Vec<Instance>> {
        let place = |groups: &[Group]| core_sets::place(topology, cores, groups, &self.placement);
        let (sets, phases) = match (&self.mix, &self.core_sets, self.instances, self.cores_per_instance) {
            (None, None, None, None) => return Ok(Vec::new()),
            (Some(mix), None, None, None) => {
                let groups: Vec<Group> = mix.iter().map(|part| part.group).collect();
                let phases = mix.iter().flat_map(|part| (0..part.group.count).map(|_| Some(part.phase))).collect();
                (place(&groups)?, phases)
            }
            (None, Some(sets), None, None) => {
                core_sets::check(topology, cores, sets, &self.placement)?;
                (sets.clone(), Vec::new())
            }
            (None, None, Some(count), Some(cores)) => (place(&[Group { count, cores }])?, Vec::new()),
            (None, None, _, _) => {
                return Err(Stop::Usage.error(
                    "--instances and --cores-per-instance belong together: name both, or the cores with --core-sets",
                ));
            }
            _ => {
                return Err(Stop::Usage.error(
                    "--instances with --cores-per-instance, --core-sets and --mix each say how to cut the machine: name one of them",
                ));
            }
        };
        let instance = |(number, cores): (usize, Vec<usize>)| Instance {
            threads: threads.unwrap_or(cores.len() as u32),
            phase: phases.get(number).copied().flatten(),
            cores,
        };
        Ok(sets.into_iter().enumerate().map(instance).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::stop_of;

    #[test]
    fn parts_of_a_mix_are_a_phase_and_a_group() {
        let part: MixPart = "p2:4x23".parse().unwrap();
        assert_eq!(part, MixPart { phase: Phase::P2, group: Group { count: 4, cores: 23 } });
        for text in ["", "p2", "p2:4", "p2:x3", "p2:0x3", "p2:4x0", "p9:1x1", "4x23", "p2:4x23x1", "p2:-1x2"] {
            assert!(text.parse::<MixPart>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_way_to_cut_a_machine_at_a_time() {
        let topology = Topology {
            sockets: Some(1),
            cores: Some(4),
            threads: Some(4),
            smt: Some(false),
            core_groups: Some((0..4).map(|core| vec![core]).collect()),
            l3_groups: Some(vec![vec![0, 1, 2, 3]]),
            caches: None,
            numa_nodes: None,
        };
        let cores = [0, 1, 2, 3];
        let resolve = |layout: Layout| layout.resolve(&topology, &cores, None);
        assert_eq!(resolve(Layout::default()).unwrap(), []);
        let two = resolve(Layout { instances: Some(2), cores_per_instance: Some(2), ..Layout::default() }).unwrap();
        let set = |cores: &[usize]| Instance { cores: cores.to_vec(), threads: 2, phase: None };
        assert_eq!(two, [set(&[0, 1]), set(&[2, 3])]);
        let mix = ["p1:2x1", "p2:1x2"].map(|part| part.parse().unwrap()).to_vec();
        let mixed = resolve(Layout { mix: Some(mix.clone()), ..Layout::default() }).unwrap();
        let phases: Vec<_> = mixed.iter().map(|instance| (instance.phase, instance.cores.len())).collect();
        assert_eq!(phases, [(Some(Phase::P1), 1), (Some(Phase::P1), 1), (Some(Phase::P2), 2)]);
        let half = Layout { instances: Some(2), ..Layout::default() };
        let double = Layout { instances: Some(1), cores_per_instance: Some(1), mix: Some(mix), ..Layout::default() };
        for layout in [half, double] {
            assert_eq!(stop_of(&resolve(layout).unwrap_err()), Some(Stop::Usage));
        }
    }
}
