//! Conversion: from a field's text to a typed value, by the rules stated in `docs/columns.md`.
//!
//! Strict where it protects sums (nothing is rounded, wrapped or clamped), lenient where logs are (numbers in quotes,
//! numbers for strings). A module for each family of types; each conversion is a function from [`Value`] to the value
//! that the column stores, or to the [`Cause`] why it cannot.

mod civil;
pub(super) mod decimal;
pub(crate) mod net;
pub(super) mod number;
mod pattern;
pub(crate) mod quick;
pub(super) mod time;

use super::mismatch::Cause;
use super::value::Value;

/// The text of a value that is written as text or as a number.
#[inline]
fn written(value: Value<'_>) -> Result<&str, Cause> {
    match value {
        Value::Number(text) | Value::String(text) | Value::Text(text) => Ok(text),
        Value::Absent | Value::Null | Value::Bool(_) | Value::Json(_) => Err(Cause::Kind),
    }
}

/// A text column's value: strings as they are, numbers and booleans as they were written.
#[inline]
pub(super) fn text(value: Value<'_>) -> Result<&str, Cause> {
    match value {
        Value::Bool(true) => Ok("true"),
        Value::Bool(false) => Ok("false"),
        other => written(other),
    }
}

/// A JSON column's value: the JSON as written. Text of formats without types must be JSON itself.
pub(super) fn json(value: Value<'_>) -> Result<&str, Cause> {
    match value {
        Value::Json(raw) | Value::Number(raw) => Ok(raw),
        Value::Bool(_) => text(value),
        Value::Text(raw) => crate::json::validate(raw.as_bytes()).map(|()| raw).map_err(|_| Cause::Form),
        // Unescaped, so no longer JSON: formats give strings for JSON columns raw.
        Value::String(_) | Value::Absent | Value::Null => Err(Cause::Kind),
    }
}

/// A boolean: `true`, `false`, `1` or `0`, bare or in quotes; the words in any case.
#[inline]
pub(super) fn boolean(value: Value<'_>) -> Result<bool, Cause> {
    let text = match value {
        Value::Bool(value) => return Ok(value),
        other => written(other)?,
    };
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ if matches!(value, Value::Number(_)) => Err(Cause::Range),
        _ => Err(Cause::Form),
    }
}

#[cfg(test)]
mod tests;
