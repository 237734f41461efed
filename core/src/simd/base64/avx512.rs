//! 64 symbols a step: one look-up in a table of 128 bytes says what each is worth and whether it is a symbol.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_epi8, _mm512_madd_epi16, _mm512_maddubs_epi16, _mm512_mask_loadu_epi8, _mm512_movepi8_mask,
    _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_epi8, _mm512_ternarylogic_epi32,
};

use super::{Quad, VALUES};

/// Symbols of a step.
const SYMBOLS: usize = 64;
/// Bytes that they are.
const BYTES: usize = SYMBOLS / 4 * 3;

/// Where a step's bytes stand among its quads: each is a little-endian `u32` of 24 bits, and the bytes go out from the
/// high end.
const ORDER: [u8; SYMBOLS] = {
    let mut order = [0; SYMBOLS];
    let mut byte = 0;
    while byte < BYTES {
        order[byte] = (byte / 3 * 4 + 2 - byte % 3) as u8;
        byte += 1;
    }
    order
};

/// See [`super::decode`].
///
/// # Safety
/// As there: `to` is valid for writes of `3 * quads.len()` bytes and the slack. The machine has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn decode(quads: &[Quad], mut to: *mut u8) -> bool {
    // SAFETY: 64 bytes of a table of 256, then its next 64.
    let (low, high) =
        unsafe { (_mm512_loadu_epi8(VALUES.as_ptr().cast()), _mm512_loadu_epi8(VALUES.as_ptr().add(SYMBOLS).cast())) };
    // SAFETY: 64 bytes of a table of 64.
    let order = unsafe { _mm512_loadu_epi8(ORDER.as_ptr().cast()) };

    // The high bit of a byte is set if there was no symbol.
    let mut seen = _mm512_setzero_si512();
    let mut step = |symbols: __m512i| {
        let values = _mm512_permutex2var_epi8(low, symbols, high);
        // The look-up takes the low seven bits of a byte for ASCII, so a byte beyond ASCII speaks for itself.
        seen = _mm512_ternarylogic_epi32::<{ OR }>(seen, values, symbols);
        let pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x0140_0140));
        let words = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_1000));
        _mm512_permutexvar_epi8(order, words)
    };

    let (blocks, rest) = quads.as_flattened().as_chunks::<SYMBOLS>();
    for block in blocks {
        // SAFETY: 64 bytes are read of a block of 64. Blocks so far take 48 bytes each; what is written behind is at most
        // 16 of the slack.
        unsafe {
            let bytes = step(_mm512_loadu_epi8(block.as_ptr().cast()));
            _mm512_storeu_epi8(to.cast(), bytes);
            to = to.add(BYTES);
        }
    }
    if !rest.is_empty() {
        let there = u64::MAX >> (SYMBOLS - rest.len());
        // SAFETY: as many bytes are read as `rest` has, one for each bit; others cannot fault. What is written behind the
        // bytes of the last quad is less than 64 of the slack.
        unsafe {
            let symbols = _mm512_mask_loadu_epi8(_mm512_set1_epi8(b'A' as i8), there, rest.as_ptr().cast());
            _mm512_storeu_epi8(to.cast(), step(symbols));
        }
    }
    _mm512_movepi8_mask(seen) == 0
}

/// `a | b | c`.
const OR: i32 = 0xFE;
