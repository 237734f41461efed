//! The metrics and the health of a real `longshore run`, asked over HTTP, with figures that come from the log.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::support::http;
use crate::support::process::await_that;
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
[[filter]]
drop = { n = [7] }
[products]
fixed = "shop"
[table]
time = "ts"
[run]
slice_age = "200ms"
metrics = "127.0.0.1:PORT"
"#;

/// A `longshore run` that serves metrics.
struct Metered {
    service: Service,
    port: u16,
}

impl Metered {
    fn start(site: &Site, config: &Path) -> Self {
        let service = Service::start(site.command(), config);
        let line = service.await_line("metrics are on http://127.0.0.1:", 1);
        let port = line.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Metered { service, port }
    }

    fn get(&self, path: &str) -> (u16, String) {
        http::get(self.port, path).unwrap()
    }

    /// Every sample by its name and labels.
    fn samples(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    }

    fn await_sample(&self, name: &str, value: f64) {
        await_that(&format!("{name} is {value}"), || self.samples().get(name) == Some(&value));
    }
}

/// Records 0..100: every 50th is broken, one is filtered.
fn records() -> String {
    let record = |n: u64| match n % 50 {
        49 => format!("{{\"ts\":{n},\"n\":broken\n"),
        _ => format!("{{\"ts\":17637264{:02},\"n\":{n}}}\n", n % 60),
    };
    (0..100).map(record).collect()
}

#[test]
fn metrics_and_health_say_what_the_log_had_and_what_is_wrong() {
    let site = Site::new("metrics");
    std::fs::create_dir(site.path("logs")).unwrap();
    let config = site.config(&CONFIG.replace("PORT", "0"));
    let log = site.write("logs/app.log", records());
    let service = Metered::start(&site, &config);
    service.await_sample("longshore_records_total{source=\"app\"}", 100.0);
    service.await_sample("longshore_slices_under_way", 0.0);
    // Sources are told of once a second.
    service.await_sample("longshore_followed_inputs{source=\"app\"}", 1.0);
    service.await_sample("longshore_slices_in_doubt{source=\"app\"}", 0.0);
    assert_eq!(service.get("/healthz"), (200, "ok".to_owned()));

    let samples = service.samples();
    let slices: f64 = site.execute("SELECT count() FROM {db}.ledger").parse().unwrap();
    let journal = std::fs::read_dir(site.path("longshore.journal")).unwrap();
    let journal: u64 = journal.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    for (name, value) in [
        ("longshore_rows_total{source=\"app\"}", 97.0),
        ("longshore_filtered_records_total{source=\"app\"}", 1.0),
        ("longshore_dead_letters_total{source=\"app\",reason=\"bad_json\"}", 2.0),
        ("longshore_dead_letters_total{source=\"app\",reason=\"too_long\"}", 0.0),
        ("longshore_stored_bytes_total{source=\"app\"}", records().len() as f64),
        ("longshore_stored_slices_total{source=\"app\"}", slices),
        ("longshore_store_seconds_count", slices),
        ("longshore_failed_attempts_total{kind=\"retry\"}", 0.0),
        ("longshore_lag_bytes{source=\"app\"}", 0.0),
        ("longshore_lag_seconds{source=\"app\"}", 0.0),
        ("longshore_followed_inputs{source=\"app\"}", 1.0),
        ("longshore_stopped_inputs{source=\"app\"}", 0.0),
        ("longshore_unreadable_inputs{source=\"app\"}", 0.0),
        ("longshore_inputs_over_limit{source=\"app\"}", 0.0),
        ("longshore_refused_links{source=\"app\"}", 0.0),
        ("longshore_patterns_without_files{source=\"app\"}", 0.0),
        ("longshore_losses_total{source=\"app\"}", 0.0),
        ("longshore_lost_bytes_total{source=\"app\"}", 0.0),
        ("longshore_slices_under_way", 0.0),
        ("longshore_journal_size_bytes", journal as f64),
        (concat!("longshore_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} of {samples:#?}");
    }

    // A line that is not whole: its bytes are there and cannot be stored yet.
    let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    file.write_all(b"{\"ts\":1763726400,").unwrap();
    service.await_sample("longshore_lag_bytes{source=\"app\"}", 17.0);

    site.execute("RENAME TABLE {db}.events TO {db}.elsewhere");
    file.write_all(b"\"n\":1}\n").unwrap();
    service.await_sample("longshore_paused_slices", 1.0);
    let (status, complaints) = service.get("/healthz");
    assert_eq!(status, 503);
    assert!(complaints.starts_with("paused: slice ") && complaints.contains("events"), "{complaints}");
    let samples = service.samples();
    assert!(samples["longshore_failed_attempts_total{kind=\"pause\"}"] >= 1.0, "{samples:#?}");
    service.await_sample("longshore_lag_bytes{source=\"app\"}", 24.0);
    await_that("what waits grows old", || service.samples()["longshore_lag_seconds{source=\"app\"}"] > 1.0);

    site.execute("RENAME TABLE {db}.elsewhere TO {db}.events");
    service.await_sample("longshore_records_total{source=\"app\"}", 101.0);
    assert_eq!(service.get("/healthz"), (200, "ok".to_owned()));
    assert_eq!(service.samples()["longshore_paused_slices"], 0.0);
    assert_eq!(service.service.stop(), 0);
}

#[test]
fn a_port_that_is_in_use_refuses_the_start_and_says_which() {
    let site = Site::new("metrics_port");
    std::fs::create_dir(site.path("logs")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = site.config(&CONFIG.replace("PORT", &port.to_string()));
    let output = site.command().args(["run", "-c"]).arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "longshore: cannot serve metrics on 127.0.0.1:{port} (run.metrics): the port is in use; end what uses it (`ss -ltnp \
         'sport = :{port}'` shows it; another longshore with the same config?) or name another port\n"
    );
    assert_eq!(error, expected);
}
