//! Timestamps and dates, row by row of the table in the documentation, and against jiff.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use TimePrecision::{Micros, Millis, Nanos, Seconds};

/// 2026-11-20T00:00:00Z: `date -u -d 2026-11-20 +%s`.
const DAY: i64 = 1_795_132_800;

fn epoch(unit: TimePrecision, precision: TimePrecision, text: &str) -> Result<i64, Cause> {
    let rule = TimestampRule::new(precision, &TimeFormat::Epoch(unit)).expect("no pattern");
    let bare = rule.convert(Value::Number(text));
    for value in [Value::String(text), Value::Text(text)] {
        assert_eq!(rule.convert(value), bare, "{value:?}");
    }
    bare
}

fn rfc(precision: TimePrecision, text: &str) -> Result<i64, Cause> {
    let rule = TimestampRule::new(precision, &TimeFormat::Rfc3339).expect("no pattern");
    assert_eq!(rule.convert(Value::String(text)), rule.convert(Value::Text(text)));
    rule.convert(Value::String(text))
}

#[test]
fn epochs_of_every_unit() {
    assert_eq!(epoch(Seconds, Millis, "1795132800"), Ok(DAY * 1000));
    assert_eq!(epoch(Seconds, Seconds, "1795132800"), Ok(DAY));
    assert_eq!(epoch(Millis, Millis, "1795132800123"), Ok(DAY * 1000 + 123));
    assert_eq!(epoch(Millis, Seconds, "1795132800123"), Ok(DAY));
    assert_eq!(epoch(Micros, Millis, "1795132800123456"), Ok(DAY * 1000 + 123));
    assert_eq!(epoch(Nanos, Nanos, "1795132800123456789"), Ok(DAY * 1_000_000_000 + 123_456_789));
    assert_eq!(epoch(Nanos, Micros, "1795132800123456789"), Ok(DAY * 1_000_000 + 123_456));
    assert_eq!(epoch(Seconds, Millis, "0"), Ok(0));
}

#[test]
fn epochs_with_fractions_are_exact_and_cut_toward_the_past() {
    assert_eq!(epoch(Seconds, Millis, "1763.25"), Ok(1_763_250));
    assert_eq!(epoch(Seconds, Nanos, "1795132800.123456789"), Ok(DAY * 1_000_000_000 + 123_456_789));
    assert_eq!(epoch(Seconds, Millis, "1.7951328e9"), Ok(DAY * 1000));
    assert_eq!(epoch(Seconds, Millis, "1.9999"), Ok(1_999));
    assert_eq!(epoch(Seconds, Millis, "-1.9991"), Ok(-2_000));
    assert_eq!(epoch(Millis, Seconds, "-1"), Ok(-1));
    assert_eq!(epoch(Millis, Seconds, "-1000"), Ok(-1));
    assert_eq!(epoch(Millis, Seconds, "-1001"), Ok(-2));
    assert_eq!(epoch(Seconds, Seconds, "1e-999999999"), Ok(0));
    assert_eq!(epoch(Seconds, Seconds, "-1e-999999999"), Ok(-1));
}

#[test]
fn epochs_out_of_range() {
    // 1900-01-01T00:00:00Z and 2299-12-31T23:59:59Z.
    assert_eq!(epoch(Seconds, Seconds, "-2208988800"), Ok(-2_208_988_800));
    assert_eq!(epoch(Seconds, Seconds, "-2208988801"), Err(Cause::Range));
    assert_eq!(epoch(Seconds, Seconds, "10413791999"), Ok(10_413_791_999));
    assert_eq!(epoch(Seconds, Seconds, "10413792000"), Err(Cause::Range));
    assert_eq!(epoch(Seconds, Millis, "10413791999.9999"), Ok(10_413_791_999_999));
    assert_eq!(epoch(Seconds, Nanos, "9223372036.854775807"), Ok(i64::MAX));
    assert_eq!(epoch(Seconds, Nanos, "9223372036.854775808"), Err(Cause::Range));
    assert_eq!(epoch(Seconds, Nanos, "9223372037"), Err(Cause::Range));
    assert_eq!(epoch(Seconds, Millis, "1795132800000"), Err(Cause::Range), "milliseconds declared as seconds");
    assert_eq!(epoch(Seconds, Millis, "1e999999999"), Err(Cause::Range));
    assert_eq!(epoch(Seconds, Millis, "999999999999999999"), Err(Cause::Range));
}

