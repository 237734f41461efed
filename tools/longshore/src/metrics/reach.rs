//! Whether ClickHouse answers, as of the last look.

use std::sync::{Mutex, PoisonError};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<Option<Result<(), String>>>);

impl Reach {
    /// What a look came to.
    pub(crate) fn found(&self, answer: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// Why it is not known to answer.
    pub(super) fn complaint(&self) -> Option<String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(())) => None,
            Some(Err(why)) => Some(format!("asking ClickHouse failed: {why}")),
            None => Some("ClickHouse was not asked yet".to_owned()),
        }
    }
}
