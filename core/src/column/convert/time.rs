//! Timestamps and dates.

use crate::column::event_bounds::EventBounds;
use crate::column::mismatch::Cause;
use crate::column::value::Value;
use crate::column::{TimeFormat, TimePrecision};

use super::civil::{self, DAY_SECONDS, Instant, checked_days, four, in_range, two};
use super::number::{Excess, scaled, short_integer};
use super::pattern::Pattern;
use super::written;

/// The rule of one timestamp column.
pub(in crate::column) struct TimestampRule {
    precision: TimePrecision,
    source: Source,
    /// First and last value of an event time; of other columns, of an i64.
    event: (i64, i64),
    /// First and last of these that this batch takes.
    bounds: (i64, i64),
}

/// Last second of an event time, 2106-02-07T06:28:15Z; the first is 1970-01-01T00:00:00Z. What is counted by the minute
/// must be a minute that ClickHouse's `DateTime` has: beyond, it would wrap around and be counted elsewhere.
const EVENT_SECOND_LAST: i64 = u32::MAX as i64;

enum Source {
    Epoch(EpochRule),
    Rfc3339,
    Pattern(Box<Pattern>),
}

impl TimestampRule {
    /// # Errors
    /// A sentence, if a pattern or zone is not one.
    pub(in crate::column) fn new(precision: TimePrecision, format: &TimeFormat) -> Result<Self, String> {
        let source = match format {
            TimeFormat::Epoch(unit) => Source::Epoch(EpochRule::new(*unit, precision)),
            TimeFormat::Rfc3339 => Source::Rfc3339,
            TimeFormat::Pattern { pattern, zone } => Source::Pattern(Box::new(Pattern::timestamp(pattern, zone)?)),
        };
        Ok(TimestampRule { precision, source, event: (i64::MIN, i64::MAX), bounds: (i64::MIN, i64::MAX) })
    }

    /// From now on values must be possible event times.
    pub(in crate::column) fn narrow_to_event_time(&mut self) {
        let units = civil::units_per_second(self.precision);
        self.event = (0, EVENT_SECOND_LAST * units + (units - 1));
        self.bounds = self.event;
    }

    /// The event times of the next batch must be within these bounds as well, if there are any.
    pub(in crate::column) fn bound(&mut self, bounds: Option<EventBounds>) {
        let ((first, last), units) = (self.event, i128::from(civil::units_per_second(self.precision)));
        let clamp = |ms: i64| (i128::from(ms) * units).div_euclid(1000).clamp(first.into(), last.into()) as i64;
        self.bounds = bounds.map_or(self.event, |bounds| (clamp(bounds.first_ms()), clamp(bounds.last_ms())));
    }

    /// The time of a value that these bounds refuse, in milliseconds since 1970.
    #[cold]
    pub(in crate::column) fn time_ms(&self, value: Value<'_>) -> Option<i64> {
        let stored = i128::from(self.read(value).ok()?);
        i64::try_from((stored * 1000).div_euclid(civil::units_per_second(self.precision).into())).ok()
    }

    pub(in crate::column) fn precision(&self) -> TimePrecision {
        self.precision
    }

    /// Units of the column's precision since 1970-01-01T00:00:00Z.
    #[inline]
    pub(in crate::column) fn convert(&self, value: Value<'_>) -> Result<i64, Cause> {
        let stored = self.read(value)?;
        match (self.bounds.0..=self.bounds.1).contains(&stored) {
            true => Ok(stored),
            false if (self.event.0..=self.event.1).contains(&stored) => Err(Cause::Beyond),
            false => Err(Cause::EventRange),
        }
    }

    #[inline]
    fn read(&self, value: Value<'_>) -> Result<i64, Cause> {
        let text = written(value)?;
        match &self.source {
            Source::Epoch(rule) => rule.convert(text.as_bytes()),
            Source::Rfc3339 => rfc3339(text.as_bytes()).ok_or(Cause::Form)?.stored(self.precision),
            Source::Pattern(pattern) => pattern.instant(text)?.stored(self.precision),
        }
    }
}

impl TimestampRule {
    /// Whether times are counts of a unit, for which there is [`TimestampRule::quick_count`].
    pub(in crate::column) fn is_epoch(&self) -> bool {
        matches!(self.source, Source::Epoch(_))
    }

    /// The same for a count that a kernel read; `None` says nothing about others.
    #[inline(always)]
    pub(in crate::column) fn quick_count(&self, count: i64) -> Option<i64> {
        let Source::Epoch(rule) = &self.source else { return None };
        let stored = rule.stored(count).ok()?;
        (self.bounds.0..=self.bounds.1).contains(&stored).then_some(stored)
    }

