//! Envelopes: one sealed record in, its plaintext out.
//!
//! Three layouts around the same thing, a key id, a nonce of 12 bytes, ciphertext and a tag of 16 bytes, without
//! associated data:
//!
//! - [`EnvelopeLayout::Tab`]: `key-id TAB base64(nonce | ciphertext | tag)`
//! - [`EnvelopeLayout::Json`]: `{"key":"k1","nonce":"<base64>","data":"<base64 of ciphertext | tag>"}`
//! - [`EnvelopeLayout::Frame`]: u8 length of the key id, key id, nonce, ciphertext, tag (the frame's own length in front
//!   is [`crate::frame`]'s business)
//!
//! Invariant: no byte of a plaintext leaves an [`Opener`] before its tag has been checked. `docs/envelopes.md` is
//! the same for people who write senders.

mod base64;
mod keyring;
mod object;

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

use self::object::Names;
pub use keyring::{Cipher, Key, Keyring, KeyringError, KeyringProblem};

use crate::config::EnvelopeLayout;
use crate::dead_letter::{Fault, Reason};
use crate::limits::KEY_ID_BYTES_MAX;
use crate::simd::{self, Kernels};

/// Bytes of a nonce, for every cipher.
pub const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag, for every cipher.
pub const TAG_BYTES: usize = 16;
/// Bytes of a frame that seals nothing: a length, a key id of one byte, nonce and tag.
pub const FRAME_BYTES_MIN: usize = 1 + 1 + NONCE_BYTES + TAG_BYTES;

/// Key ids that an unknown key's error names, and bytes that it spends on them.
const IDS_SHOWN: usize = 5;
const IDS_SHOWN_BYTES: usize = 120;

/// Opens the envelopes of one source. Shared by all workers; each brings its own buffer.
#[derive(Debug, Clone)]
pub struct Opener {
    layout: Layout,
    keyring: Arc<Keyring>,
    kernels: Kernels,
}

/// An [`EnvelopeLayout`], made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    Tab,
    Json(Names),
    Frame,
}

impl Opener {
    /// An opener for that layout with those keys, which decodes base64 by those kernels.
    pub fn new(layout: EnvelopeLayout, keyring: Arc<Keyring>, kernels: Kernels) -> Self {
        let layout = match layout {
            EnvelopeLayout::Tab => Layout::Tab,
            EnvelopeLayout::Json { key, nonce, data } => Layout::Json(Names::new([&key, &nonce, &data])),
            EnvelopeLayout::Frame => Layout::Frame,
        };
        Opener { layout, keyring, kernels }
    }

