//! Why a model cannot do a part of a sector's way, and the smallest change with which it could.

use super::limits::slots;
use super::menus::{Kind, Menus, has_memory, memory_of};
use super::pack::{Block, Grid};
use crate::phase::Phase;
use crate::plan::quantity::{self, Units};
use crate::plan::rates::Rate;
use crate::plan::scenario::{Scenario, Sku};
use crate::report::units;

/// What one instance of each kind lacks: what is needed over what there is, of what is short.
#[derive(Clone, Copy, Debug, Default)]
struct Lack {
    cores: Option<f64>,
    memory: Option<f64>,
    volume: Option<f64>,
}

impl Lack {
    fn of(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> Lack {
        let cores: u32 = kinds.iter().map(Kind::cores).sum();
        let (ordinary, huge) = memory_of_each(scenario, sku, kinds);
        let short = |is_there: bool, ratio: f64| (!is_there).then_some(ratio.max(1.0));
        Lack {
            cores: short(are_placed(scenario, sku, kinds), f64::from(cores) / f64::from(sku.cores)),
            memory: short(has_memory(sku, ordinary, huge), (ordinary + huge) / free_memory(sku).max(1.0)),
            volume: short(
                sku.volumes.is_empty() || slots(scenario, largest(sku)) >= batch(kinds),
                scratch(scenario, kinds) / largest(sku).max(1.0),
            ),
        }
    }

    /// How many things are short, and the worst of them.
    fn size(self) -> (usize, f64) {
        let short = || [self.cores, self.memory, self.volume].into_iter().flatten();
        (short().count(), short().fold(0.0, f64::max))
    }
}

/// The sentence for a model that has no layout with these phases: what the smallest one would lack, and what would make it possible.
pub fn why_not(scenario: &Scenario, sku: &Sku, rates: &[Rate], phases: &[Phase]) -> String {
    let missing: Vec<&str> = phases
        .iter()
        .filter(|phase| !rates.iter().any(|rate| rate.phase == **phase && rate.holds_for(&sku.name)))
        .map(|phase| phase.name())
        .collect();
    if !missing.is_empty() {
        return format!("sku '{}': no rate of {} holds for it", sku.name, missing.join(" and "));
    }
    let does_all = |kinds: &Vec<Kind>| phases.iter().all(|phase| kinds.iter().any(|kind| kind.does(*phase)));
    let menus = Menus::new(scenario, sku, rates);
    let candidates = menus.iter().filter(does_all);
    let least = candidates.map(|kinds| (Lack::of(scenario, sku, &kinds), kinds)).min_by(|(a, _), (b, _)| {
        let (a, b) = (a.size(), b.size());
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let Some((lack, kinds)) = least else {
        return format!(
            "sku '{}': c1 was measured on more cores than p2's instances have: add a rate of c1 on fewer",
            sku.name
        );
    };
    let names: Vec<String> = kinds.iter().map(Kind::label).collect();
    let texts = [
        lack.cores.map(|_| cores(scenario, sku, &kinds)),
        lack.memory.map(|_| memory(scenario, sku, &kinds)),
        lack.volume.map(|_| volume(scenario, sku, &kinds)),
    ];
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    format!("sku '{}': {} cannot share a machine: {}", sku.name, names.join(" and "), texts.join("; and "))
}

/// An instance of each kind.
fn blocks(scenario: &Scenario, kinds: &[Kind]) -> Vec<Block> {
    kinds.iter().map(|kind| kind.block(1, scenario)).collect()
}

fn are_placed(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> bool {
    Grid::new(sku, scenario.rules.split_l3).place_anyhow(&blocks(scenario, kinds)).is_some()
}

/// What is short of cores, and what would help.
fn cores(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> String {
    let need: u32 = kinds.iter().map(Kind::cores).sum();
    let has = sku.cores;
    if need <= has && Grid::new(sku, true).place_anyhow(&blocks(scenario, kinds)).is_some() {
        return "whole L3 groups for each are more than it has: split_l3 = true in [rules] would do".to_string();
    }
    let why = match need <= has {
        true => "its NUMA nodes do not hold them without splitting one".to_string(),
        false => format!("they need {need} cores and it has {has}"),
    };
    format!("{why}: {} more would do, or rates on fewer cores", more_cores(scenario, sku, kinds))
}

/// The fewest cores more, in groups and nodes like those that there are, with which one of each kind finds its place.
fn more_cores(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> u32 {
    let group = sku.l3_groups.map_or(1, |groups| sku.cores / groups);
    let larger = |steps: u32| {
        let cores = sku.cores + steps * group * sku.numa_nodes;
        Sku { cores, l3_groups: sku.l3_groups.map(|_| cores / group), ..sku.clone() }
    };
    // A step for each core that they need makes every node large enough for all of them.
    let most: u32 = kinds.iter().map(Kind::cores).sum();
    let steps = (1..most).find(|steps| are_placed(scenario, &larger(*steps), kinds)).unwrap_or(most);
    steps * group * sku.numa_nodes
}

/// Memory of one of each kind on ordinary and on huge pages.
fn memory_of_each(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> (f64, f64) {
    memory_of(scenario, sku, kinds, &vec![1; kinds.len()])
}

/// Memory that a model has for sealing.
fn free_memory(sku: &Sku) -> f64 {
    sku.memory - sku.reserved_memory
}

/// What is short of memory, and what would help.
fn memory(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> String {
    let (ordinary, huge) = memory_of_each(scenario, sku, kinds);
    let show = |bytes: f64| units::bytes(bytes.max(0.0) as u64);
    let (need, has) = (ordinary + huge, free_memory(sku));
    let reserve = sku.huge_pages.map(|reserve| {
        let pages = format!("p1 needs {} of huge pages and {} are reserved", show(huge), show(reserve));
        (pages, format!("huge_pages = \"{}\"", at_least(huge)))
    });
    let more = format!(
        "they need {} of memory and it has {} besides the {} that stay free: {} more",
        show(need),
        show(has),
        show(sku.reserved_memory),
        at_least(need - has)
    );
    match reserve {
        Some((pages, change)) if need <= has => format!("{pages}: {change} would do"),
        Some((pages, change)) => format!("{pages}, {more} and {change} would do"),
        None => format!("{more} would do"),
    }
}

/// A size that is not below this one in the digits that are shown.
fn at_least(bytes: f64) -> String {
    let shown = units::bytes(bytes.ceil() as u64);
    let is_enough = quantity::size(&shown, Units::Either).is_ok_and(|shown| shown >= bytes);
    if is_enough { shown } else { units::bytes((bytes * 1.01) as u64) }
}

/// The sectors that one of these kinds starts together.
fn batch(kinds: &[Kind]) -> u32 {
    kinds.iter().filter(|kind| !kind.does(Phase::P4)).map(Kind::batch).max().unwrap_or(0)
}

/// What they hold.
fn scratch(scenario: &Scenario, kinds: &[Kind]) -> f64 {
    scenario.needs.scratch * f64::from(batch(kinds))
}

fn largest(sku: &Sku) -> f64 {
    sku.volumes.iter().map(|volume| volume.size).fold(0.0, f64::max)
}

/// What is short of room, and what would help.
fn volume(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> String {
    let need = scratch(scenario, kinds);
    let starts = if batch(kinds) > 1 {
        format!("{} sectors that are started together hold", batch(kinds))
    } else {
        "a sector holds".into()
    };
    format!(
        "{starts} {} and its largest volume has {}: a volume of {} would do",
        units::bytes(need as u64),
        units::bytes(largest(sku) as u64),
        at_least(need)
    )
}
