//! A `longshore run` of a test, with what it logs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::process::{catches, kill};

/// What a test waits for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs. Killed when dropped.
pub(crate) struct Service {
    pub(crate) child: Child,
    /// The lines of its log.
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts it; `command` is the program with what it needs in its environment.
    pub(crate) fn start(mut command: Command, config: &Path) -> Self {
        command.args(["run", "-c"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, stderr) = (log.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            // To its end, so that it never waits for room in the pipe.
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Service { child, log }
    }

    /// Lines of the log that have this in them.
    pub(crate) fn said(&self, text: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Waits until so many lines have this in them: the last one.
    pub(crate) fn await_line(&self, text: &str, count: usize) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.said(text);
            if said.len() >= count {
                return said.last().unwrap().clone();
            }
            let log = self.log.lock().unwrap().join("\n");
            assert!(Instant::now() < end, "it did not say `{text}` {count} times:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGHUP, once it catches it.
    pub(crate) fn hang_up(&self) {
        let end = Instant::now() + PATIENCE;
        while !catches(self.child.id(), 1) {
            assert!(Instant::now() < end, "it does not catch SIGHUP");
            std::thread::sleep(Duration::from_millis(20));
        }
        kill("HUP", self.child.id());
    }

    /// SIGTERM; its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        kill("TERM", self.child.id());
        self.child.wait().unwrap().code().expect("it ends by itself")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
