//! A small shop: one config with every kind of rollup, and batches made of rows written by hand.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::{Field, Schema as ArrowSchema};
use longshore_core::config::Config;
use longshore_ingest::sink::Sink;
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};

use crate::database::{TestDatabase, loaded_slice};

/// The columns, products and table of the shop.
pub(crate) const TABLE: &str = r#"
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
[[column]]
name = "channel"
type = "low_cardinality"
[[column]]
name = "user_id"
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
order_by = ["event"]
"#;

/// One rollup of each kind.
pub(crate) const ROLLUPS: &str = r#"
[[rollup]]
kind = "new_users"
user = "user_id"
by = ["channel"]
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user_id"
by = ["channel"]
where = { event = ["pay", "renew"] }
[[rollup]]
kind = "pv_uv"
user = "user_id"
where = { event = ["view"] }
[[rollup]]
kind = "requests_by_ip"
ip = "addr"
"#;

/// 2026-11-20 00:00:00 UTC in milliseconds since 1970.
const DAY_MS: i64 = 1_795_132_800_000;

/// A row of the events table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Milliseconds since 2026-11-20 00:00:00 UTC.
    pub(crate) ms: i64,
    pub(crate) event: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) user: &'static str,
    /// In cents.
    pub(crate) amount: Option<i128>,
    pub(crate) ip: u32,
}

/// A `view` of app `shop` at this time of 2026-11-20, by user and channel.
pub(crate) fn view(time: &str, channel: &'static str, user: &'static str) -> Row {
    Row { ms: ms(time), event: "view", channel, user, amount: None, ip: 0x0a00_0001 }
}

/// A payment of this many cents.
pub(crate) fn pay(time: &str, channel: &'static str, user: &'static str, cents: i128) -> Row {
    Row { event: "pay", amount: Some(cents), ..view(time, channel, user) }
}

/// `HH:MM:SS.mmm` as milliseconds; hours may pass 24.
fn ms(time: &str) -> i64 {
    let parts: Vec<i64> = time.split([':', '.']).map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds, millis] = parts[..] else { panic!("`{time}` is not HH:MM:SS.mmm") };
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis
}

/// A database with the shop's tables in it.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) config: Config,
    pub(crate) sink: ClickHouseSink,
}

impl Shop {
    pub(crate) fn new(test: &str) -> Self {
        let database = TestDatabase::new(test);
        let config = database.config(&format!("{TABLE}{ROLLUPS}"));
        Schema::from_config(&config).apply(&database.clickhouse).unwrap();
        let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
        Shop { database, config, sink }
    }

    /// Stores rows as the slice of this id.
    pub(crate) fn write(&self, id: u64, rows: &[Row]) {
        self.sink.write(&loaded_slice(id, batch(id, rows), Vec::new())).unwrap();
    }
}

/// Rows as a batch, columns as the config declares them.
pub(crate) fn batch(id: u64, rows: &[Row]) -> RecordBatch {
    let dictionary = |text: fn(&Row) -> &'static str| -> ArrayRef {
        Arc::new(rows.iter().map(text).collect::<DictionaryArray<Int32Type>>())
    };
    let times = rows.iter().map(|row| DAY_MS + row.ms);
    let amounts = rows.iter().map(|row| row.amount).collect::<Decimal128Array>();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("app", dictionary(|_| "shop")),
        ("event", dictionary(|row| row.event)),
        ("channel", dictionary(|row| row.channel)),
        ("user_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.user)))),
        ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).unwrap())),
        ("addr", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.ip)))),
        ("_slice", Arc::new(UInt64Array::from_value(id, rows.len()))),
        ("_row", Arc::new(UInt32Array::from_iter_values(0..rows.len() as u32))),
    ];
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), *name == "amount");
    let schema = ArrowSchema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}
