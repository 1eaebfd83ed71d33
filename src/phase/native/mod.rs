//! sealbench's own engine: the kernels on pinned cores, files bit-identical to rust-fil-proofs'.

mod calibrate;
mod check;
pub mod kernels;
mod label;
mod layers;
mod output;
mod p1;
pub mod p2;
mod parents;
mod tree_d;

use crate::phase::{Engine, Phase, PhaseContext, unavailable};
use crate::trial::job::Outcome;

/// The phases that this engine has.
pub const PHASES: [Phase; 2] = [Phase::P1, Phase::P2];

/// Runs a phase on the native engine.
pub fn run(phase: Phase, context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    match phase {
        Phase::P1 => p1::p1(context),
        Phase::P2 => p2::p2(context),
        Phase::C1 | Phase::P4 => Err(unavailable(Engine::Native, phase)),
    }
}
