//! The graph in plain Rust, node by node and edge by edge as it is defined, with tables for the round functions: what the vector
//! backends are compared with.

use super::drsample::{Buckets, METANODES, Seed};
use super::expander::Expander;
use super::{BASE_PARENTS, PARENTS};

/// Writes the base parents of nodes that share `buckets`, the first of which is at least 2.
pub fn base_parents(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    for (node, row) in (first..).zip(rows) {
        row[0] = node - 1;
        let words = [seed.block(node, 0), seed.block(node, 1)];
        let words = words.as_flattened().as_chunks::<4>().0;
        for (to, [a, b, c, d]) in row[1..BASE_PARENTS].iter_mut().zip(words) {
            *to = base_parent(buckets, node, draw(*a, *b), draw(*c, *d));
        }
    }
}

fn draw(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn base_parent(buckets: &Buckets, node: u32, first: u64, second: u64) -> u32 {
    let metanode = METANODES * u64::from(node);
    let bucket = first % u64::from(buckets.count()) + 1;
    let largest = metanode.min(1 << bucket);
    let smallest = (largest / 2).max(2);
    let distance = smallest + second % (largest - smallest + 1);
    let parent = ((metanode - distance) / METANODES) as u32;
    if parent == node { node - 1 } else { parent }
}

/// Writes the expander parents of `first` and the nodes after it.
pub fn expander_parents(expander: &Expander, first: u32, rows: &mut [[u32; PARENTS]]) {
    for (node, row) in (first..).zip(rows) {
        expander.one(node, &mut row[BASE_PARENTS..]);
    }
}
