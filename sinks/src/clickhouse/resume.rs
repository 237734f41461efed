//! Completing a slice that may be stored in part, perhaps so long ago that its tokens are forgotten.
//!
//! What is there is looked up before anything is sent, and only what is missing is sent:
//!
//! - in the ledger: all of it is there;
//! - events carry their slice, and are stored whole or not at all within a day;
//! - rollups are sent only once the events are acknowledged, so that while events are missing nothing is in them;
//!   otherwise their totals tell (`counted.rs`), and of new users sending again changes nothing;
//! - dead letters carry their slice and are one insert; they come after the rollups.
//!
//! What cannot be told is a pause, never a guess.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::filter::filter_record_batch;
use longshore_ingest::sink::{LoadedSlice, SinkError};

use super::counted::{Counted, Probe};
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::{ClientError, Rows};
use super::sink::{ClickHouseSink, Kind, dead_letter_batch, ledger_batch};
use super::store::{Day, Store};

impl<S: Store> ClickHouseSink<S> {
    /// Stores what is missing of a slice.
    pub(super) fn complete(&self, slice: &LoadedSlice) -> Result<(), SinkError> {
        let id = slice.meta.id;
        if self.ask(slice, |store| store.whole_slices(&[id]))?.contains(&id) {
            return Ok(());
        }
        let events = &slice.decoded.batch;
        let days = days(events, &self.time);
        let expected = count(&days);
        let stored = self.stored_days(slice, &expected)?;
        let letters = self.letters_stored(slice)?;
        let missing: BTreeSet<Day> = expected.keys().copied().filter(|day| !stored.contains(day)).collect();
        if !missing.is_empty() {
            if letters {
                return Err(self.uncertain(slice, "its dead letters are there and some of its rows are not"));
            }
            self.forbid_views(slice, &stored)?;
            self.insert(&self.events, Kind::Events, id, &only(events, &days, &missing))?;
            // A server that was killed may remember a token whose rows it lost.
            if self.stored_days(slice, &expected)?.len() != expected.len() {
                return Err(self.uncertain(slice, "ClickHouse took its rows for stored, and they are not there"));
            }
            self.send_rollups(slice)?;
        } else if !letters {
            self.forbid_views(slice, &stored)?;
            self.complete_rollups(slice)?;
        }
        if !letters {
            self.insert(DEAD_LETTERS, Kind::DeadLetters, id, &dead_letter_batch(slice))?;
        }
        self.insert(LEDGER, Kind::Ledger, id, &ledger_batch(slice))
    }

