//! Why a model cannot do a part of a sector's way, and the smallest change with which it could.

use super::limits::slots;
use super::menus::{Kind, Menus, has_memory};
use super::pack::{Block, Grid};
use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::{Scenario, Sku};
use crate::report::units;

/// A constraint that the smallest layout breaks.
struct Shortage {
    /// What is short and what would help, as the end of a sentence.
    text: String,
    /// What is needed over what there is.
    ratio: f64,
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
    let least = candidates.map(|kinds| (shortages(scenario, sku, &kinds), kinds)).min_by(|(a, _), (b, _)| {
        let worst = |all: &[Shortage]| all.iter().map(|shortage| shortage.ratio).fold(0.0, f64::max);
        a.len().cmp(&b.len()).then(worst(a).total_cmp(&worst(b)))
    });
    let Some((shortages, kinds)) = least else {
        return format!(
            "sku '{}': c1 was measured on more cores than p2's instances have: add a rate of c1 on fewer",
            sku.name
        );
    };
    let names: Vec<String> = kinds.iter().map(Kind::label).collect();
    let texts: Vec<String> = shortages.into_iter().map(|shortage| shortage.text).collect();
    format!("sku '{}': {} cannot share a machine: {}", sku.name, names.join(" and "), texts.join("; and "))
}

/// What one instance of each kind lacks.
fn shortages(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> Vec<Shortage> {
    [cores(scenario, sku, kinds), memory(scenario, sku, kinds), volume(scenario, sku, kinds)]
        .into_iter()
        .flatten()
        .collect()
}

fn cores(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> Option<Shortage> {
    let blocks: Vec<Block> = kinds.iter().map(|kind| Block { cores: kind.cores(), count: 1 }).collect();
    if Grid::new(sku, scenario.rules.split_l3).place(&blocks).is_some() {
        return None;
    }
    let need: u32 = blocks.iter().map(|block| block.cores).sum();
    let ratio = f64::from(need) / f64::from(sku.cores);
    if need > sku.cores {
        let (has, more) = (sku.cores, need - sku.cores);
        let text = format!("they need {need} cores and it has {has}: {more} more would do, or rates on fewer cores");
        return Some(Shortage { text, ratio });
    }
    let text = match Grid::new(sku, true).place(&blocks).is_some() {
        true => "whole L3 groups for each are more than it has: split_l3 = true in [rules] would do".to_string(),
        false => "its NUMA nodes do not hold them without splitting one: rates on fewer cores would do".to_string(),
    };
    Some(Shortage { text, ratio: ratio.max(1.0) })
}

fn memory(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> Option<Shortage> {
    let (ordinary, huge) =
        kinds.iter().map(|kind| kind.memory(scenario)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    if has_memory(sku, ordinary, huge) {
        return None;
    }
    let show = |bytes: f64| units::bytes(bytes.max(0.0) as u64);
    let reserve = sku.huge_pages.unwrap_or(0.0);
    if huge > reserve && sku.huge_pages.is_some() && ordinary + huge <= sku.memory - sku.reserved_memory {
        let text = format!(
            "p1 needs {} of huge pages and {} are reserved: huge_pages = \"{0}\" would do",
            show(huge),
            show(reserve)
        );
        return Some(Shortage { text, ratio: huge / reserve.max(1.0) });
    }
    let need = ordinary + huge.max(reserve);
    let has = sku.memory - sku.reserved_memory;
    let text = format!(
        "they need {} of memory and it has {} besides the {} that stay free: {} more would do",
        show(need),
        show(has),
        show(sku.reserved_memory),
        show(need - has)
    );
    Some(Shortage { text, ratio: need / has.max(1.0) })
}

fn volume(scenario: &Scenario, sku: &Sku, kinds: &[Kind]) -> Option<Shortage> {
    let kind = kinds.first().filter(|kind| !sku.volumes.is_empty() && !kind.does(Phase::P4))?;
    let largest = sku.volumes.iter().map(|volume| volume.size).fold(0.0, f64::max);
    let need = scenario.needs.scratch * f64::from(kind.batch());
    if slots(scenario, largest) >= kind.batch() {
        return None;
    }
    let show = |bytes: f64| units::bytes(bytes as u64);
    let text = format!(
        "a start of p1 holds {} and its largest volume has {}: a volume of {0} would do",
        show(need),
        show(largest)
    );
    Some(Shortage { text, ratio: need / largest })
}
