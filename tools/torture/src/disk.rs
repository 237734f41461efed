//! The journal's faulty disk, with an engine above it that may die in any call.

use std::io;
use std::path::Path;

use longshore_ingest::journal::testing::{FaultyDisk, FaultyFile};
use longshore_ingest::journal::{Disk, DiskFile};

use crate::env::{Call, Env, Life};

/// A faulty disk that its engine may die at.
#[derive(Debug, Clone)]
pub struct LivingDisk {
    /// The disk.
    pub disk: FaultyDisk,
    /// The engine's life.
    pub life: Life,
    /// For how an operation ends that the engine dies in.
    pub env: Env,
}

/// A file on it.
#[derive(Debug)]
pub struct LivingFile {
    file: FaultyFile,
    life: Life,
    env: Env,
}

/// Makes a call in a life: the last one may be made or not, and fails.
fn living<T>(life: &Life, env: &Env, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match life.call() {
        Call::Made => call(),
        Call::Last => {
            env.note(format_args!("the engine dies at its disk"));
            if env.once_in(2) {
                let _ = call();
            }
            Err(io::Error::other("the engine died"))
        }
        Call::Never => Err(io::Error::other("the engine is dead")),
    }
}

impl Disk for LivingDisk {
    type File = LivingFile;

    fn dir(&self) -> &Path {
        self.disk.dir()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        living(&self.life, &self.env, || self.disk.list())
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        living(&self.life, &self.env, || self.disk.read(name, bytes_max))
    }

    fn create(&self, name: &str) -> io::Result<LivingFile> {
        let file = living(&self.life, &self.env, || self.disk.create(name))?;
        Ok(LivingFile { file, life: self.life.clone(), env: self.env.clone() })
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.overwrite(name, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.sync_dir())
    }

    fn random(&self) -> u128 {
        self.disk.random()
    }
}

impl DiskFile for LivingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let LivingFile { file, life, env } = self;
        living(life, env, || file.append(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        let LivingFile { file, life, env } = self;
        living(life, env, || file.sync())
    }
}
