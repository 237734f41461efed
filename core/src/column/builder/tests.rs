//! Builders: what a missing field becomes, masks, lists, and a model of pushes and cuts.

mod model;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::*;
use crate::column::arrow::{arrow_field, arrow_type};
use crate::column::layout::Origin;
use crate::column::{Path, TimeFormat, TimePrecision};
use crate::dead_letter::Reason;
use crate::limits::LIST_ITEMS_MAX;

fn spec(ty: ColumnType) -> ColumnSpec {
    ColumnSpec {
        name: "c".into(),
        ty,
        path: Path(Vec::new()),
        default: None,
        nullable: false,
        required: false,
        mask: None,
    }
}

fn timestamp(precision: TimePrecision) -> ColumnType {
    ColumnType::Timestamp { precision, format: TimeFormat::Rfc3339 }
}

fn list(item: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(item))
}

/// Every kind of column, with a value it takes.
fn samples() -> Vec<(ColumnType, Value<'static>)> {
    vec![
        (ColumnType::String, Value::String("text")),
        (ColumnType::LowCardinality, Value::String("text")),
        (ColumnType::I8, Value::Number("-1")),
        (ColumnType::I16, Value::Number("-1")),
        (ColumnType::I32, Value::Number("-1")),
        (ColumnType::I64, Value::Number("-1")),
        (ColumnType::U8, Value::Number("1")),
        (ColumnType::U16, Value::Number("1")),
        (ColumnType::U32, Value::Number("1")),
        (ColumnType::U64, Value::Number("1")),
        (ColumnType::F32, Value::Number("1.5")),
        (ColumnType::F64, Value::Number("1.5")),
        (ColumnType::Decimal { precision: 18, scale: 2 }, Value::Number("1.5")),
        (ColumnType::Bool, Value::Bool(true)),
        (timestamp(TimePrecision::Seconds), Value::String("2026-11-20T00:00:00Z")),
        (timestamp(TimePrecision::Millis), Value::String("2026-11-20T00:00:00Z")),
        (timestamp(TimePrecision::Micros), Value::String("2026-11-20T00:00:00Z")),
        (timestamp(TimePrecision::Nanos), Value::String("2026-11-20T00:00:00Z")),
        (ColumnType::Date { format: None }, Value::String("2026-11-20")),
        (ColumnType::Ipv4, Value::String("192.0.2.1")),
        (ColumnType::Ipv6, Value::String("2001:db8::1")),
        (ColumnType::Uuid, Value::String("00112233-4455-6677-8899-aabbccddeeff")),
        (ColumnType::Json, Value::Json("{\"a\":1}")),
    ]
}

