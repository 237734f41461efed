//! The fingerprint of the last bytes that were read of a content: whether they still stand where they stood.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use longshore_core::limits::FOLLOW_TAIL_BYTES;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of an encoded tail.
pub(super) const TAIL_BYTES: usize = 8 + 2 + 8;

/// XXH3-64 of the last bytes before a place of a content, at most [`FOLLOW_TAIL_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    end: u64,
    length: u16,
    hash: u64,
}

impl Tail {
    /// Of bytes that end at `end`.
    pub fn of(before: &[u8], end: u64) -> Self {
        let before = &before[before.len().saturating_sub(FOLLOW_TAIL_BYTES)..];
        Tail { end, length: before.len() as u16, hash: xxh3_64(before) }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether these bytes, which stand before its end, end with those that it is of.
    pub(super) fn ends(&self, before: &[u8]) -> bool {
        let at = before.len().checked_sub(usize::from(self.length));
        at.is_some_and(|at| xxh3_64(&before[at..]) == self.hash)
    }

    /// It is of no bytes, and so says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Of a file whose bytes before `end` end with `before`; `None` if others are there.
    pub(super) fn read(file: &File, end: u64, before: &[u8]) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; usize::try_from(end).unwrap_or(usize::MAX).min(FOLLOW_TAIL_BYTES)];
        let at = end - bytes.len() as u64;
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => {
                let before = &before[before.len().saturating_sub(bytes.len())..];
                Ok(bytes.ends_with(before).then(|| Tail::of(&bytes, end)))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a file that is not compressed has it.
    pub(super) fn is_in(&self, file: &File) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(true);
        }
        let mut bytes = vec![0; usize::from(self.length)];
        match file.read_exact_at(&mut bytes, self.end - u64::from(self.length)) {
            Ok(()) => Ok(xxh3_64(&bytes) == self.hash),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend(self.end.to_le_bytes());
        into.extend(self.length.to_le_bytes());
        into.extend(self.hash.to_le_bytes());
    }

    /// `None` if no tail is encoded like this.
    pub(super) fn decode(bytes: &[u8; TAIL_BYTES]) -> Option<Self> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let tail = Tail { end: word(0), length: u16::from_le_bytes([bytes[8], bytes[9]]), hash: word(10) };
        (usize::from(tail.length) <= FOLLOW_TAIL_BYTES && u64::from(tail.length) <= tail.end).then_some(tail)
    }
}
