//! The quadratic extension and G2, by blst.

use blst::{
    BLST_ERROR, blst_fp2, blst_fp2_add, blst_fp2_inverse, blst_fp2_mul, blst_fp2_sqr, blst_fp2_sub, blst_p2_affine,
    blst_p2_affine_serialize, blst_p2_deserialize,
};

use super::batch::Affine;
use super::field::Field;
use super::g1::Fp;

/// An element of the quadratic extension, in blst's Montgomery form, reduced.
#[derive(Clone, Copy, PartialEq)]
#[repr(transparent)]
pub struct Fp2(pub(super) blst_fp2);

impl Field for Fp2 {
    const POINT_BYTES: usize = 192;
    const ZERO: Fp2 = Fp2(blst_fp2 { fp: [Fp::ZERO.0; 2] });
    const ONE: Fp2 = Fp2(blst_fp2 { fp: [Fp::ONE.0, Fp::ZERO.0] });

    #[inline]
    fn add(out: &mut Fp2, a: &Fp2, b: &Fp2) {
        // SAFETY: all pointers are to elements of the field, alive for the call.
        unsafe { blst_fp2_add(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn sub(out: &mut Fp2, a: &Fp2, b: &Fp2) {
        // SAFETY: as for `add`.
        unsafe { blst_fp2_sub(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn mul(out: &mut Fp2, a: &Fp2, b: &Fp2) {
        // SAFETY: as for `add`.
        unsafe { blst_fp2_mul(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn mul_assign(&mut self, other: &Fp2) {
        let own = &raw mut self.0;
        // SAFETY: as for `add`; blst stores the result when it has read both operands, so it may replace one.
        unsafe { blst_fp2_mul(own, own, &other.0) };
    }

    #[inline]
    fn square(out: &mut Fp2, a: &Fp2) {
        // SAFETY: as for `add`.
        unsafe { blst_fp2_sqr(&mut out.0, &a.0) };
    }

    fn invert(&self) -> Fp2 {
        let mut inverse = Fp2::ZERO;
        // SAFETY: as for `add`.
        unsafe { blst_fp2_inverse(&mut inverse.0, &self.0) };
        inverse
    }

    fn decode(bytes: &[u8]) -> Option<Affine<Fp2>> {
        let bytes: &[u8; Self::POINT_BYTES] = bytes.try_into().ok()?;
        let mut point = blst_p2_affine::default();
        // SAFETY: blst reads at most the 192 bytes of an uncompressed point and writes the point.
        let error = unsafe { blst_p2_deserialize(&mut point, bytes.as_ptr()) };
        (error == BLST_ERROR::BLST_SUCCESS).then_some(Affine { x: Fp2(point.x), y: Fp2(point.y) })
    }

    fn encode(point: &Affine<Fp2>, out: &mut [u8]) {
        let out: &mut [u8; Self::POINT_BYTES] = out.try_into().expect("room for one point");
        let point = blst_p2_affine { x: point.x.0, y: point.y.0 };
        // SAFETY: blst reads the point and writes exactly 192 bytes.
        unsafe { blst_p2_affine_serialize(out.as_mut_ptr(), &point) };
    }
}
