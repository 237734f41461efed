//! What was made of an input, boiled down to a few numbers a column, so that a decoder, its twin and a rival compare.
//!
//! A column's hash covers every value and its place; sums and nulls are there to say how two answers differ, and for
//! rivals whose types are not ours. Rows count in the order of the records, however a batch has them sorted.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use longshore_core::column::layout::ROW_COLUMN;
use xxhash_rust::xxh3::Xxh3;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Null.
    Null,
    /// Text; its bytes are summed.
    Text(&'a str),
    /// An integer, a decimal's digits, a time's ms, an address: summed.
    Number(i128),
    /// A float, summed in the order of the records.
    Float(f64),
    /// Bytes without a sum.
    Bytes(&'a [u8]),
}

/// One column's values, in order.
#[derive(Clone)]
pub struct ColumnAnswer {
    /// Name of the column.
    pub name: String,
    /// Values that are null.
    pub nulls: u64,
    /// Bytes of all text.
    pub text_bytes: u64,
    /// Sum of all integers.
    pub number: i128,
    /// Sum of all floats.
    pub float: f64,
    hasher: Xxh3,
}

/// All columns of an input.
#[derive(Clone)]
pub struct Answer {
    /// Records that became rows.
    pub rows: u64,
    /// The declared columns, in their order.
    pub columns: Vec<ColumnAnswer>,
}

impl ColumnAnswer {
    /// Appends a value.
    pub fn push(&mut self, cell: Cell<'_>) {
        // A tag before, a length before what varies: no two lists of values have the same bytes.
        match cell {
            Cell::Null => {
                self.nulls += 1;
                self.hasher.update(b"0");
            }
            Cell::Text(text) => {
                self.text_bytes += text.len() as u64;
                self.hasher.update(b"t");
                self.hasher.update(&text.len().to_le_bytes());
                self.hasher.update(text.as_bytes());
            }
            Cell::Number(number) => {
                self.number += number;
                self.hasher.update(b"n");
                self.hasher.update(&number.to_le_bytes());
            }
            Cell::Float(float) => {
                self.float += float;
                self.hasher.update(b"f");
                self.hasher.update(&float.to_bits().to_le_bytes());
            }
            Cell::Bytes(bytes) => {
                self.hasher.update(b"b");
                self.hasher.update(&bytes.len().to_le_bytes());
                self.hasher.update(bytes);
            }
        }
    }

    /// Nulls, sums and hash as text.
    fn summary(&self) -> String {
        let Self { nulls, text_bytes, number, float, hasher, .. } = self;
        format!("{nulls} nulls, {text_bytes} B of text, sum {number} or {float}, hash {:016x}", hasher.digest())
    }
}

impl Answer {
    /// No rows yet.
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Answer {
        let column = |name: &str| ColumnAnswer {
            name: name.to_owned(),
            nulls: 0,
            text_bytes: 0,
            number: 0,
            float: 0.0,
            hasher: Xxh3::new(),
        };
        Answer { rows: 0, columns: names.map(column).collect() }
    }

    /// Appends a batch that a decoder made of one slice.
    ///
    /// # Errors
    /// A column that is absent or of a type that no bench config declares.
    pub fn push_batch(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let order = order_of_records(batch)?;
        for column in &mut self.columns {
            let array = batch.column_by_name(&column.name).with_context(|| format!("no column {}", column.name))?;
            push_array(column, array.as_ref(), &order).with_context(|| format!("column {}", column.name))?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// One number for all of it: equal answers have equal digests.
    pub fn digest(&self) -> String {
        let mut hasher = Xxh3::new();
        hasher.update(&self.rows.to_le_bytes());
        for column in &self.columns {
            hasher.update(column.name.as_bytes());
            hasher.update(&column.hasher.digest().to_le_bytes());
        }
        format!("{:016x}", hasher.digest())
    }

    /// Fails unless both are the same, value by value.
    ///
    /// # Errors
    /// Says which columns differ, and how.
    pub fn ensure_same(&self, twin: &Answer) -> anyhow::Result<()> {
        ensure!(self.rows == twin.rows, "{} rows, the twin has {}", self.rows, twin.rows);
        ensure!(self.columns.len() == twin.columns.len(), "another number of columns than the twin");
        let mut differences = String::new();
        for (ours, theirs) in self.columns.iter().zip(&twin.columns) {
            let (ours_says, theirs_says) = (ours.summary(), theirs.summary());
            if ours.name != theirs.name || ours_says != theirs_says {
                let _ = write!(differences, "\n{}: {ours_says}; the twin: {theirs_says}", ours.name);
            }
        }
        ensure!(differences.is_empty(), "the decoder's columns are not those of the serde_json twin:{differences}");
        Ok(())
    }
}

/// The batch's rows in the order of their records.
fn order_of_records(batch: &RecordBatch) -> anyhow::Result<Vec<usize>> {
    let rows = batch.column_by_name(ROW_COLUMN).context("no column _row")?;
    let rows = rows.as_primitive_opt::<UInt32Type>().context("_row is not a UInt32")?;
    let mut order: Vec<usize> = (0..batch.num_rows()).collect();
    order.sort_by_key(|&row| rows.value(row));
    Ok(order)
}

fn push_array(column: &mut ColumnAnswer, array: &dyn Array, order: &[usize]) -> anyhow::Result<()> {
    macro_rules! push {
        ($values:expr, $cell:expr) => {{
            let values = $values;
            for &row in order {
                let cell = if array.is_null(row) { Cell::Null } else { $cell(values.value(row)) };
                column.push(cell);
            }
        }};
    }
    match array.data_type() {
        DataType::Utf8 => push!(array.as_string::<i32>(), Cell::Text),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let texts = dictionary.values().as_string::<i32>();
            push!(dictionary.keys(), |key: i32| Cell::Text(texts.value(key as usize)));
        }
        DataType::Int64 => push!(array.as_primitive::<Int64Type>(), |value| Cell::Number(i128::from(value))),
        DataType::UInt32 => push!(array.as_primitive::<UInt32Type>(), |value| Cell::Number(i128::from(value))),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            push!(array.as_primitive::<TimestampMillisecondType>(), |value| Cell::Number(i128::from(value)));
        }
        DataType::Decimal128(_, _) => push!(array.as_primitive::<Decimal128Type>(), Cell::Number),
        DataType::Float64 => push!(array.as_primitive::<Float64Type>(), Cell::Float),
        DataType::Boolean => push!(array.as_boolean(), |value| Cell::Number(i128::from(value))),
        DataType::FixedSizeBinary(_) => push!(array.as_fixed_size_binary(), Cell::Bytes),
        other => bail!("no bench config declares a column that becomes {other}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cells: &[Cell<'_>]) -> Answer {
        let mut answer = Answer::new(["c"].into_iter());
        cells.iter().for_each(|cell| answer.columns[0].push(*cell));
        answer.rows = cells.len() as u64;
        answer
    }

    #[test]
    fn a_value_moved_split_or_changed_is_another_answer() {
        use Cell::{Float, Null, Number, Text};
        let base = [Text("ab"), Text("c"), Null, Number(1), Float(0.5)];
        assert!(answer(&base).ensure_same(&answer(&base)).is_ok());
        let others: [[Cell<'_>; 5]; 5] = [
            [Text("c"), Text("ab"), Null, Number(1), Float(0.5)],
            [Text("a"), Text("bc"), Null, Number(1), Float(0.5)],
            [Text("ab"), Text("c"), Text(""), Number(1), Float(0.5)],
            [Text("ab"), Text("c"), Null, Number(2), Float(0.5)],
            [Text("ab"), Text("c"), Null, Number(1), Float(-0.5)],
        ];
        for other in others {
            let error = answer(&base).ensure_same(&answer(&other)).unwrap_err().to_string();
            assert!(error.contains("\nc: "), "{error}");
        }
    }
}
