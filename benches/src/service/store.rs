//! ClickHouse without what a [`Without`] names.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow_array::RecordBatch;
use longshore_core::column::layout::{ROW_COLUMN, SLICE_COLUMN};
use longshore_core::dead_letter::Reason;
use longshore_core::dedup::EventKey;
use longshore_core::slice::SliceId;
use longshore_sinks::clickhouse::{Claim, ClickHouse, ClientError, Day, Store};

use super::Without;

/// See the [module](self). Everything but inserts goes on as it is.
pub(super) struct Partial {
    clickhouse: ClickHouse,
    without: Without,
}

impl Partial {
    pub(super) fn new(clickhouse: ClickHouse, without: Without) -> Partial {
        Partial { clickhouse, without }
    }
}

/// Events without the columns that say where a row came from; whatever is no event as it is.
fn without_provenance(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    if schema.column_with_name(ROW_COLUMN).is_none() {
        return batch.clone();
    }
    let own = |name: &str| name != SLICE_COLUMN && name != ROW_COLUMN;
    let kept: Vec<usize> =
        schema.fields().iter().enumerate().filter(|(_, field)| own(field.name())).map(|(index, _)| index).collect();
    batch.project(&kept).expect("columns that the batch has")
}

impl Store for Partial {
    fn database(&self) -> &str {
        self.clickhouse.database()
    }

    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        // An empty token is none.
        let token = if self.without.tokens { "" } else { token };
        match self.without.provenance {
            true => self.clickhouse.insert(table, token, &without_provenance(batch)),
            false => self.clickhouse.insert(table, token, batch),
        }
    }

    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        Store::whole_slices(&self.clickhouse, slices)
    }

    fn rows_by_day(
        &self,
        events: &str,
        time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError> {
        Store::rows_by_day(&self.clickhouse, events, time, slice, days)
    }

    fn is_quiet(&self, table: &str, slice: SliceId) -> Result<bool, ClientError> {
        Store::is_quiet(&self.clickhouse, table, slice)
    }

    fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError> {
        Store::dead_letters(&self.clickhouse, slice)
    }

    fn open_trial(&self, events: &str) -> Result<String, ClientError> {
        Store::open_trial(&self.clickhouse, events)
    }

    fn try_rows(&self, trial: &str, rows: &RecordBatch) -> Result<(), ClientError> {
        Store::try_rows(&self.clickhouse, trial, rows)
    }

    fn close_trial(&self, trial: &str) -> Result<(), ClientError> {
        Store::close_trial(&self.clickhouse, trial)
    }

    fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError> {
        Store::dead_rows(&self.clickhouse, slice, reason)
    }

    fn claims(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        Store::claims(&self.clickhouse, table, slice, keys)
    }

    fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        Store::marked(&self.clickhouse, table, slice, days)
    }
}
