//! Patterns: by hand, around clock changes, and the compiled ones against jiff alone.

use proptest::prelude::*;

use super::*;

const ACCESS_LOG: &str = "%d/%b/%Y:%H:%M:%S %z";

fn seconds(pattern: &str, zone: &str, text: &str) -> Result<i64, Cause> {
    let pattern = Pattern::timestamp(pattern, zone).expect("a pattern");
    pattern.instant(text).map(|instant| instant.seconds)
}

#[test]
fn access_log_times() {
    // date -u -d '2026-11-20 08:09:05' +%s
    assert_eq!(seconds(ACCESS_LOG, "UTC", "20/Nov/2026:08:09:05 +0000"), Ok(1_795_162_145));
    assert_eq!(seconds(ACCESS_LOG, "UTC", "20/Nov/2026:16:09:05 +0800"), Ok(1_795_162_145));
    assert_eq!(seconds(ACCESS_LOG, "UTC", "20/Nov/2026:02:39:05 -0530"), Ok(1_795_162_145));
    assert_eq!(
        seconds(ACCESS_LOG, "Asia/Shanghai", "20/Nov/2026:08:09:05 +0000"),
        Ok(1_795_162_145),
        "the offset wins"
    );
    assert_eq!(seconds(ACCESS_LOG, "UTC", "20/nov/2026:08:09:05 +0000"), Ok(1_795_162_145), "jiff takes any case");
    assert_eq!(seconds(ACCESS_LOG, "UTC", "20/Nov/2026:08:09:60 +0000"), Ok(1_795_162_199), "jiff reads 60 as 59");
    for text in [
        "",
        "31/Feb/2026:08:09:05 +0000",
        "20/Nov/2026:08:09:05",
        "20/Nov/2026:24:09:05 +0000",
        "20/Xyz/2026:08:09:05 +0000",
        "20/Nov/2026:08:09:05 +0000 ",
    ] {
        let got = seconds(ACCESS_LOG, "UTC", text);
        assert_eq!(got, Err(Cause::Form), "{text}");
    }
}

#[test]
fn local_times() {
    assert_eq!(seconds("%Y-%m-%d %H:%M:%S", "UTC", "2026-11-20 08:09:05"), Ok(1_795_162_145));
    assert_eq!(seconds("%Y-%m-%d %H:%M:%S", "Asia/Shanghai", "2026-11-20 16:09:05"), Ok(1_795_162_145));
    assert_eq!(seconds("%F %T", "Asia/Shanghai", "2026-11-20 16:09:05"), Ok(1_795_162_145));
    assert_eq!(seconds("%Y-%m-%d", "UTC", "2026-11-20"), Ok(1_795_132_800), "midnight");
    assert_eq!(seconds("%s", "UTC", "1795162145"), Ok(1_795_162_145));
    assert_eq!(seconds("%F %I:%M:%S %p", "UTC", "2026-11-20 08:09:05 AM"), Ok(1_795_162_145));
    assert_eq!(seconds("%F %T %:Q", "UTC", "2026-11-20 16:09:05 Asia/Shanghai"), Ok(1_795_162_145));
}

#[test]
fn fractions_by_a_pattern() {
    let pattern = Pattern::timestamp("%F %T%.f", "UTC").expect("a pattern");
    assert_eq!(pattern.instant("2026-11-20 08:09:05.25"), Ok(Instant { seconds: 1_795_162_145, nanos: 250_000_000 }));
    assert_eq!(pattern.instant("1969-12-31 23:59:59.25"), Ok(Instant { seconds: -1, nanos: 250_000_000 }));
}

#[test]
fn clock_changes() {
    let new_york = |text: &str| seconds("%F %T", "America/New_York", text);
    // Skipped on 2026-03-08 from 02:00 to 03:00: read with the offset before it (-05:00), so 07:30Z.
    // date -u -d '2026-03-08 07:30' +%s
    assert_eq!(new_york("2026-03-08 02:30:00"), Ok(1_772_955_000));
    assert_eq!(new_york("2026-03-08 01:30:00"), Ok(1_772_955_000 - 3600));
    assert_eq!(new_york("2026-03-08 03:30:00"), Ok(1_772_955_000), "the same instant");
    // Repeated on 2026-11-01: the first of the two (-04:00), so 05:30Z. date -u -d '2026-11-01 05:30' +%s
    assert_eq!(new_york("2026-11-01 01:30:00"), Ok(1_793_511_000));
    assert_eq!(new_york("2026-11-01 02:30:00"), Ok(1_793_511_000 + 2 * 3600));
}

