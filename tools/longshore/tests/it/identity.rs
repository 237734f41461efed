//! A record counts once, whatever commands read its content, in whatever order, and whatever the file is called; and what was
//! begun is finished by its plan.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::shared::Site;
use crate::support::small::{CONFIG, lines};

/// A table takes nothing more, or all again.
fn close(site: &Site, table: &str, column: &str) {
    site.execute(&format!("ALTER TABLE {{db}}.{table} ADD CONSTRAINT never CHECK {column} = 0"));
}

fn open(site: &Site, table: &str) {
    site.execute(&format!("ALTER TABLE {{db}}.{table} DROP CONSTRAINT never"));
}

/// A site with its tables, and its config.
fn site_with(test: &str, config: &str) -> (Site, PathBuf) {
    let site = Site::new(test);
    let config = site.config(config);
    // What creates the tables is no part of the test.
    let first = site.write("first.log", "");
    site.load(&config, &[first]);
    (site, config)
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}

/// So many records are rows, each once, in the events and in a rollup; so many are dead letters; the ledger knows of all.
fn assert_once(site: &Site, rows: u64, dead: u64) {
    assert_eq!(site.ask("SELECT count(), uniqExact(n) FROM {db}.events"), [format!("{rows}\t{rows}")]);
    assert_eq!(site.ask("SELECT sum(pv) FROM {db}.pv_uv_by_minute"), [rows.to_string()]);
    assert_eq!(site.ask("SELECT count() FROM {db}.dead_letters"), [dead.to_string()]);
    let ledger = "SELECT sum(records), sum(loaded), sum(dead), uniqExact(slice) = count() FROM {db}.ledger";
    assert_eq!(site.ask(ledger), [format!("{}\t{rows}\t{dead}\t1", rows + dead)]);
}

#[test]
fn rotated_files_are_known_by_what_they_hold() {
    let (site, config) = site_with("rotated_loads", CONFIG);
    let log = site.write("access.log", lines(0..100));
    let pattern = site.path("access.log*");
    assert_eq!(site.load(&config, &[&pattern])["loaded"], json!(100));
    // The next day: it grew, was renamed, and another one has its name.
    append(&log, &lines(100..130));
    fs::rename(&log, site.path("access.log.1")).unwrap();
    site.write("access.log", lines(1_000..1_100));
    let summary = site.load(&config, &[&pattern]);
    assert_eq!((&summary["loaded"], &summary["skipped_slices"]), (&json!(130), &json!(1)));
    assert_once(&site, 230, 0);
    // And another day, on which the oldest is compressed.
    let old = fs::read(site.path("access.log.1")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&old).unwrap();
    fs::write(site.path("access.log.2.gz"), gz.finish().unwrap()).unwrap();
    fs::rename(&log, site.path("access.log.1")).unwrap();
    assert_eq!(site.load(&config, &[&pattern])["loaded"], json!(0));
    assert_once(&site, 230, 0);
}

#[test]
fn contents_that_are_equal_are_one() {
    let (site, config) = site_with("equal_loads", CONFIG);
    let first = site.write("a.log", lines(0..100));
    let copy = site.write("b.log", lines(0..100));
    let summary = site.load(&config, &[&first, &copy]);
    assert_eq!((&summary["loaded"], &summary["skipped_slices"]), (&json!(100), &json!(1)));
    let said =
        format!("{} is equal byte by byte to another input, which counts once", copy.canonicalize().unwrap().display());
    assert_eq!(summary["alike_inputs"], json!([said]));
    assert_eq!(site.load(&config, &[&copy])["loaded"], json!(0));
    assert_once(&site, 100, 0);
}

#[test]
fn a_load_that_died_is_finished_by_its_plan_though_the_file_grew() {
    for (test, dedup) in [("died_load", ""), ("died_load_dedup", "[dedup]\nkey = [\"n\"]\n")] {
        let (site, config) = site_with(test, &format!("{CONFIG}{dedup}"));
        let log = site.write("app.log", lines(0..100));
        close(&site, "ledger", "slice");
        let output = site.try_load(&config, &[&log]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("app.log: 1 slice, planned by this load or one before"), "{said}");
        assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["100"], "{test}");
        open(&site, "ledger");
        append(&log, &lines(100..130));
        let summary = site.load(&config, &[&log]);
        assert_eq!((&summary["records"], &summary["skipped_slices"]), (&json!(130), &json!(0)));
        assert_once(&site, 130, 0);
        assert_eq!(site.load(&config, &[&log])["records"], json!(0));
    }
}

