//! How the stored bytes of an input come into memory.
//!
//! Three ways, told apart when an input is opened:
//! - A regular file by io_uring: a few blocks ahead of the reader, into buffers that the kernel knows (`uring`,
//!   `ahead`), past the page cache if the file is not in it (`direct`). Whatever the ring does not deliver, be it the
//!   file's end, a short read or an error, is left to:
//! - A regular file by `pread`, straight into the slice's buffer (`file`). It is the truth: only a `pread` that
//!   returns nothing ends a file, and only its errors are reported.
//! - Everything else (pipes, terminals, devices) by `read`, once there is something to read (`pipe`), so that a
//!   silent pipe does not keep a stop waiting.
//!
//! All three give the same bytes in the same order, so the slices do not depend on the way.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

mod ahead;
#[cfg(target_os = "linux")]
mod direct;
mod file;
mod pipe;
#[cfg_attr(not(target_os = "linux"), path = "read/no_uring.rs")]
mod uring;

pub(crate) use file::FileReader;
pub(crate) use pipe::{PipeEnd, PipeReader};

/// Which reader of files is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReaderChoice {
    /// io_uring where the system allows it, else pread.
    #[default]
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// pread, without trying io_uring.
    Pread,
}

impl FromStr for ReaderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(ReaderChoice::Auto),
            "io_uring" => Ok(ReaderChoice::IoUring),
            "pread" => Ok(ReaderChoice::Pread),
            _ => Err("it is auto, io_uring or pread".to_owned()),
        }
    }
}

/// Which reader of files is used: [`ReaderChoice`] once the system was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMethod {
    /// Blocks read ahead by io_uring.
    IoUring,
    /// Positioned reads.
    Pread,
}

/// io_uring was asked for and the system refuses it.
#[derive(Debug, thiserror::Error)]
#[error(
    "io_uring cannot be used here ({error}); leave --reader io_uring away, or allow it: kernel 5.6 or later, \
     kernel.io_uring_disabled = 0, a container profile that permits its system calls, and 2 MiB of lockable memory \
     (ulimit -l)"
)]
pub struct ReaderRefused {
    /// From the system.
    pub error: io::Error,
}

impl ReadMethod {
    /// Asks the system, with a real read, whether the choice can be had.
    pub fn choose(choice: ReaderChoice) -> Result<Self, ReaderRefused> {
        let method = match choice {
            ReaderChoice::Pread => ReadMethod::Pread,
            ReaderChoice::IoUring => {
                uring::probe().map_err(|error| ReaderRefused { error })?;
                ReadMethod::IoUring
            }
            ReaderChoice::Auto => match uring::probe() {
                Ok(()) => ReadMethod::IoUring,
                Err(error) => {
                    tracing::debug!("io_uring cannot be used here: {error}");
                    ReadMethod::Pread
                }
            },
        };
        tracing::debug!("files are read by {method}");
        Ok(method)
    }
}

impl fmt::Display for ReadMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadMethod::IoUring => "io_uring",
            ReadMethod::Pread => "pread",
        })
    }
}

/// Opens files for reading, one after the other, with one ring for all of them.
pub(crate) struct FileReaders {
    ring: Option<uring::Ring>,
}

impl FileReaders {
    /// Sets up a ring if the method needs one. One that was to be had a moment ago and no longer is costs speed only.
    pub(crate) fn new(method: ReadMethod) -> Self {
        let ring = match method {
            ReadMethod::Pread => None,
            ReadMethod::IoUring => match uring::Ring::new() {
                Ok(ring) => Some(ring),
                Err(error) => {
                    tracing::warn!("io_uring is not to be had any more ({error}): files are read by pread");
                    None
                }
            },
        };
        FileReaders { ring }
    }

    /// A reader of a regular file from its start.
    pub(crate) fn read(&mut self, file: File) -> io::Result<FileReader<'_>> {
        let size = file.metadata()?.len();
        // A hint; a file that cannot take it is read all the same.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let ahead = match &mut self.ring {
            Some(ring) if size > 0 => ring.read(&file)?.map(|blocks| ahead::Ahead::new(Box::new(blocks), size)),
            _ => None,
        };
        Ok(FileReader::new(ahead, Box::new(file)))
    }
}

