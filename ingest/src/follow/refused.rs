//! Paths that are not followed: why, and for how long.

use std::collections::HashMap;
use std::io;
use std::mem::Discriminant;
use std::path::{Path, PathBuf};

use crate::patterns::{Barred, LinkFault};

/// Why a path is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The pattern has no file.
    #[error("nothing is there yet; it is followed once there is, check the path if there should be")]
    Nothing,
    /// A folder.
    #[error("it is a folder: name the files in it, such as {0}/*.log")]
    Folder(PathBuf),
    /// A fifo, a socket or a device.
    #[error("it is a {0}, which cannot be followed: pipe it into `longshore load -`")]
    Special(&'static str),
    /// The system says no.
    #[error("{0}: let the user that Longshore runs as read the file and enter its folders; it is tried again")]
    Denied(io::Error),
    /// Too many files are followed, or open.
    #[error("{0}: it waits until others are gone; name fewer files, or have old ones deleted")]
    TooMany(String),
    /// It cannot be decompressed.
    #[error("it is compressed and damaged ({0}): nothing was read of it, replace it")]
    Damaged(io::Error),
    /// By the rules for links.
    #[error(transparent)]
    Link(#[from] LinkFault),
    /// Something else.
    #[error("{0}; it is tried again")]
    Other(io::Error),
}

impl Refusal {
    pub(super) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Refusal::Denied(error),
            io::ErrorKind::InvalidData => Refusal::Damaged(error),
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Refusal::TooMany(error.to_string()),
            _ => Refusal::Other(error),
        }
    }

    /// How the operator sees it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::Denied(_) | Refusal::Damaged(_) | Refusal::Other(_) => RefusalKind::Unreadable,
            Refusal::TooMany(_) => RefusalKind::OverLimit,
            Refusal::Link(_) => RefusalKind::Link,
            Refusal::Nothing | Refusal::Folder(_) | Refusal::Special(_) => RefusalKind::NoFile,
        }
    }
}

impl From<Barred> for Refusal {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Link(fault) => Refusal::Link(fault),
            Barred::System(error) => Refusal::of(error),
        }
    }
}

/// What kind of thing is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The system does not let it be read, or what is there cannot be.
    Unreadable,
    /// Too many files are followed.
    OverLimit,
    /// The rules for links.
    Link,
    /// It is no file.
    NoFile,
}

/// A path that is not followed at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub path: PathBuf,
    /// What kind of thing is in the way.
    pub kind: RefusalKind,
    /// Why, as a sentence.
    pub why: String,
}

/// All that is refused at the moment.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_path: HashMap<PathBuf, Told>,
    /// Number of the scan that runs, or ran last.
    scan: u64,
}

#[derive(Debug)]
struct Told {
    is: Discriminant<Refusal>,
    kind: RefusalKind,
    why: String,
    scan: u64,
}

impl Refusals {
    /// A scan begins. What it does not refuse again is over with its [`end`](Self::end).
    pub(super) fn begin(&mut self) {
        self.scan += 1;
    }

    pub(super) fn end(&mut self) {
        let scan = self.scan;
        self.by_path.retain(|_, told| told.scan == scan);
    }

    /// Notes a refusal. True if it was not told: the first of its kind.
    pub(super) fn note(&mut self, path: &Path, why: &Refusal) -> bool {
        let told = Told { is: std::mem::discriminant(why), kind: why.kind(), why: why.to_string(), scan: self.scan };
        let before = self.by_path.insert(path.to_owned(), told);
        before.is_none_or(|before| before.is != std::mem::discriminant(why))
    }

    /// The path is followed.
    pub(super) fn over(&mut self, path: &Path) {
        self.by_path.remove(path);
    }

    /// In no order.
    pub(super) fn all(&self) -> impl Iterator<Item = Refused> {
        self.by_path.iter().map(|(path, told)| Refused { path: path.clone(), kind: told.kind, why: told.why.clone() })
    }
}
