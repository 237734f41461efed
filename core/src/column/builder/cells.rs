//! Growable buffers in Arrow's own layout, so that a finished batch takes them over without a copy.
//!
//! Every buffer can be cut back to fewer rows: a record whose fifth column fails takes its first four back.

use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::column::mismatch::Cause;

/// What a column does with rows, whatever they are made of.
pub(super) trait Cells {
    fn len(&self) -> usize;

    /// Keeps the first `rows`; more than there are: all.
    fn truncate(&mut self, rows: usize);

    /// Appends the type's zero value, which also stands under a null.
    fn push_zero(&mut self);

    /// Appends the value of records that lack the field.
    ///
    /// # Errors
    /// [`Cause::BatchFull`]: nothing was appended.
    fn push_fill(&mut self) -> Result<(), Cause>;

    /// Makes the one row there is the value of records that lack the field, and leaves no trace of it.
    fn last_becomes_fill(&mut self);
}

/// Room for a batch like the last one and an eighth more, so that batches of about the same size never grow a buffer.
fn room(last: usize) -> usize {
    last + last / 8
}

/// Takes what a buffer holds and leaves room for as much.
pub(super) fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(room(values.len()));
    std::mem::replace(values, next)
}

/// Takes the offsets and leaves the first one.
pub(super) fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let taken = take(offsets);
    offsets.push(0);
    OffsetBuffer::new(taken.into())
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
#[derive(Default)]
pub(super) struct FixedCells<T> {
    values: Vec<T>,
    fill: T,
}

impl<T: Copy> FixedCells<T> {
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    pub(super) fn get(&self, row: usize) -> T {
        self.values[row]
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        take(&mut self.values)
    }
}

impl<T: ArrowNativeType> FixedCells<T> {
    pub(super) fn finish(&mut self) -> ScalarBuffer<T> {
        self.take().into()
    }
}

impl<T: Copy + Default> Cells for FixedCells<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
    }

    #[inline]
    fn push_zero(&mut self) {
        self.values.push(T::default());
    }

    #[inline]
    fn push_fill(&mut self) -> Result<(), Cause> {
        self.values.push(self.fill);
        Ok(())
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.values.pop().expect("the default was pushed");
    }
}

/// Bits, least significant first.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
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

    pub(super) fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.bytes[index / 8] >> (index % 8) & 1 == 1
    }

    pub(super) fn finish(&mut self) -> BooleanBuffer {
        let len = std::mem::take(&mut self.len);
        BooleanBuffer::new(Buffer::from_vec(take(&mut self.bytes)), 0, len)
    }
}

/// Booleans.
#[derive(Default)]
pub(super) struct BoolCells {
    pub(super) bits: Bits,
    fill: bool,
}

impl Cells for BoolCells {
    fn len(&self) -> usize {
        self.bits.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.bits.truncate(rows);
    }

    fn push_zero(&mut self) {
        self.bits.push(false);
    }

    fn push_fill(&mut self) -> Result<(), Cause> {
        self.bits.push(self.fill);
        Ok(())
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.bits.get(self.bits.len() - 1);
        self.bits.truncate(0);
    }
}

/// Text: all of it in one piece, and where each value ends.
pub(super) struct TextCells {
    /// `offsets[row]..offsets[row + 1]` is the row's text: always one more than there are rows.
    offsets: Vec<i32>,
    text: String,
    fill: String,
}

impl Default for TextCells {
    fn default() -> Self {
        TextCells { offsets: vec![0], text: String::new(), fill: String::new() }
    }
}

impl TextCells {
    /// # Errors
    /// [`Cause::BatchFull`]: nothing was appended.
    #[inline]
    pub(super) fn push(&mut self, value: &str) -> Result<(), Cause> {
        let end = end_offset(self.text.len() + value.len())?;
        self.text.push_str(value);
        self.offsets.push(end);
        Ok(())
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> &str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    #[inline]
    pub(super) fn bytes(&self, row: usize) -> &[u8] {
        &self.text.as_bytes()[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let text = String::with_capacity(room(self.text.len()));
        let text = std::mem::replace(&mut self.text, text).into_bytes();
        StringArray::new(take_offsets(&mut self.offsets), Buffer::from_vec(text), nulls)
    }
}

impl Cells for TextCells {
    #[inline]
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
            self.text.truncate(self.offsets[rows] as usize);
        }
    }

    #[inline]
    fn push_zero(&mut self) {
        self.offsets.push(self.offsets[self.len()]);
    }

    fn push_fill(&mut self) -> Result<(), Cause> {
        let fill = std::mem::take(&mut self.fill);
        let pushed = self.push(&fill);
        self.fill = fill;
        pushed
    }

    fn last_becomes_fill(&mut self) {
        self.fill = self.get(self.len() - 1).to_owned();
        self.truncate(0);
    }
}
