//! A record as one JSON object.

use crate::record::{Defect, Field, Record, Style};
use crate::rng::Rng;
use crate::text;
use crate::value;

/// Byte sequences that are not UTF-8: lone bytes, an overlong slash, a surrogate, beyond U+10FFFF, a cut
/// sequence before ASCII.
pub(crate) const NOT_UTF8: [&[u8]; 6] =
    [b"\xff\xfe", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe5\x95-"];

/// Which characters are written as escapes beyond those that must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Needed,
    BeyondAscii,
    Slashes,
}

fn escapes(style: Style) -> Escapes {
    match style {
        Style::EscapedUnicode => Escapes::BeyondAscii,
        Style::EscapedSlashes => Escapes::Slashes,
        _ => Escapes::Needed,
    }
}

/// Appends the object, broken inside if the record says so. `scratch` is working space.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &Record, shuffle_keys: bool, scratch: &mut Vec<u8>) {
    out.push(b'{');
    let mut order = Field::ALL;
    if shuffle_keys {
        shuffle(&mut order, record.noise);
    }
    for field in order {
        if record.lacks(field) {
            continue;
        }
        out.push(b'"');
        out.extend_from_slice(field.name().as_bytes());
        out.extend_from_slice(b"\":");
        push_value(out, field, record, scratch);
        out.push(b',');
    }
    if let Some(last) = out.last_mut() {
        *last = b'}';
    }
}

fn shuffle(fields: &mut [Field], noise: u64) {
    let mut rng = Rng::new(noise, 2);
    for last in (1..fields.len()).rev() {
        fields.swap(last, rng.below(last as u64 + 1) as usize);
    }
}

fn push_value(out: &mut Vec<u8>, field: Field, record: &Record, scratch: &mut Vec<u8>) {
    match field {
        Field::Ts if record.defect != Some(Defect::WordForTime) => value::push_simple(out, field, record),
        Field::Amount => push_amount(out, record),
        Field::OrderId | Field::Currency if !record.is_order() => out.extend_from_slice(b"null"),
        Field::Page | Field::Referrer => push_free_text(out, field, record, scratch),
        Field::Props => push_props(out, record),
        Field::Event | Field::Channel | Field::UserId if record.style == Style::EscapedKeys => {
            scratch.clear();
            value::push_simple(scratch, field, record);
            out.push(b'"');
            text::push_unit_escape(out, u16::from(scratch[0]));
            out.extend_from_slice(&scratch[1..]);
            out.push(b'"');
        }
        _ => {
            out.push(b'"');
            value::push_simple(out, field, record);
            out.push(b'"');
        }
    }
}

fn push_amount(out: &mut Vec<u8>, record: &Record) {
    if record.defect != Some(Defect::BadAmount) && !record.is_order() {
        out.extend_from_slice(b"null");
    } else if record.defect == Some(Defect::BadAmount) || value::quotes_amount(record) {
        out.push(b'"');
        value::push_simple(out, Field::Amount, record);
        out.push(b'"');
    } else {
        value::push_simple(out, Field::Amount, record);
    }
}

fn push_free_text(out: &mut Vec<u8>, field: Field, record: &Record, scratch: &mut Vec<u8>) {
    if record.style == Style::Plain {
        out.push(b'"');
        value::push_simple(out, field, record);
        out.push(b'"');
        return;
    }
    scratch.clear();
    value::push_simple(scratch, field, record);
    let decoded = std::str::from_utf8(scratch).expect("only plain records hold invalid UTF-8");
    push_string(out, decoded, escapes(record.style));
}

/// `props` as JSON text; CSV carries the same text in one value.
pub(crate) fn push_props(out: &mut Vec<u8>, record: &Record) {
    text::push_props(out, record, |out, title| push_string(out, title, escapes(record.style)));
}

fn push_string(out: &mut Vec<u8>, decoded: &str, escapes: Escapes) {
    out.push(b'"');
    let mut utf8 = [0; 4];
    for character in decoded.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            '/' if escapes == Escapes::Slashes => out.extend_from_slice(b"\\/"),
            _ if character < ' ' || (escapes == Escapes::BeyondAscii && !character.is_ascii()) => {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text::push_unit_escape(out, *unit));
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(decoded: &str, escapes: Escapes) -> String {
        let mut out = Vec::new();
        push_string(&mut out, decoded, escapes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_json_says() {
        assert_eq!(string("a\"b\\c\n\t\u{1}/é😀", Escapes::Needed), r#""a\"b\\c\n\t\u0001/é😀""#);
        assert_eq!(string("/é😀", Escapes::BeyondAscii), r#""/\u00e9\ud83d\ude00""#);
        assert_eq!(string("a/é", Escapes::Slashes), r#""a\/é""#);
    }

    #[test]
    fn none_of_the_invalid_sequences_is_utf8() {
        assert!(NOT_UTF8.iter().all(|bytes| std::str::from_utf8(bytes).is_err()));
    }
}
