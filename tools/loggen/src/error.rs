//! What can go wrong: an option that cannot be meant, or a file that cannot be read or written.

use std::io;
use std::path::{Path, PathBuf};

/// Why generating failed. The operating system's own words are the `source`, not part of the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option, or a pair of them, that makes no sense: change the call.
    #[error("{0}")]
    Option(String),
    /// A file beside the log itself: keyring, products, expected answers.
    #[error("{what} {}", path.display())]
    File {
        /// What was being done, as in "cannot write".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A keyring that is there but cannot be used.
    #[error("keyring {}: {reason}; delete it to have a new one made", path.display())]
    Keyring {
        /// The keyring file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The writer the log goes to.
    #[error("cannot write the log")]
    Output(#[source] io::Error),
    /// The worker threads could not be started.
    #[error("cannot start worker threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An adapter for `map_err`: the operating system's error with its file.
pub(crate) fn on_file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { what, path, source }
}
