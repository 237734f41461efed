//! Lists: a buffer of items and where each row's items end. A list is open from its beginning to its end; what an open
//! list holds is not yet a row.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{Buffer as ArrowBuffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;

use crate::column::arrow::{item_field, item_type};
use crate::column::mismatch::Cause;
use crate::column::reused::Reused;
use crate::column::value::Value;
use crate::column::{ColumnType, Mask};
use crate::limits::LIST_ITEMS_MAX;

use super::buffer::Buffer;
use super::cells::{Cells, end_offset};

pub(super) struct ListCells {
    item: ColumnType,
    items: Buffer,
    /// `offsets[row]..offsets[row + 1]` are the row's items; items past the last offset belong to an open list.
    offsets: Reused<i32>,
    open: bool,
}

impl ListCells {
    /// # Errors
    /// A sentence, if there cannot be such a list.
    pub(super) fn new(item: &ColumnType) -> Result<Self, String> {
        if matches!(item, ColumnType::List(_) | ColumnType::Json) {
            return Err("the items of a list must be scalars: neither lists nor json".to_owned());
        }
        let item = item_type(item).clone();
        let mut offsets = Reused::default();
        offsets.push(0);
        Ok(ListCells { items: Buffer::new(&item)?, item, offsets, open: false })
    }

    pub(super) fn set_mask(&mut self, mask: &Mask) {
        self.items.set_mask(mask);
    }

    /// Opens a list. One that was left open is dropped.
    pub(super) fn begin(&mut self) {
        self.abandon();
        self.open = true;
    }

    /// Appends an item to the open list.
    ///
    /// # Errors
    /// Why it does not fit; the list is no longer open and nothing of it is left.
    pub(super) fn item(&mut self, value: Value<'_>) -> Result<(), Cause> {
        assert!(self.open, "an item without a list");
        let pushed = match value {
            Value::Absent | Value::Null => Err(Cause::NullItem),
            _ if self.items.len() - self.end() >= LIST_ITEMS_MAX => Err(Cause::ListLength),
            value => end_offset(self.items.len() + 1).and_then(|_| self.items.push(value)),
        };
        if pushed.is_err() {
            self.abandon();
        }
        pushed
    }

    /// Closes the open list: it is a row now.
    pub(super) fn end_list(&mut self) {
        assert!(self.open, "the end of a list without its beginning");
        self.open = false;
        self.offsets.push(self.items.len() as i32);
    }

    fn abandon(&mut self) {
        self.open = false;
        self.items.truncate(self.end());
    }

    /// Where the items of closed lists end.
    fn end(&self) -> usize {
        self.offsets[self.offsets.len() - 1] as usize
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        self.abandon();
        let items = self.items.finish(None);
        let field = Arc::new(item_field(&self.item));
        let offsets = OffsetBuffer::new(self.offsets.take_but(0).into());
        Arc::new(ListArray::new(field, offsets, items, nulls))
    }

    /// Takes the buffers of a finished array back, unless somebody holds them.
    pub(super) fn give_back(&mut self, offsets: Option<ArrowBuffer>, items: Option<ArrayData>) {
        self.offsets.take_back(offsets);
        if let Some(items) = items {
            let (_, _, _, _, buffers, children) = items.into_parts();
            self.items.give_back(buffers, children);
        }
    }
}

impl Cells for ListCells {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
        }
        self.abandon();
    }

    fn retain(&mut self, from: usize, keep: &[bool]) {
        self.abandon();
        let first = self.offsets[from] as usize;
        let ends: Vec<(usize, bool)> =
            self.offsets[from + 1..].iter().map(|&end| end as usize).zip(keep.iter().copied()).collect();
        self.offsets.truncate(from + 1);
        let mut keep_items = Vec::with_capacity(self.items.len() - first);
        let mut end = first;
        for (row_end, keep) in ends {
            let items = row_end - first - keep_items.len();
            keep_items.extend(std::iter::repeat_n(keep, items));
            if keep {
                end += items;
                self.offsets.push(end as i32);
            }
        }
        self.items.retain(first, &keep_items);
    }

    fn push_zeros(&mut self, rows: usize) {
        self.abandon();
        let end = self.offsets[self.len()];
        self.offsets.push_rows(rows, end);
    }

    fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        self.push_zeros(rows);
        Ok(())
    }

    /// A list has no default but the empty one.
    fn last_becomes_fill(&mut self) {
        self.truncate(0);
    }
}
