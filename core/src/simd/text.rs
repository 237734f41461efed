//! The rows of a text column, and the kernel that copies a block of them at once.
//!
//! A value is copied in chunks of a register's width, so that most take one load and one store whatever their length:
//! bytes past a value's end land where the next value will be written. Reads never leave the block: near its end a value
//! is copied by its exact length.

mod scatter;

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

    /// Takes the buffers of a finished array back, see [`Reused::take_back`].
    pub(crate) fn take_back(&mut self, offsets: Option<Buffer>, text: Option<Buffer>) {
        self.offsets.take_back(offsets);
        self.text.take_back(text);
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
        let end = before as u64 + text_bytes(spans, kernels);
        if i32::try_from(end).is_err() {
            return Err(Full);
        }
        let end = end as usize;
        self.text.reserve(end - before + CHUNK_BYTES_MAX);
        self.offsets.reserve(spans.len());
        let rows = self.len();
        let (text, offsets) = (self.text.as_vec(), self.offsets.as_vec());
        // SAFETY: the level's instructions are there (see `Kernels`). The spare room takes an offset for each span, the
        // texts of all spans, whose lengths were summed above, and the widest chunk behind them.
        let copied = unsafe {
            match kernels.level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => x86::copy_avx512(block, spans, text, offsets),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => x86::copy_avx2(block, spans, text, offsets),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => copy::<u128>(block, spans, text, offsets),
                Level::Scalar => copy::<u128>(block, spans, text, offsets),
            }
        };
        if copied != Copied::Outside {
            // SAFETY: all spans were copied, each to where the one before ended, so all bytes up to `end` were written,
            // and an offset for each.
            unsafe {
                text.set_len(end);
                offsets.set_len(rows + 1 + spans.len());
            }
        }
        if copied != Copied::Ascii && !(copied == Copied::Bytes && is_text(text, before, &offsets[rows + 1..])) {
            // Nobody may see rows that break what the type promises, not even after a panic.
            self.text.truncate(before);
            self.offsets.truncate(rows + 1);
            panic!("a span is not within the block, or does not end where its characters do");
        }
        Ok(())
    }
}

/// Whether what was appended is UTF-8, each row for itself. A block was checked before, but a span that cuts a character
/// in two must not become text. The crate asks the processor for its instructions itself, whatever kernels the caller
/// has: the answer is the same.
#[inline(never)]
fn is_text(text: &[u8], before: usize, ends: &[i32]) -> bool {
    let new = &text[before..];
    new.is_ascii()
        || simdutf8::basic::from_utf8(new)
            .is_ok_and(|new| ends.iter().all(|end| new.is_char_boundary(*end as usize - before)))
}

/// Bytes of text at all spans.
#[inline(always)]
fn text_bytes(spans: &[Span], kernels: Kernels) -> u64 {
    match kernels.level() {
        // SAFETY: the level's instructions are there, see `Kernels`.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { text_bytes_avx512(spans) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { text_bytes_avx2(spans) },
        _ => sum(spans),
    }
}

#[inline(always)]
fn sum(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.text_len() as u64).sum()
}

/// # Safety
/// The machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn text_bytes_avx2(spans: &[Span]) -> u64 {
    sum(spans)
}

/// # Safety
/// The machine has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
unsafe fn text_bytes_avx512(spans: &[Span]) -> u64 {
    sum(spans)
}

/// What [`copy`] copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// All spans; all that was read is ASCII, of which every piece is UTF-8.
    Ascii,
    /// All spans. What they or their neighbours in the block hold is not all ASCII.
    Bytes,
    /// A span is not within the block: nothing in the spare rooms can be relied on.
    Outside,
}

/// What is copied at once: a register.
///
/// # Safety
/// A value is any `BYTES` bytes, with no padding between them.
unsafe trait Chunk: Copy {
    const BYTES: usize = size_of::<Self>();
    const ZERO: Self;

    /// # Safety
    /// The machine has the register's instructions.
    unsafe fn or(self, other: Self) -> Self;

    /// # Safety
    /// As of [`Chunk::or`].
    unsafe fn is_ascii(self) -> bool;
}

// SAFETY: a number of sixteen bytes.
unsafe impl Chunk for u128 {
    const ZERO: Self = 0;

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        self & u128::from_ne_bytes([0x80; 16]) == 0
    }
}

