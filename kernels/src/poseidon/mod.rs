//! Poseidon over the scalar field of BLS12-381, as PoRep trees use it: neptune's standard strength, the Merkle tree's domain
//! tag, one digest per preimage of `arity` elements. Elements are 32 little-endian bytes below p.
//!
//! Only dispatch lives here.

mod plan;
mod portable;
#[cfg(test)]
mod testing;
mod x86_ifma;

use std::ops::Range;
use std::sync::LazyLock;

use crate::backend::Implementation;
use crate::cpu::Features;
use crate::fr;

/// Elements of a preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// A column of 2 layers; the root of two sub-trees; comm_r.
    Two,
    /// Four sub-trees.
    Four,
    /// A node of tree_c and tree_r.
    Eight,
    /// A column of 11 layers.
    Eleven,
}

impl Arity {
    /// Every arity of the PoRep trees.
    pub const ALL: [Arity; 4] = [Arity::Two, Arity::Four, Arity::Eight, Arity::Eleven];

    /// The arity for that many elements, if a PoRep tree uses it.
    pub fn new(elements: usize) -> Option<Arity> {
        Arity::ALL.into_iter().find(|arity| arity.elements() == elements)
    }

    /// Elements of a preimage.
    pub fn elements(self) -> usize {
        match self {
            Arity::Two => 2,
            Arity::Four => 4,
            Arity::Eight => 8,
            Arity::Eleven => 11,
        }
    }
}

/// An implementation; the fastest is the first.
pub type Backend = crate::backend::Backend<Kind>;

/// The implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No instructions beyond the baseline.
    Portable,
    /// AVX-512 IFMA, a hash in each lane.
    Ifma,
}

impl Implementation for Kind {
    const ALL: &'static [Kind] = &[Kind::Ifma, Kind::Portable];

    fn name(self) -> &'static str {
        match self {
            Kind::Portable => "portable",
            Kind::Ifma => "avx512-ifma",
        }
    }

    fn runs_on(self, features: &Features) -> bool {
        match self {
            Kind::Portable => true,
            Kind::Ifma => features.avx512_ifma(),
        }
    }
}

/// An element of a preimage is not below p; the reference fails on it too (`Fr::from_repr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInField {
    /// Which preimage, from 0.
    pub preimage: usize,
    /// Which of its elements, from 0.
    pub element: usize,
}

/// Hashes preimages that lie one after the other, as the nodes of a tree's level do: `digests[i]` of the `arity` elements
/// number `i * arity` on.
///
/// On an error the digests are unspecified.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn hash_rows(backend: Backend, arity: Arity, rows: &[u8], digests: &mut [u8]) -> Result<(), NotInField> {
    let (elements, rows, digests) = (arity.elements(), fr::elements(rows), fr::elements_mut(digests));
    assert_eq!(rows.len(), digests.len() * elements, "one digest for each preimage of {elements}");
    let columns: Vec<_> = (0..elements).map(|element| rows.get(element..).unwrap_or_default()).collect();
    hash(backend, arity, &Preimages { columns: &columns, stride: elements }, digests)
}

/// Hashes preimages that lie across slices, as the nodes of the layers do: `digests[i]` of `columns[0][i]`, `columns[1][i]`
/// and so on.
///
/// On an error the digests are unspecified.
///
/// # Panics
/// If there are not `arity` columns of one element for each digest.
pub fn hash_columns(backend: Backend, arity: Arity, columns: &[&[u8]], digests: &mut [u8]) -> Result<(), NotInField> {
    assert_eq!(columns.len(), arity.elements(), "one column for each element of a preimage");
    assert!(columns.iter().all(|column| column.len() == digests.len()), "one element of each column for each digest");
    let columns: Vec<_> = columns.iter().map(|column| fr::elements(column)).collect();
    hash(backend, arity, &Preimages { columns: &columns, stride: 1 }, fr::elements_mut(digests))
}

/// Element `j` of preimage `i` is `columns[j][i * stride]`, for every `i` that has a digest.
struct Preimages<'a> {
    columns: &'a [&'a [[u8; fr::BYTES]]],
    stride: usize,
}

