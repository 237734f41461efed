//! What is JSON and what is not, where errors are, and where values are found.

use std::fs;

use super::{JsonErrorKind, Kind, Plan, RawValue, Slots, validate};
use crate::column::value::Value;
use crate::column::{Path, Step};
use crate::dead_letter::Reason;
use crate::test_data::{fixture, real_data};

#[test]
fn samples_are_judged_as_rfc_8259_asks() {
    // `ls fixtures/json | cut -c1 | sort | uniq -c`
    assert_eq!(judged(&fixture("json")), [14, 37, 10]);
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_are_judged_as_rfc_8259_asks() {
    // `ls test_parsing | cut -c1 | sort | uniq -c`
    assert_eq!(judged(&real_data("json_test_suite/test_parsing")), [95, 188, 35]);
}

/// Judges each file of a folder, and counts those that must be accepted, those that must be rejected, and the others.
fn judged(folder: &std::path::Path) -> [usize; 3] {
    let mut counts = [0; 3];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let verdict = validate(&fs::read(&path).unwrap());
        match name.as_bytes()[0] {
            b'y' => {
                counts[0] += 1;
                assert_eq!(verdict, Ok(()), "{name} must be accepted");
            }
            b'n' => {
                counts[1] += 1;
                assert!(verdict.is_err(), "{name} must be rejected");
            }
            b'i' => counts[2] += 1,
            _ => panic!("{name} says neither y, n nor i"),
        }
    }
    counts
}

#[test]
fn samples_give_the_same_verdict_with_columns() {
    give_the_same_verdict_with_columns(&fixture("json"));
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_give_the_same_verdict_with_columns() {
    give_the_same_verdict_with_columns(&real_data("json_test_suite/test_parsing"));
}

fn give_the_same_verdict_with_columns(folder: &std::path::Path) {
    let plan = Plan::new(&[path("a"), path("a.b"), path("x[1].y"), path("")]);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        // As the value of a member that is wanted, and of one that is not.
        for key in ["a", "skipped"] {
            let record = format!("{{\"{key}\":{text}}}");
            let expected = validate(record.as_bytes());
            assert_eq!(plan.extract(&record, &mut plan.slots()), expected, "{}", path.display());
        }
    }
}

/// `a.b[0]` in the notation of the config; empty: the record.
fn path(text: &str) -> Path {
    let mut steps = Vec::new();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        steps.push(Step::Key(key.to_owned()));
        for index in indexes.split(['[', ']']).filter(|index| !index.is_empty()) {
            steps.push(Step::Index(index.parse().unwrap()));
        }
    }
    Path(steps)
}

struct Reader {
    plan: Plan,
    slots: Slots,
    columns: usize,
}

impl Reader {
    fn new(paths: &[&str]) -> Reader {
        let paths: Vec<Path> = paths.iter().map(|text| path(text)).collect();
        let plan = Plan::new(&paths);
        Reader { slots: plan.slots(), plan, columns: paths.len() }
    }

    /// The raw text of each column, `-` where it is absent.
    fn read(&mut self, record: &str) -> Vec<String> {
        self.plan.extract(record, &mut self.slots).unwrap();
        (0..self.columns)
            .map(|column| self.value(column, record).map_or("-".to_owned(), |value| value.text().to_owned()))
            .collect()
    }

    fn value<'r>(&self, column: usize, record: &'r str) -> Option<RawValue<'r>> {
        self.plan.value(column, record, &self.slots)
    }
}

fn error(record: &str) -> String {
    let plan = Plan::new(&[path("a"), path("b.c")]);
    let error = plan.extract(record, &mut plan.slots()).unwrap_err();
    error.to_string()
}

