//! The reference engine: rust-fil-proofs' crates, called as today's production software calls them.

mod commit;
mod porep;
mod precommit;

use filecoin_proofs::with_shape;

use crate::phase::{Phase, PhaseContext};
use crate::trial::job::Outcome;

/// Runs a phase on the reference engine.
pub fn run(phase: Phase, context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let bytes = context.shape.sector_size.bytes();
    match phase {
        Phase::P1 => with_shape!(bytes, p1, context),
        Phase::P2 => with_shape!(bytes, p2, context),
        Phase::C1 => with_shape!(bytes, c1, context),
        Phase::P4 => with_shape!(bytes, p4, context),
    }
}

use commit::{c1, p4};
use precommit::{p1, p2};
