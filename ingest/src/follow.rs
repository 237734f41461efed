//! Followed files: which there are, who they are, and how much of each may be read.
//!
//! A [`Follower`] looks at what some patterns stand for and tells what changed. It reads no records: of each file it knows
//! the size, a fingerprint of the first bytes ([`Head`]), and one of the last that were read ([`Tail`]). A *source* is a
//! content, which may move from file to file: by a rename, into a copy, into a compressed copy. Its [`SourceId`] and
//! [`Position`] stay.
//!
//! ```text
//!                        longer: Grew; another name: Rotated
//!                                +-----+
//!  new file ---Found---------->  v     |    no path leads to it, two scans long: Vanished
//!  (no source has              Live ---+---------> Aside -- LetGo ----------------> Vanished
//!   what it has)               | ^ ^   <--Back------ ' (read where it is)             | |
//!                              | | | <---- there again, or grows again: Back --------' |
//!                              | | '------ a copy of all that was read: Rotated -------' |
//!        shorter, or others    | |                                                       |
//!        of the bytes that     | | a copy of it: Rotated; its file is a new one      too many
//!        are known             v |                                                       v
//!                            Doubted                                                 Forgotten
//!                              |  no copy in a whole scan after:                         ^
//!                              '--- Truncated if it got shorter, else Rewritten --> Ended
//! ```
//! A file that begins as a source does is compared with it byte by byte: with the source's file, or, if that is gone, the
//! last bytes that were read must stand where they stood. It is a file of its own as soon as it differs, or has more than a
//! source that was begun. As long as it has not, it is not read ([`Change::Held`]): while the source grows on, it is a copy
//! of it; once the source was truncated or is gone, the source goes on in it, from its position. So **two files that are
//! equal byte by byte count as one** while both are. Of two of which nothing was read, the longer is read and the other
//! waits until they part.
//!
//! Events of folders (inotify) say where to look; a scan at intervals finds what they miss, and does alone where there are
//! none. Nothing is decided by an event alone.
//!
//! What a reader owes: it reads up to the size that was told, and [`confirm`](Follower::confirm)s before it uses the bytes,
//! since the file may have been truncated and written again in between. Bytes that are not confirmed are thrown away.
//!
//! What cannot be known: bytes that were written and truncated or deleted between two looks; what is changed in the middle
//! of what was read; of a file that begins as one which is gone and stays shorter than what was read of that, whether it is
//! a part of it: it is read as another. Of a source that began with fewer than 64 bytes when it ended or vanished, a copy
//! that turns up later and is longer is read again, and so are fewer than
//! [`FOLLOW_HEAD_BYTES_MIN`](longshore_core::limits::FOLLOW_HEAD_BYTES_MIN) bytes of a copy that stops there from one scan
//! to the next: so little is no fingerprint.
//!
//! A compressed file is told of once it stayed the same from one regular scan to the next: what is whole of one that is
//! being written cannot be known.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::input::Compression;
use crate::patterns::Wanted;

mod aside;
mod comparing;
mod content;
mod follower;
mod head;
mod identity;
mod known;
mod looks;
mod newcomers;
mod paths;
mod refused;
mod schedule;
mod tail;
mod watch;

pub use follower::Follower;
pub use head::Head;
pub use identity::{Identity, IdentityError, Inode, Position, SourceId};
pub use refused::{Refusal, RefusalKind, Refused};
pub use tail::Tail;

/// What to follow.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// Absolute paths with wildcards or without.
    pub patterns: Vec<Wanted>,
    /// Use inotify. Without, scans alone find changes.
    pub events: bool,
    /// Files kept open; [`FOLLOW_HANDLES_MAX`](longshore_core::limits::FOLLOW_HANDLES_MAX) unless there is a reason.
    pub handles_max: usize,
    /// How long a file that no path leads to any more must not grow until its writer has let go of it;
    /// [`FOLLOW_LET_GO_MS`](longshore_core::limits::FOLLOW_LET_GO_MS) unless there is a reason.
    pub let_go: Duration,
}

