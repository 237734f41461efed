//! Columns: their declaration, and (in the modules below) how a record's values become typed Arrow columns.

pub mod arrow;
pub mod builder;
pub(crate) mod convert;
pub mod event_bounds;
pub mod layout;
pub mod mask;
pub mod mismatch;
pub mod path;
pub(crate) mod reused;
pub mod span;
pub mod value;

use std::sync::Arc;

pub use path::{Path, PathError, Step};

/// A column as declared and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    /// An SQL identifier, unique, not starting with `_`.
    pub name: Arc<str>,
    /// Type of the column.
    pub ty: ColumnType,
    /// Where the value stands in a record.
    pub path: Path,
    /// The value of records that lack the field, as text that was checked to fit the type.
    pub default: Option<String>,
    /// Absent and null become null.
    pub nullable: bool,
    /// Absent and null are dead letters.
    pub required: bool,
    /// What happens to the value before it is stored.
    pub mask: Option<Mask>,
}

/// Type of a column. In ClickHouse: `String`, `LowCardinality(String)`, `Int8`..`UInt64`, `Float32/64`, `Decimal(p, s)`,
/// `Bool`, `DateTime64(p, 'UTC')`, `Date32`, `IPv4`, `IPv6`, `UUID`, `String`, `Array(T)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// UTF-8 text of few distinct values, dictionary encoded.
    LowCardinality,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// IEEE 754 single, the nearest to the text.
    F32,
    /// IEEE 754 double, the nearest to the text.
    F64,
    /// Exact decimal: `1 <= precision <= 38`, `scale <= precision`.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// True or false.
    Bool,
    /// A point in time.
    Timestamp {
        /// Resolution that is stored.
        precision: TimePrecision,
        /// How it is written in the record.
        format: TimeFormat,
    },
    /// A calendar day.
    Date {
        /// `None`: `YYYY-MM-DD`; otherwise a `strptime` pattern.
        format: Option<String>,
    },
    /// IPv4 address.
    Ipv4,
    /// IPv6 address; an IPv4 address becomes `::ffff:a.b.c.d`.
    Ipv6,
    /// UUID.
    Uuid,
    /// Any JSON value, kept as the text it had in the record.
    Json,
    /// A list of a scalar (any type above but `Json`, `LowCardinality` included as plain text).
    List(Box<ColumnType>),
}

/// Resolution of a stored timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePrecision {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds: the years 1900 to 2262 only.
    Nanos,
}

impl TimePrecision {
    /// Digits after the second: 0, 3, 6, 9.
    pub const fn digits(self) -> u8 {
        match self {
            TimePrecision::Seconds => 0,
            TimePrecision::Millis => 3,
            TimePrecision::Micros => 6,
            TimePrecision::Nanos => 9,
        }
    }
}

/// How a timestamp is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds, milliseconds, microseconds or nanoseconds since 1970-01-01T00:00:00Z, fractions allowed.
    Epoch(TimePrecision),
    /// RFC 3339, such as `2026-11-20T08:00:00.123+08:00`; a space instead of `T` is accepted.
    Rfc3339,
    /// A `strptime` pattern; where it has no offset, `zone` says what it means.
    Pattern {
        /// `strptime` pattern in jiff's terms, such as `%d/%b/%Y:%H:%M:%S %z`.
        pattern: String,
        /// IANA zone, such as `Asia/Shanghai`; UTC if none was given.
        zone: String,
    },
}

/// What happens to a value before it is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Mask {
    /// The first 128 bits of HMAC-SHA-256 keyed by the salt, in hex: equal values stay equal. String columns.
    Hash {
        /// Secret; never shown.
        salt: Vec<u8>,
    },
    /// `***` for strings, the zero value otherwise.
    Redact,
    /// The first characters (Unicode scalar values) of a string.
    Truncate {
        /// How many.
        chars: usize,
    },
    /// The leading bits of an address, the rest zero.
    IpPrefix {
        /// Bits kept of an IPv4 address, at most 32.
        v4: u8,
        /// Bits kept of an IPv6 address, at most 128.
        v6: u8,
    },
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mask::Hash { .. } => f.write_str("Hash { salt: <secret> }"),
            Mask::Redact => f.write_str("Redact"),
            Mask::Truncate { chars } => write!(f, "Truncate {{ chars: {chars} }}"),
            Mask::IpPrefix { v4, v6 } => write!(f, "IpPrefix {{ v4: {v4}, v6: {v6} }}"),
        }
    }
}
