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
//! Invariant: no byte of a plaintext leaves [`Opener::open`] before its tag has been checked. `docs/envelopes.md` is
//! the same for people who write senders.

mod base64;
mod keyring;
mod object;

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

pub use keyring::{Cipher, Key, Keyring, KeyringError, KeyringProblem};

use crate::config::EnvelopeLayout;
use crate::dead_letter::{Fault, Reason};
use crate::limits::KEY_ID_BYTES_MAX;

/// Bytes of a nonce, for every cipher.
pub const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag, for every cipher.
pub const TAG_BYTES: usize = 16;
/// Bytes of a frame that seals nothing: a length, a key id of one byte, nonce and tag.
pub const FRAME_BYTES_MIN: usize = 1 + 1 + NONCE_BYTES + TAG_BYTES;

/// Key ids that an unknown key's error names, and bytes that it spends on them.
const IDS_SHOWN: usize = 5;
const IDS_SHOWN_BYTES: usize = 120;

/// Opens the envelopes of one source. Shared by all workers; each brings its own scratch.
#[derive(Debug, Clone)]
pub struct Opener {
    layout: EnvelopeLayout,
    keyring: Arc<Keyring>,
}

impl Opener {
    /// An opener for that layout with those keys.
    pub fn new(layout: EnvelopeLayout, keyring: Arc<Keyring>) -> Self {
        Opener { layout, keyring }
    }

    /// Opens one record: a line without its ending, or a frame without its length.
    ///
    /// The plaintext lies in `scratch`, which grows to the longest record and is reused; it may be empty.
    ///
    /// # Errors
    /// [`Reason::BadEnvelope`], [`Reason::UnknownKey`] or [`Reason::TagMismatch`], in the order in which they are found
    /// out; then `scratch` is empty.
    pub fn open<'s>(&self, sealed: &[u8], scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Fault> {
        let opened = match &self.layout {
            EnvelopeLayout::Tab => self.open_tab(sealed, scratch),
            EnvelopeLayout::Json { key, nonce, data } => self.open_json(sealed, [key, nonce, data], scratch),
            EnvelopeLayout::Frame => self.open_frame(sealed, scratch),
        };
        match opened {
            Ok(plaintext) => Ok(&scratch[plaintext]),
            Err(fault) => {
                scratch.clear();
                Err(fault)
            }
        }
    }

    fn open_tab(&self, line: &[u8], scratch: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        let front = &line[..line.len().min(KEY_ID_BYTES_MAX + 1)];
        let tab = memchr(b'\t', front).ok_or_else(|| {
            bad(format!("no tab after a key id in the first {} bytes: is this record sealed as key-id TAB base64?", {
                KEY_ID_BYTES_MAX + 1
            }))
        })?;
        let key = self.key(&line[..tab])?;
        let text = &line[tab + 1..];
        let packed = room(scratch, base64::decoded_bytes_max(text.len()));
        let packed_bytes = base64::decode(text, packed).map_err(|wrong| {
            bad(format!("bad base64 at offset {} of the line: {}", tab + 1 + wrong.offset, wrong.what))
        })?;
        let packed = &mut packed[..packed_bytes];
        let Some((nonce, text, tag)) = split_packed_mut(packed) else {
            return Err(too_short("nonce and tag", packed_bytes, NONCE_BYTES + TAG_BYTES));
        };
        let end = packed_bytes - TAG_BYTES;
        if key.open(*nonce, tag, text) { Ok(NONCE_BYTES..end) } else { Err(tag_mismatch(key)) }
    }

    fn open_json(&self, line: &[u8], names: [&str; 3], scratch: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        let found = object::find(line, names).map_err(|malformed| {
            bad(format!("not an envelope object at offset {}: {}", malformed.offset, malformed.what))
        })?;
        let field = |index: usize| {
            found[index].map(object::Text::unescaped).ok_or_else(|| {
                bad(format!(
                    "no field \"{:.64}\": does [decode.envelope] name the fields as the sender does?",
                    names[index]
                ))
            })
        };
        let (key, nonce_text, data_text) = (field(0)?, field(1)?, field(2)?);
        let key = self.key(&key)?;
        let nonce = decode_nonce(&nonce_text, names[1])?;
        let data = room(scratch, base64::decoded_bytes_max(data_text.len()));
        let data_bytes = base64::decode(&data_text, data).map_err(|wrong| bad_field(names[2], wrong))?;
        let Some((text, tag)) = data[..data_bytes].split_last_chunk_mut() else {
            return Err(too_short("the tag", data_bytes, TAG_BYTES));
        };
        let end = text.len();
        if key.open(nonce, tag, text) { Ok(0..end) } else { Err(tag_mismatch(key)) }
    }

    fn open_frame(&self, frame: &[u8], scratch: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        let (id_bytes, rest) = frame.split_first().ok_or_else(|| too_short("the frame", 0, FRAME_BYTES_MIN))?;
        let (id, packed) = rest.split_at_checked(usize::from(*id_bytes)).ok_or_else(|| {
            bad(format!("the key id should have {id_bytes} bytes, the frame has {} after it says so", rest.len()))
        })?;
        let key = self.key(id)?;
        let Some((nonce, text, tag)) = split_packed(packed) else {
            return Err(too_short("nonce and tag", packed.len(), NONCE_BYTES + TAG_BYTES));
        };
        let out = room(scratch, text.len());
        if key.open_into(*nonce, tag, text, out) { Ok(0..text.len()) } else { Err(tag_mismatch(key)) }
    }

    fn key(&self, id: &[u8]) -> Result<&Key, Fault> {
        self.keyring
            .get(id)
            .ok_or_else(|| if id.is_empty() { bad("the key id is empty") } else { self.unknown_key(id) })
    }

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
        let id = shown(id);
        Fault::new(
            Reason::UnknownKey,
            format!("key id {id} is not in the keyring, which has {count} {plural} ({such_as}{known}): add it there"),
        )
    }
}

