//! What bounds a machine's output besides its instances: volumes and the network.

use super::{Bound, Stage};
use crate::phase::Phase;
use crate::plan::scenario::{Scenario, Sku, Volume};

/// Sectors that a volume has room for.
pub fn slots(scenario: &Scenario, size: f64) -> u32 {
    (size / scenario.needs.scratch).floor().min(f64::from(u32::MAX)) as u32
}

/// Seconds for which a volume reads and writes for one sector; 0 where its rates are not known.
pub fn busy_s(scenario: &Scenario, volume: &Volume) -> f64 {
    let needs = &scenario.needs;
    let share = |planned: bool, bytes: f64| if planned { bytes } else { 0.0 };
    let (p1, p2) = (scenario.plans(Phase::P1), scenario.plans(Phase::P2));
    let reads = share(p1, needs.p1_reads) + share(p2, needs.p2_reads);
    let writes = share(p1, needs.p1_writes) + share(p2, needs.p2_writes);
    volume.read.map_or(0.0, |rate| reads / rate) + volume.write.map_or(0.0, |rate| writes / rate)
}

/// Sectors per hour for which a volume has room, if each holds its storage for so long (Little's law).
pub fn through_room(scenario: &Scenario, volume: &Volume, flight_s: f64) -> f64 {
    f64::from(slots(scenario, volume.size)) / flight_s * 3600.0
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

/// Lowers what a machine puts out to what its network carries: the stage that puts out more gives way first, since every stage has to do the same.
pub fn limit_network(
    scenario: &Scenario,
    sku: &Sku,
    stages: &[Stage],
    per_h: &mut [f64],
    bounds: &mut [Option<Bound>],
) {
    let Some(network) = sku.network else { return };
    let bytes = |stage: &Stage| network_bytes(scenario, *stage);
    let mut loads: Vec<(f64, f64)> = stages.iter().map(bytes).zip(per_h.iter().copied()).collect();
    loads.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut left, mut bytes) = (network * 3600.0, loads.iter().map(|load| load.0).sum::<f64>());
    let mut level = f64::INFINITY;
    for (each, rate) in loads {
        if bytes * rate > left {
            level = left / bytes;
            break;
        }
        (left, bytes) = (left - each * rate, bytes - each);
    }
    for (rate, bound) in per_h.iter_mut().zip(bounds).filter(|(rate, _)| **rate > level) {
        *rate = level;
        *bound = Some(Bound::Network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_too_slow_slows_the_stage_that_puts_out_more() {
        let text = "
            target = '1 sectors/h'
            minimise = 'machines'
            [sector]
            finished = '32 GiB'
            c1_output = '32 GiB'
            [[sku]]
            name = 'box'
            cores = 1
            memory = '1 TiB'
            network = '32 GiB/s'
        ";
        let scenario = Scenario::parse(text).unwrap();
        let mut sku = scenario.skus[0].clone();
        let stages = [Stage::Precommit, Stage::Proof];
        // A sector before p4 moves 64 GiB, one in p4 32 GiB.
        let mut through = |sectors_per_h: f64, per_h: [f64; 2]| {
            sku.network = Some(sectors_per_h * 32.0 * 2f64.powi(30) / 3600.0);
            let (mut per_h, mut bounds) = (per_h, [Some(Bound::VolumeRate), None]);
            limit_network(&scenario, &sku, &stages, &mut per_h, &mut bounds);
            (per_h, bounds.map(|bound| bound == Some(Bound::Network)))
        };
        assert_eq!(through(12.0, [4.0, 4.0]), ([4.0, 4.0], [false, false]));
        assert_eq!(through(9.0, [4.0, 4.0]), ([3.0, 3.0], [true, true]));
        assert_eq!(through(9.0, [4.0, 1.0]), ([4.0, 1.0], [false, false]));
        assert_eq!(through(9.0, [5.0, 1.0]), ([4.0, 1.0], [true, false]));
        assert_eq!(through(9.0, [2.0, 6.0]), ([2.0, 5.0], [false, true]));
        assert_eq!(through(6.0, [5.0, 0.0]), ([3.0, 0.0], [true, false]));
    }
}
