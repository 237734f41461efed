//! Links: where they lead, who may have made them, and how a file is opened so that none is followed unseen.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// Links on the way to one file, as many as the system follows itself (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// Bits of a mode by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
/// The bit of a mode by which everybody may read.
const ALL_READ: u32 = 0o004;

/// Why what a wildcard found is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Nobody said that files there are wanted.
    #[error(
        "it leads by a link to {}, which is in none of the folders that `paths` name; if it is wanted, name its folder in \
         `follow_links_into` of the [[source]]",
        .0.display()
    )]
    Outside(PathBuf),
    /// Whoever made the link may not be somebody who may read the file.
    #[error(
        "it leads by a link to {}, which is user {owner}'s, and user {maker} made the link; if it is wanted, name its \
         folder in `follow_links_into` of the [[source]]",
        target.display()
    )]
    Foreign {
        /// Where it leads.
        target: PathBuf,
        /// Whose that is.
        owner: u32,
        /// Whose the link is.
        maker: u32,
    },
    /// Another name of a file that its maker may not read.
    #[error(
        "it is a hard link to a file of user {owner} that not everybody may read, in a folder where others may write; if it \
         is wanted, name the folder in `follow_links_into` of the [[source]]"
    )]
    Hard {
        /// Whose the file is.
        owner: u32,
    },
}

/// What the rules ask of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose it is.
    pub user: u32,
    /// Its permissions.
    pub mode: u32,
    /// Its names.
    pub links: u64,
}

impl Owner {
    /// Of a file.
    pub fn of(meta: &Metadata) -> Self {
        Owner { user: meta.uid(), mode: meta.mode(), links: meta.nlink() }
    }

    /// Whether a name of it, in this folder, is one that anybody may have made who may not read it. The system lets others
    /// make hard links where `fs.protected_hardlinks` is off.
    pub(super) fn is_foreign_in(self, folder: &Path) -> bool {
        if self.links < 2 || self.mode & ALL_READ != 0 {
            return false;
        }
        let Ok(folder) = fs::symlink_metadata(folder) else { return true };
        let trusted = [0, rustix::process::geteuid().as_raw()].contains(&folder.uid());
        folder.uid() != self.user && (folder.mode() & OTHERS_WRITE != 0 || !trusted)
    }
}

/// Who made a link: whoever owns it, or the owner of the folder that it is in if nobody else may write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Maker {
    pub(super) link: u32,
    folder: Option<u32>,
}

impl Maker {
    fn of(link: &Metadata, folder: &Path) -> Self {
        let folder = fs::symlink_metadata(folder).ok().filter(|folder| folder.mode() & OTHERS_WRITE == 0);
        Maker { link: link.uid(), folder: folder.map(|folder| folder.uid()) }
    }

    /// Whether files of this user are the maker's own.
    pub(super) fn owns(self, user: u32) -> bool {
        self.link == user || self.folder == Some(user)
    }
}

/// Where a link leads: a path without links, with the makers of all that were followed. `link` is without links but for itself.
pub(super) fn resolve(link: &Path, makers: &mut Vec<Maker>) -> io::Result<PathBuf> {
    let mut real = link.parent().unwrap_or(Path::new("/")).to_owned();
    let mut todo: Vec<OsString> = link.file_name().map(OsString::from).into_iter().collect();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let at = real.join(&part);
        let meta = fs::symlink_metadata(&at)?;
        if !meta.is_symlink() {
            real = at;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()));
        }
        makers.push(Maker::of(&meta, &real));
        let target = fs::read_link(&at)?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        todo.extend(target.components().rev().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        }));
    }
    Ok(real)
}

/// Opens a file by a path that has no links, without waiting. One that was put there since is not followed: an error that
/// [`is_elsewhere`].
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    let folder = folder | OFlags::PATH;
    let file = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, "/", folder, Mode::empty())?;
    let mut names = path.components().filter(|part| *part != Component::RootDir).peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { folder } else { file };
        at = openat(&at, name.as_os_str(), flags, Mode::empty())?;
    }
    Ok(File::from(at))
}

/// What a path leads to is not there any more, or is not what it was.
pub(crate) fn is_elsewhere(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error())
}
