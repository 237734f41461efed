//! Files that grow, are renamed, copied and truncated, go away and come back, and cannot always be read.
//!
//! This is the twin of the feed's port to the follower, which keeps the follower's promises: a source is a content,
//! whatever file it is in; what is read counts once it is confirmed; a source that the journal knew keeps its id, one that
//! it did not know gets another; what no path leads to any more is read until its writer lets go of it. What became of a content is told late, in part, or again after a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_ingest::content::Prefix;
use longshore_ingest::files::{Files, ReadEnd, ReadError};
use longshore_ingest::follow::{Away, Change, Head, Identity, Inode, KnownSource, Position, SourceId, Tail};
use longshore_ingest::input::Compression;

use crate::clickhouse::LedgerRow;
use crate::env::{Call, Env, Life, lock};

/// A content, from its first byte to its last.
#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    path: PathBuf,
    /// Number of the file that it is in.
    inode: u64,
    /// A path leads to it.
    is_there: bool,
    /// None does, and its writer goes on.
    is_aside: bool,
    /// There was a time when none did.
    was_away: bool,
}

/// All contents, by number; clones are the same.
#[derive(Debug, Clone)]
pub struct Folder {
    env: Env,
    contents: Arc<Mutex<Vec<Content>>>,
}

impl Folder {
    /// An empty one.
    pub fn new(env: Env) -> Folder {
        Folder { env, contents: Arc::default() }
    }

    /// A file with nothing in it; returns the number of its content.
    pub fn create(&self, path: &str) -> usize {
        let mut contents = lock(&self.contents);
        let inode = contents.len() as u64;
        contents.push(Content { path: path.into(), inode, is_there: true, ..Content::default() });
        contents.len() - 1
    }

    /// Writes at the end.
    pub fn append(&self, content: usize, bytes: &[u8]) {
        lock(&self.contents)[content].bytes.extend_from_slice(bytes);
    }

    /// Bytes of a content.
    pub fn length(&self, content: usize) -> u64 {
        lock(&self.contents)[content].bytes.len() as u64
    }

    /// Its file has another name, or is another file of the same content: a copy, of which the original is truncated.
    pub fn rotate(&self, content: usize, path: &str, copied: bool) {
        let mut contents = lock(&self.contents);
        contents[content].path = path.into();
        contents[content].inode += if copied { 1_000 } else { 0 };
    }

    /// The content that has a slice at that place, by the hashes of what stands before it and of that with it.
    pub(crate) fn content_with(&self, row: &LedgerRow) -> Option<usize> {
        let digest = |bytes: &[u8]| {
            let mut prefix = Prefix::default();
            prefix.update(bytes);
            prefix.digest()
        };
        let has = |content: &Content| {
            let range = (content.bytes.get(..row.start as usize), content.bytes.get(..row.end as usize));
            matches!(range, (Some(before), Some(all)) if digest(before) == row.before && digest(all) == row.after)
        };
        lock(&self.contents).iter().position(has)
    }

    /// It goes away or comes back.
    pub fn show(&self, content: usize, is_there: bool) {
        let content = &mut lock(&self.contents)[content];
        (content.is_there, content.is_aside) = (is_there, false);
        content.was_away |= !is_there;
    }

    /// It is renamed to where no path leads, and its writer goes on.
    pub fn set_aside(&self, content: usize) {
        let content = &mut lock(&self.contents)[content];
        (content.is_there, content.is_aside) = (false, true);
    }

    /// Whether no path leads to it and its writer goes on.
    pub fn is_aside(&self, content: usize) -> bool {
        lock(&self.contents)[content].is_aside
    }

    /// Whether it ever was away.
    pub fn was_away(&self, content: usize) -> bool {
        lock(&self.contents)[content].was_away
    }

    /// Whether a path leads to it.
    pub fn is_there(&self, content: usize) -> bool {
        lock(&self.contents)[content].is_there
    }
}

/// Bits of a source's id that are the number of its content; the others tell those apart that were not journaled.
const CONTENT_BITS: u32 = 16;

/// The content that a source's id stands for.
pub fn content_of(id: u64) -> usize {
    (id & ((1 << CONTENT_BITS) - 1)) as usize
}

/// What was told of a content.
#[derive(Debug, Clone)]
struct Told {
    id: SourceId,
    /// It was told at all, in this run.
    found: bool,
    path: PathBuf,
    inode: u64,
    size: u64,
    is_there: bool,
    /// That it is read though no path leads to it.
    is_aside: bool,
    position: u64,
}

/// An engine's view of a folder.
#[derive(Debug)]
pub struct FollowedFolder {
    folder: Folder,
    life: Life,
    told: BTreeMap<usize, Told>,
    /// What was read last, until it is confirmed.
    last: Option<SourceId>,
    /// Its file was truncated and is written anew, while its content goes on in a copy: so it is until the next look.
    written_over: Option<SourceId>,
}

