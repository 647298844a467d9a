//! Random numbers, fast and of no other quality.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// A number from 1 to `max`.
pub(crate) fn up_to(max: i64) -> i64 {
    STATE.with(|state| {
        // xorshift64*; never 0, as it does not begin there.
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        let x = x.wrapping_mul(0x2545_f491_4f6c_dd1d);
        // The upper half of a product spreads evenly over 0..max, without a division.
        ((u128::from(x) * max.unsigned_abs() as u128) >> 64) as i64 + 1
    })
}

/// `n` different numbers from 1 to `max`; fewer when there are no more.
pub(crate) fn different(n: usize, max: i64) -> Vec<i64> {
    let n = n.min(max.unsigned_abs() as usize);
    let mut numbers = Vec::with_capacity(n);
    while numbers.len() < n {
        let number = up_to(max);
        // A list of some hundred is searched faster than it is hashed.
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::{different, up_to};

    #[test]
    fn numbers_stay_in_their_range_and_reach_its_ends() {
        let mut seen = [false; 3];
        for _ in 0..1000 {
            seen[up_to(3) as usize - 1] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn different_numbers_are_different() {
        let mut all = different(500, 500);
        all.sort_unstable();
        assert!(all.iter().copied().eq(1..=500));
        assert_eq!(different(10, 3).len(), 3);
    }
}
