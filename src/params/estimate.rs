//! What a shape's parameters will be: points, bytes, and the time to generate them.
//!
//! The counts are exact. They were counted in the reference's circuits (a test counts again) and are linear: a part that every
//! circuit has, a part for each challenge that depends on the size's trees, and one for each challenge's nine further layers.

use serde::Serialize;

use crate::params::format::Structure;
use crate::sector::{SectorSize, Shape};

/// What a shape's parameters are, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Points of each section; exact.
    pub structure: Structure,
    /// Bytes of the proving key; exact.
    pub params_bytes: u64,
    /// Constraints of one partition's circuit, with the generator's own; exact.
    pub constraints: u64,
    /// Base-2 logarithm of the evaluation domain.
    pub domain_log2: u32,
    /// Core seconds that generating takes, from measurements on Zen 3 at 3.4 GHz.
    pub generate_core_seconds: f64,
    /// Most memory that generating takes, bytes.
    pub generate_peak_bytes: u64,
}

/// Constraints and variables of a part of a circuit.
#[derive(Clone, Copy)]
struct Part {
    constraints: u64,
    /// Auxiliary variables.
    l: u64,
    /// Variables in an A polynomial.
    a: u64,
    /// Variables in a B polynomial.
    b: u64,
}

/// What every circuit has once.
const BASE: Part = Part { constraints: 575, l: 571, a: 494, b: 490 };

/// Public inputs that every circuit has (the constant one, replica id, comm_d, comm_r), and those of a challenge.
const INPUTS: (u32, u32) = (4, 18);

/// What a challenge of 11 layers has more than one of 2.
const NINE_LAYERS: Part = Part { constraints: 4_736_982, l: 4_732_302, a: 4_731_192, b: 1_171_260 };

/// A challenge of 2 layers, by size.
#[rustfmt::skip]
const CHALLENGE: [Part; SectorSize::ALL.len()] = [
    Part { constraints: 1_343_693, l: 1_342_551, a: 1_337_227, b: 342_516 }, // 2KiB
    Part { constraints: 1_394_099, l: 1_392_926, a: 1_386_352, b: 357_775 }, // 4KiB
    Part { constraints: 1_488_319, l: 1_487_148, a: 1_479_738, b: 383_237 }, // 16KiB
    Part { constraints: 1_538_725, l: 1_537_523, a: 1_528_863, b: 398_496 }, // 32KiB
    Part { constraints: 1_922_197, l: 1_920_939, a: 1_907_271, b: 505_400 }, // 8MiB
    Part { constraints: 1_972_603, l: 1_971_314, a: 1_956_396, b: 520_659 }, // 16MiB
    Part { constraints: 2_211_449, l: 2_210_133, a: 2_192_293, b: 586_842 }, // 512MiB
    Part { constraints: 2_261_855, l: 2_260_508, a: 2_241_418, b: 602_101 }, // 1GiB
    Part { constraints: 2_500_701, l: 2_499_327, a: 2_477_315, b: 668_284 }, // 32GiB
    Part { constraints: 2_551_107, l: 2_549_702, a: 2_526_440, b: 683_543 }, // 64GiB
];

/// Cost of a point of G2, in points of G1, measured.
pub(super) const G2_COST: f64 = 2.2;

/// Core seconds per point of G1, all included: 2 KiB took 80 core seconds, both cores at work, for its 10.24 M points of G1 and
/// 0.69 M of G2.
const CORE_SECONDS_PER_G1: f64 = 80.0 / (10_240_486.0 + G2_COST * 685_522.0);

/// Bytes of a recorded constraint: three row ends and 4.2 terms of 8 bytes, measured over the circuits.
const CONSTRAINT_BYTES: u64 = 48;

/// Bytes of an evaluation at tau.
const SCALAR_BYTES: u64 = 32;

/// Tables of both groups for many points (16 windows of 2^15 entries) and two slices of points of each group.
const TABLES_AND_SLICES_BYTES: u64 = (16 << 15) * (96 + 192) + 2 * (96 + 192) * (1 << 17);

/// What the process holds anyway: code, the file buffers, the allocator.
const BASE_BYTES: u64 = 64 << 20;

