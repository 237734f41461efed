//! What a service asks of the world beyond it: how slices are processed, and which are stored.

use std::collections::HashSet;
use std::sync::Arc;

use longshore_core::decode::Decoder;
use longshore_core::slice::SliceId;

use crate::journal::ConfigHash;
use crate::sink::{Sink, SinkError};

/// How slices that were cut under one config are processed.
pub struct Plan {
    /// From bytes to columns.
    pub decoder: Decoder,
    /// Where the columns go.
    pub sink: Box<dyn Sink + Send>,
}

/// What a service has to know of the world beyond it.
pub trait Plans: Sync {
    /// How to process slices of this config. It is asked once a slice, so it should remember.
    ///
    /// # Errors
    /// Why it cannot be processed now, for the operator; it is asked again.
    fn plan(&self, config: ConfigHash) -> Result<Arc<Plan>, String>;

    /// The text of the config that new slices are planned under, and its number, which grows when it is another.
    fn current(&self) -> (u64, Arc<str>);

    /// Which of these slices are stored, whole.
    fn stored(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, SinkError>;

    /// The time for draining is over: whatever a thread waits for in here, or in a sink, has to fail at once.
    fn give_up(&self) {}
}
