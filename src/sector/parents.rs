//! The parent cache file: the 14 parents of every node, named and laid out as rust-fil-proofs does.
//!
//! rust-fil-proofs uses any file of the right name, whatever is in it. Here a file is made elsewhere and renamed, with its BLAKE3 beside
//! it, and used only if that matches; a file that others made, without one, is compared with the graph, which takes less time than to
//! make it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{BASE_PARENTS, Backend, EXPANDER_PARENTS, Graph, PARENTS};
use sha2::{Digest, Sha256};

use crate::disk::{digest, write_by_rename};
use crate::host::map::{Map, bytes_of};
use crate::sector::SectorSize;
use crate::sector::identity::Bytes32;

/// Version of the caches of rust-fil-proofs (`storage_proofs_core::parameter_cache::VERSION`).
const VERSION: u32 = 28;

/// The hasher whose graph it is, as rust-fil-proofs names it.
const HASHER: &str = "poseidon_hasher";

/// Bytes of a node's parents.
pub const ROW_BYTES: u64 = PARENTS as u64 * 4;

/// Nodes that are made, hashed and written at a time, 14 MiB of parents.
const WINDOW: usize = 1 << 18;

/// Nodes of a window that a thread makes and writes at a time: small enough to stay in L2.
const PART: usize = 1 << 12;

/// A parent cache file, whether it is there or not.
pub struct ParentCache {
    path: PathBuf,
    nodes: u64,
    porep_id: [u8; 32],
}

