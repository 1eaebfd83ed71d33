//! sealbench: a benchmark harness for Filecoin sealing.
//!
//! One chain answers how fast a machine seals and why: spec -> trials -> worker (a pinned process) -> record -> results store.
//! `docs/design.md` tells the way through the house.

#![deny(unsafe_code)]

pub mod cli;
pub mod disk;
pub mod error;
pub mod home;
pub mod host;
pub mod import;
pub mod keys;
pub mod measure;
pub mod params;
pub mod phase;
pub mod plan;
pub mod report;
pub mod scale;
pub mod sector;
pub mod shell;
pub mod store;
pub mod sweep;
pub mod trial;
pub mod yaml;
