//! Memory of slices that were decoded, for the drafts that grow large.
//!
//! A large vector that grows by doubling is copied, and has new pages cleared, each time. Most drafts stay small, of
//! partitions with few messages, and need none of this.

use longshore_core::limits::KAFKA_GROWING;

/// A draft that has got so many bytes is likely to get as many as other slices.
const LARGE_BYTES: usize = 1 << 20;
/// Times its bytes that a draft has new room made for, at most.
const ROOM_TIMES: usize = 16;

/// Slices are not quite as large as each other: this share of the last one's bytes more.
const MARGIN: usize = 8;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Buffers {
    spare: Vec<Vec<u8>>,
    /// Bytes of the slice that was given away last, of whichever partition.
    last_bytes: usize,
}

impl Buffers {
    /// A slice of so many bytes was given away.
    pub(super) fn was_given(&mut self, bytes: usize) {
        self.last_bytes = bytes;
    }

    /// Takes the memory of one that was decoded.
    pub(super) fn keep(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > LARGE_BYTES && self.spare.len() < KAFKA_GROWING {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Gives up what is more than so many bytes: what is kept and what drafts hold share one bound.
    pub(super) fn trim(&mut self, bytes: usize) {
        while self.spare.iter().map(Vec::capacity).sum::<usize>() > bytes {
            self.spare.pop();
        }
    }

    /// Has `bytes` hold `more` without growing, if they are many. If that needed room: for how many times as many there is.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: &mut Vec<u8>, more: usize) -> Option<usize> {
        let is_needed = bytes.len() >= LARGE_BYTES && bytes.capacity() - bytes.len() < more;
        is_needed.then(|| {
            self.move_to_larger(bytes, bytes.len() + more);
            bytes.capacity().div_ceil(bytes.len())
        })
    }

    #[cold]
    fn move_to_larger(&mut self, bytes: &mut Vec<u8>, needed: usize) {
        let wanted = needed.max(bytes.len() * 2);
        let larger = self.spare.iter().position(|spare| spare.capacity() >= wanted);
        match larger.map(|at| self.spare.swap_remove(at)) {
            Some(mut spare) => {
                spare.extend_from_slice(bytes);
                *bytes = spare;
            }
            None => {
                let like_the_last = self.last_bytes + self.last_bytes / MARGIN;
                let room = like_the_last.min(bytes.len() * ROOM_TIMES).max(wanted);
                bytes.reserve_exact(room - bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_draft_moves_to_memory_that_was_used() {
        let mut buffers = Buffers::default();
        let used = Vec::with_capacity(5 << 20);
        let place = used.as_ptr();
        buffers.keep(used);
        let mut small = vec![1; 1000];
        assert_eq!(buffers.make_room(&mut small, 100_000), None);
        assert_ne!(small.as_ptr(), place, "few bytes grow by themselves");
        let mut large: Vec<u8> = (0..LARGE_BYTES).map(|at| at as u8).collect();
        large.shrink_to_fit();
        let before = large.clone();
        buffers.make_room(&mut large, 7);
        assert_eq!((large.as_ptr(), &large), (place, &before));
        assert!(buffers.spare.is_empty());
    }

    #[test]
    fn without_any_it_gets_room_for_a_slice_like_the_last() {
        let mut buffers = Buffers::default();
        for (last, room) in [(0, 2), (8, 9), (100, 16)] {
            buffers.was_given(last << 20);
            let mut large = vec![0; LARGE_BYTES];
            assert_eq!(buffers.make_room(&mut large, 1), Some(room), "times as many");
            assert_eq!(large.capacity(), room << 20, "after a slice of {last} MiB");
        }
        let mut large = vec![0; LARGE_BYTES];
        buffers.make_room(&mut large, 40 << 20);
        assert!(large.capacity() >= 41 << 20, "a message may be larger than all that");
    }

    #[test]
    fn few_are_kept_and_none_that_is_small() {
        let mut buffers = Buffers::default();
        buffers.keep(vec![0; 1000]);
        assert!(buffers.spare.is_empty());
        (0..2 * KAFKA_GROWING).for_each(|_| buffers.keep(Vec::with_capacity(2 << 20)));
        assert_eq!(buffers.spare.len(), KAFKA_GROWING);
        buffers.trim(5 << 20);
        assert_eq!(buffers.spare.len(), 2, "as many as there is room for");
        buffers.trim(0);
        assert!(buffers.spare.is_empty());
    }
}
