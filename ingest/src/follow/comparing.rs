//! Whether a newcomer has what a source has, byte by byte, found a piece at a time.
//!
//! Of a source whose file can be read, the two contents are compared. Of one whose file is gone, the newcomer must have the
//! last bytes that were read where they stood: its [`Tail`].

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use longshore_core::limits::{FOLLOW_SILENT_BYTES_MAX, FOLLOW_TAIL_BYTES};

use super::content::{Stored, decompressor};
use super::identity::{Inode, Signature, SourceId, Stat};
use super::tail::Tail;
use crate::input::Compression;

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// They have other bytes at the same place.
    Differs,
    /// All that the newcomer has, the source has.
    Within,
    /// The newcomer has all that the source has, or that was read of it, and may have more.
    Beyond,
}

/// A content that is read from its beginning.
struct Content {
    from: Box<dyn Read + Send>,
    stored: Arc<Stored>,
}

impl Content {
    fn new(file: File, compression: Compression) -> io::Result<Self> {
        let stored = Arc::new(Stored::default());
        // A decompressor reads a header when it is made.
        stored.allow(FOLLOW_SILENT_BYTES_MAX);
        Ok(Content { from: decompressor(file, compression, &stored)?, stored })
    }

    /// At most so many bytes more; fewer where the content ends.
    fn next(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.stored.allow(FOLLOW_SILENT_BYTES_MAX + bytes);
        (&mut self.from).take(bytes).read_to_end(into).map(|_| ())
    }
}

enum Against {
    Content(Content),
    /// With the last bytes of the newcomer that came before.
    Tail(Tail, Vec<u8>),
}

/// A file, and how it is compressed.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) compression: Compression,
}

/// A newcomer that is being compared with a source.
pub(super) struct Comparing {
    pub(super) inode: Inode,
    pub(super) source: SourceId,
    signature: Signature,
    own: Content,
    against: Against,
    /// Both are as they are on the disk, so that what grew is compared from where it ended.
    plain: bool,
    /// Bytes that were compared.
    pub(super) bytes: u64,
    outcome: Option<Compared>,
}

impl Comparing {
    /// Of a newcomer with the file of a source, or with its tail if that is gone.
    pub(super) fn new(own: Packed, stat: &Stat, source: SourceId, other: Result<Packed, Tail>) -> io::Result<Self> {
        let mut plain = own.compression == Compression::Plain;
        let against = match other {
            Ok(Packed { file, compression }) => {
                plain &= compression == Compression::Plain;
                Against::Content(Content::new(file, compression)?)
            }
            Err(tail) => Against::Tail(tail, Vec::new()),
        };
        let own = Content::new(own.file, own.compression)?;
        let signature = stat.signature;
        Ok(Comparing { inode: stat.inode, source, signature, own, against, plain, bytes: 0, outcome: None })
    }

    /// Whether it can go on though the newcomer may have grown meanwhile.
    pub(super) fn goes_on(&mut self, stat: &Stat) -> bool {
        if self.signature == stat.signature {
            return true;
        }
        let grew = self.plain && stat.signature.size >= self.bytes;
        self.signature = stat.signature;
        if self.outcome == Some(Compared::Within) {
            self.outcome = None;
        }
        grew && self.outcome.is_none()
    }

    /// What of the source it is compared with, if not with its file.
    pub(super) fn tail(&self) -> Option<Tail> {
        match self.against {
            Against::Content(_) => None,
            Against::Tail(tail, _) => Some(tail),
        }
    }

    pub(super) fn outcome(&self) -> Option<Compared> {
        self.outcome
    }

    /// Compares a piece; returns how many bytes count for it.
    pub(super) fn go_on(&mut self) -> u64 {
        let before = self.bytes;
        match self.piece() {
            Ok(outcome) => self.outcome = outcome,
            // It is cut short or damaged, or the other is: what there is was equal.
            Err(_) => self.outcome = Some(Compared::Within),
        }
        (self.bytes - before).max(1)
    }

    fn piece(&mut self) -> io::Result<Option<Compared>> {
        let wanted = match &self.against {
            Against::Content(_) => PIECE_BYTES,
            Against::Tail(tail, _) => PIECE_BYTES.min(tail.end() - self.bytes),
        };
        let mut own = Vec::new();
        // First this one: what is copied from the other meanwhile is there when that is read.
        self.own.next(wanted, &mut own)?;
        self.bytes += own.len() as u64;
        let ended = (own.len() as u64) < wanted;
        match &mut self.against {
            Against::Content(content) => {
                let mut other = Vec::with_capacity(own.len());
                content.next(own.len() as u64, &mut other)?;
                Ok(match own.starts_with(&other) {
                    false => Some(Compared::Differs),
                    true if other.len() < own.len() => Some(Compared::Beyond),
                    true => ended.then_some(Compared::Within),
                })
            }
            Against::Tail(tail, last) => {
                last.extend_from_slice(&own);
                last.drain(..last.len().saturating_sub(FOLLOW_TAIL_BYTES));
                Ok(match self.bytes == tail.end() {
                    true if tail.ends(last) => Some(Compared::Beyond),
                    true => Some(Compared::Differs),
                    false => ended.then_some(Compared::Within),
                })
            }
        }
    }
}

/// Bytes of content that are compared at once.
const PIECE_BYTES: u64 = 256 << 10;
