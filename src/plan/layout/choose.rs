//! All sensible layouts of a model: every number of instances that fits, of which those stay that no other beats.

use std::collections::HashMap;

use super::groups::{Group, Room, Spread};
use super::limits::{busy_s, limit_network, through_room};
use super::menus::{Kind, Menus, has_memory, memory_of, most_on};
use super::pack::{Block, Grid};
use super::{Bound, CoreSet, Lane, MachineLayout, Stage};
use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::{Scenario, Sku, Volume};

/// Most work for the layouts of a model: ways to look at times instances to place, a few seconds.
const MOST: f64 = 2e7;

/// Work of a menu, whatever there is on it.
const MENU: f64 = 50.0;

/// Groups that are looked at in the time in which an instance is placed.
const CELLS: f64 = 50.0;

/// Outputs that differ by less are equal.
const EQUAL: f64 = 1e-10;

/// The layouts of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Those that no other beats in every stage.
    pub layouts: Vec<MachineLayout>,
    /// How many were looked at.
    pub looked_at: u64,
}

/// The layouts of a model that no other beats. The error is a sentence: there are too many to look at.
pub fn cut(scenario: &Scenario, sku: &Sku, rates: &[Rate]) -> Result<Cut, String> {
    let menus = Menus::new(scenario, sku, rates);
    let mut left = MOST;
    for kinds in menus.iter() {
        left -= work(scenario, sku, &kinds);
        if left < 0.0 {
            return Err(format!(
                "sku '{}' can be cut in too many ways: leave out rates, first of all those on few cores",
                sku.name
            ));
        }
    }
    let mut search = Search::new(scenario, sku, rates);
    menus.iter().for_each(|kinds| search.menu(kinds));
    Ok(Cut { layouts: search.front, looked_at: search.looked_at })
}

/// About how much it takes to look at all numbers of instances: those of all kinds but the first, times the instances to place, and the groups
/// that they can make on the volumes.
fn work(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> f64 {
    let most: Vec<f64> = kinds.iter().map(|kind| f64::from(kind.most(scenario, sku))).collect();
    let ways: f64 = most.iter().skip(1).product();
    let before_p4 = || kinds.iter().zip(&most).filter(|(kind, _)| !kind.does(Phase::P4));
    let cells: f64 = before_p4().map(|(_, most)| most + 1.0).product();
    let steps: f64 = kinds.iter().map(|kind| kind.steps(u32::MAX).len() as f64).product();
    let groups = |volume: &Volume| {
        before_p4().map(|(kind, most)| most.min(f64::from(most_on(scenario, volume, kind.batch())))).sum::<f64>()
    };
    let spreads = steps * cells * sku.volumes.iter().skip(1).map(groups).sum::<f64>();
    MENU + ways * most.iter().copied().fold(0.0, f64::max) + spreads / CELLS
}

/// The longest time of a sector in p4.
fn longest_proof_s(scenario: &Scenario, rates: &[Rate]) -> f64 {
    let proofs = rates.iter().filter(|rate| rate.phase == Phase::P4 && scenario.plans(Phase::P4));
    proofs.map(Rate::sector_s).fold(0.0, f64::max)
}

struct Search<'a> {
    scenario: &'a Scenario,
    sku: &'a Sku,
    stages: Vec<Stage>,
    /// Time of p4 for sectors that wait for it with their storage held.
    proof_s: f64,
    front: Vec<MachineLayout>,
    looked_at: u64,
    /// The kinds of instances that are counted through now.
    kinds: Vec<Kind<'a>>,
    /// The most of each.
    most: Vec<u32>,
    /// Their groups by what instances put out and how long a sector stays.
    spreads: HashMap<Vec<u64>, Spread>,
}

