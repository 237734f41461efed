//! SipHash-2-4 with a result of 128 bits, as ClickHouse has it: the hash that its `uniqExact` keeps of a text.
//!
//! ClickHouse takes the end of the 64-bit SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF") and does
//! not fold the last four words into one but into two. So it is not the 128-bit variant of the reference code, and its
//! two halves folded together are the 64-bit SipHash, which is what the tests check it by.

/// Key of the hash. ClickHouse's `uniqExact` uses [`SipKey::ZERO`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SipKey(pub(crate) [u64; 2]);

impl SipKey {
    /// The key of ClickHouse's states.
    pub(crate) const ZERO: SipKey = SipKey([0, 0]);
}

/// The hash of some bytes. Its little-endian bytes are what a state holds.
#[inline]
pub(crate) fn sip128(SipKey([k0, k1]): SipKey, bytes: &[u8]) -> u128 {
    let mut state = State {
        v0: k0 ^ 0x736f_6d65_7073_6575,
        v1: k1 ^ 0x646f_7261_6e64_6f6d,
        v2: k0 ^ 0x6c79_6765_6e65_7261,
        v3: k1 ^ 0x7465_6462_7974_6573,
    };
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state.absorb(u64::from_le_bytes(*word));
    }
    state.absorb(last_word(bytes.len(), tail));
    state.v2 ^= 0xff;
    for _ in 0..4 {
        state.round();
    }
    u128::from(state.v2 ^ state.v3) << 64 | u128::from(state.v0 ^ state.v1)
}

/// Up to seven bytes, and the length in the topmost one.
#[inline]
fn last_word(length: usize, tail: &[u8]) -> u64 {
    let text = if let (Some(first), Some(last)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        let shift = 8 * (tail.len() - 4);
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift
    } else {
        tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    (length as u64) << 56 | text
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clickhouse_says_the_same() {
        // SELECT arrayJoin(['abc', 'd', '']) AS x, hex(sipHash128(x)), ClickHouse 24.8 and 26.7.
        for (text, hex) in [
            ("abc", "B6B415A2DA966B6C685A65E54C12A353"),
            ("d", "E771F1CDFBB906C669EBBC3553B439E0"),
            ("", "32B5C1DB56A683E9E5B5B6A8CBED11F7"),
        ] {
            let bytes = sip128(SipKey::ZERO, text.as_bytes()).to_le_bytes();
            let found: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            assert_eq!(found, hex, "{text:?}");
        }
    }

    #[test]
    #[expect(deprecated, reason = "the standard library's SipHash-2-4 is deprecated as a hasher, not as a reference")]
    fn folded_it_is_the_64_bit_siphash() {
        use std::hash::{Hasher, SipHasher};
        let bytes: Vec<u8> = (0..100_u32).map(|n| (n * 37 + 11) as u8).collect();
        for length in 0..bytes.len() {
            for key in [[0, 0], [1, u64::MAX], [0x0123_4567_89ab_cdef, 42]] {
                let mut reference = SipHasher::new_with_keys(key[0], key[1]);
                reference.write(&bytes[..length]);
                let hash = sip128(SipKey(key), &bytes[..length]);
                assert_eq!((hash >> 64) as u64 ^ hash as u64, reference.finish(), "{length} bytes, key {key:?}");
            }
        }
    }
}
