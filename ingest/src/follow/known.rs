//! What the follower keeps of each source, and the indices over it.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use longshore_core::limits::{FOLLOW_ENDED_MAX, FOLLOW_HEAD_BYTES_MIN, FOLLOW_LIKE_MAX};

use super::head::Head;
use super::identity::{Identity, Inode, Position, Signature, SourceId};

/// Where a source stands; see the diagram of [`follow`](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its file is there, or was in all but the last few scans.
    Live { scans_missed: u8 },
    /// No path leads to its file, which grew last at this time: its writer may go on.
    Aside { since: Instant },
    /// Its file has other content; a copy may have its own.
    Doubted { shorter: bool, scans: u8 },
    /// No path leads to its file, and nothing more is expected of it.
    Vanished,
    /// It has no file.
    Ended,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) identity: Identity,
    pub(super) path: PathBuf,
    /// Where its file is, if no path leads there.
    pub(super) aside: Option<PathBuf>,
    pub(super) position: Position,
    pub(super) state: State,
    /// Bytes of its file at the last look.
    pub(super) size: u64,
    /// Its file at the last look; `None` if it has to be looked at whatever the system says.
    pub(super) signature: Option<Signature>,
    /// An earlier run had seen its end, or said what was lost of it.
    pub(super) left: bool,
    /// It was told of in this run.
    pub(super) told: bool,
    pub(super) handle: Option<Arc<File>>,
    /// When it was used last, in the order of uses.
    pub(super) used: u64,
    /// Changes with whatever may change what a copy of it is taken for.
    pub(super) epoch: u32,
}

impl Source {
    /// As a later run needs it.
    pub(super) fn identity(&self) -> Identity {
        let seen_bytes = if self.unread() > 0 { self.size } else { 0 };
        let readable = self.handle.is_some() || self.aside.is_some();
        let left = match self.state {
            State::Vanished => self.unread() == 0 || !readable,
            State::Ended => true,
            State::Live { .. } | State::Aside { .. } | State::Doubted { .. } => false,
        };
        Identity { seen_bytes, left, ..self.identity }
    }

    pub(super) fn unread(&self) -> u64 {
        self.size.saturating_sub(self.position.stored)
    }
}

/// All sources.
#[derive(Debug, Default)]
pub(super) struct Sources {
    by_id: HashMap<SourceId, Source>,
    by_inode: HashMap<Inode, SourceId>,
    /// By length and hash of the content's head.
    heads: BTreeSet<(usize, u64, SourceId)>,
    /// By hashes of shorter beginnings.
    steps: BTreeSet<(u8, u64, SourceId)>,
    /// Those with a handle, the one that is missed least first: those that no path leads to last.
    open: BTreeSet<(bool, u64, SourceId)>,
    /// Those that ended or vanished, by age.
    ended: BTreeSet<(u64, SourceId)>,
    clock: u64,
}

impl Sources {
    pub(super) fn get(&self, id: SourceId) -> Option<&Source> {
        self.by_id.get(&id)
    }

    pub(super) fn of_inode(&self, inode: &Inode) -> Option<SourceId> {
        self.by_inode.get(inode).copied()
    }

    pub(super) fn ids(&self) -> Vec<SourceId> {
        self.by_id.keys().copied().collect()
    }

    pub(super) fn files(&self) -> usize {
        self.by_inode.len()
    }

    pub(super) fn handles(&self) -> usize {
        self.open.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.by_id.values()
    }

    pub(super) fn insert(&mut self, source: Source) {
        let id = source.identity.id;
        if source.identity.inode != Inode::NONE {
            self.by_inode.insert(source.identity.inode, id);
        }
        let old = self.by_id.insert(id, source);
        assert!(old.is_none(), "ids are given once");
        self.index(id, true);
    }

