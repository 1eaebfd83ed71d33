//! A circuit's constraints as three sparse matrices: row j of A, B and C gives constraint j as (A z)_j * (B z)_j = (C z)_j.
//!
//! Held by rows, 8 bytes a term: the variable and the coefficient as an index into a table, since a circuit has few distinct
//! ones. Not kept on disk: recording the 2 KiB circuit takes a few seconds, no more than reading and checking such a file and
//! keeping it valid for the linked circuit's version.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bellperson::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use blstrs::Scalar;
use ff::Field;
use rayon::prelude::*;

/// The constraints of a circuit, with one for each input (the input in A alone), as Groth16's setup and prover add them.
pub struct R1cs {
    /// Public inputs; the constant one is the first.
    pub inputs: usize,
    /// Auxiliary variables.
    pub aux: usize,
    /// The left factors.
    pub a: Matrix,
    /// The right factors.
    pub b: Matrix,
    /// The products.
    pub c: Matrix,
    /// The distinct coefficients of all three; none is zero.
    pub coefficients: Vec<Scalar>,
}

/// A sparse matrix by rows. Columns are the inputs, then the auxiliary variables.
#[derive(Default)]
pub struct Matrix {
    /// Where each row's terms end.
    ends: Vec<u32>,
    columns: Vec<u32>,
    /// Indices into [`R1cs::coefficients`].
    coefficients: Vec<u32>,
}

/// Marks an input's column while its final place is not known.
const INPUT: u32 = 1 << 31;

/// Constraints between two reports of progress: some tens of milliseconds.
const SAY_EVERY: usize = 1 << 16;

/// Index of the coefficient one, the most frequent.
const ONE: u32 = 0;

impl R1cs {
    /// Records a circuit that has no witness; says now and then how many constraints there are so far.
    pub fn record<C: Circuit<Scalar>>(
        circuit: C,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<R1cs, SynthesisError> {
        let mut recorder = Recorder { progress: Some(progress), ..Recorder::new() };
        recorder.alloc_input(|| "one", || Ok(Scalar::ONE))?;
        circuit.synthesize(&mut recorder)?;
        for input in 0..recorder.inputs {
            recorder.enforce(|| "", |lc| lc + Variable(Index::Input(input)), |lc| lc, |lc| lc);
        }
        recorder.finish()
    }

    /// Rows of each matrix.
    pub fn constraints(&self) -> usize {
        self.a.ends.len()
    }

    /// Columns of each matrix.
    pub fn variables(&self) -> usize {
        self.inputs + self.aux
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        let matrix = |m: &Matrix| 4 * (m.ends.len() + m.columns.len() + m.coefficients.len()) as u64;
        [&self.a, &self.b, &self.c].into_iter().map(matrix).sum::<u64>() + 32 * self.coefficients.len() as u64
    }

    /// BLAKE3 of the counts, the coefficients and the matrices: equal for equal circuits, whatever recorded them.
    pub fn checksum(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for count in [self.inputs, self.aux, self.constraints(), self.coefficients.len()] {
            hasher.update(&(count as u64).to_le_bytes());
        }
        for coefficient in &self.coefficients {
            hasher.update(&coefficient.to_bytes_le());
        }
        for matrix in [&self.a, &self.b, &self.c] {
            for part in [&matrix.ends, &matrix.columns, &matrix.coefficients] {
                hash_words(&mut hasher, part);
            }
        }
        hasher.finalize()
    }
}

/// Hashes little-endian words.
fn hash_words(hasher: &mut blake3::Hasher, words: &[u32]) {
    let mut bytes = Vec::with_capacity(4 << 16);
    for words in words.chunks(1 << 16) {
        bytes.clear();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        hasher.update(&bytes);
    }
}

impl Matrix {
    /// Terms that are not zero.
    pub fn terms(&self) -> usize {
        self.columns.len()
    }

    /// Adds to `sums[i]` the sum over all rows j of entry (j, i) times `weights[j]`.
    ///
    /// Each thread has a range of columns and reads all terms: 8 bytes a term are read in less time than sorting them by
    /// columns would take.
    pub fn add_column_sums(&self, coefficients: &[Scalar], weights: &[Scalar], sums: &mut [Scalar]) {
        let share = sums.len().div_ceil(rayon::current_num_threads()).max(1);
        sums.par_chunks_mut(share).enumerate().for_each(|(thread, sums)| {
            let first = (thread * share) as u32;
            let mut term = 0;
            for (end, weight) in self.ends.iter().zip(weights) {
                while term < *end as usize {
                    if let Some(sum) = sums.get_mut(self.columns[term].wrapping_sub(first) as usize) {
                        match self.coefficients[term] {
                            ONE => *sum += weight,
                            index => *sum += coefficients[index as usize] * weight,
                        }
                    }
                    term += 1;
                }
            }
        });
    }

    fn place_inputs(&mut self, inputs: u32) {
        for column in &mut self.columns {
            *column = if *column & INPUT != 0 { *column & !INPUT } else { *column + inputs };
        }
    }
}

/// The constraint system that records.
struct Recorder<'a> {
    inputs: usize,
    aux: usize,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    coefficients: Interned,
    progress: Option<&'a mut (dyn FnMut(u64) + Send)>,
}

/// Distinct coefficients in the order of their first use.
struct Interned {
    values: Vec<Scalar>,
    indices: HashMap<[u8; 32], u32, BuildHasherDefault<FirstWord>>,
}

impl Interned {
    fn new() -> Interned {
        let mut interned = Interned { values: Vec::new(), indices: HashMap::default() };
        interned.index(&Scalar::ONE);
        interned
    }

