//! What every way of cutting slices has in common: the options, the identity of a slice, the tail of a record that is
//! too long. A slice that is cut again, by whichever way, is the same.

use std::sync::Arc;

use longshore_core::budget::{Budget, Command};
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
    /// Records of a slice.
    pub records_max: usize,
    /// Longest record, bytes.
    pub record_bytes_max: usize,
    /// What the slices are of: the same bytes are other slices of another stream. A hash of the table's name.
    pub stream: u64,
}

impl CutOptions {
    /// As a config says.
    pub fn of(config: &Config) -> Self {
        // Where slices end is the same for both commands.
        let budget = Budget::of(config, Command::Load);
        CutOptions {
            framing: config.decode.framing(),
            format: config.decode.format,
            slice_bytes: budget.slice_bytes,
            records_max: budget.records_max,
            record_bytes_max: config.decode.record_bytes_max,
            stream: stream_of(&config.table.name),
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

/// What a table's slices are of.
pub fn stream_of(table: &str) -> u64 {
    xxh3_64(table.as_bytes())
}

/// A slice on its way to a decoder.
#[derive(Debug)]
pub struct CutSlice {
    /// What is decoded.
    pub slice: Slice,
    /// What is remembered.
    pub meta: SliceMeta,
    /// An earlier run planned it, and may have stored some of it.
    pub in_doubt: bool,
}

/// Which source a slice is of, and of what stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) header: Option<&'a Arc<[String]>>,
    pub(crate) stream: u64,
}

/// Where a slice stands in its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// By what the content's slices are found.
    pub(crate) head: u64,
    /// Offset of the slice's first byte in the source.
    pub(crate) start: u64,
    /// Digest of all that stands before it.
    pub(crate) before: u64,
    /// Digest of that and of the slice.
    pub(crate) after: u64,
}

impl CutSlice {
    /// A slice of whole records, of a tail, or of both, with its id: what follows from the stream and from the content up to
    /// the slice's end, and from nothing else.
    pub(crate) fn new(of: Of<'_>, place: Place, bytes: Vec<u8>, tail: Option<Tail>) -> CutSlice {
        let Place { head, start, before, after } = place;
        let kind = Kind::of(tail.as_ref());
        let id = slice_id(of.stream, before, after, kind);
        // A record that is cut short may arrive whole: what follows then does not follow what was there of it.
        let after = if kind == Kind::CutShort { !after } else { after };
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
        let meta = SliceMeta { id, source: of.name.clone(), head, start, end: slice.end(), before, after };
        CutSlice { slice, meta, in_doubt: false }
    }
}

/// What the bytes of a slice are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole records.
    Records,
    /// A record that is too long.
    TooLong,
    /// A record of which the rest is not there.
    CutShort,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Records, Kind::TooLong, Kind::CutShort];

    fn of(tail: Option<&Tail>) -> Kind {
        match tail.map(|tail| tail.reason) {
            None => Kind::Records,
            Some(Reason::TooLong) => Kind::TooLong,
            Some(_) => Kind::CutShort,
        }
    }
}

/// The id of a slice of this stream between two places of a content, given by their digests.
pub(crate) fn slice_id(stream: u64, before: u64, after: u64, kind: Kind) -> SliceId {
    let mut identity = Xxh3::new();
    [stream, before, after, kind as u64].iter().for_each(|word| identity.update(&word.to_le_bytes()));
    SliceId(identity.digest())
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
