//! What a real server is found to promise: each thing that the guarantee rests on is taken away, and said.

use std::path::Path;

use longshore_core::config::{self, Config, Env, Guarantee};
use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_ingest::sink::{Sink, SinkError};
use longshore_sinks::clickhouse::{ClickHouseSink, Failures, Grade, GuardedSink, Preflight, Schema, preflight};

use crate::database::{TestDatabase, loaded_slice};
use crate::shop::{ROLLUPS, Shop, TABLE, batch, view};
use crate::support::shared::{Site, database_name};
use crate::support::small::{CONFIG, lines, refused};
use crate::support::users::UsersServer;

fn found(shop: &Shop) -> Preflight {
    preflight(&shop.database.clickhouse, &shop.config).unwrap()
}

/// The reasons as text.
fn reasons(found: &Preflight) -> Vec<String> {
    found.reasons.iter().map(ToString::to_string).collect()
}

/// The same config without syncing.
fn config_without_fsync(database: &str) -> Config {
    let text = format!(
        "version = 1\n{TABLE}{ROLLUPS}\n[clickhouse]\nurl = \"http://127.0.0.1:1\"\ndatabase = \"{database}\"\nfsync = false\n"
    );
    config::parse(&text, Path::new("/nonexistent/test.toml"), &Env::default()).unwrap()
}

#[test]
fn tables_that_we_made_promise_exactly_once() {
    let found = found(&Shop::new("promises"));
    assert_eq!((found.grade(), found.differences.len()), (Grade::ExactlyOnce, 0), "{:#?}", found.reasons);
}

#[test]
fn every_tables_window_counts_and_its_statement_mends_it() {
    let shop = Shop::new("windows");
    let name = shop.database.name.clone();
    // Events, dead letters, ledger, two of the rollups, and a target of each kind of rollup.
    let tables = "SELECT name FROM system.tables WHERE database = '{db}' AND engine LIKE '%MergeTree' ORDER BY name";
    let tables = shop.database.lines(tables);
    assert_eq!(tables.len(), 9, "{tables:?}");
    for table in tables {
        let set = |value: u64| {
            let sql =
                format!("ALTER TABLE {{db}}.{table} MODIFY SETTING non_replicated_deduplication_window = {value}");
            shop.database.execute(&sql);
        };
        // One slice of a hundred days, and no other beside it, would push out its own tokens in a window of 1.
        for short in [0, 1] {
            set(short);
            let found = found(&shop);
            assert_eq!((found.grade(), found.reasons.len()), (Grade::AtLeastOnce, 1), "{table}: {:#?}", found.reasons);
            let text = found.reasons[0].to_string();
            let statement =
                format!("ALTER TABLE `{name}`.`{table}` MODIFY SETTING non_replicated_deduplication_window = 10000");
            assert!(text.contains(&statement) && text.contains("twice"), "{text}");
            shop.database.execute(&statement);
            assert_eq!(self::found(&shop).grade(), Grade::ExactlyOnce);
        }
    }
}

#[test]
fn a_window_smaller_than_what_is_in_flight_is_said() {
    let shop = Shop::new("small");
    // Two inserts in flight, a hundred days each.
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING non_replicated_deduplication_window = 199");
    assert!(reasons(&found(&shop))[0].contains("non_replicated_deduplication_window of 200 or more"));
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING non_replicated_deduplication_window = 200");
    assert_eq!(found(&shop).grade(), Grade::ExactlyOnce);
}

