//! The cores that may be used, cut where caches and memory are cut.

use std::collections::BTreeMap;

use crate::host::Topology;

/// The physical cores that may be used and the cells that they are in.
///
/// A cell is what the cores of one NUMA node and one L3 group have in common. Where an L3 cache serves part of a node the cells are the L3
/// groups, where a node is a part of what an L3 cache serves (sub-NUMA clusters) they are the nodes. What the machine does not say divides
/// nothing.
pub(super) struct Cells {
    /// The allowed CPUs of each core, ascending; cores are in the order of their first CPU.
    pub cores: Vec<Vec<usize>>,
    /// The cells, in the order of their first core.
    pub cells: Vec<Cell>,
    /// The cell of each core.
    pub cell_of: Vec<usize>,
}

/// Cores that share an L3 cache and a NUMA node.
pub(super) struct Cell {
    /// The cores, ascending.
    pub cores: Vec<usize>,
    /// Its NUMA node; cores that are in no node are in one of their own.
    pub node: Option<usize>,
    /// What ends where the cell ends.
    pub border: Border,
}

/// What a set splits that takes a part of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Border {
    /// The group of an L3 cache.
    L3,
    /// A NUMA node that shares its L3 cache with another, or whose caches are not known.
    Numa,
}

impl Border {
    /// One of what is split.
    pub fn one(self) -> &'static str {
        match self {
            Border::L3 => "an L3 group",
            Border::Numa => "a NUMA node",
        }
    }

    /// Several of them.
    pub fn many(self) -> &'static str {
        match self {
            Border::L3 => "L3 groups",
            Border::Numa => "NUMA nodes",
        }
    }

    /// The code of the finding that it is split.
    pub fn code(self) -> &'static str {
        match self {
            Border::L3 => "l3-split",
            Border::Numa => "numa-split",
        }
    }
}

impl Cells {
    /// The cells of the CPUs that are allowed.
    pub fn new(topology: &Topology, allowed: &[usize]) -> Cells {
        let cores = cores(topology, allowed);
        let node_of = |cpu| {
            let nodes = topology.numa_nodes.iter().flatten();
            nodes.into_iter().find(|node| node.cores.contains(&cpu)).map(|node| node.id)
        };
        let l3_of = |cpu| topology.l3_groups.iter().flatten().position(|group| group.contains(&cpu));
        let places: Vec<(Option<usize>, Option<usize>)> =
            cores.iter().map(|cpus| (node_of(cpus[0]), l3_of(cpus[0]))).collect();
        let mut cells: Vec<Cell> = Vec::new();
        let mut index = BTreeMap::new();
        let mut cell_of = Vec::with_capacity(cores.len());
        for (core, &(node, l3)) in places.iter().enumerate() {
            let cell = *index.entry((node, l3)).or_insert_with(|| {
                let l3_ends_here = l3.is_some() && places.iter().all(|place| place.1 != l3 || place.0 == node);
                let border = if l3_ends_here { Border::L3 } else { Border::Numa };
                cells.push(Cell { cores: Vec::new(), node, border });
                cells.len() - 1
            });
            cells[cell].cores.push(core);
            cell_of.push(cell);
        }
        Cells { cores, cells, cell_of }
    }

    /// The core that a CPU is a thread of.
    pub fn core_of(&self, cpu: usize) -> Option<usize> {
        self.cores.iter().position(|cpus| cpus.contains(&cpu))
    }

    /// Cores of the largest cell.
    pub fn largest_cell(&self) -> usize {
        self.cells.iter().map(|cell| cell.cores.len()).max().unwrap_or(0)
    }

    /// Cores of the largest NUMA node.
    pub fn largest_node(&self) -> usize {
        self.nodes()
            .iter()
            .map(|&node| self.of_node(node).map(|cell| self.cells[cell].cores.len()).sum())
            .max()
            .unwrap_or(0)
    }

    /// The NUMA nodes, in the order of their first cell.
    pub fn nodes(&self) -> Vec<Option<usize>> {
        let mut nodes = Vec::new();
        for cell in &self.cells {
            if !nodes.contains(&cell.node) {
                nodes.push(cell.node);
            }
        }
        nodes
    }

    /// The cells of a NUMA node.
    pub fn of_node(&self, node: Option<usize>) -> impl Iterator<Item = usize> {
        (0..self.cells.len()).filter(move |&cell| self.cells[cell].node == node)
    }

    /// The cells in words, e.g. "L3 groups of 8 cores".
    pub fn words(&self) -> String {
        let sizes = self.cells.iter().map(|cell| cell.cores.len());
        let (min, max) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
        let border = self.cells.iter().map(|cell| cell.border).min().unwrap_or(Border::Numa);
        let range = if min == max { max.to_string() } else { format!("{min} to {max}") };
        format!("{} of {range} cores", border.many())
    }
}

/// The allowed CPUs by core. A CPU whose core is not known is one.
fn cores(topology: &Topology, allowed: &[usize]) -> Vec<Vec<usize>> {
    let mut by_core: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &cpu in allowed {
        let groups = topology.core_groups.iter().flatten();
        let group = groups.into_iter().find(|group| group.contains(&cpu));
        by_core.entry(group.and_then(|group| group.first()).copied().unwrap_or(cpu)).or_default().push(cpu);
    }
    let mut cores: Vec<Vec<usize>> = by_core.into_values().collect();
    for cpus in &mut cores {
        cpus.sort_unstable();
        cpus.dedup();
    }
    cores.sort_unstable_by_key(|cpus| cpus[0]);
    cores
}
