//! Cells of both dialects, lines of neither, and headers.

use proptest::prelude::*;

use super::{Cells, Dialect, parse_header};
use crate::column::value::Value;
use crate::config::Format;
use crate::dead_letter::Reason;

/// What the cells of a line hold, typed as columns get it.
fn cells(line: &str, dialect: Dialect, expected: usize) -> Result<Vec<String>, String> {
    let mut cells = Cells::default();
    cells.split(line, dialect, expected).map_err(|fault| {
        assert_eq!(fault.reason, Reason::BadLine);
        fault.detail
    })?;
    let mut scratch = String::from("left over");
    Ok((0..expected).map(|index| format!("{:?}", cells.value(index, line, &mut scratch))).collect())
}

fn text(content: &str) -> String {
    format!("{:?}", Value::Text(content))
}

#[test]
fn csv_cells_are_plain_or_quoted() {
    let line = r#"a, b ,,"c,d","e ""f""","""",é"#;
    let expected = ["a", " b ", "", "c,d", "e \"f\"", "\"", "é"].map(text);
    assert_eq!(cells(line, Dialect::Csv, 7).unwrap(), expected);
    assert_eq!(cells("a\\tb\t\\N", Dialect::Csv, 1).unwrap(), [text("a\\tb\t\\N")]);
}

