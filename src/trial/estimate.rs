//! What a run will need: memory per phase and space in the run directory. Checked before anything starts.

use bytesize::ByteSize;

use crate::params::estimate::Estimate;
use crate::phase::native::p2;
use crate::phase::{Engine, Phase};
use crate::sector::Shape;
use crate::sector::parents::ROW_BYTES;
use crate::sector::shape::NODE_BYTES;
use crate::trial::spec::{ParamsMode, ParentsMode, Spec};

/// Code, stacks, allocator: what a worker holds beside its data.
const BASE: u64 = 96 << 20;

/// Bytes that reading or encoding holds beside the sector: blocks, windows, channels.
const SLACK: u64 = 64 << 20;

/// The memory of p4, part by part, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvingMemory {
    /// The parameter file: evictable page cache when mapped, and as pages of the map part of the measured peak; a parsed copy when resident.
    pub params: u64,
    /// A 16-byte range per point (mapped only).
    pub ranges: u64,
    /// Copies of the queries that are alive together (mapped only): l while h is summed, or a, b_g1, b_g2 while l is.
    pub queries: u64,
    /// K times the working set: a, b, c over the constraints, their domain vectors, the assignments, the densities.
    pub working: u64,
}

impl ProvingMemory {
    /// For K partitions of this shape at a time.
    pub fn new(shape: &Shape, mode: ParamsMode, at_once: u32) -> ProvingMemory {
        let circuit = Estimate::of(shape);
        let domain = u64::from(circuit.structure.h) + 1;
        let points = circuit.points();
        let mapped = mode == ParamsMode::Mapped;
        ProvingMemory {
            params: circuit.params_bytes,
            ranges: if mapped { points * 16 } else { 0 },
            queries: if mapped { circuit.params_bytes } else { 0 },
            working: u64::from(at_once.min(shape.partitions)) * domain * 32 * 6,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.params + self.ranges + self.queries + self.working + BASE
    }

    /// One line that puts the estimate beside the field's old rule (parameters + K x 30 GiB, from the parameters of 2020).
    pub fn line(&self, at_once: u32) -> String {
        let rule = self.params + u64::from(at_once) * (30 << 30);
        format!(
            "p4 memory: parameters {}, ranges {}, queries {}, {at_once} x working set {}: {} (rule of 2020: parameters + {at_once} x 30 GiB = {})",
            show(self.params),
            show(self.ranges),
            show(self.queries),
            show(self.working / u64::from(at_once.max(1))),
            show(self.total()),
            show(rule)
        )
    }
}

/// Peak memory of a phase of the native engine, bytes.
fn native_memory(phase: Phase, spec: &Spec, threads: u32) -> u64 {
    let sector = spec.shape.sector_size.bytes();
    match phase {
        // Two layers of every sector; windows of parents, and the tables that they are computed from, are in the base. A mapped parent
        // cache counts in the measured peak, although its pages can be reclaimed.
        Phase::P1 => {
            let mapped = if spec.native.parents == ParentsMode::Cache { sector / NODE_BYTES * ROW_BYTES } else { 0 };
            u64::from(spec.sectors) * (2 * sector + (4 << 20)) + mapped + BASE + SLACK
        }
        Phase::P2 => p2::window_bytes(&spec.shape, threads) + BASE + SLACK,
        Phase::C1 | Phase::P4 => BASE,
    }
}

/// Peak memory of a phase on an engine with so many threads, bytes.
pub fn memory(phase: Phase, engine: Engine, spec: &Spec, threads: u32) -> u64 {
    let shape = &spec.shape;
    let sector = shape.sector_size.bytes();
    match phase {
        _ if engine == Engine::Mock => BASE,
        _ if engine == Engine::Native => native_memory(phase, spec, threads),
        // While tree_d is built, the mapped data and the tree (2x) are resident; then the labels of two layers.
        Phase::P1 => 3 * sector + BASE + SLACK,
        // Column hashes and the base tree's rows, or the mapped replica beside the encoded nodes and their tree.
        Phase::P2 => 4 * sector / shape.sector_size.base_trees().min(2) + BASE + SLACK,
        Phase::C1 => BASE + SLACK,
        Phase::P4 => ProvingMemory::new(shape, spec.params, spec.p4_partitions_at_once).total(),
    }
}

/// The most memory that one of a run's instances needs, bytes.
pub fn memory_of(spec: &Spec, instance: u32) -> u64 {
    let threads = spec.instances[instance as usize].threads;
    let own = spec.runs().filter(|&(phase, _)| spec.runs_on(instance, phase));
    own.map(|(phase, engine)| memory(phase, engine, spec, threads)).max().unwrap_or(0)
}

/// Memory of each phase of a run, all instances together, bytes; of a mix, the phase that needs most with the memory of all.
pub fn memory_at_once(spec: &Spec) -> Vec<(Phase, u64)> {
    let of = |phase, engine, threads| memory(phase, engine, spec, threads);
    if spec.instances.is_empty() {
        return spec.runs().map(|(phase, engine)| (phase, of(phase, engine, spec.threads))).collect();
    }
    let each = |(phase, engine): (Phase, Engine)| {
        let numbers = (0..spec.instances.len() as u32).filter(|&number| spec.runs_on(number, phase));
        (phase, numbers.map(|number| of(phase, engine, spec.instances[number as usize].threads)).sum())
    };
    let needed: Vec<(Phase, u64)> = spec.runs().map(each).collect();
    match needed.iter().max_by_key(|(_, bytes)| *bytes) {
        Some(&(most, _)) if spec.is_mix() => vec![(most, needed.iter().map(|(_, bytes)| bytes).sum())],
        _ => needed,
    }
}

/// Roughly the seconds that a phase takes on so many cores: good to a factor of three. The rates are those of two Zen 5 cores with
/// AVX-512, seconds of one core: labels follow each other, so cores do not help them; everything else divides.
pub fn seconds(phase: Phase, engine: Engine, spec: &Spec, cores: u32) -> f64 {
    const LABEL: [f64; 2] = [0.64e-6, 1.2e-6];
    const NODE: [f64; 2] = [1.1e-6, 24e-6];
    const DOMAIN_POINT: f64 = 20e-6;
    let shape = &spec.shape;
    let (cores, sectors) = (f64::from(cores.max(1)), f64::from(spec.sectors));
    let by_engine = |rates: [f64; 2]| if engine == Engine::Native { rates[0] } else { rates[1] };
    match phase {
        _ if engine == Engine::Mock => 0.0,
        Phase::P1 => by_engine(LABEL) * shape.labels() as f64 * (sectors / cores).max(1.0),
        Phase::P2 => by_engine(NODE) * shape.sector_size.nodes() as f64 * sectors / cores,
        Phase::C1 => 0.05,
        Phase::P4 => {
            let domain = f64::from(Estimate::of(shape).structure.h) + 1.0;
            DOMAIN_POINT * domain * f64::from(shape.partitions) / cores
        }
    }
}

/// Space that the phases of one repeat add to the run directory, bytes, the data included.
pub fn disk(phases: &[Phase], shape: &Shape) -> u64 {
    let sector = shape.sector_size.bytes();
    let of_phase = |phase: &Phase| match phase {
        // Layers, tree_d, and the copy that the reference seals in place later.
        Phase::P1 => sector * (u64::from(shape.layers) + 2 + 1),
        // tree_c, tree_r_last without its discarded rows, the replica.
        Phase::P2 => sector * 8 / 7 + sector / 7 + sector,
        Phase::C1 => 32 << 20,
        Phase::P4 => 1 << 16,
    };
    phases.iter().map(of_phase).sum()
}

/// A size for people.
pub fn show(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}