impl<'a> Search<'a> {
    fn new(scenario: &'a Scenario, sku: &'a Sku, rates: &[Rate]) -> Search<'a> {
        Search {
            scenario,
            sku,
            stages: Stage::of(scenario),
            proof_s: longest_proof_s(scenario, rates),
            front: Vec::new(),
            looked_at: 0,
            kinds: Vec::new(),
            most: Vec::new(),
            spreads: HashMap::new(),
        }
    }

    /// Tries all numbers of instances of these kinds.
    fn menu(&mut self, kinds: Vec<Kind<'a>>) {
        self.most = kinds.iter().map(|kind| kind.most(self.scenario, self.sku)).collect();
        self.kinds = kinds;
        self.spreads.clear();
        self.counts(&mut Vec::new());
    }

    /// Tries all numbers of instances beside those of the last kinds. The first kind is not counted through: as many as fit, or as a rate holds
    /// for, beat fewer.
    fn counts(&mut self, later: &mut Vec<u32>) {
        if later.len() + 1 == self.kinds.len() {
            let most = self.most(later);
            for first in self.kinds[0].steps(most) {
                self.offer(std::iter::once(first).chain(later.iter().rev().copied()).collect());
            }
            self.looked_at += 1;
            return;
        }
        for count in 1.. {
            later.push(count);
            let fits = self.most(later) > 0;
            if fits {
                self.counts(later);
            }
            later.pop();
            if !fits {
                return;
            }
        }
    }

    /// The most instances of the first kind beside those of the last ones; of the kinds between there is one.
    fn most(&self, later: &[u32]) -> u32 {
        let fits = |first: u32| {
            let mut counts = vec![1; self.kinds.len()];
            counts[0] = first;
            for (count, given) in counts.iter_mut().rev().zip(later) {
                *count = *given;
            }
            self.fits(&counts)
        };
        let (mut low, mut high) = (0, self.most[0] + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }

    fn fits(&self, counts: &[u32]) -> bool {
        if counts.iter().zip(&self.most).any(|(count, most)| count > most) {
            return false;
        }
        let cores: u32 = self.kinds.iter().zip(counts).map(|(kind, count)| kind.cores() * count).sum();
        let (ordinary, huge) = memory_of(self.scenario, self.sku, &self.kinds, counts);
        cores <= self.sku.cores
            && has_memory(self.sku, ordinary, huge)
            && self.grid().place_anyhow(&self.blocks(counts)).is_some()
    }

    fn grid(&self) -> Grid {
        Grid::new(self.sku, self.scenario.rules.split_l3)
    }

    fn blocks(&self, counts: &[u32]) -> Vec<Block> {
        let kinds = self.kinds.iter().zip(counts);
        kinds.map(|(kind, count)| kind.block(*count, self.scenario)).collect()
    }

    /// Takes a layout up if no other beats it, without the instances that add nothing.
    fn offer(&mut self, mut counts: Vec<u32>) {
        let full = self.output(&self.lanes(&counts)).per_h;
        if self.front.iter().any(|other| beats(&other.per_h, &full)) {
            return;
        }
        for lane in 0..counts.len() {
            while counts[lane] > 1 {
                counts[lane] -= 1;
                if !equals(&self.output(&self.lanes(&counts)).per_h, &full) {
                    counts[lane] += 1;
                    break;
                }
            }
        }
        let Some(layout) = self.layout(&counts) else { return };
        let size = |layout: &MachineLayout| (layout.lanes.iter().map(|lane| lane.instances).sum::<u32>(), layout.cores);
        let better = |other: &MachineLayout| {
            beats(&other.per_h, &layout.per_h) || equals(&other.per_h, &layout.per_h) && size(other) <= size(&layout)
        };
        if !self.front.iter().any(better) {
            self.front.retain(|other| !beats(&layout.per_h, &other.per_h) && !equals(&other.per_h, &layout.per_h));
            self.front.push(layout);
        }
    }

    fn lanes(&self, counts: &[u32]) -> Vec<Lane> {
        self.kinds.iter().zip(counts).map(|(kind, count)| kind.lane(*count, self.scenario)).collect()
    }

    /// Time for which a sector holds its storage: that of all its phases, and the wait for the seed.
    fn flight_s(&self, lanes: &[Lane]) -> f64 {
        let before_s: f64 = before_p4(lanes).iter().map(|lane| lane.job_s).sum();
        let seed_s = if self.scenario.plans(Phase::C1) { self.scenario.rules.wait_seed_s } else { 0.0 };
        let proof = lanes.iter().find(|lane| lane.does(Phase::P4));
        before_s + seed_s + proof.map_or(self.proof_s, |lane| lane.job_s.max(self.proof_s))
    }

    /// How the instances before p4 can be spread over the volumes.
    fn spread(&mut self, lanes: &[Lane], flight_s: f64) -> &Spread {
        let per_h: Vec<f64> = lanes.iter().map(Lane::instance_per_h).collect();
        let key = per_h.iter().chain([&flight_s]).map(|figure| figure.to_bits()).collect();
        let (scenario, sku, most) = (self.scenario, self.sku, pair(self.most.iter().copied().take(lanes.len())));
        self.spreads.entry(key).or_insert_with(|| {
            let room = |(index, volume): (usize, &Volume)| Room {
                volume: Some(index),
                most: pair(lanes.iter().map(|lane| most_on(scenario, volume, lane.batch))),
                per_h: (3600.0 / busy_s(scenario, volume)).min(through_room(scenario, volume, flight_s)),
            };
            let mut rooms: Vec<Room> = sku.volumes.iter().enumerate().map(room).collect();
            if rooms.is_empty() {
                rooms.push(Room { volume: None, most, per_h: f64::INFINITY });
            }
            Spread::new(rooms, &per_h, most)
        })
    }

    /// What lanes put out together.
    fn output(&mut self, lanes: &[Lane]) -> Output {
        let flight_s = self.flight_s(lanes);
        let groups = match before_p4(lanes) {
            [] => Vec::new(),
            before => self.spread(before, flight_s).groups(pair(before.iter().map(|lane| lane.instances))),
        };
        let precommit = (sum(&groups), self.bound(before_p4(lanes), &groups, flight_s));
        let proof = lanes.iter().find(|lane| lane.does(Phase::P4));
        let proof = proof.map_or((0.0, None), |lane| (lane.sectors_per_h, Some(Bound::Phase(Phase::P4))));
        let stage = |stage: &Stage| match stage {
            Stage::Precommit => precommit.clone(),
            Stage::Proof => proof.clone(),
            Stage::Whole if proof.0 < precommit.0 => proof.clone(),
            Stage::Whole => precommit.clone(),
        };
        let (mut per_h, mut bounds): (Vec<f64>, Vec<Option<Bound>>) = self.stages.iter().map(stage).unzip();
        limit_network(self.scenario, self.sku, &self.stages, &mut per_h, &mut bounds);
        let starts = if groups.is_empty() { 0.0 } else { per_h[0] };
        let busy_s = |group: &Group| Some(group.per_h * busy_s(self.scenario, self.sku.volumes.get(group.volume?)?));
        let busiest_s = groups.iter().filter_map(busy_s).fold(0.0, f64::max);
        let volume_load = if starts > 0.0 { busiest_s / 3600.0 * starts / precommit.0 } else { 0.0 };
        Output { sectors_in_flight: starts * flight_s / 3600.0, volume_load, per_h, bounds }
    }

    /// What bounds the groups: the lane that puts out less, unless it could do more on other volumes.
    fn bound(&self, lanes: &[Lane], groups: &[Group], flight_s: f64) -> Option<Bound> {
        let slowest = lanes.iter().min_by(|a, b| a.sectors_per_h.total_cmp(&b.sectors_per_h))?;
        let full = |group: &Group| {
            let volume = self.sku.volumes.get(group.volume?)?;
            let (by_rate, by_room) =
                (3600.0 / busy_s(self.scenario, volume), through_room(self.scenario, volume, flight_s));
            let bound = if by_rate <= by_room { Bound::VolumeRate } else { Bound::VolumeSpace };
            (group.per_h >= by_rate.min(by_room)).then_some(bound)
        };
        let by_volume = || groups.iter().find_map(full);
        let phase = Bound::Phase(slowest.phases[0]);
        if sum(groups) < slowest.sectors_per_h * (1.0 - EQUAL) { by_volume().or(Some(phase)) } else { Some(phase) }
    }

    fn layout(&mut self, counts: &[u32]) -> Option<MachineLayout> {
        let lanes = self.lanes(counts);
        let Output { per_h, bounds, sectors_in_flight, volume_load } = self.output(&lanes);
        let flight_s = self.flight_s(&lanes);
        let groups = match before_p4(&lanes) {
            [] => Vec::new(),
            before => self.spread(before, flight_s).all(pair(before.iter().map(|lane| lane.instances)))?,
        };
        let sum = |of: fn(&Lane) -> f64| lanes.iter().map(|lane| of(lane) * f64::from(lane.instances)).sum();
        Some(MachineLayout {
            sku: self.sku.name.clone(),
            cores: lanes.iter().map(|lane| lane.cores * lane.instances).sum(),
            memory: sum(|lane| lane.memory),
            huge_memory: sum(|lane| lane.huge_memory),
            core_sets: core_sets(&lanes, &self.grid().place(&self.blocks(counts))?, &groups),
            lanes,
            groups,
            per_h,
            bounds,
            sectors_in_flight,
            volume_load,
        })
    }
}

