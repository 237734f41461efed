//! Random pushes, refusals and cuts against a vector of rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, UInt8Type};
use arrow_array::{Array, ArrayRef};
use proptest::prelude::*;

use super::{list, spec};
use crate::column::builder::ColumnBuilder;
use crate::column::value::Value;
use crate::column::{ColumnSpec, ColumnType};

/// One thing that happens to a column.
#[derive(Debug, Clone)]
enum Step {
    /// A value that may fit or not, see [`expected`].
    Push(String),
    Null,
    Absent,
    /// Cut back to this many of a hundred parts of the rows.
    Cut(usize),
    /// Finish the batch: what follows must not depend on what was before.
    Finish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => "[0-9]{1,3}|-[0-9]|[0-9]{1,2}\\.[0-9]{1,3}|true|false|[a-c]{0,2}|é{0,3}".prop_map(Step::Push),
        2 => Just(Step::Null),
        2 => Just(Step::Absent),
        2 => (0usize..=100).prop_map(Step::Cut),
        1 => Just(Step::Finish),
    ];
    proptest::collection::vec(step, 0..120)
}

/// The row that a string makes, as text; `None` if the column refuses it. Written without the conversions' help.
fn expected(ty: &ColumnType, text: &str) -> Option<String> {
    match ty {
        ColumnType::String | ColumnType::LowCardinality => Some(text.to_owned()),
        ColumnType::U8 if text.contains('.') => {
            let (whole, fraction) = text.split_once('.')?;
            fraction.bytes().all(|digit| digit == b'0').then(|| expected(ty, whole))?
        }
        ColumnType::U8 => text.replace("-0", "0").parse::<u8>().ok().map(|number| number.to_string()),
        ColumnType::Bool => match text {
            "true" | "1" => Some("true".to_owned()),
            "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        ColumnType::Decimal { .. } => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let whole: i128 = whole.parse().ok()?;
            let thousandths: i128 = format!("{fraction:0<3}").parse().ok()?;
            (thousandths % 10 == 0).then(|| (whole * 100 + thousandths / 10).to_string())
        }
        other => unreachable!("{other:?}"),
    }
}

/// The rows of an array as text; `None` for null.
fn rows(array: &ArrayRef) -> Vec<Option<String>> {
    let row = |row: usize| match array.data_type() {
        _ if array.is_null(row) => None,
        arrow_schema::DataType::Utf8 => Some(array.as_string::<i32>().value(row).to_owned()),
        arrow_schema::DataType::UInt8 => Some(array.as_primitive::<UInt8Type>().value(row).to_string()),
        arrow_schema::DataType::Boolean => Some(array.as_boolean().value(row).to_string()),
        arrow_schema::DataType::Decimal128(..) => Some(array.as_primitive::<Decimal128Type>().value(row).to_string()),
        arrow_schema::DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let key = dictionary.keys().value(row) as usize;
            Some(dictionary.values().as_string::<i32>().value(key).to_owned())
        }
        other => unreachable!("{other}"),
    };
    (0..array.len()).map(row).collect()
}

/// Runs the steps; every batch must be the model's rows, and the last one must be byte for byte what a new builder
/// makes of the steps since the last finish.
fn run(spec: &ColumnSpec, absent: Option<&str>, steps: &[Step]) {
    let mut builder = ColumnBuilder::new(spec);
    let mut model: Vec<Option<String>> = Vec::new();
    let mut last_batch = 0;
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Push(text) => match expected(&spec.ty, text) {
                Some(row) => {
                    assert_eq!(builder.push(Value::String(text)), Ok(()), "{text}");
                    model.push(Some(row));
                }
                None => assert!(builder.push(Value::String(text)).is_err(), "{text}"),
            },
            Step::Null => {
                assert_eq!(builder.push(Value::Null), Ok(()));
                model.push(if spec.nullable { None } else { absent.map(str::to_owned) });
            }
            Step::Absent => {
                assert_eq!(builder.push(Value::Absent), Ok(()));
                model.push(if spec.nullable && spec.default.is_none() { None } else { absent.map(str::to_owned) });
            }
            Step::Cut(percent) => {
                let kept = model.len() * percent / 100;
                builder.truncate(kept);
                model.truncate(kept);
            }
            Step::Finish => {
                assert_eq!(rows(&builder.finish()), model);
                model.clear();
                last_batch = index + 1;
            }
        }
        assert_eq!(builder.len(), model.len());
    }
    let array = builder.finish();
    assert_eq!(rows(&array), model);
    assert!(array.to_data().validate_full().is_ok());
    if last_batch > 0 {
        let mut anew = ColumnBuilder::new(spec);
        for step in &steps[last_batch..] {
            match step {
                Step::Push(text) => drop(anew.push(Value::String(text))),
                Step::Null => anew.push(Value::Null).expect("not required"),
                Step::Absent => anew.push(Value::Absent).expect("not required"),
                Step::Cut(percent) => anew.truncate(anew.len() * percent / 100),
                Step::Finish => unreachable!("the last one was passed"),
            }
        }
        assert_eq!(anew.finish().to_data(), array.to_data());
    }
}

proptest! {
    #[test]
    fn columns_are_their_rows(
        which in 0usize..5,
        nullable in any::<bool>(),
        has_default in any::<bool>(),
        steps in steps(),
    ) {
        // Type, zero value, default as written and as a row.
        let (ty, zero, written, default) = [
            (ColumnType::String, "", "d", "d"),
            (ColumnType::LowCardinality, "", "d", "d"),
            (ColumnType::U8, "0", "7", "7"),
            (ColumnType::Bool, "false", "true", "true"),
            (ColumnType::Decimal { precision: 9, scale: 2 }, "0", "1.25", "125"),
        ][which].clone();
        let absent = if has_default { default } else { zero };
        let default = has_default.then(|| written.to_owned());
        run(&ColumnSpec { nullable, default, ..spec(ty) }, Some(absent), &steps);
    }

    /// Lists, some with an item that is refused, some left open, against a vector of vectors.
    #[test]
    fn lists_are_their_items(
        lists in proptest::collection::vec(
            (proptest::collection::vec(0u16..270, 0..6), any::<bool>(), 0usize..4),
            0..40,
        ),
    ) {
        let mut builder = ColumnBuilder::new(&spec(list(ColumnType::U8)));
        let mut model: Vec<Vec<u8>> = Vec::new();
        for (items, left_open, cut) in lists {
            builder.list_begin();
            let fits = items.iter().try_for_each(|item| builder.list_item(Value::Number(&item.to_string()))).is_ok();
            prop_assert_eq!(fits, items.iter().all(|&item| item < 256));
            if fits && left_open {
                builder.truncate(model.len());
            } else if fits {
                builder.list_end();
                model.push(items.iter().map(|&item| item as u8).collect());
            }
            if cut == 0 && !model.is_empty() {
                model.pop();
                builder.truncate(model.len());
            }
            prop_assert_eq!(builder.len(), model.len());
        }
        let array = builder.finish();
        let items = |row: Option<ArrayRef>| row.expect("not null").as_primitive::<UInt8Type>().values().to_vec();
        let got: Vec<Vec<u8>> = array.as_list::<i32>().iter().map(items).collect();
        prop_assert_eq!(got, model);
        prop_assert!(array.to_data().validate_full().is_ok());
    }
}
