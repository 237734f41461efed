//! The calendar against jiff's, every day of the four centuries.

use jiff::civil::{Date, date};

use super::*;

#[test]
fn the_range_is_clickhouses() {
    // `SELECT toInt32(toDate32('1900-01-01')), toInt32(toDate32('2299-12-31'))`.
    assert_eq!((FIRST_DAY, LAST_DAY), (-25_567, 120_529));
    // date -u -d '1900-01-01' +%s; date -u -d '2299-12-31T23:59:59' +%s
    assert_eq!(range(TimePrecision::Seconds), (-2_208_988_800, 10_413_791_999));
    assert_eq!(range(TimePrecision::Millis), (-2_208_988_800_000, 10_413_791_999_999));
    assert_eq!(range(TimePrecision::Micros), (-2_208_988_800_000_000, 10_413_791_999_999_999));
    assert_eq!(range(TimePrecision::Nanos), (-2_208_988_800_000_000_000, i64::MAX));
}

#[test]
fn every_day_is_jiffs() {
    let epoch = date(1970, 1, 1);
    let count = |day: Date| (day - epoch).get_days();
    let mut day = date(1899, 1, 1);
    while day < date(2301, 1, 1) {
        let (year, month, of_month) = (day.year() as u32, day.month() as u32, day.day() as u32);
        assert_eq!(checked_days(year, month, of_month), Some(count(day)), "{day}");
        day = day.tomorrow().expect("far from the end of time");
    }
}

#[test]
fn days_that_do_not_exist() {
    for (year, month, day) in [(2026, 2, 29), (1900, 2, 29), (2000, 2, 30), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1)]
    {
        assert_eq!(checked_days(year, month, day), None, "{year}-{month}-{day}");
    }
    assert_eq!(checked_days(2026, 1, 0), None);
    assert_eq!(checked_days(2026, 1, 32), None);
    assert_eq!(checked_days(2000, 2, 29), Some(11_016));
    assert_eq!(checked_days(1970, 1, 1), Some(0));
    assert_eq!(days(0, 1, 1), -719_528);
}

#[test]
fn instants_are_cut_toward_the_past() {
    let before_epoch = Instant { seconds: -1, nanos: 999_999_999 };
    assert_eq!(before_epoch.stored(TimePrecision::Seconds), Ok(-1));
    assert_eq!(before_epoch.stored(TimePrecision::Millis), Ok(-1));
    assert_eq!(before_epoch.stored(TimePrecision::Nanos), Ok(-1));
    let after = Instant { seconds: 1, nanos: 999_999_999 };
    assert_eq!(after.stored(TimePrecision::Micros), Ok(1_999_999));
    let late = Instant { seconds: 9_223_372_036, nanos: 854_775_807 };
    assert_eq!(late.stored(TimePrecision::Nanos), Ok(i64::MAX));
    assert_eq!(Instant { nanos: 854_775_808, ..late }.stored(TimePrecision::Nanos), Err(Cause::Range));
    assert_eq!(Instant { nanos: 854_775_808, ..late }.stored(TimePrecision::Micros), Ok(9_223_372_036_854_775));
}
