//! `longshore bench`: what it says of a sample, that it needs no ClickHouse, and that it leaves nothing in one.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use loggen::{Cipher, Encryption, Envelope, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::channel_log::{config, envelope};
use crate::support::longshore;
use crate::support::process::{await_that, kill};
use crate::support::shared::{PASSWORD_VARIABLE, Site};
use crate::support::small::{CONFIG, lines, rows};

/// A folder, and no server.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Writes `longshore.toml`, whose ClickHouse is a port that nobody listens on.
    fn config(&self, text: &str) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let clickhouse = format!("[clickhouse]\nurl = \"http://127.0.0.1:{port}\"\n");
        self.write("longshore.toml", format!("version = 1\n{text}\n{clickhouse}"));
    }

    /// `longshore bench -c longshore.toml ARGUMENTS`, to be changed.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(longshore());
        command.args(["bench", "-c", "longshore.toml"]).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("LONGSHORE_KERNELS");
        command
    }

    /// The figures of a run that must succeed.
    fn bench(&self, arguments: &[&str]) -> Value {
        figures(self.command(arguments).arg("--json").arg("--repetitions=2"))
    }

    /// Exit code and standard error of a run that prints no figures.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        refused(&mut self.command(arguments))
    }
}

fn figures(command: &mut Command) -> Value {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

fn refused(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code().unwrap(), String::from_utf8_lossy(&stderr).into_owned())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The stages are these; their shares are the whole, and rates and seconds say the same.
fn assert_consistent(figures: &Value, stages: &[&str]) {
    let found = figures["stages"].as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, stages, "{figures}");
    let shares: f64 = found.iter().map(|stage| number(&stage["share_of_engine"])).sum();
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    let engine = number(&figures["engine"]["cpu_seconds_a_gb"]);
    let sum: f64 = found.iter().map(|stage| number(&stage["cpu_seconds_a_gb"]["median"])).sum();
    assert!((sum - engine).abs() < 0.001 * engine + 0.001, "{sum} {engine}");
    for stage in found {
        let [min, median, max] = ["min", "median", "max"].map(|name| number(&stage["cpu_seconds_a_gb"][name]));
        assert!(0.0 <= min && min <= median && median <= max, "{stage}");
    }
    let most = &figures["megabytes_per_second_at_most"];
    let ceilings = ["reader", "engine", "server", "shared"].map(|name| most[name].as_f64().unwrap_or(f64::INFINITY));
    assert_eq!(number(&most["load"]), ceilings.into_iter().fold(f64::INFINITY, f64::min), "{most}");
    let (stage, sentence) = (&figures["bottleneck"]["stage"], figures["bottleneck"]["sentence"].as_str().unwrap());
    assert!(!sentence.is_empty() && (stage == "server" || names.contains(&stage.as_str().unwrap())), "{figures}");
}

#[test]
fn the_engines_own_stages_need_no_clickhouse() {
    let desk = Desk::new();
    desk.config(CONFIG);
    // One letter: the line has no number `n`.
    desk.write("app.log", lines(0..3_000) + "{\"ts\":1795132800000}\n");
    let found = desk.bench(&["--no-server", "app.log"]);
    let bytes = fs::metadata(desk.path("app.log")).unwrap().len();
    let sample = json!({
        "bytes": bytes, "inputs": 1, "slices": 1, "whole": true, "records": 3_001, "rows": 3_000, "dead": 1,
        "filtered": 0, "dead_by_reason": {"missing_field": 1},
    });
    assert_eq!(found["sample"], sample);
    assert_consistent(&found, &["read", "parse", "sort", "aggregate", "encode"]);
    assert_eq!(
        (&found["server"], &found["server_error"], &found["input_errors"]),
        (&json!(null), &json!(null), &json!([]))
    );
    assert!(found["stages"].as_array().unwrap().iter().all(|stage| stage["repetitions"] == 2), "{found}");

    let Output { status, stdout, .. } = desk.command(&["--no-server", "app.log"]).output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{text}");
    for part in ["3,001 records, 3,000 rows, 1 dead letter, 0 filtered", "\nparse ", "\nengine ", "\nbottleneck  the "]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("does not fit"), "one dead letter in 3,000 is nothing to call out:\n{text}");
}

#[test]
fn a_server_that_is_away_costs_its_own_figures_only() {
    let desk = Desk::new();
    desk.config(CONFIG);
    desk.write("app.log", lines(0..100));
    let found = desk.bench(&["app.log"]);
    assert_consistent(&found, &["read", "parse", "sort", "aggregate", "encode"]);
    assert_eq!(found["server"], json!(null));
    let error = found["server_error"].as_str().unwrap();
    assert!(error.contains("does not answer"), "{error}");
}

