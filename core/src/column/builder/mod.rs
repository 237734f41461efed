//! Builders: a declared column's values of one batch, growing row by row in Arrow's layout.
//!
//! A decoder pushes one value a column for each record. If a column refuses its value, the record is a dead letter and
//! every column is cut back to the rows before it ([`ColumnBuilder::truncate`]). The same values give the same array,
//! byte by byte, whatever was pushed and cut back in earlier batches.

mod block;
mod buffer;
mod cells;
mod dictionary;
mod list;

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;

pub use self::block::Refused;
use self::buffer::Buffer;
use self::cells::Bits;
use super::event_bounds::EventBounds;
use super::layout::LayoutColumn;
use super::mask::check_mask;
use super::mismatch::{Cause, Mismatch, Shown};
use super::value::Value;
use super::{ColumnSpec, ColumnType, Mask};
use crate::json::{Kind, RawValue};

/// The growing column of one batch.
pub struct ColumnBuilder {
    buffer: Buffer,
    /// Which rows are not null; only of nullable columns.
    validity: Option<Bits>,
    required: bool,
    has_default: bool,
    is_json: bool,
    /// Values are checked and then dropped for the zero value.
    zeroes: bool,
    shown: Shown,
    /// Event times that this batch takes; only of the event time.
    bounds: Option<EventBounds>,
    name: Arc<str>,
    ty: ColumnType,
}

impl ColumnBuilder {
    /// An empty column.
    ///
    /// # Panics
    /// If the declaration was not checked: see [`check_type`], [`check_text`] and [`check_mask`].
    pub fn new(spec: &ColumnSpec) -> Self {
        let mut builder = Self::plain(spec.name.clone(), &spec.ty, spec.nullable);
        builder.required = spec.required;
        if let Some(text) = &spec.default {
            builder.has_default = true;
            if let Err(error) = set_default(&mut builder.buffer, &spec.ty, text) {
                panic!("the default of column {} was not checked: {error}", spec.name);
            }
        }
        if let Some(mask) = &spec.mask {
            if let Err(error) = check_mask(mask, &spec.ty) {
                panic!("the mask of column {} was not checked: {error}", spec.name);
            }
            builder.shown = Shown::Masked;
            builder.zeroes = *mask == Mask::Redact && !builder.ty.is_text();
            builder.buffer.set_mask(mask);
        }
        builder
    }

    /// The same for the column that is the event time: its values are from 1970-01-01T00:00:00Z to
    /// 2106-02-07T06:28:15Z, so that each falls into a minute of ClickHouse's `DateTime`.
    pub fn event_time(spec: &ColumnSpec) -> Self {
        let mut builder = Self::new(spec);
        builder.buffer.narrow_to_event_time();
        builder
    }

    /// The same for a column of records whose values no reason may show.
    pub fn hidden(mut self) -> Self {
        if self.shown == Shown::Value {
            self.shown = Shown::Hidden;
        }
        self
    }

    /// The values of the next batch must be within these bounds, if there are any: of the [event time](Self::event_time).
    pub fn bound(&mut self, bounds: Option<EventBounds>) {
        self.bounds = bounds;
        self.buffer.bound(bounds);
    }

    /// An empty column of the events table, for columns that the engine fills itself: no default, no mask.
    ///
    /// # Panics
    /// If the type was not checked: see [`check_type`].
    pub fn of_layout(column: &LayoutColumn) -> Self {
        Self::plain(column.name.clone(), &column.ty, column.nullable)
    }

    /// The column's dictionary, if it has one, keeps tables of at most so many values.
    pub(crate) fn with_tabled_max(mut self, values: usize) -> Self {
        if let Buffer::LowCardinality { cells, .. } = &mut self.buffer {
            cells.set_tabled_max(values);
        }
        self
    }

    fn plain(name: Arc<str>, ty: &ColumnType, nullable: bool) -> Self {
        let buffer = match Buffer::new(ty) {
            Ok(buffer) => buffer,
            Err(error) => panic!("the type of column {name} was not checked: {error}"),
        };
        ColumnBuilder {
            buffer,
            validity: nullable.then(Bits::default),
            required: false,
            has_default: false,
            is_json: *ty == ColumnType::Json,
            zeroes: false,
            shown: Shown::Value,
            bounds: None,
            name,
            ty: ty.clone(),
        }
    }

