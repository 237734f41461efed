//! The typed buffer of one column: a variant for each type, with the rule that fills it.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow_buffer::{Buffer as ArrowBuffer, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;

use crate::column::arrow::TIME_ZONE;
use crate::column::convert::decimal::DecimalRule;
use crate::column::convert::net::{self, stored};
use crate::column::convert::number::{double, integer, single};
use crate::column::convert::time::{DateRule, TimestampRule};
use crate::column::convert::{boolean, json, text};
use crate::column::event_bounds::EventBounds;
use crate::column::mask::{AddressMask, HASH_CHARS, TextMask};
use crate::column::mismatch::Cause;
use crate::column::value::Value;
use crate::column::{ColumnType, Mask, TimePrecision};

use super::cells::{BoolCells, Cells, FixedCells, TextCells};
use super::dictionary::DictionaryCells;
use super::list::ListCells;

pub(super) enum Buffer {
    Text { cells: TextCells, mask: Option<TextMask> },
    LowCardinality { cells: DictionaryCells, mask: Option<TextMask> },
    I8 { cells: FixedCells<i8> },
    I16 { cells: FixedCells<i16> },
    I32 { cells: FixedCells<i32> },
    I64 { cells: FixedCells<i64> },
    U8 { cells: FixedCells<u8> },
    U16 { cells: FixedCells<u16> },
    U32 { cells: FixedCells<u32> },
    U64 { cells: FixedCells<u64> },
    F32 { cells: FixedCells<f32> },
    F64 { cells: FixedCells<f64> },
    Decimal { cells: FixedCells<i128>, rule: DecimalRule },
    Bool { cells: BoolCells },
    Timestamp { cells: FixedCells<i64>, rule: TimestampRule },
    Date { cells: FixedCells<i32>, rule: DateRule },
    Ipv4 { cells: FixedCells<u32>, mask: Option<AddressMask> },
    Ipv6 { cells: FixedCells<i128>, mask: Option<AddressMask> },
    Uuid { cells: FixedCells<i128> },
    Json { cells: TextCells },
    List { cells: Box<ListCells> },
}

/// Does the same with the cells of any variant.
macro_rules! with_cells {
    ($buffer:expr, $cells:ident => $do:expr) => {
        match $buffer {
            Buffer::Text { cells: $cells, .. } => $do,
            Buffer::LowCardinality { cells: $cells, .. } => $do,
            Buffer::I8 { cells: $cells } => $do,
            Buffer::I16 { cells: $cells } => $do,
            Buffer::I32 { cells: $cells } => $do,
            Buffer::I64 { cells: $cells } => $do,
            Buffer::U8 { cells: $cells } => $do,
            Buffer::U16 { cells: $cells } => $do,
            Buffer::U32 { cells: $cells } => $do,
            Buffer::U64 { cells: $cells } => $do,
            Buffer::F32 { cells: $cells } => $do,
            Buffer::F64 { cells: $cells } => $do,
            Buffer::Decimal { cells: $cells, .. } => $do,
            Buffer::Bool { cells: $cells } => $do,
            Buffer::Timestamp { cells: $cells, .. } => $do,
            Buffer::Date { cells: $cells, .. } => $do,
            Buffer::Ipv4 { cells: $cells, .. } => $do,
            Buffer::Ipv6 { cells: $cells, .. } => $do,
            Buffer::Uuid { cells: $cells } => $do,
            Buffer::Json { cells: $cells } => $do,
            Buffer::List { cells: $cells } => $do,
        }
    };
}

