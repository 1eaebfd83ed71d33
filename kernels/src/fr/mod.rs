//! The scalar field of BLS12-381: integers modulo p, kept as 32 little-endian bytes below p (canonical).

pub(crate) mod x86_ifma;

/// p, little-endian words.
pub const MODULUS: [u64; 4] =
    [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];

/// Bytes of an element.
pub const BYTES: usize = 32;

/// One of the operands of [`add_many`] is not below p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInField {
    /// Which element, from 0.
    pub index: usize,
}

/// `out[i] = a[i] + b[i]` mod p, element by element: a replica is the last layer's labels added to the data.
///
/// An operand that is not canonical is an error, as it is for the reference; the elements before it are written. Not
/// vectorised: chains of additions with carry are as fast as memory.
///
/// # Panics
/// If the three lengths differ or are no whole number of elements.
pub fn add_many(a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), NotInField> {
    assert!(a.len() == b.len() && a.len() == out.len(), "operands of one length");
    for (index, ((a, b), out)) in elements(a).iter().zip(elements(b)).zip(elements_mut(out)).enumerate() {
        let (a, b) = (words(a), words(b));
        if !(is_canonical(&a) && is_canonical(&b)) {
            return Err(NotInField { index });
        }
        *out = bytes(&sum(&a, &b));
    }
    Ok(())
}

/// Bytes as elements; a part of one is a mistake of the caller's.
pub(crate) fn elements(bytes: &[u8]) -> &[[u8; BYTES]] {
    let (elements, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "elements of {BYTES} bytes");
    elements
}

/// As [`elements`], to be written.
pub(crate) fn elements_mut(bytes: &mut [u8]) -> &mut [[u8; BYTES]] {
    let (elements, rest) = bytes.as_chunks_mut();
    assert!(rest.is_empty(), "elements of {BYTES} bytes");
    elements
}

/// The words of an element's bytes.
#[inline(always)]
pub(crate) fn words(bytes: &[u8; BYTES]) -> [u64; 4] {
    let words = bytes.as_chunks::<8>().0;
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

/// The bytes of an element's words.
#[inline(always)]
pub(crate) fn bytes(words: &[u64; 4]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    bytes
}

/// Whether the number is below p.
#[inline(always)]
pub(crate) fn is_canonical(a: &[u64; 4]) -> bool {
    minus_modulus(a).1
}

/// `a - p` if `a >= p`, else `a`.
#[inline(always)]
pub(crate) fn subtract_modulus_once(a: &[u64; 4]) -> [u64; 4] {
    let (less, borrow) = minus_modulus(a);
    if borrow { *a } else { less }
}

/// The sum of two canonical elements, canonical: below 2p < 2^256 before the subtraction.
#[inline(always)]
pub(crate) fn sum(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let mut carry = false;
    subtract_modulus_once(&std::array::from_fn(|i| {
        let word;
        (word, carry) = a[i].carrying_add(b[i], carry);
        word
    }))
}

#[inline(always)]
fn minus_modulus(a: &[u64; 4]) -> ([u64; 4], bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|i| {
        let word;
        (word, borrow) = a[i].borrowing_sub(MODULUS[i], borrow);
        word
    });
    (difference, borrow)
}

#[cfg(test)]
mod tests {
    use blstrs::Scalar;
    use ff::{Field, PrimeField};

    use super::*;

    #[test]
    fn the_modulus_is_one_more_than_the_greatest_element() {
        let mut greatest = MODULUS;
        greatest[0] -= 1;
        assert_eq!(bytes(&greatest), (-Scalar::ONE).to_repr());
    }

    #[test]
    fn sums_at_the_edges_are_those_of_blstrs() {
        let edges = [
            Scalar::ZERO,
            Scalar::ONE,
            -Scalar::ONE,
            -Scalar::from(2),
            Scalar::from(u64::MAX),
            Scalar::from(2).invert().unwrap(),
            Scalar::from(2).pow_vartime([192]),
            Scalar::from(2).pow_vartime([254]),
            Scalar::from(7).invert().unwrap(),
        ];
        let pairs: Vec<_> = edges.into_iter().flat_map(|a| edges.map(|b| (a, b))).collect();
        let bytes = |element: &dyn Fn(&(Scalar, Scalar)) -> Scalar| {
            pairs.iter().flat_map(|pair| element(pair).to_repr()).collect::<Vec<u8>>()
        };
        let (a, b) = (bytes(&|(a, _)| *a), bytes(&|(_, b)| *b));
        let mut out = vec![0xaa; a.len()];
        add_many(&a, &b, &mut out).unwrap();
        assert_eq!(out, bytes(&|(a, b)| a + b));
        add_many(&[], &[], &mut []).unwrap();
    }

    #[test]
    fn an_operand_above_p_is_named() {
        let mut p = (-Scalar::ONE).to_repr();
        p[0] += 1;
        let power_255 = std::array::from_fn(|i| if i == 31 { 0x80 } else { 0 });
        for number in [p, power_255, [0xff; BYTES]] {
            for index in 0..3 {
                let fine = [1; 3 * BYTES];
                let mut foreign = fine;
                foreign[index * BYTES..][..BYTES].copy_from_slice(&number);
                let mut out = [0; 3 * BYTES];
                assert_eq!(add_many(&foreign, &fine, &mut out), Err(NotInField { index }));
                assert_eq!(add_many(&fine, &foreign, &mut out), Err(NotInField { index }));
                assert!(out[..index * BYTES].iter().all(|byte| *byte == 2), "the sums before it are there");
            }
        }
    }

    #[test]
    #[should_panic(expected = "one length")]
    fn operands_of_two_lengths_are_a_mistake() {
        let _ = add_many(&[0; 32], &[0; 64], &mut [0; 32]);
    }

    #[test]
    #[should_panic(expected = "elements of 32 bytes")]
    fn part_of_an_element_is_a_mistake() {
        let _ = add_many(&[0; 33], &[0; 33], &mut [0; 33]);
    }
}
