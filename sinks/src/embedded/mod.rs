//! The embedded ClickHouse: a real server with HTTP and native ports on loopback, as a child process of ours.
//!
//! The engine is a shared library, libchdb.so. A process can hold one of them, with its memory, signal handlers and
//! crashes; so none of it is loaded here: the program starts itself again with [`CHILD_ARG`] first, and that child
//! loads the library ([`child_main`]) and becomes the server. A `clickhouse` binary takes the same part, where there
//! is no library.
//!
//! What holds at any time:
//! - The server never outlives the process that started it, however that one dies: the kernel kills the child with
//!   the thread that started it (`PR_SET_PDEATHSIG`), and that thread lives until the child has ended.
//! - One server a data folder: whoever prepares the folder locks it, and the server inherits the lock itself, so
//!   it is free at the moment when the server is gone, not before.
//! - Everything listens on loopback only, and only with a password kept in a file of mode 0600 in a folder of mode
//!   0700; passwords are on no command line and in no `Debug` output.
//! - Nobody without a password runs anything: as `default`, which ClickHouse's own start needs without one, nobody but
//!   that start logs in ([`gate`]).
//! - No query reads a file outside `store/`, whoever sends it, where the kernel can refuse that ([`confine`]).
//!
//! Data survives `kill -9` of the server: what was acknowledged is in files by then.

mod analyst;
mod child;
mod config;
mod confine;
mod credentials;
mod engine;
mod error;
mod folder;
mod foreground;
mod gate;
mod ports;
mod probe;
mod process;
mod rights;
mod server;
mod users;
mod xml;

use std::path::PathBuf;
use std::time::Duration;

use longshore_core::limits::EMBEDDED_START_SECONDS_MAX;

pub use analyst::AnalystFiles;
pub use child::{CHILD_ARG, child_main, die_with};
pub use error::EmbeddedError;
pub use foreground::run_foreground;
pub use server::EmbeddedServer;

/// How to start an embedded server; [`EmbeddedOptions::new`] has the defaults.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Data folder, created if absent; default `$XDG_DATA_HOME/longshore/clickhouse`, else
    /// `~/.local/share/longshore/clickhouse`.
    pub data: Option<PathBuf>,
    /// HTTP port on 127.0.0.1; default a free one.
    pub http_port: Option<u16>,
    /// Native port on 127.0.0.1; default a free one.
    pub tcp_port: Option<u16>,
    /// Path of libchdb.so; default `$LONGSHORE_CLICKHOUSE_LIB`, then the cache, then a `clickhouse` on `PATH`.
    pub library: Option<PathBuf>,
    /// The program to start again as the server: one whose `main` calls [`child_main`] first.
    pub launcher: PathBuf,
    /// Memory limit of the server, bytes; default ClickHouse's own, nine tenths of the machine.
    pub memory_bytes_max: Option<u64>,
    /// Password of the read-only analyst, not empty; default a random one, kept with the engine's.
    pub analyst_password: Option<String>,
    /// Databases that the analyst reads, beside those that are in the data folder when the server starts: the config's.
    pub databases: Vec<String>,
    /// How long the server may take until it answers.
    pub start_timeout: Duration,
    /// The newest version of Landlock (its ABI) that is used. Tests lower it, and see what an older kernel leaves open.
    pub landlock_abi_max: u8,
}

impl EmbeddedOptions {
    /// The defaults. `launcher` is nearly always `std::env::current_exe()`.
    pub fn new(launcher: PathBuf) -> Self {
        EmbeddedOptions {
            data: None,
            http_port: None,
            tcp_port: None,
            library: None,
            launcher,
            memory_bytes_max: None,
            analyst_password: None,
            databases: Vec::new(),
            start_timeout: Duration::from_secs(EMBEDDED_START_SECONDS_MAX),
            landlock_abi_max: confine::LANDLOCK_ABI,
        }
    }
}

impl std::fmt::Debug for EmbeddedOptions {
    /// All but the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("data", &self.data)
            .field("http_port", &self.http_port)
            .field("tcp_port", &self.tcp_port)
            .field("library", &self.library)
            .field("launcher", &self.launcher)
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("databases", &self.databases)
            .field("start_timeout", &self.start_timeout)
            .field("landlock_abi_max", &self.landlock_abi_max)
            .finish_non_exhaustive()
    }
}
