//! What stands in a segment: the header and the records, byte by byte.
//!
//! Everything is little-endian. A header is [`HEADER_BYTES`] long:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | [`FORMAT_VERSION`] |
//! | 12 | 4 | zero |
//! | 16 | 16 | the journal's id, random when the journal was made |
//! | 32 | 8 | the machine, see [`Machine`] |
//! | 40 | 8 | the segment's number |
//! | 48 | 8 | XXH3-64 of the 48 bytes before |
//!
//! A record:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | XXH3-64 of the rest, seeded with journal, segment and offset: a record copied elsewhere is none |
//! | 8 | 4 | bytes of the payload |
//! | 12 | 8 | offset up to which the segment was synced when this was written: what tells a torn tail from damage |
//! | 20 | | the payload: a byte for its kind, then its fields in the order of [`Record`] |

use std::fmt;
use std::sync::Arc;

use longshore_core::limits::{JOURNAL_IDENTITY_BYTES_MAX, JOURNAL_NAME_BYTES_MAX};
use longshore_core::slice::SliceId;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::content::Chain;

/// First bytes of a segment.
pub(super) const MAGIC: [u8; 8] = *b"LSJOURN\n";
/// Version of the format that this engine writes.
pub const FORMAT_VERSION: u32 = 3;
/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: usize = 56;
/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 20;
/// Longest payload: a source's, with the greatest identity and name.
const PAYLOAD_BYTES_MAX: usize = 64 + JOURNAL_IDENTITY_BYTES_MAX + JOURNAL_NAME_BYTES_MAX;
/// `records` of a cut whose records were not counted.
const RECORDS_UNKNOWN: u64 = u64::MAX;

/// The machine that a journal belongs to, as a hash: two machines must never run one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine(pub u64);

impl Machine {
    /// This machine, by `/etc/machine-id`. Where there is none (some containers) all machines are one.
    pub fn this() -> Machine {
        Machine::named(std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim())
    }

    /// A machine by a name that somebody chose, for containers whose machine id is new at every start.
    pub fn named(name: &str) -> Machine {
        Machine(xxh3_64_with_seed(name.as_bytes(), u64::from_le_bytes(MAGIC)))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Number of a source in its journal. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceNumber(pub u32);

impl fmt::Display for SourceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A config, by the XXH3-64 of its text as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigHash(pub u64);

impl ConfigHash {
    /// That of a text.
    pub fn of(text: &str) -> ConfigHash {
        ConfigHash(xxh3_64(text.as_bytes()))
    }
}

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A slice as the journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournaledSlice {
    /// Identity, from which the tokens are made.
    pub slice: SliceId,
    /// Source, by its number in this journal.
    pub source: SourceNumber,
    /// Position of the first byte (or offset) in the source.
    pub start: u64,
    /// Position just past the last.
    pub end: u64,
    /// Of the content before it.
    pub before: Chain,
    /// Of the content up to its end.
    pub after: Chain,
    /// The config that it is processed under.
    pub config: ConfigHash,
    /// Records in it, where they were counted.
    pub records: Option<u64>,
    /// When it was cut, in milliseconds since 1970: what its event times are compared with whenever it is decoded.
    pub cut_ms: i64,
}

/// How far a source was read, with what it takes to go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reached {
    /// Offset.
    pub position: u64,
    /// Of the content before it.
    pub chain: Chain,
    /// By what the slices of its content are found.
    pub head: u64,
    /// Where its content begins: behind NUL bytes, if there are any.
    pub origin: u64,
}

impl Reached {
    /// Of a source whose content nobody looks at.
    pub fn at(position: u64) -> Reached {
        Reached { position, ..Reached::default() }
    }
}

/// One record of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A source was made known, or is part of a snapshot.
    Source { number: SourceNumber, reached: Reached, identity: Arc<[u8]>, name: Arc<str> },
    /// A slice was cut. Nothing of it was sent before.
    Cut(JournaledSlice),
    /// All inserts of a slice are acknowledged.
    Done { source: SourceNumber, start: u64, slice: SliceId },
    /// A source was given up, with whatever of it was in doubt.
    Forgotten { source: SourceNumber },
    /// A source is known by other bytes from now on, and may have another name.
    Identified { number: SourceNumber, identity: Arc<[u8]>, name: Arc<str> },
    /// A snapshot of so many records follows; the next new source gets this number.
    SnapshotBegin { records: u64, next_source: u32 },
    /// The snapshot was whole.
    SnapshotEnd { records: u64 },
}

