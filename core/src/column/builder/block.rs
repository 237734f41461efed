//! Filling a column from a block of records: one loop over the spans of one column, instead of a push for each record.
//!
//! The rules are those of [`ColumnBuilder::push_json`], which stays the truth: the loops below know the common shapes of
//! the common types, and give every other value to the conversions that row by row pushes use.

use arrow_buffer::ArrowNativeType;

use super::ColumnBuilder;
use super::buffer::Buffer;
use super::cells::{Bits, BoolCells, Cells, FixedCells, TextCells};
use super::dictionary::DictionaryCells;
use crate::column::convert::net::{self, stored};
use crate::column::convert::number::{double, integer, single};
use crate::column::convert::quick::Short;
use crate::column::convert::{boolean, json, text as as_text};
use crate::column::mismatch::{Cause, Shown};
use crate::column::span::{Kinds, Span, SpanKind};
use crate::column::value::Value;
use crate::json::RawValue;
use crate::simd::Kernels;
use crate::simd::net::{ipv4s, uuids};
use crate::simd::numbers::{ROWS_MAX, decimals, integers};
use crate::simd::spans::{kinds, rows_of};

/// A column refused a row of a block, for which no more is known: pushed row by row, the same records say which and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl From<Cause> for Refused {
    fn from(_: Cause) -> Self {
        Refused
    }
}

impl ColumnBuilder {
    /// Appends a row for each span: what a record has at the column's path. `text` is room for unescaped strings.
    ///
    /// The rows are those that [`ColumnBuilder::push`] would make of the same values, one after the other; the kernels
    /// do not change them.
    ///
    /// # Errors
    /// One of the rows is refused: the column is as it was before the call (but a dictionary may know values that no row
    /// has, as it does after a record is cut back).
    ///
    /// # Panics
    /// If a span is not within the block or does not hold what its kind says. The block is UTF-8.
    pub fn push_spans(
        &mut self,
        block: &[u8],
        spans: &[Span],
        kernels: Kernels,
        text: &mut String,
    ) -> Result<(), Refused> {
        let rows = self.len();
        let block = Block { bytes: block, spans, kinds: kinds(kernels, spans), kernels };
        let pushed = self.push_block(&block, text);
        if pushed.is_err() {
            self.truncate(rows);
        }
        pushed
    }

    fn push_block(&mut self, block: &Block<'_>, text: &mut String) -> Result<(), Refused> {
        let has_missing = block.kinds.has_any(Kinds::MISSING);
        if has_missing && self.required {
            return Err(Refused);
        }
        let null = Nulls { absent: self.validity.is_some() && !self.has_default, null: self.validity.is_some() };
        let is_uniform = null.absent == null.null || block.kinds.is_one();
        if block.kinds.are_only(Kinds::MISSING) && is_uniform {
            return self.push_missing_rows(block, null);
        }
        if self.shown == Shown::Masked || self.is_list() {
            return self.push_one_by_one(block, text);
        }
        if !self.buffer.push_block(block, null, text)? {
            return self.push_one_by_one(block, text);
        }
        if let Some(validity) = &mut self.validity {
            push_validity(validity, block, null);
        }
        Ok(())
    }

    /// Rows that all lack the field, and all become the same.
    fn push_missing_rows(&mut self, block: &Block<'_>, null: Nulls) -> Result<(), Refused> {
        let rows = block.spans.len();
        let Some(first) = block.spans.first() else { return Ok(()) };
        let is_null = null.is_null(first.kind());
        match is_null {
            true => self.buffer.push_zeros(rows),
            false => self.buffer.push_fills(rows)?,
        }
        if let Some(validity) = &mut self.validity {
            validity.push_run(!is_null, rows);
        }
        Ok(())
    }

    fn push_one_by_one(&mut self, block: &Block<'_>, text: &mut String) -> Result<(), Refused> {
        for &span in block.spans {
            self.push_json(RawValue::at_span(block.bytes, span), text).map_err(|_| Refused)?;
        }
        Ok(())
    }
}

