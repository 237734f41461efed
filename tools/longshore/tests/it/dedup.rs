//! Storing a slice again, whatever became of it before, leaves one copy: in the tables and in every rollup.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;

use arrow_array::RecordBatch;
use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::dedup::EventKey;
use longshore_core::slice::SliceId;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::{Claim, ClickHouseSink, ClientError, Day, Store};

use crate::database::loaded_slice;
use crate::shop::{Row, Shop, batch, pay, view};

/// Five rows over three days: 3 views by 2 users, 2 orders by 1 buyer.
fn rows() -> Vec<Row> {
    vec![
        view("23:59:59.999", "web", "ann"),
        view("24:00:00.000", "web", "bob"),
        pay("24:00:01.000", "web", "ann", 150),
        view("50:00:00.000", "app", "ann"),
        pay("50:00:00.000", "app", "ann", 50),
    ]
}

fn letters(count: u32) -> Vec<DeadLetter> {
    (0..count)
        .map(|row| DeadLetter {
            row,
            offset: u64::from(row) * 10,
            length: 9,
            fault: Fault { column: Some(Arc::from("ts")), ..Fault::new(Reason::TypeMismatch, "not a time: 'x'") },
            record: vec![0xff, 0x00, b'\\', b'\n', row as u8],
        })
        .collect()
}

fn slice(id: u64) -> LoadedSlice {
    loaded_slice(id, batch(id, &rows()), letters(2))
}

/// Rows everywhere, for so many slices like [`slice`].
fn assert_copies(shop: &Shop, copies: u64, what: &str) {
    let value = |sql: &str| shop.database.lines(sql).join(",");
    let expect = |sql: &str, one: u64| assert_eq!(value(sql), (one * copies).to_string(), "{what}: {sql}");
    expect("SELECT count() FROM {db}.events", 5);
    expect("SELECT uniqExact(_slice, _row) FROM {db}.events", 5);
    expect("SELECT count() FROM {db}.dead_letters", 2);
    expect("SELECT count() FROM {db}.ledger", 1);
    expect("SELECT sum(pv) FROM {db}.pv_uv_by_minute", 3);
    expect("SELECT sum(orders) FROM {db}.gmv_by_minute", 2);
    expect("SELECT toUInt64(sum(amount)) FROM {db}.gmv_by_day", 2);
    expect("SELECT sum(requests) FROM {db}.requests_by_ip_by_hour", 5);
    // Users do not grow with copies.
    assert_eq!(value("SELECT sum(new_users) FROM {db}.new_users_by_minute"), "2", "{what}");
    assert_eq!(value("SELECT count() FROM {db}.new_users_first_seen FINAL"), "2", "{what}");
}

#[test]
fn three_times_is_once() {
    let shop = Shop::new("thrice");
    for _ in 0..3 {
        shop.sink.write(&slice(1)).unwrap();
    }
    assert_copies(&shop, 1, "three times");
    shop.sink.write(&slice(2)).unwrap();
    shop.sink.write(&slice(1)).unwrap();
    assert_copies(&shop, 2, "another slice of the same content");
}

#[test]
fn a_slice_that_stopped_before_its_ledger_row_is_completed() {
    let shop = Shop::new("halfway");
    let slice = slice(1);
    shop.database.clickhouse.insert("events", "0000000000000001-e", &slice.decoded.batch).unwrap();
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.ledger"), ["0"]);
    shop.sink.write(&slice).unwrap();
    assert_copies(&shop, 1, "completed");
}

