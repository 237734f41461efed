//! Ctrl-C and SIGTERM: the first asks for an orderly end, and the process is gone within a certain time; the second ends at
//! once. SIGHUP, for a service: reload.
//!
//! An orderly end waits for others: ClickHouse, a disk, a broker. Each may hang, so there are two deadlines. At the first all
//! calls to ClickHouse fail, and what waited for them ends in order. At the second the process ends as it is, which is safe
//! at any moment: what is in doubt is known to the journal, the group or the ledger.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use longshore_core::limits::{CLOSING_MS, EMBEDDED_STOP_SECONDS_MAX, STARTING_MS};
use longshore_sinks::clickhouse::Calls;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::exit::{Exit, Failure};

/// How long the last words may take: whoever reads them may hang too.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a command is asked by signals. Clones are the same.
#[derive(Clone)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    calls: Calls,
    phases: Sender<Phase>,
}

/// What an end means at a stage of a command. The deadlines count from the signal, or from the stage's begin if that is later.
pub(crate) struct Phase {
    begin: Instant,
    /// When calls to ClickHouse are given up; none: somebody else sees to that.
    calls: Option<Duration>,
    /// When the process ends as it is.
    end: Duration,
    /// What is said of what is left then, one sentence.
    left: Box<dyn Fn() -> String + Send>,
}

impl Phase {
    /// Calls may go on for so long, and the process ends by itself soon after.
    pub(crate) fn calls_end_after(calls: Duration, left: impl Fn() -> String + Send + 'static) -> Self {
        Phase { calls: Some(calls), ..Self::ends_after(calls, left) }
    }

    /// The process ends by itself soon after so long. Whoever knows when calls are over gives them up.
    pub(crate) fn ends_after(time: Duration, left: impl Fn() -> String + Send + 'static) -> Self {
        let end = time.saturating_add(Duration::from_millis(CLOSING_MS));
        Phase { begin: Instant::now(), calls: None, end, left: Box::new(left) }
    }
}

impl Phase {
    /// Server and tables are looked at, and nothing is under way yet.
    pub(crate) fn starting(left: &'static str) -> Self {
        Phase::calls_end_after(Duration::from_millis(STARTING_MS), move || left.to_owned())
    }

    /// What is left to do is done, and the embedded server ends: it has a time of its own.
    pub(crate) fn closing(left: impl Fn() -> String + Send + 'static) -> Self {
        Phase::calls_end_after(Duration::ZERO, left).and(Duration::from_secs(EMBEDDED_STOP_SECONDS_MAX))
    }

    fn and(mut self, time: Duration) -> Self {
        self.end += time;
        self
    }
}

impl Stop {
    /// From now on the first SIGINT or SIGTERM asks for an end. The second ends the process; an embedded server ends with it.
    /// `doing` says in a log line what an orderly end is.
    pub(crate) fn on_interrupt(doing: &'static str, first: Phase) -> io::Result<Stop> {
        Self::on(first, move || tracing::warn!("stopping: {doing}; interrupt again to end at once"))
    }

    /// The same for a command that runs until it is told to stop, so that this is nothing to be warned of.
    pub(crate) fn when_told(doing: &'static str, first: Phase) -> io::Result<Stop> {
        Self::on(first, move || tracing::info!("stopping: {doing}; interrupt again to end at once"))
    }

    fn on(first: Phase, begin: impl FnOnce() + Send + 'static) -> io::Result<Stop> {
        let asked = Arc::new(AtomicBool::new(false));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In the handler itself, so that no thread that hangs keeps it from that. In this order: the first sets it.
            flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, again.clone())?;
            flag::register(signal, again.clone())?;
            flag::register(signal, asked.clone())?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let early = asked.load(Ordering::Relaxed);
        let (phases, next) = channel();
        let calls = Calls::default();
        let stop = Stop { asked, calls: calls.clone(), phases };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if early || signals.forever().next().is_some() {
                say(begin);
                keep_deadlines(first, &next, &calls);
            }
        })?;
        Ok(stop)
    }

    /// Another stage begins.
    pub(crate) fn phase(&self, phase: Phase) {
        // The thread is gone if the process ends this moment.
        let _ = self.phases.send(phase);
    }

    /// Whether an end was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the start of a command came to; if an end was asked for meanwhile, what that leaves.
    pub(crate) fn unless_asked<T>(&self, started: Result<T, Failure>, left: &'static str) -> Result<T, Failure> {
        started.map_err(|failure| match self.is_asked() {
            true => {
                tracing::debug!("{:#}", failure.error);
                Failure { exit: Exit::Interrupted, error: anyhow!("stopped while it started: {left}") }
            }
            false => failure,
        })
    }

    /// The same, for who looks. Others may set it, too.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.asked
    }

    /// The calls to ClickHouse that the deadline is for.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }
}

/// An end was asked for now: gives up calls and ends the process when it is time.
fn keep_deadlines(first: Phase, next: &Receiver<Phase>, calls: &Calls) {
    let asked = Instant::now();
    let mut phase = next.try_iter().last().unwrap_or(first);
    loop {
        let since = asked.max(phase.begin);
        if phase.calls.is_some_and(|limit| since.elapsed() >= limit) {
            calls.end();
        }
        let left = phase.end.saturating_sub(since.elapsed());
        if left.is_zero() {
            end_now(&phase);
        }
        match next.recv_timeout(left.min(DEADLINE_STEP)) {
            Ok(later) => phase = later,
            Err(RecvTimeoutError::Timeout) => {}
            // The command is over; the process has its summary to print.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(DEADLINE_STEP),
        }
    }
}

/// How exactly deadlines are kept.
const DEADLINE_STEP: Duration = Duration::from_millis(50);

/// Ends the process without another step of any other thread.
fn end_now(phase: &Phase) -> ! {
    let left = (phase.left)();
    say(move || tracing::error!("ending now, since what was waited for does not end in time: {left}"));
    low_level::exit(Exit::Interrupted as i32)
}

/// Has another thread say something, and waits for that within reason.
fn say(words: impl FnOnce() + Send + 'static) {
    let (done, said) = sync_channel(1);
    let thread = std::thread::Builder::new().name("last-words".into()).spawn(move || {
        words();
        let _ = done.send(());
    });
    if thread.is_ok() {
        let _ = said.recv_timeout(LAST_WORDS);
    }
}

/// SIGHUPs from now on. Those that come before one was taken count as one.
pub(crate) fn hangups() -> io::Result<Receiver<()>> {
    let (send, hangups) = sync_channel(1);
    let mut signals = Signals::new([SIGHUP])?;
    std::thread::Builder::new().name("hangups".into()).spawn(move || {
        for _ in signals.forever() {
            // A full channel holds one that will be taken after this.
            let _ = send.try_send(());
        }
    })?;
    Ok(hangups)
}