/// The values of one column in a block of records.
pub(super) struct Block<'b> {
    bytes: &'b [u8],
    spans: &'b [Span],
    /// Which kinds the spans have.
    kinds: Kinds,
    kernels: Kernels,
}

/// Which missing values become null; the others become the column's default, or else its zero value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nulls {
    absent: bool,
    null: bool,
}

impl Nulls {
    /// Whether a span of that kind is a null.
    #[inline(always)]
    fn is_null(self, kind: SpanKind) -> bool {
        match kind {
            SpanKind::Absent => self.absent,
            SpanKind::Null => self.null,
            _ => false,
        }
    }

    /// The kinds that are nulls.
    fn kinds(self) -> Kinds {
        let none = Kinds::of_bits(0);
        let absent = if self.absent { Kinds::from([SpanKind::Absent]) } else { none };
        let null = if self.null { Kinds::from([SpanKind::Null]) } else { none };
        absent.and(null)
    }

    /// The kinds that are no text: all that are missing if the column's default is, or else the nulls.
    fn without_text(self, fill: &str) -> Kinds {
        if fill.is_empty() { Kinds::MISSING } else { self.kinds() }
    }
}

/// Notes which rows of the block are not null.
fn push_validity(validity: &mut Bits, block: &Block<'_>, null: Nulls) {
    if !block.kinds.has_any(Kinds::MISSING) {
        return validity.push_run(true, block.spans.len());
    }
    let nulls = null.kinds();
    for spans in block.spans.chunks(64) {
        validity.push_word(!rows_of(nulls, spans, block.kernels), spans.len());
    }
}

impl Buffer {
    /// Appends a block; `Ok(false)` if there is no loop for the type, and nothing was appended.
    fn push_block(&mut self, block: &Block<'_>, null: Nulls, text: &mut String) -> Result<bool, Refused> {
        match self {
            Buffer::Text { cells, .. } => cells.push_block(block, null, text, Kinds::TEXT)?,
            Buffer::Json { cells } => cells.push_block(block, null, text, Kinds::JSON)?,
            Buffer::LowCardinality { cells, .. } => cells.push_block(block, null, text)?,
            Buffer::I8 { cells } => cells.push_integers(block, null, text)?,
            Buffer::I16 { cells } => cells.push_integers(block, null, text)?,
            Buffer::I32 { cells } => cells.push_integers(block, null, text)?,
            Buffer::I64 { cells } => cells.push_integers(block, null, text)?,
            Buffer::U8 { cells } => cells.push_integers(block, null, text)?,
            Buffer::U16 { cells } => cells.push_integers(block, null, text)?,
            Buffer::U32 { cells } => cells.push_integers(block, null, text)?,
            Buffer::U64 { cells } => cells.push_integers(block, null, text)?,
            Buffer::F32 { cells } => {
                cells.push_block(
                    block,
                    null,
                    text,
                    |spans, rows| block.decimals(spans, rows, Short::single),
                    single,
                )?;
            }
            Buffer::F64 { cells } => {
                cells.push_block(
                    block,
                    null,
                    text,
                    |spans, rows| block.decimals(spans, rows, Short::double),
                    double,
                )?;
            }
            Buffer::Decimal { cells, rule } => {
                let read = |spans: &[Span], rows: &mut [i128]| block.decimals(spans, rows, |short| rule.quick(short));
                cells.push_block(block, null, text, read, |value| rule.convert(value))?;
            }
            Buffer::Bool { cells } => cells.push_block(block, null, text)?,
            Buffer::Timestamp { cells, rule } if rule.is_epoch() => {
                let read =
                    |spans: &[Span], rows: &mut [i64]| block.integers(spans, rows, |count| rule.quick_count(count));
                cells.push_block(block, null, text, read, |value| rule.convert(value))?;
            }
            Buffer::Timestamp { cells, rule } => {
                let read = |spans: &[Span], rows: &mut [i64]| block.texts(spans, rows, |text| rule.quick_text(text));
                cells.push_block(block, null, text, read, |value| rule.convert(value))?;
            }
            Buffer::Date { cells, rule } => {
                let read = |spans: &[Span], rows: &mut [i32]| block.texts(spans, rows, |text| rule.quick_text(text));
                cells.push_block(block, null, text, read, |value| rule.convert(value))?;
            }
            Buffer::Uuid { cells } => {
                let read = |spans: &[Span], rows: &mut [i128]| uuids(block.bytes, spans, rows, block.kernels);
                cells.push_block(block, null, text, read, |value| net::uuid(value).map(stored::uuid))?;
            }
            Buffer::Ipv4 { cells, .. } => {
                let read = |spans: &[Span], rows: &mut [u32]| ipv4s(block.bytes, spans, rows, block.kernels);
                cells.push_block(block, null, text, read, |value| net::ipv4(value).map(stored::ipv4))?;
            }
            Buffer::Ipv6 { .. } | Buffer::List { .. } => return Ok(false),
        }
        Ok(true)
    }
}

