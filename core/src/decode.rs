//! Decoding: one slice in, one Arrow batch and its dead letters out.
//!
//! Deterministic: the same slice under the same config gives the same batch and the same dead letters, byte by byte.

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::dead_letter::DeadLetter;

/// What became of a slice. `records == batch.num_rows() + dead.len() + filtered`.
#[derive(Debug, Clone)]
pub struct DecodedSlice {
    /// The rows to load, columns as in [`crate::column::layout::event_columns`].
    pub batch: RecordBatch,
    /// The records that cannot be loaded, in order.
    pub dead: Vec<DeadLetter>,
    /// Records in the slice, the tail included.
    pub records: u64,
    /// Records that a declared filter dropped.
    pub filtered: u64,
    /// Rows of `batch` by product, products in order of their id.
    pub rows_by_product: Vec<(Arc<str>, u64)>,
}
