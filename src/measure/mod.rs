//! Measuring: clocks, spans, samples of the process, statistics. Nothing here prints.

pub mod clock;
pub mod effective_clock;
pub mod eta;
pub mod limit;
pub mod probe;
pub mod rules;
pub mod sampler;
pub mod stats;
pub mod timeline;
