//! What the tests share: runs in memory, and a date computation of their own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::Path;

use loggen::{Options, Summary};

/// Small enough for a test, large enough for several blocks and every rare case.
pub fn options(seed: u64, records: u64) -> Options {
    Options { seed, records, ..Options::default() }
}

pub fn run(options: &Options) -> (Vec<u8>, Summary) {
    let mut out = Vec::new();
    let summary = loggen::generate(options, &mut out).unwrap();
    (out, summary)
}

/// The lines without their ends.
pub fn lines(log: &[u8]) -> Vec<&[u8]> {
    let log = log.strip_suffix(b"\n").unwrap_or(log);
    if log.is_empty() { Vec::new() } else { log.split(|byte| *byte == b'\n').collect() }
}

/// The options with nothing broken.
pub fn sound(seed: u64, records: u64) -> Options {
    Options { broken_rate: 0.0, ..options(seed, records) }
}

pub fn json(line: &[u8]) -> serde_json::Value {
    serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)))
}

/// `YYYY-MM-DD HH:MM:SS` in UTC, by counting years and months (the generator uses a library).
pub fn utc(seconds: i64) -> String {
    let (mut days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}", month + 1, days + 1)
}

pub fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}
