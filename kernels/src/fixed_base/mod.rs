//! Many multiples of one point: fixed-base multiplication on BLS12-381's G1 and G2.
//!
//! A table holds d * 2^(c*j) * B for every window j of c bits and every d in 1 ..= 2^(c-1). A scalar is cut into signed digits,
//! one per window, so a multiple is the sum of one table entry (or its negative) for each window. Sums are affine: a batch of
//! scalars adds window by window, and the batch shares one inversion for each window (Montgomery's trick).
//!
//! What it must cost: an affine addition is 5 multiplications and 1 squaring (3 for its share of the inversion, 3 for slope, x
//! and y) and 6 subtractions. With c = 16 a multiple is 15 additions, so 90 multiplications. On Zen 3 at 3.4 GHz blst multiplies
//! in 39 ns in Fp and in 115 ns in Fp2 (squares in 84 ns), subtracts in 5 and 10 ns: 4.0 us for a point of G1, 10.8 us for one of G2.
//! Best measured on a shared machine: 5.1 and 12.6 us; blst's plain multiplication takes 100 and 191 us. A profile shows stalls
//! at the prefetches, so part of what is above the bound is access to the table (48 MB in small pages); with busy neighbours a
//! point of G1 took 6 to 9 us.
//!
//! Time depends on the scalars: use it where nobody else can measure it.

mod batch;
mod digits;
mod g1;
mod g2;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use batch::{Addend, Affine, Pending, add_each};
use digits::Recoding;

use crate::wipe::overwrite;

/// A coordinate field with its curve; sealed, since the formulas hold for curves y^2 = x^3 + b with blst's arithmetic.
pub trait Field: field::Field {}

impl<F: field::Field> Field for F {}

mod field {
    use super::batch::Affine;

    /// What affine addition needs of a field, and a curve over it for the encoding of points.
    pub trait Field: Copy + PartialEq + Send + Sync + 'static {
        /// Bytes of an uncompressed point.
        const POINT_BYTES: usize;
        const ZERO: Self;
        const ONE: Self;
        /// `out = a + b`
        fn add(out: &mut Self, a: &Self, b: &Self);
        /// `out = a - b`
        fn sub(out: &mut Self, a: &Self, b: &Self);
        /// `out = a * b`
        fn mul(out: &mut Self, a: &Self, b: &Self);
        fn mul_assign(&mut self, other: &Self);
        /// `out = a * a`
        fn square(out: &mut Self, a: &Self);
        /// The inverse; zero for zero.
        fn invert(&self) -> Self;
        /// A point on the curve from its uncompressed encoding.
        fn decode(bytes: &[u8]) -> Option<Affine<Self>>;
        /// Writes the uncompressed encoding, `POINT_BYTES` long.
        fn encode(point: &Affine<Self>, out: &mut [u8]);
    }
}

/// The base field, which G1 is over.
pub use g1::Fp;
/// Its quadratic extension, which G2 is over.
pub use g2::Fp2;

/// Multiples of a point of G1.
pub type G1Table = Table<Fp>;
/// Multiples of a point of G2.
pub type G2Table = Table<Fp2>;

/// Points that share an inversion: enough that it costs 2 % (2.8 us for 512 additions of 300 ns), few enough that the batch's
/// 180 KB of sums and pending additions stay in the second-level cache. 1024 was slower where it was measured (Zen 3).
const BATCH: usize = 512;

/// Points by which the fetching of table entries runs ahead: 8 additions hide a miss to memory.
const AHEAD: usize = 8;

/// The multiples d * 2^(c*j) * B of a point B.
pub struct Table<F: Field> {
    recoding: Recoding,
    /// By window, then by d from 1.
    entries: Vec<Affine<F>>,
}

impl<F: Field> Table<F> {
    /// Bytes of a point's uncompressed encoding: 96 in G1, 192 in G2.
    pub const POINT_BYTES: usize = F::POINT_BYTES;

    /// A table for about `points` multiples: its windows are as wide as pays off for so many.
    ///
    /// `base` is the uncompressed encoding of a point on the curve; `None` if it is not one.
    pub fn new(base: &[u8], points: u64) -> Option<Table<F>> {
        Table::with_window(base, best_window(points))
    }

