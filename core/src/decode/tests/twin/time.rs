//! Days and seconds, by counting years.

use super::number::Number;

const DAY: i64 = 86_400;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1970-01-01 to a day of the years 1900 to 2299.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || day < 1 || day > lengths[month as usize - 1] {
        return None;
    }
    let of_years = |range: std::ops::Range<i64>| range.map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>();
    let before = if year >= 1970 { of_years(1970..year) } else { -of_years(year..1970) };
    Some(before + lengths[..month as usize - 1].iter().sum::<i64>() + day - 1)
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `2026-11-20`, of any year.
fn day(text: &str) -> Option<i64> {
    let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    if [year.len(), month.len(), day.len()] != [4, 2, 2] {
        return None;
    }
    days(number(year)?, number(month)?, number(day)?)
}

/// Days since 1970, from 1900 to 2299.
pub(super) fn date(text: &str) -> Option<i128> {
    let day = day(text)?;
    (days(1900, 1, 1)?..=days(2299, 12, 31)?).contains(&day).then_some(i128::from(day))
}

/// Nanoseconds since 1970 of `2026-11-20T08:00:00.5+08:00`.
fn rfc3339(text: &str) -> Option<i128> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let date = day(&text[..10])?;
    let time = &text[10..19];
    let &[separator, h0, h1, b':', m0, m1, b':', s0, s1] = time.as_bytes() else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let two = |tens: u8, ones: u8| Some(digit(tens)? * 10 + digit(ones)?);
    let (hour, minute, second) = (two(h0, h1)?, two(m0, m1)?, two(s0, s1)?);
    if !matches!(separator, b'T' | b't' | b' ') || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match text[19..].strip_prefix('.') {
        None => ("", &text[19..]),
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
    };
    if text[19..].starts_with('.') && fraction.is_empty() {
        return None;
    }
    let east = match zone {
        "Z" | "z" => 0,
        _ => {
            let &[sign, h0, h1, b':', m0, m1] = zone.as_bytes() else { return None };
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if !matches!(sign, b'+' | b'-') || hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
        }
    };
    let start = date * DAY + hour * 3600 + minute * 60 - east;
    if second == 60 && start.rem_euclid(DAY) != DAY - 60 {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(i128::from(start + second.min(59)) * 1_000_000_000 + nanos)
}

/// How a timestamp is written and stored.
pub(super) struct Timestamp {
    /// `epoch_ms` and so on, or `rfc3339`.
    pub(super) format: String,
    /// Digits after the second that are stored.
    pub(super) digits: i64,
    pub(super) is_event_time: bool,
}

pub(super) fn digits(unit: &str) -> i64 {
    match unit {
        "s" => 0,
        "ms" => 3,
        "us" => 6,
        "ns" => 9,
        other => panic!("{other} is no unit"),
    }
}

impl Timestamp {
    pub(super) fn read(&self, text: &str) -> Option<i128> {
        let stored = match self.format.strip_prefix("epoch_") {
            Some(unit) => Number::parse(text)?.scaled(self.digits - digits(unit), true)?,
            None => rfc3339(text)?.div_euclid(10_i128.pow(9 - self.digits as u32)),
        };
        let unit = 10_i128.pow(self.digits as u32);
        let (first, last) = match self.is_event_time {
            true => (0, i128::from(u32::MAX)),
            false => (i128::from(days(1900, 1, 1)? * DAY), i128::from(days(2300, 1, 1)? * DAY - 1)),
        };
        let fits = (first * unit..=last * unit + unit - 1).contains(&stored) && i64::try_from(stored).is_ok();
        fits.then_some(stored)
    }
}
