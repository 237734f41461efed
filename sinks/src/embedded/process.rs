//! A child process that ends with us, whose end is noticed, and that is never signalled after it was reaped.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// A running child, or one that has ended.
pub(super) struct Process {
    pid: u32,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    child: Child,
    /// Set when the child was reaped: from then on its pid may be another's.
    exit: Option<ExitStatus>,
}

impl Process {
    /// Starts the command. It runs on a thread of its own, the keeper: a child that asks for a signal when its
    /// parent dies gets it when the *thread* that started it ends, so that thread stays until the child has ended.
    pub(super) fn spawn(mut command: Command) -> io::Result<Process> {
        let (sender, receiver) = mpsc::channel();
        let keeper = thread::Builder::new().name("clickhouse".into()).spawn(move || {
            let started = command.spawn().map(|child| {
                let pid = child.id();
                let state = Mutex::new(State { child, exit: None });
                (pid, Arc::new(Shared { state, ended: Condvar::new() }))
            });
            let kept = started.as_ref().ok().cloned();
            // The receiver is gone only if the starting thread panicked; the child is then kept all the same.
            let _ = sender.send(started);
            if let Some((pid, shared)) = kept {
                keep(pid, &shared);
            }
        })?;
        let started = receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended")));
        let (pid, shared) = started?;
        Ok(Process { pid, shared, keeper: Some(keeper) })
    }

    /// The child's process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How the child ended, if it has.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        self.shared.lock().exit
    }

    /// Waits until the child ends, at most so long.
    pub(super) fn wait(&self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        while state.exit.is_none() {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.exit
    }

    /// Signals the child unless it has ended.
    fn signal(&self, signal: Signal) {
        let state = self.shared.lock();
        if state.exit.is_none() {
            // Fails only if the child has changed its user, which it cannot.
            let _ = kill_process(Pid::from_child(&state.child), signal);
        }
    }

    /// Ends the child: SIGTERM, and SIGKILL if that was not enough within `patience`.
    pub(super) fn stop(&mut self, patience: Duration) {
        self.signal(Signal::TERM);
        if self.wait(patience).is_none() {
            tracing::warn!(pid = self.pid, "the embedded ClickHouse did not end by SIGTERM: killing it");
            self.signal(Signal::KILL);
        }
        if let Some(keeper) = self.keeper.take() {
            // It panics nowhere; and a panic there would leave nothing to do here.
            let _ = keeper.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the child's end without reaping it, then reaps it under the lock that signals are sent under.
fn keep(pid: u32, shared: &Shared) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the kernel's process ids are positive");
    while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
    let mut state = shared.lock();
    match state.child.wait() {
        Ok(status) => state.exit = Some(status),
        Err(error) => unreachable!("a child that is ours and was not reaped can be waited for: {error}"),
    }
    drop(state);
    shared.ended.notify_all();
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command).unwrap()
    }

    #[test]
    fn an_end_is_noticed_with_its_status() {
        let mut process = shell("exit 7");
        assert_eq!(process.wait(LONG).unwrap().code(), Some(7));
        assert_eq!(process.exit().unwrap().code(), Some(7));
        process.stop(LONG);
    }

    #[test]
    fn a_child_that_runs_is_waited_for_no_longer_than_asked() {
        let mut process = shell("exec sleep 1000");
        assert_eq!(process.wait(Duration::from_millis(10)), None);
        process.stop(LONG);
        assert_eq!(process.exit().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo; while :; do sleep 1; done"]).stdout(std::process::Stdio::piped());
        let mut process = Process::spawn(command).unwrap();
        let mut out = process.shared.lock().child.stdout.take().unwrap();
        io::Read::read_exact(&mut out, &mut [0]).unwrap();
        process.stop(Duration::from_millis(50));
        assert_eq!(process.exit().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = Process::spawn(Command::new("/nonexistent/program")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