/// The first `bytes` of the scratch, which only ever grows: what it holds is written over before it is read.
fn room(scratch: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if scratch.len() < bytes {
        scratch.resize(bytes, 0);
    }
    &mut scratch[..bytes]
}

type Nonce = [u8; NONCE_BYTES];
type Tag = [u8; TAG_BYTES];

/// Nonce, ciphertext and tag.
fn split_packed(packed: &[u8]) -> Option<(&Nonce, &[u8], &Tag)> {
    let (nonce, rest) = packed.split_first_chunk()?;
    let (text, tag) = rest.split_last_chunk()?;
    Some((nonce, text, tag))
}

fn split_packed_mut(packed: &mut [u8]) -> Option<(&Nonce, &mut [u8], &Tag)> {
    let (nonce, rest) = packed.split_first_chunk_mut()?;
    let (text, tag) = rest.split_last_chunk_mut()?;
    Some((nonce, text, tag))
}

fn decode_nonce(text: &[u8], name: &str) -> Result<Nonce, Fault> {
    /// Base64 of the 12 bytes; one quantum more is decoded to tell too long from malformed.
    const TEXT_BYTES_MAX: usize = NONCE_BYTES / 3 * 4 + 4;
    let wrong_length = || bad(format!("the nonce in \"{name:.64}\" must have {NONCE_BYTES} bytes before base64"));
    let mut nonce = [0; base64::decoded_bytes_max(TEXT_BYTES_MAX)];
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong_length());
    }
    let nonce_bytes = base64::decode(text, &mut nonce).map_err(|wrong| bad_field(name, wrong))?;
    nonce[..nonce_bytes].try_into().map_err(|_| wrong_length())
}

fn bad(detail: impl Into<String>) -> Fault {
    Fault::new(Reason::BadEnvelope, detail)
}

fn bad_field(name: &str, wrong: base64::BadBase64) -> Fault {
    bad(format!("bad base64 in \"{name:.64}\" at its character {}: {}", wrong.offset, wrong.what))
}

fn too_short(what: &str, found: usize, needed: usize) -> Fault {
    bad(format!("{found} bytes are too few for {what}, which take {needed}: the record is cut short"))
}

fn tag_mismatch(key: &Key) -> Fault {
    let (id, cipher) = (key.id(), key.cipher().name());
    Fault::new(Reason::TagMismatch, format!("wrong key or changed bytes; key id {id}, {cipher}"))
}

/// An id from a record, for an error: escaped and cut.
fn shown(id: &[u8]) -> String {
    if id.len() <= KEY_ID_BYTES_MAX {
        format!("\"{}\"", id.escape_ascii())
    } else {
        format!("\"{}\"... ({} bytes)", id[..KEY_ID_BYTES_MAX].escape_ascii(), id.len())
    }
}

#[cfg(test)]
mod tests;
