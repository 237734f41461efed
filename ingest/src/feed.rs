//! The boundary between a service and where its slices come from: followed files, topics.
//!
//! A [`Feed`] cuts slices, and remembers where others would find it that it did, before it gives them away: in the
//! journal for files, with the group's offsets for a topic. A slice that was given away is *planned*: whatever dies, it
//! is cut again with the same bytes and the same id, here or in the engine that takes over. It is stored under tokens
//! made of its id, so that it is stored once however often it is sent. Then the feed is told that it is
//! [`done`](Feed::done), and moves the source's position over whatever is done without a gap.
//!
//! A feed is one thread's; nothing in it blocks for longer than it is told to, except for a disk or a broker that has to
//! make something durable. It knows no sink and no decoder.

use std::sync::Arc;
use std::time::Duration;

use longshore_core::slice::{Slice, SliceId};

use crate::journal::ConfigHash;
pub use crate::lease::{Lease, Term};
use crate::sink::SliceMeta;

/// A slice that is planned, so that it may be stored.
#[derive(Debug)]
pub struct PlannedSlice {
    /// What is decoded.
    pub slice: Slice,
    /// What is remembered.
    pub meta: SliceMeta,
    /// The config that it must be processed under.
    pub config: ConfigHash,
    /// It was planned by an earlier run or another engine, which may have stored it, or some of it.
    pub in_doubt: bool,
    /// What the feed calls it.
    pub ticket: Ticket,
    /// Whether it is still this engine's to store.
    pub lease: Lease,
    /// When its oldest record was there to be read, for the lag: on the feed's clock.
    pub since: Duration,
}

/// What a feed calls a slice that it gave away. Given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How much a feed may give away now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Slices.
    pub slices: usize,
    /// Bytes of them together. The last one may exceed it.
    pub bytes: usize,
}

impl Room {
    /// Nothing more may be given away.
    pub(crate) fn is_full(&self) -> bool {
        self.slices == 0 || self.bytes == 0
    }

    /// A slice of so many bytes is given away.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.slices -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Why a feed cannot go on. Nothing is lost: it is dropped, and made again after a while.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Trying again may help: a full disk, a broker that is away.
    #[error("{detail}")]
    Retry {
        /// What happened and what to do.
        detail: String,
    },
    /// Somebody has to look: a damaged journal, a topic that is not there.
    #[error("{detail}")]
    Refuse {
        /// What happened and what to do.
        detail: String,
    },
}

/// How far a source is, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes that are there and not stored: of a topic those that were fetched, of a compressed file what was cut as it is
    /// after decompression and the rest as it is stored.
    pub lag_bytes: u64,
    /// Records that are there and not stored, where that is known: messages of a topic.
    pub lag_records: Option<u64>,
    /// How long the oldest of what is not stored has been there.
    pub lag: Duration,
    /// Slices that are planned and not done.
    pub in_doubt: usize,
    /// Why nothing more is read of it until somebody does something.
    pub stopped: Option<String>,
}

/// What is in the way of files that are to be followed, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of thing.
    pub kind: TroubleKind,
    /// The file, folder or pattern.
    pub at: Arc<str>,
    /// What it is and what to do.
    pub why: String,
    /// It has been so for as long as that may be in order.
    pub lasting: bool,
}

/// What kind of thing is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The system does not let a file or folder be read, or what is there cannot be.
    Unreadable,
    /// More files are there than may be followed.
    OverLimit,
    /// A link that leads where nobody said that files are wanted.
    Link,
    /// A pattern without files.
    NoFiles,
}

/// Something that happened to a source once, and that the operator ought to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The source's name.
    pub name: Arc<str>,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// At least so many bytes.
    pub bytes: u64,
    /// What happened.
    pub why: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Bytes that were there can never be stored.
    Lost,
    /// A file went between two runs: what was written to it after the last look is not known.
    Unseen,
    /// NUL bytes before a record were passed over.
    Nuls,
    /// Files are equal byte by byte and count as one.
    Equal,
}

/// A source of planned slices. See the [module](self).
pub trait Feed {
    /// Reads on, plans what is ready, and adds it to `planned`: as much as there is `room` for. Waits for `wait` at most if
    /// there is nothing. `now` is the time since some moment, and never goes back.
    fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError>;

    /// A slice is stored, whole. Those that this feed does not own any more are ignored.
    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError>;

    /// Takes back a slice that was given away and is not stored, whose bytes nobody holds any more: it stays planned, and is
    /// read again and given away again, in doubt and under another ticket, once the feed's clock has reached `due`. Meanwhile
    /// its source goes on with others. One that this feed does not own any more is ignored.
    fn again(&mut self, ticket: Ticket, due: Duration) -> Result<(), FeedError>;

    /// Takes back the memory of a slice that was decoded, to read the next one into.
    fn reuse(&mut self, buffer: Vec<u8>) {
        drop(buffer);
    }

    /// Slices that an earlier run planned and that were not given away yet.
    fn in_doubt(&self) -> Vec<SliceId>;

    /// Takes slices in doubt as done, because the sink has them whole: they need not be read again.
    fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) -> Result<(), FeedError>;

    /// Plans everything from now on under this config.
    fn set_config(&mut self, config_text: &str) -> Result<ConfigHash, FeedError>;

    /// Cuts no new slices from now on.
    fn drain(&mut self);

    /// Each source and how far it is.
    fn status(&self, now: Duration) -> Vec<SourceStatus>;

    /// What is in the way of what is to be followed.
    fn troubles(&self, now: Duration) -> Vec<Trouble> {
        let _ = now;
        Vec::new()
    }

    /// What happened since the last call.
    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    /// Makes durable what is done, and lets others go on.
    fn close(&mut self) -> Result<(), FeedError>;
}
