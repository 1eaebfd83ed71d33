//! Groth16's setup, byte for byte bellperson's `generate_parameters` of the same secrets.
//!
//! What differs is the way there: the constraints are recorded in sparse matrices instead of a vector for each variable, the
//! Lagrange polynomials come from their closed form instead of an inverse transform, points are multiples from a fixed-base
//! table, and each section is written as it is computed.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use bellperson::{Circuit, SynthesisError};
use blstrs::Scalar;
use ff::Field as _;
use group::{Curve, Group};
use sealbench_kernels::fixed_base::{Field, G1Table, G2Table, Table};

use crate::params::Progress;
use crate::params::points::write_section;
use crate::params::qap::{Domain, EVALUATE_STEPS, Evaluations, inverse};
use crate::params::r1cs::R1cs;
use crate::params::setup::Setup;

/// Writes a circuit's proving key and verifying key; gives the checksum of its constraints.
///
/// Stages reported: "record" (of so many `constraints`, as far as the caller knows), "evaluate" (steps), then "h", "l", "a", "b_g1" and "b_g2" (points).
pub fn write_keys<C: Circuit<Scalar>>(
    circuit: C,
    constraints: u64,
    setup: Setup,
    params: &mut dyn Write,
    vk: &mut dyn Write,
    progress: &mut Progress<'_>,
) -> Result<blake3::Hash> {
    progress("record", 0, constraints);
    let circuit = R1cs::record(circuit, &mut |done| progress("record", done, constraints))
        .context("the circuit cannot be recorded")?;
    progress("record", constraints, constraints);
    progress("evaluate", 0, EVALUATE_STEPS);
    let domain = Domain::new(circuit.constraints())?;
    let evaluations =
        Evaluations::new(&circuit, &domain, &setup, &mut |done| progress("evaluate", done, EVALUATE_STEPS))?;
    let (inputs, checksum) = (circuit.inputs, circuit.checksum());
    drop(circuit);
    write_points(inputs, &domain, evaluations, &setup, params, vk, progress)?;
    Ok(checksum)
}

fn write_points(
    inputs: usize,
    domain: &Domain,
    Evaluations { mut a, mut b, ext }: Evaluations,
    setup: &Setup,
    params: &mut dyn Write,
    vk: &mut dyn Write,
    progress: &mut Progress<'_>,
) -> Result<()> {
    // The prover counts on a point for each variable in l.
    let (ic, l) = ext.split_at(inputs);
    ensure!(l.iter().all(|scalar| *scalar != Scalar::ZERO), SynthesisError::UnconstrainedVariable);
    a.remove_zeros();
    b.remove_zeros();
    let h = domain.size - 1;
    let (g1, g2) = tables(setup, h + ext.len() + a.len() + b.len(), b.len())?;

    let mut key = fixed_points(setup);
    write_section(&g1, ic.len(), from(ic), &mut key, &mut |_| ())?;
    vk.write_all(&key)?;
    params.write_all(&key)?;

    let mut sections = Sections { out: params, progress };
    sections.write("h", &g1, h, powers(domain, setup)?)?;
    sections.write("l", &g1, l.len(), from(l))?;
    sections.write("a", &g1, a.len(), from(&a))?;
    sections.write("b_g1", &g1, b.len(), from(&b))?;
    sections.write("b_g2", &g2, b.len(), from(&b))
}

/// Tables for so many points of G1 and G2.
fn tables(setup: &Setup, g1_points: usize, g2_points: usize) -> Result<(G1Table, G2Table)> {
    let not_infinity = !bool::from(setup.g1.is_identity() | setup.g2.is_identity());
    ensure!(not_infinity, SynthesisError::UnexpectedIdentity);
    let (g1, g2) = (setup.g1.to_affine().to_uncompressed(), setup.g2.to_affine().to_uncompressed());
    let tables = rayon::join(|| G1Table::new(&g1, g1_points as u64), || G2Table::new(&g2, g2_points as u64));
    Ok((tables.0.context("g1 is not on the curve")?, tables.1.context("g2 is not on the curve")?))
}

