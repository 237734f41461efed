//! All that the journal asks of a disk, so that tests can put a faulty one in its place.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{DiskError, OpenError};
use super::names::{self, LOCK, Note};

/// A directory of files that are written once, from their beginning to their end.
pub trait Disk {
    /// A file that is written.
    type File: DiskFile;

    /// Where it is, for messages.
    fn dir(&self) -> &Path;

    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A file's bytes; an error if they are more than `bytes_max`.
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// A new file, or an old one made empty.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Writes over the beginning of a file, which is created where it is absent. May be lost, or torn, until somebody
    /// syncs.
    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in place of whatever had that name. Lasts once the directory is synced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Lasts once the directory is synced.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until all names are durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Random bits.
    fn random(&self) -> u128;
}

/// A file that is written.
pub trait DiskFile {
    /// Writes at the end, maybe not all of it; returns how many bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until all that was appended is durable, its length included.
    fn sync(&mut self) -> io::Result<()>;
}

/// Appends all of it.
pub(super) fn append_all(file: &mut impl DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory of the file system, without a lock: enough to look at a journal.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Names it; nothing is opened.
    pub fn new(path: &Path) -> Directory {
        Directory { path: path.to_owned() }
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // Names that are not UTF-8 are none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(bytes_max)).unwrap_or(0));
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            let detail = format!("it has more than {bytes_max} bytes, so no engine wrote it");
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        Ok(bytes)
    }
}

/// A directory of the file system that this process holds: its lock lasts as long as this.
///
/// The configs in it may hold passwords and salts. So its files are their owner's alone, whatever the umask, and so is the
/// directory. What an earlier version left readable is made so when it is locked.
#[derive(Debug)]
pub struct LockedDirectory {
    directory: Directory,
    lock: File,
    /// For syncing.
    handle: File,
}

impl LockedDirectory {
    /// Creates the directory where it is absent, locks it, and takes from others what they may do in it.
    pub fn lock(path: &Path) -> Result<LockedDirectory, OpenError> {
        let error = |action| move |source| OpenError::Disk(DiskError { action, path: path.to_owned(), source });
        let absolute = std::path::absolute(path).map_err(error("find the directory"))?;
        let made: Vec<&Path> = absolute.ancestors().take_while(|folder| !folder.exists()).collect();
        if !made.is_empty() {
            DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(path)
                .map_err(error("create the directory"))?;
        }
        // Each folder that was made has its name in the one around it, and is lost with it.
        for around in made.into_iter().filter_map(Path::parent) {
            File::open(around).and_then(|around| around.sync_all()).map_err(error("sync the folders around"))?;
        }
        let handle = File::open(path).map_err(error("open the directory"))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let lock = options.open(path.join(LOCK)).map_err(error("open the lock file of"))?;
        match lock.try_lock() {
            Ok(()) => {
                let locked = LockedDirectory { directory: Directory::new(path), lock, handle };
                locked.protect()?;
                Ok(locked)
            }
            Err(TryLockError::WouldBlock) => {
                let note = Directory::new(path).read(LOCK, 1 << 10).ok();
                let pid = note.and_then(|bytes| Note::parse(&bytes)).map(|note| note.pid);
                Err(OpenError::Held { dir: path.to_owned(), pid })
            }
            Err(TryLockError::Error(source)) => Err(error("lock")(source)),
        }
    }

    /// Takes the rights of others from the journal's files, and from the directory if nothing else is in it.
    fn protect(&self) -> Result<(), OpenError> {
        let dir = &self.directory.path;
        let failed = |path: PathBuf| {
            move |source| OpenError::Disk(DiskError { action: "take the rights of others from", path, source })
        };
        let listed = self.directory.list().map_err(failed(dir.clone()))?;
        for name in listed.iter().filter(|name| names::is_ours(name)) {
            let path = dir.join(name);
            // Nobody writes a link here but somebody who means another file.
            let now = fs::symlink_metadata(&path).map_err(failed(path.clone()))?;
            if now.is_file() {
                protect(&path, &now, FILE_MODE).map_err(failed(path.clone()))?;
            }
        }
        if listed.iter().all(|name| names::is_ours(name)) {
            let now = fs::metadata(dir).map_err(failed(dir.clone()))?;
            match protect(dir, &now, DIRECTORY_MODE) {
                // A volume's own folder belongs to whoever mounted it, and its files are enough.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                protected => protected.map_err(failed(dir.clone()))?,
            }
        }
        Ok(())
    }
}

/// What the owner may do, and nobody else.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Sets a mode if others have any right.
fn protect(path: &Path, now: &Metadata, mode: u32) -> io::Result<()> {
    match now.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

impl Disk for LockedDirectory {
    type File = File;

    fn dir(&self) -> &Path {
        &self.directory.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.directory.read(name, bytes_max)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let file = options.open(self.directory.path.join(name))?;
        // One that a crash has left may be another's, and a umask may have taken from the owner, too.
        if file.metadata()?.permissions().mode() & 0o777 != FILE_MODE {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        }
        Ok(file)
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // The lock goes with the open file: opening it once more and closing that would not lose it, but one is enough.
        assert_eq!(name, LOCK, "nothing else is written over");
        self.lock.write_all_at(bytes, 0)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.path.join(from), self.directory.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn random(&self) -> u128 {
        // The standard library keys its hash maps from the system's random numbers.
        let hasher = RandomState::new();
        u128::from(hasher.hash_one(0)) | u128::from(hasher.hash_one(1)) << 64
    }
}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
