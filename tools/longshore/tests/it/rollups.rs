//! The rollups' answers, counted by hand, over records that come late, out of order, with ties, and more than once.

use longshore_ingest::sink::Sink;
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};

use crate::database::{TestDatabase, decoded_slice, loaded_slice};
use crate::shop::{ROLLUPS, Row, Shop, TABLE, batch, pay, view};
use crate::support::http;

/// Every order of three things.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Three slices that disagree about when and where users came first.
fn sightings() -> [Vec<Row>; 3] {
    [
        // ann: 10:05 by web. bob: 10:05 by web. cat: 11:00 by app.
        vec![
            view("10:05:00.000", "web", "ann"),
            view("10:05:59.999", "web", "bob"),
            view("11:00:00.000", "app", "cat"),
            view("10:06:00.000", "web", "ann"),
        ],
        // ann came at 10:01 by web, it turns out; dan at 10:05 by ads.
        vec![
            view("10:01:00.000", "web", "ann"),
            view("10:05:30.000", "ads", "dan"),
            view("12:00:00.000", "ads", "bob"),
        ],
        // ann at the very same moment by app, which is the smaller name; cat just before, by web; eve the next day.
        vec![
            view("10:01:00.000", "app", "ann"),
            view("34:00:00.000", "web", "eve"),
            view("10:59:59.999", "web", "cat"),
            view("10:59:59.999", "web", "cat"),
        ],
    ]
}

#[test]
fn a_users_first_event_decides_in_any_order_of_arrival() {
    for order in ORDERS {
        let shop = Shop::new("first");
        let slices = sightings();
        for index in order {
            shop.write(index as u64 + 1, &slices[index]);
        }
        // ann app 10:01, bob web 10:05, cat web 10:59, dan ads 10:05, eve web next day 10:00.
        let by_minute = shop
            .database
            .lines("SELECT product, channel, minute, new_users FROM {db}.new_users_by_minute ORDER BY minute, channel");
        assert_eq!(
            by_minute,
            [
                "shop app 2026-11-20 10:01:00 1",
                "shop ads 2026-11-20 10:05:00 1",
                "shop web 2026-11-20 10:05:00 1",
                "shop web 2026-11-20 10:59:00 1",
                "shop web 2026-11-21 10:00:00 1",
            ],
            "{order:?}"
        );
        // The condition on the channel is on the first channel, whatever parts are merged.
        let web = "SELECT sum(new_users) FROM {db}.new_users_by_day WHERE channel = 'web'";
        assert_eq!(shop.database.lines(web), ["3"], "{order:?}");
        let early = "SELECT sum(new_users) FROM {db}.new_users_by_minute WHERE minute > '2026-11-20 10:05:00'";
        assert_eq!(shop.database.lines(early), ["2"], "{order:?}");
        shop.database.execute("OPTIMIZE TABLE {db}.new_users_first_seen FINAL");
        assert_eq!(shop.database.lines(web), ["3"], "{order:?}, merged");
    }
}

#[test]
fn new_users_by_hour_day_and_cumulative() {
    let shop = Shop::new("grains");
    for (index, slice) in sightings().iter().enumerate() {
        shop.write(index as u64 + 1, slice);
    }
    let hours = shop
        .database
        .lines("SELECT product, channel, hour, new_users FROM {db}.new_users_by_hour ORDER BY hour, channel");
    assert_eq!(
        hours,
        [
            "shop ads 2026-11-20 10:00:00 1",
            "shop app 2026-11-20 10:00:00 1",
            "shop web 2026-11-20 10:00:00 2",
            "shop web 2026-11-21 10:00:00 1",
        ]
    );
    let days =
        shop.database.lines("SELECT product, channel, day, new_users FROM {db}.new_users_by_day ORDER BY day, channel");
    assert_eq!(
        days,
        ["shop ads 2026-11-20 1", "shop app 2026-11-20 1", "shop web 2026-11-20 2", "shop web 2026-11-21 1"]
    );
    let cumulative = shop.database.lines(
        "SELECT product, channel, minute, new_users, cumulative FROM {db}.new_users_cumulative \
         WHERE channel = 'web' ORDER BY minute",
    );
    assert_eq!(
        cumulative,
        ["shop web 2026-11-20 10:05:00 1 1", "shop web 2026-11-20 10:59:00 1 2", "shop web 2026-11-21 10:00:00 1 3",]
    );
}

#[test]
fn new_users_without_a_column_to_group_by() {
    let database = TestDatabase::new("ungrouped");
    let config = database.config(&format!("{TABLE}[[rollup]]\nkind = \"new_users\"\nuser = \"user_id\"\n"));
    let schema = Schema::from_config(&config);
    schema.apply(&database.clickhouse).unwrap();
    assert_eq!(schema.check(&database.clickhouse).unwrap(), []);
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    for (index, slice) in sightings().iter().enumerate() {
        sink.write(&loaded_slice(index as u64 + 1, batch(index as u64 + 1, slice), Vec::new())).unwrap();
    }
    // ann 10:01; bob and dan 10:05; cat 10:59; eve 10:00 the next day.
    let minutes = database.lines("SELECT minute, new_users, cumulative FROM {db}.new_users_cumulative ORDER BY minute");
    assert_eq!(
        minutes,
        ["2026-11-20 10:01:00 1 1", "2026-11-20 10:05:00 2 3", "2026-11-20 10:59:00 1 4", "2026-11-21 10:00:00 1 5",]
    );
    assert_eq!(
        database.lines("SELECT day, new_users FROM {db}.new_users_by_day ORDER BY day"),
        ["2026-11-20 4", "2026-11-21 1"]
    );
}