impl ParentCache {
    /// The file of a sector size and a PoRep id in a directory.
    pub fn new(dir: &Path, sector_size: SectorSize, porep_id: &Bytes32) -> ParentCache {
        let nodes = sector_size.nodes();
        ParentCache { path: dir.join(file_name(nodes, &porep_id.0)), nodes, porep_id: porep_id.0 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Its length, bytes.
    pub fn bytes(&self) -> u64 {
        self.nodes * ROW_BYTES
    }

    /// Where its BLAKE3 is, if we made it.
    pub fn sidecar(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".blake3");
        name.into()
    }

    /// Why the file cannot be used, if so: its length, its digest, or where there is no digest its content.
    pub fn fault(&self) -> anyhow::Result<Option<String>> {
        let cannot_read = || format!("cannot read {}", self.path.display());
        let length = fs::metadata(&self.path).with_context(cannot_read)?.len();
        if length != self.bytes() {
            return Ok(Some(format!("has {length} bytes instead of {}", self.bytes())));
        }
        if let Ok(expected) = fs::read_to_string(self.sidecar()) {
            let matches = digest(&self.path)? == expected.trim();
            return Ok((!matches).then(|| "does not match its digest".to_string()));
        }
        let map = Map::open(&self.path).with_context(cannot_read)?;
        let wrong = self.first_difference(map.words().as_chunks().0);
        Ok(wrong.map(|node| format!("has other parents than the graph from node {node} on")))
    }

    /// The first of the nodes whose parents are not those of the graph.
    fn first_difference(&self, rows: &[[u32; PARENTS]]) -> Option<u64> {
        let (graph, backend) = (Graph::new(self.nodes, &self.porep_id), backend());
        rows.par_chunks(PART).enumerate().find_map_first(|(i, rows)| {
            let first = (i * PART) as u64;
            let mut expected = vec![[0; PARENTS]; rows.len()];
            graph.parents(backend, first, &mut expected);
            let same = rows.iter().zip(&expected).take_while(|(row, expected)| row == expected).count();
            (same < rows.len()).then_some(first + same as u64)
        })
    }

    /// Makes the file, and its BLAKE3 beside it, on all threads of the current pool. `progress` hears how many nodes are done.
    ///
    /// The file has its name from the start: the directory must be one that nobody else looks into.
    pub fn generate(&self, progress: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let cannot_write = || format!("cannot write {}", self.path.display());
        let (graph, backend) = (Graph::new(self.nodes, &self.porep_id), backend());
        let file = File::create(&self.path).with_context(cannot_write)?;
        let mut hash = blake3::Hasher::new();
        let mut window = vec![[0; PARENTS]; WINDOW.min(self.nodes as usize)];
        for first in (0..self.nodes).step_by(WINDOW) {
            let nodes = WINDOW.min((self.nodes - first) as usize);
            let rows = &mut window[..nodes];
            let parts = rows.par_chunks_mut(PART).enumerate();
            let written = parts.try_for_each(|(i, rows)| {
                let first = first + (i * PART) as u64;
                graph.parents(backend, first, rows);
                file.write_all_at(bytes_of(rows.as_flattened()), first * ROW_BYTES)
            });
            written.with_context(cannot_write)?;
            hash.update_rayon(bytes_of(rows.as_flattened()));
            progress(first + nodes as u64);
        }
        write_by_rename(&self.sidecar(), hash.finalize().to_hex().as_bytes())
    }
}

/// The fastest backend.
fn backend() -> Backend {
    Backend::supported(&Features::detect()).next().expect("the portable backend always runs")
}

/// The name of a cache file (`cache_path` of storage-proofs-porep's `cache.rs`): a hash of the graph's description, the Feistel keys
/// and the number of nodes.
fn file_name(nodes: u64, porep_id: &[u8; 32]) -> String {
    let base = format!("drgraph::BucketGraph{{size: {nodes}; degree: {BASE_PARENTS}; hasher: {HASHER}}}");
    let graph = format!("stacked_graph::StackedGraph{{expansion_degree: {EXPANDER_PARENTS} base_graph: {base} }}");
    let keys = Sha256::new().chain_update("Filecoin_Feistel").chain_update(porep_id).finalize();
    let hash = Sha256::new()
        .chain_update(HASHER)
        .chain_update(graph)
        .chain_update(keys)
        .chain_update((nodes as u32).to_le_bytes())
        .finalize();
    format!("v{VERSION}-sdr-parent-{}.cache", hex::encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that the network publishes the SHA-256 of (parent_cache.json of storage-proofs-porep 19.1), with the first byte of the PoRep
    /// id, which names the registered proof; the rest of the id is zero.
    const PUBLISHED: [(&str, u8, &str, &str); 3] = [
        (
            "2KiB",
            5,
            "v28-sdr-parent-494d91dc80f2df5272c4b9e129bc7ade9405225993af9fe34e6542a39a47554b.cache",
            "840057702eea7652cf97e04306c30fe57174714d90de156a25eddd6075c25b97",
        ),
        (
            "8MiB",
            6,
            "v28-sdr-parent-5eed212119fd91aa6220a27f31a8966444a9381842bceb3a1ea61525bd47a5b5.cache",
            "03cd13565ded97c240a5f52e54295ad127bd0461b57904cb3a4d79b097bbecab",
        ),
        (
            "512MiB",
            7,
            "v28-sdr-parent-7ba215a1d2345774ab90b8cb1158d296e409d6068819d7b8c7baf0b25d63dc34.cache",
            "b5877d1963793efebc261fd8fde4dd6bc59e6b5c7abf52617a4ee023b8dc173a",
        ),
    ];

    fn porep_id(registered_proof: u8) -> Bytes32 {
        let mut id = [0; 32];
        id[0] = registered_proof;
        Bytes32(id)
    }

    fn cache(dir: &Path) -> ParentCache {
        ParentCache::new(dir, "16KiB".parse().unwrap(), &porep_id(99))
    }

    #[test]
    fn the_published_files_are_made_to_the_last_bit() {
        for (size, registered_proof, name, sha256) in PUBLISHED {
            let dir = tempfile::tempdir().unwrap();
            let cache = ParentCache::new(dir.path(), size.parse().unwrap(), &porep_id(registered_proof));
            assert_eq!(cache.path(), dir.path().join(name), "{size}");
            let mut done = Vec::new();
            cache.generate(&mut |nodes| done.push(nodes)).unwrap();
            assert!(done.is_sorted() && done.last() == Some(&cache.nodes), "{done:?}");
            let mut hash = Sha256::new();
            std::io::copy(&mut File::open(cache.path()).unwrap(), &mut hash).unwrap();
            assert_eq!(hex::encode(hash.finalize()), sha256, "{size}");
            assert_eq!(cache.fault().unwrap(), None, "{size}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_found_with_and_without_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        assert!(!cache.exists());
        assert!(cache.fault().unwrap_err().to_string().contains("cannot read"));
        cache.generate(&mut |_| ()).unwrap();
        let right = fs::read(cache.path()).unwrap();
        let fault = || cache.fault().unwrap().unwrap_or_default();
        for with_digest in [true, false] {
            if !with_digest {
                fs::remove_file(cache.sidecar()).unwrap();
            }
            fs::write(cache.path(), &right).unwrap();
            assert_eq!(fault(), "");
            fs::write(cache.path(), &right[1..]).unwrap();
            assert!(fault().contains("bytes instead of"));
            fs::write(cache.path(), [&right[..], &[0]].concat()).unwrap();
            assert!(fault().contains("bytes instead of"));
            fs::write(cache.path(), vec![0; right.len()]).unwrap();
            assert_ne!(fault(), "");
            for node in [0, 300, 511] {
                let mut wrong = right.clone();
                wrong[node * ROW_BYTES as usize + 55] ^= 1;
                fs::write(cache.path(), wrong).unwrap();
                let expected = if with_digest { "its digest".into() } else { format!("node {node} ") };
                assert!(fault().contains(&expected), "{}", fault());
            }
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = cache(&dir.path().join("absent")).generate(&mut |_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("-sdr-parent-"), "{error:#}");
    }
}