#[test]
fn tables_that_do_not_sync_are_said_and_apply_mends_them() {
    let database = TestDatabase::new("fsync");
    let without = config_without_fsync(&database.name);
    Schema::from_config(&without).apply(&database.clickhouse).unwrap();
    let own = preflight(&database.clickhouse, &without).unwrap();
    assert_eq!((own.grade(), own.reasons.len()), (Grade::UntilPowerFails, 1), "{:#?}", own.reasons);
    let text = own.reasons[0].to_string();
    for part in ["`fsync = false`", "9 tables", "power failure", "ledger", "longshore schema --apply"] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(own.refusal(Guarantee::AtLeastOnce, "d").is_none());
    let refusal = own.refusal(Guarantee::ExactlyOnce, "d").unwrap();
    assert!(refusal.starts_with("the config demands exactly-once (`guarantee` under [clickhouse])"), "{refusal}");

    let config = database.config(&format!("{TABLE}{ROLLUPS}"));
    let found = preflight(&database.clickhouse, &config).unwrap();
    assert_eq!((found.grade(), found.differences.len()), (Grade::UntilPowerFails, 0));
    assert_eq!(found.reasons.len(), 27, "three settings of nine tables: {:#?}", found.reasons);
    assert!(found.reasons.iter().all(|reason| reason.what.contains("a power failure may take rows")));
    let schema = Schema::from_config(&config);
    assert_eq!(schema.apply(&database.clickhouse).unwrap().len(), 27);
    assert_eq!(preflight(&database.clickhouse, &config).unwrap().grade(), Grade::ExactlyOnce);
    assert_eq!(schema.apply(&database.clickhouse).unwrap(), [""; 0]);
    let synced = "SELECT count() FROM system.tables WHERE database = '{db}' AND engine_full LIKE \
                  '%fsync_after_insert = 1%' AND engine_full LIKE '%fsync_part_directory = 1%'";
    assert_eq!(database.lines(synced), ["9"]);
}

#[test]
fn old_parts_must_outlive_the_page_cache_unless_merges_are_synced() {
    let shop = Shop::new("merges");
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING old_parts_lifetime = 1");
    assert!(reasons(&found(&shop))[0].contains("old_parts_lifetime"), "{:?}", reasons(&found(&shop)));
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING min_rows_to_fsync_after_merge = 1");
    assert_eq!(found(&shop).grade(), Grade::ExactlyOnce);
}

#[test]
fn tables_that_differ_are_no_weakness_but_a_refusal() {
    let shop = Shop::new("missing");
    shop.database.execute("ALTER TABLE {db}.events DROP COLUMN addr");
    let found = found(&shop);
    assert_eq!(found.grade(), Grade::Refused);
    assert_eq!(found.differences.len(), 1);
    shop.database.execute("ALTER TABLE {db}.events ADD COLUMN addr IPv4 CODEC(T64, LZ4)");
}

#[test]
fn users_who_may_not_set_or_write_are_refused_with_the_remedy() {
    let server = UsersServer::get();
    let name = database_name("users");
    let admin = server.connect("default", &name).unwrap();
    let config = config_without_fsync(&name);
    Schema::from_config(&config).apply(&admin).unwrap();
    for (user, said) in [
        ("reader", "does not let this user set"),
        ("bound", "insert_deduplicate"),
        ("reader_with_settings", "readonly = 2"),
    ] {
        let found = preflight(&server.connect(user, &name).unwrap(), &config).unwrap();
        // The other one is that nothing is synced.
        assert_eq!((found.grade(), found.reasons.len()), (Grade::Refused, 2), "{user}: {:#?}", found.reasons);
        let text = found.reasons[0].to_string();
        assert!(text.contains(said) && text.contains("settings profile"), "{user}: {text}");
    }
    assert_eq!(preflight(&admin, &config).unwrap().grade(), Grade::UntilPowerFails);
}

