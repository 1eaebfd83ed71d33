//! The base field and G1, by blst.

use blst::{
    BLST_ERROR, blst_fp, blst_fp_add, blst_fp_inverse, blst_fp_mul, blst_fp_sqr, blst_fp_sub, blst_p1_affine,
    blst_p1_affine_serialize, blst_p1_deserialize,
};

use super::batch::Affine;
use super::field::Field;

/// An element of the base field, in blst's Montgomery form, reduced.
#[derive(Clone, Copy, PartialEq)]
#[repr(transparent)]
pub struct Fp(pub(super) blst_fp);

/// 2^384 modulo p, which is one in Montgomery form.
const ONE: [u64; 6] = [
    0x7609_0000_0002_fffd,
    0xebf4_000b_c40c_0002,
    0x5f48_9857_53c7_58ba,
    0x77ce_5853_7052_5745,
    0x5c07_1a97_a256_ec6d,
    0x15f6_5ec3_fa80_e493,
];

impl Field for Fp {
    const POINT_BYTES: usize = 96;
    const ZERO: Fp = Fp(blst_fp { l: [0; 6] });
    const ONE: Fp = Fp(blst_fp { l: ONE });

    #[inline]
    fn add(out: &mut Fp, a: &Fp, b: &Fp) {
        // SAFETY: all pointers are to elements of the field, alive for the call.
        unsafe { blst_fp_add(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn sub(out: &mut Fp, a: &Fp, b: &Fp) {
        // SAFETY: as for `add`.
        unsafe { blst_fp_sub(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn mul(out: &mut Fp, a: &Fp, b: &Fp) {
        // SAFETY: as for `add`.
        unsafe { blst_fp_mul(&mut out.0, &a.0, &b.0) };
    }

    #[inline]
    fn mul_assign(&mut self, other: &Fp) {
        let own = &raw mut self.0;
        // SAFETY: as for `add`; blst stores the result when it has read both operands, so it may replace one.
        unsafe { blst_fp_mul(own, own, &other.0) };
    }

    #[inline]
    fn square(out: &mut Fp, a: &Fp) {
        // SAFETY: as for `add`.
        unsafe { blst_fp_sqr(&mut out.0, &a.0) };
    }

    fn invert(&self) -> Fp {
        let mut inverse = Fp::ZERO;
        // SAFETY: as for `add`.
        unsafe { blst_fp_inverse(&mut inverse.0, &self.0) };
        inverse
    }

    fn decode(bytes: &[u8]) -> Option<Affine<Fp>> {
        let bytes: &[u8; Self::POINT_BYTES] = bytes.try_into().ok()?;
        let mut point = blst_p1_affine::default();
        // SAFETY: blst reads at most the 96 bytes of an uncompressed point and writes the point.
        let error = unsafe { blst_p1_deserialize(&mut point, bytes.as_ptr()) };
        (error == BLST_ERROR::BLST_SUCCESS).then_some(Affine { x: Fp(point.x), y: Fp(point.y) })
    }

    fn encode(point: &Affine<Fp>, out: &mut [u8]) {
        let out: &mut [u8; Self::POINT_BYTES] = out.try_into().expect("room for one point");
        let point = blst_p1_affine { x: point.x.0, y: point.y.0 };
        // SAFETY: blst reads the point and writes exactly 96 bytes.
        unsafe { blst_p1_affine_serialize(out.as_mut_ptr(), &point) };
    }
}
