//! ClickHouse goes away in the middle of a load (killed, frozen, its disk full): the engine waits, says so, goes on by
//! itself once ClickHouse is back, and every record is there once.
//!
//! The records come through standard input, so that a test decides what was loaded before ClickHouse goes away.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::http::{self, Login};
use crate::support::longshore;
use crate::support::process::{Foreground, await_that, children_of, kill};
use crate::support::small::{CONFIG, lines};

const RECORDS: u64 = 20_000;
/// Records that are loaded before ClickHouse goes away.
const BEFORE: u64 = 8_000;

/// A server of the test's own, which it may treat as it likes.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    data: PathBuf,
    pub(crate) server: Option<Foreground>,
    pub(crate) http_port: u16,
    pub(crate) password: String,
}

impl Place {
    pub(crate) fn new(data: PathBuf, folder: TempDir) -> Self {
        let server = Foreground::start(&data);
        let credentials = fs::read_to_string(data.join("credentials.toml")).unwrap();
        let engine = credentials.split("engine_password").last().unwrap();
        let password = engine.split('"').find(|text| text.len() == 64).unwrap().to_owned();
        Place { folder, data, http_port: server.http_port, server: Some(server), password }
    }

    pub(crate) fn ask(&self, statement: &str) -> String {
        let login = Login { user: "longshore", password: &self.password };
        http::sql(self.http_port, login, statement).unwrap_or_else(|error| format!("error: {error}"))
    }

    pub(crate) fn start_again(&mut self) {
        self.server = Some(Foreground::start_again(&self.data, self.http_port));
    }

    /// Starts a load from standard input, in slices of 64 KiB.
    fn load(&self) -> Load {
        let config = self.folder.path().join("longshore.toml");
        let text = format!(
            "version = 1\n[decode]\nrecord_bytes_max = \"4 KiB\"\n{CONFIG}[pipeline]\nslice_bytes = \"64 KiB\"\n\
             [clickhouse]\nurl = \"http://127.0.0.1:{}\"\nuser = \"longshore\"\npassword = \"${{AWAY_PASSWORD}}\"\n",
            self.http_port
        );
        fs::write(&config, text).unwrap();
        Load::spawn(&config, &self.password)
    }

    /// Loads the first records and waits until some of them are there.
    fn load_before(&self) -> Load {
        let mut load = self.load();
        load.feed(0..BEFORE);
        await_that("the first rows arrive", || self.ask("SELECT count() > 0 FROM longshore.ledger").trim() == "1");
        load
    }

    /// Every record is there once: in the events, in the rollups, in the ledger.
    fn assert_exact(&self) {
        let counts = self.ask("SELECT count(), uniqExact(n), min(n), max(n) FROM longshore.events");
        assert_eq!(counts.trim(), format!("{RECORDS}\t{RECORDS}\t0\t{}", RECORDS - 1));
        let minutes = self.ask("SELECT toUnixTimestamp(minute), pv, uv FROM longshore.pv_uv_by_minute ORDER BY minute");
        // A record a second, of seven users in turn: 60 a minute, and 20 in the last.
        let expected: String = (0..RECORDS.div_ceil(60))
            .map(|minute| {
                let views = (RECORDS - minute * 60).min(60);
                format!("{}\t{views}\t7\n", 1_795_132_800 + minute * 60)
            })
            .collect();
        assert_eq!(minutes.trim_end(), expected.trim_end());
        assert_eq!(self.ask("SELECT sum(new_users) FROM longshore.new_users_by_minute").trim(), "7");
        let ledger = self.ask("SELECT sum(records), sum(loaded), sum(dead) FROM longshore.ledger");
        assert_eq!(ledger.trim(), format!("{RECORDS}\t{RECORDS}\t0"));
    }
}

/// A load that runs. Killed when dropped.
struct Load {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: JoinHandle<()>,
}

