//! The small vector trait that kernels are written against: 64 bytes and what can be asked of them.

/// Bytes of a block: one bit each in a `u64`.
pub(super) const BLOCK: usize = 64;

/// 64 bytes in registers. Bit `n` of a mask is about byte `n`.
pub(super) trait Block: Copy {
    /// # Safety
    /// The machine has the implementation's instructions; the same holds for all methods.
    unsafe fn load(bytes: &[u8; BLOCK]) -> Self;

    /// Bytes that are `byte`.
    ///
    /// # Safety
    /// See [`Block::load`].
    unsafe fn equal(self, byte: u8) -> u64;

    /// Bytes below 0x20 or from 0x80 up: as signed numbers both are below 0x20, one comparison.
    ///
    /// # Safety
    /// See [`Block::load`].
    unsafe fn below_space_or_beyond_ascii(self) -> u64;

    /// Writes `base` plus the position of each set bit of `mask`, ascending. May write more, with no meaning.
    ///
    /// # Safety
    /// See [`Block::load`]; `out` is valid for writes of [`BLOCK`] values.
    #[inline(always)]
    unsafe fn positions(mask: u64, base: u32, out: *mut u32) {
        /// Written at once, wanted or not: most blocks of a log have no more quotes.
        const STEP: usize = 8;
        let count = mask.count_ones() as usize;
        let mut rest = mask;
        let mut written = 0;
        while written < count {
            for place in written..written + STEP {
                // SAFETY: `written` is a multiple of STEP below `count <= BLOCK`, so `place < BLOCK`.
                unsafe { out.add(place).write(base.wrapping_add(rest.trailing_zeros())) };
                rest &= rest.wrapping_sub(1);
            }
            written += STEP;
        }
    }
}
