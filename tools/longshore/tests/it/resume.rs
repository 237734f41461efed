//! Slices that were left behind in part by an engine that died, long enough ago that ClickHouse has forgotten their
//! tokens, are completed: once in the tables and once in every rollup.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arrow_array::RecordBatch;
use longshore_core::config::Config;
use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::dedup::EventKey;
use longshore_core::slice::SliceId;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::{Claim, ClickHouse, ClickHouseSink, ClientError, Day, Store};

use crate::database::{TestDatabase, loaded_slice};
use crate::shop::{Row, Shop, batch, pay, view};

/// Events, four rollups, dead letters, ledger.
const INSERTS: usize = 7;

/// A server whose engine dies after so many inserts.
pub(crate) struct Dying {
    inner: ClickHouse,
    lives: AtomicUsize,
}

impl Dying {
    pub(crate) fn after(clickhouse: &ClickHouse, inserts: usize) -> Self {
        Dying { inner: clickhouse.clone(), lives: AtomicUsize::new(inserts) }
    }
}

impl Store for Dying {
    fn database(&self) -> &str {
        self.inner.database()
    }

    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        let lives = self.lives.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lives| lives.checked_sub(1));
        lives.map_err(|_| ClientError::Network("dead".to_owned()))?;
        self.inner.insert(table, token, batch)
    }

    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        self.inner.whole_slices(slices)
    }

    fn rows_by_day(
        &self,
        events: &str,
        time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError> {
        Store::rows_by_day(&self.inner, events, time, slice, days)
    }

    fn is_quiet(&self, table: &str, slice: SliceId) -> Result<bool, ClientError> {
        Store::is_quiet(&self.inner, table, slice)
    }

    fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError> {
        Store::dead_letters(&self.inner, slice)
    }

    fn open_trial(&self, events: &str) -> Result<String, ClientError> {
        Store::open_trial(&self.inner, events)
    }

    fn try_rows(&self, trial: &str, rows: &RecordBatch) -> Result<(), ClientError> {
        Store::try_rows(&self.inner, trial, rows)
    }

    fn close_trial(&self, trial: &str) -> Result<(), ClientError> {
        Store::close_trial(&self.inner, trial)
    }

    fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError> {
        Store::dead_rows(&self.inner, slice, reason)
    }

    fn claims(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        Store::claims(&self.inner, table, slice, keys)
    }

    fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        Store::marked(&self.inner, table, slice, days)
    }
}

/// Five rows over three days: three views by two users, two orders by one buyer of two units of money.
fn rows() -> Vec<Row> {
    vec![
        view("23:59:59.999", "web", "ann"),
        view("24:00:00.000", "web", "bob"),
        pay("24:00:01.000", "web", "ann", 150),
        view("50:00:00.000", "app", "ann"),
        pay("50:00:00.000", "app", "ann", 50),
    ]
}

fn slice(id: u64) -> LoadedSlice {
    let letter = DeadLetter {
        row: 5,
        offset: 50,
        length: 1,
        fault: Fault { column: Some(Arc::from("ts")), ..Fault::new(Reason::TypeMismatch, "not a time") },
        record: b"x".to_vec(),
    };
    loaded_slice(id, batch(id, &rows()), vec![letter])
}

/// Stores the slice by an engine that dies after so many inserts.
fn die(shop: &Shop, slice: &LoadedSlice, inserts: usize) {
    let dying = Dying::after(&shop.database.clickhouse, inserts);
    let outcome = ClickHouseSink::unchecked(dying, &shop.config).write(slice);
    let all = INSERTS - usize::from(slice.decoded.dead.is_empty());
    assert_eq!(outcome.is_ok(), inserts >= all, "{outcome:?}");
}

/// Has every table forget its tokens.
pub(crate) fn forget(shop: &Shop) {
    let tables = "SELECT name FROM system.tables WHERE database = '{db}' AND engine LIKE '%MergeTree'";
    for table in shop.database.lines(tables) {
        for window in [0, 10_000] {
            let sql =
                format!("ALTER TABLE {{db}}.{table} MODIFY SETTING non_replicated_deduplication_window = {window}");
            shop.database.execute(&sql);
        }
    }
}

