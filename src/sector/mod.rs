//! What a sector is: its size and shape, the ids and data that one seed gives it, its graph's parents, and the run directory that holds it.

mod benchy;
pub mod data;
pub mod files;
pub mod identity;
pub mod manifest;
pub mod parents;
pub mod rundir;
pub mod shape;

pub use identity::{Identity, Seed};
pub use rundir::{RunDir, SetKey};
pub use shape::{SectorSize, Shape};
