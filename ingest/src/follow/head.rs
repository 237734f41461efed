//! The fingerprint of a file's first bytes, by which it is known again whatever it is called.
//!
//! It covers up to [`FOLLOW_HEAD_BYTES`] bytes, and as many as there are of a shorter file: it grows with it. Hashes of
//! a few shorter beginnings tell whether a file that is shorter still, such as one that is being copied, may be the same.

use longshore_core::limits::{FOLLOW_HEAD_BYTES, FOLLOW_HEAD_BYTES_MIN};
use xxhash_rust::xxh3::xxh3_64;

/// Lengths of the beginnings that are hashed beside the head itself.
const STEPS: [usize; 3] = [FOLLOW_HEAD_BYTES_MIN, 64, 256];

/// Bytes of an encoded head.
pub(super) const HEAD_BYTES: usize = 2 + 8 + STEPS.len() * 8;

/// XXH3-64 of a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    length: u16,
    hash: u64,
    /// Zero where the head is shorter than the step.
    steps: [u64; STEPS.len()],
}

impl Head {
    /// Of the first bytes; those past [`FOLLOW_HEAD_BYTES`] do not matter.
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(FOLLOW_HEAD_BYTES)];
        let steps = STEPS.map(|step| bytes.get(..step).map_or(0, xxh3_64));
        Head { length: bytes.len() as u16, hash: xxh3_64(bytes), steps }
    }

    /// How many bytes it covers.
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// Their hash.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether these bytes begin with those that it covers. Fewer bytes do not.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.length()).is_some_and(|head| xxh3_64(head) == self.hash)
    }

    /// The beginnings that are hashed: which, and the hash.
    pub(super) fn steps(&self) -> impl Iterator<Item = (u8, u64)> {
        let length = self.length();
        self.steps
            .into_iter()
            .zip(STEPS)
            .zip(0..)
            .filter(move |((_, step), _)| *step <= length)
            .map(|((h, _), i)| (i, h))
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend(self.length.to_le_bytes());
        into.extend(self.hash.to_le_bytes());
        self.steps.iter().for_each(|step| into.extend(step.to_le_bytes()));
    }

    /// `None` if no head is encoded like this.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let length = u16::from_le_bytes([bytes[0], bytes[1]]);
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[2 + at * 8 + i]));
        let head = Head { length, hash: word(0), steps: std::array::from_fn(|i| word(1 + i)) };
        (head.length() <= FOLLOW_HEAD_BYTES).then_some(head)
    }
}
