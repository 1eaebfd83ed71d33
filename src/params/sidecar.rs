//! The marker of generated parameters: `NAME.params.dev.json` beside the files.
//!
//! Whoever knew the secret of such a setup could forge proofs, so generated files must never pass for the network's. A file is a
//! development file only while its digest is the one in its marker.

use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::digest;
use crate::sector::{SectorSize, Shape};

/// The value of [`Sidecar::schema`].
pub const SCHEMA: &str = "sealbench/development-parameters/1";

/// What was generated, when, by what, and how to recognise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sidecar {
    /// Always "sealbench/development-parameters/1".
    pub schema: String,
    /// Where the setup's secret scalars came from.
    pub seed: SeedMode,
    /// When the files were complete, RFC 3339, UTC.
    pub created_at: String,
    /// Version of sealbench that generated them.
    pub sealbench: String,
    /// The generator, with its version.
    pub generator: String,
    /// Sector size the circuit is for.
    pub sector_size: SectorSize,
    /// SDR layers of the circuit.
    pub layers: u32,
    /// PoRep challenges in the circuit.
    pub challenges_per_partition: u32,
    /// BLAKE3 of the recorded constraints, hexadecimal: equal for equal circuits. Absent in files of earlier generators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// The proving key.
    pub params: Fingerprint,
    /// The verifying key.
    pub vk: Fingerprint,
}

/// Where a setup's secret scalars came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeedMode {
    /// The operating system's random numbers, forgotten afterwards.
    Os,
    /// A given seed: reproducible, for tests only.
    Deterministic,
}

/// What recognises a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprint {
    /// Size, bytes.
    pub bytes: u64,
    /// First 32 hexadecimal digits of BLAKE2b-512.
    pub digest: String,
}

impl Sidecar {
    /// The marker of files just generated for a shape.
    pub fn new(
        shape: &Shape,
        generator: &str,
        seed: SeedMode,
        constraints: String,
        params: Fingerprint,
        vk: Fingerprint,
    ) -> Sidecar {
        Sidecar {
            schema: SCHEMA.into(),
            seed,
            created_at: jiff::Timestamp::now().to_string(),
            sealbench: env!("CARGO_PKG_VERSION").into(),
            generator: generator.into(),
            sector_size: shape.sector_size,
            layers: shape.layers,
            challenges_per_partition: shape.challenges_per_partition(),
            constraints: Some(constraints),
            params,
            vk,
        }
    }

    /// The marker at a path. `Ok(None)`: there is none. An error says why the one there marks nothing for this shape.
    pub fn read(path: &Path, shape: &Shape) -> Result<Option<Sidecar>, String> {
        let sidecar: Sidecar = match digest::read_json(path) {
            Ok(sidecar) => sidecar,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("its marker {} cannot be read: {error}", path.display())),
        };
        if sidecar.schema != SCHEMA {
            return Err(format!("its marker {} has the schema '{}', not {SCHEMA}", path.display(), sidecar.schema));
        }
        if !sidecar.is_for(shape) {
            return Err(format!("its marker {} is for another shape", path.display()));
        }
        Ok(Some(sidecar))
    }

    fn is_for(&self, shape: &Shape) -> bool {
        (self.sector_size, self.layers, self.challenges_per_partition)
            == (shape.sector_size, shape.layers, shape.challenges_per_partition())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_marker_counts_for_its_shape_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.params.dev.json");
        let shape = Shape::network("2KiB".parse().unwrap());
        assert_eq!(Sidecar::read(&path, &shape), Ok(None));

        let print = Fingerprint { bytes: 1, digest: "00".repeat(16) };
        let sidecar = Sidecar::new(&shape, "test", SeedMode::Os, "00".repeat(32), print.clone(), print);
        fs::write(&path, serde_json::to_string(&sidecar).unwrap()).unwrap();
        assert_eq!(Sidecar::read(&path, &shape), Ok(Some(sidecar.clone())));
        let two = Shape { partitions: 2, ..shape };
        assert!(Sidecar::read(&path, &two).unwrap_err().contains("another shape"));

        let later = Sidecar { schema: "sealbench/development-parameters/9".into(), ..sidecar };
        fs::write(&path, serde_json::to_string(&later).unwrap()).unwrap();
        assert!(Sidecar::read(&path, &shape).unwrap_err().contains("/9"));
        fs::write(&path, [0xff; 10]).unwrap();
        assert!(Sidecar::read(&path, &shape).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn markers_of_earlier_generators_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.params.dev.json");
        let shape = Shape::network("2KiB".parse().unwrap());
        let print = Fingerprint { bytes: 1, digest: "00".repeat(16) };
        let sidecar = Sidecar {
            constraints: None,
            ..Sidecar::new(&shape, "bellperson", SeedMode::Os, String::new(), print.clone(), print)
        };
        let text = serde_json::to_string(&sidecar).unwrap();
        assert!(!text.contains("constraints"));
        fs::write(&path, text).unwrap();
        assert_eq!(Sidecar::read(&path, &shape), Ok(Some(sidecar)));
    }

    #[test]
    fn seed_modes_are_written_as_words() {
        assert_eq!(
            serde_json::to_string(&[SeedMode::Os, SeedMode::Deterministic]).unwrap(),
            r#"["os","deterministic"]"#
        );
    }
}
