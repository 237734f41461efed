//! Slices: contiguous ranges of one source, the unit of retry and of accounting.
//!
//! A slice holds whole records only. What the reader could not hand over whole (a record past the limit, input that
//! ends in the middle of a record) is described by the slice's [`Tail`], so that the slice's range still covers it and
//! it ends in the dead letters like any other bad record.

use std::fmt;
use std::sync::Arc;

use crate::dead_letter::Reason;
use crate::message::Messages;

/// Identity of a slice: a hash of its source's identity, its range and its bytes.
///
/// The same bytes at the same place of the same source have the same id in every run, which is what makes a repeated
/// insert recognisable. It is the `_slice` column of every row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceId(pub u64);

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceId({self})")
    }
}

/// The end of a slice that is not whole records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// [`Reason::TooLong`], [`Reason::TruncatedInput`] or [`Reason::TruncatedFrame`].
    pub reason: Reason,
    /// First bytes of the record, at most [`crate::limits::DEAD_LETTER_HEAD_BYTES`] when it was too long, whole otherwise.
    pub head: Vec<u8>,
    /// Bytes of the record in the source, without line ending or length prefix.
    pub length: u64,
    /// Bytes that the tail takes up in the source, line ending or length prefix included.
    pub consumed: u64,
    /// What happened, for the operator.
    pub detail: String,
}

/// A slice as the reader hands it to a decoder.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Identity, see [`SliceId`].
    pub id: SliceId,
    /// Name of the source, as shown to people and kept in the ledger.
    pub source: Arc<str>,
    /// Offset of the first byte in the source, in bytes after decompression.
    pub start: u64,
    /// Whole records, each with its line ending or length prefix.
    pub bytes: Vec<u8>,
    /// Names of the fields in order, from the header of a CSV or TSV source.
    pub header: Option<Arc<[String]>>,
    /// What follows `bytes` and is not a whole record.
    pub tail: Option<Tail>,
    /// The messages that the records came in, if the source is a topic. Dead letters then stand at their messages' offsets.
    pub messages: Option<Messages>,
    /// The moment that its event times are compared with.
    pub cut: CutAt,
}

/// When a slice was cut: the moment that its event times are compared with ([`TableSpec`](crate::config::TableSpec)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CutAt {
    /// Nobody knows, or it does not matter: no event time is too far away.
    #[default]
    Unknown,
    /// At that time, in milliseconds since 1970, which the slice's plan has: whoever decodes the slice again takes the same.
    Planned(i64),
    /// The same of a load, which may be of events of long ago: only how far an event is in the future is looked at.
    Backfill(i64),
}

impl Slice {
    /// Offset just past the slice in the source, its tail included.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64 + self.tail.as_ref().map_or(0, |tail| tail.consumed)
    }
}
