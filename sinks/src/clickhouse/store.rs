//! What the sink asks of a server, as a trait: ClickHouse is one, and a test's twin that loses connections, forgets
//! tokens and dies between two inserts is another.
//!
//! A store keeps tables of rows, inserted under tokens. What it must do, and what it may do, is said at each method; a
//! twin may do everything that is not ruled out there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow_array::RecordBatch;
use longshore_core::dead_letter::Reason;
use longshore_core::dedup::EventKey;
use longshore_core::slice::SliceId;
use longshore_ingest::sink::SliceMeta;

use super::claims::Claim;
use super::client::ClickHouse;
use super::error::ClientError;
use super::life::Life;

/// Days since 1970-01-01, UTC: the events table has a partition each.
pub type Day = i32;

/// A server that slices are stored in. Called from several threads at once.
pub trait Store: Send + Sync {
    /// Name of the database that holds the tables, for messages.
    fn database(&self) -> &str;

    /// The life of the server that answers now: another one than before, and what was acknowledged before may be gone. Asked
    /// before and after something was sent, it tells whether the server that has it still lives. One that never loses what
    /// it acknowledged need not tell.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn life(&self) -> Result<Life, ClientError> {
        Ok(Life::default())
    }

    /// Inserts a batch into a table of the database, at most once for this token while the token is remembered. Blocks
    /// until the server has it. An empty batch is nothing to insert.
    ///
    /// An insert is atomic within a partition, and no further: after an error some partitions may have their rows.
    /// Tokens are remembered by table and partition; a token that is remembered keeps the rows out, whatever they are.
    /// A server that dies in an insert may remember the token and lose the rows; one that loses power, the other way round.
    ///
    /// # Errors
    /// [`ClientError::Network`] and [`ClientError::TimedOut`]: nobody knows whether the rows are there, or will be in a
    /// moment. [`ClientError::Server`]: the server's own code says what is wrong.
    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError>;

    /// Which of these slices are in the ledger, and so are whole. Any number may be asked for.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError>;

    /// Whether a slice is in the ledger. A server finds it by its source and its start.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn is_whole(&self, slice: &SliceMeta) -> Result<bool, ClientError> {
        Ok(self.whole_slices(&[slice.id])?.contains(&slice.id))
    }

    /// How many rows of a slice the events table has on each of these days; a day without any is left out. `time` is the
    /// column of the event time.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn rows_by_day(
        &self,
        events: &str,
        time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError>;

    /// Whether no insert of a slice, whose tokens all begin with its id, is under way in the server, and what those before
    /// left in this table shows. False where that cannot be known, as of a replica that may lag.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn is_quiet(&self, table: &str, slice: SliceId) -> Result<bool, ClientError>;

    /// How many dead letters of a slice there are, but for those of event times that are too far away.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError>;

    /// Makes a table whose columns and constraints are those of the events, and which keeps nothing; its name.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn open_trial(&self, events: &str) -> Result<String, ClientError>;

    /// Sees whether a trial takes these rows.
    ///
    /// # Errors
    /// What the events would answer to them; the server is away or refuses.
    fn try_rows(&self, trial: &str, rows: &RecordBatch) -> Result<(), ClientError>;

    /// Drops a trial.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn close_trial(&self, trial: &str) -> Result<(), ClientError>;

    /// The records' numbers of a slice's dead letters for that reason.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError>;

    /// The claims in a table to these keys: all of other slices, and of this one those to the first key at least.
    ///
    /// All claims of one insert have one block number, larger than that of any claim that could be seen when it was
    /// inserted, and it never changes.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn claims(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError>;

    /// On which of these days the table of a rollup by minute has a slice: those of which the slice's marker is there.
    ///
    /// # Errors
    /// The server is away or refuses.
    fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError>;
}

impl Store for ClickHouse {
    fn database(&self) -> &str {
        ClickHouse::database(self)
    }

    fn life(&self) -> Result<Life, ClientError> {
        ClickHouse::life(self)
    }

    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        ClickHouse::insert(self, table, token, batch)
    }

    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        ClickHouse::whole_slices(self, slices)
    }

    fn is_whole(&self, slice: &SliceMeta) -> Result<bool, ClientError> {
        ClickHouse::is_whole(self, slice)
    }

    fn rows_by_day(
        &self,
        events: &str,
        time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError> {
        ClickHouse::rows_by_day(self, events, time, slice, days)
    }

    fn is_quiet(&self, table: &str, slice: SliceId) -> Result<bool, ClientError> {
        ClickHouse::is_quiet(self, table, slice)
    }

    fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError> {
        ClickHouse::dead_letters(self, slice)
    }

    fn open_trial(&self, events: &str) -> Result<String, ClientError> {
        ClickHouse::open_trial(self, events)
    }

    fn try_rows(&self, trial: &str, rows: &RecordBatch) -> Result<(), ClientError> {
        // It keeps nothing, so that the token stands for nothing.
        ClickHouse::insert(self, trial, trial, rows)
    }

    fn close_trial(&self, trial: &str) -> Result<(), ClientError> {
        ClickHouse::close_trial(self, trial)
    }

    fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError> {
        ClickHouse::dead_rows(self, slice, reason)
    }

    fn claims(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        ClickHouse::claims(self, table, slice, keys)
    }

    fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        ClickHouse::marked(self, table, slice, days)
    }
}
