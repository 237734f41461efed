//! What is in the database says of itself what it is, and whether a measure can be added up.

use longshore_sinks::clickhouse::{Grade, Schema, preflight};

use crate::database::TestDatabase;
use crate::shop::{ROLLUPS, Shop, TABLE};
use crate::support::http;
use crate::support::shared::Site;

/// Columns with masks and odd paths, and claims.
const MORE: &str = r#"
[[column]]
name = "who"
type = "string"
path = "user.\"it's `x\\\\y\""
mask = { hash = "a salt that nobody may read" }
[[column]]
name = "day"
type = "date"
format = "%d.%m.%Y"
[[column]]
name = "at"
type = "timestamp"
format = "%d/%b/%Y:%H:%M:%S"
zone = "Asia/Shanghai"
precision = "us"
[[column]]
name = "net"
type = "ipv6"
mask = { ip_prefix = 64 }
[[column]]
name = "tags"
type = "list(string)"
[dedup]
key = ["user_id", "event"]
"#;

/// What a config has that reads topics.
const TOPICS: &str = r#"
[[source]]
[source.kafka]
brokers = ["k:9092"]
topics = ["t"]
group = "g"
[message]
topic = "topic"
key = "message_key"
headers = { "trace-id" = "trace" }
"#;

/// Tables and views without a comment, and columns without one.
fn silent(database: &TestDatabase) -> Vec<String> {
    let tables = "SELECT name FROM system.tables WHERE database = '{db}' AND comment = '' ORDER BY name";
    let columns =
        "SELECT concat(table, '.', name) FROM system.columns WHERE database = '{db}' AND comment = '' ORDER BY 1";
    [database.lines(tables), database.lines(columns)].concat()
}

#[test]
fn everything_has_a_comment() {
    let database = TestDatabase::new("comments");
    let config = database.config(&format!("{TABLE}{ROLLUPS}{MORE}"));
    let schema = Schema::from_config(&config);
    schema.apply(&database.clickhouse).unwrap();
    assert_eq!(silent(&database), [""; 0]);
    assert_eq!(schema.uncommented(&database.clickhouse).unwrap(), [""; 0]);
    assert_eq!(schema.check(&database.clickhouse).unwrap(), []);
    let of = |column: &str| {
        let sql = format!(
            "SELECT comment FROM system.columns WHERE database = '{{db}}' AND table = 'events' AND name = '{column}'"
        );
        database.rows(&sql)[0][0].clone()
    };
    assert_eq!(
        of("who"),
        "string at `user.\"it's `x\\\\y\"` of the record; empty where the record has none; masked: 32 hex digits of a keyed hash, equal values stay equal"
    );
    assert_eq!(
        of("at"),
        "timestamp at `at` of the record, written as %d/%b/%Y:%H:%M:%S, in Asia/Shanghai where it has no offset; stored \
         in UTC to the microsecond; zero where the record has none"
    );
    assert_eq!(of("amount"), "decimal(18,2) at `amount` of the record, exact; null where the record has none");
    let salts =
        "SELECT count() FROM system.columns WHERE database = '{db}' AND position(comment, 'nobody may read') > 0";
    assert_eq!(database.lines(salts), ["0"]);
    // What recovery goes by is as it was.
    let marked = "SELECT count() FROM system.tables WHERE database = '{db}' AND comment LIKE 'longshore: counts %'";
    assert_eq!(database.lines(marked), ["4"]);
}

#[test]
fn the_printed_statements_comment_everything() {
    let database = TestDatabase::new("printed_comments");
    let schema = Schema::from_config(&database.config(&format!("{TABLE}{ROLLUPS}{TOPICS}")));
    for statement in schema.statements().into_iter().chain(schema.comment_statements()) {
        database.execute(&statement);
    }
    assert_eq!(silent(&database), [""; 0]);
}

/// A database of an earlier version has none, and somebody may have written others: nothing that a load minds.
#[test]
fn other_comments_are_set_and_nothing_is_refused_for_them() {
    let shop = Shop::new("old_comments");
    let database = &shop.database;
    for change in [
        "ALTER TABLE {db}.events MODIFY COMMENT '', COMMENT COLUMN ts ''",
        "ALTER TABLE {db}.ledger COMMENT COLUMN records 'mine'",
        "ALTER TABLE {db}.pv_uv_by_day MODIFY COMMENT '', COMMENT COLUMN uv ''",
        "ALTER TABLE {db}.pv_uv_minutes COMMENT COLUMN uv ''",
    ] {
        database.execute(change);
    }
    let schema = Schema::from_config(&shop.config);
    let found = preflight(&database.clickhouse, &shop.config).unwrap();
    assert_eq!((found.grade(), found.differences), (Grade::ExactlyOnce, vec![]));
    assert_eq!(schema.check(&database.clickhouse).unwrap(), []);
    assert_eq!(
        schema.uncommented(&database.clickhouse).unwrap(),
        ["events", "ledger", "pv_uv_minutes", "pv_uv_by_day"]
    );
    let done = schema.apply(&database.clickhouse).unwrap();
    assert_eq!(done, ["set the comments of events, ledger, pv_uv_minutes, pv_uv_by_day"]);
    assert_eq!(silent(database), [""; 0]);
    assert_eq!(schema.apply(&database.clickhouse).unwrap(), [""; 0]);
}

