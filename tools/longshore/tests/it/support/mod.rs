//! What every subject needs: a server on a folder of its own, SQL over HTTP, processes that end with the test.

pub(crate) mod channel_log;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod service;
pub(crate) mod shared;
pub(crate) mod small;
pub(crate) mod users;

use std::path::{Path, PathBuf};

use longshore_sinks::embedded::{EmbeddedOptions, EmbeddedServer};

/// The command under test.
pub(crate) fn longshore() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_longshore"))
}

/// Options of an embedded server on `data`. The server is the command under test, started again.
pub(crate) fn embedded_options(data: &Path) -> EmbeddedOptions {
    EmbeddedOptions { data: Some(data.to_owned()), ..EmbeddedOptions::new(longshore()) }
}

/// A running server on `data`; without ClickHouse's library the panic says how to get it.
pub(crate) fn start_embedded(data: &Path) -> EmbeddedServer {
    EmbeddedServer::start(embedded_options(data)).unwrap_or_else(|error| panic!("{error}"))
}
