//! Rows that a real server rejects, because of a constraint that somebody put on the table: each is a dead letter with its
//! record's bytes, and the rest of its slice is stored, by `load` and by `run`, whoever dies in between and whatever
//! becomes of the constraint meanwhile.

use std::io::Write;
use std::process::Stdio;

use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::ClickHouseSink;
use serde_json::json;

use crate::database::loaded_slice;
use crate::resume::{Dying, forget, resume};
use crate::run::{CONFIG, Service, records, wait_for, with_tables};
use crate::shop::{Row, Shop, batch, pay, view};
use crate::support::shared::Site;

const DEDUP: &str = "[dedup]\nkey = [\"n\"]\n";
const CONSTRAINT: &str = "ALTER TABLE {db}.events ADD CONSTRAINT luck CHECK n % 97 != 13";

/// Whether [`CONSTRAINT`] rejects the record of this number among [`records`].
fn is_rejected(n: u64) -> bool {
    n % 50 != 49 && n % 97 == 13
}

/// Of [`records`] `0..count`: those that the constraint rejects are dead letters, each once and with its bytes; everything
/// else is as ever.
fn assert_set_aside(site: &Site, count: u64) {
    let good: Vec<u64> = (0..count).filter(|n| n % 50 != 49 && !is_rejected(*n)).collect();
    let rows = site.execute("SELECT count(), uniqExact(n), sum(n) FROM {db}.events");
    let expected = format!("{0} {0} {1}", good.len(), good.iter().sum::<u64>());
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    let cents: u64 = good.iter().map(|n| n % 100 * 100 + 25).sum();
    let gmv = site.execute("SELECT toDecimalString(sum(amount), 2) FROM {db}.gmv_by_day");
    assert_eq!(gmv.trim(), format!("{}.{:02}", cents / 100, cents % 100));
    let dead = site.ask("SELECT offset, record FROM {db}.dead_letters WHERE reason = 'rejected' ORDER BY offset");
    let wanted: Vec<String> = (0..count)
        .filter(|n| is_rejected(*n))
        .map(|n| format!("{}\t{}", records(0, n).len(), records(n, n + 1).trim_end()))
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(dead, wanted);
    let details = site.ask("SELECT DISTINCT countSubstrings(detail, 'luck') > 0, position(detail, 'values') FROM {db}.dead_letters WHERE reason = 'rejected'");
    assert_eq!(details, ["1\t0"], "the constraint is named, and what the row held is not told");
    let broken = site.ask("SELECT count() FROM {db}.dead_letters WHERE reason != 'rejected'");
    assert_eq!(broken, [(count / 50).to_string()]);
    assert_eq!(site.ask("SELECT name FROM system.tables WHERE database = '{db}' AND name LIKE '%trial%'"), [""; 0]);
}

#[test]
fn a_load_sets_rejected_rows_aside_and_loading_again_changes_nothing() {
    let site = Site::new("rejected_load");
    let config = with_tables(&site, CONFIG);
    site.execute(CONSTRAINT);
    let log = site.write("app.log", records(0, 1_000));
    let summary = site.load(&config, &[&log]);
    // 13, 110, ... 983: eleven numbers, of which none ends in 49 or 99.
    assert_eq!(summary["dead_by_reason"], json!({ "bad_json": 20, "rejected": 11 }));
    assert_eq!((&summary["loaded"], &summary["records"]), (&json!(969), &json!(1_000)));
    assert_set_aside(&site, 1_000);
    site.load(&config, &[&log]);
    assert_set_aside(&site, 1_000);
}

#[test]
fn of_a_compressed_file_too_the_records_are_read_again() {
    let site = Site::new("rejected_gz");
    let config = with_tables(&site, CONFIG);
    site.execute(CONSTRAINT);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(records(0, 1_000).as_bytes()).unwrap();
    site.load(&config, &[site.write("app.log.gz", gz.finish().unwrap())]);
    assert_set_aside(&site, 1_000);
}