#[test]
fn gmv_adds_up_to_the_cent_and_buyers_are_not_summed() {
    let shop = Shop::new("gmv");
    shop.write(
        1,
        &[
            pay("10:00:00.000", "web", "ann", 10),
            pay("10:00:30.000", "web", "ann", 20),
            pay("10:00:59.999", "web", "bob", -5),
            // No order: no amount.
            Row { amount: None, ..pay("10:00:01.000", "web", "cat", 0) },
            // No order: not one of the events.
            Row { event: "refund", ..pay("10:00:01.000", "web", "dan", 999) },
            pay("10:01:00.000", "app", "ann", 9_999_999_999_999_999),
        ],
    );
    // Late, in another slice: the same minute, the same hour, the next day.
    shop.write(
        2,
        &[
            pay("10:00:10.000", "web", "bob", 1),
            Row { event: "renew", ..pay("10:59:00.000", "web", "ann", 100) },
            pay("24:00:00.000", "web", "ann", 1),
        ],
    );
    let columns = "product, channel";
    let minutes =
        format!("SELECT {columns}, minute, orders, amount, buyers FROM {{db}}.gmv_by_minute ORDER BY minute, channel");
    assert_eq!(
        shop.database.lines(&minutes),
        [
            "shop web 2026-11-20 10:00:00 4 0.26 2",
            "shop app 2026-11-20 10:01:00 1 99999999999999.99 1",
            "shop web 2026-11-20 10:59:00 1 1 1",
            "shop web 2026-11-21 00:00:00 1 0.01 1",
        ]
    );
    let hours =
        format!("SELECT {columns}, hour, orders, amount, buyers FROM {{db}}.gmv_by_hour ORDER BY hour, channel");
    assert_eq!(
        shop.database.lines(&hours),
        [
            "shop app 2026-11-20 10:00:00 1 99999999999999.99 1",
            "shop web 2026-11-20 10:00:00 5 1.26 2",
            "shop web 2026-11-21 00:00:00 1 0.01 1",
        ]
    );
    let days = "SELECT day, sum(orders), sum(amount) FROM {db}.gmv_by_day GROUP BY day ORDER BY day";
    assert_eq!(shop.database.lines(days), ["2026-11-20 6 100000000000001.25", "2026-11-21 1 0.01"]);
}

#[test]
fn a_sum_of_amounts_may_be_wider_than_an_amount() {
    let shop = Shop::new("wide");
    // 18 digits each: the sum of 200 has 21 and would not fit in 64 bits.
    let rows = vec![pay("10:00:00.000", "web", "ann", 999_999_999_999_999_999); 200];
    shop.write(1, &rows);
    assert_eq!(shop.database.lines("SELECT amount FROM {db}.gmv_by_minute"), ["1999999999999999998"]);
}

#[test]
fn views_and_visitors() {
    let shop = Shop::new("pv");
    shop.write(
        1,
        &[
            view("10:00:00.000", "web", "ann"),
            view("10:00:01.000", "app", "ann"),
            view("10:00:02.000", "web", "bob"),
            view("10:01:00.000", "web", "ann"),
            pay("10:01:00.000", "web", "cat", 1),
        ],
    );
    shop.write(2, &[view("10:00:03.000", "web", "bob"), view("10:00:04.000", "web", "cat")]);
    let minutes = shop.database.lines("SELECT product, minute, pv, uv FROM {db}.pv_uv_by_minute ORDER BY minute");
    assert_eq!(minutes, ["shop 2026-11-20 10:00:00 5 3", "shop 2026-11-20 10:01:00 1 1"]);
    assert_eq!(shop.database.lines("SELECT hour, pv, uv FROM {db}.pv_uv_by_hour"), ["2026-11-20 10:00:00 6 3"]);
    assert_eq!(shop.database.lines("SELECT day, pv, uv FROM {db}.pv_uv_by_day"), ["2026-11-20 6 3"]);
}

#[test]
fn requests_by_address() {
    let shop = Shop::new("ip");
    let from = |time, ip| Row { ip, ..view(time, "web", "ann") };
    shop.write(
        1,
        &[from("10:00:00.000", 0x0a00_0001), from("10:00:59.000", 0x0a00_0001), from("10:01:00.000", 0x0a00_0002)],
    );
    shop.write(2, &[from("10:00:01.000", 0x0a00_0001)]);
    let minutes = shop
        .database
        .lines("SELECT product, minute, ip, requests FROM {db}.requests_by_ip_by_minute ORDER BY minute, ip");
    assert_eq!(minutes, ["shop 2026-11-20 10:00:00 10.0.0.1 3", "shop 2026-11-20 10:01:00 10.0.0.2 1"]);
    let day = shop.database.lines("SELECT ip, requests FROM {db}.requests_by_ip_by_day ORDER BY requests DESC");
    assert_eq!(day, ["10.0.0.1 3", "10.0.0.2 1"]);
}