#[test]
fn a_sample_is_the_beginning_of_the_input() {
    let desk = Desk::new();
    desk.config(&format!("[decode]\nrecord_bytes_max = \"4 KiB\"\n{CONFIG}[pipeline]\nslice_bytes = \"64 KiB\"\n"));
    desk.write("app.log", lines(0..20_000));
    let found = desk.bench(&["--no-server", "--sample", "100 KiB", "app.log"]);
    let sample = &found["sample"];
    assert_eq!((&sample["slices"], &sample["whole"], &sample["dead"]), (&json!(2), &json!(false), &json!(0)));
    assert!((102_400..=131_072).contains(&sample["bytes"].as_u64().unwrap()), "{sample}");
    let from_stdin = figures(
        desk.command(&["--no-server", "--json", "--sample", "100 KiB", "-"])
            .stdin(fs::File::open(desk.path("app.log")).unwrap()),
    );
    assert_eq!(from_stdin["sample"], *sample);
    // Read once: it cannot be read again.
    assert_eq!((&from_stdin["stages"][0]["repetitions"], &from_stdin["page_cache"]), (&json!(1), &json!(null)));
}

#[test]
fn sealed_records_are_opened_by_themselves_and_bad_ones_are_called_out() {
    for (layout, of) in [("tab", Envelope::Tab), ("json", Envelope::Json), ("frame", Envelope::Frame)] {
        let desk = Desk::new();
        let keyring = Some(desk.path("keyring.toml"));
        let mut log = Vec::new();
        let asked = Options {
            seed: 7,
            records: 3_000,
            broken_rate: 0.05,
            products_file: Some(desk.path("products.csv")),
            encryption: Some(Encryption { cipher: Cipher::Aes256Gcm, envelope: of, keyring, keys: 3 }),
            ..Options::default()
        };
        let right = loggen::generate(&asked, &mut log).unwrap();
        desk.write("app.log", log);
        desk.config(&config(&envelope(layout)));
        let found = desk.bench(&["--no-server", "app.log"]);
        assert_consistent(&found, &["read", "open", "parse", "sort", "aggregate", "encode"]);
        let sample = &found["sample"];
        assert_eq!((&sample["records"], &sample["rows"]), (&json!(right.records), &json!(right.loaded)), "{layout}");
        assert_eq!(sample["dead_by_reason"], serde_json::to_value(&right.dead).unwrap(), "{layout}");
        let text = desk.command(&["--no-server", "app.log"]).output().unwrap().stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("a sample that the config does not fit: "), "{text}");
        assert!(text.contains(&format!("tag_mismatch {}", right.dead["tag_mismatch"])), "{text}");
    }
}

#[test]
fn what_cannot_be_measured_is_said_with_a_code() {
    let desk = Desk::new();
    desk.config(CONFIG);
    desk.write("app.log", lines(0..10));
    desk.write("empty.log", "");
    for (arguments, code, part) in [
        (vec!["app.log", "--sample", "much"], 64, "--sample"),
        (vec!["app.log", "--sample", "4 GiB"], 64, "2 GiB"),
        (vec!["app.log", "--repetitions", "0"], 64, "--repetitions"),
        (vec!["app.log", "--seconds", "0"], 64, "--seconds"),
        (vec!["app.log", "--reader", "dma"], 64, "io_uring or pread"),
        (vec!["--no-server"], 66, "no input"),
        (vec!["--no-server", "gone.log"], 66, "none of the inputs can be opened; nothing was measured"),
        (vec!["--no-server", "empty.log"], 65, "the inputs hold no record"),
    ] {
        let (found, said) = desk.refused(&arguments);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    // One that is there is measured all the same.
    let Output { status, stdout, .. } =
        desk.command(&["--no-server", "--json", "--repetitions=1", "gone.log", "app.log"]).output().unwrap();
    let found: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((status.code(), &found["sample"]["rows"]), (Some(66), &json!(10)));
    assert!(found["input_errors"][0].as_str().unwrap().contains("gone.log"), "{found}");
}

#[test]
fn the_environment_names_the_kernels_of_every_command_that_decodes() {
    let site = Site::new("kernels");
    let config = site.config(CONFIG);
    site.write("app.log", lines(0..1_000));
    let times = Cell::new(0);
    let run = |command: &str, kernels: &str| {
        let arguments: &[&str] = if command == "load" { &[] } else { &["--no-server", "--repetitions=1"] };
        // What is stored would not be decoded again.
        let first = 1_000 * times.get();
        times.set(times.get() + 1);
        site.write("app.log", lines(first..first + 1_000));
        let mut program = site.command();
        program.env("LONGSHORE_KERNELS", kernels).args([command, "--json", "--verbose", "-c"]).arg(&config);
        program.arg("app.log").args(arguments);
        program
    };
    for command in ["load", "bench"] {
        let output = run(command, "scalar").output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["kernels"], "scalar");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("records are decoded by scalar kernels"), "{said}");
        // Empty is as good as unset: the widest.
        assert_eq!(
            figures(&mut run(command, ""))["kernels"],
            figures(run(command, "").env_remove("LONGSHORE_KERNELS"))["kernels"]
        );
        let (code, said) = refused(&mut run(command, "mmx"));
        assert_eq!(code, 64, "{said}");
        assert!(said.contains("LONGSHORE_KERNELS: no kernels named \"mmx\" on this machine; it has: scalar"), "{said}");
    }
    let loads = site.ask("SELECT count(), uniqExact(n), sum(n) FROM {db}.events");
    assert_eq!(loads, ["3000\t3000\t4498500"]);
}

