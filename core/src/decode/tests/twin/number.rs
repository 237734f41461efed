//! Numbers as digits and a power of ten, by pencil and paper.

/// A number as written: `digits` without zeros in front, times ten to `power`.
pub(super) struct Number {
    negative: bool,
    digits: String,
    power: i64,
}

impl Number {
    /// JSON's grammar, and zeros in front.
    pub(super) fn parse(text: &str) -> Option<Number> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let exponent = match exponent {
            None => 0,
            Some(text) => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                if digits.is_empty() || !are_digits(digits) {
                    return None;
                }
                let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40);
                if text.starts_with('-') { -size } else { size }
            }
        };
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0').to_owned();
        Some(Number { negative, digits, power: exponent - fraction.len() as i64 })
    }

    /// The number times ten to `shift`: if it is no integer, `None`, or the next one below if `floors`. `None` beyond 38
    /// digits, which no column holds.
    pub(super) fn scaled(&self, shift: i64, floors: bool) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let power = self.power + shift;
        let before_point = self.digits.len() as i64 + power;
        if before_point > 38 {
            return None;
        }
        let kept = before_point.clamp(0, self.digits.len() as i64) as usize;
        let (kept, cut) = self.digits.split_at(kept);
        let text = format!("0{kept}{}", "0".repeat(power.max(0) as usize));
        let magnitude: i128 = text.parse().ok()?;
        let value = if self.negative { -magnitude } else { magnitude };
        match cut.bytes().all(|digit| digit == b'0') {
            true => Some(value),
            false => floors.then_some(if self.negative { value - 1 } else { value }),
        }
    }
}
