//! What this engine knows by itself of slices that are not whole: which rollups have acknowledged them.
//!
//! Where two slices add the same to a rollup and one of them is counted, the totals do not tell which. After a server died
//! the engine that was storing them mostly knows: an insert that was acknowledged is there. It is believed only where
//! acknowledged parts survive a power failure, which the preflight of an exactly-once guarantee has seen to, and of the same
//! server: another one behind the URL has acknowledged nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use longshore_core::config::{Config, Guarantee};
use longshore_core::limits::ACKNOWLEDGED_SLICES_MAX;
use longshore_core::slice::SliceId;

/// See the [module](self). A slice is forgotten once it is whole, so that these are no more than are under way or in doubt;
/// one that became another engine's, once so many came after it.
#[derive(Debug)]
pub(super) struct Acknowledged {
    believed: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The number of the server that acknowledged.
    server: u64,
    rollups: BTreeMap<SliceId, BTreeSet<usize>>,
    /// Slices in the order in which they came, those that were forgotten too.
    order: VecDeque<SliceId>,
}

impl Acknowledged {
    pub(super) fn of(config: &Config) -> Acknowledged {
        let believed = config.clickhouse.fsync && config.clickhouse.guarantee == Guarantee::ExactlyOnce;
        Acknowledged { believed, known: Mutex::default() }
    }

    /// This server answers now.
    pub(super) fn server_is(&self, server: u64) {
        let mut known = self.lock();
        if known.server < server {
            *known = Known { server, ..Known::default() };
        }
    }

    /// The rollup of that number, in the order of the config, has acknowledged all that the slice adds to it, to this server.
    pub(super) fn add(&self, slice: SliceId, rollup: usize, server: u64) {
        let mut known = self.lock();
        if !self.believed || known.server != server {
            return;
        }
        if known.rollups.entry(slice).or_default().insert(rollup) {
            known.order.push_back(slice);
            known.make_room();
        }
    }

    pub(super) fn has(&self, slice: SliceId, rollup: usize) -> bool {
        self.lock().rollups.get(&slice).is_some_and(|rollups| rollups.contains(&rollup))
    }

    /// The slice is whole.
    pub(super) fn forget(&self, slice: SliceId) {
        self.lock().rollups.remove(&slice);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn make_room(&mut self) {
        while self.rollups.len() > ACKNOWLEDGED_SLICES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.rollups.remove(&oldest);
        }
        // Mostly of slices that were forgotten.
        if self.order.len() > 2 * ACKNOWLEDGED_SLICES_MAX {
            let mut seen = BTreeSet::new();
            self.order.retain(|slice| self.rollups.contains_key(slice) && seen.insert(*slice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believing() -> Acknowledged {
        Acknowledged { believed: true, known: Mutex::default() }
    }

    #[test]
    fn slices_that_are_never_whole_here_are_forgotten_the_oldest_first() {
        let acknowledged = believing();
        let count = 3 * ACKNOWLEDGED_SLICES_MAX as u64;
        for slice in 0..count {
            (0..3).for_each(|rollup| acknowledged.add(SliceId(slice), rollup, 0));
        }
        let kept = (0..count).filter(|slice| acknowledged.has(SliceId(*slice), 2)).count();
        assert_eq!(kept, ACKNOWLEDGED_SLICES_MAX);
        assert!(acknowledged.has(SliceId(count - 1), 0) && !acknowledged.has(SliceId(0), 0));
        // Those that are whole take no place.
        for slice in count..2 * count {
            acknowledged.add(SliceId(slice), 0, 0);
            acknowledged.forget(SliceId(slice));
        }
        assert!(acknowledged.has(SliceId(count - 1), 0));
        assert!(acknowledged.lock().order.len() <= 2 * ACKNOWLEDGED_SLICES_MAX);
    }

    #[test]
    fn another_server_has_acknowledged_nothing() {
        let acknowledged = believing();
        acknowledged.add(SliceId(1), 0, 0);
        acknowledged.server_is(0);
        assert!(acknowledged.has(SliceId(1), 0));
        acknowledged.server_is(1);
        assert!(!acknowledged.has(SliceId(1), 0));
        // An answer of the one before, which came late.
        acknowledged.add(SliceId(1), 0, 0);
        assert!(!acknowledged.has(SliceId(1), 0));
        acknowledged.add(SliceId(1), 0, 1);
        assert!(acknowledged.has(SliceId(1), 0));
    }
}