impl Buffer {
    /// An empty buffer. Records that lack the field have the type's zero value until [`Buffer::last_becomes_fill`].
    ///
    /// # Errors
    /// A sentence, if there cannot be such a type: a pattern or zone that is not one, a list of lists.
    pub(super) fn new(ty: &ColumnType) -> Result<Self, String> {
        Ok(match ty {
            ColumnType::String => Buffer::Text { cells: TextCells::default(), mask: None },
            ColumnType::LowCardinality => Buffer::LowCardinality { cells: DictionaryCells::default(), mask: None },
            ColumnType::I8 => Buffer::I8 { cells: FixedCells::default() },
            ColumnType::I16 => Buffer::I16 { cells: FixedCells::default() },
            ColumnType::I32 => Buffer::I32 { cells: FixedCells::default() },
            ColumnType::I64 => Buffer::I64 { cells: FixedCells::default() },
            ColumnType::U8 => Buffer::U8 { cells: FixedCells::default() },
            ColumnType::U16 => Buffer::U16 { cells: FixedCells::default() },
            ColumnType::U32 => Buffer::U32 { cells: FixedCells::default() },
            ColumnType::U64 => Buffer::U64 { cells: FixedCells::default() },
            ColumnType::F32 => Buffer::F32 { cells: FixedCells::default() },
            ColumnType::F64 => Buffer::F64 { cells: FixedCells::default() },
            ColumnType::Decimal { precision, scale } => {
                Buffer::Decimal { cells: FixedCells::default(), rule: DecimalRule::new(*precision, *scale)? }
            }
            ColumnType::Bool => Buffer::Bool { cells: BoolCells::default() },
            ColumnType::Timestamp { precision, format } => {
                Buffer::Timestamp { cells: FixedCells::default(), rule: TimestampRule::new(*precision, format)? }
            }
            ColumnType::Date { format } => {
                Buffer::Date { cells: FixedCells::default(), rule: DateRule::new(format.as_deref())? }
            }
            ColumnType::Ipv4 => Buffer::Ipv4 { cells: FixedCells::default(), mask: None },
            ColumnType::Ipv6 => Buffer::Ipv6 { cells: FixedCells::default(), mask: None },
            ColumnType::Uuid => Buffer::Uuid { cells: FixedCells::default() },
            ColumnType::Json => Buffer::Json { cells: TextCells::default() },
            ColumnType::List(item) => Buffer::List { cells: Box::new(ListCells::new(item)?) },
        })
    }

    /// From now on values pass through this mask. Redaction of what is not text is the column's affair.
    pub(super) fn set_mask(&mut self, new: &Mask) {
        match self {
            Buffer::Text { mask, .. } | Buffer::LowCardinality { mask, .. } => *mask = TextMask::new(new),
            Buffer::Ipv4 { mask, .. } | Buffer::Ipv6 { mask, .. } => *mask = AddressMask::new(new),
            Buffer::List { cells } => cells.set_mask(new),
            _ => {}
        }
    }

    /// From now on timestamps must be possible event times.
    pub(super) fn narrow_to_event_time(&mut self) {
        if let Buffer::Timestamp { rule, .. } = self {
            rule.narrow_to_event_time();
        }
    }

    /// The timestamps of the next batch must be within these bounds.
    pub(super) fn bound(&mut self, bounds: Option<EventBounds>) {
        if let Buffer::Timestamp { rule, .. } = self {
            rule.bound(bounds);
        }
    }

    /// The time that a value is, in milliseconds since 1970.
    pub(super) fn time_ms(&self, value: Value<'_>) -> Option<i64> {
        match self {
            Buffer::Timestamp { rule, .. } => rule.time_ms(value),
            _ => None,
        }
    }

