//! The days that rows are of. Each is a partition, so that a slice which touches many of them is several inserts: each ends
//! within seconds, and what was stored of a slice stays stored when one of them fails.
//!
//! Which days go together follows from the slice, so that a day has one token in every attempt.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use longshore_core::limits::INSERT_DAYS_MAX;

use super::rejected::rows_where;
use super::store::Day;

/// The day of each row of a batch.
pub(super) struct Days {
    rows: Vec<Day>,
    /// Each of them, in order, and how many rows are of it.
    count: BTreeMap<Day, u64>,
}

impl Days {
    /// By the column of that name, a time.
    pub(super) fn of(batch: &RecordBatch, time: &str) -> Days {
        let rows = read(batch, time);
        let mut count = BTreeMap::new();
        // Rows of a day mostly stand together.
        for day in rows.chunk_by(|a, b| a == b) {
            *count.entry(day[0]).or_default() += day.len() as u64;
        }
        Days { rows, count }
    }

    /// The day of each row.
    pub(super) fn rows(&self) -> &[Day] {
        &self.rows
    }

    pub(super) fn count(&self) -> &BTreeMap<Day, u64> {
        &self.count
    }

    /// The days that are inserted together, in order: mostly all of them.
    pub(super) fn groups(&self) -> Vec<BTreeMap<Day, u64>> {
        let days: Vec<(Day, u64)> = self.count.iter().map(|(day, rows)| (*day, *rows)).collect();
        days.chunks(INSERT_DAYS_MAX).map(|days| days.iter().copied().collect()).collect()
    }

    /// Whether the rows are one insert, or none.
    pub(super) fn is_one_insert(&self) -> bool {
        self.count.len() <= INSERT_DAYS_MAX
    }

    /// The rows of these days.
    pub(super) fn only(&self, batch: &RecordBatch, wanted: impl Fn(Day) -> bool) -> RecordBatch {
        if self.count.keys().all(|day| wanted(*day)) {
            return batch.clone();
        }
        rows_where(batch, self.rows.iter().map(|day| wanted(*day)))
    }
}

/// The days of a group that are not among these.
pub(super) fn missing(group: &BTreeMap<Day, u64>, stored: &BTreeSet<Day>) -> BTreeSet<Day> {
    group.keys().copied().filter(|day| !stored.contains(day)).collect()
}

/// The rows of a batch as they are inserted: by days, if it has that column and touches many.
pub(super) fn inserts(batch: RecordBatch, time: Option<&str>) -> Vec<RecordBatch> {
    let Some(days) = time.map(|time| Days::of(&batch, time)).filter(|days| !days.is_one_insert()) else {
        return vec![batch];
    };
    days.groups().iter().map(|group| days.only(&batch, |day| group.contains_key(&day))).collect()
}

fn read(batch: &RecordBatch, time: &str) -> Vec<Day> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, TimestampSecondArray};

    use super::*;

    fn batch(days: impl IntoIterator<Item = i64>) -> RecordBatch {
        let times: TimestampSecondArray = days.into_iter().map(|day| Some(day * 86_400 + 5)).collect();
        RecordBatch::try_from_iter([("ts", Arc::new(times) as ArrayRef)]).unwrap()
    }

    #[test]
    fn many_days_are_several_inserts_of_all_rows_in_order_of_days() {
        // Twice 250 days, the second time backwards, from before 1970 on.
        let batch = batch((-50..200).chain((-50..200).rev()));
        let inserts = inserts(batch, Some("ts"));
        let days: Vec<BTreeMap<Day, u64>> = inserts.iter().map(|rows| Days::of(rows, "ts").count).collect();
        let twice = |days: std::ops::Range<Day>| days.map(|day| (day, 2)).collect::<BTreeMap<Day, u64>>();
        assert_eq!(days, [twice(-50..50), twice(50..150), twice(150..200)]);
    }

    #[test]
    fn a_few_days_are_one_insert_whatever_their_order() {
        let batch = batch([3, 1, 2, 1]);
        assert_eq!(inserts(batch.clone(), Some("ts")), std::slice::from_ref(&batch));
        assert_eq!(inserts(batch.clone(), None), [batch]);
        assert_eq!(inserts(super::tests::batch([]), Some("ts")).len(), 1);
    }
}
