//! The secrets of a Groth16 setup. Whoever knows them can forge proofs, so they are overwritten when they go.

use std::ops::{Deref, DerefMut};

use blstrs::{G1Projective, G2Projective, Scalar};
use ff::Field;
use group::Group;
use rand::rngs::OsRng;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sealbench_kernels::wipe::overwrite;

use crate::params::sidecar::SeedMode;

/// Where a setup's secrets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The operating system's random numbers.
    Os,
    /// ChaCha20's stream for this key: the same files every time, for tests only.
    Deterministic([u8; 32]),
}

impl Seed {
    /// How the marker names it.
    pub fn mode(&self) -> SeedMode {
        match self {
            Seed::Os => SeedMode::Os,
            Seed::Deterministic(_) => SeedMode::Deterministic,
        }
    }
}

/// The generators and the toxic waste, as bellperson's `generate_parameters` takes them.
pub struct Setup {
    /// Generator of G1.
    pub g1: G1Projective,
    /// Generator of G2.
    pub g2: G2Projective,
    waste: Secrets,
}

impl Setup {
    /// A setup from alpha, beta, gamma, delta, tau.
    pub fn new(g1: G1Projective, g2: G2Projective, waste: [Scalar; 5]) -> Setup {
        Setup { g1, g2, waste: Secrets(waste.to_vec()) }
    }

    /// Draws a setup.
    pub fn draw(seed: Seed) -> Setup {
        match seed {
            Seed::Os => Setup::random(&mut OsRng),
            Seed::Deterministic(key) => Setup::random(&mut ChaCha20Rng::from_seed(key)),
        }
    }

    /// alpha, beta, gamma, delta, tau.
    pub fn waste(&self) -> &[Scalar; 5] {
        self.waste.first_chunk().expect("every constructor puts five scalars there")
    }

    /// In the order in which bellperson draws.
    fn random(rng: &mut impl RngCore) -> Setup {
        let g1 = G1Projective::random(&mut *rng);
        let g2 = G2Projective::random(&mut *rng);
        Setup::new(g1, g2, std::array::from_fn(|_| Scalar::random(&mut *rng)))
    }
}

/// Scalars that are overwritten when they are dropped.
pub struct Secrets(Vec<Scalar>);

impl Secrets {
    /// So many zeros.
    pub fn zeros(count: usize) -> Secrets {
        Secrets(vec![Scalar::ZERO; count])
    }

    /// Removes the zeros; the others keep their order.
    pub fn remove_zeros(&mut self) {
        let mut kept = 0;
        for i in 0..self.0.len() {
            if self.0[i] != Scalar::ZERO {
                self.0[kept] = self.0[i];
                kept += 1;
            }
        }
        overwrite(&mut self.0[kept..], Scalar::ZERO);
        self.0.truncate(kept);
    }
}

impl Deref for Secrets {
    type Target = [Scalar];

    fn deref(&self) -> &[Scalar] {
        &self.0
    }
}

impl DerefMut for Secrets {
    fn deref_mut(&mut self) -> &mut [Scalar] {
        &mut self.0
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        overwrite(&mut self.0, Scalar::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_every_time_and_the_os_never() {
        let draw = |seed| {
            let setup = Setup::draw(seed);
            (setup.g1, setup.g2, setup.waste.to_vec())
        };
        let one = draw(Seed::Deterministic([1; 32]));
        assert_eq!(one, draw(Seed::Deterministic([1; 32])));
        assert_ne!(one, draw(Seed::Deterministic([2; 32])));
        assert_ne!(draw(Seed::Os), draw(Seed::Os));
        assert!(one.2.iter().all(|scalar| *scalar != Scalar::ZERO) && one.2.len() == 5);
    }

    #[test]
    fn zeros_go_and_the_rest_stays_in_order() {
        let mut secrets = Secrets([0, 3, 0, 0, 5, 7, 0].map(Scalar::from).to_vec());
        secrets.remove_zeros();
        assert_eq!(*secrets, [3, 5, 7].map(Scalar::from));
        secrets.remove_zeros();
        assert_eq!(secrets.len(), 3);
    }
}
