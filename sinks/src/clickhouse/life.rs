//! Which server answers, and since when it runs: what a server acknowledged can be relied on while it lives.
//!
//! One that comes back may have lost what it acknowledged: it lost power and did not sync, it was restored from a backup, or
//! the URL leads to another one now. To ask before each slice would be a query a slice, so it is asked where it may have
//! changed: a server that ends closes its connections, so that whoever talks to the next one has opened a new connection, and
//! asks before a slice is called whole. Two starts within two seconds are taken for one. Behind a proxy, which keeps connections that its server does not, the service's [ping](ClickHouse::ping) finds out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use longshore_core::limits::PING_ANSWER_MS;
use tower_service::Service;

use super::client::{ClickHouse, QUERY_TIMEOUT};
use super::error::ClientError;

/// A server's life, from its start to its end, by numbers that grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Another one: what was acknowledged before says nothing.
    pub server: u64,
    /// The same one or another, started anew: what was acknowledged before is there if it was on the disk.
    pub start: u64,
}

/// What is known of the server behind a connection. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives {
    /// Connections that were opened, or were about to be.
    connects: Arc<AtomicU64>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    life: Life,
    server: Option<Server>,
    /// Connections that were opened before the look; none opened since: it is still the same.
    connects: u64,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    uuid: String,
    uptime: u64,
    /// When it said so, at the latest.
    at: Instant,
}

impl Server {
    /// Whether this uptime, which was asked for at that time, may be one of the same process. The clocks of two machines
    /// need not agree to the second.
    fn runs_on(&self, asked: Instant, uptime: u64) -> bool {
        let passed = asked.saturating_duration_since(self.at).as_secs();
        uptime + 1 >= self.uptime + passed
    }
}

impl Seen {
    fn server_is(&mut self, asked: Instant, now: Server) {
        let (server, start) = match &self.server {
            None => (false, false),
            Some(before) => (before.uuid != now.uuid, !before.runs_on(asked, now.uptime)),
        };
        self.life.server += u64::from(server);
        self.life.start += u64::from(server || start);
        if server || start {
            let what = if server { "another ClickHouse answers now" } else { "ClickHouse was started again" };
            tracing::warn!("{what}: what it acknowledged before is not relied on, but looked up or sent again");
        }
        self.server = Some(now);
    }
}

impl ClickHouse {
    /// The life of the server that answers. Asks it if a connection was opened since it was asked last.
    ///
    /// # Errors
    /// It is away or refuses.
    pub fn life(&self) -> Result<Life, ClientError> {
        let seen = self.lives().seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.server.is_some() && seen.connects == self.lives().connects.load(Ordering::Acquire) {
            true => Ok(seen.life),
            false => {
                drop(seen);
                self.look(QUERY_TIMEOUT)
            }
        }
    }

    /// Whether it answers, within a few seconds.
    ///
    /// # Errors
    /// It is away or refuses.
    pub fn ping(&self) -> Result<(), ClientError> {
        self.look(Duration::from_millis(PING_ANSWER_MS)).map(drop)
    }

    fn look(&self, limit: Duration) -> Result<Life, ClientError> {
        let connects = self.lives().connects.load(Ordering::Acquire);
        let asked = Instant::now();
        let rows = self.rows_within(limit, "SELECT toString(serverUUID()), uptime()")?;
        let [uuid, uptime] = rows.into_iter().next().and_then(|row| row.try_into().ok()).unwrap_or_default();
        let uptime = uptime.parse().map_err(|_| ClientError::Invalid(format!("uptime() is `{uptime}`")))?;
        let mut seen = self.lives().seen.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer that took longer than another's to the same question says less.
        if seen.server.as_ref().is_none_or(|server| server.at <= asked) {
            seen.server_is(asked, Server { uuid, uptime, at: Instant::now() });
            seen.connects = connects;
        }
        Ok(seen.life)
    }
}

impl Lives {
    /// A connector whose connections are counted.
    pub(super) fn count<C>(&self, connector: C) -> Counting<C> {
        Counting { connector, connects: self.connects.clone() }
    }
}

/// A connector that counts.
#[derive(Debug, Clone)]
pub(super) struct Counting<C> {
    connector: C,
    connects: Arc<AtomicU64>,
}

impl<C: Service<To>, To> Service<To> for Counting<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: To) -> C::Future {
        self.connects.fetch_add(1, Ordering::AcqRel);
        self.connector.call(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_and_another_server_are_told_from_time_that_passes() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut seen = Seen::default();
        let mut look = |seconds: u64, uuid: &str, uptime: u64| {
            let server = Server { uuid: uuid.to_owned(), uptime, at: at(seconds) };
            seen.server_is(at(seconds), server);
            (seen.life.server, seen.life.start)
        };
        assert_eq!(look(0, "a", 100), (0, 0));
        assert_eq!(look(10, "a", 110), (0, 0));
        // Rounded down here and up there.
        assert_eq!(look(20, "a", 119), (0, 0));
        assert_eq!(look(21, "a", 121), (0, 0));
        // Started again while nobody looked, long enough ago to have run for longer.
        assert_eq!(look(1_000, "a", 900), (0, 1));
        assert_eq!(look(1_010, "a", 910), (0, 1));
        assert_eq!(look(1_020, "a", 0), (0, 2));
        assert_eq!(look(1_030, "b", 10), (1, 3));
        assert_eq!(look(1_040, "b", 20), (1, 3));
    }
}
