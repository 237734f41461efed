//! A sink that finds out what server and tables promise before it goes on after a failure.
//!
//! A server that was away may come back as another one: upgraded, restored from a backup, with tables that somebody
//! changed meanwhile. So after any attempt that failed, on whichever sink of the connection, and where the server was
//! started again though nothing failed, the [preflight](super::preflight())
//! comes before the next slice. What it finds below the config's guarantee is a pause, and is looked at again with each
//! attempt, so that the sink goes on by itself once it is mended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_core::config::Config;
use longshore_ingest::sink::{LoadedSlice, RejectedRow, Sink, SinkError, Stored};

use super::client::ClickHouse;
use super::error::Rows;
use super::life::Life;
use super::preflight::preflight;
use super::sink::ClickHouseSink;

/// Attempts that failed, counted by all sinks of a connection together.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<AtomicU64>);

/// A [`ClickHouseSink`] that looks again after failures. Made after a preflight that was satisfied.
#[derive(Debug)]
pub struct GuardedSink {
    sink: ClickHouseSink,
    config: Config,
    failures: Failures,
    looked_after: Mutex<LookedAfter>,
}

/// What the last preflight came after.
#[derive(Debug)]
struct LookedAfter {
    failures: u64,
    /// The life of the server that it was of; not known of the one before the first slice.
    life: Option<Life>,
}

impl GuardedSink {
    /// A sink of a connection whose failures are counted there.
    pub fn new(sink: ClickHouseSink, config: &Config, failures: &Failures) -> GuardedSink {
        let looked_after = Mutex::new(LookedAfter { failures: failures.0.load(Ordering::Acquire), life: None });
        GuardedSink { sink, config: config.clone(), failures: failures.clone(), looked_after }
    }

    /// Looks, if something has failed since the last look, or the server was started again without anybody's noticing. Whoever else wants to send waits for what is found.
    fn look(&self) -> Result<(), SinkError> {
        let mut looked_after = self.looked_after.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = self.failures.0.load(Ordering::Acquire);
        let clickhouse: &ClickHouse = self.sink.store();
        let life = clickhouse
            .life()
            .map_err(|error| error.into_sink_error("asking ClickHouse since when it runs", Rows::Ours))?;
        if looked_after.failures == failures && looked_after.life.is_none_or(|before| before == life) {
            looked_after.life = Some(life);
            return Ok(());
        }
        let found = preflight(clickhouse, &self.config)
            .map_err(|error| error.into_sink_error("finding out what ClickHouse promises", Rows::Ours))?;
        if let Some(refusal) = found.refusal(self.config.clickhouse.guarantee, clickhouse.database()) {
            let sentence: Vec<&str> = refusal.lines().map(str::trim).collect();
            return Err(SinkError::Pause { detail: sentence.join("; ") });
        }
        tracing::debug!("after a failure: {}", found.grade());
        *looked_after = LookedAfter { failures, life: Some(life) };
        Ok(())
    }

    fn attempt<T>(&self, send: impl FnOnce(&ClickHouseSink) -> Result<T, SinkError>) -> Result<T, SinkError> {
        self.look()?;
        send(&self.sink).inspect_err(|error| {
            // A slice that waits for another one says nothing of the server.
            if !matches!(error, SinkError::Behind { .. }) {
                self.failures.0.fetch_add(1, Ordering::AcqRel);
            }
        })
    }
}

impl Sink for GuardedSink {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.attempt(|sink| sink.write(slice))
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.attempt(|sink| sink.resume(slice))
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        self.attempt(|sink| sink.rejected(slice))
    }
}