#[test]
fn standard_input_cannot_be_read_again_and_the_load_says_so() {
    let site = Site::new("rejected_stdin");
    let config = with_tables(&site, CONFIG);
    site.execute(CONSTRAINT);
    let mut command = site.command();
    command.args(["load", "--quiet", "-"]).arg("-c").arg(&config);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(records(0, 100).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("put it into a file, and load that"), "{said}");
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["0"]);
}

#[test]
fn a_service_sets_rejected_rows_aside_and_goes_on() {
    let site = Site::new("rejected_run");
    let logs = site.path("logs");
    std::fs::create_dir(&logs).unwrap();
    let files = "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\"]\n";
    let config = with_tables(&site, &format!("{files}{CONFIG}"));
    site.execute(CONSTRAINT);
    std::fs::write(logs.join("app.log"), records(0, 1_000)).unwrap();
    let service = Service::start(&site, &config);
    wait_for(&site, 1_000);
    std::fs::write(logs.join("app.log"), records(0, 2_000)).unwrap();
    wait_for(&site, 2_000);
    assert_eq!(service.stop(), 0);
    assert_set_aside(&site, 2_000);
}

#[test]
fn a_copy_of_a_rejected_event_is_a_duplicate_of_its_dead_letter() {
    let site = Site::new("rejected_copies");
    let config = with_tables(&site, &format!("{CONFIG}{DEDUP}"));
    site.execute(CONSTRAINT);
    site.load(&config, &[site.write("app.log", records(0, 1_000))]);
    assert_set_aside(&site, 1_000);
    site.execute("ALTER TABLE {db}.events DROP CONSTRAINT luck");
    let copies: String =
        records(0, 1_000).lines().filter(|line| !line.contains("broken")).map(|line| format!("{line}\n")).collect();
    let summary = site.load(&config, &[site.write("copies.log", copies)]);
    assert_eq!((&summary["loaded"], &summary["duplicates"]), (&json!(0), &json!(980)));
    assert_set_aside(&site, 1_000);
}

/// Four rows over two days, and a record that is no row. The third row and the fourth cost 10 or more.
fn rows() -> Vec<Row> {
    vec![
        view("10:00:00.000", "web", "ann"),
        pay("10:00:01.000", "web", "ann", 900),
        pay("10:00:02.000", "app", "bob", 1_000),
        pay("30:00:00.000", "app", "bob", 1_500),
    ]
}

const SMALL: &str = "ALTER TABLE {db}.events ADD CONSTRAINT small CHECK amount IS NULL OR amount < 10";

fn letter(row: u32, reason: Reason) -> DeadLetter {
    let record = format!("record {row}").into_bytes();
    DeadLetter { row, offset: u64::from(row) * 10, length: 8, fault: Fault::new(reason, "it says so"), record }
}

fn slice(id: u64) -> LoadedSlice {
    loaded_slice(id, batch(id, &rows()), vec![letter(4, Reason::BadJson)])
}

/// Letters first, then events, four rollups, the ledger.
const INSERTS: usize = 7;

