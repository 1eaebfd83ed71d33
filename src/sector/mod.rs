//! What a sector is: its size and shape, the ids and data that one seed gives it, and the run directory that holds it.

pub mod data;
pub mod identity;
pub mod rundir;
pub mod shape;

pub use identity::{Identity, Seed};
pub use shape::{SectorSize, Shape};
