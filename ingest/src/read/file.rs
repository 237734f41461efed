//! A regular file: what was read ahead, then positioned reads to its end.

use std::fs::File;
use std::io;

use longshore_core::limits::READ_BLOCK_BYTES;
use rustix::buffer::spare_capacity;

use super::ahead::Ahead;
use super::append_some;

/// Reads at a place without moving a cursor.
pub(crate) trait ReadAt {
    /// Appends at most what `into` has room for, from `offset` on. Returns how many bytes; none at the end.
    fn read_at(&self, into: &mut Vec<u8>, offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, into: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(self, spare_capacity(into), offset)?)
    }
}

/// A regular file's bytes, from its start.
pub(crate) struct FileReader<'a> {
    ahead: Option<Ahead<'a>>,
    file: Box<dyn ReadAt + 'a>,
    /// Offset of the next byte that neither `ahead` nor `buffer` has.
    position: u64,
    /// For [`fill_buf`](FileReader::fill_buf) behind `ahead`; what is left of it begins at `buffer_at`.
    buffer: Vec<u8>,
    buffer_at: usize,
}

impl<'a> FileReader<'a> {
    /// Reads `file`, as far as it goes by `ahead`.
    pub(crate) fn new(ahead: Option<Ahead<'a>>, file: Box<dyn ReadAt + 'a>) -> Self {
        FileReader { ahead, file, position: 0, buffer: Vec::new(), buffer_at: 0 }
    }

    /// What was read ahead, as long as there is some.
    fn ahead(&mut self) -> Option<&mut Ahead<'a>> {
        if let Some(ahead) = &mut self.ahead
            && !ahead.ready()
        {
            self.position = ahead.position();
            self.ahead = None;
        }
        self.ahead.as_mut()
    }

    /// Appends at least a byte, at most what `into` has room for. Returns how many; none at the end.
    pub(crate) fn append(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        if let Some(ahead) = self.ahead() {
            let taken = append_some(ahead.bytes(), into);
            ahead.consume(taken);
            return Ok(taken);
        }
        if self.buffer_at < self.buffer.len() {
            let taken = append_some(&self.buffer[self.buffer_at..], into);
            self.buffer_at += taken;
            return Ok(taken);
        }
        let taken = self.file.read_at(into, self.position)?;
        self.position += taken as u64;
        Ok(taken)
    }

    /// Some bytes that are next; none at the end.
    pub(crate) fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead().is_some() {
            return Ok(self.ahead.as_ref().expect("just seen").bytes());
        }
        if self.buffer_at == self.buffer.len() {
            self.buffer.clear();
            self.buffer_at = 0;
            self.buffer.reserve_exact(READ_BLOCK_BYTES);
            self.position += self.file.read_at(&mut self.buffer, self.position)? as u64;
        }
        Ok(&self.buffer[self.buffer_at..])
    }

    /// Goes on behind the first `bytes` of what [`fill_buf`](FileReader::fill_buf) returned.
    pub(crate) fn consume(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        match &mut self.ahead {
            Some(ahead) => ahead.consume(bytes),
            None => {
                self.buffer_at += bytes;
                assert!(self.buffer_at <= self.buffer.len(), "only what is there can be taken");
            }
        }
    }
}
