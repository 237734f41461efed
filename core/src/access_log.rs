//! Access logs of Apache and nginx: the `common` and the `combined` format, told apart line by line.
//!
//! ```text
//! host ident user [time] "request" status bytes
//! host ident user [time] "request" status bytes "referer" "agent"
//! ```
//!
//! A line is of one of the two forms to its last byte, or it is a `bad_line`: an agent whose closing quote was cut off is
//! not guessed at. The rules:
//! * A field that is `-` is absent, quoted or not.
//! * In quotes `\"` stands for `"` and `\\` for `\`. Other escapes (`\x22`, `\n`, `\t`) stay as written: what they stand
//!   for may not be UTF-8.
//! * `method`, `path` and `protocol` are the request's parts if it has exactly three, separated by single spaces;
//!   otherwise all three are absent. `request` is always the whole.
//! * `user` may contain spaces: it ends at the first ` [`.
//! * `time` is the text between the brackets. Its form is the column's business.

#[cfg(test)]
mod tests;

use memchr::{memchr, memchr_iter, memchr2};

use crate::column::value::Value;
use crate::dead_letter::{Fault, Reason};

/// A field of a line. The path of a column names one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Address or name of the client.
    Host,
    /// Identity by RFC 1413.
    Ident,
    /// Name under which the client is authenticated.
    User,
    /// Time as written, such as `17/May/2015:10:05:03 +0000`.
    Time,
    /// The request's first line.
    Request,
    /// First part of the request.
    Method,
    /// Second part of the request, query included.
    Path,
    /// Third part of the request.
    Protocol,
    /// Status code.
    Status,
    /// Bytes of the response's body.
    Bytes,
    /// Where the client says it came from; `combined` only.
    Referer,
    /// What the client says it is; `combined` only.
    Agent,
}

impl Field {
    /// All fields, in order of the enum.
    pub const ALL: [Field; 12] = [
        Field::Host,
        Field::Ident,
        Field::User,
        Field::Time,
        Field::Request,
        Field::Method,
        Field::Path,
        Field::Protocol,
        Field::Status,
        Field::Bytes,
        Field::Referer,
        Field::Agent,
    ];

    /// Name in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Host => "host",
            Field::Ident => "ident",
            Field::User => "user",
            Field::Time => "time",
            Field::Request => "request",
            Field::Method => "method",
            Field::Path => "path",
            Field::Protocol => "protocol",
            Field::Status => "status",
            Field::Bytes => "bytes",
            Field::Referer => "referer",
            Field::Agent => "agent",
        }
    }

    /// The field of that name.
    pub fn from_name(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// The fields of one line, as written; `-` included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    host: &'a str,
    ident: &'a str,
    user: &'a str,
    time: &'a str,
    request: Quoted<'a>,
    /// Method, path and protocol, if the request has these parts.
    parts: Option<[&'a str; 3]>,
    status: &'a str,
    bytes: &'a str,
    /// Referer and agent, in a `combined` line.
    combined: Option<[Quoted<'a>; 2]>,
}

/// The inside of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quoted<'a> {
    text: &'a str,
    has_escapes: bool,
}

/// Reads one line, without its line ending.
///
/// # Errors
/// [`Reason::BadLine`] with the position of the first byte that fits neither form.
pub fn parse(line: &str) -> Result<Entry<'_>, Fault> {
    let mut cursor = Cursor { line, pos: 0 };
    let host = cursor.token("the client's host")?;
    let ident = cursor.token("the client's identity")?;
    let user = cursor.user()?;
    let time = cursor.time()?;
    cursor.expect(b' ', "a space after the time")?;
    let request = cursor.quoted("the request in double quotes")?;
    cursor.expect(b' ', "a space after the request")?;
    let status = cursor.number_or_dash("the status, three digits or -")?;
    if status.len() != 3 && status != "-" {
        return Err(cursor.error_at(cursor.pos - status.len(), "the status, three digits or -"));
    }
    cursor.expect(b' ', "a space after the status")?;
    let bytes = cursor.number_or_dash("the bytes sent, digits or -")?;
    let combined = if cursor.is_at_end() {
        None
    } else {
        cursor.expect(b' ', "a space after the bytes, or the end of the line")?;
        let referer = cursor.quoted("the referer in double quotes")?;
        cursor.expect(b' ', "a space after the referer")?;
        Some([referer, cursor.quoted("the agent in double quotes")?])
    };
    if !cursor.is_at_end() {
        return Err(cursor.error("the end of the line"));
    }
    Ok(Entry { host, ident, user, time, request, parts: parts(request.text), status, bytes, combined })
}

/// Method, path and protocol of a request.
fn parts(request: &str) -> Option<[&str; 3]> {
    let (method, rest) = request.split_once(' ')?;
    let (path, protocol) = rest.split_once(' ')?;
    let is_whole = !method.is_empty() && !path.is_empty() && !protocol.is_empty() && !protocol.contains(' ');
    is_whole.then_some([method, path, protocol])
}