    /// Appends a value that the record has.
    ///
    /// # Errors
    /// Why it does not fit; nothing was appended.
    #[inline]
    pub(super) fn push(&mut self, value: Value<'_>) -> Result<(), Cause> {
        match self {
            Buffer::Text { cells, mask: None } => cells.push(text(value)?)?,
            Buffer::Text { cells, mask: Some(mask) } => cells.push(mask.apply(text(value)?, &mut [0; HASH_CHARS]))?,
            Buffer::LowCardinality { cells, mask: None } => cells.push(text(value)?)?,
            Buffer::LowCardinality { cells, mask: Some(mask) } => {
                cells.push(mask.apply(text(value)?, &mut [0; HASH_CHARS]))?;
            }
            Buffer::I8 { cells } => cells.push(integer(value)?),
            Buffer::I16 { cells } => cells.push(integer(value)?),
            Buffer::I32 { cells } => cells.push(integer(value)?),
            Buffer::I64 { cells } => cells.push(integer(value)?),
            Buffer::U8 { cells } => cells.push(integer(value)?),
            Buffer::U16 { cells } => cells.push(integer(value)?),
            Buffer::U32 { cells } => cells.push(integer(value)?),
            Buffer::U64 { cells } => cells.push(integer(value)?),
            Buffer::F32 { cells } => cells.push(single(value)?),
            Buffer::F64 { cells } => cells.push(double(value)?),
            Buffer::Decimal { cells, rule } => cells.push(rule.convert(value)?),
            Buffer::Bool { cells } => cells.bits.push(boolean(value)?),
            Buffer::Timestamp { cells, rule } => cells.push(rule.convert(value)?),
            Buffer::Date { cells, rule } => cells.push(rule.convert(value)?),
            Buffer::Ipv4 { cells, mask } => {
                let address = net::ipv4(value)?;
                cells.push(stored::ipv4(mask.map_or(address, |mask| mask.v4(address))));
            }
            Buffer::Ipv6 { cells, mask } => {
                let address = net::ipv6(value)?;
                cells.push(stored::ipv6(mask.map_or(address, |mask| mask.v6(address))));
            }
            Buffer::Uuid { cells } => cells.push(stored::uuid(net::uuid(value)?)),
            Buffer::Json { cells } => cells.push(json(value)?)?,
            // An array comes item by item; anything else is not a list.
            Buffer::List { .. } => return Err(Cause::Kind),
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        with_cells!(self, cells => cells.len())
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        with_cells!(self, cells => cells.truncate(rows));
    }

    pub(super) fn retain(&mut self, from: usize, keep: &[bool]) {
        with_cells!(self, cells => cells.retain(from, keep));
    }

    pub(super) fn push_zeros(&mut self, rows: usize) {
        with_cells!(self, cells => cells.push_zeros(rows));
    }

    pub(super) fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        with_cells!(self, cells => cells.push_fills(rows))
    }

    pub(super) fn last_becomes_fill(&mut self) {
        with_cells!(self, cells => cells.last_becomes_fill());
    }

