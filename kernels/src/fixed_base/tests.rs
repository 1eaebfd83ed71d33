//! Against blst's own multiplication, and the group laws where it has none to offer.

use blst::{
    blst_p1, blst_p1_affine, blst_p1_affine_serialize, blst_p1_generator, blst_p1_mult, blst_p1_to_affine, blst_p2,
    blst_p2_affine, blst_p2_affine_serialize, blst_p2_generator, blst_p2_mult, blst_p2_to_affine,
};

use super::*;

/// The order less one, little-endian.
const MINUS_ONE: [u64; 4] =
    [0xffff_ffff_0000_0000, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];

fn bytes(limbs: [u64; 4]) -> [u8; 32] {
    std::array::from_fn(|i| limbs[i / 8].to_le_bytes()[i % 8])
}

fn small(value: u64) -> [u8; 32] {
    bytes([value, 0, 0, 0])
}

/// Scalars that no one chose: xorshift, cut below the order.
fn arbitrary(count: usize) -> Vec<[u8; 32]> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count).map(|_| bytes([next(), next(), next(), next() >> 2])).collect()
}

/// Zero, small, around every power of two (carries in every window), around half the order and at its end.
fn edges() -> Vec<[u8; 32]> {
    let mut edges: Vec<[u8; 32]> = (0..20).map(small).collect();
    for bit in 1..255 {
        let mut power = [0u64; 4];
        power[bit / 64] = 1 << (bit % 64);
        edges.push(bytes(power));
        edges.push(bytes(std::array::from_fn(|i| match i.cmp(&(bit / 64)) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => power[i] - 1,
            std::cmp::Ordering::Greater => 0,
        })));
    }
    let half: [u64; 4] = std::array::from_fn(|i| MINUS_ONE[i] >> 1 | MINUS_ONE.get(i + 1).map_or(0, |next| next << 63));
    edges.extend((0..3).map(|more| bytes([half[0] + more, half[1], half[2], half[3]])));
    edges.extend((0..20).map(|less| bytes([MINUS_ONE[0] - less, MINUS_ONE[1], MINUS_ONE[2], MINUS_ONE[3]])));
    edges
}

macro_rules! with_blst {
    ($name:ident, $generator:ident, $mult:ident, $to_affine:ident, $serialize:ident, $projective:ident, $affine:ident, $bytes:expr) => {
        /// blst's multiple of the generator, uncompressed.
        fn $name(scalar: &[u8; 32]) -> [u8; $bytes] {
            let (mut point, mut affine, mut out) = ($projective::default(), $affine::default(), [0; $bytes]);
            // SAFETY: valid pointers of the types that blst's declarations name; the scalar has 255 bits.
            unsafe {
                $mult(&mut point, $generator(), scalar.as_ptr(), 255);
                $to_affine(&mut affine, &point);
                $serialize(out.as_mut_ptr(), &affine);
            }
            out
        }
    };
}

with_blst!(
    g1,
    blst_p1_generator,
    blst_p1_mult,
    blst_p1_to_affine,
    blst_p1_affine_serialize,
    blst_p1,
    blst_p1_affine,
    96
);
with_blst!(
    g2,
    blst_p2_generator,
    blst_p2_mult,
    blst_p2_to_affine,
    blst_p2_affine_serialize,
    blst_p2,
    blst_p2_affine,
    192
);

fn check<F: Field, const N: usize>(table: &Table<F>, scalars: &[[u8; 32]], expected: impl Fn(&[u8; 32]) -> [u8; N]) {
    let mut out = vec![0; scalars.len() * N];
    table.multiply(scalars, &mut out);
    for (scalar, out) in scalars.iter().zip(out.chunks_exact(N)) {
        assert_eq!(out, expected(scalar), "{scalar:02x?}, windows of {} bits", table.recoding.half().ilog2() + 1);
    }
}

