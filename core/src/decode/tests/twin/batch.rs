//! A batch as cells, and what it must be.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

use super::{Cell, Expected};

/// What a decoder made of a slice, in terms of the twin.
pub(crate) struct Found<'f> {
    pub(crate) batch: &'f RecordBatch,
    /// Row, offset, length, reason, column.
    pub(crate) dead: Vec<(u32, u64, u64, &'static str, Option<&'f str>)>,
    pub(crate) filtered: u64,
    pub(crate) by_product: BTreeMap<String, u64>,
}

/// What is not as expected, in words. Rows may come in any order: their numbers tell them apart.
pub(crate) fn difference(found: &Found<'_>, expected: &Expected) -> Option<String> {
    let dead = |index: usize| {
        let (ours, theirs) = (found.dead.get(index), expected.dead.get(index));
        let is_equal = match (ours, theirs) {
            (Some(&(row, offset, length, reason, column)), Some(dead)) => {
                (row, offset, length, column) == (dead.row, dead.offset, dead.length, dead.column.as_deref())
                    && dead.reasons.contains(&reason)
            }
            _ => false,
        };
        (!is_equal).then(|| format!("dead letter {index} is {ours:?}, not {theirs:?}"))
    };
    let mut numbers: Vec<(Cell, usize)> = cells(found.batch, "_row").into_iter().zip(0..).collect();
    numbers.sort_by_key(|(number, _)| match number {
        Cell::Integer(number) => *number,
        other => panic!("{other:?} is no number"),
    });
    let order: Vec<usize> = numbers.iter().map(|&(_, place)| place).collect();
    let row = |index: usize| {
        let (ours, theirs) = (
            numbers.get(index).map(|(number, _)| number.clone()),
            expected.rows.get(index).map(|&(row, _)| Cell::Integer(row.into())),
        );
        (ours != theirs).then(|| format!("row {index} is record {ours:?}, not {theirs:?}"))
    };
    let first = (0..found.dead.len().max(expected.dead.len())).find_map(dead);
    let first = first.or_else(|| (0..numbers.len().max(expected.rows.len())).find_map(row));
    first.or_else(|| values(found.batch, &order, expected)).or_else(|| {
        let counts = (found.filtered, &found.by_product);
        (counts != (expected.filtered, &expected.by_product))
            .then(|| format!("{counts:?} instead of {:?}", (expected.filtered, &expected.by_product)))
    })
}

/// The first value that is not as expected; `order` has the places of the expected rows.
fn values(batch: &RecordBatch, order: &[usize], expected: &Expected) -> Option<String> {
    let (_, first) = expected.rows.first()?;
    // And `_slice` and `_row`.
    assert_eq!(batch.num_columns(), first.len() + 2, "columns of a row");
    for (place, (name, _)) in first.iter().enumerate() {
        let found = cells(batch, name);
        for (&at, (row, cells)) in order.iter().zip(&expected.rows) {
            let (cell, (other, expected)) = (&found[at], &cells[place]);
            assert_eq!(name, other);
            if cell != expected {
                return Some(format!("record {row} has {cell:?} in {name}, not {expected:?}"));
            }
        }
    }
    None
}

fn cells(batch: &RecordBatch, name: &str) -> Vec<Cell> {
    of_array(batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}")))
}

fn of_array(array: &dyn Array) -> Vec<Cell> {
    let cell = |row| if array.is_null(row) { Cell::Null } else { of_row(array, row) };
    (0..array.len()).map(cell).collect()
}

fn of_row(array: &dyn Array, row: usize) -> Cell {
    macro_rules! integer {
        ($type:ty) => {
            Cell::Integer(array.as_primitive::<$type>().value(row).into())
        };
    }
    match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let key = dictionary.keys().value(row) as usize;
            Cell::Text(dictionary.values().as_string::<i32>().value(key).to_owned())
        }
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Decimal128(..) => integer!(Decimal128Type),
        DataType::Date32 => integer!(Date32Type),
        DataType::Timestamp(TimeUnit::Second, _) => integer!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => integer!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => integer!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => integer!(TimestampNanosecondType),
        DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(row).to_bits().into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::FixedSizeBinary(16) => {
            Cell::Bytes(array.as_fixed_size_binary().value(row).try_into().expect("16 bytes"))
        }
        DataType::List(_) => Cell::List(of_array(&array.as_list::<i32>().value(row))),
        other => panic!("no column is {other}"),
    }
}
