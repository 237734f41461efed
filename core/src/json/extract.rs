//! The careful pass over one record: position by position, every error told where it stands.
//!
//! It decides what a record is. The fast pass ([`super::walk`]) takes what it is sure of and leaves the rest to this.

use super::JsonError;
use super::plan::Plan;
use super::raw::{Kind, RawValue, unescape};
use super::scan::{self, Separator};
use crate::column::span::{Span, SpanKind};

/// Where the values of one record stand. Reused from record to record.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    found: Vec<Option<Slot>>,
}

/// Where a value stands: bytes `start..end` of the record.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: u32,
    end: u32,
    kind: Kind,
}

impl Slots {
    pub(super) fn new(slots: usize) -> Slots {
        Slots { found: vec![None; slots] }
    }

    /// The slots as spans of a text in which the record starts at `start`, in order.
    pub(crate) fn spans(&self, start: usize) -> impl Iterator<Item = Span> {
        self.found.iter().map(move |slot| slot.map_or(Span::ABSENT, |slot| slot.span(start)))
    }

    #[inline]
    pub(super) fn value<'r>(&self, slot: usize, record: &'r str) -> Option<RawValue<'r>> {
        let Slot { start, end, kind } = self.found[slot]?;
        Some(RawValue { kind, text: &record[start as usize..end as usize] })
    }
}

impl Slot {
    fn span(self, record: usize) -> Span {
        let (start, end) = (record + self.start as usize, record + self.end as usize);
        match self.kind {
            Kind::Null => Span::new(SpanKind::Null, start, end),
            Kind::True => Span::new(SpanKind::True, start, end),
            Kind::False => Span::new(SpanKind::False, start, end),
            Kind::Number => Span::new(SpanKind::Number, start, end),
            Kind::PlainString => Span::new(SpanKind::Plain, start + 1, end - 1),
            Kind::EscapedString => Span::new(SpanKind::Escaped, start + 1, end - 1),
            Kind::Object => Span::new(SpanKind::Object, start, end),
            Kind::Array => Span::new(SpanKind::Array, start, end),
        }
    }
}

/// One walk over one record.
pub(super) struct Pass<'p> {
    plan: &'p Plan,
    bytes: &'p [u8],
    found: &'p mut [Option<Slot>],
}

impl<'p> Pass<'p> {
    pub(super) fn new(plan: &'p Plan, bytes: &'p [u8], slots: &'p mut Slots) -> Self {
        Pass { plan, bytes, found: &mut slots.found }
    }

    /// The wanted value at `pos`, below `depth` open brackets: notes it and what is wanted in it.
    #[inline]
    pub(super) fn value(&mut self, node: usize, pos: usize, depth: usize) -> Result<usize, JsonError> {
        let wanted = &self.plan.nodes[node];
        if !wanted.is_leaf() {
            // An equal key before this one may have left something below it.
            self.found[wanted.subtree.0..wanted.subtree.1].fill(None);
        }
        let (end, kind) = match self.bytes.get(pos) {
            Some(b'"') => match scan::string(self.bytes, pos)? {
                (end, true) => (end, Kind::EscapedString),
                (end, false) => (end, Kind::PlainString),
            },
            Some(b'{') if !wanted.keys.is_empty() => (self.object(node, pos, depth)?, Kind::Object),
            Some(b'[') if !wanted.elements.is_empty() => (self.array(node, pos, depth)?, Kind::Array),
            first => (scan::value(self.bytes, pos, depth)?, first.map_or(Kind::Null, |&first| Kind::of(first))),
        };
        if let Some(slot) = wanted.slot {
            self.found[slot] = Some(Slot { start: pos as u32, end: end as u32, kind });
        }
        Ok(end)
    }

    /// An object of which something is wanted.
    fn object(&mut self, node: usize, pos: usize, depth: usize) -> Result<usize, JsonError> {
        let mut pos = scan::open(self.bytes, pos, depth)?;
        if self.bytes.get(pos) == Some(&b'}') {
            return Ok(pos + 1);
        }
        loop {
            let (key_end, child) = self.key(node, pos)?;
            pos = scan::colon(self.bytes, key_end)?;
            pos = match child {
                Some(child) => self.value(child, pos, depth + 1)?,
                None => scan::value(self.bytes, pos, depth + 1)?,
            };
            match scan::separator(self.bytes, pos, b'}')? {
                Separator::Next(next) => pos = next,
                Separator::Close(after) => return Ok(after),
            }
        }
    }

    /// An array of which elements are wanted.
    fn array(&mut self, node: usize, pos: usize, depth: usize) -> Result<usize, JsonError> {
        let mut pos = scan::open(self.bytes, pos, depth)?;
        if self.bytes.get(pos) == Some(&b']') {
            return Ok(pos + 1);
        }
        let mut wanted = self.plan.nodes[node].elements.as_slice();
        for index in 0.. {
            pos = match wanted.split_first() {
                Some((&(next, child), rest)) if next == index => {
                    wanted = rest;
                    self.value(child, pos, depth + 1)?
                }
                _ => scan::value(self.bytes, pos, depth + 1)?,
            };
            match scan::separator(self.bytes, pos, b']')? {
                Separator::Next(next) => pos = next,
                Separator::Close(after) => return Ok(after),
            }
        }
        unreachable!("an array has fewer elements than usize has values")
    }

    /// The key at `pos`: the position after it and the node of its value, if that is wanted.
    fn key(&self, node: usize, pos: usize) -> Result<(usize, Option<usize>), JsonError> {
        let (end, has_escapes) = scan::key(self.bytes, pos)?;
        let keys = &self.plan.nodes[node].keys;
        let inside = &self.bytes[pos + 1..end - 1];
        if !has_escapes {
            return Ok((end, keys.get(inside)));
        }
        let mut plain = String::new();
        let inside = std::str::from_utf8(inside).expect("the record is UTF-8, and quotes are whole characters");
        unescape(inside, &mut plain);
        Ok((end, keys.get(plain.as_bytes())))
    }
}
