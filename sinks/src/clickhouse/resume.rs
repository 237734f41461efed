//! Completing a slice that may be stored in part, perhaps so long ago that its tokens are forgotten.
//!
//! What is there is looked up before anything is sent, only what is missing is sent, and then it is looked up again:
//!
//! - in the ledger: all of it is there;
//! - events carry their slice, and are stored whole or not at all within a day;
//! - rollups that sum have a marker of the slice on each day that they have it (`markers.rs`); of new users sending again
//!   changes nothing;
//! - dead letters carry their slice and are one insert; they come after the rollups.
//!
//! A server that died between writing a token and the rows behind it remembers the token and keeps the rows out. So what
//! was acknowledged and is not there is sent under a second token, and so on, once no insert of the slice is under way in
//! the server any more: whatever may still arrive under the first token is kept out by it.
//!
//! What cannot be told is a pause, never a guess.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use longshore_core::dead_letter::Reason;
use longshore_ingest::sink::{LoadedSlice, SinkError};

use super::days::{Days, missing};
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::{ClientError, Rows};
use super::markers::{MINUTE, with_markers};
use super::partials::Partials;
use super::sink::{ClickHouseSink, Kind, Letters, Sending, ledger_batch, letter_batch, letter_bytes};
use super::store::{Day, Store};
use super::work::work;

/// Tokens that an insert of a slice is sent under until it is there. Each but the first is for a server that died at the
/// same unlikely moment once more.
pub(super) const GENERATIONS_MAX: u64 = 8;

/// Rows that are not in a slice any more, because their dead letters are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    /// ClickHouse rejected them: all of the slice's dead letters are there then.
    pub(super) rejected: u64,
    /// An earlier attempt found their event times too far away.
    pub(super) event_times: u64,
}

impl<S: Store> ClickHouseSink<S> {
    /// Stores what is missing of a slice that is not whole, if so many of its rows were rejected and are not in it any more.
    pub(super) fn complete(&self, slice: &LoadedSlice, rejected: u64) -> Result<(), SinkError> {
        self.complete_decided(slice, Gone { rejected, event_times: 0 })
    }

    /// The same without rows of either kind.
    pub(super) fn complete_decided(&self, slice: &LoadedSlice, gone: Gone) -> Result<(), SinkError> {
        let Gone { rejected, event_times } = gone;
        let life = self.begin()?;
        let days = Days::of(&slice.decoded.batch, &self.time);
        let expected = days.count();
        let before = self.stored_days(slice, expected)?;
        // Elsewhere dead letters come after the rollups, so that they tell of these.
        let letters = rejected == 0 && self.letters_stored(slice, 0)?;
        if before.len() < expected.len() {
            if letters {
                return Err(self.uncertain(slice, "its dead letters are there and some of its rows are not"));
            }
            self.complete_events(slice, &days)?;
        }
        if !letters {
            if let Some(partials) = &self.partials {
                self.complete_rollups(slice, partials)?;
            }
            self.demand_alive(life)?;
            let _permit = work(letter_bytes(slice, Letters::Others));
            self.deliver(slice, Sending::of(DEAD_LETTERS, Kind::DeadLetters), |_| {
                let none = Letters::Others.of(slice).next().is_none();
                let there = none || self.letters_stored(slice, rejected)?;
                Ok((!there).then(|| letter_batch(slice, Letters::Others)))
            })?;
        }
        self.demand_alive(life)?;
        self.deliver(slice, Sending::of(LEDGER, Kind::Ledger), |_| {
            Ok((!self.is_whole(slice)?)
                .then(|| ledger_batch(&self.events, slice, rejected + event_times, &self.rollups)))
        })
    }

    /// Sends what `missing` says is missing, under one token after the other, until it says that nothing is. It is told
    /// how often it was sent.
    pub(super) fn deliver(
        &self,
        slice: &LoadedSlice,
        sending: Sending<'_>,
        missing: impl Fn(u64) -> Result<Option<RecordBatch>, SinkError>,
    ) -> Result<(), SinkError> {
        for generation in 0..GENERATIONS_MAX {
            let Some(mut rows) = missing(generation)? else { return Ok(()) };
            if generation > 0 {
                self.demand_quiet(slice, sending.table)?;
                // What was under way a moment ago may be there now.
                rows = match missing(generation)? {
                    Some(rows) => rows,
                    None => return Ok(()),
                };
            }
            self.send(Sending { generation, ..sending }, slice.meta.id, &rows)?;
        }
        match missing(GENERATIONS_MAX)? {
            None => Ok(()),
            Some(_) => {
                let table = sending.table;
                let times = format!("ClickHouse took it into `{table}` {GENERATIONS_MAX} times, and it is not there");
                Err(self.uncertain(slice, &times))
            }
        }
    }

    /// Whatever was sent of the slice is over, and what it left behind shows.
    pub(super) fn demand_quiet(&self, slice: &LoadedSlice, table: &str) -> Result<(), SinkError> {
        let id = slice.meta.id;
        match self.ask(slice, |store| store.is_quiet(table, id))? {
            true => Ok(()),
            false => Err(SinkError::Retry {
                detail: format!("an insert of slice {id} is still under way in `{table}`, or shows late"),
            }),
        }
    }