/// Where each instance sits, those of a group one after the other.
fn core_sets(lanes: &[Lane], firsts: &[Vec<u32>], groups: &[Group]) -> Vec<CoreSet> {
    let mut sets = Vec::new();
    for (number, (lane, firsts)) in lanes.iter().zip(firsts).enumerate() {
        let here = |group: &Group| {
            let instances = group.instances.get(number).copied().unwrap_or(0);
            std::iter::repeat_n(group.volume, instances as usize)
        };
        let volumes: Vec<Option<usize>> = groups.iter().filter(|_| !lane.does(Phase::P4)).flat_map(here).collect();
        for (instance, first) in (0..).zip(firsts) {
            let volume = volumes.get(instance as usize).copied().flatten();
            sets.push(CoreSet { lane: number, instance, first: *first, cores: lane.cores, volume });
        }
    }
    sets
}

struct Output {
    per_h: Vec<f64>,
    bounds: Vec<Option<Bound>>,
    sectors_in_flight: f64,
    volume_load: f64,
}

/// The lanes before p4, which are the first.
fn before_p4(lanes: &[Lane]) -> &[Lane] {
    &lanes[..lanes.iter().take_while(|lane| !lane.does(Phase::P4)).count()]
}

/// What groups put out together.
fn sum(groups: &[Group]) -> f64 {
    groups.iter().map(|group| group.per_h).sum()
}

