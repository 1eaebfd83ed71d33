//! Sweeps: a grid of settings, each point measured several times, in an order that favours none.
//!
//! `file` (what was asked) -> `grid` (the points) -> `fit` (those this machine can run, and what they take) -> `schedule` (which comes next)
//! -> `drive` (runs them, trial by trial, on the `bench`) -> `rank` (which is best, and how sure that is). `state` keeps it all in a directory, so that an interrupted sweep
//! goes on.

pub mod bench;
pub mod drive;
pub mod file;
pub mod fit;
pub mod grid;
pub mod rank;
pub mod schedule;
pub mod state;
pub mod validity;
