//! Four symbols a step, by tables: what every machine can do.

use super::{NO_SYMBOL, Quad, VALUES};

/// For each place in a quad, what a symbol there puts into the quad's 24 bits; [`FAULT`] for a byte that is no symbol.
const PLACED: [[u32; 256]; 4] = {
    let mut placed = [[FAULT; 256]; 4];
    let mut place = 0;
    while place < 4 {
        let mut byte = 0;
        while byte < 256 {
            if VALUES[byte] != NO_SYMBOL {
                placed[place][byte] = (VALUES[byte] as u32) << (18 - 6 * place);
            }
            byte += 1;
        }
        place += 1;
    }
    placed
};

/// A bit above the 24.
const FAULT: u32 = 1 << 24;

/// See [`super::decode`].
///
/// # Safety
/// `to` is valid for writes of `3 * quads.len()` bytes.
pub(super) unsafe fn decode(quads: &[Quad], to: *mut u8) -> bool {
    let mut seen = 0;
    for (index, quad) in quads.iter().enumerate() {
        let bits = bits(*quad);
        seen |= bits;
        let [_, bytes @ ..] = bits.to_be_bytes();
        // SAFETY: `index < quads.len()`; an array of bytes needs no alignment.
        unsafe { to.cast::<[u8; 3]>().add(index).write(bytes) };
    }
    seen & FAULT == 0
}

/// The three bytes of a quad, `None` if one of its bytes is no symbol.
pub(super) fn decode_quad(quad: Quad) -> Option<[u8; 3]> {
    let bits = bits(quad);
    let [_, bytes @ ..] = bits.to_be_bytes();
    (bits & FAULT == 0).then_some(bytes)
}

fn bits(quad: Quad) -> u32 {
    let [a, b, c, d] = quad.map(usize::from);
    PLACED[0][a] | PLACED[1][b] | PLACED[2][c] | PLACED[3][d]
}
