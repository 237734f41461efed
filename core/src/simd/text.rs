//! The rows of a text column, and the kernel that copies a block of them at once.
//!
//! A value is copied in chunks of a register's width, so that most take one load and one store whatever their length:
//! bytes past a value's end land where the next value will be written. Reads never leave the block: near its end a value
//! is copied by its exact length.

mod gather;

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::{Kernels, Level};
use crate::column::reused::Reused;
use crate::column::span::Span;

/// Widest chunk of a copy, bytes: the spare room that must stand behind the text.
const CHUNK_BYTES_MAX: usize = 64;

/// Text: all of it in one piece, and where each row ends, in Arrow's own layout.
///
/// What holds between calls, and what the unsafe code below rests on; only this module can reach the fields:
/// * `offsets` begins with 0, never decreases, and ends with the length of `text`;
/// * the bytes between two neighbouring offsets are UTF-8, so all of `text` is.
pub(crate) struct TextRows {
    offsets: Reused<i32>,
    text: Reused<u8>,
}

/// The text would exceed what 32-bit offsets can address; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Default for TextRows {
    fn default() -> Self {
        let mut offsets = Reused::default();
        offsets.push(0);
        TextRows { offsets, text: Reused::default() }
    }
}

impl TextRows {
    /// Rows.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &str) -> Result<(), Full> {
        let end = i32::try_from(self.text.len() + value.len()).map_err(|_| Full)?;
        self.text.extend_from_slice(value.as_bytes());
        self.offsets.push(end);
        Ok(())
    }

    /// Appends rows of no text.
    pub(crate) fn push_empty(&mut self, rows: usize) {
        let end = self.offsets[self.len()];
        self.offsets.push_rows(rows, end);
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> &str {
        let bytes = &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        // SAFETY: the bytes between neighbouring offsets are UTF-8, see the type.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }

    /// Keeps the first `rows`; more than there are: all.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
            self.text.truncate(self.offsets[rows] as usize);
        }
    }

    /// Keeps all rows before `from`, and of the rest those that `keep` says, one verdict a row.
    pub(crate) fn retain(&mut self, from: usize, keep: &[bool]) {
        let rows = from..self.len();
        let mut kept = from;
        for (row, _) in rows.zip(keep).filter(|&(_, &keep)| keep) {
            let (start, end) = (self.offsets[row] as usize, self.offsets[row + 1] as usize);
            let to = self.offsets[kept] as usize;
            // Whole values move forward, in order: offsets stay ascending and what is between them stays UTF-8. The row
            // that is read next stands behind everything that is written, as do its offsets.
            self.text.as_vec().copy_within(start..end, to);
            kept += 1;
            self.offsets.as_vec()[kept] = (to + end - start) as i32;
        }
        self.truncate(kept);
    }

    /// The rows as an array. There are none afterwards.
    ///
    /// # Panics
    /// If there are not as many nulls as rows.
    pub(crate) fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        assert!(nulls.as_ref().is_none_or(|nulls| nulls.len() == self.len()), "a null bit for each row");
        let offsets = ScalarBuffer::from(self.offsets.take_but(0));
        let text = Buffer::from_vec(self.text.take());
        // SAFETY: there is an offset, none is negative and none is below the one before it, the last one is the text's
        // length, and what stands between two of them is UTF-8 (see the type); the nulls were counted above.
        unsafe { StringArray::new_unchecked(OffsetBuffer::new_unchecked(offsets), text, nulls) }
    }

    /// Takes the vectors of a finished array back, see [`Reused::give_back`].
    pub(crate) fn give_back(&mut self, offsets: Option<Vec<i32>>, text: Option<Vec<u8>>) {
        if let Some(offsets) = offsets {
            self.offsets.give_back(offsets);
        }
        if let Some(text) = text {
            self.text.give_back(text);
        }
    }

    /// Appends a row for each span: the bytes of the block there, none where the span is absent or null.
    ///
    /// # Errors
    /// [`Full`].
    ///
    /// # Panics
    /// If a span is not within the block, or its bytes are not UTF-8.
    pub(crate) fn push_spans(&mut self, block: &[u8], spans: &[Span], kernels: Kernels) -> Result<(), Full> {
        let before = self.text.len();
        let bytes: u64 = spans.iter().map(|span| span.text_len() as u64).sum();
        let end = before as u64 + bytes;
        if i32::try_from(end).is_err() {
            return Err(Full);
        }
        let end = end as usize;
        self.text.reserve(end - before + CHUNK_BYTES_MAX);
        let rows = self.len();
        let ends = self.offsets.push_rows(spans.len(), before as i32);
        let text = self.text.as_vec();
        // SAFETY: the level's instructions are there (see `Kernels`); `spans` and `ends` are of one length; the spare
        // room holds the texts of all spans, whose lengths were summed above, and the widest chunk behind them.
        let is_within = unsafe {
            match kernels.level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => copy_avx512(block, spans, text, ends),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => copy_avx2(block, spans, text, ends),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => copy::<16>(block, spans, text, ends),
                Level::Scalar => copy::<16>(block, spans, text, ends),
            }
        };
        if is_within {
            // SAFETY: all spans were copied, each to where the one before ended, so all bytes up to `end` were written.
            unsafe { text.set_len(end) };
        }
        if !is_within || !is_text(text, before, ends) {
            // Nobody may see rows that break what the type promises, not even after a panic.
            self.text.truncate(before);
            self.offsets.truncate(rows + 1);
            panic!("a span is not within the block, or does not end where its characters do");
        }
        Ok(())
    }
}

