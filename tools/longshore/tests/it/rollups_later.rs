//! Rollups that come later, or that an engine's config did not have: they count each stored slice once, while data arrives.

use std::fs::{self, OpenOptions};
use std::io::Write;

use longshore_ingest::sink::{LoadedSlice, Sink};
use longshore_sinks::clickhouse::{ApplyError, ClickHouseSink, Completion, Schema};

use crate::database::loaded_slice;
use crate::shop::{ROLLUPS, Row, Shop, TABLE, batch, pay, view};
use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::shared::Site;

/// A rollup that no config of [`Shop`] has.
const MORE: &str = "[[rollup]]\nname = \"more\"\nkind = \"pv_uv\"\nuser = \"user_id\"\nby = [\"channel\"]\n";

/// Three rows of two days.
fn rows() -> Vec<Row> {
    vec![view("10:00:00.000", "web", "ann"), pay("10:00:30.000", "app", "ann", 5), view("34:00:00.000", "web", "bob")]
}

fn slice(id: u64) -> LoadedSlice {
    loaded_slice(id, batch(id, &rows()), Vec::new())
}

/// The schema of the shop's config with a rollup more, and an engine's sink under it.
fn with_more(shop: &Shop, more: &str) -> (Schema, ClickHouseSink) {
    let config = shop.database.config(&format!("{TABLE}{ROLLUPS}{more}"));
    let schema = Schema::from_config(&config);
    schema.apply(&shop.database.clickhouse).unwrap();
    let sink = ClickHouseSink::new(&shop.database.clickhouse, &config).unwrap();
    (schema, sink)
}

/// That the new rollup has so many slices like [`slice`].
fn assert_counted(shop: &Shop, slices: u64) {
    let pv = shop.database.lines("SELECT channel, sum(pv) FROM {db}.more_by_minute GROUP BY channel ORDER BY channel");
    assert_eq!(pv, [format!("app {slices}"), format!("web {}", 2 * slices)]);
    assert_eq!(shop.database.lines("SELECT uniqExactMerge(uv) FROM {db}.more_minutes"), ["2"]);
}

#[test]
fn what_an_engine_stores_that_does_not_know_a_rollup_is_counted_later() {
    let shop = Shop::new("unknowing");
    shop.write(1, &rows());
    let (schema, knowing) = with_more(&shop, MORE);
    assert_counted(&shop, 1);
    // The engine of before goes on beside one that knows the rollup: a second config, or a slice in doubt of before.
    shop.write(2, &rows());
    knowing.write(&slice(3)).unwrap();
    let clickhouse = &shop.database.clickhouse;
    assert_eq!(schema.incomplete(clickhouse).unwrap(), [("more".to_owned(), 1)]);
    assert_eq!(schema.complete(clickhouse, true).unwrap(), Completion::Whole(1));
    assert_counted(&shop, 3);
    assert_eq!(schema.incomplete(clickhouse).unwrap(), []);
    assert_eq!(schema.complete(clickhouse, true).unwrap(), Completion::Whole(0));
    // One that is not in the ledger yet is its engine's business.
    clickhouse.insert("events", "0000000000000004-e", &slice(4).decoded.batch).unwrap();
    assert_eq!(schema.apply(clickhouse).unwrap(), [""; 0]);
    shop.sink.resume(&slice(4)).unwrap();
    assert_eq!(schema.apply(clickhouse).unwrap(), ["rollups counted 1 slice that had been stored without them"]);
    assert_counted(&shop, 4);
}

