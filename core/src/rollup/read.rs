//! Reading a batch's columns for rollups: rows that count, values as numbers that sort, values as states hold them.
//!
//! Every order and every byte here is ClickHouse's own, because partial aggregates of the engine stand in one table
//! with what ClickHouse makes itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_select::take::take;

use super::Condition;
use super::sip::{SipKey, sip128};
use crate::column::layout::LayoutColumn;
use crate::column::{ColumnType, TimePrecision};
use crate::limits::RANKS_HASHED_MAX;

/// A column of the events table, by its place in a batch.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    pub(crate) index: usize,
    pub(crate) ty: ColumnType,
    pub(super) nullable: bool,
}

impl Column {
    /// # Panics
    /// If there is no such column: a checked config has it.
    pub(crate) fn find(layout: &[LayoutColumn], name: &str) -> Column {
        let index = layout.iter().position(|column| *column.name == *name);
        let index = index.unwrap_or_else(|| panic!("the config was checked, yet column `{name}` is not in the table"));
        let LayoutColumn { name, ty, nullable, .. } = &layout[index];
        Column { name: name.clone(), index, ty: ty.clone(), nullable: *nullable }
    }

    pub(crate) fn of<'b>(&self, batch: &'b RecordBatch) -> &'b ArrayRef {
        batch.column(self.index)
    }

    /// Bytes of all rows' texts, as [`gather`](Self::gather) writes them; zero where it is no text.
    pub(super) fn text_bytes(&self, batch: &RecordBatch) -> usize {
        let column = self.of(batch);
        match (column.as_dictionary_opt::<Int32Type>(), column.as_string_opt::<i32>()) {
            (Some(dictionary), _) => {
                let ends = dictionary.values().as_string::<i32>().value_offsets();
                let text = |&key: &i32| (ends[key as usize + 1] - ends[key as usize]) as usize;
                dictionary.keys().values().iter().map(text).sum()
            }
            (None, Some(texts)) => texts.value_data().len(),
            (None, None) => 0,
        }
    }

    /// The values of these rows, dictionaries taken apart: what is sent is small, and a batch's dictionary may not be.
    pub(super) fn gather(&self, batch: &RecordBatch, rows: &UInt32Array) -> ArrayRef {
        let column = self.of(batch);
        let gathered = match column.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => {
                take(dictionary.keys(), rows, None).and_then(|keys| take(dictionary.values(), &keys, None))
            }
            None => take(column, rows, None),
        };
        gathered.expect("rows of the batch")
    }
}

/// A condition on rows. Null satisfies none.
#[derive(Debug)]
pub(super) struct Test {
    column: Column,
    accepts: Accepts,
}

#[derive(Debug)]
enum Accepts {
    /// Texts, sorted.
    Texts(Vec<String>),
    /// Numbers and truth values, as [`ordinals`] has them; sorted.
    Ordinals(Vec<u128>),
    /// Whatever is there.
    NotNull,
}

impl Test {
    /// The condition of a `where`.
    pub(super) fn new(condition: &Condition, layout: &[LayoutColumn]) -> Test {
        let column = Column::find(layout, &condition.column);
        let mut accepts = match column.ty {
            ColumnType::String | ColumnType::LowCardinality => Accepts::Texts(condition.values.clone()),
            _ => Accepts::Ordinals(condition.values.iter().map(|value| ordinal_of(value, &column.ty)).collect()),
        };
        match &mut accepts {
            Accepts::Texts(values) => values.sort_unstable(),
            Accepts::Ordinals(values) => values.sort_unstable(),
            Accepts::NotNull => {}
        }
        Test { column, accepts }
    }

    /// Whether there is a value.
    pub(super) fn not_null(column: Column) -> Test {
        Test { column, accepts: Accepts::NotNull }
    }

    /// Keeps the rows that satisfy it.
    pub(super) fn retain(&self, batch: &RecordBatch, rows: &mut Vec<u32>) {
        let column = self.column.of(batch);
        if let Some(nulls) = column.logical_nulls() {
            rows.retain(|&row| nulls.is_valid(row as usize));
        }
        match &self.accepts {
            Accepts::NotNull => {}
            Accepts::Ordinals(values) => {
                let ordinals = ordinals(column, &self.column.ty);
                rows.retain(|&row| values.binary_search(&ordinals[row as usize]).is_ok());
            }
            Accepts::Texts(values) => {
                let accepts = |text: &str| values.binary_search_by(|value| value.as_str().cmp(text)).is_ok();
                match column.as_dictionary_opt::<Int32Type>() {
                    Some(dictionary) => {
                        let texts = dictionary.values().as_string::<i32>();
                        let accepted: Vec<bool> = (0..texts.len()).map(|key| accepts(texts.value(key))).collect();
                        let keys = dictionary.keys().values();
                        rows.retain(|&row| accepted[keys[row as usize] as usize]);
                    }
                    None => {
                        let texts = column.as_string::<i32>();
                        rows.retain(|&row| accepts(texts.value(row as usize)));
                    }
                }
            }
        }
    }
}

