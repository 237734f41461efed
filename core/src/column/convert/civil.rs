//! Days, seconds and the range of time that is accepted.

use crate::column::TimePrecision;
use crate::column::mismatch::Cause;

/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// First day that is accepted, 1900-01-01, in days since 1970-01-01: ClickHouse's first day.
pub(super) const FIRST_DAY: i32 = days(1900, 1, 1);
/// Last day that is accepted, 2299-12-31: ClickHouse's last day.
pub(super) const LAST_DAY: i32 = days(2299, 12, 31);

/// Days since 1970-01-01 in the proleptic Gregorian calendar (`days_from_civil` of H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms"). `month` 1..=12, `day` 1..=31; the day may lie past the month's end.
#[inline]
pub(super) const fn days(year: i32, month: u32, day: u32) -> i32 {
    // Years begin in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year as i32;
    era * 146_097 + day_of_era - 719_468
}

/// Days of a month of 1..=12.
#[inline]
const fn month_days(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A day of the calendar as days since 1970-01-01; `None` if there is no such day.
#[inline]
pub(super) const fn checked_days(year: u32, month: u32, day: u32) -> Option<i32> {
    if month >= 1 && month <= 12 && day >= 1 && day <= month_days(year as i32, month) {
        Some(days(year as i32, month, day))
    } else {
        None
    }
}

/// A day within the range that is accepted.
#[inline]
pub(super) fn in_range(day: i32) -> Result<i32, Cause> {
    if (FIRST_DAY..=LAST_DAY).contains(&day) { Ok(day) } else { Err(Cause::Range) }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// Since 1970-01-01T00:00:00Z.
    pub(super) seconds: i64,
    /// Since that second, below 10^9.
    pub(super) nanos: u32,
}

impl Instant {
    /// Units of the precision since 1970-01-01T00:00:00Z; what is finer is cut off, toward the past.
    #[inline]
    pub(super) fn stored(self, precision: TimePrecision) -> Result<i64, Cause> {
        let (first, last) = range(TimePrecision::Seconds);
        if !(first..=last).contains(&self.seconds) {
            return Err(Cause::Range);
        }
        let whole = self.seconds.checked_mul(units_per_second(precision)).ok_or(Cause::Range)?;
        let part = i64::from(self.nanos) / (1_000_000_000 / units_per_second(precision));
        whole.checked_add(part).ok_or(Cause::Range)
    }
}

/// Units of the precision in a second.
#[inline]
pub(super) const fn units_per_second(precision: TimePrecision) -> i64 {
    match precision {
        TimePrecision::Seconds => 1,
        TimePrecision::Millis => 1_000,
        TimePrecision::Micros => 1_000_000,
        TimePrecision::Nanos => 1_000_000_000,
    }
}

/// First and last stored value that is accepted.
#[inline]
pub(super) const fn range(precision: TimePrecision) -> (i64, i64) {
    match precision {
        TimePrecision::Seconds => const { range_of(1) },
        TimePrecision::Millis => const { range_of(1_000) },
        TimePrecision::Micros => const { range_of(1_000_000) },
        TimePrecision::Nanos => const { range_of(1_000_000_000) },
    }
}

const fn range_of(units: i64) -> (i64, i64) {
    let first = FIRST_DAY as i64 * DAY_SECONDS * units;
    // In nanoseconds an i64 ends first, at 2262-04-11T23:47:16.854775807Z.
    let last = match ((LAST_DAY as i64 + 1) * DAY_SECONDS).checked_mul(units) {
        Some(end) => end - 1,
        None => i64::MAX,
    };
    (first, last)
}

/// The number that two ASCII digits write; `None` if they are not digits.
#[inline]
pub(super) fn two(digits: [u8; 2]) -> Option<u32> {
    let (tens, ones) = (digits[0].wrapping_sub(b'0'), digits[1].wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// The number that four ASCII digits write; `None` if they are not digits.
#[inline]
pub(super) fn four(digits: [u8; 4]) -> Option<u32> {
    let [a, b, c, d] = digits;
    Some(two([a, b])? * 100 + two([c, d])?)
}

#[cfg(test)]
mod tests;
