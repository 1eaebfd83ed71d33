//! SHA-256 in plain Rust: what every other backend is compared with.

use super::Schedule;

pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    for block in blocks {
        rounds(state, &Schedule::new(block));
    }
}

pub fn rounds_chain(state: &mut [u32; 8], schedule: &Schedule, n: u64) {
    for _ in 0..n {
        rounds(state, schedule);
    }
}

/// The 64 rounds of one block and the addition of the state before it (FIPS 180-4, 6.2.2 steps 2 to 4).
fn rounds(state: &mut [u32; 8], schedule: &Schedule) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for wk in schedule.0 {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(wk);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        (h, g, f, e) = (g, f, e, d.wrapping_add(t1));
        (d, c, b, a) = (c, b, a, t1.wrapping_add(s0).wrapping_add(majority));
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}
