//! Spans of the reference from the log events of its crates: `measure_op` would need their feature `measurements`, which pulls in
//! gperftools. What the events do not separate is one span.

use crate::phase::Phase;
use crate::sector::Shape;

/// A log event that begins a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Target (module) of the event.
    pub target: &'static str,
    /// How its message starts.
    pub starts: &'static str,
    /// The span that begins.
    pub span: &'static str,
}

impl Mark {
    /// Whether an event is this mark.
    pub fn matches(&self, target: &str, message: &str) -> bool {
        target == self.target && message.trim_start().starts_with(self.starts)
    }
}

const SEAL: &str = "filecoin_proofs::api::seal";
const STACKED: &str = "storage_proofs_porep::stacked::vanilla::proof";
const SINGLE: &str = "storage_proofs_porep::stacked::vanilla::create_label::single";
const MULTI: &str = "storage_proofs_porep::stacked::vanilla::create_label::multi";
const SCHEME: &str = "storage_proofs_porep::stacked::vanilla::proof_scheme";
const PROVER: &str = "bellperson::groth16::prover::native";

const fn mark(target: &'static str, starts: &'static str, span: &'static str) -> Mark {
    Mark { target, starts, span }
}

/// The marks of a phase, in the order of a run. All of them must be seen: a line that is gone would silently move time from one span
/// to another.
pub fn marks(phase: Phase, shape: &Shape, multicore: bool) -> Vec<Mark> {
    match phase {
        Phase::P1 => {
            let (labels, layer) = if multicore { (MULTI, "Layer ") } else { (SINGLE, "generating layer") };
            vec![
                mark(SEAL, "building merkle tree for the original data", "tree_d"),
                mark(SEAL, "verifying pieces", "parents"),
                mark(labels, layer, "label"),
                mark(labels, "storing labels on disk", "write"),
            ]
        }
        Phase::P2 if shape.sector_size.base_trees() == 1 => vec![
            mark(STACKED, "Building column hashes", "columns"),
            mark(STACKED, "building base tree_c", "tree_c"),
            mark(STACKED, "tree_c done", "read"),
            mark(STACKED, "building tree_r_last", "encode"),
            mark(STACKED, "building base tree_r_last with CPU", "tree_r_last"),
            mark(STACKED, "tree_r_last done", "write"),
        ],
        // From the second base tree on, no event tells where a tree ends and the next one's columns or encoding begin.
        Phase::P2 => vec![
            mark(STACKED, "Building column hashes", "columns+tree_c"),
            mark(STACKED, "tree_c done", "read"),
            mark(STACKED, "building tree_r_last", "encode+tree_r_last"),
            mark(STACKED, "tree_r_last done", "write"),
        ],
        Phase::C1 => vec![
            mark(STACKED, "generating interactive vanilla proofs", "prove"),
            mark(SCHEME, "verify_all_partitions", "check"),
        ],
        Phase::P4 => vec![
            mark(PROVER, "synthesis time", "ntt"),
            mark(PROVER, "multiexp h", "msm"),
            mark(PROVER, "prover time", "assemble"),
        ],
    }
}
