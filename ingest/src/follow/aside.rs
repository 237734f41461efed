//! Files that no pattern leads to any more and whose writers may go on: renamed out of the pattern, deleted, or what a link
//! led to before it was switched.
//!
//! Such a file is read on where it is: through its open handle, or by the path at which it was found, which the system tells
//! of an open file and a look through the folder of its last name of one that is not open. Once it has not grown for
//! [`FollowOptions::let_go`](super::FollowOptions::let_go), its writer has let go of it. If it grows again later, it is back.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use longshore_core::limits::WHEREABOUTS_FILES_MAX;

use super::Change;
use super::follower::Follower;
use super::identity::{Inode, SourceId, Stat};
use super::known::State;
use crate::input::Compression;

/// The files of folders that were looked through in this scan: names by the number of the inode.
#[derive(Debug, Default)]
pub(super) struct Folders(HashMap<PathBuf, HashMap<u64, OsString>>);

impl Folders {
    /// Where the file is in this folder.
    fn find(&mut self, folder: &Path, inode: Inode) -> Option<PathBuf> {
        let names = self.0.entry(folder.to_owned()).or_insert_with(|| {
            let entries = fs::read_dir(folder).into_iter().flatten().take(WHEREABOUTS_FILES_MAX).flatten();
            entries.map(|entry| (entry.ino(), entry.file_name())).collect()
        });
        let path = folder.join(names.get(&inode.number)?);
        is_at(&path, inode).then_some(path)
    }
}

/// Whether this name is that of the file itself.
fn is_at(path: &Path, inode: Inode) -> bool {
    Stat::of_name(path).is_ok_and(|stat| stat.inode == inode)
}

/// Where an open file is, if it has a name.
fn path_of(file: &File, inode: Inode) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    is_at(&path, inode).then_some(path)
}

impl Follower {
    /// No path leads to the file of a source any more.
    pub(super) fn leave(&mut self, id: SourceId) {
        let aside = self.find_aside(id);
        let source = self.sources.get(id).expect("a source that is known");
        let (told, left, path) = (source.told, source.left, source.path.clone());
        self.sources.change(id, |source| source.aside = aside.clone());
        if self.handle(id, None).is_err() {
            return self.lose(id);
        }
        let Some(before) = self.look_through(id) else { return };
        let source = self.sources.get(id).expect("a source that is known");
        let (size, position, compression) = (source.size, source.position, source.identity.compression);
        // What is compressed is written once. What an earlier run had read to its end, and then waited for, is not waited for
        // again.
        let waits = if compression == Compression::Plain { !left || source.unread() > 0 } else { false };
        let lost_bytes_min = 0;
        if !told && source.unread() > 0 {
            let path = aside.unwrap_or_else(|| path.clone());
            self.changes.push(Change::Found { id, path, compression, size, position });
        } else if size > before && told {
            self.changes.push(Change::Grew { id, size });
        }
        self.sources.change(id, |source| {
            source.state = if waits { State::Aside { since: Instant::now() } } else { State::Vanished };
            source.told = true;
        });
        let away = if waits { super::Away::Open } else { super::Away::Closed };
        self.changes.push(Change::Vanished { id, path, away, lost_bytes_min });
        self.close_if_read(id);
    }

    /// Nothing more can be read of a source.
    fn lose(&mut self, id: SourceId) {
        let source = self.sources.get(id).expect("a source that is known");
        let (told, left, path) = (source.told, source.left, source.path.clone());
        // An earlier run said it.
        let lost_bytes_min = if left { 0 } else { source.unread() };
        let away = if told || left { super::Away::Closed } else { super::Away::Unseen };
        self.sources.change(id, |source| {
            (source.state, source.told, source.handle, source.aside) = (State::Vanished, true, None, None);
        });
        self.changes.push(Change::Vanished { id, path, away, lost_bytes_min });
    }

    /// Looks whether a source to whose file no path leads grew, and whether its writer let go of it.
    pub(super) fn look_aside(&mut self, id: SourceId) {
        let source = self.sources.get(id).expect("a source that is known");
        let (was, inode) = (source.state, source.identity.inode);
        if source.handle.is_none() && !source.aside.as_ref().is_some_and(|path| is_at(path, inode)) {
            if source.aside.is_none() && was == State::Vanished {
                return;
            }
            // It was renamed again, or deleted.
            let aside = self.find_aside(id);
            self.sources.change(id, |source| source.aside = aside.clone());
            if aside.is_none() {
                return match was {
                    State::Vanished => {}
                    _ => self.lose(id),
                };
            }
        }
        let Some(before) = self.look_through(id) else { return };
        let source = self.sources.get(id).expect("a source that is known");
        let (size, position, compression) = (source.size, source.position, source.identity.compression);
        let path = source.aside.clone().unwrap_or_else(|| source.path.clone());
        match was {
            _ if size > before => {
                self.sources.change(id, |source| source.state = State::Aside { since: Instant::now() });
                self.changes.push(match was {
                    State::Vanished => Change::Back { id, path, compression, size, position },
                    _ => Change::Grew { id, size },
                });
            }
            State::Aside { since } if since.elapsed() >= self.let_go => {
                self.sources.change(id, |source| source.state = State::Vanished);
                self.changes.push(Change::LetGo { id });
            }
            _ => {}
        }
        self.close_if_read(id);
    }

    /// Looks at the file of a source where it is. Its size before; `None` if it cannot be looked at or is not as it was.
    fn look_through(&mut self, id: SourceId) -> Option<u64> {
        let source = self.sources.get(id)?;
        let (before, signature) = (source.size, source.signature);
        let stat = match (&source.handle, &source.aside) {
            (Some(handle), _) => Stat::of_file(&**handle),
            (None, Some(aside)) => Stat::of_name(aside),
            (None, None) => return None,
        };
        if signature.is_some() && signature == stat.ok().map(|stat| stat.signature) {
            return Some(before);
        }
        let file = self.handle(id, None).ok()?;
        self.look_and_compare(id, &file).then_some(before)
    }

    /// Where a file is that no pattern leads to, if it has a name.
    fn find_aside(&mut self, id: SourceId) -> Option<PathBuf> {
        let source = self.sources.get(id)?;
        let inode = source.identity.inode;
        if let Some(file) = &source.handle {
            return path_of(file, inode);
        }
        let path = source.aside.as_ref().unwrap_or(&source.path);
        let own = path.parent()?.to_owned();
        // What a link leads to is often beside what it led to before.
        let target = path.canonicalize().ok().and_then(|real| Some(real.parent()?.to_owned()));
        let mut folders = [Some(own), target].into_iter().flatten();
        folders.find_map(|folder| self.folders.find(&folder, inode))
    }

    /// A file without a name is closed once it was read and its writer let go of it: its space is free then.
    fn close_if_read(&mut self, id: SourceId) {
        let source = self.sources.get(id).expect("a source that is known");
        if source.state == State::Vanished && source.aside.is_none() && source.unread() == 0 {
            let nameless = |file: &Arc<File>| Stat::of_file(&**file).is_ok_and(|stat| stat.owner.links == 0);
            if source.handle.as_ref().is_some_and(nameless) {
                self.sources.change(id, |source| source.handle = None);
            }
        }
    }
}
