//! What has no end and no place: pipes, terminals, devices. Read once there is something to read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_core::limits::{READ_BLOCK_BYTES, READ_STOP_CHECK_MS};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Reads a pipe until it ends or a stop is asked for, whichever comes first; silence delays neither.
pub(crate) struct PipeReader<'a> {
    from: PipeEnd,
    stop: &'a AtomicBool,
    stopped: bool,
    /// For [`fill_buf`](PipeReader::fill_buf); what is left of it begins at `buffer_at`.
    buffer: Vec<u8>,
    buffer_at: usize,
}

/// The end to read from.
pub(crate) enum PipeEnd {
    /// Standard input, which stays open.
    Stdin,
    /// A pipe with a name, or a device.
    Owned(OwnedFd),
}

impl AsFd for PipeEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            PipeEnd::Stdin => rustix::stdio::stdin(),
            PipeEnd::Owned(fd) => fd.as_fd(),
        }
    }
}

impl<'a> PipeReader<'a> {
    /// Reads until `stop` is set.
    pub(crate) fn new(from: PipeEnd, stop: &'a AtomicBool) -> Self {
        PipeReader { from, stop, stopped: false, buffer: Vec::new(), buffer_at: 0 }
    }

    /// A stop ended it. Reading on gives errors.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Appends at least a byte, at most what `into` has room for. Returns how many; none at the end.
    pub(crate) fn append(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        debug_assert!(self.buffer_at == self.buffer.len(), "a pipe is read in one of the two ways");
        loop {
            self.wait()?;
            match rustix::io::read(&self.from, spare_capacity(into)) {
                // Another process reads from the same pipe and was faster.
                Err(Errno::AGAIN) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Waits until a read would not.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(READ_STOP_CHECK_MS) * 1_000_000 };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                self.stopped = true;
                return Err(io::Error::other("a stop was asked for"));
            }
            match poll(&mut [PollFd::new(&self.from, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Some bytes that are next; none at the end.
    pub(crate) fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer_at == self.buffer.len() {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            self.buffer_at = 0;
            buffer.reserve_exact(READ_BLOCK_BYTES);
            let outcome = self.append(&mut buffer);
            self.buffer = buffer;
            outcome?;
        }
        Ok(&self.buffer[self.buffer_at..])
    }

    /// Goes on behind the first `bytes` of what [`fill_buf`](PipeReader::fill_buf) returned.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.buffer_at += bytes;
        assert!(self.buffer_at <= self.buffer.len(), "only what is there can be taken");
    }
}
