//! Blocks of a file that are read ahead, handed out in the file's order.

use std::io;

use longshore_core::limits::{READ_BLOCK_BYTES, READ_BLOCKS_AHEAD};

/// Reads whole blocks of [`READ_BLOCK_BYTES`] into [`READ_BLOCKS_AHEAD`] slots, several at once, in any order.
pub(crate) trait Blocks {
    /// Begins to read the block at `offset` into a slot whose last read was waited for, or that had none.
    fn start(&mut self, slot: usize, offset: u64) -> io::Result<()>;
    /// Waits for the slot's read; returns how many bytes it gave.
    fn wait(&mut self, slot: usize) -> io::Result<usize>;
    /// The bytes that the slot's last read gave.
    fn bytes(&self, slot: usize) -> &[u8];
}

/// Hands out a file's blocks while the next ones are being read.
///
/// It ends before the file does if anything is out of the ordinary: a read that gave less than a block (the file's end,
/// as a rule), or an error. Whoever reads on from [`position`](Ahead::position) finds out which.
pub(crate) struct Ahead<'a> {
    blocks: Box<dyn Blocks + 'a>,
    /// Bytes that the file had when it was opened. What it grows by is not read ahead.
    size: u64,
    /// Where the next block begins that is not yet being read.
    started: u64,
    /// Offset of the next byte to hand out.
    position: u64,
    /// Offset just past the last byte that is there.
    available: u64,
    /// There is nothing after `available`.
    ended: bool,
}

impl<'a> Ahead<'a> {
    /// From the file's start.
    pub(crate) fn new(blocks: Box<dyn Blocks + 'a>, size: u64) -> Self {
        Ahead { blocks, size, started: 0, position: 0, available: 0, ended: false }
    }

    /// Offset of the next byte to hand out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Waits until [`bytes`](Ahead::bytes) has some. False if it never will.
    pub(crate) fn ready(&mut self) -> bool {
        if self.position < self.available {
            return true;
        }
        // At the start of a block, since only the last one may be short.
        self.ended |= self.position >= self.size || self.start_ahead().is_err();
        if self.ended {
            return false;
        }
        let given = self.blocks.wait(slot_of(self.position)).unwrap_or(0);
        self.ended = given < READ_BLOCK_BYTES;
        self.available += given as u64;
        given > 0
    }

    /// Keeps every free slot reading.
    fn start_ahead(&mut self) -> io::Result<()> {
        let end = self.size.min(self.position + (READ_BLOCKS_AHEAD * READ_BLOCK_BYTES) as u64);
        while self.started < end {
            self.blocks.start(slot_of(self.started), self.started)?;
            self.started += READ_BLOCK_BYTES as u64;
        }
        Ok(())
    }

    /// What is there from the position on.
    pub(crate) fn bytes(&self) -> &[u8] {
        let block = self.blocks.bytes(slot_of(self.position));
        &block[(self.position % READ_BLOCK_BYTES as u64) as usize..]
    }

    /// Goes on behind the first `bytes` of what is there.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.position += bytes as u64;
        assert!(self.position <= self.available, "only what is there can be taken");
    }
}

fn slot_of(offset: u64) -> usize {
    (offset / READ_BLOCK_BYTES as u64) as usize % READ_BLOCKS_AHEAD
}