impl Estimate {
    /// The estimate of a shape. Only 2 and 11 layers have a circuit; other counts get the next larger one's.
    pub fn of(shape: &Shape) -> Estimate {
        let challenges = shape.challenges_per_partition();
        let total = |part: fn(&Part) -> u64| {
            let layers = if shape.layers > 2 { part(&NINE_LAYERS) } else { 0 };
            part(&BASE) + u64::from(challenges) * (part(challenge(shape.sector_size)) + layers)
        };
        let constraints = total(|part| part.constraints);
        let domain = constraints.next_power_of_two();
        let section = |part: fn(&Part) -> u64| count(total(part));
        let structure = Structure {
            ic: INPUTS.0 + INPUTS.1 * challenges,
            h: count(domain - 1),
            l: section(|part| part.l),
            a: section(|part| part.a),
            b_g1: section(|part| part.b),
            b_g2: section(|part| part.b),
        };
        let cost = structure.g1_points() as f64 + G2_COST * structure.g2_points() as f64;
        Estimate {
            structure,
            params_bytes: structure.params_bytes(),
            constraints,
            domain_log2: domain.ilog2(),
            generate_core_seconds: cost * CORE_SECONDS_PER_G1,
            generate_peak_bytes: peak_bytes(&structure, constraints, domain),
        }
    }

    /// Bytes that the files need on disk: both keys, and room for the small ones.
    pub fn disk_bytes(&self) -> u64 {
        self.params_bytes + self.structure.vk_bytes() + (64 << 10)
    }

    /// Points of both groups.
    pub fn points(&self) -> u64 {
        self.structure.g1_points() + self.structure.g2_points()
    }
}

/// Three evaluations of each variable stay to the end; before the points, constraints and Lagrange polynomials are there too.
fn peak_bytes(structure: &Structure, constraints: u64, domain: u64) -> u64 {
    let variables = u64::from(structure.ic) + u64::from(structure.l);
    let evaluating = CONSTRAINT_BYTES * constraints + SCALAR_BYTES * domain;
    BASE_BYTES + 3 * SCALAR_BYTES * variables + evaluating.max(TABLES_AND_SLICES_BYTES)
}

fn challenge(size: SectorSize) -> &'static Part {
    let index = SectorSize::ALL.iter().position(|known| *known == size);
    &CHALLENGE[index.expect("a SectorSize is one of SectorSize::ALL")]
}

/// A section's count; bellperson writes 32 bits. At most 176 challenges of 7.3 M variables, so it fits.
fn count(points: u64) -> u32 {
    u32::try_from(points).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(size: &str, layers: u32, partitions: u32) -> Estimate {
        Estimate::of(&Shape { sector_size: size.parse().unwrap(), layers, partitions })
    }

    #[test]
    fn the_2kib_file_is_the_one_that_is_known() {
        let known = estimate("2KiB", 2, 1);
        assert_eq!(known.params_bytes, 1_114_707_768);
        assert_eq!((known.constraints, known.domain_log2), (2_687_961, 22));
        assert!((known.generate_core_seconds - 80.0).abs() < 0.1);
        // VmHWM was 536 MB, and 374 MB with two partitions.
        assert!((536 << 20..640 << 20).contains(&known.generate_peak_bytes), "{}", known.generate_peak_bytes);
        let one = estimate("2KiB", 2, 2);
        assert_eq!(one.domain_log2, 21);
        assert!((374 << 20..450 << 20).contains(&one.generate_peak_bytes), "{}", one.generate_peak_bytes);
        assert!((0.45..0.55).contains(&(one.generate_core_seconds / known.generate_core_seconds)));
        assert_eq!(one, estimate("2KiB", 2, 7));
    }

    #[test]
    fn domains_grow_with_the_trees_and_the_layers() {
        for (size, layers, partitions, domain_log2) in [
            ("8MiB", 2, 1, 22),
            ("16MiB", 2, 1, 22),
            ("512MiB", 2, 1, 23),
            ("1GiB", 2, 1, 23),
            ("2KiB", 11, 1, 24),
            ("2KiB", 11, 2, 23),
            ("8MiB", 2, 2, 21),
            ("512MiB", 2, 2, 22),
            ("32GiB", 11, 10, 27),
            ("64GiB", 11, 10, 27),
        ] {
            assert_eq!(estimate(size, layers, partitions).domain_log2, domain_log2, "{size} {layers} {partitions}");
        }
        assert_eq!(estimate("32GiB", 11, 10).constraints, 130_278_869);
    }
}

