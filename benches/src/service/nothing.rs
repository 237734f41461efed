//! A disk that keeps nothing: a journal on it costs what its records cost to encode, and no write and no sync.

use std::io;
use std::path::Path;

use longshore_ingest::journal::{Disk, DiskFile};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct NoDisk;

/// A file of it.
#[derive(Debug)]
pub(super) struct NoFile;

impl Disk for NoDisk {
    type File = NoFile;

    fn dir(&self) -> &Path {
        Path::new("/nowhere")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn read(&self, _name: &str, _bytes_max: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn create(&self, _name: &str) -> io::Result<NoFile> {
        Ok(NoFile)
    }

    fn overwrite(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> u128 {
        // Nobody opens it again, so that nothing has to be told apart.
        1
    }
}

impl DiskFile for NoFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