    /// Appends one row of a JSON record: what stands at the column's path, `None` if nothing does. `text` is room for an
    /// unescaped string.
    ///
    /// # Errors
    /// See [`ColumnBuilder::push`].
    #[inline]
    pub(crate) fn push_json(&mut self, value: Option<RawValue<'_>>, text: &mut String) -> Result<(), Mismatch> {
        let Some(raw) = value else { return self.push(Value::Absent) };
        match raw.kind() {
            Kind::Array if self.is_list() => {
                self.list_begin();
                for element in raw.elements() {
                    self.list_item(element.value(text))?;
                }
                self.list_end();
                Ok(())
            }
            // For a column null means the same whatever its type.
            Kind::Null => self.push(Value::Null),
            _ if self.is_json => self.push(Value::Json(raw.text())),
            _ => self.push(raw.value(text)),
        }
    }

    /// Appends one row. Arrays for a list column come by [`ColumnBuilder::list_begin`] instead.
    ///
    /// # Errors
    /// The value does not fit, or is missing and required: nothing was appended.
    #[inline]
    pub fn push(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        match value {
            Value::Absent | Value::Text("") => return self.push_missing(value, false),
            Value::Null => return self.push_missing(value, true),
            Value::Json("null") | Value::Text("null") if self.is_json => return self.push_missing(Value::Null, true),
            _ => {}
        }
        if let Err(cause) = self.buffer.push(value) {
            return Err(self.refuse(value, cause));
        }
        self.row_added();
        Ok(())
    }

    #[cold]
    fn refuse(&self, value: Value<'_>, cause: Cause) -> Mismatch {
        match self.bounds.filter(|_| cause == Cause::Beyond) {
            Some(bounds) => Mismatch::beyond(&self.name, bounds.refuse(self.buffer.time_ms(value), self.shown)),
            None => Mismatch::wrong(&self.name, &self.ty, self.shown, value, cause),
        }
    }

    /// Appends as many rows of one value.
    ///
    /// # Errors
    /// See [`ColumnBuilder::push`]. Some rows may have been appended.
    pub(crate) fn push_same(&mut self, value: Value<'_>, rows: usize) -> Result<(), Mismatch> {
        if rows == 0 {
            return Ok(());
        }
        self.push(value)?;
        match &mut self.buffer {
            Buffer::LowCardinality { cells, mask: None } if self.validity.is_none() => {
                cells.repeat_last(rows - 1);
                Ok(())
            }
            _ => (1..rows).try_for_each(|_| self.push(value)),
        }
    }

