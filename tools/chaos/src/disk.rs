//! A small disk for the journal, which can be filled to its last byte.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Room for some segments of a journal.
const SIZE: &str = "size=8m,mode=0700";

/// A mounted file system of a fixed size; unmounted when dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one. `None` where that is not permitted.
    pub(crate) fn mount(path: &Path) -> io::Result<Option<SmallDisk>> {
        fs::create_dir_all(path)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(path).stderr(Stdio::null());
        let mounted = command.status().is_ok_and(|status| status.success());
        Ok(mounted.then(|| SmallDisk { path: path.to_owned() }))
    }

    /// Fills it.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.ballast())?;
        // Whole pages, as the file system gives them; the error is the aim.
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn clear(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a journal that is looked at holds it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            tracing::error!("{} stays mounted: run `umount {0}`", self.path.display());
        }
    }
}