/// How much of a file's first `bytes` the page cache has, where the system tells.
pub(crate) fn cached_bytes(file: &File, bytes: u64) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return direct::cached_bytes(file, bytes).ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, bytes);
        None
    }
}

/// The stored bytes of an open input: counted, and with its first bytes looked at.
///
/// A [`BufRead`](io::BufRead) for decompressors; for what is not compressed there is [`append`](Raw::append), which
/// saves a copy.
pub(crate) struct Raw<'a> {
    body: RawBody<'a>,
    /// Bytes that [`peek`](Raw::peek) took out of `body`, from `head_at` on.
    head: Vec<u8>,
    head_at: usize,
    stored_read: Arc<AtomicU64>,
    /// No more of them are given than this.
    limit: Option<Arc<AtomicU64>>,
    failed: bool,
}

pub(crate) enum RawBody<'a> {
    File(FileReader<'a>),
    Pipe(PipeReader<'a>),
}

impl<'a> Raw<'a> {
    /// Counts in `stored_read` what is taken.
    pub(crate) fn new(body: RawBody<'a>, stored_read: Arc<AtomicU64>) -> Self {
        Raw { body, head: Vec::new(), head_at: 0, stored_read, limit: None, failed: false }
    }

    /// Ends in an error of kind `InvalidData` behind so many bytes, which may be changed meanwhile: a decompressor would
    /// read on for as long as nothing comes out.
    pub(crate) fn with_limit(self, limit: Arc<AtomicU64>) -> Self {
        Raw { limit: Some(limit), ..self }
    }

    /// The first bytes, `count` of them if there are as many. They are read again afterwards.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.head.len() < count {
            let mut next = Vec::with_capacity(count - self.head.len());
            match self.append_body(&mut next) {
                Ok(0) => break,
                Ok(_) => self.head.append(&mut next),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.stopped() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(&self.head)
    }

    /// Appends at least a byte, at most what `into` has room for. Returns how many; none at the end.
    pub(crate) fn append(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let head = &self.head[self.head_at..];
        let taken = if head.is_empty() {
            self.append_body(into)?
        } else {
            let taken = append_some(head, into);
            self.head_at += taken;
            taken
        };
        self.stored_read.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }

    fn append_body(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let outcome = match &mut self.body {
            RawBody::File(file) => file.append(into),
            RawBody::Pipe(pipe) => pipe.append(into),
        };
        outcome.inspect_err(|error| self.failed |= error.kind() != io::ErrorKind::Interrupted)
    }

    /// The system itself failed to read, as opposed to what was read being damaged.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// A stop was asked for while there was nothing to read. What was read before may be all there ever is.
    pub(crate) fn stopped(&self) -> bool {
        matches!(&self.body, RawBody::Pipe(pipe) if pipe.stopped())
    }

    /// It can be read again from its start.
    pub(crate) fn repeatable(&self) -> bool {
        matches!(&self.body, RawBody::File(_))
    }
}

impl io::Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = io::BufRead::fill_buf(self)?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        io::BufRead::consume(self, taken);
        Ok(taken)
    }
}

impl io::BufRead for Raw<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head_at < self.head.len() {
            return Ok(&self.head[self.head_at..]);
        }
        let taken = self.stored_read.load(Ordering::Relaxed);
        if self.limit.as_ref().is_some_and(|limit| taken >= limit.load(Ordering::Relaxed)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, NO_CONTENT));
        }
        let outcome = match &mut self.body {
            RawBody::File(file) => file.fill_buf(),
            RawBody::Pipe(pipe) => pipe.fill_buf(),
        };
        outcome.inspect_err(|error| self.failed |= error.kind() != io::ErrorKind::Interrupted)
    }

    fn consume(&mut self, bytes: usize) {
        self.stored_read.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.head_at < self.head.len() {
            self.head_at += bytes;
            return;
        }
        match &mut self.body {
            RawBody::File(file) => file.consume(bytes),
            RawBody::Pipe(pipe) => pipe.consume(bytes),
        }
    }
}

/// What is wrong with compressed data of which nothing comes out.
pub(crate) const NO_CONTENT: &str = "a long stretch of it holds no content";

/// Appends what there is room for; returns how much.
fn append_some(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    let taken = bytes.len().min(into.capacity() - into.len());
    into.extend_from_slice(&bytes[..taken]);
    taken
}

#[cfg(test)]
pub(crate) mod tests;
