//! Paths: where a value stands in a record, as written in the config (`a.b.c`, `items[0].sku`, `a."x.y".c`).
//!
//! A path starts with a key, because a record is an object. Keys are joined by dots, an index in brackets follows a key
//! or another index, and a key that contains a dot, a bracket, a quote, a backslash or a space is quoted; inside quotes
//! `\"` and `\\` are the only escapes. [`Path::parse`] and `Display` are each other's inverse.

use std::fmt;

/// Where a value stands in a record: `a.b.c`, `items[0].sku`.
///
/// For formats without nesting (access logs, CSV, TSV) the path is one key, the field's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of an object with this key (unescaped).
    Key(String),
    /// The element of an array, from 0.
    Index(usize),
}

/// Why a text is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at character {character}")]
pub struct PathError {
    /// What is wrong.
    pub reason: &'static str,
    /// Where, in characters from 1.
    pub character: usize,
}

impl Path {
    /// The path that is this one key, whatever the key contains.
    pub fn key(key: impl Into<String>) -> Self {
        Path(vec![Step::Key(key.into())])
    }

    /// Reads a path such as `items[0]."unit.price"`.
    ///
    /// # Errors
    /// The first thing that is not as the grammar of this module says, and where.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut scanner = Scanner { text, at: 0 };
        let mut steps = vec![Step::Key(scanner.key()?)];
        while let Some(next) = scanner.peek() {
            match next {
                '.' => {
                    scanner.at += 1;
                    steps.push(Step::Key(scanner.key()?));
                }
                '[' => {
                    scanner.at += 1;
                    steps.push(Step::Index(scanner.index()?));
                }
                _ => return Err(scanner.error("expected `.` or `[`")),
            }
        }
        Ok(Path(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    write_key(f, key)?;
                }
            }
        }
        Ok(())
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    if !key.is_empty() && !key.chars().any(needs_quotes) {
        return f.write_str(key);
    }
    f.write_str("\"")?;
    for c in key.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

fn needs_quotes(c: char) -> bool {
    matches!(c, '.' | '[' | ']' | '"' | '\\') || c.is_whitespace()
}

struct Scanner<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn error(&self, reason: &'static str) -> PathError {
        PathError { reason, character: self.text[..self.at].chars().count() + 1 }
    }

    fn key(&mut self) -> Result<String, PathError> {
        if self.peek() == Some('"') {
            return self.quoted_key();
        }
        let rest = &self.text[self.at..];
        let end = rest.find(needs_quotes).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected a key"));
        }
        self.at += end;
        match self.peek() {
            Some('.' | '[') | None => Ok(rest[..end].to_owned()),
            Some(_) => Err(self.error("a key with spaces, quotes, brackets or backslashes must be quoted")),
        }
    }

    fn quoted_key(&mut self) -> Result<String, PathError> {
        let opening = self.error("this quote is never closed");
        self.at += 1;
        let mut key = String::new();
        loop {
            let c = self.peek().ok_or(opening)?;
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(key);
                }
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ ('"' | '\\')) => key.push(escaped),
                        _ => return Err(self.error("expected `\"` or `\\` after a backslash")),
                    }
                    self.at += 1;
                }
                _ => {
                    key.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn index(&mut self) -> Result<usize, PathError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = &rest[..end];
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(self.error("expected an index such as `[0]`"));
        }
        let index = digits.parse().map_err(|_| self.error("this index is too large"))?;
        self.at += end;
        if self.peek() != Some(']') {
            return Err(self.error("expected `]`"));
        }
        self.at += 1;
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    #[test]
    fn reads_keys_indexes_and_quotes() {
        let cases: [(&str, Vec<Step>); 9] = [
            ("ts", vec![key("ts")]),
            ("a.b.c", vec![key("a"), key("b"), key("c")]),
            ("items[0].sku", vec![key("items"), Step::Index(0), key("sku")]),
            ("grid[10][2]", vec![key("grid"), Step::Index(10), Step::Index(2)]),
            (r#"a."x.y".c"#, vec![key("a"), key("x.y"), key("c")]),
            (r#""a b"[1]"#, vec![key("a b"), Step::Index(1)]),
            (r#""say \"hi\" \\o/""#, vec![key(r#"say "hi" \o/"#)]),
            (r#""""#, vec![key("")]),
            ("@timestamp.用户-id", vec![key("@timestamp"), key("用户-id")]),
        ];
        for (text, steps) in cases {
            assert_eq!(Path::parse(text), Ok(Path(steps)), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let cases = [
            ("", "expected a key at character 1"),
            (".a", "expected a key at character 1"),
            ("a.", "expected a key at character 3"),
            ("a..b", "expected a key at character 3"),
            ("[0]", "expected a key at character 1"),
            ("a.[0]", "expected a key at character 3"),
            ("a[]", "expected an index such as `[0]` at character 3"),
            ("a[-1]", "expected an index such as `[0]` at character 3"),
            ("a[01]", "expected an index such as `[0]` at character 3"),
            ("a[99999999999999999999]", "this index is too large at character 3"),
            ("a[0", "expected `]` at character 4"),
            ("a[0]b", "expected `.` or `[` at character 5"),
            ("用 户", "a key with spaces, quotes, brackets or backslashes must be quoted at character 2"),
            ("a]", "a key with spaces, quotes, brackets or backslashes must be quoted at character 2"),
            (r#"a."b"#, "this quote is never closed at character 3"),
            (r#""a\n""#, "expected `\"` or `\\` after a backslash at character 4"),
            (r#""a"b"#, "expected `.` or `[` at character 4"),
        ];
        for (text, message) in cases {
            let error = Path::parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let any_step = prop_oneof![any::<String>().prop_map(Step::Key), any::<usize>().prop_map(Step::Index)];
        (any::<String>(), proptest::collection::vec(any_step, 0..5)).prop_map(|(first, rest)| {
            let mut steps = vec![Step::Key(first)];
            steps.extend(rest);
            steps
        })
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(steps in steps()) {
            let path = Path(steps);
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn what_is_read_shows_a_path_that_reads_the_same(text in r#"[a-c."\\\[\]0-2 ]{0,12}"#) {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
