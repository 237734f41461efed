//! Dead letters: records that could not be loaded, kept whole with their reason and position.

use std::fmt;
use std::sync::Arc;

/// Why a record could not be loaded. A closed list: operators count and alert by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Not a JSON object by RFC 8259; the detail names the offset in the record.
    BadJson,
    /// JSON nested deeper than [`crate::limits::JSON_DEPTH_MAX`].
    TooDeep,
    /// Bytes that are not UTF-8.
    BadUtf8,
    /// A line that is not of the declared access-log, CSV or TSV format.
    BadLine,
    /// A required field is absent or null.
    MissingField,
    /// A field's value does not fit its column's type by the stated rules.
    TypeMismatch,
    /// The event time is further from the moment at which the slice was cut than the config allows.
    EventTime,
    /// The envelope is malformed: no key id, bad base64, too short.
    BadEnvelope,
    /// The envelope names a key that the keyring does not have.
    UnknownKey,
    /// The authentication tag does not match: wrong key or changed bytes.
    TagMismatch,
    /// The product dictionary does not have the record's product.
    UnknownProduct,
    /// Longer than the record limit.
    TooLong,
    /// The source ended inside the record, such as a compressed file cut short.
    TruncatedInput,
    /// A length-prefixed frame is cut short or its length cannot be right.
    TruncatedFrame,
    /// What the record is stored in refuses its row, such as by a constraint that somebody put on the table.
    Rejected,
}

impl Reason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Reason; 15] = [
        Reason::BadJson,
        Reason::TooDeep,
        Reason::BadUtf8,
        Reason::BadLine,
        Reason::MissingField,
        Reason::TypeMismatch,
        Reason::EventTime,
        Reason::BadEnvelope,
        Reason::UnknownKey,
        Reason::TagMismatch,
        Reason::UnknownProduct,
        Reason::TooLong,
        Reason::TruncatedInput,
        Reason::TruncatedFrame,
        Reason::Rejected,
    ];

    /// Name in the dead-letter table and in reports, `snake_case`.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::BadJson => "bad_json",
            Reason::TooDeep => "too_deep",
            Reason::BadUtf8 => "bad_utf8",
            Reason::BadLine => "bad_line",
            Reason::MissingField => "missing_field",
            Reason::TypeMismatch => "type_mismatch",
            Reason::EventTime => "event_time",
            Reason::BadEnvelope => "bad_envelope",
            Reason::UnknownKey => "unknown_key",
            Reason::TagMismatch => "tag_mismatch",
            Reason::UnknownProduct => "unknown_product",
            Reason::TooLong => "too_long",
            Reason::TruncatedInput => "truncated_input",
            Reason::TruncatedFrame => "truncated_frame",
            Reason::Rejected => "rejected",
        }
    }

    /// What to look at where many records have it, a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Reason::BadJson => {
                "the records are not JSON objects: check `decode.format`, and `decode.envelope` if they are sealed"
            }
            Reason::TooDeep => "the records are nested too deeply: have the producer flatten them",
            Reason::BadUtf8 => {
                "the records are not UTF-8: are they sealed, compressed once more, or in another encoding?"
            }
            Reason::BadLine => {
                "the lines are not of the format: check `decode.format`, and the header line of CSV and TSV"
            }
            Reason::MissingField => "check the column's `path`; a field that records may lack is not to be `required`",
            Reason::TypeMismatch => "check the column's `type` and `format` against what the records have",
            Reason::BadEnvelope => "check `decode.envelope`: is this its layout, and are these records sealed at all?",
            Reason::UnknownKey => "add the key that the detail names to the keyring",
            Reason::TagMismatch => {
                "the keyring's key is not the one that they were sealed with, or their bytes were changed"
            }
            Reason::UnknownProduct => {
                "add the product to the dictionary, or say `unknown = \"default\"` under [products]"
            }
            Reason::TooLong => "raise `decode.record_bytes_max`, or check that the records end where the format says",
            Reason::TruncatedInput => "the input was cut short: fetch it again",
            Reason::TruncatedFrame => "check `decode.envelope.layout`: are these frames with a length in front?",
            Reason::EventTime => {
                "check the producer's clock and the unit of the event time's column; `future_max` and `past_max` under [table] \
                 say what is taken"
            }
            Reason::Rejected => "a constraint or a column of the events table refuses them: the detail names it",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one record, before its position is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From the closed list.
    pub reason: Reason,
    /// The column at fault, where there is one.
    pub column: Option<Arc<str>>,
    /// For the operator, at most [`crate::limits::DEAD_LETTER_DETAIL_BYTES`]; never a decrypted value of a masked column.
    pub detail: String,
}

impl Fault {
    /// A fault that no single column is to blame for.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Fault { reason, column: None, detail: detail.into() }
    }
}

/// A record that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Position among the slice's records, from 0.
    pub row: u32,
    /// Offset of the record in its source, bytes; of a frame, that of its length prefix, which `length` and `record`
    /// leave out.
    pub offset: u64,
    /// Length of the record in its source, bytes, without its line ending.
    pub length: u64,
    /// What is wrong.
    pub fault: Fault,
    /// The record's bytes as they were in the source (still sealed, if it was); its first bytes if it was too long.
    pub record: Vec<u8>,
}
