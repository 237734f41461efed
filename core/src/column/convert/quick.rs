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

    /// `magnitude` has sixteen digits at most.
    #[inline(always)]
    fn signed(&self, magnitude: u64) -> i64 {
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
pub(crate) fn integer(block: &[u8], span: Span) -> Option<i64> {
    let number = Padded::at(block, span)?;
    Some(number.signed(sixteen_digits(number.word)?))
}

/// A short number with at most one point, and a digit on either side of it: `units` over ten to the power `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Short {
    /// The number as if the point were not there.
    pub(crate) units: i64,
    /// Digits after the point, at most 14.
    pub(crate) after: u32,
}

/// At most sixteen characters without the sign. Not zero with a minus, whose sign a float has to keep.
#[inline(always)]
pub(crate) fn decimal(block: &[u8], span: Span) -> Option<Short> {
    let number = Padded::at(block, span)?;
    let word = number.word;
    // Marks points exactly: in a byte that is zero after the exclusive or, no sum reaches the high bit.
    let others = word ^ splat(b'.');
    let marks = !(((others & splat(0x7f)) + splat(0x7f)) | others) & splat(0x80);
    let (digits, after) = match marks {
        0 => (word, 0),
        _ => {
            let point = marks.trailing_zeros() as usize / 8;
            let after = WORD_BYTES - 1 - point;
            if point + number.len <= WORD_BYTES || after == 0 {
                return None;
            }
            ((word & KEPT[after]) | (word << 8) & !KEPT[after] | u128::from(b'0'), after as u32)
        }
    };
    let magnitude = sixteen_digits(digits)?;
    if number.negative && magnitude == 0 {
        return None;
    }
    Some(Short { units: number.signed(magnitude), after })
}

impl Short {
    /// The double nearest to the number: its digits are exact in a double, and so is the power of ten, so the one
    /// rounding of the division is the only one (W. Clinger, "How to read floating point numbers accurately", 1990).
    #[inline(always)]
    pub(in crate::column) fn double(self) -> Option<f64> {
        let is_exact = self.units.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
        is_exact.then(|| self.units as f64 / DOUBLE_POWERS[self.after as usize])
    }

    /// The single nearest to the number, in the same way.
    #[inline(always)]
    pub(in crate::column) fn single(self) -> Option<f32> {
        let is_exact = self.units.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS && self.after <= SINGLE_POWER_MAX;
        is_exact.then(|| self.units as f32 / DOUBLE_POWERS[self.after as usize] as f32)
    }
}

const DOUBLE_POWERS: [f64; 15] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
/// Largest power of ten that is exact in a single.
const SINGLE_POWER_MAX: u32 = 10;

#[cfg(test)]
mod tests;
