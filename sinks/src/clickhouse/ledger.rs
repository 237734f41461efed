//! Reading the ledger: which slices are stored already, of a run's sources or of a list.

use std::collections::HashSet;

use longshore_core::slice::SliceId;
use longshore_ingest::known::KnownSlice;

use super::client::ClickHouse;
use super::ddl::LEDGER;
use super::error::ClientError;
use super::sql::quote_table;

impl ClickHouse {
    /// The stored slices of these sources, in order of source and start.
    pub fn known_slices(&self, source_ids: &[u64]) -> Result<Vec<KnownSlice>, ClientError> {
        let mut known = Vec::new();
        for ids in source_ids.chunks(IDS_A_QUERY) {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            let rows = self.rows(&format!(
                "SELECT DISTINCT slice, source_id, start, `end`, hash FROM {} WHERE source_id IN ({}) \
                 ORDER BY source_id, start, slice",
                quote_table(self.database(), LEDGER),
                ids.join(", ")
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
            let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
            let rows = self.rows(&format!(
                "SELECT DISTINCT slice FROM {} WHERE slice IN ({})",
                quote_table(self.database(), LEDGER),
                ids.join(", ")
            ))?;
            for id in rows.into_iter().flatten() {
                let id = id.parse().map_err(|_| ClientError::Invalid(format!("`{id}` is not a slice's id")))?;
                whole.insert(SliceId(id));
            }
        }
        Ok(whole)
    }
}

/// Keeps a query far below ClickHouse's limit of 256 KiB.
const IDS_A_QUERY: usize = 4096;

fn entry(row: &[String]) -> Option<KnownSlice> {
    let [slice, source_id, start, end, hash] = row else { return None };
    Some(KnownSlice {
        id: SliceId(slice.parse().ok()?),
        source_id: source_id.parse().ok()?,
        start: start.parse().ok()?,
        end: end.parse().ok()?,
        hash: hash.parse().ok()?,
    })
}
