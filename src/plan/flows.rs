//! What flows through a plan: sectors on their way, and what the shared storage carries.

use serde::Serialize;

use super::layout::Lane;
use super::purchase::Purchase;
use super::scenario::Scenario;
use crate::phase::Phase;

/// Sectors in a part of their way at any time, by Little's law: rate times time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InFlight {
    /// The phase, or "wait for the seed".
    pub place: String,
    /// Time that a sector spends there, seconds.
    pub time_s: f64,
    /// Sectors there.
    pub sectors: f64,
}

/// Sectors on their way, in its order.
pub fn in_flight(scenario: &Scenario, purchase: &Purchase) -> Vec<InFlight> {
    let starts = scenario.starts_per_h() / 3600.0;
    let flow = |place: &str, time_s: f64| InFlight { place: place.to_string(), time_s, sectors: starts * time_s };
    let mut flows = Vec::new();
    for phase in &scenario.phases {
        if *phase == Phase::C1 {
            flows.push(flow("wait for the seed", scenario.rules.wait_seed_s));
        }
        flows.push(flow(phase.name(), mean_time_s(purchase, *phase)));
    }
    flows
}

/// Time of a phase, weighted by what each lane puts out.
fn mean_time_s(purchase: &Purchase, phase: Phase) -> f64 {
    let (mut time, mut weight) = (0.0, 0.0);
    for count in purchase.machines.iter().flat_map(|machines| &machines.layouts) {
        let together = |lane: &Lane| if phase <= Phase::P2 { lane.batch } else { 1 };
        let lanes = count.layout.lanes.iter().filter_map(|lane| Some((lane, lane.phase_s(phase, together(lane))?)));
        for (lane, phase_s) in lanes {
            let share = lane.sectors_per_h * f64::from(count.machines);
            time += share * phase_s;
            weight += share;
        }
    }
    if weight > 0.0 { time / weight } else { 0.0 }
}

/// What the shared storage carries in one direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharedLoad {
    /// "writing" or "reading".
    pub direction: String,
    /// Bytes per second of each thing that is moved.
    pub parts: Vec<(String, f64)>,
    /// Bytes per second altogether.
    pub bytes_per_s: f64,
    /// What it was measured to carry; `None` if the scenario does not say.
    pub limit: Option<f64>,
    /// The most sectors per hour that it lets through.
    pub most_per_h: Option<f64>,
}

impl SharedLoad {
    /// Whether it cannot carry that.
    pub fn is_bottleneck(&self) -> bool {
        self.limit.is_some_and(|limit| self.bytes_per_s > limit)
    }
}

/// What the shared storage carries at the target.
pub fn shared_load(scenario: &Scenario) -> Vec<SharedLoad> {
    let needs = &scenario.needs;
    let vanilla = if scenario.plans(Phase::C1) { needs.c1_output } else { 0.0 };
    let finished = if scenario.plans(Phase::P2) { needs.finished } else { 0.0 };
    let proofs = scenario.plans(Phase::P4);
    let parameters =
        if proofs && scenario.shared.holds_parameters { super::layout::parameter_bytes(scenario) } else { 0.0 };
    let back = if proofs { needs.c1_output } else { 0.0 };
    let writing = [("finished sectors", finished), ("output of c1", vanilla)];
    let reading = [("parameters", parameters), ("output of c1", back)];
    let starts = scenario.starts_per_h() / 3600.0;
    let load = |direction: &str, parts: [(&str, f64); 2], limit: Option<f64>| {
        let bytes: f64 = parts.iter().map(|(_, bytes)| bytes).sum();
        let parts = parts.into_iter().filter(|(_, bytes)| *bytes > 0.0);
        SharedLoad {
            direction: direction.to_string(),
            parts: parts.map(|(name, bytes)| (name.to_string(), bytes * starts)).collect(),
            bytes_per_s: bytes * starts,
            limit,
            most_per_h: limit.filter(|_| bytes > 0.0).map(|limit| limit / bytes * 3600.0),
        }
    };
    let both = [load("writing", writing, scenario.shared.write), load("reading", reading, scenario.shared.read)];
    both.into_iter().filter(|load| load.bytes_per_s > 0.0).collect()
}
