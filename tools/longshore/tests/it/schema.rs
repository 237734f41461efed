//! `longshore schema` against a server: what is missing is created, what differs is said, nothing is altered.

use longshore_core::config::{Secret, WireCompression};
use longshore_ingest::sink::{Sink, SinkError};
use longshore_sinks::clickhouse::{ApplyError, ClickHouse, Connection, Grade, MISSING, Schema, preflight};
use longshore_sinks::embedded::{EmbeddedOptions, EmbeddedServer};

use crate::database::{TestDatabase, config_in, loaded_slice};
use crate::shop::{ROLLUPS, Shop, TABLE, batch, view};
use crate::support::embedded_options;

fn schema(database: &TestDatabase, text: &str) -> Schema {
    Schema::from_config(&database.config(text))
}

/// The differences as `object: what`.
fn differences(database: &TestDatabase, schema: &Schema) -> Vec<String> {
    let differences = schema.check(&database.clickhouse).unwrap();
    differences.iter().map(|difference| format!("{}: {}", difference.object, difference.what)).collect()
}

#[test]
fn created_from_nothing_it_is_as_it_should_be() {
    let database = TestDatabase::new("fresh");
    let schema = schema(&database, &format!("{TABLE}{ROLLUPS}"));
    assert!(schema.is_absent(&database.clickhouse).unwrap());
    assert_eq!(differences(&database, &schema), [format!("{}: {MISSING}", database.name)]);
    schema.apply(&database.clickhouse).unwrap();
    assert!(!schema.is_absent(&database.clickhouse).unwrap());
    assert_eq!(differences(&database, &schema), [""; 0]);
    assert_eq!(schema.apply(&database.clickhouse).unwrap(), [""; 0], "nothing is left to do");
    let tables = database.lines("SELECT name FROM system.tables WHERE database = '{db}' ORDER BY name");
    assert_eq!(
        tables,
        [
            "dead_letter_reasons",
            "dead_letters",
            "events",
            "gmv_by_day",
            "gmv_by_hour",
            "gmv_by_minute",
            "gmv_minutes",
            "ledger",
            "new_users_by_day",
            "new_users_by_hour",
            "new_users_by_minute",
            "new_users_cumulative",
            "new_users_first_seen",
            "pv_uv_by_day",
            "pv_uv_by_hour",
            "pv_uv_by_minute",
            "pv_uv_minutes",
            "requests_by_ip_by_day",
            "requests_by_ip_by_hour",
            "requests_by_ip_by_minute",
            "requests_by_ip_minutes",
            "rollup_claims",
            "rollup_slices",
        ]
    );
}

/// What an engine keeps for the others: the text under its hash, once, as it was.
#[test]
fn configs_of_topics_are_kept_and_found() {
    let database = TestDatabase::new("configs");
    let topics = "[[source]]\n[source.kafka]\nbrokers = [\"k:9092\"]\ntopics = [\"t\"]\ngroup = \"g\"\n";
    let schema = schema(&database, &format!("{TABLE}{topics}"));
    schema.apply(&database.clickhouse).unwrap();
    assert_eq!(differences(&database, &schema), [""; 0]);
    let text = "version = 1\n# a tab\t, quotes ' \" and \\ and \u{1F6A2}\r\n\n";
    let clickhouse = &database.clickhouse;
    assert_eq!(clickhouse.kept_config(7).unwrap(), None);
    for _ in 0..2 {
        clickhouse.keep_config(7, text).unwrap();
    }
    clickhouse.keep_config(u64::MAX, "another").unwrap();
    assert_eq!(clickhouse.kept_config(7).unwrap().as_deref(), Some(text));
    assert_eq!(clickhouse.kept_config(u64::MAX).unwrap().as_deref(), Some("another"));
    assert_eq!(database.lines("SELECT count() FROM {db}.configs"), ["2"]);
    let error = clickhouse.keep_config(7, "something else").unwrap_err().to_string();
    assert!(error.contains("0000000000000007") && error.contains("remove that row"), "{error}");
}

