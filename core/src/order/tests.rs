//! Batches through the sort against rows compared one by one, value by value.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, UInt32Array, UInt64Array};
use arrow_schema::Schema;
use proptest::prelude::*;

use super::{Order, OrderScratch};
use crate::column::ColumnType;
use crate::column::arrow::arrow_field;
use crate::column::builder::ColumnBuilder;
use crate::column::layout::{LayoutColumn, Origin, event_columns};
use crate::column::value::Value;
use crate::config::{self, Config, Env};
use crate::simd::Kernels;

/// The columns of every type, ordered by `order_by`.
fn config(order_by: &str) -> Config {
    let types = [
        ("text", "string"),
        ("low", "low_cardinality"),
        ("small", "i8"),
        ("big", "u64"),
        ("long", "i64"),
        ("flag", "bool"),
        ("float", "f64"),
        ("single", "f32"),
        ("cents", "decimal(18,2)"),
        ("huge", "decimal(38,0)"),
        ("day", "date"),
        ("four", "ipv4"),
        ("six", "ipv6"),
        ("uuid", "uuid"),
        ("short", "i16"),
        ("list", "list(string)"),
        ("numbers", "list(i32)"),
    ];
    let mut text = "version = 1\n[products]\ncolumn = \"product\"\n".to_owned();
    text += "[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n";
    text += "[[column]]\nname = \"product\"\ntype = \"low_cardinality\"\n";
    for (name, ty) in types {
        text += &format!("[[column]]\nname = \"{name}\"\ntype = \"{ty}\"\n");
    }
    text += "[[column]]\nname = \"maybe\"\ntype = \"string\"\nnullable = true\n";
    text += "[[column]]\nname = \"perhaps\"\ntype = \"low_cardinality\"\nnullable = true\n";
    text += &format!("[table]\ntime = \"ts\"\norder_by = [{order_by}]\n");
    config::parse(&text, Path::new("test.toml"), &Env::new()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Columns of these rows: each is filled with what its number makes of the type.
fn columns(layout: &[LayoutColumn], rows: &[u64]) -> Vec<ArrayRef> {
    layout.iter().map(|column| filled(column, rows)).collect()
}

fn filled(column: &LayoutColumn, rows: &[u64]) -> ArrayRef {
    match column.origin {
        Origin::Slice => return Arc::new(UInt64Array::from_value(77, rows.len())),
        Origin::Row => return Arc::new(UInt32Array::from_iter_values(0..rows.len() as u32)),
        _ => {}
    }
    let mut builder = ColumnBuilder::of_layout(column);
    for (row, &number) in rows.iter().enumerate() {
        // Different bits of the number for different columns, few values for some: ties are the point.
        let n = number.rotate_left(7 * column.name.len() as u32 + u32::from(column.name.as_bytes()[0]));
        if column.nullable && n % 3 == 0 {
            builder.push(Value::Null).unwrap();
        } else if let ColumnType::List(item) = &column.ty {
            builder.list_begin();
            for index in 0..n % 4 {
                builder.list_item(Value::String(&text_of(item, n.wrapping_add(index * row as u64)))).unwrap();
            }
            builder.list_end();
        } else {
            builder.push(Value::String(&text_of(&column.ty, n))).unwrap();
        }
    }
    builder.finish()
}

/// A text that the type takes.
fn text_of(ty: &ColumnType, n: u64) -> String {
    match ty {
        ColumnType::String => {
            ["", "a", "é", "zz", "\u{10FFFF}", "a longer text than a chunk of any width has, by far, is"]
                [n as usize % 6]
                .repeat(n as usize % 3)
        }
        ColumnType::LowCardinality => format!("{}", (n % 13) * 7),
        ColumnType::I8 => (n as i8).to_string(),
        ColumnType::I16 => (n as i16 % 3).to_string(),
        ColumnType::I32 => (n as i32).to_string(),
        ColumnType::I64 => (n as i64).to_string(),
        ColumnType::U64 => n.to_string(),
        ColumnType::Bool => (n.is_multiple_of(2)).to_string(),
        ColumnType::F32 | ColumnType::F64 => ["-0.0", "0", "-1.5", "1e30", "-1e-30", "7"][n as usize % 6].to_owned(),
        ColumnType::Decimal { precision: 18, .. } => format!("{}.{:02}", (n as i64) / 1_000_000_000_000, n % 100),
        ColumnType::Decimal { .. } => (i128::from(n as i64) * 1_000_000_000_000_000_000).to_string(),
        ColumnType::Timestamp { .. } => (1_795_000_000_000 + n % 40).to_string(),
        ColumnType::Date { .. } => format!("19{:02}-02-{:02}", n % 100, n / 100 % 28 + 1),
        ColumnType::Ipv4 => std::net::Ipv4Addr::from_bits(n as u32).to_string(),
        ColumnType::Ipv6 => std::net::Ipv6Addr::from_bits(u128::from(n) << (n % 60)).to_string(),
        ColumnType::Uuid => {
            let digits = format!("{:032x}", u128::from(n) << (n % 60));
            format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
        }
        other => panic!("no text for {other:?}"),
    }
}

/// Compares two rows of a column as ClickHouse does, by the values themselves.
fn compare(column: &ArrayRef, ty: &ColumnType, a: usize, b: usize) -> Ordering {
    use arrow_array::types::*;
    macro_rules! native {
        ($ty:ty) => {{
            let values = column.as_primitive::<$ty>();
            values.value(a).partial_cmp(&values.value(b)).unwrap()
        }};
    }
    match ty {
        ColumnType::String => {
            column.as_string::<i32>().value(a).as_bytes().cmp(column.as_string::<i32>().value(b).as_bytes())
        }
        ColumnType::LowCardinality => low(column, a).cmp(&low(column, b)),
        ColumnType::I8 => native!(Int8Type),
        ColumnType::I16 => native!(Int16Type),
        ColumnType::I64 => native!(Int64Type),
        ColumnType::U64 => native!(UInt64Type),
        ColumnType::F32 => native!(Float32Type),
        ColumnType::F64 => native!(Float64Type),
        ColumnType::Decimal { .. } => native!(Decimal128Type),
        ColumnType::Date { .. } => native!(Date32Type),
        ColumnType::Ipv4 => native!(UInt32Type),
        ColumnType::Timestamp { .. } => native!(TimestampMillisecondType),
        ColumnType::Bool => column.as_boolean().value(a).cmp(&column.as_boolean().value(b)),
        ColumnType::Ipv6 => column.as_fixed_size_binary().value(a).cmp(column.as_fixed_size_binary().value(b)),
        ColumnType::Uuid => {
            let halves = |row| {
                let (first, second) = column.as_fixed_size_binary().value(row).split_at(8);
                (second.to_vec(), first.to_vec())
            };
            halves(a).cmp(&halves(b))
        }
        other => panic!("{other:?} in a key"),
    }
}

fn low(column: &ArrayRef, row: usize) -> String {
    let dictionary = column.as_dictionary::<Int32Type>();
    dictionary.values().as_string::<i32>().value(dictionary.keys().value(row) as usize).to_owned()
}

/// The column's rows one by one, as Arrow itself cuts them out.
fn pick(column: &ArrayRef, order: &[usize]) -> Vec<ArrayRef> {
    order.iter().map(|&row| column.slice(row, 1)).collect()
}

/// Sorts with every kernel, twice with one scratch, and checks against a stable sort by comparison.
fn check(order_by: &[&str], rows: &[u64]) {
    let quoted: Vec<String> = order_by.iter().map(|name| format!("\"{name}\"")).collect();
    let config = config(&quoted.join(", "));
    let layout = event_columns(&config);
    let schema = Schema::new(layout.iter().map(arrow_field).collect::<Vec<_>>());
    let columns = columns(&layout, rows);
    let keys: Vec<usize> = ["product"]
        .iter()
        .chain(order_by)
        .chain(&["ts"])
        .map(|name| layout.iter().position(|column| &*column.name == *name).unwrap())
        .collect();
    let mut expected: Vec<usize> = (0..rows.len()).collect();
    expected.sort_by(|&a, &b| {
        let by_key = keys.iter().map(|&key| compare(&columns[key], &layout[key].ty, a, b));
        by_key.fold(Ordering::Equal, Ordering::then)
    });
    let in_order = expected.is_sorted();
    for kernels in Kernels::all() {
        let order = Order::new(&config, &layout, kernels);
        let mut scratch = OrderScratch::new(&schema);
        for _ in 0..3 {
            let Some(sorted) = order.sort(&columns, &mut scratch) else {
                assert!(in_order, "{kernels}: not in order");
                continue;
            };
            assert!(!in_order, "{kernels}: was in order");
            for (index, column) in sorted.iter().enumerate() {
                assert_eq!(column.data_type(), columns[index].data_type());
                let all: Vec<usize> = (0..rows.len()).collect();
                assert_eq!(pick(column, &all), pick(&columns[index], &expected), "{kernels}: {}", layout[index].name);
            }
            let numbers = sorted.last().unwrap().as_primitive::<UInt32Type>().values();
            assert!(numbers.iter().map(|&row| row as usize).eq(expected.iter().copied()));
            scratch.recycle(sorted);
        }
    }
}

const KEYS: [&str; 15] = [
    "text", "low", "small", "big", "long", "flag", "float", "single", "cents", "huge", "day", "four", "six", "uuid",
    "short",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Sorted, stable, and every column moved with its row, whatever the key is.
    #[test]
    fn any_rows_by_any_key(
        rows in prop::collection::vec(prop_oneof![any::<u64>(), 0..4_u64], 0..300),
        keys in prop::sample::subsequence(KEYS.to_vec(), 0..5).prop_shuffle(),
    ) {
        check(&keys, &rows);
    }
}

/// Keys too wide to be packed become ranks, twice over.
#[test]
fn wide_keys_are_ranked() {
    let rows: Vec<u64> = (0..2_000).map(|row: u64| (row % 700).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    check(&["big", "long", "huge", "uuid", "text", "six"], &rows);
}

#[test]
fn each_type_in_a_key() {
    let rows: Vec<u64> = (0..500).map(|row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    KEYS.iter().for_each(|key| check(&[key], &rows));
}

#[test]
fn rows_in_order_are_left_where_they_are() {
    check(&[], &[5; 1_000]);
    check(&["text"], &[]);
    check(&["text"], &[9]);
}

/// `toUUID('ffffffff-ffff-ffff-0000-000000000000') < toUUID('00000000-0000-0000-0000-000000000001')` in ClickHouse.
#[test]
fn uuids_are_ordered_by_their_second_half() {
    let column = LayoutColumn { name: "u".into(), ty: ColumnType::Uuid, nullable: false, origin: Origin::Declared(0) };
    let mut builder = ColumnBuilder::of_layout(&column);
    for text in ["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-0000-000000000000"] {
        builder.push(Value::String(text)).unwrap();
    }
    let mut packed = super::key::Packed::default();
    packed.begin(2);
    super::key::push_column(&mut packed, &builder.finish(), &ColumnType::Uuid);
    assert!(!packed.is_sorted());
}
