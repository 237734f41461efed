//! Sealing a record and wrapping it.
//!
//! Nonces are 32 bits of the seed and the record's index, so one file never repeats one. Two files with the
//! same seed and other options do: one more reason why these keys are for tests only.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keyring::{Key, Keyring};
use crate::options::{Cipher, Envelope};
use crate::record::Defect;
use crate::rng::mix;

const NONCE_SALT: u64 = 0x6e6f_6e63;
/// In no keyring that loggen makes.
const UNKNOWN_KEY_ID: &str = "k-lost";
/// Not in base64's alphabet.
const NOT_BASE64: u8 = b'!';

/// All keys, ready to seal.
pub(crate) struct Sealer {
    keys: Vec<(String, LessSafeKey)>,
    envelope: Envelope,
    nonce_prefix: [u8; 4],
}

/// A sealed record before it is wrapped.
struct Sealed<'a> {
    key_id: &'a str,
    /// nonce | ciphertext | tag
    bytes: &'a [u8],
    /// To be wrapped wrongly.
    malformed: bool,
}

impl Sealer {
    pub(crate) fn new(keyring: &Keyring, envelope: Envelope, seed: u64) -> Sealer {
        let [a, b, c, d, ..] = mix(seed, NONCE_SALT).to_be_bytes();
        Sealer {
            keys: keyring.keys.iter().map(|key| (key.id.clone(), ready(key))).collect(),
            envelope,
            nonce_prefix: [a, b, c, d],
        }
    }

    /// Makes room in an empty `buffer` for what comes before the record's bytes.
    pub(crate) fn begin(&self, buffer: &mut Vec<u8>) {
        buffer.resize(NONCE_LEN, 0);
    }

    /// Seals the record that was appended to `buffer` after `begin`, and appends it to `out`, wrapped.
    /// The key follows from the record's place: record `index` of `records`.
    pub(crate) fn finish(
        &self,
        out: &mut Vec<u8>,
        buffer: &mut Vec<u8>,
        (index, records): (u64, u64),
        defect: Option<Defect>,
    ) {
        let turn = u128::from(index) * self.keys.len() as u128 / u128::from(records.max(1));
        let (key_id, key) = &self.keys[turn as usize];
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.nonce_prefix);
        nonce[4..].copy_from_slice(&index.to_be_bytes());
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut buffer[NONCE_LEN..])
            .expect("a record is far below the ciphers' limit of 64 GiB");
        buffer[..NONCE_LEN].copy_from_slice(&nonce);
        buffer.extend_from_slice(tag.as_ref());
        if defect == Some(Defect::FlippedBit) {
            let at = NONCE_LEN + index as usize % (buffer.len() - NONCE_LEN);
            buffer[at] ^= 1 << (index % 8);
        }
        let sealed = Sealed {
            key_id: if defect == Some(Defect::UnknownKey) { UNKNOWN_KEY_ID } else { key_id },
            bytes: buffer,
            malformed: defect == Some(Defect::BadEnvelope),
        };
        match self.envelope {
            Envelope::Tab => push_tab(out, &sealed),
            Envelope::Json => push_json(out, &sealed),
            Envelope::Frame => push_frame(out, &sealed),
        }
    }
}

fn ready(key: &Key) -> LessSafeKey {
    let algorithm = match key.cipher {
        Cipher::Aes128Gcm => &AES_128_GCM,
        Cipher::Aes256Gcm => &AES_256_GCM,
        Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, &key.secret).expect("the keyring has checked the length"))
}

fn push_tab(out: &mut Vec<u8>, sealed: &Sealed<'_>) {
    out.extend_from_slice(sealed.key_id.as_bytes());
    out.push(b'\t');
    push_base64(out, sealed.bytes, sealed.malformed);
}

fn push_json(out: &mut Vec<u8>, sealed: &Sealed<'_>) {
    let (nonce, data) = sealed.bytes.split_at(NONCE_LEN);
    out.extend_from_slice(b"{\"key\":\"");
    out.extend_from_slice(sealed.key_id.as_bytes());
    out.extend_from_slice(b"\",\"nonce\":\"");
    push_base64(out, nonce, false);
    out.extend_from_slice(b"\",\"data\":\"");
    push_base64(out, data, sealed.malformed);
    out.extend_from_slice(b"\"}");
}

/// A malformed frame is whole, but ends inside what should be the nonce: its neighbours can still be read.
fn push_frame(out: &mut Vec<u8>, sealed: &Sealed<'_>) {
    let bytes = if sealed.malformed { &sealed.bytes[..NONCE_LEN / 2] } else { sealed.bytes };
    let id = sealed.key_id.as_bytes();
    let length = 1 + id.len() + bytes.len();
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.push(id.len() as u8);
    out.extend_from_slice(id);
    out.extend_from_slice(bytes);
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8], malformed: bool) {
    let start = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(start + length, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("four characters for three bytes, rounded up");
    if malformed {
        out[start + length / 2] = NOT_BASE64;
    }
}
