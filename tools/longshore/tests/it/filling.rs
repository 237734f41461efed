//! What the engine adds to the rollups: as ClickHouse would count it from the events, once.

use longshore_core::config::Config;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};

use crate::database::{TestDatabase, decoded_slice, loaded_slice};
use crate::resume::{Dying, resume_at};
use crate::shop::{Row, Shop, batch, pay, view};

/// Columns of every type that a rollup takes, and then some conditions.
const TYPES: &str = r#"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "app"
type = "low_cardinality"
required = true
[[column]]
name = "amount"
type = "decimal(38,10)"
nullable = true
[[column]]
name = "paid"
type = "bool"
nullable = true
[[column]]
name = "level"
type = "i16"
nullable = true
[[column]]
name = "note"
type = "low_cardinality"
nullable = true
[[column]]
name = "text"
type = "string"
[[column]]
name = "low"
type = "low_cardinality"
[[column]]
name = "tiny"
type = "i8"
[[column]]
name = "long"
type = "i64"
[[column]]
name = "byte"
type = "u8"
[[column]]
name = "big"
type = "u64"
[[column]]
name = "id"
type = "uuid"
[[column]]
name = "v4"
type = "ipv4"
[[column]]
name = "v6"
type = "ipv6"
[[column]]
name = "flag"
type = "bool"
[[column]]
name = "born"
type = "date"
[products]
column = "app"
[table]
time = "ts"
"#;

/// The types that identify a user.
const IDENTITIES: [&str; 9] = ["text", "low", "tiny", "long", "byte", "big", "id", "v4", "v6"];
/// The types to group by.
const GROUPS: [&str; 11] = ["text", "low", "tiny", "long", "byte", "big", "id", "v4", "v6", "flag", "born"];

/// A column for users beside this one.
fn other_than(by: &str) -> &'static str {
    if by == "big" { "long" } else { "big" }
}

/// Rollups over all of that: every type as user, and every type as a group on which ties hang.
fn rollups() -> String {
    let mut text = String::new();
    for user in IDENTITIES {
        let by =
            GROUPS.iter().filter(|name| **name != user).take(3).map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        text += &format!("[[rollup]]\nkind = \"pv_uv\"\nname = \"views_{user}\"\nuser = \"{user}\"\n");
        text += &format!(
            "[[rollup]]\nkind = \"new_users\"\nname = \"new_{user}\"\nuser = \"{user}\"\nby = [{}]\n",
            by.join(", ")
        );
    }
    for by in GROUPS {
        let user = other_than(by);
        text +=
            &format!("[[rollup]]\nkind = \"new_users\"\nname = \"first_{by}\"\nuser = \"{user}\"\nby = [\"{by}\"]\n");
    }
    text += "[[rollup]]\nkind = \"new_users\"\nname = \"plain\"\nuser = \"text\"\n";
    text += &sums();
    for (name, condition) in [
        ("paid", "paid = [true]"),
        ("level", "level = [-300, 0, 7]"),
        ("note", "note = [\"it's\", \"ü\"]"),
        ("all", "note = [\"it's\", \"\"], flag = [false], tiny = [-1, 1], text = [\"a\", \"b\"]"),
    ] {
        text += &format!(
            "[[rollup]]\nkind = \"pv_uv\"\nname = \"if_{name}\"\nuser = \"text\"\nwhere = {{ {condition} }}\n"
        );
    }
    text
}