impl Load {
    /// Starts a load from standard input.
    fn spawn(config: &Path, password: &str) -> Self {
        let mut child = Command::new(longshore())
            .args(["load", "--json", "-c"])
            .arg(config)
            .arg("-")
            .env("AWAY_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().unwrap();
        let listening = said.clone();
        let listener = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk) {
                listening.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Load { child, said, listener }
    }

    fn feed(&mut self, numbers: std::ops::Range<u64>) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(lines(numbers).as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Feeds the rest from a thread of its own, since nobody reads while ClickHouse is away.
    fn feed_rest(&mut self) -> JoinHandle<()> {
        let mut stdin = self.child.stdin.take().unwrap();
        thread::spawn(move || stdin.write_all(lines(BEFORE..RECORDS).as_bytes()).unwrap())
    }

    fn await_said(&self, what: &str) {
        await_that(&format!("it says {what:?}"), || self.said.lock().unwrap().contains(what));
    }

    /// Waits for its end, which must be a good one: its summary, and what it said.
    fn finish(self) -> (Value, String) {
        let Load { child, said, listener } = self;
        let output = child.wait_with_output().unwrap();
        listener.join().unwrap();
        let said = said.lock().unwrap().clone();
        assert!(output.status.success(), "{}\n{said}", output.status);
        (serde_json::from_slice(&output.stdout).unwrap(), said)
    }
}

#[test]
fn a_server_that_is_killed_and_started_again_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place::new(folder.path().join("data"), folder);
    let mut load = place.load_before();
    place.server.take().unwrap().end_by("KILL");
    let feeding = load.feed_rest();
    load.await_said("trying again");
    place.start_again();
    feeding.join().unwrap();
    let (summary, said) = load.finish();
    assert!(summary["retries"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["loaded"], RECORDS);
    assert!(said.contains("nothing is lost") && said.contains("stored after"), "{said}");
    place.assert_exact();
}

#[test]
fn a_server_that_is_frozen_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"), folder);
    let mut load = place.load_before();
    let server = place.server.as_ref().unwrap().server_pid();
    kill("STOP", server);
    let feeding = load.feed_rest();
    thread::sleep(Duration::from_secs(1));
    assert!(load.child.try_wait().unwrap().is_none(), "it waits");
    kill("CONT", server);
    feeding.join().unwrap();
    let (summary, _) = load.finish();
    assert_eq!(summary["loaded"], RECORDS);
    place.assert_exact();
}

#[test]
fn an_embedded_server_that_ends_by_itself_ends_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("longshore.toml");
    let text = format!("version = 1\n{CONFIG}[clickhouse.embedded]\ndata = \"data\"\n");
    fs::write(&config, text).unwrap();
    let mut load = Load::spawn(&config, "");
    load.await_said("created");
    // More than the pipe holds: taken once the load has asked the server all it has to ask before it begins.
    load.feed(0..20_000);
    kill("KILL", children_of(load.child.id())[0]);
    drop(load.child.stdin.take());
    let Load { mut child, said, listener } = load;
    let status = child.wait().unwrap();
    listener.join().unwrap();
    let said = said.lock().unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("ClickHouse refused") && said.contains("ended"), "{said}");
}

/// A file system of a fixed size, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs"])
            .arg(path)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| SmallDisk { path: path.to_owned() })
    }

    /// Fills it to the last byte; the file that does it.
    fn fill(&self) -> PathBuf {
        let ballast = self.path.join("ballast");
        let mut file = fs::File::create(&ballast).unwrap();
        let chunk = vec![0_u8; 4096];
        while file.write_all(&chunk).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let disk_path = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&disk_path) else {
        eprintln!("NOT TESTED: a full disk; this test mounts a small tmpfs, which needs root");
        return;
    };
    let place = Place::new(disk_path.join("data"), folder);
    let mut load = place.load_before();
    let ballast = disk.fill();
    let feeding = load.feed_rest();
    load.await_said("trying again");
    {
        let said = load.said.lock().unwrap().to_lowercase();
        assert!(said.contains("space"), "the reason is said: {said}");
    }
    fs::remove_file(ballast).unwrap();
    feeding.join().unwrap();
    let (summary, _) = load.finish();
    assert!(summary["retries"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["loaded"], RECORDS);
    place.assert_exact();
    drop(place);
}
