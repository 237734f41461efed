//! Events that their producer sent more than once: `[dedup]` counts them once, in the table and in every rollup, over
//! slices, files, runs and engines that know nothing of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use longshore_core::config::Config;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError, Stored};
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};
use serde_json::{Value, json};

use crate::database::{TestDatabase, decoded_slice};
use crate::resume::Dying;
use crate::support::shared::Site;

/// Columns, products, table and one rollup of each kind; what follows is `[dedup]`.
const TABLE: &str = r#"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "app"
type = "low_cardinality"
required = true
[[column]]
name = "order_id"
type = "string"
nullable = true
[[column]]
name = "user"
type = "string"
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[[column]]
name = "addr"
type = "ipv4"
[products]
column = "app"
[table]
time = "ts"
[[rollup]]
kind = "new_users"
user = "user"
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user"
[[rollup]]
kind = "pv_uv"
user = "user"
[[rollup]]
kind = "requests_by_ip"
ip = "addr"
"#;

const BY_ORDER: &str = "[dedup]\nkey = [\"order_id\"]\n";
const BY_ORDER_AND_TIME: &str = "[dedup]\nkey = [\"order_id\", \"ts\"]\nwindow = \"2d\"\n";

/// 2026-11-20 00:00:00 UTC in milliseconds since 1970.
const DAY_MS: u64 = 1_795_132_800_000;

/// An order: one every 100 ms, of one of two products. Every tenth is a view, which has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event(u64);

impl Event {
    fn ts_ms(self) -> u64 {
        DAY_MS + self.0 * 100
    }

    fn app(self) -> &'static str {
        ["red", "blue"][self.0 as usize % 2]
    }

    fn is_view(self) -> bool {
        self.0.is_multiple_of(10)
    }

    fn cents(self) -> u64 {
        self.0 % 1_000 * 7 + 3
    }

    fn user(self) -> u64 {
        self.0 * 31 % 5_000
    }

    fn line(self) -> String {
        let (ts, app, user) = (self.ts_ms(), self.app(), self.user());
        let order = match self.is_view() {
            true => "\"order_id\":null,\"amount\":null".to_owned(),
            false => {
                format!("\"order_id\":\"o-{}\",\"amount\":{}.{:02}", self.0, self.cents() / 100, self.cents() % 100)
            }
        };
        format!("{{\"ts\":{ts},\"app\":\"{app}\",{order},\"user\":\"u{user}\",\"addr\":\"10.0.0.{}\"}}\n", self.0 % 5)
    }
}

fn lines(events: impl IntoIterator<Item = u64>) -> String {
    events.into_iter().map(|n| Event(n).line()).collect()
}

/// What must be counted of what was sent: orders once, views as often as they came.
fn counted(sent: &[u64]) -> Vec<Event> {
    let mut orders = BTreeSet::new();
    sent.iter().map(|&n| Event(n)).filter(|event| event.is_view() || orders.insert(*event)).collect()
}

