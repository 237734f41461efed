//! Low-cardinality text: each distinct value once, and a key a row.
//!
//! Keys are given in order of first appearance, so the same rows give the same dictionary whatever the hash table does.
//! A value stays in the dictionary when its row is cut back; the next row with it finds its key. Each batch has its own
//! dictionary, so that a batch depends on nothing but its own rows and memory is bounded by a batch's text.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
use arrow_buffer::NullBuffer;

use crate::column::mismatch::Cause;

use super::cells::{Cells, TextCells, take};

/// Slots of the smallest table.
const SLOTS_MIN: usize = 64;

pub(super) struct DictionaryCells {
    keys: Vec<i32>,
    values: TextCells,
    slots: Slots,
    fill: String,
}

impl Default for DictionaryCells {
    fn default() -> Self {
        DictionaryCells {
            keys: Vec::new(),
            values: TextCells::default(),
            slots: Slots::new(SLOTS_MIN),
            fill: String::new(),
        }
    }
}

impl DictionaryCells {
    /// # Errors
    /// [`Cause::BatchFull`]: nothing was appended.
    #[inline]
    pub(super) fn push(&mut self, value: &str) -> Result<(), Cause> {
        let key = self.intern(value)?;
        self.keys.push(key as i32);
        Ok(())
    }

    #[inline]
    fn intern(&mut self, value: &str) -> Result<usize, Cause> {
        let hash = self.slots.hash(value.as_bytes());
        if let Some(key) = self.slots.find(hash, |key| self.values.bytes(key) == value.as_bytes()) {
            return Ok(key);
        }
        let key = self.values.len();
        self.values.push(value)?;
        self.slots.insert(hash, key);
        Ok(key)
    }

    pub(super) fn key(&self, row: usize) -> usize {
        self.keys[row] as usize
    }

    pub(super) fn get(&self, row: usize) -> &str {
        self.values.get(self.key(row))
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        self.slots = Slots::new(self.values.len() * 2);
        let keys = Int32Array::new(take(&mut self.keys).into(), nulls);
        let values = Arc::new(self.values.finish(None));
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }
}

impl Cells for DictionaryCells {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.keys.truncate(rows);
    }

    /// The empty text: also under a null, so that every key has its value.
    fn push_zero(&mut self) {
        self.push("").expect("the empty text needs no room");
    }

    fn push_fill(&mut self) -> Result<(), Cause> {
        let fill = std::mem::take(&mut self.fill);
        let pushed = self.push(&fill);
        self.fill = fill;
        pushed
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
    fn new(slots: usize) -> Self {
        let random = RandomState::new();
        let seeds = [random.hash_one(0u8), random.hash_one(1u8)];
        Slots { slots: vec![0; slots.next_power_of_two().max(SLOTS_MIN)], used: 0, seeds }
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

    #[inline]
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
