//! Sources as a journal has them.

use std::path::PathBuf;

use crate::feed::FeedError;
use crate::follow::{Identity, KnownSource, Position};
use crate::input::Compression;
use crate::journal::Recovered;

/// The sources that a journal knows, as a follower takes them.
pub fn known_sources(recovered: &Recovered) -> Result<Vec<KnownSource>, FeedError> {
    recovered.sources.iter().map(|source| Ok(known_source(source)?.0)).collect()
}

/// A source with how much of its file was read when it was journaled.
pub(super) fn known_source(source: &crate::journal::KnownSource) -> Result<(KnownSource, u64), FeedError> {
    let damaged = |why: String| FeedError::Refuse { detail: format!("the journal's source {}: {why}", source.name) };
    let (identity, stored) =
        source.identity.split_last_chunk::<8>().ok_or_else(|| damaged("its identity is too short".to_owned()))?;
    let identity = Identity::decode(identity).map_err(|error| damaged(error.to_string()))?;
    let stored = u64::from_le_bytes(*stored);
    let position = match identity.compression {
        Compression::Plain => Position::plain(source.cut_end),
        _ => Position { content: source.cut_end, stored },
    };
    Ok((KnownSource { identity, position, path: PathBuf::from(&*source.name) }, stored))
}

/// A source's identity in the journal: what the follower knows it by, and how much of a compressed file was read.
pub(super) fn journal_identity(identity: &Identity, stored: u64) -> Vec<u8> {
    let mut bytes = identity.encode();
    bytes.extend(stored.to_le_bytes());
    bytes
}
