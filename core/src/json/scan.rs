//! The grammar: functions from a position to the position after what stands there, or the error.
//!
//! All take the whole text, so that offsets in errors are positions in the record. None recurses. The text is UTF-8
//! (checked before), so bytes from 0x80 up only need to be passed over.

use super::{JsonError, JsonErrorKind};
use crate::limits::JSON_DEPTH_MAX;

const _: () = assert!(JSON_DEPTH_MAX <= u128::BITS as usize, "open brackets are kept as bits of a u128");

/// `byte` in each byte of a word.
const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH_BITS: u64 = splat(0x80);

/// The eight bytes at `pos`, the first one lowest; `None` near the end.
#[inline(always)]
fn word(bytes: &[u8], pos: usize) -> Option<u64> {
    let chunk = bytes.get(pos..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// Marks bytes that end a plain run of a string: `"`, `\`, and everything below 0x20. The lowest mark is exact; a
/// borrow can put false marks above it only.
#[inline(always)]
const fn string_marks(word: u64) -> u64 {
    let quote = word ^ splat(b'"');
    let backslash = word ^ splat(b'\\');
    let quotes = quote.wrapping_sub(splat(1)) & !quote;
    let backslashes = backslash.wrapping_sub(splat(1)) & !backslash;
    let controls = word.wrapping_sub(splat(0x20)) & !word;
    (quotes | backslashes | controls) & HIGH_BITS
}

/// Marks bytes that are not decimal digits, exactly.
#[inline(always)]
const fn non_digit_marks(word: u64) -> u64 {
    let offset = word ^ splat(b'0');
    ((offset & !HIGH_BITS).wrapping_add(splat(0x76)) | offset) & HIGH_BITS
}

/// Skips space, tab, line feed and carriage return.
#[inline(always)]
pub(super) fn whitespace(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// Checks that only whitespace follows.
pub(super) fn end(bytes: &[u8], pos: usize) -> Result<(), JsonError> {
    let pos = whitespace(bytes, pos);
    if pos == bytes.len() { Ok(()) } else { Err(JsonError::expected(bytes, pos, "nothing after the value")) }
}

/// First `"`, `\`, control character or end from `pos` on.
#[inline(always)]
pub(super) fn plain_run(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(word) = word(bytes, pos) {
        let marks = string_marks(word);
        if marks != 0 {
            return pos + marks.trailing_zeros() as usize / 8;
        }
        pos += 8;
    }
    while let Some(&byte) = bytes.get(pos) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        pos += 1;
    }
    pos
}

/// A string: from its opening quote to after its closing one, and whether it has escapes.
#[inline(always)]
pub(super) fn string(bytes: &[u8], pos: usize) -> Result<(usize, bool), JsonError> {
    let stop = plain_run(bytes, pos + 1);
    if bytes.get(stop) == Some(&b'"') {
        return Ok((stop + 1, false));
    }
    escaped_string(bytes, stop).map(|end| (end, true))
}

/// The rest of a string from its first byte that is not plain.
#[inline(never)]
fn escaped_string(bytes: &[u8], mut pos: usize) -> Result<usize, JsonError> {
    loop {
        match bytes.get(pos) {
            Some(b'"') => return Ok(pos + 1),
            Some(b'\\') => pos = escape(bytes, pos)?.1,
            Some(&byte) => return Err(JsonError { offset: pos, kind: JsonErrorKind::ControlCharacter(byte) }),
            None => return Err(JsonError::expected(bytes, pos, "'\"' at the end of a string")),
        }
        pos = plain_run(bytes, pos);
    }
}

/// An escape sequence from its backslash: the character it stands for and the position after it (after both halves of
/// a surrogate pair).
pub(super) fn escape(bytes: &[u8], pos: usize) -> Result<(char, usize), JsonError> {
    let plain = match bytes.get(pos + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(bytes, pos),
        _ => return Err(JsonError::expected(bytes, pos + 1, "one of \" \\ / b f n r t u after a backslash")),
    };
    Ok((plain, pos + 2))
}

fn unicode_escape(bytes: &[u8], pos: usize) -> Result<(char, usize), JsonError> {
    let lone = || JsonError { offset: pos, kind: JsonErrorKind::LoneSurrogate };
    let unit = hex4(bytes, pos + 2)?;
    if let Some(character) = char::from_u32(unit) {
        return Ok((character, pos + 6));
    }
    if unit >= 0xDC00 || bytes.get(pos + 6) != Some(&b'\\') || bytes.get(pos + 7) != Some(&b'u') {
        return Err(lone());
    }
    let second = hex4(bytes, pos + 8)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(lone());
    }
    let character = char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (second - 0xDC00)).ok_or_else(lone)?;
    Ok((character, pos + 12))
}