/// Table, ledger and all rollups hold what must be counted of what was sent; `ask` gives the lines of an answer.
fn assert_counted(sent: &[u64], ask: impl Fn(&str) -> Vec<String>) {
    let right = counted(sent);
    let duplicates = sent.len() - right.len();
    let ledger = "SELECT sum(records), sum(loaded), sum(duplicates), countIf(records != loaded + dead + filtered + duplicates) \
                  FROM {db}.ledger";
    let answer = |sql: &str| ask(sql).iter().map(|line| line.replace('\t', " ")).collect::<Vec<_>>();
    assert_eq!(answer(ledger), [format!("{} {} {duplicates} 0", sent.len(), right.len())], "ledger");
    let orders = right.iter().filter(|event| !event.is_view()).count();
    let rows = "SELECT count(), countIf(order_id IS NOT NULL), uniqExact(order_id) FROM {db}.events";
    assert_eq!(answer(rows), [format!("{} {orders} {orders}", right.len())], "events");

    let by = |of: &dyn Fn(&Event) -> (String, u64)| {
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for event in &right {
            let (group, value) = of(event);
            let sum = sums.entry(group).or_default();
            *sum = (sum.0 + 1, sum.1 + value);
        }
        sums
    };
    let minute = |event: &Event| format!("{} {}", event.app(), event.ts_ms() / 60_000 * 60);
    let shown = |sums: BTreeMap<String, (u64, u64)>, both: bool| -> Vec<String> {
        let line = |(group, (rows, sum)): (String, (u64, u64))| match both {
            true => format!("{group} {rows} {sum}"),
            false => format!("{group} {rows}"),
        };
        sums.into_iter().map(line).collect()
    };
    let gmv = "SELECT product, toUnixTimestamp(minute) AS m, orders, toInt64(amount * 100) FROM {db}.gmv_by_minute \
               ORDER BY product, m";
    let mut sums = by(&|event| (minute(event), if event.is_view() { 0 } else { event.cents() }));
    for (group, sum) in &mut sums {
        sum.0 = right.iter().filter(|event| !event.is_view() && minute(event) == *group).count() as u64;
    }
    assert_eq!(answer(gmv), shown(sums, true), "money");
    let pv = "SELECT product, toUnixTimestamp(minute) AS m, pv FROM {db}.pv_uv_by_minute ORDER BY product, m";
    assert_eq!(answer(pv), shown(by(&|event| (minute(event), 0)), false), "views");
    let ips =
        "SELECT product, toString(ip), sum(requests) FROM {db}.requests_by_ip_by_minute GROUP BY ALL ORDER BY ALL";
    let of_ip = |event: &Event| (format!("{} 10.0.0.{}", event.app(), event.0 % 5), 0);
    assert_eq!(answer(ips), shown(by(&of_ip), false), "requests");
    let users: BTreeSet<(&str, u64)> = right.iter().map(|event| (event.app(), event.user())).collect();
    assert_eq!(answer("SELECT sum(new_users) FROM {db}.new_users_by_minute"), [users.len().to_string()], "new users");
}

/// A database with the tables of a config.
struct Stand {
    database: TestDatabase,
    config: Config,
}

impl Stand {
    fn new(test: &str, dedup: &str) -> Self {
        let database = TestDatabase::new(test);
        let config = database.config(&format!("{TABLE}{dedup}"));
        Schema::from_config(&config).apply(&database.clickhouse).unwrap();
        Stand { database, config }
    }

    /// An engine of its own: no two share one.
    fn engine(&self) -> ClickHouseSink {
        ClickHouseSink::new(&self.database.clickhouse, &self.config).unwrap()
    }

    fn slice(&self, id: u64, events: &[u64]) -> LoadedSlice {
        decoded_slice(&self.config, id, &lines(events.iter().copied()))
    }

    fn assert_counted(&self, sent: &[u64]) {
        assert_counted(sent, |sql| self.database.lines(sql));
    }
}

fn left_out(stored: &Stored) -> u64 {
    stored.duplicates.iter().map(|(_, rows)| rows).sum()
}

#[test]
fn an_order_counts_once_within_and_across_slices_and_engines() {
    let stand = Stand::new("copies", BY_ORDER);
    let slices = [
        (1, vec![1, 2, 3, 2, 10, 10, 3], 2),
        (2, vec![3, 4, 20, 1], 2),
        // Nothing of it is left.
        (3, vec![4, 2, 1], 3),
        (4, vec![5], 0),
    ];
    for (id, events, copies) in &slices {
        let stored = stand.engine().write(&stand.slice(*id, events)).unwrap();
        assert_eq!(left_out(&stored), *copies, "slice {id}");
    }
    let sent: Vec<u64> = slices.iter().flat_map(|(_, events, _)| events.clone()).collect();
    stand.assert_counted(&sent);
    // Sent again, as after an answer that was lost, or by an engine that starts anew.
    for (id, events, _) in &slices {
        stand.engine().write(&stand.slice(*id, events)).unwrap();
        stand.engine().resume(&stand.slice(*id, events)).unwrap();
    }
    stand.assert_counted(&sent);
}

