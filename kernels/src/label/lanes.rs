//! Labels of as many sectors as a vector has lanes.

use super::{BASE, CONSTANT_ROUNDS, Header, NODE_WORD, Parents, SLOTS, Window};
use crate::sha256::lanes::{Expanding, Lanes, Ready, absorb, add, initial, place, rounds_from, trim};

/// See [`super::Layer::label_nodes`]; `S` is the number of lanes.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub unsafe fn label_nodes<V: Lanes, const S: usize>(sectors: &[Header], window: Window<'_, [[u32; S]; 8]>) {
    const { assert!(S == V::COUNT) };
    // SAFETY: this function's contract.
    unsafe {
        if window.previous.is_some() {
            label_layer::<V, S, { size_of::<Parents>() / 4 }>(sectors, window);
        } else {
            label_layer::<V, S, BASE>(sectors, window);
        }
    }
}

/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn label_layer<V: Lanes, const S: usize, const PARENTS: usize>(
    sectors: &[Header],
    mut window: Window<'_, [[u32; S]; 8]>,
) {
    // SAFETY: this function's contract.
    unsafe {
        let zero = V::splat(0);
        let initial = initial::<V>();
        let (mut block0, mut midstate) = ([zero; 16], [zero; 8]);
        for (i, word) in block0.iter_mut().enumerate() {
            *word = of_sectors::<V, S>(sectors, |sector| sector.words[i]);
        }
        for i in 0..8 {
            midstate[place(i, CONSTANT_ROUNDS)] = of_sectors::<V, S>(sectors, |sector| sector.midstate[i]);
        }
        let mut last = [zero; 16];
        for (word, padding) in last[8..].iter_mut().zip(PADDING) {
            *word = V::splat(padding);
        }
        let mut schedules = [[zero; 64]; 7];
        let schedules = &mut schedules[..PARENTS / 2];

        for i in 0..window.count {
            block0[NODE_WORD] = V::splat((window.first + i) as u32);
            let (labels, to) = window.node(i);

            let mut state = midstate;
            rounds_from::<V, CONSTANT_ROUNDS>(&mut state, &mut Expanding { words: block0, keep: () });
            add(&mut state, initial);
            for (pair, keep) in schedules.iter_mut().enumerate() {
                labels.fetch_pair(pair);
                let mut words = [zero; 16];
                load(&mut words[..8], labels.parent::<PARENTS>(2 * pair));
                load(&mut words[8..], labels.parent::<PARENTS>(2 * pair + 1));
                absorb(&mut state, &mut Expanding { words, keep });
            }
            for pair in PARENTS / 2..SLOTS / 2 {
                absorb(&mut state, &mut Ready(&schedules[pair % (PARENTS / 2)]));
            }
            load(&mut last[..8], labels.parent::<PARENTS>(SLOTS - 1));
            absorb(&mut state, &mut Expanding { words: last, keep: () });

            for (to, word) in to.iter_mut().zip(trim(state)) {
                word.store(to);
            }
        }
    }
}

/// One word of each sector.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn of_sectors<V: Lanes, const S: usize>(sectors: &[Header], word: impl Fn(&Header) -> u32) -> V {
    let mut lanes = [0; S];
    for (lane, sector) in lanes.iter_mut().zip(sectors) {
        *lane = word(sector);
    }
    // SAFETY: this function's contract.
    unsafe { V::load(&lanes) }
}

/// The words of a label.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn load<V: Lanes, const S: usize>(words: &mut [V], label: &[[u32; S]; 8]) {
    for (word, from) in words.iter_mut().zip(label) {
        // SAFETY: this function's contract.
        *word = unsafe { V::load(from) };
    }
}

/// The end of the last block: a one bit, zeros, the length of 1248 bytes in bits.
pub const PADDING: [u32; 8] = [0x8000_0000, 0, 0, 0, 0, 0, 0, 1248 * 8];
