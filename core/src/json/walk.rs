//! The fast pass over a record: from quote to quote along the chunk's index, key by key as the last records had them.
//!
//! Logs are written by programs, so what stands between two values is nearly always what stood there before. A learned
//! key is its bytes from its opening quote to its value; comparing them at once proves the key's grammar and says which
//! column it is. Where a string ends is read from the index and not searched for, so that no field waits for the one
//! before it. Keys that come in another order are looked up, new ones are learned.
//!
//! The pass takes what it is sure of: JSON in full, without control characters between values and without escapes in
//! keys. Everything else, all errors among it, it leaves to [`Plan::extract`], which decides; what the pass accepts,
//! that accepts too, with the same values.

mod learned;

pub(crate) use learned::Learned;
use learned::{Key, Lead, Members, WIDE, hash, mask, wide};

use super::plan::Plan;
use super::scan;
use crate::column::span::{Span, SpanKind};
use crate::limits::BLOCK_RECORDS;
use crate::simd::Kernels;
use crate::simd::shape::Shaped;

/// Learned keys that are tried before a key is looked up.
const GUESSES: usize = 3;
/// After so many keys that were in none of these places, with none between them that was found ahead of its place, keys
/// are looked up at once.
const DISORDER_MAX: u8 = 16;
/// Longest key that is learned, bytes.
const KEY_BYTES_LEARNED: usize = 128;
/// Levels that the pass goes down into by itself; what is deeper is checked by [`scan::value`].
const LEVELS: usize = 16;
/// No node of the plan, no slot: nothing is wanted here.
const NONE: u32 = u32::MAX;
/// Node of the record itself.
const ROOT: u32 = 0;

/// Where a chunk's records are walked, and where their spans go.
pub(crate) struct Walk<'a> {
    plan: &'a Plan,
    kernels: Kernels,
    bytes: &'a [u8],
    /// Of the whole chunk, see [`crate::simd::index::Index::quotes`].
    quotes: &'a [u32],
    /// How many of them were passed.
    passed: usize,
    /// `slot * BLOCK_RECORDS + row`.
    spans: &'a mut [Span],
    row: usize,
    /// The record has escapes.
    has_escapes: bool,
    /// Where the record ends.
    end: usize,
    room: usize,
    seeds: [u64; 2],
}

/// What a key leads to.
enum Found {
    /// A learned key.
    Learned(usize),
    /// One that is not learned: its value's position and node.
    Other { value: usize, node: u32 },
}