#[test]
fn the_same_order_of_two_products_is_two() {
    let stand = Stand::new("products", BY_ORDER);
    let red = Event(2).line();
    let text = [red.clone(), red.replace("red", "blue"), red.replace("red", "blue")].concat();
    let stored = stand.engine().write(&decoded_slice(&stand.config, 1, &text)).unwrap();
    assert_eq!(stored.duplicates, [("blue".into(), 1)]);
    let rows = stand.database.lines("SELECT app, count() FROM {db}.events GROUP BY app ORDER BY app");
    assert_eq!(rows, ["blue 1", "red 1"]);
}

#[test]
fn with_the_time_in_the_key_an_order_at_another_time_is_another_event() {
    let stand = Stand::new("times", BY_ORDER_AND_TIME);
    let order = Event(3).line();
    let later = order.replace(&Event(3).ts_ms().to_string(), &(Event(3).ts_ms() + 7_200_000).to_string());
    let stored = stand.engine().write(&decoded_slice(&stand.config, 1, &format!("{order}{later}{order}"))).unwrap();
    assert_eq!(left_out(&stored), 1);
    let stored = stand.engine().write(&decoded_slice(&stand.config, 2, &format!("{later}{order}"))).unwrap();
    assert_eq!(left_out(&stored), 2);
    assert_eq!(stand.database.lines("SELECT uniqExact(hour), count() FROM {db}.events_claims"), ["2 4"]);
}

/// ClickHouse makes the same hashes: an operator can look a key up.
#[test]
fn a_key_can_be_computed_by_the_server() {
    let stand = Stand::new("hashes", BY_ORDER);
    stand.engine().write(&stand.slice(1, &[1, 2, 3])).unwrap();
    let text = |value: &str| format!("concat(reinterpretAsFixedString(toUInt32(length({value}))), {value})");
    let hash = format!("sipHash128({})", text("'order_id'"));
    let word = |at: u32| format!("reinterpretAsUInt64(substring({hash}, {at}, 8))");
    let key = format!(
        "sipHash128Keyed(({}, {}), concat({}, {}))",
        word(1),
        word(9),
        text("toString(app)"),
        text("assumeNotNull(order_id)")
    );
    let sql = format!("SELECT count() FROM {{db}}.events_claims WHERE key IN (SELECT {key} FROM {{db}}.events)");
    assert_eq!(stand.database.lines(&sql), ["3"]);
}

#[test]
fn the_documentation_finds_out_who_has_an_order() {
    let stand = Stand::new("who", BY_ORDER);
    for (id, events) in [(7, vec![18, 2]), (3, vec![4, 18]), (5, vec![6])] {
        stand.engine().write(&stand.slice(id, &events)).unwrap();
    }
    let page = include_str!("../../../../docs/tables.md");
    let query = page.split("```sql\n").find(|block| block.contains("FROM events_claims")).unwrap();
    let query = query.split(';').next().unwrap().replace("FROM events_claims", "FROM {db}.events_claims");
    let slices = stand.database.rows(&query);
    assert_eq!(slices.iter().map(|row| &*row[0]).collect::<Vec<_>>(), ["7", "3"]);
}

