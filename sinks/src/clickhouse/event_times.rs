//! Records whose event times are too far from the moment at which their slice was cut.
//!
//! A slice has that moment in its plan, so that every attempt finds the same records too far away. These dead letters are stored
//! before anything else of a slice, all in one insert, and once they are there they decide, as those of rejected rows do:
//! a later attempt leaves out the rows that they say, whatever it finds itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use longshore_core::dead_letter::Reason;
use longshore_core::slice::CutAt;
use longshore_ingest::sink::{LoadedSlice, SinkError};

use super::ddl::DEAD_LETTERS;
use super::left_out::{ByProduct, without};
use super::rejected::row_numbers;
use super::sink::{ClickHouseSink, Kind, Letters, Sending, letter_batch, letter_bytes};
use super::sql::quote_table;
use super::store::Store;
use super::work::work;

/// What an earlier attempt has decided of a slice.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Rows that are not in it any more, by product.
    pub(super) rows: ByProduct,
    /// Records that are dead letters and were not decoded as such, these rows among them.
    pub(super) records: u64,
}

impl<S: Store> ClickHouseSink<S> {
    /// The slice without the records whose dead letters an earlier attempt has stored. If it has such letters and none is
    /// stored, they are now.
    pub(super) fn decide_event_times<'s>(
        &self,
        slice: &'s LoadedSlice,
    ) -> Result<(Cow<'s, LoadedSlice>, Decided), SinkError> {
        let look = || self.ask(slice, |store| store.dead_rows(slice.meta.id, Reason::EventTime));
        let mut stored = look()?;
        if stored.is_empty() && matches!(slice.decoded.cut, CutAt::Backfill(_)) {
            // What an earlier attempt decided may be on its way.
            self.demand_quiet(slice, DEAD_LETTERS)?;
            stored = look()?;
        }
        if stored.is_empty() {
            let any = Letters::EventTimes.of(slice).next().is_some();
            let _permit = work(letter_bytes(slice, Letters::EventTimes));
            self.deliver(slice, Sending::of(DEAD_LETTERS, Kind::EventTimes), |sent| {
                let missing = any && (sent == 0 || look()?.is_empty());
                Ok(missing.then(|| letter_batch(slice, Letters::EventTimes)))
            })?;
            return Ok((Cow::Borrowed(slice), Decided::default()));
        }
        self.leave_out_decided(slice, stored)
    }

    /// The slice without these records, if all that it would have left out itself are among them.
    fn leave_out_decided<'s>(
        &self,
        slice: &'s LoadedSlice,
        mut decided: BTreeSet<u32>,
    ) -> Result<(Cow<'s, LoadedSlice>, Decided), SinkError> {
        if !Letters::EventTimes.of(slice).all(|letter| decided.remove(&letter.row)) {
            return Err(self.bounds_changed(slice));
        }
        if decided.is_empty() {
            return Ok((Cow::Borrowed(slice), Decided::default()));
        }
        let numbers = row_numbers(&slice.decoded.batch);
        let places: Vec<u32> = (0..).zip(&numbers).filter(|(_, row)| decided.contains(row)).map(|(at, _)| at).collect();
        let (mut rest, rows) = without(slice, &places, &self.product);
        // A record that is near enough now may have another fault, or be one that a filter drops.
        rest.decoded.dead.retain(|letter| letter.fault.reason == Reason::EventTime || !decided.contains(&letter.row));
        let faulty = slice.decoded.dead.len() - rest.decoded.dead.len();
        let filtered = decided.len().checked_sub(places.len() + faulty).map(|filtered| filtered as u64);
        let Some(left) = filtered.and_then(|filtered| rest.decoded.filtered.checked_sub(filtered)) else {
            return Err(self.bounds_changed(slice));
        };
        rest.decoded.filtered = left;
        Ok((Cow::Owned(rest), Decided { rows, records: decided.len() as u64 }))
    }

    fn bounds_changed(&self, slice: &LoadedSlice) -> SinkError {
        SinkError::Stuck {
            detail: format!(
                "slice {} of {} was begun, and other event times of it are too far away now than its dead letters in {} say: \
                 the config's bounds became narrower, its records are read in another way, or this machine's clock went \
                 back. Undo that until the slice is stored",
                slice.meta.id,
                slice.meta.source,
                quote_table(self.store().database(), DEAD_LETTERS)
            ),
        }
    }
}
