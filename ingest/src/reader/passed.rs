//! What a reader passes over, or cuts as it was planned: slices of earlier loads.

use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};
use longshore_core::limits::SLICE_BYTES_CEILING;
use longshore_core::slice::CutAt;

use super::{Over, Source, Stored, Window};
use crate::content::Mark;
use crate::cut::{CutSlice, Kind, slice_id};
use crate::input::InputError;
use crate::journal::JournaledSlice;
use crate::known::Behind;

impl Source<'_, '_> {
    /// Sends the slice that an earlier load planned here, or passes over it if it is for another config.
    pub(super) fn send_planned(&mut self, slices: &Sender<CutSlice>, used: &Receiver<Vec<u8>>) -> Result<Stored, Over> {
        let before = self.content.prefix().mark();
        for planned in self.reader.books.plans.in_doubt_at(self.offset, before.chain) {
            let length = planned.end - planned.start;
            // What is longer than any slice is one long record, of which only the beginning can be compared.
            if let Ok(length) = usize::try_from(length).map(|length| length.min(SLICE_BYTES_CEILING + 1)) {
                self.fill(length);
                let Some(bytes) = self.rest().get(..length) else {
                    if self.stopped {
                        return Ok(Stored::Unknown);
                    }
                    continue;
                };
                let mut after = self.content.prefix().clone();
                after.update(bytes);
                let stream = self.reader.options.cut.stream;
                let is = |kind| slice_id(stream, before.digest, after.digest(), kind) == planned.slice;
                if length <= SLICE_BYTES_CEILING && !Kind::ALL.into_iter().any(is) {
                    continue;
                }
            }
            self.limit = Some(planned.end);
            let outcome = self.send_again(&planned, before, slices, used);
            self.limit = None;
            return outcome;
        }
        Ok(Stored::Not)
    }

    /// Cuts a planned slice again, whose end is the limit.
    fn send_again(
        &mut self,
        planned: &JournaledSlice,
        before: Mark,
        slices: &Sender<CutSlice>,
        used: &Receiver<Vec<u8>>,
    ) -> Result<Stored, Over> {
        let length = planned.end - planned.start;
        if !self.reader.books.finish {
            self.reader.progress.cut_bytes.fetch_add(length, Ordering::Relaxed);
        }
        if self.reader.books.config != planned.config {
            if !self.reader.books.finish {
                self.changed(planned);
                return Ok(Stored::Unknown);
            }
            let passed = self.pass_over(length);
            return Ok(if passed == length { Stored::Before } else { Stored::Unknown });
        }
        let Window { cut, covers_rest } = self.cut();
        let (start, bytes) = self.take(cut.end, used);
        let tail = if bytes.is_empty() { self.tail(cut.next, covers_rest) } else { None };
        let mut slice = self.slice((start, before), bytes, tail);
        if slice.meta.id != planned.slice {
            if !self.stopped {
                self.changed(planned);
            }
            return Ok(Stored::Unknown);
        }
        (slice.slice.cut, slice.in_doubt) = (CutAt::Backfill(planned.cut_ms), true);
        self.forward(slices, slice)?;
        Ok(Stored::Before)
    }

    /// A planned slice cannot be cut again.
    fn changed(&mut self, planned: &JournaledSlice) {
        let &JournaledSlice { slice, start, end, .. } = planned;
        let name = self.stream.name().clone();
        self.failure.get_or_insert(InputError::Changed { name, slice, start, end });
    }

    /// Passes over a slice that was stored before and ends elsewhere than one cut now would: the file has grown since,
    /// or the slices were of another size.
    pub(super) fn skip_known(&mut self) -> Stored {
        let Some(wanted) = self.reader.known.bytes_behind(self.content.prefix()) else { return Stored::Not };
        self.fill(wanted.max(self.reader.options.cut.window_bytes()));
        let available = &self.buffer[self.position..];
        let goes_on = self.offset > self.begin && self.stream.repeatable();
        let found = match self.reader.known.behind(self.content.prefix(), available) {
            Behind::Slice(found) => found,
            Behind::TooLittle if self.stopped => return Stored::Unknown,
            Behind::TooLittle if goes_on && !self.rest_is_empty() && self.failure.is_none() => {
                self.waits = true;
                return Stored::Unknown;
            }
            Behind::Parts { seeds } if goes_on => {
                self.parted = self.reader.known.seed(&seeds);
                return Stored::Unknown;
            }
            Behind::TooLittle | Behind::Parts { .. } | Behind::Nothing => return Stored::Not,
        };
        self.content.is_found_by(found.head);
        self.alike |= self.reader.sent.contains(&found.id);
        self.advance(found.length as usize);
        if !self.reader.books.finish {
            self.reader.progress.cut_bytes.fetch_add(found.length, Ordering::Relaxed);
            if !self.reader.books.plans.was_finished(found.id) {
                self.reader.progress.skipped(found.length);
            }
        }
        Stored::Before
    }
}
