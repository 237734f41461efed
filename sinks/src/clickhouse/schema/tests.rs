//! The text of the statements, written out by hand.

use std::path::Path;

use longshore_core::config::{self, Env};

use super::Schema;

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
name = "channel"
type = "low_cardinality"
[[column]]
name = "user_id"
type = "low_cardinality"
[[column]]
name = "paid"
type = "bool"
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[[column]]
name = "addr"
type = "ipv6"
[products]
column = "app"
[table]
name = "logs"
time = "ts"
order_by = ["channel"]
[clickhouse]
url = "http://h:8123"
user = "u"
database = "shop"
"#;

fn schema(rollups: &str) -> Schema {
    let text = format!("{CONFIG}{rollups}");
    let config = config::parse(&text, Path::new("/nonexistent/x.toml"), &Env::default()).unwrap();
    Schema::from_config(&config)
}

/// The statements for one rollup, target and views, and what fills it from the events.
fn rollup(text: &str) -> Vec<String> {
    let schema = schema(text);
    let mut statements = schema.statements().split_off(7);
    let (create, mark) = statements[0].split_once("\nCOMMENT ").expect("its table says what is counted");
    assert_eq!(mark, format!("'{}'", schema.rollups[0].mark()));
    statements[0] = create.to_owned();
    statements.push(schema.rollups[0].select.sql(None));
    statements
}

