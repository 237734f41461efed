//! What is stored already: slices in the ledger, of a run's sources or of a list, and rows of a slice that is not in it.

use std::collections::{BTreeMap, HashSet};

use longshore_core::column::layout::SLICE_COLUMN;
use longshore_core::dead_letter::Reason;
use longshore_core::slice::SliceId;
use longshore_ingest::cut::stream_of;
use longshore_ingest::known::KnownSlice;
use longshore_ingest::sink::SliceMeta;

use super::client::ClickHouse;
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::ClientError;
use super::sql::{quote_name, quote_table, quote_text};
use super::store::Day;

impl ClickHouse {
    /// The stored slices whose contents are found by these heads, in order of head and start.
    pub fn known_slices(&self, heads: &[u64]) -> Result<Vec<KnownSlice>, ClientError> {
        let mut known = Vec::new();
        for heads in heads.chunks(IDS_A_QUERY) {
            let heads: Vec<String> = heads.iter().map(u64::to_string).collect();
            let rows = self.look_up(&format!(
                "SELECT DISTINCT slice, stream, head, bytes, before, after FROM {} WHERE head IN ({}) \
                 ORDER BY head, start, slice",
                quote_table(self.database(), LEDGER),
                heads.join(", ")
            ))?;
            for row in rows {
                known.push(entry(&row).ok_or_else(|| ClientError::Invalid(format!("not a ledger row: {row:?}")))?);
            }
        }
        Ok(known)
    }

    /// Which of these slices are in the ledger.
    pub fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        let mut whole = HashSet::new();
        for ids in slices.chunks(IDS_A_QUERY) {
            let rows = self.look_up(&self.whole_slices_statement(ids))?;
            for id in rows.into_iter().flatten() {
                let id = id.parse().map_err(|_| ClientError::Invalid(format!("`{id}` is not a slice's id")))?;
                whole.insert(SliceId(id));
            }
        }
        Ok(whole)
    }

    /// The statement that asks which of these slices are in the ledger, whose sources nobody knows.
    pub fn whole_slices_statement(&self, slices: &[SliceId]) -> String {
        let ids: Vec<String> = slices.iter().map(|id| id.0.to_string()).collect();
        format!(
            "SELECT DISTINCT slice FROM {} WHERE slice IN ({})",
            quote_table(self.database(), LEDGER),
            ids.join(", ")
        )
    }

    /// The statement that asks whether a slice is in the ledger: by the key that it is sorted by, so that no other source's
    /// rows are read.
    pub fn whole_statement(&self, slice: &SliceMeta) -> String {
        format!(
            "SELECT 1 FROM {} WHERE head = {} AND start = {} AND slice = {} LIMIT 1",
            quote_table(self.database(), LEDGER),
            slice.head,
            slice.start,
            slice.id.0
        )
    }

    /// Whether a slice is in the ledger.
    pub(super) fn is_whole(&self, slice: &SliceMeta) -> Result<bool, ClientError> {
        Ok(!self.look_up(&self.whole_statement(slice))?.is_empty())
    }

    /// Rows of a slice in the events table on these days, which are the only partitions that are read.
    pub(super) fn rows_by_day(
        &self,
        events: &str,
        time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError> {
        let time = quote_name(time);
        let mut found = BTreeMap::new();
        for days in days.chunks(IDS_A_QUERY) {
            let days: Vec<String> = days.iter().map(Day::to_string).collect();
            // Of days, not of moments: ClickHouse 26.7 overlooks fractions of seconds where it compares a time with a
            // `DateTime`.
            let rows = self.look_up(&format!(
                "SELECT toInt32(toDate({time})) AS day, count() FROM {} \
                 WHERE toInt32(toDate({time})) IN ({}) AND {SLICE_COLUMN} = {} GROUP BY day",
                quote_table(self.database(), events),
                days.join(", "),
                slice.0
            ))?;
            for row in rows {
                let (day, rows) =
                    day_of(&row).ok_or_else(|| ClientError::Invalid(format!("not a day's rows: {row:?}")))?;
                found.insert(day, rows);
            }
        }
        Ok(found)
    }

    /// Whether no insert of a slice is under way, and the table shows what was inserted: a replica may have yet to fetch it.
    pub(super) fn is_quiet(&self, table: &str, slice: SliceId) -> Result<bool, ClientError> {
        let under_way = self.value(&format!(
            "SELECT count() FROM system.processes WHERE startsWith(Settings['insert_deduplication_token'], '{slice}-')"
        ))?;
        let of_its_own = self.value(&format!(
            "SELECT count() FROM system.tables WHERE database = {} AND name = {} AND endsWith(engine, 'MergeTree') \
             AND NOT match(engine, '^(Replicated|Shared)')",
            quote_text(self.database()),
            quote_text(table)
        ))?;
        Ok(under_way == "0" && of_its_own == "1")
    }

    /// Dead letters of a slice, but for those of event times.
    pub(super) fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError> {
        let table = quote_table(self.database(), DEAD_LETTERS);
        let event_time = quote_text(Reason::EventTime.name());
        let rows =
            self.look_up(&format!("SELECT count() FROM {table} WHERE slice = {} AND reason != {event_time}", slice.0))?;
        let count = rows.into_iter().flatten().next().unwrap_or_default();
        count.parse().map_err(|_| ClientError::Invalid(format!("`{count}` is not a count")))
    }
}

/// Keeps a query far below ClickHouse's limit of 256 KiB.
const IDS_A_QUERY: usize = 4096;

fn day_of(row: &[String]) -> Option<(Day, u64)> {
    Some((row.first()?.parse().ok()?, row.get(1)?.parse().ok()?))
}

fn entry(row: &[String]) -> Option<KnownSlice> {
    let [slice, stream, head, length, before, after] = row else { return None };
    Some(KnownSlice {
        id: SliceId(slice.parse().ok()?),
        stream: stream_of(stream),
        head: head.parse().ok()?,
        length: length.parse().ok()?,
        before: before.parse().ok()?,
        after: after.parse().ok()?,
    })
}
