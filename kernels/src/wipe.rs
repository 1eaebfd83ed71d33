//! Overwriting secrets so that the compiler cannot leave the writes out.

use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};

/// Overwrites every element; the stores happen even if nobody reads the elements again.
pub fn overwrite<T: Copy>(secrets: &mut [T], with: T) {
    for secret in secrets {
        // SAFETY: `secret` is a unique reference, so valid and aligned for a write; `T: Copy` has nothing to drop.
        unsafe { ptr::write_volatile(secret, with) };
    }
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_overwritten() {
        let mut secrets = [3u64; 5];
        overwrite(&mut secrets[1..], 7);
        assert_eq!(secrets, [3, 7, 7, 7, 7]);
        overwrite(&mut secrets[..0], 9);
        assert_eq!(secrets[0], 3);
    }
}
