//! Low-cardinality text: each distinct value once, and a key a row.
//!
//! Keys are given in order of first appearance, so the same rows give the same dictionary whatever the hash table does.
//! A value stays in the dictionary when its row is cut back; the next row with it finds its key. Each batch has its own
//! dictionary, so that a batch depends on nothing but its own rows and memory is bounded by a batch's text.
//!
//! The tables that find a value take many times what a short value does. So only so many values are in them; further ones
//! are appended row by row, and equal ones become one when the batch is finished, with a table that lasts no longer than
//! that and is there for one column at a time.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_buffer::{Buffer, NullBuffer};

use crate::column::mismatch::Cause;
use crate::column::reused::Reused;
use crate::column::span::Span;
use crate::simd::Kernels;
use crate::simd::text::TextRows;
use crate::simd::words::{Word, Words};

use super::cells::Cells;

/// Slots of the smallest table.
const SLOTS_MIN: usize = 64;
/// A table is kept for the next batch if it has at most this many slots for each value of the last one.
const SLOTS_KEPT_A_VALUE: usize = 16;

#[derive(Default)]
pub(super) struct DictionaryCells {
    pub(super) keys: Reused<i32>,
    pub(super) values: Interned,
    pub(super) fill: String,
}

/// The distinct values, and how to find them.
pub(super) struct Interned {
    values: TextRows,
    /// Those of at most 16 bytes; all keys have their place there.
    words: Words,
    /// The longer ones.
    slots: Slots,
    /// Values that are in the tables at most: those that come first. Equal ones of the others may be there many times.
    tabled_max: usize,
}

impl Default for Interned {
    fn default() -> Self {
        let random = RandomState::new();
        let seeds = [random.hash_one(0u8), random.hash_one(1u8)];
        Interned {
            values: TextRows::default(),
            words: Words::new(seeds),
            slots: Slots::new(seeds),
            tabled_max: usize::MAX,
        }
    }
}

impl Interned {
    /// The key of a value, a new one if it is new.
    #[inline]
    pub(super) fn intern(&mut self, value: &str) -> Result<i32, Cause> {
        let Some(word) = Word::of(value.as_bytes()) else { return self.intern_long(value) };
        match self.words.find(word) {
            Some(key) => Ok(key),
            None => self.add_word(word, value),
        }
    }

    /// The keys of the texts at these spans of a block, one after the other; what is missing is the empty text.
    ///
    /// # Panics
    /// If there are not as many keys as spans, or a span is not within the block or not UTF-8.
    pub(super) fn intern_spans(
        &mut self,
        block: &[u8],
        spans: &[Span],
        keys: &mut [i32],
        kernels: Kernels,
    ) -> Result<(), Cause> {
        let mut at = 0;
        loop {
            at += self.words.find_spans(block, &spans[at..], &mut keys[at..], kernels);
            // The next one is new, or too long for a word.
            let Some(&span) = spans.get(at) else { return Ok(()) };
            let bytes = match span.text_len() {
                0 => &[],
                len => &block[span.start()..span.start() + len],
            };
            keys[at] = self.intern(std::str::from_utf8(bytes).expect("the block is UTF-8"))?;
            at += 1;
        }
    }

    fn intern_long(&mut self, value: &str) -> Result<i32, Cause> {
        let hash = self.slots.hash(value.as_bytes());
        match self.slots.find(hash, |key| self.values.get(key) == value) {
            Some(key) => Ok(key as i32),
            None => self.add_long(hash, value),
        }
    }

    #[cold]
    fn add_word(&mut self, word: Word, value: &str) -> Result<i32, Cause> {
        let key = self.values.len();
        self.values.push(value)?;
        if key < self.tabled_max {
            self.words.push(word);
        }
        Ok(key as i32)
    }

    #[cold]
    fn add_long(&mut self, hash: u32, value: &str) -> Result<i32, Cause> {
        let key = self.values.len();
        self.values.push(value)?;
        if key < self.tabled_max {
            self.words.push_none();
            self.slots.insert(hash, key);
        }
        Ok(key as i32)
    }

    /// Whether the tables have all values.
    fn is_tabled(&self) -> bool {
        self.values.len() <= self.tabled_max
    }

    /// Drops the values from the first of these keys on that the tables do not have: they were appended for these rows, which
    /// are the last ones.
    fn drop_untabled(&mut self, keys: &[i32]) {
        let untabled = keys.iter().map(|&key| key as usize).filter(|&key| key >= self.tabled_max);
        if let Some(first) = untabled.min() {
            self.values.truncate(first);
        }
    }

    /// Equal values become one, the first of them; the keys follow.
    #[cold]
    fn unite(&mut self, keys: &mut [i32]) {
        let mut first = Slots::new(self.slots.seeds);
        let (mut kept, mut united) = (Vec::with_capacity(self.values.len()), 0);
        let new_keys: Vec<i32> = (0..self.values.len())
            .map(|key| {
                let value = self.values.get(key);
                let hash = first.hash(value.as_bytes());
                let known = first.find(hash, |known| self.values.get(known) == value);
                kept.push(known.is_none());
                known.unwrap_or_else(|| {
                    first.insert(hash, key);
                    key
                })
            })
            .scan(Vec::new(), |numbers: &mut Vec<i32>, first| {
                let number = numbers.get(first).copied().unwrap_or_else(|| {
                    united += 1;
                    united - 1
                });
                numbers.push(number);
                Some(number)
            })
            .collect();
        self.values.retain(0, &kept);
        keys.iter_mut().for_each(|key| *key = new_keys[*key as usize]);
    }

