//! What a look at a source's file says: it grew, moved, was truncated, vanished, came back.

use std::collections::HashSet;
use std::fs::File;

use super::follower::{Follower, Look, Seen, longer};
use super::identity::{Inode, SourceId};
use super::known::State;
use super::{Away, Change, OpenError, Refusal};
use crate::input::Compression;

/// Scans in which a file is not found until it counts as vanished: one that is renamed while its folder is read may be
/// missed under both names.
const SCANS_MISSED_MAX: u8 = 2;

impl Follower {
    /// A path leads to the file of a source.
    pub(super) fn look_at_known(&mut self, id: SourceId, seen: &Seen) {
        let source = self.sources.get(id).expect("a source with a file");
        let as_it_was = source.signature == Some(seen.stat.signature);
        match source.state {
            State::Live { scans_missed: 0 } if as_it_was && source.told && source.path == seen.path => {}
            State::Live { .. } | State::Aside { .. } | State::Vanished => {
                let before = source.size;
                if as_it_was || self.look_inside(id, seen) {
                    self.tell_of_known(id, seen, before);
                }
            }
            State::Doubted { .. } => self.sources.change(id, |source| source.path.clone_from(&seen.path)),
            State::Ended => {}
        }
    }

    /// Looks at its head. False if it is not as it was, or cannot be looked at.
    fn look_inside(&mut self, id: SourceId, seen: &Seen) -> bool {
        let looked = self.handle(id, Some(&seen.path)).and_then(|file| Ok(self.look(id, &file)?));
        let look = match looked {
            Ok(look) => look,
            Err(OpenError::System(error)) => {
                self.refuse(&seen.path, Refusal::of(error));
                return false;
            }
            Err(OpenError::Moved | OpenError::Unknown) => return false,
        };
        self.accept(&seen.path);
        self.compare(id, &look)
    }

    /// The same of a file that no path leads to.
    pub(super) fn look_and_compare(&mut self, id: SourceId, file: &File) -> bool {
        self.look(id, file).is_ok_and(|look| self.compare(id, &look))
    }

    /// Takes over what a look said if the file is the same, longer or not. Otherwise the source is in doubt.
    fn compare(&mut self, id: SourceId, Look { head, same, stat }: &Look) -> bool {
        let source = self.sources.get(id).expect("a source with a file");
        let size = stat.signature.size;
        let shorter = size < source.size || size < source.identity.stored.length() as u64;
        if *same && !shorter {
            let trusted = self.trusted(stat.signature);
            self.sources.change(id, |source| {
                source.size = size;
                source.signature = trusted;
                source.identity.stored = longer(source.identity.stored, head);
                if source.identity.compression == Compression::Plain {
                    source.identity.content = source.identity.stored;
                }
            });
            return true;
        }
        let away = matches!(source.state, State::Aside { .. } | State::Vanished) || !source.told;
        if !*same && away && source.identity.inode.born_ns == 0 {
            // Its number was given to another file, as far as one can tell.
            let lost_bytes_min = source.unread();
            let (path, vanished) = (source.path.clone(), source.state == State::Vanished);
            self.end(id);
            if !vanished {
                self.changes.push(Change::Vanished { id, path, away: Away::Closed, lost_bytes_min });
            }
            return false;
        }
        self.sources.change(id, |source| {
            source.state = State::Doubted { shorter, scans: 0 };
            source.handle = None;
        });
        self.again();
        false
    }

    fn tell_of_known(&mut self, id: SourceId, seen: &Seen, before: u64) {
        let (was, renamed, told) = self.sources.change(id, |source| {
            let was = std::mem::replace(&mut source.state, State::Live { scans_missed: 0 });
            source.aside = None;
            let renamed = std::mem::replace(&mut source.path, seen.path.clone()) != seen.path;
            (was, renamed, std::mem::replace(&mut source.told, true))
        });
        let source = self.sources.get(id).expect("it was there");
        let (path, size, position) = (seen.path.clone(), source.size, source.position);
        let compression = source.identity.compression;
        if matches!(was, State::Aside { .. } | State::Vanished) {
            self.changes.push(Change::Back { id, path, compression, size, position });
        } else if !told {
            self.changes.push(Change::Found { id, path, compression, size, position });
        } else if renamed {
            self.changes.push(Change::Rotated { id, path, compression, size, position });
        } else if size > before {
            self.changes.push(Change::Grew { id, size });
        }
    }

    /// Sources whose files no path leads to.
    pub(super) fn look_for_missing(&mut self, there: &HashSet<Inode>) {
        for id in self.sources.ids() {
            let source = self.sources.get(id).expect("it was there");
            if there.contains(&source.identity.inode) {
                continue;
            }
            match source.state {
                State::Live { scans_missed } if scans_missed + 1 < SCANS_MISSED_MAX => {
                    self.sources.change(id, |source| source.state = State::Live { scans_missed: scans_missed + 1 });
                    self.again();
                }
                State::Live { .. } => self.leave(id),
                State::Aside { .. } | State::Vanished => self.look_aside(id),
                State::Doubted { .. } | State::Ended => {}
            }
        }
    }

    /// Nothing more will come of it; its head stays known.
    pub(super) fn end(&mut self, id: SourceId) {
        self.sources.change(id, |source| {
            source.state = State::Ended;
            source.identity.inode = Inode::NONE;
            (source.handle, source.aside) = (None, None);
            source.told = true;
        });
        self.again();
    }

    /// Decides on doubts that no copy has resolved in a whole scan after they arose.
    pub(super) fn settle_doubts(&mut self) {
        let doubted = self.sources.iter().filter_map(|source| match source.state {
            State::Doubted { shorter, scans } => Some((source.identity.id, shorter, scans)),
            _ => None,
        });
        for (id, shorter, scans) in doubted.collect::<Vec<_>>() {
            if scans == 0 {
                self.sources.change(id, |source| source.state = State::Doubted { shorter, scans: 1 });
                self.again();
            } else if !self.held.values().any(|held| held.may_be_of(id)) {
                self.settle(id, shorter);
            }
        }
    }

    fn settle(&mut self, id: SourceId, shorter: bool) {
        let source = self.sources.get(id).expect("it was there");
        let (path, lost_bytes_min) = (source.path.clone(), source.unread());
        self.end(id);
        self.changes.push(match shorter {
            true => Change::Truncated { id, path, lost_bytes_min },
            false => Change::Rewritten { id, path, lost_bytes_min },
        });
    }
}
