//! The data folder: private, locked by one server, with everything that server needs beside its data.
//!
//! ```text
//! lock              locked while a server runs; holds the pid of the process that started it
//! credentials.toml  the passwords, mode 0600
//! analyst.*         the analyst's way in, mode 0600, while a server runs that analysts may use
//! config/           config.xml and users.xml, written at each start and removed once they are read
//! log/              clickhouse.log (ClickHouse rotates it) and stderr.log (one kept from the start before)
//! store/            ClickHouse's own, and all of this that queries can reach
//! ```

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use longshore_core::limits::{EMBEDDED_LOG_TAIL_BYTES, EMBEDDED_LOG_TAIL_LINES};

use super::config::is_plain_text;
use super::error::EmbeddedError;

/// How long a folder may stay locked by a server that is just ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A data folder, locked. The lock is free when this and every clone of [`DataFolder::lock`] are closed.
pub(super) struct DataFolder {
    path: PathBuf,
    lock: File,
}

impl DataFolder {
    /// Creates the folder if it is absent, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        create_private(path)?;
        let path = path.canonicalize().map_err(|source| failed("find", path, source))?;
        if !is_plain_text(&path) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "its path is not plain UTF-8 text");
            return Err(failed("use", &path, source));
        }
        if !path.join("lock").exists() && is_filled(&path)? {
            return Err(EmbeddedError::FolderForeign { path });
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(|source| failed("protect", &path, source))?;
        let lock = lock(&path)?;
        let folder = DataFolder { path, lock };
        for name in ["config", "log", "store"] {
            create_private(&folder.path.join(name))?;
        }
        Ok(folder)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The lock, for a child to inherit.
    pub(super) fn lock(&self) -> Result<File, EmbeddedError> {
        self.lock.try_clone().map_err(|source| failed("duplicate the lock of", &self.path, source))
    }

    /// The file of passwords.
    pub(super) fn credentials_file(&self) -> PathBuf {
        self.path.join("credentials.toml")
    }

    /// ClickHouse's configuration, as text: see [`DataFolder::open`].
    pub(super) fn config_file(&self) -> String {
        self.text("config/config.xml")
    }

    /// ClickHouse's users file.
    pub(super) fn users_file(&self) -> String {
        self.text("config/users.xml")
    }

    /// ClickHouse's data.
    pub(super) fn store(&self) -> String {
        self.text("store")
    }

    /// ClickHouse's log.
    pub(super) fn server_log(&self) -> String {
        self.text("log/clickhouse.log")
    }

    fn text(&self, name: &str) -> String {
        format!("{}/{name}", self.path.display())
    }

    /// A new file for what the server writes to standard error; the one before is kept.
    pub(super) fn new_stderr_log(&self) -> Result<File, EmbeddedError> {
        let path = self.path.join("log/stderr.log");
        if path.exists() {
            let before = self.path.join("log/stderr.log.1");
            fs::rename(&path, &before).map_err(|source| failed("rotate", &path, source))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        options.open(&path).map_err(|source| failed("create", &path, source))
    }

    /// The end of what the server said: standard error, or its log where that is empty.
    pub(super) fn log_tail(&self) -> LogTail {
        let stderr = self.path.join("log/stderr.log");
        let tail = read_tail(&stderr);
        if !tail.is_empty() {
            return LogTail { path: stderr, tail };
        }
        let log = self.path.join("log/clickhouse.log");
        let tail = read_tail(&log);
        LogTail { path: log, tail }
    }
}

/// The end of a server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// The log.
    pub path: PathBuf,
    /// Its last lines; may be empty.
    pub tail: String,
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tail.is_empty() {
            return write!(f, "it said nothing in {}", self.path.display());
        }
        write!(f, "{}\n(from {})", self.tail, self.path.display())
    }
}

/// Writes a file of mode 0600 so that it is there whole or not at all, and never readable by others.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        // A partial file of a start that was killed may be there; the folder is ours alone.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| failed("write", path, source))
}

/// Locks the folder, or says which process has it.
fn lock(folder: &Path) -> Result<File, EmbeddedError> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(|source| failed("open", &path, source))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|pid| !pid.is_empty()).unwrap_or("(unknown)").to_owned();
                return Err(EmbeddedError::FolderInUse { path: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
        }
    }
    let mut name_holder = || -> io::Result<()> {
        file.set_len(0)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    };
    name_holder().map_err(|source| failed("write", &path, source))?;
    Ok(file)
}

fn create_private(path: &Path) -> Result<(), EmbeddedError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| failed("create the folder", path, source))
}

fn is_filled(path: &Path) -> Result<bool, EmbeddedError> {
    let mut entries = fs::read_dir(path).map_err(|source| failed("read the folder", path, source))?;
    Ok(entries.next().is_some())
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> EmbeddedError {
    EmbeddedError::Folder { action, path: path.to_owned(), source }
}

/// What says nothing of why a server ended: where its log is, and what ends it where it would go on asking.
const USUAL: [&str; 2] = ["Logging warning to ", "Code: 76. DB::Exception: Neither $CLICKHOUSE_HISTORY_FILE"];

/// The last lines of a file, without what ClickHouse always says; empty if it cannot be read.
fn read_tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(bytes.saturating_sub(EMBEDDED_LOG_TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(EMBEDDED_LOG_TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let tail = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let is_usual = |line: &str| line.trim().is_empty() || USUAL.iter().any(|usual| line.starts_with(usual));
    let lines: Vec<&str> = text.lines().filter(|line| !is_usual(line)).collect();
    lines[lines.len().saturating_sub(EMBEDDED_LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests;
