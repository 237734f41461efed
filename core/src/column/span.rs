//! Spans: where the values of a block of records stand in the bytes that hold them.
//!
//! A reader that goes through a block of records leaves one span for each declared column and record, column by column,
//! so that each column can then be filled in one tight loop.

/// What stands at a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanKind {
    /// The record does not have the field.
    Absent,
    /// `null`.
    Null,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A number; the span is all of it, and it follows JSON's grammar.
    Number,
    /// A string that stands for itself; the span is what is between its quotes.
    Plain,
    /// A string with at least one escape, all of them checked; the span is what is between its quotes.
    Escaped,
    /// An object, brackets included.
    Object,
    /// An array, brackets included.
    Array,
}

/// Where a value stands: `start..start + len` of the block's bytes, and what it is.
///
/// Kernels read several at once as numbers of 64 bits, hence the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    start: u32,
    /// Length in the upper 28 bits, kind in the lower 4.
    len_kind: u32,
}

const KIND_BITS: u32 = 4;

/// Longest value that a span can describe, bytes.
pub const SPAN_BYTES_MAX: usize = (1 << (u32::BITS - KIND_BITS)) - 1;

impl Span {
    /// A field that is not there.
    pub const ABSENT: Span = Span { start: 0, len_kind: SpanKind::Absent as u32 };

    /// # Panics
    /// In debug builds, if the value is longer than [`SPAN_BYTES_MAX`]; records are bounded far below that.
    #[inline(always)]
    pub fn new(kind: SpanKind, start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end - start <= SPAN_BYTES_MAX);
        Span { start: start as u32, len_kind: ((end - start) as u32) << KIND_BITS | kind as u32 }
    }

    /// Position of the first byte.
    #[inline(always)]
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// Bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        (self.len_kind >> KIND_BITS) as usize
    }

    /// No bytes: an empty string, or nothing there.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Position after the last byte.
    #[inline(always)]
    pub fn end(self) -> usize {
        self.start() + self.len()
    }

    /// What stands there.
    #[inline(always)]
    pub fn kind(self) -> SpanKind {
        const KINDS: [SpanKind; 16] = {
            use SpanKind::*;
            [
                Absent, Null, True, False, Number, Plain, Escaped, Object, Array, Absent, Absent, Absent, Absent,
                Absent, Absent, Absent,
            ]
        };
        KINDS[self.kind_number() as usize]
    }

    /// The kind as its number.
    #[inline(always)]
    pub(crate) fn kind_number(self) -> u32 {
        self.len_kind & ((1 << KIND_BITS) - 1)
    }

    /// Bytes of text that the value is: none if it is absent or null.
    #[inline(always)]
    pub(crate) fn text_len(self) -> usize {
        let is_there = u32::from(self.kind_number() > SpanKind::Null as u32);
        (self.len_kind >> KIND_BITS & is_there.wrapping_neg()) as usize
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(crate) const MISSING: Kinds = Kinds::from([SpanKind::Absent, SpanKind::Null]);
    /// Values that a text column keeps as they are written.
    pub(crate) const TEXT: Kinds = Kinds::from([SpanKind::Plain, SpanKind::Number]);
    /// Strings that stand for themselves.
    pub(crate) const PLAIN: Kinds = Kinds::from([SpanKind::Plain]);
    /// Values that a JSON column keeps as their span has them.
    pub(crate) const JSON: Kinds = Kinds::from([SpanKind::Number, SpanKind::Object, SpanKind::Array]);

    /// The set whose bit `n` says whether the kind of number `n` is in it.
    pub(crate) const fn of_bits(bits: u16) -> Kinds {
        Kinds(bits)
    }

    /// See [`Kinds::of_bits`].
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn from<const N: usize>(kinds: [SpanKind; N]) -> Kinds {
        let mut set = 0;
        let mut at = 0;
        while at < N {
            set |= 1 << kinds[at] as u16;
            at += 1;
        }
        Kinds(set)
    }

    pub(crate) const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub(crate) const fn has(self, kind: SpanKind) -> bool {
        self.0 >> kind as u16 & 1 == 1
    }

    pub(crate) const fn has_any(self, of: Kinds) -> bool {
        self.0 & of.0 != 0
    }

    pub(crate) const fn are_only(self, of: Kinds) -> bool {
        self.0 & !of.0 == 0
    }

    pub(crate) const fn is_one(self) -> bool {
        self.0.count_ones() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_no_text() {
        assert_eq!(Span::ABSENT.text_len(), 0);
        assert_eq!(Span::new(SpanKind::Null, 3, 7).text_len(), 0);
        assert_eq!(Span::new(SpanKind::True, 3, 7).text_len(), 4);
        assert_eq!(Span::new(SpanKind::Array, 3, 99).text_len(), 96);
    }

    #[test]
    fn a_span_gives_back_what_it_was_made_of() {
        use SpanKind::*;
        for kind in [Absent, Null, True, False, Number, Plain, Escaped, Object, Array] {
            let span = Span::new(kind, 4_000_000_000, 4_000_000_000 + SPAN_BYTES_MAX);
            assert_eq!((span.kind(), span.start(), span.len()), (kind, 4_000_000_000, SPAN_BYTES_MAX));
            assert_eq!(span.end(), 4_000_000_000 + SPAN_BYTES_MAX);
        }
        assert_eq!(Span::ABSENT.kind(), Absent);
    }
}
