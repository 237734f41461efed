//! Gathering: a column's rows in another order, written where an earlier batch's were.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, ListArray, make_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::column::reused::Reused;
use crate::simd::Kernels;
use crate::simd::text::TextRows;

/// Gathers one column of each batch.
pub(super) struct Gatherer {
    values: Values,
    nulls: Reused<u8>,
}

/// The buffers of a column's values.
enum Values {
    Bytes(Reused<u8>),
    Shorts(Reused<u16>),
    Words(Reused<u32>),
    Longs(Reused<u64>),
    Wides(Reused<i128>),
    Bits(Reused<u8>),
    Keys(Reused<i32>),
    Text(TextRows),
    List { offsets: Reused<i32>, items: Box<Gatherer>, order: Vec<u32> },
}

impl Gatherer {
    /// # Panics
    /// If a batch has no columns of that type, see [`crate::column::arrow::arrow_type`].
    pub(super) fn new(ty: &DataType) -> Gatherer {
        let values = match ty {
            DataType::Utf8 => Values::Text(TextRows::default()),
            DataType::Dictionary(..) => Values::Keys(Reused::default()),
            DataType::Boolean => Values::Bits(Reused::default()),
            DataType::List(item) => {
                let items = Box::new(Gatherer::new(item.data_type()));
                Values::List { offsets: Reused::default(), items, order: Vec::new() }
            }
            DataType::FixedSizeBinary(16) => Values::Wides(Reused::default()),
            _ => match ty.primitive_width() {
                Some(1) => Values::Bytes(Reused::default()),
                Some(2) => Values::Shorts(Reused::default()),
                Some(4) => Values::Words(Reused::default()),
                Some(8) => Values::Longs(Reused::default()),
                Some(16) => Values::Wides(Reused::default()),
                _ => panic!("no column of a batch is {ty}"),
            },
        };
        Gatherer { values, nulls: Reused::default() }
    }

    /// The rows of these numbers, in the order of the numbers.
    ///
    /// # Panics
    /// If the column is not of the type that this was made for, there is no such row, or the rows together have more text
    /// or items than 32-bit offsets can say.
    pub(super) fn gather(&mut self, column: &ArrayRef, order: &[u32], kernels: Kernels) -> ArrayRef {
        let nulls = column.nulls().map(|nulls| NullBuffer::new(gather_bits(nulls.inner(), order, &mut self.nulls)));
        let ty = column.data_type();
        match &mut self.values {
            Values::Bytes(out) => fixed(ty, gather_values(column, order, out), order.len(), nulls),
            Values::Shorts(out) => fixed(ty, gather_values(column, order, out), order.len(), nulls),
            Values::Words(out) => fixed(ty, gather_values(column, order, out), order.len(), nulls),
            Values::Longs(out) => fixed(ty, gather_values(column, order, out), order.len(), nulls),
            Values::Wides(out) => fixed(ty, gather_values(column, order, out), order.len(), nulls),
            Values::Bits(out) => {
                Arc::new(BooleanArray::new(gather_bits(column.as_boolean().values(), order, out), nulls))
            }
            Values::Keys(out) => {
                let dictionary = column.as_dictionary::<Int32Type>();
                pick(dictionary.keys().values(), order, out);
                let keys = Int32Array::new(out.take().into(), nulls);
                Arc::new(DictionaryArray::new(keys, dictionary.values().clone()))
            }
            Values::Text(out) => {
                let pushed = out.push_gathered(column.as_string(), order, kernels);
                pushed.expect("the text has a length of 32 bits in any order of its rows");
                Arc::new(out.finish(nulls))
            }
            Values::List { offsets, items, order: item_order } => {
                let lists = column.as_list::<i32>();
                let DataType::List(field) = ty else { panic!("a list column is {ty}") };
                item_order.clear();
                offsets.push(0);
                for &row in order {
                    let [start, end] = [0, 1].map(|next| lists.value_offsets()[row as usize + next]);
                    item_order.extend(start as u32..end as u32);
                    offsets.push(i32::try_from(item_order.len()).expect("the items have 32-bit offsets in any order"));
                }
                let items = items.gather(lists.values(), item_order, kernels);
                let offsets = OffsetBuffer::new(offsets.take().into());
                Arc::new(ListArray::new(field.clone(), offsets, items, nulls))
            }
        }
    }

    /// Takes the buffers of a gathered column back, to be filled again; those that somebody else holds are dropped.
    pub(super) fn recycle(&mut self, column: ArrayRef) {
        let data = column.to_data();
        // What is left are the data's own references: if nobody else has one, the buffers are free.
        drop(column);
        self.give_back(data);
    }

    fn give_back(&mut self, data: ArrayData) {
        let (_, _, nulls, _, buffers, children) = data.into_parts();
        give_back(&mut self.nulls, nulls.map(|nulls| nulls.into_inner().into_inner()));
        let mut buffers = buffers.into_iter();
        let first = buffers.next();
        match &mut self.values {
            Values::Bytes(out) | Values::Bits(out) => give_back(out, first),
            Values::Shorts(out) => give_back(out, first),
            Values::Words(out) => give_back(out, first),
            Values::Longs(out) => give_back(out, first),
            Values::Wides(out) => give_back(out, first),
            Values::Keys(out) => give_back(out, first),
            Values::Text(out) => out.give_back(owned(first), owned(buffers.next())),
            Values::List { offsets, items, .. } => {
                give_back(offsets, first);
                children.into_iter().for_each(|child| items.give_back(child));
            }
        }
    }
}

fn fixed(ty: &DataType, values: Buffer, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
    let data = ArrayData::builder(ty.clone()).len(rows).add_buffer(values).nulls(nulls).build();
    make_array(data.expect("as many values as rows, of the type's width"))
}

/// The rows' values of a column whose values have the width of `T`.
fn gather_values<T: ArrowNativeType>(column: &ArrayRef, order: &[u32], out: &mut Reused<T>) -> Buffer {
    let data = column.to_data();
    pick(&data.buffers()[0].typed_data()[data.offset()..][..data.len()], order, out);
    Buffer::from_vec(out.take())
}

fn pick<T: Copy>(values: &[T], order: &[u32], out: &mut Reused<T>) {
    out.reserve(order.len());
    out.as_vec().extend(order.iter().map(|&row| values[row as usize]));
}

/// The rows' bits, 64 at a time.
fn gather_bits(bits: &BooleanBuffer, order: &[u32], out: &mut Reused<u8>) -> BooleanBuffer {
    out.reserve(order.len().div_ceil(64) * 8);
    for rows in order.chunks(64) {
        let word = rows.iter().rev().fold(0_u64, |word, &row| word << 1 | u64::from(bits.value(row as usize)));
        out.extend_from_slice(&word.to_le_bytes());
    }
    BooleanBuffer::new(Buffer::from_vec(out.take()), 0, order.len())
}

fn give_back<T: ArrowNativeType>(out: &mut Reused<T>, buffer: Option<Buffer>) {
    if let Some(values) = owned(buffer) {
        out.give_back(values);
    }
}

/// The vector that a buffer was made of, unless somebody else holds the buffer.
fn owned<T: ArrowNativeType>(buffer: Option<Buffer>) -> Option<Vec<T>> {
    buffer?.into_vec().ok()
}
