//! Sums of amounts that are too large for 128 bits.

use longshore_ingest::sink::Sink;
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};

use crate::database::{TestDatabase, decoded_slice};
use crate::resume::resume_at;

fn table(amount: &str) -> String {
    format!(
        r#"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "app"
type = "low_cardinality"
[[column]]
name = "user"
type = "string"
[[column]]
name = "amount"
type = "{amount}"
nullable = true
[products]
column = "app"
[table]
time = "ts"
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user"
"#
    )
}

/// 2026-11-20 10:00:00 and 11:00:00.
const LINES: &str = r#"{"ts":1795168800000,"app":"a","user":"ann","amount":"999999999999999999999999999999999999.99"}
{"ts":1795168800001,"app":"a","user":"bob","amount":"999999999999999999999999999999999999.99"}
{"ts":1795172400000,"app":"a","user":"ann","amount":"999999999999999999999999999999999999.99"}
{"ts":1795172400000,"app":"a","user":"ann"}
"#;

#[test]
fn a_sum_of_the_largest_amounts_does_not_wrap_around() {
    let database = TestDatabase::new("sums");
    let config = database.config(&table("decimal(38,2)"));
    Schema::from_config(&config).apply(&database.clickhouse).unwrap();
    assert_eq!(Schema::from_config(&config).check(&database.clickhouse).unwrap(), []);
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    sink.write(&decoded_slice(&config, 1, LINES)).unwrap();
    let minutes = database.lines("SELECT orders, toString(amount), buyers FROM {db}.gmv_by_minute ORDER BY minute");
    let expected = ["2 1999999999999999999999999999999999999.98 2", "1 999999999999999999999999999999999999.99 1"];
    assert_eq!(minutes, expected);
    database.execute("OPTIMIZE TABLE {db}.gmv_minutes FINAL");
    let day = database.lines("SELECT toString(sum(amount)) FROM {db}.gmv_by_day");
    assert_eq!(day, ["2999999999999999999999999999999999999.97"]);
    database.execute("TRUNCATE TABLE {db}.ledger");
    resume_at(&database, &config, &decoded_slice(&config, 1, LINES)).unwrap();
    assert_eq!(database.lines("SELECT sum(orders) FROM {db}.gmv_by_day"), ["3"]);
}

#[test]
fn ordinary_amounts_are_summed_as_ever() {
    for (amount, sum) in [("decimal(18,2)", "Decimal(38, 2)"), ("decimal(19,2)", "Decimal(76, 2)")] {
        let database = TestDatabase::new(&format!("sums_of_{}", &amount[8..10]));
        let config = database.config(&table(amount));
        Schema::from_config(&config).apply(&database.clickhouse).unwrap();
        let ty =
            "SELECT type FROM system.columns WHERE database = '{db}' AND table = 'gmv_minutes' AND name = 'amount'";
        assert_eq!(database.lines(ty), [format!("SimpleAggregateFunction(sum, {sum})")]);
    }
}
