//! Vectors whose memory comes back: the first touch of a fresh page costs more than filling it, so a finished batch's
//! buffers are filled again as soon as nobody holds them.

use std::ops::Deref;

use arrow_buffer::{ArrowNativeType, Buffer};

/// A buffer given back is kept if it is at most this many times what the last batch needed: one huge batch must not pin
/// its memory for good.
const KEPT_TIMES_MAX: usize = 4;
/// Up to this many values a buffer is kept whatever the last batch was.
const KEPT_VALUES_MIN: usize = 4_096;

/// A growing vector of one batch. It allocates when the first value comes, as much as the batch before needed, so that
/// what is given back between two batches saves that allocation.
#[derive(Debug)]
pub(crate) struct Reused<T> {
    values: Vec<T>,
    /// Values to make room for when the vector grows the first time.
    room: usize,
}

impl<T> Default for Reused<T> {
    fn default() -> Self {
        Reused { values: Vec::new(), room: 0 }
    }
}

impl<T> Deref for Reused<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Copy> Reused<T> {
    #[inline(always)]
    pub(crate) fn push(&mut self, value: T) {
        self.reserve(1);
        self.values.push(value);
    }

    /// Makes room for that many more.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.values.capacity() - self.values.len() < more {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let more = more.max(self.room.saturating_sub(self.values.len()));
        if self.values.len() > 1 {
            self.values.reserve(more);
            return;
        }
        // A batch begins, in a vector that was given back and is too small, or in none. Growing it would copy all of it,
        // for nothing. The next batch may be a little larger: then it finds room.
        let mut values = Vec::with_capacity(self.values.len() + more + more / 8);
        values.extend_from_slice(&self.values);
        self.values = values;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.values.pop()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    /// Keeps all values before `from`, and of the rest those that `keep` says, one verdict a value.
    pub(crate) fn retain(&mut self, from: usize, keep: &[bool]) {
        let mut end = from;
        for (at, _) in (from..self.values.len()).zip(keep).filter(|&(_, &keep)| keep) {
            self.values[end] = self.values[at];
            end += 1;
        }
        self.values.truncate(end);
    }

    #[inline]
    pub(crate) fn extend_from_slice(&mut self, values: &[T]) {
        self.reserve(values.len());
        self.values.extend_from_slice(values);
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        self.reserve(values.len());
        self.values.extend(values);
    }

    /// Appends `rows` times `value` and gives them out to be overwritten.
    #[inline]
    pub(crate) fn push_rows(&mut self, rows: usize, value: T) -> &mut [T] {
        self.reserve(rows);
        let before = self.values.len();
        self.values.resize(before + rows, value);
        &mut self.values[before..]
    }

    #[inline(always)]
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.values.last_mut()
    }

    /// The vector itself, for what writes into its spare capacity.
    #[inline(always)]
    pub(crate) fn as_vec(&mut self) -> &mut Vec<T> {
        &mut self.values
    }

    /// Takes what there is. The next batch will have room for as much and an eighth more, so that batches of about the
    /// same size never grow a buffer. A small batch in between, such as the last one of a file, changes that little.
    pub(crate) fn take(&mut self) -> Vec<T> {
        let needed = self.values.len() + self.values.len() / 8;
        self.room = needed.max(self.room - self.room / 8);
        std::mem::take(&mut self.values)
    }

    /// Takes what there is and begins the next batch with `first`, for which nothing large is allocated.
    pub(crate) fn take_but(&mut self, first: T) -> Vec<T> {
        let taken = self.take();
        self.values = vec![first];
        taken
    }

    /// Gives back what [`Reused::take`] gave out, to be filled again. Dropped if the next batch has already begun, or if
    /// it is far more than the last batch needed.
    pub(crate) fn give_back(&mut self, mut values: Vec<T>) {
        let kept_max = self.room.saturating_mul(KEPT_TIMES_MAX).max(KEPT_VALUES_MIN);
        let is_wanted = self.values.len() <= 1 && values.capacity() > self.values.capacity();
        if is_wanted && values.capacity() <= kept_max {
            values.clear();
            values.extend_from_slice(&self.values);
            self.values = values;
        }
    }
}

impl<T: ArrowNativeType> Reused<T> {
    /// Gives back the vector that a buffer of a finished array was made of. Dropped if somebody else holds the buffer, or
    /// if it was made of something else.
    pub(crate) fn take_back(&mut self, buffer: Option<Buffer>) {
        if let Some(values) = buffer.and_then(|buffer| buffer.into_vec().ok()) {
            self.give_back(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_filled_again() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[1u32; 10_000]);
        let taken = reused.take();
        let place = taken.as_ptr();
        reused.give_back(taken);
        reused.push(7);
        assert_eq!((&*reused, reused.as_ptr()), (&[7][..], place));
    }

    #[test]
    fn a_buffer_that_somebody_holds_stays_theirs() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[1u32; 10_000]);
        let buffer = Buffer::from_vec(reused.take());
        let (place, held) = (buffer.as_ptr(), buffer.clone());
        reused.take_back(Some(buffer));
        assert_eq!(reused.values.capacity(), 0);
        reused.take_back(Some(held));
        reused.push(7);
        assert_eq!(reused.as_ptr().cast(), place);
        reused.take_back(None);
    }

    #[test]
    fn the_first_value_of_the_next_batch_survives() {
        let mut offsets = Reused::default();
        offsets.extend_from_slice(&[0, 5, 9]);
        let taken = offsets.take_but(0);
        assert_eq!(taken, [0, 5, 9]);
        offsets.give_back(taken);
        assert_eq!(&*offsets, [0]);
    }

    #[test]
    fn only_what_is_judged_can_go() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[1, 2, 3, 4, 5]);
        reused.retain(2, &[true, false, true]);
        assert_eq!(&*reused, [1, 2, 3, 5]);
    }

    #[test]
    fn what_comes_too_late_or_is_far_too_large_is_dropped() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[1, 2]);
        reused.give_back(Vec::with_capacity(100));
        assert_eq!(&*reused, [1, 2], "a batch has begun");
        reused.take();
        assert_eq!(reused.room, 2);
        reused.give_back(Vec::with_capacity(KEPT_VALUES_MIN + 1));
        assert_eq!(reused.values.capacity(), 0, "two values were needed");
        reused.give_back(Vec::with_capacity(KEPT_VALUES_MIN));
        assert_eq!(reused.values.capacity(), KEPT_VALUES_MIN);
    }

    #[test]
    fn a_small_batch_between_two_large_ones_costs_nothing() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[1u8; 80_000]);
        let large = reused.take();
        let place = large.as_ptr();
        reused.give_back(large);
        reused.push(1);
        let small = reused.take();
        assert_eq!(reused.room, 90_000 - 90_000 / 8);
        reused.give_back(small);
        reused.push(1);
        assert_eq!(reused.as_ptr(), place);
    }

    #[test]
    fn the_first_growth_is_to_the_last_batch() {
        let mut reused = Reused::default();
        reused.extend_from_slice(&[0u8; 8_000]);
        drop(reused.take());
        reused.push(1);
        assert!((9_000..=10_125).contains(&reused.values.capacity()));
    }

    #[test]
    fn a_batch_a_little_larger_than_the_first_finds_room() {
        let mut offsets = Reused::default();
        offsets.push(0);
        offsets.push_rows(8_000, 1);
        let taken = offsets.take_but(0);
        let place = taken.as_ptr();
        offsets.give_back(taken);
        offsets.push_rows(8_900, 2);
        assert_eq!((offsets.as_ptr(), &offsets[..2]), (place, &[0, 2][..]));
    }
}
