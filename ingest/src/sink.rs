//! The boundary to whatever stores slices.

use std::sync::Arc;

use longshore_core::decode::DecodedSlice;
use longshore_core::slice::SliceId;

/// Which bytes of which source a slice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceMeta {
    /// Identity: same bytes, same place, same source, same id.
    pub id: SliceId,
    /// Name of the source, for people.
    pub source: Arc<str>,
    /// Identity of the source.
    pub source_id: u64,
    /// Offset of the first byte in the source, after decompression.
    pub start: u64,
    /// Offset just past the last byte.
    pub end: u64,
    /// XXH3-64 of the slice's whole records.
    pub hash: u64,
}

/// A slice that is ready to be stored.
#[derive(Debug, Clone)]
pub struct LoadedSlice {
    /// Where it comes from.
    pub meta: SliceMeta,
    /// What became of it.
    pub decoded: DecodedSlice,
}

/// Stores slices. [`write`](Sink::write) returns once rows, dead letters and ledger row are acknowledged.
///
/// It is called from several threads at once. It must be idempotent: after [`SinkError::Retry`] the same slice is written
/// again, whole, and what arrived before must not arrive twice.
pub trait Sink: Sync {
    /// Stores a slice, all of it.
    fn write(&self, slice: &LoadedSlice) -> Result<(), SinkError>;

    /// Stores a slice that an earlier run or another engine may have stored in part, however long ago. What is there must
    /// not arrive twice; where the sink cannot tell, it is a [`SinkError::Pause`].
    fn resume(&self, slice: &LoadedSlice) -> Result<(), SinkError> {
        self.write(slice)
    }
}

/// Why a slice could not be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The sink is away or overloaded: waiting helps.
    #[error("{detail}")]
    Retry {
        /// What happened, one sentence.
        detail: String,
    },
    /// Somebody has to change something in the sink or the config; then the same slice can be written.
    #[error("{detail}")]
    Pause {
        /// What happened and what to do, one or two sentences.
        detail: String,
    },
    /// The sink rejects a row of the slice; the rest of it could be written.
    #[error("{detail}")]
    Isolate {
        /// What the sink says of the row, and what to do.
        detail: String,
    },
    /// The slice can never be written so: a bug of ours, or a sink that does not know what we rely on.
    #[error("{detail}")]
    Refuse {
        /// What happened and what to do, one or two sentences.
        detail: String,
    },
}