#[test]
fn an_empty_csv_cell_is_empty_text_and_a_quoted_one_the_empty_string() {
    let empty_string = format!("{:?}", Value::String(""));
    assert_eq!(cells(r#","","#, Dialect::Csv, 3).unwrap(), [text(""), empty_string.clone(), text("")]);
    assert_eq!(cells(r#""""#, Dialect::Csv, 1).unwrap(), [empty_string]);
    assert_eq!(cells("", Dialect::Csv, 1).unwrap(), [text("")]);
}

#[test]
fn tsv_cells_have_escapes_and_null() {
    let line = "a b\t\\N\t\t\\t\\n\\r\\\\\\b\\f\\v\\0\\'\t\\\\N\té\\\\\"x\"";
    let mut expected = ["a b", "", "", "\t\n\r\\\u{8}\u{c}\u{b}\0'", "\\N", "é\\\"x\""].map(text);
    expected[1] = format!("{:?}", Value::Null);
    assert_eq!(cells(line, Dialect::Tsv, 6).unwrap(), expected);
}

#[test]
fn bad_lines_say_what_is_wrong() {
    for (line, dialect, detail) in [
        (
            r#"a,b"c,d"#,
            Dialect::Csv,
            "a quote inside a cell that is not quoted, at byte 3; line breaks inside quotes are not supported",
        ),
        // The halves of a quoted cell with a line break in it.
        (
            r#"a,"first"#,
            Dialect::Csv,
            "the quote at byte 2 is not closed on this line; line breaks inside quotes are not supported",
        ),
        (
            r#"half",b,c"#,
            Dialect::Csv,
            "a quote inside a cell that is not quoted, at byte 4; line breaks inside quotes are not supported",
        ),
        (
            r#"a,"b"c,d"#,
            Dialect::Csv,
            "expected a comma or the end of the line after a quoted cell, at byte 5; a quote inside quotes must be doubled",
        ),
        (
            r#"a,b,"c"""#,
            Dialect::Csv,
            "the quote at byte 4 is not closed on this line; line breaks inside quotes are not supported",
        ),
        ("a,b", Dialect::Csv, "2 fields, header has 3 (line breaks inside quotes are not supported)"),
        ("a", Dialect::Csv, "1 field, header has 3 (line breaks inside quotes are not supported)"),
        ("a,b,c,", Dialect::Csv, "4 fields, header has 3 (a comma inside a cell needs quotes around the cell)"),
        ("a\tb", Dialect::Tsv, "2 fields, header has 3 (line breaks inside a cell must be written \\n)"),
        ("a\tb\tc\td\te", Dialect::Tsv, "5 fields, header has 3 (a tab inside a cell must be written \\t)"),
        ("a\tC:\\dir\tc", Dialect::Tsv, "an unknown escape at byte 4; a backslash itself is written \\\\"),
        ("a\tb\\\tc", Dialect::Tsv, "an unknown escape at byte 3; a backslash itself is written \\\\"),
        ("a\tb\tx\\N", Dialect::Tsv, "an unknown escape at byte 5; a backslash itself is written \\\\"),
    ] {
        assert_eq!(cells(line, dialect, 3), Err(detail.to_owned()), "{line}");
    }
    assert_eq!(cells(&",".repeat(1_000_000), Dialect::Csv, 3).unwrap_err().split(' ').next(), Some("1000001"));
}

#[test]
fn headers_name_the_fields() {
    let names = |line: &[u8], format| parse_header(line, format).map(|names| names.join("|"));
    assert_eq!(names(b"ts,\"a,b\",c d", Format::Csv), Ok("ts|a,b|c d".to_owned()));
    assert_eq!(names(b"\xEF\xBB\xBFts,b", Format::Csv), Ok("ts|b".to_owned()));
    assert_eq!(names(b"\xEF\xBB\xBF\"ts\",b", Format::Csv), Ok("ts|b".to_owned()));
    assert_eq!(names(b"ts\ta,b\tc\\td", Format::Tsv), Ok("ts|a,b|c\td".to_owned()));
    for (line, format, error) in [
        (&b"a,,b"[..], Format::Csv, "field 2 of the header line has no name"),
        (b"a,\"\"", Format::Csv, "field 2 of the header line has no name"),
        (b"", Format::Csv, "field 1 of the header line has no name"),
        (b"a\t\\N", Format::Tsv, "field 2 of the header line has no name"),
        (
            b"a,b,a",
            Format::Csv,
            "fields 1 and 3 of the header line have the same name: does the source have a header line?",
        ),
        (
            b"a,\"a\"",
            Format::Csv,
            "fields 1 and 2 of the header line have the same name: does the source have a header line?",
        ),
        (b"a,\xFF", Format::Csv, "the header line is not UTF-8 at byte 2"),
        (
            b"a,\"b",
            Format::Csv,
            "bad header line: the quote at byte 2 is not closed on this line; line breaks inside quotes are not supported",
        ),
        (b"a", Format::Json, "this format has no header line"),
        (b"a", Format::AccessLog, "this format has no header line"),
    ] {
        assert_eq!(names(line, format), Err(error.to_owned()));
    }
}

/// The content of a cell, however it is typed.
fn content(value: Value<'_>) -> String {
    match value {
        Value::Text(text) | Value::String(text) => text.to_owned(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// What the `csv` crate writes is read back.
    #[test]
    fn csv_round_trips(row in prop::collection::vec("[a-c\", é\t\\\\]{0,6}", 1..6)) {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        writer.write_record(&row).unwrap();
        let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let line = written.strip_suffix('\n').unwrap();
        let mut cells = Cells::default();
        let mut scratch = String::new();
        prop_assert_eq!(cells.split(line, Dialect::Csv, row.len()), Ok(()));
        let read: Vec<String> = (0..row.len()).map(|index| content(cells.value(index, line, &mut scratch))).collect();
        prop_assert_eq!(read, row);
    }

    /// A line that we accept, the `csv` crate reads alike.
    #[test]
    fn csv_is_read_as_the_csv_crate_reads_it(line in "[a\",]{0,12}") {
        let mut cells = Cells::default();
        let expected = cells.scan(&line, Dialect::Csv, usize::MAX);
        let Ok(expected) = expected else { return Ok(()) };
        prop_assume!(!line.is_empty());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let theirs = reader.records().next().unwrap().unwrap();
        let mut scratch = String::new();
        let ours: Vec<String> = (0..expected).map(|index| content(cells.value(index, &line, &mut scratch))).collect();
        prop_assert_eq!(ours, theirs.iter().map(str::to_owned).collect::<Vec<_>>());
    }

    #[test]
    fn tsv_round_trips(row in prop::collection::vec(any::<String>(), 1..6)) {
        let escape = |cell: &String| {
            let mut out = String::new();
            for character in cell.chars() {
                match character {
                    '\t' => out += "\\t",
                    '\n' => out += "\\n",
                    '\\' => out += "\\\\",
                    other => out.push(other),
                }
            }
            out
        };
        let line = row.iter().map(escape).collect::<Vec<_>>().join("\t");
        let mut cells = Cells::default();
        let mut scratch = String::new();
        prop_assert_eq!(cells.split(&line, Dialect::Tsv, row.len()), Ok(()));
        let read: Vec<String> = (0..row.len()).map(|index| content(cells.value(index, &line, &mut scratch))).collect();
        prop_assert_eq!(read, row);
    }
}
