//! Processes of a test: ended with it, and watched by what the kernel says of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::longshore;

/// What a test waits for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `longshore clickhouse` that serves. Killed when dropped.
pub(crate) struct Foreground {
    pub(crate) child: Child,
    pub(crate) http_port: u16,
    /// What it printed.
    pub(crate) description: String,
    /// Open, so that it could print more.
    _out: BufReader<ChildStdout>,
}

impl Foreground {
    /// Starts it on a folder and reads where it is.
    pub(crate) fn start(data: &Path) -> Self {
        Foreground::start_with(data, &[])
    }

    /// Like [`Foreground::start`], with other environment variables.
    pub(crate) fn start_with(data: &Path, environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(longshore());
        command.args(["clickhouse", "--data"]).arg(data);
        for (name, value) in environment {
            command.env(name, value);
        }
        Foreground::spawn(command)
    }

    /// Like [`Foreground::start`], on this HTTP port: where one served before that is gone.
    pub(crate) fn start_again(data: &Path, http_port: u16) -> Self {
        let mut command = Command::new(longshore());
        command.args(["clickhouse", "--data"]).arg(data).args(["--http-port", &http_port.to_string()]);
        Foreground::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut description = String::new();
        while !description.contains("Ctrl-C stops it.") {
            let read = out.read_line(&mut description).unwrap();
            assert_ne!(read, 0, "it ended after: {description} ({:?})", child.wait());
        }
        let port = description.split("http://127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        Foreground { child, http_port: port.parse().unwrap(), description, _out: out }
    }

    /// Sends it a signal by name and waits for its end.
    pub(crate) fn end_by(&mut self, signal: &str) -> ExitStatus {
        kill(signal, self.child.id());
        self.child.wait().unwrap()
    }

    /// Its children: the server.
    pub(crate) fn server_pid(&self) -> u32 {
        let servers: Vec<u32> = children_of(self.child.id());
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers[0]
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal.
pub(crate) fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

/// True if the process has a handler for a signal, by its number (proc(5), `SigCgt` of `/proc/PID/status`).
pub(crate) fn catches(pid: u32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1)
}

/// True if the process exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// Waits for the end of a process that may not be ours.
pub(crate) fn await_end(pid: u32) {
    await_that(&format!("process {pid} ends"), || !is_alive(pid));
}

/// Waits until something holds.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Live processes whose parent is `pid`.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|process| stat(*process).is_some_and(|(state, parent)| parent == pid && state != 'Z')).collect()
}

/// State and parent of a process (proc(5), `/proc/PID/stat`); the name before them may hold anything but its last `)`.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