fn push_all(builder: &mut ColumnBuilder, values: &[Value<'_>]) {
    for value in values {
        builder.push(*value).expect("the value fits");
    }
}

fn reason(result: Result<(), Mismatch>) -> Option<Reason> {
    result.err().map(|mismatch| mismatch.into_fault().reason)
}

/// The text rows of an array; `None` for null.
fn strings(array: &ArrayRef) -> Vec<Option<String>> {
    array.as_string::<i32>().iter().map(|row| row.map(str::to_owned)).collect()
}

#[test]
fn arrays_have_the_declared_type() {
    let mut samples = samples();
    let lists: Vec<_> = samples.iter().filter(|(ty, _)| *ty != ColumnType::Json).cloned().collect();
    for (ty, value) in samples.drain(..) {
        let mut builder = ColumnBuilder::new(&ColumnSpec { nullable: true, ..spec(ty.clone()) });
        push_all(&mut builder, &[value, Value::Null, value]);
        assert_eq!(builder.len(), 3);
        let array = builder.finish();
        assert_eq!(array.data_type(), &arrow_type(&ty));
        assert_eq!((array.len(), array.null_count(), array.is_null(1)), (3, 1, true), "{ty:?}");
        assert!(builder.is_empty());
        assert_eq!(builder.finish().len(), 0);
    }
    for (item, value) in lists {
        let mut builder = ColumnBuilder::new(&spec(list(item.clone())));
        builder.list_begin();
        builder.list_item(value).expect("the item fits");
        builder.list_end();
        let array = builder.finish();
        assert_eq!(array.data_type(), &arrow_type(&list(item.clone())), "{item:?}");
        assert_eq!(array.as_list::<i32>().value(0).len(), 1);
    }
}

#[test]
fn arrow_types_by_hand() {
    assert_eq!(arrow_type(&ColumnType::Ipv4), DataType::UInt32);
    assert_eq!(arrow_type(&ColumnType::Uuid), DataType::FixedSizeBinary(16));
    assert_eq!(arrow_type(&ColumnType::Json), DataType::Utf8);
    assert_eq!(arrow_type(&ColumnType::Decimal { precision: 18, scale: 2 }), DataType::Decimal128(18, 2));
    assert_eq!(arrow_type(&timestamp(TimePrecision::Millis)).to_string(), "Timestamp(ms, \"UTC\")");
    let column = LayoutColumn {
        name: "tags".into(),
        ty: list(ColumnType::LowCardinality),
        nullable: false,
        origin: Origin::Declared(0),
    };
    let field = arrow_field(&column);
    assert_eq!((field.name().as_str(), field.is_nullable()), ("tags", false));
    assert_eq!(field.data_type(), &DataType::new_list(DataType::Utf8, false));
}

#[test]
fn missing_fields() {
    // Default, nullable, required; the rows of absent, null and empty text: `None` is a null, "-" a refusal.
    type Row = (Option<&'static str>, bool, bool, [Option<&'static str>; 3]);
    let table: [Row; 6] = [
        (None, false, false, [Some(""), Some(""), Some("")]),
        (None, true, false, [None, None, None]),
        (Some("d"), false, false, [Some("d"), Some("d"), Some("d")]),
        (Some("d"), true, false, [Some("d"), None, Some("d")]),
        (None, false, true, [Some("-"), Some("-"), Some("-")]),
        (None, true, true, [Some("-"), Some("-"), Some("-")]),
    ];
    for (default, nullable, required, expected) in table {
        let default = default.map(str::to_owned);
        let mut builder = ColumnBuilder::new(&ColumnSpec { default, nullable, required, ..spec(ColumnType::String) });
        for (value, expected) in [Value::Absent, Value::Null, Value::Text("")].into_iter().zip(expected) {
            let pushed = builder.push(value);
            if expected == Some("-") {
                assert_eq!(reason(pushed), Some(Reason::MissingField));
                assert_eq!(builder.len(), 0);
                continue;
            }
            assert_eq!(pushed, Ok(()));
            let row = builder.len() - 1;
            assert_eq!(builder.text_at(row, &mut String::new()), expected, "{value:?} of {nullable} {required}");
        }
    }
}

#[test]
fn a_json_string_that_is_empty_is_a_value() {
    let required = ColumnSpec { required: true, ..spec(ColumnType::String) };
    assert_eq!(ColumnBuilder::new(&required).push(Value::String("")), Ok(()));
    let mut number = ColumnBuilder::new(&spec(ColumnType::I64));
    assert_eq!(reason(number.push(Value::String(""))), Some(Reason::TypeMismatch));
    assert_eq!(reason(number.push(Value::String("null"))), Some(Reason::TypeMismatch));
    assert_eq!(number.len(), 0);
}

