//! Reads ahead by io_uring, into memory that the kernel was told of once.
//!
//! With [`direct`](super::direct) the only `unsafe` code of this crate. What has to hold: the kernel writes into a slot from the moment its
//! read is queued until its completion was seen. Meanwhile nobody may look at the slot, and its memory must not be freed.
//! So the memory belongs to the [`Ring`], each slot knows whether it is [`Slot::Reading`], and
//! - [`bytes`](Blocks::bytes) shows only slots that are not;
//! - a [`RingFile`] that is dropped, be it after an error or in a panic, waits for its reads;
//! - a [`Ring`] that is dropped waits for what is left, which there is only if a `RingFile` was forgotten or the kernel
//!   failed; if waiting fails as well, the memory is leaked rather than freed.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;

use io_uring::{IoUring, Probe, opcode, types};
use longshore_core::limits::{READ_BLOCK_BYTES, READ_BLOCKS_AHEAD};
use rustix::fs::MemfdFlags;

use super::ahead::Blocks;
use super::direct::past_the_cache;

const _: () = assert!(READ_BLOCKS_AHEAD.is_power_of_two() && READ_BLOCKS_AHEAD <= 4_096, "a ring's entries");
const _: () = assert!(READ_BLOCK_BYTES <= i32::MAX as usize, "a completion's result is an i32");

/// Page-aligned, so that pinning the slots pins nothing else, and because `O_DIRECT` asks for it.
const MEMORY: Layout = match Layout::from_size_align(READ_BLOCKS_AHEAD * READ_BLOCK_BYTES, 4_096) {
    Ok(layout) => layout,
    Err(_) => panic!("the slots have a layout"),
};

/// Whether io_uring can be used: sets up a ring, as for real, and reads with it.
pub(crate) fn probe() -> io::Result<()> {
    let mut ring = Ring::new()?;
    let file = File::from(rustix::fs::memfd_create("longshore-probe", MemfdFlags::CLOEXEC)?);
    io::Write::write_all(&mut &file, b"probe")?;
    let mut blocks = ring.read(&file)?.ok_or_else(|| io::Error::other("a new ring is not at rest"))?;
    blocks.start(0, 0)?;
    blocks.wait(0)?;
    match blocks.bytes(0) {
        b"probe" => Ok(()),
        other => Err(io::Error::other(format!("a test read gave {} bytes, not the 5 that are there", other.len()))),
    }
}

/// What a slot's memory is for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Nobody's.
    Free,
    /// The kernel's.
    Reading,
    /// A reader's: the completion's result, bytes or a negated `errno`.
    Done(i32),
}

/// A ring and the slots that it reads into. One for all files of a run: setting one up pins memory.
pub(crate) struct Ring {
    ring: IoUring,
    /// `READ_BLOCKS_AHEAD` slots of `READ_BLOCK_BYTES`, as [`MEMORY`] says; zeroed at first, so always initialised.
    memory: NonNull<u8>,
    slots: [Slot; READ_BLOCKS_AHEAD],
}

