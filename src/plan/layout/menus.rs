//! Menus: the kinds of instances that a machine may have together, before it is known how many of each.

use std::collections::BTreeSet;

use super::Lane;
use super::limits::slots;
use super::pack::Block;
use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::{Needs, Precommit, ProvingPlace, Scenario, Sku, Volume};

/// Least memory of an instance on ordinary pages, bytes: its program and stacks need it even where all else is on huge pages.
pub const PROGRAM: f64 = (512u64 << 20) as f64;

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
                (rate.cores, rate.batch, rate.variant.clone(), rate.at_once(), rate.memory.map(f64::to_bits))
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

    /// Memory of an instance: that of p1 is on huge pages.
    fn memory(&self, needs: &Needs) -> f64 {
        let rate = self.any();
        rate.memory.unwrap_or_else(|| match rate.phase {
            Phase::P1 => needs.p1_memory * f64::from(rate.batch),
            Phase::P2 | Phase::C1 => needs.p2_memory,
            Phase::P4 => needs.p4_parameters + f64::from(rate.at_once()) * needs.p4_partition,
        })
    }

    /// Whether it is faster than another of the same phase, however many are side by side, and takes no more memory.
    fn beats(&self, other: &Family, needs: &Needs) -> bool {
        let mut counts = self.rates.iter().chain(&other.rates).map(|rate| rate.instances);
        let is_faster = |count| self.rate(count).sectors_per_h > other.rate(count).sectors_per_h;
        self.memory(needs) <= other.memory(needs) && counts.all(is_faster)
    }
}

/// A kind of instances before it is known how many: the families of its phases.
#[derive(Clone, Debug)]
pub(super) struct Kind<'a> {
    phases: Vec<Phase>,
    /// The first is that of the phase that counts for the cores; c1 is taken as it fits.
    families: Vec<Family<'a>>,
    c1: Option<Family<'a>>,
}

impl<'a> Kind<'a> {
    /// Cores of each instance.
    pub fn cores(&self) -> u32 {
        self.families.iter().map(|family| family.any().cores).max().unwrap_or(0)
    }

    /// Sectors that an instance takes together: what p1 labels together stays together where the same instance goes on with it, all other
    /// instances take one sector after the other.
    pub fn batch(&self) -> u32 {
        if self.does(Phase::P1) { self.families[0].any().batch } else { 1 }
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
        for family in self.families.iter().chain(&self.c1) {
            let memory = family.memory(&scenario.needs);
            match family.any().phase {
                Phase::P1 => huge = memory,
                Phase::P2 | Phase::C1 | Phase::P4 => ordinary = ordinary.max(memory),
            }
        }
        (ordinary, huge)
    }

    /// The most of them on a model that has nothing else.
    pub fn most(&self, scenario: &Scenario, sku: &Sku) -> u32 {
        let times = |room: f64, each: f64| if each > 0.0 { (room / each * (1.0 + 1e-9)) as u32 } else { u32::MAX };
        let (ordinary, huge) = self.memory(scenario);
        let free = sku.memory - sku.reserved_memory;
        let in_memory = match sku.huge_pages {
            Some(reserve) => times(reserve, huge).min(times(free - reserve, ordinary)),
            None => times(free, ordinary + huge),
        };
        let on_volumes = if sku.volumes.is_empty() || self.does(Phase::P4) {
            u32::MAX
        } else {
            let most = |volume: &Volume| most_on(scenario, volume, self.batch());
            sku.volumes.iter().map(most).fold(0, u32::saturating_add)
        };
        (sku.cores / self.cores().max(1)).min(in_memory).min(on_volumes)
    }

    /// Numbers of instances up to `most` above which another rate of one of its phases holds, and `most`.
    pub fn steps(&self, most: u32) -> BTreeSet<u32> {
        let rates = self.families.iter().chain(&self.c1).flat_map(|family| &family.rates);
        rates.map(|rate| rate.instances.min(most)).chain([most]).filter(|n| *n > 0).collect()
    }

    /// So many instances as they are placed.
    pub fn block(&self, count: u32, scenario: &Scenario) -> Block {
        Block { cores: self.cores(), count, huge: self.memory(scenario).1 as u64 }
    }

