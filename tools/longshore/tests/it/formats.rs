//! The same records in every format, compression and line ending give the same rows, compared cell by cell with a
//! reading by serde_json; and a rotated key that the keyring does not have yet costs nothing in the end.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use loggen::{Cipher, Compression, Encryption, Envelope, Format, Options};
use serde_json::{Value, json};

use crate::support::channel_log::{
    assert_right, assert_summary, assert_tables, assert_views, config, envelope, generate, options, sealed,
};
use crate::support::shared::Site;

const RECORDS: u64 = 20_000;

/// All columns of a row as text or null, in the config's order; amounts in cents.
const CELLS: &str = "SELECT toString(toUnixTimestamp64Milli(ts)), event, product, channel, user_id, device_id, \
                     toString(session_id), toString(ip), os, app_version, country, page, referrer, props, order_id, \
                     toString(toInt64(amount * 100)), currency \
                     FROM {db}.events ORDER BY _row FORMAT JSONCompactEachRow";

const FIELDS: [&str; 17] = [
    "ts",
    "event",
    "product",
    "channel",
    "user_id",
    "device_id",
    "session_id",
    "ip",
    "os",
    "app_version",
    "country",
    "page",
    "referrer",
    "props",
    "order_id",
    "amount",
    "currency",
];

fn decode(format: Format) -> &'static str {
    match format {
        Format::Json => "format = \"json\"",
        Format::Csv => "format = \"csv\"",
        Format::Tsv => "format = \"tsv\"",
    }
}

/// A JSON line's values as [`CELLS`] asks for them; `props` stays as it is.
fn cells(line: &str, newline: &str) -> Vec<Value> {
    let record: Value = serde_json::from_str(line).unwrap();
    let cell = |field: &str| match (&record[field], field) {
        // Units and two digits of cents, as a number or in quotes.
        (Value::Number(amount), "amount") => json!(cents(&amount.to_string())),
        (Value::String(amount), "amount") => json!(cents(amount)),
        (Value::Number(number), _) => json!(number.to_string()),
        (Value::String(text), _) => json!(text.replace('\n', newline)),
        (other, _) => other.clone(),
    };
    FIELDS.into_iter().map(cell).collect()
}

fn cents(amount: &str) -> String {
    let (_, fraction) = amount.split_once('.').unwrap();
    assert_eq!(fraction.len(), 2, "{amount}");
    amount.replace('.', "").parse::<u64>().unwrap().to_string()
}

/// Compares the table with the log as JSON, cell by cell; in `newline` the format's line feeds are written.
fn assert_cells(site: &Site, json_log: &[u8], newline: &str) {
    let answer = site.ask(CELLS);
    let log = std::str::from_utf8(json_log).unwrap();
    assert_eq!(answer.len(), log.lines().count());
    for (row, (answer, line)) in answer.iter().zip(log.lines()).enumerate() {
        let mut actual: Vec<Value> = serde_json::from_str(answer).unwrap();
        let props = actual[13].as_str().unwrap();
        actual[13] = serde_json::from_str(props).unwrap();
        assert_eq!(actual, cells(line, newline), "row {row}");
    }
}

#[test]
fn every_format_gives_the_cells_of_the_json_log() {
    let sound = |site: &Site| Options { broken_rate: 0.0, escape_rate: 0.4, ..options(site, 201, 5_000) };
    for (format, newline) in [(Format::Json, "\n"), (Format::Csv, " "), (Format::Tsv, "\n")] {
        let site = Site::new("cells");
        let mut json_log = Vec::new();
        loggen::generate(&sound(&site), &mut json_log).unwrap();
        let (log, right) = generate(&site, &Options { format, ..sound(&site) });
        let loaded = site.load(&site.config(&config(decode(format))), &[&log]);
        assert_summary(&loaded, &right);
        assert_eq!(loaded["slices"], json!(1), "_row numbers the lines of one slice");
        assert_cells(&site, &json_log, newline);
    }
}

#[test]
fn broken_csv_and_tsv_give_every_answer() {
    for format in [Format::Csv, Format::Tsv] {
        let site = Site::new("delimited");
        let (log, right) = generate(&site, &Options { format, ..options(&site, 202, RECORDS) });
        assert_eq!(right.dead.len(), 4, "every reason that such a log can have: {:?}", right.dead);
        // Every slice but the first has no header line of its own.
        let pipeline = "\n[pipeline]\nslice_bytes = \"1 MiB\"\n";
        let loaded = site.load(&site.config(&format!("{}{pipeline}", config(decode(format)))), &[&log]);
        assert!(loaded["slices"].as_u64().unwrap() >= 5, "{loaded}");
        assert_right(&site, &loaded, &right);
    }
}

#[test]
fn compression_is_told_by_content_whatever_the_name_says() {
    let magic: [(Compression, &str, &[u8]); 3] = [
        (Compression::Gzip, "log.zst", &[0x1f, 0x8b]),
        (Compression::Zstd, "log.json", &[0x28, 0xb5, 0x2f, 0xfd]),
        (Compression::Lz4, "log.gz", &[0x04, 0x22, 0x4d, 0x18]),
    ];
    for (compression, name, magic) in magic {
        let site = Site::new("compressed");
        let (log, right) = generate(&site, &Options { compression, ..options(&site, 203, RECORDS) });
        let bytes = fs::read(log).unwrap();
        assert!(bytes.starts_with(magic) && right.bytes < right.uncompressed_bytes);
        let log = site.write(name, bytes);
        let loaded = site.load(&site.config(&config(decode(Format::Json))), &[&log]);
        assert_eq!(loaded["bytes"].as_u64(), Some(right.uncompressed_bytes));
        assert_right(&site, &loaded, &right);
    }
}

