//! What a file feed asks of the file system, and the real one: the follower, and reads at any place of a content.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_core::frame::leading_nuls;
use longshore_core::limits::{FOLLOW_LONG_BYTES, READ_BLOCK_BYTES};
use rustix::buffer::spare_capacity;
use rustix::fs::SeekFrom;

use super::decompress::{Decompressors, Pace, Wish};
use crate::follow::{Change, FollowOptions, Follower, Identity, KnownSource, OpenError, Position, Refused, SourceId};
use crate::input::Compression;
use crate::patterns::PatternError;

/// Followed files as the feed sees them, so that tests can put faulty ones in their place.
pub trait Files {
    /// Waits until something changed, for so long at most, and says what.
    fn wait(&mut self, timeout: Duration) -> Vec<Change>;

    /// Appends a source's content from `at` on to `into`: `bytes`, or as many as there are now.
    fn read(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError>;

    /// Whether what was last read of this source was its own, up to `position` of its content. If not, the bytes are to be
    /// thrown away; a change tells more.
    fn confirm(&mut self, id: SourceId, position: u64) -> bool;

    /// The same of bytes that end at the position and were read last.
    fn confirm_read(&mut self, id: SourceId, position: u64, bytes: &[u8]) -> bool {
        let _ = bytes;
        self.confirm(id, position)
    }

    /// Looks at what stands at `at` and is NUL bytes up to there, as far as one step may.
    fn pass_nuls(&mut self, id: SourceId, at: u64) -> Result<Nuls, ReadError> {
        look_behind_nuls(self, id, at)
    }

    /// What the source is known by now.
    fn identity(&self, id: SourceId) -> Option<Identity>;

    /// Paths that are not followed at the moment, and why.
    fn refused(&self) -> Vec<Refused> {
        Vec::new()
    }

    /// Patterns that no file is there for.
    fn without_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// What stands behind NUL bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nuls {
    /// Another byte, here.
    Data(u64),
    /// Nothing, or nothing yet.
    End,
    /// More of them up to here, at least.
    More(u64),
}

/// Why a read returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// There may be more, now or later.
    Open,
    /// The content ends here and will not grow: that of a compressed file.
    Ended,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its file is gone or has another content now; the next changes tell.
    #[error("its file is no longer where it was")]
    Gone,
    /// It is compressed, and not decompressed up to there yet: ask again in the next step.
    #[error("it is not decompressed up to there yet")]
    NotYet,
    /// The system failed; it may pass.
    #[error("{0}")]
    Failed(io::Error),
    /// Its compressed data are damaged from here on.
    #[error(
        "{0}; all whole records before were stored, put a good copy in its place for the rest, unless it is still being written: then it goes on by itself"
    )]
    Damaged(String),
}

impl From<OpenError> for ReadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unknown | OpenError::Moved => ReadError::Gone,
            OpenError::System(error) => ReadError::Failed(error),
        }
    }
}

/// The files of this machine.
pub struct SystemFiles {
    follower: Follower,
    /// What was read last, until it is confirmed.
    last: Option<LastRead>,
    decompressors: Decompressors,
}

/// What was read.
struct LastRead {
    id: SourceId,
    file: Arc<File>,
    /// Of a compressed file: by which reader.
    pace: Option<Pace>,
}

impl SystemFiles {
    /// Follows what the options say, knowing the sources of earlier runs.
    pub fn follow(
        options: &FollowOptions,
        known: impl IntoIterator<Item = KnownSource>,
    ) -> Result<SystemFiles, PatternError> {
        Ok(SystemFiles {
            follower: Follower::new(options, known)?,
            last: None,
            decompressors: Decompressors::default(),
        })
    }

    fn read_plain(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        let file = self.follower.open(id)?;
        let begin = into.len();
        into.reserve_exact(bytes);
        let outcome = loop {
            let read = into.len() - begin;
            if read >= bytes {
                break Ok(ReadEnd::Open);
            }
            match rustix::io::pread(&*file, spare_capacity(into), at + read as u64) {
                Ok(0) => break Ok(ReadEnd::Open),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => break Err(ReadError::Failed(error.into())),
            }
        };
        into.truncate(begin + bytes);
        self.last = Some(LastRead { id, file, pace: None });
        outcome
    }