    /// The row that was just added counts, after its value has been dropped if it must be.
    #[inline]
    fn row_added(&mut self) {
        if self.zeroes {
            self.buffer.truncate(self.buffer.len() - 1);
            self.buffer.push_zeros(1);
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
    }

    fn push_missing(&mut self, value: Value<'_>, is_null: bool) -> Result<(), Mismatch> {
        if self.required {
            return Err(Mismatch::missing(&self.name, value));
        }
        match &mut self.validity {
            Some(validity) if is_null || !self.has_default => {
                validity.push(false);
                self.buffer.push_zeros(1);
                return Ok(());
            }
            _ => {}
        }
        if let Err(cause) = self.buffer.push_fills(1) {
            return Err(Mismatch::wrong(&self.name, &self.ty, self.shown, value, cause));
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(())
    }

    /// Whether the column takes arrays.
    pub fn is_list(&self) -> bool {
        matches!(self.buffer, Buffer::List { .. })
    }

    /// Opens a list: its items follow. A list that was left open is dropped.
    ///
    /// # Panics
    /// If the column is not a list.
    pub fn list_begin(&mut self) {
        self.list().begin();
    }

    /// Appends an item to the open list.
    ///
    /// # Errors
    /// The item does not fit: the list is dropped, the column is as it was before its beginning.
    ///
    /// # Panics
    /// If no list is open.
    pub fn list_item(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        self.list().item(value).map_err(|cause| Mismatch::wrong(&self.name, &self.ty, self.shown, value, cause))
    }

    /// Closes the open list: one row was appended.
    ///
    /// # Panics
    /// If no list is open.
    pub fn list_end(&mut self) {
        self.list().end_list();
        self.row_added();
    }

    fn list(&mut self) -> &mut list::ListCells {
        match &mut self.buffer {
            Buffer::List { cells } => cells,
            _ => panic!("column {} is not a list", self.name),
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// No rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `rows` (all, if there are fewer) and drops an open list.
    pub fn truncate(&mut self, rows: usize) {
        self.buffer.truncate(rows);
        if let Some(validity) = &mut self.validity {
            validity.truncate(rows);
        }
    }

    /// Keeps all rows before `from`, and of the rest those that `keep` says, one verdict a row.
    pub fn retain(&mut self, from: usize, keep: &[bool]) {
        self.buffer.retain(from, keep);
        if let Some(validity) = &mut self.validity {
            validity.retain(from, keep);
        }
    }

    /// The rows as an array of [`super::arrow::arrow_type`]. The builder is empty afterwards and ready for the next
    /// batch, with room for one like this.
    pub fn finish(&mut self) -> ArrayRef {
        let nulls = self.validity.as_mut().map(|validity| NullBuffer::new(validity.finish()));
        match nulls {
            Some(nulls) if nulls.null_count() == 0 => {
                self.give_back_nulls(nulls);
                self.buffer.finish(None)
            }
            nulls => self.buffer.finish(nulls),
        }
    }

    /// Takes back an array that this builder made, so that the next batch is written where this one was: memory that was
    /// touched before costs a fraction of fresh memory. What somebody else still holds, what the last batch would not
    /// have needed, and what comes when the next batch has begun, is dropped.
    pub fn recycle(&mut self, array: ArrayRef) {
        let data = array.to_data();
        // What is left are the data's own references: if nobody else has one, the buffers are free.
        drop(array);
        let (_, _, nulls, _, buffers, children) = data.into_parts();
        if let Some(nulls) = nulls {
            self.give_back_nulls(nulls);
        }
        self.buffer.give_back(buffers, children);
    }

    fn give_back_nulls(&mut self, nulls: NullBuffer) {
        if let Some(validity) = &mut self.validity {
            validity.give_back(Some(nulls.into_inner().into_inner()));
        }
    }

    /// The value of a row as text, as it is stored (after the mask): for conditions and product look-ups. `None` for
    /// null, and for types other than text, low-cardinality text, booleans (`true`, `false`) and integers (decimal).
    /// `scratch` is overwritten.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn text_at<'a>(&'a self, row: usize, scratch: &'a mut String) -> Option<&'a str> {
        if self.is_null(row) { None } else { self.buffer.text_at(row, scratch) }
    }

    /// The dictionary key of a row of a low-cardinality column, stable until [`ColumnBuilder::finish`]: rows of equal
    /// text have equal keys, and keys count from 0, so that what was found out about a text can be kept in a vector.
    /// `None` for null and for other types.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn key_at(&self, row: usize) -> Option<usize> {
        match &self.buffer {
            Buffer::LowCardinality { cells, .. } if !self.is_null(row) => Some(cells.key(row)),
            _ => None,
        }
    }

    /// The dictionary keys of the rows from `from` on, as [`ColumnBuilder::key_at`] says them; `None` if a row can be null,
    /// and for other types.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn keys_from(&self, from: usize) -> Option<&[i32]> {
        match &self.buffer {
            Buffer::LowCardinality { cells, .. } if self.validity.is_none() => Some(&cells.keys[from..]),
            _ => None,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|validity| !validity.get(row))
    }
}

impl ColumnType {
    /// Stored as text that a mask can replace by other text. Raw JSON is not: what reads it expects JSON.
    fn is_text(&self) -> bool {
        matches!(self, ColumnType::String | ColumnType::LowCardinality)
    }
}

/// Makes `text` the value of records that lack the field.
fn set_default(buffer: &mut Buffer, ty: &ColumnType, text: &str) -> Result<(), String> {
    let value = match ty {
        ColumnType::Json => {
            crate::json::validate(text.as_bytes()).map_err(|error| error.to_string())?;
            Value::Json(text)
        }
        ColumnType::List(_) if text == "[]" => return Ok(()),
        ColumnType::List(_) => return Err("a list has no default but []".to_owned()),
        _ => Value::String(text),
    };
    buffer.push(value).map_err(|cause| super::mismatch::describe(ty, value, cause))?;
    buffer.last_becomes_fill();
    Ok(())
}

/// Checks that there can be such a column: a decimal's digits, a pattern's directives, a zone's name, a list's items.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_type(ty: &ColumnType) -> Result<(), String> {
    Buffer::new(ty).map(drop)
}

/// Checks that `text` can be the default of a column of this type, by the rules that hold for a string in a record.
/// For `json`: any JSON. For lists: only `[]`.
///
/// # Errors
/// A sentence that says what is wrong with the text, or with the type.
pub fn check_text(ty: &ColumnType, text: &str) -> Result<(), String> {
    set_default(&mut Buffer::new(ty)?, ty, text)
}

#[cfg(test)]
mod tests;
