//! A record as one line of CSV (quoted as in RFC 4180) or of TSV (backslash escapes, as ClickHouse and PostgreSQL
//! write it).

use crate::record::{Field, Record};
use crate::value;

/// How values are told apart.
#[derive(Clone, Copy)]
pub(crate) enum Dialect {
    /// Commas and quotes; null and the empty string are both empty.
    Csv {
        /// Line feeds stay inside quoted values; else they become spaces.
        quoted_newlines: bool,
    },
    /// Tabs and backslashes; null is `\N`.
    Tsv,
}

impl Dialect {
    fn delimiter(self) -> u8 {
        match self {
            Dialect::Csv { .. } => b',',
            Dialect::Tsv => b'\t',
        }
    }
}

/// The header line, without its end.
pub(crate) fn push_header(out: &mut Vec<u8>, dialect: Dialect) {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        if at > 0 {
            out.push(dialect.delimiter());
        }
        out.extend_from_slice(field.name().as_bytes());
    }
}

/// The record's line, without its end. `scratch` is working space.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &Record, dialect: Dialect, scratch: &mut Vec<u8>) {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        if at > 0 {
            out.push(dialect.delimiter());
        }
        if record.lacks(field) {
            continue;
        }
        scratch.clear();
        value::push_simple(scratch, field, record);
        match dialect {
            Dialect::Csv { quoted_newlines } => {
                if !quoted_newlines {
                    scratch.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
                }
                push_quoted(out, scratch);
            }
            Dialect::Tsv if record.is_null(field) => out.extend_from_slice(b"\\N"),
            Dialect::Tsv => push_escaped(out, scratch),
        }
    }
}

fn push_quoted(out: &mut Vec<u8>, value: &[u8]) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !value.iter().any(special) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str, push: fn(&mut Vec<u8>, &[u8])) -> String {
        let mut out = Vec::new();
        push(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_values_are_quoted_only_where_they_must_be() {
        assert_eq!(written("plain", push_quoted), "plain");
        assert_eq!(written("a\tb", push_quoted), "a\tb");
        assert_eq!(written("a,b", push_quoted), "\"a,b\"");
        assert_eq!(written("say \"hi\"\n", push_quoted), "\"say \"\"hi\"\"\n\"");
    }

    #[test]
    fn tsv_values_are_escaped_and_never_quoted() {
        assert_eq!(written("say \"hi\", é", push_escaped), "say \"hi\", é");
        assert_eq!(written("a\tb\nc\rd\\N", push_escaped), r"a\tb\nc\rd\\N");
    }
}
