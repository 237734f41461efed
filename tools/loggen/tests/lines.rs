//! The log itself: the same bytes for the same options, 17 fields a line, the asked-for rates, all forms.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;

use common::{json, lines, options, run, sound};
use loggen::{Compression, Encryption, Error, Format, Options, START_MS_DEFAULT};
use serde_json::Value;

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

#[test]
fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
    for encryption in [None, Some(Encryption::default())] {
        let with_threads = |threads| run(&Options { threads, encryption: encryption.clone(), ..options(21, 20_000) });
        let (one, two) = (with_threads(1), with_threads(2));
        assert!(one == two && one == with_threads(5));
    }
    assert_ne!(run(&options(21, 100)).0, run(&options(22, 100)).0);
}

/// Names in the order of the line: serde_json's own map would sort them.
fn names_in_order(line: &str) -> Vec<&'static str> {
    let mut at: Vec<_> = FIELDS.iter().map(|name| (line.find(&format!("\"{name}\":")).unwrap(), *name)).collect();
    at.sort_unstable();
    at.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn every_sound_line_is_an_object_of_the_17_fields() {
    let (log, _) = run(&Options { escape_rate: 0.3, ..sound(23, 20_000) });
    let mut quoted_amounts = 0;
    for line in lines(&log) {
        assert_eq!(names_in_order(std::str::from_utf8(line).unwrap()), FIELDS);
        let record = json(line);
        let record = record.as_object().unwrap();
        assert_eq!(record.len(), FIELDS.len());
        quoted_amounts += usize::from(record["amount"].is_string());
        check_fields(record);
    }
    assert!(quoted_amounts > 50, "{quoted_amounts}");
}

fn check_fields(record: &serde_json::Map<String, Value>) {
    let text = |name: &str| record[name].as_str().unwrap();
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(record["ts"].is_i64());
    assert!(text("product").len() == 3 && text("channel").len() == 6 && text("user_id").len() == 12);
    assert!(hex(text("device_id"), 32) && hex(&text("session_id").replace('-', ""), 32));
    assert!(text("ip").parse::<std::net::Ipv4Addr>().is_ok());
    assert!(!text("os").is_empty() && text("app_version").split('.').count() == 3 && text("country").len() == 2);
    assert!(text("page").starts_with('/'));
    assert!(text("referrer").is_empty() || text("referrer").starts_with("https://"));
    let props = record["props"].as_object().unwrap();
    assert!((3..=6).contains(&props.len()) && props["ab"].is_array());

    let order = text("event") == "order_paid";
    for name in ["order_id", "amount", "currency"] {
        assert_eq!(record[name].is_null(), !order, "{name}");
    }
    if order {
        let amount = record["amount"].as_str().map_or_else(|| record["amount"].to_string(), str::to_owned);
        let (units, cents) = amount.split_once('.').unwrap();
        assert!(units.parse::<u32>().is_ok() && cents.len() == 2 && cents.parse::<u32>().is_ok(), "{amount}");
    }
}

#[test]
fn shuffled_keys_change_the_order_and_nothing_else() {
    let (plain, _) = run(&sound(24, 3_000));
    let (shuffled, _) = run(&Options { shuffle_keys: true, ..sound(24, 3_000) });
    let mut orders = BTreeSet::new();
    for (plain, shuffled) in lines(&plain).into_iter().zip(lines(&shuffled)) {
        assert_eq!(json(plain), json(shuffled));
        orders.insert(names_in_order(std::str::from_utf8(shuffled).unwrap()));
    }
    assert!(orders.len() > 2_900, "{}", orders.len());
}

fn assert_near(what: &str, share: f64, wanted: f64) {
    assert!((share / wanted - 1.0).abs() < 0.15, "{what}: {share}, wanted {wanted}");
}

