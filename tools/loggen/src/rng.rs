//! Randomness that is the same on every machine: xoshiro256++ (Blackman and Vigna, 2019), seeded through
//! splitmix64, integers only. Every block of records has a generator of its own, so what a block holds
//! depends on the seed and the block's number, never on the threads.

/// A generator for one block.
#[derive(Debug, Clone)]
pub(crate) struct Rng([u64; 4]);

/// A probability as a threshold on 53 random bits: comparing is one instruction, and exact at 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u64);

const CHANCE_BITS: u32 = 53;

impl Chance {
    /// `rate` is within 0..=1 (`Plan` has checked it).
    pub(crate) fn new(rate: f64) -> Chance {
        Chance((rate * (1u64 << CHANCE_BITS) as f64) as u64)
    }
}

impl Rng {
    /// The generator of stream `stream` under `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Rng {
        let base = mix(seed, stream);
        Rng(std::array::from_fn(|lane| mix(base, lane as u64)))
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.0;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// A number within 0..`bound`, which is at least 1. (Multiply and shift: the bias is below 2^-32 for
    /// the small bounds used here.)
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, chance: Chance) -> bool {
        (self.next() >> (64 - CHANCE_BITS)) < chance.0
    }

    /// One of `items`, which is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// Two numbers hashed to 64 well-mixed bits (splitmix64's finaliser).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(32).wrapping_add((b.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xoshiro_agrees_with_the_reference_code() {
        // First outputs of the authors' C code for the state {1, 2, 3, 4}.
        let mut rng = Rng([1, 2, 3, 4]);
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(std::array::from_fn(|_| rng.next()), expected);
    }

    #[test]
    fn chance_is_exact_at_both_ends() {
        let mut rng = Rng::new(1, 1);
        assert!((0..10_000).all(|_| rng.chance(Chance::new(1.0))));
        assert!((0..10_000).all(|_| !rng.chance(Chance::new(0.0))));
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut rng = Rng::new(7, 0);
        let mut seen = [false; 10];
        (0..1_000).for_each(|_| seen[rng.below(10) as usize] = true);
        assert_eq!(seen, [true; 10]);
    }
}
