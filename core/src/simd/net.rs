//! IPv4 addresses and UUIDs of a block of records, in their common form: dotted decimals, and 36 characters.
//!
//! A kernel says which rows it read, as those of [`super::numbers`] do; whoever asked looks at the others itself.

use std::net::Ipv4Addr;

use super::Kernels;
use super::numbers::each;
use super::spans::rows_of;
use crate::column::convert::net::uuid_bytes;
use crate::column::span::{Kinds, Span};

/// Reads addresses in strings, `a.b.c.d` as the number `a * 2^24 + b * 2^16 + c * 2^8 + d`. The answer is that of
/// [`super::numbers::integers`].
///
/// # Panics
/// If there are more than [`super::numbers::ROWS_MAX`] spans, or not as many places in `out`.
pub(crate) fn ipv4s(block: &[u8], spans: &[Span], out: &mut [u32], kernels: Kernels) -> u64 {
    // A bare number is neither.
    let rows = rows_of(Kinds::PLAIN, spans, kernels);
    match kernels.level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level's instructions are there, see `Kernels`.
        super::Level::Avx512 | super::Level::Avx2 => unsafe { x86::ipv4s(block, spans, rows, out) },
        _ => each(spans, rows, out, |span| {
            let text = block.get(span.start()..span.end())?;
            Some(str::from_utf8(text).ok()?.parse::<Ipv4Addr>().ok()?.to_bits())
        }),
    }
}

