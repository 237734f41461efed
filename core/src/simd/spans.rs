//! What a block of spans is made of, found out before any of them is looked at for itself: loops over values can then do
//! without a branch for each kind.
//!
//! A span is read as one lane of 64 bits: its start below, its length and kind above.

// Only x86 has kernels of its own here.
#![cfg_attr(not(target_arch = "x86_64"), allow(unused_imports))]

use super::{Kernels, Level};
use crate::column::span::{Kinds, Span};

/// Spans of one answer of [`rows_of`].
const ROWS_MAX: usize = u64::BITS as usize;

// What the kernels below read as a lane.
const _: () = assert!(size_of::<Span>() == size_of::<u64>());

/// The kinds that the spans have.
#[inline(always)]
pub(crate) fn kinds(kernels: Kernels, spans: &[Span]) -> Kinds {
    let bits = match kernels.level() {
        // SAFETY: `kernels` proves that the machine has the instructions of its level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::kinds_avx512(spans) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::kinds_avx2(spans) },
        _ => fold(spans),
    };
    Kinds::of_bits(bits)
}

/// Which of the spans are of one of the kinds, the first span's bit lowest.
///
/// # Panics
/// If there are more than 64.
#[inline(always)]
pub(crate) fn rows_of(kinds: Kinds, spans: &[Span], kernels: Kernels) -> u64 {
    assert!(spans.len() <= ROWS_MAX, "a bit for each row");
    match kernels.level() {
        // SAFETY: `kernels` proves that the machine has the instructions of its level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::rows_avx512(kinds, spans) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::rows_avx2(kinds, spans) },
        _ => rows(kinds, spans),
    }
}

/// Written so that registers of any width can do it: a shift by its own count for each span.
#[inline(always)]
fn fold(spans: &[Span]) -> u16 {
    spans.iter().fold(0u32, |kinds, span| kinds | 1 << span.kind_number()) as u16
}

#[inline(always)]
fn rows(kinds: Kinds, spans: &[Span]) -> u64 {
    let bit = |span: &Span| u64::from(kinds.bits() >> span.kind_number() & 1);
    spans.iter().enumerate().fold(0, |rows, (row, span)| rows | bit(span) << row)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// Lanes of a register.
    const LANES: usize = 8;
    /// Bits below a span's kind.
    const KIND_SHIFT: u32 = u32::BITS;
    const KIND_MASK: i64 = 0xf;

    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn kinds_avx2(spans: &[Span]) -> u16 {
        fold(spans)
    }

    /// The kind of each of up to eight spans, and the mask of those that there are.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn kinds_of_eight(spans: &[Span]) -> (__m512i, __mmask8) {
        let mask = (0xff_u32 >> (LANES - spans.len().min(LANES))) as __mmask8;
        // SAFETY: only lanes of the mask are read, and those are spans: each is two numbers of 32 bits.
        let lanes = unsafe { _mm512_maskz_loadu_epi64(mask, spans.as_ptr().cast()) };
        (_mm512_and_si512(_mm512_srli_epi64::<KIND_SHIFT>(lanes), _mm512_set1_epi64(KIND_MASK)), mask)
    }

    /// # Safety
    /// The machine has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn kinds_avx512(spans: &[Span]) -> u16 {
        let mut all = _mm512_setzero_si512();
        for spans in spans.chunks(LANES) {
            let (kinds, mask) = kinds_of_eight(spans);
            all = _mm512_or_si512(all, _mm512_maskz_sllv_epi64(mask, _mm512_set1_epi64(1), kinds));
        }
        _mm512_reduce_or_epi64(all) as u16
    }

    /// # Safety
    /// The machine has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn rows_avx512(kinds: Kinds, spans: &[Span]) -> u64 {
        let wanted = _mm512_set1_epi64(i64::from(kinds.bits()));
        let mut rows = 0;
        for (at, spans) in spans.chunks(LANES).enumerate() {
            let (kinds, mask) = kinds_of_eight(spans);
            let bits = _mm512_sllv_epi64(_mm512_set1_epi64(1), kinds);
            rows |= u64::from(_mm512_mask_test_epi64_mask(mask, bits, wanted)) << (at * LANES);
        }
        rows
    }

    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn rows_avx2(wanted: Kinds, spans: &[Span]) -> u64 {
        const LANES: usize = 4;
        let set = _mm256_set1_epi64x(i64::from(wanted.bits()));
        let (whole, rest) = spans.as_chunks::<LANES>();
        let mut found = 0;
        for (at, spans) in whole.iter().enumerate() {
            // SAFETY: the load is the four spans, and needs no alignment.
            let lanes = unsafe { _mm256_loadu_si256(spans.as_ptr().cast()) };
            let kinds =
                _mm256_and_si256(_mm256_srli_epi64::<{ KIND_SHIFT as i32 }>(lanes), _mm256_set1_epi64x(KIND_MASK));
            // The kind's bit of the set becomes the lane's sign.
            let signs = _mm256_sllv_epi64(set, _mm256_sub_epi64(_mm256_set1_epi64x(63), kinds));
            found |= (_mm256_movemask_pd(_mm256_castsi256_pd(signs)) as u64) << (at * LANES);
        }
        // Fewer than four rows: no shift by 64.
        if rest.is_empty() { found } else { found | rows(wanted, rest) << (whole.len() * LANES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::span::SpanKind::{self, *};

    const ALL: [SpanKind; 9] = [Absent, Null, True, False, Number, Plain, Escaped, Object, Array];

    fn span(kind: SpanKind) -> Span {
        Span::new(kind, 0xffff_fff7, 0xffff_fff7 + 100 * kind as usize)
    }

    #[test]
    fn every_kind_has_its_bit() {
        for kernels in Kernels::all() {
            assert_eq!(kinds(kernels, &[]).bits(), 0);
            for some in 1..=ALL.len() {
                // More than a register holds, so that the rest after whole registers counts too.
                let spans: Vec<Span> = ALL[..some].iter().cycle().take(some + 63).map(|&kind| span(kind)).collect();
                assert_eq!(kinds(kernels, &spans).bits(), (1 << some) - 1, "{kernels}");
            }
            for kind in ALL {
                assert_eq!(kinds(kernels, &[span(kind)]).bits(), 1 << kind as u16, "{kernels}");
            }
        }
    }

    #[test]
    fn every_row_has_its_bit() {
        for kernels in Kernels::all() {
            for count in 0..=64 {
                let spans: Vec<Span> = ALL.iter().cycle().take(count).map(|&kind| span(kind)).collect();
                for set in [Kinds::MISSING, Kinds::TEXT, Kinds::JSON, Kinds::PLAIN, Kinds::of_bits(0)] {
                    let expected: Vec<bool> = spans.iter().map(|span| set.has(span.kind())).collect();
                    let rows = rows_of(set, &spans, kernels);
                    let found: Vec<bool> = (0..count).map(|row| rows >> row & 1 == 1).collect();
                    assert_eq!(found, expected, "{kernels}, {count} rows");
                    assert_eq!(rows.checked_shr(count as u32).unwrap_or(0), 0, "no bit beyond the rows");
                }
            }
        }
    }
}
