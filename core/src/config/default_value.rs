//! Whether a column's default fits its type.
//!
//! Defaults are texts. What is checked here is what can be seen without a record: numbers and their ranges, dates,
//! addresses. A default of a JSON column or a list is only checked for its outline.

use std::net::{IpAddr, Ipv4Addr};

use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::column::{ColumnType, TimeFormat};

/// Checks that `text` is a value of the type, written as a record would have it.
///
/// # Errors
/// What is wanted instead, such as `wanted a whole number from 0 to 255`.
pub fn check_default(ty: &ColumnType, text: &str) -> Result<(), String> {
    match ty {
        ColumnType::String | ColumnType::LowCardinality => Ok(()),
        ColumnType::I8 => check_integer(text, i8::MIN.into(), i8::MAX.into()),
        ColumnType::I16 => check_integer(text, i16::MIN.into(), i16::MAX.into()),
        ColumnType::I32 => check_integer(text, i32::MIN.into(), i32::MAX.into()),
        ColumnType::I64 => check_integer(text, i64::MIN.into(), i64::MAX.into()),
        ColumnType::U8 => check_integer(text, 0, u8::MAX.into()),
        ColumnType::U16 => check_integer(text, 0, u16::MAX.into()),
        ColumnType::U32 => check_integer(text, 0, u32::MAX.into()),
        ColumnType::U64 => check_integer(text, 0, u64::MAX.into()),
        ColumnType::F32 => check(text.parse().is_ok_and(f32::is_finite), "a number that a 32-bit float can hold"),
        ColumnType::F64 => check(text.parse().is_ok_and(f64::is_finite), "a number that a 64-bit float can hold"),
        ColumnType::Decimal { precision, scale } => check_decimal(text, *precision, *scale),
        ColumnType::Bool => check(matches!(text, "true" | "false"), "true or false"),
        ColumnType::Timestamp { format, .. } => check_timestamp(text, format),
        ColumnType::Date { format } => check_date(text, format.as_deref().unwrap_or("%Y-%m-%d")),
        ColumnType::Ipv4 => check(text.parse::<Ipv4Addr>().is_ok(), "an IPv4 address such as 192.0.2.1"),
        ColumnType::Ipv6 => check(text.parse::<IpAddr>().is_ok(), "an IPv6 or IPv4 address such as 2001:db8::1"),
        ColumnType::Uuid => check(is_uuid(text), "a UUID such as 0190163d-8694-739b-aea5-966c26f8ad91"),
        ColumnType::Json => check(!text.trim().is_empty(), "a JSON value such as {}"),
        ColumnType::List(_) => {
            let text = text.trim();
            check(text.len() > 1 && text.starts_with('[') && text.ends_with(']'), "a JSON array such as []")
        }
    }
}

fn check(fits: bool, wanted: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(format!("wanted {wanted}")) }
}

fn check_integer(text: &str, least: i128, most: i128) -> Result<(), String> {
    let value = text.parse::<i128>().ok().filter(|_| !text.starts_with('+'));
    check(value.is_some_and(|value| (least..=most).contains(&value)), &format!("a whole number from {least} to {most}"))
}

/// An exact decimal: digits that do not count (leading zeros, zeros at the end of the fraction) do not matter.
fn check_decimal(text: &str, precision: u8, scale: u8) -> Result<(), String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = all_digits(whole)
        && all_digits(fraction)
        && whole.trim_start_matches('0').len() <= usize::from(precision - scale)
        && fraction.trim_end_matches('0').len() <= usize::from(scale);
    let whole_digits = precision - scale;
    check(fits, &format!("a number with at most {whole_digits} digits before the point and {scale} after it"))
}

fn check_timestamp(text: &str, format: &TimeFormat) -> Result<(), String> {
    match format {
        TimeFormat::Epoch(_) => {
            let fits = check_decimal(text, 38, 19).is_ok();
            check(fits, "a number, the time since 1970-01-01T00:00:00Z in the unit of the column's format")
        }
        TimeFormat::Rfc3339 => {
            let fits = text.parse::<jiff::Timestamp>().is_ok();
            check(fits, "a time such as 2026-11-20T08:00:00.123+08:00")
        }
        TimeFormat::Pattern { pattern, zone } => {
            let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
            let fits = strtime::parse(pattern, text).is_ok_and(|parsed| {
                let local = || parsed.to_datetime().and_then(|local| zone.to_timestamp(local));
                parsed.to_timestamp().or_else(|_| local()).is_ok()
            });
            check(fits, &format!("a time written as the column's format, {pattern}"))
        }
    }
}

