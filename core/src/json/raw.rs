//! Found values: text of known kind whose grammar was checked, and what can be done with it.

use super::scan;
use crate::column::span::{Span, SpanKind};
use crate::column::value::Value;

/// Kind of a JSON value, by what a reader of its text must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A number.
    Number,
    /// A string that stands for itself between its quotes.
    PlainString,
    /// A string with at least one escape.
    EscapedString,
    /// An object.
    Object,
    /// An array.
    Array,
}

impl Kind {
    /// Kind of the value that starts with `byte`; for strings, without regard to escapes.
    pub(super) fn of(byte: u8) -> Kind {
        match byte {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::PlainString,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }
}

/// A value as it stands in a record, quotes and brackets included. Only the reader makes them, so the text is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl<'a> RawValue<'a> {
    /// The value at a span of a block; `None` where there is none.
    ///
    /// # Panics
    /// If the span is not within the block, a string's quotes included, or is not UTF-8: the reader checked both.
    pub(crate) fn at_span(block: &'a [u8], span: Span) -> Option<Self> {
        let (kind, text) = match span.kind() {
            SpanKind::Absent => return None,
            SpanKind::Null => return Some(RawValue { kind: Kind::Null, text: "null" }),
            SpanKind::True => return Some(RawValue { kind: Kind::True, text: "true" }),
            SpanKind::False => return Some(RawValue { kind: Kind::False, text: "false" }),
            SpanKind::Number => (Kind::Number, &block[span.start()..span.end()]),
            SpanKind::Plain => (Kind::PlainString, &block[span.start() - 1..span.end() + 1]),
            SpanKind::Escaped => (Kind::EscapedString, &block[span.start() - 1..span.end() + 1]),
            SpanKind::Object => (Kind::Object, &block[span.start()..span.end()]),
            SpanKind::Array => (Kind::Array, &block[span.start()..span.end()]),
        };
        let text = std::str::from_utf8(text).expect("the reader checked that the block is UTF-8");
        Some(RawValue { kind, text })
    }

    /// What kind of value it is.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// The value as written.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The value as columns take it. `scratch` is overwritten where a string must be unescaped.
    #[inline]
    pub fn value<'s>(self, scratch: &'s mut String) -> Value<'s>
    where
        'a: 's,
    {
        match self.kind {
            Kind::Null => Value::Null,
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Number => Value::Number(self.text),
            Kind::PlainString => Value::String(&self.text[1..self.text.len() - 1]),
            Kind::EscapedString => {
                scratch.clear();
                unescape(&self.text[1..self.text.len() - 1], scratch);
                Value::String(scratch)
            }
            Kind::Object | Kind::Array => Value::Json(self.text),
        }
    }

    /// The elements of an array; none for other kinds.
    pub fn elements(self) -> Elements<'a> {
        let pos = if self.kind == Kind::Array { scan::whitespace(self.text.as_bytes(), 1) } else { self.text.len() };
        Elements { text: self.text, pos }
    }
}

/// Appends what the inside of a checked string stands for.
pub(super) fn unescape(inside: &str, out: &mut String) {
    let bytes = inside.as_bytes();
    let mut plain = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[plain..]) {
        let backslash = plain + found;
        out.push_str(&inside[plain..backslash]);
        let (character, after) = scan::escape(bytes, backslash).expect("the reader checked all escapes");
        out.push(character);
        plain = after;
    }
    out.push_str(&inside[plain..]);
}

/// Iterator over the elements of an array, see [`RawValue::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    /// Where the next element or the closing bracket stands.
    pos: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = RawValue<'a>;

    fn next(&mut self) -> Option<RawValue<'a>> {
        const CHECKED: &str = "the reader checked the array";
        let bytes = self.text.as_bytes();
        let start = self.pos;
        let first = *bytes.get(start)?;
        if first == b']' {
            return None;
        }
        let (end, kind) = match first {
            b'"' => match scan::string(bytes, start).expect(CHECKED) {
                (end, true) => (end, Kind::EscapedString),
                (end, false) => (end, Kind::PlainString),
            },
            _ => (scan::value(bytes, start, 1).expect(CHECKED), Kind::of(first)),
        };
        self.pos = match scan::separator(bytes, end, b']').expect(CHECKED) {
            scan::Separator::Next(next) => next,
            scan::Separator::Close(after) => after,
        };
        Some(RawValue { kind, text: &self.text[start..end] })
    }
}
