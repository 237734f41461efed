//! Finds the three named strings of an envelope that is a JSON object.
//!
//! A small reader of its own, rather than the parser of records: it runs on sealed bytes, needs three strings and no
//! types, and a strict one is short. It accepts exactly the objects of RFC 8259 and holds every field it passes over
//! to that grammar too; one of the three names standing twice is an error, since which of them the sender meant to be
//! opened is anybody's guess.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::limits::JSON_DEPTH_MAX;

/// Where and why an object is not an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Offset in the record, bytes.
    pub(super) offset: usize,
    /// What was wrong there.
    pub(super) what: &'static str,
}

/// A JSON string as it stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string itself. Half of a surrogate pair becomes U+FFFD, which no key id and no base64 contains.
    pub(super) fn unescaped(self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// The names of an envelope's three strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    names: [Box<str>; 3],
    /// Each as nearly every sender writes it, in its quotes: compared as a whole, it need not be looked at as JSON. A name
    /// that must be written with escapes has none.
    written: [Option<Box<[u8]>>; 3],
}

impl Names {
    pub(super) fn new(names: [&str; 3]) -> Names {
        let needs_escapes = |name: &str| name.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        let written = names.map(|name| (!needs_escapes(name)).then(|| format!("\"{name}\"").into_bytes().into()));
        Names { names: names.map(Box::from), written }
    }

    /// The name of the string of that number.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|wanted| wanted.as_bytes() == name)
    }
}

