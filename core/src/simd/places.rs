//! Where the rows of a batch go: each to a place of its own, and no place is left.
//!
//! Rows are read in the order in which they were filled in and written to their places, not the other way round. A log is
//! nearly in the order of time and a table is ordered by few products and events first, so that rows go to some dozens of
//! places, each of which moves forward: what is being written stays in the first-level cache, whereas reading in the order
//! of the places would ask for another cache line for each row.

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, Int32Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use crate::column::reused::Reused;

/// A permutation of the rows of a batch.
///
/// What holds between calls, and what unsafe code rests on; only this module can reach the fields: `rows` and `places` are
/// of one length, and each number below it stands once in either.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The row that goes to each place.
    rows: Vec<u32>,
    /// The place that each row goes to.
    places: Vec<u32>,
}

/// No place.
const NOWHERE: u32 = u32::MAX;

impl Places {
    /// Forgets the last batch's places; the first of these rows goes to the first place, and so on.
    ///
    /// # Panics
    /// If not each number below their count is there.
    pub(crate) fn set(&mut self, order: impl Iterator<Item = u32>) {
        // Until they were checked they are nobody's places.
        let (mut rows, mut places) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.places));
        rows.clear();
        rows.extend(order);
        places.clear();
        places.resize(rows.len(), NOWHERE);
        for (place, &row) in (0..NOWHERE).zip(&rows) {
            places[row as usize] = place;
        }
        // As many were written as there are, so that if none was missed none was written twice.
        assert!(!places.contains(&NOWHERE), "each row of the batch has one place");
        (self.rows, self.places) = (rows, places);
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The row that goes to each place.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The place that each row goes to: a permutation of the numbers below their count.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    /// Appends the rows' values, each at its place.
    ///
    /// # Panics
    /// If there are not as many values as rows.
    pub(crate) fn scatter<T: Copy>(&self, values: impl Iterator<Item = T>, to: &mut Reused<T>) {
        to.reserve(self.len());
        let to = to.as_vec();
        let room = &mut to.spare_capacity_mut()[..self.len()];
        let mut written = 0;
        for (&place, value) in self.places.iter().zip(values) {
            // SAFETY: places are below their count, which is the length of `room`.
            unsafe { room.get_unchecked_mut(place as usize) }.write(value);
            written += 1;
        }
        // Not `assert_eq`: it would take the address of the count, which then lives in memory.
        assert!(written == self.len(), "a value for each row");
        // SAFETY: there is capacity for as many more. As many were written as there are places, and no place twice.
        unsafe { to.set_len(to.len() + written) };
    }

    /// The rows' bits, each at its place. Those that are rarer are moved one by one.
    ///
    /// # Panics
    /// If there are not as many bits as rows.
    pub(crate) fn scatter_bits(&self, bits: &BooleanBuffer, to: &mut Reused<u8>) -> BooleanBuffer {
        assert_eq!(bits.len(), self.len(), "a bit for each row");
        let are_set_rare = bits.count_set_bits() <= self.len() / 2;
        let (common, flip) = if are_set_rare { (0, 0) } else { (u8::MAX, u64::MAX) };
        let moved = to.push_rows(self.len().div_ceil(8), common);
        for (word, rows) in bits.bit_chunks().iter_padded().zip(self.places.chunks(64)) {
            let mut rare = word ^ flip;
            // There are none behind the last row.
            rare &= u64::MAX >> (64 - rows.len());
            while rare != 0 {
                let place = rows[rare.trailing_zeros() as usize] as usize;
                moved[place / 8] ^= 1 << (place % 8);
                rare &= rare - 1;
            }
        }
        if let (Some(last), rest @ 1..) = (moved.last_mut(), self.len() % 8) {
            *last &= (1 << rest) - 1;
        }
        BooleanBuffer::new(Buffer::from_vec(to.take()), 0, self.len())
    }

    /// The rows' values, each at its place, with the dictionary of the column.
    ///
    /// # Panics
    /// If there are not as many values as rows.
    pub(crate) fn scatter_keys(
        &self,
        column: &DictionaryArray<Int32Type>,
        (keys, nulls): (&mut Reused<i32>, &mut Reused<u8>),
    ) -> DictionaryArray<Int32Type> {
        let nulls = column.nulls().map(|bits| NullBuffer::new(self.scatter_bits(bits.inner(), nulls)));
        self.scatter(column.keys().values().iter().copied(), keys);
        let keys = Int32Array::new(keys.take().into(), nulls);
        // SAFETY: the column's own keys and nulls, each pair of them at one place, so that no key that is not null is
        // beyond the dictionary's end.
        unsafe { DictionaryArray::new_unchecked(keys, column.values().clone()) }
    }
}

#[cfg(test)]
mod tests;