#[test]
fn new_users_that_come_later_are_those_of_all_events() {
    let shop = Shop::new("later_users");
    shop.write(1, &rows());
    let arrivals = "[[rollup]]\nname = \"arrivals\"\nkind = \"new_users\"\nuser = \"user_id\"\nby = [\"channel\"]\n";
    let (schema, knowing) = with_more(&shop, arrivals);
    shop.write(2, &[view("09:00:00.000", "ads", "ann")]);
    knowing.write(&slice(3)).unwrap();
    assert_eq!(schema.complete(&shop.database.clickhouse, true).unwrap(), Completion::Whole(1));
    let users = shop.database.lines("SELECT channel, minute, new_users FROM {db}.arrivals_by_minute ORDER BY minute");
    assert_eq!(users, ["ads 2026-11-20 09:00:00 1", "web 2026-11-21 10:00:00 1"]);
}

#[test]
fn the_slices_of_a_day_and_their_markers_are_one_part() {
    let shop = Shop::new("one_part");
    // Of so many rows that a server cuts them into blocks where nobody forbids it.
    let many: Vec<Row> = (0..70_000)
        .map(|n| Row { ip: n, ..view(if n % 2 == 0 { "10:00:00.000" } else { "34:00:00.000" }, "web", "ann") })
        .collect();
    (1..=3).for_each(|id| shop.write(id, &many));
    let more = "[[rollup]]\nname = \"more\"\nkind = \"requests_by_ip\"\nip = \"addr\"\n";
    let config = shop.database.config(&format!("{TABLE}{ROLLUPS}{more}"));
    let statements = Schema::from_config(&config).statements();
    shop.database.execute(statements.iter().find(|sql| sql.contains("`more_minutes`\n(")).unwrap());
    shop.database.execute("SYSTEM STOP MERGES {db}.more_minutes");
    let (schema, _) = with_more(&shop, more);
    let parts = "SELECT toDate(any(minute)), count(), countIf(_slice != 0), uniqExact(toDate(minute)), sum(requests) \
                 FROM {db}.more_minutes GROUP BY _part ORDER BY 1";
    let both = ["2026-11-20 35003 3 1 105000", "2026-11-21 35003 3 1 105000"];
    assert_eq!(shop.database.lines(parts), both);
    // An engine that died before it noted what it had counted, and one that died between two days.
    let clickhouse = &shop.database.clickhouse;
    for lost in ["SELECT 1", "ALTER TABLE {db}.more_minutes DROP PARTITION '2026-11-21'"] {
        shop.database.execute(lost);
        shop.database.execute("TRUNCATE TABLE {db}.rollup_slices");
        assert_eq!(schema.complete(clickhouse, true).unwrap(), Completion::Whole(3));
        assert_eq!(shop.database.lines(parts), both, "after {lost}");
    }
}

#[test]
fn two_that_complete_at_once_count_once() {
    let shop = Shop::new("at_once");
    (1..=40).for_each(|id| shop.write(id, &rows()));
    let config = shop.database.config(&format!("{TABLE}{ROLLUPS}{MORE}"));
    let schema = Schema::from_config(&config);
    schema.statements().iter().filter(|sql| sql.contains(".`more_")).for_each(|sql| shop.database.execute(sql));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| schema.complete(&shop.database.clickhouse, true).unwrap());
        }
    });
    assert_counted(&shop, 40);
}

#[test]
fn who_counts_is_left_alone_until_its_claim_ends() {
    let shop = Shop::new("claimed");
    shop.write(1, &rows());
    let config = shop.database.config(&format!("{TABLE}{ROLLUPS}{MORE}"));
    let schema = Schema::from_config(&config);
    schema.statements().iter().filter(|sql| sql.contains(".`more_")).for_each(|sql| shop.database.execute(sql));
    let clickhouse = &shop.database.clickhouse;
    shop.database.execute("INSERT INTO {db}.rollup_claims (claim, held) VALUES (7, 1)");
    assert_eq!(schema.complete(clickhouse, false).unwrap(), Completion::Elsewhere);
    shop.database.execute("TRUNCATE TABLE {db}.rollup_claims");
    // Of one that died three minutes ago.
    shop.database.execute("INSERT INTO {db}.rollup_claims (claim, held, at) VALUES (7, 1, now64(3) - 181)");
    assert_eq!(schema.complete(clickhouse, false).unwrap(), Completion::Whole(1));
    assert_counted(&shop, 1);
}