#[test]
fn rates_and_shares_are_honoured() {
    let records = 60_000;
    let asked = Options { late_rate: 0.1, duplicate_rate: 0.02, escape_rate: 0.2, ..sound(25, records) };
    let (log, _) = run(&asked);
    let (mut late, mut hard, mut seen) = (0, 0, HashMap::<&[u8], usize>::new());
    let mut events = BTreeMap::<String, usize>::new();
    for (index, line) in lines(&log).into_iter().enumerate() {
        *seen.entry(line).or_default() += 1;
        let record = json(line);
        let place_ms = START_MS_DEFAULT + index as i64 * 3_600_000 / records as i64;
        let behind_ms = place_ms - record["ts"].as_i64().unwrap();
        assert!(behind_ms >= -5_000, "{behind_ms}");
        late += usize::from(behind_ms > 60_000);
        hard += usize::from(line.iter().any(|byte| *byte == b'\\' || !byte.is_ascii()));
        *events.entry(record["event"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let share = |count: usize| count as f64 / records as f64;
    assert_near("late", share(late), 0.1);
    assert_near("repeated", share(seen.values().map(|times| times - 1).sum()), 0.02);
    assert_near("escapes", share(hard), 0.2);
    let shares = [("page_view", 0.6), ("click", 0.2), ("add_to_cart", 0.08), ("register", 0.02), ("order_paid", 0.05)];
    for (event, wanted) in shares.into_iter().chain([("heartbeat", 0.05)]) {
        assert_near(event, share(events[event]), wanted);
    }
    assert_near("bytes a record", log.len() as f64 / records as f64, 410.0);

    let (_, summary) = run(&Options { broken_rate: 0.05, ..options(25, records) });
    assert_near("broken", share(summary.dead.values().sum::<u64>() as usize), 0.05);
    assert_eq!(summary.loaded + summary.dead.values().sum::<u64>(), records);
}

#[test]
fn escapes_of_every_kind_occur() {
    let (log, _) = run(&Options { escape_rate: 0.5, ..sound(26, 2_000) });
    let log = String::from_utf8(log).unwrap();
    let kinds =
        [r#"\""#, r"\\", r"\n", r"\t", r"\/", r"\u00e9", r"\ud83d\ude00", "é", "商品", "\u{1f600}", r#""event":"\u00"#];
    for kind in kinds {
        assert!(log.contains(kind), "{kind}");
    }
}

#[test]
fn products_channels_and_users_are_skewed() {
    let (log, _) = run(&sound(27, 40_000));
    let mut products = BTreeMap::<String, usize>::new();
    let mut channels = BTreeMap::<String, usize>::new();
    let mut products_of_ip = HashMap::<String, BTreeSet<String>>::new();
    for line in lines(&log) {
        let record = json(line);
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        *products.entry(text("product")).or_default() += 1;
        if text("product") == "p01" {
            *channels.entry(text("channel")).or_default() += 1;
        }
        products_of_ip.entry(text("ip")).or_default().insert(text("user_id"));
    }
    assert_eq!(
        products.keys().map(String::as_str).collect::<Vec<_>>(),
        ["p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08"]
    );
    assert!(products["p01"] > 3 * products["p08"]);
    assert_eq!(channels.len(), 40);
    assert!(channels.values().max().unwrap() > &(10 * channels.values().min().unwrap()));
    assert!(products_of_ip.values().any(|users| users.len() > 5), "no address is shared");
}

/// A null is empty in CSV.
fn read_csv(text: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut reader = csv::Reader::from_reader(text);
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), FIELDS);
    reader.records().map(|record| record.unwrap().iter().map(|value| Some(value.to_owned())).collect()).collect()
}

/// Lines that end in CR LF.
fn read_tsv(text: &[u8]) -> Vec<Vec<Option<String>>> {
    let text = std::str::from_utf8(text).unwrap();
    let mut lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
    assert_eq!(lines.next().unwrap().split('\t').collect::<Vec<_>>(), FIELDS);
    let value = |cell: &str| {
        // A backslash that was escaped must not begin another escape: it is a NUL meanwhile.
        let text = cell.replace(r"\\", "\0").replace(r"\t", "\t").replace(r"\n", "\n").replace(r"\r", "\r");
        assert!(cell == r"\N" || !text.contains('\\'), "{cell}");
        (cell != r"\N").then(|| text.replace('\0', r"\"))
    };
    lines.map(|line| line.split('\t').map(value).collect()).collect()
}

fn assert_same_values(rows: &[Vec<Option<String>>], log: &[u8], null: Option<&str>) {
    assert_eq!(rows.len(), 5_000);
    for (row, line) in rows.iter().zip(lines(log)) {
        let record = json(line);
        assert_eq!(row.len(), FIELDS.len());
        for (name, value) in FIELDS.into_iter().zip(row) {
            let value = value.as_deref();
            match &record[name] {
                Value::Null => assert_eq!(value, null),
                Value::String(text) => assert_eq!(value, Some(text.as_str())),
                Value::Object(props) => assert_eq!(json(value.unwrap().as_bytes()).as_object(), Some(props)),
                number => assert_eq!(value, Some(number.to_string().as_str())),
            }
        }
    }
}

#[test]
fn csv_carries_the_same_values_as_json() {
    let asked = Options { escape_rate: 0.4, ..sound(28, 5_000) };
    let (log, _) = run(&asked);
    let csv = Options { format: Format::Csv, ..asked };
    let (text, _) = run(&Options { quoted_newlines: true, crlf: true, ..csv.clone() });
    assert_same_values(&read_csv(&text), &log, Some(""));
    let (one_line_each, _) = run(&csv);
    assert_eq!(lines(&one_line_each).len(), 5_001);
    assert_eq!(read_csv(&one_line_each).len(), 5_000);
}

#[test]
fn tsv_carries_the_same_values_as_json() {
    let asked = Options { escape_rate: 0.4, ..sound(28, 5_000) };
    let (log, _) = run(&asked);
    let (text, _) = run(&Options { format: Format::Tsv, crlf: true, ..asked });
    assert_same_values(&read_tsv(&text), &log, None);
    let text = String::from_utf8(text).unwrap();
    for escape in [r"\t", r"\n", r"\\", r"\N"] {
        assert!(text.contains(escape), "{escape}");
    }
}

#[test]
fn broken_csv_breaks_only_values() {
    let (text, summary) = run(&Options { format: Format::Csv, broken_rate: 0.2, ..options(29, 3_000) });
    let reasons: Vec<_> = summary.dead.keys().copied().collect();
    assert_eq!(reasons, ["bad_utf8", "missing_field", "type_mismatch", "unknown_product"]);
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let mut missing = 0;
    for record in reader.byte_records() {
        let record = record.unwrap();
        assert_eq!(record.len(), 17);
        missing += u64::from(record[0].is_empty() || record[4].is_empty());
    }
    assert_eq!(missing, summary.dead["missing_field"]);
}

#[test]
fn compressed_files_hold_the_plain_file() {
    let (plain, _) = run(&options(30, 10_000));
    let unpack = |compression, bytes: &[u8]| {
        let mut unpacked = Vec::new();
        match compression {
            Compression::None => unpacked.extend_from_slice(bytes),
            Compression::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap()),
            Compression::Zstd => unpacked = zstd::decode_all(bytes).unwrap(),
            Compression::Lz4 => drop(lz4_flex::frame::FrameDecoder::new(bytes).read_to_end(&mut unpacked).unwrap()),
        }
        unpacked
    };
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Lz4] {
        let (packed, summary) = run(&Options { compression, ..options(30, 10_000) });
        assert!(unpack(compression, &packed) == plain, "{compression:?}");
        assert_eq!((summary.bytes, summary.uncompressed_bytes), (packed.len() as u64, plain.len() as u64));
    }
}

#[test]
fn line_ends_are_as_asked() {
    let (plain, _) = run(&options(31, 5_000));
    let (crlf, _) = run(&Options { crlf: true, ..options(31, 5_000) });
    let (open, _) = run(&Options { no_final_newline: true, ..options(31, 5_000) });
    let (both, _) = run(&Options { crlf: true, no_final_newline: true, ..options(31, 5_000) });
    assert!(plain.strip_suffix(b"\n") == Some(&open[..]));
    assert!(crlf.strip_suffix(b"\r\n") == Some(&both[..]));
    assert!(String::from_utf8_lossy(&crlf).replace("\r\n", "\n") == String::from_utf8_lossy(&plain));
}

#[test]
fn edges_of_the_options_work() {
    // Around the 2,048 records of a block, and none at all.
    for records in [0, 1, 2_047, 2_048, 2_049, 4_096] {
        let (log, summary) = run(&sound(32, records));
        assert_eq!((lines(&log).len() as u64, summary.records, summary.loaded), (records, records, records));
    }
    let header_only = run(&Options { format: Format::Csv, no_final_newline: true, ..sound(32, 0) }).0;
    assert_eq!(header_only, FIELDS.join(",").as_bytes());

    let tiny = Options { products: 1, users: Some(1), minutes: 1, late_rate: 0.0, ..sound(33, 500) };
    let (log, summary) = run(&tiny);
    assert_eq!(summary.loaded_by_product.into_iter().collect::<Vec<_>>(), [("p01".to_owned(), 500)]);
    assert_eq!(lines(&log).len(), 500);

    let (_, summary) = run(&Options { products: 98, ..sound(34, 20_000) });
    assert!(summary.loaded_by_product.len() == 98 && summary.loaded_by_product.values().all(|count| *count > 0));

    let all = Options { late_rate: 1.0, duplicate_rate: 1.0, broken_rate: 1.0, escape_rate: 1.0, ..options(35, 3_000) };
    let (log, summary) = run(&all);
    assert_eq!((lines(&log).len(), summary.loaded), (3_000, 0));
}

#[test]
fn senseless_options_are_refused_by_name() {
    let refused = |options: Options| match loggen::generate(&options, &mut Vec::new()) {
        Err(Error::Option(message)) => message,
        other => panic!("{other:?}"),
    };
    let base = || options(1, 10);
    let encryption = |keys| Some(Encryption { keys, ..Encryption::default() });
    assert!(refused(Options { late_rate: 1.5, ..base() }).contains("--late-rate 1.5"));
    assert!(refused(Options { escape_rate: f64::NAN, ..base() }).contains("--escape-rate"));
    assert!(refused(Options { products: 99, ..base() }).contains("--products 99"));
    assert!(refused(Options { users: Some(0), ..base() }).contains("--users 0"));
    assert!(refused(Options { minutes: 0, ..base() }).contains("--minutes 0"));
    assert!(refused(Options { start_ms: -1, ..base() }).contains("--start"));
    assert!(refused(Options { format: Format::Csv, shuffle_keys: true, ..base() }).contains("--shuffle-keys"));
    assert!(refused(Options { quoted_newlines: true, ..base() }).contains("--quoted-newlines"));
    let tsv = Options { format: Format::Tsv, quoted_newlines: true, ..base() };
    assert!(refused(tsv).contains("--quoted-newlines"));
    assert!(refused(Options { format: Format::Tsv, encryption: encryption(3), ..base() }).contains("--encrypt"));
    assert!(refused(Options { encryption: encryption(0), ..base() }).contains("--keys 0"));
    let frames = Some(Encryption { envelope: loggen::Envelope::Frame, ..Encryption::default() });
    assert!(refused(Options { encryption: frames, crlf: true, ..base() }).contains("--envelope frame"));
}

#[test]
fn a_failing_writer_ends_the_run_with_its_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    match loggen::generate(&options(36, 200_000), &mut Full(5_000_000)) {
        Err(Error::Output(error)) => assert_eq!(error.kind(), std::io::ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
}