impl Block<'_> {
    /// Reads integers of the common shape and makes of each what `of` says; which ones were read.
    #[inline(always)]
    fn integers<T>(&self, spans: &[Span], rows: &mut [T], of: impl Fn(i64) -> Option<T>) -> u64 {
        let mut values = [0; ROWS_MAX];
        let values = &mut values[..spans.len()];
        let done = integers(self.bytes, spans, values, self.kernels);
        keep(done, values, rows, of)
    }

    /// The same for numbers with a point.
    #[inline(always)]
    fn decimals<T>(&self, spans: &[Span], rows: &mut [T], of: impl Fn(Short) -> Option<T>) -> u64 {
        let mut values = [Short::default(); ROWS_MAX];
        let values = &mut values[..spans.len()];
        let done = decimals(self.bytes, spans, values, self.kernels);
        keep(done, values, rows, of)
    }

    /// The same for strings without escapes.
    #[inline(always)]
    fn texts<T>(&self, spans: &[Span], rows: &mut [T], of: impl Fn(&[u8]) -> Option<T>) -> u64 {
        let mut done = 0;
        for (at, (span, row)) in spans.iter().zip(rows).enumerate() {
            if let (SpanKind::Plain, Some(text)) = (span.kind(), self.bytes.get(span.start()..span.end()))
                && let Some(value) = of(text)
            {
                *row = value;
                done |= 1 << at;
            }
        }
        done
    }
}

/// Makes rows of the values whose bits are set in `done`; which ones became rows.
#[inline(always)]
fn keep<V: Copy, T>(mut done: u64, values: &[V], rows: &mut [T], of: impl Fn(V) -> Option<T>) -> u64 {
    let mut left = done;
    while left != 0 {
        let at = left.trailing_zeros() as usize;
        match of(values[at]) {
            Some(value) => rows[at] = value,
            None => done &= !(1 << at),
        }
        left &= left - 1;
    }
    done
}

impl<T: ArrowNativeType + TryFrom<i64> + TryFrom<i128>> FixedCells<T> {
    fn push_integers(&mut self, block: &Block<'_>, nulls: Nulls, text: &mut String) -> Result<(), Refused> {
        let read = |spans: &[Span], rows: &mut [T]| block.integers(spans, rows, |value| T::try_from(value).ok());
        self.push_block(block, nulls, text, read, integer)
    }
}

impl<T: ArrowNativeType> FixedCells<T> {
    /// Appends a block of values. `read` converts what is of the common shape, and says of which rows it did; what is
    /// left goes to `convert`.
    #[inline(always)]
    fn push_block(
        &mut self,
        block: &Block<'_>,
        nulls: Nulls,
        text: &mut String,
        read: impl Fn(&[Span], &mut [T]) -> u64,
        convert: impl Fn(Value<'_>) -> Result<T, Cause>,
    ) -> Result<(), Refused> {
        let fill = self.fill;
        let rows = self.values.push_rows(block.spans.len(), T::default());
        // Under a null is the zero that is there already.
        let zeros = if block.kinds.has_any(Kinds::MISSING) { nulls.kinds() } else { Kinds::of_bits(0) };
        for (spans, rows) in block.spans.chunks(ROWS_MAX).zip(rows.chunks_mut(ROWS_MAX)) {
            let mut left = !read(spans, rows) & (u64::MAX >> (ROWS_MAX - spans.len()));
            if left != 0 {
                left &= !rows_of(zeros, spans, block.kernels);
            }
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                left &= left - 1;
                rows[at] = match spans[at].kind() {
                    SpanKind::Absent | SpanKind::Null => fill,
                    _ => convert(value_at(block.bytes, spans[at], text))?,
                };
            }
        }
        Ok(())
    }
}

