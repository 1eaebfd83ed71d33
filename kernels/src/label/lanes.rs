//! Labels of as many sectors as a vector has lanes.

use super::{BASE, CONSTANT_ROUNDS, Header, NODE_WORD, Parents, SLOTS, Window};
use crate::sha256::lanes::{Expanding, Lanes, Ready, absorb, add, initial, rounds_from, trim};

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
    // SAFETY: this function's contract, for all blocks here.
    let splat = |word| unsafe { V::splat(word) };
    let mut lanes = [0; S];
    let mut gather = |word: &dyn Fn(&Header) -> u32| {
        lanes.iter_mut().zip(sectors).for_each(|(lane, sector)| *lane = word(sector));
        unsafe { V::load(&lanes) }
    };
    let mut words: [V; 16] = core::array::from_fn(|i| gather(&|sector| sector.words[i]));
    let midstate: [V; 8] = core::array::from_fn(|i| gather(&|sector| sector.midstate[i]));
    let initial = unsafe { initial::<V>() };
    let zero = splat(0);
    let mut schedules = [[zero; 64]; 7];
    let schedules = &mut schedules[..PARENTS / 2];

    for i in 0..window.count {
        words[NODE_WORD] = splat((window.first + i) as u32);
        let (labels, to) = window.node(i);

        let mut state = [zero; 8];
        for (variable, word) in midstate.iter().enumerate() {
            state[(variable + 16 - CONSTANT_ROUNDS) % 8] = *word;
        }
        rounds_from::<V, CONSTANT_ROUNDS>(&mut state, &mut Expanding { words, keep: () });
        add(&mut state, initial);

        for (pair, keep) in schedules.iter_mut().enumerate() {
            labels.fetch_pair(pair);
            let (left, right) = (labels.parent::<PARENTS>(2 * pair), labels.parent::<PARENTS>(2 * pair + 1));
            let words = core::array::from_fn(|i| unsafe { V::load(if i < 8 { &left[i] } else { &right[i - 8] }) });
            absorb(&mut state, &mut Expanding { words, keep });
        }
        for pair in PARENTS / 2..SLOTS / 2 {
            absorb(&mut state, &mut Ready(&schedules[pair % (PARENTS / 2)]));
        }
        let last = labels.parent::<PARENTS>(SLOTS - 1);
        let words = core::array::from_fn(|i| if i < 8 { unsafe { V::load(&last[i]) } } else { splat(PADDING[i - 8]) });
        absorb(&mut state, &mut Expanding { words, keep: () });

        for (to, word) in to.iter_mut().zip(trim(state)) {
            word.store(to);
        }
    }
}

/// The end of the last block: a one bit, zeros, the length of 1248 bytes in bits.
pub const PADDING: [u32; 8] = [0x8000_0000, 0, 0, 0, 0, 0, 0, 1248 * 8];
