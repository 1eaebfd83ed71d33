//! Finding cores for instances.

use std::cmp::Reverse;

use super::cells::Cells;
use super::{Group, MAX_INSTANCES, Placement};
use crate::error::Stop;
use crate::host::{Topology, cores};

/// The CPUs of each instance, ascending, in the order of the groups.
///
/// Physical cores count: an instance gets the first allowed CPU of each of its cores, or all with `smt`. One that is no larger than a cell
/// (what an L3 group and a NUMA node have in common) stays in one; a larger one gets whole cells, of one NUMA node if a node can hold it. So
/// no instance shares a cell with one that spans several. With `split_l3` both are wishes only. Large instances are placed first; each goes
/// where most is free, and if that leaves one without a place, where least is lost. With `share` those that find no place begin again with
/// all cores.
///
/// # Errors
/// Exit code 2 if the instances do not fit; the sentence says how many do and what to change.
pub fn place(
    topology: &Topology,
    allowed: &[usize],
    groups: &[Group],
    how: &Placement,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let sizes = sizes(groups)?;
    let cells = Cells::new(topology, allowed);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&instance| Reverse(sizes[instance]));
    let spread = assign(&cells, &sizes, &order, how, Wish::MostFree);
    let sets = spread.or_else(|_| assign(&cells, &sizes, &order, how, Wish::LeastLost));
    let sets = sets.map_err(|short| Stop::Usage.error(refusal(&cells, allowed, groups, how, short)))?;
    Ok(sets.into_iter().map(|set| cpus(&cells, &set, how.smt)).collect())
}

/// Cores of each instance.
fn sizes(groups: &[Group]) -> anyhow::Result<Vec<usize>> {
    let instances: u64 = groups.iter().map(|group| u64::from(group.count)).sum();
    if instances == 0 || groups.iter().any(|group| group.cores == 0) {
        return Err(Stop::Usage.error("there must be at least one instance, and each needs at least one core"));
    }
    if instances > MAX_INSTANCES as u64 {
        return Err(Stop::Usage.error(format!("{instances} instances are more than the {MAX_INSTANCES} of one run")));
    }
    let of_group = |group: &Group| std::iter::repeat_n(group.cores as usize, group.count as usize);
    Ok(groups.iter().flat_map(of_group).collect())
}

fn cpus(cells: &Cells, set: &[usize], smt: bool) -> Vec<usize> {
    let of_core = |&core: &usize| cells.cores[core].iter().copied().take(if smt { usize::MAX } else { 1 });
    let mut cpus: Vec<usize> = set.iter().flat_map(of_core).collect();
    cpus.sort_unstable();
    cpus
}

/// Which of several places an instance takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The one with the most free cores, so that instances have caches and memory to themselves while there are enough.
    MostFree,
    /// The one with the fewest that suffices.
    LeastLost,
}

/// The instance that found no place, and how many of its size did.
struct Short {
    size: usize,
    placed: usize,
}

fn assign(
    cells: &Cells,
    sizes: &[usize],
    order: &[usize],
    how: &Placement,
    wish: Wish,
) -> Result<Vec<Vec<usize>>, Short> {
    let mut free = Free::all(cells);
    let mut sets = vec![Vec::new(); sizes.len()];
    for &instance in order {
        let size = sizes[instance];
        let mut set = free.take(size, how.split_l3, wish);
        if set.is_none() && how.share {
            free = Free::all(cells);
            set = free.take(size, how.split_l3, wish);
        }
        let placed = || order.iter().filter(|&&other| sizes[other] == size && !sets[other].is_empty()).count();
        sets[instance] = set.ok_or_else(|| Short { size, placed: placed() })?;
    }
    Ok(sets)
}

/// The cores of each cell that no instance has.
struct Free<'a> {
    cells: &'a Cells,
    cores: Vec<Vec<usize>>,
}

