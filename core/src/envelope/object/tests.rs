use proptest::prelude::*;

use super::{Malformed, Names, Text};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn find<'a>(object: &'a [u8], names: [&str; 3]) -> Result<[Option<Text<'a>>; 3], Malformed> {
    super::find(object, &Names::new(names))
}

fn found(object: &str) -> Result<[Option<String>; 3], Malformed> {
    let texts = find(object.as_bytes(), NAMES)?;
    Ok(texts.map(|text| text.map(|text| String::from_utf8(text.unescaped().into_owned()).unwrap())))
}

fn value(text: &str) -> String {
    let [value, ..] = found(&format!("{{\"a\":\"{text}\"}}")).unwrap();
    value.unwrap()
}

#[test]
fn escapes_are_undone() {
    assert_eq!(value(""), "");
    assert_eq!(value(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
    assert_eq!(value(r"x\u0041\u00e9\u20AC\ud83d\ude00y"), "xAé€😀y");
    assert_eq!(value("€😀"), "€😀");
}

#[test]
fn half_of_a_surrogate_pair_is_a_replacement_character() {
    assert_eq!(value(r"\ud83d"), "\u{FFFD}");
    assert_eq!(value(r"\ude00\ud83d"), "\u{FFFD}\u{FFFD}");
    assert_eq!(value(r"\ud83dx\ude00"), "\u{FFFD}x\u{FFFD}");
    assert_eq!(value(r"\ud83d\u0041"), "\u{FFFD}A");
    assert_eq!(value(r"\ud83d\n"), "\u{FFFD}\n");
}

/// Names are compared as they are written before they are read, which must not make `\b` a backslash and a `b`.
#[test]
fn a_name_is_what_it_says_however_it_is_written() {
    let strings = |object: &str, names| {
        let texts = find(object.as_bytes(), names).unwrap();
        texts.map(|text| text.map(|text| String::from_utf8(text.unescaped().into_owned()).unwrap()))
    };
    let some = |text: &str| Some(text.to_owned());
    let escaped = ["a\\b", "c\"d", "e\u{1}"];
    let object = r#"{"a\\b":"1","c\"d":"2","e\u0001":"3"}"#;
    assert_eq!(strings(object, escaped), [some("1"), some("2"), some("3")]);
    assert_eq!(strings(r#"{"a\b":"1"}"#, escaped), [None, None, None], "this one is an `a` and a backspace");

    let alike = ["key", "key2", "ke"];
    let object = r#"{"ke":"3","k":"0","key2":"2","k\u0065y":"1","keys":"0"}"#;
    assert_eq!(strings(object, alike), [some("1"), some("2"), some("3")]);
    let twice = find(br#"{"key":"1","k\u0065y":"1"}"#, alike).unwrap_err();
    assert_eq!(twice, Malformed { offset: 11, what: "a field of the envelope stands twice" });
}

#[test]
fn what_is_not_json_is_found_where_it_stands() {
    let cases = [
        ("{\"a\"\u{1}:\"\"}", 4, "no `:` after a field's name"),
        ("{\"x\":\"\u{1}\"}", 6, "a bare control character in a string"),
        ("{\"\n\":1}", 2, "a bare control character in a string"),
        ("{\"a\":\"\\x\"}", 6, "an escape that JSON does not have"),
        ("{\"a\":\"\\u12g4\"}", 6, "an escape that JSON does not have"),
        ("{\"a\":\"\\u12\"}", 6, "an escape that JSON does not have"),
        ("{\"a\":\"\\", 6, "an escape that JSON does not have"),
        ("{\"a\":\"b", 7, "a string without its closing quote"),
        ("{\"a\":1}", 5, "no string in quotes"),
        ("{\"x\":01}", 6, "neither `,` nor `}` after a value"),
        ("{\"x\":-}", 6, "no digit where a number needs one"),
        ("{\"x\":1.}", 7, "no digit where a number needs one"),
        ("{\"x\":1e+}", 8, "no digit where a number needs one"),
        ("{\"x\":.5}", 5, "no JSON value"),
        ("{\"x\":NaN}", 5, "no JSON value"),
        ("{\"x\":tru}", 5, "no JSON value"),
        ("{\"x\":[1,]}", 8, "no JSON value"),
        ("{\"x\":[1 2]}", 8, "neither `,` nor the closing bracket after a value"),
        ("{\"x\":{\"y\"}}", 9, "no `:` after a field's name"),
        ("{\"x\":1,}", 7, "no string in quotes"),
        ("{x:1}", 1, "no string in quotes"),
        ("{} {}", 3, "something follows the object"),
        ("[]", 0, "not a JSON object: no `{`"),
    ];
    for (object, offset, what) in cases {
        assert_eq!(found(object), Err(Malformed { offset, what }), "{object}");
    }
    let not_utf8 = find(b"{\"x\":\"ab\xFF\"}", NAMES);
    assert_eq!(not_utf8.unwrap_err(), Malformed { offset: 8, what: "a string that is not UTF-8" });
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(found(&nested(128)), Ok([None, None, None]));
    assert_eq!(found(&nested(129)), Err(Malformed { offset: 5 + 127, what: "nested too deep" }));
    let bottomless = format!("{{\"x\":{}", "[{\"y\":".repeat(100_000));
    assert_eq!(found(&bottomless).unwrap_err().what, "nested too deep");
}

/// Pieces that make JSON and things close to it.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\"a\"",
        "\"b\":\"v\"",
        "\"x\":",
        "\"d\":1",
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1.5",
        "2e9",
        "-",
        ".",
        "e",
        "\\",
        "\\u0041",
        "\\n",
        "é",
        "\u{1}",
        "{\"a\":\"\\/\"}",
        "{\"y\":[1,{}]}",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Between two braces, so that many of them are objects.
    #[test]
    fn accepts_what_serde_json_accepts(inside in json_like()) {
        let object = [b"{", &inside[..], b"}"].concat();
        let twin = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&object);
        match find(&object, NAMES) {
            Ok(found) => {
                let twin = twin.map_err(|error| TestCaseError::fail(format!("serde_json: {error}")))?;
                for (name, text) in NAMES.iter().zip(found) {
                    let text = text.map(|text| String::from_utf8(text.unescaped().into_owned()).unwrap());
                    prop_assert_eq!(twin.get(*name).and_then(|value| value.as_str()), text.as_deref());
                }
            }
            // These two are not errors of JSON, but of an envelope.
            Err(Malformed { what: "a field of the envelope stands twice" | "no string in quotes", .. }) => {}
            Err(malformed) => prop_assert!(twin.is_err(), "{malformed:?}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = find(&bytes, NAMES);
        let _ = find(&[b"{\"a\":\"", &bytes[..], b"\"}"].concat(), NAMES).map(|found| found[0].map(|text| text.unescaped().len()));
    }
}
