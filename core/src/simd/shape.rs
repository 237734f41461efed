//! Shapes of small JSON values: what is left of a value when the insides of its strings and the lengths of its numbers
//! are taken away. A value of the shape of one that was checked is JSON too, and ends where the shape ends.
//!
//! The shape is made of the 64 bytes from the value's start on, whatever follows it: bytes inside strings are dropped,
//! a run of digits becomes one `0`, everything else stays. That a shape comes from valid JSON proves every text of that
//! shape, because nothing that was dropped can make a difference to the grammar, given that
//! * no string has an escape, a control character or anything that is not UTF-8, which the caller knows;
//! * no number starts with a zero that a digit follows, which is looked for; after a point it may.

// Only x86 has kernels of its own here.
#![cfg_attr(not(target_arch = "x86_64"), allow(unused_imports, unused_variables))]

#[cfg(target_arch = "x86_64")]
use super::block::BLOCK;
use super::{Kernels, Level};

/// Shapes that are compared at once: those of a place that come most often.
const FIRST: usize = 8;
/// Shapes that are remembered for one place.
const SHAPES: usize = 3 * FIRST;

/// The shapes that values at one place had lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shapes {
    bytes: [[u8; 64]; SHAPES],
    /// Bytes of each that count, as a mask. No shape is empty, so a mask of nothing stands for none.
    masks: [u64; SHAPES],
    /// How often each was found lately.
    uses: [u32; SHAPES],
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes { bytes: [[0; 64]; SHAPES], masks: [0; SHAPES], uses: [0; SHAPES] }
    }
}

/// A value of known shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shaped {
    /// Bytes of the value.
    pub(crate) len: usize,
    /// Quotes in it.
    pub(crate) quotes: usize,
}

