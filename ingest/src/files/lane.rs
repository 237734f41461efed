//! A lane: where one source stands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::slice::SliceId;
use longshore_core::words::plural;

use super::origin::Origin;
use crate::content::{Chain, Content};
use crate::feed::SourceStatus;
use crate::follow::{Position, SourceId};
use crate::input::Compression;
use crate::journal::{JournaledSlice, KnownSource, Reached, SourceNumber};
use crate::known::KnownSlices;

/// How long a lane that the system failed to read is left alone.
const FAILED_WAIT: Duration = Duration::from_secs(1);

/// One source.
#[derive(Debug)]
pub(super) struct Lane {
    /// Where it was found first. Its rows say so whatever it is called later.
    pub(super) name: Arc<str>,
    /// As the follower knows it.
    pub(super) id: SourceId,
    /// In the journal, once something was cut.
    pub(super) number: Option<SourceNumber>,
    /// As the journal has it.
    pub(super) identity: Vec<u8>,
    compression: Compression,
    /// Bytes of its file as stored.
    pub(super) size: u64,
    /// Bytes of a compressed file, once all of it was cut.
    pub(super) stored: u64,
    /// Where its first record is: behind the header.
    pub(super) begin: u64,
    /// Where the next slice begins in the content.
    pub(super) position: u64,
    /// All before that; `None` until the last of it was read again, of a source of an earlier run.
    pub(super) content: Option<Content>,
    /// All up to the end of the slice that was read again last.
    pub(super) again: Option<Content>,
    /// Where it begins, of a new one.
    pub(super) origin: Origin,
    /// Slices that may be stored of what comes next, with the head that they were found by.
    pub(super) known: Option<(Arc<KnownSlices>, u64)>,
    /// How far it was read in an earlier run.
    pub(super) reached: Reached,
    /// Names of a CSV's or TSV's fields.
    pub(super) header: Option<Arc<[String]>>,
    /// A record that is too long and whose end was not found yet.
    pub(super) long: Option<LongRecord>,
    /// The same, of a slice that is read again.
    pub(super) long_again: Option<(SliceId, LongRecord)>,
    /// What is left behind a frame that is cut short, as far as it was looked through.
    pub(super) rest: Option<Rest>,
    /// NUL bytes at the first of these places go on up to the second, at least.
    pub(super) nuls: Option<(u64, u64)>,
    /// NUL bytes before records that were passed over.
    pub(super) nul_bytes: u64,
    /// As many of them were said.
    pub(super) nul_bytes_told: u64,
    /// Why the system failed to read it the last time.
    pub(super) unreadable: Option<String>,
    /// Slices of an earlier run, to be read again, in order.
    pub(super) in_doubt: VecDeque<JournaledSlice>,
    /// Slices that came back and are to be read again, in no order.
    back: Vec<Back>,
    /// Slices that were given away and are not done.
    pub(super) given: usize,
    /// Slices that were cut and are not journaled.
    pub(super) cut_now: usize,
    /// When the oldest byte that was not cut was there.
    pub(super) since: Option<Duration>,
    /// It was found in this run.
    found: bool,
    /// No path leads to it: nothing more will be written, most likely.
    ending: bool,
    /// All that there will ever be was read, or its content is gone.
    ended: bool,
    /// Its content is gone; why.
    gone: Option<String>,
    /// Not read before this.
    retry_at: Option<Duration>,
    stopped: Option<String>,
    /// Its compressed data end in the middle of something: more of them may help.
    pub(super) cut_short: bool,
}

/// A slice that was given away and came back.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) journaled: JournaledSlice,
    /// When its oldest record was there.
    pub(super) since: Duration,
    /// Not read again before this.
    pub(super) due: Duration,
}

/// A record that is too long: its end is looked for from where the last look ended.
#[derive(Debug, Clone)]
pub(super) struct LongRecord {
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// Content up to here was looked at.
    pub(super) looked_to: u64,
    /// All before it.
    pub(super) before: Content,
    /// All before where it was looked to.
    pub(super) content: Content,
    /// The last byte that was looked at.
    pub(super) last: u8,
    /// Its length, by its prefix.
    pub(super) framed: Option<u64>,
}

/// All that is left of a source, which is one record that is cut short.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) start: u64,
    /// It was looked through up to here.
    pub(super) at: u64,
    /// All before it.
    pub(super) before: Content,
    /// All before where it was looked to.
    pub(super) content: Content,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// What is wrong with it.
    pub(super) detail: String,
}

impl Rest {
    pub(super) fn begin(start: u64, content: Content, detail: String) -> Rest {
        Rest { start, at: start, before: content.clone(), content, head: Vec::new(), detail }
    }
}

