//! Order: the rows of a batch brought into the order of the events table.
//!
//! A server sorts each block it is given and then writes it. A block that comes in order is only looked at, and here the
//! sort is cheaper: the values are in the worker's cache, low-cardinality columns are compared by the rank of their key,
//! and a row's whole sorting key becomes one number, sorted by its digits.
//!
//! The order is ClickHouse's, so that it finds nothing left to sort; if it differed, the server would sort again, and
//! nothing would be wrong. It is stable: rows of equal keys stay in the order of their records, so the same slice gives the
//! same batch, byte by byte.

mod key;
mod scatter;

#[cfg(test)]
mod tests;

use arrow_array::ArrayRef;
use arrow_schema::Schema;

use self::key::{Packed, push_column};
use self::scatter::Scatterer;
use crate::column::ColumnType;
use crate::column::layout::{LayoutColumn, Origin};
use crate::config::Config;
use crate::limits::SLICE_RECORDS_MAX;
use crate::simd::Kernels;
use crate::simd::places::Places;

/// Bits of a digit of the sort: its 2,048 counts stay in the first-level cache.
const DIGIT_BITS: u32 = 11;

// A row's key is packed with its number into 64 bits: two ranks and a number of a row at worst.
const _: () = assert!(SLICE_RECORDS_MAX <= 1 << 21);

/// The order of one config's events table.
#[derive(Debug)]
pub(crate) struct Order {
    /// The columns of the sorting key, product first.
    keys: Vec<KeyColumn>,
    /// Columns that hold one value in all rows of a batch, and need not be moved.
    constant: Vec<bool>,
    kernels: Kernels,
}

#[derive(Debug)]
struct KeyColumn {
    index: usize,
    ty: ColumnType,
}

/// What a worker keeps from batch to batch.
pub(crate) struct OrderScratch {
    packed: Packed,
    digits: Digits,
    places: Places,
    /// One a column.
    scatterers: Vec<Scatterer>,
    was_in_order: bool,
    /// Batches stay as they are.
    is_off: bool,
}

impl Order {
    /// The order of the table with these columns.
    ///
    /// # Panics
    /// If the table is ordered by what is no column: a checked config has them all.
    pub(crate) fn new(config: &Config, layout: &[LayoutColumn], kernels: Kernels) -> Order {
        let order_by = config.table.order_by.iter().map(String::as_str);
        let names = std::iter::once(config.products.column_name()).chain(order_by).chain([config.table.time.as_str()]);
        let constant = |column: &LayoutColumn| matches!(column.origin, Origin::FixedProduct | Origin::Slice);
        let keys = names.map(|name| {
            let index = layout.iter().position(|column| *column.name == *name);
            let index = index.expect("the table is ordered by columns that it has");
            KeyColumn { index, ty: layout[index].ty.clone() }
        });
        let keys = keys.filter(|key| layout[key.index].origin != Origin::FixedProduct);
        // Lists are not ranked: a table that is ordered by one is sorted by what stands before it, the rest by the server.
        let keys = keys.take_while(|key| !matches!(key.ty, ColumnType::List(_))).collect();
        Order { keys, constant: layout.iter().map(constant).collect(), kernels }
    }

    /// The same with these kernels.
    pub(crate) fn with_kernels(self, kernels: Kernels) -> Order {
        Order { kernels, ..self }
    }

    /// The columns with their rows in order, sorted with a scratch for their schema; `None` if they are in order already, or are
    /// to stay as they are.
    ///
    /// # Panics
    /// If these are not columns of the layout, of one length of at most [`SLICE_RECORDS_MAX`].
    pub(crate) fn sort(&self, columns: &[ArrayRef], scratch: &mut OrderScratch) -> Option<Vec<ArrayRef>> {
        if !self.order(columns, scratch) {
            return None;
        }
        let all = (0..columns.len()).map(|index| self.place(index, &columns[index], scratch));
        Some(all.collect())
    }

    /// The same for columns that nobody needs any more: each is dropped once its rows have their places, so that there is
    /// room for two of them and not for twice all of them.
    pub(crate) fn sort_large(&self, columns: Vec<ArrayRef>, scratch: &mut OrderScratch) -> Vec<ArrayRef> {
        if !self.order(&columns, scratch) {
            return columns;
        }
        let all = columns.into_iter().enumerate().map(|(index, column)| self.place(index, &column, scratch));
        all.collect()
    }

