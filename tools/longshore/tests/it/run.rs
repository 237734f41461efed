//! `longshore run` over real files and a real ClickHouse: killed with no warning, stopped, started again, while the log
//! grows and is rotated. Whatever happened, every record is in the tables once.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::process::{await_that, catches, kill};
use crate::support::service;
use crate::support::shared::Site;

/// What a test waits for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `longshore run`. Killed when dropped.
pub(crate) struct Service(Child);

impl Service {
    pub(crate) fn start(site: &Site, config: &Path) -> Self {
        let mut command = site.command();
        Service(command.args(["run", "--quiet", "-c"]).arg(config).stdout(Stdio::null()).spawn().unwrap())
    }

    /// SIGTERM; its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        await_that("it catches SIGTERM", || catches(self.0.id(), 15));
        kill("TERM", self.0.id());
        self.0.wait().unwrap().code().expect("it ends by itself")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const FILES: &str = "[[source]]\nname = \"app\"\npaths = [\"logs/*.log*\"]\n";

/// What becomes of [`records`], wherever they come from.
pub(crate) const CONFIG: &str = r#"
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
name = "amount"
type = "decimal(18,2)"
required = true
[products]
fixed = "shop"
[table]
time = "ts"
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "n"
[run]
slice_age = "200ms"
"#;

/// Records `from..to`: every 50th is broken.
pub(crate) fn records(from: u64, to: u64) -> String {
    let record = |n: u64| match n % 50 {
        49 => format!("{{\"ts\":{n},\"n\":broken\n"),
        _ => format!("{{\"ts\":17637264{:02},\"n\":{n},\"amount\":{}.25}}\n", n % 60, n % 100),
    };
    (from..to).map(record).collect()
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until the ledger has so many records, which is the last that is written of a slice.
pub(crate) fn wait_for(site: &Site, records: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = site.execute("SELECT ifNull(sum(records), 0) FROM {db}.ledger");
        if found.trim() == records.to_string() {
            return;
        }
        assert!(Instant::now() < end, "the ledger has {found} of {records} records");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every record below `count` once, by numbers that come from how the records are made.
pub(crate) fn assert_exact(site: &Site, count: u64) {
    let good: Vec<u64> = (0..count).filter(|n| n % 50 != 49).collect();
    let sum: u64 = good.iter().sum();
    let rows = site.execute("SELECT count(), uniqExact(n), sum(n) FROM {db}.events");
    assert_eq!(rows.split_whitespace().collect::<Vec<_>>().join(" "), format!("{0} {0} {sum}", good.len()));
    let cents: u64 = good.iter().map(|n| n % 100 * 100 + 25).sum();
    let rollup = site.execute("SELECT toDecimalString(sum(amount), 2) FROM {db}.gmv_by_day");
    assert_eq!(rollup.trim(), format!("{}.{:02}", cents / 100, cents % 100));
    let dead = site.execute("SELECT count(), uniqExact(slice, row) FROM {db}.dead_letters");
    assert_eq!(dead.split_whitespace().collect::<Vec<_>>().join(" "), format!("{0} {0}", count / 50));
}

/// The config, with its tables there, so that they can be asked before anything is in them.
pub(crate) fn with_tables(site: &Site, text: &str) -> PathBuf {
    let config = site.config(text);
    let status = site.command().args(["schema", "--apply", "-c"]).arg(&config).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    config
}

fn logs(site: &Site) -> PathBuf {
    let logs = site.path("logs");
    std::fs::create_dir(&logs).unwrap();
    logs
}

#[test]
fn a_killed_service_goes_on_where_it_was_and_nothing_is_lost_or_doubled() {
    let site = Site::new("run_killed");
    let logs = logs(&site);
    let config = with_tables(&site, &format!("{FILES}{CONFIG}"));
    let log = logs.join("app.log");
    let mut written = 0;
    for round in 0..8 {
        let service = Service::start(&site, &config);
        for _ in 0..5 {
            append(&log, &records(written, written + 400));
            written += 400;
            std::thread::sleep(Duration::from_millis(37 + 29 * round));
        }
        // In the middle of whatever it does.
        drop(service);
        if round == 3 {
            std::fs::rename(&log, logs.join("app.log.1")).unwrap();
        }
    }
    let service = Service::start(&site, &config);
    wait_for(&site, written);
    assert_eq!(service.stop(), 0);
    assert_exact(&site, written);
    // A run that finds nothing new stores nothing.
    let service = Service::start(&site, &config);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(service.stop(), 0);
    assert_exact(&site, written);
}

#[test]
fn a_half_written_line_waits_for_its_rest_over_a_restart() {
    let site = Site::new("run_half");
    let logs = logs(&site);
    let config = with_tables(&site, &format!("{FILES}{CONFIG}"));
    let log = logs.join("app.log");
    let all = records(0, 100);
    let (first, rest) = all.split_at(all.len() / 2 - 7);
    append(&log, first);
    let whole = first.matches('\n').count() as u64;
    let service = Service::start(&site, &config);
    wait_for(&site, whole);
    assert_eq!(service.stop(), 0);
    append(&log, rest);
    let service = Service::start(&site, &config);
    wait_for(&site, 100);
    assert_eq!(service.stop(), 0);
    assert_exact(&site, 100);
}

/// Nothing is forbidden to root, so that the engine is somebody else's there.
const NOBODY: u32 = 65_534;

#[test]
fn a_folder_that_may_not_be_read_is_named_and_followed_once_it_may_be() {
    let site = Site::new("run_denied");
    let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let (shut, open) = (logs(&site), site.path("open"));
    std::fs::create_dir(&open).unwrap();
    append(&shut.join("app.log"), &records(0, 100));
    append(&open.join("app.log"), &records(100, 150));
    let config = with_tables(&site, &format!("[[source]]\npaths = [\"logs/*.log\", \"open/*.log\"]\n{CONFIG}"));
    let mut command = site.command();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
        // It makes its journal there.
        set(site.folder.path(), 0o777);
    }
    set(&shut, 0o000);
    let service = service::Service::start(command, &config);
    let said = service.await_line("is not followed", 1);
    set(&shut, 0o755);
    for part in ["logs", "Permission denied", "let the user that Longshore runs as read the file and enter its folders"]
    {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    // The other folder is followed meanwhile, and this one from the next scan on.
    wait_for(&site, 150);
    assert_eq!(service.stop(), 0);
    assert_exact(&site, 150);
}
