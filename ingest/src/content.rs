//! Who a content is: a hash of all that stands before a place of it, whatever the slices it was cut into.
//!
//! The bytes are taken in blocks of [`PREFIX_BLOCK_BYTES`], each hashed with the hash of those before it as the seed. So the
//! hash of what stands before a place is known from the *chain*, which is the hash of the whole blocks before it, and the few
//! bytes behind these: whoever goes on after a restart reads no more than one block again.
//!
//! Of a content that begins as others do, its *heads* are what is looked up first: hashes of its first 1, 2, 4, … bytes, up
//! to [`FOLLOW_HEAD_BYTES`].

use longshore_core::limits::FOLLOW_HEAD_BYTES;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of a block.
pub const PREFIX_BLOCK_BYTES: usize = 4_096;

/// Hash of all whole blocks before a place; what it takes, with the bytes behind them, to go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Chain(pub u64);

/// What tells one place of a content from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Of the whole blocks before it.
    pub chain: Chain,
    /// Of all before it.
    pub digest: u64,
}

/// A content from its first byte to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    chain: Chain,
    /// Bytes of the whole blocks.
    blocks: u64,
    /// What is behind them, less than a block.
    rest: Vec<u8>,
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix::seeded(0)
    }
}

impl Prefix {
    /// Nothing of a content. `seed` is zero, or tells contents apart that are equal byte by byte.
    pub fn seeded(seed: u64) -> Prefix {
        Prefix { chain: Chain(seed), blocks: 0, rest: Vec::new() }
    }

    /// The first `length` bytes of a content, whose whole blocks hash to `chain`. `rest` are those behind the blocks,
    /// [`rest_bytes`] of them.
    pub fn resumed(chain: Chain, length: u64, rest: &[u8]) -> Prefix {
        debug_assert_eq!(rest.len() as u64, rest_bytes(length));
        Prefix { chain, blocks: length - rest.len() as u64, rest: rest.to_vec() }
    }

    /// Takes in what follows.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(PREFIX_BLOCK_BYTES - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = tail;
            if self.rest.len() < PREFIX_BLOCK_BYTES {
                return;
            }
            let block = std::mem::take(&mut self.rest);
            self.block(&block);
            self.rest = block;
            self.rest.clear();
        }
        let (blocks, rest) = bytes.as_chunks::<PREFIX_BLOCK_BYTES>();
        blocks.iter().for_each(|block| self.block(block));
        self.rest.extend_from_slice(rest);
    }

    fn block(&mut self, block: &[u8]) {
        self.chain = Chain(xxh3_64_with_seed(block, self.chain.0));
        self.blocks += PREFIX_BLOCK_BYTES as u64;
    }

    /// Bytes of it.
    pub fn length(&self) -> u64 {
        self.blocks + self.rest.len() as u64
    }

    /// Hash of its whole blocks.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Both of these.
    pub fn mark(&self) -> Mark {
        Mark { chain: self.chain, digest: self.digest() }
    }

    /// Hash of all of it.
    pub fn digest(&self) -> u64 {
        // The length keeps a block that is not whole from being like a whole one.
        xxh3_64_with_seed(&self.rest, self.chain.0 ^ xxh3_64(&self.length().to_le_bytes()))
    }
}

/// A content while it is read from its first byte on: the hash of what was read, and by what its slices are found.
#[derive(Debug, Clone, Default)]
pub struct Content {
    prefix: Prefix,
    /// Its first bytes, as far as they were read, at most [`FOLLOW_HEAD_BYTES`].
    beginning: Vec<u8>,
    head: Option<u64>,
}

impl Content {
    /// Nothing was read yet. `seed` as of [`Prefix::seeded`].
    pub fn seeded(seed: u64) -> Content {
        Content { prefix: Prefix::seeded(seed), ..Content::default() }
    }

