//! Rows that ClickHouse rejects, such as by a constraint that somebody put on the table: each becomes a dead letter, and
//! the rest of its slice is stored.
//!
//! An insert is refused as a whole, and its message rarely says for which row's sake. So halves of the rows, and halves of
//! what is refused of them, are tried on a table of the same columns and constraints that keeps nothing, until each that
//! is at fault stands alone. Where that table takes what the events refuse, or too much is refused for it to be a row's
//! fault, somebody has to look.
//!
//! Which rows are set aside must be the same for every attempt and for every engine, whatever becomes of the constraint
//! meanwhile. So their dead letters are stored before anything else of the slice, all in one insert, and once they are
//! there they decide: whoever sends the slice again leaves out what they say. They are all of the slice's dead letters, so
//! that one token stands for them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use longshore_core::column::layout::ROW_COLUMN;
use longshore_core::dead_letter::{Fault, Reason};
use longshore_core::limits::{REJECTED_ALL_ROWS_MAX, REJECTED_ROWS_MAX};
use longshore_core::slice::SliceId;
use longshore_ingest::sink::{LoadedSlice, RejectedRow, SinkError};

use super::client::ClickHouse;
use super::codes::ErrorKind;
use super::days::Days;
use super::ddl::DEAD_LETTERS;
use super::error::{ClientError, Rows, ServerException};
use super::left_out::{ByProduct, without};
use super::scratch::scratch_name;
use super::sink::{ClickHouseSink, Kind, Letters, Sending, letter_batch, letter_bytes};
use super::sql::{quote_name, quote_table, quote_text};
use super::store::{Day, Store};
use super::work::work;