#[test]
fn errors_name_the_byte_and_what_was_expected() {
    for (record, message) in [
        ("", "bad JSON at byte 0: expected a JSON object as the record, found the end"),
        ("[1]", "bad JSON at byte 0: expected a JSON object as the record, found '['"),
        ("  7", "bad JSON at byte 2: expected a JSON object as the record, found '7'"),
        ("\u{feff}{}", "bad JSON at byte 0: expected a JSON object as the record, found byte 0xEF"),
        (r#"{"a":1,"longer_key"}"#, "bad JSON at byte 19: expected ':' after a key, found '}'"),
        (r#"{"a":1,}"#, "bad JSON at byte 7: expected a key in double quotes, found '}'"),
        (r#"{a:1}"#, "bad JSON at byte 1: expected a key in double quotes, found 'a'"),
        (r#"{"a" 1}"#, "bad JSON at byte 5: expected ':' after a key, found '1'"),
        (r#"{"a":}"#, "bad JSON at byte 5: expected a value, found '}'"),
        (r#"{"a":1 "b":2}"#, "bad JSON at byte 7: expected ',' or '}' after a member, found '\"'"),
        (r#"{"x":[1 2]}"#, "bad JSON at byte 8: expected ',' or ']' after an element, found '2'"),
        (r#"{"x":[1,]}"#, "bad JSON at byte 8: expected a value, found ']'"),
        (r#"{"x":[{"y":1]}"#, "bad JSON at byte 12: expected ',' or '}' after a member, found ']'"),
        (r#"{"a":01}"#, "bad JSON at byte 6: expected no digit after a leading zero, found '1'"),
        (r#"{"a":1.}"#, "bad JSON at byte 7: expected a digit after the point of a number, found '}'"),
        (r#"{"a":-}"#, "bad JSON at byte 6: expected a digit in a number, found '}'"),
        (r#"{"a":1e+}"#, "bad JSON at byte 8: expected a digit in the exponent of a number, found '}'"),
        (r#"{"a":nul}"#, "bad JSON at byte 8: expected null, found '}'"),
        (r#"{"a":True}"#, "bad JSON at byte 5: expected a value, found 'T'"),
        (r#"{"a":"x"#, "bad JSON at byte 7: expected '\"' at the end of a string, found the end"),
        (r#"{"a":"\q"}"#, "bad JSON at byte 7: expected one of \" \\ / b f n r t u after a backslash, found 'q'"),
        (r#"{"a":"\u12g4"}"#, "bad JSON at byte 10: expected four hexadecimal digits after \\u, found 'g'"),
        ("{\"a\":\"x\ty\"}", "bad JSON at byte 7: control character 0x09 in a string must be escaped"),
        ("{\"a\":\"x\0y\"}", "bad JSON at byte 7: control character 0x00 in a string must be escaped"),
        (r#"{"a":1} x"#, "bad JSON at byte 8: expected nothing after the value, found 'x'"),
        (r#"{"a":1}{"#, "bad JSON at byte 7: expected nothing after the value, found '{'"),
        (r#"{"a":1"#, "bad JSON at byte 6: expected ',' or '}' after a member, found the end"),
    ] {
        assert_eq!(error(record), message, "{record}");
    }
}

#[test]
fn halves_of_surrogate_pairs_are_refused_wherever_they_stand() {
    for (text, offset) in [
        (r#"{"a":"\ud800"}"#, 6),
        (r#"{"skipped":"\uDFFF"}"#, 12),
        (r#"{"a":"x\ud800\u0041"}"#, 7),
        (r#"{"a":"\ud83d\ud83d"}"#, 6),
        (r#"{"\udc00":1}"#, 2),
    ] {
        let error = validate(text.as_bytes()).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, JsonErrorKind::LoneSurrogate), "{text}");
        assert_eq!(error.reason(), Reason::BadJson);
    }
    assert_eq!(validate(r#"{"a":"\ud83d\ude00"}"#.as_bytes()), Ok(()));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
    for (text, offset) in [
        (&b"{\"a\":\"\xFF\"}"[..], 6),
        (b"{\"skipped\":[\"\xC3\"]}", 13),
        (b"{\"\xED\xA0\x80\":1}", 2),
        (b"\xFF\xFE{}", 0),
    ] {
        let error = validate(text).unwrap_err();
        assert_eq!((error.offset, error.reason()), (offset, Reason::BadUtf8));
    }
    assert_eq!(validate(b"\xFF").unwrap_err().to_string(), "not UTF-8 at byte 0");
}

#[test]
fn one_hundred_and_twenty_eight_levels_are_read_and_one_more_is_too_deep() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1))
    };
    for (open, close) in [("[", "]"), ("{\"b\":", "}"), ("[{\"c\":", "}]")] {
        let levels_each = open.matches(['[', '{']).count();
        let plan = Plan::new(&[path("a.b"), path("a[0].c")]);
        let mut slots = plan.slots();
        let whole = nested(127 / levels_each + 1, open, close);
        assert_eq!(plan.extract(&whole, &mut slots), Ok(()));
        let deep = nested(128 / levels_each + 1, open, close);
        let error = plan.extract(&deep, &mut slots).unwrap_err();
        assert_eq!(error.reason(), Reason::TooDeep, "{deep}");
        assert_eq!(validate(deep.as_bytes()), Err(error));
    }
    let brackets = format!("{{\"a\":{}", "[".repeat(100_000));
    let error = validate(brackets.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "nested deeper than 128 levels at byte 132");
}

#[test]
fn members_elements_and_what_lies_below_are_found() {
    let mut reader = Reader::new(&["user", "user.id", "items[1].sku", "items[0]", "items", "n", "user.id", ""]);
    let record = r#" { "n" : -1.5e3 , "user":{"id":"u1","x":[{}]},"items":[7,{"sku":"s","sku2":null}] } "#;
    assert_eq!(
        reader.read(record),
        [
            r#"{"id":"u1","x":[{}]}"#,
            r#""u1""#,
            r#""s""#,
            "7",
            r#"[7,{"sku":"s","sku2":null}]"#,
            "-1.5e3",
            r#""u1""#,
            record.trim()
        ]
    );
}

#[test]
fn a_path_through_another_kind_of_value_or_past_an_end_is_absent() {
    let mut reader = Reader::new(&["a.b", "a[2]", "a[0].b"]);
    for record in ["{}", r#"{"a":1}"#, r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":[1,2]}"#, r#"{"a":{}}"#]
    {
        assert_eq!(reader.read(record), ["-", "-", "-"], "{record}");
    }
    assert_eq!(reader.read(r#"{"a":[{"b":1},2,3]}"#), ["-", "3", "1"]);
    assert_eq!(reader.read(r#"{"a":{"b":2,"0":1}}"#), ["2", "-", "-"]);
}

#[test]
fn the_last_of_equal_keys_counts_with_all_of_its_value() {
    let mut reader = Reader::new(&["a", "a.b", "a.c", "a[0]"]);
    assert_eq!(reader.read(r#"{"a":1,"a":2}"#), ["2", "-", "-", "-"]);
    assert_eq!(reader.read(r#"{"a":{"b":1},"a":{"c":2}}"#), [r#"{"c":2}"#, "-", "2", "-"]);
    assert_eq!(reader.read(r#"{"a":{"b":1},"a":[5]}"#), ["[5]", "-", "-", "5"]);
    assert_eq!(reader.read(r#"{"a":[5],"a":"s"}"#), [r#""s""#, "-", "-", "-"]);
    assert_eq!(reader.read(r#"{"a":{"b":1,"b":null},"z":{"a":9}}"#), [r#"{"b":1,"b":null}"#, "null", "-", "-"]);
}

#[test]
fn keys_are_compared_unescaped() {
    let mut reader = Reader::new(&["ts", "a\"b", "", "é"]);
    let mut read = |record: &str| {
        let mut found = reader.read(record);
        found.remove(2);
        found
    };
    assert_eq!(read(r#"{"\u0074s":1,"a\"b":2,"\u00e9":3}"#), ["1", "2", "3"]);
    assert_eq!(read(r#"{"ts":1,"\u0074\u0073":4,"a\u0022b":5,"é":6}"#), ["4", "5", "6"]);
    assert_eq!(read(r#"{"t\\u0073":1,"":2}"#), ["-", "-", "-"]);

    let mut empty =
        Reader { plan: Plan::new(&[Path(vec![Step::Key(String::new())])]), slots: empty_slots(), columns: 1 };
    assert_eq!(empty.read(r#"{"":"x"}"#), [r#""x""#]);
}

fn empty_slots() -> Slots {
    Plan::new(&[Path(vec![Step::Key(String::new())])]).slots()
}

#[test]
fn what_is_found_does_not_depend_on_the_records_before() {
    let names: Vec<String> = (0..12).map(|i| format!("key_{}_{i}", "x".repeat(i * 2))).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut reader = Reader::new(&paths);
    // Rotations, gaps, strangers and repeated keys, so that every guess is wrong somewhere.
    for round in 0..200_usize {
        let mut record = String::from("{");
        let mut expected = vec!["-".to_owned(); names.len()];
        for step in 0..names.len() * 2 {
            let index = (step * (round % 5 + 1) + round) % names.len();
            if (step + round) % 7 == 0 {
                record += &format!("\"stranger{}\":[{step}],", round % 3);
            }
            if (step * round) % 3 != 1 {
                record += &format!("\"{}\":{},", names[index], step);
                expected[index] = step.to_string();
            }
        }
        record += "\"end\":0}";
        assert_eq!(reader.read(&record), expected, "{record}");
    }
}

#[test]
fn a_key_that_only_starts_like_the_expected_one_is_another_key() {
    let mut reader = Reader::new(&["abc", "abcdefghijklmnopqrstuvwxyz"]);
    assert_eq!(reader.read(r#"{"abc":1,"abcdefghijklmnopqrstuvwxyz":2}"#), ["1", "2"]);
    assert_eq!(reader.read(r#"{"abcd":1,"abcdefghijklmnopqrstuvwxyZ":2}"#), ["-", "-"]);
    assert_eq!(reader.read(r#"{"ab":1,"abcdefghijklmnopqrstuvwxy":2}"#), ["-", "-"]);
    assert_eq!(reader.read(r#"{"abc":3,"abcdefghijklmnopqrstuvwxyz":4}"#), ["3", "4"]);
    // The record ends within the width of one compare.
    assert_eq!(reader.read(r#"{"abc":5}"#), ["5", "-"]);
}

#[test]
fn values_are_handed_on_by_kind() {
    let mut reader = Reader::new(&["v"]);
    let mut scratch = String::from("left over");
    for (text, value) in [
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("-0.10E+2", Value::Number("-0.10E+2")),
        (r#""""#, Value::String("")),
        (r#""null""#, Value::String("null")),
        (r#""\"\\\/\b\f\n\r\t""#, Value::String("\"\\/\u{8}\u{c}\n\r\t")),
        (r#""a\u00e9\u4E2D\ud83d\uDE00\u0000z""#, Value::String("aé中😀\0z")),
        (r#"{"a":[1]}"#, Value::Json(r#"{"a":[1]}"#)),
        ("[ ]", Value::Json("[ ]")),
    ] {
        let record = format!("{{\"v\":{text}}}");
        reader.read(&record);
        assert_eq!(reader.value(0, &record).unwrap().value(&mut scratch), value);
    }
}

#[test]
fn elements_of_an_array_come_in_order() {
    let mut reader = Reader::new(&["v"]);
    let mut elements = |text: &str| {
        let record = format!("{{\"v\":{text}}}");
        reader.read(&record);
        let value = reader.value(0, &record).unwrap();
        value.elements().map(|element| (element.kind(), element.text().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(elements("[]"), []);
    assert_eq!(elements("[ \t ]"), []);
    assert_eq!(elements("7"), []);
    assert_eq!(elements("{\"a\":1}"), []);
    let expected = [
        (Kind::Number, "1"),
        (Kind::PlainString, "\"],[\""),
        (Kind::EscapedString, r#""\"]""#),
        (Kind::Array, "[[2] ,3]"),
        (Kind::Object, "{\"a\":[4]}"),
        (Kind::Null, "null"),
        (Kind::True, "true"),
        (Kind::False, "false"),
    ];
    let found = elements(r#"[ 1 , "],[","\"]",[[2] ,3],{"a":[4]},null ,true,false ]"#);
    assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
}

#[test]
fn long_and_hostile_records_take_linear_time_and_no_stack() {
    let mut reader = Reader::new(&["a", "a.b", "s", "n"]);
    let duplicates = format!("{{{}\"n\":1}}", "\"a\":{\"b\":1},".repeat(10_000));
    assert_eq!(reader.read(&duplicates), [r#"{"b":1}"#, "1", "-", "1"]);
    let strangers: String = (0..10_000).map(|i| format!("\"k{i}\":{i},")).collect();
    assert_eq!(reader.read(&format!("{{{strangers}\"s\":\"x\"}}")), ["-", "-", "\"x\"", "-"]);

    let digits = "7".repeat(1_000_000);
    assert_eq!(reader.read(&format!("{{\"n\":{digits}}}"))[3], digits);
    assert_eq!(
        error(&format!("{{\"n\":{digits}x}}")),
        "bad JSON at byte 1000005: expected ',' or '}' after a member, found 'x'"
    );

    let quotes = format!("{{\"s\":\"{}\"}}", "\\\"".repeat(500_000));
    let mut scratch = String::new();
    reader.read(&quotes);
    assert_eq!(reader.value(2, &quotes).unwrap().value(&mut scratch), Value::String(&"\"".repeat(500_000)));
    assert_eq!(error(&"\"".repeat(100_000)), "bad JSON at byte 0: expected a JSON object as the record, found '\"'");
    assert_eq!(
        error(&format!("{{{}", "\"".repeat(99_999))),
        "bad JSON at byte 3: expected ':' after a key, found '\"'"
    );
    assert_eq!(
        error(&format!("{{\"a\":\"{}", "\\".repeat(99_999))),
        "bad JSON at byte 100005: expected one of \" \\ / b f n r t u after a backslash, found the end"
    );
}

#[test]
fn every_place_of_a_special_byte_in_a_word_is_seen() {
    for length in 0..40 {
        for place in 0..length {
            for (special, accepted) in [
                ("\"", false),
                ("\\n", true),
                ("\n", false),
                ("\u{1f}", false),
                (" ", true),
                ("é", true),
                ("\u{7f}", true),
            ] {
                let mut text = "a".repeat(length);
                text.replace_range(place..place + 1, special);
                let record = format!("{{\"a\":\"{text}\"}}");
                assert_eq!(validate(record.as_bytes()).is_ok(), accepted, "{record:?}");
            }
        }
        let digits = "8".repeat(length + 1);
        for end in ["}", " }", ".5}", "e5}"] {
            assert_eq!(validate(format!("{{\"a\":{digits}{end}").as_bytes()), Ok(()));
        }
        for bad in ["/", ":", "a", "\u{80}", "\u{3b0}"] {
            assert!(validate(format!("{{\"a\":{digits}{bad}{digits}}}").as_bytes()).is_err());
        }
    }
}
