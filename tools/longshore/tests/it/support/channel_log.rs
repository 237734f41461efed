//! The generator's channel log, the demo's config around it, and the comparison of what the analyst gets with what the
//! generator says is right. The generator shares no code with the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loggen::{Cipher, Encryption, Envelope, Options, Summary};
use serde_json::Value;

use super::http::engine;
use super::shared::Site;

/// What the demo loads: a config that people start from, so that is what is tested.
const DEMO: &str = include_str!("../../../../../fixtures/demo/longshore.toml");

/// The views that the generator has answers for; the keys of a row come first in each.
const VIEWS: [&str; 7] = [
    "new_users_by_minute",
    "new_users_by_hour",
    "new_users_by_day",
    "new_users_cumulative",
    "gmv_by_minute",
    "pv_uv_by_minute",
    "requests_by_ip_by_minute",
];

/// A log with plenty of everything that goes wrong; its dictionary and its answers are written into the site's folder.
pub(crate) fn options(site: &Site, seed: u64, records: u64) -> Options {
    Options {
        seed,
        records,
        minutes: 90,
        late_rate: 0.05,
        duplicate_rate: 0.01,
        broken_rate: 0.02,
        escape_rate: 0.05,
        products_file: Some(site.path("products.csv")),
        expect: Some(site.path("expect")),
        ..Options::default()
    }
}

/// The options with every record sealed; the keyring is `keyring.toml` in the site's folder.
pub(crate) fn sealed(site: &Site, options: Options, envelope: Envelope, cipher: Cipher) -> Options {
    let keyring = Some(site.path("keyring.toml"));
    Options { encryption: Some(Encryption { cipher, envelope, keyring, keys: 3 }), ..options }
}

/// Writes the log as `log` into the site's folder.
pub(crate) fn generate(site: &Site, options: &Options) -> (PathBuf, Summary) {
    let mut log = Vec::new();
    let summary = loggen::generate(options, &mut log).unwrap();
    (site.write("log", log), summary)
}

/// The demo's columns, products, table and rollups, behind another `[decode]` section.
pub(crate) fn config(decode: &str) -> String {
    let start = DEMO.find("[[column]]").unwrap();
    let end = DEMO.find("[clickhouse]").unwrap();
    let body = DEMO[start..end].replace("${LONGSHORE_DEMO:-../../target/demo}/", "");
    format!("[decode]\n{decode}\n{body}")
}

/// The keys of `[decode]` for sealed records.
pub(crate) fn envelope(layout: &str) -> String {
    format!("format = \"json\"\nenvelope = {{ layout = \"{layout}\", keyring = \"keyring.toml\" }}")
}

/// Everything there is to compare: the load's summary, the ledger, all views and all dead letters.
pub(crate) fn assert_right(site: &Site, loaded: &Value, right: &Summary) {
    assert_summary(loaded, right);
    assert_tables(site, right);
    assert_verified(site);
}

/// The figures that `load --json` printed.
pub(crate) fn assert_summary(loaded: &Value, right: &Summary) {
    let number = |key: &str| loaded[key].as_u64().unwrap();
    assert_eq!(number("records"), right.records, "{loaded}");
    assert_eq!(number("loaded"), right.loaded, "{loaded}");
    assert_eq!(number("filtered"), right.filtered, "{loaded}");
    assert_eq!(number("dead"), right.dead.values().sum::<u64>(), "{loaded}");
    assert_eq!(number("loaded") + number("dead") + number("filtered"), number("records"), "{loaded}");
    assert_eq!(loaded["dead_by_reason"], serde_json::to_value(&right.dead).unwrap());
    let products = right.loaded_by_product.iter().filter(|(_, count)| **count > 0);
    assert_eq!(
        loaded["loaded_by_product"],
        products.map(|(id, count)| (id.clone(), Value::from(*count))).collect::<Value>()
    );
}