    fn finish(&mut self) -> StringArray {
        self.slots.clear(self.values.len());
        self.words.clear();
        self.values.finish(None)
    }
}

impl DictionaryCells {
    /// # Errors
    /// [`Cause::BatchFull`]: nothing was appended.
    #[inline]
    pub(super) fn push(&mut self, value: &str) -> Result<(), Cause> {
        let key = self.values.intern(value)?;
        self.keys.push(key);
        Ok(())
    }

    /// Appends the last row's value `rows` times more.
    ///
    /// # Panics
    /// If there is no row.
    pub(super) fn repeat_last(&mut self, rows: usize) {
        let key = self.keys[self.keys.len() - 1];
        self.keys.push_rows(rows, key);
    }

    pub(super) fn key(&self, row: usize) -> usize {
        self.keys[row] as usize
    }

    pub(super) fn get(&self, row: usize) -> &str {
        self.values.values.get(self.key(row))
    }

    /// No more than so many values are in the tables. Of further ones equal texts may have several keys, and a key that was
    /// cut back may be another's.
    pub(super) fn set_tabled_max(&mut self, values: usize) {
        self.values.tabled_max = values;
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        if !self.values.is_tabled() {
            self.values.unite(self.keys.as_vec());
        }
        let keys = Int32Array::new(self.keys.take().into(), nulls);
        let values = Arc::new(self.values.finish());
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }

    /// Takes the buffers of a finished array back, unless somebody holds them.
    pub(super) fn give_back(&mut self, keys: Option<Buffer>, offsets: Option<Buffer>, text: Option<Buffer>) {
        self.keys.take_back(keys);
        self.values.values.take_back(offsets, text);
    }
}

impl Cells for DictionaryCells {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn truncate(&mut self, rows: usize) {
        if rows < self.keys.len() && !self.values.is_tabled() {
            self.values.drop_untabled(&self.keys[rows..]);
        }
        self.keys.truncate(rows);
    }

    fn retain(&mut self, from: usize, keep: &[bool]) {
        self.keys.retain(from, keep);
    }

    /// The empty text: also under a null, so that every key has its value.
    fn push_zeros(&mut self, rows: usize) {
        if rows > 0 {
            let key = self.values.intern("").expect("the empty text needs no room");
            self.keys.push_rows(rows, key);
        }
    }

    fn push_fills(&mut self, rows: usize) -> Result<(), Cause> {
        if rows > 0 {
            let key = self.values.intern(&self.fill)?;
            self.keys.push_rows(rows, key);
        }
        Ok(())
    }

    fn last_becomes_fill(&mut self) {
        let fill = self.get(self.len() - 1).to_owned();
        *self = DictionaryCells { fill, ..DictionaryCells::default() };
    }
}

/// Open addressing with linear probing over hashes and keys. The values themselves are in the dictionary.
///
/// The values come from whoever writes the logs, so the hash is keyed at random: a fixed one could be fed collisions.
struct Slots {
    /// Hash in the upper half, key + 1 in the lower; zero is an empty slot. A power of two, at most half full.
    slots: Vec<u64>,
    used: usize,
    seeds: [u64; 2],
}

impl Slots {
    fn new(seeds: [u64; 2]) -> Self {
        Slots { slots: vec![0; SLOTS_MIN], used: 0, seeds }
    }

    /// Empties the table, and gives most of it up if it is far too large for `values`.
    fn clear(&mut self, values: usize) {
        let slots_max = (values * SLOTS_KEPT_A_VALUE).max(SLOTS_MIN);
        if self.slots.len() > slots_max {
            self.slots = vec![0; (values * 2).next_power_of_two().max(SLOTS_MIN)];
        } else {
            self.slots.fill(0);
        }
        self.used = 0;
    }

    /// Multiplies 64 by 64 bits and folds the halves, 16 bytes a step, as wyhash and foldhash do.
    #[inline]
    fn hash(&self, bytes: &[u8]) -> u32 {
        let [state, seed] = self.seeds;
        // The length turns the secret: mixed in as a number, a text could make up for it with its bytes.
        let mut state = state.rotate_right(bytes.len() as u32);
        let mut rest = bytes;
        while let Some((block, tail)) = rest.split_first_chunk::<16>() {
            let whole = u128::from_le_bytes(*block);
            state = fold(whole as u64 ^ state, (whole >> 64) as u64 ^ seed);
            rest = tail;
        }
        let (low, high) = tail_words(rest);
        // One half, not both: folding them would make bytes that stand four apart interchangeable.
        (fold(low ^ state, high ^ seed) >> 32) as u32
    }

    #[inline(always)]
    fn find(&self, hash: u32, is_equal: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let key = (slot as u32 - 1) as usize;
            if (slot >> 32) as u32 == hash && is_equal(key) {
                return Some(key);
            }
            at = (at + 1) & mask;
        }
    }

    /// Inserts a key that is not there.
    fn insert(&mut self, hash: u32, key: usize) {
        if (self.used + 1) * 2 > self.slots.len() {
            let grown = vec![0; self.slots.len() * 2];
            let slots = std::mem::replace(&mut self.slots, grown);
            slots.into_iter().filter(|&slot| slot != 0).for_each(|slot| self.place(slot));
        }
        self.place(u64::from(hash) << 32 | (key as u64 + 1));
        self.used += 1;
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

/// Up to 15 bytes as two words; together with the length they say the bytes.
#[inline]
fn tail_words(tail: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else if let (Some(first), Some(last)) = (tail.first(), tail.last()) {
        (u64::from(*first) | u64::from(tail[tail.len() / 2]) << 8, u64::from(*last))
    } else {
        (0, 0)
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests;
