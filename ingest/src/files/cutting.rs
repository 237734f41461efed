//! Cutting a lane's next slice, and cutting one again that was journaled before.

use std::time::Duration;

use longshore_core::config::Framing;
use longshore_core::dead_letter::Reason;
use longshore_core::delimited;
use longshore_core::frame::{FRAME_PREFIX_BYTES, Next, cut, leading_nuls, nuls_of_lines};
use longshore_core::limits::{
    DEAD_LETTER_HEAD_BYTES, FOLLOW_LONG_BYTES, READ_BLOCK_BYTES, SLICE_BYTES_CEILING, SLICE_RECORDS_MAX,
};
use longshore_core::slice::{CutAt, Tail};
use longshore_core::words::plural;
use memchr::memchr;

use super::lane::{Lane, LongRecord, Rest};
use super::origin::Origin;
use super::port::{Files, Nuls, ReadEnd, ReadError};
use crate::content::{Content, Prefix, rest_bytes};
use crate::cut::{CutOptions, CutSlice, Of, Place, too_long};
use crate::journal::{JournaledSlice, Reached};

/// What cutting came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A slice.
    Cut {
        slice: Box<CutSlice>,
        records: u64,
        /// All up to its end.
        content: Content,
        /// All of a compressed file was read with it: its bytes as stored.
        stored: Option<u64>,
    },
    /// No whole record is there.
    Nothing {
        /// And none will be.
        all_read: bool,
    },
    /// It cannot be read now; a change or some time will tell.
    Later,
    /// It must not be read any more.
    Stop(String),
}

/// A lane with what it takes to read it.
pub(super) struct Cutting<'a, F: Files> {
    pub(super) files: &'a mut F,
    pub(super) options: &'a CutOptions,
    pub(super) lane: &'a mut Lane,
    pub(super) now: Duration,
    /// What the event times of a new slice are compared with.
    pub(super) cut_ms: i64,
}

/// How far the search for the end of a long record came.
enum Long {
    Ended(Tail),
    /// It is not there yet.
    Open,
    /// More is there to be looked at, in the next step.
    Later,
}

