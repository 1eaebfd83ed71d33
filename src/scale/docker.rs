//! Instances as containers: `engine` (who answers, and where) -> `image` (one static binary) -> `container` (one instance, held by its
//! launcher) -> `site` (those of a run); `leftovers` removes what dead launchers left, `cost` compares containers with processes; `takeover` and `emit`
//! are for Compose files.

pub mod container;
pub mod cost;
pub mod emit;
pub mod engine;
pub mod image;
pub mod labels;
pub mod leftovers;
pub mod share;
pub mod site;
mod streams;
pub mod takeover;
mod tunnel;
