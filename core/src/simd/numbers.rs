//! Short numbers of a block of records, up to sixteen characters each.
//!
//! Sixteen bytes that end where the number ends are taken at once, and what stands before it is made zeros, so that the
//! number's length costs no branch. A kernel says which numbers it read. The others may be longer, or of another
//! form, or not be numbers at all: whoever asked looks at them itself.

use super::Kernels;
use super::spans::rows_of;
use crate::column::convert::quick::{self, Short};
use crate::column::span::{Kinds, Span};

/// Rows of a call: bits of the answer.
pub(crate) const ROWS_MAX: usize = u64::BITS as usize;

/// Reads integers, bare or in quotes: an optional minus and one to sixteen digits. The answer has a bit for each one
/// that was read, the first span's lowest; what is in `out` for the others means nothing.
///
/// # Panics
/// If there are more than [`ROWS_MAX`] spans, or not as many places in `out`.
pub(crate) fn integers(block: &[u8], spans: &[Span], out: &mut [i64], kernels: Kernels) -> u64 {
    let rows = rows_of(Kinds::TEXT, spans, kernels);
    match kernels.level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level's instructions are there, see `Kernels`.
        super::Level::Avx512 => unsafe { x86::integers_avx512(block, spans, rows, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        super::Level::Avx2 => unsafe { x86::integers(block, spans, rows, out) },
        _ => each(spans, rows, out, |span| quick::integer(block, span)),
    }
}

/// Reads numbers with at most one point, see [`quick::decimal`]. The answer is that of [`integers`].
///
/// # Panics
/// If there are more than [`ROWS_MAX`] spans, or not as many places in `out`.
pub(crate) fn decimals(block: &[u8], spans: &[Span], out: &mut [Short], kernels: Kernels) -> u64 {
    let rows = rows_of(Kinds::TEXT, spans, kernels);
    match kernels.level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level's instructions are there, see `Kernels`.
        super::Level::Avx512 | super::Level::Avx2 => unsafe { x86::decimals(block, spans, rows, out) },
        _ => each(spans, rows, out, |span| quick::decimal(block, span)),
    }
}

