//! Why a value does not go into a column, in words an operator can act on.
//!
//! Conversions say a [`Cause`]; the column, which knows its name, its type and whether it has a mask, makes a
//! [`Mismatch`] of it. The value of a column with a mask is never shown, and no value of a config that seals or masks
//! ([`Shown`]).

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use super::value::Value;
use super::{ColumnType, TimeFormat, TimePrecision};
use crate::dead_letter::{Fault, Reason};
use crate::limits::{DEAD_LETTER_DETAIL_BYTES, LIST_ITEMS_MAX};

/// Bytes of a value that are shown (one more character and an ellipsis may follow).
const SHOWN_BYTES: usize = 80;

/// A value that did not go into its column: a fault of the record.
///
/// One pointer, so that the `Result` of a push stays in a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(Box<Fault>);

impl Mismatch {
    /// The fault: [`Reason::MissingField`], [`Reason::TypeMismatch`] or [`Reason::EventTime`], with the column and the detail.
    pub fn into_fault(self) -> Fault {
        *self.0
    }

    /// A required field that the record does not have; `found` says what it has instead.
    #[cold]
    pub(super) fn missing(column: &Arc<str>, found: Value<'_>) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Absent => "absent",
            _ => "empty",
        };
        let detail = format!("the field is {found}, and the column is required");
        Mismatch(Box::new(Fault { reason: Reason::MissingField, column: Some(column.clone()), detail }))
    }

    /// An event time that is possible, and too far away.
    #[cold]
    pub(super) fn beyond(column: &Arc<str>, detail: String) -> Self {
        Mismatch(Box::new(Fault { reason: Reason::EventTime, column: Some(column.clone()), detail }))
    }

    /// A value that the rules of the column's type do not accept.
    #[cold]
    pub(super) fn wrong(column: &Arc<str>, ty: &ColumnType, shown: Shown, found: Value<'_>, cause: Cause) -> Self {
        let mut detail = match shown.reason_not_to() {
            Some(why) => format!("{} (not shown, {why}) {cause}; the column wants {}", kind(found), Wanted(ty)),
            None => describe(ty, found, cause),
        };
        cut(&mut detail, DEAD_LETTER_DETAIL_BYTES);
        Mismatch(Box::new(Fault { reason: Reason::TypeMismatch, column: Some(column.clone()), detail }))
    }
}

impl From<Mismatch> for Fault {
    fn from(mismatch: Mismatch) -> Self {
        mismatch.into_fault()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { reason, column, detail } = &*self.0;
        write!(f, "{reason} in column {}: {detail}", column.as_deref().unwrap_or_default())
    }
}

impl std::error::Error for Mismatch {}

/// Whether a reason may show the value that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It may.
    Value,
    /// The column has a mask.
    Masked,
    /// Records are sealed, or another column has a mask: what stands in the wrong field may be what is masked in its own.
    Hidden,
}

impl Shown {
    fn reason_not_to(self) -> Option<&'static str> {
        match self {
            Shown::Value => None,
            Shown::Masked => Some("the column has a mask"),
            Shown::Hidden => Some("records are sealed or have masked columns"),
        }
    }
}

/// What is wrong with a value, seen from its type's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A kind of value that the type never takes, such as an object for an integer.
    Kind,
    /// Text that does not follow the type's grammar.
    Form,
    /// A value that the type cannot hold because of its size.
    Range,
    /// A time that no minute of a rollup can hold.
    EventRange,
    /// A possible event time, too far from the moment at which the slice was cut.
    Beyond,
    /// Digits after the point that the type cannot hold.
    Fraction,
    /// A null in a list.
    NullItem,
    /// A list of more than [`LIST_ITEMS_MAX`] items.
    ListLength,
    /// The column of this batch would exceed what 32-bit offsets can address.
    BatchFull,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Kind => f.write_str("has the wrong type"),
            Cause::Form => f.write_str("does not have the right form"),
            Cause::Range => f.write_str("is out of range"),
            Cause::EventRange => {
                f.write_str("cannot be the event time, which is from 1970-01-01 to 2106-02-07T06:28:15Z")
            }
            Cause::Beyond => f.write_str("is too far from now"),
            Cause::Fraction => f.write_str("has digits after the point that cannot be kept"),
            Cause::NullItem => f.write_str("stands in a list, which cannot hold it"),
            Cause::ListLength => write!(f, "is one item too many, a list holds at most {LIST_ITEMS_MAX}"),
            Cause::BatchFull => f.write_str("is too much, the column has reached 2 GiB in this slice"),
        }
    }
}

/// What was found, what is wrong with it, and what a column of this type takes.
pub(super) fn describe(ty: &ColumnType, found: Value<'_>, cause: Cause) -> String {
    format!("{} {cause}; the column wants {}", show(found), Wanted(ty))
}