#[test]
fn wherever_an_engine_died_the_dead_letters_decide() {
    for inserts in 0..=INSERTS {
        let shop = Shop::new("rejected_died");
        shop.database.execute(SMALL);
        let error = shop.sink.write(&slice(1)).unwrap_err();
        assert!(matches!(error, SinkError::Isolate { .. }), "{error:?}");
        let found = shop.sink.rejected(&slice(1)).unwrap();
        assert_eq!(found.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2, 3]);
        assert!(found.iter().all(|(_, fault)| fault.reason == Reason::Rejected && fault.detail.contains("small")));
        let with_letters = LoadedSlice { rejected: [2, 3].map(|row| letter(row, Reason::Rejected)).into(), ..slice(1) };
        let dying = Dying::after(&shop.database.clickhouse, inserts);
        let outcome = ClickHouseSink::unchecked(dying, &shop.config).resume(&with_letters);
        assert_eq!(outcome.is_ok(), inserts >= INSERTS, "{outcome:?}");
        // Another engine, later, which knows nothing and is not refused any more.
        shop.database.execute("ALTER TABLE {db}.events DROP CONSTRAINT small");
        forget(&shop);
        resume(&shop, &slice(1)).unwrap();
        let rejected = if inserts == 0 { 0 } else { 2 };
        let expect = |sql: &str, expected: String| assert_eq!(shop.database.lines(sql), [expected], "{inserts}: {sql}");
        expect("SELECT count(), uniqExact(_row) FROM {db}.events", format!("{0} {0}", 4 - rejected));
        expect(
            "SELECT countIf(reason = 'rejected'), count() FROM {db}.dead_letters",
            format!("{rejected} {}", 1 + rejected),
        );
        expect("SELECT loaded, dead FROM {db}.ledger", format!("{} {}", 4 - rejected, 1 + rejected));
        expect("SELECT sum(orders) FROM {db}.gmv_by_minute", (3 - rejected).to_string());
        expect(
            "SELECT toUInt64(sum(amount)) FROM {db}.gmv_by_minute",
            if rejected == 0 { "34" } else { "9" }.to_owned(),
        );
        expect("SELECT sum(requests) FROM {db}.requests_by_ip_by_hour", (4 - rejected).to_string());
        // Bob is known by rejected rows alone.
        expect("SELECT sum(new_users) FROM {db}.new_users_by_minute", if rejected == 0 { "2" } else { "1" }.to_owned());
    }
}

#[test]
fn a_table_that_rejects_everything_is_nobodys_row() {
    let shop = Shop::new("rejected_all");
    let many: Vec<Row> = (0..40).map(|_| view("10:00:00.000", "web", "ann")).collect();
    let slice = loaded_slice(1, batch(1, &many), Vec::new());
    shop.database.execute("ALTER TABLE {db}.events ADD CONSTRAINT none CHECK event = ''");
    let error = shop.sink.rejected(&slice).unwrap_err();
    assert!(matches!(&error, SinkError::Stuck { detail } if detail.contains("all of its 40 rows")), "{error:?}");
    let many: Vec<Row> =
        (0..1_000).map(|n| view(if n % 2 == 0 { "10:00:00.000" } else { "11:00:00.000" }, "web", "ann")).collect();
    let slice = loaded_slice(2, batch(2, &many), Vec::new());
    shop.database.execute("ALTER TABLE {db}.events DROP CONSTRAINT none");
    shop.database.execute("ALTER TABLE {db}.events ADD CONSTRAINT half CHECK toHour(ts, 'UTC') = 10");
    let error = shop.sink.rejected(&slice).unwrap_err();
    assert!(matches!(&error, SinkError::Stuck { detail } if detail.contains("more than 256 rows")), "{error:?}");
    assert_eq!(shop.database.lines("SELECT count() FROM {db}.dead_letters"), ["0"]);
}

#[test]
fn what_a_view_rejects_is_nobodys_row() {
    let shop = Shop::new("rejected_view");
    shop.database.execute(
        "CREATE TABLE {db}.other (amount Decimal(3, 2), CONSTRAINT cheap CHECK amount < 1) ENGINE = MergeTree ORDER BY ()",
    );
    shop.database.execute(
        "CREATE MATERIALIZED VIEW {db}.to_other TO {db}.other AS SELECT ifNull(amount, 0) AS amount FROM {db}.events",
    );
    let error = shop.sink.write(&slice(1)).unwrap_err();
    assert!(matches!(&error, SinkError::Isolate { .. }), "{error:?}");
    let error = shop.sink.rejected(&slice(1)).unwrap_err();
    assert!(matches!(&error, SinkError::Stuck { detail } if detail.contains("takes each of its rows")), "{error:?}");
}
