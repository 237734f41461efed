//! The reader: cuts sources into slices of whole records.
//!
//! Where a slice ends depends on the source's bytes and the options alone, never on timing or on how many bytes a read
//! returned, so that the same input gives the same slices in every run. The bytes are read into the buffer that becomes
//! the slice; only the torn record at its end is copied, into the next one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use longshore_core::dead_letter::Reason;
use longshore_core::delimited;
use longshore_core::frame::{Cut, FRAME_PREFIX_BYTES, Next, cut};
use longshore_core::limits::{
    DEAD_LETTER_HEAD_BYTES, FOLLOW_HEAD_BYTES, INPUTS_LOOKED_UP, SLICE_BYTES_CEILING, SLICE_RECORDS_MAX,
};
use longshore_core::slice::{CutAt, SliceId, Tail};
use memchr::memchr;

use crate::content::{self, Content, Mark};
use crate::cut::{CutOptions, CutSlice, Of, Place, too_long};
use crate::input::{Filled, Input, InputError, Stream};
use crate::journal::ConfigHash;
use crate::known::{KnownSlice, KnownSlices, NothingStored, StoredSlices};
use crate::planned::{NothingPlanned, Plans};
use crate::progress::Progress;
use crate::read::{FileReaders, ReadMethod};
use crate::retry::RetryEnd;

pub(crate) mod again;
mod passed;

/// How inputs are read.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// How slices are cut.
    pub cut: CutOptions,
    /// How files are read. The slices are the same by either.
    pub read: ReadMethod,
}

/// What is known of the inputs, and where new slices are planned.
#[derive(Clone, Copy)]
pub struct Books<'a> {
    /// What is stored.
    pub stored: &'a dyn StoredSlices,
    /// What is planned.
    pub plans: &'a dyn Plans,
    /// What slices are processed under. One that was planned under another config is not sent.
    pub config: ConfigHash,
    /// Only what is planned is to be sent, and nothing new.
    pub finish: bool,
}

impl Books<'_> {
    /// Nothing is known, and nothing is planned.
    pub const NONE: Books<'static> =
        Books { stored: &NothingStored, plans: &NothingPlanned, config: ConfigHash(0), finish: false };
}

/// Reads inputs, one after the other, and sends their slices.
pub struct Reader<'a> {
    options: &'a ReaderOptions,
    books: Books<'a>,
    /// What was found there, and what was cut since: a content that comes twice counts once.
    known: KnownSlices,
    /// Heads of which all that is stored is known.
    asked: HashSet<u64>,
    /// What was sent.
    sent: HashSet<SliceId>,
    /// Inputs that were taken for others, as sentences.
    alike: Vec<String>,
    progress: &'a Progress,
    stop: &'a AtomicBool,
}

/// Nothing more is to be read: nobody takes slices any more, or why nobody tells what is stored.
struct Over(Option<RetryEnd>);

/// What reading all inputs came to.
#[derive(Debug, Default)]
pub struct Reading {
    /// Inputs that could not be read to their end.
    pub errors: Vec<InputError>,
    /// Inputs that were taken for others, as sentences.
    pub alike: Vec<String>,
    /// Why nobody could tell what is stored of the rest, if that ended it.
    pub end: Option<RetryEnd>,
}

impl<'a> Reader<'a> {
    /// A reader that skips slices that are stored, counts in `progress` and ends early when `stop` is set.
    pub fn new(options: &'a ReaderOptions, books: Books<'a>, progress: &'a Progress, stop: &'a AtomicBool) -> Self {
        Reader {
            options,
            books,
            known: KnownSlices::default(),
            asked: HashSet::new(),
            sent: HashSet::new(),
            alike: Vec::new(),
            progress,
            stop,
        }
    }

