//! The reader: cuts sources into slices of whole records.
//!
//! Where a slice ends depends on the source's bytes and the options alone, never on timing or on how many bytes a read
//! returned, so that the same input gives the same slices in every run. The bytes are read into the buffer that becomes
//! the slice; only the torn record at its end is copied, into the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use longshore_core::dead_letter::Reason;
use longshore_core::delimited;
use longshore_core::frame::{Cut, FRAME_PREFIX_BYTES, Next, cut};
use longshore_core::limits::{DEAD_LETTER_HEAD_BYTES, SLICE_BYTES_CEILING};
use longshore_core::slice::Tail;
use memchr::memchr;
use xxhash_rust::xxh3::xxh3_64;

use crate::cut::{CutOptions, CutSlice, Of, too_long};
use crate::input::{Filled, Input, InputError, Stream};
use crate::known::KnownSlices;
use crate::progress::Progress;
use crate::read::{FileReaders, ReadMethod};

pub(crate) mod again;

/// How inputs are read.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// How slices are cut.
    pub cut: CutOptions,
    /// How files are read. The slices are the same by either.
    pub read: ReadMethod,
}

/// Reads inputs, one after the other, and sends their slices.
pub struct Reader<'a> {
    options: &'a ReaderOptions,
    known: &'a KnownSlices,
    progress: &'a Progress,
    stop: &'a AtomicBool,
}

/// Nobody takes slices any more.
struct Disconnected;

impl<'a> Reader<'a> {
    /// A reader that skips `known` slices, counts in `progress` and ends early when `stop` is set.
    pub fn new(
        options: &'a ReaderOptions,
        known: &'a KnownSlices,
        progress: &'a Progress,
        stop: &'a AtomicBool,
    ) -> Self {
        Reader { options, known, progress, stop }
    }

    /// Sends the slices of all inputs to `slices`, into buffers from `used` where there are some.
    ///
    /// An input that fails does not keep the others from being read. Returns the failures.
    pub fn read_all(&self, inputs: &[Input], slices: &Sender<CutSlice>, used: &Receiver<Vec<u8>>) -> Vec<InputError> {
        let mut errors = Vec::new();
        let mut files = FileReaders::new(self.options.read);
        // Goes from input to input: many small ones fill the same memory again.
        let mut buffer = Vec::new();
        for input in inputs {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let stream = match input.open(&mut files, self.progress.stored_read.clone(), self.stop) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::error!("{error}");
                    errors.push(error);
                    continue;
                }
            };
            let mut source = Source::new(self, input.source_id, stream, buffer);
            let ended = source.read(slices, used);
            buffer = source.buffer;
            buffer.clear();
            if let Some(error) = source.failure {
                tracing::error!("{error}");
                errors.push(error);
            }
            if let Err(Disconnected) = ended {
                break;
            }
        }
        errors
    }
}

/// What a look at the bytes at hand has shown.
struct Window {
    cut: Cut,
    /// There is nothing in the source behind the bytes that were looked at, and that can be seen from them alone: had
    /// there been more, the window would have been full.
    covers_rest: bool,
}

/// Whether a run before this one stored what comes next.
enum Stored {
    Before,
    Not,
    /// A stop came before enough was read to tell. Storing it might store it twice.
    Unknown,
}

/// One input while it is read.
struct Source<'a> {
    reader: &'a Reader<'a>,
    source_id: u64,
    stream: Stream<'a>,
    /// What was read and not yet sent begins at `position`.
    buffer: Vec<u8>,
    position: usize,
    /// Offset in the source of `buffer[position]`.
    offset: u64,
    header: Option<Arc<[String]>>,
    /// The stream may have more bytes.
    more: bool,
    /// The stream has no more bytes because a stop was asked for: nobody knows how what is there goes on.
    stopped: bool,
    /// Why the stream ended before its end.
    failure: Option<InputError>,
}

impl<'a> Source<'a> {
    /// A source from its start. `buffer` is empty and may have room already.
    fn new(reader: &'a Reader<'a>, source_id: u64, stream: Stream<'a>, buffer: Vec<u8>) -> Self {
        Source {
            reader,
            source_id,
            stream,
            buffer,
            position: 0,
            offset: 0,
            header: None,
            more: true,
            stopped: false,
            failure: None,
        }
    }

