//! Scattering: a column's rows brought to their places, in memory where an earlier batch's were.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, make_array};
use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::column::reused::Reused;
use crate::simd::Kernels;
use crate::simd::places::Places;
use crate::simd::text::TextRows;

/// Scatters one column of each batch.
pub(super) struct Scatterer {
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
    List { offsets: Reused<i32>, items: Box<Scatterer>, places: Places },
}

impl Scatterer {
    /// # Panics
    /// If a batch has no columns of that type, see [`crate::column::arrow::arrow_type`].
    pub(super) fn new(ty: &DataType) -> Scatterer {
        let values = match ty {
            DataType::Utf8 => Values::Text(TextRows::default()),
            DataType::Dictionary(..) => Values::Keys(Reused::default()),
            DataType::Boolean => Values::Bits(Reused::default()),
            DataType::List(item) => {
                let items = Box::new(Scatterer::new(item.data_type()));
                Values::List { offsets: Reused::default(), items, places: Places::default() }
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
        Scatterer { values, nulls: Reused::default() }
    }

    /// The column with each row at its place.
    ///
    /// # Panics
    /// If the column is not of the type that this was made for, has not as many rows as there are places, or its rows
    /// together do not have all of its items.
    pub(super) fn scatter(&mut self, column: &ArrayRef, places: &Places, kernels: Kernels) -> ArrayRef {
        if let Values::Keys(out) = &mut self.values {
            return Arc::new(places.scatter_keys(column.as_dictionary(), (out, &mut self.nulls)));
        }
        let nulls = column.nulls().map(|nulls| NullBuffer::new(places.scatter_bits(nulls.inner(), &mut self.nulls)));
        match &mut self.values {
            Values::Bytes(out) => fixed(column, places, nulls, out),
            Values::Shorts(out) => fixed(column, places, nulls, out),
            Values::Words(out) => fixed(column, places, nulls, out),
            Values::Longs(out) => fixed(column, places, nulls, out),
            Values::Wides(out) => fixed(column, places, nulls, out),
            Values::Bits(out) => {
                Arc::new(BooleanArray::new(places.scatter_bits(column.as_boolean().values(), out), nulls))
            }
            Values::Keys(_) => unreachable!("scattered above"),
            Values::Text(out) => {
                out.scatter(column.as_string(), places, kernels);
                Arc::new(out.finish(nulls))
            }
            Values::List { offsets, items, places: item_places } => {
                let lists = column.as_list::<i32>();
                let DataType::List(field) = column.data_type() else { panic!("a column of lists is of another type") };
                let ends = lists.value_offsets();
                let range = |row: u32| ends[row as usize]..ends[row as usize + 1];
                let mut end = 0;
                offsets.push(end);
                for &row in places.rows() {
                    end += range(row).len() as i32;
                    offsets.push(end);
                }
                item_places.set(places.rows().iter().flat_map(|&row| range(row)).map(|item| item as u32));
                let items = items.scatter(lists.values(), item_places, kernels);
                let offsets = OffsetBuffer::new(offsets.take().into());
                Arc::new(ListArray::new(field.clone(), offsets, items, nulls))
            }
        }
    }

    /// Takes the buffers of a scattered column back, to be filled again; those that somebody else holds are dropped.
    pub(super) fn recycle(&mut self, column: ArrayRef) {
        let data = column.to_data();
        // What is left are the data's own references: if nobody else has one, the buffers are free.
        drop(column);
        self.give_back(data);
    }

    fn give_back(&mut self, data: ArrayData) {
        let (_, _, nulls, _, buffers, children) = data.into_parts();
        self.nulls.take_back(nulls.map(|nulls| nulls.into_inner().into_inner()));
        let mut buffers = buffers.into_iter();
        let first = buffers.next();
        match &mut self.values {
            Values::Bytes(out) | Values::Bits(out) => out.take_back(first),
            Values::Shorts(out) => out.take_back(first),
            Values::Words(out) => out.take_back(first),
            Values::Longs(out) => out.take_back(first),
            Values::Wides(out) => out.take_back(first),
            Values::Keys(out) => out.take_back(first),
            Values::Text(out) => out.take_back(first, buffers.next()),
            Values::List { offsets, items, .. } => {
                offsets.take_back(first);
                children.into_iter().for_each(|child| items.give_back(child));
            }
        }
    }
}

/// A column whose values have the width of `T`.
fn fixed<T: ArrowNativeType>(
    column: &ArrayRef,
    places: &Places,
    nulls: Option<NullBuffer>,
    out: &mut Reused<T>,
) -> ArrayRef {
    let data = column.to_data();
    places.scatter(data.buffers()[0].typed_data()[data.offset()..][..data.len()].iter().copied(), out);
    let values = Buffer::from_vec(out.take());
    let data = ArrayData::builder(column.data_type().clone()).len(places.len()).add_buffer(values).nulls(nulls);
    make_array(data.build().expect("as many values as rows, of the type's width"))
}
