//! Affine additions in batches that share one inversion.

use super::field::Field;

/// A point in affine coordinates. Infinity is (0, 0), which is on neither curve. Aligned so that a point of G1 lies in two
/// cache lines, never in three.
#[derive(Clone, Copy, PartialEq)]
#[repr(align(32))]
pub struct Affine<F> {
    pub(super) x: F,
    pub(super) y: F,
}

impl<F: Field> Affine<F> {
    pub(super) const INFINITY: Affine<F> = Affine { x: F::ZERO, y: F::ZERO };

    pub(super) fn is_infinity(&self) -> bool {
        *self == Affine::INFINITY
    }

    pub(super) fn negated(&self) -> Affine<F> {
        Affine { x: self.x, y: F::ZERO.sub(&self.y) }
    }
}

/// An addition that waits for the inverse of its slope's denominator.
pub(super) struct Pending<F> {
    at: usize,
    rise: F,
    run: F,
    /// x of the addend.
    x: F,
    /// The runs of all earlier additions, multiplied.
    before: F,
}

/// Adds `addend(i)` to `sums[i]`, for all i. `pending` is scratch.
///
/// The slope of the line through both points is rise / run. Its third point of intersection gives the sum:
/// x3 = slope^2 - x1 - x2, y3 = slope * (x1 - x3) - y1. All runs are inverted together: their product is inverted, then each
/// inverse is the product of the runs before it times the inverse of the product up to it.
pub(super) fn add_each<F: Field>(
    sums: &mut [Affine<F>],
    addend: impl Fn(usize) -> Affine<F>,
    pending: &mut Vec<Pending<F>>,
) {
    pending.clear();
    let mut product = F::ONE;
    for (at, sum) in sums.iter_mut().enumerate() {
        let addend = addend(at);
        if let Some((rise, run)) = slope(sum, &addend) {
            pending.push(Pending { at, rise, run, x: addend.x, before: product });
            product = product.mul(&run);
        }
    }
    let mut inverse = product.invert();
    for Pending { at, rise, run, x, before } in pending.iter().rev() {
        let sum = &mut sums[*at];
        let slope = rise.mul(&inverse.mul(before));
        inverse = inverse.mul(run);
        let x3 = slope.square().sub(&sum.x).sub(x);
        let y3 = slope.mul(&sum.x.sub(&x3)).sub(&sum.y);
        *sum = Affine { x: x3, y: y3 };
    }
}

/// Rise and run of the line through both points, the tangent if they are equal. `None`: there is no such line, and the sum is
/// already in place.
fn slope<F: Field>(sum: &mut Affine<F>, addend: &Affine<F>) -> Option<(F, F)> {
    if addend.is_infinity() {
        return None;
    }
    if sum.is_infinity() {
        *sum = *addend;
        return None;
    }
    let run = addend.x.sub(&sum.x);
    if run != F::ZERO {
        return Some((addend.y.sub(&sum.y), run));
    }
    let twice_y = sum.y.add(&addend.y);
    if twice_y == F::ZERO {
        *sum = Affine::INFINITY;
        return None;
    }
    let square = sum.x.square();
    Some((square.add(&square).add(&square), twice_y))
}