impl Shapes {
    /// The object or array at `pos`, if its shape is known. There must be no escape in its strings.
    #[inline(always)]
    pub(crate) fn find(&mut self, kernels: Kernels, bytes: &[u8], pos: usize) -> Option<Shaped> {
        match kernels.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let window = bytes.get(pos..)?.first_chunk::<BLOCK>()?;
                // SAFETY: `kernels` proves that the machine has the instructions of the level.
                unsafe { x86::find(self, window) }
            }
            _ => None,
        }
    }

    /// A place without a shape, or that of the one with the fewest uses.
    fn least(&self) -> usize {
        (0..SHAPES).min_by_key(|&place| (self.masks[place] != 0, self.uses[place])).unwrap_or(0)
    }

    /// Counts a use of the shape at `place`, which is not among the first, and puts it there if it belongs there now.
    #[cold]
    fn used_later(&mut self, place: usize) {
        self.uses[place] = self.uses[place].saturating_add(1);
        let least = (0..FIRST).min_by_key(|&first| self.uses[first]).unwrap_or(0);
        if self.uses[place] > self.uses[least] {
            self.bytes.swap(place, least);
            self.masks.swap(place, least);
            self.uses.swap(place, least);
        }
    }

    /// Remembers the shape of a value that was found to be valid JSON, if it can have one.
    #[inline(never)]
    pub(crate) fn add(&mut self, kernels: Kernels, bytes: &[u8], value: std::ops::Range<usize>) {
        match kernels.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if value.len() <= BLOCK => {
                let Some(window) = bytes.get(value.start..).and_then(|rest| rest.first_chunk::<BLOCK>()) else {
                    return;
                };
                // SAFETY: as above.
                let Some((shape, kept)) = (unsafe { x86::shape(window) }) else { return };
                let kept_bytes = (kept & u64::MAX >> (BLOCK - value.len())).count_ones();
                let place = self.least();
                self.bytes[place] = shape;
                self.masks[place] = u64::MAX >> (u64::BITS - kept_bytes);
                // What came often once, and never again, goes in the end.
                self.uses.iter_mut().for_each(|uses| *uses /= 2);
                self.uses[place] = 1;
            }
            _ => {}
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mask_cmpneq_epi8_mask,
        _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_storeu_si512, _mm512_sub_epi8, _pdep_u64,
    };

    use super::{BLOCK, FIRST, SHAPES, Shaped, Shapes};

    /// The shape of what stands in the window, as far as it goes, which of its bytes were kept, and its quotes. `None`: a
    /// number starts with a zero that a digit follows.
    ///
    /// # Safety
    /// The machine has the features.
    #[inline]
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq"
    )]
    unsafe fn collapse(window: &[u8; BLOCK]) -> Option<(__m512i, u64, u64)> {
        // SAFETY: the load is the 64 bytes of the window.
        let bytes = unsafe { _mm512_loadu_si512(window.as_ptr().cast()) };
        let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
        let quotes = equal(b'"');
        // The sum without carries of all lower bits: from each opening quote to before its closing one.
        let ones = _mm_set1_epi8(-1);
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, quotes as i64), ones);
        let strings = _mm_cvtsi128_si64(product) as u64;
        let from_zero = _mm512_sub_epi8(bytes, _mm512_set1_epi8(b'0' as i8));
        let digits = _mm512_cmplt_epu8_mask(from_zero, _mm512_set1_epi8(10)) & !strings;
        let starts = digits & !(digits << 1);
        let leading_zeros = starts & equal(b'0') & (digits >> 1) & !(equal(b'.') << 1);
        if leading_zeros != 0 {
            return None;
        }
        let kept = !(strings & !quotes) & !(digits & (digits << 1));
        let zeros = _mm512_mask_blend_epi8(digits, bytes, _mm512_set1_epi8(b'0' as i8));
        Some((_mm512_maskz_compress_epi8(kept, zeros), kept, quotes))
    }

    /// The same for what remembers it.
    ///
    /// # Safety
    /// The machine has the features.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq"
    )]
    pub(super) unsafe fn shape(window: &[u8; BLOCK]) -> Option<([u8; BLOCK], u64)> {
        // SAFETY: the caller's promise; the store is the 64 bytes of `shape`.
        unsafe {
            let (collapsed, kept, _) = collapse(window)?;
            let mut shape = [0; BLOCK];
            _mm512_storeu_si512(shape.as_mut_ptr().cast(), collapsed);
            Some((shape, kept))
        }
    }

    /// [`Shapes::find`].
    ///
    /// # Safety
    /// The machine has the features.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq"
    )]
    pub(super) unsafe fn find(shapes: &mut Shapes, window: &[u8; BLOCK]) -> Option<Shaped> {
        // SAFETY: the caller's promise.
        let (collapsed, kept, quotes) = unsafe { collapse(window)? };
        // SAFETY: the caller's promise.
        let mask = match unsafe { same(shapes, collapsed, 0) } {
            Some(place) => {
                shapes.uses[place] = shapes.uses[place].saturating_add(1);
                shapes.masks[place]
            }
            None => {
                // SAFETY: the caller's promise.
                let place = (FIRST..SHAPES).step_by(FIRST).find_map(|from| unsafe { same(shapes, collapsed, from) })?;
                let mask = shapes.masks[place];
                shapes.used_later(place);
                mask
            }
        };
        // The last kept byte that belongs to the shape is the value's last byte.
        let last = _pdep_u64(mask & !(mask >> 1), kept).trailing_zeros();
        let within = u64::MAX >> (u64::BITS - 1 - last);
        Some(Shaped { len: last as usize + 1, quotes: (quotes & within).count_ones() as usize })
    }

    /// Where one of the [`FIRST`] shapes from `from` on stands that begins what was collapsed.
    ///
    /// # Safety
    /// The machine has the features.
    #[inline]
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq"
    )]
    unsafe fn same(shapes: &Shapes, collapsed: __m512i, from: usize) -> Option<usize> {
        // All are compared: which one it is, no branch could foretell.
        let mut same = 0;
        for place in 0..FIRST {
            // SAFETY: the load is the 64 bytes of the shape.
            let shape = unsafe { _mm512_loadu_si512(shapes.bytes[from + place].as_ptr().cast()) };
            let differs = _mm512_mask_cmpneq_epi8_mask(shapes.masks[from + place], collapsed, shape);
            same |= u32::from(differs == 0) << place;
        }
        // Where there is no shape nothing differs. Shapes fill the places in order.
        let place = from + same.trailing_zeros() as usize;
        (same != 0 && shapes.masks[place] != 0).then_some(place)
    }
}

#[cfg(test)]
mod tests;
