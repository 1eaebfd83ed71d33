//! DRSample in vector lanes, one node per lane.
//!
//! The graph is a metagraph of degree two with five metanodes per node. Node v is metanode M = 5 v; each of its five parents takes
//! two 64-bit draws. The first picks a bucket b in 1 ..= n with n = ceil(log2 M), which holds the distances from 2^(b-1) to 2^b (cut
//! at M); the second a distance d in it; the parent is floor((M - d) / 5), or v - 1 where that is v itself.
//!
//! The definition takes n from a double: `(M as f64).log2().ceil()`. M is a multiple of 5, so never a power of two, and it is below
//! 2^34, so its logarithm is at least 2^-34 away from an integer, which is thousands of units in the last place of a double below
//! 64: no rounding can reach the integer, and n is the bit length of M.

use super::PARENTS;
use super::lanes::Lanes;

/// Metanodes of a node.
pub const METANODES: u64 = 5;

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Double rounds of ChaCha8.
const DOUBLE_ROUNDS: usize = 4;

/// What the generators of all nodes share.
///
/// A generator's key is the first 28 bytes of the graph's seed and the node's number; its nonce is zero. So of a block's 16 words
/// only word 11 differs from node to node, and three of four columns of the first round are the same for all.
pub struct Seed {
    key: [u32; 7],
    /// Columns 0 (of blocks 0 and 1), 1 and 2 after the first column round.
    columns: [[u32; 4]; 4],
}

impl Seed {
    /// The seed of a graph.
    pub fn new(seed: &[u8; 32]) -> Seed {
        let mut key = [0; 7];
        for (to, bytes) in key.iter_mut().zip(seed.as_chunks::<4>().0) {
            *to = u32::from_le_bytes(*bytes);
        }
        let column = |i: usize, counter| {
            let (a, b, c, d) = quarter_round(CONSTANTS[i], key[i], key[i + 4], counter);
            [a, b, c, d]
        };
        Seed { key, columns: [column(0, 0), column(0, 1), column(1, 0), column(2, 0)] }
    }

    /// The first 16 words that a node's generator gives out (block 0), or the next (block 1).
    pub fn block(&self, node: u32, block: u32) -> [u32; 16] {
        let mut before = [0; 16];
        before[..4].copy_from_slice(&CONSTANTS);
        before[4..11].copy_from_slice(&self.key);
        before[11] = node;
        before[12] = block;
        let mut x = before;
        let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
            (x[a], x[b], x[c], x[d]) = quarter_round(x[a], x[b], x[c], x[d]);
        };
        for _ in 0..DOUBLE_ROUNDS {
            for i in 0..4 {
                quarter(i, 4 + i, 8 + i, 12 + i);
            }
            for i in 0..4 {
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
            }
        }
        for (word, before) in x.iter_mut().zip(before) {
            *word = word.wrapping_add(before);
        }
        x
    }
}

fn quarter_round(a: u32, b: u32, c: u32, d: u32) -> (u32, u32, u32, u32) {
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(16);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(12);
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(8);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(7);
    (a, b, c, d)
}

/// The buckets of a run of nodes, and how to take a draw's remainder by their number n, exactly:
///
/// The draw is congruent to the sum t of its eight bytes times 256^i mod n, which is at most 255 (1 + 7 x 33) < 2^16 for n <= 34. With
/// c = ceil(2^32 / n) = (2^32 + e) / n, 0 <= e < n, and t = q n + r, the product c t is q e + c r modulo 2^32, with q e < 2^16. Let h be
/// that divided by 2^16, rounded up (c r + q e + 2^16 < 2^32, since c > 2^17). Then h n >= 2^16 r, and
/// h n < (q e n + 2^32 r + e r) / 2^16 + n < 2^16 r + 2 n + 1 < 2^16 (r + 1): the remainder is h n / 2^16, rounded down.
pub struct Buckets {
    /// n
    count: u32,
    /// The bytes 256^i mod n, in the two words of a draw.
    weights: [u32; 2],
    /// c
    reciprocal: u32,
}