impl<'a> Walk<'a> {
    /// `spans` has [`BLOCK_RECORDS`] for each slot of the plan, all of them absent. `passed` is where the last walk over
    /// the same chunk stood in its index, 0 for the first one.
    pub(crate) fn new(
        (plan, kernels): (&'a Plan, Kernels),
        (bytes, quotes, passed): (&'a [u8], &'a [u32], usize),
        spans: &'a mut [Span],
        learned: &mut Learned,
    ) -> Self {
        debug_assert_eq!(spans.len(), plan.slot_count() * BLOCK_RECORDS);
        if learned.room == 0 {
            *learned = Learned { seeds: learned.seeds, ..Learned::default() };
        }
        let (room, seeds) = (learned.room, learned.seeds);
        Walk { plan, kernels, bytes, quotes, passed, spans, row: 0, has_escapes: false, end: 0, room, seeds }
    }

    /// Where the walk stands in the index.
    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    /// Makes the row what `spans` are, one for each slot.
    pub(crate) fn set_row(&mut self, row: usize, spans: impl Iterator<Item = Span>) {
        for (slot, span) in spans.enumerate() {
            self.spans[slot * BLOCK_RECORDS + row] = span;
        }
    }

    /// Walks the record `start..end` and leaves its spans at `row`. Records come in the chunk's order.
    ///
    /// The record's text must be UTF-8 without control characters; `has_escapes` if there is a backslash in it.
    ///
    /// `false`: the record is not for this pass, and what stands in its row means nothing.
    #[inline]
    pub(crate) fn record(
        &mut self,
        (start, end): (usize, usize),
        row: usize,
        has_escapes: bool,
        learned: &mut Learned,
    ) -> bool {
        (self.row, self.end, self.has_escapes) = (row, end, has_escapes);
        // Quotes of a record that was given up, or of what stands between records.
        while (self.quotes[self.passed] as usize) < start {
            self.passed += 1;
        }
        let first = self.passed;
        if self.bytes.get(start) == Some(&b'{') && self.object(ROOT, &mut learned.root, start, 0) == Some(end) {
            if let Some(slot) = self.plan.nodes[ROOT as usize].slot {
                self.spans[slot * BLOCK_RECORDS + row] = Span::new(SpanKind::Object, start, end);
            }
            learned.room = self.room;
            return true;
        }
        learned.room = self.room;
        self.passed = first;
        false
    }

    #[inline(always)]
    fn byte(&self, pos: usize) -> u8 {
        // No record has a NUL.
        self.bytes.get(pos).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn spaces(&self, mut pos: usize) -> usize {
        while self.byte(pos) == b' ' {
            pos += 1;
        }
        pos
    }

    /// The object at `pos`, below `level` open brackets: the position after it.
    #[inline(never)]
    fn object(&mut self, node: u32, members: &mut Members, pos: usize, level: usize) -> Option<usize> {
        let mut pos = self.spaces(pos + 1);
        if self.byte(pos) == b'}' {
            return Some(pos + 1);
        }
        let mut place = 0;
        loop {
            let found = match members.keys.get(place) {
                Some(key) if key.stands_at(self.bytes, pos) => Found::Learned(place),
                _ => self.unexpected(node, members, pos, place)?,
            };
            self.passed += 2;
            pos = match found {
                Found::Learned(index) => {
                    place = index + 1;
                    let key = &mut members.keys[index];
                    let value = pos + key.text.len();
                    let end = self.value((key.node, key.spans), &mut key.members, value, level + 1)?;
                    self.members(members, &mut place, end, level)?
                }
                Found::Other { value, node } => self.other_value(node, value, level + 1)?,
            };
            pos = self.spaces(pos);
            match self.byte(pos) {
                b',' => pos = self.spaces(pos + 1),
                b'}' => return Some(pos + 1),
                _ => return None,
            }
        }
    }

    /// Members after a value that ended at `pos`, as long as they are the expected ones from `place` on: the position
    /// after the last one.
    #[inline(always)]
    fn members(&mut self, members: &mut Members, place: &mut usize, mut pos: usize, level: usize) -> Option<usize> {
        while let Some(key) = members.keys.get_mut(*place) {
            match key.lead.at(self.bytes, pos) {
                Some(true) => {
                    let open = pos + key.lead.len as usize;
                    let close = *self.quotes.get(self.passed + 3)? as usize;
                    if close >= self.end {
                        return None;
                    }
                    self.passed += 4;
                    let kind = if self.has_escapes { self.escapes(open, close)? } else { SpanKind::Plain };
                    self.set((key.node, key.spans), Span::new(kind, open + 1, close));
                    pos = close + 1;
                }
                Some(false) => {
                    self.passed += 2;
                    let value = pos + key.lead.len as usize;
                    pos = self.value((key.node, key.spans), &mut key.members, value, level + 1)?;
                }
                None => break,
            }
            *place += 1;
        }
        Some(pos)
    }

    /// Notes the value of a node, unless nothing is wanted of it.
    #[inline(always)]
    fn set(&mut self, (node, spans): (u32, u32), span: Span) {
        if spans != NONE {
            self.spans[spans as usize + self.row] = span;
        } else if node != NONE {
            self.note(node, span);
        }
    }

    /// The value of a key that is not learned.
    #[inline(never)]
    fn other_value(&mut self, node: u32, pos: usize, level: usize) -> Option<usize> {
        self.value((node, self.spans_of(node)), &mut Members::default(), pos, level)
    }

    /// The array at `pos`.
    #[inline(never)]
    fn array(&mut self, node: u32, members: &mut Members, pos: usize, level: usize) -> Option<usize> {
        let mut pos = self.spaces(pos + 1);
        if self.byte(pos) == b']' {
            return Some(pos + 1);
        }
        let mut wanted = match node {
            NONE => &[][..],
            node => self.plan.nodes[node as usize].elements.as_slice(),
        };
        if members.elements.is_empty() {
            members.elements.resize_with(1 + wanted.len(), Members::default);
        }
        let (others, mut of_wanted) = members.elements.split_at_mut(1);
        for index in 0.. {
            let (child, members) = match wanted.split_first() {
                Some((&(next, node), rest)) if next == index => {
                    wanted = rest;
                    (node as u32, of_wanted.split_off_first_mut().expect("one for each"))
                }
                _ => (NONE, &mut others[0]),
            };
            pos = self.value((child, self.spans_of(child)), members, pos, level + 1)?;
            pos = self.spaces(pos);
            match self.byte(pos) {
                b',' => pos = self.spaces(pos + 1),
                b']' => return Some(pos + 1),
                _ => return None,
            }
        }
        None
    }

    /// The value at `pos`: notes it if it is wanted, and what is wanted in it.
    #[inline(always)]
    fn value(&mut self, (node, spans): (u32, u32), members: &mut Members, pos: usize, level: usize) -> Option<usize> {
        let (span, end) = match self.byte(pos) {
            b'"' => {
                let close = *self.quotes.get(self.passed + 1)? as usize;
                if close >= self.end {
                    return None;
                }
                debug_assert_eq!(self.quotes[self.passed] as usize, pos, "all quotes before a value were passed");
                self.passed += 2;
                let kind = if self.has_escapes { self.escapes(pos, close)? } else { SpanKind::Plain };
                (Span::new(kind, pos + 1, close), close + 1)
            }
            b'-' | b'0'..=b'9' => {
                let end = scan::number(self.bytes, pos).ok()?;
                (Span::new(SpanKind::Number, pos, end), end)
            }
            b'n' => (Span::new(SpanKind::Null, pos, pos + 4), self.literal(pos, b"null")?),
            b't' => (Span::new(SpanKind::True, pos, pos + 4), self.literal(pos, b"true")?),
            b'f' => (Span::new(SpanKind::False, pos, pos + 5), self.literal(pos, b"false")?),
            b'{' => return self.nested(node, members, pos, level, SpanKind::Object),
            b'[' => return self.nested(node, members, pos, level, SpanKind::Array),
            _ => return None,
        };
        self.set((node, spans), span);
        Some(end)
    }

    #[inline(always)]
    fn literal<const N: usize>(&self, pos: usize, name: &[u8; N]) -> Option<usize> {
        (self.bytes.get(pos..)?.first_chunk() == Some(name)).then_some(pos + N)
    }

    /// An object or array, and what is wanted in it.
    fn nested(&mut self, node: u32, members: &mut Members, pos: usize, level: usize, kind: SpanKind) -> Option<usize> {
        let is_leaf = node == NONE || self.plan.nodes[node as usize].is_leaf();
        let has_shape = is_leaf && !self.has_escapes;
        if has_shape
            && let Some(shapes) = &mut members.shapes
            && let Some(Shaped { len, quotes }) = shapes.find(self.kernels, self.bytes, pos)
        {
            self.passed += quotes;
            self.note_nested(node, Span::new(kind, pos, pos + len));
            return Some(pos + len);
        }
        if !is_leaf {
            self.forget(node);
        }
        let inside = if is_leaf { NONE } else { node };
        let end = match kind {
            _ if level >= LEVELS => {
                if !is_leaf {
                    return None;
                }
                let end = scan::value(&self.bytes[..self.end], pos, level).ok()?;
                while (self.quotes[self.passed] as usize) < end {
                    self.passed += 1;
                }
                end
            }
            SpanKind::Object => self.object(inside, members, pos, level)?,
            _ => self.array(inside, members, pos, level)?,
        };
        if end > self.end {
            return None;
        }
        if has_shape {
            members.shapes.get_or_insert_default().add(self.kernels, self.bytes, pos..end);
        }
        self.note_nested(node, Span::new(kind, pos, end));
        Some(end)
    }

    /// Notes an object or array, if it is wanted itself.
    #[inline(always)]
    fn note_nested(&mut self, node: u32, span: Span) {
        if node != NONE
            && let Some(slot) = self.plan.nodes[node as usize].slot
        {
            self.spans[slot * BLOCK_RECORDS + self.row] = span;
        }
    }

    /// Notes a value that is neither object nor array, of a node that has more than a slot.
    #[inline(never)]
    fn note(&mut self, node: u32, span: Span) {
        self.forget(node);
        if let Some(slot) = self.plan.nodes[node as usize].slot {
            self.spans[slot * BLOCK_RECORDS + self.row] = span;
        }
    }

    /// An equal key before this one may have left something at the node or below it.
    fn forget(&mut self, node: u32) {
        let (first, last) = self.plan.nodes[node as usize].subtree;
        for slot in first..last {
            self.spans[slot * BLOCK_RECORDS + self.row] = Span::ABSENT;
        }
    }

    /// Where the spans of a node stand, if it has a slot and nothing is wanted below it.
    fn spans_of(&self, node: u32) -> u32 {
        match self.plan.nodes.get(node as usize) {
            Some(wanted) if wanted.is_leaf() => wanted.slot.map_or(NONE, |slot| (slot * BLOCK_RECORDS) as u32),
            _ => NONE,
        }
    }

    /// Kind of the string from quote to quote; `None` if an escape is not right.
    #[inline(never)]
    fn escapes(&self, open: usize, close: usize) -> Option<SpanKind> {
        if memchr::memchr(b'\\', &self.bytes[open + 1..close]).is_none() {
            return Some(SpanKind::Plain);
        }
        match scan::string(&self.bytes[..=close], open) {
            Ok((end, true)) if end == close + 1 => Some(SpanKind::Escaped),
            _ => None,
        }
    }

    /// A key that is not the one that is expected at this place.
    #[inline(always)]
    fn unexpected(&mut self, node: u32, members: &mut Members, pos: usize, place: usize) -> Option<Found> {
        if members.disorder < DISORDER_MAX {
            let ahead = members.keys.iter().enumerate().skip(place + 1).take(GUESSES - 1);
            for (later, key) in ahead {
                if key.stands_at(self.bytes, pos) {
                    members.disorder = 0;
                    return Some(Found::Learned(later));
                }
            }
        }
        let (open, close) = (self.quotes[self.passed] as usize, *self.quotes.get(self.passed + 1)? as usize);
        if open != pos || close >= self.end {
            return None;
        }
        let key = &self.bytes[open..=close];
        let head = match self.bytes[open..].first_chunk::<WIDE>() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => wide(key),
        };
        let hash = hash(key, head, self.seeds);
        if let Some(index) = members.find(hash, |key| key.stands_at(self.bytes, pos)) {
            members.disorder = members.disorder.saturating_add(1);
            return Some(Found::Learned(index));
        }
        self.unknown(node, members, (pos, close), hash)
    }

    /// A key that does not stand there as it was learned, if it was.
    #[cold]
    fn unknown(&mut self, node: u32, members: &mut Members, (pos, close): (usize, usize), hash: u64) -> Option<Found> {
        let key = &self.bytes[pos..=close];
        let colon = self.spaces(close + 1);
        if self.byte(colon) != b':' {
            return None;
        }
        let value = self.spaces(colon + 1);
        if let Some(index) = members.find(hash, |known| known.text.starts_with(key)) {
            return Some(Found::Other { value, node: members.keys[index].node });
        }
        if self.has_escapes && memchr::memchr(b'\\', key).is_some() {
            return None;
        }
        let child = match node {
            NONE => NONE,
            node => self.plan.nodes[node as usize].keys.get(&key[1..key.len() - 1]).map_or(NONE, |node| node as u32),
        };
        if self.room == 0 || key.len() > KEY_BYTES_LEARNED || value - pos > 2 * KEY_BYTES_LEARNED || value > self.end {
            return Some(Found::Other { value, node: child });
        }
        self.room -= 1;
        let text = &self.bytes[pos..value];
        let spans = self.spans_of(child);
        Some(Found::Learned(members.add(Key {
            lead: Lead::new(text, pos > 0 && self.bytes[pos - 1] == b' '),
            wide: wide(text),
            mask: mask(text.len()),
            text: text.into(),
            hash,
            node: child,
            spans,
            members: Members::default(),
        })))
    }
}