impl Ring {
    /// Sets up the ring and registers its memory. Fails where the system refuses either.
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::new(READ_BLOCKS_AHEAD as u32)?;
        let mut known = Probe::new();
        ring.submitter().register_probe(&mut known)?;
        if !known.is_supported(opcode::ReadFixed::CODE) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel cannot read into registered memory"));
        }
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(MEMORY) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(MEMORY) };
        // From here on `Drop` frees the memory.
        let ring = Ring { ring, memory, slots: [Slot::Free; READ_BLOCKS_AHEAD] };
        let area = libc::iovec { iov_base: memory.as_ptr().cast(), iov_len: MEMORY.size() };
        // SAFETY: the area is allocated, and it stays so until `Drop`, which frees it only once no read is under way;
        // the kernel unregisters it when the ring is closed, and touches it in between on behalf of reads only.
        unsafe { ring.ring.submitter().register_buffers(&[area]) }?;
        Ok(ring)
    }

    /// Reads from this file. `None` if reads of the last one are stuck.
    pub(crate) fn read(&mut self, file: &File) -> io::Result<Option<RingFile<'_>>> {
        if self.drain().is_err() {
            return Ok(None);
        }
        let file = match past_the_cache(file) {
            Some(direct) => direct,
            None => file.as_fd().try_clone_to_owned()?,
        };
        Ok(Some(RingFile { file, ring: self }))
    }

    fn slot_memory(&self, slot: usize) -> NonNull<u8> {
        assert!(slot < READ_BLOCKS_AHEAD, "slot {slot}");
        // SAFETY: the slot begins inside the allocation, as just seen.
        unsafe { self.memory.add(slot * READ_BLOCK_BYTES) }
    }

    /// Queues a read of a whole block and tells the kernel.
    fn start(&mut self, slot: usize, file: &OwnedFd, offset: u64) -> io::Result<()> {
        assert!(self.slots[slot] != Slot::Reading, "slot {slot} is still being read into");
        let memory = self.slot_memory(slot);
        let read = opcode::ReadFixed::new(
            types::Fd(file.as_raw_fd()),
            memory.as_ptr(),
            READ_BLOCK_BYTES as u32,
            0, // The only registered area.
        )
        .offset(offset)
        .build()
        .user_data(slot as u64);
        // SAFETY: the memory is the slot's whole and lives until the read's completion was seen: `Reading` keeps
        // `bytes` from showing it, this function from reusing it, and `Drop` from freeing it. The file is open until
        // then, too: a `RingFile` closes it after it has waited, or never, if it was forgotten.
        unsafe { self.ring.submission().push(&read) }.map_err(|_| io::Error::other("the ring is full"))?;
        self.slots[slot] = Slot::Reading;
        match self.ring.submit() {
            Ok(_) => Ok(()),
            // It stays queued; waiting for it hands it over once more.
            Err(error) if worth_another_try(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the slot is not being read into. Fails only if the ring itself does.
    fn settle(&mut self, slot: usize) -> io::Result<()> {
        loop {
            for completion in self.ring.completion() {
                let slot = usize::try_from(completion.user_data()).expect("a slot's number");
                self.slots[slot] = Slot::Done(completion.result());
            }
            if self.slots[slot] != Slot::Reading {
                return Ok(());
            }
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if worth_another_try(&error) => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until no slot is being read into.
    fn drain(&mut self) -> io::Result<()> {
        for slot in 0..READ_BLOCKS_AHEAD {
            self.settle(slot)?;
            self.slots[slot] = Slot::Free;
        }
        Ok(())
    }
}

/// Interrupted by a signal, or out of memory or of room for completions at the moment.
fn worth_another_try(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.drain().is_ok() {
            // SAFETY: allocated in `new` with this layout, freed nowhere else, and no read is under way.
            unsafe { dealloc(self.memory.as_ptr(), MEMORY) };
        }
    }
}

/// A file that is read by a ring.
pub(crate) struct RingFile<'a> {
    ring: &'a mut Ring,
    /// A handle of its own, so that it is open as long as reads are under way.
    file: OwnedFd,
}

impl Blocks for RingFile<'_> {
    fn start(&mut self, slot: usize, offset: u64) -> io::Result<()> {
        self.ring.start(slot, &self.file, offset)
    }

    fn wait(&mut self, slot: usize) -> io::Result<usize> {
        self.ring.settle(slot)?;
        match self.ring.slots[slot] {
            Slot::Done(result) => usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)),
            Slot::Free | Slot::Reading => panic!("slot {slot} was not started"),
        }
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        let Slot::Done(result) = self.ring.slots[slot] else { return &[] };
        let length = usize::try_from(result).unwrap_or(0).min(READ_BLOCK_BYTES);
        let memory = self.ring.slot_memory(slot);
        // SAFETY: `length` bytes of the slot, initialised when they were allocated and by the kernel since. The kernel
        // is done with the slot, and nothing gives it back to the kernel while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(memory.as_ptr(), length) }
    }
}

impl Drop for RingFile<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.ring.drain() {
            // The ring's next user finds this out again and does without it.
            tracing::warn!("io_uring does not finish its reads: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
