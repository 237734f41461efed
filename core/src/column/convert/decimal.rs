//! Decimals: exact, from text. Money is never rounded: a digit that the column cannot hold is a mismatch.

use crate::column::mismatch::Cause;
use crate::column::value::Value;

use super::number::{Excess, scaled};
use super::quick::Short;
use super::written;

/// Digits that the fast way takes: their value fits a `u64`.
const SHORT_DIGITS_MAX: usize = 18;

/// Zeros that may be appended to a quick decimal without an overflow.
const QUICK_ZEROS_MAX: usize = 22;

const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// The rule of one decimal column.
#[derive(Debug, Clone, Copy)]
pub(in crate::column) struct DecimalRule {
    precision: u8,
    scale: u8,
    /// Ten to the precision: the least magnitude that does not fit.
    limit: i128,
}

impl DecimalRule {
    /// # Errors
    /// A sentence, unless `1 <= precision <= 38` and `scale <= precision`.
    pub(in crate::column) fn new(precision: u8, scale: u8) -> Result<Self, String> {
        if !(1..=38).contains(&precision) || scale > precision {
            return Err(format!(
                "decimal({precision}, {scale}) needs 1 to 38 digits, and no more of them after the point"
            ));
        }
        Ok(DecimalRule { precision, scale, limit: POWERS_OF_TEN[usize::from(precision)] })
    }

    pub(in crate::column) fn precision(self) -> u8 {
        self.precision
    }

    pub(in crate::column) fn scale(self) -> u8 {
        self.scale
    }

    /// The value times ten to the scale.
    #[inline]
    pub(in crate::column) fn convert(self, value: Value<'_>) -> Result<i128, Cause> {
        let text = written(value)?.as_bytes();
        let units = match self.short(text) {
            Some(units) => units,
            None => scaled(text, i32::from(self.scale), Excess::Reject)?,
        };
        if units.unsigned_abs() < self.limit.unsigned_abs() { Ok(units) } else { Err(Cause::Range) }
    }

    /// The same for a number that a kernel read; `None` says nothing about others.
    #[inline(always)]
    pub(in crate::column) fn quick(self, Short { units, after }: Short) -> Option<i128> {
        let zeros = usize::from(self.scale).checked_sub(after as usize)?;
        // Below 10^16 times 10^22: fits.
        let units = i128::from(units) * POWERS_OF_TEN[..=QUICK_ZEROS_MAX].get(zeros)?;
        (units.unsigned_abs() < self.limit.unsigned_abs()).then_some(units)
    }

    /// `-`, digits, and a point with at most as many digits after it as the scale; `None` for anything else.
    #[inline]
    fn short(self, text: &[u8]) -> Option<i128> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        if text.len() > SHORT_DIGITS_MAX {
            return None;
        }
        let (value, whole) = leading_digits(0, text);
        let (value, after) = match &text[whole..] {
            [] => (value, 0),
            [b'.', rest @ ..] => {
                let (value, after) = leading_digits(value, rest);
                if after == 0 || after < rest.len() {
                    return None;
                }
                (value, after)
            }
            _ => return None,
        };
        if whole == 0 || after > usize::from(self.scale) {
            return None;
        }
        // Below 10^18 times at most 10^38 may overflow: the slow way then says that it is out of range.
        let units = i128::from(value).checked_mul(POWERS_OF_TEN[usize::from(self.scale) - after])?;
        Some(if negative { -units } else { units })
    }
}

/// Appends the digits in front of `text` to `value`; how many there were.
#[inline]
fn leading_digits(mut value: u64, text: &[u8]) -> (u64, usize) {
    for (count, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (value, count);
        }
        value = value * 10 + u64::from(digit);
    }
    (value, text.len())
}

#[cfg(test)]
mod tests;
