//! Which instances fit a machine's cores: whole L3 groups, inside a NUMA node as far as one can hold them.

use crate::plan::scenario::Sku;

/// Instances of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Cores of each.
    pub cores: u32,
    /// How many.
    pub count: u32,
}

/// The machine's cores as cells that are given away whole.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Cores of a cell: those of an L3 group, or one where groups may be split or are not known.
    cell: u32,
    /// Cells of a NUMA node.
    cells: u32,
    /// NUMA nodes.
    nodes: u32,
}

impl Grid {
    /// The cells of a model.
    pub fn new(sku: &Sku, split_l3: bool) -> Grid {
        let cell = sku.l3_groups.filter(|_| !split_l3).map_or(1, |groups| sku.cores / groups);
        Grid { cell, cells: sku.cores / sku.numa_nodes / cell, nodes: sku.numa_nodes }
    }

    /// First cores of the instances of each block, if there is room. Nodes are filled with the blocks in every order, each block as densely or
    /// as evenly as it goes, and the first way that fits is taken.
    pub fn place(self, blocks: &[Block]) -> Option<Vec<Vec<u32>>> {
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        // The larger ones first is what mostly fits.
        order.sort_by_key(|&block| std::cmp::Reverse(blocks[block].cores));
        permutations(&order)
            .into_iter()
            .find_map(|order| [false, true].into_iter().find_map(|evenly| self.fill(blocks, &order, evenly)))
    }

    fn fill(self, blocks: &[Block], order: &[usize], evenly: bool) -> Option<Vec<Vec<u32>>> {
        let mut used = vec![0; self.nodes as usize];
        let mut first = vec![Vec::new(); blocks.len()];
        for &index in order {
            let block = blocks[index];
            let room = self.cells * self.cell;
            first[index] = match block.cores {
                cores if cores > room => self.span_nodes(block, &mut used)?,
                _ => self.inside_nodes(block, &mut used, evenly)?,
            };
        }
        Some(first)
    }

    /// Instances larger than a node take whole nodes.
    fn span_nodes(self, block: Block, used: &mut [u32]) -> Option<Vec<u32>> {
        let nodes = block.cores.div_ceil(self.cells * self.cell) as usize;
        let mut first = Vec::new();
        let mut node = 0;
        while (first.len() as u32) < block.count {
            let free = used.get(node..node + nodes)?.iter().all(|used| *used == 0);
            if free {
                used[node..node + nodes].fill(self.cells);
                first.push(node as u32 * self.cells * self.cell);
            }
            node += if free { nodes } else { 1 };
        }
        Some(first)
    }

    fn inside_nodes(self, block: Block, used: &mut [u32], evenly: bool) -> Option<Vec<u32>> {
        // Instances smaller than a cell share one with their like.
        let (per_cell, cells) = ((self.cell / block.cores).max(1), block.cores.div_ceil(self.cell));
        let share = block.count.div_ceil(self.nodes);
        let mut first = Vec::new();
        for (node, used) in (0..).zip(used.iter_mut()) {
            let left = block.count - first.len() as u32;
            let take = if evenly { left.min(share) } else { left };
            let room = (self.cells - *used) / cells * per_cell;
            for instance in 0..take.min(room) {
                let cell = node * self.cells + *used + instance / per_cell * cells;
                first.push(cell * self.cell + instance % per_cell * block.cores);
            }
            *used += take.min(room).div_ceil(per_cell) * cells;
        }
        (first.len() as u32 == block.count).then_some(first)
    }
}

/// All orders of a few things, the given one first.
fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for (place, &item) in items.iter().enumerate() {
        let rest: Vec<usize> = items.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, x)| *x).collect();
        all.extend(permutations(&rest).into_iter().map(|tail| [vec![item], tail].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(cores: u32, cell: u32, nodes: u32) -> Grid {
        Grid { cell, cells: cores / nodes / cell, nodes }
    }

    fn block(cores: u32, count: u32) -> Block {
        Block { cores, count }
    }

    #[test]
    fn the_notes_containers_fit_their_machines() {
        let sets = grid(128, 1, 2).place(&[block(8, 4), block(23, 4)]).unwrap();
        assert_eq!(sets, [vec![46, 54, 110, 118], vec![0, 23, 64, 87]]);
        assert!(grid(128, 1, 2).place(&[block(9, 5), block(23, 4)]).is_none());
        assert_eq!(grid(64, 1, 1).place(&[block(21, 3)]).unwrap(), [vec![0, 21, 42]]);
        assert!(grid(64, 4, 1).place(&[block(21, 3)]).is_none(), "21 cores take six groups of four");
        assert!(grid(64, 4, 1).place(&[block(20, 3)]).is_some());
    }

    #[test]
    fn small_instances_share_a_group_and_large_ones_span_nodes() {
        assert_eq!(grid(16, 8, 1).place(&[block(3, 3), block(4, 1)]), None);
        assert_eq!(grid(16, 8, 1).place(&[block(3, 2), block(4, 2)]).unwrap(), [vec![8, 11], vec![0, 4]]);
        assert_eq!(grid(64, 8, 4).place(&[block(24, 2)]).unwrap(), [vec![0, 32]]);
        assert!(grid(64, 8, 4).place(&[block(24, 2), block(1, 1)]).is_none());
        assert!(grid(64, 8, 4).place(&[block(65, 1)]).is_none());
        // Densely the small ones would leave no node for a third large one.
        assert!(grid(16, 1, 2).place(&[block(3, 2), block(5, 2)]).is_some());
    }

    proptest! {
        #[test]
        fn sets_are_apart_and_inside_the_machine(
            cell in 1u32..5, cells in 1u32..6, nodes in 1u32..4,
            blocks in proptest::collection::vec((1u32..20, 0u32..5), 1..4),
        ) {
            let cores = cell * cells * nodes;
            let blocks: Vec<Block> = blocks.into_iter().map(|(cores, count)| block(cores, count)).collect();
            if let Some(sets) = grid(cores, cell, nodes).place(&blocks) {
                let mut owner = vec![None; cores as usize];
                let mut kind_of_cell = vec![None; (cores / cell) as usize];
                for (kind, (block, firsts)) in blocks.iter().zip(&sets).enumerate() {
                    prop_assert_eq!(firsts.len() as u32, block.count);
                    for first in firsts {
                        for core in *first..first + block.cores {
                            prop_assert!(owner[core as usize].replace(kind).is_none());
                            let cell = &mut kind_of_cell[(core / cell) as usize];
                            prop_assert!(cell.is_none_or(|other| other == kind));
                            *cell = Some(kind);
                        }
                        let node = cells * cell;
                        prop_assert!(block.cores > node || first / node == (first + block.cores - 1) / node);
                    }
                }
            }
        }
    }
}