impl<'a> Free<'a> {
    fn all(cells: &'a Cells) -> Free<'a> {
        Free { cells, cores: cells.cells.iter().map(|cell| cell.cores.clone()).collect() }
    }

    /// Cores for an instance of this size.
    fn take(&mut self, size: usize, split: bool, wish: Wish) -> Option<Vec<usize>> {
        if let Some(cell) = self.cell(size, wish) {
            return Some(self.remove([cell], size));
        }
        if split {
            let cells = self.cells_of_a_node(size, wish).or_else(|| self.cells_anywhere(size))?;
            return Some(self.remove(cells, size));
        }
        if size <= self.cells.largest_cell() || size > self.cells.cores.len() {
            return None;
        }
        let cells = self.whole_cells(size, wish)?;
        Some(self.remove(cells, size))
    }

    fn remove(&mut self, cells: impl IntoIterator<Item = usize>, size: usize) -> Vec<usize> {
        let mut set = Vec::with_capacity(size);
        for cell in cells {
            let count = self.cores[cell].len().min(size - set.len());
            set.extend(self.cores[cell].drain(..count));
        }
        debug_assert_eq!(set.len(), size);
        set
    }

    fn in_node(&self, node: Option<usize>) -> usize {
        self.cells.of_node(node).map(|cell| self.cores[cell].len()).sum()
    }

    /// The first of those with the most, or with the least, free cores.
    fn choose<T: Copy>(wish: Wish, of: impl Iterator<Item = T>, free: impl Fn(T) -> (usize, usize)) -> Option<T> {
        match wish {
            Wish::MostFree => of.min_by_key(|&one| Reverse(free(one))),
            Wish::LeastLost => of.min_by_key(|&one| free(one)),
        }
    }

    /// One cell that has room.
    fn cell(&self, size: usize, wish: Wish) -> Option<usize> {
        let cells = (0..self.cores.len()).filter(|&cell| self.cores[cell].len() >= size);
        Self::choose(wish, cells, |cell| (self.cores[cell].len(), self.in_node(self.cells.cells[cell].node)))
    }

    /// Free cells of one node that are exactly as large; of all nodes where no node is as large.
    fn whole_cells(&self, size: usize, wish: Wish) -> Option<Vec<usize>> {
        let whole = |&cell: &usize| self.cores[cell].len() == self.cells.cells[cell].cores.len();
        if size > self.cells.largest_node() {
            return subset(self.cells, (0..self.cores.len()).filter(whole), size);
        }
        let nodes = self.cells.nodes().into_iter();
        let fitting =
            nodes.filter_map(|node| Some((node, subset(self.cells, self.cells.of_node(node).filter(whole), size)?)));
        let fitting: Vec<(Option<usize>, Vec<usize>)> = fitting.collect();
        let chosen = Self::choose(wish, 0..fitting.len(), |index| (self.in_node(fitting[index].0), 0))?;
        fitting.into_iter().nth(chosen).map(|(_, cells)| cells)
    }

    /// The cells of one node that has room, emptiest first.
    fn cells_of_a_node(&self, size: usize, wish: Wish) -> Option<Vec<usize>> {
        let nodes = self.cells.nodes().into_iter().filter(|&node| self.in_node(node) >= size);
        let node = Self::choose(wish, nodes, |node| (self.in_node(node), 0))?;
        Some(self.emptiest_first(self.cells.of_node(node).collect()))
    }

    /// All cells, those of the emptiest nodes first, if they have room together.
    fn cells_anywhere(&self, size: usize) -> Option<Vec<usize>> {
        let all = self.emptiest_first((0..self.cores.len()).collect());
        (self.cores.iter().map(Vec::len).sum::<usize>() >= size).then_some(all)
    }

    fn emptiest_first(&self, mut cells: Vec<usize>) -> Vec<usize> {
        let of_node = |cell: usize| (Reverse(self.in_node(self.cells.cells[cell].node)), self.cells.cells[cell].node);
        cells.sort_by_key(|&cell| (of_node(cell), Reverse(self.cores[cell].len())));
        cells
    }
}

/// Those of the cells that have exactly so many cores together, the first ones where there is a choice.
fn subset(cells: &Cells, of: impl Iterator<Item = usize>, size: usize) -> Option<Vec<usize>> {
    let last = sums(cells, of, size);
    let mut rest = size;
    let mut chosen = Vec::new();
    while rest > 0 {
        let cell = last[rest]?;
        chosen.push(cell);
        rest -= cells.cells[cell].cores.len();
    }
    chosen.reverse();
    Some(chosen)
}

/// For each number of cores up to `most`, the last of the cells that have so many together; `None` for those that no cells make up.
fn sums(cells: &Cells, of: impl Iterator<Item = usize>, most: usize) -> Vec<Option<usize>> {
    let mut last: Vec<Option<usize>> = vec![None; most + 1];
    for cell in of {
        let cores = cells.cells[cell].cores.len();
        // Downwards, so that a cell is counted once.
        for sum in (cores..=most).rev() {
            if last[sum].is_none() && (sum == cores || last[sum - cores].is_some()) {
                last[sum] = Some(cell);
            }
        }
    }
    last
}

/// Why the instances do not fit, how many do, and what to change.
fn refusal(cells: &Cells, allowed: &[usize], groups: &[Group], how: &Placement, short: Short) -> String {
    let (size, total) = (short.size, cells.cores.len());
    if size > total {
        let threads = if allowed.len() > total {
            "; threads of a core do not count, --smt gives an instance all of them"
        } else {
            ""
        };
        let may = format!("{} (CPUs {})", plural(total, "physical core"), cores::format_list(allowed));
        return format!(
            "an instance of {} is larger than what this process may use, {may}{threads}",
            plural(size, "core")
        );
    }
    let split = if how.split_l3 { "" } else { ", --split-l3" };
    if !how.split_l3
        && let Some(nearest) = nearest(cells, size)
    {
        return format!(
            "an instance of {size} cores would take a part of a cache or memory that others use, on {}: use {nearest} cores, or --split-l3",
            cells.words()
        );
    }
    let asked: Vec<String> = groups.iter().map(|group| format!("{} x {}", group.count, group.cores)).collect();
    let need: u64 = groups.iter().map(|group| u64::from(group.count) * u64::from(group.cores)).sum();
    let asked = asked.join(" + ");
    let fit = match short.placed {
        0 => format!("no instance of {} fits beside the others", plural(size, "core")),
        1 => format!("1 instance of {} fits", plural(size, "core")),
        n => format!("{n} instances of {} fit", plural(size, "core")),
    };
    if need > total as u64 {
        let cut =
            if how.split_l3 || short.placed == total / size { String::new() } else { format!(" on {}", cells.words()) };
        return format!(
            "{asked} cores are {need} and this process may use {total}: {fit}{cut}; use fewer or smaller ones, or --share-cores"
        );
    }
    format!("{asked} cores do not fit on {}: {fit}; use fewer or smaller ones{split}, or --share-cores", cells.words())
}

/// The sizes of an instance nearest to one that cannot be had without splitting a cell, e.g. "16 or 24"; `None` if this one can be had.
fn nearest(cells: &Cells, size: usize) -> Option<String> {
    let all = cells.cores.len();
    let nodes = cells.nodes();
    let regions = nodes.iter().map(|&node| sums(cells, cells.of_node(node), all));
    let regions: Vec<Vec<Option<usize>>> = regions.chain([sums(cells, 0..cells.cells.len(), all)]).collect();
    let fits = |size: usize| {
        let spans_nodes = size > cells.largest_node();
        let in_region =
            |(index, last): (usize, &Vec<Option<usize>>)| (index == nodes.len()) == spans_nodes && last[size].is_some();
        size <= cells.largest_cell() || regions.iter().enumerate().any(in_region)
    };
    if fits(size) {
        return None;
    }
    let sizes = (1..size).rev().find(|&size| fits(size)).into_iter().chain((size + 1..=all).find(|&size| fits(size)));
    Some(sizes.map(|size| size.to_string()).collect::<Vec<_>>().join(" or "))
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
