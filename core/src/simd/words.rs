//! Texts of at most 16 bytes and their keys: the kernel that looks a block of them up.
//!
//! Nearly every value of a low-cardinality column is that short and known. A text becomes one word of 16 bytes, which is
//! found by a multiplicative hash, two looks at memory and one comparison. The loops do nothing else: they stop at the
//! first row that needs more, and whoever called goes on there. With AVX-512 four texts go through at once.

// Only x86 has kernels of its own here.
#![cfg_attr(not(target_arch = "x86_64"), allow(unused_imports))]

use super::{Kernels, Level};
use crate::column::span::Span;

/// Slots of the smallest table.
const SLOTS_MIN: usize = 64;
/// A table is kept for the next batch if it has at most this many slots for each value of the last one.
const SLOTS_KEPT_A_VALUE: usize = 64;
/// Slots for each value, at least, in a table that stays in the first-level cache. Two would do for a hash table; with
/// more a value nearly always stands in its own place, and the processor seldom guesses wrong about the next step.
const SLOTS_A_VALUE_ROOMY: usize = 16;
/// The same in a larger table.
const SLOTS_A_VALUE_TIGHT: usize = 4;
/// Slots of the largest roomy table.
const SLOTS_ROOMY_MAX: usize = 8_192;

/// Values that a table of so many slots takes.
fn values_max(slots: usize) -> usize {
    slots / if slots <= SLOTS_ROOMY_MAX { SLOTS_A_VALUE_ROOMY } else { SLOTS_A_VALUE_TIGHT }
}

/// A text of at most 16 bytes as one word, filled up with 0xFF, which no UTF-8 text has: equal words are equal texts,
/// lengths included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Word(u128);

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
    pub(crate) fn of(text: &[u8]) -> Option<Word> {
        let fill = Word::FILLS.get(text.len())?;
        let mut bytes = [0; Word::BYTES];
        bytes[..text.len()].copy_from_slice(text);
        Some(Word(u128::from_le_bytes(bytes) | fill))
    }

    /// The word at a span of a block, in one load; `None` also if fewer than 16 bytes of the block follow its start.
    #[inline(always)]
    fn at(block: &[u8], span: Span) -> Option<Word> {
        let fill = Word::FILLS.get(span.text_len())?;
        let bytes = block.get(span.start()..span.start() + Word::BYTES)?.first_chunk()?;
        Some(Word(u128::from_le_bytes(*bytes) | fill))
    }
}

/// The words of all keys, and a hash table with open addressing and linear probing that leads to them.
///
/// The values come from whoever writes the logs, so the hash is keyed at random: a fixed one could be fed collisions.
pub(crate) struct Words {
    /// By key + 1; [`Word::NONE`] for keys of longer texts, and in front.
    words: Vec<Word>,
    /// Places in `words`; zero is an empty slot, whose word equals no text's. As many as the bits that `shift` leaves of 64.
    slots: Vec<u32>,
    used: usize,
    shift: u32,
    /// Odd, so that a multiplication loses nothing.
    factors: [u64; 2],
}

impl Words {
    /// No words yet. The seeds should be random.
    pub(crate) fn new(seeds: [u64; 2]) -> Self {
        let mut words = Words {
            words: vec![Word::NONE],
            slots: Vec::new(),
            used: 0,
            shift: 0,
            factors: seeds.map(|seed| seed | 1),
        };
        words.set_slots(SLOTS_MIN);
        words
    }

    /// A table of that many empty slots, a power of two.
    fn set_slots(&mut self, slots: usize) {
        self.slots = vec![0; slots];
        self.shift = u64::BITS - slots.trailing_zeros();
    }

    /// Forgets all keys. The table is kept unless it is far too large for as many as there were.
    pub(crate) fn clear(&mut self) {
        let keys = self.words.len() - 1;
        self.words.truncate(1);
        self.words.shrink_to((keys * SLOTS_KEPT_A_VALUE).max(SLOTS_MIN));
        if self.slots.len() > (keys * SLOTS_KEPT_A_VALUE).max(SLOTS_MIN) {
            self.set_slots((keys * SLOTS_A_VALUE_ROOMY).next_power_of_two().max(SLOTS_MIN));
        } else {
            self.slots.fill(0);
        }
        self.used = 0;
    }

    /// The slot where a word has its place if no other took it.
    #[inline(always)]
    fn home(&self, word: Word) -> usize {
        let [first, second] = self.factors;
        let low = (word.0 as u64).wrapping_mul(first);
        // The high half brings down what only the highest bytes of the low word could change.
        let both = (low ^ low >> 32).wrapping_add((word.0 >> 64) as u64);
        (both.wrapping_mul(second) >> self.shift) as usize
    }