    /// The same for plain text in RFC 3339.
    #[inline(always)]
    pub(in crate::column) fn quick_text(&self, text: &[u8]) -> Option<i64> {
        let Source::Rfc3339 = &self.source else { return None };
        let stored = rfc3339(text)?.stored(self.precision).ok()?;
        (self.bounds.0..=self.bounds.1).contains(&stored).then_some(stored)
    }
}

/// A count of units since 1970, exact down to the stored precision and floored below it.
struct EpochRule {
    /// Decimal digits from the unit written to the unit stored: positive if the stored one is finer.
    shift: i32,
    /// Ten to the magnitude of the shift.
    power: i64,
    first: i64,
    last: i64,
}

impl EpochRule {
    fn new(written: TimePrecision, stored: TimePrecision) -> Self {
        let shift = i32::from(stored.digits()) - i32::from(written.digits());
        let (first, last) = civil::range(stored);
        EpochRule { shift, power: 10i64.pow(shift.unsigned_abs()), first, last }
    }

    #[inline]
    fn convert(&self, text: &[u8]) -> Result<i64, Cause> {
        match short_integer(text) {
            Some(count) => self.stored(count),
            None => self.in_range(i64::try_from(scaled(text, self.shift, Excess::Floor)?).map_err(|_| Cause::Range)?),
        }
    }

    /// The time of a count of the unit that is written.
    #[inline]
    fn stored(&self, count: i64) -> Result<i64, Cause> {
        self.in_range(match self.shift {
            0.. => count.checked_mul(self.power).ok_or(Cause::Range)?,
            _ => count.div_euclid(self.power),
        })
    }

    #[inline]
    fn in_range(&self, stored: i64) -> Result<i64, Cause> {
        if (self.first..=self.last).contains(&stored) { Ok(stored) } else { Err(Cause::Range) }
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.digits](Z|+HH:MM|-HH:MM)`, `T` and `Z` in any case, a space for `T`; `None` if it is not that.
///
/// The second 60 stands only where a leap second can, at 23:59 UTC, and is kept in its minute and day: it counts as 59.
fn rfc3339(text: &[u8]) -> Option<Instant> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', i0, i1, b':', s0, s1] = head
    else {
        return None;
    };
    let day = checked_days(four([y0, y1, y2, y3])?, two([m0, m1])?, two([d0, d1])?)?;
    let (hour, minute, second) = (two([h0, h1])?, two([i0, i1])?, two([s0, s1])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let minute_start = i64::from(day) * DAY_SECONDS + i64::from(hour * 3600 + minute * 60) - offset(zone)?;
    if second == 60 && minute_start.rem_euclid(DAY_SECONDS) != DAY_SECONDS - 60 {
        return None;
    }
    Some(Instant { seconds: minute_start + i64::from(second.min(59)), nanos })
}

/// Nanoseconds of an optional `.digits`, and what follows it. Digits past the ninth are cut off.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', text @ ..] = text else { return Some((0, text)) };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let (digits, rest) = text.split_at(count);
    let kept = &digits[..count.min(9)];
    let value = kept.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some((value * 10u32.pow(9 - kept.len() as u32), rest))
}

/// Seconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two([h0, h1])?, two([m0, m1])?);
            let seconds = i64::from(hours * 3600 + minutes * 60);
            (hours <= 23 && minutes <= 59).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// The rule of one date column.
pub(in crate::column) struct DateRule(Option<Box<Pattern>>);

impl DateRule {
    /// # Errors
    /// A sentence, if the pattern is not one.
    pub(in crate::column) fn new(format: Option<&str>) -> Result<Self, String> {
        Ok(DateRule(format.map(Pattern::date).transpose()?.map(Box::new)))
    }

    /// Days since 1970-01-01. The day is the one that is written: no zone moves it.
    #[inline]
    pub(in crate::column) fn convert(&self, value: Value<'_>) -> Result<i32, Cause> {
        let text = written(value)?;
        let day = match &self.0 {
            None => iso_day(text.as_bytes()).ok_or(Cause::Form)?,
            Some(pattern) => pattern.day(text)?,
        };
        in_range(day)
    }

    /// The same for plain text without a pattern; `None` says nothing about others.
    #[inline]
    pub(in crate::column) fn quick_text(&self, text: &[u8]) -> Option<i32> {
        if self.0.is_some() { None } else { in_range(iso_day(text)?).ok() }
    }
}

/// `YYYY-MM-DD` and nothing else.
#[inline]
fn iso_day(text: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else { return None };
    checked_days(four([y0, y1, y2, y3])?, two([m0, m1])?, two([d0, d1])?)
}

#[cfg(test)]
mod tests;