    /// Changes a source, and the indices with it.
    pub(super) fn change<T>(&mut self, id: SourceId, change: impl FnOnce(&mut Source) -> T) -> T {
        self.index(id, false);
        let source = self.by_id.get_mut(&id).expect("a source that is known");
        let (inode, state) = (source.identity.inode, source.state);
        let out = change(source);
        if source.state != state && matches!(source.state, State::Ended | State::Vanished) {
            self.clock += 1;
            source.used = self.clock;
        }
        if source.state != state || source.identity.inode != inode {
            source.epoch += 1;
        }
        if self.by_inode.get(&inode) == Some(&id) {
            self.by_inode.remove(&inode);
        }
        if source.identity.inode != Inode::NONE {
            self.by_inode.insert(source.identity.inode, id);
        }
        self.index(id, true);
        out
    }

    /// Notes a use: the handle is kept longer.
    pub(super) fn used(&mut self, id: SourceId) {
        self.clock += 1;
        let now = self.clock;
        self.change(id, |source| source.used = now);
    }

    fn index(&mut self, id: SourceId, add: bool) {
        let source = &self.by_id[&id];
        let head = &source.identity.content;
        put(&mut self.heads, (head.length(), head.hash(), id), add);
        for (step, hash) in head.steps() {
            put(&mut self.steps, (step, hash, id), add);
        }
        let pinned = source.aside.is_none()
            && match source.state {
                State::Aside { .. } => true,
                State::Vanished => source.unread() > 0,
                State::Live { .. } | State::Doubted { .. } | State::Ended => false,
            };
        put(&mut self.open, (pinned, source.used, id), add && source.handle.is_some());
        put(&mut self.ended, (source.used, id), add && matches!(source.state, State::Ended | State::Vanished));
    }

    /// Closes files until at most `handles_max` are open. Those that would be lost stay open.
    pub(super) fn close_idle(&mut self, handles_max: usize) {
        while self.open.len() > handles_max {
            let Some(&(false, _, id)) = self.open.first() else { return };
            self.change(id, |source| source.handle = None);
        }
    }

    /// Takes out the oldest of those that ended, if there are too many.
    pub(super) fn forget(&mut self) -> Option<SourceId> {
        let too_many = self.ended.len() > FOLLOW_ENDED_MAX;
        let oldest = self.ended.iter().map(|(_, id)| *id).find(|id| too_many && self.by_id[id].handle.is_none())?;
        self.index(oldest, false);
        let source = self.by_id.remove(&oldest).expect("it is in the index");
        if self.by_inode.get(&source.identity.inode) == Some(&oldest) {
            self.by_inode.remove(&source.identity.inode);
        }
        Some(oldest)
    }

    /// Sources whose content these bytes begin with, or may be the beginning of: those that lost their file first, then
    /// those with the longest head.
    pub(super) fn like(&self, content: &[u8]) -> Vec<SourceId> {
        let mut found = Vec::new();
        let mut length = FOLLOW_HEAD_BYTES_MIN;
        while let Some(&(next, ..)) = self.heads.range((length, 0, SourceId(0))..).next() {
            let Some(beginning) = content.get(..next) else { break };
            let hash = Head::of(beginning).hash();
            let equal = (next, hash, SourceId(0))..=(next, hash, SourceId(u64::MAX));
            found.extend(self.heads.range(equal).map(|(_, _, id)| *id));
            length = next + 1;
        }
        if let Some((step, hash)) = Head::of(content).steps().last() {
            let equal = (step, hash, SourceId(0))..=(step, hash, SourceId(u64::MAX));
            let longer = self.steps.range(equal).map(|(_, _, id)| *id);
            found.extend(longer.filter(|id| self.by_id[id].identity.content.length() > content.len()));
        }
        found.sort_by_key(|id| {
            let source = &self.by_id[id];
            let rank = match source.state {
                State::Doubted { .. } => 0,
                State::Aside { .. } | State::Vanished => 1,
                State::Live { .. } => 2,
                State::Ended => 3,
            };
            (rank, usize::MAX - source.identity.content.length(), *id)
        });
        found.truncate(FOLLOW_LIKE_MAX);
        found
    }
}

fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, add: bool) {
    if add {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