impl FollowedFolder {
    /// Follows a folder, knowing sources of earlier runs.
    pub fn follow(folder: &Folder, life: Life, known: &[KnownSource]) -> FollowedFolder {
        let told = known.iter().map(|source| {
            let id = source.identity.id;
            let (path, inode, position) = (PathBuf::new(), 0, source.position.content);
            (
                content_of(id.0),
                Told { id, found: false, path, inode, size: 0, is_there: false, is_aside: false, position },
            )
        });
        FollowedFolder { folder: folder.clone(), life, told: told.collect(), last: None, written_over: None }
    }

    /// What changed of a content, if anything is told of it now.
    fn change(&mut self, number: usize, content: &Content) -> Option<Change> {
        let env = &self.folder.env;
        // Looks come late, and while somebody writes.
        if env.fault("a change is told late", 4) {
            return None;
        }
        let length = content.bytes.len() as u64;
        let seen = if env.fault("a size is told in part", 4) { env.below(length as usize + 1) as u64 } else { length };
        let nonce = env.word() << CONTENT_BITS;
        let new = || Told {
            id: SourceId(nonce | number as u64),
            found: false,
            path: content.path.clone(),
            inode: content.inode,
            size: 0,
            is_there: true,
            is_aside: false,
            position: 0,
        };
        let is_new = !self.told.contains_key(&number);
        if is_new && (!content.is_there || seen == 0) {
            return None;
        }
        let told = self.told.entry(number).or_insert_with(new);
        let size = seen.max(told.size).max(told.position);
        let before = std::mem::replace(
            told,
            Told { path: content.path.clone(), inode: content.inode, size, is_there: content.is_there, ..told.clone() },
        );
        let Told { id, position, .. } = *told;
        let (path, compression, position) = (content.path.clone(), Compression::Plain, Position::plain(position));
        match (before.found, content.is_there) {
            (false, false) => return None,
            (false, true) => told.found = true,
            (true, _) => {}
        }
        // What a run has seen and has open it goes on reading. Another one has to wait until it is back.
        told.is_aside = !content.is_there && content.is_aside && (before.is_there && before.found || before.is_aside);
        match (before.found, before.is_there, content.is_there) {
            (true, true, false) if told.is_aside => {
                Some(Change::Vanished { id, path, away: Away::Open, lost_bytes_min: 0 })
            }
            (true, false, false) if told.is_aside => (size > before.size).then_some(Change::Grew { id, size }),
            (true, false, false) if before.is_aside => Some(Change::LetGo { id }),
            (false, _, _) => Some(Change::Found { id, path, compression, size, position }),
            (true, true, false) => Some(Change::Vanished { id, path, away: Away::Closed, lost_bytes_min: 0 }),
            (true, false, true) => Some(Change::Back { id, path, compression, size, position }),
            (true, false, false) => None,
            (true, true, true) if (&before.path, before.inode) != (&content.path, content.inode) => {
                Some(Change::Rotated { id, path, compression, size, position })
            }
            (true, true, true) => (size > before.size).then_some(Change::Grew { id, size }),
        }
    }
}

impl Files for FollowedFolder {
    fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        let folder = self.folder.clone();
        folder.env.pass(timeout.min(Duration::from_millis(50)));
        if self.life.call() != Call::Made {
            return Vec::new();
        }
        self.written_over = None;
        let contents = lock(&folder.contents);
        let changes: Vec<Change> =
            contents.iter().enumerate().filter_map(|(number, content)| self.change(number, content)).collect();
        for change in &changes {
            folder.env.note(format_args!("told: {change:?}"));
        }
        changes
    }

    fn read(&mut self, id: SourceId, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<ReadEnd, ReadError> {
        let env = &self.folder.env;
        self.last = None;
        if self.life.call() != Call::Made || env.fault("a read fails", 12) {
            return Err(ReadError::Failed(io::Error::from_raw_os_error(5)));
        }
        let contents = lock(&self.folder.contents);
        let content = &contents[content_of(id.0)];
        if !content.is_there && !content.is_aside && (env.is_calm() || env.once_in(2)) {
            return Err(ReadError::Gone);
        }
        let rest = content.bytes.get(at as usize..).unwrap_or_default();
        into.extend_from_slice(&rest[..rest.len().min(bytes)]);
        if env.fault("a file is written over while it is read", 12) {
            self.written_over = Some(id);
        }
        self.last = Some(id);
        if self.written_over == self.last {
            self.last = None;
            into.iter_mut().for_each(|byte| *byte = byte.rotate_left(1));
        }
        Ok(ReadEnd::Open)
    }

    fn confirm(&mut self, id: SourceId, position: u64) -> bool {
        if self.life.call() != Call::Made || self.last.take() != Some(id) {
            return false;
        }
        let told = self.told.get_mut(&content_of(id.0)).expect("it was read, so it was told");
        told.position = told.position.max(position);
        true
    }

    fn identity(&self, id: SourceId) -> Option<Identity> {
        let number = content_of(id.0);
        self.told.get(&number).filter(|told| told.id == id)?;
        let contents = lock(&self.folder.contents);
        let Content { bytes, inode, .. } = &contents[number];
        let head = Head::of(bytes);
        let inode = Inode { device: 1, number: *inode, born_ns: 1 };
        Some(Identity {
            id,
            inode,
            compression: Compression::Plain,
            stored: head,
            content: head,
            tail: Tail::default(),
            seen_bytes: 0,
            left: false,
        })
    }
}