/// A sink of an engine that was just started, which tries again while it is told to.
pub(crate) fn resume(shop: &Shop, slice: &LoadedSlice) -> Result<(), SinkError> {
    resume_at(&shop.database, &shop.config, slice)
}

pub(crate) fn resume_at(database: &TestDatabase, config: &Config, slice: &LoadedSlice) -> Result<(), SinkError> {
    let sink = ClickHouseSink::new(&database.clickhouse, config).unwrap();
    for _ in 0..100 {
        match sink.resume(slice) {
            Err(SinkError::Retry { .. }) => thread::sleep(Duration::from_millis(100)),
            outcome => return outcome.map(drop),
        }
    }
    panic!("the server is never quiet")
}

/// Everything is there for so many slices like [`slice`].
fn assert_slices(shop: &Shop, slices: u64, what: &str) {
    let expect = |sql: &str, one: u64| {
        assert_eq!(shop.database.lines(sql).join(","), (one * slices).to_string(), "{what}: {sql}");
    };
    expect("SELECT count() FROM {db}.events", 5);
    expect("SELECT uniqExact(_slice, _row) FROM {db}.events", 5);
    expect("SELECT count() FROM {db}.dead_letters", 1);
    expect("SELECT count() FROM {db}.ledger", 1);
    expect("SELECT sum(pv) FROM {db}.pv_uv_by_minute", 3);
    expect("SELECT sum(orders) FROM {db}.gmv_by_minute", 2);
    expect("SELECT toUInt64(sum(amount)) FROM {db}.gmv_by_day", 2);
    expect("SELECT sum(requests) FROM {db}.requests_by_ip_by_hour", 5);
    assert_eq!(shop.database.lines("SELECT sum(new_users) FROM {db}.new_users_by_minute"), ["2"], "{what}");
}

#[test]
fn wherever_an_engine_died_the_slice_is_completed_though_its_tokens_are_forgotten() {
    let shop = Shop::new("resumed");
    for inserts in 0..=INSERTS {
        let slice = slice(inserts as u64 + 1);
        die(&shop, &slice, inserts);
        forget(&shop);
        resume(&shop, &slice).unwrap();
        assert_slices(&shop, inserts as u64 + 1, &format!("died after {inserts} inserts"));
        forget(&shop);
        resume(&shop, &slice).unwrap();
        assert_slices(&shop, inserts as u64 + 1, "resumed twice");
    }
}

#[test]
fn sending_it_again_without_looking_would_store_it_twice() {
    let shop = Shop::new("forgotten");
    die(&shop, &slice(1), 1);
    forget(&shop);
    shop.sink.write(&slice(1)).unwrap();
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["10"], "the tables do forget");
}

#[test]
fn days_of_an_insert_that_was_cut_off_between_them_are_completed() {
    for first_days in [1, 3] {
        let shop = Shop::new("days_cut");
        // The rows of the first day, or of the first two.
        let part = slice(1).decoded.batch.slice(0, first_days);
        shop.database.clickhouse.insert("events", "0000000000000001-e", &part).unwrap();
        forget(&shop);
        resume(&shop, &slice(1)).unwrap();
        assert_slices(&shop, 1, &format!("the first {first_days} rows were there"));
    }
}

#[test]
fn a_rollup_that_has_some_days_gets_the_others() {
    let shop = Shop::new("rollup_days");
    die(&shop, &slice(1), 3);
    // Of the fourth insert, views by minute, the first day alone arrived.
    let one_day = loaded_slice(1, batch(1, &rows()[..1]), Vec::new());
    let partial = Shop::new("rollup_days_elsewhere");
    partial.sink.write(&one_day).unwrap();
    let (here, there) = (&shop.database.name, &partial.database.name);
    shop.database.execute(&format!("INSERT INTO {here}.pv_uv_minutes SELECT * FROM {there}.pv_uv_minutes"));
    forget(&shop);
    resume(&shop, &slice(1)).unwrap();
    assert_slices(&shop, 1, "one day of a rollup was there");
}

