//! DRSample in plain Rust, one node at a time, as it is defined: what the vector backends are compared with.

use super::PARENTS;
use super::drsample::{Buckets, METANODES, Seed};

/// Writes the base parents of nodes that share `buckets`, the first of which is at least 2.
pub fn base_parents(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    for (node, row) in (first..).zip(rows) {
        row[0] = node - 1;
        let words = [seed.block(node, 0), seed.block(node, 1)];
        let words = words.as_flattened().as_chunks::<4>().0;
        for (to, [a, b, c, d]) in row[1..].iter_mut().zip(words).take(5) {
            *to = parent(buckets, node, draw(*a, *b), draw(*c, *d));
        }
    }
}

fn draw(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn parent(buckets: &Buckets, node: u32, first: u64, second: u64) -> u32 {
    let metanode = METANODES * u64::from(node);
    let bucket = first % u64::from(buckets.count()) + 1;
    let largest = metanode.min(1 << bucket);
    let smallest = (largest / 2).max(2);
    let distance = smallest + second % (largest - smallest + 1);
    let parent = ((metanode - distance) / METANODES) as u32;
    if parent == node { node - 1 } else { parent }
}
