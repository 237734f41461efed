//! What a run has done so far: counters that the pipeline bumps and a progress bar reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_core::dead_letter::Reason;
use longshore_core::limits::{PRODUCTS_COUNTED_BYTES_MAX, PRODUCTS_COUNTED_MAX};

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
    sums: Mutex<Sums>,
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
    /// Rows by product, as far as products are counted one by one.
    pub rows_by_product: BTreeMap<Arc<str>, u64>,
    /// Rows of all other products: without a dictionary anything may be one.
    pub rows_of_other_products: u64,
    /// Slices that the ledger had already; not part of the figures above.
    pub skipped_slices: u64,
    /// Bytes of those.
    pub skipped_bytes: u64,
}

/// Totals, and what bounds them.
#[derive(Debug, Default)]
struct Sums {
    totals: Totals,
    /// Bytes of the names of products that are counted one by one.
    product_bytes: usize,
}

impl Sums {
    /// A product's rows; those of the others once as many products are counted as may be.
    fn of_product(&mut self, product: &Arc<str>) -> &mut u64 {
        let totals = &mut self.totals;
        if !totals.rows_by_product.contains_key(product) {
            let bytes = self.product_bytes + product.len();
            if totals.rows_by_product.len() >= PRODUCTS_COUNTED_MAX || bytes > PRODUCTS_COUNTED_BYTES_MAX {
                return &mut totals.rows_of_other_products;
            }
            self.product_bytes = bytes;
        }
        totals.rows_by_product.entry(product.clone()).or_default()
    }
}

impl Progress {
    /// Counts a slice that was acknowledged.
    pub(crate) fn stored(&self, slice: &LoadedSlice, stored: &Stored) {
        let decoded = &slice.decoded;
        let rows = decoded.batch.num_rows() as u64;
        let duplicates: u64 = stored.duplicates.iter().map(|(_, rows)| rows).sum();
        let rejected: u64 = stored.rejected.iter().map(|(_, rows)| rows).sum();
        let event_times: u64 = stored.event_times.iter().map(|(_, rows)| rows).sum();
        let loaded = rows - duplicates - rejected - event_times;
        let as_decoded = rows + decoded.dead.len() as u64 + decoded.filtered;
        assert_eq!(decoded.records, as_decoded, "slice {} does not balance", slice.meta.id);
        self.loaded.fetch_add(loaded, Ordering::Relaxed);
        let mut sums = self.sums.lock().expect("no panic while counting");
        let totals = &mut sums.totals;
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
        for (reason, rows) in [(Reason::Rejected, rejected), (Reason::EventTime, event_times)] {
            if rows > 0 {
                *totals.dead_by_reason.entry(reason).or_default() += rows;
            }
        }
        for (product, rows) in &decoded.rows_by_product {
            *sums.of_product(product) += rows;
        }
        for (product, rows) in stored.duplicates.iter().chain(&stored.rejected).chain(&stored.event_times) {
            *sums.of_product(product) -= rows;
        }
    }

    /// Counts a slice that the ledger had already.
    pub(crate) fn skipped(&self, bytes: u64) {
        let totals = &mut self.sums.lock().expect("no panic while counting").totals;
        totals.skipped_slices += 1;
        totals.skipped_bytes += bytes;
    }

    /// What was done so far.
    pub fn totals(&self) -> Totals {
        self.sums.lock().expect("no panic while counting").totals.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_without_end_are_counted_together_and_no_row_is_forgotten() {
        let mut sums = Sums::default();
        let count = PRODUCTS_COUNTED_MAX as u64 + 1_000;
        for round in 1..=2 {
            for number in 0..count {
                *sums.of_product(&number.to_string().into()) += 3;
                // One of them was a duplicate.
                *sums.of_product(&number.to_string().into()) -= 1;
            }
            assert_eq!(sums.totals.rows_by_product.len(), PRODUCTS_COUNTED_MAX);
            assert_eq!(sums.totals.rows_by_product["7"], round * 2);
            assert_eq!(sums.totals.rows_of_other_products, round * 2 * 1_000);
        }
        let all = sums.totals.rows_by_product.values().sum::<u64>() + sums.totals.rows_of_other_products;
        assert_eq!(all, count * 4);
    }

    #[test]
    fn the_names_of_products_are_bounded_too() {
        let mut sums = Sums::default();
        let name = |number: u64| Arc::<str>::from(format!("{number:x<width$}", width = 1000).repeat((1 << 20) / 1000));
        let names = (0..20_u64).map(name);
        names.for_each(|name| *sums.of_product(&name) += 1);
        assert_eq!((sums.totals.rows_by_product.len(), sums.totals.rows_of_other_products), (8, 12));
        // One that is short still finds room, and keeps it.
        *sums.of_product(&"".into()) += 1;
        assert_eq!(sums.totals.rows_by_product.len(), 9);
    }
}