/// The value at a span, as columns take it.
#[cold]
fn value_at<'v>(bytes: &'v [u8], span: Span, text: &'v mut String) -> Value<'v> {
    RawValue::at_span(bytes, span).map_or(Value::Absent, |raw| raw.value(text))
}

impl BoolCells {
    fn push_block(&mut self, block: &Block<'_>, nulls: Nulls, text: &mut String) -> Result<(), Refused> {
        for spans in block.spans.chunks(64) {
            let mut word = 0;
            for (place, &span) in spans.iter().enumerate() {
                let bit = match span.kind() {
                    SpanKind::True => true,
                    SpanKind::False => false,
                    kind @ (SpanKind::Absent | SpanKind::Null) => self.fill && !nulls.is_null(kind),
                    _ => boolean(value_at(block.bytes, span, text))?,
                };
                word |= u64::from(bit) << place;
            }
            self.bits.push_word(word, spans.len());
        }
        Ok(())
    }
}

impl TextCells {
    /// Appends a block of texts. Spans of the kinds `as_written` are copied as they are, whole runs at once.
    fn push_block(
        &mut self,
        block: &Block<'_>,
        nulls: Nulls,
        text: &mut String,
        as_written: Kinds,
    ) -> Result<(), Refused> {
        let copied = as_written.and(nulls.without_text(&self.fill));
        let mut rest = block.spans;
        if !block.kinds.are_only(copied) {
            while let Some(at) = rest.iter().position(|span| !copied.has(span.kind())) {
                self.rows.push_spans(block.bytes, &rest[..at], block.kernels).map_err(Cause::from)?;
                self.push_span(block.bytes, rest[at], text, as_written == Kinds::JSON)?;
                rest = &rest[at + 1..];
            }
        }
        Ok(self.rows.push_spans(block.bytes, rest, block.kernels).map_err(Cause::from)?)
    }

    /// Appends a value that is not kept as its span has it.
    fn push_span(&mut self, bytes: &[u8], span: Span, text: &mut String, is_json: bool) -> Result<(), Refused> {
        let Some(raw) = RawValue::at_span(bytes, span) else { return Ok(self.push_fills(1)?) };
        match span.kind() {
            SpanKind::Null => self.push_fills(1)?,
            _ if is_json => self.push(json(Value::Json(raw.text()))?)?,
            _ => self.push(as_text(raw.value(text))?)?,
        }
        Ok(())
    }
}

impl DictionaryCells {
    /// Appends a block of texts. Whole runs of those that stand as they are, or are not there, are looked up at once.
    fn push_block(&mut self, block: &Block<'_>, nulls: Nulls, text: &mut String) -> Result<(), Refused> {
        let DictionaryCells { keys, values, fill } = self;
        let as_written = Kinds::TEXT.and(nulls.without_text(fill));
        let mut keys = keys.push_rows(block.spans.len(), 0);
        let mut rest = block.spans;
        if !block.kinds.are_only(as_written) {
            while let Some(at) = rest.iter().position(|span| !as_written.has(span.kind())) {
                let (run, others) = keys.split_at_mut(at);
                values.intern_spans(block.bytes, &rest[..at], run, block.kernels)?;
                others[0] = match rest[at].kind() {
                    SpanKind::Absent | SpanKind::Null => values.intern(fill)?,
                    _ => values.intern(as_text(value_at(block.bytes, rest[at], text))?)?,
                };
                (rest, keys) = (&rest[at + 1..], &mut others[1..]);
            }
        }
        Ok(values.intern_spans(block.bytes, rest, keys, block.kernels)?)
    }
}

#[cfg(test)]
mod tests;
