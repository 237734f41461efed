//! Events of folders, by inotify: hints of where to look. What they miss, a scan finds.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::limits::FOLLOW_WATCHES_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// The file was written to.
    Written(PathBuf),
    /// A name in a folder came, went or changed.
    Named(PathBuf),
    /// Events were lost, or a folder itself changed: anything may have happened.
    Anything,
}

/// Watches of folders.
pub(super) struct Watch {
    events: OwnedFd,
    /// By the watch's number.
    folders: HashMap<i32, PathBuf>,
    numbers: HashMap<PathBuf, i32>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watch { events, folders: HashMap::new(), numbers: HashMap::new() })
    }

    /// Watches exactly these folders. Says why not all of them can be, if so; a folder that is not there is no reason.
    pub(super) fn set(&mut self, wanted: impl Iterator<Item = PathBuf>) -> Option<String> {
        let mut gone = std::mem::take(&mut self.numbers);
        let mut why = None;
        for folder in wanted {
            if self.numbers.contains_key(&folder) {
                continue;
            }
            // Added anew each time: it costs little, and the path may lead to another folder by now.
            if let Err(reason) = self.add(&folder) {
                why = why.or(reason);
            }
            if let (Some(old), Some(new)) = (gone.remove(&folder), self.numbers.get(&folder))
                && old != *new
            {
                gone.insert(folder, old);
            }
        }
        for number in gone.into_values() {
            if !self.numbers.values().any(|kept| *kept == number) {
                self.folders.remove(&number);
                // It fails for a folder that was deleted, whose watch went with it.
                let _ = inotify::remove_watch(&self.events, number);
            }
        }
        why
    }

    fn add(&mut self, folder: &Path) -> Result<(), Option<String>> {
        if self.numbers.len() >= FOLLOW_WATCHES_MAX {
            return Err(Some(format!("there are more than {FOLLOW_WATCHES_MAX} folders to watch")));
        }
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let number = match inotify::add_watch(&self.events, folder, flags) {
            Ok(number) => number,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(None),
            Err(Errno::NOSPC) => {
                return Err(Some("no more folders may be watched: raise fs.inotify.max_user_watches".to_owned()));
            }
            Err(error) => return Err(Some(format!("{} cannot be watched: {error}", folder.display()))),
        };
        self.folders.insert(number, folder.to_owned());
        self.numbers.insert(folder.to_owned(), number);
        match statfs(folder) {
            Ok(of) if is_remote(of.f_type as u64) => {
                Err(Some(format!("{} is on a network file system, which tells of no changes", folder.display())))
            }
            _ => Ok(()),
        }
    }

    /// What happened since the last call. Does not wait.
    pub(super) fn hints(&mut self) -> Vec<Hint> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut events = inotify::Reader::new(&self.events, &mut buffer);
        let mut hints = Vec::new();
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                // Nothing is left, or what is left cannot be read; the scan does not need it.
                Err(_) => return hints,
            };
            let whole = ReadFlags::QUEUE_OVERFLOW | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
            hints.push(match (self.folders.get(&event.wd()), event.file_name()) {
                (Some(folder), Some(name)) if !event.events().intersects(whole) => {
                    let path = folder.join(OsStr::from_bytes(name.to_bytes()));
                    if event.events().contains(ReadFlags::MODIFY) { Hint::Written(path) } else { Hint::Named(path) }
                }
                // The end of a watch that was given up, or a change of the folder's own times or permissions.
                _ if event.events().contains(ReadFlags::IGNORED) => continue,
                _ => Hint::Anything,
            });
        }
    }

    /// Waits until there are events, for so long at most.
    pub(super) fn block(&self, for_: Duration) {
        let time = Timespec { tv_sec: for_.as_secs() as i64, tv_nsec: for_.subsec_nanos().into() };
        // An interruption is an end of the wait like any other: the caller looks at the time.
        let _ = poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&time));
    }
}

/// File systems whose files others change: `statfs` says their numbers (linux/magic.h and the file systems' own).
fn is_remote(magic: u64) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const SMB2: u64 = 0xfe53_4d42;
    const CIFS: u64 = 0xff53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const V9FS: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const LUSTRE: u64 = 0x0bd0_0bd0;
    const AFS: u64 = 0x5346_414f;
    const GPFS: u64 = 0x4750_4653;
    matches!(magic & 0xffff_ffff, NFS | SMB | SMB2 | CIFS | FUSE | V9FS | CEPH | LUSTRE | AFS | GPFS)
}
