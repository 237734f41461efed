//! A trial: a sample's slices inserted into a database of their own, to see what the server makes of them.
//!
//! The database is new, has every table and rollup that the config declares, and is dropped at the end whatever happens,
//! so that nothing of the user's is touched. Slices go in as in a load: the same sink, the same settings, as many inserts
//! at once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use longshore_core::config::Config;
use longshore_core::limits::BEHIND_WAIT_MS;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError, Stored};
use longshore_ingest::stages::Cost;

use super::apply::ApplyError;
use super::client::ClickHouse;
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::ClientError;
use super::insert::stream_bytes;
use super::partials::Partials;
use super::schema::Schema;
use super::scratch::{Scratch, scratch_name};
use super::sink::ClickHouseSink;
use super::sql::quote_table;

/// What stands between a database's name and the random end of its trial's.
const PURPOSE: &str = "bench";
/// How long the server is watched for work that is not ours.
const WATCH: Duration = Duration::from_millis(300);

/// Inserts samples as a config would, elsewhere.
pub struct Trial<'a> {
    clickhouse: &'a ClickHouse,
    config: Config,
}

/// What one insert of all slices took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialRun {
    /// Of this process: encoding, sending, waiting.
    pub client: Cost,
    /// CPU time that the server counted meanwhile, its merges included; `None` if it does not let us see.
    pub server_cpu: Option<Duration>,
}

/// Why a trial was not done.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The tables could not be made.
    #[error("the tables of the trial were not made: {0}")]
    Schema(#[from] ApplyError),
    /// ClickHouse refused or is away.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// An insert failed.
    #[error("{0}")]
    Insert(#[from] SinkError),
    /// What is stored is not what was sent.
    #[error("ClickHouse holds {found} in {table} after {sent} were inserted: what it did cannot be measured")]
    Lost {
        /// The table.
        table: String,
        /// Rows sent.
        sent: u64,
        /// Rows found.
        found: u64,
    },
    /// A stop was asked for.
    #[error("stopped before everything was measured")]
    Stopped,
}

impl<'a> Trial<'a> {
    /// A trial of that config on that server, in a database that nobody has.
    pub fn new(clickhouse: &'a ClickHouse, config: &Config) -> Trial<'a> {
        let mut config = config.clone();
        let name = &mut config.clickhouse.database;
        *name = scratch_name(name, PURPOSE);
        Trial { clickhouse, config }
    }

    /// The database of the trial.
    pub fn database(&self) -> &str {
        &self.config.clickhouse.database
    }

    /// Databases that trials of this config left behind: killed ones, or such that run at this moment.
    ///
    /// # Errors
    /// ClickHouse refuses or is away.
    pub fn left_behind(clickhouse: &ClickHouse, config: &Config) -> Result<Vec<String>, ClientError> {
        Scratch::left_behind(clickhouse, &config.clickhouse.database, PURPOSE)
    }

    /// Cores that the server uses for others' work at this moment; `None` if it does not let us see.
    pub fn busy_cores(&self) -> Option<f64> {
        let before = self.server_cpu()?;
        let (after, cost) = Cost::of(|| {
            std::thread::sleep(WATCH);
            self.server_cpu()
        });
        Some(after?.saturating_sub(before).as_secs_f64() / cost.wall.as_secs_f64())
    }

    /// Creates the database, inserts all slices, checks that they are there, and drops it.
    ///
    /// # Errors
    /// Anything of that failed, or `stop` was set. The database is gone then too, unless the server is.
    pub fn run(&self, slices: &[LoadedSlice], stop: &AtomicBool) -> Result<TrialRun, TrialError> {
        let scratch = Scratch::named(self.clickhouse, self.database());
        let clickhouse = scratch.clickhouse();
        Schema::from_config(&self.config).without_comments().apply(clickhouse)?;
        let sink = ClickHouseSink::new(clickhouse, &self.config)?;
        let before = self.server_cpu();
        let (inserted, client) = Cost::of(|| self.insert_all(&sink, slices, stop));
        let after = self.server_cpu();
        self.check(clickhouse, slices, inserted?)?;
        drop(scratch);
        let server_cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        Ok(TrialRun { client, server_cpu })
    }

    /// As many inserts at once as in a load. How many rows were left out, because others are the same event.
    fn insert_all(&self, sink: &ClickHouseSink, slices: &[LoadedSlice], stop: &AtomicBool) -> Result<u64, TrialError> {
        let (next, duplicates, first_error) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..self.config.clickhouse.inserts_in_flight {
                scope.spawn(|| {
                    while let Some(slice) = slices.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let written = match stop.load(Ordering::Relaxed) {
                            true => Err(TrialError::Stopped),
                            false => insert(sink, slice),
                        };
                        if let Ok(stored) = &written {
                            let rows: u64 = stored.duplicates.iter().map(|(_, rows)| rows).sum();
                            duplicates.fetch_add(rows, Ordering::Relaxed);
                        }
                        if let Err(error) = written {
                            next.store(slices.len(), Ordering::Relaxed);
                            first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        }
                    }
                });
            }
        });
        first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(duplicates.into_inner()), Err)
    }

    /// The server has what was sent.
    fn check(&self, clickhouse: &ClickHouse, slices: &[LoadedSlice], duplicates: u64) -> Result<(), TrialError> {
        let sum = |of: fn(&LoadedSlice) -> usize| slices.iter().map(|slice| of(slice) as u64).sum::<u64>();
        for (table, sent) in [
            (self.config.table.name.as_str(), sum(|slice| slice.decoded.batch.num_rows()) - duplicates),
            (DEAD_LETTERS, sum(|slice| slice.decoded.dead.len())),
            (LEDGER, slices.len() as u64),
        ] {
            let table = quote_table(self.database(), table);
            let count = clickhouse.value(&format!("SELECT count() FROM {table}"))?;
            let found = count.parse().map_err(|_| ClientError::Invalid(format!("`{count}` is not a count")))?;
            if found != sent {
                return Err(TrialError::Lost { table, sent, found });
            }
        }
        Ok(())
    }

    /// CPU time of all that the server did for queries, inserts and merges since it was started.
    fn server_cpu(&self) -> Option<Duration> {
        let sql =
            "SELECT sum(value) FROM system.events WHERE event IN ('UserTimeMicroseconds', 'SystemTimeMicroseconds')";
        let micros = self.clickhouse.value(sql).inspect_err(|error| tracing::debug!("system.events: {error}")).ok()?;
        micros.parse().ok().map(Duration::from_micros)
    }
}

