//! Sources as a journal has them.

use std::path::PathBuf;

use super::port::Files;
use super::{FileFeed, journal_error};
use crate::feed::FeedError;
use crate::follow::{Identity, KnownSource, Position, SourceId};
use crate::input::Compression;
use crate::journal::{Disk, Reached, Recovered, SourceNumber};

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
        Compression::Plain => Position::plain(source.cut_end.position),
        _ => Position { content: source.cut_end.position, stored },
    };
    Ok((KnownSource { identity, position, path: PathBuf::from(&*source.name) }, stored))
}

/// A source's identity in the journal: what the follower knows it by, and how much of a compressed file was read.
pub(super) fn journal_identity(identity: &Identity, stored: u64) -> Vec<u8> {
    let mut bytes = identity.encode();
    bytes.extend(stored.to_le_bytes());
    bytes
}

impl<D: Disk, F: Files> FileFeed<D, F> {
    /// The lane's number in the journal, where it is made known, from its first slice on, or known by what it is now.
    pub(super) fn introduce(&mut self, id: SourceId, first: Option<Reached>) -> Result<SourceNumber, FeedError> {
        let lane = self.lanes.get_mut(&id).expect("a lane that was cut");
        let identity = self.files.identity(id).map(|identity| journal_identity(&identity, lane.stored));
        match (lane.number, identity) {
            (Some(number), Some(identity)) if identity != lane.identity => {
                self.journal.identify(number, &identity, &lane.name).map_err(journal_error)?;
                lane.identity = identity;
                Ok(number)
            }
            (Some(number), _) => Ok(number),
            (None, identity) => {
                // A source that was read is one that the follower knows.
                let identity = identity.expect("the follower knows what it confirmed");
                let first = first.expect("a source is made known with its first slice");
                let number = self.journal.know(&identity, &lane.name, first).map_err(journal_error)?;
                (lane.number, lane.identity, lane.reached) = (Some(number), identity, first);
                Ok(number)
            }
        }
    }
}