    /// A table with windows of `bits`, 4 to 18.
    ///
    /// # Panics
    ///
    /// If `bits` is out of that range.
    pub fn with_window(base: &[u8], bits: u32) -> Option<Table<F>> {
        let recoding = Recoding::new(bits);
        let mut base = F::decode(base)?;
        let mut entries = Vec::with_capacity(recoding.windows() * recoding.half());
        let mut pending = Vec::with_capacity(recoding.half());
        for _ in 0..recoding.windows() {
            let window = entries.len();
            entries.push(base);
            // From 1 ..= n to 1 ..= 2n: add n times the base to each.
            while entries.len() - window < recoding.half() {
                let known = entries.len();
                let last = entries[known - 1];
                entries.extend_from_within(window..);
                add_each(&mut entries[known..], |_| Some(Addend::from(&last)), &mut pending);
            }
            let last = entries[entries.len() - 1];
            let mut doubled = [last];
            add_each(&mut doubled, |_| Some(Addend::from(&last)), &mut pending);
            [base] = doubled;
        }
        Some(Table { recoding, entries })
    }

    /// Bytes that a table for about `points` multiples takes.
    pub fn bytes(points: u64) -> u64 {
        let recoding = Recoding::new(best_window(points));
        (recoding.windows() * recoding.half() * size_of::<Affine<F>>()) as u64
    }

    /// Writes the uncompressed encodings of `scalars[i] * B`. Scalars are little-endian and below the group's order.
    ///
    /// # Panics
    ///
    /// If `out` has not [`Table::POINT_BYTES`] for each scalar, or a scalar is not below the order.
    pub fn multiply(&self, scalars: &[[u8; 32]], out: &mut [u8]) {
        assert_eq!(out.len(), scalars.len() * F::POINT_BYTES, "room for each point");
        let mut scratch = Scratch::default();
        for (scalars, out) in scalars.chunks(BATCH).zip(out.chunks_mut(BATCH * F::POINT_BYTES)) {
            self.sum(scalars, &mut scratch);
            for (sum, out) in scratch.sums.iter().zip(out.chunks_exact_mut(F::POINT_BYTES)) {
                F::encode(sum, out);
            }
        }
    }

    fn sum(&self, scalars: &[[u8; 32]], scratch: &mut Scratch<F>) {
        let Scratch { sums, pending, recoded } = scratch;
        recoded.clear();
        recoded.extend(scalars.iter().map(|scalar| self.recoding.recode(scalar)));
        sums.clear();
        sums.resize(scalars.len(), Affine::INFINITY);
        for (window, entries) in self.entries.chunks_exact(self.recoding.half()).enumerate() {
            let digit = |i: usize| self.recoding.digit(&recoded[i], window);
            let addend = |i: usize| {
                if i + AHEAD < recoded.len() {
                    fetch(entries, digit(i + AHEAD).unsigned_abs());
                }
                let digit = digit(i);
                let entry = entries.get((digit.unsigned_abs() as usize).wrapping_sub(1));
                entry.map(|point| Addend { point, negative: digit < 0 })
            };
            add_each(sums, addend, pending);
        }
    }
}

/// Buffers of a batch.
struct Scratch<F: Field> {
    sums: Vec<Affine<F>>,
    pending: Vec<Pending<F>>,
    recoded: Vec<digits::Recoded>,
}

impl<F: Field> Default for Scratch<F> {
    fn default() -> Self {
        Scratch { sums: Vec::new(), pending: Vec::new(), recoded: Vec::new() }
    }
}

impl<F: Field> Drop for Scratch<F> {
    /// The scalars may be secrets.
    fn drop(&mut self) {
        overwrite(&mut self.recoded, digits::Recoded::ZERO);
    }
}

/// Asks for a digit's table entry to be brought near.
fn fetch<F: Field>(entries: &[Affine<F>], digit: u32) {
    let Some(entry) = entries.get((digit as usize).wrapping_sub(1)) else { return };
    for line in (0..size_of::<Affine<F>>()).step_by(64) {
        let address = (entry as *const Affine<F>).cast::<i8>().wrapping_add(line);
        // SAFETY: prefetching reads nothing and faults nowhere; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
}

/// The window for so many multiples: table and multiples together need the fewest additions.
fn best_window(points: u64) -> u32 {
    let additions = |bits: &u32| Recoding::new(*bits).windows() as u64 * (points + (1 << (bits - 1)));
    (4..=16).min_by_key(additions).expect("the range is not empty")
}

#[cfg(test)]
mod tests;
