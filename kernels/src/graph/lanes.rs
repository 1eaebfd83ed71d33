//! The vector operations that the graph is made with: its algorithms are written once, over these.

/// An instruction set's vectors: words of 32 bits, one in each lane, and doubles, half as many to a vector.
///
/// # Safety
/// Every function may only be called where the instruction set is enabled, and with addresses that are valid for all it touches; no
/// alignment is needed.
#[allow(clippy::missing_safety_doc, reason = "said once, above")]
pub trait Lanes {
    /// Words of a vector: 8 or 16.
    const COUNT: usize;
    /// A vector of words.
    type Words: Copy;
    /// A vector of doubles. Which of the two that make one of words has which lanes is up to `interleave`.
    type Doubles: Copy;

    /// The same word in all lanes.
    unsafe fn words(word: u32) -> Self::Words;
    /// Words that count up from the first.
    unsafe fn counting(first: u32) -> Self::Words;
    /// a + b
    unsafe fn add(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a and b
    unsafe fn and(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a or b
    unsafe fn or(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a xor b
    unsafe fn xor(a: Self::Words, b: Self::Words) -> Self::Words;
    /// The low halves of a b.
    unsafe fn multiply(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a rotated left.
    unsafe fn rotate<const BITS: u32>(a: Self::Words) -> Self::Words;
    /// a 2^bits
    unsafe fn shift_left(a: Self::Words, bits: u32) -> Self::Words;
    /// a / 2^bits, rounded down.
    unsafe fn shift_right(a: Self::Words, bits: u32) -> Self::Words;
    /// a / 2^bits, rounded down.
    unsafe fn shift_right_each(a: Self::Words, bits: Self::Words) -> Self::Words;
    /// The scalar product of the four bytes of each word of a, and those of b, which are at most 64.
    unsafe fn byte_product(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a b / 2^16, rounded down, for a and b below 2^16.
    unsafe fn high_product(a: Self::Words, b: Self::Words) -> Self::Words;
    /// a where it is not equal to b; a - 1 where it is.
    unsafe fn less_one_where_equal(a: Self::Words, b: Self::Words) -> Self::Words;

    /// Doubles from their low and high words.
    unsafe fn interleave(low: Self::Words, high: Self::Words) -> [Self::Doubles; 2];
    /// The low words of doubles: the inverse of `interleave`.
    unsafe fn low_words(halves: [Self::Doubles; 2]) -> Self::Words;
    /// The same double in all lanes.
    unsafe fn doubles(double: f64) -> Self::Doubles;
    /// a + b
    unsafe fn plus(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// a - b
    unsafe fn minus(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// a b
    unsafe fn times(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// a / b
    unsafe fn over(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// a b + c, rounded once.
    unsafe fn times_plus(a: Self::Doubles, b: Self::Doubles, c: Self::Doubles) -> Self::Doubles;
    /// c - a b, rounded once.
    unsafe fn times_from(a: Self::Doubles, b: Self::Doubles, c: Self::Doubles) -> Self::Doubles;
    /// Rounded down.
    unsafe fn floor(a: Self::Doubles) -> Self::Doubles;
    /// The greater.
    unsafe fn max(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `same` where a equals b, else `other`.
    unsafe fn where_equal(
        a: Self::Doubles,
        b: Self::Doubles,
        same: Self::Doubles,
        other: Self::Doubles,
    ) -> Self::Doubles;
    /// a - b where that is not negative, else a.
    unsafe fn minus_if_not_negative(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;

    /// The lanes, the first one in the lowest bit, where a is not below b.
    unsafe fn not_below(a: Self::Words, b: Self::Words) -> u32;
    /// The words of these lanes, moved together from lane 0 on.
    unsafe fn compress(lanes: u32, words: Self::Words) -> Self::Words;
    /// Words from memory.
    unsafe fn load(from: *const u32) -> Self::Words;
    /// Words to memory.
    unsafe fn store(to: *mut u32, words: Self::Words);
    /// Words from anywhere in memory for these lanes at least: `index` counts bytes.
    unsafe fn gather_bytes(from: *const u8, lanes: u32, index: Self::Words) -> Self::Words;
    /// These lanes' words to anywhere in memory: `index`, of which there are as many as lanes, counts words.
    unsafe fn scatter(to: *mut u32, lanes: u32, index: *const u32, words: Self::Words);
}