/// One or two figures as two.
fn pair(figures: impl Iterator<Item = u32>) -> [u32; 2] {
    let mut pair = [0; 2];
    pair.iter_mut().zip(figures).for_each(|(place, figure)| *place = figure);
    pair
}

/// Whether both put out the same but for rounding.
fn equals(one: &[f64], other: &[f64]) -> bool {
    one.iter().zip(other).all(|(a, b)| (a - b).abs() <= EQUAL * b)
}

/// Whether one puts out at least as much of every stage, and more of one.
fn beats(one: &[f64], other: &[f64]) -> bool {
    !equals(one, other) && one.iter().zip(other).all(|(a, b)| *a >= b * (1.0 - EQUAL))
}

#[cfg(test)]
mod tests {
    use super::super::why_not;
    use super::*;
    use crate::plan::rates::from_entry;
    use proptest::prelude::*;

    const BOX: &str = "
        target = '1 PiB per 30 days'
        minimise = 'machines'
        phases = ['p1', 'p2']
        [rules]
        p4 = 'elsewhere'
        [[sku]]
        name = 'box'
        cores = 32
        memory = '1 TiB'
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '3 h'
        [[rate]]
        phase = 'p2'
        cores = 8
        time = '1 h'
    ";

    fn parts(text: &str) -> (Scenario, Vec<Rate>) {
        let scenario = Scenario::parse(text).unwrap();
        let rates = scenario.rates.iter().map(|entry| from_entry(entry).unwrap()).collect();
        (scenario, rates)
    }

    fn layouts(text: &str) -> Vec<MachineLayout> {
        let (scenario, rates) = parts(text);
        cut(&scenario, &scenario.skus[0], &rates).unwrap().layouts
    }

    fn one(text: &str) -> MachineLayout {
        let mut layouts = layouts(text);
        assert_eq!(layouts.len(), 1, "{layouts:?}");
        layouts.remove(0)
    }

    fn refusal(text: &str) -> String {
        let (scenario, rates) = parts(text);
        assert!(cut(&scenario, &scenario.skus[0], &rates).unwrap().layouts.is_empty());
        why_not(&scenario, &scenario.skus[0], &rates, &scenario.phases)
    }

