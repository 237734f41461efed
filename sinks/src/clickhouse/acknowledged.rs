//! What this engine knows by itself of slices that are not whole: which rollups have acknowledged them.
//!
//! Where two slices add the same to a rollup and one of them is counted, the totals do not tell which. After a server died
//! the engine that was storing them mostly knows: an insert that was acknowledged is there. It is believed only where
//! acknowledged parts survive a power failure, which the preflight of an exactly-once guarantee has seen to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use longshore_core::config::{Config, Guarantee};
use longshore_core::slice::SliceId;

/// See the [module](self). A slice is forgotten once it is whole, so that these are no more than are under way or in doubt.
#[derive(Debug)]
pub(super) struct Acknowledged {
    believed: bool,
    rollups: Mutex<BTreeMap<SliceId, BTreeSet<usize>>>,
}

impl Acknowledged {
    pub(super) fn of(config: &Config) -> Acknowledged {
        let believed = config.clickhouse.fsync && config.clickhouse.guarantee == Guarantee::ExactlyOnce;
        Acknowledged { believed, rollups: Mutex::default() }
    }

    /// The rollup of that number, in the order of the config, has acknowledged all that the slice adds to it.
    pub(super) fn add(&self, slice: SliceId, rollup: usize) {
        if self.believed {
            self.lock().entry(slice).or_default().insert(rollup);
        }
    }

    pub(super) fn has(&self, slice: SliceId, rollup: usize) -> bool {
        self.lock().get(&slice).is_some_and(|rollups| rollups.contains(&rollup))
    }

    /// The slice is whole.
    pub(super) fn forget(&self, slice: SliceId) {
        self.lock().remove(&slice);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SliceId, BTreeSet<usize>>> {
        self.rollups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
