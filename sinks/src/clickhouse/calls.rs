//! An end to all calls of a connection, for whoever has to be gone by a certain time: a server that accepts and does not
//! answer would otherwise keep a thread for as long as an insert may take.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

use super::error::ClientError;

/// Whether calls may go on. Clones share it.
#[derive(Debug, Clone)]
pub struct Calls(Arc<watch::Sender<bool>>);

impl Default for Calls {
    /// They may.
    fn default() -> Self {
        Calls(Arc::new(watch::Sender::new(false)))
    }
}

impl Calls {
    /// Gives up the calls that are under way, and those that come later: each fails at once with [`ClientError::GivenUp`].
    /// What an insert that is given up has stored nobody knows.
    pub fn end(&self) {
        self.0.send_replace(true);
    }

    /// The answer, unless the calls end before.
    pub(super) async fn unless_ended<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let mut ends = self.0.subscribe();
        let mut end = pin!(ends.wait_for(|ended| *ended));
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            // The sender lives as long as `self`, so that this is an end and no error.
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(ClientError::GivenUp));
            }
            call.as_mut().poll(context)
        })
        .await
    }
}
