//! Files that no source is known to have: new sources, or copies.

use std::fs::File;
use std::io;
use std::sync::Arc;

use longshore_core::limits::{
    FOLLOW_FILES_MAX, FOLLOW_HEAD_BYTES, FOLLOW_HEAD_BYTES_MIN, FOLLOW_MEASURE_BYTES, FOLLOW_MEASURED_MAX,
};

use super::content::{Beginning, Measuring, stored_head};
use super::follower::{Follower, Look, Seen, longer};
use super::head::Head;
use super::identity::{Identity, Position, Signature, SourceId, Stat};
use super::known::{Source, State};
use super::tail::Tail;
use super::{Change, Refusal};
use crate::input::Compression;

/// Shortest head that makes a file the copy of one that is gone, unless something else says so as well.
const TELLING_HEAD_BYTES: usize = 64;
/// Scans after which it is told that a file is held: while files are rotated it happens to many for a moment.
const HELD_SCANS_UNTOLD: u64 = 3;

/// A file that is not read for the moment.
#[derive(Debug)]
pub(super) struct Held {
    signature: Signature,
    /// Its times can be trusted.
    trusted: bool,
    /// The source it may be a copy of, and its epoch; without epoch it has to be looked at again.
    of: Option<(SourceId, Option<u32>)>,
    /// It may not be whole yet.
    unsettled: bool,
    /// The regular scan that saw it like this first.
    since: u64,
    told: bool,
}

impl Held {
    /// Whether it may yet turn out to be a copy of this source.
    pub(super) fn may_be_of(&self, id: SourceId) -> bool {
        self.unsettled && self.of.is_none_or(|(of, _)| of == id)
    }
}

/// What a newcomer is, compared with one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// The source goes on in it.
    GoesOn,
    /// It is a copy for now. `stable`: until its file or the source's state changes.
    Copy {
        stable: bool,
    },
    Other,
}

/// A newcomer that was looked into.
struct Newcomer {
    seen: Seen,
    file: File,
    beginning: Beginning,
}

impl Follower {
    pub(super) fn look_at_newcomer(&mut self, seen: Seen) {
        // There is nothing to read, and nothing to tell it by.
        if seen.stat.signature.size == 0 || self.stays_held(&seen) {
            return;
        }
        if self.sources.files() >= FOLLOW_FILES_MAX {
            return self.refuse(&seen.path, Refusal::TooMany(format!("{FOLLOW_FILES_MAX} files are followed")));
        }
        let newcomer = match self.look_into(&seen) {
            Ok(Some(newcomer)) => newcomer,
            // Something else is there since a moment.
            Ok(None) => return self.again(),
            Err(error) => return self.refuse(&seen.path, Refusal::of(error)),
        };
        let settled = self.is_settled(&newcomer.seen.stat);
        let Beginning { compression, torn, ref content, .. } = newcomer.beginning;
        if torn && settled {
            let end = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before its first bytes do");
            self.refuse(&newcomer.seen.path, Refusal::Damaged(end));
            return self.hold(&newcomer, None, false);
        }
        self.accept(&newcomer.seen.path);
        // Of a compressed file one cannot tell how much is whole, and too short a one cannot be told from others.
        let needs_to_settle = compression != Compression::Plain || content.len() < FOLLOW_HEAD_BYTES_MIN;
        if needs_to_settle && !settled {
            return self.hold(&newcomer, None, true);
        }
        for id in self.sources.like(&newcomer.beginning.content) {
            match self.compare_newcomer(id, &newcomer) {
                Likeness::GoesOn => return self.go_on_in(id, newcomer),
                Likeness::Copy { stable } => {
                    let epoch = self.sources.get(id).map(|source| source.epoch).filter(|_| stable);
                    return self.hold(&newcomer, Some((id, epoch)), false);
                }
                Likeness::Other => {}
            }
        }
        // What a file in doubt has now is no source yet, and this may be a copy of it.
        if self.in_doubt {
            self.again();
            return self.hold(&newcomer, None, false);
        }
        self.found(newcomer);
    }

    fn look_into(&mut self, seen: &Seen) -> io::Result<Option<Newcomer>> {
        let Some((file, stat)) = self.open_at(&seen.path)? else { return Ok(None) };
        let beginning = Beginning::read(&file, stat.signature.size)?;
        Ok(Some(Newcomer { seen: Seen { path: seen.path.clone(), stat }, file, beginning }))
    }

    /// Whether it stayed the same from one regular scan to the next.
    fn is_settled(&self, stat: &Stat) -> bool {
        let before = self.held.get(&stat.inode);
        before.is_some_and(|held| held.signature == stat.signature && held.since < self.scans)
    }

    /// Whether nothing changed that could make a held file something else.
    fn stays_held(&mut self, seen: &Seen) -> bool {
        let Some(held) = self.held.get(&seen.stat.inode) else { return false };
        let Some((like, Some(epoch))) = held.of else { return false };
        let source = self.sources.get(like);
        let stays =
            held.trusted && held.signature == seen.stat.signature && source.is_some_and(|source| source.epoch == epoch);
        if stays {
            self.tell_held(seen);
        }
        stays
    }

