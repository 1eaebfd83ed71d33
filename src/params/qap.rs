//! A circuit's polynomials at tau: what the setup's points are multiples by.

use bellperson::SynthesisError;
use blstrs::Scalar;
use ff::{BatchInverter, Field, PrimeField};
use rayon::prelude::*;
use sealbench_kernels::wipe::overwrite;

use crate::params::r1cs::R1cs;
use crate::params::setup::{Secrets, Setup};

/// Lagrange polynomials that share an inversion.
const CHUNK: usize = 1024;

/// The powers of a root of unity, as many as there are constraints, rounded up to a power of two.
#[derive(Clone, Copy)]
pub struct Domain {
    /// Its size m.
    pub size: usize,
    root: Scalar,
}

impl Domain {
    /// The domain for so many constraints.
    pub fn new(constraints: usize) -> Result<Domain, SynthesisError> {
        let size = constraints.next_power_of_two();
        if size.ilog2() >= Scalar::S {
            return Err(SynthesisError::PolynomialDegreeTooLarge);
        }
        let root = (size.ilog2()..Scalar::S).fold(Scalar::ROOT_OF_UNITY, |root, _| root.square());
        Ok(Domain { size, root })
    }

    /// t(tau) = tau^m - 1.
    pub fn vanishing(&self, tau: &Scalar) -> Scalar {
        tau.pow_vartime([self.size as u64]) - Scalar::ONE
    }

    /// The Lagrange polynomials at tau: L_j = (tau^m - 1)/m * w^j/(tau - w^j), so one inversion a chunk and no transform.
    ///
    /// For tau in the domain, which the closed form excludes, L_j is one at tau's place and else zero.
    pub fn lagrange(&self, tau: &Scalar) -> Result<Secrets, SynthesisError> {
        let size = Scalar::from(self.size as u64);
        let inverse: Option<Scalar> = size.invert().into();
        let scale = self.vanishing(tau) * inverse.ok_or(SynthesisError::DivisionByZero)?;
        let mut values = Secrets::zeros(self.size);
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let first = self.root.pow_vartime([(chunk * CHUNK) as u64]);
            let mut power = first;
            for value in values.iter_mut() {
                *value = tau - power;
                power *= self.root;
            }
            let mut scratch = vec![Scalar::ZERO; values.len()];
            BatchInverter::invert_with_external_scratch(&mut *values, &mut scratch);
            overwrite(&mut scratch, Scalar::ZERO);
            let mut power = first;
            for value in values {
                // Inversion leaves zero as it is.
                *value = if *value == Scalar::ZERO { Scalar::ONE } else { scale * power * *value };
                power *= self.root;
            }
        });
        Ok(values)
    }
}

/// Steps of [`Evaluations::new`]: the Lagrange polynomials, and the sums of three matrices.
pub const EVALUATE_STEPS: u64 = 4;

/// What the points of each section are multiples of the generators by, all variables; inputs come first.
pub struct Evaluations {
    /// u_i(tau).
    pub a: Secrets,
    /// v_i(tau).
    pub b: Secrets,
    /// (beta u_i(tau) + alpha v_i(tau) + w_i(tau)) / gamma for inputs, / delta for auxiliary variables.
    pub ext: Secrets,
}

impl Evaluations {
    /// Evaluates a circuit's polynomials; says after each of [`EVALUATE_STEPS`] how many are done.
    pub fn new(
        circuit: &R1cs,
        domain: &Domain,
        setup: &Setup,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Evaluations, SynthesisError> {
        let [alpha, beta, gamma, delta, tau] = setup.waste();
        let lagrange = domain.lagrange(tau)?;
        progress(1);
        let [mut a, mut b, mut ext] = [(); 3].map(|()| Secrets::zeros(circuit.variables()));
        let matrices = [(&circuit.a, &mut a), (&circuit.b, &mut b), (&circuit.c, &mut ext)];
        for (step, (matrix, sums)) in (2..).zip(matrices) {
            matrix.add_column_sums(&circuit.coefficients, &lagrange, sums);
            progress(step);
        }
        let (inputs, aux) = ext.split_at_mut(circuit.inputs);
        for (ext, first, divisor) in [(inputs, 0, inverse(gamma)?), (aux, circuit.inputs, inverse(delta)?)] {
            ext.par_iter_mut().zip(&a[first..]).zip(&b[first..]).for_each(|((ext, a), b)| {
                *ext = (beta * a + alpha * b + *ext) * divisor;
            });
        }
        Ok(Evaluations { a, b, ext })
    }
}

/// The inverse of a secret that divides.
pub fn inverse(scalar: &Scalar) -> Result<Scalar, SynthesisError> {
    Option::from(scalar.invert()).ok_or(SynthesisError::UnexpectedIdentity)
}
