//! Text, booleans and raw JSON, row by row of the table in the documentation.

use super::*;

#[test]
fn text_keeps_what_was_written() {
    assert_eq!(text(Value::String("")), Ok(""));
    assert_eq!(text(Value::String("日本 \0 \u{10ffff}")), Ok("日本 \0 \u{10ffff}"));
    assert_eq!(text(Value::String("null")), Ok("null"));
    assert_eq!(text(Value::Text("-")), Ok("-"));
    assert_eq!(text(Value::Number("1.50e3")), Ok("1.50e3"));
    assert_eq!(text(Value::Bool(true)), Ok("true"));
    assert_eq!(text(Value::Bool(false)), Ok("false"));
    assert_eq!(text(Value::Json("{\"a\":1}")), Err(Cause::Kind));
    assert_eq!(text(Value::Json("[]")), Err(Cause::Kind));
}

#[test]
fn booleans() {
    assert_eq!(boolean(Value::Bool(true)), Ok(true));
    assert_eq!(boolean(Value::Bool(false)), Ok(false));
    assert_eq!(boolean(Value::Number("1")), Ok(true));
    assert_eq!(boolean(Value::Number("0")), Ok(false));
    for number in ["2", "-1", "-0", "1.0", "0.0", "1e0"] {
        assert_eq!(boolean(Value::Number(number)), Err(Cause::Range), "{number}");
    }
    for (text, expected) in [("true", true), ("TRUE", true), ("False", false), ("1", true), ("0", false)] {
        assert_eq!(boolean(Value::String(text)), Ok(expected), "{text}");
        assert_eq!(boolean(Value::Text(text)), Ok(expected), "{text}");
    }
    for text in ["", "yes", "no", "on", "t", " true", "01", "null"] {
        assert_eq!(boolean(Value::String(text)), Err(Cause::Form), "{text}");
    }
    assert_eq!(boolean(Value::Json("[true]")), Err(Cause::Kind));
}

#[test]
fn raw_json() {
    assert_eq!(json(Value::Json("{ \"a\" : [1, null] }")), Ok("{ \"a\" : [1, null] }"));
    assert_eq!(json(Value::Json("\"text\\n\"")), Ok("\"text\\n\""));
    assert_eq!(json(Value::Number("1.50")), Ok("1.50"));
    assert_eq!(json(Value::Bool(true)), Ok("true"));
    assert_eq!(json(Value::Text("{\"a\":1}")), Ok("{\"a\":1}"), "a CSV cell that holds JSON");
    assert_eq!(json(Value::Text("7")), Ok("7"));
    assert_eq!(json(Value::Text("plain")), Err(Cause::Form));
    assert_eq!(json(Value::Text("{\"a\":1")), Err(Cause::Form));
    assert_eq!(json(Value::String("text")), Err(Cause::Kind), "unescaped, so no longer JSON");
}
