//! The pass over one record.
//!
//! Logs are written by programs, so a record's keys nearly always come in the order of the record before. Each object of
//! the plan remembers its keys as written, and a key is first compared with the one that came at this place last time:
//! one wide compare, which at once proves the key's grammar and says which column it is. Only when that and the next few
//! fail (a field that this record does not have) is a key read and looked up, and then remembered.

use super::JsonError;
use super::plan::Plan;
use super::raw::{Kind, RawValue, unescape};
use super::scan::{self, Separator};
use crate::limits::JSON_KEYS_REMEMBERED;

/// Remembered keys that are tried before a key is looked up.
const GUESSES: usize = 4;
/// Bytes of a key, quotes included, that one compare takes.
const WIDE: usize = size_of::<u128>();
/// Longest key that is remembered, bytes.
const KEY_BYTES_REMEMBERED: usize = 128;

/// Where the values of one record stand, and the order of keys so far. Reused from record to record.
#[derive(Debug, Clone)]
pub struct Slots {
    found: Vec<Option<Slot>>,
    /// By node of the plan.
    orders: Vec<Order>,
}

/// Where a value stands: bytes `start..end` of the record.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: u32,
    end: u32,
    kind: Kind,
}

impl Slots {
    pub(super) fn new(slots: usize, nodes: usize) -> Slots {
        Slots { found: vec![None; slots], orders: vec![Order::default(); nodes] }
    }

    #[inline]
    pub(super) fn value<'r>(&self, slot: usize, record: &'r str) -> Option<RawValue<'r>> {
        let Slot { start, end, kind } = self.found[slot]?;
        Some(RawValue { kind, text: &record[start as usize..end as usize] })
    }
}

/// The keys of an object in the order in which records had them.
#[derive(Debug, Clone, Default)]
struct Order {
    guesses: Vec<Guess>,
}

/// A key as written, and what it leads to.
#[derive(Debug, Clone)]
struct Guess {
    /// The first bytes of `key`, and a mask of how many count.
    wide: u128,
    mask: u128,
    /// With its quotes; has no escapes.
    key: Vec<u8>,
    /// Node of the value, if it is wanted.
    node: Option<usize>,
}

impl Guess {
    fn new(key: &[u8], node: Option<usize>) -> Guess {
        let mut wide = [0; WIDE];
        let mut mask = [0; WIDE];
        let len = key.len().min(WIDE);
        wide[..len].copy_from_slice(&key[..len]);
        mask[..len].fill(0xFF);
        Guess { wide: u128::from_le_bytes(wide), mask: u128::from_le_bytes(mask), key: key.to_vec(), node }
    }

    /// Whether the key stands at `pos`.
    #[inline(always)]
    fn stands_at(&self, bytes: &[u8], pos: usize) -> bool {
        let rest = &bytes[pos..];
        match rest.first_chunk::<WIDE>() {
            Some(chunk) => {
                (u128::from_le_bytes(*chunk) ^ self.wide) & self.mask == 0
                    && (self.key.len() <= WIDE || rest.starts_with(&self.key))
            }
            None => rest.starts_with(&self.key),
        }
    }
}

/// One walk over one record.
pub(super) struct Pass<'p> {
    plan: &'p Plan,
    bytes: &'p [u8],
    found: &'p mut [Option<Slot>],
    orders: &'p mut [Order],
}

impl<'p> Pass<'p> {
    pub(super) fn new(plan: &'p Plan, bytes: &'p [u8], slots: &'p mut Slots) -> Self {
        Pass { plan, bytes, found: &mut slots.found, orders: &mut slots.orders }
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
        let mut place = 0;
        loop {
            let (key_end, child) = self.key(node, pos, &mut place)?;
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

    /// The key at `pos`: the position after it and the node of its value, if that is wanted. `place` is where in the
    /// order of keys it is expected.
    #[inline(always)]
    fn key(&mut self, node: usize, pos: usize, place: &mut usize) -> Result<(usize, Option<usize>), JsonError> {
        match self.orders[node].guesses.get(*place) {
            Some(guess) if guess.stands_at(self.bytes, pos) => {
                *place += 1;
                Ok((pos + guess.key.len(), guess.node))
            }
            _ => self.unexpected_key(node, pos, place),
        }
    }

    /// A key that is not the one that came here last time.
    #[inline(never)]
    fn unexpected_key(
        &mut self,
        node: usize,
        pos: usize,
        place: &mut usize,
    ) -> Result<(usize, Option<usize>), JsonError> {
        let order = &mut self.orders[node];
        let ahead = order.guesses.iter().enumerate().skip(*place + 1).take(GUESSES - 1);
        for (later, guess) in ahead {
            if guess.stands_at(self.bytes, pos) {
                *place = later + 1;
                return Ok((pos + guess.key.len(), guess.node));
            }
        }
        let (end, has_escapes) = scan::key(self.bytes, pos)?;
        let keys = &self.plan.nodes[node].keys;
        let inside = &self.bytes[pos + 1..end - 1];
        if has_escapes {
            let mut plain = String::new();
            let inside = std::str::from_utf8(inside).expect("the record is UTF-8, and quotes are whole characters");
            unescape(inside, &mut plain);
            return Ok((end, keys.get(plain.as_bytes())));
        }
        let child = keys.get(inside);
        if end - pos <= KEY_BYTES_REMEMBERED {
            let guess = Guess::new(&self.bytes[pos..end], child);
            if *place < order.guesses.len() {
                order.guesses[*place] = guess;
            } else if order.guesses.len() < JSON_KEYS_REMEMBERED {
                order.guesses.push(guess);
            }
            *place += 1;
        }
        Ok((end, child))
    }
}