#[test]
fn what_is_not_an_epoch() {
    for text in ["", "now", "2026-11-20", "1 ", "+1", "null", "-"] {
        assert_eq!(epoch(Seconds, Millis, text), Err(Cause::Form), "{text}");
    }
    let rule = TimestampRule::new(Millis, &TimeFormat::Epoch(Seconds)).expect("no pattern");
    assert_eq!(rule.convert(Value::Bool(true)), Err(Cause::Kind));
    assert_eq!(rule.convert(Value::Json("[1]")), Err(Cause::Kind));
}

#[test]
fn rfc_3339_times() {
    let morning = (DAY + 8 * 3600) * 1000;
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00Z"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20t08:00:00z"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20 08:00:00Z"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00+00:00"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00-00:00"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20T16:00:00+08:00"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20T02:30:00-05:30"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-21T07:59:00+23:59"), Ok(morning));
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00.123+00:00"), Ok(morning + 123));
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00.1Z"), Ok(morning + 100));
    assert_eq!(rfc(Millis, "2026-11-20T08:00:00.1239999999999Z"), Ok(morning + 123), "cut, not rounded");
    assert_eq!(rfc(Nanos, "2026-11-20T08:00:00.1234567899Z"), Ok(morning * 1_000_000 + 123_456_789));
    assert_eq!(rfc(Millis, "1969-12-31T23:59:59.9999Z"), Ok(-1));
    assert_eq!(rfc(Seconds, "1969-12-31T23:59:59.9999Z"), Ok(-1));
    assert_eq!(rfc(Seconds, "2024-02-29T00:00:00Z"), Ok(1_709_164_800));
}

#[test]
fn rfc_3339_out_of_range() {
    assert_eq!(rfc(Seconds, "1900-01-01T00:00:00Z"), Ok(-2_208_988_800));
    assert_eq!(rfc(Seconds, "1899-12-31T23:59:59Z"), Err(Cause::Range));
    assert_eq!(rfc(Seconds, "1900-01-01T00:00:00+00:01"), Err(Cause::Range));
    assert_eq!(rfc(Seconds, "2299-12-31T23:59:59Z"), Ok(10_413_791_999));
    assert_eq!(rfc(Seconds, "2299-12-31T23:59:59-00:01"), Err(Cause::Range));
    assert_eq!(rfc(Nanos, "2262-04-11T23:47:16.854775807Z"), Ok(i64::MAX));
    assert_eq!(rfc(Nanos, "2262-04-11T23:47:16.854775808Z"), Err(Cause::Range));
    assert_eq!(rfc(Micros, "2262-04-11T23:47:16.854775808Z"), Ok(9_223_372_036_854_775));
}

#[test]
fn leap_seconds_stay_in_their_minute() {
    // The last leap second so far. `date -u -d 2016-12-31T23:59:59 +%s`.
    let last = 1_483_228_799_000;
    assert_eq!(rfc(Millis, "2016-12-31T23:59:60Z"), Ok(last));
    assert_eq!(rfc(Millis, "2016-12-31T23:59:60.5Z"), Ok(last + 500));
    assert_eq!(rfc(Millis, "2017-01-01T07:59:60+08:00"), Ok(last));
    assert_eq!(rfc(Millis, "2016-12-31T22:59:60Z"), Err(Cause::Form), "no leap second can stand here");
    assert_eq!(rfc(Millis, "2016-12-31T23:59:60+08:00"), Err(Cause::Form));
    assert_eq!(rfc(Millis, "2016-12-31T23:59:61Z"), Err(Cause::Form));
}

#[test]
fn what_is_not_rfc_3339() {
    let texts = [
        "",
        "2026-11-20",
        "2026-11-20T08:00:00",
        "2026-11-20T08:00Z",
        "2026-11-20T08:00:00.Z",
        "2026-11-20T08:00:00,5Z",
        "2026-11-20T08:00:00+0800",
        "2026-11-20T08:00:00+08",
        "2026-11-20T08:00:00+24:00",
        "2026-11-20T08:00:00+08:60",
        "2026-11-20T24:00:00Z",
        "2026-11-20T08:60:00Z",
        "2026-11-20T08:00:00ZZ",
        "2026-11-20T08:00:00Z ",
        " 2026-11-20T08:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026/11/20T08:00:00Z",
        "2026-11-20_08:00:00Z",
        "26-11-20T08:00:00Z",
        "+002026-11-20T08:00:00Z",
        "2026-1a-20T08:00:00Z",
        "1795132800",
        "2026-11-20T08:00:00+08:00[Asia/Shanghai]",
        "null",
    ];
    for text in texts {
        assert_eq!(rfc(Millis, text), Err(Cause::Form), "{text}");
    }
    let rule = TimestampRule::new(Millis, &TimeFormat::Rfc3339).expect("no pattern");
    assert_eq!(rule.convert(Value::Number("1795132800")), Err(Cause::Form));
    assert_eq!(rule.convert(Value::Bool(true)), Err(Cause::Kind));
}

