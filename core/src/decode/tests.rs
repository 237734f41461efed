//! Slices through a decoder: what is loaded, what is dead and why, and that nothing else is.

mod adversarial;
mod bad_records;
mod conformance;
mod event_times;
mod formats;
mod hidden;
mod messages;
mod paths;
mod products;
mod records;
mod shapes;
mod twin;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};

use super::{DecodedSlice, Decoder, Scratch};
use crate::config::{self, Config, Env};
use crate::dead_letter::{DeadLetter, Reason};
use crate::product::Dictionary;
use crate::slice::{CutAt, Slice, SliceId};

/// A config of these sections, with the event time and a table around them.
fn config(sections: &str) -> Config {
    config::parse(&twin::configs::whole(sections), Path::new("test.toml"), &Env::new())
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Columns `ts`, `name` and the product `p`.
const COLUMNS: &str = r#"
[products]
column = "p"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "name"
type = "string"
[[column]]
name = "p"
type = "low_cardinality"
"#;

fn decoder(sections: &str) -> Decoder {
    Decoder::new(&config(sections), None, None).unwrap()
}

fn decoder_with_products(sections: &str, dictionary: &str) -> Decoder {
    let dictionary = Dictionary::parse_csv(dictionary.as_bytes(), "products.csv").unwrap();
    Decoder::new(&config(sections), None, Some(dictionary)).unwrap()
}

fn slice(start: u64, bytes: impl Into<Vec<u8>>) -> Slice {
    Slice {
        id: SliceId(0xABCD),
        source: "test".into(),
        start,
        bytes: bytes.into(),
        header: None,
        tail: None,
        messages: None,
        cut: CutAt::Unknown,
    }
}

fn with_header(mut slice: Slice, names: &[&str]) -> Slice {
    slice.header = Some(names.iter().map(|name| (*name).to_owned()).collect());
    slice
}

/// Decodes with a new scratch, and again with a used one, and checks what holds for every slice. The rows are put back in
/// the order of the records, which is the one that tests read.
fn decode(decoder: &Decoder, slice: &Slice) -> DecodedSlice {
    let mut scratch = Scratch::new(decoder);
    let mut decoded = decoder.decode(slice, &mut scratch);
    let again = decoder.decode(slice, &mut scratch);
    assert_eq!(decoded.batch, again.batch, "a batch depends on its slice alone");
    assert_eq!(decoded.dead, again.dead);
    assert_eq!(decoded.rows_by_product, again.rows_by_product);

    assert_eq!(decoded.batch.schema_ref(), decoder.schema());
    assert_eq!(decoded.records, decoded.batch.num_rows() as u64 + decoded.dead.len() as u64 + decoded.filtered);
    let by_product: u64 = decoded.rows_by_product.iter().map(|(_, rows)| rows).sum();
    assert_eq!(by_product, decoded.batch.num_rows() as u64);
    let ids = decoded.batch.column_by_name("_slice").unwrap().as_primitive::<UInt64Type>();
    assert!(ids.values().iter().all(|&id| id == slice.id.0));
    decoded.batch = in_order_of_records(&decoded.batch);
    decoded
}

fn in_order_of_records(batch: &RecordBatch) -> RecordBatch {
    let rows = rows(batch);
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by_key(|&index| rows[index as usize]);
    crate::order::rows_of(batch, &order)
}

/// The `_row` of each row.
fn rows(batch: &RecordBatch) -> Vec<u32> {
    batch.column_by_name("_row").unwrap().as_primitive::<UInt32Type>().values().to_vec()
}

/// A text column, plain or low-cardinality; `<null>` for null.
fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    let text = |row: usize| match column.as_dictionary_opt::<Int32Type>() {
        _ if column.is_null(row) => "<null>".to_owned(),
        Some(dictionary) => {
            dictionary.values().as_string::<i32>().value(dictionary.keys().value(row) as usize).to_owned()
        }
        None => column.as_string::<i32>().value(row).to_owned(),
    };
    (0..column.len()).map(text).collect()
}

/// Position, offset, length and reason of each dead letter.
fn places(dead: &[DeadLetter]) -> Vec<(u32, u64, u64, Reason)> {
    dead.iter().map(|letter| (letter.row, letter.offset, letter.length, letter.fault.reason)).collect()
}

fn by_product(decoded: &DecodedSlice) -> Vec<(&str, u64)> {
    decoded.rows_by_product.iter().map(|(product, rows)| (&**product, *rows)).collect()
}

fn names(batch: &RecordBatch) -> Vec<Arc<str>> {
    batch.schema_ref().fields().iter().map(|field| field.name().as_str().into()).collect()
}

/// The table is ordered by product, `order_by` and time; rows of equal keys stay in the order of their records.
#[test]
fn a_batch_is_in_the_order_of_the_table() {
    let decoder = decoder(&format!("order_by = [\"name\"]\n{COLUMNS}"));
    let record =
        |p: &str, name: &str, second: u32| format!("{{\"ts\":{second}000,\"name\":\"{name}\",\"p\":\"{p}\"}}\n");
    let records = [("b", "x", 3), ("a", "y", 9), ("b", "x", 1), ("a", "x", 7), ("b", "x", 3), ("a", "y", 2)];
    let bytes: String = records.iter().map(|(p, name, second)| record(p, name, *second)).collect();
    let mut scratch = Scratch::new(&decoder);
    let slice = slice(0, bytes);
    for _ in 0..3 {
        let batch = decoder.decode(&slice, &mut scratch).batch;
        assert_eq!(rows(&batch), [3, 5, 1, 2, 0, 4]);
        assert_eq!(texts(&batch, "p"), ["a", "a", "a", "b", "b", "b"]);
        assert_eq!(texts(&batch, "name"), ["x", "y", "y", "x", "x", "x"]);
        scratch.recycle(batch);
    }
    let mut unsorted = Scratch::new(&decoder).unsorted();
    for _ in 0..3 {
        let batch = decoder.decode(&slice, &mut unsorted).batch;
        assert_eq!(rows(&batch), [0, 1, 2, 3, 4, 5]);
        assert_eq!(texts(&batch, "name"), ["x", "y", "x", "x", "x", "y"]);
        unsorted.recycle(batch);
    }
}
