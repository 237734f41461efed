//! Values of at most 16 bytes, found by one multiplication, two looks at memory and one comparison.
//!
//! Nearly every value of a low-cardinality column is that short and known, so the loop over a block does nothing else: it
//! stops at the first row that needs more, and whoever called it goes on there.

use super::{SLOTS_KEPT_A_VALUE, SLOTS_MIN, fold};
use crate::column::span::Span;

/// Slots for each value, at least. Half would do for a hash table; with more a value nearly always stands in its own
/// place, and the processor never guesses wrong about the next step.
const SLOTS_A_VALUE_MIN: usize = 4;

/// A text of at most 16 bytes as one word, filled up with 0xFF, which no UTF-8 text has: equal words are equal texts,
/// lengths included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u128);

impl Word {
    /// Longest text that is a word, bytes.
    const BYTES: usize = size_of::<u128>();
    /// Stands for no text: one that begins with 0xFF is 0xFF throughout.
    const NONE: Word = Word(0xFF);

    /// By length: the bytes after the text.
    const FILLS: [u128; Word::BYTES + 1] = {
        let mut fills = [u128::MAX; Word::BYTES + 1];
        let mut len = 1;
        while len < Word::BYTES {
            fills[len] = u128::MAX << (8 * len);
            len += 1;
        }
        fills[Word::BYTES] = 0;
        fills
    };

    /// The word of a text; `None` if it is longer.
    #[inline(always)]
    pub(super) fn of(text: &[u8]) -> Option<Word> {
        let len = text.len();
        let bytes = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            _ if len > Word::BYTES => return None,
            (Some(first), Some(last)) => {
                let last = u128::from(u64::from_le_bytes(*last));
                u128::from(u64::from_le_bytes(*first)) | last << (8 * (len - 8))
            }
            _ => text.iter().rev().fold(0, |word, &byte| word << 8 | u128::from(byte)),
        };
        Some(Word(bytes | Word::FILLS[len]))
    }

    /// The word at a span of a block, in one load; `None` also if fewer than 16 bytes of the block follow its start.
    #[inline(always)]
    fn at(block: &[u8], span: Span) -> Option<Word> {
        let fill = Word::FILLS.get(span.text_len())?;
        let bytes = block.get(span.start()..)?.first_chunk::<{ Word::BYTES }>()?;
        Some(Word(u128::from_le_bytes(*bytes) | fill))
    }
}

/// The words of all keys, and a hash table with open addressing and linear probing that leads to them.
///
/// Hashed with a random key, for the reason that [`super::Slots`] gives.
pub(super) struct Words {
    /// By key + 1; [`Word::NONE`] for longer values, and in front.
    words: Vec<Word>,
    /// Places in `words`; zero is an empty slot, whose word equals none. A power of two.
    slots: Vec<u32>,
    used: usize,
    seeds: [u64; 2],
}

impl Words {
    pub(super) fn new(seeds: [u64; 2]) -> Self {
        Words { words: vec![Word::NONE], slots: vec![0; SLOTS_MIN], used: 0, seeds }
    }

    /// Empties the table, and gives most of it up if it is far too large for `values`.
    pub(super) fn clear(&mut self, values: usize) {
        self.words.clear();
        self.words.shrink_to(values * SLOTS_KEPT_A_VALUE);
        self.words.push(Word::NONE);
        let slots_max = (values * SLOTS_KEPT_A_VALUE).max(SLOTS_MIN);
        if self.slots.len() > slots_max {
            self.slots = vec![0; (values * SLOTS_A_VALUE_MIN).next_power_of_two().max(SLOTS_MIN)];
        } else {
            self.slots.fill(0);
        }
        self.used = 0;
    }

    /// The slot of a word, and what is there: the word's place, or zero.
    #[inline(always)]
    fn slot(&self, word: Word) -> (usize, u32) {
        let mask = self.slots.len() - 1;
        let [low, high] = self.seeds;
        let mut at = (fold(word.0 as u64 ^ low, (word.0 >> 64) as u64 ^ high) >> 32) as usize & mask;
        loop {
            let place = self.slots[at];
            if self.words[place as usize] == word || place == 0 {
                return (at, place);
            }
            at = (at + 1) & mask;
        }
    }

    /// The key of a word.
    pub(super) fn find(&self, word: Word) -> Option<i32> {
        let (_, place) = self.slot(word);
        (place != 0).then(|| place as i32 - 1)
    }

    /// Finds the keys of the texts at the first spans; how many. The next text is not known, or is no word, or stands too
    /// near the block's end to be looked up here.
    #[inline(never)]
    pub(super) fn find_spans(&self, block: &[u8], spans: &[Span], keys: &mut [i32]) -> usize {
        for (at, (&span, key)) in spans.iter().zip(keys).enumerate() {
            let Some(word) = Word::at(block, span) else { return at };
            let (_, place) = self.slot(word);
            if place == 0 {
                return at;
            }
            *key = place as i32 - 1;
        }
        spans.len()
    }

    /// Appends the word of the next key, which is not there.
    pub(super) fn push(&mut self, word: Word) {
        if (self.used + 1) * SLOTS_A_VALUE_MIN > self.slots.len() {
            self.slots = vec![0; self.slots.len() * 2];
            for (place, &word) in (0..).zip(&self.words) {
                if word != Word::NONE {
                    let (at, _) = self.slot(word);
                    self.slots[at] = place;
                }
            }
        }
        let (at, _) = self.slot(word);
        self.slots[at] = self.words.len() as u32;
        self.words.push(word);
        self.used += 1;
    }

    /// Notes that the next key is that of a longer value.
    pub(super) fn push_none(&mut self) {
        self.words.push(Word::NONE);
    }
}
