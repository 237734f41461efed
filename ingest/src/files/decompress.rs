//! Compressed files that are being read.
//!
//! A compressed file cannot be entered in the middle, so what is open stays open from slice to slice, with what came out and
//! was not cut yet. A file that has to be entered again is decompressed up to where it is to go on, a bounded part in each
//! step, so that a large one holds up nobody; nor does one whose bytes give nothing.
//!
//! Few are open at once, since each takes memory. Another one waits until one of them is read, or was not asked for, or had
//! its share: then it is closed, and has the double share when its turn comes again, so that what is decompressed twice is
//! never more than what is decompressed once.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_core::limits::{
    FOLLOW_DECOMPRESSED_MAX, FOLLOW_DECOMPRESSED_SHARE_BYTES, FOLLOW_PASS_BYTES, FOLLOW_SILENT_BYTES_MAX,
};

use super::port::{ReadEnd, ReadError};
use crate::follow::{Inode, SourceId};
use crate::input::{Filled, InputError, Stream};
use crate::read::{FileReader, Raw, RawBody};

/// Which of a source's readers: what is new, or what is read again. They are at different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pace {
    Ahead,
    Again,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) id: SourceId,
    pub(super) pace: Pace,
    pub(super) file: Arc<File>,
    pub(super) inode: Inode,
    /// From here on in the content.
    pub(super) at: u64,
    pub(super) bytes: usize,
}

/// All that are open.
#[derive(Default)]
pub(super) struct Decompressors {
    open: Vec<Decompressing>,
    /// Wishes so far.
    clock: u64,
    /// How often a source's file was closed for others.
    closed: HashMap<SourceId, u32>,
    /// Bytes of content that may still be passed over in this step.
    pass_left: u64,
}

struct Decompressing {
    id: SourceId,
    pace: Pace,
    inode: Inode,
    file: Arc<File>,
    /// Bytes that the file had as stored when it was entered.
    size: u64,
    stream: Stream<'static>,
    /// What came out, from the last place that was asked for, or cut up to.
    content: Vec<u8>,
    /// Its place.
    content_at: u64,
    ended: bool,
    /// It was asked for what is behind its end.
    is_drained: bool,
    /// The data are damaged here.
    damaged: Option<String>,
    stored_read: Arc<AtomicU64>,
    /// No more stored bytes are taken than this until something comes out.
    stored_limit: Arc<AtomicU64>,
    /// Bytes that came out since it was opened.
    produced: u64,
    /// When it was asked for last.
    used: u64,
}

/// Wishes of others after which one that was not asked for is closed, if there is need.
const IDLE_WISHES: u64 = 8 * FOLLOW_DECOMPRESSED_MAX as u64;
/// Bytes that are decompressed at once.
const PIECE_BYTES: usize = 1 << 20;

impl Decompressors {
    /// A step begins.
    pub(super) fn begin_step(&mut self) {
        self.pass_left = FOLLOW_PASS_BYTES;
    }

    /// Appends content to `into`, or says that it takes another step to get there.
    pub(super) fn read(&mut self, wish: Wish, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        self.clock += 1;
        let Wish { at, bytes, .. } = wish;
        let number = self.opened(wish)?;
        let open = &mut self.open[number];
        open.used = self.clock;
        let passed = open.pass_over(at, &mut self.pass_left);
        if passed.is_ok() && open.end() < at && !open.is_over() {
            return Err(ReadError::NotYet);
        }
        let before = into.len();
        let outcome = passed.and_then(|()| open.read(at, bytes, into));
        match outcome {
            // What a decompressor does after the system failed under it is not known.
            Err(ReadError::Failed(_)) => drop(self.open.swap_remove(number)),
            Ok(ReadEnd::Ended) => self.open[number].is_drained = into.len() == before,
            _ => {}
        }
        outcome
    }

    /// What was read of a source is right, and all before `position` is over for this pace. Bytes of the file as stored that
    /// the content up to there takes; `None` if it is not open.
    pub(super) fn confirmed(&mut self, id: SourceId, pace: Pace, position: u64) -> Option<u64> {
        let number = self.open.iter().position(|open| open.id == id && open.pace == pace)?;
        let open = &mut self.open[number];
        let stored = open.stored(position);
        open.discard(if pace == Pace::Ahead { position } else { open.end() });
        if open.is_drained && open.content.is_empty() {
            self.open.swap_remove(number);
            self.closed.remove(&id);
        }
        Some(stored)
    }

    /// A source has no content any more.
    pub(super) fn forget(&mut self, id: SourceId) {
        self.open.retain(|open| open.id != id);
        self.closed.remove(&id);
    }

    /// The open file that serves a wish.
    fn opened(&mut self, wish: Wish) -> Result<usize, ReadError> {
        let own = self.open.iter().position(|open| open.id == wish.id && open.pace == wish.pace);
        if let Some(own) = own {
            if !self.open[own].serves(&wish) {
                self.open[own] = Decompressing::new(wish)?;
            }
            return Ok(own);
        }
        if self.open.len() >= FOLLOW_DECOMPRESSED_MAX {
            let number = self.dispensable().ok_or(ReadError::NotYet)?;
            let closed = self.open.swap_remove(number);
            match closed.is_drained {
                true => drop(self.closed.remove(&closed.id)),
                false => *self.closed.entry(closed.id).or_default() += 1,
            }
        }
        self.open.push(Decompressing::new(wish)?);
        Ok(self.open.len() - 1)
    }

