//! A chain of additions whose length is its time.

/// The `2 * pairs`-th and the next Fibonacci-like number from `a` and `b`, modulo 2^64: each addition needs the one before, and takes one
/// cycle on every x86-64 core. No immediate operands, which some cores add while renaming, in no time.
#[inline(never)]
pub fn additions(pairs: u64, mut a: u64, mut b: u64) -> (u64, u64) {
    for _ in 0..pairs {
        a = a.wrapping_add(b);
        b = b.wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_gives_fibonacci_numbers() {
        assert_eq!(additions(0, 0, 1), (0, 1));
        assert_eq!(additions(1, 0, 1), (1, 2));
        assert_eq!(additions(5, 0, 1), (55, 89));
        assert_eq!(additions(46, 0, 1).0, 7540113804746346429);
    }
}
