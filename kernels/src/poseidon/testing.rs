//! One test body for all backends, against neptune: the caller names the backend, no backend has expected values of its own.

use blstrs::Scalar as Fr;
use ff::{Field, PrimeField};
use generic_array::typenum::{U2, U4, U8, U11};
use neptune::Poseidon;
use neptune::poseidon::{Arity as NeptuneArity, PoseidonConstants};

use super::{Arity, Backend, NotInField, hash_columns, hash_rows};

/// One more than three batches of the widest backend.
const MOST: usize = 3 * 16 + 1;

/// Checks everything a Poseidon backend does.
pub fn check(backend: Backend) {
    arity::<U2>(backend);
    arity::<U4>(backend);
    arity::<U8>(backend);
    arity::<U11>(backend);
}

fn arity<A: NeptuneArity<Fr>>(backend: Backend) {
    let neptune = PoseidonConstants::<Fr, A>::new();
    let arity = Arity::new(neptune.arity()).unwrap();
    let elements: Vec<Fr> = elements().take(MOST * neptune.arity()).collect();
    let rows: Vec<u8> = elements.iter().flat_map(Fr::to_repr).collect();
    let expected: Vec<u8> = elements
        .chunks(neptune.arity())
        .flat_map(|preimage| Poseidon::new_with_preimage(preimage, &neptune).hash().to_repr())
        .collect();
    every_count(backend, arity, &rows, &expected);
    unreduced_elements(backend, arity, &rows);
}

fn every_count(backend: Backend, arity: Arity, rows: &[u8], expected: &[u8]) {
    for count in 0..=MOST {
        let rows = &rows[..count * arity.elements() * 32];
        let mut digests = vec![0xaa; count * 32];
        hash_rows(backend, arity, rows, &mut digests).unwrap();
        assert_eq!(digests, expected[..count * 32], "{backend:?}, {arity:?}, {count} rows");

        let columns = columns(arity, rows);
        let columns: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
        digests.fill(0xaa);
        hash_columns(backend, arity, &columns, &mut digests).unwrap();
        assert_eq!(digests, expected[..count * 32], "{backend:?}, {arity:?}, columns of {count}");
    }
}

/// The number that is not below p may stand anywhere: the first one in the order of the preimages is named.
fn unreduced_elements(backend: Backend, arity: Arity, rows: &[u8]) {
    let mut power_255 = [0; 32];
    power_255[31] = 0x80;
    let p = add_one((-Fr::ONE).to_repr());
    let unreduced = [p, [0xff; 32], power_255, add_one(p)];
    let preimages = rows.len() / 32 / arity.elements();
    for (preimage, number) in (0..preimages).step_by(5).zip(unreduced.iter().cycle()) {
        for element in [0, arity.elements() / 2, arity.elements() - 1] {
            let mut rows = rows.to_vec();
            let at = (preimage * arity.elements() + element) * 32;
            rows[at..at + 32].copy_from_slice(number);
            let last = rows.len() - 32;
            rows[last..].copy_from_slice(number);
            let expected = Err(NotInField { preimage, element });
            let mut digests = vec![0; preimages * 32];
            assert_eq!(hash_rows(backend, arity, &rows, &mut digests), expected, "{backend:?}, {arity:?}");
            let columns = columns(arity, &rows);
            let columns: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
            assert_eq!(hash_columns(backend, arity, &columns, &mut digests), expected, "{backend:?}, {arity:?}");
        }
    }
}

/// The elements of rows, one slice for each place in a row.
fn columns(arity: Arity, rows: &[u8]) -> Vec<Vec<u8>> {
    let place = |column: usize| rows.chunks(32).skip(column).step_by(arity.elements()).flatten().copied().collect();
    (0..arity.elements()).map(place).collect()
}

/// Preimages of zeros and of p - 1, then elements of which every fifth is an edge of the field or of a limb.
fn elements() -> impl Iterator<Item = Fr> {
    let edge =
        [Fr::ZERO, -Fr::ONE, Fr::ONE, Fr::from(2).invert().unwrap(), -Fr::from(1 << 52), power_2(208), power_2(254)];
    let constant = [Fr::ZERO, -Fr::ONE].into_iter().flat_map(|element| [element; 11]);
    let mut seed = Fr::from(7);
    constant.chain((0..).map(move |i| {
        seed = seed.square() + Fr::from(i);
        if i % 5 == 0 { edge[i as usize / 5 % edge.len()] } else { seed }
    }))
}

fn power_2(exponent: u64) -> Fr {
    Fr::from(2).pow_vartime([exponent])
}

fn add_one(mut number: [u8; 32]) -> [u8; 32] {
    for byte in &mut number {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    number
}