/// Reads the spans at the bits of `rows`; which ones were read. Where most rows have nothing, only the others cost.
#[inline(always)]
pub(super) fn each<T>(spans: &[Span], mut rows: u64, out: &mut [T], read: impl Fn(Span) -> Option<T>) -> u64 {
    assert!(spans.len() <= ROWS_MAX && spans.len() == out.len(), "a bit and a place for each row");
    let mut done = 0;
    while rows != 0 {
        let row = rows.trailing_zeros() as usize;
        if let Some(value) = read(spans[row]) {
            out[row] = value;
            done |= 1 << row;
        }
        rows &= rows - 1;
    }
    done
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::fours::{self, BYTES, FOUR};
    use super::*;

    /// By length: ones for the bytes of a number that ends where sixteen bytes end.
    const KEPT: [[u8; BYTES]; BYTES + 1] = {
        let mut kept = [[0; BYTES]; BYTES + 1];
        let mut len = 1;
        while len <= BYTES {
            kept[len] = kept[len - 1];
            kept[len][BYTES - len] = 0xff;
            len += 1;
        }
        kept
    };

    /// By place of the point, 16 for none: what takes the point out and moves what stands before it up.
    const WITHOUT: [[u8; BYTES]; BYTES + 1] = {
        let mut without = [[0; BYTES]; BYTES + 1];
        let mut point = 0;
        while point <= BYTES {
            let mut at = 0;
            while at < BYTES {
                // A high bit makes a zero.
                without[point][at] = match at {
                    _ if at > point || point == BYTES => at as u8,
                    0 => 0x80,
                    _ => at as u8 - 1,
                };
                at += 1;
            }
            point += 1;
        }
        without
    };

    /// A number's characters less `'0'` behind zeros, its length, and whether there is a minus in front of it.
    struct Padded {
        digits: __m128i,
        len: usize,
        negative: bool,
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn padded(block: &[u8], span: Span) -> Option<Padded> {
        let end = span.end();
        let negative = *block.get(span.start())? == b'-';
        let len = span.len().wrapping_sub(usize::from(negative));
        if len.wrapping_sub(1) >= BYTES || end < BYTES || end > block.len() {
            return None;
        }
        // SAFETY: sixteen bytes that end at `end`, which is at least 16 and within the block; and a row of the table.
        let (bytes, kept) = unsafe {
            (_mm_loadu_si128(block.as_ptr().add(end - BYTES).cast()), _mm_loadu_si128(KEPT[len].as_ptr().cast()))
        };
        Some(Padded { digits: _mm_and_si128(_mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8)), kept), len, negative })
    }

    /// The number that sixteen digits write; `None` if one is not a digit.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn value(digits: __m128i, negative: bool) -> Option<i64> {
        let in_range = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
        if _mm_movemask_epi8(in_range) != 0xffff {
            return None;
        }
        let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
        let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x0001_0064));
        let eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(0x0001_2710));
        let both = _mm_cvtsi128_si64(eights) as u64;
        let magnitude = ((both & 0xffff_ffff) * 100_000_000 + (both >> 32)) as i64;
        Some(if negative { -magnitude } else { magnitude })
    }

    /// # Safety
    /// The machine has AVX2, BMI1 and BMI2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn integers(block: &[u8], spans: &[Span], rows: u64, out: &mut [i64]) -> u64 {
        each(spans, rows, out, |span| {
            let number = padded(block, span)?;
            value(number.digits, number.negative)
        })
    }

    /// Four integers without a sign; `None` if one is not of that shape.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
    fn four_integers(block: &[u8], spans: &[Span; FOUR]) -> Option<__m256i> {
        let fours::Spans { starts, lengths, .. } = fours::parts(spans);
        let ends = _mm256_add_epi64(starts, lengths);
        let sixteen = _mm256_set1_epi64x(BYTES as i64);
        let fit = _mm256_cmple_epu64_mask(_mm256_sub_epi64(lengths, _mm256_set1_epi64x(1)), _mm256_set1_epi64x(15))
            & _mm256_cmpge_epu64_mask(ends, sixteen)
            & _mm256_cmple_epu64_mask(ends, _mm256_set1_epi64x(block.len() as i64));
        if fit != 0xf {
            return None;
        }
        // SAFETY: all four ends are within the block and at least sixteen.
        let ending = |span: Span| unsafe { _mm_loadu_si128(block.as_ptr().add(span.end() - BYTES).cast()) };
        let bytes = fours::joined(spans.map(ending));
        // What stands before the number becomes zeros.
        let from_end = _mm512_add_epi8(fours::spread(lengths), fours::places());
        let kept = _mm512_cmpge_epu8_mask(from_end, _mm512_set1_epi8(BYTES as i8));
        let digits = _mm512_maskz_sub_epi8(kept, bytes, _mm512_set1_epi8(b'0' as i8));
        if _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(9)) != 0 {
            return None;
        }
        let pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010a));
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064));
        let eights = _mm512_madd_epi16(_mm512_packus_epi32(fours, fours), _mm512_set1_epi32(0x0001_2710));
        let upper = _mm512_mul_epu32(eights, _mm512_set1_epi64(100_000_000));
        let values = _mm512_add_epi64(upper, _mm512_srli_epi64::<32>(eights));
        // The lower half of each lane.
        let halves = _mm512_set_epi64(0, 0, 0, 0, 6, 4, 2, 0);
        Some(_mm512_castsi512_si256(_mm512_permutexvar_epi64(halves, values)))
    }

    /// [`integers`], four at once where all four are there.
    ///
    /// # Safety
    /// The machine has AVX-512 F, BW, VL, DQ and VBMI, AVX2, BMI1 and BMI2.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx2,bmi1,bmi2")]
    pub(super) unsafe fn integers_avx512(block: &[u8], spans: &[Span], rows: u64, out: &mut [i64]) -> u64 {
        assert!(spans.len() <= ROWS_MAX && spans.len() == out.len(), "a bit and a place for each row");
        let mut done = 0;
        let fours = spans.as_chunks::<FOUR>().0.iter().zip(out.as_chunks_mut::<FOUR>().0);
        for (at, (spans, out)) in fours.enumerate() {
            let mask = 0xf << (at * FOUR);
            if rows & mask == mask
                && let Some(values) = four_integers(block, spans)
            {
                // SAFETY: four numbers for four places; the store needs no alignment.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), values) };
                done |= mask;
            }
        }
        if done == rows {
            return done;
        }
        // SAFETY: what the caller promises.
        done | unsafe { integers(block, spans, rows & !done, out) }
    }

    /// # Safety
    /// The machine has AVX2, BMI1 and BMI2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn decimals(block: &[u8], spans: &[Span], rows: u64, out: &mut [Short]) -> u64 {
        each(spans, rows, out, |span| {
            let Padded { digits, len, negative } = padded(block, span)?;
            // A point, less '0'. What was made zeros is none.
            let points = _mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_set1_epi8(b'.'.wrapping_sub(b'0') as i8)));
            let point = (points as u32 | 1 << BYTES).trailing_zeros() as usize;
            let after = (BYTES - 1).saturating_sub(point);
            // A digit before the point, and one after it.
            if point < BYTES && (point + len <= BYTES || after == 0) {
                return None;
            }
            // SAFETY: a row of the table.
            let without = unsafe { _mm_loadu_si128(WITHOUT[point].as_ptr().cast()) };
            let units = value(_mm_shuffle_epi8(digits, without), negative)?;
            if negative && units == 0 {
                return None;
            }
            Some(Short { units, after: after as u32 })
        })
    }
}