#[test]
fn zero_values_are_clickhouses() {
    for (ty, _) in samples() {
        let mut builder = ColumnBuilder::new(&spec(ty.clone()));
        push_all(&mut builder, &[Value::Absent, Value::Null]);
        let array = builder.finish();
        assert_eq!((array.len(), array.null_count()), (2, 0));
        let data = array.to_data();
        let values = match &ty {
            // The dictionary's one value is the empty text.
            ColumnType::LowCardinality => {
                assert_eq!(strings(array.as_dictionary::<Int32Type>().values()), [Some(String::new())]);
                continue;
            }
            ColumnType::String | ColumnType::Json => {
                assert_eq!(strings(&array), [Some(String::new()), Some(String::new())]);
                continue;
            }
            _ => data.buffers()[0].as_slice(),
        };
        assert!(values.iter().all(|&byte| byte == 0), "{ty:?}: {values:?}");
    }
    let mut lists = ColumnBuilder::new(&spec(list(ColumnType::I64)));
    push_all(&mut lists, &[Value::Absent, Value::Null]);
    let array = lists.finish();
    assert_eq!(array.as_list::<i32>().value_offsets(), [0, 0, 0]);
}

#[test]
fn defaults_of_every_kind() {
    let with_default = |ty: ColumnType, text: &str| {
        assert_eq!(check_text(&ty, text), Ok(()));
        let mut builder = ColumnBuilder::new(&ColumnSpec { default: Some(text.to_owned()), ..spec(ty) });
        assert_eq!(builder.len(), 0, "the default is not a row");
        push_all(&mut builder, &[Value::Absent]);
        builder.finish()
    };
    assert_eq!(with_default(ColumnType::U8, "255").as_primitive::<UInt8Type>().value(0), 255);
    let decimal = with_default(ColumnType::Decimal { precision: 9, scale: 2 }, "1.50");
    assert_eq!(decimal.as_primitive::<Decimal128Type>().value(0), 150);
    assert!(with_default(ColumnType::Bool, "true").as_boolean().value(0));
    assert_eq!(with_default(ColumnType::Ipv4, "1.2.3.4").as_primitive::<UInt32Type>().value(0), 0x0102_0304);
    let date = with_default(ColumnType::Date { format: None }, "1970-01-02");
    assert_eq!(date.as_primitive::<Date32Type>().value(0), 1);
    let time = with_default(timestamp(TimePrecision::Millis), "1970-01-01T00:00:01Z");
    assert_eq!(time.as_primitive::<TimestampMillisecondType>().value(0), 1000);
    assert_eq!(strings(&with_default(ColumnType::String, "")), [Some(String::new())]);
    assert_eq!(strings(&with_default(ColumnType::Json, "{\"a\": []}")), [Some("{\"a\": []}".to_owned())]);
    let low = with_default(ColumnType::LowCardinality, "organic");
    let low = low.as_dictionary::<Int32Type>();
    assert_eq!(strings(low.values()), [Some("organic".to_owned())], "the default alone");
    assert_eq!(with_default(list(ColumnType::I64), "[]").as_list::<i32>().value_length(0), 0);
}

#[test]
fn defaults_that_do_not_fit() {
    let bad = [
        (ColumnType::U8, "256"),
        (ColumnType::I64, ""),
        (ColumnType::Decimal { precision: 5, scale: 2 }, "0.001"),
        (ColumnType::Bool, "yes"),
        (timestamp(TimePrecision::Millis), "now"),
        (ColumnType::Json, "{"),
        (ColumnType::Json, ""),
        (list(ColumnType::I64), "[1]"),
    ];
    for (ty, text) in bad {
        assert!(check_text(&ty, text).is_err(), "{ty:?} {text}");
    }
    assert_eq!(
        check_text(&ColumnType::U8, "256").unwrap_err(),
        "the string \"256\" is out of range; the column wants an integer from 0 to 255"
    );
}

