//! Whether a file is worth reading past the page cache (`O_DIRECT`).
//!
//! A file that is not in the page cache is read once and not again: putting it there costs more than reading it, and
//! drives out what others have there. One that is there, as logs that were just written are, is read from there.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use longshore_core::limits::READ_DIRECT_BYTES_MIN;
use rustix::fs::{Mode, OFlags};

/// A second handle of the same file that reads past the page cache, if hardly anything of the file is in it.
///
/// `None` as well where the system does not tell (Linux before 6.5, a file of somebody else), or cannot do it.
pub(super) fn past_the_cache(file: &File) -> Option<OwnedFd> {
    let size = file.metadata().ok()?.len();
    if size < READ_DIRECT_BYTES_MIN || cached_bytes(file, 0).ok()? > size / 8 {
        return None;
    }
    // Through the open handle and not by its path: that may name another file by now.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT, Mode::empty()).ok()
}

/// How much of a file's first `bytes` is in the page cache, in whole pages (cachestat(2)); zero asks for the whole file.
pub(super) fn cached_bytes(file: &File, bytes: u64) -> io::Result<u64> {
    /// The same number on every architecture.
    const CACHESTAT: libc::c_long = 451;
    // Offset and length; a length of zero is the whole file.
    let range = [0_u64, bytes];
    // Pages in the cache, dirty, being written back, evicted, recently evicted.
    let mut pages = [0_u64; 5];
    // SAFETY: the kernel reads `struct cachestat_range`, two `__u64`, and writes `struct cachestat`, five of them; both
    // are alive during the call.
    let outcome = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), pages.as_mut_ptr(), 0_u32) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: asks for a number.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages[0] * u64::try_from(page_bytes).map_err(io::Error::other)?)
}