impl Buckets {
    /// The buckets of a node that is not 0.
    pub fn of(node: u32) -> Buckets {
        let count = u64::BITS - (METANODES * u64::from(node)).leading_zeros();
        let mut power = 1;
        let weights = [0; 2].map(|_: u32| {
            u32::from_le_bytes([0; 4].map(|_: u8| {
                let weight = power as u8;
                power = power * 256 % count;
                weight
            }))
        });
        Buckets { count, weights, reciprocal: (1_u64 << 32).div_ceil(u64::from(count)) as u32 }
    }

    /// Their number.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The first node that has more.
    pub fn end(&self) -> u64 {
        (1 << self.count) / METANODES + 1
    }
}

/// Writes the base parents of nodes that share `buckets`, the first of which is at least 2.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
pub unsafe fn base_parents<L: Lanes>(seed: &Seed, buckets: &Buckets, first: u32, rows: &mut [[u32; PARENTS]]) {
    for (group, rows) in rows.chunks_mut(L::COUNT).enumerate() {
        let first = first + (group * L::COUNT) as u32;
        // SAFETY: by this function's contract.
        let columns = unsafe { others::<L>(seed, buckets, L::counting(first)) };
        let mut words = [[0; 16]; 5];
        for (to, column) in words.iter_mut().zip(columns) {
            // SAFETY: no vector has more than 16 words.
            unsafe { L::store(to.as_mut_ptr(), column) };
        }
        for (i, row) in rows.iter_mut().enumerate().take(16) {
            row[0] = first + i as u32 - 1;
            for (to, column) in row[1..].iter_mut().zip(&words) {
                *to = column[i];
            }
        }
    }
}

/// The five parents of each node beside its predecessor.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn others<L: Lanes>(seed: &Seed, buckets: &Buckets, node: L::Words) -> [L::Words; 5] {
    // SAFETY: by this function's contract.
    unsafe {
        let [low, high] = integers::<L>(node);
        let metanodes = [Metanode::<L>::new(low, buckets), Metanode::<L>::new(high, buckets)];
        let draws = draws::<L>(seed, node);
        let mut parents = [node; 5];
        for (parent, draws) in parents.iter_mut().zip(&draws) {
            *parent = other::<L>(buckets, node, &metanodes, draws);
        }
        parents
    }
}

/// A parent from two draws, each of two words, the low one first.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn other<L: Lanes>(
    buckets: &Buckets,
    node: L::Words,
    metanodes: &[Metanode<L>; 2],
    draws: &[L::Words; 4],
) -> L::Words {
    // SAFETY: by this function's contract.
    unsafe {
        let bucket = bucket::<L>(buckets, draws[0], draws[1]);
        // 2^bucket as a double: the exponent in the high word, a mantissa of zeros.
        let exponent = L::shift_left(L::add(bucket, L::words(1023)), 20);
        let power = L::interleave(L::words(0), exponent);
        let (low, high) = (integers::<L>(draws[2]), integers::<L>(draws[3]));
        let parents = [metanodes[0].parent(power[0], low[0], high[0]), metanodes[1].parent(power[1], low[1], high[1])];
        L::less_one_where_equal(L::low_words(parents), node)
    }
}

/// The bucket that a draw picks, counted from 0: its remainder by their number (see [`Buckets`]).
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn bucket<L: Lanes>(buckets: &Buckets, low: L::Words, high: L::Words) -> L::Words {
    // SAFETY: by this function's contract.
    unsafe {
        let [low_weights, high_weights] = buckets.weights;
        let t = L::add(L::byte_product(low, L::words(low_weights)), L::byte_product(high, L::words(high_weights)));
        let product = L::multiply(t, L::words(buckets.reciprocal));
        let h = L::shift_right(L::add(product, L::words(0xffff)), 16);
        L::high_product(h, L::words(buckets.count))
    }
}

/// Words as doubles: 2^52 + x has x in its low word.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn integers<L: Lanes>(words: L::Words) -> [L::Doubles; 2] {
    const HIGH_WORD: u32 = 0x4330_0000;
    // SAFETY: by this function's contract.
    unsafe {
        let [first, second] = L::interleave(words, L::words(HIGH_WORD));
        let excess = L::doubles((1_u64 << 52) as f64);
        [L::minus(first, excess), L::minus(second, excess)]
    }
}