/// Whose segment it is: what its records' checksums are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal: u128,
    pub(super) machine: Machine,
    pub(super) number: u64,
}

/// Why a header is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Made by another version of the engine.
    Version(u32),
    /// Damaged: the offset of what is wrong, and what should be there.
    Damaged(usize, &'static str),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.journal.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.machine.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.number.to_le_bytes());
        let checksum = xxh3_64(&bytes[..48]);
        bytes[48..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Header, HeaderFault> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderFault::Damaged(bytes.len(), "a header of 56 bytes"));
        };
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Damaged(0, "the first bytes of a journal's segment"));
        }
        let field = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the header"));
        let version = u32::from_le_bytes(*bytes[8..].first_chunk().expect("within the header"));
        if version != FORMAT_VERSION {
            // A header that would be right with our version has a damaged version.
            let mut ours = *bytes;
            ours[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            return Err(match xxh3_64(&ours[..48]) == field(48) {
                true => HeaderFault::Damaged(8, "the format's version"),
                false => HeaderFault::Version(version),
            });
        }
        if xxh3_64(&bytes[..48]) != field(48) {
            return Err(HeaderFault::Damaged(0, "a header that its checksum fits"));
        }
        let journal = u128::from(field(16)) | u128::from(field(24)) << 64;
        Ok(Header { journal, machine: Machine(field(32)), number: field(40) })
    }

    /// Checksum of a record at `offset`, of the bytes behind its checksum.
    fn checksum(&self, offset: u64, bytes: &[u8]) -> u64 {
        let mut place = [0; 32];
        place[..16].copy_from_slice(&self.journal.to_le_bytes());
        place[16..24].copy_from_slice(&self.number.to_le_bytes());
        place[24..].copy_from_slice(&offset.to_le_bytes());
        xxh3_64_with_seed(bytes, xxh3_64(&place))
    }

    /// Appends a record to `out`, whose first byte is to stand at `base` of the segment.
    pub(super) fn write(&self, record: &Record, base: u64, synced: u64, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&synced.to_le_bytes());
        record.encode(out);
        let payload = u32::try_from(out.len() - at - RECORD_HEADER_BYTES).expect("a payload is bounded");
        assert!(payload as usize <= PAYLOAD_BYTES_MAX, "identity and name were checked");
        out[at + 8..at + 12].copy_from_slice(&payload.to_le_bytes());
        let checksum = self.checksum(base + at as u64, &out[at + 8..]);
        out[at..at + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The record at `offset` of a segment, or what should be there.
    pub(super) fn read(&self, segment: &[u8], offset: usize) -> Result<Framed, &'static str> {
        let bytes = &segment[offset..];
        let Some(head) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err("a record's header of 20 bytes");
        };
        let payload = u32::from_le_bytes(*head[8..].first_chunk().expect("within the header")) as usize;
        if payload == 0 || payload > PAYLOAD_BYTES_MAX {
            return Err("a record's length");
        }
        let Some(bytes) = bytes.get(..RECORD_HEADER_BYTES + payload) else {
            return Err("a record of the length that its header gives");
        };
        let checksum = u64::from_le_bytes(*head.first_chunk().expect("within the header"));
        if self.checksum(offset as u64, &bytes[8..]) != checksum {
            return Err("a record that its checksum fits");
        }
        let synced = u64::from_le_bytes(*head[12..].first_chunk().expect("within the header"));
        let record =
            Record::decode(&bytes[RECORD_HEADER_BYTES..]).ok_or("a record of a kind that this version knows")?;
        Ok(Framed { record, synced, end: offset + bytes.len() })
    }
}

/// A record with what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framed {
    pub(super) record: Record,
    /// The segment was synced up to here when the record was written.
    pub(super) synced: u64,
    /// Offset just past it.
    pub(super) end: usize,
}

