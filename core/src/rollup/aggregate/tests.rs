//! Against sums made by hand, and against a naive twin that keeps every group in a map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::types::{Int32Type, TimestampMillisecondType, TimestampSecondType, UInt64Type};
use arrow_array::{DictionaryArray, StringArray, TimestampMillisecondArray, UInt32Array};
use proptest::prelude::*;

use super::*;
use crate::config::{self, Env};
use crate::rollup::sip::{SipKey, sip128};

const CONFIG: &str = r#"
version = 1
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "app"
type = "low_cardinality"
required = true
[[column]]
name = "event"
type = "low_cardinality"
nullable = true
[[column]]
name = "channel"
type = "string"
[[column]]
name = "user"
type = "string"
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[[column]]
name = "ip"
type = "ipv4"
[products]
column = "app"
[table]
time = "ts"
[[rollup]]
kind = "new_users"
user = "user"
by = ["channel"]
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user"
by = ["channel"]
where = { event = ["pay", "renew"] }
[[rollup]]
kind = "pv_uv"
user = "user"
[[rollup]]
kind = "requests_by_ip"
ip = "ip"
"#;

/// 2026-11-20 00:00:00 UTC in milliseconds since 1970.
const DAY_MS: i64 = 1_795_132_800_000;

#[derive(Debug, Clone)]
struct Row {
    ms: i64,
    app: &'static str,
    event: Option<&'static str>,
    channel: &'static str,
    user: &'static str,
    amount: Option<i128>,
    ip: u32,
}

const ROW: Row = Row { ms: 0, app: "shop", event: Some("view"), channel: "web", user: "ann", amount: None, ip: 1 };

fn aggregator() -> Aggregator {
    let config = config::parse(CONFIG, Path::new("/nonexistent/x.toml"), &Env::default()).unwrap();
    Aggregator::new(&config, UserKeys::random())
}

fn batch(rows: &[Row]) -> RecordBatch {
    let texts = |text: fn(&Row) -> &'static str| Arc::new(StringArray::from_iter_values(rows.iter().map(text)));
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| DAY_MS + row.ms));
    let amounts: Decimal128Array = rows.iter().map(|row| row.amount).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(times.with_timezone(TIME_ZONE))),
        ("app", Arc::new(rows.iter().map(|row| row.app).collect::<DictionaryArray<Int32Type>>())),
        ("event", Arc::new(rows.iter().map(|row| row.event).collect::<DictionaryArray<Int32Type>>())),
        ("channel", texts(|row| row.channel)),
        ("user", texts(|row| row.user)),
        ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).unwrap())),
        ("ip", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.ip)))),
        ("_slice", Arc::new(UInt64Array::from_value(1, rows.len()))),
        ("_row", Arc::new(UInt32Array::from_iter_values(0..rows.len() as u32))),
    ];
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

/// The groups of a rollup, cell by cell as text; states as the sorted hashes they hold.
fn cells(groups: &RecordBatch) -> Vec<Vec<String>> {
    let columns = groups.columns().iter().map(column_cells).collect::<Vec<_>>();
    (0..groups.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

fn column_cells(column: &ArrayRef) -> Vec<String> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        texts.iter().map(|text| text.unwrap().to_owned()).collect()
    } else if let Some(states) = column.as_binary_opt::<i32>() {
        states.iter().map(|state| format!("{:?}", hashes_of(state.unwrap()))).collect()
    } else if let Some(numbers) = column.as_primitive_opt::<UInt64Type>() {
        numbers.iter().map(|number| number.unwrap().to_string()).collect()
    } else if let Some(times) = column.as_primitive_opt::<TimestampSecondType>() {
        times.iter().map(|time| (time.unwrap() - DAY_MS / 1000).to_string()).collect()
    } else if let Some(sums) = column.as_primitive_opt::<Decimal128Type>() {
        sums.iter().map(|sum| sum.unwrap().to_string()).collect()
    } else {
        column.as_primitive::<arrow_array::types::UInt32Type>().iter().map(|ip| ip.unwrap().to_string()).collect()
    }
}

/// What a state of texts holds: a LEB128 count, then so many hashes.
fn hashes_of(state: &[u8]) -> BTreeSet<u128> {
    let end = state.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let count = state[..=end].iter().rev().fold(0, |count, byte| count << 7 | usize::from(byte & 0x7f));
    let (hashes, rest) = state[end + 1..].as_chunks::<16>();
    assert_eq!((hashes.len(), rest), (count, &[][..]));
    let set: BTreeSet<u128> = hashes.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect();
    assert_eq!(set.len(), count, "each value once");
    set
}

fn state(users: impl IntoIterator<Item = &'static str>) -> String {
    let hashes: BTreeSet<u128> = users.into_iter().map(|user| sip128(SipKey::ZERO, user.as_bytes())).collect();
    format!("{hashes:?}")
}

