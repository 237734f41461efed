//! Where the file of a source is that a journal knows, by looking at the disk: for people who read a journal.
//!
//! The source keeps the name under which it was found first, so that after a rotation several have the same. The file
//! itself is known by its inode, and is looked for under that name and beside it.

use std::fs;
use std::path::{Path, PathBuf};

use longshore_core::limits::WHEREABOUTS_FILES_MAX;

use crate::follow::{Identity, Inode};
use crate::journal::KnownSource;

/// What became of the file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// The source has ended: no file is followed for it any more.
    Ended,
    /// The file is there, perhaps under another name than the source's.
    At {
        /// Where.
        path: PathBuf,
        /// Bytes of it, as stored.
        size: u64,
    },
    /// No file of that folder is it.
    Gone,
    /// The journal does not say which file it is in a way that this version knows.
    Unknown,
}

/// Which file a source is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file, unless the source has ended or it is not known.
    pub inode: Option<Inode>,
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// Bytes of the file as stored that were read, if its content is compressed; else the journal's positions say it.
    pub stored: Option<u64>,
}

/// Looks for the file of a source.
pub fn find(source: &KnownSource) -> SourceFile {
    let unknown = SourceFile { inode: None, whereabouts: Whereabouts::Unknown, stored: None };
    let Some((identity, stored)) = source.identity.split_last_chunk::<8>() else { return unknown };
    let Ok(identity) = Identity::decode(identity) else { return unknown };
    let stored = (identity.compression != crate::input::Compression::Plain).then_some(u64::from_le_bytes(*stored));
    if identity.inode == Inode::NONE {
        return SourceFile { inode: None, whereabouts: Whereabouts::Ended, stored };
    }
    let path = Path::new(&*source.name);
    let whereabouts = at(path, identity.inode).or_else(|| beside(path, identity.inode)).unwrap_or(Whereabouts::Gone);
    SourceFile { inode: Some(identity.inode), whereabouts, stored }
}

/// Whether the file is at this path.
fn at(path: &Path, inode: Inode) -> Option<Whereabouts> {
    let (found, size) = Inode::of_path(path).ok()?;
    (found == inode).then(|| Whereabouts::At { path: path.to_owned(), size })
}

/// Looks through the folder of the path.
fn beside(path: &Path, inode: Inode) -> Option<Whereabouts> {
    let entries = fs::read_dir(path.parent()?).ok()?;
    entries.take(WHEREABOUTS_FILES_MAX).flatten().find_map(|entry| at(&entry.path(), inode))
}
