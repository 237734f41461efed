//! Slices that a ledger already has, so that loading the same content again adds nothing.

use std::collections::{HashMap, HashSet};

use longshore_core::limits::SLICE_BYTES_CEILING;
use longshore_core::slice::SliceId;

use crate::content::Prefix;
use crate::retry::RetryEnd;
use crate::sink::SliceMeta;

/// A slice that was stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSlice {
    /// Its identity.
    pub id: SliceId,
    /// What it is of, as in [`CutOptions`](crate::cut::CutOptions).
    pub stream: u64,
    /// By what the slices of its content are found.
    pub head: u64,
    /// Bytes of it.
    pub length: u64,
    /// Digest of all that stands before it.
    pub before: u64,
    /// Digest of that and of the slice.
    pub after: u64,
}

impl KnownSlice {
    /// A slice of a stream that is on its way.
    pub fn of(stream: u64, meta: &SliceMeta) -> KnownSlice {
        let &SliceMeta { id, head, start, end, before, after, .. } = meta;
        KnownSlice { id, stream, head, length: end - start, before, after }
    }
}

/// Where it is known which slices are stored.
pub trait StoredSlices: Sync {
    /// The stored slices that are found by these heads. Waits until it can tell, or says why it does not any more.
    fn found_by(&self, heads: &[u64]) -> Result<Vec<KnownSlice>, RetryEnd>;
}

/// A ledger that has nothing, or is not asked.
#[derive(Debug, Clone, Copy)]
pub struct NothingStored;

impl StoredSlices for NothingStored {
    fn found_by(&self, _: &[u64]) -> Result<Vec<KnownSlice>, RetryEnd> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
impl StoredSlices for Vec<KnownSlice> {
    fn found_by(&self, heads: &[u64]) -> Result<Vec<KnownSlice>, RetryEnd> {
        Ok(self.iter().filter(|slice| heads.contains(&slice.head)).copied().collect())
    }
}

/// Slices that were stored before, of contents that begin as those that are read.
#[derive(Debug, Clone, Default)]
pub struct KnownSlices {
    ids: HashSet<SliceId>,
    by_before: HashMap<u64, Vec<KnownSlice>>,
}

impl KnownSlices {
    /// Indexes them.
    pub fn new(slices: impl IntoIterator<Item = KnownSlice>) -> Self {
        let mut known = KnownSlices::default();
        known.extend(slices);
        known
    }

    /// Takes in more of them.
    pub fn extend(&mut self, slices: impl IntoIterator<Item = KnownSlice>) {
        for slice in slices {
            if self.ids.insert(slice.id) {
                self.by_before.entry(slice.before).or_default().push(slice);
            }
        }
    }

    /// Whether this very slice was stored.
    pub fn contains(&self, id: SliceId) -> bool {
        self.ids.contains(&id)
    }

    /// How many bytes are to be read to tell what stands [`behind`](Self::behind) this beginning of a content, if something
    /// may.
    pub fn bytes_behind(&self, prefix: &Prefix) -> Option<usize> {
        let longest = self.by_before.get(&prefix.digest())?.iter().map(|known| known.length).max()?;
        Some(usize::try_from(longest).unwrap_or(usize::MAX).min(SLICE_BYTES_CEILING))
    }

    /// What is known to stand behind this beginning of a content, which goes on with `bytes`.
    pub fn behind(&self, prefix: &Prefix, bytes: &[u8]) -> Behind {
        let Some(candidates) = self.by_before.get(&prefix.digest()) else { return Behind::Nothing };
        // What is longer than a slice is one long record, which is not read for this: cut again, it has the same id.
        let is_slice = |known: &&KnownSlice| (1..=SLICE_BYTES_CEILING as u64).contains(&known.length);
        let mut candidates: Vec<&KnownSlice> = candidates.iter().filter(is_slice).collect();
        candidates.sort_by_key(|known| known.length);
        let (mut prefix, mut passed) = (prefix.clone(), 0);
        let (mut found, mut parts, mut unknown) = (None, Vec::new(), false);
        for known in candidates {
            let Some(rest) = usize::try_from(known.length).ok().and_then(|length| bytes.get(passed..length)) else {
                unknown = true;
                break;
            };
            prefix.update(rest);
            passed += rest.len();
            let digest = prefix.digest();
            if digest == known.after {
                found = Some(*known);
            } else if digest != !known.after {
                parts.push(digest);
            }
        }
        match found {
            Some(found) => Behind::Slice(found),
            None if unknown => Behind::TooLittle,
            None if parts.is_empty() => Behind::Nothing,
            None => Behind::Parts { seeds: parts },
        }
    }