    /// A column with its rows at the places that were found.
    fn place(&self, index: usize, column: &ArrayRef, scratch: &mut OrderScratch) -> ArrayRef {
        match self.constant[index] {
            true => column.clone(),
            false => scratch.scatterers[index].scatter(column, &scratch.places, self.kernels),
        }
    }

    /// Finds the rows' places. False if they have them already, or are to stay as they are.
    fn order(&self, columns: &[ArrayRef], scratch: &mut OrderScratch) -> bool {
        if scratch.is_off {
            scratch.was_in_order = true;
            return false;
        }
        let rows = columns.first().map_or(0, |column| column.len());
        scratch.packed.begin(rows);
        for key in &self.keys {
            push_column(&mut scratch.packed, &columns[key.index], &key.ty);
        }
        scratch.was_in_order = scratch.packed.is_sorted();
        if scratch.was_in_order {
            return false;
        }
        let OrderScratch { packed, digits, places, .. } = scratch;
        let (sorted, row_bits) = digits.sort(packed);
        places.set(sorted.iter().map(|key| (key & ((1 << row_bits) - 1)) as u32));
        true
    }
}

impl OrderScratch {
    /// For batches of this schema.
    pub(crate) fn new(schema: &Schema) -> OrderScratch {
        let scatterers = schema.fields().iter().map(|field| Scatterer::new(field.data_type())).collect();
        OrderScratch {
            packed: Packed::default(),
            digits: Digits::default(),
            places: Places::default(),
            scatterers,
            was_in_order: false,
            is_off: false,
        }
    }

    /// Leaves all batches as they are from now on, as if they were in order.
    pub(crate) fn turn_off(&mut self) {
        self.is_off = true;
    }

    /// Whether the last batch needed no sorting.
    pub(crate) fn was_in_order(&self) -> bool {
        self.was_in_order
    }

    /// Takes back columns that [`Order::sort`] gave out, so that the next batch is written where this one was. What
    /// somebody else still holds is dropped.
    pub(crate) fn recycle(&mut self, columns: Vec<ArrayRef>) {
        self.scatterers.iter_mut().zip(columns).for_each(|(scatterer, column)| scatterer.recycle(column));
    }
}

/// A sort by digits, least significant first: each pass keeps the order of equal digits, so rows need no comparing.
#[derive(Default)]
struct Digits {
    keys: Vec<u64>,
    spare: Vec<u64>,
    counts: Vec<u32>,
}

impl Digits {
    /// The packed keys in order, each above the number of its row; and the bits of such a number.
    fn sort(&mut self, packed: &Packed) -> (&[u64], u32) {
        let (row_bits, digit_mask) = (packed.row_bits(), (1 << DIGIT_BITS) - 1);
        self.keys.clear();
        self.keys.extend(packed.values().iter().zip(0..).map(|(key, row): (&u64, u64)| key << row_bits | row));
        self.spare.clear();
        self.spare.resize(self.keys.len(), 0);
        let passes = packed.bits().div_ceil(DIGIT_BITS);
        for pass in 0..passes {
            let shift = row_bits + pass * DIGIT_BITS;
            let digit = |key: u64| (key >> shift & digit_mask) as usize;
            self.counts.clear();
            self.counts.resize(1 << DIGIT_BITS, 0);
            self.keys.iter().for_each(|key| self.counts[digit(*key)] += 1);
            let mut before = 0;
            for count in &mut self.counts {
                before += std::mem::replace(count, before);
            }
            for key in &self.keys {
                let place = &mut self.counts[digit(*key)];
                self.spare[*place as usize] = *key;
                *place += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
        }
        (&self.keys, row_bits)
    }
}

/// The rows of a batch, the first of these numbers first, for tests of what comes before the sort.
#[cfg(test)]
pub(crate) fn rows_of(batch: &arrow_array::RecordBatch, order: &[u32]) -> arrow_array::RecordBatch {
    let OrderScratch { mut scatterers, mut places, .. } = OrderScratch::new(&batch.schema());
    places.set(order.iter().copied());
    let columns = batch.columns().iter().zip(&mut scatterers);
    let columns = columns.map(|(column, scatterer)| scatterer.scatter(column, &places, Kernels::widest())).collect();
    arrow_array::RecordBatch::try_new(batch.schema(), columns).expect("columns of one length")
}
