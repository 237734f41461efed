//! Reads a segment's bytes, and tells a torn tail from damage.
//!
//! Behind the last sync a crash may leave anything: nothing, half a record, a page of zeros with whole records behind it.
//! Before it everything must be there. Each record says up to where the segment was synced when it was written, and the
//! snapshot was synced before the segment got its name. So a bad record is damage if it lies in the snapshot, or if a
//! valid record behind it says that it was synced; else it is the beginning of a torn tail.

use super::format::{HEADER_BYTES, Header, HeaderFault, RECORD_HEADER_BYTES, Record};
use super::state::State;

/// What was read of a segment.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) header: Header,
    /// What the records before `end` come to.
    pub(super) state: State,
    /// How many they are.
    pub(super) records: u64,
    /// Offset just past the last of them.
    pub(super) end: usize,
    pub(super) tail: Tail,
}

/// What is behind the last record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// What a crash left of records that nobody had been told of as written.
    Torn,
    /// Something that was synced is bad.
    Damaged(Damage),
}

/// Damage, beginning where the last good record ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// What should be there.
    pub(super) expected: String,
    /// Valid records behind it, and where the first of them is.
    pub(super) behind: Vec<Record>,
    pub(super) behind_offset: Option<usize>,
}

/// Reads a segment.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, HeaderFault> {
    let header = Header::decode(bytes)?;
    let mut reading =
        Reading { header, bytes, state: State::default(), records: 0, end: HEADER_BYTES, snapshot: Snapshot::Before };
    let fault = reading.run();
    let Reading { state, records, end, snapshot, .. } = reading;
    let tail = match fault {
        None if snapshot == Snapshot::Over => Tail::None,
        None => Tail::Damaged(Damage {
            expected: "the rest of the snapshot that the segment begins with".to_owned(),
            behind: Vec::new(),
            behind_offset: None,
        }),
        Some(expected) => {
            let behind = behind(&header, bytes, end + 1);
            match snapshot == Snapshot::Over && behind.synced <= end as u64 {
                true => Tail::Torn,
                false => Tail::Damaged(Damage { expected, behind: behind.records, behind_offset: behind.offset }),
            }
        }
    };
    Ok(Scan { header, state, records, end, tail })
}

/// How far the snapshot at the beginning was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshot {
    Before,
    Within { records: u64, left: u64 },
    Over,
}

struct Reading<'a> {
    header: Header,
    bytes: &'a [u8],
    state: State,
    records: u64,
    end: usize,
    snapshot: Snapshot,
}

impl Reading<'_> {
    /// Reads records until the end, or until something else was expected.
    fn run(&mut self) -> Option<String> {
        while self.end < self.bytes.len() {
            let framed = match self.header.read(self.bytes, self.end) {
                Ok(framed) => framed,
                Err(expected) => return Some(expected.to_owned()),
            };
            match next(self.snapshot, &framed.record) {
                Ok(snapshot) => self.snapshot = snapshot,
                Err(expected) => return Some(expected.to_owned()),
            }
            if let Err(refusal) = self.state.apply(framed.record) {
                return Some(format!("a record that follows from those before it ({refusal})"));
            }
            self.records += 1;
            self.end = framed.end;
        }
        None
    }
}

/// Where this record leaves the snapshot.
fn next(snapshot: Snapshot, record: &Record) -> Result<Snapshot, &'static str> {
    match (snapshot, record) {
        (Snapshot::Before, &Record::SnapshotBegin { records, .. }) => Ok(Snapshot::Within { records, left: records }),
        (Snapshot::Before, _) => Err("the beginning of a snapshot"),
        (Snapshot::Within { records, left: 0 }, &Record::SnapshotEnd { records: ended }) if ended == records => {
            Ok(Snapshot::Over)
        }
        (Snapshot::Within { left: 0, .. }, _) => Err("the end of the snapshot"),
        (_, Record::SnapshotBegin { .. } | Record::SnapshotEnd { .. }) => Err("a record that is no snapshot's edge"),
        (Snapshot::Within { records, left }, _) => Ok(Snapshot::Within { records, left: left - 1 }),
        (Snapshot::Over, _) => Ok(Snapshot::Over),
    }
}

/// Valid records somewhere behind what is bad.
struct Behind {
    records: Vec<Record>,
    /// Of the first.
    offset: Option<usize>,
    /// The furthest that one of them says was synced.
    synced: u64,
}

/// Looks at every offset: what is bad may have hidden where the next record begins.
fn behind(header: &Header, bytes: &[u8], from: usize) -> Behind {
    let mut found = Behind { records: Vec::new(), offset: None, synced: 0 };
    let mut at = from;
    while at + RECORD_HEADER_BYTES < bytes.len() {
        match header.read(bytes, at) {
            Ok(framed) => {
                found.offset.get_or_insert(at);
                found.synced = found.synced.max(framed.synced);
                found.records.push(framed.record);
                at = framed.end;
            }
            Err(_) => at += 1,
        }
    }
    found
}