    /// The same with other kernels.
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// Opens one record, a line without its ending or a frame without its length, alone in `scratch`.
    ///
    /// # Errors
    /// As [`Opener::open_into`]; then `scratch` is empty.
    pub fn open<'s>(&self, sealed: &[u8], scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Fault> {
        scratch.clear();
        let plaintext = self.open_into(sealed, scratch)?;
        Ok(&scratch[plaintext])
    }

    /// Opens one record, a line without its ending or a frame without its length, behind what `arena` has; returns its
    /// place there, which is the arena's end and may be empty.
    ///
    /// The record is decoded straight to its place and opened there. The arena grows to what is put into it and some
    /// hundred bytes; a caller that clears and reuses it allocates nothing in the long run.
    ///
    /// # Errors
    /// [`Reason::BadEnvelope`], [`Reason::UnknownKey`] or [`Reason::TagMismatch`], in the order in which they are found
    /// out; then `arena` is as it was.
    pub fn open_into(&self, sealed: &[u8], arena: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        let start = arena.len();
        let opened = match &self.layout {
            Layout::Tab => self.open_tab(sealed, arena),
            Layout::Json(names) => self.open_json(sealed, names, arena),
            Layout::Frame => self.open_frame(sealed, arena),
        };
        match opened {
            Ok(()) => Ok(start..arena.len()),
            Err(fault) => {
                arena.truncate(start);
                Err(fault)
            }
        }
    }

    fn open_tab(&self, line: &[u8], arena: &mut Vec<u8>) -> Result<(), Fault> {
        let front = &line[..line.len().min(KEY_ID_BYTES_MAX + 1)];
        let tab = memchr(b'\t', front).ok_or_else(no_tab)?;
        let key = self.key(&line[..tab])?;
        let packed = &line[tab + 1..];
        let start = arena.len();
        // The nonce takes a whole number of quads, so the arena need not hold it.
        let nonce = packed.split_first_chunk().and_then(|(nonce, sealed)| {
            simd::base64::append(sealed, arena, self.kernels)?;
            simd::base64::decode_16(nonce, self.kernels)
        });
        match nonce {
            Some(nonce) if arena.len() - start >= TAG_BYTES => open_last(key, nonce, start, arena),
            _ => Err(bad_packed(packed, tab + 1)),
        }
    }

    fn open_json(&self, line: &[u8], names: &Names, arena: &mut Vec<u8>) -> Result<(), Fault> {
        let found = object::find(line, names).map_err(|malformed| {
            bad(format!("not an envelope object at offset {}: {}", malformed.offset, malformed.what))
        })?;
        let field = |index: usize| found[index].map(object::Text::unescaped).ok_or_else(|| no_field(names.name(index)));
        let (key, nonce_text, data_text) = (field(0)?, field(1)?, field(2)?);
        let key = self.key(&key)?;
        let nonce = self.decode_nonce(&nonce_text, names.name(1))?;
        let start = arena.len();
        match simd::base64::append(&data_text, arena, self.kernels) {
            Some(()) if arena.len() - start >= TAG_BYTES => open_last(key, nonce, start, arena),
            _ => Err(bad_data(&data_text, names.name(2))),
        }
    }

    fn open_frame(&self, frame: &[u8], arena: &mut Vec<u8>) -> Result<(), Fault> {
        let (id_bytes, rest) = frame.split_first().ok_or_else(|| too_short("the frame", 0, FRAME_BYTES_MIN))?;
        let (id, packed) = rest.split_at_checked(usize::from(*id_bytes)).ok_or_else(|| {
            bad(format!("the key id should have {id_bytes} bytes, the frame has {} after it says so", rest.len()))
        })?;
        let key = self.key(id)?;
        match packed.split_first_chunk() {
            Some((nonce, sealed)) if sealed.len() >= TAG_BYTES => {
                let start = arena.len();
                arena.extend_from_slice(sealed);
                open_last(key, *nonce, start, arena)
            }
            _ => Err(too_short("nonce and tag", packed.len(), NONCE_BYTES + TAG_BYTES)),
        }
    }

    fn decode_nonce(&self, text: &[u8], name: &str) -> Result<Nonce, Fault> {
        let nonce = text.try_into().ok().and_then(|text| simd::base64::decode_16(text, self.kernels));
        nonce.ok_or_else(|| bad_nonce(text, name))
    }

    fn key(&self, id: &[u8]) -> Result<&Key, Fault> {
        self.keyring
            .get(id)
            .ok_or_else(|| if id.is_empty() { bad("the key id is empty") } else { self.unknown_key(id) })
    }

    #[cold]
    fn unknown_key(&self, id: &[u8]) -> Fault {
        let keys = self.keyring.keys();
        let mut known = String::new();
        for key in keys.iter().take(IDS_SHOWN) {
            if known.len() + key.id().len() > IDS_SHOWN_BYTES {
                break;
            }
            let comma = if known.is_empty() { "" } else { ", " };
            known.extend([comma, key.id()]);
        }
        let such_as = if keys.len() > IDS_SHOWN { "such as " } else { "" };
        let count = keys.len();
        let plural = if count == 1 { "key" } else { "keys" };
        let bytes = id.len();
        let unit = if bytes == 1 { "byte" } else { "bytes" };
        // The id stands in the clear, and is whatever stands in its place: of a log that is not sealed, a value.
        Fault::new(
            Reason::UnknownKey,
            format!(
                "the record's key id, {bytes} {unit} long, is not in the keyring, which has {count} {plural} \
                 ({such_as}{known}): add it there; the id is in the letter's `record`"
            ),
        )
    }
}