    fn read_compressed(
        &mut self,
        id: SourceId,
        at: u64,
        bytes: usize,
        into: &mut Vec<u8>,
    ) -> Result<ReadEnd, ReadError> {
        let file = self.follower.open(id)?;
        let inode = self.follower.identity(id).ok_or(ReadError::Gone)?.inode;
        let pace = if at >= self.position(id).content { Pace::Ahead } else { Pace::Again };
        let end = self.decompressors.read(Wish { id, pace, file: file.clone(), inode, at, bytes }, into)?;
        self.last = Some(LastRead { id, file, pace: Some(pace) });
        Ok(end)
    }

    /// How much of a source was read and confirmed.
    fn position(&self, id: SourceId) -> Position {
        self.follower.position(id).unwrap_or_default()
    }
}

impl Files for SystemFiles {
    fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        self.decompressors.begin_step();
        // Without waiting, too: whoever always has something to do must see what becomes of the files.
        let changes = self.follower.wait(timeout);
        for change in &changes {
            if let Change::Truncated { id, .. } | Change::Rewritten { id, .. } | Change::Forgotten { id } = change {
                self.decompressors.forget(*id);
            }
        }
        changes
    }

    fn read(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        match self.follower.identity(id).ok_or(ReadError::Gone)?.compression {
            Compression::Plain => self.read_plain(id, at, bytes, into),
            _ => self.read_compressed(id, at, bytes, into),
        }
    }

    fn pass_nuls(&mut self, id: SourceId, at: u64) -> Result<Nuls, ReadError> {
        let mut at = at;
        if self.follower.identity(id).is_some_and(|identity| identity.compression == Compression::Plain) {
            let file = self.follower.open(id)?;
            match rustix::fs::seek(&*file, SeekFrom::Data(at)) {
                Ok(data) => at = at.max(data),
                // A hole up to the end. What cannot tell holes is read.
                Err(rustix::io::Errno::NXIO) => {
                    self.last = Some(LastRead { id, file, pace: None });
                    return Ok(Nuls::End);
                }
                Err(_) => {}
            }
        }
        look_behind_nuls(self, id, at)
    }

    fn confirm(&mut self, id: SourceId, position: u64) -> bool {
        self.confirm_read(id, position, &[])
    }

    fn confirm_read(&mut self, id: SourceId, position: u64, bytes: &[u8]) -> bool {
        let Some(LastRead { file, pace, .. }) = self.last.take().filter(|last| last.id == id) else { return false };
        let known = self.position(id);
        let position = match pace.map(|pace| self.decompressors.confirmed(id, pace, position)) {
            None => Position::plain(position),
            Some(None) => return false,
            // What was read again says nothing new.
            Some(Some(stored)) if position == known.content => {
                Position { content: position, stored: stored.max(known.stored) }
            }
            Some(Some(stored)) => Position { content: position, stored },
        };
        self.follower.confirm(id, &file, position, bytes)
    }

    fn identity(&self, id: SourceId) -> Option<Identity> {
        self.follower.identity(id)
    }

    fn refused(&self) -> Vec<Refused> {
        self.follower.refused().collect()
    }

    fn without_files(&self) -> Vec<PathBuf> {
        self.follower.without_files().to_vec()
    }
}

/// Reads what is NUL bytes at `at`, in blocks.
fn look_behind_nuls<F: Files + ?Sized>(files: &mut F, id: SourceId, at: u64) -> Result<Nuls, ReadError> {
    let (mut at, last) = (at, at + FOLLOW_LONG_BYTES);
    let mut block = Vec::new();
    while at < last {
        block.clear();
        files.read(id, at, READ_BLOCK_BYTES, &mut block)?;
        let nuls = leading_nuls(&block);
        at += nuls as u64;
        if nuls < block.len() {
            return Ok(Nuls::Data(at));
        }
        if nuls < READ_BLOCK_BYTES {
            return Ok(Nuls::End);
        }
    }
    Ok(Nuls::More(at))
}

/// A path as a name.
pub(super) fn name_of(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