    /// The rows as an array; the buffer is empty afterwards, as new but for the room it has.
    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        match self {
            Buffer::Text { cells, .. } | Buffer::Json { cells } => Arc::new(cells.finish(nulls)),
            Buffer::LowCardinality { cells, .. } => cells.finish(nulls),
            Buffer::I8 { cells } => primitive::<Int8Type>(cells.finish(), nulls),
            Buffer::I16 { cells } => primitive::<Int16Type>(cells.finish(), nulls),
            Buffer::I32 { cells } => primitive::<Int32Type>(cells.finish(), nulls),
            Buffer::I64 { cells } => primitive::<Int64Type>(cells.finish(), nulls),
            Buffer::U8 { cells } => primitive::<UInt8Type>(cells.finish(), nulls),
            Buffer::U16 { cells } => primitive::<UInt16Type>(cells.finish(), nulls),
            Buffer::U32 { cells } => primitive::<UInt32Type>(cells.finish(), nulls),
            Buffer::U64 { cells } => primitive::<UInt64Type>(cells.finish(), nulls),
            Buffer::F32 { cells } => primitive::<Float32Type>(cells.finish(), nulls),
            Buffer::F64 { cells } => primitive::<Float64Type>(cells.finish(), nulls),
            Buffer::Decimal { cells, rule } => {
                let array = PrimitiveArray::<Decimal128Type>::new(cells.finish(), nulls);
                let (precision, scale) = (rule.precision(), rule.scale() as i8);
                Arc::new(array.with_precision_and_scale(precision, scale).expect("the rule checked both"))
            }
            Buffer::Bool { cells } => Arc::new(BooleanArray::new(cells.bits.finish(), nulls)),
            Buffer::Timestamp { cells, rule } => timestamps(rule.precision(), cells.finish(), nulls),
            Buffer::Date { cells, .. } => primitive::<Date32Type>(cells.finish(), nulls),
            Buffer::Ipv4 { cells, .. } => primitive::<UInt32Type>(cells.finish(), nulls),
            Buffer::Ipv6 { cells, .. } | Buffer::Uuid { cells } => {
                Arc::new(FixedSizeBinaryArray::new(16, ArrowBuffer::from_vec(cells.take()), nulls))
            }
            Buffer::List { cells } => cells.finish(nulls),
        }
    }

    /// Takes the buffers of a finished array back, to be filled again; those that somebody else holds are dropped.
    pub(super) fn give_back(&mut self, buffers: Vec<ArrowBuffer>, children: Vec<ArrayData>) {
        let mut buffers = buffers.into_iter();
        let first = buffers.next();
        match self {
            Buffer::Text { cells, .. } | Buffer::Json { cells } => {
                cells.rows.take_back(first, buffers.next());
            }
            Buffer::LowCardinality { cells, .. } => {
                let values = children.into_iter().next().map_or(Vec::new(), |values| values.into_parts().4);
                let mut values = values.into_iter();
                cells.give_back(first, values.next(), values.next());
            }
            Buffer::I8 { cells } => cells.give_back(first),
            Buffer::I16 { cells } => cells.give_back(first),
            Buffer::I32 { cells } => cells.give_back(first),
            Buffer::I64 { cells } | Buffer::Timestamp { cells, .. } => cells.give_back(first),
            Buffer::U8 { cells } => cells.give_back(first),
            Buffer::U16 { cells } => cells.give_back(first),
            Buffer::U32 { cells } | Buffer::Ipv4 { cells, .. } => cells.give_back(first),
            Buffer::U64 { cells } => cells.give_back(first),
            Buffer::F32 { cells } => cells.give_back(first),
            Buffer::F64 { cells } => cells.give_back(first),
            Buffer::Decimal { cells, .. } | Buffer::Ipv6 { cells, .. } | Buffer::Uuid { cells } => {
                cells.give_back(first);
            }
            Buffer::Bool { cells } => cells.bits.give_back(first),
            Buffer::Date { cells, .. } => cells.give_back(first),
            Buffer::List { cells } => cells.give_back(first, children.into_iter().next()),
        }
    }

    /// The row as text, for text, booleans and integers; `None` for other types.
    pub(super) fn text_at<'a>(&'a self, row: usize, scratch: &'a mut String) -> Option<&'a str> {
        scratch.clear();
        let written = match self {
            Buffer::Text { cells, .. } => return Some(cells.get(row)),
            Buffer::LowCardinality { cells, .. } => return Some(cells.get(row)),
            Buffer::Bool { cells } => return Some(if cells.bits.get(row) { "true" } else { "false" }),
            Buffer::I8 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::I16 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::I32 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::I64 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::U8 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::U16 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::U32 { cells } => write!(scratch, "{}", cells.get(row)),
            Buffer::U64 { cells } => write!(scratch, "{}", cells.get(row)),
            _ => return None,
        };
        written.expect("writing to a String cannot fail");
        Some(scratch)
    }
}

fn primitive<T: ArrowPrimitiveType>(values: ScalarBuffer<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

fn timestamps(precision: TimePrecision, values: ScalarBuffer<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    match precision {
        TimePrecision::Seconds => {
            Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls).with_timezone(TIME_ZONE))
        }
        TimePrecision::Millis => {
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::new(values, nulls).with_timezone(TIME_ZONE))
        }
        TimePrecision::Micros => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls).with_timezone(TIME_ZONE))
        }
        TimePrecision::Nanos => {
            Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_timezone(TIME_ZONE))
        }
    }
}
