//! What the pass learned: the keys that records had, as they were written, and how to find them.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::limits::JSON_KEYS_LEARNED;
use crate::simd::shape::Shapes;

/// Buckets for each learned key, at least.
const BUCKETS_A_KEY: usize = 8;
/// Bytes that one comparison takes.
pub(super) const WIDE: usize = size_of::<u128>();

/// The keys that records had so far. It makes the pass quick and changes nothing in what it finds.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(super) root: Members,
    /// Keys that may still be learned. When there are none, all are forgotten: so much for objects whose keys are data.
    pub(super) room: usize,
    /// The keys come from whoever writes the logs, so their hash is keyed at random.
    pub(super) seeds: [u64; 2],
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
pub(super) struct Members {
    pub(super) keys: Vec<Key>,
    /// Keys that had to be looked up, since one was last found a few places ahead of where it was expected. It only counts
    /// until looking ahead is given up; then nothing brings it back.
    pub(super) disorder: u8,
    /// Open addressing, a power of two, mostly empty so that the first look is the last: index into `keys` plus one, 0
    /// for empty.
    buckets: Vec<u16>,
    /// Of the elements, where an array stands at the place: first of all those of which nothing is wanted, then of each
    /// wanted one. What a key leads to depends on the element, so they have none in common.
    pub(super) elements: Vec<Members>,
    /// Of the values at this place of which nothing inside is wanted.
    pub(super) shapes: Option<Box<Shapes>>,
}

/// A key as written.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) lead: Lead,
    /// The first bytes of `text`, and a mask of how many count.
    pub(super) wide: u128,
    pub(super) mask: u128,
    /// From its opening quote to before its value: quotes, colon and spaces. Has no escapes.
    pub(super) text: Box<[u8]>,
    pub(super) hash: u64,
    /// Node of the value in the plan.
    pub(super) node: u32,
    /// Where the value's spans stand, if it is wanted and nothing in it is.
    pub(super) spans: u32,
    /// Of the value.
    pub(super) members: Members,
}

impl Key {
    /// Whether the key stands at `pos`.
    #[inline(always)]
    pub(super) fn stands_at(&self, bytes: &[u8], pos: usize) -> bool {
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

/// What leads to a key's value from the end of the value before it: comma, key and colon, as they were written. One
/// comparison takes all of it, and the opening quote behind it as well.
#[derive(Debug)]
pub(super) struct Lead {
    /// The lead and a quote.
    wide: [u128; 2],
    /// All of it; without the quote.
    with_quote: [u128; 2],
    alone: [u128; 2],
    /// Bytes without the quote.
    pub(super) len: u32,
}

/// Longest lead and quote, bytes.
const LEAD: usize = 2 * WIDE;

impl Lead {
    /// What stands nowhere: no UTF-8 has such a byte.
    const NOWHERE: Lead = Lead { wide: [u128::MAX; 2], with_quote: [u128::MAX; 2], alone: [u128::MAX; 2], len: 0 };

    /// Of the key `text`, which has a space before it or not.
    pub(super) fn new(text: &[u8], is_spaced: bool) -> Lead {
        let comma = if is_spaced { &b", "[..] } else { b"," };
        let lead = [comma, text, b"\""].concat();
        let len = lead.len() - 1;
        if lead.len() > LEAD {
            return Lead::NOWHERE;
        }
        let (first, rest) = lead.split_at(lead.len().min(WIDE));
        Lead {
            wide: [wide(first), wide(rest)],
            with_quote: [mask(len + 1), mask((len + 1).saturating_sub(WIDE))],
            alone: [mask(len), mask(len.saturating_sub(WIDE))],
            len: len as u32,
        }
    }

    /// Whether the lead stands at `pos`, and then whether a quote follows.
    #[inline(always)]
    pub(super) fn at(&self, bytes: &[u8], pos: usize) -> Option<bool> {
        let chunk = bytes.get(pos..)?.first_chunk::<LEAD>()?;
        let (words, _) = chunk.as_chunks::<WIDE>();
        let first = u128::from_le_bytes(words[0]) ^ self.wide[0];
        let rest = u128::from_le_bytes(words[1]) ^ self.wide[1];
        if (first & self.with_quote[0]) | (rest & self.with_quote[1]) == 0 {
            Some(true)
        } else if (first & self.alone[0]) | (rest & self.alone[1]) == 0 {
            Some(false)
        } else {
            None
        }
    }
}

/// The first bytes of a text, zeros after its end.
pub(super) fn wide(text: &[u8]) -> u128 {
    let mut bytes = [0; WIDE];
    let len = text.len().min(WIDE);
    bytes[..len].copy_from_slice(&text[..len]);
    u128::from_le_bytes(bytes)
}

/// A mask of the first `len` bytes.
#[inline(always)]
pub(super) fn mask(len: usize) -> u128 {
    if len < WIDE { (1 << (8 * len)) - 1 } else { u128::MAX }
}

impl Members {
    /// Index of the first key of that hash that `is` the right one.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is: impl Fn(&Key) -> bool) -> Option<usize> {
        let mut bucket = hash as usize & self.buckets.len().checked_sub(1)?;
        loop {
            let index = usize::from(self.buckets[bucket]).checked_sub(1)?;
            let candidate = &self.keys[index];
            if candidate.hash == hash && is(candidate) {
                return Some(index);
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// Adds a key that is not there.
    pub(super) fn add(&mut self, key: Key) -> usize {
        let index = self.keys.len();
        self.keys.push(key);
        if self.keys.len() * BUCKETS_A_KEY > self.buckets.len() {
            self.buckets = vec![0; (self.keys.len() * 2 * BUCKETS_A_KEY).next_power_of_two()];
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
pub(super) fn hash(key: &[u8], head: u128, seeds: [u64; 2]) -> u64 {
    let head = head & mask(key.len());
    let product = u128::from(head as u64 ^ seeds[0]) * u128::from((head >> 64) as u64 ^ seeds[1]);
    let folded = product as u64 ^ (product >> 64) as u64 ^ key.len() as u64;
    if key.len() <= WIDE { folded } else { folded ^ xxh3_64_with_seed(&key[WIDE..], seeds[0]) }
}
