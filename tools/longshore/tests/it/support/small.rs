//! A small log of JSON lines, written by hand: which of its records are rows, and which are dead letters and why, is
//! known from how it was put together.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::shared::Site;

/// Everything of a config but the version, `[clickhouse]` and where the records are.
pub(crate) const CONFIG: &str = r#"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "n"
type = "u64"
required = true
[[column]]
name = "user"
type = "string"
[products]
fixed = "shop"
[table]
time = "ts"
[[rollup]]
kind = "pv_uv"
user = "user"
[[rollup]]
kind = "new_users"
user = "user"
"#;

/// Record number `n`, without a line ending: a second after the one before, of one of seven users.
pub(crate) fn record(n: u64) -> String {
    format!("{{\"ts\":{},\"n\":{n},\"user\":\"u{}\"}}", 1_795_132_800_000 + n * 1000, n % 7)
}

/// Lines of these records.
pub(crate) fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| record(n) + "\n").collect()
}

/// A dead letter as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) reason: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) record: Vec<u8>,
}

/// A log in the making, and what must come of it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    /// The numbers of the records that must be rows.
    pub(crate) rows: Vec<u64>,
    pub(crate) letters: Vec<Letter>,
}

impl Log {
    /// Appends a record that must be loaded, and a line ending.
    pub(crate) fn good(mut self, ending: &str) -> Self {
        // In the middle of the numbers, there is no number that a record without one could have.
        let n = 1 + (self.rows.len() + self.letters.len()) as u64;
        self.bytes.extend(record(n).bytes().chain(ending.bytes()));
        self.rows.push(n);
        self
    }

    /// Appends a record that must be a dead letter, and a line ending.
    pub(crate) fn bad(mut self, reason: &str, record: impl AsRef<[u8]>, ending: &str) -> Self {
        let record = record.as_ref().to_vec();
        let (offset, length) = (self.bytes.len() as u64, record.len() as u64);
        self.bytes.extend(record.iter().copied().chain(ending.bytes()));
        self.letters.push(Letter { reason: reason.to_owned(), offset, length, record });
        self
    }

    /// Loads it with [`CONFIG`] and compares everything; the summary.
    pub(crate) fn load(&self, site: &Site) -> Value {
        let log = site.write("app.log", &self.bytes);
        let loaded = site.load(&site.config(CONFIG), &[log]);
        self.assert_stored(site);
        assert_eq!(loaded["loaded"].as_u64(), Some(self.rows.len() as u64), "{loaded}");
        assert_eq!(loaded["dead"].as_u64(), Some(self.letters.len() as u64), "{loaded}");
        assert_eq!(loaded["records"].as_u64(), Some((self.rows.len() + self.letters.len()) as u64), "{loaded}");
        loaded
    }

    /// The tables hold this log and nothing else, and the ledger agrees.
    pub(crate) fn assert_stored(&self, site: &Site) {
        assert_eq!(rows(site), self.rows, "the rows");
        assert_eq!(letters(site), self.letters, "the dead letters");
        assert_balance(site, self.rows.len() as u64, self.letters.len() as u64, 0);
    }
}

/// The numbers of the loaded records, in order.
pub(crate) fn rows(site: &Site) -> Vec<u64> {
    site.ask("SELECT n FROM {db}.events ORDER BY n").iter().map(|n| n.parse().unwrap()).collect()
}

/// All dead letters in the order of the source.
pub(crate) fn letters(site: &Site) -> Vec<Letter> {
    let rows = site.ask("SELECT reason, offset, length, hex(record) FROM {db}.dead_letters ORDER BY source, offset");
    rows.iter().map(|row| letter(row)).collect()
}

fn letter(row: &str) -> Letter {
    let cells: Vec<&str> = row.split('\t').collect();
    let [reason, offset, length, hex] = cells[..] else { panic!("{row}") };
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Letter {
        reason: reason.to_owned(),
        offset: offset.parse().unwrap(),
        length: length.parse().unwrap(),
        record: (0..hex.len()).step_by(2).map(byte).collect(),
    }
}

/// The ledger has these sums, and they add up in each of its rows.
pub(crate) fn assert_balance(site: &Site, loaded: u64, dead: u64, filtered: u64) {
    let sums = "SELECT sum(records), sum(loaded), sum(dead), sum(filtered), countIf(records != loaded + dead + filtered) \
                FROM {db}.ledger";
    assert_eq!(site.ask(sums), [format!("{}\t{loaded}\t{dead}\t{filtered}\t0", loaded + dead + filtered)]);
}

/// Both rollups of [`CONFIG`] count the records `0..records`, once each.
pub(crate) fn assert_rollups(site: &Site, records: u64) {
    let of = |minute: u64| (minute * 60)..(minute * 60 + 60).min(records);
    let minutes = site.ask("SELECT toUnixTimestamp(minute), pv, uv FROM {db}.pv_uv_by_minute ORDER BY minute");
    let expected = (0..records.div_ceil(60)).map(|minute| {
        let pv = of(minute).count();
        format!("{}\t{pv}\t{}", 1_795_132_800 + minute * 60, pv.min(7))
    });
    assert_eq!(minutes, expected.collect::<Vec<_>>(), "views and visitors");
    // Seven users come in the first seven seconds.
    let first = site.ask("SELECT toUnixTimestamp(minute), new_users FROM {db}.new_users_by_minute");
    assert_eq!(first, [format!("1795132800\t{}", records.min(7))], "new users");
}

/// The config with a limit on slices of 64 KiB, so that a small log has many.
pub(crate) fn config_of_small_slices(site: &Site) -> PathBuf {
    site.config(&format!("[decode]\nrecord_bytes_max = \"4 KiB\"\n{CONFIG}[pipeline]\nslice_bytes = \"64 KiB\"\n"))
}

/// What a program said on standard error, with how it ended.
pub(crate) fn refused<P: AsRef<Path>>(site: &Site, config: &Path, inputs: &[P], code: i32) -> String {
    let output = site.try_load(config, inputs);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}