#[test]
fn a_load_that_died_is_finished_as_its_config_said_though_that_was_mended() {
    let strict =
        CONFIG.replace("name = \"user\"\ntype = \"string\"", "name = \"user\"\ntype = \"string\"\nrequired = true");
    assert_ne!(strict, CONFIG);
    let (site, config) = site_with("mended_config", &strict);
    // Twenty records lack a user, which the mended config does not mind.
    let lacking: String = (100..120).map(|n| format!("{{\"ts\":{},\"n\":{n}}}\n", 1_795_132_800_000_u64 + n)).collect();
    let log = site.write("app.log", lines(0..100) + &lacking);
    close(&site, "dead_letters", "slice");
    assert_eq!(site.try_load(&config, &[&log]).status.code(), Some(1));
    open(&site, "dead_letters");
    site.config(CONFIG);
    append(&log, &lines(200..210));
    let summary = site.load(&config, &[&log]);
    assert_eq!((&summary["loaded"], &summary["dead"]), (&json!(110), &json!(20)), "{summary}");
    assert_once(&site, 110, 20);
}

#[test]
fn a_load_that_died_is_finished_though_the_file_has_another_name() {
    let (site, config) = site_with("renamed_load", CONFIG);
    let log = site.write("app.log", lines(0..100));
    close(&site, "ledger", "slice");
    assert_eq!(site.try_load(&config, &[&log]).status.code(), Some(1));
    open(&site, "ledger");
    // What has nothing to do with it is loaded, and what is left is said.
    let other = site.write("other.log", lines(500..510));
    let output = site.try_load(&config, &[&other]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("app.log: 1 slice, planned by"));
    let renamed = site.path("renamed.log");
    fs::rename(&log, &renamed).unwrap();
    assert_eq!(site.load(&config, &[&renamed])["loaded"], json!(100));
    assert_once(&site, 110, 0);
}

#[test]
fn what_a_load_had_begun_is_not_loaded_beside_it_when_it_was_changed() {
    let (site, config) = site_with("changed_load", CONFIG);
    let log = site.write("app.log", lines(0..100));
    close(&site, "ledger", "slice");
    assert_eq!(site.try_load(&config, &[&log]).status.code(), Some(1));
    open(&site, "ledger");
    // It is another content, and so another source: both count.
    site.write("app.log", lines(300..400));
    assert_eq!(site.load(&config, &[&log])["loaded"], json!(100));
    site.write("app.log", lines(0..100));
    assert_eq!(site.load(&config, &[&log])["loaded"], json!(100));
    assert_once(&site, 200, 0);
}

#[test]
fn tables_of_one_database_each_have_what_they_were_given() {
    let site = Site::new("two_tables");
    let of = |table: &str| {
        let text =
            CONFIG.split("[[rollup]]").next().unwrap().replace("[table]", &format!("[table]\nname = \"{table}\""));
        let config = format!("version = 1\n{text}{}", site.clickhouse());
        site.write(&format!("{table}.toml"), config)
    };
    let log = site.write("app.log", lines(0..100));
    for table in ["one", "two"] {
        let config = of(table);
        assert!(site.command().args(["schema", "--apply", "-c"]).arg(&config).output().unwrap().status.success());
        assert_eq!(site.load(&config, &[&log])["loaded"], json!(100), "{table}");
        assert_eq!(site.load(&config, &[&log])["loaded"], json!(0), "{table}");
        assert_eq!(site.ask(&format!("SELECT count() FROM {{db}}.{table}")), ["100"]);
    }
    assert_eq!(
        site.ask("SELECT stream, sum(records) FROM {db}.ledger GROUP BY stream ORDER BY stream"),
        ["one\t100", "two\t100"]
    );
}

const FOLLOW: &str = "[[source]]\nname = \"app\"\npaths = [\"app.log\"]\n[run]\nslice_age = \"100ms\"\n";

#[test]
fn commands_go_on_where_others_ended_in_any_order() {
    let (site, config) = site_with("in_any_order", &format!("{FOLLOW}{CONFIG}"));
    let log = site.write("app.log", lines(0..100));
    let rows = |count: u64| move |site: &Site| site.ask("SELECT count() FROM {db}.events") == [count.to_string()];
    assert_eq!(site.load(&config, &[&log])["loaded"], json!(100));
    let service = Service::start(site.command(), &config);
    service.await_line("app.log", 1);
    append(&log, &lines(100..120));
    await_that("it goes on", || rows(120)(&site));
    assert_eq!(service.stop(), 0);
    append(&log, &lines(120..130));
    assert_eq!(site.load(&config, &[&log])["loaded"], json!(10));
    // The journal of before knows of 120.
    let service = Service::start(site.command(), &config);
    append(&log, &lines(130..140));
    await_that("it goes on", || rows(140)(&site));
    assert_eq!(service.stop(), 0);
    // And one without a journal goes on as well, though the file has another name and another has its own.
    fs::remove_dir_all(config.with_extension("journal")).unwrap();
    fs::rename(&log, site.path("app.log.1")).unwrap();
    site.write("app.log", lines(500..510));
    let both = FOLLOW.replace("\"app.log\"", "\"app.log*\"");
    let config = site.config(&format!("{both}{CONFIG}"));
    let service = Service::start(site.command(), &config);
    await_that("the new one is read", || rows(150)(&site));
    assert_eq!(service.stop(), 0);
    assert_once(&site, 150, 0);
}
