//! The engine under test: `longshore run` as a child process, started again whenever it ends, as a service manager does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::records::PASSWORD_VARIABLE;

/// Its exit codes if ClickHouse cannot be reached at the start, or goes away between the first question and the last that
/// a start asks.
const UNAVAILABLE: [i32; 2] = [69, 1];
/// A start is over well before this; an engine that follows ends for no reason of ClickHouse's.
const START: Duration = Duration::from_secs(10);
/// An engine that was told to end takes at most its `run.drain` and this.
const END_PATIENCE: Duration = Duration::from_secs(40);

/// An engine that runs, or does between two starts not.
pub(crate) struct Engine {
    program: PathBuf,
    config: PathBuf,
    password: String,
    log: PathBuf,
    child: Option<Child>,
    started: Instant,
    pub(crate) starts: u64,
}

impl Engine {
    /// An engine that is not started yet.
    pub(crate) fn new(program: PathBuf, config: PathBuf, password: String, log: PathBuf) -> Engine {
        Engine { program, config, password, log, child: None, started: Instant::now(), starts: 0 }
    }

    /// Starts it. The kernel kills it when the thread that calls this ends.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        use std::os::unix::process::CommandExt;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(["run", "--ends-with"]).arg(std::process::id().to_string()).arg("-c").arg(&self.config);
        command.env(PASSWORD_VARIABLE, &self.password);
        // A terminal's Ctrl-C is for us.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.child = Some(command.spawn()?);
        self.started = Instant::now();
        self.starts += 1;
        Ok(())
    }

    /// kill -9, and waits for its end.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(|_| ())
    }

    /// SIGSTOP or SIGCONT, if it runs.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // Not waited for, so the pid is still its own; it may have ended, which the next look finds out.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// SIGTERM: how it ended, `None` if it did not run or was killed since it took too long.
    pub(crate) fn terminate(&mut self) -> io::Result<Option<ExitStatus>> {
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else { return Ok(None) };
        let begin = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if begin.elapsed() > END_PATIENCE {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again if it has ended by itself; how, if it had no reason to.
    pub(crate) fn tend(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return self.start().map(|()| None) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.child = None;
        let at_start = self.did_not_start(status);
        self.start()?;
        Ok((!at_start).then_some(status))
    }

    /// Whether an end just now is that of a start which ClickHouse was not there for.
    pub(crate) fn did_not_start(&self, status: ExitStatus) -> bool {
        self.started.elapsed() < START && status.code().is_some_and(|code| UNAVAILABLE.contains(&code))
    }

    /// Whether it ran long enough to have put its signal handlers in place, which is the first thing that it does.
    pub(crate) fn catches_sigterm(&self) -> bool {
        let Some(child) = &self.child else { return false };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        mask >> (Signal::TERM.as_raw() - 1) & 1 == 1
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        let tail = || -> io::Result<String> {
            use std::io::{Read, Seek, SeekFrom};
            let mut file = File::open(&self.log)?;
            let bytes = file.metadata()?.len();
            file.seek(SeekFrom::Start(bytes.saturating_sub(16 << 10)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        let tail = tail().unwrap_or_default();
        let all: Vec<&str> = tail.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.set_frozen(false);
        if let Err(error) = self.kill() {
            tracing::error!("the engine of the test could not be ended: {error}");
        }
    }
}
