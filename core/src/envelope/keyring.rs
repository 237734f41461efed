//! The keyring: the keys that open envelopes, by id.
//!
//! Secrets are read once, expanded into the library's key schedule and wiped. No error names anything that was read
//! except a line: whoever mixes up `id` and `secret` in the file must not find the secret in a log. The expanded
//! keys live in memory that `aws-lc` clears when it frees it, and `Debug` shows ids and ciphers only.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::{NONCE_BYTES, TAG_BYTES, base64};
use crate::limits::{KEY_ID_BYTES_MAX, KEYS_MAX};
use crate::place::{line_at, suggestion};

/// Longest secret of a cipher, bytes.
const SECRET_BYTES_MAX: usize = 32;
/// Longest base64 text that is decoded at all, so that a secret's place on the stack has a fixed size.
const SECRET_TEXT_BYTES_MAX: usize = 4 * SECRET_BYTES_MAX;
/// What a `[[key]]` table has, all of it required.
const KEY_FIELDS: [&str; 3] = ["id", "cipher", "secret"];

/// An authenticated cipher. Nonces have 12 bytes, tags 16, there is no associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM with a secret of 16 bytes (NIST SP 800-38D).
    Aes128Gcm,
    /// AES-GCM with a secret of 32 bytes (NIST SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305, a secret of 32 bytes (RFC 8439).
    ChaCha20Poly1305,
}

impl Cipher {
    /// All ciphers.
    pub const ALL: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    /// Name in a keyring.
    pub const fn name(self) -> &'static str {
        match self {
            Cipher::Aes128Gcm => "aes-128-gcm",
            Cipher::Aes256Gcm => "aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// Bytes of its secret.
    pub fn secret_bytes(self) -> usize {
        self.algorithm().key_len()
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Cipher::Aes128Gcm => &AES_128_GCM,
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

impl FromStr for Cipher {
    type Err = KeyringProblem;

    fn from_str(name: &str) -> Result<Self, KeyringProblem> {
        Cipher::ALL
            .into_iter()
            .find(|cipher| cipher.name() == name)
            .ok_or_else(|| KeyringProblem::Cipher { suggestion: suggestion(name, Cipher::ALL.map(Cipher::name)) })
    }
}

/// A key, ready to open with.
pub struct Key {
    id: Box<str>,
    cipher: Cipher,
    expanded: LessSafeKey,
}

impl Key {
    /// Id, as envelopes name it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its cipher.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Decrypts `text` in place if the tag is right; otherwise what is left in `text` is worthless.
    pub(super) fn open(&self, nonce: [u8; NONCE_BYTES], tag: &[u8; TAG_BYTES], text: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.expanded.open_in_place_separate_tag(nonce, Aad::empty(), tag, text).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.id, self.cipher.name())
    }
}

/// The keys by id: at least one, at most [`KEYS_MAX`].
#[derive(Debug)]
pub struct Keyring {
    /// Sorted by id. A binary search over a handful of short ids costs a few nanoseconds and, unlike a memo of the key
    /// used last, nothing that workers would have to share.
    keys: Vec<Key>,
}

impl Keyring {
    /// Reads a keyring: TOML of `[[key]]` tables with `id`, `cipher` and `secret` (base64).
    ///
    /// `origin` is what errors call the text: a file's path, or the name of an environment variable.
    ///
    /// # Errors
    /// The first thing wrong with it, with its line; never a byte of what stands there.
    pub fn parse(toml_text: &str, origin: &str) -> Result<Keyring, KeyringError> {
        parse_keys(toml_text).map(|keys| Keyring { keys }).map_err(|(offset, problem)| KeyringError {
            origin: origin.to_owned(),
            line: offset.map(|offset| line_at(toml_text, offset)),
            problem,
        })
    }

    /// The key of that id.
    pub fn get(&self, id: &[u8]) -> Option<&Key> {
        let index = self.keys.binary_search_by(|key| key.id.as_bytes().cmp(id)).ok()?;
        Some(&self.keys[index])
    }

    /// All keys, by id.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// Why a keyring cannot be used. Printing it is safe: it holds no text of the keyring.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct KeyringError {
    /// The file or environment variable.
    pub origin: String,
    /// Line in it, from 1, if it is about a place.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: KeyringProblem,
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.origin, self.problem),
            None => write!(f, "{}: {}", self.origin, self.problem),
        }
    }
}

