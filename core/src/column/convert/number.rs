//! Integers and floats, and the exact decimal arithmetic under integers, decimals and epoch timestamps.
//!
//! Two ways through: plain short digits, eight at a time; and a scanner for everything else the grammar allows
//! (fractions, exponents, forty zeros), which is exact and linear in the length of the text, whatever the exponent.

use crate::column::mismatch::Cause;
use crate::column::value::Value;

use super::written;

/// Most decimal digits of an exact result: `10^38 - 1` fits an `i128`.
pub(super) const DIGITS_MAX: usize = 38;

/// Exponents are cut here: any number of digits in a text is far smaller, so the outcome is the same.
const EXPONENT_CUT: i64 = 1 << 40;

/// An integer: digits, bare or in quotes; a fraction or an exponent only if the value is an integer nevertheless.
#[inline]
pub(in crate::column) fn integer<T: TryFrom<i64> + TryFrom<i128>>(value: Value<'_>) -> Result<T, Cause> {
    let text = written(value)?.as_bytes();
    match short_integer(text) {
        Some(short) => T::try_from(short).map_err(|_| Cause::Range),
        None => long_integer(text),
    }
}

#[cold]
fn long_integer<T: TryFrom<i128>>(text: &[u8]) -> Result<T, Cause> {
    let exact = scaled(text, 0, Excess::Reject)?;
    T::try_from(exact).map_err(|_| Cause::Range)
}

/// The double nearest to the text; infinity is out of range.
pub(in crate::column) fn double(value: Value<'_>) -> Result<f64, Cause> {
    let double: f64 = number_text(value)?.parse().map_err(|_| Cause::Form)?;
    if double.is_finite() { Ok(double) } else { Err(Cause::Range) }
}

/// The single nearest to the text (not to the double nearest to it); infinity is out of range.
pub(in crate::column) fn single(value: Value<'_>) -> Result<f32, Cause> {
    let single: f32 = number_text(value)?.parse().map_err(|_| Cause::Form)?;
    if single.is_finite() { Ok(single) } else { Err(Cause::Range) }
}

/// Text that follows our grammar of numbers. A JSON number does, and was checked when it was found.
fn number_text(value: Value<'_>) -> Result<&str, Cause> {
    let text = written(value)?;
    match value {
        Value::Number(_) => Ok(text),
        _ => Literal::scan(text.as_bytes()).map(|_| text).ok_or(Cause::Form),
    }
}

/// What to do with digits after the point that the result has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// They must be zeros.
    Reject,
    /// Round toward negative infinity.
    Floor,
}

/// The number times ten to the power `shift`, exact.
///
/// # Errors
/// [`Cause::Form`] if it is not a number, [`Cause::Range`] beyond [`DIGITS_MAX`] digits, [`Cause::Fraction`] if digits
/// other than zero are left after the point and `excess` rejects them.
pub(super) fn scaled(text: &[u8], shift: i32, excess: Excess) -> Result<i128, Cause> {
    let literal = Literal::scan(text).ok_or(Cause::Form)?;
    let leading = literal.digits().take_while(|&digit| digit == 0).count();
    let significant = (literal.whole.len() + literal.fraction.len() - leading) as i64;
    if significant == 0 {
        return Ok(0);
    }
    // The value is the digits as one integer, times ten to `power`; so this many digits stand before its point.
    let power = literal.exponent + i64::from(shift) - literal.fraction.len() as i64;
    let before_point = significant + power;
    if before_point > DIGITS_MAX as i64 {
        return Err(Cause::Range);
    }
    let mut digits = literal.digits().skip(leading);
    let kept = before_point.clamp(0, significant) as usize;
    let mut magnitude = digits.by_ref().take(kept).fold(0i128, |value, digit| value * 10 + i128::from(digit));
    magnitude *= 10i128.pow(power.max(0) as u32);
    let exact = digits.all(|digit| digit == 0);
    match (exact, excess) {
        (false, Excess::Reject) => Err(Cause::Fraction),
        (false, Excess::Floor) if literal.negative => Ok(-magnitude - 1),
        _ if literal.negative => Ok(-magnitude),
        _ => Ok(magnitude),
    }
}

/// A number as written, cut into its parts. The grammar is JSON's, and leading zeros, which logs with fixed widths
/// write; no plus sign, no lone point, no spaces, no infinity.
struct Literal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Literal<'a> {
    fn scan(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (whole, text) = split_digits(text)?;
        let (fraction, text) = match text {
            [b'.', rest @ ..] => split_digits(rest)?,
            _ => (&[][..], text),
        };
        let exponent = match text {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        Some(Literal { negative, whole, fraction, exponent })
    }

    /// Values of the digits, from the left.
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).map(|digit| digit - b'0')
    }
}

/// Splits off the digits in front, at least one.
fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match text.iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => None,
        count => Some(text.split_at(count)),
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let (digits, rest) = split_digits(text)?;
    let fold = |value: i64, digit: &u8| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_CUT);
    rest.is_empty().then(|| sign * digits.iter().fold(0, fold))
}

/// An optional minus and one to eighteen digits; `None` for anything else.
#[inline]
pub(super) fn short_integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => Some(-(short_digits(digits)? as i64)),
        digits => Some(short_digits(digits)? as i64),
    }
}

/// One to eighteen digits; `None` for anything else.
#[inline]
pub(super) fn short_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    let (blocks, tail) = text.as_chunks::<8>();
    let mut value = 0;
    for block in blocks {
        value = value * 100_000_000 + eight_digits(*block)?;
    }
    for byte in tail {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Eight digits at once: pairs, then fours, then the eight are summed within one word
/// (D. Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn eight_digits(block: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let word = u64::from_le_bytes(block);
    // A digit is 0x30..=0x39: high nibble three, also after adding six. A carry comes only from a byte that fails.
    let carried = word.wrapping_add(0x0606_0606_0606_0606);
    if (word & HIGH) != 0x3030_3030_3030_3030 || (carried & HIGH) != 0x3030_3030_3030_3030 {
        return None;
    }
    Some(eight_digits_word(word))
}

/// The same for eight bytes that are known to be digits, the first one lowest.
#[inline(always)]
pub(super) const fn eight_digits_word(word: u64) -> u64 {
    let word = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (word * 10 + (word >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests;
