//! Blocks in plain words of 64 bits: what every machine runs, and the twin that the other kernels are tested against.

use super::block::{BLOCK, Block};

const WORDS: usize = BLOCK / 8;

/// `byte` in each byte of a word.
const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH_BITS: u64 = splat(0x80);
const LOW_BITS: u64 = splat(0x7F);

/// A block as words, its first byte lowest.
#[derive(Clone, Copy)]
pub(super) struct Bytes([u64; WORDS]);

impl Bytes {
    /// The mask of what `marks` finds in each word, as the high bit of a byte.
    #[inline(always)]
    fn mask(self, marks: impl Fn(u64) -> u64) -> u64 {
        let mut mask = 0;
        for (word, shift) in self.0.into_iter().zip((0..).step_by(8)) {
            // One multiplication gathers the eight high bits in the top byte: bit 8n+7 moves to 56+n.
            let gathered = (marks(word) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask |= gathered << shift;
        }
        mask
    }
}

impl Block for Bytes {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; BLOCK]) -> Self {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Bytes(words)
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // A byte is zero if adding 0x7F to its low bits does not reach the high one, which is not set either.
        self.mask(|word| {
            let other = word ^ splat(byte);
            !(((other & LOW_BITS) + LOW_BITS) | other) & HIGH_BITS
        })
    }

    #[inline(always)]
    unsafe fn below_space_or_beyond_ascii(self) -> u64 {
        // Of 0x00 to 0x7F, adding 0x60 takes those from 0x20 up past the high bit.
        self.mask(|word| (!((word & LOW_BITS) + splat(0x60)) | word) & HIGH_BITS)
    }
}