/// What the five parents of a node share.
struct Metanode<L: Lanes> {
    /// M
    metanode: L::Doubles,
    /// The power of two that the last bucket, the one that M cuts, begins at if nothing is cut.
    last: L::Doubles,
    /// Where it does begin: M / 2, rounded down.
    half: L::Doubles,
    /// How many distances it has: M - M / 2 + 1.
    distances: L::Doubles,
}

impl<L: Lanes> Metanode<L> {
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn new(node: L::Doubles, buckets: &Buckets) -> Self {
        // SAFETY: by this function's contract.
        unsafe {
            let metanode = L::times(node, L::doubles(METANODES as f64));
            let half = L::floor(L::times(metanode, L::doubles(0.5)));
            let distances = L::plus(L::minus(metanode, half), L::doubles(1.0));
            Metanode { metanode, last: L::doubles((1_u64 << (buckets.count - 1)) as f64), half, distances }
        }
    }

    /// The parent whose bucket begins at `power`, from the second draw; the word is the low one of the double.
    ///
    /// A bucket has power + 1 distances, the last one fewer. The first one begins at 2, not at 1, and has one distance: here it has
    /// two, of which the maximum makes one.
    ///
    /// # Safety
    /// The instruction set is enabled.
    #[inline(always)]
    unsafe fn parent(&self, power: L::Doubles, low: L::Doubles, high: L::Doubles) -> L::Doubles {
        // SAFETY: by this function's contract.
        unsafe {
            let smallest = L::where_equal(power, self.last, self.half, power);
            let distances = L::where_equal(power, self.last, self.distances, L::plus(power, L::doubles(1.0)));
            let distance = L::plus(smallest, remainder::<L>(high, low, distances));
            let parent = L::minus(self.metanode, L::max(distance, L::doubles(2.0)));
            // x / 5 rounded down is (x - 2) / 5 rounded to the nearest integer, and never half way between two. In 3 x 2^51 and what
            // lies around it the unit is the last place.
            let unit = L::doubles((3_u64 << 51) as f64);
            L::times_plus(L::minus(parent, L::doubles(2.0)), L::doubles(0.2), unit)
        }
    }
}

/// (2^32 high + low) mod d for words and an integer 2 <= d < 2^34: long division in base 2^32, exact.
///
/// Quotients are estimated with a reciprocal that is too small by a factor of 1 - 2^-50, which outweighs the roundings (of the
/// reciprocal, the dividend and the product: 2^-53 each), and is too small by less than one, since quotients are below 2^34. So each
/// quotient is right or one too small, and each remainder is in 0 .. 2 d. A remainder is the result of one fused operation on
/// integers whose exact value is below 2^53: no rounding.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn remainder<L: Lanes>(high: L::Doubles, low: L::Doubles, d: L::Doubles) -> L::Doubles {
    const BELOW_ONE: f64 = 1.0 - 1.0 / (1_u64 << 50) as f64;
    // SAFETY: by this function's contract.
    unsafe {
        let reciprocal = L::over(L::doubles(BELOW_ONE), d);
        let quotient = L::floor(L::times(high, reciprocal));
        let high = L::times(L::times_from(quotient, d, high), L::doubles((1_u64 << 32) as f64));
        let quotient = L::floor(L::times(L::plus(high, low), reciprocal));
        let remainder = L::plus(L::times_from(quotient, d, high), low);
        L::minus_if_not_negative(remainder, d)
    }
}

/// The first twenty words of each node's generator.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn draws<L: Lanes>(seed: &Seed, node: L::Words) -> [[L::Words; 4]; 5] {
    // SAFETY: by this function's contract.
    unsafe {
        let column = [[L::words(CONSTANTS[3]), L::words(seed.key[3]), node, L::words(0)]];
        let [column] = quarter_rounds::<L, _>(column);
        let [a, b, c, d] = block::<L, 0>(seed, node, column);
        // The compiler drops what only the other words of block 1 need.
        let [e, ..] = block::<L, 1>(seed, node, column);
        [a, b, c, d, e]
    }
}

