//! A sector's unsealed data, derived from the seed.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::sector::{SectorSize, Seed};

/// Bytes made by one task: large enough to keep the cores busy, small enough to bound the memory. A power of two.
const CHUNK: u64 = 1 << 20;

/// Chunks that are in memory together.
const CHUNKS_AT_ONCE: u64 = 64;

type Node = [u8; 32];

/// Writes the sector's data to `path` and returns its commitment, comm_d.
///
/// The data is the BLAKE3 output stream of the seed with the two top bits of every 32nd byte cleared: the image of Fr32 padding
/// (254 bits of payload, two zero bits), so each word is below 2^254 and hence below the field's modulus. comm_d is computed here with
/// the `sha2` crate and independently of either engine, which makes it a check on p1's tree_d.
pub fn write(path: &Path, size: SectorSize, seed: &Seed) -> anyhow::Result<Node> {
    let mut file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let chunk = CHUNK.min(size.bytes());
    let chunks = size.bytes() / chunk;
    let mut roots = Vec::with_capacity(chunks as usize);
    for first in (0..chunks).step_by(CHUNKS_AT_ONCE as usize) {
        let last = chunks.min(first + CHUNKS_AT_ONCE);
        let made: Vec<(Vec<u8>, Node)> =
            (first..last).into_par_iter().map(|index| make_chunk(seed, index * chunk, chunk as usize)).collect();
        for (bytes, root) in made {
            file.write_all(&bytes).with_context(|| format!("cannot write the sector's data to {}", path.display()))?;
            roots.push(root);
        }
    }
    file.sync_all().with_context(|| format!("cannot write the sector's data to {}", path.display()))?;
    Ok(tree_root(roots))
}

fn make_chunk(seed: &Seed, offset: u64, len: usize) -> (Vec<u8>, Node) {
    let mut stream = blake3::Hasher::new_derive_key("sealbench 2026 sector data").update(&seed.0).finalize_xof();
    stream.set_position(offset);
    let mut bytes = vec![0; len];
    stream.fill(&mut bytes);
    bytes.iter_mut().skip(31).step_by(32).for_each(|top| *top &= 0x3f);
    let leaves = bytes.chunks_exact(32).map(|node| node.try_into().expect("32 bytes")).collect();
    let root = tree_root(leaves);
    (bytes, root)
}

/// Root of the binary SHA-256 tree over a power of two of nodes; every hash is truncated to 254 bits (Filecoin spec, "Piece
/// commitments"; rust-fil-proofs' `Sha256Function`).
fn tree_root(mut row: Vec<Node>) -> Node {
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| hash_pair(&pair[0], &pair[1])).collect();
    }
    row[0]
}

fn hash_pair(left: &Node, right: &Node) -> Node {
    let mut node: Node = Sha256::new().chain_update(left).chain_update(right).finalize().into();
    node[31] &= 0x3f;
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    /// comm_d of an all-zero 2 KiB sector, as published in the Filecoin specs and in every implementation's zero-commitment table.
    #[test]
    fn the_tree_of_zeros_has_the_published_root() {
        let root = tree_root(vec![[0; 32]; 64]);
        assert_eq!(hex::encode(root), "fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833");
    }

    #[test]
    fn data_is_a_function_of_the_seed_and_padded() {
        let dir = tempfile::tempdir().unwrap();
        let size: SectorSize = "8MiB".parse().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let comm_d = write(&a, size, &Seed([7; 32])).unwrap();
        assert_eq!(write(&b, size, &Seed([7; 32])).unwrap(), comm_d);
        let bytes = std::fs::read(&a).unwrap();
        assert_eq!(bytes, std::fs::read(&b).unwrap());
        assert_eq!(bytes.len() as u64, size.bytes());
        assert!(bytes.chunks_exact(32).all(|node| node[31] & 0xc0 == 0));
        assert!(bytes.chunks_exact(32).any(|node| node[31] & 0x20 != 0));
        assert_eq!(tree_root(bytes.chunks_exact(32).map(|n| n.try_into().unwrap()).collect()), comm_d);
        assert_ne!(write(&b, size, &Seed([8; 32])).unwrap(), comm_d);
    }
}