    /// The slot of a word, searched from there on, and what is there: the word's place, or zero.
    #[inline(always)]
    fn slot(&self, word: Word, mut at: usize) -> (usize, u32) {
        loop {
            let place = self.slots[at];
            if self.words[place as usize] == word || place == 0 {
                return (at, place);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The key of a word.
    pub(crate) fn find(&self, word: Word) -> Option<i32> {
        let (_, place) = self.slot(word, self.home(word));
        (place != 0).then(|| place as i32 - 1)
    }

    /// Appends the word of the next key, which must not be there.
    pub(crate) fn push(&mut self, word: Word) {
        if self.used == values_max(self.slots.len()) {
            self.set_slots(self.slots.len() * 2);
            for place in 1..self.words.len() {
                self.insert(place);
            }
        }
        self.words.push(word);
        self.insert(self.words.len() - 1);
        self.used += 1;
    }

    /// Notes that the next key is that of a longer text.
    pub(crate) fn push_none(&mut self) {
        self.words.push(Word::NONE);
    }

    /// Lets a slot lead to that place, unless there is no word.
    fn insert(&mut self, place: usize) {
        let word = self.words[place];
        if word != Word::NONE {
            let (at, _) = self.slot(word, self.home(word));
            self.slots[at] = place as u32;
        }
    }

    /// Finds the keys of the texts at the first spans, where what is missing is the empty text; how many. The next text
    /// is not known, or is no word, or stands too near the block's end to be looked up here.
    ///
    /// # Panics
    /// If there are not as many keys as spans.
    pub(crate) fn find_spans(&self, block: &[u8], spans: &[Span], keys: &mut [i32], kernels: Kernels) -> usize {
        assert_eq!(spans.len(), keys.len(), "a key for each row");
        match kernels.level() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level's instructions are there, see `Kernels`.
            Level::Avx512 => unsafe { self.find_avx512(block, spans, keys) },
            _ => self.find_each(block, spans, keys),
        }
    }

    #[inline(always)]
    fn find_each(&self, block: &[u8], spans: &[Span], keys: &mut [i32]) -> usize {
        for (at, (&span, key)) in spans.iter().zip(keys).enumerate() {
            let Some(word) = Word::at(block, span) else { return at };
            let (_, place) = self.slot(word, self.home(word));
            if place == 0 {
                return at;
            }
            *key = place as i32 - 1;
        }
        spans.len()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::fours::{self, FOUR};
    use super::*;

    impl Words {
        /// [`Words::home`] of four words, each in the lower half of its word's lane.
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq")]
        fn homes(&self, words: __m512i) -> [u64; 2 * FOUR] {
            let [first, second] = self.factors.map(|factor| factor as i64);
            let low = _mm512_mullo_epi64(words, _mm512_set4_epi64(1, first, 1, first));
            // What is shifted by all its bits is zero, so the high halves stay as they are.
            let low = _mm512_xor_si512(low, _mm512_srlv_epi64(low, _mm512_set4_epi64(64, 32, 64, 32)));
            let both = _mm512_add_epi64(low, _mm512_shuffle_epi32::<0b01_00_11_10>(low));
            let hashes = _mm512_mullo_epi64(both, _mm512_set1_epi64(second));
            let homes = _mm512_srl_epi64(hashes, _mm_cvtsi64_si128(i64::from(self.shift)));
            let mut out = [0; 2 * FOUR];
            // SAFETY: 64 bytes for 64 bytes; the store needs no alignment.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), homes) };
            out
        }

        /// # Safety
        /// The machine has AVX-512 F, BW, VL, DQ and VBMI.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
        pub(super) unsafe fn find_avx512(&self, block: &[u8], spans: &[Span], keys: &mut [i32]) -> usize {
            let Some(last_start) = block.len().checked_sub(Word::BYTES) else { return 0 };
            let (span_fours, rest) = spans.as_chunks::<FOUR>();
            let (key_fours, rest_keys) = keys.as_chunks_mut::<FOUR>();
            for (four, (spans, keys)) in span_fours.iter().zip(key_fours).enumerate() {
                let fours::Spans { starts, kinds, lengths } = fours::parts(spans);
                // Neither absent nor null.
                let is_there = _mm256_cmpgt_epu64_mask(kinds, _mm256_set1_epi64x(1));
                let lengths = _mm256_maskz_mov_epi64(is_there, lengths);
                let fit = _mm256_cmple_epu64_mask(lengths, _mm256_set1_epi64x(Word::BYTES as i64))
                    & _mm256_cmple_epu64_mask(starts, _mm256_set1_epi64x(last_start as i64));
                if fit != 0xf {
                    match self.find_each(block, spans, keys) {
                        FOUR => continue,
                        found => return four * FOUR + found,
                    }
                }
                // SAFETY: all four spans start at least a word before the block's end.
                let word = |span: Span| unsafe { _mm_loadu_si128(block.as_ptr().add(span.start()).cast()) };
                let words = fours::joined(spans.map(word));
                let behind = _mm512_cmple_epu8_mask(fours::spread(lengths), fours::places());
                let words = _mm512_mask_blend_epi8(behind, words, _mm512_set1_epi8(-1));

                let homes = self.homes(words);
                let places = [0, 2, 4, 6].map(|half| self.slots[homes[half] as usize]);
                let known = fours::joined(places.map(|place| self.words[place as usize].register()));
                // Two bits a word.
                let mut differ = _mm512_cmpneq_epi64_mask(words, known);
                *keys = places.map(|place| place as i32 - 1);
                // Another word took the place of this one, or it is new.
                while differ != 0 {
                    let row = differ.trailing_zeros() as usize / 2;
                    if self.find_each(block, &spans[row..=row], &mut keys[row..=row]) == 0 {
                        return four * FOUR + row;
                    }
                    differ &= !(0b11 << (2 * row));
                }
            }
            span_fours.len() * FOUR + self.find_each(block, rest, rest_keys)
        }
    }

    impl Word {
        #[inline]
        #[target_feature(enable = "sse2")]
        fn register(&self) -> __m128i {
            // SAFETY: a word is sixteen bytes.
            unsafe { _mm_loadu_si128(std::ptr::from_ref(self).cast()) }
        }
    }
}

#[cfg(test)]
mod tests;
