//! What a container costs: the same instances of the same binary on the same cores, as processes and as containers in turns.

use std::path::Path;
use std::sync::Arc;

use crate::trial::plan::Plan;
use crate::trial::record::{Record, SweepRun};
use crate::trial::request::Request;
use crate::trial::run::{measure, new_id};
use crate::trial::signals::Signals;
use crate::trial::station::Site;

/// One side of the comparison. Processes are measured twice, as if they were two things: what those differ by is noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Plain processes.
    Processes,
    /// Containers.
    Containers,
    /// Plain processes once more.
    Again,
}

impl Arm {
    /// The arms in the order of a round: each comes first, second and third equally often, so that a drift favours none.
    pub fn turns(round: u32) -> [Arm; 3] {
        let mut arms = [Arm::Processes, Arm::Containers, Arm::Again];
        arms.rotate_left(round as usize % 3);
        arms
    }

    fn point(self) -> &'static str {
        match self {
            Arm::Processes => "processes",
            Arm::Containers => "containers",
            Arm::Again => "processes (A/A)",
        }
    }
}

/// The sites of the two sides.
#[derive(Debug)]
pub struct Sites {
    /// Processes of the image's binary.
    pub processes: Arc<dyn Site>,
    /// Containers of the image.
    pub containers: Arc<dyn Site>,
}

/// Measures so many rounds; every record is in the store when this returns, and is returned with its arm.
///
/// # Errors
/// The first run that is not complete and verified ends it.
pub fn compare(
    request: &Request,
    sites: &Sites,
    rounds: u32,
    home: &Path,
    signals: &Signals,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<(Arm, Record)>> {
    let (sweep, mut records) = (new_id(), Vec::new());
    for round in 0..rounds {
        for arm in Arm::turns(round) {
            let id = new_id();
            let request = Request {
                sweep: Some(SweepRun {
                    sweep: sweep.clone(),
                    point: arm.point().into(),
                    round,
                    twin: arm == Arm::Again,
                }),
                discard: true,
                quiet: true,
                without_alone: true,
                ..request.clone()
            };
            let mut plan = Plan::new(&request, home, &id)?;
            plan.site = Arc::clone(if arm == Arm::Containers { &sites.containers } else { &sites.processes });
            plan.check()?;
            let finished = measure(&request, plan, home, &id, signals.clone())?;
            finished.error.map_or(Ok(()), Err)?;
            records.extend(finished.record.map(|record| (arm, record)));
        }
        say(&format!("round {} of {rounds}", round + 1));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_comes_first_equally_often() {
        let first: Vec<Arm> = (0..3).map(|round| Arm::turns(round)[0]).collect();
        assert_eq!(first, [Arm::Processes, Arm::Containers, Arm::Again]);
    }
}
