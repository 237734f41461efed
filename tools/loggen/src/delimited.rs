//! A record as one line of CSV or TSV, quoted as in RFC 4180.

use crate::record::{Field, Record};
use crate::value;

/// How values are told apart.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    /// Line feeds stay inside quoted values; else they become spaces.
    pub(crate) quoted_newlines: bool,
}

/// The header line, without its end.
pub(crate) fn push_header(out: &mut Vec<u8>, delimiter: u8) {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.extend_from_slice(field.name().as_bytes());
    }
}

/// The record's line, without its end. `scratch` is working space.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &Record, dialect: Dialect, scratch: &mut Vec<u8>) {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        if at > 0 {
            out.push(dialect.delimiter);
        }
        if record.lacks(field) {
            continue;
        }
        scratch.clear();
        value::push_simple(scratch, field, record);
        if !dialect.quoted_newlines {
            scratch.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        }
        push_quoted(out, scratch, dialect.delimiter);
    }
}

fn push_quoted(out: &mut Vec<u8>, value: &[u8], delimiter: u8) {
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_only_where_they_must_be() {
        let quoted = |value: &str, delimiter| {
            let mut out = Vec::new();
            push_quoted(&mut out, value.as_bytes(), delimiter);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(quoted("plain", b','), "plain");
        assert_eq!(quoted("a,b", b','), "\"a,b\"");
        assert_eq!(quoted("a,b", b'\t'), "a,b");
        assert_eq!(quoted("say \"hi\"\n", b','), "\"say \"\"hi\"\"\n\"");
    }
}
