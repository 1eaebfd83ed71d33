//! Sections of points: computed in slices on all threads, written in order while the next slice is computed.

use std::io::{self, Write};

use rayon::prelude::*;
use sealbench_kernels::fixed_base::{Field, Table};
use sealbench_kernels::wipe::overwrite;

/// Points of a slice: 12.6 MB of G1, 25 MB of G2, two of which are in memory.
const SLICE: usize = 1 << 17;

/// Points that a thread takes at a time: two of the kernel's batches.
const SHARE: usize = 2048;

/// Writes a section: its count, 32 bits big-endian, then the multiples of the table's base, uncompressed.
///
/// `scalars(first, out)` gives the scalars from `first` on, little-endian. `done` is told how many points are written.
pub fn write_section<F: Field>(
    table: &Table<F>,
    count: usize,
    scalars: impl Fn(usize, &mut [[u8; 32]]) + Sync,
    out: &mut dyn Write,
    done: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let announced = u32::try_from(count).map_err(|_| io::Error::other("a section holds fewer than 2^32 points"))?;
    out.write_all(&announced.to_be_bytes())?;
    let compute = |first: usize, points: &mut Vec<u8>| {
        points.resize(SLICE.min(count - first) * Table::<F>::POINT_BYTES, 0);
        points.par_chunks_mut(SHARE * Table::<F>::POINT_BYTES).enumerate().for_each(|(share, points)| {
            let mut buffer = vec![[0; 32]; points.len() / Table::<F>::POINT_BYTES];
            scalars(first + share * SHARE, &mut buffer);
            table.multiply(&buffer, points);
            overwrite(&mut buffer, [0; 32]);
        });
    };
    let (mut ready, mut next) = (Vec::new(), Vec::new());
    compute(0, &mut ready);
    for end in (0..count).step_by(SLICE).map(|first| count.min(first + SLICE)) {
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| compute(end, &mut next));
            out.write_all(&ready)
        })?;
        std::mem::swap(&mut ready, &mut next);
        done(end as u64);
    }
    Ok(())
}