/// A source of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// As [`Follower::identity`] had it, then or earlier.
    pub identity: Identity,
    /// How much of it was read.
    pub position: Position,
    /// Where it was: its file is looked for in that folder if no pattern leads to it.
    pub path: PathBuf,
}

/// What changed.
#[derive(Debug)]
pub enum Change {
    /// There is a source to read: a new one, or one of an earlier run.
    Found {
        /// It.
        id: SourceId,
        /// Where.
        path: PathBuf,
        /// How its file is compressed.
        compression: Compression,
        /// Bytes of its file as stored.
        size: u64,
        /// Read on from here.
        position: Position,
    },
    /// There is more to read.
    Grew {
        /// The source.
        id: SourceId,
        /// Bytes of its file as stored.
        size: u64,
    },
    /// It has another name, or goes on in a copy, which is another file: open it anew.
    Rotated {
        /// The source.
        id: SourceId,
        /// Where it is now.
        path: PathBuf,
        /// How the file is compressed.
        compression: Compression,
        /// Bytes of the file as stored.
        size: u64,
        /// Read on from here. All was read if `stored` is the size.
        position: Position,
    },
    /// Its file was truncated and no copy has what it had. It has ended.
    Truncated {
        /// The source.
        id: SourceId,
        /// Where it was.
        path: PathBuf,
        /// Bytes that had been seen and not been read: they are lost. What was written after the last look is not counted.
        lost_bytes_min: u64,
    },
    /// Its file has other content though it is no shorter, and no copy has what it had. It has ended.
    Rewritten {
        /// The source.
        id: SourceId,
        /// Where it is.
        path: PathBuf,
        /// Bytes that had been seen and not been read.
        lost_bytes_min: u64,
    },
    /// No path leads to it any more. What it has can be read as long as [`Follower::open`] gives it.
    Vanished {
        /// The source.
        id: SourceId,
        /// Where it was.
        path: PathBuf,
        /// What may yet come of it.
        away: Away,
        /// Bytes that were not read and cannot be, unless it or a copy turns up; none while it can be read.
        lost_bytes_min: u64,
    },
    /// A source that vanished with its file open has not grown for long: its writer let go of it, and nothing more is to come.
    LetGo {
        /// The source.
        id: SourceId,
    },
    /// A vanished source is there again, or grows again.
    Back {
        /// The source.
        id: SourceId,
        /// Where.
        path: PathBuf,
        /// How its file is compressed.
        compression: Compression,
        /// Bytes of its file as stored.
        size: u64,
        /// Read on from here.
        position: Position,
    },
    /// It ended or vanished long ago: it need not be kept for a later run.
    Forgotten {
        /// The source.
        id: SourceId,
    },
    /// A file is equal to a source byte by byte, as far as it goes: read once it differs.
    Held {
        /// The file.
        path: PathBuf,
        /// The source.
        like: SourceId,
    },
    /// A path leads to a file that is followed by another name. Told once.
    OtherName {
        /// The path.
        path: PathBuf,
        /// The name by which the file is followed, or looked at.
        name: PathBuf,
    },
    /// A path cannot be followed; it is looked at again with each scan. Told once, and again when the reason is another.
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        why: Refusal,
    },
    /// Events do not tell of all changes: from now on it may take as long as a scan's interval to see one. Told once.
    ScanOnly {
        /// Why.
        why: String,
    },
}

/// What may yet come of a source that no path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It is read on, since its writer may not have opened another file yet. It grows, or lets go.
    Open,
    /// Nothing more is expected.
    Closed,
    /// It went between two runs: what was written after the last look of the earlier one is not known.
    Unseen,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody knows it, or it ended.
    #[error("there is no such source, or it has ended")]
    Unknown,
    /// Its file is not where it was; the next change tells where it went.
    #[error("its file is no longer where it was")]
    Moved,
    /// From the system.
    #[error("cannot open it: {0}")]
    System(#[from] io::Error),
}

#[cfg(test)]
mod tests;