impl Preimages<'_> {
    /// The words of an element.
    #[inline(always)]
    fn words(&self, preimage: usize, element: usize) -> [u64; 4] {
        fr::words(&self.columns[element][preimage * self.stride])
    }

    /// The first element that is not below p among preimages of which one has such an element.
    #[cold]
    fn find_foreign(&self, preimages: Range<usize>) -> NotInField {
        let elements = 0..self.columns.len();
        preimages
            .flat_map(|preimage| elements.clone().map(move |element| NotInField { preimage, element }))
            .find(|at| !fr::is_canonical(&self.words(at.preimage, at.element)))
            .expect("called for preimages of which one has an element above p")
    }
}

/// Multiplications of one limb by another (52 bits with IFMA, else 64) that a hash takes, counting no more than the
/// arithmetic of [`plan`] needs. With the rate of [`multiply`] this is the least time of a hash.
pub fn multiplications(backend: Backend, arity: Arity) -> u64 {
    match backend.kind() {
        Kind::Portable => PORTABLE[arity as usize].multiplications,
        Kind::Ifma => IFMA[arity as usize].multiplications,
    }
}

/// Does `n` such multiplications or a few more that do not wait for each other, and nothing else: what a core can do.
/// Returns how many it did.
pub fn multiply(backend: Backend, n: u64) -> u64 {
    match backend.kind() {
        Kind::Portable => portable::multiply_words(n),
        // SAFETY: `Backend` exists only for a CPU with these features (`Kind::runs_on`).
        Kind::Ifma => unsafe { fr::x86_ifma::multiply(n) },
    }
}

/// A kernel's constants for every arity, derived when first used.
type ByArity<C> = LazyLock<[C; Arity::ALL.len()]>;

static PORTABLE: ByArity<portable::Constants> = ByArity::new(|| Arity::ALL.map(portable::Constants::new));
static IFMA: ByArity<x86_ifma::Constants> = ByArity::new(|| Arity::ALL.map(x86_ifma::Constants::new));

fn hash(
    backend: Backend,
    arity: Arity,
    preimages: &Preimages,
    digests: &mut [[u8; fr::BYTES]],
) -> Result<(), NotInField> {
    match backend.kind() {
        Kind::Portable => {
            let constants = &PORTABLE[arity as usize];
            match arity {
                Arity::Two => portable::hash::<3>(constants, preimages, digests),
                Arity::Four => portable::hash::<5>(constants, preimages, digests),
                Arity::Eight => portable::hash::<9>(constants, preimages, digests),
                Arity::Eleven => portable::hash::<12>(constants, preimages, digests),
            }
        }
        Kind::Ifma => {
            let constants = &IFMA[arity as usize];
            // SAFETY: as in `multiply`.
            unsafe {
                match arity {
                    Arity::Two => x86_ifma::hash::<3>(constants, preimages, digests),
                    Arity::Four => x86_ifma::hash::<5>(constants, preimages, digests),
                    Arity::Eight => x86_ifma::hash::<9>(constants, preimages, digests),
                    Arity::Eleven => x86_ifma::hash::<12>(constants, preimages, digests),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 full rounds of 3 S-boxes without the tag's, 55 partial rounds; 62 whole products with the matrix and a row.
    #[test]
    fn the_multiplications_of_a_hash_are_counted() {
        let portable = Backend::new("portable", &Features::baseline()).unwrap();
        let (s_box, constant, row) = (26 + 26 + 32, 32, 3 * 4 + 4);
        let expected = (8 * 3 - 1 + 55) * s_box + (55 + 1) * constant + (62 * 3 + 1) * row;
        assert_eq!(multiplications(portable, Arity::Two), expected);
        for backend in Backend::supported(&Features::detect()) {
            let counts = Arity::ALL.map(|arity| multiplications(backend, arity));
            assert!(counts.is_sorted_by(|few, more| few < more), "{backend:?}: {counts:?}");
            for n in [0, 1, 1000] {
                let done = multiply(backend, n);
                assert!((n..n + 256).contains(&done), "{backend:?}: {done} of {n}");
            }
        }
    }

    #[test]
    fn every_backend_is_right_or_absent_by_name() {
        crate::backend::check_all("poseidon", testing::check);
    }
}
