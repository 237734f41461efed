//! Reading the ledger: which slices of a run's sources are stored already.

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
        for ids in source_ids.chunks(SOURCES_A_QUERY) {
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
}

/// Keeps a query far below ClickHouse's limit of 256 KiB.
const SOURCES_A_QUERY: usize = 4096;

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
