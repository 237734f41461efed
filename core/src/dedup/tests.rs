//! Keys against hashes that ClickHouse made, and what counts as the same event.

use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Env};
use crate::decode::{Decoder, Scratch};
use crate::slice::{CutAt, Slice, SliceId};

use super::*;

/// A config with this `[dedup]` over all types that a key may have.
fn config(dedup: &str) -> Config {
    let columns = [
        ("ts", "timestamp", "format = \"rfc3339\"\nrequired = true"),
        ("app", "low_cardinality", "required = true"),
        ("order", "string", "nullable = true"),
        ("kind", "low_cardinality", "nullable = true"),
        ("n", "u16", ""),
        ("m", "i64", ""),
        ("flag", "bool", "nullable = true"),
        ("amount", "decimal(18,2)", ""),
        ("ip", "ipv4", ""),
        ("id", "uuid", ""),
    ];
    let columns: String = columns
        .iter()
        .map(|(name, ty, more)| format!("[[column]]\nname = \"{name}\"\ntype = \"{ty}\"\n{more}\n"))
        .collect();
    let text = format!(
        "version = 1\n{columns}[products]\ncolumn = \"app\"\n[table]\ntime = \"ts\"\n[dedup]\n{dedup}\n[clickhouse]\n"
    );
    config::parse(&text, Path::new("t.toml"), &Env::new()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn batch(config: &Config, lines: &str) -> RecordBatch {
    let decoder = Decoder::new(config, None, None).unwrap();
    let slice = Slice {
        id: SliceId(1),
        source: Arc::from("t"),
        start: 0,
        bytes: lines.into(),
        header: None,
        messages: None,
        tail: None,
        cut: CutAt::Unknown,
    };
    let decoded = decoder.decode(&slice, &mut Scratch::new(&decoder));
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    decoded.batch
}

fn keys(config: &Config, lines: &str) -> Vec<Option<EventKey>> {
    EventKeys::new(config).unwrap().read(&batch(config, lines))
}

fn record(app: &str, order: &str) -> String {
    format!(
        "{{\"ts\":\"2026-11-21T10:59:59.999Z\",\"app\":\"{app}\",\"order\":{order},\"kind\":\"pay\",\"n\":258,\"m\":-2,\
         \"flag\":true,\"amount\":\"12.34\",\"ip\":\"1.2.3.4\",\"id\":\"00112233-4455-6677-8899-aabbccddeeff\"}}\n"
    )
}

fn hex(key: &EventKey) -> String {
    key.hash.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// By a SipHash written anew from its paper, over bytes put together by hand as the module says.
#[test]
fn keys_never_change() {
    let line = record("a", "\"42\"");
    let [key] = keys(&config("key = [\"order\"]"), &line)[..] else { panic!("one record") };
    assert_eq!(key.as_ref().map(hex).as_deref(), Some("052853C203018BF03747DADD33E628DF"));
    let all = "key = [\"kind\", \"n\", \"m\", \"flag\", \"amount\", \"ip\", \"id\", \"ts\"]";
    let [key] = keys(&config(all), &line)[..] else { panic!("one record") };
    assert_eq!(key.as_ref().map(hex).as_deref(), Some("C6C5549839B03B1DF4FC908ED1C13CE0"));
}

#[test]
fn nulls_are_nobodys_copies() {
    let config = config("key = [\"order\"]");
    let lines = [record("a", "null"), record("a", "null"), record("a", "\"\"")].concat();
    let found = keys(&config, &lines);
    assert_eq!((found[0], found[1]), (None, None));
    assert!(found[2].is_some(), "an empty text is a value");
}

#[test]
fn product_and_every_column_tell_events_apart() {
    let config = config("key = [\"order\", \"kind\"]");
    let lines = [
        record("a", "\"1\""),
        record("b", "\"1\""),
        record("a", "\"2\""),
        record("a", "\"1\"").replace("\"pay\"", "\"refund\""),
        // The same letters at other borders.
        record("ab", "\"c\""),
        record("a", "\"bc\""),
        // What is not in the key does not count.
        record("a", "\"1\"").replace("12.34", "99.00").replace("10:59", "11:59"),
    ];
    let found: Vec<EventKey> = keys(&config, &lines.concat()).into_iter().flatten().collect();
    assert_eq!(found.len(), lines.len());
    // Rows are sorted by product, then by time.
    let distinct: std::collections::BTreeSet<EventKey> = found.iter().copied().collect();
    assert_eq!(distinct.len(), lines.len() - 1);
    assert!(found.iter().all(|key| key.hour == 0), "the time is not part of the key");
}

#[test]
fn other_columns_make_other_keys() {
    let line = record("a", "\"pay\"");
    let [order, kind] = ["order", "kind"].map(|name| keys(&config(&format!("key = [\"{name}\"]")), &line));
    assert_ne!(order, kind, "both are `pay`");
}

#[test]
fn the_hour_is_that_of_the_event() {
    let config = config("key = [\"order\", \"ts\"]");
    let found = keys(&config, &(record("a", "\"1\"") + &record("a", "\"1\"").replace("10:59:59.999", "11:00:00.000")));
    // 2026-11-21 is day 20,778 since 1970.
    assert_eq!(found[0].map(|key| key.hour), Some(20_778 * 24 + 10));
    assert_eq!(found[1].map(|key| key.hour), Some(20_778 * 24 + 11));
}

#[test]
fn the_first_record_of_the_slice_is_kept() {
    let config = config("key = [\"order\"]");
    // The second comes first in the batch, which is sorted by time.
    let lines = [
        record("a", "\"1\""),
        record("a", "\"1\"").replace("10:59", "09:59"),
        record("a", "null"),
        record("a", "\"2\""),
        record("a", "null"),
        record("a", "\"1\""),
    ];
    let batch = batch(&config, &lines.concat());
    let positions = batch.column_by_name(ROW_COLUMN).unwrap().as_primitive::<UInt32Type>().values().to_vec();
    let firsts = EventKeys::new(&config).unwrap().firsts(&batch);
    let at = |rows: Vec<u32>| -> Vec<u32> {
        let mut at: Vec<u32> = rows.iter().map(|&row| positions[row as usize]).collect();
        at.sort_unstable();
        at
    };
    assert_eq!(at(firsts.keys.iter().map(|(_, row)| *row).collect()), [0, 3]);
    assert_eq!(at(firsts.repeated), [1, 5]);
}
