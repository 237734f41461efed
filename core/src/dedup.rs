//! Keys by which copies of an event are recognised, over slices, runs, machines and versions.
//!
//! A key is 128 bits of SipHash-2-4, in ClickHouse's form (`rollup/sip.rs`, so that a server can compute it too), of the
//! product and the key columns' values. A text goes in as its length (32 bits) and its bytes, a UUID and an IPv6 address
//! as their bytes in the order in which they are written, other values as their little-endian bytes. The hash's own key is the hash of the column names, each as a text is, so that another list
//! of columns makes other keys. Nothing of that may ever change: claims of other versions are in ClickHouse.
//!
//! Among n keys two are the same by chance with a probability of about n² / 2^129: 2·10^-19 for ten thousand million.
//! The hash is not secret, so somebody who may choose the values of a key might make two events of theirs collide.
//!
//! If the event time is a column of the key, a key also has the time's hour. Claims are sorted by it first, so that a
//! slice, which holds some minutes of events, is compared with the claims of some hours and not with all of them.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::NullBuffer;

use crate::column::layout::{ROW_COLUMN, event_columns};
use crate::column::{ColumnType, TimePrecision};
use crate::config::Config;
use crate::rollup::read::Column;
use crate::rollup::sip::{SipKey, sip128};

/// What tells an event from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey {
    /// Hours from 1970 to the event if its time is part of the key, else 0.
    pub hour: u32,
    /// Of product and key columns.
    pub hash: [u8; 16],
}

/// Reads the keys of batches under one config.
#[derive(Debug)]
pub struct EventKeys {
    product: Column,
    columns: Vec<Column>,
    /// The event time and how many of its units are an hour, if it is one of the columns.
    hour: Option<(Column, i64)>,
    row: Column,
    sip: SipKey,
}

/// The keys of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firsts {
    /// Distinct keys in order, each with the row of the batch that came first in its slice.
    pub keys: Vec<(EventKey, u32)>,
    /// Rows whose key an earlier record of the slice has, in order.
    pub repeated: Vec<u32>,
}

impl EventKeys {
    /// For a checked config; `None` if it does not ask for that.
    pub fn new(config: &Config) -> Option<EventKeys> {
        let spec = config.dedup.as_ref()?;
        let layout = event_columns(config);
        let columns: Vec<Column> = spec.key.iter().map(|name| Column::find(&layout, name)).collect();
        let hour = columns.iter().find(|column| *column.name == *config.table.time).map(|time| {
            let ColumnType::Timestamp { precision, .. } = time.ty else {
                panic!("the config was checked, yet the event time is {:?}", time.ty)
            };
            (time.clone(), units_an_hour(precision))
        });
        let mut names = Vec::new();
        spec.key.iter().for_each(|name| push_text(&mut names, name.as_bytes()));
        let hash = sip128(SipKey::ZERO, &names);
        Some(EventKeys {
            product: Column::find(&layout, config.products.column_name()),
            columns,
            hour,
            row: Column::find(&layout, ROW_COLUMN),
            sip: SipKey([hash as u64, (hash >> 64) as u64]),
        })
    }

    /// The key of each row; `None` where a part of it is null.
    ///
    /// # Panics
    /// If the batch does not have the columns of [`event_columns`].
    pub fn read(&self, batch: &RecordBatch) -> Vec<Option<EventKey>> {
        let parts: Vec<Part<'_>> =
            std::iter::once(&self.product).chain(&self.columns).map(|column| Part::of(column, batch)).collect();
        let hours = self.hour.as_ref().map(|(time, units)| (Part::of(time, batch), *units));
        let mut bytes = Vec::new();
        let key = |row: usize| {
            bytes.clear();
            for part in &parts {
                part.push(row, &mut bytes)?;
            }
            let hour = hours.as_ref().map_or(0, |(time, units)| time.number(row).div_euclid(*units) as u32);
            Some(EventKey { hour, hash: sip128(self.sip, &bytes).to_le_bytes() })
        };
        (0..batch.num_rows()).map(key).collect()
    }

