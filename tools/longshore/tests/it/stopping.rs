//! An end is asked for while something hangs: a ClickHouse that takes a connection and does not answer, at the start or in
//! the middle of an insert. The process ends all the same, says what it leaves, and the next start completes it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use longshore_brokers::Cluster;
use longshore_brokers::fill::{Into, fill};
use serde_json::Value;

use crate::away::Place;
use crate::support::longshore;
use crate::support::process::{await_that, catches, kill};
use crate::support::service::Service;
use crate::support::small::{CONFIG, lines};

/// What ends in order, or by a deadline of ten seconds or less and what it may take to close, has ended well before this.
const LIMIT: Duration = Duration::from_secs(25);

/// Waits for a child's end. One that does not come is a failure.
fn end_of(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "it has not ended within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server of the test's own, with a folder and a config beside it.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"), folder);
    fs::create_dir(place.folder.path().join("logs")).unwrap();
    place
}

/// A config for a ClickHouse on this port.
fn config(folder: &Path, port: u16, sources: &str, drain: &str) -> PathBuf {
    let path = folder.join("longshore.toml");
    let text = format!(
        "version = 1\n{sources}{CONFIG}[run]\njournal = \"journal\"\nslice_age = \"100ms\"\ndrain = \"{drain}\"\n[clickhouse]\n\
         url = \"http://127.0.0.1:{port}\"\nuser = \"longshore\"\npassword = \"${{AWAY_PASSWORD}}\"\n"
    );
    fs::write(&path, text).unwrap();
    path
}

const LOGS: &str = "[[source]]\npaths = [\"logs/*.log\"]\n";

