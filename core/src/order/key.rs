//! Sorting keys as numbers: a row's key columns packed into one integer that orders as ClickHouse orders the columns.
//!
//! A column adds as few bits as tell its values apart in this batch: a low-cardinality column the rank of its value in
//! the dictionary, a number its distance from the smallest. What is too wide becomes a rank among the batch's rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;

use crate::column::ColumnType;

/// The keys of a batch's rows, growing column by column.
#[derive(Default)]
pub(super) struct Packed {
    values: Vec<u64>,
    /// Bits that the values may have.
    bits: u32,
    /// Bits of a row's number.
    row_bits: u32,
}

impl Packed {
    /// Drops the last batch's keys; all of these rows are equal.
    pub(super) fn begin(&mut self, rows: usize) {
        self.values.clear();
        self.values.resize(rows, 0);
        self.bits = 0;
        self.row_bits = bits_of(rows.saturating_sub(1) as u64).max(1);
    }

    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    pub(super) fn row_bits(&self) -> u32 {
        self.row_bits
    }

    pub(super) fn is_sorted(&self) -> bool {
        self.values.is_sorted()
    }

    /// Appends a column: the rows' values, of which none is above `max`.
    fn push(&mut self, max: u64, value: impl Fn(usize) -> u64) {
        let bits = bits_of(max);
        let room = u64::BITS - self.row_bits;
        if self.bits + bits > room {
            let (values, max) = dense_ranks(self.values.len(), |row| self.values[row]);
            (self.values, self.bits) = (values, bits_of(max));
        }
        if self.bits + bits > room {
            let (ranks, max) = dense_ranks(self.values.len(), value);
            self.append(bits_of(max), |row| ranks[row]);
        } else {
            self.append(bits, value);
        }
    }

    fn append(&mut self, bits: u32, value: impl Fn(usize) -> u64) {
        debug_assert!(self.bits + bits + self.row_bits <= u64::BITS);
        if bits > 0 {
            self.values.iter_mut().enumerate().for_each(|(row, key)| *key = *key << bits | value(row));
            self.bits += bits;
        }
    }

    /// Appends a column of values of any type.
    fn push_ranked<T: Ord>(&mut self, value: impl Fn(usize) -> T) {
        let (ranks, max) = dense_ranks(self.values.len(), value);
        self.push(max, |row| ranks[row]);
    }
}

/// Appends a column of this type, in the order that ClickHouse gives its values.
///
/// # Panics
/// If the column has nulls or is a list: a table cannot be ordered by the first, and is not by the second.
pub(super) fn push_column(packed: &mut Packed, column: &ArrayRef, ty: &ColumnType) {
    assert!(column.null_count() == 0, "a table is ordered by columns that have no nulls");
    match column.data_type() {
        DataType::Dictionary(..) => {
            let column = column.as_dictionary::<Int32Type>();
            let (ranks, max) = ranks_of_texts(column.values().as_string::<i32>());
            let keys = column.keys().values();
            packed.push(max, |row| ranks[keys[row] as usize]);
        }
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            packed.push_ranked(|row| column.value(row).as_bytes());
        }
        DataType::Boolean => {
            let column = column.as_boolean();
            packed.push(1, |row| u64::from(column.value(row)));
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            packed.push_ranked(|row| float_rank(f64::from(values[row])));
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            packed.push_ranked(|row| float_rank(values[row]));
        }
        DataType::Timestamp(..) => {
            let data = column.to_data();
            push_numbers(packed, &data.buffers()[0].typed_data::<i64>()[data.offset()..][..data.len()]);
        }
        DataType::FixedSizeBinary(16) => {
            let (values, _) = column.as_fixed_size_binary().value_data().as_chunks::<16>();
            // ClickHouse compares the second half of a UUID first.
            let turn = if *ty == ColumnType::Uuid { 64 } else { 0 };
            packed.push_ranked(|row| u128::from_be_bytes(values[row]).rotate_left(turn));
        }
        DataType::Date32 => push_numbers(packed, column.as_primitive::<Date32Type>().values()),
        DataType::Decimal128(..) => push_numbers(packed, column.as_primitive::<Decimal128Type>().values()),
        _ => arrow_array::downcast_integer_array! {
            column => push_numbers(packed, column.values()),
            other => panic!("a table is not ordered by {other}")
        },
    }
}

/// Numbers as their distance from the smallest.
fn push_numbers<N: Copy + Ord + Into<i128>>(packed: &mut Packed, numbers: &[N]) {
    let (Some(&min), Some(&max)) = (numbers.iter().min(), numbers.iter().max()) else { return };
    let min: i128 = min.into();
    match max.into().checked_sub(min).and_then(|range| u64::try_from(range).ok()) {
        Some(range) => packed.push(range, |row| (numbers[row].into() - min) as u64),
        None => packed.push_ranked(|row| numbers[row]),
    }
}

/// What orders floats as ClickHouse does: both zeros are one, and what is no number comes last.
fn float_rank(value: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    if value.is_nan() {
        return u64::MAX;
    }
    // Adding a positive zero makes a negative one positive.
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The rank of each text of a dictionary, by its bytes, and the largest; equal texts have equal ranks.
fn ranks_of_texts(texts: &StringArray) -> (Vec<u64>, u64) {
    dense_ranks(texts.len(), |index| texts.value(index).as_bytes())
}

/// The rank of each of `rows` values among the different ones, and the largest.
fn dense_ranks<T: Ord>(rows: usize, value: impl Fn(usize) -> T) -> (Vec<u64>, u64) {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_unstable_by_key(|&row| value(row));
    let mut ranks = vec![0; rows];
    let mut rank = 0;
    for pair in order.windows(2) {
        rank += u64::from(value(pair[0]) != value(pair[1]));
        ranks[pair[1]] = rank;
    }
    (ranks, rank)
}

/// Bits that tell the numbers up to this one apart.
fn bits_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}
