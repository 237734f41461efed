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

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::plan::Plan;
use super::scan;
use crate::column::span::{Span, SpanKind};
use crate::limits::{BLOCK_RECORDS, JSON_KEYS_LEARNED};

/// Learned keys that are tried before a key is looked up.
const GUESSES: usize = 3;
/// Bytes that one comparison takes.
const WIDE: usize = size_of::<u128>();
/// Longest key that is learned, bytes.
const KEY_BYTES_LEARNED: usize = 128;
/// Levels that the pass goes down into by itself; what is deeper is checked by [`scan::value`].
const LEVELS: usize = 16;
/// No node of the plan, no slot: nothing is wanted here.
const NONE: u32 = u32::MAX;
/// Node of the record itself.
const ROOT: u32 = 0;

/// The keys that records had so far. It makes the pass quick and changes nothing in what it finds.
#[derive(Debug)]
pub(crate) struct Learned {
    root: Members,
    /// Keys that may still be learned. When there are none, all are forgotten: so much for objects whose keys are data.
    room: usize,
    /// The keys come from whoever writes the logs, so their hash is keyed at random.
    seeds: [u64; 2],
}

impl Default for Learned {
    fn default() -> Self {
        let random = RandomState::new();
        let seeds = [random.hash_one(0u8), random.hash_one(1u8)];
        Learned { root: Members::default(), room: JSON_KEYS_LEARNED, seeds }
    }
}

/// The keys of the objects at one place, in the order in which they were first seen.
#[derive(Debug, Default)]
struct Members {
    keys: Vec<Key>,
    /// Open addressing, a power of two at least twice the keys: index into `keys` plus one, 0 for empty.
    buckets: Vec<u16>,
    /// Of the elements, where an array stands at the place: first of all those of which nothing is wanted, then of each
    /// wanted one. What a key leads to depends on the element, so they have none in common.
    elements: Vec<Members>,
}

/// A key as written.
#[derive(Debug)]
struct Key {
    joint: Joint,
    /// The first bytes of `text`, and a mask of how many count.
    wide: u128,
    mask: u128,
    /// From its opening quote to before its value: quotes, colon and spaces. Has no escapes.
    text: Box<[u8]>,
    hash: u64,
    /// Node of the value in the plan.
    node: u32,
    /// Where the value's spans stand, if it is wanted and nothing in it is.
    spans: u32,
    /// Of the value.
    members: Members,
}

impl Key {
    /// Whether the key stands at `pos`.
    #[inline(always)]
    fn stands_at(&self, bytes: &[u8], pos: usize) -> bool {
        let Some(rest) = bytes.get(pos..) else { return false };
        match rest.first_chunk::<WIDE>() {
            Some(chunk) => {
                (u128::from_le_bytes(*chunk) ^ self.wide) & self.mask == 0
                    && (self.text.len() <= WIDE || rest.starts_with(&self.text))
            }
            None => rest.starts_with(&self.text),
        }
    }
}

/// What stands between two strings of which the second is the key's value, from the closing quote of the first to the
/// opening quote of the second: most of what a record of strings is. One comparison takes all of it.
#[derive(Debug)]
struct Joint {
    wide: [u128; 2],
    mask: [u128; 2],
    /// Bytes; 0 if it does not fit, or if more is to be noted of the value than its span.
    len: u32,
}

/// Longest joint, bytes.
const JOINT: usize = 2 * WIDE;

impl Joint {
    const NONE: Joint = Joint { wide: [0; 2], mask: [0; 2], len: 0 };

    /// Of the key `text`, which has a space before it or not.
    fn new(text: &[u8], is_spaced: bool) -> Joint {
        let before = if is_spaced { &b"\", "[..] } else { b"\"," };
        let joint = [before, text, b"\""].concat();
        if joint.len() > JOINT {
            return Joint::NONE;
        }
        let (first, rest) = joint.split_at(joint.len().min(WIDE));
        let masks = [mask(first.len()), mask(rest.len())];
        Joint { wide: [wide(first), wide(rest)], mask: masks, len: joint.len() as u32 }
    }

    #[inline(always)]
    fn stands_at(&self, bytes: &[u8], pos: usize) -> bool {
        let Some(chunk) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<JOINT>()) else { return false };
        let (words, _) = chunk.as_chunks::<WIDE>();
        let differs = |word: usize| (u128::from_le_bytes(words[word]) ^ self.wide[word]) & self.mask[word];
        self.len != 0 && differs(0) | differs(1) == 0
    }
}

/// The first bytes of a text, zeros after its end.
fn wide(text: &[u8]) -> u128 {
    let mut bytes = [0; WIDE];
    let len = text.len().min(WIDE);
    bytes[..len].copy_from_slice(&text[..len]);
    u128::from_le_bytes(bytes)
}

/// A mask of the first `len` bytes.
#[inline(always)]
fn mask(len: usize) -> u128 {
    if len < WIDE { (1 << (8 * len)) - 1 } else { u128::MAX }
}