/// Inserts a slice, after those that it has to wait for: they are being inserted by the other threads.
fn insert(sink: &ClickHouseSink, slice: &LoadedSlice) -> Result<Stored, TrialError> {
    loop {
        match sink.write(slice) {
            Err(SinkError::Behind { .. }) => std::thread::sleep(Duration::from_millis(BEHIND_WAIT_MS)),
            written => return written.map_err(TrialError::Insert),
        }
    }
}

/// What the engine's cores do for an insert, without a server.
pub struct Rehearsal {
    partials: Option<Partials>,
}

impl Rehearsal {
    /// For inserts under that config.
    pub fn new(config: &Config) -> Rehearsal {
        Rehearsal { partials: Partials::unchecked(config) }
    }

    /// The config has rollups.
    pub fn aggregates(&self) -> bool {
        self.partials.is_some()
    }

    /// What a batch adds to the rollups, one batch for each. Every user is new, as in a first load.
    pub fn aggregate(&self, events: &RecordBatch) -> Vec<RecordBatch> {
        let inserts = self.partials.iter().flat_map(|partials| partials.inserts(events));
        inserts.map(|mut insert| insert.take_rows()).collect()
    }

    /// Encodes a batch as for an insert and throws the stream away: its bytes.
    ///
    /// # Errors
    /// The batch has a type that an Arrow stream has not.
    pub fn encode(&self, events: &RecordBatch) -> Result<u64, ClientError> {
        stream_bytes(events)
    }
}
