//! 64 symbols a step: a load that deals them out to four registers, one for each place in a quad, and a store that takes
//! their bytes from three.

use std::arch::aarch64::{
    uint8x16_t, uint8x16x3_t, vaddq_u8, vandq_u8, vceqq_u8, vdupq_n_u8, vld1q_u8, vld4q_u8, vmaxvq_u8, vorrq_u8,
    vqtbl1q_u8, vshlq_n_u8, vshrq_n_u8, vst3q_u8,
};

use super::Quad;
use super::rows::{DISTANCES, FAULTS_OF_COLUMNS, FAULTS_OF_ROWS};

/// Quads of a step.
const QUADS: usize = 16;
/// Bytes that they are.
const BYTES: usize = 3 * QUADS;

/// The tables, and what has been found.
struct Decoder {
    of_rows: uint8x16_t,
    of_columns: uint8x16_t,
    distances: uint8x16_t,
    faults: uint8x16_t,
}

impl Decoder {
    #[target_feature(enable = "neon")]
    fn new() -> Decoder {
        // SAFETY: 16 bytes each of three tables of 16.
        let load = |table: &[u8; 16]| unsafe { vld1q_u8(table.as_ptr()) };
        Decoder {
            of_rows: load(&FAULTS_OF_ROWS),
            of_columns: load(&FAULTS_OF_COLUMNS),
            distances: load(&DISTANCES),
            faults: vdupq_n_u8(0),
        }
    }

    /// Values of 16 symbols; worthless if there are `faults` afterwards.
    #[target_feature(enable = "neon")]
    fn values(&mut self, symbols: uint8x16_t) -> uint8x16_t {
        let rows = vshrq_n_u8::<4>(symbols);
        let columns = vandq_u8(symbols, vdupq_n_u8(0x0F));
        let both = vandq_u8(vqtbl1q_u8(self.of_rows, rows), vqtbl1q_u8(self.of_columns, columns));
        self.faults = vorrq_u8(self.faults, both);
        // All ones, which is -1, for the one symbol that has not the distance of its row.
        let slash = vceqq_u8(symbols, vdupq_n_u8(b'/'));
        vaddq_u8(symbols, vqtbl1q_u8(self.distances, vaddq_u8(rows, slash)))
    }

    /// # Safety
    /// `to` is valid for writes of 48 bytes.
    #[target_feature(enable = "neon")]
    unsafe fn step(&mut self, quads: &[Quad; QUADS], to: *mut u8) {
        // SAFETY: 64 bytes are read of 16 quads.
        let symbols = unsafe { vld4q_u8(quads.as_flattened().as_ptr()) };
        let a = self.values(symbols.0);
        let b = self.values(symbols.1);
        let c = self.values(symbols.2);
        let d = self.values(symbols.3);
        let first = vorrq_u8(vshlq_n_u8::<2>(a), vshrq_n_u8::<4>(b));
        let second = vorrq_u8(vshlq_n_u8::<4>(b), vshrq_n_u8::<2>(c));
        let third = vorrq_u8(vshlq_n_u8::<6>(c), d);
        // SAFETY: 48 bytes are written, for which the caller vouches.
        unsafe { vst3q_u8(to, uint8x16x3_t(first, second, third)) };
    }
}

/// See [`super::decode`].
///
/// # Safety
/// As there: `to` is valid for writes of `3 * quads.len()` bytes and the slack. The machine has the instructions.
#[target_feature(enable = "neon")]
pub(super) unsafe fn decode(quads: &[Quad], mut to: *mut u8) -> bool {
    let mut decoder = Decoder::new();
    let (blocks, rest) = quads.as_chunks::<QUADS>();
    for block in blocks {
        // SAFETY: blocks so far take 48 bytes each.
        unsafe {
            decoder.step(block, to);
            to = to.add(BYTES);
        }
    }
    if !rest.is_empty() {
        let mut block = [[b'A'; 4]; QUADS];
        block[..rest.len()].copy_from_slice(rest);
        // SAFETY: what is written behind the bytes of the last quad is less than 48 of the slack.
        unsafe { decoder.step(&block, to) };
    }
    vmaxvq_u8(decoder.faults) == 0
}
