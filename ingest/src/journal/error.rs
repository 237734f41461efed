//! What can go wrong with a journal, and what to do then.

use std::io;
use std::path::PathBuf;

use longshore_core::limits::{
    JOURNAL_CONFIG_BYTES_MAX, JOURNAL_IDENTITY_BYTES_MAX, JOURNAL_NAME_BYTES_MAX, JOURNAL_SLICES_MAX,
    JOURNAL_SOURCES_MAX,
};
use longshore_core::slice::SliceId;
use longshore_core::words::plural;

use super::format::{ConfigHash, FORMAT_VERSION, Machine, SourceNumber};

/// The disk refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the journal's {}: {source}; {}", path.display(), advice(source))]
pub struct DiskError {
    /// What was tried, a verb.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// What to do about an error of the system.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk, nothing is lost",
        io::ErrorKind::PermissionDenied => "give the engine's user the right to read and write there",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only: look at the kernel's log for disk errors",
        io::ErrorKind::NotADirectory => "name a directory for the journal",
        _ => "look at the kernel's log for disk errors",
    }
}

/// Why a journal cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another engine holds it.
    #[error(
        "the journal {} is held by another engine ({}); end that one first, or give this one a journal of its own",
        dir.display(),
        pid.map_or("its pid is not known".to_owned(), |pid| format!("pid {pid}"))
    )]
    Held {
        /// The journal.
        dir: PathBuf,
        /// The other engine, where the lock file says it.
        pid: Option<u32>,
    },
    /// What was synced is not there any more.
    #[error(
        "the journal is damaged: {} at offset {offset}: expected {expected}; it is left as it is: \
         `longshore doctor {}` says what can be read and what to do",
        file.display(),
        file.parent().unwrap_or(file).display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// First bad byte.
        offset: u64,
        /// What should be there.
        expected: String,
    },
    /// A segment is gone, or an older one was put in its place.
    #[error(
        "the journal {} lacks its segment {number} (the newest there is {}); put the file back if somebody moved it, \
         `longshore doctor {}` says what can be read",
        dir.display(),
        newest.map_or("none".to_owned(), |number| number.to_string()),
        dir.display()
    )]
    Missing {
        /// The journal.
        dir: PathBuf,
        /// The segment that must be there, or a later one.
        number: u64,
        /// What is there.
        newest: Option<u64>,
    },
    /// A config that slices in doubt were cut under is gone.
    #[error(
        "the journal lacks {}, the config of {} in doubt, which can only be sent again as it says; put the \
         file back (it is the config's text as the engine was given it then)",
        file.display(),
        plural(*slices, "slice")
    )]
    MissingConfig {
        /// Which file.
        file: PathBuf,
        /// Slices that need it.
        slices: usize,
    },
    /// Another version of the engine wrote it.
    #[error(
        "{} is of journal format {found}, this engine has {FORMAT_VERSION}; run the version that wrote it until nothing \
         is in doubt, or go back to it",
        file.display()
    )]
    Version {
        /// Which file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It belongs to another machine.
    #[error(
        "the journal {} belongs to machine {found}, this is {this}; two machines must never run one journal: run the \
         engine there, or, once no engine can run there any more, take that machine's name: `machine` under [run], the \
         same as in its config, or what stands in its /etc/machine-id",
        dir.display()
    )]
    OtherMachine {
        /// The journal.
        dir: PathBuf,
        /// Whose it is.
        found: Machine,
        /// This machine.
        this: Machine,
    },
}

/// Why something could not be written into a journal.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused. The journal takes nothing more until it is opened again.
    #[error("{0}; nothing more is journaled, so nothing more is sent, until the journal is opened again")]
    Disk(#[from] DiskError),
    /// The disk refused before.
    #[error("the journal takes nothing more until it is opened again, because of an earlier failure: {cause}")]
    Poisoned {
        /// The failure.
        cause: String,
    },
    /// What was asked for is not possible. Nothing was written, and the journal goes on.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What a journal does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much is in doubt: wait until some of it is done.
    #[error("{JOURNAL_SLICES_MAX} slices are in doubt, or done behind one that is: wait until the oldest are stored")]
    Full,
    /// Too many sources.
    #[error("the journal knows {JOURNAL_SOURCES_MAX} sources, and forgets none that is in use")]
    TooManySources,
    /// Identity, name or config is too long.
    #[error(
        "{what} has {bytes} bytes; the journal takes {JOURNAL_IDENTITY_BYTES_MAX} of an identity, \
         {JOURNAL_NAME_BYTES_MAX} of a name, {JOURNAL_CONFIG_BYTES_MAX} of a config"
    )]
    TooLong {
        /// What it is.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// There is a source of this identity already.
    #[error("source {0} has this identity already")]
    KnownAlready(SourceNumber),
    /// No such source.
    #[error("the journal knows no source {0}")]
    UnknownSource(SourceNumber),
    /// Slices of the source are in doubt: forgotten, they might be cut anew beside themselves.
    #[error("source {0} has slices in doubt")]
    InDoubt(SourceNumber),
    /// The config was not kept first.
    #[error("the journal has no config {0}: it must be kept before a slice is cut under it")]
    UnknownConfig(ConfigHash),
    /// The slice does not begin where the one before it ended, so bytes would be lost or doubled; or it is empty.
    #[error("slice {slice} is {start}..{end} of source {source_number}, whose last slice ends at {expected}")]
    NotNext {
        /// The slice.
        slice: SliceId,
        /// Its source.
        source_number: SourceNumber,
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// The slice was not cut, or is done already.
    #[error("slice {slice} at {start} of source {source_number} is not in doubt")]
    NotInDoubt {
        /// The slice.
        slice: SliceId,
        /// Its source.
        source_number: SourceNumber,
        /// Where it begins.
        start: u64,
    },
}