    /// The days on which all of its rows are there.
    fn stored_days(&self, slice: &LoadedSlice, expected: &BTreeMap<Day, u64>) -> Result<BTreeSet<Day>, SinkError> {
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

    /// Whether its dead letters are there; it may have none.
    fn letters_stored(&self, slice: &LoadedSlice) -> Result<bool, SinkError> {
        let expected = slice.decoded.dead.len() as u64;
        let found = self.ask(slice, |store| store.dead_letters(slice.meta.id))?;
        match found {
            0 => Ok(false),
            found if found == expected => Ok(true),
            found => Err(self.uncertain(slice, &format!("{found} of its {expected} dead letters are there"))),
        }
    }

    /// Materialized views add to the rollups within the events' insert, and nobody knows how far it came.
    fn forbid_views(&self, slice: &LoadedSlice, stored: &BTreeSet<Day>) -> Result<(), SinkError> {
        if self.by_views && !stored.is_empty() {
            return Err(self.uncertain(slice, "materialized views fill the rollups, and may have been cut off"));
        }
        Ok(())
    }

    /// Sends each rollup what it lacks.
    fn complete_rollups(&self, slice: &LoadedSlice) -> Result<(), SinkError> {
        let Some(partials) = &self.partials else { return Ok(()) };
        for (insert, probe) in partials.inserts(&slice.decoded.batch).iter().zip(self.probes.iter()) {
            let rows = match probe {
                None => insert.rows.clone(),
                Some(probe) => {
                    let counted = self.days_counted(slice, probe, &insert.rows)?;
                    let days = days(&insert.rows, "minute");
                    let missing = days.iter().copied().filter(|day| !counted.contains(day)).collect();
                    only(&insert.rows, &days, &missing)
                }
            };
            self.insert(partials.table(insert), Kind::Rollup, slice.meta.id, &rows)?;
            if let Some(probe) = probe
                && rows.num_rows() > 0
            {
                self.confirm(slice, probe, &insert.rows)?;
            }
            partials.acknowledge(insert);
        }
        Ok(())
    }

    /// After the server took what a rollup lacked: a pause if it provably is not there, since a server that was killed may
    /// remember a token whose rows it lost. What cannot be told is as the server says.
    fn confirm(&self, slice: &LoadedSlice, probe: &Probe, rows: &RecordBatch) -> Result<(), SinkError> {
        match self.ask(slice, |store| store.counted(probe, slice.meta.id, &probe.minutes(rows)))? {
            Counted::On(counted) if counted.len() != count(&days(rows, "minute")).len() => {
                let detail = format!("`{}` took it for counted, and it is not", probe.table());
                Err(self.uncertain(slice, &detail))
            }
            Counted::On(_) | Counted::Busy(_) | Counted::Unknown(_) => Ok(()),
        }
    }

    fn days_counted(&self, slice: &LoadedSlice, probe: &Probe, rows: &RecordBatch) -> Result<BTreeSet<Day>, SinkError> {
        match self.ask(slice, |store| store.counted(probe, slice.meta.id, &probe.minutes(rows)))? {
            Counted::On(days) => Ok(days),
            Counted::Busy(why) => Err(SinkError::Retry {
                detail: format!("whether `{}` has slice {} cannot be told yet: {why}", probe.table(), slice.meta.id),
            }),
            Counted::Unknown(why) => {
                Err(self.uncertain(slice, &format!("whether `{}` has it cannot be told: {why}", probe.table())))
            }
        }
    }

    fn ask<T>(&self, slice: &LoadedSlice, ask: impl FnOnce(&S) -> Result<T, ClientError>) -> Result<T, SinkError> {
        let what = format!("asking `{}` what it has of slice {}", self.store().database(), slice.meta.id);
        ask(self.store()).map_err(|error| error.into_sink_error(&what, Rows::Ours))
    }

    fn uncertain(&self, slice: &LoadedSlice, why: &str) -> SinkError {
        let (id, source, database) = (slice.meta.id, &slice.meta.source, self.store().database());
        SinkError::Pause {
            detail: format!(
                "slice {id} of {source} was being stored when something died, and sending it again may count it twice: \
                 {why}. Look at the rows of `{database}`.`{}` with _slice = {} and at the rollups of their minutes; once \
                 the rest of the slice is stored, or all of it removed, start the engine again",
                self.events, id.0
            ),
        }
    }
}

/// The day of each row.
fn days(batch: &RecordBatch, time: &str) -> Vec<Day> {
    const DAY_SECONDS: i64 = 86_400;
    let column = batch.column_by_name(time).expect("the config was checked: the event time is a column");
    let DataType::Timestamp(unit, _) = column.data_type() else {
        panic!("the config was checked, yet the event time is {}", column.data_type())
    };
    let (values, a_day) = match unit {
        TimeUnit::Second => (column.as_primitive::<TimestampSecondType>().values(), DAY_SECONDS),
        TimeUnit::Millisecond => (column.as_primitive::<TimestampMillisecondType>().values(), DAY_SECONDS * 1000),
        TimeUnit::Microsecond => (column.as_primitive::<TimestampMicrosecondType>().values(), DAY_SECONDS * 1_000_000),
        TimeUnit::Nanosecond => {
            (column.as_primitive::<TimestampNanosecondType>().values(), DAY_SECONDS * 1_000_000_000)
        }
    };
    values.iter().map(|value| value.div_euclid(a_day) as Day).collect()
}

fn count(days: &[Day]) -> BTreeMap<Day, u64> {
    let mut rows = BTreeMap::new();
    days.iter().for_each(|&day| *rows.entry(day).or_default() += 1);
    rows
}

/// The rows of these days.
fn only(batch: &RecordBatch, days: &[Day], wanted: &BTreeSet<Day>) -> RecordBatch {
    let keep: BooleanArray = days.iter().map(|day| Some(wanted.contains(day))).collect();
    filter_record_batch(batch, &keep).expect("a flag for each row")
}