#[test]
fn a_load_starts_below_its_guarantee_only_if_the_config_says_so() {
    let site = Site::new("demand");
    let config = site.config(CONFIG);
    let log = site.write("app.log", lines(0..10));
    site.load(&config, &[&log]);
    site.execute("ALTER TABLE {db}.ledger MODIFY SETTING non_replicated_deduplication_window = 0");
    let more = site.write("more.log", lines(10..20));
    let said = refused(&site, &config, &[&more], 78);
    for part in [
        "demands exactly-once",
        "table ledger has non_replicated_deduplication_window = 0",
        "ALTER TABLE",
        "at-least-once",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["10"]);
    let validated = site.command().args(["validate", "-c"]).arg(&config).output().unwrap();
    let out = String::from_utf8_lossy(&validated.stdout).into_owned();
    assert_eq!(validated.status.code(), Some(78), "{out}");
    assert!(out.contains("guarantee: at-least-once"), "{out}");
    let text = format!("version = 1\n{CONFIG}{}guarantee = \"at-least-once\"\n", site.clickhouse());
    let output = site.try_load(&site.write("weak.toml", text), &[&more]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("promised is at-least-once: "), "{said}");
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["20"]);
}

#[test]
fn tables_that_are_not_synced_are_loaded_only_by_who_takes_that() {
    let site = Site::new("unsynced");
    let log = site.write("app.log", lines(0..10));
    let text = |guarantee: &str| format!("version = 1\n{CONFIG}{}fsync = false\n{guarantee}", site.clickhouse());
    for guarantee in ["", "guarantee = \"exactly-once\"\n"] {
        let said = refused(&site, &site.write("strict.toml", text(guarantee)), &[&log], 78);
        for part in ["`fsync = false`", "`guarantee = \"at-least-once\"`", "power failure"] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    }
    let output = site.try_load(&site.write("weak.toml", text("guarantee = \"at-least-once\"\n")), &[&log]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("promised is at-least-once until the server's power fails: "),
        "{said}"
    );
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["10"]);
}

#[test]
fn a_retry_after_the_window_was_mended_is_taken_once() {
    let shop = Shop::new("mended");
    shop.database.execute("ALTER TABLE {db}.events MODIFY SETTING non_replicated_deduplication_window = 0");
    Schema::from_config(&shop.config).apply(&shop.database.clickhouse).unwrap();
    for _ in 0..2 {
        shop.write(1, &[view("10:00:00.000", "web", "ann")]);
    }
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["1"]);
}

#[test]
fn after_a_failure_it_is_looked_again_and_waited_until_it_is_mended() {
    let shop = Shop::new("guarded");
    let sink = ClickHouseSink::new(&shop.database.clickhouse, &shop.config).unwrap();
    let sink = GuardedSink::new(sink, &shop.config, &Failures::default());
    let slice = |id| loaded_slice(id, batch(id, &[view("10:00:00.000", "web", "ann")]), Vec::new());
    let window = |value: u64| {
        let sql = format!("ALTER TABLE {{db}}.ledger MODIFY SETTING non_replicated_deduplication_window = {value}");
        shop.database.execute(&sql);
    };
    // What changes while nothing fails is not looked for.
    window(0);
    sink.write(&slice(1)).unwrap();
    shop.database.execute("DETACH TABLE {db}.dead_letters SYNC");
    let letter = DeadLetter {
        row: 1,
        offset: 0,
        length: 1,
        fault: Fault::new(Reason::BadJson, "not JSON"),
        record: b"x".to_vec(),
    };
    let failing = loaded_slice(2, slice(2).decoded.batch, vec![letter]);
    assert!(matches!(sink.write(&failing), Err(SinkError::Pause { .. })));
    shop.database.execute("ATTACH TABLE {db}.dead_letters");
    for _ in 0..2 {
        let SinkError::Pause { detail } = sink.resume(&failing).unwrap_err() else { panic!("it must pause") };
        for part in ["demands exactly-once", "table ledger", "ALTER TABLE"] {
            assert!(detail.contains(part), "`{part}` is not in: {detail}");
        }
        assert!(!detail.contains('\n'), "{detail}");
    }
    window(10_000);
    sink.resume(&failing).unwrap();
    sink.write(&slice(3)).unwrap();
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.events"), ["3"]);
    assert_eq!(shop.database.lines("SELECT slice FROM {db}.ledger ORDER BY slice"), ["1", "2", "3"]);
}