/// Counts the reference's circuits again.
#[cfg(all(test, feature = "reference"))]
mod circuits {
    use super::*;
    use crate::params::generate::blank_circuit;
    use bellperson::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
    use blstrs::Scalar;
    use filecoin_proofs::with_shape;
    use rayon::prelude::*;
    use storage_proofs_core::merkle::MerkleTreeTrait;

    /// Counts what bellperson's generator would turn into points.
    #[derive(Default)]
    struct Counter {
        inputs: Vec<Uses>,
        aux: Vec<Uses>,
        constraints: u32,
    }

    #[derive(Clone, Copy, Default)]
    struct Uses {
        a: bool,
        b: bool,
    }

    impl Counter {
        fn mark(&mut self, lc: &LinearCombination<Scalar>, mark: fn(&mut Uses)) {
            for (Variable(index), coefficient) in lc.iter() {
                if *coefficient != Scalar::from(0) {
                    match index {
                        Index::Input(i) => mark(&mut self.inputs[i]),
                        Index::Aux(i) => mark(&mut self.aux[i]),
                    }
                }
            }
        }
    }

    impl ConstraintSystem<Scalar> for Counter {
        type Root = Self;

        fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError> {
            self.aux.push(Uses::default());
            Ok(Variable(Index::Aux(self.aux.len() - 1)))
        }

        fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError> {
            self.inputs.push(Uses::default());
            Ok(Variable(Index::Input(self.inputs.len() - 1)))
        }

        fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, _: LC)
        where
            LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
            LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        {
            self.mark(&a(LinearCombination::zero()), |uses| uses.a = true);
            self.mark(&b(LinearCombination::zero()), |uses| uses.b = true);
            self.constraints += 1;
        }

        fn push_namespace<NR, N>(&mut self, _: N) {}

        fn pop_namespace(&mut self) {}

        fn get_root(&mut self) -> &mut Self {
            self
        }
    }

    fn counted<Tree: 'static + MerkleTreeTrait>(shape: &Shape) -> (u64, Structure) {
        let mut counter = Counter::default();
        counter.alloc_input(|| "", || Ok(Scalar::from(1))).unwrap();
        blank_circuit::<Tree>(shape).unwrap().synthesize(&mut counter).unwrap();
        let count =
            |part: fn(&Uses) -> bool| counter.inputs.iter().chain(&counter.aux).filter(|u| part(u)).count() as u32;
        // The generator adds one constraint to each input, with the input in its A polynomial.
        let input_a = counter.inputs.iter().filter(|u| !u.a).count() as u32;
        let constraints = counter.constraints + counter.inputs.len() as u32;
        (
            u64::from(constraints),
            Structure {
                ic: counter.inputs.len() as u32,
                h: constraints.next_power_of_two() - 1,
                l: counter.aux.len() as u32,
                a: count(|u| u.a) + input_a,
                b_g1: count(|u| u.b),
                b_g2: count(|u| u.b),
            },
        )
    }

    #[test]
    fn the_counts_are_the_circuits() {
        let every_size = SectorSize::ALL.map(|size| (size, 2, size.challenges()));
        let two_kib = SectorSize::ALL[0];
        // Nine further layers; and a third challenge, which no small sector has, for linearity: 176 / 59.
        let others = [(two_kib, 11, 2), (SectorSize::ALL[8], 2, 59)];
        every_size.into_iter().chain(others).collect::<Vec<_>>().into_par_iter().for_each(
            |(sector_size, layers, partitions)| {
                let shape = Shape { sector_size, layers, partitions };
                let (constraints, structure) = with_shape!(sector_size.bytes(), counted, &shape);
                let estimate = Estimate::of(&shape);
                assert_eq!((constraints, structure), (estimate.constraints, estimate.structure), "{shape}");
            },
        );
    }
}