    /// The seed of a content that parts from one that is stored, of those that its parting gives: that of its own slices, if
    /// some are stored.
    pub fn seed(&self, seeds: &[u64]) -> Option<u64> {
        let is_stored = |seed: &&u64| self.by_before.contains_key(&Prefix::seeded(**seed).digest());
        seeds.iter().find(is_stored).or(seeds.first()).copied()
    }
}

/// What is known to stand behind a beginning of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// Nothing is stored there.
    Nothing,
    /// This slice is: the longest that the content goes on with.
    Slice(KnownSlice),
    /// Contents are that go on otherwise. So this is another one, though it begins as they do: its slices are told from
    /// theirs by a seed, the hash of what it has where one of them has something else, the nearest first.
    Parts {
        /// One for each of them.
        seeds: Vec<u64>,
    },
    /// Some is, and longer than what is there to compare.
    TooLittle,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::head;

    fn prefix(seed: u64, bytes: &[u8]) -> Prefix {
        let mut prefix = Prefix::seeded(seed);
        prefix.update(bytes);
        prefix
    }

    /// A slice of a content between two places.
    fn slice(id: u64, seed: u64, content: &[u8], from: usize, to: usize) -> KnownSlice {
        let (before, after) = (prefix(seed, &content[..from]).digest(), prefix(seed, &content[..to]).digest());
        KnownSlice { id: SliceId(id), stream: 1, head: head(&content[..to]), length: (to - from) as u64, before, after }
    }

    #[test]
    fn a_content_goes_on_behind_what_is_stored_of_it_and_of_nothing_else() {
        let stored: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        let slices = [slice(1, 0, &stored, 0, 91), slice(2, 0, &stored, 91, 700), slice(3, 0, &stored, 91, 5_000)];
        let known = KnownSlices::new(slices);
        let start = Prefix::default();
        assert_eq!(known.behind(&start, &stored), Behind::Slice(slices[0]));
        assert_eq!(known.behind(&start, &stored[..90]), Behind::TooLittle);
        let at = prefix(0, &stored[..91]);
        assert_eq!(known.behind(&at, &stored[91..]), Behind::Slice(slices[2]), "the longest");
        assert_eq!(known.behind(&at, &stored[91..4_000]), Behind::Slice(slices[1]));
        assert_eq!(known.behind(&at, &stored[91..600]), Behind::TooLittle);
        assert_eq!(known.behind(&prefix(0, &stored[..5_000]), b"more"), Behind::Nothing);

        // Another content, which begins as the first one does.
        let mut other = stored.clone();
        other[300] ^= 1;
        let seeds = vec![prefix(0, &other[..700]).digest(), prefix(0, &other[..5_000]).digest()];
        assert_eq!(known.behind(&at, &other[91..]), Behind::Parts { seeds: seeds.clone() });
        assert_eq!(known.behind(&at, &other[91..800]), Behind::TooLittle, "it may be the beginning of the longer one");
        assert_eq!(known.seed(&seeds), Some(seeds[0]));
        // Once its slices are stored it is known by them.
        let mut known = known;
        known.extend([slice(4, seeds[1], &other, 0, 91)]);
        assert_eq!(known.seed(&seeds), Some(seeds[1]));
        assert_eq!(known.behind(&Prefix::seeded(seeds[1]), &other), Behind::Slice(slice(4, seeds[1], &other, 0, 91)));
    }

    #[test]
    fn a_record_that_was_cut_short_is_no_other_content() {
        let content = b"whole\nhalf";
        let half = slice(1, 0, content, 6, 10);
        let known = KnownSlices::new([KnownSlice { after: !half.after, ..half }]);
        assert_eq!(known.behind(&prefix(0, &content[..6]), b"half of it\n"), Behind::Nothing);
    }
}