impl Lane {
    /// A source that was found.
    pub(super) fn found(id: SourceId, name: Arc<str>, compression: Compression) -> Lane {
        Lane {
            name,
            id,
            number: None,
            identity: Vec::new(),
            compression,
            size: 0,
            stored: 0,
            begin: 0,
            position: 0,
            content: Some(Content::default()),
            again: None,
            origin: Origin::New,
            known: None,
            reached: Reached::default(),
            header: None,
            long: None,
            long_again: None,
            rest: None,
            nuls: None,
            nul_bytes: 0,
            nul_bytes_told: 0,
            unreadable: None,
            in_doubt: VecDeque::new(),
            back: Vec::new(),
            given: 0,
            cut_now: 0,
            since: None,
            found: false,
            ending: false,
            ended: false,
            gone: None,
            retry_at: None,
            stopped: None,
            cut_short: false,
        }
    }

    /// A source of an earlier run.
    pub(super) fn known(id: SourceId, source: &KnownSource, compression: Compression, stored: u64) -> Lane {
        Lane {
            number: Some(source.number),
            identity: source.identity.to_vec(),
            position: source.cut_end.position,
            content: None,
            reached: source.cut_end,
            stored,
            ..Lane::found(id, source.name.clone(), compression)
        }
    }

    /// Nothing of it was cut, and this is where it begins.
    pub(super) fn begins_at(&self, position: u64) -> bool {
        self.number.is_none() && self.cut_now == 0 && position == self.begin
    }

    /// Its file is there.
    pub(super) fn is_at(&mut self, compression: Compression, size: u64, position: Position) {
        (self.compression, self.size, self.found, self.ending) = (compression, size, true, false);
        // If it is not what it was, it stops again.
        (self.stopped, self.cut_short, self.gone) = (None, false, None);
        // The whole of a compressed file was read; of another one the position says it.
        if compression != Compression::Plain {
            self.stored = position.stored;
        }
        if self.unread() > 0 {
            self.ended = false;
        }
    }

    /// There is more of its file.
    pub(super) fn grew(&mut self, size: u64) {
        self.size = size;
        // A compressed file that ended, or was cut short, was not written to its end.
        if self.is_whole() && self.unread() > 0 {
            self.ended = false;
            if self.cut_short {
                (self.cut_short, self.stopped) = (false, None);
            }
        }
    }

    /// No path leads to it.
    pub(super) fn vanished(&mut self) {
        (self.ending, self.found) = (true, true);
    }

    /// Its content is gone.
    pub(super) fn end(&mut self, why: &str) {
        self.ended = true;
        self.since = None;
        self.gone = Some(why.to_owned());
        self.stop_if_unreadable();
    }

    /// A content that is gone, and of which something has to be read again, needs somebody.
    fn stop_if_unreadable(&mut self) {
        let slices = self.to_read_again();
        if let Some(why) = self.gone.as_ref().filter(|_| slices > 0) {
            let slices = plural(slices, "slice");
            self.stop(format!("{why}; {slices}, journaled and not acknowledged, cannot be read again"));
        }
    }

    /// A slice that was given away comes back.
    pub(super) fn takes_back(&mut self, slice: Back) {
        self.given -= 1;
        self.back.push(slice);
        self.stop_if_unreadable();
    }

    /// Slices that are to be read again.
    pub(super) fn to_read_again(&self) -> usize {
        self.in_doubt.len() + self.back.len()
    }

    /// All of these.
    pub(super) fn all_to_read_again(&self) -> impl Iterator<Item = &JournaledSlice> {
        self.in_doubt.iter().chain(self.back.iter().map(|back| &back.journaled))
    }

    /// Those of an earlier run that come next.
    pub(super) fn next_in_doubt(&self) -> Option<&JournaledSlice> {
        self.in_doubt.front()
    }

    /// One that came back and is due.
    pub(super) fn next_back(&self, now: Duration) -> Option<&Back> {
        self.back.iter().find(|back| back.due <= now)
    }

    /// Something is to be read again now.
    pub(super) fn reads_again(&self, now: Duration) -> bool {
        !self.in_doubt.is_empty() || self.next_back(now).is_some()
    }

    /// This one was read again and is given away.
    pub(super) fn gives_again(&mut self, slice: &JournaledSlice) {
        self.in_doubt.retain(|journaled| journaled.slice != slice.slice);
        self.back.retain(|back| back.journaled.slice != slice.slice);
        self.given += 1;
    }

    /// Slices that are planned and not done, but for those of an earlier run.
    pub(super) fn planned_now(&self) -> usize {
        self.given + self.back.len() + self.cut_now
    }

    /// Nothing more is read of it.
    pub(super) fn stop(&mut self, why: String) {
        tracing::error!("{}: {why}; nothing more is read of it, the other sources go on", self.name);
        self.stopped = Some(why);
    }

    /// The system failed: it is tried again later.
    pub(super) fn failed(&mut self, now: Duration) {
        self.retry_at = Some(now + FAILED_WAIT);
    }

    /// Nothing will follow what is there.
    pub(super) fn nothing_follows(&self) -> bool {
        self.ending
    }