#[test]
fn tables_that_every_config_has() {
    assert_eq!(
        schema("").statements(),
        [
            "CREATE DATABASE IF NOT EXISTS `shop`",
            "\
CREATE TABLE IF NOT EXISTS `shop`.`logs`
(
    `ts` DateTime64(3, 'UTC') CODEC(T64, LZ4),
    `app` LowCardinality(String),
    `channel` LowCardinality(String),
    `user_id` LowCardinality(String),
    `paid` Bool,
    `amount` Nullable(Decimal(18, 2)) CODEC(T64, LZ4),
    `addr` IPv6,
    `_slice` UInt64 CODEC(ZSTD(1)),
    `_row` UInt32 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(`ts`)
ORDER BY (`app`, `channel`, `ts`)
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 134217728, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480",
            "\
CREATE TABLE IF NOT EXISTS `shop`.`dead_letters`
(
    `slice` UInt64 CODEC(ZSTD(1)),
    `row` UInt32 CODEC(T64, ZSTD(1)),
    `source` LowCardinality(String),
    `offset` UInt64 CODEC(T64, LZ4),
    `length` UInt64 CODEC(T64, LZ4),
    `reason` LowCardinality(String),
    `column` LowCardinality(String),
    `detail` String CODEC(ZSTD(1)),
    `record` String CODEC(ZSTD(1)),
    `loaded_at` DateTime('UTC') DEFAULT now(),
    INDEX by_slice `slice` TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (`reason`, `source`, `offset`)
SETTINGS non_replicated_deduplication_window = 10000, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480",
            "\
CREATE TABLE IF NOT EXISTS `shop`.`ledger`
(
    `slice` UInt64,
    `stream` LowCardinality(String),
    `head` UInt64,
    `source` String CODEC(ZSTD(1)),
    `start` UInt64,
    `end` UInt64,
    `bytes` UInt64,
    `before` UInt64,
    `after` UInt64,
    `records` UInt64,
    `loaded` UInt64,
    `dead` UInt64,
    `filtered` UInt64,
    `duplicates` UInt64,
    `finished_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    `layout` UInt16 DEFAULT 2,
    `rollups` Array(UInt64) CODEC(ZSTD(1)),
    INDEX by_slice `slice` TYPE bloom_filter GRANULARITY 1,
    CONSTRAINT balances CHECK records = loaded + dead + filtered + duplicates
)
ENGINE = MergeTree
ORDER BY (`head`, `start`, `slice`)
SETTINGS non_replicated_deduplication_window = 10000, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480",
            "\
CREATE VIEW IF NOT EXISTS `shop`.`dead_letter_reasons` DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT r.`slice` AS `slice`, r.`row` AS `row`, r.`source` AS `source`, r.`offset` AS `offset`, r.`length` AS `length`, \
r.`reason` AS `reason`, r.`column` AS `column`, r.`detail` AS `detail`, r.`loaded_at` AS `loaded_at`
FROM `shop`.`dead_letters` AS r",
        ]
    );
}

#[test]
fn claims_are_kept_for_a_week_beyond_the_window() {
    let claims = schema("[dedup]\nkey = [\"user_id\"]\nwindow = \"1h\"\n").claims.expect("there are claims");
    assert_eq!(
        claims.create("shop"),
        "\
CREATE TABLE IF NOT EXISTS `shop`.`logs_claims`
(
    `hour` UInt32 CODEC(ZSTD(1)),
    `key` FixedString(16) CODEC(NONE),
    `slice` UInt64 CODEC(ZSTD(1)),
    `claimed` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(claimed)
ORDER BY (`hour`, `key`)
TTL toDateTime(claimed) + toIntervalSecond(608400)
SETTINGS non_replicated_deduplication_window = 10000, enable_block_number_column = 1, ttl_only_drop_parts = 1, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480"
    );
    assert_eq!(schema("").claims, None);
}

#[test]
fn new_users() {
    let text = "[[rollup]]\nkind = \"new_users\"\nuser = \"user_id\"\nby = [\"channel\"]\n";
    let view = |grain: &str, time: &str| {
        format!(
            "\
CREATE VIEW IF NOT EXISTS `shop`.`new_users_by_{grain}` AS
SELECT r.`product` AS `product`, tupleElement(materialize(r.`first`), 'channel') AS `channel`, {time} AS `{grain}`, \
             count() AS `new_users`
FROM `shop`.`new_users_first_seen` AS r FINAL
GROUP BY r.`product`, tupleElement(materialize(r.`first`), 'channel'), {time}"
        )
    };
    assert_eq!(
        rollup(text),
        [
            "\
CREATE TABLE IF NOT EXISTS `shop`.`new_users_first_seen`
(
    `product` LowCardinality(String) CODEC(ZSTD(1)),
    `user` LowCardinality(String) CODEC(ZSTD(1)),
    `first` SimpleAggregateFunction(min, Tuple(_time DateTime64(3, 'UTC'), `channel` String)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (`product`, `user`)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 20, \
             min_age_to_force_merge_on_partition_only = 1, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480",
            &view("minute", "toStartOfMinute(tupleElement(materialize(r.`first`), '_time'))"),
            &view("hour", "toStartOfHour(tupleElement(materialize(r.`first`), '_time'))"),
            &view("day", "toDate(tupleElement(materialize(r.`first`), '_time'))"),
            "\
CREATE VIEW IF NOT EXISTS `shop`.`new_users_cumulative` AS
SELECT r.`product` AS `product`, r.`channel` AS `channel`, r.`minute` AS `minute`, r.`new_users` AS `new_users`, \
             sum(r.`new_users`) OVER (PARTITION BY r.`product`, r.`channel` ORDER BY r.`minute` ASC \
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `cumulative`
FROM `shop`.`new_users_by_minute` AS r",
            "\
SELECT e.`app` AS `product`, e.`user_id` AS `user`, \
             min(CAST((e.`ts`, e.`channel`), 'Tuple(_time DateTime64(3, \\'UTC\\'), `channel` String)')) AS `first`
FROM `shop`.`logs` AS e
GROUP BY e.`app`, e.`user_id`",
        ]
    );
}

#[test]
fn gmv_with_conditions() {
    let text = "[[rollup]]\nname = \"sales\"\nkind = \"gmv\"\namount = \"amount\"\nbuyer = \"user_id\"\n\
                where = { channel = [\"web\", \"it's\"], paid = [true] }\n";
    let statements = rollup(text);
    assert_eq!(
        statements[0],
        "\
CREATE TABLE IF NOT EXISTS `shop`.`sales_minutes`
(
    `product` LowCardinality(String) CODEC(ZSTD(1)),
    `minute` DateTime('UTC') CODEC(T64, LZ4),
    `_slice` UInt64 CODEC(ZSTD(1)),
    `orders` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `amount` SimpleAggregateFunction(sum, Decimal(38, 2)) CODEC(ZSTD(1)),
    `buyers` AggregateFunction(uniqExact, String) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(`minute`)
ORDER BY (`product`, `minute`, `_slice`)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 20, \
         min_age_to_force_merge_on_partition_only = 1, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480"
    );
    assert_eq!(
        statements[2],
        "\
CREATE VIEW IF NOT EXISTS `shop`.`sales_by_hour` AS
SELECT r.`product` AS `product`, toStartOfHour(r.`minute`) AS `hour`, sum(r.`orders`) AS `orders`, \
         sum(r.`amount`) AS `amount`, uniqExactMerge(r.`buyers`) AS `buyers`
FROM `shop`.`sales_minutes` AS r
WHERE r.`_slice` = 0
GROUP BY r.`product`, toStartOfHour(r.`minute`)"
    );
    assert_eq!(
        statements[4],
        "\
SELECT e.`app` AS `product`, toStartOfMinute(e.`ts`) AS `minute`, count() AS `orders`, \
         sum(assumeNotNull(e.`amount`)) AS `amount`, uniqExactState(CAST(e.`user_id`, 'String')) AS `buyers`
FROM `shop`.`logs` AS e
WHERE e.`amount` IS NOT NULL AND e.`channel` IN ('web', 'it\\'s') AND toString(e.`paid`) IN ('true')
GROUP BY e.`app`, toStartOfMinute(e.`ts`)"
    );
}

#[test]
fn requests_by_ip() {
    let statements = rollup("[[rollup]]\nkind = \"requests_by_ip\"\nip = \"addr\"\nby = [\"channel\"]\n");
    assert_eq!(
        statements[0],
        "\
CREATE TABLE IF NOT EXISTS `shop`.`requests_by_ip_minutes`
(
    `product` LowCardinality(String) CODEC(ZSTD(1)),
    `channel` LowCardinality(String) CODEC(ZSTD(1)),
    `minute` DateTime('UTC') CODEC(T64, LZ4),
    `ip` IPv6 CODEC(ZSTD(1)),
    `_slice` UInt64 CODEC(ZSTD(1)),
    `requests` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(`minute`)
ORDER BY (`product`, `channel`, `minute`, `ip`, `_slice`)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 20, \
         min_age_to_force_merge_on_partition_only = 1, \
fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480"
    );
    assert_eq!(
        statements[1],
        "\
CREATE VIEW IF NOT EXISTS `shop`.`requests_by_ip_by_minute` AS
SELECT r.`product` AS `product`, r.`channel` AS `channel`, r.`minute` AS `minute`, r.`ip` AS `ip`, \
         sum(r.`requests`) AS `requests`
FROM `shop`.`requests_by_ip_minutes` AS r
WHERE r.`_slice` = 0
GROUP BY r.`product`, r.`channel`, r.`minute`, r.`ip`"
    );
}

#[test]
fn the_fixed_product_is_the_product() {
    let text = CONFIG.replace("column = \"app\"", "fixed = \"web\"")
        + "[[rollup]]\nkind = \"pv_uv\"\nuser = \"user_id\"\nby = [\"app\"]\n";
    let config = config::parse(&text, Path::new("/nonexistent/x.toml"), &Env::default()).unwrap();
    let schema = Schema::from_config(&config);
    assert_eq!(schema.events.order_by, ["product", "channel", "ts"]);
    assert_eq!(
        schema.rollups[0].select.sql(None),
        "\
SELECT e.`product` AS `product`, e.`app` AS `app`, toStartOfMinute(e.`ts`) AS `minute`, count() AS `pv`, \
         uniqExactState(CAST(e.`user_id`, 'String')) AS `uv`
FROM `shop`.`logs` AS e
GROUP BY e.`product`, e.`app`, toStartOfMinute(e.`ts`)"
    );
}

#[test]
fn what_is_counted_has_a_name_that_says_of_which_events_and_in_which_table() {
    let text = "[[rollup]]\nkind = \"pv_uv\"\nuser = \"user_id\"\n";
    let rollup = |text: &str| schema(text).rollups.remove(0);
    let plain = rollup(text);
    for other in ["by = [\"channel\"]\n", "where = { channel = [\"web\"] }\n", "name = \"other\"\n"] {
        let other = rollup(&format!("{text}{other}"));
        assert!(other.mark() != plain.mark() && other.id("t") != plain.id("t"), "{}", other.name);
    }
    assert_eq!((rollup(text).mark(), rollup(text).id("t")), (plain.mark(), plain.id("t")));
    assert_ne!(plain.id("t"), plain.id("u"));
    assert!(plain.adds() && !rollup(&text.replace("pv_uv", "new_users")).adds());
}
