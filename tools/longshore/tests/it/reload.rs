//! SIGHUP to a real `longshore run`: what is cut from then on is processed as config and dictionary say now; what cannot be
//! is refused, and nothing changes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::http::{self, Login};
use crate::support::longshore;
use crate::support::process::{Foreground, await_that};
use crate::support::service::Service;
use crate::support::shared::Site;

const CONFIG: &str = r#"
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
name = "n"
type = "u64"
required = true
[[column]]
name = "shop"
type = "low_cardinality"
required = true
[products]
column = "shop"
dictionary = "shops.csv"
add = ["name"]
[table]
time = "ts"
[run]
slice_age = "200ms"
"#;

/// Records `from..to` of shop 7.
fn append(log: &Path, from: u64, to: u64) {
    let records: String = (from..to).map(|n| format!("{{\"ts\":1763726400,\"n\":{n},\"shop\":\"7\"}}\n")).collect();
    OpenOptions::new().create(true).append(true).open(log).unwrap().write_all(records.as_bytes()).unwrap();
}

fn await_records(site: &Site, records: u64) {
    await_that(&format!("{records} records are stored"), || {
        site.execute("SELECT ifNull(sum(records), 0) FROM {db}.ledger").trim() == records.to_string()
    });
}

/// A service that has stored the records 0..10 under [`CONFIG`] and a shop named Old.
fn running(site: &Site) -> Service {
    fs::create_dir(site.path("logs")).unwrap();
    site.write("shops.csv", "id,name\n7,Old\n");
    let config = site.config(CONFIG);
    let status = site.command().args(["schema", "--quiet", "--apply", "-c"]).arg(&config).output().unwrap().status;
    assert!(status.success());
    append(&site.path("logs/app.log"), 0, 10);
    let service = Service::start(site.command(), &config);
    await_records(site, 10);
    service
}

#[test]
fn later_records_are_processed_as_the_new_config_and_dictionary_say() {
    let site = Site::new("reload_good");
    let service = running(&site);
    site.write("shops.csv", "id,name\n7,New\n");
    site.config(&format!("{CONFIG}[[filter]]\ndrop = {{ n = [13, 14] }}\n"));
    service.hang_up();
    let line = service.await_line("reloaded: ", 1);
    assert!(line.contains("changed: the product dictionary, [[filter]]; what is cut from now on"), "{line}");
    append(&site.path("logs/app.log"), 10, 20);
    await_records(&site, 20);
    let rows = site.execute("SELECT product_name, count(), sum(n) FROM {db}.events GROUP BY 1 ORDER BY 1");
    // 0..10 add up to 45; 10..20 without 13 and 14 to 118.
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>(), ["New", "8", "118", "Old", "10", "45"]);
    let ledger = site.execute("SELECT sum(loaded), sum(filtered) FROM {db}.ledger");
    assert_eq!(ledger.split_whitespace().collect::<Vec<_>>(), ["18", "2"]);

    service.hang_up();
    assert!(service.await_line("reloaded: ", 2).contains("as before"));
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_bad_config_is_refused_with_all_its_mistakes_and_the_old_one_goes_on() {
    let site = Site::new("reload_bad");
    let service = running(&site);
    let mut round = 0;
    let mut refused = |config: &str, mistakes: &[&str]| {
        round += 1;
        let before = service.said("reload: ").len();
        site.config(config);
        service.hang_up();
        service.await_line("the reload is refused for ", round);
        let said = service.said("reload: ")[before..].to_vec();
        for mistake in mistakes {
            let lines = said.iter().filter(|line| line.contains(mistake)).count();
            assert_eq!(lines, 1, "{mistake} is not in one line of {said:#?}");
        }
    };
    // Two mistakes of the config's text.
    let typed = CONFIG.replace("type = \"u64\"", "tpye = \"u64\"").replace("200ms", "1ms");
    refused(&typed, &["did you mean `type`?", "run.slice_age: "]);
    // What is fixed, and a dictionary that is not there.
    let fixed = CONFIG.replace("shops.csv", "none.csv").replace("200ms", "300ms");
    refused(
        &format!("{fixed}journal = \"elsewhere\"\n"),
        &["run.journal is fixed while the service runs: set it back, or restart", "run.slice_age is fixed", "none.csv"],
    );
    // Tables that do not fit.
    refused(&CONFIG.replace("\"u64\"", "\"i64\""), &["events.n: type differs"]);
    refused(&format!("{CONFIG}[[column]]\nname = \"more\"\ntype = \"u8\"\n"), &["--apply` mends it"]);

    append(&site.path("logs/app.log"), 10, 20);
    await_records(&site, 20);
    let rows = site.execute("SELECT product_name, count(), sum(n) FROM {db}.events GROUP BY 1");
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>(), ["Old", "20", "190"]);

    // The last one, once the table has the column.
    let status = site.command().args(["schema", "--quiet", "--apply", "-c", "longshore.toml"]).output().unwrap().status;
    assert!(status.success());
    service.hang_up();
    assert!(service.await_line("reloaded: ", 1).contains("changed: with column more; "));
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_config_waits_for_a_clickhouse_that_is_away_and_a_newer_one_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("clickhouse");
    let mut server = Foreground::start(&data);
    let port = server.http_port;
    let credentials = fs::read_to_string(data.join("credentials.toml")).unwrap();
    let password = credentials.split("engine_password").last().unwrap();
    let password = password.split('"').find(|text| text.len() == 64).unwrap().to_owned();
    let ask = |statement: &str| {
        let login = Login { user: "longshore", password: &password };
        http::sql(port, login, statement).unwrap_or_else(|error| format!("error: {error}"))
    };
    let config = folder.path().join("longshore.toml");
    let write = |text: &str| {
        let clickhouse =
            format!("[clickhouse]\nurl = \"http://127.0.0.1:{port}\"\nuser = \"longshore\"\npassword = \"${{PW}}\"\n");
        fs::write(&config, format!("version = 1\n{text}{clickhouse}")).unwrap();
    };
    fs::write(folder.path().join("shops.csv"), "id,name\n7,Old\n").unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let log = folder.path().join("logs/app.log");
    write(CONFIG);
    append(&log, 0, 10);
    let mut command = Command::new(longshore());
    command.env("PW", &password).current_dir(folder.path());
    let service = Service::start(command, &config);
    await_that("ten are stored", || ask("SELECT sum(records) FROM longshore.ledger").trim() == "10");

    server.end_by("KILL");
    write(&format!("{CONFIG}[[filter]]\ndrop = {{ n = [11] }}\n"));
    service.hang_up();
    service.await_line("the new config waits until it can be compared with the tables", 1);
    // Cut under the old one, stored when ClickHouse is back.
    append(&log, 10, 12);
    write(&format!("{CONFIG}[[filter]]\ndrop = {{ n = [13] }}\n"));
    service.hang_up();
    service.await_line("SIGHUP: reading ", 2);
    server = Foreground::start_again(&data, port);
    service.await_line("reloaded: changed: [[filter]]", 1);
    append(&log, 12, 20);
    await_that("all are accounted for", || ask("SELECT sum(records) FROM longshore.ledger").trim() == "20");
    // 0..20 add up to 190; 13 is filtered, 11 is not.
    let rows = ask("SELECT count(), sum(n) FROM longshore.events");
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>(), ["19", "177"]);
    assert_eq!(service.stop(), 0);
    drop(server);
}