/// An engine dies between its claims and its rows. Whoever comes then neither takes the events nor drops them.
#[test]
fn events_that_were_claimed_and_not_stored_are_waited_for() {
    let stand = Stand::new("claimed", BY_ORDER);
    let (first, second) = (stand.slice(1, &[1, 2, 3]), stand.slice(2, &[3, 4]));
    let dying = ClickHouseSink::unchecked(Dying::after(&stand.database.clickhouse, 1), &stand.config);
    assert!(matches!(dying.write(&first), Err(SinkError::Retry { .. })));
    assert_eq!(stand.database.lines("SELECT count() FROM {db}.events_claims"), ["3"]);
    for _ in 0..2 {
        let Err(SinkError::Behind { detail }) = stand.engine().write(&second) else { panic!("it must wait") };
        assert!(detail.contains("0000000000000001") && detail.contains("DELETE WHERE slice = 1"), "{detail}");
    }
    assert_eq!(stand.database.lines("SELECT count() FROM {db}.events"), ["0"]);
    stand.engine().resume(&first).unwrap();
    assert_eq!(left_out(&stand.engine().resume(&second).unwrap()), 1);
    stand.assert_counted(&[1, 2, 3, 3, 4]);
}

/// However far the engine came before it died, and whoever goes on first.
#[test]
fn a_slice_that_was_stored_in_part_leaves_out_the_same_rows() {
    // Claims, events, four rollups, ledger.
    for inserts in 0..=7 {
        let stand = Stand::new("died", BY_ORDER);
        stand.engine().write(&stand.slice(1, &[1, 2, 10])).unwrap();
        let slice = stand.slice(2, &[2, 3, 3, 20]);
        let dying = ClickHouseSink::unchecked(Dying::after(&stand.database.clickhouse, inserts), &stand.config);
        assert_eq!(dying.write(&slice).is_ok(), inserts == 7, "{inserts}");
        let third = stand.slice(3, &[3, 4]);
        let early = stand.engine().write(&third);
        assert_eq!(matches!(early, Err(SinkError::Behind { .. })), (1..7).contains(&inserts), "{inserts}: {early:?}");
        for _ in 0..100 {
            match stand.engine().resume(&slice) {
                Err(SinkError::Retry { .. }) => std::thread::sleep(Duration::from_millis(100)),
                outcome => {
                    outcome.unwrap();
                    break;
                }
            }
        }
        stand.engine().resume(&third).unwrap();
        stand.assert_counted(&[1, 2, 10, 2, 3, 3, 20, 3, 4]);
    }
}

#[test]
fn claims_that_are_given_up_are_free_for_others() {
    let stand = Stand::new("given_up", BY_ORDER);
    let dying = ClickHouseSink::unchecked(Dying::after(&stand.database.clickhouse, 1), &stand.config);
    dying.write(&stand.slice(1, &[1, 2])).unwrap_err();
    let second = stand.slice(2, &[2, 3]);
    assert!(matches!(stand.engine().write(&second), Err(SinkError::Behind { .. })));
    stand.database.execute("ALTER TABLE {db}.events_claims DELETE WHERE slice = 1 SETTINGS mutations_sync = 1");
    stand.engine().write(&second).unwrap();
    stand.assert_counted(&[2, 3]);
}

#[test]
fn a_claim_counts_for_as_long_as_the_window() {
    let stand = Stand::new("window", BY_ORDER);
    stand.engine().write(&stand.slice(1, &[1, 2])).unwrap();
    // The window is 7 days unless the config says otherwise: the first claim is moved to either side of that.
    for (days, events, copies) in [(6, [1, 3], 1), (8, [2, 5], 0)] {
        stand.database.execute(&format!(
            "INSERT INTO {{db}}.events_claims (hour, key, slice, claimed) SELECT hour, key, slice, \
             now64(3) - toIntervalDay({days}) FROM {{db}}.events_claims WHERE slice = 1 LIMIT 1 BY key"
        ));
        let moved = format!("DELETE WHERE slice = 1 AND claimed > now() - toIntervalHour({days} * 24 - 1)");
        stand.database.execute(&format!("ALTER TABLE {{db}}.events_claims {moved} SETTINGS mutations_sync = 1"));
        let stored = stand.engine().write(&stand.slice(10 + days, &events)).unwrap();
        assert_eq!(left_out(&stored), copies, "after {days} days");
    }
    assert_eq!(stand.database.lines("SELECT count() FROM {db}.events"), ["5"]);
}