impl<S: Store> ClickHouseSink<S> {
    /// The rows for whose sake the slice is refused.
    pub(super) fn find_rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        let (slice, _) = self.decide_event_times(slice)?;
        let (slice, _) = self.claim(&slice)?;
        let batch = self.missing_events(&slice)?;
        if !self.ask(&slice, |store| store.dead_rows(slice.meta.id, Reason::Rejected))?.is_empty() {
            let detail = "rows of it that ClickHouse rejected were set aside before, and now it rejects others";
            return Err(self.at_a_loss(&slice, detail));
        }
        let what = format!("trying rows of slice {} in `{}`", slice.meta.id, self.store().database());
        let failed = |error: ClientError| error.into_sink_error(&what, Rows::Ours);
        let trial = self.store().open_trial(&self.events).map_err(failed)?;
        let rows = self.search(&slice, &batch, &trial);
        // What is left behind keeps nothing and hurts nobody.
        if let Err(error) = self.store().close_trial(&trial) {
            tracing::warn!("the table `{trial}`, which is empty, was not dropped: {error}");
        }
        rows
    }

    /// The rows that a trial refuses.
    fn search(&self, slice: &LoadedSlice, batch: &RecordBatch, trial: &str) -> Result<Vec<RejectedRow>, SinkError> {
        let numbers = row_numbers(batch);
        let mut rejected = Vec::new();
        // The next ones to try are the last.
        let mut ranges = vec![(0, batch.num_rows())];
        while let Some((from, rows)) = ranges.pop() {
            let refusal = match self.store().try_rows(trial, &batch.slice(from, rows)) {
                Ok(()) => continue,
                Err(ClientError::Server(refusal)) if refusal.kind() == ErrorKind::Isolate => refusal,
                Err(error) => {
                    let what = format!("trying rows of slice {} in `{trial}`", slice.meta.id);
                    return Err(error.into_sink_error(&what, Rows::Ours));
                }
            };
            if rows > 1 {
                ranges.extend([(from + rows / 2, rows - rows / 2), (from, rows / 2)]);
                continue;
            }
            rejected.push((numbers[from], fault(&refusal)));
            if rejected.len() > REJECTED_ROWS_MAX {
                return Err(self.at_a_loss(slice, &format!("it rejects more than {REJECTED_ROWS_MAX} rows of it")));
            }
        }
        if rejected.is_empty() {
            return Err(self.at_a_loss(slice, "a table of the same columns and constraints takes each of its rows"));
        }
        if rejected.len() == batch.num_rows() && rejected.len() > REJECTED_ALL_ROWS_MAX {
            return Err(self.at_a_loss(slice, &format!("it rejects all of its {} rows", rejected.len())));
        }
        // Rows stand in the table's order, records in the source's.
        rejected.sort_by_key(|(row, _)| *row);
        Ok(rejected)
    }

    /// The slice without the rows that are dead letters because they were rejected: those whose letters are stored, or,
    /// where there are none, those that it comes with, once their letters are stored. How many they are of each product.
    pub(super) fn set_aside<'s>(
        &self,
        mut slice: Cow<'s, LoadedSlice>,
    ) -> Result<(Cow<'s, LoadedSlice>, ByProduct), SinkError> {
        let mut rows = self.ask(&slice, |store| store.dead_rows(slice.meta.id, Reason::Rejected))?;
        if rows.is_empty() {
            if slice.rejected.is_empty() {
                return Ok((slice, Vec::new()));
            }
            slice = self.without_stored(slice)?;
            if slice.rejected.is_empty() {
                return Ok((slice, Vec::new()));
            }
            rows = slice.rejected.iter().map(|letter| letter.row).collect();
            let letters = slice.rejected.len() as u64;
            let _permit = work(letter_bytes(&slice, Letters::Others));
            self.deliver(&slice, Sending::of(DEAD_LETTERS, Kind::DeadLetters), |_| {
                Ok((!self.letters_stored(&slice, letters)?).then(|| letter_batch(&slice, Letters::Others)))
            })?;
        }
        self.leave_out(slice, &rows)
    }

    /// The slice without dead letters of rows that are stored: an insert of before a constraint came late, after they were
    /// tried.
    fn without_stored<'s>(&self, slice: Cow<'s, LoadedSlice>) -> Result<Cow<'s, LoadedSlice>, SinkError> {
        let days = Days::of(&slice.decoded.batch, &self.time);
        let stored = self.stored_days(&slice, days.count())?;
        if stored.is_empty() {
            return Ok(slice);
        }
        let numbers = row_numbers(&slice.decoded.batch);
        let is_there = |(_, day): &(u32, Day)| stored.contains(day);
        let there: BTreeSet<u32> =
            numbers.into_iter().zip(days.rows().iter().copied()).filter(is_there).map(|(row, _)| row).collect();
        let mut slice = slice.into_owned();
        slice.rejected.retain(|letter| !there.contains(&letter.row));
        Ok(Cow::Owned(slice))
    }

    /// The slice without the rows that it says itself were rejected, for a run whose tokens nobody else has.
    pub(super) fn without_rejected<'s>(
        &self,
        slice: Cow<'s, LoadedSlice>,
    ) -> Result<(Cow<'s, LoadedSlice>, ByProduct), SinkError> {
        let rows = slice.rejected.iter().map(|letter| letter.row).collect();
        self.leave_out(slice, &rows)
    }

    fn leave_out<'s>(
        &self,
        slice: Cow<'s, LoadedSlice>,
        rows: &BTreeSet<u32>,
    ) -> Result<(Cow<'s, LoadedSlice>, ByProduct), SinkError> {
        if rows.is_empty() {
            return Ok((slice, Vec::new()));
        }
        let numbers = row_numbers(&slice.decoded.batch);
        let places: Vec<u32> = (0..).zip(&numbers).filter(|(_, row)| rows.contains(row)).map(|(at, _)| at).collect();
        if places.len() != rows.len() {
            let detail = format!("of {} of its dead letters that were rejected rows {} are", rows.len(), places.len());
            return Err(self.at_a_loss(&slice, &detail));
        }
        let (slice, by_product) = without(&slice, &places, &self.product);
        Ok((Cow::Owned(slice), by_product))
    }

    fn at_a_loss(&self, slice: &LoadedSlice, why: &str) -> SinkError {
        let table = quote_table(self.store().database(), &self.events);
        SinkError::Stuck {
            detail: format!(
                "ClickHouse rejects rows of slice {} of {}, and {why}: that is no broken row but a table, a constraint or a \
                 view that does not fit the data. Look at SHOW CREATE TABLE {table} and the views behind it, or filter such \
                 records out",
                slice.meta.id, slice.meta.source
            ),
        }
    }
}

