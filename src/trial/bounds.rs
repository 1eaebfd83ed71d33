//! The physical bounds of a phase's dominating span, measured in its worker just before it runs.

use sealbench_kernels::cpu::Features;
use sealbench_kernels::poseidon::{Arity, Backend};

use crate::measure::limit::{self, Sha256};
use crate::phase::{Engine, Phase};
use crate::sector::Shape;
use crate::trial::job::Outcome;
use crate::trial::record::{Limit, Span};

/// What bounds a phase on this machine.
pub enum Bounds {
    /// p1: how fast a core can hash.
    Labels(Sha256),
    /// p2: the least seconds in which a core can hash a column.
    Columns(f64),
    /// No bound is known.
    Unknown,
}

impl Bounds {
    /// Measures the bounds of a phase, whatever engine will run it; the mock engine has none.
    pub fn measure(phase: Phase, engine: Engine, shape: &Shape) -> Bounds {
        match (phase, Arity::new(shape.layers as usize)) {
            _ if engine == Engine::Mock => Bounds::Unknown,
            (Phase::P1, _) => Bounds::Labels(Sha256::measure()),
            (Phase::P2, Some(arity)) => {
                let features = Features::detect();
                let seconds = Backend::supported(&features).map(|backend| limit::poseidon_hash_s(backend, arity));
                Bounds::Columns(seconds.fold(f64::INFINITY, f64::min))
            }
            _ => Bounds::Unknown,
        }
    }

    /// The bounds of a phase that is over, the tightest first.
    pub fn limits(&self, outcome: &Outcome, sectors: u32, threads: u32, spans: &[Span]) -> Vec<Limit> {
        let bounds = match self {
            Bounds::Labels(bounds) => {
                bounds.labels(outcome.work.count / u64::from(sectors), outcome.labelled_together).to_vec()
            }
            Bounds::Columns(hash_s) => {
                vec![("poseidon multiplications", outcome.work.count as f64 * hash_s / f64::from(threads))]
            }
            Bounds::Unknown => Vec::new(),
        };
        let name = if matches!(self, Bounds::Labels(_)) { "label" } else { "columns" };
        let Some(span) = spans.iter().find(|span| span.name == name) else { return Vec::new() };
        let limit = |(bound, seconds): (&str, f64)| Limit {
            name: bound.into(),
            span: name.into(),
            seconds,
            ratio: span.wall_s / seconds,
        };
        bounds.into_iter().map(limit).collect()
    }
}