#[test]
fn compressed_frames_give_every_answer_from_standard_input() {
    let site = Site::new("piped");
    let asked = sealed(&site, options(&site, 204, RECORDS), Envelope::Frame, Cipher::ChaCha20Poly1305);
    let (log, right) = generate(&site, &Options { compression: Compression::Zstd, ..asked });
    let config = site.config(&config(&envelope("frame")));
    let mut command = site.command();
    command.args(["load", "--quiet", "--json", "-c"]).arg(config).arg("-");
    let output = command.stdin(Stdio::from(fs::File::open(log).unwrap())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_right(&site, &serde_json::from_slice(&output.stdout).unwrap(), &right);
}

#[test]
fn line_endings_are_no_part_of_a_record() {
    for (format, is_sealed) in [(Format::Json, false), (Format::Json, true), (Format::Csv, false), (Format::Tsv, false)]
    {
        let site = Site::new("crlf");
        let mut asked = Options { format, crlf: true, no_final_newline: true, ..options(&site, 205, RECORDS) };
        if is_sealed {
            asked = sealed(&site, asked, Envelope::Tab, Cipher::Aes128Gcm);
        }
        let (log, right) = generate(&site, &asked);
        let bytes = fs::read(&log).unwrap();
        assert_eq!(
            bytes.iter().filter(|byte| **byte == b'\r').count() as u64,
            right.records - u64::from(format == Format::Json)
        );
        let decode = if is_sealed { envelope("tab") } else { decode(format).to_owned() };
        let loaded = site.load(&site.config(&config(&decode)), &[&log]);
        assert_right(&site, &loaded, &right);
        assert_eq!(site.ask("SELECT count() FROM {db}.events WHERE currency LIKE '%\\r'"), ["0"]);
    }
}

/// Removes the `[[key]]` of this id from the keyring; returns what the file was.
fn remove_key(keyring: &Path, id: &str) -> String {
    let whole = fs::read_to_string(keyring).unwrap();
    let keys: Vec<&str> = whole.split("[[key]]").collect();
    let kept: Vec<&str> = keys.iter().copied().filter(|key| !key.contains(&format!("id = \"{id}\""))).collect();
    assert_eq!(kept.len() + 1, keys.len());
    fs::write(keyring, kept.join("[[key]]")).unwrap();
    whole
}

/// Letters of unknown keys as an input, by the statements of docs/operating.md.
fn letters(site: &Site, of: Envelope) -> Vec<u8> {
    let record = if of == Envelope::Frame { "concat(unhex(leftPad(hex(length), 8, '0')), record)" } else { "record" };
    let from = "FROM {db}.dead_letters WHERE reason = 'unknown_key' ORDER BY offset";
    let end: &[u8] = if of == Envelope::Frame { b"" } else { b"\n" };
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    let letters = site.ask(&format!("SELECT hex({record}) {from}"));
    letters.iter().flat_map(|hex| hex.as_bytes().chunks(2).map(byte).chain(end.iter().copied())).collect()
}

#[test]
fn records_of_a_key_that_came_late_are_loaded_from_the_dead_letters() {
    for (of, layout) in [(Envelope::Tab, "tab"), (Envelope::Frame, "frame")] {
        let site = Site::new("rotated");
        let keyring = Some(site.path("keyring.toml"));
        let encryption = Some(Encryption { keys: 5, keyring, envelope: of, ..Encryption::default() });
        let (log, right) = generate(&site, &Options { encryption, ..options(&site, 206, RECORDS) });

        let whole = remove_key(&site.path("keyring.toml"), "k4");
        let config = site.config(&config(&envelope(layout)));
        let loaded = site.load(&config, &[&log]);
        let unknown = loaded["dead_by_reason"]["unknown_key"].as_u64().unwrap();
        assert!(unknown > RECORDS / 6, "the log goes through its five keys: {unknown}");
        if of == Envelope::Tab {
            // The key comes first in a line, and is looked at first, so other defects do not show.
            let log = fs::read(&log).unwrap();
            let of_k4 = log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"k4\t")).count();
            assert_eq!(unknown, of_k4 as u64 + right.dead["unknown_key"]);
        }

        // The key arrives. The letters are as they came, so they are an input.
        fs::write(site.path("keyring.toml"), whole).unwrap();
        let again = site.load(&config, &[site.write("again", letters(&site, of))]);
        assert_eq!(again["records"].as_u64(), Some(unknown));
        assert_eq!(again["dead_by_reason"]["unknown_key"].as_u64(), Some(right.dead["unknown_key"]));
        let total = loaded["loaded"].as_u64().unwrap() + again["loaded"].as_u64().unwrap();
        assert_eq!(total, right.loaded);
        assert_views(&site, "1");
    }
}

#[test]
fn keys_may_rotate_backwards() {
    let site = Site::new("backwards");
    let asked = sealed(&site, options(&site, 207, RECORDS), Envelope::Json, Cipher::Aes256Gcm);
    let (log, right) = generate(&site, &asked);
    let bytes = fs::read(&log).unwrap();
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.reverse();
    let log = site.write("reversed", lines.concat());
    let loaded = site.load(&site.config(&config(&envelope("json"))), &[&log]);
    assert_summary(&loaded, &right);
    assert_tables(&site, &right);
    assert_views(&site, "1");
}
