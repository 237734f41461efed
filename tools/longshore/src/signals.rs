//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once. SIGHUP, for a service: reload.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;

/// A flag that the first SIGINT or SIGTERM sets, for a command that would end by itself. The second ends the process; an
/// embedded server ends with it. `doing` says in a log line what an orderly end is.
pub(crate) fn stop_on_interrupt(doing: &'static str) -> io::Result<Arc<AtomicBool>> {
    stop(move || tracing::warn!("stopping: {doing}; interrupt again to end at once"))
}

/// The same for a command that runs until it is told to stop, so that this is nothing to be warned of.
pub(crate) fn stop_when_told(doing: &'static str) -> io::Result<Arc<AtomicBool>> {
    stop(move || tracing::info!("stopping: {doing}; interrupt again to end at once"))
}

fn stop(say: impl Fn() + Send + 'static) -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let flag = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(Exit::Interrupted as i32);
            }
            say();
        }
    })?;
    Ok(stop)
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