    fn index(&mut self, value: &Scalar) -> u32 {
        if *value == Scalar::ONE && !self.values.is_empty() {
            return ONE;
        }
        *self.indices.entry(value.to_bytes_le()).or_insert_with(|| {
            self.values.push(*value);
            (self.values.len() - 1) as u32
        })
    }
}

/// Hashes a coefficient by its lowest 64 bits, spread by a multiplication: Poseidon's constants are random, small ones differ there.
#[derive(Default)]
struct FirstWord(u64);

impl Hasher for FirstWord {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

impl Recorder<'_> {
    fn finish(mut self) -> Result<R1cs, SynthesisError> {
        let matrices = [&self.a, &self.b, &self.c];
        let fits = matrices.iter().all(|matrix| u32::try_from(matrix.terms()).is_ok());
        if !fits || self.inputs + self.aux >= INPUT as usize {
            return Err(SynthesisError::PolynomialDegreeTooLarge);
        }
        for matrix in [&mut self.a, &mut self.b, &mut self.c] {
            matrix.place_inputs(self.inputs as u32);
        }
        let Recorder { inputs, aux, a, b, c, coefficients, .. } = self;
        Ok(R1cs { inputs, aux, a, b, c, coefficients: coefficients.values })
    }
}

fn record_row(matrix: &mut Matrix, coefficients: &mut Interned, row: &LinearCombination<Scalar>) {
    for (Variable(index), coefficient) in row.iter() {
        // A coefficient of zero adds nothing to a sum, and the prover does not count it as a use of the variable.
        if *coefficient != Scalar::ZERO {
            matrix.columns.push(match index {
                Index::Input(i) => i as u32 | INPUT,
                Index::Aux(i) => i as u32,
            });
            matrix.coefficients.push(coefficients.index(coefficient));
        }
    }
    matrix.ends.push(matrix.columns.len() as u32);
}

impl ConstraintSystem<Scalar> for Recorder<'_> {
    type Root = Self;

    fn new() -> Self {
        let [a, b, c] = [(); 3].map(|()| Matrix::default());
        Recorder { inputs: 0, aux: 0, a, b, c, coefficients: Interned::new(), progress: None }
    }

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError> {
        self.aux += 1;
        Ok(Variable(Index::Aux(self.aux - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError> {
        self.inputs += 1;
        Ok(Variable(Index::Input(self.inputs - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
        record_row(&mut self.a, &mut self.coefficients, &a(LinearCombination::zero()));
        record_row(&mut self.b, &mut self.coefficients, &b(LinearCombination::zero()));
        record_row(&mut self.c, &mut self.coefficients, &c(LinearCombination::zero()));
        let constraints = self.a.ends.len();
        if constraints.is_multiple_of(SAY_EVERY)
            && let Some(progress) = &mut self.progress
        {
            progress(constraints as u64);
        }
    }

    fn push_namespace<NR, N>(&mut self, _: N) {}

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x * (y + 2) = z + c * one, where 0 * y takes no part; then y * one = y.
    #[derive(Clone, Copy)]
    struct Small(u64);

    impl Circuit<Scalar> for Small {
        fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
            let unknown = || Err(SynthesisError::AssignmentMissing);
            let x = cs.alloc(|| "x", unknown)?;
            let y = cs.alloc_input(|| "y", unknown)?;
            let z = cs.alloc(|| "z", unknown)?;
            let [zero, two, c] = [0, 2, self.0].map(Scalar::from);
            cs.enforce(
                || "product",
                |lc| lc + x + (zero, y),
                |lc| lc + y + (two, CS::one()),
                |lc| lc + z + (c, CS::one()),
            );
            cs.enforce(|| "y", |lc| lc + y, |lc| lc + CS::one(), |lc| lc + y);
            Ok(())
        }
    }

    #[test]
    fn rows_hold_the_circuit_and_a_constraint_for_each_input() {
        let r1cs = R1cs::record(Small(2), &mut |_| ()).unwrap();
        assert_eq!((r1cs.inputs, r1cs.aux, r1cs.constraints(), r1cs.variables()), (2, 2, 4, 4));
        // One, y, x, z; the coefficients one and two.
        assert_eq!(r1cs.coefficients, [1, 2].map(Scalar::from));
        let parts = |matrix: &Matrix| (matrix.ends.clone(), matrix.columns.clone(), matrix.coefficients.clone());
        assert_eq!(parts(&r1cs.a), (vec![1, 2, 3, 4], vec![2, 1, 0, 1], vec![0; 4]));
        assert_eq!(parts(&r1cs.b), (vec![2, 3, 3, 3], vec![0, 1, 0], vec![1, 0, 0]));
        assert_eq!(parts(&r1cs.c), (vec![2, 3, 3, 3], vec![0, 3, 1], vec![1, 0, 0]));
        assert_eq!((r1cs.a.terms(), r1cs.bytes()), (4, 4 * (12 + 20) + 64));
    }

    #[test]
    fn column_sums_weigh_the_rows() {
        let r1cs = R1cs::record(Small(5), &mut |_| ()).unwrap();
        let weights = [1, 10, 100, 1000].map(Scalar::from);
        for (matrix, expected) in [(&r1cs.a, [100, 1010, 1, 0]), (&r1cs.b, [12, 1, 0, 0]), (&r1cs.c, [5, 10, 0, 1])] {
            let mut sums = [7; 4].map(Scalar::from);
            matrix.add_column_sums(&r1cs.coefficients, &weights, &mut sums);
            assert_eq!(sums, expected.map(|sum| Scalar::from(sum + 7)));
        }
    }

    #[test]
    fn the_checksum_is_the_circuits() {
        let checksum = |c| R1cs::record(Small(c), &mut |_| ()).unwrap().checksum();
        assert_eq!(checksum(5), checksum(5));
        assert_ne!(checksum(5), checksum(6));
        assert_ne!(checksum(1), checksum(2));
    }
}
