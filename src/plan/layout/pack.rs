//! Which instances fit a machine's cores: whole L3 groups, inside a NUMA node as far as one can hold them.

use std::collections::HashSet;

use crate::plan::scenario::Sku;

/// Instances of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Cores of each.
    pub cores: u32,
    /// How many.
    pub count: u32,
    /// Huge pages of each, bytes.
    pub huge: u64,
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
    /// Memory of a node for huge pages, bytes.
    huge: u64,
}

impl Grid {
    /// The cells of a model.
    pub fn new(sku: &Sku, split_l3: bool) -> Grid {
        let cell = sku.l3_groups.filter(|_| !split_l3).map_or(1, |groups| sku.cores / groups);
        let cells = sku.cores / sku.numa_nodes / cell;
        Grid { cell, cells, nodes: sku.numa_nodes, huge: sku.node_memory() as u64 }
    }

    /// First cores of the instances of each block, if there is room. Huge pages are on the nodes of their instances if there is a way.
    pub fn place(self, blocks: &[Block]) -> Option<Vec<Vec<u32>>> {
        self.place_near(blocks).or_else(|| self.place_anyhow(blocks))
    }

    /// First cores of the instances of each block, if there is room, wherever their huge pages are.
    pub fn place_anyhow(self, blocks: &[Block]) -> Option<Vec<Vec<u32>>> {
        Grid { huge: u64::MAX, ..self }.place_near(blocks)
    }

    fn place_near(self, blocks: &[Block]) -> Option<Vec<Vec<u32>>> {
        let room = self.cells * self.cell;
        let mut first = vec![Vec::new(); blocks.len()];
        // Instances larger than a node take whole nodes, the first ones.
        let mut node = 0;
        for (block, first) in blocks.iter().zip(&mut first).filter(|(block, _)| block.cores > room) {
            for _ in 0..block.count {
                first.push(node * room);
                node += block.cores.div_ceil(room);
                (node <= self.nodes).then_some(())?;
            }
        }
        let mut inside: Vec<usize> = (0..blocks.len()).filter(|index| blocks[*index].cores <= room).collect();
        inside.sort_by_key(|index| std::cmp::Reverse(blocks[*index].cores));
        let parts: Vec<Part> = inside.iter().map(|index| Part::new(blocks[*index], self.cell)).collect();
        let left = inside.iter().zip(&parts).map(|(index, part)| blocks[*index].count.div_ceil(part.instances));
        let node_room = Room { cells: self.cells, huge: self.huge };
        let mut packing = Packing { room: node_room, parts: &parts, hopeless: HashSet::new(), steps: STEPS };
        for counts in packing.nodes(self.nodes - node, left.collect())? {
            let mut cell = node * self.cells;
            for ((index, part), count) in inside.iter().zip(&parts).zip(counts) {
                for _ in 0..count {
                    let set = (0..part.instances).map(|n| cell * self.cell + n * blocks[*index].cores);
                    first[*index].extend(set);
                    cell += part.cells;
                }
                first[*index].truncate(blocks[*index].count as usize);
            }
            node += 1;
        }
        Some(first)
    }
}

/// Cells that are given away together: those of an instance, or one that small instances share with their like.
#[derive(Clone, Copy, Debug)]
struct Part {
    cells: u32,
    instances: u32,
    /// Huge pages of them all, bytes.
    huge: u64,
}

impl Part {
    fn new(block: Block, cell: u32) -> Part {
        let instances = (cell / block.cores).max(1);
        Part { cells: block.cores.div_ceil(cell), instances, huge: block.huge * u64::from(instances.min(block.count)) }
    }
}

/// What is left of a node.
#[derive(Clone, Copy, Debug)]
struct Room {
    cells: u32,
    huge: u64,
}

impl Room {
    /// Takes as many of a part as fit, no more than `most`.
    fn take(&mut self, part: &Part, most: u32) -> u32 {
        let in_memory = self.huge.checked_div(part.huge).map_or(most, |count| count.min(u64::from(most)) as u32);
        let count = in_memory.min(self.cells / part.cells);
        self.cells -= count * part.cells;
        self.huge -= u64::from(count) * part.huge;
        count
    }
}

/// Most fillings of a node that are tried: far more than real machines need.
const STEPS: u32 = 20_000;