/// ClickHouse leaves out parts of which all rows are of the last second before a moment, where they are compared with it
/// as a `DateTime` and have fractions of seconds.
#[test]
fn rows_of_the_last_second_of_a_day_are_seen() {
    // It has no dead letters.
    for inserts in 1..INSERTS - 1 {
        let shop = Shop::new(&format!("last_second_{inserts}"));
        shop.write(9, &[view("23:59:59.500", "web", "eve")]);
        let last = loaded_slice(1, batch(1, &[view("23:59:59.999", "web", "ann")]), Vec::new());
        die(&shop, &last, inserts);
        forget(&shop);
        resume(&shop, &last).unwrap();
        let value = |sql: &str| shop.database.lines(sql).join(",");
        assert_eq!(value("SELECT count(), uniqExact(_slice, _row) FROM {db}.events"), "2 2", "{inserts} inserts");
        assert_eq!(value("SELECT sum(pv) FROM {db}.pv_uv_by_minute"), "2", "{inserts} inserts");
        assert_eq!(value("SELECT sum(requests) FROM {db}.requests_by_ip_by_minute"), "2", "{inserts} inserts");
    }
}

#[test]
fn slices_that_were_cut_off_beside_each_other_are_told_apart() {
    let shop = Shop::new("beside");
    shop.write(9, &[view("24:00:30.000", "web", "eve")]);
    let other = loaded_slice(2, batch(2, &[view("24:00:02.000", "web", "bob"); 2]), Vec::new());
    // The first got to the rollup of money, the other to that of views.
    die(&shop, &slice(1), 3);
    die(&shop, &other, 4);
    forget(&shop);
    resume(&shop, &slice(1)).unwrap();
    resume(&shop, &other).unwrap();
    let value = |sql: &str| shop.database.lines(sql).join(",");
    assert_eq!(value("SELECT sum(pv) FROM {db}.pv_uv_by_minute"), "6");
    assert_eq!(value("SELECT sum(orders), sum(amount) FROM {db}.gmv_by_minute"), "2 2");
    assert_eq!(value("SELECT sum(requests) FROM {db}.requests_by_ip_by_minute"), "8");
    assert_eq!(value("SELECT count(), uniqExact(_slice, _row) FROM {db}.events"), "8 8");
}

/// As many rows a minute and as much money, in other groups, of which one slice is counted.
#[test]
fn slices_with_as_many_rows_in_other_groups_are_told_apart() {
    let slices = [(1, "web"), (2, "app")]
        .map(|(id, channel)| loaded_slice(id, batch(id, &[pay("24:00:03.000", channel, "ann", 70)]), Vec::new()));
    for (first, last) in [(2, 3), (3, 2), (3, 3), (2, 2)] {
        let shop = Shop::new(&format!("groups_{first}_{last}"));
        die(&shop, &slices[0], first);
        die(&shop, &slices[1], last);
        forget(&shop);
        for slice in &slices {
            resume(&shop, slice).unwrap();
        }
        let money =
            "SELECT channel, sum(orders), sum(amount) FROM {db}.gmv_by_minute GROUP BY channel ORDER BY channel";
        assert_eq!(shop.database.lines(money), ["app 1 0.7", "web 1 0.7"], "{first} and {last} inserts");
        assert_eq!(shop.database.lines("SELECT sum(requests) FROM {db}.requests_by_ip_by_minute"), ["2"]);
    }
}

#[test]
fn what_cannot_be_told_pauses_and_says_why() {
    // Some rows of a day.
    let shop = Shop::new("torn");
    die(&shop, &slice(1), 1);
    shop.database.execute("ALTER TABLE {db}.events DELETE WHERE _row = 1 SETTINGS mutations_sync = 2");
    let error = resume(&shop, &slice(1)).unwrap_err();
    assert!(matches!(&error, SinkError::Stuck { detail } if detail.contains("not all and not none")), "{error:?}");
}

#[test]
fn rows_that_somebody_put_into_a_rollup_say_nothing_of_slices() {
    let shop = Shop::new("strange");
    die(&shop, &slice(1), 2);
    shop.database.execute(
        "INSERT INTO {db}.pv_uv_minutes (product, minute, pv) SELECT 'shop', toDateTime('2026-11-21 00:00:00', 'UTC'), 7",
    );
    resume(&shop, &slice(1)).unwrap();
    assert_eq!(shop.database.lines("SELECT sum(pv) FROM {db}.pv_uv_by_minute"), ["10"]);
}

