//! Text rows brought to other places: read one after the other, written to where each belongs.
//!
//! What stands behind a value's place may have been written already, so that values are copied by their exact length: with
//! a mask, or by two chunks that overlap.

use arrow_array::{Array, StringArray};

use super::{Kernels, Level, TextRows};
use crate::simd::places::Places;

/// Bytes behind a value's place that are asked for while it is copied. Of the rows to come, one of the next few will be
/// written there.
const BYTES_AHEAD: usize = 128;

impl TextRows {
    /// Makes the texts rows, each at its place. Nulls become what stands under them.
    ///
    /// # Panics
    /// If there are rows already, or not as many texts as places.
    pub(crate) fn scatter(&mut self, texts: &StringArray, places: &Places, kernels: Kernels) {
        assert!(self.len() == 0 && texts.len() == places.len(), "a text for each of a batch's rows");
        let starts = texts.value_offsets();
        let bytes = (starts[texts.len()] - starts[0]) as usize;
        places.scatter(starts.windows(2).map(|ends| ends[1] - ends[0]), &mut self.offsets);
        let mut end = 0;
        for to in &mut self.offsets.as_vec()[1..] {
            end += *to;
            *to = end;
        }
        debug_assert_eq!(end as usize, bytes);
        self.text.reserve(bytes);
        let copy = Copy { bytes: texts.value_data(), starts, places: places.places(), offsets: &self.offsets };
        let text = self.text.as_vec();
        let room = text.as_mut_ptr();
        // SAFETY: the level's instructions are there (see `Kernels`). `starts` are a checked array's. Places are a
        // permutation of its rows, and `offsets` the sums of the rows' lengths in the order of their places, all of which
        // are `bytes`, for which there is room. So each row has bytes of its own there, and together they are all.
        unsafe {
            match kernels.level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => x86::avx512(&copy, room),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => x86::avx2(&copy, room),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => copy.rows(room, |from, to, len, _| copy_exact(from, to, len)),
                Level::Scalar => copy.rows(room, |from, to, len, _| copy_exact(from, to, len)),
            }
            text.set_len(bytes);
        }
    }
}

/// What to copy: `bytes[starts[row]..starts[row + 1]]` to where `offsets[places[row]]` says.
struct Copy<'a> {
    bytes: &'a [u8],
    starts: &'a [i32],
    places: &'a [u32],
    offsets: &'a [i32],
}

impl Copy<'_> {
    /// Copies all rows to `room`, each by `copy`: from, to, how many bytes, and how many can be read.
    ///
    /// # Safety
    /// `starts` has one more than `places`, never decreases, and none is negative or past the end of `bytes`. `places` are
    /// indices of `offsets`. `room` does not overlap `bytes`, and from where a row's offset says as many bytes as the row
    /// has can be written. `copy` reads and writes as it is told.
    #[inline(always)]
    unsafe fn rows(&self, room: *mut u8, copy: impl Fn(*const u8, *mut u8, usize, usize)) {
        for (row, &place) in self.places.iter().enumerate() {
            // SAFETY: what the caller promises.
            unsafe {
                let start = *self.starts.get_unchecked(row) as usize;
                let len = *self.starts.get_unchecked(row + 1) as usize - start;
                let to = room.add(*self.offsets.get_unchecked(place as usize) as usize);
                prefetch_to_write(to.wrapping_add(BYTES_AHEAD));
                copy(self.bytes.as_ptr().add(start), to, len, self.bytes.len() - start);
            }
        }
    }
}

/// Copies so many bytes, and touches no others.
///
/// # Safety
/// `len` bytes can be read at `from` and written at `to`, and do not overlap.
#[inline(always)]
unsafe fn copy_exact(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: chunks begin at 0 or further, and end at `len` or before.
    unsafe {
        match len {
            0 => {}
            1 => *to = *from,
            2..4 => copy_both_ends::<2>(from, to, len),
            4..8 => copy_both_ends::<4>(from, to, len),
            8..16 => copy_both_ends::<8>(from, to, len),
            _ => {
                let mut at = 0;
                while at + 16 < len {
                    to.add(at).cast::<[u8; 16]>().write_unaligned(from.add(at).cast::<[u8; 16]>().read_unaligned());
                    at += 16;
                }
                at = len - 16;
                to.add(at).cast::<[u8; 16]>().write_unaligned(from.add(at).cast::<[u8; 16]>().read_unaligned());
            }
        }
    }
}

/// Copies the first and the last `N` bytes.
///
/// # Safety
/// See [`copy_exact`]; and `len` is at least `N`.
#[inline(always)]
unsafe fn copy_both_ends<const N: usize>(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: `N` bytes from the start and `N` up to the end are within the `len`.
    unsafe {
        let first = from.cast::<[u8; N]>().read_unaligned();
        let last = from.add(len - N).cast::<[u8; N]>().read_unaligned();
        to.cast::<[u8; N]>().write_unaligned(first);
        to.add(len - N).cast::<[u8; N]>().write_unaligned(last);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Copy, copy_exact};

    /// # Safety
    /// See [`Copy::rows`]; and the machine has AVX2.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn avx2(rows: &Copy<'_>, room: *mut u8) {
        // SAFETY: what the caller promises; exact copies.
        unsafe { rows.rows(room, |from, to, len, _| copy_exact(from, to, len)) }
    }

    /// # Safety
    /// See [`Copy::rows`]; and the machine has AVX-512 F and BW, and BMI2.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,bmi1,bmi2")]
    pub(super) unsafe fn avx512(rows: &Copy<'_>, room: *mut u8) {
        const CHUNK: usize = 64;
        // SAFETY: what the caller promises. All chunks but the last are whole; of the last one the mask has as many bits as
        // bytes are left, and a chunk is read whole only where there are as many bytes. A masked access touches no byte
        // whose bit is not set.
        unsafe {
            rows.rows(room, |mut from, mut to, mut len, mut readable| {
                while len > CHUNK {
                    _mm512_storeu_si512(to.cast(), _mm512_loadu_si512(from.cast()));
                    (from, to) = (from.add(CHUNK), to.add(CHUNK));
                    (len, readable) = (len - CHUNK, readable - CHUNK);
                }
                let mask = _bzhi_u64(u64::MAX, len as u32);
                // A load without a mask is cheaper.
                let chunk = match readable >= CHUNK {
                    true => _mm512_loadu_si512(from.cast()),
                    false => _mm512_maskz_loadu_epi8(mask, from.cast()),
                };
                _mm512_mask_storeu_epi8(to.cast(), mask, chunk);
            });
        }
    }
}

/// Asks for the cache line of a byte that will be written.
#[inline(always)]
fn prefetch_to_write(byte: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads and writes nothing as far as the program can tell, whatever it points at.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(byte.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}