/// Sums by every type.
fn sums() -> String {
    let mut text = String::new();
    for by in GROUPS {
        let buyer = other_than(by);
        text += &format!(
            "[[rollup]]\nkind = \"gmv\"\nname = \"gmv_{by}\"\namount = \"amount\"\nbuyer = \"{buyer}\"\nby = [\"{by}\"]\n"
        );
    }
    for ip in ["v4", "v6", "text", "low"] {
        text += &format!(
            "[[rollup]]\nkind = \"requests_by_ip\"\nname = \"ip_{ip}\"\nip = \"{ip}\"\nby = [\"flag\", \"id\"]\n"
        );
    }
    text
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A record of few different values, so that users come again and times tie.
fn record(dice: &mut Dice) -> String {
    let time = 1_795_132_800_000 + dice.below(2) * 86_400_000 + dice.below(4) * 60_000 + dice.below(3) * 29_999;
    let texts = ["", "a", "b", "ab", "it's", "ü", "a\\u0000b", "zzzzzzzzzzzzzzzzzzzzzzzzz"];
    format!(
        "{{\"ts\":{time},\"app\":\"{}\",\"amount\":{},\"paid\":{},\"level\":{},\"note\":{},\"text\":\"{}\",\"low\":\"{}\",\
         \"tiny\":{},\"long\":{},\"byte\":{},\"big\":{},\"id\":\"{}\",\"v4\":\"{}\",\"v6\":\"{}\",\"flag\":{},\"born\":\"{}\"}}\n",
        dice.one_of(&["shop", "game"]),
        dice.one_of(&["null", "0", "-0.0000000001", "1234567890123456789012345678.0123456789", "12.5"]),
        dice.one_of(&["null", "true", "false"]),
        dice.one_of(&["null", "-300", "0", "7", "8"]),
        dice.one_of(&["null", "\"it's\"", "\"ü\"", "\"\"", "\"x\""]),
        dice.one_of(&texts),
        dice.one_of(&texts),
        dice.one_of(&["-128", "-1", "0", "1", "127"]),
        dice.one_of(&["-9223372036854775808", "-2", "0", "9223372036854775807"]),
        dice.one_of(&["0", "1", "255"]),
        dice.one_of(&["0", "1", "9223372036854775808", "18446744073709551615"]),
        dice.one_of(&[
            "00000000-0000-0001-0000-000000000002",
            "00000000-0000-0002-0000-000000000001",
            "f0000000-0000-0000-8000-000000000000",
            "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
        ]),
        dice.one_of(&["0.0.0.255", "10.0.0.1", "255.0.0.0", "192.168.1.1"]),
        dice.one_of(&["::", "ff::", "ff00::", "::ffff:10.0.0.1", "2001:db8::1"]),
        dice.one_of(&["true", "false"]),
        dice.one_of(&["1900-01-01", "1969-12-31", "1970-01-01", "2026-11-20", "2299-12-31"]),
    )
}

/// The names of all views, and what each answers.
fn answers(database: &TestDatabase) -> Vec<(String, Vec<String>)> {
    let views = "SELECT name FROM system.tables \
                 WHERE database = '{db}' AND engine = 'View' AND name != 'dead_letter_reasons' ORDER BY name";
    let views = database.lines(views);
    let answer = |view: String| {
        let rows = database.lines(&format!("SELECT * FROM {{db}}.{view} ORDER BY ALL"));
        (view, rows)
    };
    views.into_iter().map(answer).collect()
}

fn made(test: &str, text: &str) -> (TestDatabase, Config, ClickHouseSink) {
    let database = TestDatabase::new(test);
    let config = database.config(text);
    Schema::from_config(&config).apply(&database.clickhouse).unwrap();
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    (database, config, sink)
}

/// The engine's partial aggregates against ClickHouse's own aggregation of the events, which fills a rollup anew.
#[test]
fn both_ways_give_the_same_answers_for_columns_of_every_type() {
    let (database, config, first_engine) = made("ways", &format!("{TYPES}{}", rollups()));
    let second_engine = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    let mut dice = Dice(1);
    for id in 1..=4 {
        let lines: String = (0..250).map(|_| record(&mut dice)).collect();
        let slice = decoded_slice(&config, id, &lines);
        // Two engines in turn, each knowing other users; and each slice again by the other one.
        let engines = [&first_engine, &second_engine];
        engines[id as usize % 2].write(&slice).unwrap();
        engines[(id as usize + 1) % 2].write(&slice).unwrap();
    }
    let found = answers(&database);
    let schema = Schema::from_config(&config);
    for rollup in &schema.rollups {
        database.execute(&format!("DROP TABLE {{db}}.{} SYNC", rollup.target.name));
    }
    schema.apply(&database.clickhouse).unwrap();
    let expected = answers(&database);
    // 21 rollups of new users with 4 views each; 13 of visitors, 11 of orders and 4 of addresses with 3.
    assert_eq!(expected.len(), 21 * 4 + (13 + 11 + 4) * 3);
    for (expected, found) in expected.iter().zip(&found) {
        assert!(!expected.1.is_empty(), "{}: nothing to compare", expected.0);
        assert_eq!(expected, found);
    }
    assert_eq!(expected.len(), found.len());
}

/// The server and the engine have to mean the same by a group, whatever its key is.
#[test]
fn slices_that_were_cut_off_are_completed_for_columns_of_every_type() {
    let text = format!("{TYPES}{}", sums());
    let (whole, config, sink) = made("types_whole", &text);
    let (cut, cut_config, cut_sink) = made("types_cut", &text);
    let mut dice = Dice(2);
    let slices = [1, 2, 3].map(|id| {
        let lines: String = (0..40).map(|_| record(&mut dice)).collect();
        decoded_slice(&config, id, &lines)
    });
    slices.iter().for_each(|slice| drop(sink.write(slice).unwrap()));
    cut_sink.write(&slices[0]).unwrap();
    // Events and 15 rollups are 16 inserts.
    for (slice, inserts) in [(&slices[1], 6), (&slices[2], 13)] {
        ClickHouseSink::unchecked(Dying::after(&cut.clickhouse, inserts), &cut_config).write(slice).unwrap_err();
    }
    for slice in &slices[1..] {
        resume_at(&cut, &cut_config, slice).unwrap();
    }
    assert_eq!(answers(&whole), answers(&cut));
}

fn slice(id: u64, rows: &[Row]) -> LoadedSlice {
    loaded_slice(id, batch(id, rows), Vec::new())
}

fn morning() -> Vec<Row> {
    vec![view("10:00:00.000", "web", "ann"), view("10:00:00.000", "web", "bob"), pay("10:01:00.000", "web", "ann", 5)]
}

/// Rows in the parts of the table of first sightings, merged or not.
fn sightings_sent(shop: &Shop) -> String {
    shop.database.lines("SELECT count() FROM {db}.new_users_first_seen").join("")
}

#[test]
fn users_that_clickhouse_has_are_not_sent_again_and_earlier_sightings_are() {
    let shop = Shop::new("known_users");
    shop.database.execute("SYSTEM STOP MERGES {db}.new_users_first_seen");
    shop.sink.write(&slice(1, &morning())).unwrap();
    assert_eq!(sightings_sent(&shop), "2");
    shop.sink.write(&slice(2, &[view("11:00:00.000", "app", "ann"), view("11:00:00.000", "app", "bob")])).unwrap();
    assert_eq!(sightings_sent(&shop), "2", "later ones are not sent");
    shop.sink.write(&slice(3, &[view("09:59:00.000", "app", "ann"), view("10:00:00.000", "ads", "bob")])).unwrap();
    assert_eq!(sightings_sent(&shop), "4", "an earlier one, and one at the same moment");
    // An engine that starts knows nobody, and sends once more.
    let other = ClickHouseSink::new(&shop.database.clickhouse, &shop.config).unwrap();
    other.write(&slice(4, &[view("11:30:00.000", "app", "ann")])).unwrap();
    assert_eq!(sightings_sent(&shop), "5");
    assert_eq!(
        shop.database.lines("SELECT channel, minute, new_users FROM {db}.new_users_by_minute ORDER BY minute"),
        ["app 2026-11-20 09:59:00 1", "ads 2026-11-20 10:00:00 1"]
    );
}

#[test]
fn only_acknowledged_users_are_known() {
    let shop = Shop::new("unacknowledged");
    let table = "ALTER TABLE {db}.new_users_first_seen";
    shop.database.execute(&format!("{table} ADD CONSTRAINT never CHECK user = ''"));
    for _ in 0..2 {
        let error = shop.sink.write(&slice(1, &morning())).unwrap_err();
        assert!(matches!(&error, SinkError::Pause { detail } if detail.contains("first_seen")), "{error:?}");
    }
    shop.database.execute(&format!("{table} DROP CONSTRAINT never"));
    shop.sink.write(&slice(1, &morning())).unwrap();
    assert_eq!(shop.database.lines("SELECT sum(new_users) FROM {db}.new_users_by_day"), ["2"]);
}

#[test]
fn a_slice_that_stopped_between_two_rollups_is_completed_once() {
    for (table, column) in [("gmv_minutes", "orders"), ("pv_uv_minutes", "pv"), ("requests_by_ip_minutes", "requests")]
    {
        let shop = Shop::new("between");
        shop.database.execute(&format!("ALTER TABLE {{db}}.{table} ADD CONSTRAINT never CHECK {column} = 0"));
        shop.sink.write(&slice(1, &morning())).unwrap_err();
        shop.database.execute(&format!("ALTER TABLE {{db}}.{table} DROP CONSTRAINT never"));
        assert_eq!(shop.database.lines("SELECT count() FROM {db}.ledger"), ["0"]);
        // By an engine that was started anew.
        let other = ClickHouseSink::new(&shop.database.clickhouse, &shop.config).unwrap();
        other.write(&slice(1, &morning())).unwrap();
        assert_counts(&shop.database, 1, table);
    }
}

/// What [`morning`] comes to, so many times. New users do not grow.
fn assert_counts(database: &TestDatabase, times: u64, what: &str) {
    for (sql, once) in [
        ("SELECT sum(orders) FROM {db}.gmv_by_minute", 1),
        ("SELECT sum(pv) FROM {db}.pv_uv_by_minute", 2),
        ("SELECT sum(requests) FROM {db}.requests_by_ip_by_minute", 3),
    ] {
        assert_eq!(database.lines(sql), [(once * times).to_string()], "{what}: {sql}");
    }
    assert_eq!(database.lines("SELECT sum(new_users) FROM {db}.new_users_by_minute"), ["2"], "{what}");
    assert_eq!(database.lines("SELECT sum(uv) FROM {db}.pv_uv_by_day"), ["2"], "{what}");
}
