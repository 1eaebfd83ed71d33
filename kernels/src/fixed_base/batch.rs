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
        let mut negated = *self;
        F::sub(&mut negated.y, &F::ZERO, &self.y);
        negated
    }
}

/// A point to add: one at hand, or its negative.
#[derive(Clone, Copy)]
pub(super) struct Addend<'a, F> {
    pub(super) point: &'a Affine<F>,
    pub(super) negative: bool,
}

impl<'a, F> From<&'a Affine<F>> for Addend<'a, F> {
    fn from(point: &'a Affine<F>) -> Self {
        Addend { point, negative: false }
    }
}

/// An addition that waits for the inverse of its slope's denominator.
#[derive(Clone)]
pub(super) struct Pending<F> {
    at: usize,
    /// `rise` is the negative of the slope's.
    negative: bool,
    rise: F,
    run: F,
    /// x of the addend.
    x: F,
    /// The runs of the additions up to this one, multiplied.
    product: F,
}

impl<F: Field> Pending<F> {
    const NONE: Pending<F> =
        Pending { at: 0, negative: false, rise: F::ZERO, run: F::ZERO, x: F::ZERO, product: F::ZERO };
}

/// Adds `addend(i)` to `sums[i]`, for all i. `pending` is scratch.
///
/// The slope of the line through both points is rise / run. Its third point of intersection gives the sum:
/// x3 = slope^2 - x1 - x2, y3 = slope * (x1 - x3) - y1. All runs are inverted together: their product is inverted, then each
/// inverse is the product of the runs before it times the inverse of the product up to it.
///
/// What the code does beyond that:
/// 1. Results go where they stay. blst stores 8 bytes at a time, and a wider load of what has just been stored waits until the
///    stores are done; copies and comparisons of fresh results made the whole a third slower.
/// 2. The negative of a table entry is not formed: with its y, rise and slope are negated, and so is x1 - x3.
pub(super) fn add_each<'a, F: Field>(
    sums: &mut [Affine<F>],
    addend: impl Fn(usize) -> Option<Addend<'a, F>>,
    pending: &mut Vec<Pending<F>>,
) {
    pending.resize(sums.len() + 1, Pending::NONE);
    // The first is no addition: its product is one.
    pending[0].product = F::ONE;
    let mut last = 0;
    for (at, sum) in sums.iter_mut().enumerate() {
        let Some(addend) = addend(at) else { continue };
        let [.., before, slot] = &mut pending[..last + 2] else { unreachable!("the slice has two elements or more") };
        if begin(sum, addend, slot) {
            slot.at = at;
            F::mul(&mut slot.product, &before.product, &slot.run);
            last += 1;
        }
    }
    let mut inverse = pending[last].product.invert();
    for pair in pending[..=last].windows(2).rev() {
        let [before, slot] = pair else { unreachable!("windows of two") };
        finish(&mut sums[slot.at], slot, &before.product, &inverse);
        inverse.mul_assign(&slot.run);
    }
}

/// Notes rise and run of the line through both points, the tangent if they are equal. `false`: there is no such line, and the
/// sum is already in place.
fn begin<F: Field>(sum: &mut Affine<F>, Addend { point, negative }: Addend<'_, F>, slot: &mut Pending<F>) -> bool {
    if point.is_infinity() {
        return false;
    }
    if sum.is_infinity() {
        *sum = if negative { point.negated() } else { *point };
        return false;
    }
    slot.x = point.x;
    slot.negative = negative;
    if point.x == sum.x {
        return begin_doubling(sum, Addend { point, negative }, slot);
    }
    F::sub(&mut slot.run, &point.x, &sum.x);
    if negative {
        F::add(&mut slot.rise, &point.y, &sum.y);
    } else {
        F::sub(&mut slot.rise, &point.y, &sum.y);
    }
    true
}

/// The same for points of equal x: they are equal, or each other's negative.
#[cold]
fn begin_doubling<F: Field>(sum: &mut Affine<F>, addend: Addend<'_, F>, slot: &mut Pending<F>) -> bool {
    let y = if addend.negative { addend.point.negated().y } else { addend.point.y };
    F::add(&mut slot.run, &sum.y, &y);
    if slot.run == F::ZERO {
        *sum = Affine::INFINITY;
        return false;
    }
    slot.negative = false;
    let (mut square, mut twice) = (F::ZERO, F::ZERO);
    F::square(&mut square, &sum.x);
    F::add(&mut twice, &square, &square);
    F::add(&mut slot.rise, &square, &twice);
    true
}

/// Puts the sum in place, given the inverse of the product up to this addition.
fn finish<F: Field>(sum: &mut Affine<F>, slot: &Pending<F>, before: &F, inverse: &F) {
    let [mut slope, mut square, mut x, mut step, mut y] = [F::ZERO; 5];
    F::mul(&mut step, inverse, before);
    F::mul(&mut slope, &slot.rise, &step);
    F::square(&mut square, &slope);
    F::sub(&mut y, &square, &slot.x);
    F::sub(&mut x, &y, &sum.x);
    if slot.negative {
        F::sub(&mut step, &x, &sum.x);
    } else {
        F::sub(&mut step, &sum.x, &x);
    }
    F::mul(&mut square, &slope, &step);
    F::sub(&mut y, &square, &sum.y);
    sum.y = y;
    sum.x = x;
}
