//! Text rows in another order, by the same copy as spans: in chunks, past a value's end.

use arrow_array::StringArray;

use super::{CHUNK_BYTES_MAX, Full, Kernels, Level, TextRows};

/// Rows whose text is asked for ahead of its copy: enough for the memory to answer in between.
const ROWS_AHEAD: usize = 12;

impl TextRows {
    /// Appends the rows of these numbers, in the order of the numbers. Nulls become what stands under them.
    ///
    /// # Errors
    /// [`Full`]: nothing was appended.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn push_gathered(&mut self, texts: &StringArray, order: &[u32], kernels: Kernels) -> Result<(), Full> {
        let before = self.text.len();
        let starts = texts.value_offsets();
        let mut end = before as u64;
        let rows = self.len();
        // Where each row ends, first: also the check that there is each of these rows.
        let ends = self.offsets.push_rows(order.len(), 0);
        for (&row, to) in order.iter().zip(ends.iter_mut()) {
            end += (starts[row as usize + 1] - starts[row as usize]) as u64;
            *to = end as i32;
        }
        if i32::try_from(end).is_err() {
            self.offsets.truncate(rows + 1);
            return Err(Full);
        }
        self.text.reserve(end as usize - before + CHUNK_BYTES_MAX);
        let copy = Copy { bytes: texts.value_data(), starts, order };
        let room = self.text.as_vec();
        // SAFETY: the level's instructions are there (see `Kernels`). Each number was an index of `starts` above, with
        // one behind it, and the lengths add up to `end - before`, for which and a chunk more there is room.
        unsafe {
            match kernels.level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => copy.avx512(room),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => copy.avx2(room),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => copy.chunks::<16>(room),
                Level::Scalar => copy.chunks::<16>(room),
            }
        }
        debug_assert_eq!(room.len(), end as usize);
        Ok(())
    }
}

/// What to copy: `bytes[starts[row]..starts[row + 1]]` of each row in `order`.
struct Copy<'a> {
    bytes: &'a [u8],
    starts: &'a [i32],
    order: &'a [u32],
}

impl Copy<'_> {
    /// Appends all rows to `text`.
    ///
    /// # Safety
    /// `row + 1` is an index of `starts` for each row in `order`; `starts` never decreases, and none is negative or
    /// past the end of `bytes`; behind `text` there is room for all of these rows and `CHUNK` bytes.
    #[inline(always)]
    unsafe fn chunks<const CHUNK: usize>(&self, text: &mut Vec<u8>) {
        const { assert!(CHUNK <= CHUNK_BYTES_MAX) };
        let Copy { bytes, starts, order } = *self;
        let mut at = text.len();
        let room = text.as_mut_ptr();
        for (index, &row) in order.iter().enumerate() {
            let ahead = order[(index + ROWS_AHEAD).min(order.len() - 1)] as usize;
            // SAFETY: `ahead` and `row` are of `order`, so that both offsets of either are there, and say places within
            // `bytes`. `at` is the text's length and the lengths of the rows before, so that `at + len + CHUNK` bytes
            // are within the capacity. Chunks begin at `start`, or below `start + len`; where all of one more is within
            // `bytes` they are read within it and written before `at + len + CHUNK`. A vector that is borrowed mutably
            // and `bytes` do not overlap.
            unsafe {
                prefetch(bytes.as_ptr().add(*starts.get_unchecked(ahead) as usize));
                let start = *starts.get_unchecked(row as usize) as usize;
                let len = *starts.get_unchecked(row as usize + 1) as usize - start;
                let (mut from, mut to) = (bytes.as_ptr().add(start), room.add(at));
                if start + len + CHUNK <= bytes.len() {
                    std::ptr::copy_nonoverlapping(from, to, CHUNK);
                    let mut left = len;
                    while left > CHUNK {
                        (from, to, left) = (from.add(CHUNK), to.add(CHUNK), left - CHUNK);
                        std::ptr::copy_nonoverlapping(from, to, CHUNK);
                    }
                } else {
                    std::ptr::copy_nonoverlapping(from, to, len);
                }
                at += len;
            }
        }
        // SAFETY: every byte before `at` was written, row behind row, and `at` is within the capacity.
        unsafe { text.set_len(at) };
    }

    /// # Safety
    /// See [`Copy::chunks`]; and the machine has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn avx2(&self, text: &mut Vec<u8>) {
        // SAFETY: what the caller promises.
        unsafe { self.chunks::<32>(text) }
    }

    /// # Safety
    /// See [`Copy::chunks`]; and the machine has AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,bmi1,bmi2")]
    unsafe fn avx512(&self, text: &mut Vec<u8>) {
        // SAFETY: what the caller promises.
        unsafe { self.chunks::<64>(text) }
    }
}

/// Asks for the cache line of a byte.
#[inline(always)]
fn prefetch(byte: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the program can tell, whatever it points at.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(byte.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}