#[test]
fn a_rollup_that_counts_other_events_now_is_refused_until_its_table_is_made_anew() {
    let shop = Shop::new("other_events");
    shop.write(1, &rows());
    with_more(&shop, MORE);
    let before = shop.database.config(&format!("{TABLE}{ROLLUPS}{MORE}"));
    let clickhouse = &shop.database.clickhouse;
    let other = format!("{TABLE}{ROLLUPS}{MORE}where = {{ event = [\"pay\"] }}\n");
    let schema = Schema::from_config(&shop.database.config(&other));
    let found = schema.check(clickhouse).unwrap();
    assert_eq!((found.len(), found[0].object.as_str()), (1, "more_minutes"), "{found:?}");
    let error = schema.apply(clickhouse).unwrap_err();
    assert!(matches!(error, ApplyError::CountsOther { .. }), "{error}");
    let advice = format!("DROP TABLE `{}`.`more_minutes`", shop.database.name);
    assert!(error.to_string().contains(&advice), "{error}");
    shop.database.execute(&advice);
    schema.apply(clickhouse).unwrap();
    assert_eq!(shop.database.lines("SELECT channel, pv FROM {db}.more_by_day"), ["app 1"]);
    assert_eq!(schema.check(clickhouse).unwrap(), []);
    // A slice in doubt of before the change.
    ClickHouseSink::new(clickhouse, &before).unwrap().resume(&slice(2)).unwrap();
    assert_eq!(schema.complete(clickhouse, true).unwrap(), Completion::Whole(1));
    assert_eq!(shop.database.lines("SELECT channel, pv FROM {db}.more_by_day"), ["app 2"]);
}

const SERVICE: &str = r#"
[[source]]
name = "app"
paths = ["logs/*.log"]
[decode]
format = "json"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "user"
type = "string"
[products]
fixed = "shop"
[table]
time = "ts"
[run]
slice_age = "200ms"
"#;

#[test]
fn a_rollup_is_added_while_a_service_goes_on() {
    let site = Site::new("added");
    fs::create_dir(site.path("logs")).unwrap();
    let append = |from: u64, to: u64| {
        let lines: String = (from..to).map(|n| format!("{{\"ts\":1763726400,\"user\":\"u{n}\"}}\n")).collect();
        let log = OpenOptions::new().create(true).append(true).open(site.path("logs/app.log"));
        log.unwrap().write_all(lines.as_bytes()).unwrap();
    };
    let await_events = |count: u64| {
        await_that(&format!("{count} events"), || {
            site.execute("SELECT ifNull(sum(loaded), 0) FROM {db}.ledger").trim() == count.to_string()
        });
    };
    let apply = |config| {
        let applied = site.command().args(["schema", "--quiet", "--apply", "-c"]).arg(config).output().unwrap();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    };
    let config = site.config(SERVICE);
    apply(&config);
    append(0, 50);
    let service = Service::start(site.command(), &config);
    await_events(50);
    let config = site.config(&format!("{SERVICE}[[rollup]]\nkind = \"pv_uv\"\nuser = \"user\"\n"));
    apply(&config);
    let pv = || site.execute("SELECT sum(pv) FROM {db}.pv_uv_by_day").trim().to_owned();
    assert_eq!(pv(), "50");
    // By a service that does not know the rollup yet.
    append(50, 100);
    await_events(100);
    let said = site.command().args(["schema", "-c"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("rollup pv_uv has not counted 1 slice"), "{said}");
    service.hang_up();
    service.await_line("reloaded: ", 1);
    append(100, 200);
    await_events(200);
    await_that("200 views", || pv() == "200");
    assert_eq!(service.stop(), 0);
    assert_eq!(site.execute("SELECT uv FROM {db}.pv_uv_by_day").trim(), "200");
}
