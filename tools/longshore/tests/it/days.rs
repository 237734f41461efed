//! Event times that are far from now, and slices that touch many days, on a real server.

use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::slice::CutAt;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::ClickHouseSink;
use serde_json::json;

use crate::database::loaded_slice;
use crate::resume::{Dying, forget, resume};
use crate::run::{CONFIG, with_tables};
use crate::shop::{Row, Shop, batch, pay, view};
use crate::support::shared::Site;

const DAY_MS: i64 = 86_400_000;

/// More than go into one insert.
const DAYS: i64 = 101;

/// A view and a payment of one cent a day.
fn days() -> Vec<Row> {
    let at = |day: i64, row: Row| Row { ms: row.ms - day * DAY_MS, ..row };
    (0..DAYS)
        .flat_map(|day| [at(day, view("10:00:00.000", "web", "ann")), at(day, pay("10:00:01.000", "web", "ann", 1))])
        .collect()
}

/// A hundred parts that are synced take seconds, and it is not their syncing that is tested.
fn without_syncing(shop: &Shop) {
    for table in
        shop.database.lines("SELECT name FROM system.tables WHERE database = '{db}' AND engine LIKE '%MergeTree'")
    {
        let settings = "fsync_after_insert = 0, fsync_part_directory = 0";
        shop.database.execute(&format!("ALTER TABLE {{db}}.{table} MODIFY SETTING {settings}"));
    }
}

fn assert_stored(shop: &Shop, slices: i64) {
    let expect =
        |sql: &str, value: i64| assert_eq!(shop.database.lines(sql), [value.to_string()], "{slices} slices: {sql}");
    expect("SELECT count() FROM {db}.events", slices * 2 * DAYS);
    expect("SELECT uniqExact(_slice, _row) FROM {db}.events", slices * 2 * DAYS);
    expect("SELECT sum(pv) FROM {db}.pv_uv_by_minute", slices * DAYS);
    expect("SELECT sum(orders) FROM {db}.gmv_by_minute", slices * DAYS);
    expect("SELECT toInt64(sum(amount) * 100) FROM {db}.gmv_by_day", slices * DAYS);
    expect("SELECT sum(requests) FROM {db}.requests_by_ip_by_day", slices * 2 * DAYS);
    expect("SELECT sum(loaded) FROM {db}.ledger", slices * 2 * DAYS);
    expect("SELECT sum(new_users) FROM {db}.new_users_by_minute", 1);
}

/// As a load does that was killed and is repeated when the tokens are forgotten: it takes its slices for new.
#[test]
fn a_slice_of_many_days_is_stored_once_though_its_tokens_are_forgotten() {
    let shop = Shop::new("many_days");
    without_syncing(&shop);
    // Within the events; with all of them; between the two inserts of a rollup.
    for (number, inserts) in [1, 2, 4].into_iter().enumerate() {
        let id = number as u64 + 1;
        let slice = loaded_slice(id, batch(id, &days()), Vec::new());
        let dying = Dying::after(&shop.database.clickhouse, inserts);
        ClickHouseSink::unchecked(dying, &shop.config).write(&slice).unwrap_err();
        forget(&shop);
        let engine = ClickHouseSink::new(&shop.database.clickhouse, &shop.config).unwrap();
        // What another slice's ledger row says counts a second later.
        let stored = (0..100).any(|_| match engine.write(&slice) {
            Err(SinkError::Retry { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(100));
                false
            }
            outcome => outcome.map(|_| true).unwrap(),
        });
        assert!(stored, "slice {id} waits for ever");
        assert_stored(&shop, id as i64);
    }
}

#[test]
fn an_event_far_in_the_future_is_a_dead_letter_and_one_of_long_ago_is_not() {
    let site = Site::new("event_times");
    let config = with_tables(&site, CONFIG);
    let line = |ts: u64| format!("{{\"ts\":{ts},\"n\":1,\"amount\":1.25}}\n");
    // 2001-09-09, and 2100-01-01.
    let log = site.write("app.log", [line(1_000_000_000_000), line(4_102_444_800_000)].concat());
    let summary = site.load(&config, &[&log]);
    assert_eq!((&summary["loaded"], &summary["dead_by_reason"]), (&json!(1), &json!({ "event_time": 1 })));
    let letters = site.ask("SELECT column, detail LIKE '% d after the moment at which its slice was cut%future_max%' FROM {db}.dead_letters");
    assert_eq!(letters, ["ts\t1"]);
    site.load(&config, &[&log]);
    assert_eq!(site.ask("SELECT count() FROM {db}.dead_letters"), ["1"]);
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["1"]);
}

/// The slice of five rows and a record whose event time was too far away, or is not any more.
fn begun(near: bool) -> LoadedSlice {
    let row = |second| view(&format!("10:00:0{second}.000"), "web", "ann");
    let rows: Vec<Row> = (0..if near { 6 } else { 5 }).map(row).collect();
    let fault = Fault::new(Reason::EventTime, "too far");
    let letter = DeadLetter { row: 5, offset: 50, length: 1, fault, record: b"x".to_vec() };
    let mut slice = loaded_slice(1, batch(1, &rows), if near { Vec::new() } else { vec![letter] });
    slice.decoded.cut = CutAt::Backfill(0);
    slice
}

#[test]
fn what_a_load_found_too_far_away_stays_a_dead_letter_when_it_is_repeated_later() {
    let shop = Shop::new("event_times_decided");
    let dying = Dying::after(&shop.database.clickhouse, 1);
    ClickHouseSink::unchecked(dying, &shop.config).write(&begun(false)).unwrap_err();
    assert_eq!(shop.database.lines("SELECT row, reason FROM {db}.dead_letters"), ["5 event_time"], "it comes first");
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["0"]);

    resume(&shop, &begun(true)).unwrap();
    assert_eq!(shop.database.lines("SELECT _row FROM {db}.events ORDER BY _row"), ["0", "1", "2", "3", "4"]);
    assert_eq!(shop.database.lines("SELECT records, loaded, dead FROM {db}.ledger"), ["6 5 1"]);
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.dead_letters"), ["1"]);
    assert_eq!(shop.database.lines("SELECT sum(pv) FROM {db}.pv_uv_by_day"), ["5"]);
}

#[test]
fn a_slice_of_many_days_lets_others_go_ahead_where_clickhouse_has_too_many_parts() {
    let shop = Shop::new("too_many_parts");
    let slice = |id: u64, days: i64| {
        let row = |day: i64| Row { ms: -day * DAY_MS, ..view("10:00:00.000", "web", "ann") };
        loaded_slice(id, batch(id, &(0..days).map(row).collect::<Vec<_>>()), Vec::new())
    };
    shop.sink.write(&slice(1, 4)).unwrap();
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING max_parts_in_total = 1");
    let many = shop.sink.write(&slice(2, 4)).unwrap_err();
    assert!(matches!(&many, SinkError::Behind { detail } if detail.contains("TOO_MANY_PARTS")), "{many:?}");
    let few = shop.sink.write(&slice(3, 3)).unwrap_err();
    assert!(matches!(&few, SinkError::Retry { .. }), "{few:?}");
    shop.database.execute("ALTER TABLE {db}.events RESET SETTING max_parts_in_total");
    for slice in [slice(2, 4), slice(3, 3)] {
        resume(&shop, &slice).unwrap();
    }
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["11"]);
    assert_eq!(shop.database.lines("SELECT sum(loaded) FROM {db}.ledger"), ["11"]);
}
