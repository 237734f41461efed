//! Blocks in one register of AVX-512.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epi8_mask,
    _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::block::{BLOCK, Block};
use super::index::{self, Index};

/// A block.
#[derive(Clone, Copy)]
pub(super) struct Bytes(__m512i);

/// Every position of a block.
const POSITIONS: [u8; BLOCK] = {
    let mut positions = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        positions[at] = at as u8;
        at += 1;
    }
    positions
};

impl Block for Bytes {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; BLOCK]) -> Self {
        // SAFETY: the load is the 64 bytes and needs no alignment; the caller promises AVX-512.
        unsafe { Bytes(_mm512_loadu_si512(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises AVX-512 BW.
        unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    unsafe fn below_space_or_beyond_ascii(self) -> u64 {
        // SAFETY: the caller promises AVX-512 BW.
        unsafe { _mm512_cmplt_epi8_mask(self.0, _mm512_set1_epi8(b' ' as i8)) }
    }

    /// Sixteen at a time: the positions of the set bits are moved together, widened, and the base is added.
    #[inline(always)]
    unsafe fn positions(mask: u64, base: u32, out: *mut u32) {
        // SAFETY: the caller promises AVX-512 VBMI2, and that `out` takes 64 values: each store writes 16 of them, from
        // 0, 16, 32 and 48 on.
        unsafe {
            let found = _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512(POSITIONS.as_ptr().cast()));
            let base = _mm512_set1_epi32(base as i32);
            let count = mask.count_ones();
            macro_rules! sixteen {
                ($quarter:literal, $bytes:expr) => {
                    let positions = _mm512_add_epi32(_mm512_cvtepu8_epi32($bytes), base);
                    _mm512_storeu_si512(out.add($quarter * 16).cast(), positions);
                };
            }
            sixteen!(0, _mm512_castsi512_si128(found));
            if count > 16 {
                sixteen!(1, _mm512_extracti32x4_epi32::<1>(found));
                if count > 32 {
                    sixteen!(2, _mm512_extracti32x4_epi32::<2>(found));
                    sixteen!(3, _mm512_extracti32x4_epi32::<3>(found));
                }
            }
        }
    }
}

/// [`Index::build`] with AVX-512.
///
/// # Safety
/// The machine has AVX-512 F, BW, VL, DQ, VBMI and VBMI2, BMI1, BMI2, LZCNT and POPCNT.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) unsafe fn build(index: &mut Index, chunk: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { index::build::<Bytes>(index, chunk) }
}
