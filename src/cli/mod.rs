//! The commands.

pub mod params;