/// The ordinal of a condition's value, which was checked to be one of the column's.
fn ordinal_of(value: &str, ty: &ColumnType) -> u128 {
    match ty {
        ColumnType::Bool => u128::from(value == "true"),
        _ => {
            let number: i128 = value.parse().expect("the config was checked: a whole number");
            if is_signed(ty) { signed(number) } else { number as u128 }
        }
    }
}

fn is_signed(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::I8 | ColumnType::I16 | ColumnType::I32 | ColumnType::I64 | ColumnType::Date { .. })
}

/// A signed number in an order of unsigned ones. The low bytes are those of the number.
fn signed(number: i128) -> u128 {
    number as u128 ^ 1 << 127
}

/// The values of a column that is no text, a number each, in ClickHouse's order of them. Nulls have any.
///
/// An address is the number of its bytes as they are written. A UUID is compared by its second half first, because
/// ClickHouse holds the halves as two words in the order of the text and compares the 128 bits they make.
pub(super) fn ordinals(column: &dyn Array, ty: &ColumnType) -> Vec<u128> {
    fn numbers<T: ArrowPrimitiveType>(column: &dyn Array) -> Vec<u128>
    where
        u128: From<T::Native>,
    {
        column.as_primitive::<T>().values().iter().map(|&value| u128::from(value)).collect()
    }
    fn signed_numbers<T: ArrowPrimitiveType>(column: &dyn Array) -> Vec<u128>
    where
        i128: From<T::Native>,
    {
        column.as_primitive::<T>().values().iter().map(|&value| signed(i128::from(value))).collect()
    }
    let words = || column.as_fixed_size_binary().value_data().as_chunks::<16>().0;
    match ty {
        ColumnType::Bool => column.as_boolean().values().iter().map(u128::from).collect(),
        ColumnType::I8 => signed_numbers::<Int8Type>(column),
        ColumnType::I16 => signed_numbers::<Int16Type>(column),
        ColumnType::I32 => signed_numbers::<Int32Type>(column),
        ColumnType::I64 => signed_numbers::<Int64Type>(column),
        ColumnType::Date { .. } => signed_numbers::<Date32Type>(column),
        ColumnType::U8 => numbers::<UInt8Type>(column),
        ColumnType::U16 => numbers::<UInt16Type>(column),
        ColumnType::U32 | ColumnType::Ipv4 => numbers::<UInt32Type>(column),
        ColumnType::U64 => numbers::<UInt64Type>(column),
        ColumnType::Ipv6 => words().iter().map(|bytes| u128::from_be_bytes(*bytes)).collect(),
        ColumnType::Uuid => words().iter().map(|bytes| u128::from_be_bytes(*bytes).rotate_left(64)).collect(),
        other => panic!("the config was checked, yet a rollup is by a column of type {other:?}"),
    }
}

/// A hash of each row's text.
pub(super) fn text_hashes(column: &dyn Array, key: SipKey) -> Vec<u128> {
    let of_texts = |texts: &StringArray| -> Vec<u128> {
        let bytes = texts.value_data();
        let text = |ends: &[i32]| &bytes[ends[0] as usize..ends[1] as usize];
        texts.value_offsets().windows(2).map(|ends| sip128(key, text(ends))).collect()
    };
    match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => {
            let hashes = of_texts(dictionary.values().as_string());
            dictionary.keys().values().iter().map(|&key| hashes[key as usize]).collect()
        }
        None => of_texts(column.as_string()),
    }
}

/// What tells one user from another, as ClickHouse's `uniqExact` keeps it: the value, or a hash of it.
#[derive(Debug)]
pub(super) struct Identities {
    /// An identity a row; as little-endian bytes what a state holds.
    pub(super) rows: Vec<u128>,
    /// How many of those bytes.
    pub(super) bytes: usize,
}

impl Identities {
    pub(super) fn read(column: &dyn Array, ty: &ColumnType) -> Identities {
        match ty {
            ColumnType::String | ColumnType::LowCardinality => {
                Identities { rows: text_hashes(column, SipKey::ZERO), bytes: 16 }
            }
            ColumnType::Ipv6 => {
                let hash = |address: u128| sip128(SipKey::ZERO, &address.to_be_bytes());
                Identities { rows: ordinals(column, ty).into_iter().map(hash).collect(), bytes: 16 }
            }
            _ => Identities { rows: ordinals(column, ty), bytes: width(ty) },
        }
    }

    /// Hashes by which users of one product are told apart in a table of 128-bit keys.
    pub(super) fn hashes(&self, ty: &ColumnType) -> Cow<'_, [u128]> {
        match ty {
            ColumnType::String | ColumnType::LowCardinality | ColumnType::Ipv6 => Cow::Borrowed(&self.rows),
            _ => self.rows.iter().map(|value| sip128(SipKey::ZERO, &value.to_le_bytes())).collect(),
        }
    }
}