    fn hold(&mut self, newcomer: &Newcomer, of: Option<(SourceId, Option<u32>)>, unsettled: bool) {
        let Stat { inode, signature, .. } = newcomer.seen.stat;
        let before = self.held.get(&inode).filter(|held| held.signature == signature);
        let held = Held {
            signature,
            trusted: self.trusted(signature).is_some(),
            of,
            unsettled,
            since: before.map_or(self.scans, |held| held.since),
            told: before.is_some_and(|held| held.told),
        };
        self.held.insert(inode, held);
        self.tell_held(&newcomer.seen);
    }

    /// Says that a file is held once it has been for some scans.
    fn tell_held(&mut self, seen: &Seen) {
        let Some(held) = self.held.get_mut(&seen.stat.inode) else { return };
        if let Some((like, _)) = held.of
            && !held.told
            && self.scans >= held.since + HELD_SCANS_UNTOLD
        {
            held.told = true;
            self.changes.push(Change::Held { path: seen.path.clone(), like });
        }
    }

    fn compare_newcomer(&mut self, id: SourceId, newcomer: &Newcomer) -> Likeness {
        let source = self.sources.get(id).expect("it was just found");
        let begins = source.identity.content.begins(&newcomer.beginning.content);
        let gone = match source.state {
            State::Live { .. } => false,
            State::Aside { .. } | State::Vanished | State::Doubted { .. } | State::Ended => true,
        };
        match (gone, begins) {
            (false, true) => self.compare_with_live(id, newcomer),
            (false, false) => self.compare_with_longer(id, newcomer),
            (true, true) => compare_with_gone(source, newcomer),
            // A copy of a source that is gone has at least its head.
            (true, false) => Likeness::Other,
        }
    }

    /// The source is there and the newcomer begins with its head: a copy has not more than it.
    fn compare_with_live(&mut self, id: SourceId, newcomer: &Newcomer) -> Likeness {
        let source = self.sources.get(id).expect("it was just found");
        if matches!(source.state, State::Live { scans_missed } if scans_missed > 0) {
            return Likeness::Copy { stable: false };
        }
        let comparable = source.identity.compression == Compression::Plain;
        let size = source.size;
        match newcomer.beginning.content_bytes.filter(|_| comparable) {
            // Lengths cannot be compared, heads are all there is.
            None if source.identity.content.length() == FOLLOW_HEAD_BYTES => Likeness::Copy { stable: true },
            None => Likeness::Other,
            Some(bytes) if bytes <= size => Likeness::Copy { stable: true },
            // What stands at the end of a file that is still being compressed is no length: it may be a copy to be. All of it
            // is decompressed to know, which happens to files that begin as a live one does, and only until they are
            // whole.
            Some(_) if newcomer.beginning.compression != Compression::Plain => match self.measure(newcomer) {
                None => Likeness::Copy { stable: false },
                Some(Some(bytes)) if bytes > size => Likeness::Other,
                Some(_) => Likeness::Copy { stable: true },
            },
            // The source may have grown, or been truncated, since it was looked at in this scan.
            Some(bytes) => {
                let looked = self.handle(id, None).ok().and_then(|file| self.look(id, &file).ok());
                match looked {
                    Some(Look { same: true, stat: now, .. }) if now.signature.size >= size => {
                        if bytes <= now.signature.size { Likeness::Copy { stable: false } } else { Likeness::Other }
                    }
                    _ => Likeness::Copy { stable: false },
                }
            }
        }
    }

    /// Bytes of a compressed newcomer's content. `None` until they are known: a scan finds those of small files, and what is
    /// large goes on [between scans](Self::measure_on). Not whole is `Some(None)`.
    fn measure(&mut self, newcomer: &Newcomer) -> Option<Option<u64>> {
        let stat = &newcomer.seen.stat;
        self.measuring.retain(|known| known.inode != stat.inode || known.is_of(stat));
        if !self.measuring.iter().any(|known| known.inode == stat.inode) {
            if self.measuring.len() >= FOLLOW_MEASURED_MAX {
                let done = self.measuring.iter().position(Measuring::is_done)?;
                self.measuring.remove(done);
            }
            let file = newcomer.file.try_clone();
            match file.and_then(|file| Measuring::new(file, stat, newcomer.beginning.compression)) {
                Ok(measuring) => self.measuring.push_front(measuring),
                Err(_) => return Some(None),
            }
        }
        let own = self.measuring.iter_mut().find(|known| known.inode == stat.inode)?;
        while self.measure_left > 0 && !own.is_done() {
            self.measure_left = self.measure_left.saturating_sub(own.go_on());
        }
        own.length()
    }

