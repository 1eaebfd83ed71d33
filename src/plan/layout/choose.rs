//! All sensible layouts of a model: every number of instances that fits, of which those stay that no other beats.

use std::collections::BTreeSet;

use super::limits::{Volumes, limit_network, spread};
use super::pack::{Block, Grid};
use super::{Bound, CoreSet, Lane, MachineLayout, Stage};
use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::{Precommit, ProvingPlace, Scenario, Sku};

/// Most work for the layouts of a model: ways to look at times instances to place, a few seconds.
const MOST: f64 = 2e7;

/// The layouts of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Those that no other beats in every stage.
    pub layouts: Vec<MachineLayout>,
    /// How many were looked at.
    pub looked_at: u64,
}

/// Rates of the same thing on the same cores that were measured with different numbers of instances side by side.
#[derive(Clone, Debug)]
pub(super) struct Family<'a> {
    /// By instances, the fewest first.
    rates: Vec<&'a Rate>,
}

impl<'a> Family<'a> {
    /// The families of a phase that hold for a model.
    pub fn of(phase: Phase, sku: &Sku, rates: &'a [Rate]) -> Vec<Family<'a>> {
        let mut families: Vec<Family> = Vec::new();
        for rate in rates.iter().filter(|rate| rate.phase == phase && rate.holds_for(&sku.name)) {
            let key = |rate: &Rate| {
                (rate.cores, rate.batch, rate.variant.clone(), rate.partitions_at_once, rate.memory.map(f64::to_bits))
            };
            match families.iter_mut().find(|family| key(family.rates[0]) == key(rate)) {
                Some(family) => family.rates.push(rate),
                None => families.push(Family { rates: vec![rate] }),
            }
        }
        for family in &mut families {
            family.rates.sort_by_key(|rate| rate.instances);
        }
        families
    }

    /// The rate for so many side by side: measured with as many or more; with the most if there is none.
    pub fn rate(&self, count: u32) -> &'a Rate {
        let enough = self.rates.iter().find(|rate| rate.instances >= count);
        enough.unwrap_or(&self.rates[self.rates.len() - 1])
    }

    fn any(&self) -> &'a Rate {
        self.rates[0]
    }
}

/// A kind of instances before it is known how many: the families of its phases.
#[derive(Clone, Debug)]
pub(super) struct Kind<'a> {
    phases: Vec<Phase>,
    /// The first is that of the phase that counts for the cores; c1 is taken as it fits.
    families: Vec<Family<'a>>,
    c1: Option<&'a Rate>,
}

impl<'a> Kind<'a> {
    /// Cores of each instance.
    pub fn cores(&self) -> u32 {
        self.families.iter().map(|family| family.any().cores).max().unwrap_or(0)
    }

    /// Sectors that an instance takes together.
    pub fn batch(&self) -> u32 {
        self.families[0].any().batch
    }

    /// Its name: "p2+c1 on 23 cores".
    pub fn label(&self) -> String {
        let phases: Vec<&str> = self.phases.iter().map(|phase| phase.name()).collect();
        format!("{} on {} cores", phases.join("+"), self.cores())
    }