#[test]
fn the_printed_statements_make_the_same() {
    let database = TestDatabase::new("printed");
    let schema = Schema::from_config(&database.config(&format!("{TABLE}{ROLLUPS}")));
    for statement in schema.statements() {
        database.execute(&statement);
    }
    assert_eq!(differences(&database, &schema), [""; 0]);
}

#[test]
fn each_difference_is_said_and_none_is_altered() {
    let shop = Shop::new("differs");
    let database = &shop.database;
    for change in [
        "ALTER TABLE {db}.events MODIFY COLUMN amount Nullable(Decimal(18, 3))",
        "ALTER TABLE {db}.events MODIFY COLUMN user_id CODEC(LZ4)",
        "ALTER TABLE {db}.ledger MODIFY SETTING non_replicated_deduplication_window = 0",
        "CREATE OR REPLACE VIEW {db}.pv_uv_by_day AS SELECT 1 AS pv",
        "ALTER TABLE {db}.pv_uv_minutes DROP COLUMN uv",
        "DROP TABLE {db}.dead_letters SYNC",
        "CREATE TABLE {db}.dead_letters (slice UInt64, row UInt32, source LowCardinality(String), offset UInt64, \
         length UInt64, reason LowCardinality(String), column LowCardinality(String), detail String, record String, \
         loaded_at DateTime('UTC')) ENGINE = ReplacingMergeTree PARTITION BY reason ORDER BY (source, offset)",
    ] {
        database.execute(change);
    }
    let schema = Schema::from_config(&shop.config);
    let found = differences(database, &schema);
    for expected in [
        "events.amount: type",
        "events.user_id: codec",
        "ledger: table settings",
        "pv_uv_by_day: query",
        "pv_uv_minutes.uv: missing",
        "dead_letters: engine",
        "dead_letters: partition key",
        "dead_letters: sorting key",
        "dead_letters: table settings",
        "dead_letters.loaded_at: default",
    ] {
        assert!(found.contains(&expected.to_owned()), "{expected} is not among {found:#?}");
    }
    let error = schema.apply(&database.clickhouse).unwrap_err();
    assert!(matches!(error, ApplyError::Differs(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("expected Nullable(Decimal(18, 2))\n  actual   Nullable(Decimal(18, 3))"), "{text}");
    assert_eq!(differences(database, &schema), found, "nothing was altered");
}

#[test]
fn new_columns_are_added_in_their_place() {
    let shop = Shop::new("columns");
    shop.write(1, &[view("10:00:00.000", "web", "ann")]);
    let text = TABLE.replace(
        "[[column]]\nname = \"amount\"",
        "[[column]]\nname = \"city\"\ntype = \"low_cardinality\"\n[[column]]\nname = \"age\"\ntype = \"u8\"\nnullable = true\n\
         [[column]]\nname = \"amount\"",
    );
    // A rollup by the new column at the same time.
    let text = format!(
        "{text}{ROLLUPS}[[rollup]]\nname = \"cities\"\nkind = \"pv_uv\"\nuser = \"user_id\"\nby = [\"city\"]\n"
    );
    let schema = schema(&shop.database, &text);
    let done = schema.apply(&shop.database.clickhouse).unwrap();
    assert_eq!(done[..2], ["added column events.city", "added column events.age"], "{done:?}");
    assert_eq!(differences(&shop.database, &schema), [""; 0]);
    let columns = "SELECT name FROM system.columns WHERE database = '{db}' AND table = 'events' ORDER BY position";
    assert_eq!(
        shop.database.lines(columns),
        ["ts", "app", "event", "channel", "user_id", "city", "age", "amount", "addr", "_slice", "_row"]
    );
    assert_eq!(shop.database.lines("SELECT concat('[', city, ']'), age FROM {db}.events"), ["[] \\N"]);
    assert_eq!(shop.database.lines("SELECT product, pv FROM {db}.cities_by_day"), ["shop 1"]);
}

#[test]
fn columns_of_the_users_own_are_left_alone() {
    let shop = Shop::new("own");
    shop.database.execute("ALTER TABLE {db}.events ADD COLUMN note String DEFAULT 'none' FIRST");
    shop.database.execute("ALTER TABLE {db}.ledger ADD COLUMN note String");
    assert_eq!(differences(&shop.database, &Schema::from_config(&shop.config)), [""; 0]);
    shop.write(1, &[view("10:00:00.000", "web", "ann")]);
    assert_eq!(shop.database.lines("SELECT note, user_id FROM {db}.events"), ["none ann"]);
}

/// A database of an earlier version, whose ledger says nothing of its layout and whose rollups views may fill.
#[test]
fn a_database_of_another_layout_is_refused_in_one_sentence() {
    for (change, said) in [
        ("ALTER TABLE {db}.ledger DROP COLUMN layout", "has layout 1, which"),
        (
            "CREATE MATERIALIZED VIEW {db}.gmv_mv TO {db}.gmv_minutes AS SELECT app AS product FROM {db}.events",
            "has layout 1, in which materialized views such as gmv_mv fill the rollups, which",
        ),
    ] {
        let shop = Shop::new("layout");
        shop.database.execute("ALTER TABLE {db}.ledger DROP COLUMN IF EXISTS layout");
        if !change.contains("layout") {
            shop.database.execute(change);
        }
        shop.database.execute("DROP VIEW {db}.dead_letter_reasons SYNC");
        let schema = Schema::from_config(&shop.config);
        assert_eq!(differences(&shop.database, &schema), [format!("{}: layout", shop.database.name)]);
        let error = schema.apply(&shop.database.clickhouse).unwrap_err().to_string();
        let expected = format!("the database {} {said} another version of Longshore made", shop.database.name);
        assert!(error.contains(&expected) && error.contains("into another database"), "{error}");
        assert_eq!(schema.apply_for_analysts(&shop.database.clickhouse).unwrap(), None, "nothing is changed");
        let found = preflight(&shop.database.clickhouse, &shop.config).unwrap();
        assert_eq!(found.grade(), Grade::Refused);
        assert_eq!(found.differences.len(), 1, "{:?}", found.differences);
    }
    let shop = Shop::new("layout_of_later");
    shop.database.execute("ALTER TABLE {db}.ledger MODIFY COLUMN layout UInt16 DEFAULT 77");
    let found = Schema::from_config(&shop.config).check(&shop.database.clickhouse).unwrap();
    assert!(found[0].to_string().contains("has layout 77, which another version"), "{}", found[0]);
}

#[test]
fn missing_tables_and_columns_end_a_load_with_what_to_do() {
    let shop = Shop::new("gone");
    let slice = loaded_slice(1, batch(1, &[view("10:00:00.000", "web", "ann")]), Vec::new());
    for change in ["ALTER TABLE {db}.events DROP COLUMN addr", "DROP TABLE {db}.events SYNC", "DROP DATABASE {db} SYNC"]
    {
        shop.database.execute(change);
        let error = shop.sink.write(&slice).unwrap_err();
        let SinkError::Pause { detail } = &error else { panic!("{change}: {error:?}") };
        assert!(detail.contains("longshore schema"), "{change}: {detail}");
    }
}

#[test]
fn a_refusal_is_heard_although_the_server_does_not_read_on() {
    let shop = Shop::new("early");
    shop.database.execute("DROP TABLE {db}.events SYNC");
    // 200,000 rows, more than socket buffers hold: ClickHouse answers and closes while we still send.
    let slice = loaded_slice(1, batch(1, &vec![view("10:00:00.000", "web", "ann"); 200_000]), Vec::new());
    for _ in 0..5 {
        let error = shop.sink.write(&slice).unwrap_err();
        assert!(matches!(&error, SinkError::Pause { detail } if detail.contains("ClickHouse error 60")), "{error:?}");
    }
}

#[test]
fn a_wrong_password_is_one_clear_sentence() {
    let database = TestDatabase::new("login");
    let login = ("nobody-of-this-name", "wr0ng");
    let error = database.server.connect(login, "x", WireCompression::Auto).unwrap_err().to_string();
    assert!(error.contains("does not let user `nobody-of-this-name` in"), "{error}");
    assert!(!error.contains("wr0ng") && !error.contains('\n'), "{error}");
}

#[test]
fn analysts_read_every_view_and_cannot_insert() {
    // Of a server that knows the database when it starts.
    let root = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { databases: vec!["shop".to_owned()], ..embedded_options(root.path()) };
    let server = EmbeddedServer::start(options).unwrap();
    let connect = |user: &str, password: &str| {
        ClickHouse::connect(&Connection {
            url: server.http_url(),
            user: user.to_owned(),
            password: Secret::new(password),
            database: "shop".to_owned(),
            ca_file: None,
            compression: WireCompression::Auto,
        })
        .unwrap()
    };
    let engine = connect(server.engine_user(), server.engine_password());
    let config = config_in("shop", &format!("{TABLE}{ROLLUPS}\n[clickhouse]"));
    Schema::from_config(&config).apply(&engine).unwrap();
    let analyst = connect(server.analyst_user(), server.analyst_password());
    let name = "shop";
    let all = engine.rows("SELECT name FROM system.tables WHERE database = 'shop' AND engine = 'View'").unwrap();
    assert_eq!(all.len(), 14, "4 for new users, 3 for each of the rest, one of dead letters: {all:?}");
    for view in all.concat() {
        analyst.rows(&format!("SELECT * FROM {name}.{view}")).unwrap_or_else(|error| panic!("{view}: {error}"));
    }
    let found = preflight(&analyst, &config).unwrap();
    assert_eq!(found.grade(), Grade::Refused);
    assert!(found.reasons[0].what.contains("readonly"), "said before the first insert: {:?}", found.reasons);
    assert!(analyst.execute(&format!("TRUNCATE TABLE {name}.events")).is_err());
}

/// Of an old database, or one whose server did not let it be made: loads go on, and say so.
#[test]
fn the_dead_letters_reasons_are_made_where_they_are_missing_and_no_load_needs_them() {
    let shop = Shop::new("reasons");
    let schema = Schema::from_config(&shop.config);
    shop.database.execute("DROP VIEW {db}.dead_letter_reasons SYNC");
    assert_eq!(differences(&shop.database, &schema), [format!("dead_letter_reasons: {MISSING}")]);
    let found = preflight(&shop.database.clickhouse, &shop.config).unwrap();
    assert_eq!(found.differences, []);
    assert!(found.notes.iter().any(|note| note.contains("dead_letter_reasons is missing")), "{:?}", found.notes);
    shop.write(1, &[view("10:00:00.000", "web", "ann")]);
    assert_eq!(schema.apply(&shop.database.clickhouse).unwrap(), ["created view dead_letter_reasons"]);

    // One that somebody made, which reads with the rights of whoever reads it.
    let create =
        "SELECT create_table_query FROM system.tables WHERE database = '{db}' AND name = 'dead_letter_reasons'";
    let before = shop.database.lines(create).concat();
    assert!(before.contains(" DEFINER = longshore SQL SECURITY DEFINER "), "{before}");
    assert!(!before.contains("`record`"), "{before}");
    shop.database.execute("DROP VIEW {db}.dead_letter_reasons SYNC");
    let (_, select) = before.split_once(" AS SELECT ").unwrap();
    shop.database.execute(&format!("CREATE VIEW {{db}}.dead_letter_reasons AS SELECT {select}"));
    assert_eq!(differences(&shop.database, &schema), ["dead_letter_reasons: rights"]);
    let done = schema.apply(&shop.database.clickhouse).unwrap();
    assert!(done[0].starts_with("set the rights of its definer on dead_letter_reasons"), "{done:?}");
    assert_eq!(done[1..], ["set the comments of dead_letter_reasons"]);
    assert_eq!(differences(&shop.database, &schema), [""; 0]);
}