/// The tables of events, dead letters and slices, as a reader counts them.
pub(crate) fn assert_tables(site: &Site, right: &Summary) {
    let dead: u64 = right.dead.values().sum();
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), [right.loaded.to_string()]);
    assert_eq!(site.ask("SELECT uniqExact(_slice, _row) FROM {db}.events"), [right.loaded.to_string()]);
    let ledger = "SELECT sum(records), sum(loaded), sum(dead), sum(filtered) FROM {db}.ledger";
    assert_eq!(site.ask(ledger), [format!("{}\t{}\t{dead}\t{}", right.records, right.loaded, right.filtered)]);
    let reasons = site.ask("SELECT reason, count() FROM {db}.dead_letters GROUP BY reason ORDER BY reason");
    assert_eq!(reasons, right.dead.iter().map(|(reason, count)| format!("{reason}\t{count}")).collect::<Vec<_>>());
}

/// `verify.py`, as a user would run it but for the user: the analyst does not read databases that came after the server.
pub(crate) fn assert_verified(site: &Site) {
    let embedded = &site.server.embedded;
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../verify/verify.py"))
        .args(["--url", &embedded.http_url(), "--user", embedded.engine_user(), "--password-env", "PASSWORD"])
        .args(["--database", &site.database, "--expect"])
        .arg(site.path("expect"))
        .env("PASSWORD", engine(embedded).password)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("verified\n"), "{said}");
}

/// Every view row by row against the generator's files, without `verify.py`; rows for which `condition` does not hold
/// are left out of what the analyst gets.
pub(crate) fn assert_views(site: &Site, condition: &str) {
    for view in VIEWS {
        let (columns, mut expected) = expected_rows(&site.path("expect").join(format!("{view}.tsv")));
        let selected: Vec<String> = columns.iter().map(|column| selected(column)).collect();
        let mut actual = site.ask(&format!("SELECT {} FROM {{db}}.{view} WHERE {condition}", selected.join(", ")));
        expected.sort_unstable();
        actual.sort_unstable();
        assert!(!expected.is_empty(), "{view}: nothing to compare");
        let differs = expected.iter().zip(&actual).position(|(expected, actual)| expected != actual);
        let first = differs.map(|at| (&expected[at], &actual[at]));
        assert!(first.is_none(), "{view}: expected and actual {first:?}");
        assert_eq!(expected.len(), actual.len(), "{view}: rows");
    }
}

/// How a column is asked for so that its text does not depend on settings: times in UTC, money in cents.
fn selected(column: &str) -> String {
    match column {
        "minute" | "hour" | "day" => format!("toString(toDateTime({column}, 'UTC'))"),
        "amount" => "toString(toInt64(amount * 100))".to_owned(),
        _ => format!("toString({column})"),
    }
}

/// Column names and rows of one of the generator's files, amounts in cents.
fn expected_rows(path: &Path) -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let columns: Vec<String> = lines.next().unwrap().split('\t').map(str::to_owned).collect();
    let amount = columns.iter().position(|column| column == "amount");
    let row = |line: &str| {
        let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        if let Some(amount) = amount {
            let cents: u64 = cells[amount].replace('.', "").parse().unwrap();
            cells[amount] = cents.to_string();
        }
        cells.join("\t")
    };
    (columns, lines.map(row).collect())
}

/// Every dead letter holds the bytes that the source has at its place, behind a prefix of so many bytes.
pub(crate) fn assert_letters_are_of_the_source(site: &Site, log: &Path, prefix_bytes: usize) {
    let log = fs::read(log).unwrap();
    let letters = site.ask("SELECT offset, length, hex(record) FROM {db}.dead_letters ORDER BY offset");
    assert!(!letters.is_empty());
    for letter in letters {
        let cells: Vec<&str> = letter.split('\t').collect();
        let (offset, length): (usize, usize) = (cells[0].parse().unwrap(), cells[1].parse().unwrap());
        let hex: String = log[offset + prefix_bytes..][..length].iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(cells[2], hex, "the letter at {offset}");
    }
}