    /// Sends the slices of all inputs to `slices`, into buffers from `used` where there are some.
    ///
    /// An input that fails does not keep the others from being read.
    pub fn read_all(&mut self, inputs: &[Input], slices: &Sender<CutSlice>, used: &Receiver<Vec<u8>>) -> Reading {
        let mut reading = Reading::default();
        let mut files = FileReaders::new(self.options.read);
        // Goes from input to input: many small ones fill the same memory again.
        let mut buffer = Vec::new();
        for (at, input) in inputs.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if at % INPUTS_LOOKED_UP == 0
                && let Err(Over(end)) = self.look_up(&inputs[at..])
            {
                reading.end = end;
                break;
            }
            match self.read_input(input, &mut files, &mut buffer, slices, used) {
                Ok(None) => {}
                Ok(Some(error)) => {
                    tracing::error!("{error}");
                    reading.errors.push(error);
                }
                Err(Over(end)) => {
                    reading.end = end;
                    break;
                }
            }
        }
        reading.alike = std::mem::take(&mut self.alike);
        reading
    }

    /// Sends the slices of an input. Why it could not be read to its end, if it could not.
    fn read_input(
        &mut self,
        input: &Input,
        files: &mut FileReaders,
        buffer: &mut Vec<u8>,
        slices: &Sender<CutSlice>,
        used: &Receiver<Vec<u8>>,
    ) -> Result<Option<InputError>, Over> {
        let mut seed = 0;
        loop {
            let stream = match input.open(files, self.progress.stored_read.clone(), self.stop) {
                Ok(stream) => stream,
                Err(error) => return Ok(Some(error)),
            };
            let (parted, failure, [waits, alike, sent]) = {
                let mut source = Source::new(self, stream, std::mem::take(buffer), seed);
                let parted = source.read(slices, used)?;
                *buffer = source.buffer;
                buffer.clear();
                (parted, source.failure, [source.waits, source.alike, source.sent])
            };
            let name = &input.name;
            if waits {
                let why = format!("{name} is the beginning of what was stored before: it is loaded once it goes on");
                tracing::warn!("{why}");
                self.alike.push(why);
            } else if alike && !sent {
                let why = format!("{name} is equal byte by byte to another input, which counts once");
                tracing::info!("{why}");
                self.alike.push(why);
            }
            match parted {
                // It begins as another content does: from its beginning on it is one of its own.
                Some(parted) => {
                    tracing::info!(
                        "{}: it begins as what was stored before, goes on otherwise, and is loaded whole",
                        input.name
                    );
                    seed = parted;
                }
                None => return Ok(failure),
            }
        }
    }

    /// Asks what is stored of the next inputs, as far as they can be read twice: one question for many.
    fn look_up(&mut self, inputs: &[Input]) -> Result<(), Over> {
        let next = &inputs[..inputs.len().min(INPUTS_LOOKED_UP)];
        let beginnings: Vec<Vec<u8>> = next.iter().map(Input::beginning).collect();
        self.ask(beginnings.iter().map(Vec::as_slice))
    }

    /// Asks what is stored of contents that begin so, unless that was asked.
    fn ask<'b>(&mut self, beginnings: impl Iterator<Item = &'b [u8]>) -> Result<(), Over> {
        let asked = &mut self.asked;
        let new = beginnings.filter(|beginning| !beginning.is_empty() && asked.insert(content::head(beginning)));
        let heads = content::all_heads(new);
        if !heads.is_empty() {
            let stored = self.books.stored.found_by(&heads).map_err(|end| Over(Some(end)))?;
            self.known.extend(stored.into_iter().filter(|known| known.stream == self.options.cut.stream));
        }
        Ok(())
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
struct Source<'a, 'r> {
    reader: &'r mut Reader<'a>,
    stream: Stream<'r>,
    /// What was read and not yet sent begins at `position`.
    buffer: Vec<u8>,
    position: usize,
    /// Offset in the source of `buffer[position]`.
    offset: u64,
    /// All before that.
    content: Content,
    header: Option<Arc<[String]>>,
    /// Where a slice ends that an earlier load planned: while it is cut, there is nothing behind it.
    limit: Option<u64>,
    /// The stream may have more bytes.
    more: bool,
    /// The stream has no more bytes because a stop was asked for: nobody knows how what is there goes on.
    stopped: bool,
    /// Why the stream ended before its end.
    failure: Option<InputError>,
    /// Where its first slice begins.
    begin: u64,
    /// It is the beginning of a stored content.
    waits: bool,
    /// Something of it was sent before, of another input.
    alike: bool,
    /// Something of it was sent.
    sent: bool,
    /// The seed with which it begins anew, since it parts from a stored content.
    parted: Option<u64>,
}

impl<'a, 'r> Source<'a, 'r> {
    /// A source from its start. `buffer` is empty and may have room already.
    fn new(reader: &'r mut Reader<'a>, stream: Stream<'r>, buffer: Vec<u8>, seed: u64) -> Self {
        Source {
            reader,
            stream,
            buffer,
            position: 0,
            offset: 0,
            content: Content::seeded(seed),
            header: None,
            limit: None,
            more: true,
            stopped: false,
            failure: None,
            begin: 0,
            waits: false,
            alike: false,
            sent: false,
            parted: None,
        }
    }

    /// Sends its slices; the seed with which it is to be read again, if it parts from a stored content.
    fn read(&mut self, slices: &Sender<CutSlice>, used: &Receiver<Vec<u8>>) -> Result<Option<u64>, Over> {
        self.fill(FOLLOW_HEAD_BYTES);
        let beginning = self.buffer[..self.buffer.len().min(FOLLOW_HEAD_BYTES)].to_vec();
        self.reader.ask(std::iter::once(beginning.as_slice()))?;
        if self.reader.options.cut.has_header() && !self.read_header() {
            return Ok(None);
        }
        self.begin = self.offset;
        while !self.leave_rest() {
            match self.send_planned(slices, used)? {
                Stored::Before => continue,
                Stored::Unknown => return Ok(None),
                Stored::Not => {}
            }
            match self.skip_known() {
                Stored::Before => continue,
                Stored::Unknown => return Ok(self.parted),
                Stored::Not => {}
            }
            if self.reader.books.finish {
                return Ok(None);
            }
            let Window { cut, covers_rest } = self.cut();
            let before = self.content.prefix().mark();
            let (start, bytes) = self.take(cut.end, used);
            let ended = bytes.is_empty();
            if !ended {
                self.send(slices, (start, before), bytes, None)?;
            }
            // A slice of its own: should the rest of a damaged file arrive later, the whole records before it are known.
            let (start, before) = (self.offset, self.content.prefix().mark());
            match self.tail(cut.next, covers_rest) {
                Some(tail) => self.send(slices, (start, before), Vec::new(), Some(tail))?,
                None if ended => return Ok(None),
                None => {}
            }
        }
        Ok(None)
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

    /// What was read and not yet sent, up to the limit.
    fn rest(&self) -> &[u8] {
        let rest = &self.buffer[self.position..];
        match self.left() {
            Some(left) => &rest[..rest.len().min(left)],
            None => rest,
        }
    }

    /// Bytes up to the limit, if there is one.
    fn left(&self) -> Option<usize> {
        self.limit.map(|limit| usize::try_from(limit - self.offset).unwrap_or(usize::MAX))
    }

    /// There may be more behind what was read.
    fn has_more(&self) -> bool {
        self.more && self.left().is_none_or(|left| left > self.buffer.len() - self.position)
    }

    /// Bytes that are looked at to cut a slice. A planned one may have been cut under other bounds.
    fn window_bytes(&self) -> usize {
        let window = self.reader.options.cut.window_bytes();
        if self.limit.is_some() { window.max(SLICE_BYTES_CEILING + 1) } else { window }
    }

    fn window(&self) -> &[u8] {
        let rest = self.rest();
        &rest[..rest.len().min(self.window_bytes())]
    }

    fn advance(&mut self, bytes: usize) {
        self.content.pass(&self.buffer[self.position..self.position + bytes]);
        self.position += bytes;
        self.offset += bytes as u64;
    }

    /// Makes at least `bytes` available after `position`, unless the stream ends before.
    fn fill(&mut self, bytes: usize) {
        let bytes = self.left().map_or(bytes, |left| bytes.min(left));
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
        let records_max = if self.limit.is_some() { SLICE_RECORDS_MAX } else { options.records_max };
        loop {
            let covers_rest = !self.has_more() && self.rest().len() < self.window_bytes();
            // After a failure or a stop nobody knows whether the last line is whole.
            let at_end = covers_rest && (self.limit.is_some() || self.failure.is_none() && !self.stopped);
            let cut = cut(options.framing, self.window(), records_max, at_end, options.record_bytes_max);
            let wants_more = matches!(cut.next, Next::More) && self.window().len() < self.window_bytes();
            if !(wants_more && self.has_more()) {
                return Window { cut, covers_rest };
            }
            self.fill(self.window_bytes());
        }
    }

    /// Takes the first `end` bytes as a slice's, copying whichever is shorter: them or what follows them.
    /// Returns their offset in the source, too.
    fn take(&mut self, end: usize, used: &Receiver<Vec<u8>>) -> (u64, Vec<u8>) {
        let start = self.offset;
        let rest = self.position + end..self.buffer.len();
        self.content.pass(&self.buffer[self.position..rest.start]);
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
            Next::Truncated { detail } => Some((self.rest_as_tail(Reason::TruncatedFrame, detail), false)),
            // What the system failed to read can be read again; what is damaged stays so.
            Next::More if covers_rest && !self.rest_is_empty() && !self.failed_to_read() => {
                let detail = "the input ends inside this record".to_owned();
                Some((self.rest_as_tail(Reason::TruncatedInput, detail), false))
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
        let here = self.rest();
        let head = here[..here.len().min(DEAD_LETTER_HEAD_BYTES)].to_vec();
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
            let here = self.rest().len().min(usize::try_from(left).unwrap_or(usize::MAX));
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
            let rest = self.rest();
            if let Some(end) = memchr(b'\n', rest) {
                let before = if end > 0 { Some(rest[end - 1]) } else { last };
                let carriage_return = u64::from(before == Some(b'\r'));
                self.advance(end + 1);
                return (length + end as u64 - carriage_return, 1 + carriage_return);
            }
            let passed = rest.len();
            length += passed as u64;
            last = rest.last().copied().or(last);
            self.advance(passed);
            if !self.refill() {
                return (length, 0);
            }
        }
    }

    /// Reads on once everything in the buffer was passed over. False at the end.
    fn refill(&mut self) -> bool {
        self.fill(self.window_bytes());
        !self.rest().is_empty()
    }

    /// All that is left, as a tail.
    fn rest_as_tail(&mut self, reason: Reason, detail: String) -> Tail {
        let here = self.rest();
        let mut head = here[..here.len().min(self.reader.options.cut.record_bytes_max)].to_vec();
        let length = self.pass_over(u64::MAX);
        if length > head.len() as u64 {
            head.truncate(DEAD_LETTER_HEAD_BYTES);
        }
        Tail { reason, head, length, consumed: length, detail }
    }

    fn rest_is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn failed_to_read(&self) -> bool {
        matches!(self.failure, Some(InputError::Read { .. }))
    }

    fn send(
        &mut self,
        slices: &Sender<CutSlice>,
        (start, before): (u64, Mark),
        bytes: Vec<u8>,
        tail: Option<Tail>,
    ) -> Result<(), Over> {
        let mut slice = self.slice((start, before), bytes, tail);
        let length = slice.meta.end - start;
        self.reader.progress.cut_bytes.fetch_add(length, Ordering::Relaxed);
        if self.reader.known.contains(slice.meta.id) {
            self.reader.progress.skipped(length);
            return Ok(());
        }
        let chains = (before.chain, self.content.prefix().chain());
        let planned = self.reader.books.plans.plan(&slice, chains);
        let cut_ms = planned.map_err(|error| Over(Some(RetryEnd::Fatal(format!("{}: {error}", slice.meta)))))?;
        slice.slice.cut = CutAt::Backfill(cut_ms);
        self.forward(slices, slice)
    }

    /// The slice between a place and where the source stands.
    fn slice(&mut self, (start, before): (u64, Mark), bytes: Vec<u8>, tail: Option<Tail>) -> CutSlice {
        let stream = self.reader.options.cut.stream;
        let place =
            Place { head: self.content.head(), start, before: before.digest, after: self.content.prefix().digest() };
        let of = Of { name: self.stream.name(), header: self.header.as_ref(), stream };
        CutSlice::new(of, place, bytes, tail)
    }

    /// Sends a slice that is planned.
    fn forward(&mut self, slices: &Sender<CutSlice>, slice: CutSlice) -> Result<(), Over> {
        self.reader.known.extend([KnownSlice::of(self.reader.options.cut.stream, &slice.meta)]);
        self.reader.sent.insert(slice.meta.id);
        self.sent = true;
        slices.send(slice).map_err(|_| Over(None))
    }
}

#[cfg(test)]
mod tests;