    fn read(&mut self, slices: &Sender<CutSlice>, used: &Receiver<Vec<u8>>) -> Result<(), Disconnected> {
        if self.reader.options.cut.has_header() && !self.read_header() {
            return Ok(());
        }
        while !self.leave_rest() {
            match self.skip_known() {
                Stored::Before => continue,
                Stored::Unknown => return Ok(()),
                Stored::Not => {}
            }
            let Window { cut, covers_rest } = self.cut();
            let (start, bytes) = self.take(cut.end, used);
            let ended = bytes.is_empty();
            if !ended {
                self.send(slices, start, bytes, None)?;
            }
            // A slice of its own: should the rest of a damaged file arrive later, the whole records before it are known.
            let start = self.offset;
            match self.tail(cut.next, covers_rest) {
                Some(tail) => self.send(slices, start, Vec::new(), Some(tail))?,
                None if ended => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// A stop was asked for, and what was not cut can be read again. A pipe's bytes are gone from the pipe once they were
    /// read, so they are cut first; it is the stream that ends then.
    fn leave_rest(&self) -> bool {
        self.reader.stop.load(Ordering::Relaxed) && self.stream.repeatable()
    }

    /// Reads the header line. False if there is nothing to read after it.
    fn read_header(&mut self) -> bool {
        let window = self.reader.options.cut.window_bytes();
        self.fill(window);
        if self.buffer.is_empty() {
            return false;
        }
        let newline = memchr(b'\n', &self.buffer);
        if newline.is_none() && self.stopped {
            return false;
        }
        let end = newline.unwrap_or(self.buffer.len());
        let line = self.buffer[..end].strip_suffix(b"\r").unwrap_or(&self.buffer[..end]);
        match delimited::parse_header(line, self.reader.options.cut.format) {
            Ok(header) => self.header = Some(header),
            Err(detail) => {
                self.failure = Some(InputError::Header { name: self.stream.name().clone(), detail });
                return false;
            }
        }
        self.advance((end + 1).min(self.buffer.len()));
        true
    }

    fn window(&self) -> &[u8] {
        let rest = &self.buffer[self.position..];
        &rest[..rest.len().min(self.reader.options.cut.window_bytes())]
    }

    fn advance(&mut self, bytes: usize) {
        self.position += bytes;
        self.offset += bytes as u64;
    }

    /// Makes at least `bytes` available after `position`, unless the stream ends before.
    fn fill(&mut self, bytes: usize) {
        if !self.more || self.buffer.len() - self.position >= bytes {
            return;
        }
        self.buffer.drain(..self.position);
        self.position = 0;
        match self.stream.fill(&mut self.buffer, bytes, self.offset) {
            Ok(Filled::More) => {}
            Ok(Filled::Ended) => self.more = false,
            Ok(Filled::Stopped) => (self.more, self.stopped) = (false, true),
            Err(error) => {
                self.more = false;
                self.failure = Some(error);
            }
        }
    }

    /// Where the next slice ends. Reads on only if what is there does not settle it.
    fn cut(&mut self) -> Window {
        let options = &self.reader.options.cut;
        loop {
            let covers_rest = !self.more && self.buffer.len() - self.position < options.window_bytes();
            // After a failure or a stop nobody knows whether the last line is whole.
            let at_end = covers_rest && self.failure.is_none() && !self.stopped;
            let cut = cut(options.framing, self.window(), options.records_max, at_end, options.record_bytes_max);
            let wants_more = matches!(cut.next, Next::More) && self.window().len() < options.window_bytes();
            if !(wants_more && self.more) {
                return Window { cut, covers_rest };
            }
            self.fill(options.window_bytes());
        }
    }

    /// Takes the first `end` bytes as a slice's, copying whichever is shorter: them or what follows them.
    /// Returns their offset in the source, too.
    fn take(&mut self, end: usize, used: &Receiver<Vec<u8>>) -> (u64, Vec<u8>) {
        let start = self.offset;
        let rest = self.position + end..self.buffer.len();
        self.offset += end as u64;
        if self.position > 0 || rest.len() > end {
            let mut bytes = used.try_recv().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(&self.buffer[self.position..self.position + end]);
            self.position += end;
            return (start, bytes);
        }
        let mut next = used.try_recv().unwrap_or_default();
        next.clear();
        next.reserve_exact(self.reader.options.cut.window_bytes());
        next.extend_from_slice(&self.buffer[rest]);
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(end);
        (start, bytes)
    }

    /// What follows the whole records and is none itself. Nothing, if a stop came before its end: it is not over.
    fn tail(&mut self, next: Next, covers_rest: bool) -> Option<Tail> {
        let (tail, over) = self.tail_so_far(next, covers_rest)?;
        (over || !self.stopped).then_some(tail)
    }

    /// The tail, and whether its own end was seen, and not only where the bytes end.
    fn tail_so_far(&mut self, next: Next, covers_rest: bool) -> Option<(Tail, bool)> {
        match next {
            Next::TooLong { length } => Some(self.too_long(length)),
            Next::Truncated { detail } => Some((self.rest(Reason::TruncatedFrame, detail), false)),
            // What the system failed to read can be read again; what is damaged stays so.
            Next::More if covers_rest && !self.rest_is_empty() && !self.failed_to_read() => {
                let detail = "the input ends inside this record".to_owned();
                Some((self.rest(Reason::TruncatedInput, detail), false))
            }
            Next::More | Next::Full | Next::End => None,
        }
    }

    /// Passes over a record that is too long, keeping its head. `framed` is its length where a prefix tells it. Also says
    /// whether its end is there.
    fn too_long(&mut self, framed: Option<u64>) -> (Tail, bool) {
        let prefix = if framed.is_some() { FRAME_PREFIX_BYTES } else { 0 };
        self.advance(prefix);
        self.fill(DEAD_LETTER_HEAD_BYTES);
        let head_end = self.buffer.len().min(self.position + DEAD_LETTER_HEAD_BYTES);
        let head = self.buffer[self.position..head_end].to_vec();
        let (length, ending) = match framed {
            Some(length) => (self.pass_over(length), 0),
            None => self.pass_line(),
        };
        let limit = self.reader.options.cut.record_bytes_max;
        let tail = too_long(head, length, ending, framed, limit);
        (tail, ending > 0 || framed == Some(length))
    }

    /// Passes over `bytes` bytes, or as many as there are; returns how many.
    fn pass_over(&mut self, bytes: u64) -> u64 {
        let mut left = bytes;
        loop {
            let here = (self.buffer.len() - self.position).min(usize::try_from(left).unwrap_or(usize::MAX));
            self.advance(here);
            left -= here as u64;
            if left == 0 || !self.refill() {
                return bytes - left;
            }
        }
    }

    /// Passes over a line and its ending; returns the bytes of both.
    fn pass_line(&mut self) -> (u64, u64) {
        let mut length = 0;
        let mut last = None;
        loop {
            let rest = &self.buffer[self.position..];
            if let Some(end) = memchr(b'\n', rest) {
                let before = if end > 0 { Some(rest[end - 1]) } else { last };
                let carriage_return = u64::from(before == Some(b'\r'));
                self.advance(end + 1);
                return (length + end as u64 - carriage_return, 1 + carriage_return);
            }
            length += rest.len() as u64;
            last = rest.last().copied().or(last);
            self.advance(rest.len());
            if !self.refill() {
                return (length, 0);
            }
        }
    }

    /// Reads on once everything in the buffer was passed over. False at the end.
    fn refill(&mut self) -> bool {
        self.fill(self.reader.options.cut.window_bytes());
        self.position < self.buffer.len()
    }

    /// All that is left, as a tail.
    fn rest(&mut self, reason: Reason, detail: String) -> Tail {
        let here = &self.buffer[self.position..];
        let mut head = here[..here.len().min(self.reader.options.cut.record_bytes_max)].to_vec();
        let length = self.pass_over(u64::MAX);
        if length > head.len() as u64 {
            head.truncate(DEAD_LETTER_HEAD_BYTES);
        }
        Tail { reason, head, length, consumed: length, detail }
    }

    fn rest_is_empty(&self) -> bool {
        self.position == self.buffer.len()
    }

    fn failed_to_read(&self) -> bool {
        matches!(self.failure, Some(InputError::Read { .. }))
    }

    fn send(
        &self,
        slices: &Sender<CutSlice>,
        start: u64,
        bytes: Vec<u8>,
        tail: Option<Tail>,
    ) -> Result<(), Disconnected> {
        let of = Of { name: self.stream.name(), source_id: self.source_id, header: self.header.as_ref() };
        let slice = CutSlice::new(of, start, bytes, tail);
        let length = slice.meta.end - start;
        self.reader.progress.cut_bytes.fetch_add(length, Ordering::Relaxed);
        if self.reader.known.contains(slice.meta.id) {
            self.reader.progress.skipped(length);
            return Ok(());
        }
        slices.send(slice).map_err(|_| Disconnected)
    }

    /// Passes over a slice that was stored before and ends elsewhere than one cut now would: the file has grown since,
    /// or the slices were of another size.
    fn skip_known(&mut self) -> Stored {
        let candidates = self.reader.known.starting_at(self.source_id, self.offset);
        let Some(longest) = candidates.iter().map(|known| known.end - known.start).max() else { return Stored::Not };
        let wanted = usize::try_from(longest).unwrap_or(usize::MAX).min(SLICE_BYTES_CEILING);
        self.fill(wanted.max(self.reader.options.cut.window_bytes()));
        let available = &self.buffer[self.position..];
        let found = candidates
            .iter()
            .filter(|known| known.end > known.start)
            .filter_map(|known| usize::try_from(known.end - known.start).ok().map(|bytes| (bytes, known.hash)))
            .filter(|&(bytes, hash)| bytes <= available.len() && xxh3_64(&available[..bytes]) == hash)
            .map(|(bytes, _)| bytes)
            .max();
        let Some(bytes) = found else {
            let undecided = self.stopped && available.len() < wanted;
            return if undecided { Stored::Unknown } else { Stored::Not };
        };
        self.advance(bytes);
        self.reader.progress.cut_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.reader.progress.skipped(bytes as u64);
        Stored::Before
    }
}

#[cfg(test)]
mod tests;