/// Copies the spans' bytes behind `text`, into its spare room, and where each ends behind `offsets`, into theirs. The
/// lengths of both are left as they are.
///
/// # Safety
/// The capacity of `text` is at least its length, the lengths of all spans by [`Span::text_len`], and a chunk more; that
/// of `offsets` is at least its length and one for each span. The machine has the chunk's instructions.
#[inline(always)]
unsafe fn copy<C: Chunk>(block: &[u8], spans: &[Span], text: &mut Vec<u8>, offsets: &mut Vec<i32>) -> Copied {
    const { assert!(C::BYTES <= CHUNK_BYTES_MAX) };
    let mut at = text.len();
    let room = text.as_mut_ptr();
    let mut seen = C::ZERO;
    let mut is_ascii = true;
    for (span, end) in spans.iter().zip(offsets.spare_capacity_mut()) {
        let (start, len) = (span.start(), span.text_len());
        // SAFETY: `at` is the text's length and the lengths of the spans before, so `at + len + C::BYTES` bytes are
        // within the capacity.
        let mut to = unsafe { room.add(at) };
        if start + len + C::BYTES <= block.len() {
            // SAFETY: chunks begin at `start`, or below `start + len`, so they are read within the block and written
            // before `at + len + C::BYTES`, wherever they stand; a vector and a borrowed slice do not overlap.
            unsafe {
                let mut from = block.as_ptr().add(start);
                let mut left = len;
                loop {
                    let chunk = from.cast::<C>().read_unaligned();
                    to.cast::<C>().write_unaligned(chunk);
                    seen = seen.or(chunk);
                    if left <= C::BYTES {
                        break;
                    }
                    (from, to, left) = (from.add(C::BYTES), to.add(C::BYTES), left - C::BYTES);
                }
            }
        } else if len > 0 {
            let Some(bytes) = block.get(start..start + len) else { return Copied::Outside };
            // SAFETY: the capacity has room for `len` bytes from `to` on.
            is_ascii &= unsafe { copy_exactly(bytes, to) };
        }
        at += len;
        end.write(at as i32);
    }
    // SAFETY: the caller promises the instructions.
    if is_ascii && unsafe { seen.is_ascii() } { Copied::Ascii } else { Copied::Bytes }
}

/// Copies no more than these bytes; whether they are ASCII. Apart from [`copy`], whose loop needs all registers.
///
/// # Safety
/// There is room for them at `to`, and it is not theirs.
#[cold]
#[inline(never)]
unsafe fn copy_exactly(bytes: &[u8], to: *mut u8) -> bool {
    // SAFETY: what the caller promises.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    bytes.is_ascii()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    // SAFETY: 32 bytes.
    unsafe impl Chunk for __m256i {
        // SAFETY: all bytes are allowed.
        const ZERO: Self = unsafe { std::mem::zeroed() };

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: the caller promises AVX2.
            unsafe { _mm256_or_si256(self, other) }
        }

        #[inline(always)]
        unsafe fn is_ascii(self) -> bool {
            // SAFETY: the caller promises AVX2.
            unsafe { _mm256_movemask_epi8(self) == 0 }
        }
    }

    // SAFETY: 64 bytes.
    unsafe impl Chunk for __m512i {
        // SAFETY: all bytes are allowed.
        const ZERO: Self = unsafe { std::mem::zeroed() };

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: the caller promises AVX-512 F.
            unsafe { _mm512_or_si512(self, other) }
        }

        #[inline(always)]
        unsafe fn is_ascii(self) -> bool {
            // SAFETY: the caller promises AVX-512 BW.
            unsafe { _mm512_movepi8_mask(self) == 0 }
        }
    }

    /// # Safety
    /// See [`copy`]; and the machine has AVX2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn copy_avx2(block: &[u8], spans: &[Span], text: &mut Vec<u8>, offsets: &mut Vec<i32>) -> Copied {
        // SAFETY: what the caller promises.
        unsafe { copy::<__m256i>(block, spans, text, offsets) }
    }

    /// # Safety
    /// See [`copy`]; and the machine has AVX-512 F, VL and BW.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,bmi1,bmi2")]
    pub(super) unsafe fn copy_avx512(
        block: &[u8],
        spans: &[Span],
        text: &mut Vec<u8>,
        offsets: &mut Vec<i32>,
    ) -> Copied {
        // SAFETY: what the caller promises.
        unsafe { copy::<__m512i>(block, spans, text, offsets) }
    }
}

#[cfg(test)]
mod tests;
