//! Sector sizes, and the shape of a sealing: size, SDR layers, Groth16 partitions.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Stop;

/// Bytes of a node: one label, one tree element, one word of data.
pub const NODE_BYTES: u64 = 32;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A sector size that rust-fil-proofs supports, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct SectorSize(u64);

impl SectorSize {
    /// Every supported size, smallest first (`filecoin_proofs::constants::SUPPORTED_SECTOR_SIZES`).
    pub const ALL: [SectorSize; 10] = [
        SectorSize(2 * KIB),
        SectorSize(4 * KIB),
        SectorSize(16 * KIB),
        SectorSize(32 * KIB),
        SectorSize(8 * MIB),
        SectorSize(16 * MIB),
        SectorSize(512 * MIB),
        SectorSize(GIB),
        SectorSize(32 * GIB),
        SectorSize(64 * GIB),
    ];

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// 32-byte nodes per layer.
    pub fn nodes(self) -> u64 {
        self.0 / NODE_BYTES
    }

    /// Whether the network seals this size in production (32 and 64 GiB).
    pub fn is_production(self) -> bool {
        self.0 >= 32 * GIB
    }

    /// Base trees that tree_c and tree_r_last are split into: the product of the sub-tree and top-tree arities
    /// (`storage_proofs_core::merkle::get_base_tree_count`).
    pub fn base_trees(self) -> u64 {
        match self.0 {
            s if s == 4 * KIB || s == 16 * MIB || s == GIB => 2,
            s if s == 16 * KIB || s == 32 * GIB => 8,
            s if s == 32 * KIB || s == 64 * GIB => 16,
            _ => 1,
        }
    }

    /// How the base trees are joined: base trees under a node, then nodes under the root; 1 where there is no such level.
    pub fn tree_arities(self) -> [u64; 2] {
        match self.base_trees() {
            16 => [8, 2],
            trees => [trees, 1],
        }
    }

    fn network_layers(self) -> u32 {
        if self.is_production() { 11 } else { 2 }
    }

    fn network_partitions(self) -> u32 {
        if self.is_production() { 10 } else { 1 }
    }

    /// PoRep challenges over all partitions (`get_porep_interactive_minimum_challenges`).
    pub fn challenges(self) -> u32 {
        if self.is_production() { 176 } else { 2 }
    }
}

impl TryFrom<u64> for SectorSize {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        Self::ALL.into_iter().find(|size| size.0 == bytes).ok_or_else(|| format!("{bytes} bytes is not a sector size"))
    }
}

impl FromStr for SectorSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|size| size.to_string().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(SectorSize::to_string).collect();
            format!("'{text}' is not a sector size; use one of {}", known.join(", "))
        })
    }
}

impl TryFrom<String> for SectorSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SectorSize> for String {
    fn from(size: SectorSize) -> String {
        size.to_string()
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            s if s >= GIB => (GIB, "GiB"),
            s if s >= MIB => (MIB, "MiB"),
            _ => (KIB, "KiB"),
        };
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// The shape of a sealing. Everything a circuit, a parameter file or a memory estimate depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Sector size, e.g. "8MiB".
    pub sector_size: SectorSize,
    /// SDR layers.
    pub layers: u32,
    /// Groth16 partitions.
    pub partitions: u32,
}

impl Shape {
    /// The most partitions a sector may be cut into: the reference counts them in a `u8` (one proof is 192 bytes).
    pub const MAX_PARTITIONS: u32 = 255;

    /// The shape the network uses for a size.
    pub fn network(sector_size: SectorSize) -> Shape {
        Shape { sector_size, layers: sector_size.network_layers(), partitions: sector_size.network_partitions() }
    }

    /// A shape with layers or partitions other than the network's.
    ///
    /// `p1_only`: whether nothing but p1 will run. The column hash exists for 2 and 11 layers only, so other layer counts
    /// end after p1. Production sizes keep the network's partitions: the reference allows at most 18 challenges in one.
    pub fn new(size: SectorSize, layers: Option<u32>, partitions: Option<u32>, p1_only: bool) -> anyhow::Result<Shape> {
        let network = Shape::network(size);
        let shape = Shape {
            sector_size: size,
            layers: layers.unwrap_or(network.layers),
            partitions: partitions.unwrap_or(network.partitions),
        };
        if !(1..=11).contains(&shape.layers) {
            return Err(Stop::Usage.error(format!("--layers {} is out of range: use 1 to 11", shape.layers)));
        }
        if shape.layers != 2 && shape.layers != 11 && !p1_only {
            return Err(Stop::Usage.error(format!(
                "--layers {} seals no further than p1 (column hashes exist for 2 and 11 layers): add --phases p1, or use --layers 2 or 11",
                shape.layers
            )));
        }
        if shape.partitions == 0 || shape.partitions > Self::MAX_PARTITIONS {
            return Err(Stop::Usage.error(format!(
                "--partitions {} is out of range: use 1 to {}",
                shape.partitions,
                Self::MAX_PARTITIONS
            )));
        }
        if size.is_production() && shape.partitions < network.partitions {
            return Err(Stop::Usage.error(format!(
                "--partitions {} does not fit {size}: its {} challenges need at least {} partitions",
                shape.partitions,
                size.challenges(),
                network.partitions
            )));
        }
        Ok(shape)
    }

    /// Whether this is the shape the network uses for its size.
    pub fn is_network(&self) -> bool {
        *self == Shape::network(self.sector_size)
    }

    /// PoRep challenges in one partition's circuit. Shapes that agree in this, the size and the layers share a parameter file.
    pub fn challenges_per_partition(&self) -> u32 {
        self.sector_size.challenges().div_ceil(self.partitions)
    }

    /// Labels of the whole sector: layers x nodes.
    pub fn labels(&self) -> u64 {
        u64::from(self.layers) * self.sector_size.nodes()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} layers, {} partition", self.sector_size, self.layers, self.partitions)?;
        if self.partitions == 1 { Ok(()) } else { f.write_str("s") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn sizes_read_back_what_they_print() {
        for size in SectorSize::ALL {
            assert_eq!(size.to_string().parse::<SectorSize>().unwrap(), size);
            assert_eq!(SectorSize::try_from(size.bytes()).unwrap(), size);
        }
        assert_eq!("8mib".parse::<SectorSize>().unwrap().bytes(), 8 << 20);
        for bad in ["", "8", "8MB", "8 MiB", "7MiB", "-2KiB"] {
            assert!(bad.parse::<SectorSize>().unwrap_err().contains("32GiB"), "{bad}");
        }
    }

    #[test]
    fn a_shape_that_cannot_be_sealed_is_a_usage_error() {
        let small: SectorSize = "2KiB".parse().unwrap();
        let large: SectorSize = "32GiB".parse().unwrap();
        for (size, layers, partitions, p1_only) in [
            (small, Some(3), None, false),
            (small, Some(0), None, true),
            (small, Some(12), None, true),
            (small, None, Some(0), false),
            (small, None, Some(256), false),
            (large, None, Some(9), false),
        ] {
            let error = Shape::new(size, layers, partitions, p1_only).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error}");
        }
        assert_eq!(Shape::new(small, Some(3), None, true).unwrap().layers, 3);
        assert_eq!(Shape::new(large, None, None, false).unwrap().challenges_per_partition(), 18);
        assert_eq!(Shape::new(small, None, Some(5), false).unwrap().challenges_per_partition(), 1);
    }
}