    /// The one to be closed for another: the one that was asked for least lately of those that are not in use or had their
    /// share.
    fn dispensable(&self) -> Option<usize> {
        let had_its_share = |open: &Decompressing| {
            let times = self.closed.get(&open.id).copied().unwrap_or(0).min(32);
            open.produced >= FOLLOW_DECOMPRESSED_SHARE_BYTES << times
        };
        let may_go =
            |open: &&Decompressing| open.is_drained || self.clock - open.used > IDLE_WISHES || had_its_share(open);
        let oldest = self.open.iter().filter(may_go).min_by_key(|open| open.used)?;
        self.open.iter().position(|open| std::ptr::eq(open, oldest))
    }
}

impl Decompressing {
    fn new(Wish { id, pace, file, inode, .. }: Wish) -> Result<Self, ReadError> {
        let (stored_read, stored_limit) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let handle = file.try_clone().map_err(ReadError::Failed)?;
        let body = RawBody::File(FileReader::new(None, Box::new(handle)));
        let raw = Raw::new(body, stored_read.clone()).with_limit(stored_limit.clone());
        let stream = Stream::new("its file".into(), raw).map_err(ReadError::Failed)?;
        let size = file.metadata().map_err(ReadError::Failed)?.len();
        let (content, content_at, produced, used) = (Vec::new(), 0, 0, 0);
        let (ended, is_drained, damaged) = (false, false, None);
        Ok(Decompressing {
            id,
            pace,
            inode,
            file,
            size,
            stream,
            content,
            content_at,
            ended,
            is_drained,
            damaged,
            stored_read,
            stored_limit,
            produced,
            used,
        })
    }

    /// Where the content ends that came out.
    fn end(&self) -> u64 {
        self.content_at + self.content.len() as u64
    }

    /// Nothing more comes out.
    fn is_over(&self) -> bool {
        self.ended || self.damaged.is_some()
    }

    /// It can go on to where the wish begins. What ended, or was cut short, is read anew once there is more of the file.
    fn serves(&self, wish: &Wish) -> bool {
        let grown = self.is_over() && self.file.metadata().is_ok_and(|file| file.len() > self.size);
        self.inode == wish.inode && self.content_at <= wish.at && !grown
    }

    /// Goes on to a position, as far as may be passed over in this step.
    fn pass_over(&mut self, position: u64, pass_left: &mut u64) -> Result<(), ReadError> {
        self.discard(position);
        while self.end() < position && !self.is_over() && *pass_left > 0 {
            let before = self.end();
            let bytes = (position - before).min(*pass_left).min(PIECE_BYTES as u64);
            self.produce(bytes as usize)?;
            *pass_left = pass_left.saturating_sub((self.end() - before).max(1));
            self.discard(position);
        }
        Ok(())
    }

    /// Lets go of what is before a position.
    fn discard(&mut self, position: u64) {
        let bytes = position.saturating_sub(self.content_at).min(self.content.len() as u64);
        self.content.drain(..bytes as usize);
        self.content_at += bytes;
        if self.content.capacity() > 2 * self.content.len() + PIECE_BYTES {
            self.content.shrink_to_fit();
        }
    }

    fn read(&mut self, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        self.content.reserve_exact(bytes.saturating_sub(self.content.len()));
        while self.content.len() < bytes && !self.is_over() {
            self.produce((bytes - self.content.len()).min(PIECE_BYTES))?;
        }
        // What ended before the place has nothing there.
        let there = if self.content_at == at { self.content.len().min(bytes) } else { 0 };
        into.extend_from_slice(&self.content[..there]);
        match &self.damaged {
            // What came out before the damage is good.
            Some(why) if there == 0 => Err(ReadError::Damaged(why.clone())),
            None if there < bytes => Ok(ReadEnd::Ended),
            _ => Ok(ReadEnd::Open),
        }
    }

    /// Has so many bytes more come out, unless it ends or is damaged before.
    fn produce(&mut self, bytes: usize) -> Result<(), ReadError> {
        let before = self.content.len();
        let limit = self.stored_read.load(Ordering::Relaxed) + bytes as u64 + FOLLOW_SILENT_BYTES_MAX;
        self.stored_limit.store(limit, Ordering::Relaxed);
        let filled = self.stream.fill(&mut self.content, before + bytes, self.content_at);
        self.produced += (self.content.len() - before) as u64;
        let why = match filled {
            Ok(Filled::More | Filled::Stopped) => return Ok(()),
            Ok(Filled::Ended) => {
                self.ended = true;
                return Ok(());
            }
            Err(InputError::Read { error, .. } | InputError::Open { error, .. }) => {
                return Err(ReadError::Failed(error));
            }
            Err(InputError::Damaged { compression, offset, error, .. }) => {
                format!("its {compression} data cannot be decompressed past byte {offset} of its content ({error})")
            }
            Err(error @ (InputError::Header { .. } | InputError::Window { .. } | InputError::Changed { .. })) => {
                error.to_string()
            }
        };
        self.damaged = Some(why);
        Ok(())
    }

    /// Stored bytes that the content up to `position` takes. The whole file only if the content ends there.
    fn stored(&self, position: u64) -> u64 {
        let size = self.file.metadata().map_or(u64::MAX, |meta| meta.len());
        if self.ended && position == self.end() {
            return size;
        }
        self.stored_read.load(Ordering::Relaxed).min(size.saturating_sub(1))
    }
}