    /// Whether it does a phase.
    pub fn does(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// Memory of an instance on ordinary and on huge pages.
    pub fn memory(&self, scenario: &Scenario) -> (f64, f64) {
        let (mut ordinary, mut huge): (f64, f64) = (0.0, 0.0);
        for family in &self.families {
            let rate = family.any();
            let needs = &scenario.needs;
            match rate.phase {
                Phase::P1 => huge = rate.memory.unwrap_or(needs.p1_memory * f64::from(rate.batch)),
                Phase::P2 | Phase::C1 => ordinary = ordinary.max(rate.memory.unwrap_or(needs.p2_memory)),
                Phase::P4 => {
                    let at_once = f64::from(rate.partitions_at_once.unwrap_or(10));
                    ordinary = ordinary.max(rate.memory.unwrap_or(needs.p4_parameters + at_once * needs.p4_partition));
                }
            }
        }
        (ordinary, huge)
    }

    /// Numbers of instances up to `most` above which another rate of one of its phases holds, and `most`.
    fn steps(&self, most: u32) -> BTreeSet<u32> {
        let rates = self.families.iter().flat_map(|family| &family.rates);
        rates.map(|rate| rate.instances.min(most)).chain([most]).filter(|n| *n > 0).collect()
    }

    /// The lane with so many instances.
    fn lane(&self, count: u32, scenario: &Scenario) -> Lane {
        let mut rates: Vec<Rate> = self.families.iter().map(|family| family.rate(count).clone()).collect();
        let batch = f64::from(self.batch());
        let per_sector = |rate: &Rate| rate.run_s() / f64::from(rate.batch);
        let mut job_s: f64 = rates.iter().map(|rate| per_sector(rate) * batch).sum();
        if let Some(c1) = self.c1 {
            job_s += per_sector(c1) * batch;
            rates.push(c1.clone());
        }
        let (memory, huge_memory) = self.memory(scenario);
        Lane {
            phases: self.phases.clone(),
            instances: count,
            cores: self.cores(),
            memory,
            huge_memory,
            batch: self.batch(),
            job_s,
            sectors_per_h: f64::from(count) * batch / job_s * 3600.0,
            rates,
        }
    }
}

/// The kinds of instances that a machine may have together, in the order of the sector's way.
pub(super) fn menus<'a>(scenario: &Scenario, sku: &Sku, rates: &'a [Rate]) -> Vec<Vec<Kind<'a>>> {
    let of = |phase| Family::of(phase, sku, rates);
    let c1 = |cores: u32| {
        let fits = |rate: &&Rate| rate.phase == Phase::C1 && rate.holds_for(&sku.name) && rate.cores <= cores;
        rates.iter().filter(fits).max_by(|a, b| a.sectors_per_h.total_cmp(&b.sectors_per_h))
    };
    let with_c1 = |mut kind: Kind<'a>| {
        if scenario.plans(Phase::C1) {
            kind.c1 = Some(c1(kind.cores())?);
            kind.phases.push(Phase::C1);
        }
        Some(kind)
    };
    let one = |family: Family<'a>| Kind { phases: vec![family.any().phase], families: vec![family], c1: None };
    let p1: Vec<Kind> = of(Phase::P1).into_iter().map(one).collect();
    let p2: Vec<Kind> = of(Phase::P2).into_iter().map(one).filter_map(with_c1).collect();
    let in_turn = of(Phase::P1).into_iter().flat_map(|p1| of(Phase::P2).into_iter().map(move |p2| [p1.clone(), p2]));
    let in_turn = in_turn.map(|both| Kind { phases: vec![Phase::P1, Phase::P2], families: both.to_vec(), c1: None });
    let in_turn: Vec<Kind> = in_turn.filter_map(with_c1).collect();
    let p4: Vec<Kind> = of(Phase::P4).into_iter().map(one).collect();

    let pairs = p1.iter().flat_map(|a| p2.iter().map(|b| vec![a.clone(), b.clone()]));
    let precommits: Vec<Vec<Kind>> = match (scenario.plans(Phase::P1), scenario.plans(Phase::P2)) {
        (true, true) => {
            let turns = in_turn.into_iter().map(|kind| vec![kind]);
            match scenario.rules.precommit {
                Precommit::SideBySide => pairs.collect(),
                Precommit::InTurn => turns.collect(),
                Precommit::Either => pairs.chain(turns).collect(),
            }
        }
        (true, false) => p1.into_iter().map(|kind| vec![kind]).collect(),
        (false, true) => p2.into_iter().map(|kind| vec![kind]).collect(),
        (false, false) => Vec::new(),
    };
    let alone = |kind: &Kind<'a>| vec![kind.clone()];
    match (scenario.plans_precommit(), scenario.plans(Phase::P4), scenario.rules.p4) {
        (true, false, _) => precommits,
        (false, _, _) => p4.iter().map(alone).collect(),
        (true, true, ProvingPlace::Elsewhere) => precommits.into_iter().chain(p4.iter().map(alone)).collect(),
        (true, true, place) => {
            let together = |precommit: &Vec<Kind<'a>>| {
                p4.iter().map(|p4| [precommit.clone(), alone(p4)].concat()).collect::<Vec<_>>()
            };
            let both = precommits.iter().flat_map(together).collect::<Vec<_>>();
            let apart = if place == ProvingPlace::Anywhere { precommits } else { Vec::new() };
            let proofs = if place == ProvingPlace::Anywhere { p4.iter().map(alone).collect() } else { Vec::new() };
            both.into_iter().chain(apart).chain(proofs).collect()
        }
    }
}