/// The strings of the fields of these names, in the order of the names; `None` where there is no such field.
///
/// Strings come back checked for their escapes only: whether their bytes are what they should be is for base64 and the
/// keyring to say.
pub(super) fn find<'a>(object: &'a [u8], names: &Names) -> Result<[Option<Text<'a>>; 3], Malformed> {
    let mut scanner = Scanner { bytes: object, at: 0 };
    scanner.skip_space();
    let found = scanner.fields(names)?;
    scanner.skip_space();
    if scanner.at < object.len() {
        return Err(scanner.malformed("something follows the object"));
    }
    Ok(found)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    /// Everything before it has been accepted.
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fields(&mut self, names: &Names) -> Result<[Option<Text<'a>>; 3], Malformed> {
        let mut found = [None; 3];
        self.expect(b'{', "not a JSON object: no `{`")?;
        self.skip_space();
        if self.accept(b'}') {
            return Ok(found);
        }
        // Senders write the three in one order, most of them in this one.
        let mut likely = 0;
        loop {
            self.skip_space();
            let name_at = self.at;
            let wanted = match self.written_name(names, likely) {
                Some(wanted) => Some(wanted),
                None => names.position(&self.checked_string()?.unescaped()),
            };
            self.skip_space();
            self.expect(b':', "no `:` after a field's name")?;
            self.skip_space();
            match wanted {
                Some(index) => {
                    let text = self.string()?;
                    if found[index].replace(text).is_some() {
                        return Err(Malformed { offset: name_at, what: "a field of the envelope stands twice" });
                    }
                    likely = index + 1;
                }
                None => self.skip_value(1)?,
            }
            self.skip_space();
            if self.accept(b'}') {
                return Ok(found);
            }
            self.expect(b',', "neither `,` nor `}` after a value")?;
        }
    }

    /// Which name stands here in the way it is mostly written, asked in turn from the `likely` one.
    fn written_name(&mut self, names: &Names, likely: usize) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        for index in [likely % 3, (likely + 1) % 3, (likely + 2) % 3] {
            if let Some(name) = names.written[index].as_deref()
                && rest.starts_with(name)
            {
                self.at += name.len();
                return Some(index);
            }
        }
        None
    }

    /// A value inside of `depth` arrays and objects.
    fn skip_value(&mut self, depth: usize) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => self.checked_string().map(drop),
            Some(b'{') => self.skip_items(b'}', depth),
            Some(b'[') => self.skip_items(b']', depth),
            Some(b't') => self.skip_word(b"true"),
            Some(b'f') => self.skip_word(b"false"),
            Some(b'n') => self.skip_word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            _ => Err(self.malformed("no JSON value")),
        }
    }

    /// An array, or an object if `close` is a brace.
    fn skip_items(&mut self, close: u8, depth: usize) -> Result<(), Malformed> {
        if depth == JSON_DEPTH_MAX {
            return Err(self.malformed("nested too deep"));
        }
        self.at += 1;
        self.skip_space();
        if self.accept(close) {
            return Ok(());
        }
        loop {
            self.skip_space();
            if close == b'}' {
                self.checked_string()?;
                self.skip_space();
                self.expect(b':', "no `:` after a field's name")?;
                self.skip_space();
            }
            self.skip_value(depth + 1)?;
            self.skip_space();
            if self.accept(close) {
                return Ok(());
            }
            self.expect(b',', "neither `,` nor the closing bracket after a value")?;
        }
    }

    fn skip_word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.malformed("no JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn skip_number(&mut self) -> Result<(), Malformed> {
        self.accept(b'-');
        if !self.accept(b'0') {
            self.skip_digits()?;
        }
        if self.accept(b'.') {
            self.skip_digits()?;
        }
        if self.accept(b'e') || self.accept(b'E') {
            if !self.accept(b'-') {
                self.accept(b'+');
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn skip_digits(&mut self) -> Result<(), Malformed> {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.malformed("no digit where a number needs one"));
        }
        self.at += digits;
        Ok(())
    }

    /// A string that nothing else will look at: UTF-8 without bare control characters.
    fn checked_string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at + 1;
        let text = self.string()?;
        if let Some(control) = text.raw.iter().position(|byte| *byte < 0x20) {
            return Err(Malformed { offset: start + control, what: "a bare control character in a string" });
        }
        if let Err(error) = std::str::from_utf8(text.raw) {
            return Err(Malformed { offset: start + error.valid_up_to(), what: "a string that is not UTF-8" });
        }
        Ok(text)
    }

    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"', "no string in quotes")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(found) = memchr2(b'"', b'\\', &self.bytes[self.at..]) else {
                self.at = self.bytes.len();
                return Err(self.malformed("a string without its closing quote"));
            };
            self.at += found;
            if self.accept(b'"') {
                return Ok(Text { raw: &self.bytes[start..self.at - 1], escaped });
            }
            escaped = true;
            self.skip_escape()?;
        }
    }

    fn skip_escape(&mut self) -> Result<(), Malformed> {
        let bytes = match self.bytes[self.at + 1..] {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.malformed("an escape that JSON does not have")),
        };
        self.at += bytes;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let accepted = self.peek() == Some(byte);
        self.at += usize::from(accepted);
        accepted
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.accept(byte) { Ok(()) } else { Err(self.malformed(what)) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { offset: self.at, what }
    }
}

/// Undoes the escapes of a string that the scanner has accepted.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        let (escape, after) = rest[backslash + 1..].split_first().expect("the scanner accepted the escape");
        rest = after;
        match escape {
            b'u' => rest = unescape_unicode(rest, &mut out),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            other => out.push(*other),
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Writes the character whose four digits (and perhaps a second half) are at the front of `rest`; returns what follows.
fn unescape_unicode<'r>(rest: &'r [u8], out: &mut Vec<u8>) -> &'r [u8] {
    let (first, rest) = four_digits(rest);
    let pair = (0xD800..0xDC00).contains(&first).then(|| rest.strip_prefix(b"\\u").map(four_digits)).flatten();
    let (code, rest) = match pair {
        Some((second @ 0xDC00..0xE000, rest)) => (0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00), rest),
        _ => (first, rest),
    };
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

fn four_digits(rest: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = rest.split_at(4);
    let value = digits.iter().map(|digit| char::from(*digit).to_digit(16).expect("the scanner accepted the escape"));
    (value.fold(0, |code, digit| code << 4 | digit), rest)
}

#[cfg(test)]
mod tests;
