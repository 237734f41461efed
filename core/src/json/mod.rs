//! JSON records: RFC 8259 checked in full, the declared fields found in one pass.
//!
//! A record is one object in UTF-8. A [`Plan`] is compiled once from the declared paths; [`Plan::extract`] walks a
//! record once, without recursion beyond the depth of the declared paths, and leaves for each column where its value
//! stands ([`Slots`]). Nothing is converted here: a found value is a [`RawValue`], text whose grammar has been checked.
//!
//! What holds for every record:
//! * Skipping a value checks it. A record is accepted only if all of it is JSON, whatever the columns are.
//! * Text must be UTF-8, escapes included: half a surrogate pair (`\ud800` alone) is an error, since no UTF-8 text can
//!   stand for it. RFC 8259 leaves it open.
//! * Of equal keys in an object the last one counts, and all of its value: `{"a":{"b":1},"a":{}}` has no `a.b`.
//! * Keys are compared unescaped: `"\u0074s"` is `ts`.
//! * More than [`JSON_DEPTH_MAX`] levels of arrays and objects are refused.
//! * Time is linear in the record's length.

mod extract;
mod plan;
mod raw;
mod scan;
pub(crate) mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin_tests;

use std::fmt;

pub use self::extract::Slots;
pub use self::plan::Plan;
pub use self::raw::{Elements, Kind, RawValue};

use crate::dead_letter::{Fault, Reason};
use crate::limits::JSON_DEPTH_MAX;

/// Why a text is not a JSON document, or not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Position of the first byte that cannot be right, from 0.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: JsonErrorKind,
}

/// What is wrong with a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The grammar asks for something else.
    Expected {
        /// What it asks for.
        what: &'static str,
        /// What stands there; `None`: the text ends.
        found: Option<u8>,
    },
    /// The grammar asks for this; what stands there instead is not said.
    Unexpected(&'static str),
    /// A character below U+0020 in a string; it must be escaped.
    ControlCharacter(u8),
    /// The same; which one is not said.
    SomeControlCharacter,
    /// Half a surrogate pair.
    LoneSurrogate,
    /// Not UTF-8.
    Utf8,
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    TooDeep,
}

impl JsonError {
    #[cold]
    fn expected(bytes: &[u8], offset: usize, what: &'static str) -> Self {
        JsonError { offset, kind: JsonErrorKind::Expected { what, found: bytes.get(offset).copied() } }
    }

    /// The same without the byte of the text that it names: it may be one of a value that nobody must read.
    pub fn without_bytes(self) -> JsonError {
        let kind = match self.kind {
            JsonErrorKind::Expected { what, .. } => JsonErrorKind::Unexpected(what),
            JsonErrorKind::ControlCharacter(_) => JsonErrorKind::SomeControlCharacter,
            other => other,
        };
        JsonError { kind, ..self }
    }

    /// The reason under which a record with this error is kept.
    pub fn reason(&self) -> Reason {
        match self.kind {
            JsonErrorKind::Utf8 => Reason::BadUtf8,
            JsonErrorKind::TooDeep => Reason::TooDeep,
            _ => Reason::BadJson,
        }
    }
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        Fault::new(error.reason(), error.to_string())
    }
}

impl std::error::Error for JsonError {}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset;
        match self.kind {
            JsonErrorKind::Expected { what, found } => {
                write!(f, "bad JSON at byte {offset}: expected {what}, found {}", Found(found))
            }
            JsonErrorKind::Unexpected(what) => write!(f, "bad JSON at byte {offset}: expected {what}"),
            JsonErrorKind::SomeControlCharacter => {
                write!(f, "bad JSON at byte {offset}: a control character in a string must be escaped")
            }
            JsonErrorKind::ControlCharacter(byte) => {
                write!(f, "bad JSON at byte {offset}: control character 0x{byte:02X} in a string must be escaped")
            }
            JsonErrorKind::LoneSurrogate => {
                write!(f, "bad JSON at byte {offset}: half of a surrogate pair, which no UTF-8 text can hold")
            }
            JsonErrorKind::Utf8 => write!(f, "not UTF-8 at byte {offset}"),
            JsonErrorKind::TooDeep => {
                write!(f, "nested deeper than {JSON_DEPTH_MAX} levels at byte {offset}")
            }
        }
    }
}

/// A byte, or the end, as an error message shows it.
struct Found(Option<u8>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("the end"),
            Some(byte @ 0x20..=0x7E) => write!(f, "'{}'", char::from(byte)),
            Some(byte) => write!(f, "byte 0x{byte:02X}"),
        }
    }
}

/// Checks that `document` is one JSON document of any kind, at most [`JSON_DEPTH_MAX`] levels deep, in UTF-8.
pub fn validate(document: &[u8]) -> Result<(), JsonError> {
    check_utf8(document)?;
    let start = scan::whitespace(document, 0);
    let end = scan::value(document, start, 0)?;
    scan::end(document, end)
}

/// The text of a record, or the position at which it stops being UTF-8.
pub fn check_utf8(record: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(record).map_err(|error| JsonError { offset: error.valid_up_to(), kind: JsonErrorKind::Utf8 })
}