    /// The distinct keys of a batch's rows, which are of one slice, and the rows that repeat one.
    ///
    /// # Panics
    /// If the batch does not have the columns of [`event_columns`].
    pub fn firsts(&self, batch: &RecordBatch) -> Firsts {
        let positions = self.row.of(batch).as_primitive::<UInt32Type>().values();
        let keys = self.read(batch);
        let mut rows: Vec<(EventKey, u32, u32)> =
            (0..).zip(keys).filter_map(|(row, key)| Some((key?, positions[row as usize], row))).collect();
        rows.sort_unstable();
        let mut firsts = Firsts { keys: Vec::with_capacity(rows.len()), repeated: Vec::new() };
        for (key, _, row) in rows {
            match firsts.keys.last().map(|(last, _)| last.cmp(&key)) {
                Some(Ordering::Equal) => firsts.repeated.push(row),
                _ => firsts.keys.push((key, row)),
            }
        }
        firsts.repeated.sort_unstable();
        firsts
    }
}

fn units_an_hour(precision: TimePrecision) -> i64 {
    3_600 * 10_i64.pow(u32::from(precision.digits()))
}

fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text);
}

/// A column of a batch as bytes.
enum Part<'b> {
    /// Texts: where each begins and ends, which of them a row has, and which rows have none.
    Text { bytes: &'b [u8], ends: &'b [i32], keys: Option<&'b [i32]>, nulls: Option<NullBuffer> },
    /// Values of so many bytes.
    Fixed { bytes: Vec<u8>, width: usize, nulls: Option<NullBuffer> },
    /// Truth values.
    Bool(&'b BooleanArray),
}

impl<'b> Part<'b> {
    fn of(column: &Column, batch: &'b RecordBatch) -> Part<'b> {
        let array = column.of(batch);
        let nulls = array.logical_nulls();
        if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
            let texts = dictionary.values().as_string::<i32>();
            let keys = Some(&dictionary.keys().values()[..]);
            return Part::Text { bytes: texts.value_data(), ends: texts.value_offsets(), keys, nulls };
        }
        if let Some(texts) = array.as_string_opt::<i32>() {
            return Part::Text { bytes: texts.value_data(), ends: texts.value_offsets(), keys: None, nulls };
        }
        if let Some(values) = array.as_boolean_opt() {
            return Part::Bool(values);
        }
        let width = width(&column.ty);
        let data = array.to_data();
        let bytes = &data.buffers()[0].as_slice()[data.offset() * width..][..array.len() * width];
        Part::Fixed { bytes: bytes.to_vec(), width, nulls }
    }

    /// Appends a row's value; `None` if it is null.
    fn push(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        let null = match self {
            Part::Text { nulls, .. } | Part::Fixed { nulls, .. } => {
                nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
            }
            Part::Bool(values) => values.is_null(row),
        };
        if null {
            return None;
        }
        match self {
            Part::Text { bytes, ends, keys, .. } => {
                let text = keys.map_or(row, |keys| keys[row] as usize);
                push_text(out, &bytes[ends[text] as usize..ends[text + 1] as usize]);
            }
            Part::Fixed { bytes, width, .. } => out.extend_from_slice(&bytes[row * width..][..*width]),
            Part::Bool(values) => out.push(u8::from(values.value(row))),
        }
        Some(())
    }

    /// A value of eight bytes as a number.
    fn number(&self, row: usize) -> i64 {
        match self {
            Part::Fixed { bytes, .. } => i64::from_le_bytes(bytes.as_chunks::<8>().0[row]),
            Part::Text { .. } | Part::Bool(_) => panic!("the config was checked: a time is a number"),
        }
    }
}

/// Bytes of a value in Arrow.
fn width(ty: &ColumnType) -> usize {
    match ty {
        ColumnType::I8 | ColumnType::U8 => 1,
        ColumnType::I16 | ColumnType::U16 => 2,
        ColumnType::I32 | ColumnType::U32 | ColumnType::Ipv4 | ColumnType::Date { .. } => 4,
        ColumnType::I64 | ColumnType::U64 | ColumnType::Timestamp { .. } => 8,
        ColumnType::Decimal { .. } | ColumnType::Ipv6 | ColumnType::Uuid => 16,
        other => panic!("the config was checked, yet a key has a column of type {other:?}"),
    }
}

#[cfg(test)]
mod tests;
