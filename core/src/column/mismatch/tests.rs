//! What an operator reads.

use super::*;

fn detail(ty: &ColumnType, shown: Shown, found: Value<'_>, cause: Cause) -> String {
    let fault = Mismatch::wrong(&"price".into(), ty, shown, found, cause).into_fault();
    assert_eq!((fault.reason, fault.column.as_deref()), (Reason::TypeMismatch, Some("price")));
    fault.detail
}

#[test]
fn says_what_was_found_and_what_is_wanted() {
    assert_eq!(
        detail(&ColumnType::U8, Shown::Value, Value::Number("300"), Cause::Range),
        "the number 300 is out of range; the column wants an integer from 0 to 255"
    );
    assert_eq!(
        detail(&ColumnType::Decimal { precision: 18, scale: 2 }, Shown::Value, Value::String("1.005"), Cause::Fraction),
        "the string \"1.005\" has digits after the point that cannot be kept; \
         the column wants a number of at most 16 digits before the point and 2 after it"
    );
    let list = ColumnType::List(Box::new(ColumnType::Bool));
    assert_eq!(
        detail(&list, Shown::Value, Value::Json("{\"a\":1}"), Cause::Kind),
        "the object {\"a\":1} has the wrong type; the column wants a JSON array, each item true, false, 1 or 0"
    );
    assert_eq!(
        detail(&list, Shown::Value, Value::Null, Cause::NullItem),
        "null stands in a list, which cannot hold it; the column wants a JSON array, each item true, false, 1 or 0"
    );
    let seconds =
        ColumnType::Timestamp { precision: TimePrecision::Millis, format: TimeFormat::Epoch(TimePrecision::Seconds) };
    assert_eq!(
        detail(&seconds, Shown::Value, Value::Number("1795132800000"), Cause::Range),
        "the number 1795132800000 is out of range; \
         the column wants seconds since 1970-01-01T00:00:00Z, years 1900 to 2299"
    );
}

#[test]
fn escapes_and_cuts_what_was_found() {
    assert_eq!(
        detail(&ColumnType::Uuid, Shown::Value, Value::Text("it's \"a\"\tb\0\u{202e}"), Cause::Form),
        "the text \"it's \\\"a\\\"\\tb\\0\\u{202e}\" does not have the right form; \
         the column wants a UUID such as 00112233-4455-6677-8899-aabbccddeeff"
    );
    let long = detail(&ColumnType::Bool, Shown::Value, Value::String(&"é".repeat(1000)), Cause::Form);
    let shown = "é".repeat(40);
    assert_eq!(
        long,
        format!("the string \"{shown}…\" does not have the right form; the column wants true, false, 1 or 0")
    );
}

#[test]
fn a_masked_value_is_not_shown() {
    let all = [Value::Number("4111"), Value::String("4111"), Value::Text("4111"), Value::Json("[4111]")];
    for value in all {
        let hidden = detail(&ColumnType::U8, Shown::Hidden, value, Cause::Range);
        assert!(!hidden.contains("4111"), "{hidden}");
        assert!(hidden.contains("(not shown, records are sealed or have masked columns) is out of range"), "{hidden}");
        let masked = detail(&ColumnType::U8, Shown::Masked, value, Cause::Range);
        assert!(!masked.contains("4111"), "{masked}");
        assert!(masked.contains("(not shown, the column has a mask) is out of range"), "{masked}");
    }
}

#[test]
fn the_detail_is_bounded() {
    let format = TimeFormat::Pattern { pattern: "日".repeat(1000), zone: "UTC".to_owned() };
    let ty = ColumnType::Timestamp { precision: TimePrecision::Millis, format };
    let detail = detail(&ty, Shown::Value, Value::String("x"), Cause::Form);
    assert!(detail.len() <= DEAD_LETTER_DETAIL_BYTES && detail.len() > DEAD_LETTER_DETAIL_BYTES - 3);
}

#[test]
fn a_missing_field() {
    for (value, what) in [(Value::Absent, "absent"), (Value::Null, "null"), (Value::Text(""), "empty")] {
        let mismatch = Mismatch::missing(&"user".into(), value);
        assert_eq!(
            mismatch.to_string(),
            format!("missing_field in column user: the field is {what}, and the column is required")
        );
        assert_eq!(Fault::from(mismatch).reason, Reason::MissingField);
    }
}
