//! Opening without parsing: what a slice's envelopes cost alone, for whoever measures.

use super::{Decoder, Scratch};
use crate::frame::Records;
use crate::limits::CHUNK_BYTES;
use crate::slice::Slice;

/// What came of a slice's envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// Records that could be opened.
    pub opened: u64,
    /// Records that are too long or could not be opened.
    pub refused: u64,
    /// Bytes of plaintext.
    pub bytes: u64,
}

impl Decoder {
    /// Opens the slice's records as [`Decoder::decode`] does and looks at none of them. `None` if records are not sealed.
    pub fn open_only(&self, slice: &Slice, scratch: &mut Scratch) -> Option<Opened> {
        let opener = self.opener.as_ref()?;
        let (_, bytes) = self.without_bom(slice);
        let mut sum = Opened::default();
        let arena = &mut scratch.open;
        arena.clear();
        for record in Records::from(self.division(slice), bytes, 0) {
            if arena.len() >= CHUNK_BYTES {
                arena.clear();
            }
            match (record.bytes.len() <= self.record_bytes_max).then(|| opener.open_into(record.bytes, arena)) {
                Some(Ok(place)) => {
                    sum.opened += 1;
                    sum.bytes += place.len() as u64;
                }
                Some(Err(_)) | None => sum.refused += 1,
            }
        }
        Some(sum)
    }
}
