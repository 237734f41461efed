//! What is remembered of slices for as long as they are this engine's: one that became another's comes back to nobody here,
//! so that nobody would forget it.

use std::collections::HashMap;

use longshore_core::slice::SliceId;

use crate::lease::Lease;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Leased<V>(HashMap<SliceId, (V, Lease)>);

impl<V> Default for Leased<V> {
    fn default() -> Self {
        Leased(HashMap::new())
    }
}

impl<V> Leased<V> {
    /// Remembers something of a slice, and forgets what is not this engine's any more.
    pub(super) fn insert(&mut self, slice: SliceId, value: V, lease: &Lease) {
        self.0.retain(|_, (_, lease)| lease.held());
        self.0.insert(slice, (value, lease.clone()));
    }

    pub(super) fn get(&self, slice: SliceId) -> Option<&V> {
        self.0.get(&slice).map(|(value, _)| value)
    }

    pub(super) fn remove(&mut self, slice: SliceId) {
        self.0.remove(&slice);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::lease::Term;

    #[test]
    fn what_became_another_engines_is_forgotten_though_it_never_comes_back() {
        let revoked = Arc::new(AtomicBool::new(false));
        let lease = Lease::until(revoked.clone(), Term::unbounded());
        let mut known = Leased::default();
        (0..100).for_each(|slice| known.insert(SliceId(slice), slice, &lease));
        assert_eq!((known.0.len(), known.get(SliceId(7))), (100, Some(&7)));
        revoked.store(true, Ordering::Release);
        known.insert(SliceId(100), 100, &Lease::forever());
        assert_eq!((known.0.len(), known.get(SliceId(7))), (1, None));
        known.remove(SliceId(100));
        assert!(known.0.is_empty());
    }
}
