//! Scalars as signed digits.
//!
//! With the order r, a scalar k or its negative r - k is at most r/2, below 2^254. Adding 2^(c-1) in every window to it makes
//! plain digits of the signed ones: digit j of the sum, less 2^(c-1), is in -2^(c-1) ..= 2^(c-1) - 1, and no carry is left.

/// Limbs of a recoded scalar: windows of up to 18 bits cover up to 270 bits.
const LIMBS: usize = 5;

/// The order of G1 and G2, little-endian limbs.
const ORDER: [u64; 4] = [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];

/// How scalars are cut into windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recoding {
    bits: u32,
    windows: usize,
    /// 2^(c-1) in every window.
    offset: [u64; LIMBS],
}

/// A scalar's magnitude plus the offset, and whether the scalar is its negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recoded {
    limbs: [u64; LIMBS],
    negative: bool,
}

impl Recoded {
    pub(super) const ZERO: Recoded = Recoded { limbs: [0; LIMBS], negative: false };
}

impl Recoding {
    pub(super) fn new(bits: u32) -> Recoding {
        assert!((4..=18).contains(&bits), "windows have 4 to 18 bits");
        // 254 bits and a sign.
        let windows = 255usize.div_ceil(bits as usize);
        let mut offset = [0; LIMBS];
        for window in 1..=windows {
            let bit = window * bits as usize - 1;
            offset[bit / 64] |= 1 << (bit % 64);
        }
        Recoding { bits, windows, offset }
    }

    pub(super) fn windows(&self) -> usize {
        self.windows
    }

    /// The largest magnitude of a digit, 2^(c-1).
    pub(super) fn half(&self) -> usize {
        1 << (self.bits - 1)
    }

    pub(super) fn recode(&self, scalar: &[u8; 32]) -> Recoded {
        let scalar: [u64; 4] =
            std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|byte| scalar[8 * i + byte])));
        let (complement, above) = subtract(&ORDER, &scalar);
        assert!(!above && complement != [0; 4], "the scalar is below the order");
        let negative = scalar.iter().rev().gt(complement.iter().rev());
        let magnitude = if negative { complement } else { scalar };
        let mut limbs = self.offset;
        let mut carry = false;
        for (limb, addend) in limbs.iter_mut().zip(magnitude.into_iter().chain([0])) {
            (*limb, carry) = limb.carrying_add(addend, carry);
        }
        Recoded { limbs, negative }
    }

    /// The signed digit of a window.
    pub(super) fn digit(&self, scalar: &Recoded, window: usize) -> i32 {
        let from = window * self.bits as usize;
        let (limb, shift) = (from / 64, from % 64);
        let low = u128::from(scalar.limbs[limb]);
        let high = u128::from(scalar.limbs.get(limb + 1).copied().unwrap_or(0));
        let bits = ((low | high << 64) >> shift) as u32 & ((1 << self.bits) - 1);
        let digit = bits as i32 - (1 << (self.bits - 1));
        if scalar.negative { -digit } else { digit }
    }
}

fn subtract(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|i| {
        let (limb, out) = a[i].borrowing_sub(b[i], borrow);
        borrow = out;
        limb
    });
    (difference, borrow)
}