#[test]
fn types_that_cannot_be() {
    let pattern = |pattern: &str, zone: &str| ColumnType::Timestamp {
        precision: TimePrecision::Millis,
        format: TimeFormat::Pattern { pattern: pattern.to_owned(), zone: zone.to_owned() },
    };
    for (ty, _) in samples() {
        assert_eq!(check_type(&ty), Ok(()));
    }
    assert_eq!(check_type(&pattern("%F %T", "Asia/Shanghai")), Ok(()));
    let bad = [
        ColumnType::Decimal { precision: 39, scale: 0 },
        ColumnType::Decimal { precision: 2, scale: 3 },
        pattern("%F %T", "Mars/Olympus"),
        pattern("%H:%M", "UTC"),
        ColumnType::Date { format: Some("%Ë".to_owned()) },
        list(list(ColumnType::I8)),
        list(ColumnType::Json),
    ];
    for ty in bad {
        assert!(check_type(&ty).is_err(), "{ty:?}");
    }
}

#[test]
fn masked_text() {
    let hash = Mask::Hash { salt: b"Jefe".to_vec() };
    for ty in [ColumnType::String, ColumnType::LowCardinality] {
        let default = Some("unknown".to_owned());
        let mut builder =
            ColumnBuilder::new(&ColumnSpec { mask: Some(hash.clone()), default, nullable: true, ..spec(ty.clone()) });
        let values = [Value::String("what do ya want for nothing?"), Value::Absent, Value::Null, Value::Number("7")];
        push_all(&mut builder, &values);
        let mut scratch = String::new();
        assert_eq!(builder.text_at(0, &mut scratch), Some("5bdcc146bf60754e6a042426089575c7"), "RFC 4231, test case 2");
        assert_eq!(builder.text_at(1, &mut scratch), Some("unknown"), "defaults are not masked");
        assert_eq!(builder.text_at(2, &mut scratch), None);
        // printf 7 | openssl dgst -sha256 -hmac Jefe
        assert_eq!(builder.text_at(3, &mut scratch), Some("eebb25ddc78a84e76400980a3919889d"));
        let mut redacted = ColumnBuilder::new(&ColumnSpec { mask: Some(Mask::Redact), ..spec(ty) });
        push_all(&mut redacted, &[Value::String("secret"), Value::Absent]);
        assert_eq!(redacted.text_at(0, &mut scratch), Some("***"));
        assert_eq!(redacted.text_at(1, &mut scratch), Some(""));
    }
}

#[test]
fn what_is_redacted_is_checked_and_dropped() {
    let masked = |ty: ColumnType| {
        ColumnBuilder::new(&ColumnSpec { mask: Some(Mask::Redact), default: Some("7".to_owned()), ..spec(ty) })
    };
    let mut builder = masked(ColumnType::U8);
    push_all(&mut builder, &[Value::Number("200"), Value::Absent]);
    let detail = builder.push(Value::Number("300")).unwrap_err().into_fault().detail;
    assert!(!detail.contains("300"), "{detail}");
    assert_eq!(builder.finish().as_primitive::<UInt8Type>().values(), &[0, 7]);

    let mut lists = ColumnBuilder::new(&ColumnSpec { mask: Some(Mask::Redact), ..spec(list(ColumnType::String)) });
    lists.list_begin();
    lists.list_item(Value::String("secret")).expect("the item fits");
    lists.list_end();
    let array = lists.finish();
    assert_eq!(array.as_list::<i32>().value_offsets(), [0, 0]);
    assert_eq!(array.as_list::<i32>().values().len(), 0, "nothing is left behind");
}