#[test]
fn a_retry_fills_the_rollups_that_the_first_attempt_did_not_reach() {
    let shop = Shop::new("broken");
    // A view of somebody else's that fails while a row stands in `broken`: some rollups are fed before it, some after.
    shop.database.execute("CREATE TABLE {db}.broken (x UInt8) ENGINE = MergeTree ORDER BY x");
    shop.database.execute("CREATE TABLE {db}.other (n UInt64) ENGINE = MergeTree ORDER BY n");
    shop.database.execute(
        "CREATE MATERIALIZED VIEW {db}.other_mv TO {db}.other AS \
         SELECT count() + throwIf((SELECT count() FROM {db}.broken) > 0) AS n FROM {db}.events",
    );
    shop.database.execute("INSERT INTO {db}.broken VALUES (1)");
    for _ in 0..2 {
        let error = shop.sink.write(&slice(1)).unwrap_err();
        assert!(matches!(&error, SinkError::Pause { detail } if detail.contains("throwIf")), "{error:?}");
    }
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.ledger"), ["0"], "not whole, so not in the ledger");
    shop.database.execute("TRUNCATE TABLE {db}.broken");
    shop.sink.write(&slice(1)).unwrap();
    assert_copies(&shop, 1, "after the view was mended");
}

#[test]
fn a_retry_beside_the_first_attempt_changes_nothing() {
    let shop = Shop::new("race");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| shop.sink.write(&slice(1)).unwrap());
        }
    });
    assert_copies(&shop, 1, "four threads with one slice");
}

#[test]
fn inserts_run_side_by_side() {
    let shop = Shop::new("parallel");
    thread::scope(|scope| {
        for first in 0..8 {
            let shop = &shop;
            scope.spawn(move || {
                for id in [first * 2, first * 2 + 1] {
                    shop.sink.write(&slice(id)).unwrap();
                }
            });
        }
    });
    assert_copies(&shop, 16, "eight threads, two slices each");
}

#[test]
fn a_slice_of_dead_letters_only_has_no_rows() {
    let shop = Shop::new("dead");
    let empty = RecordBatch::new_empty(batch(1, &rows()).schema());
    for _ in 0..2 {
        shop.sink.write(&loaded_slice(1, empty.clone(), letters(3))).unwrap();
    }
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["0"]);
    let letters = shop.database.lines(
        "SELECT slice, row, source, offset, length, reason, column, detail, hex(record) FROM {db}.dead_letters ORDER BY row",
    );
    assert_eq!(
        letters,
        [
            "1 0 app.log 0 9 type_mismatch ts not a time: 'x' FF005C0A00",
            "1 1 app.log 10 9 type_mismatch ts not a time: 'x' FF005C0A01",
            "1 2 app.log 20 9 type_mismatch ts not a time: 'x' FF005C0A02",
        ]
    );
    let ledger = "SELECT slice, head, source, start, `end`, bytes, records, loaded, dead, filtered FROM {db}.ledger";
    assert_eq!(shop.database.lines(ledger), ["1 1 app.log 1000 1999 999 3 0 3 0"]);
}

#[test]
fn a_ledger_row_that_does_not_balance_is_refused() {
    let shop = Shop::new("balance");
    let mut slice = slice(1);
    slice.decoded.records += 1;
    let error = shop.sink.write(&slice).unwrap_err();
    assert!(matches!(&error, SinkError::Pause { detail } if detail.contains("balances")), "{error:?}");
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.ledger"), ["0"]);
}

#[test]
fn the_ledger_tells_which_slices_are_known() {
    let shop = Shop::new("known");
    assert_eq!(shop.sink.known_slices(&[1]).unwrap(), []);
    shop.sink.write(&slice(3)).unwrap();
    shop.sink.write(&slice(u64::MAX / 2000)).unwrap();
    let known = shop.sink.known_slices(&[9, 1]).unwrap();
    assert_eq!(known.iter().map(|slice| slice.id).collect::<Vec<_>>(), [SliceId(3), SliceId(u64::MAX / 2000)]);
    assert_eq!((known[0].head, known[0].length, known[0].before, known[0].after), (1, 999, 3, !3));
    assert_eq!(shop.sink.known_slices(&[9]).unwrap(), []);
    assert_eq!(shop.sink.known_slices(&[]).unwrap(), []);
}

