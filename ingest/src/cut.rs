//! What every way of cutting slices has in common: the options, the identity of a slice, the tail of a record that is
//! too long. A slice that is cut again, by whichever way, is the same.

use std::sync::Arc;

use longshore_core::config::{Config, Format, Framing};
use longshore_core::dead_letter::Reason;
use longshore_core::frame::{FRAME_PREFIX_BYTES, RECORD_OVERHEAD_BYTES};
use longshore_core::slice::{CutAt, Slice, SliceId, Tail};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::sink::SliceMeta;

/// How slices are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOptions {
    /// How records are told apart.
    pub framing: Framing,
    /// Format of a record: CSV and TSV sources begin with a header.
    pub format: Format,
    /// Bytes of a slice, at least `record_bytes_max`.
    pub slice_bytes: usize,
    /// Longest record, bytes.
    pub record_bytes_max: usize,
}

impl CutOptions {
    /// As a config says.
    pub fn of(config: &Config) -> Self {
        CutOptions {
            framing: config.decode.framing(),
            format: config.decode.format,
            slice_bytes: config.pipeline.slice_bytes,
            record_bytes_max: config.decode.record_bytes_max,
        }
    }

    /// Bytes that are looked at to cut a slice: a record of the greatest length must fit with its framing.
    pub(crate) fn window_bytes(&self) -> usize {
        self.slice_bytes.max(self.record_bytes_max + RECORD_OVERHEAD_BYTES)
    }

    /// Whether a source begins with a header line, which is no record.
    pub(crate) fn has_header(&self) -> bool {
        matches!(self.format, Format::Csv | Format::Tsv)
    }
}

/// A slice on its way to a decoder.
#[derive(Debug)]
pub struct CutSlice {
    /// What is decoded.
    pub slice: Slice,
    /// What is remembered.
    pub meta: SliceMeta,
}

/// Which source a slice is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) source_id: u64,
    pub(crate) header: Option<&'a Arc<[String]>>,
}

impl CutSlice {
    /// A slice of whole records, of a tail, or of both, with its id.
    pub(crate) fn new(of: Of<'_>, start: u64, bytes: Vec<u8>, tail: Option<Tail>) -> CutSlice {
        let hash = xxh3_64(&bytes);
        let mut identity = Xxh3::new();
        identity.update(&of.source_id.to_le_bytes());
        identity.update(&start.to_le_bytes());
        identity.update(&(bytes.len() as u64).to_le_bytes());
        identity.update(&hash.to_le_bytes());
        if let Some(tail) = &tail {
            identity.update(&tail.consumed.to_le_bytes());
            identity.update(&tail.head);
        }
        let id = SliceId(identity.digest());
        let slice = Slice {
            id,
            source: of.name.clone(),
            start,
            bytes,
            header: of.header.cloned(),
            tail,
            messages: None,
            cut: CutAt::Unknown,
        };
        let meta = SliceMeta { id, source: of.name.clone(), source_id: of.source_id, start, end: slice.end(), hash };
        CutSlice { slice, meta }
    }
}

/// The tail for a record that is too long: `head` are its first bytes, `length` how many there are, `ending` those of the
/// line's end, `framed` what its prefix says.
pub(crate) fn too_long(mut head: Vec<u8>, length: u64, ending: u64, framed: Option<u64>, limit: usize) -> Tail {
    let prefix = if framed.is_some() { FRAME_PREFIX_BYTES } else { 0 };
    head.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    let detail = match framed {
        Some(framed) if framed > length => {
            format!("{framed} bytes by its prefix, of which {length} are there; the limit is {limit}")
        }
        _ => format!("{length} bytes; the limit is {limit} (decode.record_bytes_max)"),
    };
    Tail { reason: Reason::TooLong, head, length, consumed: prefix as u64 + length + ending, detail }
}
