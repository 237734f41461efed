//! Framing: where records begin and end in a source's bytes.
//!
//! Two users, one rule. The reader asks [`cut`] how much of its buffer is whole records; a decoder goes over these
//! records again with [`Records`]. A slice that `cut` ended yields from `Records` exactly the records that `cut`
//! counted.
//!
//! - Lines end with `\n`. One `\r` at the end is not part of a line, whether or not `\n` follows. What is empty then
//!   is a blank line: no record, but bytes of the slice like any others. The last line needs no ending. NUL bytes at the
//!   beginning of a line are no part of it either: a file that was truncated under a program that keeps its place begins
//!   with them, and so may what follows a crash of the machine.
//! - Messages of a topic are told apart by nothing in their bytes, but by a table of their ends ([`Division`]): nobody cuts
//!   them here.
//! - Frames begin with a big-endian `u32`, the number of bytes that follow. Zero, or more than
//!   [`FRAME_BYTES_CEILING`], cannot be a length: nothing after it can be told apart any more, and the rest of the
//!   source is given up as one truncated frame. Any other length is believed, so that a frame too short or too long
//!   to be a record costs itself and not its neighbours.

use memchr::{memchr, memchr_iter};

use crate::config::Framing;
use crate::limits::FRAME_BYTES_CEILING;

/// Bytes of a frame's length.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// Most bytes that a record takes up in its source beyond its own: a frame's length, or `\r\n`.
///
/// In a buffer of the record limit and this many bytes more, [`cut`] always gets somewhere: if it is full, and it ends
/// no record, the first one is too long.
pub const RECORD_OVERHEAD_BYTES: usize = FRAME_PREFIX_BYTES;

/// Where a slice ends in a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of whole records, blank lines between them included, from the buffer's start.
    pub end: usize,
    /// How many records these are.
    pub records: usize,
    /// Why no more of them.
    pub next: Next,
}

/// What stands at the end of the whole records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing, or the beginning of a record that more bytes can complete.
    More,
    /// As many records as may be have been found; what follows them has not been looked at.
    Full,
    /// Nothing, and nothing will follow: the buffer was all that is left and is whole records.
    End,
    /// A record that is too long.
    TooLong {
        /// For a frame, its length without the prefix; a line ends with its `\n`, which may be far past the buffer.
        length: Option<u64>,
    },
    /// A frame that is cut short by the source's end or whose length cannot be right: everything from here on is lost.
    Truncated {
        /// For the operator.
        detail: String,
    },
}

/// Finds the whole records at the front of `bytes`, at most `records_max`, none longer than `record_bytes_max` (line
/// ending or length prefix not counted).
///
/// `at_end` says that the source has nothing after `bytes`; then an unterminated last line is a whole record. The
/// result depends on the arguments only, and whole records are not looked at again if the caller goes on behind them.
pub fn cut(framing: Framing, bytes: &[u8], records_max: usize, at_end: bool, record_bytes_max: usize) -> Cut {
    debug_assert!(records_max > 0, "a slice of no records would never end");
    match framing {
        Framing::Lines => cut_lines(bytes, records_max, at_end, record_bytes_max),
        Framing::Frames => cut_frames(bytes, records_max, at_end, record_bytes_max),
    }
}

fn cut_lines(bytes: &[u8], records_max: usize, at_end: bool, record_bytes_max: usize) -> Cut {
    let (mut end, mut records) = (0, 0);
    for newline in memchr_iter(b'\n', bytes) {
        let nuls = leading_nuls(&bytes[end..newline]);
        let length = without_return(&bytes[end + nuls..newline]).len();
        if length > record_bytes_max {
            return Cut { end: end + nuls, records, next: Next::TooLong { length: None } };
        }
        end = newline + 1;
        records += usize::from(length > 0);
        if records == records_max {
            return Cut { end, records, next: Next::Full };
        }
    }
    // A `\r` at the very end may yet turn out to belong to the line's ending, so it does not count here either.
    let nuls = leading_nuls(&bytes[end..]);
    let length = without_return(&bytes[end + nuls..]).len();
    // Those behind which nothing stands may yet be written over, unless they would fill any buffer.
    if length > 0 || nuls > record_bytes_max {
        end += nuls;
    }
    if length > record_bytes_max {
        return Cut { end, records, next: Next::TooLong { length: None } };
    }
    if !at_end {
        return Cut { end, records, next: Next::More };
    }
    Cut { end: bytes.len(), records: records + usize::from(length > 0), next: Next::End }
}

