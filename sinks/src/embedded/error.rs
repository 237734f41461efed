//! What can go wrong with the embedded server, in sentences for whoever has to mend it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::folder::LogTail;

/// Why the embedded server does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Only Linux ends a child with its parent.
    #[error(
        "the embedded ClickHouse runs on Linux only: start a ClickHouse server and give its address as clickhouse.url"
    )]
    Platform,

    /// Neither a library nor a binary.
    #[error(
        "there is no ClickHouse to start: its library is not at {} and there is no `clickhouse` on PATH; \
         `make clickhouse` fetches the library once",
        cached.display()
    )]
    NoEngine {
        /// Where the library would be.
        cached: PathBuf,
    },

    /// The library that was named is not there.
    #[error(
        "{named_by} names {} as ClickHouse's library, and there is no such file; mend it, or leave it out and run \
         `make clickhouse`, which fetches the library once",
        path.display()
    )]
    LibraryMissing {
        /// What named it: a variable or an option.
        named_by: &'static str,
        /// The path.
        path: PathBuf,
    },

    /// No folder was given and there is no default.
    #[error("neither {variable} nor HOME is set, so there is no default for {purpose}; set one, or name it")]
    NoHome {
        /// The variable that would be asked first.
        variable: &'static str,
        /// What needs the folder.
        purpose: &'static str,
    },

    /// A file or folder that the server needs.
    #[error("cannot {action} {}: {source}", path.display())]
    Folder {
        /// What was being done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// Another process has the data folder.
    #[error("the data folder {} is in use by process {holder}; stop that one, or name another folder", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
        /// The process that started the server on it.
        holder: String,
    },

    /// A folder with other files in it, which is not made private and filled.
    #[error(
        "{} holds files that are not an embedded ClickHouse's; name an empty or a new folder as its data folder",
        path.display()
    )]
    FolderForeign {
        /// The folder.
        path: PathBuf,
    },

    /// The file of passwords.
    #[error("{}: {problem}; remove the file to have new passwords made", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// An analyst without a password would be anybody.
    #[error("the analyst's password is empty; name one, or none to have a random one")]
    EmptyPassword,

    /// Nobody could let the server's start log in.
    #[error("cannot listen on 127.0.0.1 for the log-in of ClickHouse's own start: {0}")]
    Gate(io::Error),

    /// The system gave no random bytes.
    #[error("the system gives no random bytes for a password: {0}")]
    Random(String),

    /// A port that was asked for is taken.
    #[error("the {role} port 127.0.0.1:{port} is in use by another process; name another, or none to get a free one")]
    PortInUse {
        /// `HTTP` or `native`.
        role: &'static str,
        /// The port.
        port: u16,
    },

    /// A port that was asked for cannot be had.
    #[error("cannot listen on the {role} port 127.0.0.1:{port}: {source}; name another, or none to get a free one")]
    PortRefused {
        /// `HTTP` or `native`.
        role: &'static str,
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },

    /// One port for both protocols.
    #[error("the HTTP port and the native port are both {0}; they must differ")]
    PortsEqual(u16),

    /// The child did not come to life.
    #[error("cannot start {} as the ClickHouse server: {source}", launcher.display())]
    Spawn {
        /// The program.
        launcher: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// The server ended before it answered.
    #[error("the embedded ClickHouse did not start ({status}): {log}")]
    DiedAtStart {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        log: LogTail,
    },

    /// The server did not answer in time, and was stopped.
    #[error("the embedded ClickHouse did not answer within {} s: {log}", waited.as_secs())]
    NotReady {
        /// How long it had.
        waited: Duration,
        /// What it said.
        log: LogTail,
    },

    /// The server ended by itself while it was needed.
    #[error("the embedded ClickHouse ended by itself ({status}): {log}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        log: LogTail,
    },

    /// Standard output could not be written.
    #[error("cannot {action}: {source}")]
    Terminal {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}
