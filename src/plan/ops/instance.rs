//! An instance of a layout with its name, its cores and its volume.

use crate::phase::Phase;
use crate::plan::layout::{CoreSet, Lane, MachineLayout};
use crate::plan::scenario::{Sku, Volume};

/// An instance of a layout.
#[derive(Clone, Debug)]
pub struct Instance<'a> {
    /// What it does and its number among its like: "p2-c1-0". Letters, digits and hyphens.
    pub name: String,
    /// Its kind.
    pub lane: &'a Lane,
    /// Where it sits.
    pub set: &'a CoreSet,
    /// Its sectors' volume; p4 has none.
    pub volume: Option<Place<'a>>,
}

/// A volume of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its number, from 0.
    pub index: usize,
    /// The volume.
    pub volume: &'a Volume,
}

impl Place<'_> {
    /// Where it is mounted, or its number. Volumes that were written as one entry with a count have its mount and their number.
    pub fn label(&self, sku: &Sku) -> String {
        match &self.volume.mount {
            Some(mount) if sku.volumes.iter().filter(|other| other.mount.as_ref() == Some(mount)).count() > 1 => {
                format!("{mount}{}", self.index)
            }
            Some(mount) => mount.clone(),
            None => format!("volume {}", self.index),
        }
    }
}

impl<'a> Instance<'a> {
    /// The instances of a layout: by volume, so that a group stands together, then by lane.
    pub fn all(sku: &'a Sku, layout: &'a MachineLayout) -> Vec<Instance<'a>> {
        let mut instances: Vec<Instance> = layout
            .core_sets
            .iter()
            .filter_map(|set| {
                let lane = layout.lanes.get(set.lane)?;
                let volume = set.volume.and_then(|index| Some(Place { index, volume: sku.volumes.get(index)? }));
                let phases: Vec<&str> = lane.phases.iter().map(|phase| phase.name()).collect();
                Some(Instance { name: format!("{}-{}", phases.join("-"), set.instance), lane, set, volume })
            })
            .collect();
        let group = |instance: &Instance| instance.volume.map_or(usize::MAX, |volume| volume.index);
        instances.sort_by_key(|instance| (group(instance), instance.set.lane, instance.set.instance));
        instances
    }

    /// Its phases: "p2, c1".
    pub fn phases(&self) -> String {
        self.lane.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>().join(", ")
    }

    /// Whether it does a phase.
    pub fn does(&self, phase: Phase) -> bool {
        self.lane.phases.contains(&phase)
    }

    /// Its cores as a list: "46-53".
    pub fn cores(&self) -> String {
        let last = self.set.first + self.set.cores.saturating_sub(1);
        if last == self.set.first { last.to_string() } else { format!("{}-{last}", self.set.first) }
    }
}
