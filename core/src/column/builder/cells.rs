//! Growable buffers in Arrow's own layout, so that a finished batch takes them over without a copy.
//!
//! Every buffer can be cut back to fewer rows: a record whose fifth column fails takes its first four back.

use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use crate::column::mismatch::Cause;
use crate::column::reused::Reused;
use crate::simd::text::{Full, TextRows};

/// What a column does with rows, whatever they are made of.
pub(super) trait Cells {
    fn len(&self) -> usize;

    /// Keeps the first `rows`; more than there are: all.
    fn truncate(&mut self, rows: usize);

    /// Keeps all rows before `from`, and of the rest those that `keep` says, one verdict a row.
    fn retain(&mut self, from: usize, keep: &[bool]);

    /// Appends the type's zero value, which also stands under a null, this many times.
    fn push_zeros(&mut self, rows: usize);

    /// Appends the value of records that lack the field, this many times.
    ///
    /// # Errors
    /// [`Cause::BatchFull`]: some may have been appended.
    fn push_fills(&mut self, rows: usize) -> Result<(), Cause>;

    /// Makes the one row there is the value of records that lack the field, and leaves no trace of it.
    fn last_becomes_fill(&mut self);
}

/// Where a value ends, as Arrow's offsets have it.
///
/// # Errors
/// [`Cause::BatchFull`] past 2 GiB: a slice is far smaller, but a long default can be in every row of it.
#[inline]
pub(super) fn end_offset(end: usize) -> Result<i32, Cause> {
    i32::try_from(end).map_err(|_| Cause::BatchFull)
}

/// Values of one size.
pub(super) struct FixedCells<T> {
    pub(super) values: Reused<T>,
    pub(super) fill: T,
}

impl<T: Default> Default for FixedCells<T> {
    fn default() -> Self {
        FixedCells { values: Reused::default(), fill: T::default() }
    }
}

impl<T: ArrowNativeType> FixedCells<T> {
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    pub(super) fn get(&self, row: usize) -> T {
        self.values[row]
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        self.values.take()
    }

    pub(super) fn finish(&mut self) -> ScalarBuffer<T> {
        self.take().into()
    }

    /// Takes the buffer of a finished array back, unless somebody holds it.
    pub(super) fn give_back(&mut self, buffer: Option<Buffer>) {
        self.values.take_back(buffer);
    }
}

impl<T: ArrowNativeType> Cells for FixedCells<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
    }

    fn retain(&mut self, from: usize, keep: &[bool]) {
        self.values.retain(from, keep);
    }

    fn push_zeros(&mut self, rows: usize) {
        self.values.push_rows(rows, T::default());
    }

    fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        self.values.push_rows(rows, self.fill);
        Ok(())
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.values.pop().expect("the default was pushed");
    }
}

/// Bits, least significant first.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Reused<u8>,
    len: usize,
}

impl Bits {
    #[inline]
    pub(super) fn push(&mut self, bit: bool) {
        let place = self.len % 8;
        match self.bytes.last_mut() {
            Some(last) if place != 0 => *last |= u8::from(bit) << place,
            _ => self.bytes.push(u8::from(bit)),
        }
        self.len += 1;
    }

    /// Appends the lowest `count` bits of `word`, at most 64. Bits above are not looked at.
    #[inline]
    pub(super) fn push_word(&mut self, word: u64, count: usize) {
        if count == 0 {
            return;
        }
        let place = self.len % 8;
        let mut bits = u128::from(word & (u64::MAX >> (64 - count))) << place;
        if place != 0 {
            bits |= u128::from(self.bytes.pop().expect("bits are in bytes"));
        }
        self.bytes.extend_from_slice(&bits.to_le_bytes()[..(place + count).div_ceil(8)]);
        self.len += count;
    }

    /// Appends the same bit `count` times.
    pub(super) fn push_run(&mut self, bit: bool, count: usize) {
        let word = if bit { u64::MAX } else { 0 };
        let mut left = count;
        while left > 0 {
            let some = left.min(64);
            self.push_word(word, some);
            left -= some;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.bytes.truncate(len.div_ceil(8));
        // A push only sets bits: the ones past the end must be clear.
        if let (Some(last), place @ 1..) = (self.bytes.last_mut(), len % 8) {
            *last &= (1 << place) - 1;
        }
        self.len = len;
    }

    /// See [`Cells::retain`].
    pub(super) fn retain(&mut self, from: usize, keep: &[bool]) {
        let kept: Vec<bool> =
            (from..self.len).zip(keep).filter(|&(_, &keep)| keep).map(|(at, _)| self.get(at)).collect();
        self.truncate(from);
        kept.into_iter().for_each(|bit| self.push(bit));
    }

    pub(super) fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.bytes[index / 8] >> (index % 8) & 1 == 1
    }

    pub(super) fn finish(&mut self) -> BooleanBuffer {
        let len = std::mem::take(&mut self.len);
        BooleanBuffer::new(Buffer::from_vec(self.bytes.take()), 0, len)
    }

    /// Takes the buffer of a finished array back, unless somebody holds it.
    pub(super) fn give_back(&mut self, buffer: Option<Buffer>) {
        self.bytes.take_back(buffer);
    }
}

/// Booleans.
#[derive(Default)]
pub(super) struct BoolCells {
    pub(super) bits: Bits,
    pub(super) fill: bool,
}

impl Cells for BoolCells {
    fn len(&self) -> usize {
        self.bits.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.bits.truncate(rows);
    }

    fn retain(&mut self, from: usize, keep: &[bool]) {
        self.bits.retain(from, keep);
    }

    fn push_zeros(&mut self, rows: usize) {
        self.bits.push_run(false, rows);
    }

    fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        self.bits.push_run(self.fill, rows);
        Ok(())
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.bits.get(self.bits.len() - 1);
        self.bits.truncate(0);
    }
}

/// Text as it is.
#[derive(Default)]
pub(super) struct TextCells {
    pub(super) rows: TextRows,
    pub(super) fill: String,
}

impl From<Full> for Cause {
    fn from(Full: Full) -> Self {
        Cause::BatchFull
    }
}

impl TextCells {
    /// # Errors
    /// [`Cause::BatchFull`]: nothing was appended.
    #[inline]
    pub(super) fn push(&mut self, value: &str) -> Result<(), Cause> {
        Ok(self.rows.push(value)?)
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> &str {
        self.rows.get(row)
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        self.rows.finish(nulls)
    }
}

impl Cells for TextCells {
    #[inline]
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    fn retain(&mut self, from: usize, keep: &[bool]) {
        self.rows.retain(from, keep);
    }

    #[inline]
    fn push_zeros(&mut self, rows: usize) {
        self.rows.push_empty(rows);
    }

    fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        (0..rows).try_for_each(|_| self.rows.push(&self.fill).map_err(Cause::from))
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.get(self.len() - 1).to_owned();
        self.truncate(0);
    }
}