impl Members {
    /// Index of the key whose bytes, quotes included, are these.
    #[inline(always)]
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let mut bucket = hash as usize & self.buckets.len().checked_sub(1)?;
        loop {
            let index = usize::from(self.buckets[bucket]).checked_sub(1)?;
            let candidate = &self.keys[index];
            if candidate.hash == hash && candidate.text.starts_with(key) {
                return Some(index);
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// Adds a key that is not there.
    fn add(&mut self, key: Key) -> usize {
        let index = self.keys.len();
        self.keys.push(key);
        if self.keys.len() * 2 > self.buckets.len() {
            self.buckets = vec![0; (self.keys.len() * 4).next_power_of_two()];
            (0..self.keys.len()).for_each(|index| self.place(index));
        } else {
            self.place(index);
        }
        index
    }

    fn place(&mut self, index: usize) {
        let last = self.buckets.len() - 1;
        let mut bucket = self.keys[index].hash as usize & last;
        while self.buckets[bucket] != 0 {
            bucket = (bucket + 1) & last;
        }
        self.buckets[bucket] = index as u16 + 1;
    }
}

/// Multiplies 64 by 64 bits and folds the halves.
#[inline(always)]
fn hash(key: &[u8], head: u128, seeds: [u64; 2]) -> u64 {
    let head = head & mask(key.len());
    let product = u128::from(head as u64 ^ seeds[0]) * u128::from((head >> 64) as u64 ^ seeds[1]);
    let folded = product as u64 ^ (product >> 64) as u64 ^ key.len() as u64;
    if key.len() <= WIDE { folded } else { folded ^ xxh3_64_with_seed(&key[WIDE..], seeds[0]) }
}

/// Where a chunk's records are walked, and where their spans go.
pub(crate) struct Walk<'a> {
    plan: &'a Plan,
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
        plan: &'a Plan,
        (bytes, quotes, passed): (&'a [u8], &'a [u32], usize),
        spans: &'a mut [Span],
        learned: &mut Learned,
    ) -> Self {
        debug_assert_eq!(spans.len(), plan.slot_count() * BLOCK_RECORDS);
        if learned.room == 0 {
            *learned = Learned { seeds: learned.seeds, ..Learned::default() };
        }
        let (room, seeds) = (learned.room, learned.seeds);
        Walk { plan, bytes, quotes, passed, spans, row: 0, has_escapes: false, end: 0, room, seeds }
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
                    self.strings(members, &mut place, end)?
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

    /// Values after one that ended at `pos`, as long as all are strings under the keys that are expected from `place` on:
    /// the position after the last one.
    #[inline(always)]
    fn strings(&mut self, members: &Members, place: &mut usize, pos: usize) -> Option<usize> {
        let mut close = pos - 1;
        if self.has_escapes || self.byte(close) != b'"' {
            return Some(pos);
        }
        while let Some(key) = members.keys.get(*place)
            && key.joint.stands_at(self.bytes, close)
        {
            let start = close + key.joint.len as usize;
            close = *self.quotes.get(self.passed + 3)? as usize;
            if close >= self.end {
                return None;
            }
            self.passed += 4;
            *place += 1;
            if key.spans != NONE {
                self.spans[key.spans as usize + self.row] = Span::new(SpanKind::Plain, start, close);
            }
        }
        Some(close + 1)
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
        if spans != NONE {
            self.spans[spans as usize + self.row] = span;
        } else if node != NONE {
            self.note(node, span);
        }
        Some(end)
    }

    #[inline(always)]
    fn literal<const N: usize>(&self, pos: usize, name: &[u8; N]) -> Option<usize> {
        (self.bytes.get(pos..)?.first_chunk() == Some(name)).then_some(pos + N)
    }

    /// An object or array, and what is wanted in it.
    fn nested(&mut self, node: u32, members: &mut Members, pos: usize, level: usize, kind: SpanKind) -> Option<usize> {
        let is_leaf = node == NONE || self.plan.nodes[node as usize].is_leaf();
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
        if node != NONE
            && let Some(slot) = self.plan.nodes[node as usize].slot
        {
            self.spans[slot * BLOCK_RECORDS + self.row] = Span::new(kind, pos, end);
        }
        Some(end)
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
    #[inline(never)]
    fn unexpected(&mut self, node: u32, members: &mut Members, pos: usize, place: usize) -> Option<Found> {
        let ahead = members.keys.iter().enumerate().skip(place + 1).take(GUESSES - 1);
        for (later, key) in ahead {
            if key.stands_at(self.bytes, pos) {
                return Some(Found::Learned(later));
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
        let known = members.find(hash, key);
        if let Some(index) = known
            && members.keys[index].stands_at(self.bytes, pos)
        {
            return Some(Found::Learned(index));
        }
        let colon = self.spaces(close + 1);
        if self.byte(colon) != b':' {
            return None;
        }
        let value = self.spaces(colon + 1);
        if let Some(index) = known {
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
        let joint = match spans == NONE && child != NONE {
            true => Joint::NONE,
            false => Joint::new(text, pos > 0 && self.bytes[pos - 1] == b' '),
        };
        Some(Found::Learned(members.add(Key {
            joint,
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