fn cut_frames(bytes: &[u8], records_max: usize, at_end: bool, record_bytes_max: usize) -> Cut {
    let (mut end, mut records) = (0, 0);
    while records < records_max {
        let rest = &bytes[end..];
        let Some((prefix, rest)) = rest.split_first_chunk() else {
            let next = match (at_end, rest.len()) {
                (false, _) => Next::More,
                (true, 0) => Next::End,
                (true, present) => Next::Truncated {
                    detail: format!(
                        "the source ends {present} bytes into a frame's length of {FRAME_PREFIX_BYTES}: it is cut short"
                    ),
                },
            };
            return Cut { end, records, next };
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length == 0 || length > FRAME_BYTES_CEILING {
            let detail = format!(
                "{length} cannot be a frame's length (1 to {FRAME_BYTES_CEILING}): from here to the source's end no \
                 frame can be found; is the source damaged, or not made of frames?"
            );
            return Cut { end, records, next: Next::Truncated { detail } };
        }
        if length > record_bytes_max {
            return Cut { end, records, next: Next::TooLong { length: Some(length as u64) } };
        }
        if rest.len() < length {
            let present = rest.len();
            let detail = || format!("the source ends {present} bytes into a frame of {length}: it is cut short");
            let next = if at_end { Next::Truncated { detail: detail() } } else { Next::More };
            return Cut { end, records, next };
        }
        end += FRAME_PREFIX_BYTES + length;
        records += 1;
    }
    Cut { end, records, next: Next::Full }
}

/// A record of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins in the slice, its length prefix included.
    pub offset: usize,
    /// The record without line ending or length prefix; never empty, but for a message of a line ending alone.
    pub bytes: &'a [u8],
    /// Bytes that it takes up in the source, line ending or length prefix included.
    pub source_bytes: usize,
}

/// What tells the records of a slice apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division<'a> {
    /// What stands between them.
    Framing(Framing),
    /// Nothing in the bytes: they end at these places, and one byte stands behind each. So it is with messages, which may
    /// hold line feeds.
    Ends(&'a [u32]),
}

/// The records of a slice, in order.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    division: Division<'a>,
    bytes: &'a [u8],
    /// Where the next record, or a blank line before it, begins.
    at: usize,
}

impl<'a> Records<'a> {
    /// Goes over `bytes`, which [`cut`] found to be whole records.
    pub fn new(framing: Framing, bytes: &'a [u8]) -> Self {
        Records::from(Division::Framing(framing), bytes, 0)
    }

    /// Goes over `bytes`, which are whole records, from the one on that begins at `at`.
    pub fn from(division: Division<'a>, bytes: &'a [u8], at: usize) -> Self {
        let division = match division {
            Division::Ends(ends) => Division::Ends(&ends[ends.partition_point(|&end| (end as usize) < at)..]),
            framing @ Division::Framing(_) => framing,
        };
        Records { division, bytes, at }
    }

    fn next_ended(&mut self, ends: &'a [u32]) -> Option<Record<'a>> {
        let (&end, rest) = ends.split_first()?;
        self.division = Division::Ends(rest);
        let offset = self.at;
        self.at = end as usize + 1;
        Some(Record { offset, bytes: &self.bytes[offset..end as usize], source_bytes: self.at - offset })
    }

    fn next_line(&mut self) -> Option<Record<'a>> {
        loop {
            let offset = self.at;
            let rest = &self.bytes[offset..];
            if rest.is_empty() {
                return None;
            }
            let nuls = leading_nuls(rest);
            let (offset, rest) = (offset + nuls, &rest[nuls..]);
            let newline = memchr(b'\n', rest);
            let source_bytes = newline.map_or(rest.len(), |newline| newline + 1);
            self.at = offset + source_bytes;
            let bytes = without_return(&rest[..newline.unwrap_or(rest.len())]);
            if !bytes.is_empty() {
                return Some(Record { offset, bytes, source_bytes });
            }
        }
    }

    fn next_frame(&mut self) -> Option<Record<'a>> {
        let offset = self.at;
        let rest = &self.bytes[offset..];
        if rest.is_empty() {
            return None;
        }
        let (prefix, rest) = rest.split_first_chunk().expect("a slice holds whole frames");
        let length = u32::from_be_bytes(*prefix) as usize;
        assert!(length > 0, "a slice holds whole frames");
        let bytes = rest.get(..length).expect("a slice holds whole frames");
        let source_bytes = FRAME_PREFIX_BYTES + length;
        self.at += source_bytes;
        Some(Record { offset, bytes, source_bytes })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    /// # Panics
    /// If the bytes are frames and not whole ones.
    fn next(&mut self) -> Option<Record<'a>> {
        match self.division {
            Division::Framing(Framing::Lines) => self.next_line(),
            Division::Framing(Framing::Frames) => self.next_frame(),
            Division::Ends(ends) => self.next_ended(ends),
        }
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// How many NUL bytes a line begins with, which are no part of it.
#[inline]
pub fn leading_nuls(line: &[u8]) -> usize {
    if line.first() == Some(&0) { run_of_nuls(line) } else { 0 }
}

#[cold]
fn run_of_nuls(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks_exact(64).take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0);
    let whole = 64 * blocks.count();
    whole + bytes[whole..].iter().take_while(|byte| **byte == 0).count()
}

/// How many NUL bytes stand at the beginnings of lines.
pub fn nuls_of_lines(bytes: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(nul) = bytes.get(at..).and_then(|rest| memchr(0, rest)) {
        let run = leading_nuls(&bytes[at + nul..]);
        let begins_line = at + nul == 0 || bytes[at + nul - 1] == b'\n';
        count += if begins_line { run } else { 0 };
        at += nul + run;
    }
    count
}

/// The line without one `\r` at its end.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