/// What is wrong with a keyring, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyringProblem {
    /// Not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// No key at all.
    #[error("no keys: add a [[key]] table with `id`, `cipher` and `secret`")]
    Empty,
    /// More than [`KEYS_MAX`].
    #[error("more than {KEYS_MAX} keys: remove those that no log uses any more")]
    TooMany,
    /// Something beside `[[key]]`.
    #[error("unknown name{0}: a keyring has [[key]] tables and nothing else")]
    UnknownTopLevel(String),
    /// `[key]` instead of `[[key]]`, or `key = ...`.
    #[error("`key` must be a table in double brackets, [[key]], once for each key")]
    NotTables,
    /// A field that a key does not have.
    #[error("unknown field{0}: a [[key]] has `id`, `cipher` and `secret`")]
    UnknownField(String),
    /// A required field is absent.
    #[error("this [[key]] has no `{0}`: add it")]
    MissingField(&'static str),
    /// A field is not a string.
    #[error("`{field}` must be a string in quotes, not a TOML {found}")]
    NotString {
        /// The field.
        field: &'static str,
        /// What it is in TOML.
        found: &'static str,
    },
    /// An id that envelopes could not carry.
    #[error("`id` must be 1 to {KEY_ID_BYTES_MAX} printable ASCII characters without space, tab or quotes")]
    Id,
    /// Two keys of one id.
    #[error("`id` is the same as on line {first_line}: give each key its own")]
    DuplicateId {
        /// Line of the other one.
        first_line: usize,
    },
    /// A cipher that is not known.
    #[error("unknown `cipher`{suggestion}: it must be aes-128-gcm, aes-256-gcm or chacha20-poly1305")]
    Cipher {
        /// `; did you mean ...?` or empty.
        suggestion: String,
    },
    /// The secret is not base64.
    #[error(
        "`secret` is not base64 of the standard alphabet (A-Z a-z 0-9 + /): is it cut short, or hex, or base64url?"
    )]
    SecretText,
    /// The secret's length does not fit the cipher.
    #[error(
        "{cipher} takes a `secret` of {wanted} bytes, this one has {found}: `openssl rand -base64 {wanted}` makes one"
    )]
    SecretLength {
        /// The cipher's name.
        cipher: &'static str,
        /// Bytes that it takes.
        wanted: usize,
        /// Bytes that there are.
        found: usize,
    },
}

/// A problem and the offset it is about.
type Located = (Option<usize>, KeyringProblem);

