//! Does the plan come out? A discrete-event simulation of sectors going through the machines: arrivals at an even pace, batches of p1, room on
//! volumes, the wait for the seed, the queue of p4, the shared storage, machines that fail, sectors that fail, and times that spread as they
//! were measured. Time is whole nanoseconds and randomness comes from a seed, so the same plan gives the same result everywhere.

mod events;
mod factory;
mod watch;

use serde::Serialize;

use super::layout::MachineLayout;
use super::purchase::{Machines, Purchase};
use super::quantity::DAY_S;
use super::scenario::Scenario;
use factory::Factory;

/// Nanoseconds of a second.
const NS: f64 = 1e9;

/// Share of the target that the steady output has to reach, in whole batches.
const ENOUGH: f64 = 0.99;

/// Most days of a simulation: a hundred years.
const MOST_DAYS: u32 = 36_500;

/// Most work of a simulation: sectors, instances, and instances that begin again after a failure.
const MOST: f64 = 2e7;

/// Jobs of the first days that are kept for a drawing, at most.
const TRACE_JOBS: usize = 4000;
const TRACE_DAYS: f64 = 3.0;

/// What a simulation showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// Days that were simulated.
    pub days: u32,
    /// Its seed.
    pub seed: u64,
    /// Events that it took.
    pub events: u64,
    /// Finished sectors by day.
    pub output_per_day: Vec<u32>,
    /// When the first sector was finished, hours; `None` if none was.
    pub first_sector_h: Option<f64>,
    /// From when on the figures below are counted, hours: three times the way of a sector with the filling of its batch, at most half of
    /// the time.
    pub steady_from_h: f64,
    /// Finished sectors per day from then on.
    pub steady_per_day: f64,
    /// The target per day.
    pub target_per_day: f64,
    /// Whether the plan comes out; `None` if the time was too short to say.
    pub is_confirmed: Option<bool>,
    /// The same as a sentence.
    pub verdict: String,
    /// How much of the time the instances of each lane work.
    pub utilisation: Vec<Utilisation>,
    /// Sectors by place.
    pub in_flight: Vec<Level>,
    /// Storage held by sectors, by model.
    pub scratch: Vec<Scratch>,
    /// Failures of machines.
    pub machine_failures: u64,
    /// Sectors that failed at their end.
    pub failed_sectors: u64,
    /// Jobs of the first days on the first machine of each layout.
    pub trace: Vec<Job>,
}

/// How much of the time instances work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Utilisation {
    /// The model.
    pub sku: String,
    /// The lane: "4 x p1 on 8 cores".
    pub lane: String,
    /// Share of the time, 0 to 1.
    pub share: f64,
}

/// Sectors in a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The place: a phase, or a wait before one.
    pub place: String,
    /// Mean over the time.
    pub mean: f64,
    /// Most at once.
    pub peak: u64,
}

/// Storage held by sectors on machines of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scratch {
    /// The model.
    pub sku: String,
    /// Mean over the time, bytes.
    pub mean_bytes: f64,
    /// Most at once, bytes.
    pub peak_bytes: f64,
    /// What its volumes have room for in whole sectors, bytes; `None` without volumes.
    pub room_bytes: Option<f64>,
}

/// A job of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Job {
    /// The model.
    pub sku: String,
    /// Which layout of the purchase, counted through all models.
    pub layout: usize,
    /// Which lane of the layout.
    pub lane: usize,
    /// Which instance of the lane.
    pub instance: u32,
    /// What it did: "p1".
    pub phase: String,
    /// Its start and end, hours.
    pub from_h: f64,
    /// Its end, hours.
    pub to_h: f64,
}

/// Simulates so many days. The error is a sentence: the plan is too large for it.
pub fn simulate(scenario: &Scenario, purchase: &Purchase, days: u32, seed: u64) -> Result<Simulation, String> {
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(format!("cannot simulate {days} days: choose 1 to {MOST_DAYS}"));
    }
    let sectors = scenario.starts_per_h() * 24.0 * f64::from(days);
    let instances = instances(purchase);
    let lost = instances * failures(scenario, days);
    if sectors + instances + lost > MOST {
        return Err(format!(
            "cannot simulate {days} days of {sectors:.0} sectors on {instances:.0} instances of which failures stop {lost:.0}: choose fewer days"
        ));
    }
    let mut factory = Factory::new(scenario, purchase, f64::from(days) * DAY_S, seed);
    factory.run();
    Ok(factory.result(days, seed))
}

/// All instances of a purchase.
fn instances(purchase: &Purchase) -> f64 {
    let each = |layout: &MachineLayout| layout.lanes.iter().map(|lane| f64::from(lane.instances)).sum::<f64>();
    let of = |machines: &Machines| {
        let spares = f64::from(machines.spares);
        machines.layouts.iter().map(|count| each(&count.layout) * (f64::from(count.machines) + spares)).sum::<f64>()
    };
    purchase.machines.iter().map(of).sum()
}