/// The verifying key up to ic: alpha, beta in G1; beta, gamma in G2; delta in both.
fn fixed_points(setup: &Setup) -> Vec<u8> {
    let [alpha, beta, gamma, delta, _] = setup.waste();
    let g1 = |scalar: &Scalar| (setup.g1 * scalar).to_affine().to_uncompressed();
    let g2 = |scalar: &Scalar| (setup.g2 * scalar).to_affine().to_uncompressed();
    let mut key = Vec::new();
    key.extend(g1(alpha));
    key.extend(g1(beta));
    key.extend(g2(beta));
    key.extend(g2(gamma));
    key.extend(g1(delta));
    key.extend(g2(delta));
    key
}

/// Scalars of a section that are at hand.
fn from(scalars: &[Scalar]) -> impl Fn(usize, &mut [[u8; 32]]) + Sync {
    |first, out| {
        for (out, scalar) in out.iter_mut().zip(&scalars[first..]) {
            *out = scalar.to_bytes_le();
        }
    }
}

/// The scalars of h: tau^i t(tau) / delta.
fn powers(domain: &Domain, setup: &Setup) -> Result<impl Fn(usize, &mut [[u8; 32]]) + Sync, SynthesisError> {
    let [_, _, _, delta, tau] = *setup.waste();
    let scale = domain.vanishing(&tau) * inverse(&delta)?;
    Ok(move |first: usize, out: &mut [[u8; 32]]| {
        let mut power = scale * tau.pow_vartime([first as u64]);
        for out in out {
            *out = power.to_bytes_le();
            power *= tau;
        }
    })
}

/// The proving key's sections, each a stage of the progress.
struct Sections<'a, 'p> {
    out: &'a mut dyn Write,
    progress: &'a mut Progress<'p>,
}

impl Sections<'_, '_> {
    fn write<F: Field>(
        &mut self,
        stage: &str,
        table: &Table<F>,
        count: usize,
        scalars: impl Fn(usize, &mut [[u8; 32]]) + Sync,
    ) -> Result<()> {
        let Sections { out, progress } = self;
        progress(stage, 0, count as u64);
        write_section(table, count, scalars, *out, &mut |done| progress(stage, done, count as u64))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::setup::Seed;
    use bellperson::groth16;
    use bellperson::{ConstraintSystem, LinearCombination, Variable};
    use blstrs::{Bls12, G1Projective, G2Projective};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    type Row = LinearCombination<Scalar>;

    /// A circuit by its synthesis.
    #[derive(Clone, Copy)]
    struct Made(fn(&mut dyn Rows) -> Result<(), SynthesisError>);

    /// A constraint system that can be told what to do without naming its type.
    trait Rows {
        fn aux(&mut self) -> Variable;
        fn input(&mut self) -> Variable;
        fn constrain(&mut self, a: &[(i64, Variable)], b: &[(i64, Variable)], c: &[(i64, Variable)]);
    }

    struct Adapter<'a, CS>(&'a mut CS);

    impl<CS: ConstraintSystem<Scalar>> Rows for Adapter<'_, CS> {
        fn aux(&mut self) -> Variable {
            self.0.alloc(|| "", || Err(SynthesisError::AssignmentMissing)).unwrap()
        }

        fn input(&mut self) -> Variable {
            self.0.alloc_input(|| "", || Err(SynthesisError::AssignmentMissing)).unwrap()
        }

