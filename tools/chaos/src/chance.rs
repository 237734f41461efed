//! One source of chance for a run: the same seed draws the same records, faults and pauses. When a process gets to what is
//! no matter of the seed, so that a run with it is like the one before, and not the same.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Random numbers from a seed.
#[derive(Debug)]
pub(crate) struct Chance(StdRng);

impl Chance {
    /// That of a seed; `stream` keeps users of the same seed apart.
    pub(crate) fn new(seed: u64, stream: u64) -> Chance {
        Chance(StdRng::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.random_range(0..of.len())]
    }

    /// One of these, each as often as its weight says.
    pub(crate) fn weighted<T: Copy>(&mut self, of: &[(T, u64)]) -> T {
        let mut at = self.below(of.iter().map(|(_, weight)| weight).sum());
        for &(item, weight) in of {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return item,
            }
        }
        unreachable!("a number below the sum of the weights falls into one of them")
    }

    /// A time between these.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }
}
