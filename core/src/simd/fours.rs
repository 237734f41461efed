//! Four values of sixteen bytes in one register of AVX-512, each in a lane of its own, and what is known of each spread
//! over its lane.

use std::arch::x86_64::*;

use crate::column::span::Span;

/// Values of a register.
pub(super) const FOUR: usize = 4;
/// Bytes of a value.
pub(super) const BYTES: usize = 16;

/// By byte of a register: where the number of its lane stands among four of 64 bits.
const NUMBERS: [u8; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[at] = (at / BYTES * size_of::<u64>()) as u8;
        at += 1;
    }
    places
};

/// By byte of a register: its place in its lane.
const PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[at] = (at % BYTES) as u8;
        at += 1;
    }
    places
};

/// Starts, kinds and lengths of four spans, in lanes of 64 bits.
#[derive(Clone, Copy)]
pub(super) struct Spans {
    pub(super) starts: __m256i,
    pub(super) kinds: __m256i,
    pub(super) lengths: __m256i,
}

/// The parts of four spans.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn parts(spans: &[Span; FOUR]) -> Spans {
    // SAFETY: four spans are 32 bytes, each two numbers of 32 bits; the load needs no alignment.
    let lanes = unsafe { _mm256_loadu_si256(spans.as_ptr().cast()) };
    Spans {
        starts: _mm256_and_si256(lanes, _mm256_set1_epi64x(0xffff_ffff)),
        kinds: _mm256_and_si256(_mm256_srli_epi64::<32>(lanes), _mm256_set1_epi64x(0xf)),
        lengths: _mm256_srli_epi64::<36>(lanes),
    }
}

/// The four values in one register, the first one lowest.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn joined([a, b, c, d]: [__m128i; FOUR]) -> __m512i {
    let values = _mm512_inserti64x2::<1>(_mm512_castsi128_si512(a), b);
    _mm512_inserti64x2::<3>(_mm512_inserti64x2::<2>(values, c), d)
}

/// The lowest byte of each of four numbers in all bytes of its lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
pub(super) fn spread(numbers: __m256i) -> __m512i {
    // SAFETY: a table of 64 bytes.
    let numbers_at = unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) };
    _mm512_permutexvar_epi8(numbers_at, _mm512_castsi256_si512(numbers))
}

/// The place of each byte in its lane.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn places() -> __m512i {
    // SAFETY: a table of 64 bytes.
    unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) }
}