/// Slices that add the same to the same groups, of which some rollups have counted one and some the other.
#[test]
fn slices_that_add_the_same_are_told_apart() {
    let shop = Shop::new("twins");
    // The first got to the views by minute, the others to the money, and nowhere.
    for (id, inserts) in [(1, 4), (2, 3), (3, 1), (4, 0)] {
        die(&shop, &slice(id), inserts);
    }
    forget(&shop);
    for (at, id) in [2, 4, 1, 3].into_iter().enumerate() {
        resume(&shop, &slice(id)).unwrap();
        let ledger = shop.database.lines("SELECT count() FROM {db}.ledger");
        assert_eq!(ledger, [(at + 1).to_string()], "each by itself");
    }
    assert_slices(&shop, 4, "all are whole");
}

/// Its rollups have a slice whose events somebody dropped while it was in doubt.
#[test]
fn a_day_of_the_events_that_was_dropped_is_not_counted_again() {
    let shop = Shop::new("dropped");
    die(&shop, &slice(1), INSERTS - 2);
    shop.database.execute("ALTER TABLE {db}.events DROP PARTITION '2026-11-21'");
    forget(&shop);
    resume(&shop, &slice(1)).unwrap();
    assert_slices(&shop, 1, "a day was dropped");
}

/// Each part has the rows of a day with their marker, as one insert made it.
#[test]
fn a_rollup_has_a_marker_for_each_slice_and_day_beside_its_rows() {
    let shop = Shop::new("markers");
    for table in ["gmv_minutes", "pv_uv_minutes", "requests_by_ip_minutes"] {
        shop.database.execute(&format!("SYSTEM STOP MERGES {{db}}.{table}"));
    }
    (1..=3).for_each(|id| drop(shop.sink.write(&slice(id)).unwrap()));
    for (table, days) in [("gmv_minutes", 2), ("pv_uv_minutes", 3), ("requests_by_ip_minutes", 3)] {
        let parts = format!(
            "SELECT count(), countIf(markers = 1 AND rows > 0 AND slice IN (1, 2, 3)) FROM (SELECT countIf(_slice != 0) AS \
             markers, countIf(_slice = 0) AS rows, max(_slice) AS slice FROM {{db}}.{table} GROUP BY _part)"
        );
        assert_eq!(shop.database.lines(&parts), [format!("{0} {0}", 3 * days)], "{table}");
        shop.database.execute(&format!("SYSTEM START MERGES {{db}}.{table}"));
        shop.database.execute(&format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
        let markers = format!("SELECT count() FROM {{db}}.{table} WHERE _slice != 0");
        assert_eq!(shop.database.lines(&markers), [(3 * days).to_string()], "{table}, merged");
    }
    assert_slices(&shop, 3, "no view shows a marker");
    let products = "SELECT DISTINCT product FROM {db}.requests_by_ip_by_minute";
    assert_eq!(shop.database.lines(products), ["shop"]);
}

/// A server that is killed between writing a token and the rows behind it remembers the token alone. The same is had by
/// storing something else under the token and taking it away.
#[test]
fn a_token_whose_rows_were_lost_does_not_keep_the_rows_out() {
    let tables = ["events", "gmv_minutes", "pv_uv_minutes", "requests_by_ip_minutes", "dead_letters", "ledger"];
    for (inserts, table) in [0, 2, 3, 4, 5, 6].into_iter().zip(tables) {
        let shop = Shop::new("token_alone");
        let elsewhere = Shop::new("token_alone_elsewhere");
        elsewhere.sink.write(&slice(1)).unwrap();
        die(&shop, &slice(1), inserts);
        let (here, there) = (&shop.database.name, &elsewhere.database.name);
        let token = format!("0000000000000001-{}", if table.ends_with("minutes") { "r" } else { &table[..1] });
        shop.database.execute(&format!(
            "INSERT INTO {here}.{table} SELECT * FROM {there}.{table} SETTINGS insert_deduplication_token = '{token}', \
             max_partitions_per_insert_block = 0"
        ));
        shop.database.execute(&format!("ALTER TABLE {{db}}.{table} DELETE WHERE 1 SETTINGS mutations_sync = 2"));
        resume(&shop, &slice(1)).unwrap();
        assert_slices(&shop, 1, &format!("a token of {table} was left"));
    }
}
