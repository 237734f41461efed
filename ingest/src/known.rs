//! Slices that a ledger already has, so that loading the same input again adds nothing.

use std::collections::{HashMap, HashSet};

use longshore_core::slice::SliceId;

/// A slice that was stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSlice {
    /// Its identity.
    pub id: SliceId,
    /// Identity of its source.
    pub source_id: u64,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset just past its last byte.
    pub end: u64,
    /// XXH3-64 of its whole records.
    pub hash: u64,
}

/// All slices that were stored before, of the sources of this run.
#[derive(Debug, Clone, Default)]
pub struct KnownSlices {
    ids: HashSet<SliceId>,
    begun: HashSet<SliceId>,
    by_start: HashMap<(u64, u64), Vec<KnownSlice>>,
}

impl KnownSlices {
    /// Indexes them.
    pub fn new(slices: impl IntoIterator<Item = KnownSlice>) -> Self {
        let mut known = KnownSlices::default();
        for slice in slices {
            known.ids.insert(slice.id);
            known.by_start.entry((slice.source_id, slice.start)).or_default().push(slice);
        }
        known
    }

    /// The same with slices of which an earlier run has decided something, and which may not be stored.
    pub fn with_begun(mut self, slices: impl IntoIterator<Item = SliceId>) -> Self {
        self.begun.extend(slices);
        self
    }

    /// Whether an earlier run has decided something of this slice, so that what is there must be looked up first.
    pub fn was_begun(&self, id: SliceId) -> bool {
        self.begun.contains(&id)
    }

    /// Whether this very slice was stored.
    pub fn contains(&self, id: SliceId) -> bool {
        self.ids.contains(&id)
    }

    /// The slices that were stored from this place on. There are several where a file's content was replaced.
    pub fn starting_at(&self, source_id: u64, start: u64) -> &[KnownSlice] {
        self.by_start.get(&(source_id, start)).map_or(&[], Vec::as_slice)
    }
}
