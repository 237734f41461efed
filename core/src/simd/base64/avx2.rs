//! 32 symbols a step. A look-up is one of 16 bytes here, so a symbol is taken apart into its two digits: rows of 16 ASCII
//! characters have their own distance from symbol to value, and each row and column a set of bits that have one in
//! common where no symbol stands.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi8, _mm256_and_si256, _mm256_andnot_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_maskload_epi32, _mm256_or_si256, _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi32, _mm256_storeu_si256,
    _mm256_testz_si256,
};

use super::Quad;
use super::rows::{DISTANCES, FAULTS_OF_COLUMNS, FAULTS_OF_ROWS};

/// Symbols of a step.
const SYMBOLS: usize = 32;
/// Bytes that they are.
const BYTES: usize = SYMBOLS / 4 * 3;

/// Where the bytes of four quads stand: each quad is a little-endian `u32` of 24 bits, and the bytes go out from the high
/// end.
const ORDER: [u8; 16] = [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 0x80, 0x80, 0x80, 0x80];

/// The table in both halves of a register, since look-ups stay within a half.
#[target_feature(enable = "avx2")]
fn twice(table: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes of a table of 16.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

/// See [`super::decode`].
///
/// # Safety
/// As there: `to` is valid for writes of `3 * quads.len()` bytes and the slack. The machine has the instructions.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn decode(quads: &[Quad], mut to: *mut u8) -> bool {
    let (of_rows, of_columns, distances) = (twice(&FAULTS_OF_ROWS), twice(&FAULTS_OF_COLUMNS), twice(&DISTANCES));
    let order = twice(&ORDER);
    let digit = _mm256_set1_epi8(0x0F);
    let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);

    let mut faults = _mm256_setzero_si256();
    let mut step = |symbols: __m256i| {
        let rows = _mm256_and_si256(_mm256_srli_epi32::<4>(symbols), digit);
        let columns = _mm256_and_si256(symbols, digit);
        let both = _mm256_and_si256(_mm256_shuffle_epi8(of_rows, rows), _mm256_shuffle_epi8(of_columns, columns));
        faults = _mm256_or_si256(faults, both);
        // All ones, which is -1, for the one symbol that has not the distance of its row.
        let slash = _mm256_cmpeq_epi8(symbols, _mm256_set1_epi8(b'/' as i8));
        let distance = _mm256_shuffle_epi8(distances, _mm256_add_epi8(rows, slash));
        let values = _mm256_add_epi8(symbols, distance);
        let pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x0140_0140));
        let words = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_1000));
        _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(words, order), together)
    };

    let (blocks, rest) = quads.as_chunks::<{ SYMBOLS / 4 }>();
    for block in blocks {
        // SAFETY: 32 bytes are read of a block of eight quads. Blocks so far take 24 bytes each; what is written behind is
        // at most eight of the slack.
        unsafe {
            let bytes = step(_mm256_loadu_si256(block.as_ptr().cast()));
            _mm256_storeu_si256(to.cast(), bytes);
            to = to.add(BYTES);
        }
    }
    if !rest.is_empty() {
        let quads = _mm256_set1_epi32(rest.len() as i32);
        let there = _mm256_cmpgt_epi32(quads, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        let absent = _mm256_andnot_si256(there, _mm256_set1_epi8(b'A' as i8));
        // SAFETY: as many quads are read as `rest` has, less than eight; others cannot fault. What is written behind their
        // bytes is less than 32 of the slack.
        unsafe {
            let symbols = _mm256_or_si256(_mm256_maskload_epi32(rest.as_ptr().cast(), there), absent);
            _mm256_storeu_si256(to.cast(), step(symbols));
        }
    }
    _mm256_testz_si256(faults, faults) == 1
}
