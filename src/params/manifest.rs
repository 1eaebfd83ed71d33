//! The network's published parameter files (`params/manifest.json`, see `params/README.md` for its source).

use std::sync::LazyLock;

use serde::Deserialize;

/// A published file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// File name in a parameter cache.
    pub name: String,
    /// IPFS content id.
    pub cid: String,
    /// First 32 hexadecimal digits of the file's BLAKE2b-512.
    pub digest: String,
    /// Sector size the file is for, bytes.
    pub sector_size: u64,
}

static MANIFEST: LazyLock<Vec<Published>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../params/manifest.json")).expect("the embedded manifest is tested to parse")
});

/// All published proof-of-replication files.
pub fn all() -> &'static [Published] {
    &MANIFEST
}

/// The published file of that name, if the network has one.
pub fn published(name: &str) -> Option<&'static Published> {
    all().iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::SectorSize;

    #[test]
    fn the_manifest_is_well_formed() {
        assert_eq!(all().len(), 10);
        for file in all() {
            assert!(file.name.starts_with("v28-stacked-proof-of-replication-"), "{}", file.name);
            assert!(file.name.ends_with(".params") || file.name.ends_with(".vk"), "{}", file.name);
            assert_eq!(hex::decode(&file.digest).unwrap().len(), 16);
            assert!(file.cid.starts_with("Qm"));
            assert!(SectorSize::try_from(file.sector_size).is_ok());
            assert!(std::ptr::eq(published(&file.name).unwrap(), file), "{} is listed twice", file.name);
        }
    }

    #[cfg(feature = "reference")]
    #[test]
    fn the_manifest_is_the_reference_crates() {
        let reference = &*storage_proofs_core::parameter_cache::PARAMETERS;
        let porep: Vec<_> =
            reference.iter().filter(|(name, _)| name.contains("stacked-proof-of-replication")).collect();
        assert_eq!(porep.len(), all().len());
        for (name, data) in porep {
            let ours = published(name).unwrap();
            assert_eq!((&ours.cid, &ours.digest, ours.sector_size), (&data.cid, &data.digest, data.sector_size));
        }
    }
}