/// Reads UUIDs in strings: their bytes in the order in which they are written, as they lie in memory. The answer is that
/// of [`super::numbers::integers`].
///
/// # Panics
/// If there are more than [`super::numbers::ROWS_MAX`] spans, or not as many places in `out`.
pub(crate) fn uuids(block: &[u8], spans: &[Span], out: &mut [i128], kernels: Kernels) -> u64 {
    // A bare number is neither.
    let rows = rows_of(Kinds::PLAIN, spans, kernels);
    match kernels.level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level's instructions are there, see `Kernels`.
        super::Level::Avx512 | super::Level::Avx2 => unsafe { x86::uuids(block, spans, rows, out) },
        _ => {
            each(spans, rows, out, |span| Some(i128::from_ne_bytes(uuid_bytes(block.get(span.start()..span.end())?)?)))
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    const BYTES: usize = 16;

    /// What brings the digits of four numbers, of one to three digits each and a point between them, to the ends of
    /// four lanes; and the least numbers that need that many digits. By the numbers' lengths, see [`pattern`].
    struct Pattern {
        places: [u8; BYTES],
        least: [i32; 4],
    }

    const PATTERNS: [Pattern; 81] = {
        let mut patterns = [const { Pattern { places: [0x80; BYTES], least: [0; 4] } }; 81];
        let mut at = 0;
        while at < patterns.len() {
            let lens = [at / 27 + 1, at / 9 % 3 + 1, at / 3 % 3 + 1, at % 3 + 1];
            let mut start = 0;
            let mut lane = 0;
            while lane < 4 {
                let mut digit = 0;
                while digit < lens[lane] {
                    patterns[at].places[4 * lane + 4 - lens[lane] + digit] = (start + digit) as u8;
                    digit += 1;
                }
                patterns[at].least[lane] = [0, 10, 100][lens[lane] - 1];
                start += lens[lane] + 1;
                lane += 1;
            }
            at += 1;
        }
        patterns
    };

    /// The pattern of an address of `len` characters with points at the bits of `points`, which are three.
    #[inline(always)]
    fn pattern(points: u32, len: usize) -> Option<&'static Pattern> {
        let first = points.trailing_zeros();
        let points = points & (points - 1);
        let second = points.trailing_zeros();
        let third = (points & (points - 1)).trailing_zeros();
        // Lengths less one; too large for none and for more than three.
        let a = first.wrapping_sub(1);
        let b = second.wrapping_sub(first + 2);
        let c = third.wrapping_sub(second + 2);
        let d = (len as u32).wrapping_sub(third + 2);
        if a.max(b).max(c).max(d) > 2 {
            return None;
        }
        PATTERNS.get((a * 27 + b * 9 + c * 3 + d) as usize)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    fn ipv4(block: &[u8], span: Span) -> Option<u32> {
        let (start, len) = (span.start(), span.len());
        // The longest has 15 characters; sixteen bytes are read.
        if len >= BYTES || start + BYTES > block.len() {
            return None;
        }
        // SAFETY: sixteen bytes from `start` on are within the block.
        let bytes = unsafe { _mm_loadu_si128(block.as_ptr().add(start).cast()) };
        let all = (1u32 << len) - 1;
        let points = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'.' as i8))) as u32 & all;
        let digits = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
        let in_range = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
        if (_mm_movemask_epi8(in_range) as u32 | points) & all != all || points.count_ones() != 3 {
            return None;
        }
        let pattern = pattern(points, len)?;
        // SAFETY: both are sixteen bytes of a pattern.
        let (places, least) = unsafe {
            (_mm_loadu_si128(pattern.places.as_ptr().cast()), _mm_loadu_si128(pattern.least.as_ptr().cast()))
        };
        let lanes = _mm_shuffle_epi8(digits, places);
        // Nothing, hundreds, tens and ones.
        let halves = _mm_maddubs_epi16(lanes, _mm_set1_epi32(0x010a_6400));
        let octets = _mm_madd_epi16(halves, _mm_set1_epi16(1));
        let wrong = _mm_or_si128(_mm_cmpgt_epi32(octets, _mm_set1_epi32(255)), _mm_cmpgt_epi32(least, octets));
        if _mm_testz_si128(wrong, wrong) == 0 {
            return None;
        }
        Some(_mm_cvtsi128_si32(_mm_shuffle_epi8(octets, _mm_set1_epi32(0x0004_080c))) as u32)
    }

    /// # Safety
    /// The machine has AVX2, BMI1, BMI2 and POPCNT.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    pub(super) unsafe fn ipv4s(block: &[u8], spans: &[Span], rows: u64, out: &mut [u32]) -> u64 {
        each(spans, rows, out, |span| ipv4(block, span))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn uuid(text: &[u8; 36]) -> Option<i128> {
        let hyphens = (text[8] ^ b'-') | (text[13] ^ b'-') | (text[18] ^ b'-') | (text[23] ^ b'-');
        let from = text.as_ptr();
        // SAFETY: characters 0 to 7, 2 to 17 and 20 to 35 of 36.
        let (head, middle, tail) = unsafe {
            (_mm_loadl_epi64(from.cast()), _mm_loadu_si128(from.add(2).cast()), _mm_loadu_si128(from.add(20).cast()))
        };
        // Digits 9 to 12 and 14 to 17 behind the first eight; 20 to 22 and 24 to 35 behind digit 19.
        let low = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, 7, 8, 9, 10, 12, 13, 14, 15);
        let high = _mm_setr_epi8(-1, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let low = _mm_or_si128(head, _mm_shuffle_epi8(middle, low));
        let high = _mm_insert_epi8::<0>(_mm_shuffle_epi8(tail, high), i32::from(text[19]));
        let hex = _mm256_set_m128i(high, low);

        let digits = _mm256_sub_epi8(hex, _mm256_set1_epi8(b'0' as i8));
        let is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(digits, _mm256_set1_epi8(9)), digits);
        let letters = _mm256_sub_epi8(_mm256_or_si256(hex, _mm256_set1_epi8(0x20)), _mm256_set1_epi8(b'a' as i8));
        let is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(letters, _mm256_set1_epi8(5)), letters);
        if _mm256_movemask_epi8(_mm256_or_si256(is_digit, is_letter)) != -1 || hyphens != 0 {
            return None;
        }
        let values = _mm256_blendv_epi8(_mm256_add_epi8(letters, _mm256_set1_epi8(10)), digits, is_digit);
        let pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi16(0x0110));
        let bytes = _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
        let (low, high) = (_mm_cvtsi128_si64(bytes) as u64, _mm_extract_epi64::<1>(bytes));
        Some(i128::from(high) << 64 | i128::from(low))
    }

    /// # Safety
    /// The machine has AVX2, BMI1 and BMI2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn uuids(block: &[u8], spans: &[Span], rows: u64, out: &mut [i128]) -> u64 {
        each(spans, rows, out, |span| {
            let text = block.get(span.start()..span.end())?;
            if text.len() == 36 { uuid(text.first_chunk()?) } else { None }
        })
    }
}

#[cfg(test)]
mod tests;