#[test]
fn a_view_says_what_it_is_by_and_what_cannot_be_added_up() {
    let shop = Shop::new("views");
    let comment = |view: &str| {
        let sql = format!("SELECT comment FROM system.tables WHERE database = '{{db}}' AND name = '{view}'");
        shop.database.rows(&sql)[0][0].clone()
    };
    let database = &shop.database.name;
    assert_eq!(
        comment("gmv_by_day"),
        format!(
            "Longshore: orders, their amount, and buyers by product, channel and day (UTC), of events whose event is pay or \
             renew. orders can be added up over all of these. amount can be added up over all of these. buyers cannot be \
             added up, since who is in several rows would count several times. For a total merge the states: SELECT \
             uniqExactMerge(buyers) FROM {database}.gmv_minutes WHERE product = '...' AND toDate(minute) = '...'."
        )
    );
    assert!(comment("new_users_by_hour").contains("new_users can be added up"));
    assert!(comment("new_users_cumulative").contains("cumulative cannot"));
    assert!(comment("requests_by_ip_by_minute").contains("by product, minute and ip (UTC)"));
}

/// Users who come through several channels and in several minutes, of two products, on two days.
const VISITS: &str = r#"{"ts":"2026-11-20T10:00:00Z","product":"shop","channel":"web","user_id":"ann","amount":"10.00"}
{"ts":"2026-11-20T10:00:30Z","product":"shop","channel":"ads","user_id":"ann","amount":"5.00"}
{"ts":"2026-11-20T10:01:00Z","product":"shop","channel":"web","user_id":"bob"}
{"ts":"2026-11-20T10:01:10Z","product":"shop","channel":"ads","user_id":"bob","amount":"1.00"}
{"ts":"2026-11-20T10:02:00Z","product":"shop","channel":"web","user_id":"ann"}
{"ts":"2026-11-20T10:00:00Z","product":"toys","channel":"web","user_id":"ann","amount":"2.00"}
{"ts":"2026-11-21T10:00:00Z","product":"shop","channel":"web","user_id":"cid","amount":"3.00"}
{"ts":"2026-11-21T10:00:00Z","product":"shop","channel":"ads","user_id":"ann"}
{"ts":"2026-11-21T10:05:00Z","product":"toys","channel":"ads","user_id":"dan"}
"#;

const CONFIG: &str = r#"
[[column]]
name = "ts"
type = "timestamp"
format = "rfc3339"
required = true
[[column]]
name = "product"
type = "low_cardinality"
required = true
[[column]]
name = "channel"
type = "low_cardinality"
[[column]]
name = "user_id"
type = "string"
required = true
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[products]
column = "product"
[table]
time = "ts"
[[rollup]]
kind = "new_users"
user = "user_id"
by = ["channel"]
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user_id"
by = ["channel"]
[[rollup]]
kind = "pv_uv"
user = "user_id"
by = ["channel"]
"#;

#[test]
fn totals_by_the_documentation_count_nobody_twice() {
    let site = Site::new("totals");
    let log = site.write("app.log", VISITS);
    site.load(&site.config(CONFIG), &[log]);
    let page = include_str!("../../../../docs/tables.md");
    let embedded = &site.server.embedded;
    // The answer to the documentation's query under this title. The analyst would get it from the server's next start on.
    let answer = |title: &str| {
        let start = page.find(&format!("-- {title}\n")).unwrap_or_else(|| panic!("there is no `{title}`"));
        let query = page[start..].split(';').next().unwrap();
        let target = format!("/?database={}", site.database);
        let answer = http::request(embedded.http_port(), http::engine(embedded), &target, query);
        answer.unwrap_or_else(|error| panic!("{query}: {error}")).replace('\t', " ")
    };
    // By hand. Two visitors came to the shop each day, and adding up its channels would make four of the first two.
    assert_eq!(answer("Views and visitors a day."), "2026-11-20 5 2\n2026-11-21 2 2");
    assert_eq!(site.ask("SELECT sum(uv) FROM {db}.pv_uv_by_day WHERE product = 'shop' AND day = '2026-11-20'"), ["4"]);
    // Ann came to two products on the first day.
    assert_eq!(answer("The same of all products together."), "2026-11-20 6 2\n2026-11-21 3 3");
    assert_eq!(answer("Visitors of one day."), "2");
    // Ann, Bob and Cid bought in the shop.
    assert_eq!(answer("Buyers of a week."), "3");
    assert_eq!(answer("New users a day, of all channels."), "2026-11-20 2\n2026-11-21 1");
}
