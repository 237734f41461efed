//! The index of a chunk of JSON: where its quotes and line ends stand, and which parts of it are out of the ordinary.
//!
//! Nothing else is indexed. Between quotes a reader that knows what to expect compares whole keys at once; a full index
//! of commas, colons and brackets costs a third more and tells it nothing.
//!
//! The chunk is taken in blocks of 64 bytes. A block is *odd* if it has a backslash, a control character or anything
//! beyond ASCII; whatever overlaps no odd block is ASCII without escapes, and needs no further look at its text.

use super::block::{BLOCK, Block};
use super::{Kernels, Level, scalar};

/// Where things stand in a chunk, as positions from its start. Reused from chunk to chunk.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Index {
    quotes: Vec<u32>,
    newlines: Vec<u32>,
    odd: Vec<u32>,
}

/// Bytes of a block that is odd or not.
pub const ODD_BLOCK: usize = BLOCK;

/// Largest chunk, bytes: positions are 32 bit, and so is what follows the last one.
pub const CHUNK_BYTES_MAX: usize = 1 << 30;

/// Positions that follow the last quote; none of them is in a chunk.
const SENTINELS: usize = 4;

impl Index {
    /// Indexes `chunk` in place of what was indexed before. The first byte must not be escaped by one before it.
    ///
    /// A quote is left out if a backslash escapes it: an odd number of them stands before it. Where a backslash ends a
    /// line it escapes the line's end, so that lines do not depend on each other.
    ///
    /// # Panics
    /// If the chunk is longer than [`CHUNK_BYTES_MAX`].
    pub fn build(&mut self, kernels: Kernels, chunk: &[u8]) {
        assert!(chunk.len() <= CHUNK_BYTES_MAX, "positions in a chunk are 32 bit");
        self.quotes.clear();
        self.newlines.clear();
        self.odd.clear();
        // SAFETY: `kernels` proves that the machine has the instructions of its level.
        unsafe {
            match kernels.level() {
                Level::Scalar => build::<scalar::Bytes>(self, chunk),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => build::<super::neon::Bytes>(self, chunk),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => super::avx2::build(self, chunk),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => super::avx512::build(self, chunk),
            }
        }
        self.quotes.extend([u32::MAX; SENTINELS]);
    }

    /// Positions of the quotes that no backslash escapes, ascending, and after them some that are in no chunk.
    #[inline(always)]
    pub fn quotes(&self) -> &[u32] {
        &self.quotes
    }

    /// Positions of all line feeds, ascending.
    #[inline(always)]
    pub fn newlines(&self) -> &[u32] {
        &self.newlines
    }

    /// First positions of the odd blocks, ascending. A line feed alone makes no block odd.
    #[inline(always)]
    pub fn odd(&self) -> &[u32] {
        &self.odd
    }
}

/// [`Index::build`] at one level.
///
/// # Safety
/// The machine has the instructions of `B`.
#[inline(always)]
pub(super) unsafe fn build<B: Block>(index: &mut Index, chunk: &[u8]) {
    // Each block adds at most one position a byte. What is written past a list's length stays within a block's worth,
    // and this is the room for all of it: the lists never grow below.
    let room = chunk.len().next_multiple_of(BLOCK) + BLOCK;
    index.quotes.reserve(room + SENTINELS);
    index.newlines.reserve(room);
    let mut escaped = false;
    let (blocks, tail) = chunk.as_chunks::<BLOCK>();
    let mut base = 0;
    for block in blocks {
        // SAFETY: the caller's promise; and after `base / BLOCK` blocks each list has at most `base` positions, so
        // there is room for two blocks' more.
        unsafe { add::<B>(index, block, base, &mut escaped) };
        base += BLOCK as u32;
    }
    if !tail.is_empty() {
        let mut padded = [b' '; BLOCK];
        padded[..tail.len()].copy_from_slice(tail);
        // SAFETY: as above.
        unsafe { add::<B>(index, &padded, base, &mut escaped) };
    }
}

/// Adds one block, which stands at `base`.
///
/// # Safety
/// The machine has the instructions of `B`, and `quotes` and `newlines` have spare capacity for [`BLOCK`] positions more
/// than the block has bytes.
#[inline(always)]
unsafe fn add<B: Block>(index: &mut Index, block: &[u8; BLOCK], base: u32, escaped: &mut bool) {
    // SAFETY: the caller's promises.
    unsafe {
        let bytes = B::load(block);
        let mut quotes = bytes.equal(b'"');
        let newlines = bytes.equal(b'\n');
        let backslashes = bytes.equal(b'\\');
        let odd = bytes.below_space_or_beyond_ascii() & !newlines | backslashes;
        if odd != 0 || *escaped {
            if odd != 0 {
                index.odd.push(base);
            }
            quotes &= !escapes(backslashes, escaped);
        }
        append::<B>(&mut index.quotes, quotes, base);
        append_few(&mut index.newlines, newlines, base);
    }
}

/// Which bytes of a block a backslash escapes; `carry` says it of the first byte, and then of the byte after the block.
#[cold]
fn escapes(backslashes: u64, carry: &mut bool) -> u64 {
    let mut escaped = u64::from(*carry);
    *carry = false;
    let mut rest = backslashes & !escaped;
    while rest != 0 {
        let at = rest.trailing_zeros();
        if at == u64::BITS - 1 {
            *carry = true;
            break;
        }
        // What it escapes is no backslash that escapes.
        escaped |= 2 << at;
        rest &= !(3 << at);
    }
    escaped
}

/// Appends `base` plus the position of each set bit.
///
/// # Safety
/// As [`Block::positions`], whose `out` is the end of the list: spare capacity for [`BLOCK`] positions.
#[inline(always)]
unsafe fn append<B: Block>(list: &mut Vec<u32>, mask: u64, base: u32) {
    let len = list.len();
    debug_assert!(list.capacity() - len >= BLOCK);
    // SAFETY: there is room for `BLOCK` positions after `len`, and as many as the mask has bits are initialised.
    unsafe {
        B::positions(mask, base, list.as_mut_ptr().add(len));
        list.set_len(len + mask.count_ones() as usize);
    }
}

/// The same for a mask that nearly always has no bit, or one: without a branch for these.
///
/// # Safety
/// Spare capacity for [`BLOCK`] positions.
#[inline(always)]
unsafe fn append_few(list: &mut Vec<u32>, mask: u64, base: u32) {
    let len = list.len();
    debug_assert!(list.capacity() - len >= BLOCK);
    // SAFETY: there is room for `BLOCK` positions after `len`; the first one is always written, and as many as the mask
    // has bits are counted.
    unsafe {
        let out = list.as_mut_ptr().add(len);
        out.write(base.wrapping_add(mask.trailing_zeros()));
        let count = mask.count_ones() as usize;
        if count > 1 {
            let mut rest = mask & (mask - 1);
            for place in 1..count {
                out.add(place).write(base + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        list.set_len(len + count);
    }
}

#[cfg(test)]
mod tests;