#[test]
fn columns_of_the_events_may_be_called_like_columns_of_a_view() {
    let database = TestDatabase::new("names");
    // `amount`, `orders`, `minute`, `product`, `user`, `first` are columns of the record here, and mean something else.
    let config = database.config(
        r#"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "app"
type = "low_cardinality"
required = true
[[column]]
name = "minute"
type = "string"
[[column]]
name = "user"
type = "u64"
[[column]]
name = "first"
type = "string"
[[column]]
name = "orders"
type = "string"
[[column]]
name = "amount"
type = "decimal(9,3)"
[products]
column = "app"
[table]
time = "ts"
[[rollup]]
kind = "new_users"
user = "user"
by = ["first"]
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user"
where = { minute = ["it's\\"] }
"#,
    );
    let schema = Schema::from_config(&config);
    schema.apply(&database.clickhouse).unwrap();
    assert_eq!(schema.check(&database.clickhouse).unwrap(), []);
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    let lines = r#"
{"ts":1795168800001,"app":"shop","minute":"it's\\","user":7,"first":"b","orders":"x","amount":1.5}
{"ts":1795168800001,"app":"shop","minute":"other","user":7,"first":"a","orders":"x","amount":2.5}
"#;
    sink.write(&decoded_slice(&config, 1, lines)).unwrap();
    assert_eq!(database.lines("SELECT * FROM {db}.new_users_by_minute"), ["shop a 2026-11-20 10:00:00 1"]);
    assert_eq!(database.lines("SELECT * FROM {db}.gmv_by_minute"), ["shop 2026-11-20 10:00:00 1 1.5 1"]);
}

#[test]
fn a_rollup_added_later_counts_what_is_there() {
    let shop = Shop::new("later");
    let slices = sightings();
    shop.write(1, &slices[0]);
    shop.write(2, &slices[1]);
    let more = ROLLUPS.to_owned()
        + "[[rollup]]\nname = \"all_views\"\nkind = \"pv_uv\"\nuser = \"user_id\"\nby = [\"channel\"]\n\
           [[rollup]]\nname = \"arrivals\"\nkind = \"new_users\"\nuser = \"user_id\"\nby = [\"channel\"]\n";
    let config = shop.database.config(&format!("{TABLE}{more}"));
    let schema = Schema::from_config(&config);
    let done = schema.apply(&shop.database.clickhouse).unwrap();
    assert!(done.contains(&"rollups counted 4 slices that had been stored without them".to_owned()), "{done:?}");
    assert_eq!(schema.check(&shop.database.clickhouse).unwrap(), []);
    let sink = ClickHouseSink::new(&shop.database.clickhouse, &config).unwrap();
    sink.write(&loaded_slice(3, batch(3, &slices[2]), Vec::new())).unwrap();
    // web 3 + 1 + 3, app 1 + 0 + 1, ads 0 + 2 + 0.
    let views = "SELECT channel, sum(pv) FROM {db}.all_views_by_minute GROUP BY channel ORDER BY channel";
    assert_eq!(shop.database.lines(views), ["ads 2", "app 2", "web 7"]);
    for view in ["new_users", "arrivals"] {
        let sql = format!("SELECT channel, minute, new_users FROM {{db}}.{view}_by_minute ORDER BY minute, channel");
        assert_eq!(
            shop.database.lines(&sql),
            [
                "app 2026-11-20 10:01:00 1",
                "ads 2026-11-20 10:05:00 1",
                "web 2026-11-20 10:05:00 1",
                "web 2026-11-20 10:59:00 1",
                "web 2026-11-21 10:00:00 1",
            ],
            "{view}"
        );
    }
}

#[test]
fn the_queries_of_the_documentation_run() {
    let shop = Shop::new("docs");
    shop.write(1, &sightings()[0]);
    let server = &shop.database.server.embedded;
    let target = format!("/?database={}", shop.database.name);
    let text = include_str!("../../../../docs/tables.md");
    let blocks = text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut queries = 0;
    let asks = |query: &&str| query.lines().any(|line| !line.trim().is_empty() && !line.trim().starts_with("--"));
    for query in blocks.flat_map(|block| block.split(';')).filter(asks) {
        // Of configs with `[dedup]`: `duplicates.rs` asks that. Rights on a server of the user's own: `embedded/rights.rs`.
        if query.contains("events_claims") || query.contains("GRANT") || query.contains("REVOKE") {
            continue;
        }
        let answer = http::request(server.http_port(), http::engine(server), &target, query);
        let answer = answer.unwrap_or_else(|error| panic!("{query}: {error}"));
        if query.contains("Rows that the ledger knows") {
            assert_eq!(answer, "", "nothing is missing or doubled");
        }
        if query.contains("Where a row comes from") {
            assert_eq!(answer, "app.log\t1000\t1999");
        }
        queries += 1;
    }
    assert_eq!(queries, 12);
}
