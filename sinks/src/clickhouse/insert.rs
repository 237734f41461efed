//! One insert: a record batch as an Arrow IPC stream over HTTP, under a deduplication token.
//!
//! The batch's buffers go to the socket as they are. Only what is small (validity bitmaps, offsets of small columns,
//! messages) is gathered into one chunk first, so that it does not cost a write each; big buffers are sent in pieces,
//! so that each piece that leaves is a sign of life for the timeout.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use bytes::{Bytes, BytesMut};

use super::client::ClickHouse;
use super::error::ClientError;
use super::sql::{name_list, quote_table, quote_text};

/// Bytes handed to the connection at once; with LZ4, a block.
const CHUNK_BYTES: usize = 1 << 20;
/// Buffers below this are gathered instead of sent on their own.
const GATHER_BYTES: usize = 64 << 10;
/// A chunk that does not leave within this has lost its server. Long, because a server that merges more slowly than it
/// is fed makes an insert wait on purpose.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the server to write an insert, once it has all bytes.
const END_TIMEOUT: Duration = Duration::from_secs(600);

/// What makes an insert exactly-once and one block, whatever the server's or the user's profile says.
const SETTINGS: [(&str, &str); 15] = [
    // The token decides, in the table and in every view that somebody has put behind it, synchronously.
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("async_insert", "0"),
    ("materialized_views_ignore_errors", "0"),
    // One batch is one block: a block is what is inserted whole or not at all (by partition) under its token.
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "0"),
    ("input_format_parallel_parsing", "0"),
    // A slice's rows in a rollup have a key each: there is nothing to aggregate before they are written.
    ("optimize_on_insert", "0"),
    // A slice may hold records of any number of days.
    ("max_partitions_per_insert_block", "0"),
    // A column that does not fit is an error, never a default.
    ("input_format_null_as_default", "0"),
    ("input_format_arrow_allow_missing_columns", "0"),
    ("insert_null_as_default", "0"),
    ("date_time_overflow_behavior", "throw"),
    ("input_format_arrow_case_insensitive_column_matching", "0"),
];

impl ClickHouse {
    /// Inserts a batch into a table of the database, at most once for this token. Blocks until ClickHouse has it.
    ///
    /// An empty batch is nothing to insert.
    pub fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let schema = batch.schema();
        let columns = name_list(schema.fields().iter().map(|field| field.name().as_str()));
        let sql = format!("INSERT INTO {} ({columns}) FORMAT ArrowStream", quote_table(self.database(), table));
        let chunks = Chunks::new(encode(batch)?);
        let mut insert = self.client().insert_formatted_with(sql).with_setting("insert_deduplication_token", token);
        for (name, value) in self.insert_settings() {
            insert = insert.with_setting(name, value);
        }
        let mut insert = insert.with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT));
        self.block_on(async {
            for chunk in chunks {
                insert.send(chunk).await?;
            }
            Ok(insert.end().await?)
        })
    }

    /// What the server applies to our inserts: the settings of every insert and these, by name, sent as an insert sends
    /// them. A setting that it does not have is not among them.
    pub(super) fn applied_insert_settings(&self, more: &[&str]) -> Result<HashMap<String, String>, ClientError> {
        let names = self.insert_settings().map(|(name, _)| name).chain(more.iter().copied());
        let list: Vec<String> = names.map(quote_text).collect();
        let sql = format!("SELECT name, value FROM system.settings WHERE name IN ({})", list.join(", "));
        let rows = self.rows_with(&sql, self.insert_settings())?;
        Ok(rows.into_iter().filter_map(|row| <[String; 2]>::try_from(row).ok().map(Into::into)).collect())
    }

    pub(super) fn insert_settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let strict = (self.version() >= STRICT_DEDUPLICATION_SINCE).then_some(("deduplicate_insert", "enable"));
        SETTINGS.into_iter().chain(strict)
    }
}

/// Versions from here on have `deduplicate_insert`, which overrules `insert_deduplicate`.
const STRICT_DEDUPLICATION_SINCE: (u32, u32) = (26, 2);

/// A batch as an Arrow IPC stream; its buffers are shared, not copied.
fn encode(batch: &RecordBatch) -> Result<Vec<Buffer>, ClientError> {
    let invalid = |cause| ClientError::Invalid(format!("a batch cannot be written as an Arrow stream: {cause}"));
    let mut encoder = StreamEncoder::try_new(&batch.schema()).map_err(invalid)?;
    let mut buffers = encoder.encode(batch).map_err(invalid)?;
    buffers.extend(encoder.finish().map_err(invalid)?);
    Ok(buffers)
}

/// Bytes of a batch as an Arrow IPC stream, cut into chunks as for an insert.
pub(super) fn stream_bytes(batch: &RecordBatch) -> Result<u64, ClientError> {
    Ok(Chunks::new(encode(batch)?).map(|chunk| chunk.len() as u64).sum())
}

/// Buffers as chunks of a request: the same bytes in the same order.
struct Chunks {
    buffers: std::vec::IntoIter<Buffer>,
    gathered: BytesMut,
    large: Bytes,
}

impl Chunks {
    fn new(buffers: Vec<Buffer>) -> Self {
        Chunks { buffers: buffers.into_iter(), gathered: BytesMut::new(), large: Bytes::new() }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.large.is_empty() {
            match self.buffers.next() {
                Some(buffer) if buffer.len() < GATHER_BYTES => {
                    self.gathered.extend_from_slice(&buffer);
                    if self.gathered.len() >= CHUNK_BYTES {
                        return Some(self.gathered.split().freeze());
                    }
                }
                Some(buffer) => {
                    self.large = Bytes::from_owner(buffer);
                    if !self.gathered.is_empty() {
                        return Some(self.gathered.split().freeze());
                    }
                }
                None if self.gathered.is_empty() => return None,
                None => return Some(self.gathered.split().freeze()),
            }
        }
        let bytes = self.large.len().min(CHUNK_BYTES);
        Some(self.large.split_to(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_the_same_bytes_in_the_same_order() {
        let sizes = [0, 10, 70_000, 3, 2_500_000, CHUNK_BYTES, 1, GATHER_BYTES - 1, GATHER_BYTES, 5];
        let buffers: Vec<Buffer> =
            sizes.iter().enumerate().map(|(index, &size)| Buffer::from(vec![index as u8; size])).collect();
        let expected: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect();
        let chunks: Vec<Bytes> = Chunks::new(buffers).collect();
        assert_eq!(chunks.concat(), expected);
        assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK_BYTES + GATHER_BYTES));
        // 10 | 70,000 | 3 | 2,500,000 in 3 | 1 MiB | 1 + 65,535 | 64 KiB | 5
        assert_eq!(chunks.len(), 10);
    }

    #[test]
    fn many_small_buffers_become_few_chunks() {
        let chunks: Vec<Bytes> = Chunks::new(vec![Buffer::from(vec![7_u8; 1000]); 3000]).collect();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), 3_000_000);
    }
}