fn parse_keys(text: &str) -> Result<Vec<Key>, Located> {
    let root = DeTable::parse(text)
        .map_err(|error| (error.span().map(|span| span.start), KeyringProblem::Syntax(error.message().to_owned())))?;
    for (name, _) in root.get_ref() {
        if name.get_ref() != "key" {
            let hint = unknown_hint(name.get_ref(), &["key"]);
            return Err((Some(name.span().start), KeyringProblem::UnknownTopLevel(hint)));
        }
    }
    let tables = root.get_ref().get("key").ok_or((None, KeyringProblem::Empty))?;
    let not_tables = || (Some(tables.span().start), KeyringProblem::NotTables);
    let tables = tables.get_ref().as_array().ok_or_else(not_tables)?;
    if tables.is_empty() {
        return Err((None, KeyringProblem::Empty));
    }
    if tables.len() > KEYS_MAX {
        return Err((None, KeyringProblem::TooMany));
    }

    let mut keys: Vec<(usize, Key)> = Vec::with_capacity(tables.len());
    for table in tables.iter() {
        let fields = table.get_ref().as_table().ok_or_else(not_tables)?;
        keys.push(parse_key(fields, table.span().start)?);
    }
    keys.sort_by(|(left_at, left), (right_at, right)| left.id.cmp(&right.id).then(left_at.cmp(right_at)));
    if let Some(pair) = keys.windows(2).find(|pair| pair[0].1.id == pair[1].1.id) {
        return Err((Some(pair[1].0), KeyringProblem::DuplicateId { first_line: line_at(text, pair[0].0) }));
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// The key and the offset of its id.
fn parse_key(fields: &DeTable<'_>, table_at: usize) -> Result<(usize, Key), Located> {
    for (name, _) in fields {
        if !KEY_FIELDS.contains(&name.get_ref().as_ref()) {
            let hint = unknown_hint(name.get_ref(), &KEY_FIELDS);
            return Err((Some(name.span().start), KeyringProblem::UnknownField(hint)));
        }
    }
    let id = string_field(fields, "id", table_at)?;
    let cipher = string_field(fields, "cipher", table_at)?;
    let secret = string_field(fields, "secret", table_at)?;

    let at = |field: &Spanned<&str>, problem| (Some(field.span().start), problem);
    if !is_key_id(id.get_ref()) {
        return Err(at(&id, KeyringProblem::Id));
    }
    let cipher = cipher.get_ref().parse::<Cipher>().map_err(|problem| at(&cipher, problem))?;
    let expanded = expand(cipher, secret.get_ref()).map_err(|problem| at(&secret, problem))?;
    Ok((id.span().start, Key { id: (*id.get_ref()).into(), cipher, expanded }))
}

fn string_field<'t>(
    fields: &'t DeTable<'_>,
    field: &'static str,
    table_at: usize,
) -> Result<Spanned<&'t str>, Located> {
    let value = fields.get(field).ok_or((Some(table_at), KeyringProblem::MissingField(field)))?;
    match value.get_ref() {
        DeValue::String(text) => Ok(Spanned::new(value.span(), text.as_ref())),
        other => Err((Some(value.span().start), KeyringProblem::NotString { field, found: other.type_str() })),
    }
}

fn is_key_id(id: &str) -> bool {
    let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\'';
    (1..=KEY_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(printable)
}

/// The library's key schedule for a secret in base64. The decoded secret is wiped.
fn expand(cipher: Cipher, secret: &str) -> Result<LessSafeKey, KeyringProblem> {
    let wrong_length =
        |found| KeyringProblem::SecretLength { cipher: cipher.name(), wanted: cipher.secret_bytes(), found };
    if secret.len() > SECRET_TEXT_BYTES_MAX {
        return Err(wrong_length(secret.trim_end_matches('=').len() * 3 / 4));
    }
    let mut bytes = Zeroizing::new([0; base64::decoded_bytes_max(SECRET_TEXT_BYTES_MAX)]);
    let found = base64::decode(secret.as_bytes(), &mut bytes[..]).map_err(|_| KeyringProblem::SecretText)?;
    let key = UnboundKey::new(cipher.algorithm(), &bytes[..found]).map_err(|_| wrong_length(found))?;
    Ok(LessSafeKey::new(key))
}

/// ` \`name\`` with a suggestion, for a name that is too short to be a secret put in the wrong place; else nothing.
fn unknown_hint(name: &str, known: &[&str]) -> String {
    /// The shortest secret has 22 characters of base64.
    const SHOWN_BYTES_MAX: usize = 16;
    if name.len() > SHOWN_BYTES_MAX {
        return String::new();
    }
    format!(" `{}`{}", name.escape_default(), suggestion(name, known.iter().copied()))
}

#[cfg(test)]
mod tests;