/// Memory for ordinary and huge pages that a model has for sealing; without a huge-page reserve the two share what there is.
pub(super) fn has_memory(sku: &Sku, ordinary: f64, huge: f64) -> bool {
    match sku.huge_pages {
        Some(reserve) => huge <= reserve && ordinary <= sku.memory - reserve - sku.reserved_memory,
        None => ordinary + huge <= sku.memory - sku.reserved_memory,
    }
}

/// The layouts of a model that no other beats. The error is a sentence: there are too many to look at.
pub fn cut(scenario: &Scenario, sku: &Sku, rates: &[Rate]) -> Result<Cut, String> {
    let proof_s = slowest(Phase::P4, scenario, rates);
    let mut search = Search { scenario, sku, stages: Stage::of(scenario), proof_s, front: Vec::new(), looked_at: 0 };
    let menus = menus(scenario, sku, rates);
    if menus.iter().map(|kinds| work(sku, kinds)).sum::<f64>() > MOST {
        return Err(format!("sku '{}' can be cut in too many ways: leave out rates on few cores", sku.name));
    }
    for kinds in menus {
        search.counts(&kinds, &mut Vec::new());
    }
    let Search { front, looked_at, .. } = search;
    Ok(Cut { layouts: front, looked_at })
}

/// About how much it takes to look at all numbers of instances: those of all kinds but the first, times the instances to place.
fn work(sku: &Sku, kinds: &[Kind]) -> f64 {
    let most = |kind: &Kind| f64::from(sku.cores / kind.cores().max(1));
    let ways: f64 = kinds.iter().skip(1).map(most).product();
    ways * kinds.iter().map(most).fold(0.0, f64::max)
}

/// The longest time of a sector in a phase.
fn slowest(phase: Phase, scenario: &Scenario, rates: &[Rate]) -> f64 {
    let of_phase = rates.iter().filter(|rate| rate.phase == phase && scenario.plans(phase));
    of_phase.map(Rate::run_s).fold(0.0, f64::max)
}

struct Search<'a> {
    scenario: &'a Scenario,
    sku: &'a Sku,
    stages: Vec<Stage>,
    /// Time of p4 for sectors that wait for it with their storage held.
    proof_s: f64,
    front: Vec<MachineLayout>,
    looked_at: u64,
}