    fn complete_events(&self, slice: &LoadedSlice, days: &Days) -> Result<(), SinkError> {
        for (number, group) in days.groups().iter().enumerate() {
            self.deliver(slice, Sending::of(&self.events, Kind::Events).group(number), |_| {
                let missing = missing(group, &self.stored_days(slice, group)?);
                Ok((!missing.is_empty()).then(|| days.only(&slice.decoded.batch, |day| missing.contains(&day))))
            })?;
        }
        Ok(())
    }

    /// The rows of the days that are not there.
    pub(super) fn missing_events(&self, slice: &LoadedSlice) -> Result<RecordBatch, SinkError> {
        let days = Days::of(&slice.decoded.batch, &self.time);
        let stored = self.stored_days(slice, days.count())?;
        Ok(days.only(&slice.decoded.batch, |day| !stored.contains(&day)))
    }

    pub(super) fn is_whole(&self, slice: &LoadedSlice) -> Result<bool, SinkError> {
        self.ask(slice, |store| store.is_whole(&slice.meta))
    }

    /// The days on which all of its rows are there.
    pub(super) fn stored_days(
        &self,
        slice: &LoadedSlice,
        expected: &BTreeMap<Day, u64>,
    ) -> Result<BTreeSet<Day>, SinkError> {
        let days: Vec<Day> = expected.keys().copied().collect();
        let found = self.ask(slice, |store| store.rows_by_day(&self.events, &self.time, slice.meta.id, &days))?;
        for (day, rows) in &found {
            if expected.get(day) != Some(rows) {
                let detail =
                    format!("day {day} after 1970-01-01 has {rows} of its rows, which is not all and not none");
                return Err(self.uncertain(slice, &detail));
            }
        }
        Ok(found.into_keys().collect())
    }

    /// Whether its dead letters are there, with those of so many rejected rows, but for those of event times; it may have none.
    pub(super) fn letters_stored(&self, slice: &LoadedSlice, rejected: u64) -> Result<bool, SinkError> {
        let expected = slice.decoded.dead.iter().filter(|letter| letter.fault.reason != Reason::EventTime).count()
            as u64
            + rejected;
        let found = self.ask(slice, |store| store.dead_letters(slice.meta.id))?;
        match found {
            0 => Ok(false),
            found if found == expected => Ok(true),
            found => Err(self.uncertain(slice, &format!("{found} of its {expected} dead letters are there"))),
        }
    }

    /// Sends each rollup what it lacks.
    fn complete_rollups(&self, slice: &LoadedSlice, partials: &Partials) -> Result<(), SinkError> {
        for mut insert in partials.inserts(&slice.decoded.batch) {
            let table = partials.table(&insert);
            let rows = insert.take_rows();
            if partials.adds(&insert) {
                self.complete_rollup(slice, table, &rows)?;
            } else {
                // It may be there any number of times, so that no token has to be trusted; and users who were left out before,
                // because they were known, may not be any more.
                let sending = Sending { generation: self.unused(), ..Sending::of(table, Kind::Rollup) };
                self.send(sending, slice.meta.id, &rows)?;
            }
            partials.acknowledge(&insert);
        }
        Ok(())
    }

    /// Sends a rollup by minute what it lacks of these rows: those of the days of which the slice's marker is not there.
    fn complete_rollup(&self, slice: &LoadedSlice, table: &str, rows: &RecordBatch) -> Result<(), SinkError> {
        let id = slice.meta.id;
        let days = Days::of(rows, MINUTE);
        for (number, group) in days.groups().iter().enumerate() {
            let expected: Vec<Day> = group.keys().copied().collect();
            self.deliver(slice, Sending::of(table, Kind::Rollup).group(number), |_| {
                let missing = missing(group, &self.ask(slice, |store| store.marked(table, id, &expected))?);
                let rows = || days.only(rows, |day| missing.contains(&day));
                Ok((!missing.is_empty()).then(|| with_markers(rows(), id)))
            })?;
        }
        Ok(())
    }

    pub(super) fn ask<T>(
        &self,
        slice: &LoadedSlice,
        ask: impl FnOnce(&S) -> Result<T, ClientError>,
    ) -> Result<T, SinkError> {
        let what = format!("asking `{}` what it has of slice {}", self.store().database(), slice.meta.id);
        ask(self.store()).map_err(|error| error.into_sink_error(&what, Rows::Ours))
    }

    fn uncertain(&self, slice: &LoadedSlice, why: &str) -> SinkError {
        let (id, source, database) = (slice.meta.id, &slice.meta.source, self.store().database());
        SinkError::Stuck {
            detail: format!(
                "slice {id} of {source} was being stored when something died, and sending it again may count it twice: \
                 {why}. Look at the rows of `{database}`.`{}` with _slice = {}, and of the rollups; once the rest of the slice is stored, or all of it removed, start the engine again",
                self.events, id.0
            ),
        }
    }
}
