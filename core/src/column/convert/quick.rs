//! Numbers of the common shape, straight from a block of records: up to sixteen characters as one word that ends where
//! the number ends, so that the number's length costs no branch.
//!
//! `None` says nothing about the value but that it is not of that shape: the conversions beside this module, which are
//! the truth, then look at it. What comes out is what they would say.

use crate::column::span::Span;

use super::number::eight_digits_word;

/// Characters of a word.
const WORD_BYTES: usize = size_of::<u128>();

/// `byte` in each byte of a word.
const fn splat(byte: u8) -> u128 {
    u128::from_ne_bytes([byte; WORD_BYTES])
}

/// By length: ones for the bytes of a number of that length, which ends where the word ends.
const KEPT: [u128; WORD_BYTES + 1] = {
    let mut kept = [u128::MAX; WORD_BYTES + 1];
    kept[0] = 0;
    let mut len = 1;
    while len < WORD_BYTES {
        kept[len] = u128::MAX << (8 * (WORD_BYTES - len));
        len += 1;
    }
    kept
};

/// A number's characters behind zeros, and its sign.
struct Padded {
    word: u128,
    len: usize,
    negative: bool,
}

impl Padded {
    /// `None` near the block's beginning, for an empty span, a lone sign, and more than sixteen characters.
    #[inline(always)]
    fn at(block: &[u8], span: Span) -> Option<Padded> {
        let negative = *block.get(span.start())? == b'-';
        let len = span.len().wrapping_sub(usize::from(negative));
        if len.wrapping_sub(1) >= WORD_BYTES {
            return None;
        }
        let word = u128::from_le_bytes(*block.get(..span.end())?.last_chunk::<WORD_BYTES>()?);
        let word = (word & KEPT[len]) | (splat(b'0') & !KEPT[len]);
        Some(Padded { word, len, negative })
    }

    #[inline(always)]
    fn signed(&self, magnitude: u64) -> i64 {
        // Sixteen digits fit.
        if self.negative { -(magnitude as i64) } else { magnitude as i64 }
    }
}

/// Sixteen digits; `None` if one is not a digit.
#[inline(always)]
fn sixteen_digits(word: u128) -> Option<u64> {
    // A digit is 0x30..=0x39: high nibble three, also after adding six. A carry comes only from a byte that fails.
    let carried = word.wrapping_add(splat(6));
    if ((word ^ splat(0x30)) | (carried ^ splat(0x30))) & splat(0xf0) != 0 {
        return None;
    }
    Some(eight_digits_word(word as u64) * 100_000_000 + eight_digits_word((word >> 64) as u64))
}

/// An integer: an optional minus and one to sixteen digits.
#[inline(always)]
pub(in crate::column) fn integer<T: TryFrom<i64>>(block: &[u8], span: Span) -> Option<T> {
    T::try_from(short_integer(block, span)?).ok()
}

#[inline(always)]
pub(super) fn short_integer(block: &[u8], span: Span) -> Option<i64> {
    let number = Padded::at(block, span)?;
    Some(number.signed(sixteen_digits(number.word)?))
}

/// Digits with at most one point among them: the number as if the point were not there, and the digits after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) magnitude: u64,
    pub(super) negative: bool,
    /// At most 14.
    pub(super) after: usize,
}

#[inline(always)]
pub(super) fn short_decimal(block: &[u8], span: Span) -> Option<Short> {
    let Padded { word, len, negative } = Padded::at(block, span)?;
    // Marks points exactly: in a byte that is zero after the exclusive or, no sum reaches the high bit.
    let others = word ^ splat(b'.');
    let marks = !(((others & splat(0x7f)) + splat(0x7f)) | others) & splat(0x80);
    if marks == 0 {
        return Some(Short { magnitude: sixteen_digits(word)?, negative, after: 0 });
    }
    let point = marks.trailing_zeros() as usize / 8;
    let after = WORD_BYTES - 1 - point;
    // A digit before it, and one after it.
    if point + len <= WORD_BYTES || after == 0 {
        return None;
    }
    let behind = KEPT[after];
    let digits = (word & behind) | (word << 8) & !behind | u128::from(b'0');
    Some(Short { magnitude: sixteen_digits(digits)?, negative, after })
}

/// A double: digits whose number is exact in a double, divided by a power of ten that is exact too, so that the one
/// rounding of the division gives the double nearest to the text (W. Clinger, "How to read floating point numbers
/// accurately", 1990).
#[inline(always)]
pub(in crate::column) fn double(block: &[u8], span: Span) -> Option<f64> {
    let Short { magnitude, negative, after } = short_decimal(block, span)?;
    if magnitude > 1 << f64::MANTISSA_DIGITS {
        return None;
    }
    let value = magnitude as f64 / DOUBLE_POWERS[after];
    Some(if negative { -value } else { value })
}

/// A single, in the same way.
#[inline(always)]
pub(in crate::column) fn single(block: &[u8], span: Span) -> Option<f32> {
    let Short { magnitude, negative, after } = short_decimal(block, span)?;
    if magnitude > 1 << f32::MANTISSA_DIGITS || after > SINGLE_POWER_MAX {
        return None;
    }
    let value = magnitude as f32 / DOUBLE_POWERS[after] as f32;
    Some(if negative { -value } else { value })
}

const DOUBLE_POWERS: [f64; 15] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
/// Largest power of ten that is exact in a single.
const SINGLE_POWER_MAX: usize = 10;

#[cfg(test)]
mod tests;