#[test]
fn masked_addresses_and_items() {
    let prefix = Some(Mask::IpPrefix { v4: 24, v6: 48 });
    let mut v4 = ColumnBuilder::new(&ColumnSpec { mask: prefix.clone(), ..spec(ColumnType::Ipv4) });
    push_all(&mut v4, &[Value::String("203.0.113.9")]);
    assert_eq!(v4.finish().as_primitive::<UInt32Type>().value(0), 0xcb00_7100);
    let mut v6 = ColumnBuilder::new(&ColumnSpec { mask: prefix, ..spec(ColumnType::Ipv6) });
    push_all(&mut v6, &[Value::String("2001:db8:1:2::3"), Value::String("203.0.113.9")]);
    let array = v6.finish();
    assert_eq!(array.as_fixed_size_binary().value(0), [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(array.as_fixed_size_binary().value(1), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0]);

    let truncate = Some(Mask::Truncate { chars: 2 });
    let mut items = ColumnBuilder::new(&ColumnSpec { mask: truncate, ..spec(list(ColumnType::LowCardinality)) });
    items.list_begin();
    items.list_item(Value::String("abc")).expect("the item fits");
    items.list_end();
    assert_eq!(strings(&items.finish().as_list::<i32>().value(0)), [Some("ab".to_owned())]);
}

#[test]
fn json_null_is_null_in_a_json_column_only() {
    let nullable = |ty| ColumnBuilder::new(&ColumnSpec { nullable: true, ..spec(ty) });
    let mut json = nullable(ColumnType::Json);
    push_all(&mut json, &[Value::Json("null"), Value::Json("\"null\""), Value::Null, Value::Text("null")]);
    assert_eq!(strings(&json.finish()), [None, Some("\"null\"".to_owned()), None, None]);
    let mut text = nullable(ColumnType::String);
    push_all(&mut text, &[Value::String("null"), Value::Text("null")]);
    assert_eq!(strings(&text.finish()), [Some("null".to_owned()), Some("null".to_owned())]);
}

#[test]
fn lists() {
    let mut builder = ColumnBuilder::new(&spec(list(ColumnType::U8)));
    assert!(builder.is_list());
    let row = |builder: &mut ColumnBuilder, items: &[&str]| {
        builder.list_begin();
        items.iter().try_for_each(|item| builder.list_item(Value::Number(item)))?;
        builder.list_end();
        Ok::<(), Mismatch>(())
    };
    assert_eq!(row(&mut builder, &["1", "2"]), Ok(()));
    assert_eq!(row(&mut builder, &[]), Ok(()));
    assert_eq!(reason(row(&mut builder, &["3", "300"])), Some(Reason::TypeMismatch));
    assert_eq!(builder.len(), 2);
    builder.list_begin();
    assert_eq!(reason(builder.list_item(Value::Null)), Some(Reason::TypeMismatch), "an item cannot be null");
    // Left open: another column refused the record.
    builder.list_begin();
    builder.list_item(Value::Number("4")).expect("the item fits");
    builder.truncate(2);
    assert_eq!(row(&mut builder, &["5"]), Ok(()));
    builder.list_begin();
    builder.list_item(Value::Number("6")).expect("the item fits");
    builder.list_begin();
    builder.list_end();
    for value in [Value::Json("{}"), Value::Number("1"), Value::String("[]"), Value::Text("[]"), Value::Bool(true)] {
        assert_eq!(reason(builder.push(value)), Some(Reason::TypeMismatch), "{value:?}");
    }
    push_all(&mut builder, &[Value::Absent]);
    let array = builder.finish();
    let array = array.as_list::<i32>();
    assert_eq!(array.value_offsets(), [0, 2, 2, 3, 3, 3]);
    assert_eq!(array.values().as_primitive::<UInt8Type>().values(), &[1, 2, 5]);
}

#[test]
#[should_panic(expected = "the end of a list without its beginning")]
fn a_list_with_a_refused_item_is_no_longer_open() {
    let mut builder = ColumnBuilder::new(&spec(list(ColumnType::U8)));
    builder.list_begin();
    assert!(builder.list_item(Value::Number("300")).is_err());
    builder.list_end();
}

#[test]
fn a_default_that_no_row_has_is_not_in_the_dictionary() {
    let default = Some("unknown".to_owned());
    let mut builder = ColumnBuilder::new(&ColumnSpec { default, ..spec(ColumnType::LowCardinality) });
    for _ in 0..2 {
        push_all(&mut builder, &[Value::String("a")]);
        let array = builder.finish();
        assert_eq!(strings(array.as_dictionary::<Int32Type>().values()), [Some("a".to_owned())]);
    }
}

#[test]
fn lists_are_bounded() {
    let mut builder = ColumnBuilder::new(&spec(list(ColumnType::U8)));
    builder.list_begin();
    for _ in 0..LIST_ITEMS_MAX {
        builder.list_item(Value::Number("1")).expect("the item fits");
    }
    let error = builder.list_item(Value::Number("1")).unwrap_err().into_fault();
    assert!(error.detail.contains("one item too many, a list holds at most 65536"), "{}", error.detail);
    assert_eq!(builder.len(), 0);
    assert_eq!(builder.finish().as_list::<i32>().values().len(), 0);
}

#[test]
fn text_for_conditions() {
    let mut scratch = "left over".to_owned();
    let mut at = |ty: ColumnType, value: Value<'_>| {
        let mut builder = ColumnBuilder::new(&ColumnSpec { nullable: true, ..spec(ty) });
        push_all(&mut builder, &[Value::Null, value]);
        assert_eq!(builder.text_at(0, &mut scratch), None);
        builder.text_at(1, &mut scratch).map(str::to_owned)
    };
    assert_eq!(at(ColumnType::I8, Value::Number("-12.80e1")), Some("-128".to_owned()));
    assert_eq!(at(ColumnType::U64, Value::String("18446744073709551615")), Some("18446744073709551615".to_owned()));
    assert_eq!(at(ColumnType::Bool, Value::Number("1")), Some("true".to_owned()));
    assert_eq!(at(ColumnType::String, Value::Number("1.50")), Some("1.50".to_owned()));
    assert_eq!(at(ColumnType::LowCardinality, Value::Bool(false)), Some("false".to_owned()));
    assert_eq!(at(ColumnType::F64, Value::Number("1")), None);
}