/// Whether what was appended is UTF-8, each row for itself. A block was checked before, but a span that cuts a character
/// in two must not become text. Nearly all text is ASCII, of which every piece is UTF-8. For the rest the crate asks the
/// processor for its instructions itself, whatever kernels the caller has: the answer is the same.
#[inline]
fn is_text(text: &[u8], before: usize, ends: &[i32]) -> bool {
    let new = &text[before..];
    new.is_ascii()
        || simdutf8::basic::from_utf8(new)
            .is_ok_and(|new| ends.iter().all(|end| new.is_char_boundary(*end as usize - before)))
}

/// Copies the spans' bytes behind `text`, into its spare room, and notes where each ends; whether all spans are within
/// the block. If not, nothing behind `text` can be relied on.
///
/// # Safety
/// `ends` is as long as `spans`, and the capacity of `text` is at least its length, the lengths of all spans by
/// [`Span::text_len`], and `CHUNK` more.
#[inline(always)]
unsafe fn copy<const CHUNK: usize>(block: &[u8], spans: &[Span], text: &mut Vec<u8>, ends: &mut [i32]) -> bool {
    const { assert!(CHUNK <= CHUNK_BYTES_MAX) };
    let mut at = text.len();
    let room = text.as_mut_ptr();
    for (span, end) in spans.iter().zip(ends) {
        let (start, len) = (span.start(), span.text_len());
        // SAFETY: `at` is the text's length and the lengths of the spans before, so `at + len + CHUNK` bytes are within
        // the capacity.
        let mut to = unsafe { room.add(at) };
        if start + len + CHUNK <= block.len() {
            // SAFETY: chunks begin at `start`, or below `start + len`, so they are read within the block and written
            // before `at + len + CHUNK`; a vector and a borrowed slice do not overlap.
            unsafe {
                let mut from = block.as_ptr().add(start);
                std::ptr::copy_nonoverlapping(from, to, CHUNK);
                let mut left = len;
                while left > CHUNK {
                    (from, to, left) = (from.add(CHUNK), to.add(CHUNK), left - CHUNK);
                    std::ptr::copy_nonoverlapping(from, to, CHUNK);
                }
            }
        } else if len > 0 {
            let Some(bytes) = block.get(start..start + len) else { return false };
            // SAFETY: `len` bytes, which the slice has and the capacity has room for.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, len) };
        }
        at += len;
        *end = at as i32;
    }
    true
}

/// # Safety
/// See [`copy`]; and the machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn copy_avx2(block: &[u8], spans: &[Span], text: &mut Vec<u8>, ends: &mut [i32]) -> bool {
    // SAFETY: what the caller promises.
    unsafe { copy::<32>(block, spans, text, ends) }
}

/// # Safety
/// See [`copy`]; and the machine has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,bmi1,bmi2")]
unsafe fn copy_avx512(block: &[u8], spans: &[Span], text: &mut Vec<u8>, ends: &mut [i32]) -> bool {
    // SAFETY: what the caller promises.
    unsafe { copy::<64>(block, spans, text, ends) }
}

#[cfg(test)]
mod tests;