impl<'a> Entry<'a> {
    /// The value of a field. `scratch` is overwritten where escapes must be undone.
    pub fn value<'s>(&self, field: Field, scratch: &'s mut String) -> Value<'s>
    where
        'a: 's,
    {
        let part = |index: usize| self.parts.map(|parts| parts[index]);
        let quoted = match field {
            Field::Host => return logged(self.host),
            Field::Ident => return logged(self.ident),
            Field::User => return logged(self.user),
            Field::Time => return logged(self.time),
            Field::Status => return logged(self.status),
            Field::Bytes => return logged(self.bytes),
            Field::Request => Some(self.request),
            Field::Referer => self.combined.map(|[referer, _]| referer),
            Field::Agent => self.combined.map(|[_, agent]| agent),
            Field::Method => part(0).map(|text| Quoted { text, ..self.request }),
            Field::Path => part(1).map(|text| Quoted { text, ..self.request }),
            Field::Protocol => part(2).map(|text| Quoted { text, ..self.request }),
        };
        match quoted {
            None => Value::Absent,
            Some(Quoted { text, has_escapes: false }) => logged(text),
            Some(Quoted { text, has_escapes: true }) => {
                scratch.clear();
                unescape(text, scratch);
                Value::Text(scratch)
            }
        }
    }
}

/// A field as logged: `-` stands for nothing.
fn logged(text: &str) -> Value<'_> {
    if text == "-" { Value::Absent } else { Value::Text(text) }
}

/// Appends `text` with `\"` and `\\` undone.
fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(backslash) = memchr(b'\\', rest.as_bytes()) {
        let is_undone = matches!(rest.as_bytes().get(backslash + 1), Some(b'"' | b'\\'));
        out.push_str(&rest[..backslash]);
        // The escaped character, or the backslash itself, and in any case not looked at again.
        let kept = backslash + usize::from(is_undone);
        out.push_str(&rest[kept..=kept]);
        rest = &rest[kept + 1..];
    }
    out.push_str(rest);
}

/// A position in a line.
struct Cursor<'a> {
    line: &'a str,
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.line.as_bytes()[self.pos..]
    }

    fn is_at_end(&self) -> bool {
        self.pos == self.line.len()
    }

    /// Takes `len` bytes and the `delimiter` bytes after them.
    fn take(&mut self, len: usize, delimiter: usize) -> &'a str {
        let text = &self.line[self.pos..self.pos + len];
        self.pos += len + delimiter;
        text
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        if self.rest().first() == Some(&byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.error(what))
        }
    }

    /// Text up to a space, which is taken too.
    fn token(&mut self, what: &str) -> Result<&'a str, Fault> {
        match memchr(b' ', self.rest()) {
            Some(len) if len > 0 => Ok(self.take(len, 1)),
            Some(_) => Err(self.error(what)),
            None => {
                self.pos = self.line.len();
                Err(self.error("a space, and the rest of an access-log line"))
            }
        }
    }

    /// Text up to ` [`, both of which are taken too.
    fn user(&mut self) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let bracket = memchr_iter(b'[', rest).find(|&bracket| bracket > 1 && rest[bracket - 1] == b' ');
        match bracket {
            Some(bracket) => Ok(self.take(bracket - 1, 2)),
            None => Err(self.error("a user or -, and the time in brackets")),
        }
    }

    /// Text up to `]`, which is taken too.
    fn time(&mut self) -> Result<&'a str, Fault> {
        match memchr(b']', self.rest()) {
            Some(len) if len > 0 => Ok(self.take(len, 1)),
            _ => Err(self.error("a time that ends with ]")),
        }
    }

    /// Text in double quotes, with backslash escapes.
    fn quoted(&mut self, what: &str) -> Result<Quoted<'a>, Fault> {
        self.expect(b'"', what)?;
        let rest = self.rest();
        let mut len = 0;
        let mut has_escapes = false;
        while let Some(found) = rest.get(len..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            len += found;
            if rest[len] == b'"' {
                return Ok(Quoted { text: self.take(len, 1), has_escapes });
            }
            has_escapes = true;
            len += 2;
        }
        let opening = self.pos - 1;
        Err(self.error_at(opening, &format!("{what}, whose closing quote is missing")))
    }

    fn number_or_dash(&mut self, what: &str) -> Result<&'a str, Fault> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        match (digits, self.rest().first()) {
            (0, Some(b'-')) => Ok(self.take(1, 0)),
            (0, _) => Err(self.error(what)),
            _ => Ok(self.take(digits, 0)),
        }
    }

    fn error(&self, what: &str) -> Fault {
        self.error_at(self.pos, what)
    }

    #[cold]
    fn error_at(&self, pos: usize, what: &str) -> Fault {
        Fault::new(Reason::BadLine, format!("not an access-log line: expected {what} at byte {pos}"))
    }
}