/// The search for nodes that hold all parts.
struct Packing<'a> {
    /// That of an empty node.
    room: Room,
    parts: &'a [Part],
    /// What nodes so many were found not to hold.
    hopeless: HashSet<(u32, Vec<u32>)>,
    steps: u32,
}

impl Packing<'_> {
    /// Numbers of the parts in each of so many nodes.
    fn nodes(&mut self, nodes: u32, left: Vec<u32>) -> Option<Vec<Vec<u32>>> {
        let need: u64 =
            left.iter().zip(self.parts).map(|(count, part)| u64::from(*count) * u64::from(part.cells)).sum();
        if need > u64::from(nodes) * u64::from(self.room.cells) {
            return None;
        }
        if nodes <= 1 {
            return (self.fill(Vec::new(), &left) == left).then(|| vec![left; nodes as usize]);
        }
        let state = (nodes, left);
        if self.hopeless.contains(&state) {
            return None;
        }
        let mut node = self.fill(Vec::new(), &state.1);
        loop {
            self.steps = self.steps.checked_sub(1)?;
            let rest = state.1.iter().zip(&node).map(|(left, here)| left - here).collect();
            if let Some(mut others) = self.nodes(nodes - 1, rest) {
                others.insert(0, node);
                return Some(others);
            }
            // The next way to fill it: one less of the last kind but one that is there, and as many as fit of those after it.
            let Some(kind) = node.iter().rev().skip(1).position(|count| *count > 0).map(|place| node.len() - 2 - place)
            else {
                self.hopeless.insert(state);
                return None;
            };
            node[kind] -= 1;
            node.truncate(kind + 1);
            node = self.fill(node, &state.1);
        }
    }

    /// A node with so many of the first kinds, and as many as fit of those after them.
    fn fill(&self, first: Vec<u32>, left: &[u32]) -> Vec<u32> {
        let mut room = self.room;
        let most = first.iter().chain(&left[first.len()..]);
        self.parts.iter().zip(most).map(|(part, most)| room.take(part, *most)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(cores: u32, cell: u32, nodes: u32) -> Grid {
        Grid { cell, cells: cores / nodes / cell, nodes, huge: 380 }
    }

    fn block(cores: u32, count: u32) -> Block {
        Block { cores, count, huge: 0 }
    }

    #[test]
    fn huge_pages_are_cut_evenly_where_a_node_has_too_few() {
        let sets = |huge| grid(64, 1, 2).place(&[Block { huge, ..block(4, 8) }, block(16, 2)]).unwrap();
        assert_eq!(sets(0)[1], [0, 16]);
        assert_eq!(sets(64), [vec![16, 20, 24, 28, 48, 52, 56, 60], vec![0, 32]]);
        // No cut helps where a node holds none.
        assert_eq!(sets(400), sets(0));
        assert!(grid(64, 1, 2).place(&[Block { huge: 400, ..block(33, 1) }]).is_some());
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
        // Two large ones in one node, and one in each of the others.
        assert!(grid(30, 1, 3).place(&[block(3, 4), block(4, 4)]).is_some());
    }

    /// Whether instances of so many cores find nodes, by trying all.
    fn find_nodes(free: &mut [u32], sizes: &[u32]) -> bool {
        let Some((size, rest)) = sizes.split_first() else { return true };
        (0..free.len()).any(|node| {
            let fits = free[node] >= *size;
            if fits {
                free[node] -= size;
            }
            let found = fits && find_nodes(free, rest);
            free[node] += if fits { *size } else { 0 };
            found
        })
    }

    proptest! {
        #[test]
        fn what_has_a_place_finds_one(
            cells in 1u32..12, nodes in 1u32..4,
            blocks in proptest::collection::vec((1u32..8, 0u32..4), 1..4),
        ) {
            let blocks: Vec<Block> = blocks.iter().map(|(cores, count)| block(*cores.min(&cells), *count)).collect();
            let sizes: Vec<u32> = blocks.iter().flat_map(|block| vec![block.cores; block.count as usize]).collect();
            let is_placed = grid(cells * nodes, 1, nodes).place(&blocks).is_some();
            prop_assert_eq!(is_placed, find_nodes(&mut vec![cells; nodes as usize], &sizes));
        }

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