/// A block of each node's generator, row by row, from the last column after the first column round.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn block<L: Lanes, const NUMBER: usize>(seed: &Seed, node: L::Words, last: [L::Words; 4]) -> [[L::Words; 4]; 4] {
    // SAFETY: by this function's contract.
    unsafe {
        let columns = [
            broadcast::<L>(seed.columns[NUMBER]),
            broadcast::<L>(seed.columns[2]),
            broadcast::<L>(seed.columns[3]),
            last,
        ];
        let mut x = diagonal_round::<L>(columns);
        for _ in 1..DOUBLE_ROUNDS {
            x = diagonal_round::<L>(quarter_rounds::<L, _>(x));
        }
        let [k0, k1, k2, k3, k4, k5, k6] = seed.key;
        let [row_0, row_1, row_2] = [CONSTANTS, [k0, k1, k2, k3], [k4, k5, k6, 0]];
        let row_2 = [L::words(row_2[0]), L::words(row_2[1]), L::words(row_2[2]), node];
        let row_3 = [NUMBER as u32, 0, 0, 0];
        let before = [broadcast::<L>(row_0), broadcast::<L>(row_1), row_2, broadcast::<L>(row_3)];
        let mut rows = before;
        for (i, row) in rows.iter_mut().enumerate() {
            for (word, column) in row.iter_mut().zip(&x) {
                *word = L::add(*word, column[i]);
            }
        }
        rows
    }
}

/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn broadcast<L: Lanes>([a, b, c, d]: [u32; 4]) -> [L::Words; 4] {
    // SAFETY: by this function's contract.
    unsafe { [L::words(a), L::words(b), L::words(c), L::words(d)] }
}

/// The diagonal round: row i of the four columns turned left by i, and back.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn diagonal_round<L: Lanes>([a, b, c, d]: [[L::Words; 4]; 4]) -> [[L::Words; 4]; 4] {
    let diagonals =
        [[a[0], b[1], c[2], d[3]], [b[0], c[1], d[2], a[3]], [c[0], d[1], a[2], b[3]], [d[0], a[1], b[2], c[3]]];
    // SAFETY: by this function's contract.
    let [a, b, c, d] = unsafe { quarter_rounds::<L, _>(diagonals) };
    [[a[0], d[1], c[2], b[3]], [b[0], a[1], d[2], c[3]], [c[0], b[1], a[2], d[3]], [d[0], c[1], b[2], a[3]]]
}

/// Quarter rounds side by side, step by step, so that each step of one hides the latency of another's.
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn quarter_rounds<L: Lanes, const N: usize>(mut x: [[L::Words; 4]; N]) -> [[L::Words; 4]; N] {
    // SAFETY: by this function's contract.
    unsafe {
        half_steps::<L, N, 16>(&mut x, 0, 1, 3);
        half_steps::<L, N, 12>(&mut x, 2, 3, 1);
        half_steps::<L, N, 8>(&mut x, 0, 1, 3);
        half_steps::<L, N, 7>(&mut x, 2, 3, 1);
    }
    x
}

/// `a += b; d = (d ^ a) <<< BITS`
///
/// # Safety
/// The instruction set is enabled.
#[inline(always)]
unsafe fn half_steps<L: Lanes, const N: usize, const BITS: u32>(
    x: &mut [[L::Words; 4]; N],
    a: usize,
    b: usize,
    d: usize,
) {
    for x in x {
        // SAFETY: by this function's contract.
        unsafe {
            x[a] = L::add(x[a], x[b]);
            x[d] = L::rotate::<BITS>(L::xor(x[d], x[a]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    /// n as the definition has it, at every node where it could change: around 2^k / 5 and 2^k for all k.
    #[test]
    fn the_number_of_buckets_is_the_rounded_logarithm() {
        let around = |at: u64| at.saturating_sub(3)..=at + 3;
        let nodes = (3..=34).flat_map(|k| around((1 << k) / METANODES).chain(around(1 << k)));
        for node in nodes.filter(|node| (2..=Graph::MAX_NODES).contains(node)) {
            let buckets = Buckets::of(node as u32);
            let definition = |node: u64| ((METANODES * node) as f64).log2().ceil() as u64;
            assert_eq!(u64::from(buckets.count()), definition(node), "node {node}");
            assert_eq!(u64::from(buckets.count()), definition(buckets.end() - 1), "node {node}");
            assert_eq!(u64::from(buckets.count()) + 1, definition(buckets.end()), "node {node}");
        }
    }
}
