//! What each container may use of the machine's memory: how much, and on which NUMA nodes.

use std::collections::BTreeSet;

use crate::host::NumaNode;

/// What an instance needs.
#[derive(Clone, Debug)]
pub struct Need {
    /// Its cores.
    pub cores: Vec<usize>,
    /// Memory, by the estimate, bytes.
    pub memory_bytes: u64,
    /// The limit that it has for itself, bytes.
    pub own_limit: Option<u64>,
}

/// The memory limit of containers that have none for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// What is available, in proportion to what each needs.
    Share,
    /// This, bytes.
    Bytes(u64),
    /// None.
    Open,
}

/// What an instance gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Memory limit, bytes.
    pub memory_bytes: Option<u64>,
    /// The NUMA nodes that its memory is bound to; empty if it is not.
    pub mems: Vec<usize>,
    /// The nodes near its cores have less memory than the instances there need.
    pub is_far: bool,
}

/// Shares what is available. Memory is bound to the nodes near the cores where there are several and those have enough of it.
pub fn shares(needs: &[Need], limit: Limit, available: Option<u64>, nodes: &[NumaNode]) -> Vec<Share> {
    let all: u64 = needs.iter().map(|need| need.memory_bytes).sum();
    let part = |need: &Need| {
        let part = u128::from(available?) * u128::from(need.memory_bytes) / u128::from(all.max(1));
        u64::try_from(part).ok()
    };
    let limited = |need: &Need| match limit {
        Limit::Share => part(need),
        Limit::Bytes(bytes) => Some(bytes),
        Limit::Open => None,
    };
    let near: Vec<BTreeSet<usize>> = needs.iter().map(|need| near(nodes, &need.cores)).collect();
    let share = |(need, own): (&Need, &BTreeSet<usize>)| {
        let is_far = !own.is_empty() && bound_to(needs, &near, own) > memory_of(nodes, own);
        let mems = if is_far { Vec::new() } else { own.iter().copied().collect() };
        Share { memory_bytes: need.own_limit.or_else(|| limited(need)), mems, is_far }
    };
    needs.iter().zip(&near).map(share).collect()
}

/// The nodes with memory near some cores; none where there is but one.
fn near(nodes: &[NumaNode], cores: &[usize]) -> BTreeSet<usize> {
    let is_near = |node: &&NumaNode| node.memory_bytes != Some(0) && node.cores.iter().any(|core| cores.contains(core));
    let near = nodes.iter().filter(|_| nodes.len() > 1).filter(is_near);
    near.map(|node| node.id).collect()
}

/// What the instances that would use some of these nodes need together, bytes.
fn bound_to(needs: &[Need], near: &[BTreeSet<usize>], nodes: &BTreeSet<usize>) -> u64 {
    let there = needs.iter().zip(near).filter(|(_, own)| !own.is_disjoint(nodes));
    there.map(|(need, own)| need.memory_bytes / own.len() as u64 * own.intersection(nodes).count() as u64).sum()
}

/// What these nodes have together, bytes; one that does not say has enough.
fn memory_of(nodes: &[NumaNode], ids: &BTreeSet<usize>) -> u64 {
    let own = nodes.iter().filter(|node| ids.contains(&node.id));
    own.fold(0, |sum, node| sum.saturating_add(node.memory_bytes.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn need(cores: &[usize], gib: u64) -> Need {
        Need { cores: cores.to_vec(), memory_bytes: gib * GIB, own_limit: None }
    }

    fn nodes(gib: &[u64]) -> Vec<NumaNode> {
        let node = |(id, gib): (usize, &u64)| NumaNode {
            id,
            cores: (4 * id..4 * id + 4).collect(),
            memory_bytes: Some(gib * GIB),
        };
        gib.iter().enumerate().map(node).collect()
    }

    fn limits(shares: &[Share]) -> Vec<Option<u64>> {
        shares.iter().map(|share| share.memory_bytes).collect()
    }

    #[test]
    fn who_needs_more_gets_more() {
        let mix = [need(&[0], 64), need(&[1], 8), need(&[2], 8)];
        let got = shares(&mix, Limit::Share, Some(120 * GIB), &[]);
        assert_eq!(limits(&got), [Some(96 * GIB), Some(12 * GIB), Some(12 * GIB)]);
        assert_eq!(limits(&shares(&mix, Limit::Share, None, &[])), [None; 3]);
        assert_eq!(limits(&shares(&mix, Limit::Open, Some(GIB), &[])), [None; 3]);
        let own = [Need { own_limit: Some(5), ..need(&[0], 64) }, need(&[1], 8)];
        assert_eq!(limits(&shares(&own, Limit::Bytes(7), Some(GIB), &[])), [Some(5), Some(7)]);
    }

    #[test]
    fn memory_is_near_where_there_is_enough_of_it() {
        let mems = |needs: &[Need], gib: &[u64]| -> Vec<(Vec<usize>, bool)> {
            let got = shares(needs, Limit::Open, None, &nodes(gib));
            got.into_iter().map(|share| (share.mems, share.is_far)).collect()
        };
        let two = [need(&[0, 1], 40), need(&[4, 5, 6], 40)];
        assert_eq!(mems(&two, &[64, 64]), [(vec![0], false), (vec![1], false)]);
        assert_eq!(mems(&two, &[64, 32]), [(vec![0], false), (vec![], true)]);
        // A node of cores alone binds nothing, and one node is no choice.
        assert_eq!(mems(&two, &[64, 0]), [(vec![0], false), (vec![], false)]);
        assert_eq!(mems(&[need(&[0], 80)], &[64]), [(vec![], false)]);
        // Two on one node need more than it has, though either fits.
        assert_eq!(mems(&[need(&[0], 40), need(&[1], 40)], &[64, 64]), [(vec![], true), (vec![], true)]);
        // One over both nodes takes half of itself from each.
        assert_eq!(mems(&[need(&[3, 4], 100)], &[64, 64]), [(vec![0, 1], false)]);
    }
}