    /// Goes on finding the lengths of compressed files, some bytes of each in turn. False if there is nothing to do.
    pub(super) fn measure_on(&mut self) -> bool {
        let mut left = FOLLOW_MEASURE_BYTES;
        while left > 0
            && let Some(next) = self.measuring.iter().position(|measuring| !measuring.is_done())
            && let Some(mut measuring) = self.measuring.remove(next)
        {
            left = left.saturating_sub(measuring.go_on());
            // The scan that asked decides with what it is.
            self.schedule.wanted |= measuring.is_done();
            self.measuring.push_back(measuring);
        }
        left < FOLLOW_MEASURE_BYTES
    }

    /// The source is there and its head is longer than what the newcomer has: a copy that is being made begins as it does.
    fn compare_with_longer(&mut self, id: SourceId, newcomer: &Newcomer) -> Likeness {
        let source = self.sources.get(id).expect("it was just found");
        let (stored, compressed) = (source.identity.stored, source.identity.compression != Compression::Plain);
        let Ok(file) = self.handle(id, None) else { return Likeness::Copy { stable: false } };
        let own = if compressed {
            Beginning::read(&file, source_size(&file)).map(|beginning| beginning.content)
        } else {
            stored_head(&file)
        };
        match own {
            Ok(own) if own.starts_with(&newcomer.beginning.content) => Likeness::Copy { stable: true },
            Ok(own) if compressed || stored.begins(&own) => Likeness::Other,
            // It is being truncated.
            _ => Likeness::Copy { stable: false },
        }
    }

    /// The source is somewhere else now.
    fn go_on_in(&mut self, id: SourceId, newcomer: Newcomer) {
        let Newcomer { seen, file, beginning } = newcomer;
        let size = seen.stat.signature.size;
        let trusted = self.trusted(seen.stat.signature);
        self.held.remove(&seen.stat.inode);
        let position = self.sources.change(id, |source| {
            let read = source.position.content;
            let stored = match beginning.compression {
                Compression::Plain => read,
                _ if beginning.ends_at(read) => size,
                _ => 0,
            };
            source.position = Position { content: read, stored };
            source.identity = Identity {
                id,
                inode: seen.stat.inode,
                compression: beginning.compression,
                stored: beginning.stored,
                content: longer(source.identity.content, &beginning.content),
                ..source.identity
            };
            (source.state, source.told) = (State::Live { scans_missed: 0 }, true);
            (source.path, source.size, source.signature) = (seen.path.clone(), size, trusted);
            (source.handle, source.aside) = (None, None);
            source.position
        });
        self.keep(id, &Arc::new(file));
        let compression = beginning.compression;
        self.changes.push(Change::Rotated { id, path: seen.path, compression, size, position });
        // The file that it had may be a new source.
        self.again();
    }

    fn found(&mut self, newcomer: Newcomer) {
        let Newcomer { seen, file, beginning } = newcomer;
        let id = self.new_id(&seen.stat);
        self.held.remove(&seen.stat.inode);
        let (size, compression) = (seen.stat.signature.size, beginning.compression);
        self.sources.insert(Source {
            identity: Identity {
                id,
                inode: seen.stat.inode,
                compression,
                stored: beginning.stored,
                content: Head::of(&beginning.content),
                seen_bytes: 0,
                left: false,
                tail: Tail::default(),
            },
            path: seen.path.clone(),
            aside: None,
            position: Position::default(),
            state: State::Live { scans_missed: 0 },
            size,
            signature: self.trusted(seen.stat.signature),
            left: false,
            told: true,
            handle: None,
            used: 0,
            epoch: 0,
        });
        self.keep(id, &Arc::new(file));
        self.changes.push(Change::Found { id, path: seen.path, compression, size, position: Position::default() });
    }
}

/// The source's file is gone or has other content, and the newcomer begins with its head.
fn compare_with_gone(source: &Source, newcomer: &Newcomer) -> Likeness {
    let Newcomer { seen, file, beginning } = newcomer;
    let read = source.position.content;
    // What is still open is read from there first.
    let open = source.handle.is_some() || source.aside.is_some();
    if matches!(source.state, State::Aside { .. }) || source.state == State::Vanished && open && source.unread() > 0 {
        return Likeness::Copy { stable: false };
    }
    // A file that was compressed is a rotated one anyway.
    let telling = matches!(source.state, State::Doubted { .. })
        || beginning.compression != Compression::Plain
        || source.identity.content.length() >= TELLING_HEAD_BYTES
        || beginning.ends_at(read);
    if !telling {
        return Likeness::Other;
    }
    let tail = source.identity.tail;
    let plain = beginning.compression == Compression::Plain;
    if plain && seen.stat.signature.size >= read && !tail.is_in(file).unwrap_or(true) {
        return Likeness::Other;
    }
    // What is shorter has nothing that was not read, until it grows.
    let has_all = beginning.compression != Compression::Plain || seen.stat.signature.size >= read;
    if has_all { Likeness::GoesOn } else { Likeness::Copy { stable: true } }
}

fn source_size(file: &File) -> u64 {
    Stat::of_file(file).map_or(0, |stat| stat.signature.size)
}
