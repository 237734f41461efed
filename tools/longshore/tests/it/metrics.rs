//! The metrics and the health of a real `longshore run`, asked over HTTP, with figures that come from the log.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::away::Place;
use crate::support::http;
use crate::support::longshore;
use crate::support::process::{await_that, kill};
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
        Metered::of(Service::start(site.command(), config))
    }

    fn of(service: Service) -> Self {
        let line = service.await_line("metrics are on http://127.0.0.1:", 1);
        let port = line.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Metered { service, port }
    }

    /// A connection that has sent this, or so much of it as the service took before it hung up.
    fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.write_all(bytes);
        stream
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

/// All that a connection has to say.
fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // One that is closed with bytes of ours unread may be reset behind the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn metered(site: &Site) -> Metered {
    std::fs::create_dir(site.path("logs")).unwrap();
    let service = Metered::start(site, &site.config(&CONFIG.replace("PORT", "0")));
    await_that("it follows", || service.get("/healthz") == (200, "ok".to_owned()));
    service
}

#[test]
fn clients_that_ask_nothing_do_not_keep_others_from_their_answer() {
    let site = Site::new("metrics_clients");
    let service = metered(&site);
    // More than there is room for: silent ones, and ones that never end their head.
    let silent: Vec<_> = (0..100).map(|_| service.send(b"")).collect();
    let slow: Vec<_> = (0..100).map(|_| service.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ")).collect();
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(service.get(path), (200, "ok".to_owned()), "{path}");
    }
    assert_eq!(service.get("/metrics").0, 200);
    // Each of them is closed before long, whether for room or for time.
    for stream in silent.into_iter().chain(slow) {
        let said = answer(stream);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert_eq!(service.service.stop(), 0);
}

#[test]
fn odd_requests_have_an_answer() {
    let site = Site::new("metrics_requests");
    let service = metered(&site);
    let ask = |request: &str| answer(service.send(request.as_bytes()));
    let head = ask("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 3\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
    let post = ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
    let unknown = ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(unknown.starts_with("HTTP/1.1 404 ") && unknown.contains("/healthz"), "{unknown}");
    let huge = ask(&format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Huge: {}\r\n\r\n", "x".repeat(1 << 20)));
    assert!(huge.is_empty() || huge.starts_with("HTTP/1.1 431 "), "{}", &huge[..huge.len().min(200)]);
    let nonsense = ask("\u{1}\u{2}\u{3}\r\n\r\n");
    assert!(nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
    // Half closed: it has nothing more to say, and listens.
    let stream = service.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(answer(stream).ends_with("\r\n\r\nok\n"));
    let open = ask("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n");
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{open}");
    let text = ask("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    assert!(text.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{text}");
    promtool_accepts(&service.get("/metrics").1);
    assert_eq!(service.service.stop(), 0);
}

/// Has Prometheus' own tool check them, where it is installed.
fn promtool_accepts(text: &str) {
    let promtool = Command::new("promtool").args(["check", "metrics"]).stdin(std::process::Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("NOT TESTED: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "{text}");
}

#[test]
fn a_clickhouse_that_is_away_makes_it_unready_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"), folder);
    let folder = place.folder.path();
    std::fs::create_dir(folder.join("logs")).unwrap();
    let config = folder.join("longshore.toml");
    let text = format!(
        "version = 1\n{}[clickhouse]\nurl = \"http://127.0.0.1:{}\"\nuser = \"longshore\"\npassword = \"${{PASSWORD}}\"\n",
        CONFIG.replace("PORT", "0"),
        place.http_port
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(longshore());
    command.env("PASSWORD", &place.password).current_dir(folder);
    let service = Metered::of(crate::support::service::Service::start(command, &config));
    let ok = || (200, "ok".to_owned());
    await_that("it is ready", || service.get("/readyz") == ok());
    service.await_sample("longshore_clickhouse_reachable", 1.0);
    // It accepts connections and does not answer. Nothing is sent meanwhile.
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    await_that("it is not ready", || service.get("/readyz").0 == 503);
    let (_, why) = service.get("/readyz");
    assert!(why.starts_with("away: asking ClickHouse failed: "), "{why}");
    assert_eq!((service.get("/livez"), service.get("/healthz")), (ok(), ok()));
    service.await_sample("longshore_clickhouse_reachable", 0.0);
    kill("CONT", server);
    await_that("it is ready again", || service.get("/readyz") == ok());
    assert_eq!(service.service.stop(), 0);
}