type Nonce = [u8; NONCE_BYTES];

/// Opens what the arena has from `start`, ciphertext and tag, in place, and takes the tag off.
fn open_last(key: &Key, nonce: Nonce, start: usize, arena: &mut Vec<u8>) -> Result<(), Fault> {
    let (text, tag) = arena[start..].split_last_chunk_mut().expect("the caller has seen to the tag");
    if !key.open(nonce, tag, text) {
        return Err(tag_mismatch(key));
    }
    arena.truncate(arena.len() - TAG_BYTES);
    Ok(())
}

/// What is wrong with a nonce that is not 16 symbols.
#[cold]
fn bad_nonce(text: &[u8], name: &str) -> Fault {
    /// Base64 of the 12 bytes; one quantum more is decoded to tell too long from malformed.
    const TEXT_BYTES_MAX: usize = NONCE_BYTES / 3 * 4 + 4;
    let mut nonce = [0; base64::decoded_bytes_max(TEXT_BYTES_MAX)];
    match (text.len() <= TEXT_BYTES_MAX).then(|| base64::decode(text, &mut nonce)) {
        Some(Err(wrong)) => bad_field(name, wrong),
        _ => bad(format!("the nonce in \"{name:.64}\" must have {NONCE_BYTES} bytes before base64")),
    }
}

/// What is wrong with a text that is no base64 of nonce, ciphertext and tag; it starts at `offset` of its line.
#[cold]
fn bad_packed(text: &[u8], offset: usize) -> Fault {
    match base64::decode(text, &mut vec![0; base64::decoded_bytes_max(text.len())]) {
        Ok(bytes) => too_short("nonce and tag", bytes, NONCE_BYTES + TAG_BYTES),
        Err(wrong) => bad(format!("bad base64 at offset {} of the line: {}", offset + wrong.offset, wrong.what)),
    }
}

/// What is wrong with a field that is no base64 of ciphertext and tag.
#[cold]
fn bad_data(text: &[u8], name: &str) -> Fault {
    match base64::decode(text, &mut vec![0; base64::decoded_bytes_max(text.len())]) {
        Ok(bytes) => too_short("the tag", bytes, TAG_BYTES),
        Err(wrong) => bad_field(name, wrong),
    }
}

#[cold]
fn no_tab() -> Fault {
    bad(format!("no tab after a key id in the first {} bytes: is this record sealed as key-id TAB base64?", {
        KEY_ID_BYTES_MAX + 1
    }))
}

#[cold]
fn no_field(name: &str) -> Fault {
    bad(format!("no field \"{name:.64}\": does [decode.envelope] name the fields as the sender does?"))
}

#[cold]
fn bad(detail: impl Into<String>) -> Fault {
    Fault::new(Reason::BadEnvelope, detail)
}

#[cold]
fn bad_field(name: &str, wrong: base64::BadBase64) -> Fault {
    bad(format!("bad base64 in \"{name:.64}\" at its character {}: {}", wrong.offset, wrong.what))
}

#[cold]
fn too_short(what: &str, found: usize, needed: usize) -> Fault {
    bad(format!("{found} bytes are too few for {what}, which take {needed}: the record is cut short"))
}

#[cold]
fn tag_mismatch(key: &Key) -> Fault {
    let (id, cipher) = (key.id(), key.cipher().name());
    Fault::new(Reason::TagMismatch, format!("wrong key or changed bytes; key id {id}, {cipher}"))
}

#[cfg(test)]
mod tests;
