//! What bounds a machine's output besides its instances: volumes and the network.

use super::{Bound, Stage};
use crate::phase::Phase;
use crate::plan::scenario::{Scenario, Sku, Volume};

/// Sectors that a volume has room for.
pub fn slots(scenario: &Scenario, size: f64) -> u32 {
    (size / scenario.needs.scratch).floor().min(f64::from(u32::MAX)) as u32
}

/// Which volume each of so many instances works on, each with so many sectors: one after the other, as far as each takes more. `None` if they
/// do not all find one.
pub fn spread(scenario: &Scenario, sku: &Sku, instances: u32, batch: u32) -> Option<Vec<usize>> {
    let most = |volume: &Volume| volume.instances.unwrap_or(u32::MAX).min(slots(scenario, volume.size) / batch);
    let most: Vec<u32> = sku.volumes.iter().map(most).collect();
    let mut taken = vec![0; most.len()];
    let mut places = Vec::with_capacity(instances as usize);
    while (places.len() as u32) < instances {
        let free = (0..most.len()).filter(|volume| taken[*volume] < most[*volume]);
        let volume = free.min_by_key(|volume| taken[*volume])?;
        taken[volume] += 1;
        places.push(volume);
    }
    Some(places)
}

/// Seconds for which a volume reads and writes for one sector; 0 where its rates are not known.
fn busy_s(scenario: &Scenario, sku: &Sku, volume: usize) -> f64 {
    let (needs, volume) = (&scenario.needs, &sku.volumes[volume]);
    let share = |planned: bool, bytes: f64| if planned { bytes } else { 0.0 };
    let (p1, p2) = (scenario.plans(Phase::P1), scenario.plans(Phase::P2));
    let reads = share(p1, needs.p1_reads) + share(p2, needs.p2_reads);
    let writes = share(p1, needs.p1_writes) + share(p2, needs.p2_writes);
    volume.read.map_or(0.0, |rate| reads / rate) + volume.write.map_or(0.0, |rate| writes / rate)
}

/// What the volumes let through, sectors per hour, if sectors start on them as the instances of the first phase are spread.
pub struct Volumes {
    /// By reading and writing.
    pub by_rate: f64,
    /// By room for sectors that stay so long (Little's law).
    pub by_space: f64,
    /// Seconds for which the busiest volume works for one sector of the machine.
    pub busy_s: f64,
}

impl Volumes {
    /// Of a machine whose sectors start in these instances and hold their storage for `flight_s`.
    pub fn new(scenario: &Scenario, sku: &Sku, places: &[usize], flight_s: f64) -> Volumes {
        let mut volumes = Volumes { by_rate: f64::INFINITY, by_space: f64::INFINITY, busy_s: 0.0 };
        for (index, volume) in sku.volumes.iter().enumerate() {
            let here = places.iter().filter(|place| **place == index).count();
            if here == 0 {
                continue;
            }
            let share = here as f64 / places.len() as f64;
            let busy_s = busy_s(scenario, sku, index) * share;
            volumes.busy_s = volumes.busy_s.max(busy_s);
            volumes.by_rate = volumes.by_rate.min(3600.0 / busy_s);
            volumes.by_space =
                volumes.by_space.min(f64::from(slots(scenario, volume.size)) / (share * flight_s) * 3600.0);
        }
        volumes
    }
}

/// Bytes that a sector moves over the machine's network in a stage.
pub fn network_bytes(scenario: &Scenario, stage: Stage) -> f64 {
    let needs = &scenario.needs;
    let away = if scenario.plans(Phase::P2) { needs.finished } else { 0.0 };
    let vanilla = if scenario.plans(Phase::C1) { needs.c1_output } else { 0.0 };
    let params = if scenario.shared.holds_parameters { parameter_bytes(scenario) } else { 0.0 };
    match stage {
        Stage::Precommit => away + vanilla,
        Stage::Proof => needs.c1_output + params,
        Stage::Whole => away + params,
    }
}

/// Bytes of parameters that p4 reads for a sector.
pub fn parameter_bytes(scenario: &Scenario) -> f64 {
    scenario.needs.p4_parameters / scenario.rules.sectors_per_p4_process
}

/// Lowers what a machine puts out to what its network carries.
pub fn limit_network(
    scenario: &Scenario,
    sku: &Sku,
    stages: &[Stage],
    per_h: &mut [f64],
    bounds: &mut [Option<Bound>],
) {
    let Some(network) = sku.network else { return };
    let load = |(stage, rate): (&Stage, &f64)| network_bytes(scenario, *stage) * rate / 3600.0;
    let load: f64 = stages.iter().zip(per_h.iter()).map(load).sum();
    if load <= network {
        return;
    }
    for (rate, bound) in per_h.iter_mut().zip(bounds) {
        *rate *= network / load;
        *bound = bound.take().map(|_| Bound::Network);
    }
}
