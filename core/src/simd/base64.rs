//! Base64 to bytes: the standard alphabet of RFC 4648, up to 64 symbols a step, straight into the spare room of a buffer.
//!
//! The rules are those of [`crate::envelope`]: padding whole or absent, no bits to spare, nothing skipped. A kernel says
//! only whether a text keeps them; where a bad text breaks them is asked so rarely that the `base64` crate may look.
//!
//! Libraries were measured first, once, on the sealed lines of a channel log (600 symbols each, one core, cached): the
//! `base64` crate's AVX2 decodes 15 GB/s, `base64-simd` 12, `base64-turbo` 44 by AVX-512; this 48 by AVX-512 and 21 by
//! AVX2. The fastest of them picks its instructions itself, so it could not be held to those of a [`Kernels`], neither
//! by a user nor by a test, and it asks for a newer compiler than the workspace does.
//!
//! The vector kernels follow Muła and Lemire, "Base64 encoding and decoding at almost the speed of a memory copy"
//! (2019), and "Faster Base64 Encoding and Decoding using AVX2 Instructions" (2018).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod rows;
mod scalar;
#[cfg(test)]
mod tests;

use super::{Kernels, Level};

/// Four symbols, three bytes.
type Quad = [u8; 4];

/// Bytes that a kernel may write, with no meaning, behind those of the last quad: it stores whole registers.
const SLACK: usize = 64;

/// What [`VALUES`] has for a byte that is no symbol. Values have six bits.
const NO_SYMBOL: u8 = 0x80;

/// Value of each symbol.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NO_SYMBOL; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Appends what `text` decodes to. `None`, and nothing appended, if it is not base64.
#[must_use]
pub(crate) fn append(text: &[u8], out: &mut Vec<u8>, kernels: Kernels) -> Option<()> {
    let (quads, rest) = without_padding(text).as_chunks();
    let (rest, rest_bytes) = decode_rest(rest)?;
    let quads_bytes = 3 * quads.len();
    out.reserve(quads_bytes + SLACK);
    let to = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    // SAFETY: `reserve` has made the spare room at least that long.
    if !unsafe { decode(quads, to, kernels) } {
        return None;
    }
    // SAFETY: these three bytes are within the slack; an array of bytes needs no alignment.
    unsafe { to.add(quads_bytes).cast::<[u8; 3]>().write(rest) };
    // SAFETY: all within the capacity, `quads_bytes` written by the kernel and `rest_bytes <= 3` by the line above.
    unsafe { out.set_len(out.len() + quads_bytes + rest_bytes) };
    Some(())
}

/// The 12 bytes of 16 symbols; `None` if one of them is no symbol.
#[must_use]
pub(crate) fn decode_16(text: &[u8; 16], kernels: Kernels) -> Option<[u8; 12]> {
    const BYTES: usize = 12;
    let mut out = [0; BYTES + SLACK];
    let (quads, _) = text.as_chunks();
    // SAFETY: `out` has room for three bytes for each of the four quads, and SLACK.
    let whole = unsafe { decode(quads, out.as_mut_ptr(), kernels) };
    whole.then(|| *out.first_chunk().expect("it is longer than that"))
}

/// Writes the three bytes of each quad; false if one of their bytes is no symbol, and then what was written is worthless.
///
/// # Safety
/// `to` is valid for writes of `3 * quads.len() + SLACK` bytes.
unsafe fn decode(quads: &[Quad], to: *mut u8, kernels: Kernels) -> bool {
    // SAFETY: the caller vouches for `to`; `kernels` proves that the machine has the instructions.
    unsafe {
        match kernels.level() {
            Level::Scalar => scalar::decode(quads, to),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon::decode(quads, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::decode(quads, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::decode(quads, to),
        }
    }
}

/// The text up to its padding. A padding that does not end on a quad is no padding, and stays, to be refused as a byte
/// outside the alphabet.
fn without_padding(text: &[u8]) -> &[u8] {
    match text {
        [symbols @ .., b'=', b'='] | [symbols @ .., b'='] if text.len().is_multiple_of(4) => symbols,
        _ => text,
    }
}

/// The bytes that the symbols behind the last quad begin with, and how many they are. `None` if one is no symbol, if it
/// takes another one to make a byte, or if there are bits to spare.
fn decode_rest(symbols: &[u8]) -> Option<([u8; 3], usize)> {
    /// Stands for the symbols that are not there: its value is 0, so whatever bits follow the last byte are to spare.
    const ZERO: u8 = b'A';
    let (quad, bytes) = match *symbols {
        [] => ([ZERO; 4], 0),
        [a, b] => ([a, b, ZERO, ZERO], 1),
        [a, b, c] => ([a, b, c, ZERO], 2),
        _ => return None,
    };
    let decoded = scalar::decode_quad(quad)?;
    decoded[bytes..].iter().all(|byte| *byte == 0).then_some((decoded, bytes))
}
