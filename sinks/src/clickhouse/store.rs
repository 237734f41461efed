//! What the sink asks of a server, as a trait: ClickHouse is one, and a test's twin that loses connections, forgets
//! tokens and dies between two inserts is another.
//!
//! A store keeps tables of rows, inserted under tokens. What it must do, and what it may do, is said at each method; a
//! twin may do everything that is not ruled out there.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use longshore_core::slice::SliceId;

use super::client::ClickHouse;
use super::error::ClientError;

/// A server that slices are stored in. Called from several threads at once.
pub trait Store: Send + Sync {
    /// Name of the database that holds the tables, for messages.
    fn database(&self) -> &str;

    /// Inserts a batch into a table of the database, at most once for this token while the token is remembered. Blocks
    /// until the server has it. An empty batch is nothing to insert.
    ///
    /// An insert is atomic within a partition, and no further: after an error some partitions may have their rows.
    /// Tokens are remembered by table and partition; a token that is remembered keeps the rows out, whatever they are.
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
}

impl Store for ClickHouse {
    fn database(&self) -> &str {
        ClickHouse::database(self)
    }

    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        ClickHouse::insert(self, table, token, batch)
    }

    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        ClickHouse::whole_slices(self, slices)
    }
}