impl Search<'_> {
    /// Tries all numbers of instances. The first kind is not counted through: as many as fit, or as a rate holds for, beat fewer.
    fn counts(&mut self, kinds: &[Kind], later: &mut Vec<u32>) {
        if later.len() + 1 == kinds.len() {
            let most = self.most(kinds, later);
            for first in kinds[0].steps(most) {
                let counts: Vec<u32> = std::iter::once(first).chain(later.iter().rev().copied()).collect();
                self.offer(kinds, counts);
            }
            self.looked_at += 1;
            return;
        }
        for count in 1.. {
            later.push(count);
            let fits = self.most(kinds, later) > 0;
            if fits {
                self.counts(kinds, later);
            }
            later.pop();
            if !fits {
                return;
            }
        }
    }

    /// The most instances of the first kind beside those of the last ones; of the kinds between there is one.
    fn most(&self, kinds: &[Kind], later: &[u32]) -> u32 {
        let fits = |first: u32| {
            let mut counts = vec![1; kinds.len()];
            counts[0] = first;
            for (count, given) in counts.iter_mut().rev().zip(later) {
                *count = *given;
            }
            self.fits(kinds, &counts)
        };
        let (mut low, mut high) = (0, self.sku.cores + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }

    fn fits(&self, kinds: &[Kind], counts: &[u32]) -> bool {
        let (mut ordinary, mut huge) = (0.0, 0.0);
        for (kind, count) in kinds.iter().zip(counts) {
            let memory = kind.memory(self.scenario);
            ordinary += f64::from(*count) * memory.0;
            huge += f64::from(*count) * memory.1;
            let on_volumes = !self.sku.volumes.is_empty() && !kind.does(Phase::P4);
            if on_volumes && spread(self.scenario, self.sku, *count, kind.batch()).is_none() {
                return false;
            }
        }
        let cores: u32 = kinds
            .iter()
            .zip(counts)
            .map(|(kind, count)| kind.cores().saturating_mul(*count))
            .fold(0, u32::saturating_add);
        cores <= self.sku.cores && has_memory(self.sku, ordinary, huge) && self.place(kinds, counts).is_some()
    }

    fn place(&self, kinds: &[Kind], counts: &[u32]) -> Option<Vec<Vec<u32>>> {
        let blocks = kinds.iter().zip(counts).map(|(kind, count)| Block { cores: kind.cores(), count: *count });
        Grid::new(self.sku, self.scenario.rules.split_l3).place(&blocks.collect::<Vec<_>>())
    }

    /// Takes a layout up if no other beats it, without the instances that add nothing.
    fn offer(&mut self, kinds: &[Kind], mut counts: Vec<u32>) {
        let full = self.output(&self.lanes(kinds, &counts));
        if self.front.iter().any(|other| beats(&other.per_h, &full.per_h)) {
            return;
        }
        for lane in 0..counts.len() {
            while counts[lane] > 1 {
                counts[lane] -= 1;
                if self.output(&self.lanes(kinds, &counts)).per_h != full.per_h {
                    counts[lane] += 1;
                    break;
                }
            }
        }
        let Some(layout) = self.layout(kinds, &counts) else { return };
        let size = |layout: &MachineLayout| (layout.lanes.iter().map(|lane| lane.instances).sum::<u32>(), layout.cores);
        let better = |other: &MachineLayout| {
            beats(&other.per_h, &layout.per_h) || other.per_h == layout.per_h && size(other) <= size(&layout)
        };
        if !self.front.iter().any(better) {
            self.front.retain(|other| !beats(&layout.per_h, &other.per_h) && other.per_h != layout.per_h);
            self.front.push(layout);
        }
    }

    fn lanes(&self, kinds: &[Kind], counts: &[u32]) -> Vec<Lane> {
        kinds.iter().zip(counts).map(|(kind, count)| kind.lane(*count, self.scenario)).collect()
    }

    /// What lanes put out together.
    fn output(&self, lanes: &[Lane]) -> Output {
        let of = |phase: Phase| lanes.iter().find(|lane| lane.phases.contains(&phase));
        let mut flight_s = 0.0;
        let mut precommit = (f64::INFINITY, None);
        for lane in lanes.iter().filter(|lane| !lane.phases.contains(&Phase::P4)) {
            flight_s += lane.job_s;
            if lane.sectors_per_h < precommit.0 {
                precommit = (lane.sectors_per_h, Some(Bound::Phase(lane.phases[0])));
            }
        }
        let rules = &self.scenario.rules;
        flight_s += if self.scenario.plans(Phase::C1) { rules.wait_seed_s } else { 0.0 };
        flight_s += of(Phase::P4).map_or(self.proof_s, |lane| lane.job_s.max(self.proof_s));
        let mut volume_s = 0.0;
        if let Some(starts) = lanes.first().filter(|lane| !lane.phases.contains(&Phase::P4)) {
            let places = spread(self.scenario, self.sku, starts.instances, starts.batch).unwrap_or_default();
            let volumes = Volumes::new(self.scenario, self.sku, &places, flight_s);
            volume_s = volumes.busy_s;
            for (limit, bound) in [(volumes.by_rate, Bound::VolumeRate), (volumes.by_space, Bound::VolumeSpace)] {
                if limit < precommit.0 {
                    precommit = (limit, Some(bound));
                }
            }
        }
        let proof = of(Phase::P4).map_or((0.0, None), |lane| (lane.sectors_per_h, Some(Bound::Phase(Phase::P4))));
        let precommit = if precommit.1.is_some() { precommit } else { (0.0, None) };
        let stage = |stage: &Stage| match stage {
            Stage::Precommit => precommit.clone(),
            Stage::Proof => proof.clone(),
            Stage::Whole if proof.0 < precommit.0 => proof.clone(),
            Stage::Whole => precommit.clone(),
        };
        let (mut per_h, mut bounds): (Vec<f64>, Vec<Option<Bound>>) = self.stages.iter().map(stage).unzip();
        limit_network(self.scenario, self.sku, &self.stages, &mut per_h, &mut bounds);
        let starts = if self.stages[0] == Stage::Proof { 0.0 } else { per_h[0] };
        Output { sectors_in_flight: starts * flight_s / 3600.0, volume_load: starts * volume_s / 3600.0, per_h, bounds }
    }

    fn layout(&self, kinds: &[Kind], counts: &[u32]) -> Option<MachineLayout> {
        let lanes = self.lanes(kinds, counts);
        let Output { per_h, bounds, sectors_in_flight, volume_load } = self.output(&lanes);
        let firsts = self.place(kinds, counts)?;
        let mut core_sets = Vec::new();
        for (lane, firsts) in firsts.iter().enumerate() {
            let on_volumes = !self.sku.volumes.is_empty() && !kinds[lane].does(Phase::P4);
            let volumes = if on_volumes {
                spread(self.scenario, self.sku, counts[lane], kinds[lane].batch())?
            } else {
                Vec::new()
            };
            for (instance, first) in (0..).zip(firsts) {
                let volume = volumes.get(instance as usize).copied();
                core_sets.push(CoreSet { lane, instance, first: *first, cores: lanes[lane].cores, volume });
            }
        }
        let sum = |of: fn(&Lane) -> f64| lanes.iter().map(|lane| of(lane) * f64::from(lane.instances)).sum();
        Some(MachineLayout {
            sku: self.sku.name.clone(),
            cores: lanes.iter().map(|lane| lane.cores * lane.instances).sum(),
            memory: sum(|lane| lane.memory),
            huge_memory: sum(|lane| lane.huge_memory),
            lanes,
            per_h,
            bounds,
            sectors_in_flight,
            volume_load,
            core_sets,
        })
    }
}

struct Output {
    per_h: Vec<f64>,
    bounds: Vec<Option<Bound>>,
    sectors_in_flight: f64,
    volume_load: f64,
}

/// Whether one puts out at least as much of every stage, and more of one.
fn beats(one: &[f64], other: &[f64]) -> bool {
    one != other && one.iter().zip(other).all(|(a, b)| a >= b)
}

#[cfg(test)]
mod tests {
    use super::super::why_not;
    use super::*;
    use crate::plan::rates::from_entry;

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
        assert_eq!(ruled.label(), "3 x p1 on 2 cores, 1 x p2 on 8 cores");
        assert_eq!(
            ruled.core_sets.iter().map(|set| set.volume).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2), Some(0)]
        );
        let error = refusal(&BOX.replace(
            "[[rate]]\n        phase = 'p1'",
            "[[sku.volume]]\nsize = '300 GiB'\n[[rate]]\n        phase = 'p1'",
        ));
        assert!(
            error.contains("holds 384 GiB and its largest volume has 300 GiB: a volume of 384 GiB would do"),
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
}
