//! Systems without io_uring: the same names, and nothing behind them. Files are read by pread.

use std::convert::Infallible;
use std::fs::File;
use std::io;

use super::ahead::Blocks;

/// Never made.
pub(crate) struct Ring(Infallible);

/// Refuses.
pub(crate) fn probe() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "it is a part of Linux"))
}

impl Ring {
    /// Refuses.
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is a part of Linux"))
    }

    /// There is no ring to read with.
    pub(crate) fn read(&mut self, _file: &File) -> io::Result<Option<RingFile>> {
        match self.0 {}
    }
}

/// Never made.
pub(crate) struct RingFile(Infallible);

impl Blocks for RingFile {
    fn start(&mut self, _slot: usize, _offset: u64) -> io::Result<()> {
        match self.0 {}
    }

    fn wait(&mut self, _slot: usize) -> io::Result<usize> {
        match self.0 {}
    }

    fn bytes(&self, _slot: usize) -> &[u8] {
        match self.0 {}
    }
}
