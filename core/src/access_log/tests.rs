//! Lines of both forms, lines of neither, and a real log.

use std::collections::BTreeMap;

use super::{Field, parse};
use crate::column::value::Value;
use crate::dead_letter::Reason;
use crate::test_data::real_data;

/// All fields that are not absent, as `name=value`.
fn fields(line: &str) -> Vec<String> {
    let entry = parse(line).unwrap();
    let mut scratch = String::new();
    Field::ALL
        .into_iter()
        .filter_map(|field| match entry.value(field, &mut scratch) {
            Value::Absent => None,
            Value::Text(text) => Some(format!("{}={text}", field.name())),
            other => panic!("{other:?} for {}", field.name()),
        })
        .collect()
}

#[test]
fn a_combined_line_has_all_fields() {
    let line = r#"83.149.9.216 id frank [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023 "http://x.org/" "Mozilla/5.0 (X11)""#;
    assert_eq!(
        fields(line),
        [
            "host=83.149.9.216",
            "ident=id",
            "user=frank",
            "time=17/May/2015:10:05:03 +0000",
            "request=GET /a?b=c HTTP/1.1",
            "method=GET",
            "path=/a?b=c",
            "protocol=HTTP/1.1",
            "status=200",
            "bytes=203023",
            "referer=http://x.org/",
            "agent=Mozilla/5.0 (X11)",
        ]
    );
}

#[test]
fn a_common_line_has_neither_referer_nor_agent_and_dashes_are_absent() {
    assert_eq!(
        fields(r#"::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 -"#),
        [
            "host=::1",
            "time=17/May/2015:10:05:03 +0000",
            "request=GET / HTTP/1.0",
            "method=GET",
            "path=/",
            "protocol=HTTP/1.0",
            "status=304"
        ]
    );
    assert_eq!(fields(r#"- - - [-] "-" - - "-" "-""#), Vec::<String>::new());
    assert_eq!(
        fields(r#"h - - [t] "" 400 0 "" """#),
        ["host=h", "time=t", "request=", "status=400", "bytes=0", "referer=", "agent="]
    );
}

#[test]
fn a_request_of_other_than_three_parts_is_kept_whole_only() {
    for request in ["GET /", "GET /a b HTTP/1.1", "GET  / HTTP/1.1", " / HTTP/1.1", "GET / ", "quit"] {
        let line = format!(r#"h - - [t] "{request}" 400 0"#);
        assert_eq!(fields(&line), ["host=h", "time=t", &format!("request={request}"), "status=400", "bytes=0"]);
    }
    // A part that is a dash is a dash: nothing was left out of the log.
    assert!(fields(r#"h - - [t] "GET - HTTP/1.1" 400 0"#).contains(&"method=GET".to_owned()));
}

#[test]
fn quotes_and_backslashes_are_unescaped_and_other_escapes_kept() {
    let line = r#"h - - [t] "GET /\"a\\ HTTP/1.1" 200 1 "\x22\n\\x41" "\\\"""#;
    let fields = fields(line);
    assert_eq!(fields[2..6], [r#"request=GET /"a\ HTTP/1.1"#, "method=GET", r#"path=/"a\"#, "protocol=HTTP/1.1"]);
    assert_eq!(fields[8..], [r"referer=\x22\n\x41", r#"agent=\""#]);
    // A backslash before a character of more than one byte.
    assert_eq!(self::fields(r#"h - - [t] "\é\\" 200 1"#)[2], r"request=\é\");
}

#[test]
fn a_user_may_have_spaces() {
    let fields = fields(r#"h - John Doe [17/May/2015:10:05:03 +0000] "-" 401 1"#);
    assert_eq!(fields[..3], ["host=h", "user=John Doe", "time=17/May/2015:10:05:03 +0000"]);
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (line, message) in [
        ("garbage", "expected a space, and the rest of an access-log line at byte 7"),
        (" - - [t]", "expected the client's host at byte 0"),
        ("h - - no time", "expected a user or -, and the time in brackets at byte 4"),
        ("h -  [t]", "expected a user or -, and the time in brackets at byte 4"),
        ("h - - [t", "expected a time that ends with ] at byte 7"),
        ("h - - [] \"\"", "expected a time that ends with ] at byte 7"),
        ("h - - [t]x", "expected a space after the time at byte 9"),
        ("h - - [t] GET", "expected the request in double quotes at byte 10"),
        ("h - - [t] \"GET", "expected the request in double quotes, whose closing quote is missing at byte 10"),
        ("h - - [t] \"GET\\", "expected the request in double quotes, whose closing quote is missing at byte 10"),
        ("h - - [t] \"GET\\\"", "expected the request in double quotes, whose closing quote is missing at byte 10"),
        ("h - - [t] \"r\" x", "expected the status, three digits or - at byte 14"),
        ("h - - [t] \"r\" 2000 1", "expected the status, three digits or - at byte 14"),
        ("h - - [t] \"r\" -1 1", "expected a space after the status at byte 15"),
        ("h - - [t] \"r\" 200", "expected a space after the status at byte 17"),
        ("h - - [t] \"r\" 200 ", "expected the bytes sent, digits or - at byte 18"),
        ("h - - [t] \"r\" 200 1.5", "expected a space after the bytes, or the end of the line at byte 19"),
        ("h - - [t] \"r\" 200 1 ", "expected the referer in double quotes at byte 20"),
        ("h - - [t] \"r\" 200 1 \"x\"", "expected a space after the referer at byte 23"),
        (
            "h - - [t] \"r\" 200 1 \"x\" \"y",
            "expected the agent in double quotes, whose closing quote is missing at byte 24",
        ),
        ("h - - [t] \"r\" 200 1 \"x\" \"y\" \"z\"", "expected the end of the line at byte 27"),
        ("", "expected a space, and the rest of an access-log line at byte 0"),
    ] {
        let fault = parse(line).unwrap_err();
        assert_eq!(
            (fault.reason, fault.detail),
            (Reason::BadLine, format!("not an access-log line: {message}")),
            "{line}"
        );
    }
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_have_one_bad_line_and_the_counts_that_awk_finds() {
    let log = std::fs::read_to_string(real_data("apache_access.log")).unwrap();
    let mut bad = Vec::new();
    let mut statuses: BTreeMap<String, u32> = BTreeMap::new();
    let mut bytes_sent = 0;
    let mut without = [0; 4];
    let mut scratch = String::new();
    for (line, number) in log.lines().zip(1..) {
        let Ok(entry) = parse(line) else {
            bad.push(number);
            continue;
        };
        if let Value::Text(status) = entry.value(Field::Status, &mut scratch) {
            *statuses.entry(status.to_owned()).or_default() += 1;
        }
        if let Value::Text(bytes) = entry.value(Field::Bytes, &mut scratch) {
            bytes_sent += bytes.parse::<u64>().unwrap();
        }
        for (field, count) in [Field::Bytes, Field::Referer, Field::Agent, Field::Method].into_iter().zip(&mut without)
        {
            *count += u32::from(entry.value(field, &mut scratch) == Value::Absent);
        }
    }
    // Line 8899 ends within the agent.
    assert_eq!(bad, [8899]);
    // Counted with a regular expression in Python and with awk, that line left out.
    let expected =
        [("200", 9125), ("206", 45), ("301", 164), ("304", 445), ("403", 2), ("404", 213), ("416", 2), ("500", 3)];
    assert_eq!(statuses, expected.map(|(status, count)| (status.to_owned(), count)).into());
    assert_eq!(bytes_sent, 2_747_282_505);
    assert_eq!(without, [669, 4072, 190, 0], "bytes, referer, agent, method");
}
