//! Bytes that end where readable memory ends, or begin where it begins: a kernel that reads past either end of what it
//! was given dies there, at every level, with every compiler, and without a tool that knows its instructions.
//!
//! A test that dies of SIGSEGV here has found such a kernel; `--nocapture --test-threads=1` says which one it was.

use std::ptr::{self, NonNull};

/// Where bytes stand in their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The first byte is the first one that can be read.
    First,
    /// The last byte is the last one that can be read.
    Last,
}

/// Pages with one before and one behind them that cannot be touched.
pub(crate) struct Pages {
    /// The first page, which cannot be touched.
    mapping: NonNull<u8>,
    page: usize,
    /// Bytes between the two pages.
    room: usize,
}

// SAFETY: the memory is the value's own, as a vector's is: whoever has the value may read and write from any thread.
unsafe impl Send for Pages {}
// SAFETY: without a mutable borrow nothing is written.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages for so many bytes.
    pub(crate) fn for_bytes(bytes: usize) -> Pages {
        // SAFETY: a question without arguments in memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).expect("a page has a size");
        let room = bytes.max(1).next_multiple_of(page);
        // SAFETY: an anonymous mapping at no given address touches no memory that is in use.
        let mapping = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(ptr::null_mut(), room + 2 * page, libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(mapping, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        let mapping = NonNull::new(mapping.cast::<u8>()).expect("an address");
        // SAFETY: all pages of the mapping but its first and its last one; nothing else knows of it.
        let done =
            unsafe { libc::mprotect(mapping.as_ptr().add(page).cast(), room, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(done, 0, "mprotect: {}", std::io::Error::last_os_error());
        Pages { mapping, page, room }
    }

    /// So many bytes at that end, as they are: zeros, or what was written there before.
    ///
    /// # Panics
    /// If there is not as much room.
    pub(crate) fn at(&mut self, end: End, bytes: usize) -> &mut [u8] {
        assert!(bytes <= self.room, "{bytes} bytes in {}", self.room);
        let start = match end {
            End::First => self.page,
            End::Last => self.page + self.room - bytes,
        };
        // SAFETY: within the pages that can be read and written and that the kernel filled with zeros; they are this
        // value's own and live as long as it does, and the borrow is mutable.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.as_ptr().add(start), bytes) }
    }

    /// A copy of these bytes at that end.
    ///
    /// # Panics
    /// If there is not as much room.
    pub(crate) fn put(&mut self, end: End, bytes: &[u8]) -> &[u8] {
        let place = self.at(end, bytes.len());
        place.copy_from_slice(bytes);
        place
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `for_bytes` made, whole; what was borrowed of it has ended.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.room + 2 * self.page) };
    }
}

/// What `read` finds in the bytes, which must be the same wherever they stand: as they are given, and at either end of
/// what can be read.
pub(crate) fn everywhere<T: PartialEq + std::fmt::Debug>(bytes: &[u8], read: impl Fn(&[u8]) -> T) -> T {
    let found = read(bytes);
    let mut pages = Pages::for_bytes(bytes.len());
    for end in [End::First, End::Last] {
        assert_eq!(read(pages.put(end, bytes)), found, "{end:?}");
    }
    found
}

/// The guard itself: a child that reads one byte too many must die of it, and one that does not must live.
#[test]
fn a_byte_beyond_either_end_cannot_be_read() {
    for (end, beyond, is_there) in
        [(End::First, -1, false), (End::First, 0, true), (End::Last, 0, false), (End::Last, -1, true)]
    {
        let mut pages = Pages::for_bytes(100);
        let bytes = pages.at(end, 100);
        let from = if end == End::First { bytes.as_ptr() } else { bytes.as_ptr_range().end };
        // SAFETY: the child only reads one byte, which is there or kills it, and ends: nothing that another thread of the
        // parent may have been holding, such as the allocator's lock, is asked for.
        let status = unsafe {
            let child = libc::fork();
            assert_ne!(child, -1, "fork: {}", std::io::Error::last_os_error());
            if child == 0 {
                from.wrapping_offset(beyond).read_volatile();
                libc::_exit(0);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            status
        };
        assert_eq!(libc::WIFEXITED(status), is_there, "{end:?} {beyond}");
    }
}