    /// It was read up to the end of `prefix`, and its slices are found by `head`.
    pub fn resumed(prefix: Prefix, head: u64) -> Content {
        Content { prefix, beginning: Vec::new(), head: Some(head) }
    }

    /// These were read next.
    pub fn pass(&mut self, bytes: &[u8]) {
        let room = FOLLOW_HEAD_BYTES - self.beginning.len();
        if self.head.is_none() && room > 0 {
            self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.prefix.update(bytes);
    }

    /// All that was read.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// By what its slices are found. The first of them has just been read, or the head is known.
    pub fn head(&mut self) -> u64 {
        *self.head.get_or_insert_with(|| head(&self.beginning))
    }

    /// Its slices are found by this.
    pub fn is_found_by(&mut self, head: u64) {
        self.head = Some(head);
    }
}

/// How many of the first `length` bytes stand behind the last whole block.
pub fn rest_bytes(length: u64) -> u64 {
    length % PREFIX_BLOCK_BYTES as u64
}

/// Heads of a content of which these are the first bytes: hashes of the first 1, 2, 4, … of them, shortest first.
pub fn heads(bytes: &[u8]) -> impl Iterator<Item = u64> {
    head_lengths(bytes.len()).map(|length| xxh3_64(&bytes[..length]))
}

/// The heads of several contents, of which these are the first bytes, each once.
pub fn all_heads<'b>(beginnings: impl Iterator<Item = &'b [u8]>) -> Vec<u64> {
    let mut all: Vec<u64> = beginnings.flat_map(heads).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The head by which slices of a content are found whose first slice ends behind these bytes: the longest.
pub fn head(bytes: &[u8]) -> u64 {
    heads(bytes).last().unwrap_or_default()
}

fn head_lengths(bytes: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1_usize), |length| Some(length * 2))
        .take_while(move |&length| length <= bytes.min(FOLLOW_HEAD_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * at % 251) as u8).collect()
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_came() {
        let content = content(3 * PREFIX_BLOCK_BYTES + 100);
        for length in [0, 1, 4_095, 4_096, 4_097, 8_192, 10_000, content.len()] {
            let mut whole = Prefix::default();
            whole.update(&content[..length]);
            assert_eq!(whole.length(), length as u64);
            for piece in [1, 7, 4_095, 4_096, 4_097, 9_000] {
                let mut pieces = Prefix::default();
                content[..length].chunks(piece).for_each(|piece| pieces.update(piece));
                assert_eq!(pieces, whole, "{length} bytes by {piece}");
            }
            let rest = rest_bytes(length as u64) as usize;
            let resumed = Prefix::resumed(whole.chain(), length as u64, &content[length - rest..length]);
            assert_eq!(resumed.digest(), whole.digest());
        }
    }

    #[test]
    fn other_bytes_lengths_and_seeds_are_others() {
        let of = |seed, bytes: &[u8]| {
            let mut prefix = Prefix::seeded(seed);
            prefix.update(bytes);
            prefix.digest()
        };
        let content = content(2 * PREFIX_BLOCK_BYTES);
        let mut digests: Vec<u64> = [0, 1, 4_095, 4_096, 4_097, 8_192].map(|length| of(0, &content[..length])).to_vec();
        for changed in [0, 4_095, 4_096, 8_191] {
            let mut other = content.clone();
            other[changed] ^= 1;
            digests.push(of(0, &other));
        }
        digests.extend([of(1, &[]), of(1, &content), of(0, &[0; 4_096]), of(0, &[0; 8_192])]);
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), count);
    }

    #[test]
    fn a_longer_beginning_has_the_heads_of_a_shorter_one() {
        let content = content(5_000);
        let all: Vec<u64> = heads(&content).collect();
        assert_eq!(all.len(), 11, "1, 2, 4 to 1,024 bytes");
        for length in [1, 2, 3, 100, 1_023, 1_024, 4_000] {
            assert!(all.contains(&head(&content[..length])), "{length}");
        }
        assert_eq!(head(&[]), 0);
    }
}