#[test]
fn dates() {
    let rule = DateRule::new(None).expect("no pattern");
    let date = |text: &str| rule.convert(Value::String(text));
    assert_eq!(date("2026-11-20"), Ok((DAY / 86_400) as i32));
    assert_eq!(date("1970-01-01"), Ok(0));
    assert_eq!(date("1969-12-31"), Ok(-1));
    assert_eq!(date("1900-01-01"), Ok(-25_567));
    assert_eq!(date("1899-12-31"), Err(Cause::Range));
    assert_eq!(date("2299-12-31"), Ok(120_529));
    assert_eq!(date("2300-01-01"), Err(Cause::Range));
    for text in ["", "2026-02-29", "2026-11-20T08:00:00Z", "2026-11-20 ", "2026-1-20", "20/11/2026", "20261120", "now"]
    {
        assert_eq!(date(text), Err(Cause::Form), "{text}");
    }
    assert_eq!(rule.convert(Value::Text("2026-11-20")), Ok((DAY / 86_400) as i32));
    assert_eq!(rule.convert(Value::Number("20261120")), Err(Cause::Form));
    assert_eq!(rule.convert(Value::Bool(false)), Err(Cause::Kind));
}

#[test]
fn dates_by_a_pattern() {
    let rule = DateRule::new(Some("%d/%b/%Y:%H:%M:%S %z")).expect("a pattern");
    // The day that is written, not the day in UTC.
    assert_eq!(rule.convert(Value::Text("20/Nov/2026:00:30:00 +0800")), Ok((DAY / 86_400) as i32));
    let compact = DateRule::new(Some("%Y%m%d")).expect("a pattern");
    assert_eq!(compact.convert(Value::Number("20261120")), Ok((DAY / 86_400) as i32));
    assert_eq!(compact.convert(Value::Number("20261131")), Err(Cause::Form));
    assert_eq!(compact.convert(Value::Number("18991231")), Err(Cause::Range));
    let two_digits = DateRule::new(Some("%d.%m.%y")).expect("a pattern");
    assert_eq!(two_digits.convert(Value::String("20.11.26")), Ok((DAY / 86_400) as i32));
}

proptest! {
    #[test]
    fn epochs_agree_with_division(
        count in -3_000_000_000_000i64..11_000_000_000_000,
        unit in 0usize..4,
        precision in 0usize..4,
    ) {
        let all = [Seconds, Millis, Micros, Nanos];
        let (unit, precision) = (all[unit], all[precision]);
        let power = |digits: u8| 10i128.pow(digits.into());
        let stored = (i128::from(count) * power(precision.digits())).div_euclid(power(unit.digits()));
        let seconds = stored.div_euclid(power(precision.digits()));
        let fits = (-2_208_988_800..=10_413_791_999).contains(&seconds) && i64::try_from(stored).is_ok();
        let expected = if fits { Ok(stored as i64) } else { Err(Cause::Range) };
        prop_assert_eq!(epoch(unit, precision, &count.to_string()), expected);
        prop_assert_eq!(epoch(unit, precision, &format!("{count}.0")), expected);
    }

    #[test]
    fn rfc_3339_agrees_with_jiff(
        (year, month, day) in (1899i32..=2300, 1u32..=12, 1u32..=31),
        (hour, minute, second) in (0u32..=24, 0u32..=60, 0u32..=59),
        fraction in "(\\.[0-9]{1,9})?",
        zone in "[Zz]|[+-][01][0-9]:[0-5][0-9]",
        between in "[Tt ]",
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{zone}");
        let expected = text.parse::<Timestamp>().ok().map(|timestamp| timestamp.as_nanosecond().div_euclid(1_000));
        let in_range = expected.filter(|micros| (-2_208_988_800_000_000..10_413_792_000_000_000).contains(micros));
        prop_assert_eq!(rfc(Micros, &text).ok().map(i128::from), in_range, "{}", text);
    }

    /// Whatever a changed byte makes of a time, what is still accepted means what jiff says.
    #[test]
    fn changed_bytes_are_seen(at in 0usize..29, byte in 0x20u8..0x7f) {
        let mut text = *b"2026-11-20T08:09:05.123+08:00";
        text[at] = byte;
        let text = str::from_utf8(&text).expect("ASCII");
        if let Ok(micros) = rfc(Micros, text) {
            let timestamp = text.parse::<Timestamp>().expect("jiff accepts what RFC 3339 does");
            prop_assert_eq!(micros, timestamp.as_microsecond(), "{}", text);
        }
    }
}