#[test]
fn the_ledger_tells_which_of_ten_thousand_slices_are_whole() {
    let shop = Shop::new("whole");
    let last = SliceId(u64::MAX / 2000);
    shop.sink.write(&slice(3)).unwrap();
    shop.sink.write(&slice(last.0)).unwrap();
    // Rows without a ledger row are not whole.
    shop.database.clickhouse.insert("events", "0000000000000004-e", &batch(4, &rows())).unwrap();
    let asked: Vec<SliceId> = (1..10_000).map(SliceId).chain([last]).collect();
    assert_eq!(shop.sink.store().whole_slices(&asked).unwrap(), HashSet::from([SliceId(3), last]));
    assert_eq!(shop.sink.store().whole_slices(&[SliceId(4)]).unwrap(), HashSet::new());
    assert_eq!(shop.sink.store().whole_slices(&[]).unwrap(), HashSet::new());
}

/// A store that notes what it is sent and goes away at the `loses`th insert.
struct Twin {
    loses: usize,
    sent: Mutex<Vec<String>>,
}

impl Store for Twin {
    fn database(&self) -> &str {
        "twin"
    }

    fn insert(&self, table: &str, token: &str, _: &RecordBatch) -> Result<(), ClientError> {
        let mut sent = self.sent.lock().unwrap();
        sent.push(format!("{table} {token}"));
        if sent.len() == self.loses { Err(ClientError::Network("reset".to_owned())) } else { Ok(()) }
    }

    fn whole_slices(&self, _: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        Ok(HashSet::new())
    }

    fn rows_by_day(&self, _: &str, _: &str, _: SliceId, _: &[Day]) -> Result<BTreeMap<Day, u64>, ClientError> {
        Ok(BTreeMap::new())
    }

    fn is_quiet(&self, _: &str, _: SliceId) -> Result<bool, ClientError> {
        Ok(true)
    }

    fn dead_letters(&self, _: SliceId) -> Result<u64, ClientError> {
        Ok(0)
    }

    fn open_trial(&self, _: &str) -> Result<String, ClientError> {
        unreachable!("nothing is rejected")
    }

    fn try_rows(&self, _: &str, _: &RecordBatch) -> Result<(), ClientError> {
        unreachable!("nothing is rejected")
    }

    fn close_trial(&self, _: &str) -> Result<(), ClientError> {
        unreachable!("nothing is rejected")
    }

    fn dead_rows(&self, _: SliceId, _: Reason) -> Result<BTreeSet<u32>, ClientError> {
        Ok(BTreeSet::new())
    }

    fn claims(&self, _: &str, _: SliceId, _: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        Ok(Vec::new())
    }

    fn marked(&self, _: &str, _: SliceId, _: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        Ok(BTreeSet::new())
    }
}

#[test]
fn a_slice_is_sent_in_order_and_nothing_follows_what_failed() {
    let shop = Shop::new("order");
    let order = ["events", "new_users_first_seen", "gmv_minutes", "pv_uv_minutes", "requests_by_ip_minutes"];
    let tokens = ["e", "r", "r", "r", "r", "d", "l"];
    let all: Vec<String> = order
        .into_iter()
        .chain(["dead_letters", "ledger"])
        .zip(tokens)
        .map(|(table, token)| format!("{table} 0000000000000001-{token}"))
        .collect();
    for loses in 1..=all.len() {
        let sink = ClickHouseSink::unchecked(Twin { loses, sent: Mutex::default() }, &shop.config);
        let error = sink.write(&slice(1)).unwrap_err();
        assert!(matches!(&error, SinkError::Retry { detail } if detail.contains("`twin`")), "{error:?}");
        assert_eq!(*sink.store().sent.lock().unwrap(), all[..loses]);
    }
}

#[test]
fn a_slice_may_hold_more_days_than_a_server_takes_by_default() {
    let shop = Shop::new("days");
    let rows: Vec<Row> =
        (0..150).map(|day| Row { ms: day * 86_400_000, ..view("00:00:00.000", "web", "ann") }).collect();
    for _ in 0..2 {
        shop.write(1, &rows);
    }
    assert_eq!(shop.database.lines("SELECT count(), uniqExact(toDate(ts)) FROM {db}.events"), ["150 150"]);
    assert_eq!(shop.database.lines("SELECT sum(pv), count() FROM {db}.pv_uv_by_day"), ["150 150"]);
}
