//! Why a run could not be made. What is found wrong is no error: it is in the report.

use std::io;
use std::path::PathBuf;

use longshore_sinks::clickhouse::{ApplyError, ClientError, ConnectError};
use longshore_sinks::embedded::EmbeddedError;

/// Why a run could not be made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The ClickHouse of the run does not start, or not again.
    #[error("{0}")]
    Embedded(#[from] EmbeddedError),
    /// ClickHouse cannot be reached.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// ClickHouse did not answer a question.
    #[error("asking ClickHouse what it has: {0}")]
    Client(#[from] ClientError),
    /// The scratch tables were not made.
    #[error("making the scratch tables: {0}")]
    Apply(#[from] ApplyError),
    /// No proxy can stand before such a server.
    #[error("{url}: {detail}")]
    Url {
        /// The server's.
        url: String,
        /// Why.
        detail: String,
    },
    /// A file, a port or a process of the test.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The run's own config is refused: a bug of ours.
    #[error("the config of the test is refused: {0}")]
    Config(String),
}

/// Gives an I/O error its place.
pub(crate) fn at<'a>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ChaosError + 'a {
    let path = path.into();
    move |source| ChaosError::Io { action, path, source }
}