    #[test]
    fn the_slower_phase_bounds_and_no_instance_is_there_in_vain() {
        // Beside two p2 there is room for eight p1; six of them put out as much as the p2 take.
        let layout = one(BOX);
        assert_eq!(layout.label(), "6 x p1 on 2 cores, 2 x p2 on 8 cores");
        assert_eq!((layout.per_h.clone(), layout.cores), (vec![2.0], 28));
        assert_eq!(layout.memory / 2f64.powi(30), 128.0);
        assert_eq!(layout.huge_memory / 2f64.powi(30), 384.0);
        let sets: Vec<u32> = layout.core_sets.iter().map(|set| set.first).collect();
        assert_eq!(sets, [16, 18, 20, 22, 24, 26, 0, 8]);
    }

    #[test]
    fn memory_and_huge_pages_bound_the_instances() {
        let with = |line: &str| one(&BOX.replace("memory = '1 TiB'", line)).label();
        assert_eq!(with("memory = '392 GiB'"), "4 x p1 on 2 cores, 2 x p2 on 8 cores");
        assert_eq!(with("memory = '1 TiB'\nhuge_pages = '200 GiB'"), "3 x p1 on 2 cores, 1 x p2 on 8 cores");
        let error = refusal(&BOX.replace("'1 TiB'", "'100 GiB'"));
        assert!(error.contains("they need 128 GiB of memory and it has 92.0 GiB besides the 8.00 GiB"), "{error}");
        assert!(error.contains("36.0 GiB more would do"), "{error}");
        let error = refusal(&BOX.replace("memory = '1 TiB'", "memory = '1 TiB'\nhuge_pages = '32 GiB'"));
        assert!(error.contains("p1 needs 64.0 GiB of huge pages and 32.0 GiB are reserved"), "{error}");
    }

    #[test]
    fn cores_that_do_not_fit_are_said_with_what_would_help() {
        let error = refusal(&BOX.replace("cores = 32", "cores = 9"));
        assert!(error.contains("p1 on 2 cores and p2 on 8 cores cannot share a machine"), "{error}");
        assert!(error.contains("they need 10 cores and it has 9: 1 more would do"), "{error}");
        let split = BOX.replace("cores = 32", "cores = 12\nl3_groups = 1");
        assert!(refusal(&split).contains("split_l3 = true in [rules] would do"), "{}", refusal(&split));
        assert!(!layouts(&split.replace("[rules]", "[rules]\nsplit_l3 = true")).is_empty());
        let missing = refusal(&BOX.replace("phases = ['p1', 'p2']", ""));
        assert!(missing.contains("no rate of c1 and p4 holds for it"), "{missing}");
    }

