//! Files that no source is known to have: new sources, or copies.

use std::fs::File;
use std::io;
use std::sync::Arc;

use longshore_core::limits::{FOLLOW_COMPARE_BYTES, FOLLOW_COMPARED_MAX, FOLLOW_FILES_MAX, FOLLOW_HEAD_BYTES_MIN};

use super::comparing::{Compared, Comparing, Packed};
use super::content::{Beginning, stored_head};
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
        let known = self.held.get(&inode);
        let before = known.filter(|held| held.signature == signature);
        // While it is of the same source, once is enough.
        let same = |held: &Held| held.of.map(|(of, _)| of) == of.map(|(of, _)| of);
        let held = Held {
            signature,
            trusted: self.trusted(signature).is_some(),
            of,
            unsettled,
            since: before.map_or(self.scans, |held| held.since),
            told: known.is_some_and(|held| held.told && same(held)),
        };
        self.held.insert(inode, held);
        self.tell_held(&newcomer.seen);
    }

    /// Says that a file is held once it has been for some scans.
    fn tell_held(&mut self, seen: &Seen) {
        let Some(held) = self.held.get_mut(&seen.stat.inode) else { return };
        if let Some((like, Some(_))) = held.of
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
            State::Live { .. } | State::Aside { .. } => false,
            State::Vanished | State::Doubted { .. } | State::Ended => true,
        };
        match (gone, begins) {
            (false, true) => self.compare_with_live(id, newcomer),
            (false, false) => self.compare_with_longer(id, newcomer),
            (true, true) => self.compare_with_gone(id, newcomer),
            // A copy of a source that is gone has at least its head.
            (true, false) => Likeness::Other,
        }
    }

    /// The source can be read and the newcomer begins with its head: a copy has not more than it.
    fn compare_with_live(&mut self, id: SourceId, newcomer: &Newcomer) -> Likeness {
        let source = self.sources.get(id).expect("it was just found");
        let (size, state, nothing_read) = (source.size, source.state, source.position.content == 0);
        if matches!(state, State::Live { scans_missed } if scans_missed > 0) {
            return Likeness::Copy { stable: false };
        }
        let Ok(file) = self.handle(id, None) else { return Likeness::Copy { stable: false } };
        match self.compared(id, newcomer, Ok(&file)) {
            None => Likeness::Copy { stable: false },
            Some(Compared::Differs) => Likeness::Other,
            Some(Compared::Within) => {
                let Stat { inode, signature, .. } = newcomer.seen.stat;
                self.parts.insert(inode, (id, signature));
                // Once a writer lets go of a source, that goes on in its copy.
                Likeness::Copy { stable: matches!(state, State::Live { .. }) }
            }
            // It may have been truncated since it was looked at in this scan.
            Some(Compared::Beyond) => match self.look(id, &file) {
                Ok(Look { same: true, stat, .. }) if stat.signature.size >= size => match state {
                    State::Live { .. } if !nothing_read => Likeness::Other,
                    // Nothing of either was read, or nothing more comes of the source: it goes on in the longer.
                    _ => Likeness::GoesOn,
                },
                _ => Likeness::Copy { stable: false },
            },
        }
    }

    /// What comparing a newcomer with a source comes to, with its file or its tail. `None` until that is known: a scan finds
    /// it of small files, and what is large goes on [between scans](Self::compare_on).
    fn compared(&mut self, id: SourceId, newcomer: &Newcomer, with: Result<&File, Tail>) -> Option<Compared> {
        let stat = &newcomer.seen.stat;
        let tail = with.err();
        let is_it = |known: &Comparing| known.inode == stat.inode && known.source == id && known.tail() == tail;
        self.comparing.retain_mut(|known| !is_it(known) || known.goes_on(stat));
        if !self.comparing.iter().any(is_it) {
            if self.comparing.len() >= FOLLOW_COMPARED_MAX {
                let done = self.comparing.iter().position(|known| known.outcome().is_some())?;
                self.comparing.remove(done);
            }
            let compression = self.sources.get(id)?.identity.compression;
            let own = Packed { file: newcomer.file.try_clone().ok()?, compression: newcomer.beginning.compression };
            let with = match with {
                Ok(file) => Ok(Packed { file: file.try_clone().ok()?, compression }),
                Err(tail) => Err(tail),
            };
            self.comparing.push_front(Comparing::new(own, stat, id, with).ok()?);
        }
        let own = self.comparing.iter_mut().find(|known| is_it(known))?;
        while self.compare_left > 0 && own.outcome().is_none() {
            self.compare_left = self.compare_left.saturating_sub(own.go_on());
        }
        let outcome = own.outcome();
        // What was found of these two may be another thing once one of them grew.
        if matches!(outcome, Some(Compared::Differs | Compared::Beyond)) {
            self.comparing.retain(|known| !is_it(known));
        }
        outcome
    }

    /// Goes on comparing, some bytes of each in turn. False if there is nothing to do.
    pub(super) fn compare_on(&mut self) -> bool {
        let mut left = FOLLOW_COMPARE_BYTES;
        while left > 0
            && let Some(next) = self.comparing.iter().position(|comparing| comparing.outcome().is_none())
            && let Some(mut comparing) = self.comparing.remove(next)
        {
            left = left.saturating_sub(comparing.go_on());
            // The scan that asked decides with what it is.
            self.schedule.wanted |= comparing.outcome().is_some();
            self.comparing.push_back(comparing);
        }
        left < FOLLOW_COMPARE_BYTES
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

    /// The source's file is gone or has other content, and the newcomer begins with its head.
    fn compare_with_gone(&mut self, id: SourceId, newcomer: &Newcomer) -> Likeness {
        let source = self.sources.get(id).expect("it was just found");
        let Newcomer { seen, file, beginning } = newcomer;
        let (read, tail) = (source.position.content, source.identity.tail);
        // What is still there is read from there first.
        let readable = source.handle.is_some() || source.aside.is_some();
        if source.state == State::Vanished && readable && source.unread() > 0 {
            return Likeness::Copy { stable: false };
        }
        // A file that was compressed is a rotated one anyway.
        let doubted = matches!(source.state, State::Doubted { .. });
        let telling = doubted
            || beginning.compression != Compression::Plain
            || source.identity.content.length() >= TELLING_HEAD_BYTES
            || beginning.ends_at(read);
        if !telling {
            return Likeness::Other;
        }
        let is_part = self.parts.get(&seen.stat.inode) == Some(&(id, seen.stat.signature));
        let compared = match beginning.compression {
            Compression::Plain if seen.stat.signature.size < read => Some(Compared::Within),
            Compression::Plain if tail.is_in(file).unwrap_or(true) => Some(Compared::Beyond),
            Compression::Plain => Some(Compared::Differs),
            _ if tail.is_empty() => Some(Compared::Beyond),
            _ => self.compared(id, newcomer, Err(tail)),
        };
        match compared {
            None => Likeness::Copy { stable: false },
            // Its writer went on after it was compressed: there is nothing more in it.
            Some(Compared::Within) if is_part && beginning.compression != Compression::Plain => Likeness::GoesOn,
            Some(Compared::Within) if is_part => Likeness::Copy { stable: true },
            // Shorter than what was read: a copy that is being made, or another file. Nobody can tell, but that one grows.
            Some(Compared::Within) if doubted || !self.is_settled(&seen.stat) => Likeness::Copy { stable: false },
            Some(Compared::Within) => Likeness::Other,
            Some(Compared::Beyond) => Likeness::GoesOn,
            Some(Compared::Differs) => Likeness::Other,
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

fn source_size(file: &File) -> u64 {
    Stat::of_file(file).map_or(0, |stat| stat.signature.size)
}
