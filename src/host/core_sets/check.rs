//! What core sets that somebody chose do to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::cells::{Border, Cells};
use super::{MAX_INSTANCES, Placement};
use crate::error::Stop;
use crate::host::{Topology, cores};
use crate::trial::record::{Finding, Severity};

/// Checks the core set of each instance: what a reader must know of them, where it is allowed.
///
/// # Errors
/// Exit code 2 for a set that is empty or exceeds the allowed CPUs; for one that holds several threads of a core without `smt`; for sets that
/// share a core (or its threads) without `share`, else finding `cores-shared`; for a set that takes a part of a cell and more than that, or
/// that lies on several NUMA nodes where one could hold it, without `split_l3`, else findings `l3-split` and `numa-split`.
pub fn check(
    topology: &Topology,
    allowed: &[usize],
    sets: &[Vec<usize>],
    how: &Placement,
) -> anyhow::Result<Vec<Finding>> {
    if sets.is_empty() || sets.len() > MAX_INSTANCES {
        return Err(Stop::Usage.error(format!("there must be 1 to {MAX_INSTANCES} core sets, not {}", sets.len())));
    }
    let cells = Cells::new(topology, allowed);
    let mut taken = Vec::with_capacity(sets.len());
    for (instance, set) in sets.iter().enumerate() {
        let cpus = cores::resolve(Some(set), allowed)?;
        taken.push(cores_of(&cells, instance, &cpus, how)?);
    }
    let shared = shared(&cells, &taken, how)?;
    Ok([shared, splits(&cells, sets, &taken, how)?].concat())
}

/// The cores of an instance's CPUs.
fn cores_of(cells: &Cells, instance: usize, cpus: &[usize], how: &Placement) -> anyhow::Result<BTreeSet<usize>> {
    let mut first_cpu = BTreeMap::new();
    for &cpu in cpus {
        let core = cells.core_of(cpu).expect("every allowed CPU is on a core");
        if let Some(other) = first_cpu.insert(core, cpu).filter(|_| !how.smt) {
            return Err(Stop::Usage.error(format!(
                "CPUs {other} and {cpu} of instance {instance} are threads of one core: leave one out, or say with --smt that an \
                 instance may use both"
            )));
        }
    }
    Ok(first_cpu.into_keys().collect())
}

/// Cores that several instances use.
fn shared(cells: &Cells, taken: &[BTreeSet<usize>], how: &Placement) -> anyhow::Result<Vec<Finding>> {
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (instance, cores) in taken.iter().enumerate() {
        cores.iter().for_each(|&core| users.entry(core).or_default().push(instance));
    }
    users.retain(|_, instances| instances.len() > 1);
    let Some((&core, instances)) = users.first_key_value() else {
        return Ok(Vec::new());
    };
    if !how.share {
        let cpus = &cells.cores[core];
        let what = match cpus.as_slice() {
            [cpu] => format!("CPU {cpu}"),
            _ => format!("CPUs {}, threads of one core", cores::format_list(cpus)),
        };
        return Err(Stop::Usage.error(format!(
            "instances {} and {} share {what}: give each its own cores, or say --share-cores, whose figures are never reportable",
            instances[0], instances[1]
        )));
    }
    let mut cpus: Vec<usize> = users.keys().flat_map(|&core| cells.cores[core].iter().copied()).collect();
    cpus.sort_unstable();
    let text = format!(
        "several instances run on the cores of CPUs {}, as --share-cores allows: each waits for the others; give each its own cores",
        cores::format_list(&cpus)
    );
    Ok(vec![Finding::new("cores-shared", Severity::Error, text)])
}

/// Sets that take a part of a cell, or of a node, and more than that.
///
/// A set in a cell that another one spans needs no look of its own: the other then has a part of that cell only, or shares cores.
fn splits(
    cells: &Cells,
    sets: &[Vec<usize>],
    taken: &[BTreeSet<usize>],
    how: &Placement,
) -> anyhow::Result<Vec<Finding>> {
    let mut by_border: BTreeMap<Border, Vec<usize>> = BTreeMap::new();
    for (instance, cores) in taken.iter().enumerate() {
        if let Some(border) = split(cells, cores) {
            by_border.entry(border).or_default().push(instance);
        }
    }
    let Some((border, instances)) = by_border.first_key_value().filter(|_| !how.split_l3) else {
        return Ok(by_border.iter().map(|(&border, instances)| split_finding(border, instances)).collect());
    };
    let instance = instances[0];
    Err(Stop::Usage.error(format!(
        "the cores of instance {instance} ({}) split {}: on {} an instance stays in one or takes whole ones, of one NUMA node if it can; \
         choose others, or say --split-l3",
        cores::format_list(&sets[instance]),
        border.one(),
        cells.words()
    )))
}

/// What a set of cores splits.
fn split(cells: &Cells, cores: &BTreeSet<usize>) -> Option<Border> {
    let mut by_cell: BTreeMap<usize, usize> = BTreeMap::new();
    cores.iter().for_each(|&core| *by_cell.entry(cells.cell_of[core]).or_default() += 1);
    if by_cell.len() < 2 {
        return None;
    }
    let part = by_cell.iter().find(|&(&cell, &count)| count < cells.cells[cell].cores.len());
    let nodes: BTreeSet<Option<usize>> = by_cell.keys().map(|&cell| cells.cells[cell].node).collect();
    let straddles = nodes.len() > 1 && cores.len() <= cells.largest_node();
    part.map(|(&cell, _)| cells.cells[cell].border).or(straddles.then_some(Border::Numa))
}

fn split_finding(border: Border, instances: &[usize]) -> Finding {
    let (count, first) = (instances.len(), instances[0]);
    let who = if count == 1 {
        format!("instance {first} splits")
    } else {
        format!("{count} instances (the first is {first}) split")
    };
    let text = format!("{who} {}, as --split-l3 allows: what others do there changes the figures", border.many());
    Finding::new(border.code(), Severity::Warning, text)
}