    #[test]
    fn volumes_bound_by_rate_by_room_and_by_rule() {
        let with = |volume: &str| {
            one(&BOX.replace(
                "[[rate]]\n        phase = 'p1'",
                &format!("[[sku.volume]]\n{volume}\n[[rate]]\n        phase = 'p1'"),
            ))
        };
        // A sector moves (1 + 13 + 14 + 2 + 1/7) x 32 GiB = 964.57 GiB.
        let slow = with("size = '20 TiB'\nread = '100 MiB/s'\nwrite = '100 MiB/s'");
        assert_eq!(slow.bounds, [Some(Bound::VolumeRate)]);
        let expected = 3600.0 * 100.0 / 1024.0 / (32.0 * (28.0 + 15.0 / 7.0));
        assert!((slow.per_h[0] - expected).abs() < 1e-9 && (slow.volume_load - 1.0).abs() < 1e-9, "{slow:?}");
        // Two sectors at a time for four hours each.
        let small = with("size = '800 GiB'");
        assert_eq!((small.per_h[0], small.bounds.clone()), (0.5, vec![Some(Bound::VolumeSpace)]));
        assert_eq!(small.sectors_in_flight, 2.0);
        let ruled = with("size = '20 TiB'\ncount = 3\ninstances = 1");
        // One p2 would be fast enough for three p1, but each volume needs its own.
        assert_eq!(ruled.label(), "3 x p1 on 2 cores, 3 x p2 on 8 cores");
        assert_eq!(
            ruled.core_sets.iter().map(|set| set.volume).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2), Some(0), Some(1), Some(2)]
        );
        let error = refusal(&BOX.replace(
            "[[rate]]\n        phase = 'p1'",
            "[[sku.volume]]\nsize = '300 GiB'\n[[rate]]\n        phase = 'p1'",
        ));
        assert!(
            error.contains("a sector holds 384 GiB and its largest volume has 300 GiB: a volume of 384 GiB would do"),
            "{error}"
        );
    }

    #[test]
    fn the_network_bounds() {
        // A finished sector is 32 GiB: 1 GiB/s lets 112.5 through, a hundredth of that 1.125.
        let layout = one(&BOX.replace("memory = '1 TiB'", "memory = '1 TiB'\nnetwork = '10.24 MiB/s'"));
        assert!((layout.per_h[0] - 1.125).abs() < 1e-9 && layout.bounds == [Some(Bound::Network)], "{layout:?}");
    }

    #[test]
    fn in_turn_an_instance_does_both() {
        let layout = one(&BOX.replace("[rules]", "[rules]\nprecommit = 'in turn'"));
        assert_eq!((layout.label().as_str(), layout.per_h.clone()), ("4 x p1+p2 on 8 cores", vec![1.0]));
        let either = one(&BOX.replace("[rules]", "[rules]\nprecommit = 'either'"));
        assert_eq!(either.per_h, [2.0]);
    }

    #[test]
    fn in_turn_every_phase_says_how_many_are_worth_trying() {
        let crowded = "
            [[rate]]
            phase = 'p2'
            cores = 8
            instances = 4
            times = ['6 h', '6 h', '6 h', '6 h']
        ";
        let alone =
            BOX.replace("cores = 8\n        time = '1 h'", "cores = 8\n        instances = 2\n        time = '1 h'");
        let layout = one(&(alone.replace("[rules]", "[rules]\nprecommit = 'in turn'") + crowded));
        // Two take 4 h each; four would take 9 h.
        assert_eq!((layout.label().as_str(), layout.per_h.clone()), ("2 x p1+p2 on 8 cores", vec![0.5]));
    }

    #[test]
    fn machines_that_prove_too_offer_a_choice() {
        let proving =
            BOX.replace("phases = ['p1', 'p2']", "phases = ['p1', 'p2', 'p4']").replace("'elsewhere'", "'anywhere'")
                + "\n[[rate]]\nphase = 'p4'\ncores = 8\ntime = '1 h'\npartitions_at_once = 1\nmemory = '75 GiB'";
        let mut choice: Vec<Vec<f64>> = layouts(&proving).into_iter().map(|layout| layout.per_h).collect();
        choice.sort_by(|a, b| a[1].total_cmp(&b[1]));
        // p2 takes 8 cores, p4 takes 8, and what is left is for p1 at a third per hour on 2 cores.
        assert_eq!(choice, [[2.0, 0.0], [4.0 / 3.0, 1.0], [1.0, 2.0], [0.0, 4.0]]);
        let same = layouts(&proving.replace("'anywhere'", "'same machine'"));
        assert_eq!((same.len(), same[0].per_h.clone()), (1, vec![1.0]));
        let apart = layouts(&proving.replace("'anywhere'", "'elsewhere'"));
        assert_eq!(apart.iter().map(|layout| layout.per_h.clone()).collect::<Vec<_>>(), [[2.0, 0.0], [0.0, 4.0]]);
    }

    #[test]
    fn a_rate_that_was_measured_with_as_many_side_by_side_is_taken() {
        let rates = "
            [[rate]]
            phase = 'p1'
            cores = 2
            instances = 8
            time = '4 h'
            concurrent = true
        ";
        let layout = one(&(BOX.to_string() + rates));
        // Eight at 4 h each would give two per hour, as two p2 do; one alone would be faster but was not measured in company.
        assert_eq!(
            (layout.label().as_str(), layout.per_h.clone()),
            ("8 x p1 on 2 cores, 2 x p2 on 8 cores", vec![2.0])
        );
        assert_eq!(layout.lanes[0].rates[0].instances, 8);
    }

    #[test]
    fn c1_takes_the_rate_and_the_memory_of_as_many_side_by_side() {
        let with = |c1: &str| {
            let text =
                BOX.replace("phases = ['p1', 'p2']", "phases = ['p2', 'c1']").replace("cores = 32", "cores = 64");
            let text = text.replace("cores = 8\n        time = '1 h'", "cores = 16\n        time = '40 min'");
            one(&(text.replace("1 TiB", "512 GiB") + "\n[[rate]]\nphase = 'c1'\ncores = 8\n" + c1))
        };
        let crowded =
            "time = '2 min'\n[[rate]]\nphase = 'c1'\ncores = 8\ntime = '20 min'\ninstances = 4\nconcurrent = true";
        let layout = with(crowded);
        assert_eq!((layout.lanes[0].instances, layout.lanes[0].job_s, layout.per_h), (4, 3600.0, vec![4.0]));
        let layout = with("time = '20 min'\nmemory = '150 GiB'");
        assert_eq!((layout.label().as_str(), layout.per_h), ("3 x p2+c1 on 16 cores", vec![3.0]));
        // The faster one takes more memory than four of them have.
        let two = "time = '2 min'\nmemory = '150 GiB'\n[[rate]]\nphase = 'c1'\ncores = 4\ntime = '5 min'";
        assert_eq!(with(two).per_h, [240.0 / 45.0]);
    }

    /// A slow volume beside a fast one takes what it can and leaves the rest to the other.
    #[test]
    fn a_slow_volume_does_not_slow_the_others() {
        let with = |volumes: &str| {
            one(&BOX.replace("[[rate]]\n        phase = 'p1'", &format!("{volumes}\n[[rate]]\n        phase = 'p1'")))
        };
        let fast = "[[sku.volume]]\nsize = '20 TiB'\nread = '1 GiB/s'\nwrite = '1 GiB/s'";
        let slow = "[[sku.volume]]\nsize = '400 GiB'\nread = '10 MiB/s'\nwrite = '10 MiB/s'";
        let (alone, both) = (with(fast), with(&format!("{slow}\n{fast}")));
        assert_eq!((alone.per_h.clone(), both.per_h.clone()), (vec![2.0], vec![2.0]));
        assert!(both.core_sets.iter().all(|set| set.volume == Some(1)), "{both:?}");
    }

    /// The text of a small model with rates for all phases.
    fn small() -> impl Strategy<Value = String> {
        let volume = (300u32..3000, 20u32..600, 0u32..4);
        let rate = |cores| (1u32..cores, 20u32..300, 1u32..4, 0u32..3);
        let cores = (1u32..4, 1u32..4, 1u32..9, any::<bool>());
        let machine = (cores, 40u32..900, proptest::collection::vec(volume, 0..4), 0u32..60);
        let rates = (proptest::collection::vec(rate(5), 1..3), rate(8), rate(8));
        (machine, rates, 0usize..3, 0usize..3, 0usize..4).prop_map(|(machine, rates, precommit, p4, phases)| {
            let ((nodes, groups, group, has_groups), memory, volumes, network) = machine;
            let l3 = if has_groups { format!("l3_groups={}", nodes * groups) } else { String::new() };
            let cores = nodes * groups * group;
            let precommit = ["side by side", "in turn", "either"][precommit];
            let p4 = ["anywhere", "elsewhere", "same machine"][p4];
            let phases = ["'p1','p2'", "'p1','p2','c1'", "'p1','p2','c1','p4'", "'p1'"][phases];
            let mut text = format!(
                "target='1 sectors/h'\nminimise='machines'\nphases=[{phases}]\n[rules]\nprecommit='{precommit}'\np4='{p4}'\n\
                 [[sku]]\nname='box'\ncores={cores}\nnuma_nodes={nodes}\n{l3}\nmemory='{memory} GiB'\nnetwork='{} MiB/s'\n",
                network + 1
            );
            for (size, rate, instances) in volumes {
                text += &format!("[[sku.volume]]\nsize='{size} GiB'\nread='{rate} MiB/s'\nwrite='{rate} MiB/s'\n");
                text += &if instances > 0 { format!("instances={instances}\n") } else { String::new() };
            }
            let rates = rates.0.into_iter().map(|rate| ("p1", rate)).chain([("p2", rates.1), ("p4", rates.2)]);
            for (phase, (cores, minutes, batch, more)) in rates.chain([("c1", (1, 1, 1, 0))]) {
                for (instances, slower) in (0..=more).map(|step| (1 + 3 * step, 1 + step)) {
                    text += &format!("[[rate]]\nphase='{phase}'\ncores={cores}\ntime='{} min'\n", minutes * slower * batch);
                    text += &format!("instances={instances}\nbatch={batch}\n");
                }
            }
            text
        })
    }

    /// The best output of each stage, and of all stages at once.
    fn best(scenario: &Scenario, rates: &[Rate]) -> Vec<f64> {
        let layouts = cut(scenario, &scenario.skus[0], rates).unwrap().layouts;
        let most = |of: &dyn Fn(&MachineLayout) -> f64| layouts.iter().map(of).fold(0.0, f64::max);
        let stages = 0..Stage::of(scenario).len();
        let each = stages.map(|stage| most(&|layout| layout.per_h[stage]));
        each.chain([most(&|layout| layout.per_h.iter().copied().fold(f64::INFINITY, f64::min))]).collect()
    }

    /// Ways in which a model may have more.
    fn richer(sku: &Sku) -> Vec<Sku> {
        let with = |change: &dyn Fn(&mut Sku)| {
            let mut sku = sku.clone();
            change(&mut sku);
            sku
        };
        let mut all = vec![
            with(&|sku| sku.memory += 2f64.powi(36)),
            with(&|sku| sku.cores += sku.l3_groups.unwrap_or(sku.numa_nodes)),
            with(&|sku| sku.network = sku.network.map(|rate| rate * 1.5)),
        ];
        if let Some(first) = sku.volumes.first() {
            let more = Volume { size: 4e11, read: Some(1e7), ..first.clone() };
            all.push(with(&|sku| sku.volumes.push(more.clone())));
            all.push(with(&|sku| sku.volumes.insert(0, first.clone())));
            all.push(with(&|sku| sku.volumes[0].size *= 1.7));
            all.push(with(&|sku| sku.volumes[0].read = first.read.map(|rate| rate * 2.0)));
            all.push(with(&|sku| sku.volumes[0].instances = first.instances.map(|most| most + 1)));
        }
        all
    }

    proptest! {
        #[test]
        fn more_of_anything_never_lowers_the_best_output(text in small()) {
            let (scenario, rates) = parts(&text);
            let before = best(&scenario, &rates);
            for sku in richer(&scenario.skus[0]) {
                let more = Scenario { skus: vec![sku.clone()], ..scenario.clone() };
                let after = best(&more, &rates);
                for (before, after) in before.iter().zip(&after) {
                    prop_assert!(*after >= before * (1.0 - 1e-9), "{before} to {after} with {sku:?}\n{text}");
                }
            }
        }

        #[test]
        fn p1_and_p2_share_a_volume_that_they_both_can_use(text in small()) {
            let (scenario, rates) = parts(&text);
            for layout in &cut(&scenario, &scenario.skus[0], &rates).unwrap().layouts {
                let doing = |phase: Phase| {
                    let sets = layout.core_sets.iter().filter(move |set| layout.lanes[set.lane].does(phase));
                    sets.map(|set| set.volume).collect::<std::collections::BTreeSet<_>>()
                };
                if scenario.plans(Phase::P2) {
                    prop_assert_eq!(doing(Phase::P1), doing(Phase::P2));
                }
                let total: f64 = layout.groups.iter().map(|group| group.per_h).sum();
                prop_assert!(layout.groups.is_empty() || layout.per_h[0] <= total * (1.0 + 1e-9));
            }
        }

        #[test]
        fn what_cannot_be_has_a_reason_and_a_change_that_helps(text in small()) {
            let (scenario, rates) = parts(&text);
            let layouts = cut(&scenario, &scenario.skus[0], &rates).unwrap().layouts;
            for (index, stage) in Stage::of(&scenario).into_iter().enumerate() {
                if layouts.iter().all(|layout| layout.per_h[index] == 0.0) {
                    let why = why_not(&scenario, &scenario.skus[0], &rates, &stage.phases(&scenario));
                    prop_assert!(why.contains(" would do"), "{why}\n{text}");
                }
            }
        }
    }
}