/// Of each row of a batch, its record's number.
pub(super) fn row_numbers(batch: &RecordBatch) -> Vec<u32> {
    let column = batch.column_by_name(ROW_COLUMN).expect("each batch says where its rows are from");
    column.as_primitive::<UInt32Type>().values().to_vec()
}

/// Rows of a batch.
pub(super) fn rows_where(batch: &RecordBatch, keep: impl Iterator<Item = bool>) -> RecordBatch {
    let keep: BooleanArray = keep.map(Some).collect();
    filter_record_batch(batch, &keep).expect("a flag for each row")
}

/// What a dead letter says of a refusal. The values that the row had are left out: a record may be sealed, and a table of
/// dead letters is read by people who must not see what is in it.
fn fault(refusal: &ServerException) -> Fault {
    let broken =
        constraint(&refusal.without_values()).map(|(name, says)| format!("it breaks constraint `{name}`: {says}"));
    let said = broken.unwrap_or_else(|| "a value does not fit its column".to_owned());
    Fault::new(Reason::Rejected, format!("{said} (ClickHouse error {})", refusal.code))
}

/// Name and expression, from ``Constraint `x` for table ... is violated at row 1. Expression: (...).``
fn constraint(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = message.strip_prefix("Constraint `")?.split_once("` for table ")?;
    let (_, expression) = rest.split_once("Expression: ")?;
    Some((name, expression.trim_end_matches('.')))
}

impl ClickHouse {
    /// Makes a table of the same columns and constraints that keeps nothing; its name.
    pub(super) fn open_trial(&self, events: &str) -> Result<String, ClientError> {
        let name = scratch_name(events, "trial");
        let (trial, like) = (quote_table(self.database(), &name), quote_table(self.database(), events));
        self.execute(&format!("CREATE TABLE {trial} AS {like} ENGINE = Null"))?;
        Ok(name)
    }

    /// Drops it.
    pub(super) fn close_trial(&self, trial: &str) -> Result<(), ClientError> {
        self.execute(&format!("DROP TABLE IF EXISTS {} SYNC", quote_table(self.database(), trial)))
    }

    /// The statement that asks for the rows of a slice's dead letters for that reason.
    pub fn dead_rows_statement(&self, slice: SliceId, reason: Reason) -> String {
        format!(
            "SELECT {} FROM {} WHERE slice = {} AND reason = {}",
            quote_name("row"),
            quote_table(self.database(), DEAD_LETTERS),
            slice.0,
            quote_text(reason.name())
        )
    }

    /// The rows of a slice's dead letters for that reason.
    pub(super) fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError> {
        let rows = self.look_up(&self.dead_rows_statement(slice, reason))?;
        let number =
            |row: String| row.parse().map_err(|_| ClientError::Invalid(format!("`{row}` is not a record's number")));
        rows.into_iter().flatten().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ClickHouse 26.7 says it.
    #[test]
    fn a_fault_names_the_constraint_and_no_value() {
        let text = "Code: 469. DB::Exception: Constraint `luck` for table shop.events_trial_1f (90d47c66-7db8-42c1-8063-\
                    0c7363d078c4) is violated at row 1. Expression: ((n % 97) != 13). Column values: n = 304. \
                    (VIOLATED_CONSTRAINT) (version 26.7.2.1)";
        let refusal = ServerException::parse(text).expect("it is one");
        assert!(!refusal.to_string().contains("304"), "{refusal}");
        let fault = fault(&refusal);
        assert_eq!(fault.detail, "it breaks constraint `luck`: ((n % 97) != 13) (ClickHouse error 469)");
        let other = ServerException { code: 407, message: "Decimal math overflow of 304".to_owned() };
        assert_eq!(super::fault(&other).detail, "a value does not fit its column (ClickHouse error 407)");
    }
}
