//! Times and days written by a `strptime` pattern.
//!
//! jiff gives the meaning. Patterns made of fixed-width parts, which most logs use, are compiled into a list that is
//! matched without looking at the pattern again; text that it does not match goes to jiff, which has the last word.

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;

use crate::column::mismatch::Cause;

use super::civil::{DAY_SECONDS, Instant, checked_days, days, four, two};

/// A checked pattern.
pub(super) struct Pattern {
    pattern: String,
    /// What times without an offset mean.
    zone: TimeZone,
    /// The zone is UTC, so that nothing has to be looked up.
    utc: bool,
    fixed: Option<FixedParts>,
}

impl Pattern {
    /// A pattern of times; `zone` is an IANA name.
    ///
    /// # Errors
    /// A sentence that names the zone or the directive at fault.
    pub(super) fn timestamp(pattern: &str, zone: &str) -> Result<Self, String> {
        let found = TimeZone::get(zone).map_err(|error| format!("`{zone}` is not a known time zone: {error}"))?;
        Self::new(pattern, found)
    }

    /// A pattern of days.
    ///
    /// # Errors
    /// A sentence that names the directive at fault.
    pub(super) fn date(pattern: &str) -> Result<Self, String> {
        Self::new(pattern, TimeZone::UTC)
    }

    fn new(pattern: &str, zone: TimeZone) -> Result<Self, String> {
        let checked = Pattern {
            pattern: pattern.to_owned(),
            utc: zone == TimeZone::UTC || zone.iana_name() == Some("UTC"),
            zone,
            fixed: FixedParts::compile(pattern.as_bytes()),
        };
        checked.check()?;
        Ok(checked)
    }

    /// jiff finds out about a bad directive only when it meets one: so a time is written by the pattern and read back.
    fn check(&self) -> Result<(), String> {
        let bad = |error: &dyn std::fmt::Display| format!("`{}` is not a pattern of times: {error}", self.pattern);
        let sample = DateTime::constant(2026, 11, 20, 8, 9, 5, 120_000_000)
            .to_zoned(self.zone.clone())
            .map_err(|error| bad(&error))?;
        let written = strtime::format(&self.pattern, &sample).map_err(|error| bad(&error))?;
        let read = BrokenDownTime::parse(&self.pattern, &written).map_err(|error| bad(&error))?;
        if read.timestamp().is_none() {
            read.to_datetime().map_err(|error| bad(&error))?;
        }
        Ok(())
    }

    /// The time that `text` says. A local time that a clock change skips or repeats is read as it is most often meant:
    /// skipped ones by the offset before the change, repeated ones as the first of the two (RFC 5545's rule).
    pub(super) fn instant(&self, text: &str) -> Result<Instant, Cause> {
        let Some(clock) = self.fixed.as_ref().and_then(|fixed| fixed.read(text.as_bytes())) else {
            return self.instant_by_jiff(text);
        };
        match clock.offset.or(self.utc.then_some(0)) {
            Some(offset) => Ok(Instant { seconds: clock.seconds().ok_or(Cause::Form)? - offset, nanos: 0 }),
            None => self.local(clock.datetime().ok_or(Cause::Form)?),
        }
    }

    fn instant_by_jiff(&self, text: &str) -> Result<Instant, Cause> {
        let time = BrokenDownTime::parse(&self.pattern, text).map_err(|_| Cause::Form)?;
        let timestamp = if time.iana_time_zone().is_some() {
            time.to_zoned().map_err(|_| Cause::Form)?.timestamp()
        } else if time.offset().is_some() || time.timestamp().is_some() {
            time.to_timestamp().map_err(|_| Cause::Form)?
        } else {
            return self.local(time.to_datetime().map_err(|_| Cause::Form)?);
        };
        Ok(floor(timestamp))
    }

    fn local(&self, time: DateTime) -> Result<Instant, Cause> {
        self.zone.to_ambiguous_timestamp(time).compatible().map(floor).map_err(|_| Cause::Range)
    }

    /// The day that `text` says, in days since 1970-01-01.
    pub(super) fn day(&self, text: &str) -> Result<i32, Cause> {
        if let Some(day) = self.fixed.as_ref().and_then(|fixed| fixed.read(text.as_bytes())?.days()) {
            return Ok(day);
        }
        let time = BrokenDownTime::parse(&self.pattern, text).map_err(|_| Cause::Form)?;
        let date = time.to_date().map_err(|_| Cause::Form)?;
        Ok(days(i32::from(date.year()), date.month() as u32, date.day() as u32))
    }
}

fn floor(timestamp: jiff::Timestamp) -> Instant {
    let nanos = timestamp.as_nanosecond();
    Instant { seconds: nanos.div_euclid(1_000_000_000) as i64, nanos: nanos.rem_euclid(1_000_000_000) as u32 }
}

/// A part of a pattern that always takes the same number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Year,
    Month,
    MonthName,
    Day,
    Hour,
    Minute,
    Second,
    /// `+HHMM`.
    Offset,
}

