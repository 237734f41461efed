//! Blocks in two registers of AVX2.

use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
};

use super::block::{BLOCK, Block};
use super::index::{self, Index};

/// A block: its first 32 bytes, its last.
#[derive(Clone, Copy)]
pub(super) struct Bytes(__m256i, __m256i);

#[inline(always)]
fn join(first: i32, last: i32) -> u64 {
    u64::from(first as u32) | u64::from(last as u32) << 32
}

impl Block for Bytes {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; BLOCK]) -> Self {
        let first = bytes.as_ptr().cast::<__m256i>();
        // SAFETY: both loads are within the 64 bytes and need no alignment; the caller promises AVX2.
        unsafe { Bytes(_mm256_loadu_si256(first), _mm256_loadu_si256(first.add(1))) }
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let byte = _mm256_set1_epi8(byte as i8);
            let mask = |part| _mm256_movemask_epi8(_mm256_cmpeq_epi8(part, byte));
            join(mask(self.0), mask(self.1))
        }
    }

    #[inline(always)]
    unsafe fn below_space_or_beyond_ascii(self) -> u64 {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let space = _mm256_set1_epi8(b' ' as i8);
            let mask = |part| _mm256_movemask_epi8(_mm256_cmpgt_epi8(space, part));
            join(mask(self.0), mask(self.1))
        }
    }
}

/// [`Index::build`] with AVX2.
///
/// # Safety
/// The machine has AVX2, BMI1, BMI2, LZCNT and POPCNT.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) unsafe fn build(index: &mut Index, chunk: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { index::build::<Bytes>(index, chunk) }
}