#[test]
fn dictionary_keys_for_look_ups() {
    let mut builder = ColumnBuilder::new(&ColumnSpec { nullable: true, ..spec(ColumnType::LowCardinality) });
    push_all(&mut builder, &[Value::String("a"), Value::String("b"), Value::Null, Value::String("a")]);
    assert_eq!([0, 1, 2, 3].map(|row| builder.key_at(row)), [Some(0), Some(1), None, Some(0)]);
    let mut text = ColumnBuilder::new(&spec(ColumnType::String));
    push_all(&mut text, &[Value::String("a")]);
    assert_eq!(text.key_at(0), None);
}

#[test]
fn offsets_end_at_two_gibibytes() {
    assert_eq!(cells::end_offset(0x7fff_ffff), Ok(0x7fff_ffff));
    assert_eq!(cells::end_offset(0x8000_0000), Err(crate::column::mismatch::Cause::BatchFull));
}

#[test]
fn columns_that_the_engine_fills() {
    let column = LayoutColumn { name: "_row".into(), ty: ColumnType::U32, nullable: false, origin: Origin::Row };
    let mut builder = ColumnBuilder::of_layout(&column);
    push_all(&mut builder, &[Value::Number("7")]);
    assert_eq!(builder.finish().as_primitive::<UInt32Type>().values(), &[7]);
}

#[test]
fn rows_of_one_value_are_as_many_pushes() {
    for ty in [ColumnType::LowCardinality, ColumnType::String] {
        let mut once = ColumnBuilder::new(&spec(ty.clone()));
        let mut each = ColumnBuilder::new(&spec(ty.clone()));
        for (value, rows) in [("a", 3), ("b", 0), ("b", 1), ("a", 200)] {
            once.push_same(Value::String(value), rows).unwrap();
            (0..rows).for_each(|_| each.push(Value::String(value)).unwrap());
        }
        assert_eq!(once.len(), 204);
        assert_eq!(&once.finish(), &each.finish(), "{ty:?}");
    }
}
