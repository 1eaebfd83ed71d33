//! This machine: what it is, what it allows, and what a phase may use of it.

mod counters;
mod disclosure;
pub mod sys;

pub use counters::Counters;
pub use disclosure::{BuildInfo, HostInfo};