fn command(folder: &Path, password: &str) -> Command {
    let mut command = Command::new(longshore());
    command.env("AWAY_PASSWORD", password).current_dir(folder);
    command
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Slices in doubt, as the journal has them.
fn in_doubt(folder: &Path) -> usize {
    let output = command(folder, "").args(["doctor", "journal", "--json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    found["in_doubt"].as_array().map_or(0, Vec::len)
}

fn await_stored(place: &Place, records: u64) {
    await_that(&format!("{records} records are stored"), || {
        place.ask("SELECT ifNull(sum(records), 0) FROM longshore.ledger").trim() == records.to_string()
    });
}

/// Every record of `0..count` once, in the rows, the ledger and the rollups.
fn assert_exact(place: &Place, count: u64) {
    let rows = place.ask("SELECT count(), uniqExact(n), min(n), max(n) FROM longshore.events");
    assert_eq!(rows.trim(), format!("{count}\t{count}\t0\t{}", count - 1));
    assert_eq!(place.ask("SELECT sum(loaded) FROM longshore.ledger").trim(), count.to_string());
    assert_eq!(place.ask("SELECT sum(pv) FROM longshore.pv_uv_by_minute").trim(), count.to_string());
    assert_eq!(place.ask("SELECT sum(new_users) FROM longshore.new_users_by_minute").trim(), "7");
}

#[test]
fn a_service_whose_insert_hangs_ends_in_time_and_the_next_start_completes_it() {
    let place = place();
    let folder = place.folder.path();
    let config = config(folder, place.http_port, LOGS, "1s");
    let log = folder.join("logs/app.log");
    append(&log, &lines(0..100));
    let mut service = Service::start(command(folder, &place.password), &config);
    await_stored(&place, 100);
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    append(&log, &lines(100..200));
    await_that("a slice is in doubt", || in_doubt(folder) == 1);
    // A reload that hangs, too.
    service.hang_up();
    service.await_line("reading", 1);
    kill("TERM", service.child.id());
    assert_eq!(end_of(&mut service.child).code(), Some(130));
    let said = service.await_line("stays in doubt", 1);
    for part in ["1 slice stays in doubt: 1 of ", "logs/app.log", "/journal has them", "the next start"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert_eq!(service.said("ending now").len(), 0, "it ended in order");
    assert_eq!(in_doubt(folder), 1);
    kill("CONT", server);
    let service = Service::start(command(folder, &place.password), &config);
    append(&log, &lines(200..300));
    await_stored(&place, 300);
    assert_eq!(service.stop(), 0);
    assert_eq!(in_doubt(folder), 0);
    assert_exact(&place, 300);
}

#[test]
fn an_engine_of_a_group_whose_insert_hangs_ends_in_time_and_the_next_one_completes_it() {
    let place = place();
    let folder = place.folder.path();
    let cluster = Cluster::start(1).unwrap();
    cluster.topic("t", 2).unwrap();
    let send = |numbers: std::ops::Range<u64>| {
        let (addresses, topic) = (cluster.addresses(), "t".to_owned());
        let into = Into { addresses, topic, partitions: 2, time: 1_763_726_400_000, rate: None };
        fill(&into, lines(numbers).lines().map(str::as_bytes)).unwrap();
    };
    let source = format!(
        "[[source]]\nname = \"t\"\n[source.kafka]\nbrokers = [\"{}\"]\ntopics = [\"t\"]\ngroup = \"g\"\n\
         properties = {{ \"session.timeout.ms\" = 3000, \"heartbeat.interval.ms\" = 300 }}\n",
        cluster.addresses()
    );
    let config = config(folder, place.http_port, &source, "1s");
    send(0..100);
    let mut service = Service::start(command(folder, &place.password), &config);
    await_stored(&place, 100);
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    send(100..200);
    std::thread::sleep(Duration::from_secs(2));
    kill("TERM", service.child.id());
    assert_eq!(end_of(&mut service.child).code(), Some(130));
    let said = service.await_line(" in doubt: ", 1);
    assert!(said.contains(" of kafka:t/") && said.contains("the group's offsets have them"), "{said}");
    kill("CONT", server);
    let service = Service::start(command(folder, &place.password), &config);
    send(200..300);
    await_stored(&place, 300);
    assert_eq!(service.stop(), 0);
    assert_exact(&place, 300);
}

#[test]
fn a_second_signal_ends_at_once_however_long_the_first_would_have_waited() {
    let place = place();
    let folder = place.folder.path();
    let config = config(folder, place.http_port, LOGS, "1h");
    append(&folder.join("logs/app.log"), &lines(0..100));
    let mut service = Service::start(command(folder, &place.password), &config);
    await_stored(&place, 100);
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    append(&folder.join("logs/app.log"), &lines(100..200));
    await_that("a slice is in doubt", || in_doubt(folder) == 1);
    kill("TERM", service.child.id());
    service.await_line("interrupt again", 1);
    assert!(service.child.try_wait().unwrap().is_none(), "it waits for ClickHouse");
    kill("INT", service.child.id());
    assert_eq!(end_of(&mut service.child).code(), Some(130));
    kill("CONT", server);
}

#[test]
fn a_load_whose_insert_hangs_ends_in_time_and_is_finished_by_the_next() {
    const RECORDS: u64 = 200_000;
    let place = place();
    let folder = place.folder.path();
    let small = format!("{LOGS}[decode]\nrecord_bytes_max = \"4 KiB\"\n[pipeline]\nslice_bytes = \"64 KiB\"\n");
    let config = config(folder, place.http_port, &small, "1s");
    fs::write(folder.join("logs/app.log"), lines(0..RECORDS)).unwrap();
    let load = || {
        let mut command = command(folder, &place.password);
        command.args(["load", "-c"]).arg(&config).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut loading = load();
    await_that("the first slice is stored", || place.ask("SELECT count() > 0 FROM longshore.ledger").trim() == "1");
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    std::thread::sleep(Duration::from_millis(500));
    kill("INT", loading.id());
    assert_eq!(end_of(&mut loading).code(), Some(130));
    kill("CONT", server);
    // What the server had taken and not answered is done or over before anybody sends it again.
    await_that("no insert is under way", || {
        place.ask("SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'").trim() == "0"
    });
    assert!(end_of(&mut load()).success());
    assert_exact(&place, RECORDS);
}

/// Something that takes connections and never answers.
struct BlackHole(TcpListener);

impl BlackHole {
    fn new() -> Self {
        // What nobody accepts is connected by the kernel all the same.
        BlackHole(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

#[test]
fn a_command_that_hangs_at_its_start_ends_soon_after_the_first_signal() {
    let hole = BlackHole::new();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/app.log"), lines(0..10)).unwrap();
    // However long draining may take: there is nothing to drain.
    let config = config(folder.path(), hole.port(), LOGS, "1h");
    for (args, left) in [
        (vec!["run", "-c"], "stopped while it started: nothing was cut"),
        (vec!["load", "-c"], "stopped while it started: nothing was loaded yet"),
    ] {
        let mut child = command(folder.path(), "").args(&args).arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        await_that("it catches SIGTERM", || catches(child.id(), 15));
        std::thread::sleep(Duration::from_millis(500));
        kill("TERM", child.id());
        let status = end_of(&mut child);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((status.code(), status.signal()), (Some(130), None), "{args:?}: {said}");
        assert!(said.contains(left), "{args:?}: {said}");
    }
}
