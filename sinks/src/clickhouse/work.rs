//! Memory for what insert threads make of slices: partial aggregates, batches of dead letters, keys.
//!
//! It is the process's, whatever the number of sinks: a service has one for each config of its slices. Whoever takes some
//! waits for nothing else of the engine's while it has it, so nobody waits in a circle.

use std::sync::LazyLock;

use longshore_core::limits::WORK_BYTES_MAX;
use longshore_ingest::memory::{Memory, Permit};

static WORK: LazyLock<Memory> = LazyLock::new(|| Memory::new(WORK_BYTES_MAX));

/// So many bytes, or all that there are, once they are free.
pub(super) fn work(bytes: usize) -> Permit {
    WORK.take(bytes.min(WORK_BYTES_MAX), || true).expect("it does not give up")
}