/// What a column of this type takes, for people.
struct Wanted<'a>(&'a ColumnType);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ColumnType::String | ColumnType::LowCardinality => f.write_str("text (declare it json to keep any value)"),
            ColumnType::I8 => f.write_str("an integer from -128 to 127"),
            ColumnType::I16 => f.write_str("an integer from -32768 to 32767"),
            ColumnType::I32 => f.write_str("an integer from -2^31 to 2^31-1"),
            ColumnType::I64 => f.write_str("an integer from -2^63 to 2^63-1"),
            ColumnType::U8 => f.write_str("an integer from 0 to 255"),
            ColumnType::U16 => f.write_str("an integer from 0 to 65535"),
            ColumnType::U32 => f.write_str("an integer from 0 to 2^32-1"),
            ColumnType::U64 => f.write_str("an integer from 0 to 2^64-1"),
            ColumnType::F32 => f.write_str("a number within the range of f32"),
            ColumnType::F64 => f.write_str("a number within the range of f64"),
            ColumnType::Decimal { precision, scale } => {
                let whole = precision - scale;
                write!(f, "a number of at most {whole} digits before the point and {scale} after it")
            }
            ColumnType::Bool => f.write_str("true, false, 1 or 0"),
            ColumnType::Timestamp { precision, format } => wanted_time(f, *precision, format),
            ColumnType::Date { format: None } => f.write_str("a day such as 2026-11-20, years 1900 to 2299"),
            ColumnType::Date { format: Some(pattern) } => {
                write!(f, "a day written as \"{pattern}\", years 1900 to 2299")
            }
            ColumnType::Ipv4 => f.write_str("an IPv4 address such as 192.0.2.1"),
            ColumnType::Ipv6 => f.write_str("an IPv6 or IPv4 address such as 2001:db8::1"),
            ColumnType::Uuid => f.write_str("a UUID such as 00112233-4455-6677-8899-aabbccddeeff"),
            ColumnType::Json => f.write_str("a JSON value"),
            ColumnType::List(item) => write!(f, "a JSON array, each item {}", Wanted(item)),
        }
    }
}

fn wanted_time(f: &mut fmt::Formatter<'_>, precision: TimePrecision, format: &TimeFormat) -> fmt::Result {
    match format {
        TimeFormat::Epoch(unit) => write!(f, "{} since 1970-01-01T00:00:00Z", unit_name(*unit))?,
        TimeFormat::Rfc3339 => f.write_str("a time with its offset such as 2026-11-20T08:00:00.123+08:00")?,
        TimeFormat::Pattern { pattern, .. } => write!(f, "a time written as \"{pattern}\"")?,
    }
    f.write_str(match precision {
        TimePrecision::Nanos => ", years 1900 to 2262",
        _ => ", years 1900 to 2299",
    })
}

const fn unit_name(unit: TimePrecision) -> &'static str {
    match unit {
        TimePrecision::Seconds => "seconds",
        TimePrecision::Millis => "milliseconds",
        TimePrecision::Micros => "microseconds",
        TimePrecision::Nanos => "nanoseconds",
    }
}

/// What kind of value it is, without the value.
fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Absent => "nothing",
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Json(text) => match text.as_bytes().first() {
            Some(b'[') => "an array",
            Some(b'{') => "an object",
            _ => "a JSON value",
        },
        Value::Text(_) => "the text",
    }
}

/// The value, escaped and cut.
fn show(value: Value<'_>) -> String {
    let mut shown = String::with_capacity(SHOWN_BYTES + 32);
    match value {
        Value::Absent | Value::Null => shown.push_str(kind(value)),
        Value::Bool(value) => shown.push_str(if value { "the boolean true" } else { "the boolean false" }),
        Value::Number(text) => excerpt(&mut shown, "the number ", text, ""),
        Value::String(text) => excerpt(&mut shown, "the string \"", text, "\""),
        Value::Text(text) => excerpt(&mut shown, "the text \"", text, "\""),
        Value::Json(text) => {
            let what = match text.as_bytes().first() {
                Some(b'[') => "the array ",
                Some(b'{') => "the object ",
                _ => "the JSON value ",
            };
            excerpt(&mut shown, what, text, "");
        }
    }
    shown
}

/// Appends the head of `text` between `before` and `after`; what cannot be printed, or would end the quotes, is escaped.
fn excerpt(out: &mut String, before: &str, text: &str, after: &str) {
    out.push_str(before);
    let end = out.len() + SHOWN_BYTES;
    for c in text.chars() {
        if out.len() >= end {
            out.push('…');
            break;
        }
        if c == '\'' || (after.is_empty() && matches!(c, '"' | '\\')) {
            out.push(c);
        } else {
            write!(out, "{}", c.escape_debug()).expect("writing to a String cannot fail");
        }
    }
    out.push_str(after);
}

/// Cuts to at most `bytes`, at a character.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests;
