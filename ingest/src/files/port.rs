//! What a file feed asks of the file system, and the real one: the follower, and reads at any place of a content.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;

use crate::follow::{
    Change, FollowError, FollowOptions, Follower, Identity, KnownSource, OpenError, Position, SourceId,
};
use crate::input::{Compression, Filled, InputError, Stream};
use crate::read::{FileReader, Raw, RawBody};

/// Followed files as the feed sees them, so that tests can put faulty ones in their place.
pub trait Files {
    /// Waits until something changed, for so long at most, and says what.
    fn wait(&mut self, timeout: Duration) -> Vec<Change>;

    /// Appends a source's content from `at` on to `into`: `bytes`, or as many as there are now.
    fn read(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError>;

    /// Whether what was last read of this source was its own, up to `position` of its content. If not, the bytes are to be
    /// thrown away; a change tells more.
    fn confirm(&mut self, id: SourceId, position: u64) -> bool;

    /// What the source is known by now.
    fn identity(&self, id: SourceId) -> Option<Identity>;
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
    last: Option<(SourceId, Arc<File>)>,
    /// The compressed file that is being read: it cannot be entered in the middle.
    decompressing: Option<Decompressing>,
}

struct Decompressing {
    id: SourceId,
    file: Arc<File>,
    /// Bytes that the file had as stored when it was entered.
    size: u64,
    stream: Stream<'static>,
    /// Position in the content.
    at: u64,
    ended: bool,
    /// The data are damaged here.
    damaged: Option<String>,
    stored_read: Arc<AtomicU64>,
}

impl SystemFiles {
    /// Follows what the options say, knowing the sources of earlier runs.
    pub fn follow(
        options: &FollowOptions,
        known: impl IntoIterator<Item = KnownSource>,
    ) -> Result<SystemFiles, FollowError> {
        Ok(SystemFiles { follower: Follower::new(options, known)?, last: None, decompressing: None })
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
        self.last = Some((id, file));
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
        let open =
            self.decompressing.take().filter(|open| open.id == id && Arc::ptr_eq(&open.file, &file) && open.serves(at));
        let mut open = match open {
            Some(open) => open,
            None => Decompressing::new(id, file.clone())?,
        };
        open.pass_over(at)?;
        let end = open.append(bytes, into)?;
        self.decompressing = Some(open);
        self.last = Some((id, file));
        Ok(end)
    }
}

impl Files for SystemFiles {
    fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        // Without waiting, too: whoever always has something to do must see what becomes of the files.
        self.follower.wait(timeout)
    }

    fn read(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        match self.follower.identity(id).ok_or(ReadError::Gone)?.compression {
            Compression::Plain => self.read_plain(id, at, bytes, into),
            _ => self.read_compressed(id, at, bytes, into),
        }
    }

    fn confirm(&mut self, id: SourceId, position: u64) -> bool {
        let Some((_, file)) = self.last.take().filter(|(last, _)| *last == id) else { return false };
        let open = self.decompressing.as_ref().filter(|open| open.id == id);
        let position = match open {
            None => Position::plain(position),
            Some(open) => Position { content: position, stored: open.stored(position) },
        };
        self.follower.confirm(id, &file, position)
    }

    fn identity(&self, id: SourceId) -> Option<Identity> {
        self.follower.identity(id)
    }
}

impl Decompressing {
    fn new(id: SourceId, file: Arc<File>) -> Result<Self, ReadError> {
        let stored_read = Arc::new(AtomicU64::new(0));
        let handle = file.try_clone().map_err(ReadError::Failed)?;
        let raw = Raw::new(RawBody::File(FileReader::new(None, Box::new(handle))), stored_read.clone());
        let stream = Stream::new("its file".into(), raw).map_err(ReadError::Failed)?;
        let size = file.metadata().map_err(ReadError::Failed)?.len();
        Ok(Decompressing { id, file, size, stream, at: 0, ended: false, damaged: None, stored_read })
    }

    /// It can go on to this position. What ended, or was cut short, is read anew once there is more of the file.
    fn serves(&self, at: u64) -> bool {
        let over = self.ended || self.damaged.is_some();
        self.at <= at && !(over && self.file.metadata().is_ok_and(|file| file.len() > self.size))
    }

    /// Goes on to a position.
    fn pass_over(&mut self, position: u64) -> Result<(), ReadError> {
        let mut passed = Vec::new();
        while self.at < position && !self.ended {
            passed.clear();
            let bytes = usize::try_from(position - self.at).unwrap_or(usize::MAX).min(PASS_BYTES);
            self.append(bytes, &mut passed)?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        if let Some(why) = &self.damaged {
            return Err(ReadError::Damaged(why.clone()));
        }
        let begin = into.len();
        let filled = self.stream.fill(into, begin + bytes, self.at.wrapping_sub(begin as u64));
        let appended = into.len() - begin;
        self.at += appended as u64;
        let why = match filled {
            Ok(Filled::More | Filled::Stopped) => return Ok(ReadEnd::Open),
            Ok(Filled::Ended) => {
                self.ended = true;
                return Ok(ReadEnd::Ended);
            }
            Err(InputError::Read { error, .. } | InputError::Open { error, .. }) => {
                return Err(ReadError::Failed(error));
            }
            Err(InputError::Damaged { compression, offset, error, .. }) => {
                format!("its {compression} data cannot be decompressed past byte {offset} of its content ({error})")
            }
            Err(error @ (InputError::Header { .. } | InputError::Window { .. })) => error.to_string(),
        };
        self.damaged = Some(why.clone());
        // What came out before the damage is good.
        if appended > 0 { Ok(ReadEnd::Open) } else { Err(ReadError::Damaged(why)) }
    }

    /// Stored bytes that the content up to `position` takes. The whole file only if the content ends there.
    fn stored(&self, position: u64) -> u64 {
        let size = self.file.metadata().map_or(u64::MAX, |meta| meta.len());
        if self.ended && position == self.at {
            return size;
        }
        self.stored_read.load(Ordering::Relaxed).min(size.saturating_sub(1))
    }
}

/// Bytes that are decompressed at once where they were stored already.
const PASS_BYTES: usize = 1 << 20;

/// A path as a name.
pub(super) fn name_of(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