fn groups(partials: &[Partial], rollup: usize) -> &RecordBatch {
    match &partials[rollup] {
        Partial::Groups(groups) => groups,
        Partial::Sightings(_) => panic!("rollup {rollup} is of new users"),
    }
}

/// The rows for the table of first sightings, as `product user time channel`, sorted.
fn first_seen(aggregator: &Aggregator, batch: &RecordBatch, partials: &[Partial]) -> Vec<String> {
    let Partial::Sightings(sightings) = &partials[0] else { panic!("rollup 0 is of new users") };
    let rows = aggregator.first_seen(0, batch, sightings);
    let first = rows.column_by_name("first").unwrap().as_struct();
    let times = first.column_by_name("_time").unwrap().as_primitive::<TimestampMillisecondType>();
    let text = |array: &ArrayRef, row: usize| array.as_string::<i32>().value(row).to_owned();
    let mut found: Vec<String> = (0..rows.num_rows())
        .map(|row| {
            let (product, user) = (text(rows.column(0), row), text(rows.column(1), row));
            let channel = text(first.column_by_name("channel").unwrap(), row);
            format!("{product} {user} {} {channel}", times.value(row) - DAY_MS)
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn counted_by_hand() {
    let rows = [
        Row { ms: 59_999, event: Some("pay"), amount: Some(1050), ..ROW },
        Row { ms: 60_000, event: Some("renew"), amount: Some(-50), ..ROW },
        Row { ms: 60_001, event: Some("renew"), amount: Some(7), user: "bob", ip: 2, ..ROW },
        // No orders: no amount, no event, another event.
        Row { ms: 61_000, event: Some("pay"), user: "cat", ..ROW },
        Row { ms: 62_000, event: None, amount: Some(99), user: "dan", ..ROW },
        Row { ms: 63_000, amount: Some(99), user: "dan", ..ROW },
        Row { ms: 64_000, app: "game", channel: "", user: "ann", ..ROW },
    ];
    let aggregator = aggregator();
    let batch = batch(&rows);
    let partials = aggregator.aggregate(&batch).collect::<Vec<_>>();
    assert_eq!(
        first_seen(&aggregator, &batch, &partials),
        ["game ann 64000 ", "shop ann 59999 web", "shop bob 60001 web", "shop cat 61000 web", "shop dan 62000 web"]
    );
    assert_eq!(
        cells(groups(&partials, 1)),
        [["shop", "web", "0", "1", "1050", &state(["ann"])], ["shop", "web", "60", "2", "-43", &state(["ann", "bob"])],]
    );
    assert_eq!(
        cells(groups(&partials, 2)),
        [
            ["game", "60", "1", &state(["ann"])],
            ["shop", "0", "1", &state(["ann"])],
            ["shop", "60", "5", &state(["ann", "bob", "cat", "dan"])],
        ]
    );
    assert_eq!(
        cells(groups(&partials, 3)),
        [["game", "60", "1", "1"], ["shop", "0", "1", "1"], ["shop", "60", "1", "4"], ["shop", "60", "2", "1"]]
    );
    let schema = groups(&partials, 1).schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["product", "channel", "minute", "orders", "amount", "buyers"]);
}

#[test]
fn a_state_is_the_bytes_that_clickhouse_writes() {
    let batch = batch(&[Row { user: "abc", ..ROW }]);
    let partials = aggregator().aggregate(&batch).collect::<Vec<_>>();
    let states = groups(&partials, 2).column_by_name("uv").unwrap().as_binary::<i32>();
    // SELECT hex(uniqExactState('abc')), ClickHouse 24.8 and 26.7.
    let hex: String = states.value(0).iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(hex, "01B6B415A2DA966B6C685A65E54C12A353");
}

#[test]
fn a_batch_without_rows_adds_nothing() {
    for partial in aggregator().aggregate(&batch(&[])) {
        match partial {
            Partial::Groups(groups) => assert_eq!(groups.num_rows(), 0),
            Partial::Sightings(sightings) => assert_eq!(sightings, []),
        }
    }
}

#[test]
fn a_user_of_two_products_is_two_users_whatever_they_are_called() {
    // As products and as users, the same two names.
    let rows = [Row { app: "a", user: "b", ..ROW }, Row { app: "b", user: "a", ms: 5, ..ROW }];
    let Partial::Sightings(sightings) = &aggregator().aggregate(&batch(&rows)).next().expect("one") else {
        panic!("new users")
    };
    assert_eq!(sightings.len(), 2);
}

#[test]
fn codes_stay_in_order_when_they_outgrow_32_bits() {
    let rows: Vec<u32> = (0..6).collect();
    let axes = [[5, 0, 5, 0, 1, 5], [9, 8, 9, 7, 6, 1], [0, 1, 2, 3, 4, 5], [1, 1, 1, 1, 1, 1]];
    // 2^27 minutes between two columns of 2^18 values each, and one more.
    let ends = [1 << 18, 1 << 27, 1 << 18, 1 << 18];
    let axes_of = || axes.iter().zip(ends).map(|(rows, end)| Axis { rows: &rows[..], end });
    let codes = codes(&rows, axes_of());
    assert!(codes.iter().all(|&code| code < 1 << 32));
    let tuple = |row: usize| axes.map(|axis| axis[row]);
    for a in 0..6 {
        for b in 0..6 {
            assert_eq!(codes[a].cmp(&codes[b]), tuple(a).cmp(&tuple(b)), "rows {a} and {b}");
        }
    }
}

/// The naive twin: a map entry a group, everything compared as text.
fn twin(rows: &[Row]) -> [Vec<Vec<String>>; 3] {
    let minute = |row: &Row| (row.ms / 60_000 * 60).to_string();
    type Users = BTreeSet<&'static str>;
    let mut orders: BTreeMap<(&str, &str, i64), (u64, i128, Users)> = BTreeMap::new();
    let mut views: BTreeMap<(&str, i64), (u64, Users)> = BTreeMap::new();
    let mut requests: BTreeMap<(&str, i64, u32), u64> = BTreeMap::new();
    let mut minutes: BTreeMap<i64, String> = BTreeMap::new();
    for row in rows {
        let at = row.ms / 60_000;
        minutes.insert(at, minute(row));
        if let (Some(amount), Some("pay" | "renew")) = (row.amount, row.event) {
            let (count, sum, users) = orders.entry((row.app, row.channel, at)).or_default();
            (*count, *sum) = (*count + 1, *sum + amount);
            users.insert(row.user);
        }
        let (count, users) = views.entry((row.app, at)).or_default();
        *count += 1;
        users.insert(row.user);
        *requests.entry((row.app, at, row.ip)).or_default() += 1;
    }
    let text = |parts: &[&dyn ToString]| parts.iter().map(|part| part.to_string()).collect::<Vec<_>>();
    [
        orders
            .into_iter()
            .map(|((app, channel, at), (count, sum, users))| {
                text(&[&app, &channel, &minutes[&at], &count, &sum, &state(users)])
            })
            .collect(),
        views
            .into_iter()
            .map(|((app, at), (count, users))| text(&[&app, &minutes[&at], &count, &state(users)]))
            .collect(),
        requests.into_iter().map(|((app, at, ip), count)| text(&[&app, &minutes[&at], &ip, &count])).collect(),
    ]
}

fn twin_first_seen(rows: &[Row]) -> Vec<String> {
    let mut first: BTreeMap<(&str, &str), (i64, &str)> = BTreeMap::new();
    for row in rows {
        let seen = (row.ms, row.channel);
        let entry = first.entry((row.app, row.user)).or_insert(seen);
        *entry = seen.min(*entry);
    }
    let mut lines: Vec<String> =
        first.iter().map(|((app, user), (ms, channel))| format!("{app} {user} {ms} {channel}")).collect();
    lines.sort_unstable();
    lines
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = prop::sample::select(vec!["", "a", "ab", "b", "ü", "web", "a longer text than sixteen bytes"]);
    let event = prop::option::of(prop::sample::select(vec!["pay", "renew", "view", ""]));
    let user = prop::sample::select(vec!["", "ann", "bob", "cat", "dan", "eve", "a user of more than sixteen bytes"]);
    let app = prop::sample::select(vec!["shop", "game", ""]);
    let ms = prop_oneof![0..180_000_i64, Just(59_999), Just(60_000), 0..40_000_000_000_i64];
    let amount = prop::option::of(-1_000_000..1_000_000_i128);
    (ms, app, event, text, user, amount, 0..4_u32).prop_map(|(ms, app, event, channel, user, amount, ip)| Row {
        ms,
        app,
        event,
        channel,
        user,
        amount,
        ip,
    })
}

proptest! {
    #[test]
    fn the_naive_twin_says_the_same(rows in prop::collection::vec(any_row(), 0..200), turn in 0..200_usize) {
        let aggregator = aggregator();
        let events = batch(&rows);
        let partials = aggregator.aggregate(&events).collect::<Vec<_>>();
        for (rollup, expected) in (1..).zip(twin(&rows)) {
            prop_assert_eq!(cells(groups(&partials, rollup)), expected);
        }
        prop_assert_eq!(first_seen(&aggregator, &events, &partials), twin_first_seen(&rows));
        prop_assert_eq!(&aggregator.aggregate(&events).collect::<Vec<_>>(), &partials, "the same bytes again");

        // The order of a batch's rows is of no matter.
        let mut turned = rows.clone();
        turned.rotate_left(turn.min(rows.len()));
        let again = aggregator.aggregate(&batch(&turned)).collect::<Vec<_>>();
        for rollup in 1..4 {
            prop_assert_eq!(groups(&again, rollup), groups(&partials, rollup));
        }
    }
}
