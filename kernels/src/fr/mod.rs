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
/// An operand that is not canonical is an error, as it is for the reference; the elements before it are written.
/// Two additions and two subtractions with borrow on four words are faster than memory brings the operands.
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
