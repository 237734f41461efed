//! Which slices a rollup has, told by the rollup itself.
//!
//! A rollup holds sums over slices. So beside the rows of a slice there stands, in the same block, a marker: one row for each
//! day that the rows touch, which is a partition, with the slice's id in the last column of the sorting key, where rows of
//! data have 0. ClickHouse makes a block's rows of one partition visible together and keeps or loses them together. So the
//! marker of a day is there if and only if the slice's rows of that day are.
//!
//! A marker has no product, so that all of a day stand together at the beginning, sorted by slice, and one is found by the
//! primary key. It adds nothing to any measure, and the views leave it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, RecordBatch, TimestampSecondArray, UInt64Array, make_array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use longshore_core::column::arrow::TIME_ZONE;
use longshore_core::column::layout::SLICE_COLUMN;
use longshore_core::slice::SliceId;

use super::client::ClickHouse;
use super::days::Days;
use super::error::ClientError;
use super::sql::{quote_name, quote_table};
use super::store::Day;

/// The column that the rows of all rollups but those of new users have: the start of a minute.
pub(super) const MINUTE: &str = "minute";

/// The state of no distinct values: how many there are.
const EMPTY_STATE: &[u8] = &[0];

/// Rows of a slice for a rollup's table, with their markers.
pub(super) fn with_markers(rows: RecordBatch, slice: SliceId) -> RecordBatch {
    let days: Vec<Day> = Days::of(&rows, MINUTE).count().keys().copied().collect();
    let (schema, columns, count) = rows.into_parts();
    let slices = std::iter::repeat_n(slice.0, days.len()).chain(std::iter::repeat_n(0, count));
    let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
    // Column by column, so that only one is there twice.
    let mut marked: Vec<ArrayRef> = fields
        .iter()
        .zip(columns)
        .map(|(field, column)| {
            let markers = if field.name() == MINUTE { starts(&days) } else { nothing(field.data_type(), days.len()) };
            concat(&[&*markers, &*column]).expect("two arrays of one type")
        })
        .collect();
    fields.push(Arc::new(Field::new(SLICE_COLUMN, DataType::UInt64, false)));
    marked.push(Arc::new(UInt64Array::from_iter_values(slices)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), marked).expect("columns of one length, none with nulls")
}

/// The first minutes of days.
fn starts(days: &[Day]) -> ArrayRef {
    let starts = days.iter().map(|&day| i64::from(day) * 86_400);
    Arc::new(TimestampSecondArray::from_iter_values(starts).with_timezone(TIME_ZONE))
}

/// So many values of a type that add nothing: zeros, empty texts, states without values.
fn nothing(ty: &DataType, count: usize) -> ArrayRef {
    match ty {
        DataType::Binary => Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(EMPTY_STATE, count))),
        // What a null hides is zero.
        _ => {
            let zeros = new_null_array(ty, count).to_data().into_builder().nulls(None).build();
            make_array(zeros.expect("zeros of the type"))
        }
    }
}

impl ClickHouse {
    /// The statement that asks on which of these days a rollup's table has a slice.
    pub fn marked_statement(&self, table: &str, slice: SliceId, days: &[Day]) -> String {
        let starts: Vec<String> =
            days.iter().map(|&day| format!("toDateTime({}, 'UTC')", i64::from(day) * 86_400)).collect();
        format!(
            "SELECT DISTINCT toInt32(toDate({minute})) FROM {} WHERE {} = '' AND {minute} IN ({}) AND {SLICE_COLUMN} = {}",
            quote_table(self.database(), table),
            quote_name("product"),
            starts.join(", "),
            slice.0,
            minute = quote_name(MINUTE),
        )
    }

    /// On which of these days a rollup's table has a slice.
    pub(super) fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        if days.is_empty() {
            return Ok(BTreeSet::new());
        }
        let found = self.look_up(&self.marked_statement(table, slice, days))?;
        let day = |text: String| text.parse().map_err(|_| ClientError::Invalid(format!("`{text}` is not a day")));
        found.into_iter().flatten().map(day).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Decimal128Type, TimestampSecondType, UInt64Type};
    use arrow_array::{Decimal128Array, FixedSizeBinaryArray, StringArray};

    use super::*;

    #[test]
    fn each_day_of_a_block_has_one_marker_that_adds_nothing() {
        let minutes = [100 * 86_400 + 60, 100 * 86_400 + 120, 102 * 86_400];
        let address = FixedSizeBinaryArray::try_from_iter([[7_u8; 16]; 3].into_iter()).unwrap();
        let amounts = Decimal128Array::from(vec![5, 6, 7]).with_precision_and_scale(38, 2).unwrap();
        let rows = RecordBatch::try_from_iter([
            ("product", Arc::new(StringArray::from(vec!["a", "b", "a"])) as ArrayRef),
            (MINUTE, Arc::new(TimestampSecondArray::from_iter_values(minutes).with_timezone("UTC"))),
            ("ip", Arc::new(address)),
            ("amount", Arc::new(amounts)),
            ("uv", Arc::new(BinaryArray::from_iter_values([[1_u8, 9], [1, 8], [1, 7]]))),
        ]);
        let marked = with_markers(rows.unwrap(), SliceId(77));
        let column = |name| marked.column_by_name(name).unwrap();
        assert_eq!(column(SLICE_COLUMN).as_primitive::<UInt64Type>().values(), &[77, 77, 0, 0, 0]);
        let days = [100 * 86_400, 102 * 86_400];
        assert_eq!(column(MINUTE).as_primitive::<TimestampSecondType>().values(), &[&days[..], &minutes[..]].concat());
        let products: Vec<&str> = column("product").as_string::<i32>().iter().flatten().collect();
        assert_eq!(products, ["", "", "a", "b", "a"]);
        assert_eq!(column("amount").as_primitive::<Decimal128Type>().values(), &[0, 0, 5, 6, 7]);
        assert_eq!(column("uv").as_binary::<i32>().value(1), [0]);
        assert_eq!(column("ip").as_fixed_size_binary().value(0), [0; 16]);
        assert!(marked.columns().iter().all(|column| column.null_count() == 0));
    }
}