fn hex4(bytes: &[u8], pos: usize) -> Result<u32, JsonError> {
    let mut unit = 0;
    for offset in pos..pos + 4 {
        let digit = bytes.get(offset).and_then(|&byte| char::from(byte).to_digit(16));
        let digit = digit.ok_or_else(|| JsonError::expected(bytes, offset, "four hexadecimal digits after \\u"))?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

/// Skips decimal digits.
#[inline(always)]
fn digits(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(word) = word(bytes, pos) {
        let marks = non_digit_marks(word);
        if marks != 0 {
            return pos + marks.trailing_zeros() as usize / 8;
        }
        pos += 8;
    }
    while let Some(b'0'..=b'9') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// Skips decimal digits, of which there must be one.
#[inline(always)]
fn some_digits(bytes: &[u8], pos: usize, what: &'static str) -> Result<usize, JsonError> {
    let end = digits(bytes, pos);
    if end == pos { Err(JsonError::expected(bytes, pos, what)) } else { Ok(end) }
}

/// A number from its minus or first digit.
#[inline(always)]
pub(super) fn number(bytes: &[u8], mut pos: usize) -> Result<usize, JsonError> {
    if bytes.get(pos) == Some(&b'-') {
        pos += 1;
    }
    pos = match bytes.get(pos) {
        Some(b'0') => pos + 1,
        _ => some_digits(bytes, pos, "a digit in a number")?,
    };
    match bytes.get(pos) {
        Some(b'.' | b'e' | b'E') => fraction(bytes, pos),
        // A digit here follows a leading zero.
        Some(b'0'..=b'9') => Err(JsonError::expected(bytes, pos, "no digit after a leading zero")),
        _ => Ok(pos),
    }
}

/// Fraction and exponent of a number.
fn fraction(bytes: &[u8], mut pos: usize) -> Result<usize, JsonError> {
    if bytes.get(pos) == Some(&b'.') {
        pos = some_digits(bytes, pos + 1, "a digit after the point of a number")?;
    }
    if let Some(b'e' | b'E') = bytes.get(pos) {
        pos += 1;
        if let Some(b'+' | b'-') = bytes.get(pos) {
            pos += 1;
        }
        pos = some_digits(bytes, pos, "a digit in the exponent of a number")?;
    }
    Ok(pos)
}

/// `true`, `false` or `null`, whichever `name` is.
#[inline(always)]
fn literal(bytes: &[u8], pos: usize, name: &'static str) -> Result<usize, JsonError> {
    let end = pos + name.len();
    if bytes.get(pos..end) == Some(name.as_bytes()) {
        return Ok(end);
    }
    let same = bytes[pos..].iter().zip(name.bytes()).take_while(|&(&a, b)| a == b).count();
    Err(JsonError::expected(bytes, pos + same, name))
}

/// A string, number, `true`, `false` or `null`.
#[inline(always)]
pub(super) fn scalar(bytes: &[u8], pos: usize) -> Result<usize, JsonError> {
    match bytes.get(pos) {
        Some(b'"') => string(bytes, pos).map(|(end, _)| end),
        Some(b'-' | b'0'..=b'9') => number(bytes, pos),
        Some(b't') => literal(bytes, pos, "true"),
        Some(b'f') => literal(bytes, pos, "false"),
        Some(b'n') => literal(bytes, pos, "null"),
        _ => Err(JsonError::expected(bytes, pos, "a value")),
    }
}

/// The colon after a key and the whitespace around it; returns the position of the value.
#[inline(always)]
pub(super) fn colon(bytes: &[u8], pos: usize) -> Result<usize, JsonError> {
    let pos = whitespace(bytes, pos);
    if bytes.get(pos) == Some(&b':') {
        Ok(whitespace(bytes, pos + 1))
    } else {
        Err(JsonError::expected(bytes, pos, "':' after a key"))
    }
}

/// A key's string, which must stand at `pos`: the position after it, and whether it has escapes.
#[inline(always)]
pub(super) fn key(bytes: &[u8], pos: usize) -> Result<(usize, bool), JsonError> {
    if bytes.get(pos) == Some(&b'"') {
        string(bytes, pos)
    } else {
        Err(JsonError::expected(bytes, pos, "a key in double quotes"))
    }
}

/// What follows a member or an element.
pub(super) enum Separator {
    /// A comma; the next one starts at this position.
    Next(usize),
    /// The closing bracket; this is the position after it.
    Close(usize),
}

/// A comma or the closing bracket `close`, with whitespace around.
#[inline(always)]
pub(super) fn separator(bytes: &[u8], pos: usize, close: u8) -> Result<Separator, JsonError> {
    let pos = whitespace(bytes, pos);
    match bytes.get(pos) {
        Some(b',') => Ok(Separator::Next(whitespace(bytes, pos + 1))),
        Some(&byte) if byte == close => Ok(Separator::Close(pos + 1)),
        _ if close == b'}' => Err(JsonError::expected(bytes, pos, "',' or '}' after a member")),
        _ => Err(JsonError::expected(bytes, pos, "',' or ']' after an element")),
    }
}

/// The opening bracket at `pos`, below `depth` open ones: the position of what follows it.
#[inline(always)]
pub(super) fn open(bytes: &[u8], pos: usize, depth: usize) -> Result<usize, JsonError> {
    if depth >= JSON_DEPTH_MAX {
        return Err(JsonError { offset: pos, kind: JsonErrorKind::TooDeep });
    }
    Ok(whitespace(bytes, pos + 1))
}

/// Any value, below `depth` open brackets: the position after it. `pos` is past whitespace.
#[inline(always)]
pub(super) fn value(bytes: &[u8], pos: usize, depth: usize) -> Result<usize, JsonError> {
    match bytes.get(pos) {
        Some(b'{' | b'[') => nested(bytes, pos, depth),
        _ => scalar(bytes, pos),
    }
}

/// An object or array with all that is in it. Open brackets are bits, 1 for an object, the innermost lowest.
fn nested(bytes: &[u8], mut pos: usize, depth: usize) -> Result<usize, JsonError> {
    let mut open_objects: u128 = 0;
    let mut open_brackets = depth;
    loop {
        // A value starts at `pos`.
        match bytes.get(pos) {
            Some(&bracket @ (b'{' | b'[')) => {
                pos = open(bytes, pos, open_brackets)?;
                open_brackets += 1;
                let is_object = bracket == b'{';
                open_objects = open_objects << 1 | u128::from(is_object);
                if bytes.get(pos) != Some(&(bracket + 2)) {
                    if is_object {
                        pos = colon(bytes, key(bytes, pos)?.0)?;
                    }
                    continue;
                }
                // Empty: what closes it is an end like any other.
                open_objects >>= 1;
                open_brackets -= 1;
                pos += 1;
            }
            _ => pos = scalar(bytes, pos)?,
        }
        // A value ended at `pos`.
        loop {
            if open_brackets == depth {
                return Ok(pos);
            }
            let is_object = open_objects & 1 == 1;
            match separator(bytes, pos, if is_object { b'}' } else { b']' })? {
                Separator::Next(next) => {
                    pos = if is_object { colon(bytes, key(bytes, next)?.0)? } else { next };
                    break;
                }
                Separator::Close(after) => {
                    pos = after;
                    open_objects >>= 1;
                    open_brackets -= 1;
                }
            }
        }
    }
}