impl<F: Files> Cutting<'_, F> {
    /// The next slice, read into `bytes`.
    pub(super) fn next(mut self, mut bytes: Vec<u8>) -> Outcome {
        bytes.clear();
        match self.try_next(bytes) {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    fn try_next(&mut self, mut bytes: Vec<u8>) -> Result<Outcome, Outcome> {
        self.header()?;
        let position = self.lane.position;
        let content = self.content()?;
        if let Some(long) = self.lane.long.take() {
            return self.long_record(position, long);
        }
        if let Some(rest) = self.lane.rest.take_if(|rest| rest.start == position) {
            let (tail, after) = self.rest(None, rest)?;
            return self.slice(position, (&content, after), Vec::new(), Some(tail), 1, None);
        }
        let wanted = self.lane.bytes_to_read(self.options.window_bytes());
        let end = self.read(position, wanted, &mut bytes)?;
        let saw_end = bytes.len() < wanted;
        let nothing_follows = saw_end && (end == ReadEnd::Ended || self.lane.nothing_follows());
        let limit = self.options.record_bytes_max;
        // What is compressed was written as a whole.
        if self.is_text() && !self.lane.is_whole() && !bytes.is_empty() && leading_nuls(&bytes) == bytes.len() {
            return self.behind_nuls(position, bytes, nothing_follows);
        }
        let mut cut = cut(self.options.framing, &bytes, self.options.records_max, nothing_follows, limit);
        if self.is_text() && !nothing_follows && cut.next == Next::More && cut.end == bytes.len() {
            // What stands behind these is not known yet.
            cut.end -= bytes.iter().rev().take_while(|byte| **byte == 0).count();
        }
        if cut.end > 0 {
            let all = nothing_follows && cut.end == bytes.len();
            bytes.truncate(cut.end);
            let stored = (all && end == ReadEnd::Ended).then_some(self.lane.size);
            let mut after = content.clone();
            after.pass(&bytes);
            return self.slice(position, (&content, after), bytes, None, cut.records as u64, stored);
        }
        match cut.next {
            Next::TooLong { length } => {
                let long = self.begin_long(position, content, length)?;
                self.long_record(position, long)
            }
            Next::Truncated { detail } if nothing_follows || self.lane.is_whole() => {
                let (tail, after) = self.rest(None, Rest::begin(position, content.clone(), detail))?;
                self.slice(position, (&content, after), Vec::new(), Some(tail), 1, None)
            }
            Next::Truncated { detail } => Err(Outcome::Stop(detail)),
            Next::More | Next::Full | Next::End => {
                if self.lane.is_whole() && saw_end && end == ReadEnd::Open {
                    // What is left is cut short by damage, which shows behind it.
                    let behind = position + bytes.len() as u64;
                    self.read(behind, 1, &mut Vec::new())?;
                }
                Ok(Outcome::Nothing { all_read: nothing_follows })
            }
        }
    }

    /// Records are lines, which NUL bytes may stand before.
    fn is_text(&self) -> bool {
        self.options.framing == Framing::Lines
    }

    /// All that was read is NUL bytes. Those behind which something stands were left by a truncation, or a crash: they are
    /// passed over. The others may yet be written over.
    fn behind_nuls(&mut self, start: u64, mut bytes: Vec<u8>, nothing_follows: bool) -> Result<Outcome, Outcome> {
        let looked = self.lane.nuls.take().filter(|(at, _)| *at == start);
        let from = looked.map_or(start + bytes.len() as u64, |(_, to)| to);
        let nuls = self.files.pass_nuls(self.lane.id, from).map_err(|error| self.failed(error, from))?;
        let is_first = self.lane.begins_at(start) && !self.options.has_header();
        let end = match nuls {
            Nuls::Data(at) if is_first => at,
            Nuls::Data(at) => {
                bytes.truncate(usize::try_from(at - start).unwrap_or(usize::MAX).min(bytes.len()));
                let content = self.content()?;
                let mut after = content.clone();
                after.pass(&bytes);
                return self.slice(start, (&content, after), bytes, None, 0, None);
            }
            Nuls::End | Nuls::More(_) => start,
        };
        if !self.files.confirm(self.lane.id, end) {
            return Err(Outcome::Later);
        }
        match nuls {
            Nuls::End => Ok(Outcome::Nothing { all_read: nothing_follows }),
            Nuls::More(to) => {
                self.lane.nuls = Some((start, to));
                Err(Outcome::Later)
            }
            Nuls::Data(at) => {
                (self.lane.begin, self.lane.position, self.lane.reached.origin) = (at, at, at);
                self.lane.nul_bytes += at - start;
                // What stands behind them may be known.
                self.lane.origin = Origin::New;
                Err(Outcome::Later)
            }
        }
    }

    /// A slice that was journaled, read again.
    pub(super) fn again(mut self, journaled: &JournaledSlice, mut bytes: Vec<u8>) -> Outcome {
        bytes.clear();
        match self.try_again(journaled, bytes) {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    fn try_again(&mut self, journaled: &JournaledSlice, mut bytes: Vec<u8>) -> Result<Outcome, Outcome> {
        self.header()?;
        let &JournaledSlice { start, end, before, .. } = journaled;
        let length = end - start;
        if let Some((_, long)) = self.lane.long_again.take_if(|(slice, _)| *slice == journaled.slice) {
            let content = long.before.clone();
            let (tail, after) = self.long_again(journaled, long)?;
            return self.slice_again(journaled, (&content, after), Vec::new(), Some(tail));
        }
        if let Some(rest) = self.lane.rest.take_if(|rest| rest.start == start) {
            let content = rest.before.clone();
            let (tail, after) = self.rest(Some(end), rest)?;
            return self.slice_again(journaled, (&content, after), Vec::new(), Some(tail));
        }
        let content = self.content_at(Reached { position: start, chain: before, ..self.lane.reached })?;
        // It may have been planned under other bounds. What is longer than any is one long record.
        let ceiling = if length <= SLICE_BYTES_CEILING as u64 { SLICE_BYTES_CEILING } else { 0 };
        let window = self.options.window_bytes().max(ceiling) as u64;
        let wanted = length.min(window) as usize;
        self.read(start, wanted, &mut bytes)?;
        if bytes.len() < wanted {
            return Err(self.changed(journaled, &format!("only {} of its bytes are there", bytes.len())));
        }
        let limit = self.options.record_bytes_max;
        let cut = cut(self.options.framing, &bytes, SLICE_RECORDS_MAX, length <= window, limit);
        let (bytes, tail, after) = match cut.next {
            _ if cut.end as u64 == length => {
                let mut after = content.clone();
                after.pass(&bytes);
                (bytes, None, after)
            }
            Next::TooLong { length: framed } if cut.end == 0 => {
                let long = self.begin_long(start, content.clone(), framed)?;
                let (tail, after) = self.long_again(journaled, long)?;
                (Vec::new(), Some(tail), after)
            }
            Next::Truncated { detail } if cut.end == 0 => {
                let (tail, after) = self.rest(Some(end), Rest::begin(start, content.clone(), detail))?;
                (Vec::new(), Some(tail), after)
            }
            _ => return Err(self.changed(journaled, "its records end elsewhere")),
        };
        self.slice_again(journaled, (&content, after), bytes, tail)
    }

    /// All before the next slice.
    pub(super) fn content(&mut self) -> Result<Content, Outcome> {
        if let Some(content) = &self.lane.content {
            return Ok(content.clone());
        }
        let content = self.content_at(self.lane.reached)?;
        Ok(self.lane.content.insert(content).clone())
    }

    /// All before a place that an earlier run reached, of which no more than a block is read again.
    fn content_at(&mut self, reached: Reached) -> Result<Content, Outcome> {
        let Reached { position, chain, head, origin } = reached;
        let length = position - origin;
        let is_there = |content: &&Content| {
            let prefix = content.prefix();
            (prefix.length(), prefix.chain()) == (length, chain)
        };
        if let Some(content) = [&self.lane.again, &self.lane.content].into_iter().flatten().find(is_there) {
            return Ok(content.clone());
        }
        let wanted = rest_bytes(length);
        let mut bytes = Vec::new();
        if wanted > 0 {
            self.read(position - wanted, wanted as usize, &mut bytes)?;
            if bytes.len() as u64 != wanted || !self.files.confirm(self.lane.id, self.lane.position) {
                self.lane.failed(self.now);
                return Err(Outcome::Later);
            }
        }
        Ok(Content::resumed(Prefix::resumed(chain, length, &bytes), head))
    }

    /// The end of a long record of a slice that was journaled.
    fn long_again(&mut self, journaled: &JournaledSlice, mut long: LongRecord) -> Result<(Tail, Content), Outcome> {
        match self.end_of_long(journaled.start, Some(journaled.end), &mut long) {
            Ok(Long::Ended(tail)) => Ok((tail, long.content)),
            Ok(Long::Open) => Err(self.changed(journaled, "a long record has another end")),
            Ok(Long::Later) | Err(Outcome::Later) => {
                if self.files.confirm(self.lane.id, self.lane.position) {
                    self.lane.long_again = Some((journaled.slice, long));
                }
                Err(Outcome::Later)
            }
            Err(outcome) => Err(outcome),
        }
    }

    fn slice_again(
        &mut self,
        journaled: &JournaledSlice,
        (before, mut after): (&Content, Content),
        bytes: Vec<u8>,
        tail: Option<Tail>,
    ) -> Result<Outcome, Outcome> {
        let mut slice = CutSlice::new(self.of(), place(journaled.start, before, &mut after), bytes, tail);
        slice.slice.cut = CutAt::Planned(journaled.cut_ms);
        if slice.meta.id != journaled.slice {
            return Err(self.changed(journaled, "other bytes are there"));
        }
        if !self.files.confirm(self.lane.id, self.lane.position) {
            return Err(Outcome::Later);
        }
        self.lane.again = Some(after.clone());
        let records = journaled.records.unwrap_or(0);
        Ok(Outcome::Cut { slice: Box::new(slice), records, content: after, stored: None })
    }

    /// What was read is not what was journaled. Only the source's own bytes say so: those of a file that was just truncated
    /// or replaced are another's, and the source may go on in a copy.
    fn changed(&mut self, journaled: &JournaledSlice, what: &str) -> Outcome {
        if !self.files.confirm(self.lane.id, self.lane.position) {
            self.lane.failed(self.now);
            return Outcome::Later;
        }
        let JournaledSlice { slice, start, end, .. } = journaled;
        Outcome::Stop(format!(
            "its bytes {start} to {end} were journaled as slice {slice}, which may have been stored, and were changed \
             since ({what}); put the file back as it was, or let the journal forget it: see `longshore doctor`"
        ))
    }

    fn of(&self) -> Of<'_> {
        Of { name: &self.lane.name, header: self.lane.header.as_ref(), stream: self.options.stream }
    }

    /// A slice whose bytes are the source's own.
    fn slice(
        &mut self,
        start: u64,
        (before, mut after): (&Content, Content),
        bytes: Vec<u8>,
        tail: Option<Tail>,
        records: u64,
        stored: Option<u64>,
    ) -> Result<Outcome, Outcome> {
        let mut slice = CutSlice::new(self.of(), place(start, before, &mut after), bytes, tail);
        slice.slice.cut = CutAt::Planned(self.cut_ms);
        let bytes = if slice.slice.tail.is_none() { &slice.slice.bytes[..] } else { &[] };
        if !self.files.confirm_read(self.lane.id, slice.meta.end, bytes) {
            return Err(Outcome::Later);
        }
        if self.is_text() {
            self.lane.nul_bytes += nuls_of_lines(&slice.slice.bytes) as u64;
        }
        Ok(Outcome::Cut { slice: Box::new(slice), records, content: after, stored })
    }

    pub(super) fn read(&mut self, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, Outcome> {
        let read = self.files.read(self.lane.id, at, bytes, into);
        if read.is_ok() {
            self.lane.unreadable = None;
        }
        read.map_err(|error| self.failed(error, at))
    }

    /// What follows from a read that failed.
    fn failed(&mut self, error: ReadError, at: u64) -> Outcome {
        match error {
            ReadError::Gone if self.lane.nothing_follows() && self.lane.to_read_again() > 0 => Outcome::Stop(format!(
                "it is gone with {}, journaled and not acknowledged; put it, or a copy of it, back",
                plural(self.lane.to_read_again(), "slice")
            )),
            // Until it is back.
            ReadError::Gone if self.lane.nothing_follows() => Outcome::Nothing { all_read: true },
            ReadError::NotYet => Outcome::Later,
            ReadError::Gone => {
                self.lane.failed(self.now);
                Outcome::Later
            }
            ReadError::Failed(_) => {
                tracing::warn!("{}: cannot be read at byte {at}: {error}; it is tried again", self.lane.name);
                self.lane.failed(self.now);
                self.lane.unreadable = Some(error.to_string());
                Outcome::Later
            }
            ReadError::Damaged(_) => {
                self.lane.cut_short = true;
                Outcome::Stop(error.to_string())
            }
        }
    }

    /// Reads the header line, if there is one and it was not read. It is no part of any slice.
    pub(super) fn header(&mut self) -> Result<(), Outcome> {
        if !self.options.has_header() || self.lane.header.is_some() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let window = self.options.window_bytes();
        let end = self.read(0, window, &mut bytes)?;
        let nuls = leading_nuls(&bytes);
        let newline = memchr(b'\n', &bytes);
        let nothing_follows = bytes.len() < window && (end == ReadEnd::Ended || self.lane.nothing_follows());
        let line_end = match newline {
            Some(newline) => newline,
            None if nothing_follows && !bytes.is_empty() => bytes.len(),
            None if bytes.len() >= window => {
                return Err(Outcome::Stop(format!("its header line has more than {window} bytes")));
            }
            None => return Err(Outcome::Nothing { all_read: nothing_follows }),
        };
        let line = &bytes[nuls..line_end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let header = delimited::parse_header(line, self.options.format).map_err(Outcome::Stop)?;
        let begin = (line_end + 1).min(bytes.len()) as u64;
        if !self.files.confirm(self.lane.id, begin.max(self.lane.position)) {
            return Err(Outcome::Later);
        }
        self.lane.header = Some(header);
        self.lane.nul_bytes += nuls as u64;
        if self.lane.number.is_none() {
            (self.lane.begin, self.lane.position) = (begin, begin);
            let mut content = Content::default();
            content.pass(&bytes[nuls..begin as usize]);
            (self.lane.content, self.lane.reached.origin) = (Some(content), nuls as u64);
        }
        Ok(())
    }

    /// The slice of a record that is too long, or what is known of it so far.
    fn long_record(&mut self, start: u64, mut long: LongRecord) -> Result<Outcome, Outcome> {
        let is_open = match self.end_of_long(start, None, &mut long) {
            Ok(Long::Ended(tail)) => {
                let content = self.content()?;
                return self.slice(start, (&content, long.content), Vec::new(), Some(tail), 1, None);
            }
            Ok(Long::Open) => true,
            Ok(Long::Later) | Err(Outcome::Later) => false,
            Err(outcome) => return Err(outcome),
        };
        // It is kept for the next look, by when nobody could tell any more whose bytes these were.
        if !self.files.confirm(self.lane.id, self.lane.position) {
            return Err(Outcome::Later);
        }
        self.lane.long = Some(long);
        if is_open { Ok(Outcome::Nothing { all_read: false }) } else { Err(Outcome::Later) }
    }

    /// A record that begins at `start` behind `content`, with its prefix if it has one.
    fn begin_long(&mut self, start: u64, mut content: Content, framed: Option<u64>) -> Result<LongRecord, Outcome> {
        let mut looked_to = start;
        let before = content.clone();
        if framed.is_some() {
            let mut prefix = Vec::new();
            self.read(start, FRAME_PREFIX_BYTES, &mut prefix)?;
            content.pass(&prefix);
            looked_to += FRAME_PREFIX_BYTES as u64;
        }
        Ok(LongRecord { head: Vec::new(), looked_to, before, content, last: 0, framed })
    }

    /// Looks for the end of a long record in as many bytes as one step has, at most up to `end`, where it is known to end.
    fn end_of_long(&mut self, start: u64, end: Option<u64>, long: &mut LongRecord) -> Result<Long, Outcome> {
        let last = long.looked_to + FOLLOW_LONG_BYTES;
        let (framed, limit) = (long.framed, self.options.record_bytes_max);
        let body = start + if framed.is_some() { FRAME_PREFIX_BYTES as u64 } else { 0 };
        let end = end.into_iter().chain(framed.map(|length| body + length)).min();
        let mut block = Vec::new();
        loop {
            block.clear();
            let left = end.map_or(u64::MAX, |end| end.saturating_sub(long.looked_to));
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BLOCK_BYTES);
            let read = self.read(long.looked_to, wanted, &mut block)?;
            if let Some(at) = memchr(b'\n', &block).filter(|_| framed.is_none()) {
                long.look_at(&block[..at]);
                long.content.pass(b"\n");
                let carriage_return = u64::from(long.last == b'\r');
                let length = long.looked_to - body - carriage_return;
                let head = std::mem::take(&mut long.head);
                return Ok(Long::Ended(too_long(head, length, 1 + carriage_return, framed, limit)));
            }
            long.look_at(&block);
            if block.len() < wanted && read == ReadEnd::Open && !self.lane.nothing_follows() {
                return Ok(Long::Open);
            }
            if block.len() < wanted || end == Some(long.looked_to) {
                let length = long.looked_to - body;
                let head = std::mem::take(&mut long.head);
                return Ok(Long::Ended(too_long(head, length, 0, framed, limit)));
            }
            if long.looked_to >= last {
                return Ok(Long::Later);
            }
        }
    }

    /// All that is left from `rest` on, or all up to `end`, as one record that is cut short. In as many steps as it takes.
    fn rest(&mut self, end: Option<u64>, mut rest: Rest) -> Result<(Tail, Content), Outcome> {
        let keep = self.options.record_bytes_max;
        let last = rest.at + FOLLOW_LONG_BYTES;
        let mut block = Vec::new();
        loop {
            block.clear();
            let left = end.map_or(u64::MAX, |end| end - rest.at);
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BLOCK_BYTES);
            let read = match rest.at < last {
                true => self.read(rest.at, wanted, &mut block),
                false => Err(Outcome::Later),
            };
            if let Err(outcome) = read {
                if matches!(outcome, Outcome::Later) && self.files.confirm(self.lane.id, self.lane.position) {
                    self.lane.rest = Some(rest);
                }
                return Err(outcome);
            }
            rest.head.extend_from_slice(&block[..block.len().min(keep - rest.head.len())]);
            rest.at += block.len() as u64;
            rest.content.pass(&block);
            if block.len() < wanted || end == Some(rest.at) {
                break;
            }
        }
        let Rest { start, at, content, mut head, detail, .. } = rest;
        let length = at - start;
        if length > head.len() as u64 {
            head.truncate(DEAD_LETTER_HEAD_BYTES);
        }
        Ok((Tail { reason: Reason::TruncatedFrame, head, length, consumed: length, detail }, content))
    }
}

/// Where a slice stands that begins behind `before` and ends with `after`.
fn place(start: u64, before: &Content, after: &mut Content) -> Place {
    Place { head: after.head(), start, before: before.prefix().digest(), after: after.prefix().digest() }
}

impl LongRecord {
    fn look_at(&mut self, block: &[u8]) {
        let room = DEAD_LETTER_HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&block[..block.len().min(room)]);
        self.looked_to += block.len() as u64;
        self.content.pass(block);
        self.last = block.last().copied().unwrap_or(self.last);
    }
}