/// What a text says by its fixed-width parts.
#[derive(Default)]
struct Clock {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

impl Clock {
    /// Days since 1970-01-01; `None` if there is no such day.
    fn days(&self) -> Option<i32> {
        checked_days(self.year, self.month, self.day)
    }

    /// The local time as if it were UTC, in seconds since 1970-01-01T00:00:00; `None` if there is no such time. The
    /// second 60 is left to jiff.
    fn seconds(&self) -> Option<i64> {
        let day_second = self.hour * 3600 + self.minute * 60 + self.second;
        let is_time = self.hour <= 23 && self.minute <= 59 && self.second <= 59;
        is_time.then_some(i64::from(self.days()?) * DAY_SECONDS + i64::from(day_second))
    }

    fn datetime(&self) -> Option<DateTime> {
        let [month, day, hour, minute, second] =
            [self.month, self.day, self.hour, self.minute, self.second].map(|part| part as i8);
        DateTime::new(self.year as i16, month, day, hour, minute, second, 0).ok()
    }
}

/// A pattern made of fixed-width parts: year, month and day once, then perhaps hour, minute and second once.
struct FixedParts(Vec<Part>);

impl FixedParts {
    /// `None` if the pattern has another directive, a flag, or not the parts of a day.
    fn compile(pattern: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let [byte, tail @ ..] = rest {
            rest = tail;
            if *byte != b'%' {
                parts.push(Part::Byte(*byte));
                continue;
            }
            let [directive, tail @ ..] = rest else { return None };
            rest = tail;
            match directive {
                b'Y' => parts.push(Part::Year),
                b'm' => parts.push(Part::Month),
                b'b' | b'h' => parts.push(Part::MonthName),
                b'd' => parts.push(Part::Day),
                b'H' => parts.push(Part::Hour),
                b'M' => parts.push(Part::Minute),
                b'S' => parts.push(Part::Second),
                b'z' => parts.push(Part::Offset),
                b'F' => parts.extend([Part::Year, Part::Byte(b'-'), Part::Month, Part::Byte(b'-'), Part::Day]),
                b'T' => parts.extend([Part::Hour, Part::Byte(b':'), Part::Minute, Part::Byte(b':'), Part::Second]),
                b'R' => parts.extend([Part::Hour, Part::Byte(b':'), Part::Minute]),
                b'%' => parts.push(Part::Byte(b'%')),
                _ => return None,
            }
        }
        let parts = FixedParts(parts);
        parts.say_a_time().then_some(parts)
    }

    /// Each part at most once, the day complete, no minute without its hour, no second without its minute.
    fn say_a_time(&self) -> bool {
        let count = |part: Part| self.0.iter().filter(|&&other| other == part).count();
        let [hour, minute, second] = [Part::Hour, Part::Minute, Part::Second].map(count);
        count(Part::Year) == 1
            && count(Part::Month) + count(Part::MonthName) == 1
            && count(Part::Day) == 1
            && (second <= minute && minute <= hour && hour <= 1)
            && count(Part::Offset) <= 1
    }

    /// `None` if the text does not match to the byte, or does not say a time; jiff may still accept it.
    fn read(&self, mut text: &[u8]) -> Option<Clock> {
        let mut clock = Clock::default();
        for part in &self.0 {
            match part {
                Part::Byte(byte) => {
                    let [first] = take(&mut text)?;
                    if first != *byte {
                        return None;
                    }
                }
                Part::Year => clock.year = four(take(&mut text)?)?,
                Part::Month => clock.month = two(take(&mut text)?)?,
                Part::MonthName => clock.month = month_number(take(&mut text)?)?,
                Part::Day => clock.day = two(take(&mut text)?)?,
                Part::Hour => clock.hour = two(take(&mut text)?)?,
                Part::Minute => clock.minute = two(take(&mut text)?)?,
                Part::Second => clock.second = two(take(&mut text)?)?,
                Part::Offset => {
                    clock.offset = Some(offset_seconds(take(&mut text)?)?);
                    // jiff would read more as the offset's minutes and seconds.
                    if matches!(text.first(), Some(b'0'..=b'9' | b':')) {
                        return None;
                    }
                }
            }
        }
        (text.is_empty() && clock.seconds().is_some()).then_some(clock)
    }
}

/// Takes bytes off the front.
#[inline]
fn take<const N: usize>(text: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = text.split_first_chunk()?;
    *text = rest;
    Some(*head)
}

fn month_number(name: [u8; 3]) -> Option<u32> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// Seconds east of UTC of `+HHMM`.
fn offset_seconds([sign, h0, h1, m0, m1]: [u8; 5]) -> Option<i64> {
    let (hours, minutes) = (two([h0, h1])?, two([m0, m1])?);
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        b'+' if hours <= 23 && minutes <= 59 => Some(seconds),
        b'-' if hours <= 23 && minutes <= 59 => Some(-seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
