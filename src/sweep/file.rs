//! The sweep file: TOML, or the same from flags.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::keys::{check_keys, keys};

/// No sweep file is larger.
const MAX_BYTES: u64 = 1 << 20;

/// A sweep: what holds for all grids, and the grids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Seed of the sectors, hexadecimal.
    pub seed: Option<String>,
    /// Seed of the order in which the points are measured.
    #[serde(default)]
    pub order_seed: u64,
    /// Whether the first point of each phase is measured as a second one too, which shows the machine's own noise (A/A).
    #[serde(default = "yes")]
    pub twins: bool,
    /// The grids; their points are measured together.
    #[serde(default, rename = "grid")]
    pub grids: Vec<Grid>,
}

fn yes() -> bool {
    true
}

/// A grid: every combination of its axes is a point. An axis that is not named has one value, the default of `sealbench run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Sector size.
    pub sector_size: Option<String>,
    /// SDR layers.
    pub layers: Option<u32>,
    /// Groth16 partitions.
    pub partitions: Option<u32>,
    /// Axis: phases.
    #[serde(default)]
    pub phases: Vec<String>,
    /// Axis: engines.
    #[serde(default)]
    pub engines: Vec<String>,
    /// Axis: instances x cores of each, e.g. "2x1"; or the two axes below.
    #[serde(default)]
    pub layouts: Vec<String>,
    /// Axis: instances side by side.
    #[serde(default)]
    pub instances: Vec<u32>,
    /// Axis: cores of each instance.
    #[serde(default)]
    pub cores_per_instance: Vec<u32>,
    /// Axis: threads of each instance.
    #[serde(default)]
    pub threads: Vec<u32>,
    /// Axis: kernels, each "auto" or "primitive=name", several joined by commas.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// Axis: pages of the layers that p1 labels.
    #[serde(default)]
    pub pages: Vec<String>,
    /// Axis: sectors labelled or hashed together.
    #[serde(default)]
    pub sectors: Vec<u32>,
    /// Axis: Groth16 partitions proved at once.
    #[serde(default)]
    pub p4_partitions_at_once: Vec<u32>,
    /// How p4 holds its parameters.
    pub params: Option<String>,
    /// Where the native p1 takes the parents from.
    pub parents: Option<String>,
    /// How the native p2 reads.
    pub io: Option<String>,
    /// The fewest samples of each point.
    pub repeats: Option<u32>,
    /// The most samples of a point whose spread stays above `max_cv`.
    pub max_repeats: Option<u32>,
    /// The coefficient of variation below which a point needs no more samples.
    pub max_cv: Option<f64>,
    /// Let instances overlap.
    #[serde(default)]
    pub share_cores: bool,
    /// Let instances split L3 groups.
    #[serde(default)]
    pub split_l3: bool,
    /// Give instances all hardware threads of their cores.
    #[serde(default)]
    pub smt: bool,
}

impl SweepFile {
    /// Reads a sweep file; an unknown key is named with the nearest valid one (exit code 2).
    pub fn read(path: &Path) -> anyhow::Result<SweepFile> {
        let cannot = |e: std::io::Error| Stop::Usage.error(format!("cannot read {}: {e}", path.display()));
        let size = fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_BYTES {
            return Err(Stop::Usage.error(format!("{} is no sweep file: it has {size} bytes", path.display())));
        }
        SweepFile::parse(&fs::read_to_string(path).map_err(cannot)?)
            .map_err(|e| Stop::Usage.error(format!("{}: {e}", path.display())))
    }

    /// Reads the text of a sweep file.
    pub fn parse(text: &str) -> Result<SweepFile, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string().trim_end().to_string())?;
        check_keys(&table, &keys(&SweepFile::default()), "")?;
        if let Some(grids) = table.get("grid").and_then(toml::Value::as_array) {
            let valid = keys(&Grid::default());
            for (number, grid) in grids.iter().enumerate() {
                let grid = grid.as_table().ok_or("grid is a list of tables: write [[grid]]")?;
                check_keys(grid, &valid, &format!(" of grid {}", number + 1))?;
            }
        }
        let file: SweepFile = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_string())?;
        if file.grids.is_empty() {
            return Err("there is no [[grid]]: nothing would be measured".into());
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_valid_one() {
        let of = |text: &str| SweepFile::parse(text).unwrap_err();
        assert_eq!(of("[[grid]]\nphase = ['p1']"), "unknown key 'phase' of grid 1: did you mean 'phases'?");
        assert_eq!(of("order_sed = 1"), "unknown key 'order_sed': did you mean 'order_seed'?");
        assert!(of("[[grid]]\n[[grid]]\nqqq = 1").starts_with("unknown key 'qqq' of grid 2: valid are sector_size, "));
        assert!(of("grid = 1").contains("grid"), "{}", of("grid = 1"));
    }

    #[test]
    fn nothing_to_measure_and_wrong_types_are_refused() {
        assert!(SweepFile::parse("").unwrap_err().contains("no [[grid]]"));
        for text in ["[[grid]]\nphases = 'p1'", "[[grid]]\nrepeats = 'many'", "[[grid", "grid = [1]"] {
            assert!(SweepFile::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let file = SweepFile::parse("[[grid]]\nphases = ['p1', 'p2']\nlayouts = ['1x2']").unwrap();
        assert!(file.twins && file.order_seed == 0 && file.seed.is_none());
        assert_eq!(file.grids[0].phases, ["p1", "p2"]);
        assert!(!file.grids[0].share_cores && file.grids[0].repeats.is_none());
    }
}
