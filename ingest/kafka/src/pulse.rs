//! Renews a membership's term for as long as the process is alive and librdkafka takes itself for a member.
//!
//! A thread of its own, since the feed's may wait for minutes while nothing can be stored: the member stays one all the
//! while, by heartbeats that librdkafka sends in the background.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use longshore_ingest::feed::Term;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::context::Context;

/// How often it looks, as a share of the session.
const SHARE_OF_SESSION: u32 = 10;

/// The thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Dropped to end it.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// Begins, and calls `ended` if the term ends before this value does.
    pub(crate) fn begin(
        consumer: &Arc<BaseConsumer<Context>>,
        term: Term,
        session: Duration,
        ended: impl Fn() + Send + 'static,
    ) -> std::io::Result<Pulse> {
        let consumer: Weak<_> = Arc::downgrade(consumer);
        let (alive, dropped) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("kafka-pulse".into()).spawn(move || {
            while dropped.recv_timeout(session / SHARE_OF_SESSION) == Err(RecvTimeoutError::Timeout) {
                let Some(consumer) = consumer.upgrade() else { return };
                if consumer.assignment_lost() || !term.renew() {
                    term.end();
                    return ended();
                }
            }
        })?;
        Ok(Pulse { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and what it would have said is over.
            let _ = thread.join();
        }
    }
}
