//! Blocks in four registers of NEON.

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vcltq_s8, vdupq_n_s8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vpaddq_u8,
    vreinterpretq_s8_u8, vreinterpretq_u64_u8,
};

use super::block::{BLOCK, Block};

/// A block, 16 bytes a register.
#[derive(Clone, Copy)]
pub(super) struct Bytes([uint8x16_t; 4]);

/// The bit of each byte in its mask of eight.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// One bit for each byte of four registers whose bytes are all ones or all zeros: each byte keeps its own bit, and three
/// rounds of pairwise sums bring eight bytes together in one.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn mask(parts: [uint8x16_t; 4]) -> u64 {
    // SAFETY: the caller promises NEON; the load is the 16 bytes of the constant.
    unsafe {
        let bits = vld1q_u8(BITS.as_ptr());
        let [a, b, c, d] = parts.map(|part| vandq_u8(part, bits));
        let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
        let sums = vpaddq_u8(sums, sums);
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(sums))
    }
}

impl Block for Bytes {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; BLOCK]) -> Self {
        let first = bytes.as_ptr();
        // SAFETY: the four loads are within the 64 bytes; the caller promises NEON.
        unsafe { Bytes([vld1q_u8(first), vld1q_u8(first.add(16)), vld1q_u8(first.add(32)), vld1q_u8(first.add(48))]) }
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises NEON.
        unsafe {
            let byte = vdupq_n_u8(byte);
            mask(self.0.map(|part| vceqq_u8(part, byte)))
        }
    }

    #[inline(always)]
    unsafe fn below_space_or_beyond_ascii(self) -> u64 {
        // SAFETY: the caller promises NEON.
        unsafe {
            let space = vdupq_n_s8(b' ' as i8);
            mask(self.0.map(|part| vcltq_s8(vreinterpretq_s8_u8(part), space)))
        }
    }
}