#[test]
fn multiples_are_blsts_in_windows_of_every_width() {
    let mut scalars = edges();
    scalars.extend(arbitrary(40));
    let expected: Vec<_> = scalars.iter().map(|scalar| (g1(scalar), g2(scalar))).collect();
    let of = |scalar: &[u8; 32]| &expected[scalars.iter().position(|known| known == scalar).unwrap()];
    for bits in [4, 5, 7, 8, 12, 13] {
        check(&G1Table::with_window(&g1(&small(1)), bits).unwrap(), &scalars, |scalar| of(scalar).0);
    }
    for bits in [4, 9] {
        check(&G2Table::with_window(&g2(&small(1)), bits).unwrap(), &scalars, |scalar| of(scalar).1);
    }
}

#[test]
fn batches_end_anywhere() {
    let table = G1Table::with_window(&g1(&small(1)), 8).unwrap();
    let scalars = arbitrary(2 * BATCH + 3);
    for count in [0, 1, 2, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3] {
        let mut out = vec![0; count * 96];
        table.multiply(&scalars[..count], &mut out);
        for i in [0, 1, count / 2, BATCH - 1, BATCH, count.saturating_sub(1)].into_iter().filter(|i| *i < count) {
            assert_eq!(out[i * 96..][..96], g1(&scalars[i]), "{i} of {count}");
        }
    }
}

#[test]
fn a_base_is_any_point_of_the_curve() {
    let seven = G1Table::with_window(&g1(&small(7)), 6).unwrap();
    check(&seven, &[small(0), small(3), small(1000)], |scalar| {
        g1(&small(7 * u64::from_le_bytes(scalar[..8].try_into().unwrap())))
    });
    // Infinity has no other multiples.
    let infinity = G1Table::with_window(&g1(&small(0)), 6).unwrap();
    check(&infinity, &[small(0), small(3), bytes(MINUS_ONE)], |_| g1(&small(0)));

    let mut off_curve = g1(&small(1));
    off_curve[95] ^= 1;
    assert!(G1Table::new(&off_curve, 1).is_none());
    assert!(G1Table::new(&off_curve[..95], 1).is_none());
    assert!(G2Table::new(&g1(&small(1)), 1).is_none());
}

/// Every case of the addition at once: sums and addends from 0, 1, 2, -1, -2 times the generator, negated or not.
#[test]
fn addition_knows_its_exceptions() {
    let multiples = [0, 1, 2, -1, -2];
    let points = multiples.map(multiple);
    for negative in [false, true] {
        let mut sums = points.map(|point| [point; 5]).concat();
        add_each(&mut sums, |i| Some(Addend { point: &points[i % 5], negative }), &mut Vec::new());
        for (i, sum) in sums.iter().enumerate() {
            let (one, other) = (multiples[i / 5], multiples[i % 5]);
            let expected = multiple(if negative { one - other } else { one + other });
            assert!(*sum == expected, "{one} and {other}, negative: {negative}");
        }
    }
    let mut untouched = points;
    add_each(&mut untouched, |_| None, &mut Vec::new());
    assert!(untouched == points);
}

fn multiple(times: i64) -> Affine<Fp> {
    let point = field::Field::decode(&g1(&small(times.unsigned_abs()))).unwrap();
    if times < 0 { Affine::negated(&point) } else { point }
}

#[test]
fn wider_windows_pay_off_for_more_points() {
    assert!(best_window(1) <= 5);
    assert_eq!(best_window(10_000_000), 16);
    assert!((1..24).is_sorted_by_key(|log2| best_window(1 << log2)));
    assert_eq!(G1Table::bytes(10_000_000), 16 * (1 << 15) * 96);
}

#[test]
#[should_panic = "below the order"]
fn the_order_is_no_scalar() {
    let mut order = MINUS_ONE;
    order[0] += 1;
    G1Table::with_window(&g1(&small(1)), 4).unwrap().multiply(&[bytes(order)], &mut [0; 96]);
}

#[test]
#[should_panic = "room for each point"]
fn points_need_room() {
    G1Table::with_window(&g1(&small(1)), 4).unwrap().multiply(&[small(1)], &mut [0; 95]);
}