/// Many engines at once claim the same events, while claims are merged: each event is counted by one of them.
#[test]
fn engines_that_claim_at_once_agree() {
    let stand = Stand::new("at_once", BY_ORDER);
    let slices: Vec<(u64, Vec<u64>)> =
        (0..24).map(|id| (id + 1, (0..200).map(|n| (id * 97 + n * (id % 5 + 1)) % 600).collect())).collect();
    std::thread::scope(|scope| {
        for part in slices.chunks(6) {
            let stand = &stand;
            scope.spawn(move || {
                let engine = stand.engine();
                for (id, events) in part {
                    let slice = stand.slice(*id, events);
                    while let Err(error) = engine.write(&slice) {
                        assert!(matches!(error, SinkError::Behind { .. }), "{error:?}");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    if id % 4 == 0 {
                        stand.database.execute("OPTIMIZE TABLE {db}.events_claims FINAL");
                    }
                }
            });
        }
    });
    let sent: Vec<u64> = slices.into_iter().flat_map(|(_, events)| events).collect();
    stand.assert_counted(&sent);
}

/// The config for small slices, and files that overlap: every event is in two of them at least.
fn overlapping(site: &Site, dedup: &str) -> (PathBuf, [PathBuf; 3], Vec<u64>) {
    let config = format!(
        "[decode]\nformat = \"json\"\nrecord_bytes_max = \"4 KiB\"\n{TABLE}{dedup}[pipeline]\nslice_bytes = \"64 KiB\"\n"
    );
    let parts: [Vec<u64>; 3] = [
        (0..9_000).collect(),
        (4_000..14_000).chain(4_000..4_500).collect(),
        (0..5_000).chain(8_000..14_000).rev().collect(),
    ];
    let files = [0, 1, 2].map(|at| site.write(&format!("{at}.log"), lines(parts[at].iter().copied())));
    (site.config(&config), files, parts.concat())
}

fn start(site: &Site, config: &Path, inputs: &[&PathBuf]) -> Child {
    let mut command = site.command();
    command.args(["load", "--quiet", "--json", "-c"]).arg(config).args(inputs);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn two_loads_at_once_of_files_that_overlap_count_every_order_once() {
    for dedup in [BY_ORDER, BY_ORDER_AND_TIME] {
        let site = Site::new("overlap");
        let (config, [a, b, c], sent) = overlapping(&site, dedup);
        assert!(site.command().args(["schema", "--apply", "-c"]).arg(&config).output().unwrap().status.success());
        let loads = [start(&site, &config, &[&a, &c]), start(&site, &config, &[&b])];
        let mut sums = [0; 3];
        for load in loads {
            let output = load.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
            for (sum, figure) in sums.iter_mut().zip(["records", "loaded", "duplicates"]) {
                *sum += summary[figure].as_u64().unwrap() as usize;
            }
        }
        let right = counted(&sent).len();
        assert_eq!(sums, [sent.len(), right, sent.len() - right]);
        assert_counted(&sent, |sql| site.ask(sql));
        // The same bytes by another name are the same content.
        let copy = site.write("copy.log", std::fs::read(&a).unwrap());
        let summary = site.load(&config, &[copy]);
        assert_eq!((&summary["records"], &summary["skipped_slices"].as_u64().map(|n| n > 0)), (&json!(0), &Some(true)));
    }
}

#[test]
fn loads_that_are_killed_over_and_over_count_every_order_once() {
    let site = Site::new("killed_copies");
    let (config, [a, b, c], sent) = overlapping(&site, BY_ORDER);
    assert!(site.command().args(["schema", "--apply", "-c"]).arg(&config).output().unwrap().status.success());
    for round in 0..8 {
        let mut loads = [start(&site, &config, &[&a, &c]), start(&site, &config, &[&b])];
        std::thread::sleep(Duration::from_millis(250 + 67 * round));
        for load in &mut loads {
            let _ = load.kill();
            load.wait().unwrap();
        }
    }
    for load in [start(&site, &config, &[&a, &c]), start(&site, &config, &[&b])] {
        let output = load.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_counted(&sent, |sql| site.ask(sql));
}

#[test]
fn a_ledger_of_an_older_version_is_brought_up_to_date() {
    let database = TestDatabase::new("older");
    let config = database.config(TABLE);
    let schema = Schema::from_config(&config);
    schema.apply(&database.clickhouse).unwrap();
    // As version 0.3 made it.
    database.execute("ALTER TABLE {db}.ledger DROP CONSTRAINT balances");
    database.execute("ALTER TABLE {db}.ledger DROP COLUMN duplicates");
    database.execute("ALTER TABLE {db}.ledger ADD CONSTRAINT balances CHECK records = loaded + dead + filtered");
    database.execute("INSERT INTO {db}.ledger (slice, stream, records, loaded, dead) VALUES (99, 'events', 3, 2, 1)");
    let what = |schema: &Schema| -> Vec<String> {
        let differences = schema.check(&database.clickhouse).unwrap();
        differences.iter().map(|difference| format!("{} {}", difference.object, difference.what)).collect()
    };
    assert_eq!(what(&schema), ["ledger.duplicates missing", "ledger constraint"]);
    let done = schema.apply(&database.clickhouse).unwrap();
    // And rollups count the slice that names none.
    assert_eq!(done.len(), 3, "{done:?}");
    assert_eq!(what(&schema), [""; 0]);
    // Then duplicates are asked for.
    let config = database.config(&format!("{TABLE}{BY_ORDER}"));
    let schema = Schema::from_config(&config);
    assert_eq!(what(&schema), ["events_claims missing"]);
    schema.apply(&database.clickhouse).unwrap();
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    sink.write(&decoded_slice(&config, 1, &lines([1, 1, 2]))).unwrap();
    let ledger = database.lines("SELECT slice, records, loaded, duplicates FROM {db}.ledger ORDER BY slice");
    assert_eq!(ledger, ["1 3 2 1", "99 3 2 0"]);
}

#[test]
fn claims_that_cannot_be_relied_on_are_refused() {
    let differs = |change: &str| -> Vec<String> {
        let stand = Stand::new("unreliable", BY_ORDER);
        let create = stand
            .database
            .lines("SELECT create_table_query FROM system.tables WHERE database = '{db}' AND name = 'events_claims'");
        stand.database.execute("DROP TABLE {db}.events_claims SYNC");
        let (from, to) = change.split_once(" => ").unwrap();
        assert!(create[0].contains(from), "{create:?}");
        stand.database.execute(&create[0].replace(from, to));
        let differences = Schema::from_config(&stand.config).check(&stand.database.clickhouse).unwrap();
        differences.iter().map(|difference| format!("{} {}", difference.what, difference.can_apply())).collect()
    };
    assert_eq!(differs("index_granularity = 8192 => index_granularity = 8192"), [""; 0]);
    assert_eq!(differs("enable_block_number_column = 1 => enable_block_number_column = 0"), ["table settings false"]);
    // Seven days of window and seven more.
    assert_eq!(differs("toIntervalSecond(1209600) => toIntervalSecond(1209599)"), ["TTL true"]);
    assert_eq!(differs("toIntervalSecond(1209600) => toIntervalSecond(1209601)"), [""; 0]);
    assert_eq!(differs("TTL toDateTime(claimed) + toIntervalSecond(1209600) => "), [""; 0], "kept for ever");
    assert_eq!(differs("ORDER BY (hour, key) => ORDER BY (key, hour)"), ["sorting key false"]);
}