        fn constrain(&mut self, a: &[(i64, Variable)], b: &[(i64, Variable)], c: &[(i64, Variable)]) {
            let row = |terms: &[(i64, Variable)], row: Row| {
                terms.iter().fold(row, |row, (coefficient, variable)| {
                    let magnitude = Scalar::from(coefficient.unsigned_abs());
                    row + (if *coefficient < 0 { -magnitude } else { magnitude }, *variable)
                })
            };
            self.0.enforce(|| "", |lc| row(a, lc), |lc| row(b, lc), |lc| row(c, lc));
        }
    }

    impl Circuit<Scalar> for Made {
        fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
            (self.0)(&mut Adapter(cs))
        }
    }

    /// The constant one.
    fn one() -> Variable {
        Variable::new_unchecked(bellperson::Index::Input(0))
    }

    fn setup(seed: u64) -> (G1Projective, G2Projective, [Scalar; 5]) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (g1, g2) = (G1Projective::random(&mut rng), G2Projective::random(&mut rng));
        (g1, g2, std::array::from_fn(|_| Scalar::random(&mut rng)))
    }

    fn ours(circuit: Made, setup: Setup) -> Result<(Vec<u8>, Vec<u8>)> {
        let (mut params, mut vk) = (Vec::new(), Vec::new());
        write_keys(circuit, 1, setup, &mut params, &mut vk, &mut |_, _, _| ())?;
        Ok((params, vk))
    }

    fn bellpersons(circuit: Made, setup: (G1Projective, G2Projective, [Scalar; 5])) -> Result<(Vec<u8>, Vec<u8>)> {
        let (g1, g2, [alpha, beta, gamma, delta, tau]) = setup;
        let keys = groth16::generate_parameters::<Bls12, _>(circuit, g1, g2, alpha, beta, gamma, delta, tau)?;
        let (mut params, mut vk) = (Vec::new(), Vec::new());
        keys.write(&mut params)?;
        keys.vk.write(&mut vk)?;
        Ok((params, vk))
    }

    fn check(circuit: Made) {
        check_with(circuit, 0..3);
    }

    fn check_with(circuit: Made, seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let (g1, g2, mut waste) = setup(seed);
            // tau in the domain, where t(tau) is zero.
            if seed == 2 {
                waste[4] = Scalar::ONE;
            }
            let expected = bellpersons(circuit, (g1, g2, waste));
            match (ours(circuit, Setup::new(g1, g2, waste)), expected) {
                (Ok(ours), Ok(expected)) => assert!(ours == expected, "seed {seed}"),
                (Err(ours), Err(expected)) => assert_eq!(ours.to_string(), expected.to_string()),
                (ours, expected) => panic!("{:?}, expected {:?}", ours.err(), expected.err()),
            }
        }
    }

    #[test]
    fn products_of_variables() {
        check(Made(|cs| {
            let (x, y, z) = (cs.aux(), cs.aux(), cs.input());
            cs.constrain(&[(1, x)], &[(1, y)], &[(1, z)]);
            cs.constrain(&[(2, x), (-3, y), (5, one())], &[(1, one())], &[(7, z), (-1, x)]);
            Ok(())
        }));
    }

    #[test]
    fn variables_absent_from_a_or_b_or_both() {
        check(Made(|cs| {
            let (only_a, only_b, only_c, input) = (cs.aux(), cs.aux(), cs.aux(), cs.input());
            cs.constrain(&[(1, only_a)], &[(4, only_b)], &[(1, only_c)]);
            cs.constrain(&[], &[(1, input)], &[]);
            cs.constrain(&[(1, one())], &[(1, one())], &[(1, one())]);
            Ok(())
        }));
    }

    #[test]
    fn inputs_between_auxiliary_variables_and_inputs_never_used() {
        check(Made(|cs| {
            for i in 1..20 {
                let (x, input, y) = (cs.aux(), cs.input(), cs.aux());
                cs.input();
                cs.constrain(&[(i, x), (-1, input)], &[(1, y), (i << 40, one())], &[(1, x), (1, y)]);
            }
            Ok(())
        }));
    }

    #[test]
    fn coefficients_that_are_zero_or_cancel() {
        check(Made(|cs| {
            let (x, y, z, input) = (cs.aux(), cs.aux(), cs.aux(), cs.input());
            cs.constrain(&[(0, x), (1, y)], &[(2, z), (-2, z), (1, y)], &[(1, x), (1, z), (0, input)]);
            cs.constrain(&[(1, y), (1, y)], &[(0, one())], &[(3, z)]);
            Ok(())
        }));
    }

    #[test]
    fn domains_exactly_full_and_one_too_many() {
        fn chain(cs: &mut dyn Rows, constraints: usize) {
            let mut last = cs.input();
            for _ in 0..constraints - 2 {
                let next = cs.aux();
                cs.constrain(&[(1, last), (1, one())], &[(-1, last)], &[(1, next)]);
                last = next;
            }
        }
        // With the constraints of the two inputs.
        check(Made(|cs| {
            chain(cs, 64);
            Ok(())
        }));
        check(Made(|cs| {
            chain(cs, 65);
            Ok(())
        }));
    }

    #[test]
    fn a_domain_of_several_chunks_and_shares() {
        check_with(
            Made(|cs| {
                let mut last = cs.input();
                for i in 0..2100 {
                    let next = cs.aux();
                    cs.constrain(&[(1, last), (i, one())], &[(1, last), (-1, one())], &[(1, next)]);
                    last = next;
                }
                Ok(())
            }),
            0..1,
        );
    }

    #[test]
    fn the_smallest_circuit() {
        check(Made(|_| Ok(())));
    }

    #[test]
    fn unconstrained_variables_are_refused() {
        check(Made(|cs| {
            let (x, _) = (cs.aux(), cs.aux());
            cs.constrain(&[(1, x)], &[(1, x)], &[(1, one())]);
            Ok(())
        }));
    }

    #[test]
    fn failing_circuits_are_refused() {
        let failing = Made(|_| Err(SynthesisError::AssignmentMissing));
        let (g1, g2, waste) = setup(0);
        assert!(format!("{:#}", ours(failing, Setup::new(g1, g2, waste)).unwrap_err()).contains("recorded"));
    }

    #[test]
    fn secrets_that_divide_are_not_zero() {
        let circuit = Made(|_| Ok(()));
        for zero in [2, 3] {
            let (g1, g2, mut waste) = setup(0);
            waste[zero] = Scalar::ZERO;
            let expected = bellpersons(circuit, (g1, g2, waste)).unwrap_err();
            assert_eq!(ours(circuit, Setup::new(g1, g2, waste)).unwrap_err().to_string(), expected.to_string());
        }
        let (_, g2, waste) = setup(0);
        assert!(ours(circuit, Setup::new(G1Projective::identity(), g2, waste)).is_err());
    }

    #[test]
    fn a_seed_makes_the_same_files_twice() {
        let circuit = Made(|cs| {
            let x = cs.aux();
            cs.constrain(&[(1, x)], &[(1, x)], &[(1, one())]);
            Ok(())
        });
        let made = |seed| ours(circuit, Setup::draw(Seed::Deterministic([seed; 32]))).unwrap();
        assert!(made(1) == made(1));
        assert!(made(1) != made(2));
    }

    #[test]
    fn stages_come_in_the_order_of_the_file() {
        let mut stages: Vec<(String, u64, u64)> = Vec::new();
        let circuit = Made(|cs| {
            let x = cs.aux();
            cs.constrain(&[(1, x)], &[(1, x)], &[(1, one())]);
            Ok(())
        });
        let (g1, g2, waste) = setup(0);
        let mut progress = |stage: &str, done: u64, total: u64| stages.push((stage.to_owned(), done, total));
        write_keys(circuit, 2, Setup::new(g1, g2, waste), &mut Vec::new(), &mut Vec::new(), &mut progress).unwrap();
        let mut names: Vec<&str> = stages.iter().map(|(stage, ..)| stage.as_str()).collect();
        names.dedup();
        assert_eq!(names, ["record", "evaluate", "h", "l", "a", "b_g1", "b_g2"]);
        for pair in stages.windows(2).filter(|pair| pair[0].0 != pair[1].0) {
            assert_eq!(pair[0].1, pair[0].2, "{} ends when all is done", pair[0].0);
        }
        assert_eq!(stages[stages.len() - 1], ("b_g2".into(), 1, 1));
    }
}