    /// The lane with so many instances.
    pub fn lane(&self, count: u32, scenario: &Scenario) -> Lane {
        let families = self.families.iter().chain(&self.c1);
        let rates: Vec<Rate> = families.map(|family| family.rate(count).clone()).collect();
        let batch = f64::from(self.batch());
        let job_s: f64 = rates.iter().map(|rate| rate.sector_s() * batch).sum();
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

/// The most instances that work on a volume, each with so many sectors.
pub(super) fn most_on(scenario: &Scenario, volume: &Volume, batch: u32) -> u32 {
    volume.instances.unwrap_or(u32::MAX).min(slots(scenario, volume.size) / batch)
}

/// Memory of so many instances on ordinary and on huge pages. Programs may take what sealing leaves free otherwise.
pub(super) fn memory_of(scenario: &Scenario, sku: &Sku, kinds: &[Kind], counts: &[u32]) -> (f64, f64) {
    let (mut ordinary, mut huge, mut programs) = (0.0, 0.0, 0.0);
    for (kind, count) in kinds.iter().zip(counts) {
        let (count, memory) = (f64::from(*count), kind.memory(scenario));
        ordinary += count * memory.0;
        huge += count * memory.1;
        programs += count * (PROGRAM - memory.0).max(0.0);
    }
    (ordinary + (programs - sku.reserved_memory).max(0.0), huge)
}

/// Memory for ordinary and huge pages that a model has for sealing; without a huge-page reserve the two share what there is.
pub(super) fn has_memory(sku: &Sku, ordinary: f64, huge: f64) -> bool {
    match sku.huge_pages {
        Some(reserve) => huge <= reserve && ordinary <= sku.memory - reserve - sku.reserved_memory,
        None => ordinary + huge <= sku.memory - sku.reserved_memory,
    }
}

/// All menus of a model. There may be millions, so they are made one at a time.
pub(super) struct Menus<'a> {
    scenario: &'a Scenario,
    p1: Vec<Family<'a>>,
    p2: Vec<Family<'a>>,
    c1: Vec<Family<'a>>,
    p4: Vec<Family<'a>>,
}

/// Menus, one at a time.
type Iter<'m, 'a> = Box<dyn Iterator<Item = Vec<Kind<'a>>> + 'm>;

impl<'a> Menus<'a> {
    /// From the rates that hold for the model.
    pub fn new(scenario: &'a Scenario, sku: &Sku, rates: &'a [Rate]) -> Menus<'a> {
        let of = |phase| Family::of(phase, sku, rates);
        Menus { scenario, p1: of(Phase::P1), p2: of(Phase::P2), c1: of(Phase::C1), p4: of(Phase::P4) }
    }

    /// The menus; the kinds of each are in the order of the sector's way.
    pub fn iter(&self) -> Iter<'_, 'a> {
        let proofs = || self.p4.iter().map(|p4| vec![one(p4)]);
        let with = move |kinds: Vec<Kind<'a>>| proofs().map(move |p4| [kinds.clone(), p4].concat());
        let both = || self.precommits().flat_map(with);
        match (self.scenario.plans_precommit(), self.scenario.plans(Phase::P4), self.scenario.rules.p4) {
            (true, false, _) => self.precommits(),
            (false, _, _) => Box::new(proofs()),
            (true, true, ProvingPlace::Elsewhere) => Box::new(self.precommits().chain(proofs())),
            (true, true, ProvingPlace::SameMachine) => Box::new(both()),
            (true, true, ProvingPlace::Anywhere) => Box::new(both().chain(self.precommits()).chain(proofs())),
        }
    }

    /// Those of the phases before p4.
    fn precommits(&self) -> Iter<'_, 'a> {
        match (self.scenario.plans(Phase::P1), self.scenario.plans(Phase::P2)) {
            (true, true) => match self.scenario.rules.precommit {
                Precommit::SideBySide => self.side_by_side(),
                Precommit::InTurn => self.in_turn(),
                Precommit::Either => Box::new(self.side_by_side().chain(self.in_turn())),
            },
            (true, false) => Box::new(self.p1.iter().map(|p1| vec![one(p1)])),
            (false, _) => Box::new(self.p2.iter().flat_map(|p2| self.with_c1(one(p2))).map(|p2| vec![p2])),
        }
    }

    fn side_by_side(&self) -> Iter<'_, 'a> {
        let second = || self.p2.iter().flat_map(|p2| self.with_c1(one(p2)));
        let with = move |p1| second().map(move |p2| vec![one(p1), p2]);
        Box::new(self.p1.iter().flat_map(with))
    }

    fn in_turn(&self) -> Iter<'_, 'a> {
        let kind = |p1: &Family<'a>, p2: &Family<'a>| Kind {
            phases: vec![Phase::P1, Phase::P2],
            families: vec![p1.clone(), p2.clone()],
            c1: None,
        };
        let with = move |p1| self.p2.iter().flat_map(move |p2| self.with_c1(kind(p1, p2))).map(|kind| vec![kind]);
        Box::new(self.p1.iter().flat_map(with))
    }

    /// A kind that does c1 too if it is planned, once with each rate on no more cores that no other beats.
    fn with_c1(&self, kind: Kind<'a>) -> Vec<Kind<'a>> {
        if !self.scenario.plans(Phase::C1) {
            return vec![kind];
        }
        let fits = || self.c1.iter().filter(|c1| c1.any().cores <= kind.cores());
        let is_best = |c1: &&Family| !fits().any(|other| other.beats(c1, &self.scenario.needs));
        let phases = [&kind.phases[..], &[Phase::C1]].concat();
        let with = |c1: &Family<'a>| Kind { phases: phases.clone(), c1: Some(c1.clone()), ..kind.clone() };
        fits().filter(is_best).map(with).collect()
    }
}

/// A kind of instances that do one phase.
fn one<'a>(family: &Family<'a>) -> Kind<'a> {
    Kind { phases: vec![family.any().phase], families: vec![family.clone()], c1: None }
}