/// Databases of this test, its own one included.
fn databases(site: &Site) -> Vec<String> {
    site.execute("SELECT name FROM system.databases WHERE startsWith(name, '{db}') ORDER BY name")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_server_is_measured_in_a_database_that_is_gone_afterwards() {
    let site = Site::new("trial");
    let config = site.config(CONFIG);
    site.write("app.log", lines(0..500));
    site.load(&config, &["app.log"]);
    let tables = "SELECT name, uuid, total_rows FROM system.tables WHERE database = '{db}' ORDER BY name";
    let before = site.execute(tables);

    site.write("app.log", lines(0..2_000) + "broken\n");
    let found = figures(site.command().args(["bench", "--json", "--repetitions=3", "-c"]).arg(&config).arg("app.log"));
    assert_consistent(&found, &["read", "parse", "sort", "aggregate", "encode", "send"]);
    assert_eq!(found["server_error"], json!(null));
    let server = &found["server"];
    assert_eq!((&server["repetitions"], &server["local"]), (&json!(3), &json!(true)));
    assert!(number(&server["cpu_seconds_a_gb"]["median"]) > 0.0, "{server}");
    assert!(number(&server["wall_seconds_a_gb"]["min"]) > 0.0, "{server}");
    assert_eq!(found["sample"]["rows"], json!(2_000));
    assert_eq!(databases(&site), [site.database.as_str()]);
    assert_eq!(site.execute(tables), before);
    assert_eq!(rows(&site), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_user_who_may_not_create_a_database_gets_the_engines_figures() {
    let site = Site::new("trial_rights");
    let config = site.config(CONFIG);
    let server = &site.server.embedded;
    let (engine, analyst) = (server.engine_user(), server.analyst_user());
    let text = fs::read_to_string(&config).unwrap();
    site.write("longshore.toml", text.replace(&format!("user = \"{engine}\""), &format!("user = \"{analyst}\"")));
    site.write("app.log", lines(0..100));
    let mut command = site.command();
    command.env(PASSWORD_VARIABLE, server.analyst_password());
    let found = figures(command.args(["bench", "--json", "--repetitions=1", "-c"]).arg(&config).arg("app.log"));
    assert_consistent(&found, &["read", "parse", "sort", "aggregate", "encode"]);
    assert_eq!(found["server"], json!(null));
    let error = found["server_error"].as_str().unwrap();
    assert!(error.contains("CREATE DATABASE") && error.contains("ClickHouse error 497"), "{error}");
    assert_eq!(databases(&site), Vec::<String>::new());
}

/// Starts a bench of so many repetitions that only a signal ends it, and waits for its database.
fn long_bench(site: &Site, config: &Path) -> std::process::Child {
    let mut command = site.command();
    command.args(["bench", "--repetitions=1000", "--seconds=60", "-c"]).arg(config).arg("app.log");
    let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_that("the trial's database is there", || databases(site).iter().any(|name| name.contains("_bench_")));
    bench
}

#[test]
fn an_interrupted_trial_leaves_nothing_behind() {
    let site = Site::new("trial_stop");
    let config = site.config(CONFIG);
    site.write("app.log", lines(0..2_000));
    let bench = long_bench(&site, &config);
    kill("INT", bench.id());
    let Output { status, stdout, stderr } = bench.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!((status.code(), String::from_utf8_lossy(&stdout).as_ref()), (Some(130), ""), "{said}");
    assert_eq!(databases(&site), Vec::<String>::new(), "{said}");
}

#[test]
fn a_killed_trial_is_named_by_the_next_one() {
    let site = Site::new("trial_killed");
    let config = site.config(CONFIG);
    site.write("app.log", lines(0..2_000));
    let mut bench = long_bench(&site, &config);
    bench.kill().unwrap();
    bench.wait().unwrap();
    let left: Vec<String> = databases(&site);
    assert_eq!(left.len(), 1, "{left:?}");
    let output = site.command().args(["bench", "--repetitions=1", "-c"]).arg(&config).arg("app.log").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&left[0]), "{said}");
    assert_eq!(databases(&site), left, "it may be running: nobody but its owner drops it");
    site.execute(&format!("DROP DATABASE `{}` SYNC", left[0]));
}
