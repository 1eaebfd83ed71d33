//! Placeholder.

pub mod limit;