    /// Its file is written once, as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.compression != Compression::Plain
    }

    /// How much to read for a slice out of at most `window` bytes: no more memory than there are bytes, as far as is known,
    /// and one byte more, so that its end shows.
    pub(super) fn bytes_to_read(&self, window: usize) -> usize {
        match self.compression {
            Compression::Plain if !self.ending => usize::try_from(self.unread() + 1).unwrap_or(usize::MAX).min(window),
            _ => window,
        }
    }

    /// There may be something to do.
    pub(super) fn is_awake(&self, now: Duration) -> bool {
        let to_cut = !self.ended && (self.unread() > 0 || self.ending);
        self.stopped.is_none() && (to_cut || self.reads_again(now))
    }

    /// It can be read now.
    pub(super) fn readable(&self, now: Duration) -> bool {
        self.found && self.stopped.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Bytes of the file that were not cut, as stored.
    fn unread(&self) -> u64 {
        let cut = match self.compression {
            Compression::Plain => self.position,
            _ => self.stored,
        };
        self.size.saturating_sub(cut)
    }

    /// How long until something is to be cut or read again; `None` if that is not known.
    pub(super) fn due_in(
        &self,
        now: Duration,
        slice_age: Duration,
        slice_bytes: u64,
        draining: bool,
    ) -> Option<Duration> {
        if self.reads_again(now) && self.stopped.is_none() && self.found {
            return Some(self.readable_in(now));
        }
        if draining { None } else { self.cut_due_in(now, slice_age, slice_bytes) }
    }

    /// How long until something is to be cut; `None` if that is not known.
    pub(super) fn cut_due_in(&self, now: Duration, slice_age: Duration, slice_bytes: u64) -> Option<Duration> {
        if self.stopped.is_some() || !self.found || self.ended || matches!(self.origin, Origin::Asked) {
            return None;
        }
        let whole = self.is_whole() || self.ending;
        let age = match whole || self.unread() >= slice_bytes {
            true => Duration::ZERO,
            false => (self.since? + slice_age).saturating_sub(now),
        };
        Some(age.max(self.readable_in(now)))
    }

    fn readable_in(&self, now: Duration) -> Duration {
        self.retry_at.map_or(Duration::ZERO, |at| at.saturating_sub(now))
    }

    /// Where it went on or begins, before it was looked what is stored of it.
    pub(super) fn from(&self) -> u64 {
        if self.number.is_some() { self.reached.position } else { self.begin }
    }

    /// What was cut up to `end` is stored already.
    pub(super) fn pass(&mut self, end: u64, content: Content, origin: Origin) {
        (self.position, self.content, self.origin) = (end, Some(content), origin);
        self.long = None;
    }

    /// A slice up to `end` was cut.
    pub(super) fn cut_to(&mut self, end: u64, content: Content) {
        (self.position, self.content) = (end, Some(content));
        self.long = None;
        self.cut_now += 1;
    }

    /// Of all before the next slice.
    pub(super) fn chain(&self) -> Chain {
        self.content.as_ref().map_or(self.reached.chain, |content| content.prefix().chain())
    }

    /// What was cut is journaled and given away.
    pub(super) fn planned(&mut self) {
        self.cut_now -= 1;
        self.given += 1;
    }

    /// There is nothing more to cut until it changes.
    pub(super) fn rest(&mut self, all_read: bool) {
        self.since = None;
        (self.known, self.again) = (None, None);
        // Of thousands of lanes that rest, the last block each is read again when it is needed.
        if !self.is_whole()
            && self.number.is_some()
            && let Some(mut content) = self.content.take()
        {
            let chain = content.prefix().chain();
            self.reached = Reached { position: self.position, chain, head: content.head(), ..self.reached };
        }
        if all_read {
            self.ended = true;
            self.stored = self.size;
        }
    }

    /// It needs no attention any more.
    pub(super) fn over(&self) -> bool {
        self.ended && self.given == 0 && self.to_read_again() == 0 && self.stopped.is_none()
    }

    /// How far it is, with what it has given away.
    pub(super) fn status(&self, now: Duration, held: Option<Held>) -> SourceStatus {
        let unread = if self.ended { 0 } else { self.unread() };
        let again: u64 = self.all_to_read_again().map(|slice| slice.end - slice.start).sum();
        // What is in doubt was there before this run began, where the clock begins.
        let in_doubt_since = (!self.in_doubt.is_empty()).then_some(Duration::ZERO);
        let unread_since = self.since.filter(|_| unread > 0);
        let back_since = self.back.iter().map(|back| back.since).min();
        let since = [unread_since, held.map(|held| held.since), in_doubt_since, back_since];
        let oldest = since.into_iter().flatten().min();
        SourceStatus {
            name: self.name.clone(),
            lag_bytes: unread + again + held.map_or(0, |held| held.bytes),
            lag_records: None,
            lag: oldest.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            in_doubt: self.given + self.to_read_again(),
            stopped: self.stopped.clone(),
        }
    }
}

/// What a lane has given away and is not done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Bytes of it, after decompression.
    pub(super) bytes: u64,
    /// When its oldest record was there.
    pub(super) since: Duration,
}

impl Held {
    pub(super) fn add(&mut self, slice: &JournaledSlice, since: Duration) {
        self.bytes += slice.end - slice.start;
        self.since = self.since.min(since);
    }
}