/// Bytes of a value in ClickHouse.
fn width(ty: &ColumnType) -> usize {
    match ty {
        ColumnType::Bool | ColumnType::I8 | ColumnType::U8 => 1,
        ColumnType::I16 | ColumnType::U16 => 2,
        ColumnType::I32 | ColumnType::U32 | ColumnType::Ipv4 | ColumnType::Date { .. } => 4,
        ColumnType::I64 | ColumnType::U64 => 8,
        _ => 16,
    }
}

/// A column's values as numbers from 0 on, in the order of the values; equal values have equal numbers.
#[derive(Debug)]
pub(super) struct Ranks {
    /// A rank a row.
    pub(super) rows: Vec<u32>,
    /// Above every rank.
    pub(super) end: u64,
}

impl Ranks {
    pub(super) fn read(column: &dyn Array, ty: &ColumnType) -> Ranks {
        if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
            let Ranks { rows: by_key, end } = Self::of_texts(dictionary.values().as_string());
            let rows = dictionary.keys().values().iter().map(|&key| by_key[key as usize]).collect();
            return Ranks { rows, end };
        }
        match column.as_string_opt::<i32>() {
            Some(texts) => Self::of_texts(texts),
            None => Self::of(ordinals(column, ty).into_iter()),
        }
    }

    fn of_texts(texts: &StringArray) -> Ranks {
        Self::of((0..texts.len()).map(|row| texts.value(row)))
    }

    fn of<T: Ord + std::hash::Hash + Copy>(values: impl Iterator<Item = T> + Clone) -> Ranks {
        // Values come from whoever writes the logs: the table's hash is keyed at random.
        let mut seen: HashMap<T, u32> = HashMap::new();
        let mut distinct: Vec<(T, u32)> = Vec::new();
        let mut rows: Vec<u32> = Vec::with_capacity(values.size_hint().0);
        for value in values.clone() {
            rows.push(*seen.entry(value).or_insert_with(|| {
                let id = distinct.len() as u32;
                distinct.push((value, id));
                id
            }));
            if distinct.len() > RANKS_HASHED_MAX {
                return Ranks::of_many(values, rows);
            }
        }
        distinct.sort_unstable();
        let mut rank_of = vec![0; distinct.len()];
        for (rank, &(_, id)) in (0..).zip(&distinct) {
            rank_of[id as usize] = rank;
        }
        rows.iter_mut().for_each(|id| *id = rank_of[*id as usize]);
        Ranks { rows, end: distinct.len() as u64 }
    }

    /// The same by sorting: where nearly every value is another one, a table of them takes thrice the memory. `rows` is room
    /// for the ranks.
    fn of_many<T: Ord + Copy>(values: impl Iterator<Item = T>, mut rows: Vec<u32>) -> Ranks {
        let mut sorted: Vec<(T, u32)> = values.zip(0..).collect();
        sorted.sort_unstable();
        rows.clear();
        rows.resize(sorted.len(), 0);
        let mut rank = 0;
        for (at, &(value, row)) in sorted.iter().enumerate() {
            rank += u32::from(at > 0 && sorted[at - 1].0 != value);
            rows[row as usize] = rank;
        }
        Ranks { rows, end: u64::from(rank) + 1 }
    }
}

/// Event times and the minutes they are in.
#[derive(Debug)]
pub(super) struct Times {
    /// Since 1970, in the column's unit.
    pub(super) rows: ScalarBuffer<i64>,
    /// Minutes since [`first_minute`](Self::first_minute), which is before none.
    pub(super) minutes: Vec<u32>,
    /// Minutes from 1970 to the earliest row.
    pub(super) first_minute: i64,
    /// Above every one of `minutes`.
    pub(super) end: u64,
}

impl Times {
    /// # Panics
    /// If the column's Arrow type is not that of a timestamp of this precision.
    pub(super) fn read(column: &dyn Array, precision: TimePrecision) -> Times {
        let rows = match precision {
            TimePrecision::Seconds => column.as_primitive::<TimestampSecondType>().values().clone(),
            TimePrecision::Millis => column.as_primitive::<TimestampMillisecondType>().values().clone(),
            TimePrecision::Micros => column.as_primitive::<TimestampMicrosecondType>().values().clone(),
            TimePrecision::Nanos => column.as_primitive::<TimestampNanosecondType>().values().clone(),
        };
        let minute = 60 * 10_i64.pow(u32::from(precision.digits()));
        let first_minute = rows.iter().min().map_or(0, |first| first.div_euclid(minute));
        let first = first_minute * minute;
        // An event time is within 1970 and 2106, so that its minute has 27 bits.
        let minutes: Vec<u32> = match u32::try_from(rows.iter().max().map_or(0, |last| last - first)) {
            // Division by a constant of 32 bits is several times cheaper; a slice of milliseconds spans 49 days.
            Ok(_) if precision == TimePrecision::Millis => {
                rows.iter().map(|time| (time - first) as u32 / 60_000).collect()
            }
            _ => rows.iter().map(|time| ((time - first) / minute) as u32).collect(),
        };
        let end = minutes.iter().max().map_or(0, |&last| u64::from(last) + 1);
        Times { rows, minutes, first_minute, end }
    }
}