#[test]
fn what_is_not_a_pattern() {
    let error = |pattern: &str, zone: &str| Pattern::timestamp(pattern, zone).err().unwrap_or_default();
    assert!(error("%Y-%m-%d %Ë", "UTC").starts_with("`%Y-%m-%d %Ë` is not a pattern of times: "));
    assert!(error("%H:%M:%S", "UTC").contains("is not a pattern of times"), "{}", error("%H:%M:%S", "UTC"));
    assert!(error("%c", "UTC").contains("is not a pattern of times"));
    assert!(error("", "UTC").contains("is not a pattern of times"));
    assert!(error("%F %T", "Asia/Shangai").starts_with("`Asia/Shangai` is not a known time zone: "));
    assert!(Pattern::date("%H:%M").is_err());
    assert!(Pattern::date("%d.%m.%Y").is_ok());
}

/// Patterns that are compiled, with a zone.
const COMPILED: [(&str, &str); 9] = [
    (ACCESS_LOG, "UTC"),
    ("%Y-%m-%d %H:%M:%S", "UTC"),
    ("%F %T", "America/New_York"),
    ("%Y%m%d%H%M%S", "Asia/Shanghai"),
    ("%Y/%m/%d %R %%", "UTC"),
    ("[%d-%b-%Y %T %z]", "UTC"),
    ("%Y-%m-%d", "Europe/Berlin"),
    ("%z%F %T", "UTC"),
    ("%z:%F", "UTC"),
];

/// The compiled pattern and its twin that asks jiff every time must agree.
fn check_twins(pattern: &str, zone: &str, text: &str) {
    let compiled = Pattern::timestamp(pattern, zone).expect("a pattern");
    assert!(compiled.fixed.is_some(), "{pattern} is compiled");
    let twin = Pattern { fixed: None, ..Pattern::timestamp(pattern, zone).expect("a pattern") };
    assert_eq!(compiled.instant(text), twin.instant(text), "{pattern}: {text}");
    assert_eq!(compiled.day(text), twin.day(text), "{pattern}: {text}");
}

#[test]
fn patterns_that_are_not_compiled() {
    for pattern in ["%d/%m/%y %T", "%-d/%m/%Y", "%F %T%.f", "%Y %M", "%F %S", "%Y-%m-%d %Y", "%F %T %:z", "%j %Y", "%"]
    {
        assert!(FixedParts::compile(pattern.as_bytes()).is_none(), "{pattern}");
    }
}

proptest! {
    #[test]
    fn compiled_patterns_agree_with_jiff(
        which in 0..COMPILED.len(),
        (year, month, day) in (1890i16..2310, 0i8..=13, 0i8..=32),
        (hour, minute, second) in (0i8..=24, 0i8..=60, 0i8..=61),
        offset in "[+-][0-2][0-9][0-6][0-9]",
        extra in "|||[0-9 :]{1,2}",
    ) {
        let (pattern, zone) = COMPILED[which];
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "NOV", "x"];
        let text = pattern
            .replace("%F", "%Y-%m-%d")
            .replace("%T", "%H:%M:%S")
            .replace("%R", "%H:%M")
            .replace("%Y", &format!("{year:04}"))
            .replace("%m", &format!("{month:02}"))
            .replace("%d", &format!("{day:02}"))
            .replace("%b", names[month as usize])
            .replace("%H", &format!("{hour:02}"))
            .replace("%M", &format!("{minute:02}"))
            .replace("%S", &format!("{second:02}"))
            .replace("%z", &offset)
            .replace("%%", "%");
        check_twins(pattern, zone, &text);
        check_twins(pattern, zone, &format!("{text}{extra}"));
    }

    #[test]
    fn compiled_patterns_see_changed_bytes(which in 0..COMPILED.len(), at in 0usize..26, byte in 0x20u8..0x7f) {
        let texts = [
            "20/Nov/2026:08:09:05 +0800", "2026-11-20 08:09:05", "2026-03-08 02:30:00", "20261120080905",
            "2026/11/20 08:09 %", "[20-Nov-2026 08:09:05 -0130]", "2026-11-20",
            "+08002026-11-20 08:09:05", "+0800:2026-11-20",
        ];
        let (pattern, zone) = COMPILED[which];
        let mut text = texts[which].as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        check_twins(pattern, zone, str::from_utf8(&text).expect("ASCII"));
    }
}
