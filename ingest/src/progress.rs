//! What a run has done so far: counters that the pipeline bumps and a progress bar reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_core::dead_letter::Reason;

use crate::causes::Causes;
use crate::sink::{LoadedSlice, Stored};

/// Live counters. Reading them is cheap and may be a slice behind.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes read as stored (compressed, where a source is).
    pub stored_read: Arc<AtomicU64>,
    /// Bytes cut into slices, after decompression.
    pub cut_bytes: AtomicU64,
    /// Rows acknowledged.
    pub loaded: AtomicU64,
    /// Dead letters acknowledged.
    pub dead: AtomicU64,
    /// Attempts that failed and were repeated.
    pub retries: AtomicU64,
    totals: Mutex<Totals>,
}

/// What a run did. `records == loaded + dead + filtered + duplicates`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the slices that were stored, after decompression.
    pub bytes: u64,
    /// Slices that were stored.
    pub slices: u64,
    /// Records in them.
    pub records: u64,
    /// Records that became rows.
    pub loaded: u64,
    /// Records that became dead letters.
    pub dead: u64,
    /// Records that a declared filter dropped.
    pub filtered: u64,
    /// Records whose events were stored already.
    pub duplicates: u64,
    /// Dead letters by reason.
    pub dead_by_reason: BTreeMap<Reason, u64>,
    /// Why these records became dead letters.
    pub causes: Causes,
    /// Rows by product.
    pub rows_by_product: BTreeMap<Arc<str>, u64>,
    /// Slices that the ledger had already; not part of the figures above.
    pub skipped_slices: u64,
    /// Bytes of those.
    pub skipped_bytes: u64,
}

impl Progress {
    /// Counts a slice that was acknowledged.
    pub(crate) fn stored(&self, slice: &LoadedSlice, stored: &Stored) {
        let decoded = &slice.decoded;
        let rows = decoded.batch.num_rows() as u64;
        let duplicates: u64 = stored.duplicates.iter().map(|(_, rows)| rows).sum();
        let rejected: u64 = stored.rejected.iter().map(|(_, rows)| rows).sum();
        let loaded = rows - duplicates - rejected;
        let as_decoded = rows + decoded.dead.len() as u64 + decoded.filtered;
        assert_eq!(decoded.records, as_decoded, "slice {} does not balance", slice.meta.id);
        self.loaded.fetch_add(loaded, Ordering::Relaxed);
        let mut totals = self.totals.lock().expect("no panic while counting");
        let dead = totals.causes.count(slice, stored);
        self.dead.fetch_add(dead, Ordering::Relaxed);
        totals.bytes += slice.meta.end - slice.meta.start;
        totals.slices += 1;
        totals.records += decoded.records;
        totals.loaded += loaded;
        totals.dead += dead;
        totals.filtered += decoded.filtered;
        totals.duplicates += duplicates;
        for letter in &decoded.dead {
            *totals.dead_by_reason.entry(letter.fault.reason).or_default() += 1;
        }
        if rejected > 0 {
            *totals.dead_by_reason.entry(Reason::Rejected).or_default() += rejected;
        }
        for (product, rows) in &decoded.rows_by_product {
            *totals.rows_by_product.entry(product.clone()).or_default() += rows;
        }
        for (product, rows) in stored.duplicates.iter().chain(&stored.rejected) {
            *totals.rows_by_product.entry(product.clone()).or_default() -= rows;
        }
    }

    /// Counts a slice that the ledger had already.
    pub(crate) fn skipped(&self, bytes: u64) {
        let mut totals = self.totals.lock().expect("no panic while counting");
        totals.skipped_slices += 1;
        totals.skipped_bytes += bytes;
    }

    /// What was done so far.
    pub fn totals(&self) -> Totals {
        self.totals.lock().expect("no panic while counting").clone()
    }
}