fn check_date(text: &str, pattern: &str) -> Result<(), String> {
    let fits = strtime::parse(pattern, text).is_ok_and(|parsed| parsed.to_date().is_ok());
    check(fits, &format!("a day written as the column's format, {pattern}"))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::TimePrecision;

    fn timestamp(format: TimeFormat) -> ColumnType {
        ColumnType::Timestamp { precision: TimePrecision::Millis, format }
    }

    #[test]
    fn what_fits_and_what_does_not() {
        let decimal = ColumnType::Decimal { precision: 5, scale: 2 };
        let pattern = TimeFormat::Pattern { pattern: "%d/%b/%Y %H:%M".to_owned(), zone: "Asia/Shanghai".to_owned() };
        let with_offset = TimeFormat::Pattern { pattern: "%F %T %z".to_owned(), zone: "UTC".to_owned() };
        let cases: Vec<(ColumnType, &[&str], &[&str])> = vec![
            (ColumnType::String, &["", "any"], &[]),
            (ColumnType::LowCardinality, &["", "any"], &[]),
            (ColumnType::I8, &["-128", "127", "0"], &["128", "-129", "", "1.0", "+1", "x", " 1"]),
            (ColumnType::I16, &["-32768", "32767"], &["32768", "-32769"]),
            (ColumnType::I32, &["-2147483648", "2147483647"], &["2147483648"]),
            (ColumnType::I64, &["-9223372036854775808", "9223372036854775807"], &["9223372036854775808"]),
            (ColumnType::U8, &["0", "255"], &["256", "-1"]),
            (ColumnType::U16, &["65535"], &["65536"]),
            (ColumnType::U32, &["4294967295"], &["4294967296"]),
            (ColumnType::U64, &["18446744073709551615"], &["18446744073709551616", "-1"]),
            (ColumnType::F32, &["1.5", "-0", "3e38"], &["1e39", "NaN", "inf", ""]),
            (ColumnType::F64, &["1e308"], &["1e309", "nan", "1,5"]),
            (
                decimal,
                &["0", "999.99", "-999.99", "000999.990", "0.5"],
                &["1000", "0.001", "1e2", ".5", "5.", "+1", "-", ""],
            ),
            (ColumnType::Bool, &["true", "false"], &["True", "1", "yes", ""]),
            (timestamp(TimeFormat::Epoch(TimePrecision::Millis)), &["0", "-1", "1763625600000.5"], &["now", "", "1e3"]),
            (
                timestamp(TimeFormat::Rfc3339),
                &["2026-11-20T08:00:00.123+08:00", "2026-11-20 08:00:00Z"],
                &["2026-11-20", "2026-11-20T08:00:00", "2026-13-01T00:00:00Z"],
            ),
            (timestamp(pattern), &["20/Nov/2026 08:00"], &["2026-11-20 08:00", "31/Feb/2026 08:00"]),
            (timestamp(with_offset), &["2026-11-20 08:00:00 +0800"], &["2026-11-20 08:00:00"]),
            (ColumnType::Date { format: None }, &["2026-11-20"], &["2026-02-30", "20.11.2026", ""]),
            (ColumnType::Date { format: Some("%d.%m.%Y".to_owned()) }, &["20.11.2026"], &["2026-11-20"]),
            (ColumnType::Ipv4, &["192.0.2.1"], &["::1", "192.0.2", "256.0.0.1"]),
            (ColumnType::Ipv6, &["::1", "192.0.2.1"], &["localhost", "1::2::3"]),
            (
                ColumnType::Uuid,
                &["0190163d-8694-739b-aea5-966c26f8ad91"],
                &["0190163d8694739baea5966c26f8ad91", "0190163g-8694-739b-aea5-966c26f8ad91"],
            ),
            (ColumnType::Json, &["{}", "null"], &["", " "]),
            (ColumnType::List(Box::new(ColumnType::I8)), &["[]", "[1, 2]"], &["", "[", "1,2"]),
        ];
        for (ty, good, bad) in cases {
            for text in good {
                assert_eq!(check_default(&ty, text), Ok(()), "{ty:?} {text}");
            }
            for text in bad {
                assert!(check_default(&ty, text).is_err(), "{ty:?} {text}");
            }
        }
    }

    #[test]
    fn says_what_is_wanted() {
        assert_eq!(check_default(&ColumnType::U8, "256"), Err("wanted a whole number from 0 to 255".to_owned()));
        assert_eq!(
            check_default(&ColumnType::Decimal { precision: 18, scale: 2 }, "0.001"),
            Err("wanted a number with at most 16 digits before the point and 2 after it".to_owned())
        );
    }
}