impl Record {
    fn encode(&self, out: &mut Vec<u8>) {
        let words = |out: &mut Vec<u8>, words: &[u64]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
        match self {
            Record::Source { number, reached, identity, name } => {
                out.push(1);
                out.extend(number.0.to_le_bytes());
                words(out, &[reached.position, reached.chain.0, reached.head, reached.origin]);
                out.extend((identity.len() as u32).to_le_bytes());
                out.extend_from_slice(identity);
                out.extend_from_slice(name.as_bytes());
            }
            Record::Cut(cut) => {
                out.push(2);
                out.extend(cut.source.0.to_le_bytes());
                let records = cut.records.unwrap_or(RECORDS_UNKNOWN);
                words(out, &[cut.slice.0, cut.start, cut.end, cut.before.0, cut.after.0, cut.config.0, records]);
                out.extend(cut.cut_ms.to_le_bytes());
            }
            Record::Done { source, start, slice } => {
                out.push(3);
                out.extend(source.0.to_le_bytes());
                words(out, &[*start, slice.0]);
            }
            Record::Forgotten { source } => {
                out.push(4);
                out.extend(source.0.to_le_bytes());
            }
            Record::Identified { number, identity, name } => {
                out.push(7);
                out.extend(number.0.to_le_bytes());
                out.extend((identity.len() as u32).to_le_bytes());
                out.extend_from_slice(identity);
                out.extend_from_slice(name.as_bytes());
            }
            Record::SnapshotBegin { records, next_source } => {
                out.push(5);
                out.extend(next_source.to_le_bytes());
                words(out, &[*records]);
            }
            Record::SnapshotEnd { records } => {
                out.push(6);
                words(out, &[*records]);
            }
        }
    }

    fn decode(payload: &[u8]) -> Option<Record> {
        let (&kind, rest) = payload.split_first()?;
        let mut fields = Fields(rest);
        let record = match kind {
            1 => {
                let number = SourceNumber(fields.u32()?);
                let (position, chain) = (fields.u64()?, Chain(fields.u64()?));
                let reached = Reached { position, chain, head: fields.u64()?, origin: fields.u64()? };
                let (identity, name) = fields.identity_and_name()?;
                Record::Source { number, reached, identity, name }
            }
            2 => Record::Cut(JournaledSlice {
                source: SourceNumber(fields.u32()?),
                slice: SliceId(fields.u64()?),
                start: fields.u64()?,
                end: fields.u64()?,
                before: Chain(fields.u64()?),
                after: Chain(fields.u64()?),
                config: ConfigHash(fields.u64()?),
                records: Some(fields.u64()?).filter(|&records| records != RECORDS_UNKNOWN),
                cut_ms: fields.u64()?.cast_signed(),
            }),
            3 => Record::Done {
                source: SourceNumber(fields.u32()?),
                start: fields.u64()?,
                slice: SliceId(fields.u64()?),
            },
            4 => Record::Forgotten { source: SourceNumber(fields.u32()?) },
            5 => {
                let next_source = fields.u32()?;
                Record::SnapshotBegin { records: fields.u64()?, next_source }
            }
            6 => Record::SnapshotEnd { records: fields.u64()? },
            7 => {
                let number = SourceNumber(fields.u32()?);
                let (identity, name) = fields.identity_and_name()?;
                Record::Identified { number, identity, name }
            }
            _ => return None,
        };
        fields.0.is_empty().then_some(record)
    }
}

/// A payload's fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*field))
    }

    fn u64(&mut self) -> Option<u64> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*field))
    }

    /// What is left: an identity behind its length, then a name.
    fn identity_and_name(&mut self) -> Option<(Arc<[u8]>, Arc<str>)> {
        let bytes = self.u32()? as usize;
        if bytes > JOURNAL_IDENTITY_BYTES_MAX || bytes > self.0.len() {
            return None;
        }
        let (identity, name) = std::mem::take(&mut self.0).split_at(bytes);
        Some((identity.into(), std::str::from_utf8(name).ok()?.into()))
    }
}