/// How often a machine fails in so many days.
fn failures(scenario: &Scenario, days: u32) -> f64 {
    let rules = &scenario.rules;
    f64::from(days) * DAY_S * (1.0 - rules.availability) / rules.repair_s
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Phase;
    use crate::plan::planner::plan;

    fn planned(text: &str) -> (Scenario, Purchase) {
        let scenario = Scenario::parse(text).unwrap();
        let plan = plan(&scenario, Vec::new()).unwrap();
        (scenario, plan.purchase)
    }

    const MONTH: &str = "
        target = '1 PiB per month'
        minimise = 'machines'
        phases = ['p1']
        [[sku]]
        name = 'box'
        cores = 32
        memory = '1 TiB'
        [[rate]]
        phase = 'p1'
        cores = 2
        instances = 15
        time = '3 h'
        memory = '64 GiB'
        concurrent = true
    ";

    /// All phases on two models, with little to spare.
    const ALL: &str = "
        target = '480 sectors/day'
        minimise = 'machines'
        [rules]
        p4 = 'elsewhere'
        [[sku]]
        name = 'a'
        cores = 64
        memory = '1 TiB'
        [[sku.volume]]
        count = 2
        size = '8 TiB'
        [[sku]]
        name = 'b'
        cores = 64
        memory = '1 TiB'
        [[rate]]
        phase = 'p1'
        skus = ['a']
        cores = 4
        instances = 8
        time = '150 min'
        [[rate]]
        phase = 'p2'
        skus = ['a']
        cores = 16
        time = '40 min'
        [[rate]]
        phase = 'c1'
        cores = 8
        time = '1 min'
        [[rate]]
        phase = 'p4'
        skus = ['b']
        cores = 21
        instances = 3
        time = '77 min'
        partitions_at_once = 5
    ";

    fn mean(simulation: &Simulation, place: &str) -> f64 {
        simulation.in_flight.iter().find(|level| level.place == place).unwrap().mean
    }

    #[test]
    fn sectors_in_flight_are_rate_times_time() {
        let (scenario, purchase) = planned(MONTH);
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert!((mean(&result, "p1") / 136.533 - 1.0).abs() < 0.01, "{:?}", result.in_flight);
        assert!((result.steady_per_day / 1092.267 - 1.0).abs() < 0.01, "{}", result.steady_per_day);
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
        assert_eq!(result.first_sector_h, Some(3.0));
    }

    #[test]
    fn every_place_of_the_way_obeys_littles_law() {
        let (scenario, purchase) = planned(ALL);
        let result = simulate(&scenario, &purchase, 60, 7).unwrap();
        // c1 stops a p2 for its minute.
        for (place, hours) in
            [("p1", 2.5), ("p2", 41.0 / 60.0), ("wait for the seed", 1.25), ("c1", 1.0 / 60.0), ("p4", 77.0 / 60.0)]
        {
            let expected = 20.0 * hours;
            assert!(
                (mean(&result, place) / expected - 1.0).abs() < 0.01,
                "{place}: {} for {expected}",
                mean(&result, place)
            );
        }
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
        let way = 2.5 + 2.0 / 3.0 + 1.25 + 1.0 / 60.0 + 77.0 / 60.0;
        assert!((result.first_sector_h.unwrap() - way).abs() < 1e-6, "the first sector waits for nothing");
        let all: u32 = result.output_per_day.iter().sum();
        assert!(f64::from(all) > 480.0 * 59.0 && f64::from(all) <= 480.0 * 60.0, "{all}");
    }

    #[test]
    fn the_same_seed_gives_the_same_result() {
        let text =
            ALL.replace("p4 = 'elsewhere'", "p4 = 'elsewhere'\navailability = 0.9\nfailed_sectors = 0.05\nspares = 1");
        let (scenario, purchase) = planned(&text.replace("time = '150 min'", "time = '150 min'\ncv = 0.05"));
        let once = simulate(&scenario, &purchase, 40, 3).unwrap();
        assert_eq!(once, simulate(&scenario, &purchase, 40, 3).unwrap());
        assert_ne!(once, simulate(&scenario, &purchase, 40, 4).unwrap());
        assert!(once.machine_failures > 0 && once.failed_sectors > 0, "{once:?}");
        let expected = once.failed_sectors as f64 / (480.0 / 0.95 * 40.0);
        assert!((expected - 0.05).abs() < 0.01, "{expected}");
    }

    #[test]
    fn a_plan_that_is_short_is_refuted_and_says_where_sectors_pile_up() {
        let (scenario, mut purchase) = planned(ALL);
        let proving = purchase.machines.iter_mut().find(|machines| machines.sku == "b").unwrap();
        proving.layouts[0].machines -= 2;
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert_eq!(result.is_confirmed, Some(false));
        assert!(result.verdict.contains("before p4"), "{}", result.verdict);
        let full: Vec<&Scratch> = result.scratch.iter().filter(|scratch| scratch.sku == "a").collect();
        assert!(full[0].peak_bytes <= full[0].room_bytes.unwrap());
    }

    #[test]
    fn p2_takes_no_sectors_of_other_volumes() {
        let (scenario, mut purchase) = planned(&ALL.replace("count = 2", "count = 2\n        instances = 4"));
        let layout = &mut purchase.machines.iter_mut().find(|machines| machines.sku == "a").unwrap().layouts[0].layout;
        let lane = layout.lanes.iter().position(|lane| lane.does(Phase::P2)).unwrap();
        let seconds: Vec<_> = layout.core_sets.iter_mut().filter(|set| set.lane == lane).collect();
        assert_eq!(seconds.iter().map(|set| set.volume).collect::<Vec<_>>(), [Some(0), Some(1)]);
        seconds.into_iter().for_each(|set| set.volume = Some(0));
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert_eq!(result.is_confirmed, Some(false));
        assert!(result.verdict.contains("before p2"), "{}", result.verdict);
    }

    #[test]
    fn p2_of_a_run_of_several_sectors_takes_one_after_the_other() {
        let (scenario, purchase) = planned(ALL);
        let (several, same) = planned(&ALL.replace("time = '40 min'", "time = '160 min'\n        batch = 4"));
        assert_eq!(purchase.total, same.total);
        let [one, four] = [(&scenario, &purchase), (&several, &same)]
            .map(|(scenario, purchase)| simulate(scenario, purchase, 30, 1).unwrap());
        assert_eq!((one.steady_per_day, mean(&one, "p2")), (four.steady_per_day, mean(&four, "p2")));
    }

    #[test]
    fn shared_storage_that_is_too_slow_refutes_a_plan() {
        let (scenario, purchase) = planned(&format!("{ALL}\n[shared]\nwrite = '100 MiB/s'"));
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert_eq!(result.is_confirmed, Some(false));
        assert!((result.steady_per_day / (100.0 * 86400.0 / 32784.0) - 1.0).abs() < 0.01, "{}", result.steady_per_day);
        assert!(result.verdict.contains("shared storage"), "{}", result.verdict);
    }

    #[test]
    fn too_few_days_say_nothing() {
        let (scenario, purchase) = planned(&ALL.replace("'150 min'", "'30 h'"));
        assert_eq!(simulate(&scenario, &purchase, 1, 1).unwrap().is_confirmed, None);
    }

    /// One machine that runs p1 on as few or as many sectors at once.
    fn small(target: &str, batch: u32, time: &str) -> (Scenario, Purchase) {
        planned(&format!(
            "
            target = '{target}'
            minimise = 'machines'
            phases = ['p1']
            [[sku]]
            name = 'box'
            cores = 32
            memory = '4 TiB'
            [[rate]]
            phase = 'p1'
            cores = 32
            batch = {batch}
            time = '{time}'
            "
        ))
    }

    #[test]
    fn a_sector_just_outside_of_the_time_does_not_refute_a_small_plan() {
        let (scenario, purchase) = small("1 sectors/day", 1, "13.2 h");
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert!(result.steady_per_day < ENOUGH, "{}", result.steady_per_day);
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
    }

    #[test]
    fn large_batches_of_a_small_target_come_out() {
        let (scenario, purchase) = small("8 sectors/day", 16, "12 h");
        for days in [15, 30, 31, 365] {
            let result = simulate(&scenario, &purchase, days, 1).unwrap();
            assert_eq!(result.first_sector_h, Some(57.0));
            assert_eq!(result.is_confirmed, Some(true), "{days} days: {}", result.verdict);
        }
        assert_eq!(simulate(&scenario, &purchase, 4, 1).unwrap().is_confirmed, None);
    }

    #[test]
    fn shared_storage_that_is_slow_but_fast_enough_is_judged() {
        let rest = "        [[rate]]\n        phase = 'p2'\n        cores = 16\n        time = '30 min'\n";
        let text = MONTH.replace("1 PiB per month", "1 sectors per day").replace("'3 h'", "'30 min'");
        let text = text.replace("['p1']", "['p1', 'p2']") + rest + "[shared]\nwrite = '1 MiB/s'";
        let (scenario, purchase) = planned(&text);
        let result = simulate(&scenario, &purchase, 30, 1).unwrap();
        assert!(result.first_sector_h.unwrap() > 9.0, "{:?}", result.first_sector_h);
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
    }

    #[test]
    fn small_plans_that_are_short_are_refuted() {
        for (target, batch, half, nearly) in
            [("1 sectors/day", 1, "48 h", "25 h"), ("8 sectors/day", 16, "96 h", "50 h")]
        {
            let (scenario, _) = small(target, batch, "12 h");
            let simulated = |time: &str, days: u32| {
                let (_, slow) = small("1 sectors/month", batch, time);
                assert_eq!(slow.total, 1);
                simulate(&scenario, &slow, days, 1).unwrap()
            };
            for days in 1..60 {
                let result = simulated(half, days);
                assert_ne!(result.is_confirmed, Some(true), "{days} days: {}", result.verdict);
            }
            for (time, days) in [(half, 60), (nearly, 365)] {
                let result = simulated(time, days);
                assert_eq!(result.is_confirmed, Some(false), "{}", result.verdict);
            }
        }
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let (scenario, purchase) = planned(ALL);
        for days in [0, 36_501, u32::MAX] {
            let error = simulate(&scenario, &purchase, days, 1).unwrap_err();
            assert_eq!(error, format!("cannot simulate {days} days: choose 1 to 36500"));
        }
        let frail = "p4 = 'elsewhere'\navailability = 0.5\nrepair = '1 s'";
        let (scenario, purchase) = planned(&ALL.replace("p4 = 'elsewhere'", frail));
        let error = simulate(&scenario, &purchase, 365, 1).unwrap_err();
        assert!(error.contains("failures stop") && error.ends_with("choose fewer days"), "{error}");
    }

    #[test]
    fn a_storage_that_takes_longer_than_any_clock_counts_holds_all_up() {
        let slow = format!("{ALL}\n[shared]\nwrite = '1 B/s'\nread = '1 B/s'\nholds_parameters = true");
        let (scenario, purchase) = planned(&slow);
        let result = simulate(&scenario, &purchase, 365, 1).unwrap();
        assert_eq!((result.is_confirmed, result.steady_per_day), (None, 0.0), "{}", result.verdict);
        let (scenario, purchase) = planned(&MONTH.replace("1 PiB per month", "1 sectors per day"));
        let result = simulate(&scenario, &purchase, 36_500, 1).unwrap();
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
    }

    #[test]
    fn machines_in_reserve_take_over_from_those_that_fail() {
        let frail = |spares: u32| {
            let rules = format!("p4 = 'elsewhere'\nrepair = '2 days'\nspares = {spares}");
            let (mut scenario, purchase) = planned(&ALL.replace("p4 = 'elsewhere'", &rules));
            // Planned as if nothing failed: only machines in reserve make up for failures.
            scenario.rules.availability = 0.9;
            simulate(&scenario, &purchase, 365, 5).unwrap()
        };
        let (without, with) = (frail(0), frail(3));
        assert!(without.machine_failures > 50 && with.machine_failures > 50, "{with:?}");
        assert_eq!(without.is_confirmed, Some(false), "{}", without.verdict);
        assert_eq!(with.is_confirmed, Some(true), "{}", with.verdict);
    }

    #[test]
    fn a_machine_in_reserve_takes_the_layout_of_the_one_that_it_replaces() {
        let rules = "[rules]\n        repair = '2 days'\n        spares = 3";
        let text = ALL.replace("[rules]", rules).replace("skus = ['a']\n", "").replace("skus = ['b']\n", "");
        let other = "        [[sku]]\n        name = 'b'\n        cores = 64\n        memory = '1 TiB'\n";
        let (mut scenario, purchase) = planned(&text.replace(other, ""));
        let machines: Vec<u32> = purchase.machines[0].layouts.iter().map(|count| count.machines).collect();
        assert_eq!(machines, [7, 9], "p1 to c1 and p4");
        scenario.rules.availability = 0.9;
        let result = simulate(&scenario, &purchase, 365, 5).unwrap();
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
        let room = 16.0 * 1024_f64.powi(4) * 10.0;
        assert!((result.scratch[0].room_bytes.unwrap() / room - 1.0).abs() < 0.05, "{:?}", result.scratch);
    }

    #[test]
    fn a_year_of_a_hundred_machines_comes_out() {
        let (scenario, purchase) = planned(&MONTH.replace("'3 h'", "'32.9 h'"));
        assert_eq!(purchase.total, 100);
        let result = simulate(&scenario, &purchase, 365, 1).unwrap();
        assert_eq!(result.is_confirmed, Some(true), "{}", result.verdict);
        let all: u64 = result.output_per_day.iter().map(|day| u64::from(*day)).sum();
        assert!((all as f64 / (1_092.267 * 365.0) - 1.0).abs() < 0.01, "{all}");
    }
}
