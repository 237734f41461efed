//! The follower: what it is told and asked, and the scan.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use longshore_core::limits::{FOLLOW_COMPARE_BYTES, FOLLOW_TICK_MS};
use rustix::fs::{FileType, OFlags};
use xxhash_rust::xxh3::xxh3_64;

use super::aside::Folders;
use super::comparing::Comparing;
use super::content::stored_head;
use super::head::Head;
use super::identity::{Identity, Inode, Position, Signature, SourceId, Stat};
use super::known::{Source, Sources, State};
use super::newcomers::Held;
use super::refused::{Refusals, Refused};
use super::schedule::Schedule;
use super::tail::Tail;
use super::watch::{Hint, Watch};
use super::{Change, FollowOptions, KnownSource, OpenError, Refusal};
use crate::input::Compression;
use crate::patterns::{self, PatternError, Patterns};

/// Follows files; see [`follow`](super).
pub struct Follower {
    pub(super) patterns: Patterns,
    /// Patterns that no file is there for, as of the last scan.
    pub(super) empty: Vec<PathBuf>,
    handles_max: usize,
    pub(super) let_go: Duration,
    /// What was looked through in this scan.
    pub(super) folders: Folders,
    pub(super) watch: Option<Watch>,
    pub(super) schedule: Schedule,
    pub(super) sources: Sources,
    /// Files that may be copies.
    pub(super) held: HashMap<Inode, Held>,
    /// Files that had nothing but what a source has when they were compared with its file, which may have grown since.
    pub(super) parts: HashMap<Inode, (SourceId, Signature)>,
    refused: Refusals,
    /// The file at each path, of the last scan.
    pub(super) paths: HashMap<PathBuf, At>,
    /// Paths to files that have another name, of the last scan, and whether that was told.
    pub(super) other_names: HashMap<PathBuf, (Inode, bool)>,
    pub(super) changes: Vec<Change>,
    /// Regular scans so far.
    pub(super) scans: u64,
    /// Some file has content that is no source yet.
    pub(super) in_doubt: bool,
    /// Heads that were read so far.
    heads_read: u64,
    /// Newcomers that are being compared with sources.
    pub(super) comparing: VecDeque<Comparing>,
    /// Bytes of content that this scan may yet compare.
    pub(super) compare_left: u64,
    told_scan_only: bool,
    /// The clock that files' times are by.
    pub(super) now: fn() -> SystemTime,
}

/// A file that a path leads to.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

/// What a look at the file of a source says.
pub(super) struct Look {
    /// Its first bytes as stored.
    pub(super) head: Vec<u8>,
    /// It begins as it did, and has what was read last where it was.
    pub(super) same: bool,
    /// What the system says of it after that.
    pub(super) stat: Stat,
}

/// What a path led to in the last scan.
#[derive(Debug)]
pub(super) struct At {
    pub(super) inode: Inode,
    /// Where that is, without links; `None` for a path without wildcards, whose links are followed.
    pub(super) real: Option<PathBuf>,
    /// Links that a wildcard found are on the way.
    pub(super) linked: bool,
}

impl Follower {
    /// Follows `options.patterns`, knowing some sources of earlier runs. Nothing is looked at yet.
    pub fn new(options: &FollowOptions, known: impl IntoIterator<Item = KnownSource>) -> Result<Self, PatternError> {
        let mut follower = Follower {
            patterns: Patterns::new(&options.patterns)?,
            empty: Vec::new(),
            handles_max: options.handles_max,
            let_go: options.let_go,
            folders: Folders::default(),
            watch: None,
            schedule: Schedule::default(),
            sources: Sources::default(),
            held: HashMap::new(),
            parts: HashMap::new(),
            refused: Refusals::default(),
            paths: HashMap::new(),
            other_names: HashMap::new(),
            changes: Vec::new(),
            scans: 0,
            in_doubt: false,
            heads_read: 0,
            comparing: VecDeque::new(),
            compare_left: 0,
            told_scan_only: false,
            now: SystemTime::now,
        };
        if options.events {
            match Watch::new() {
                Ok(watch) => follower.watch = Some(watch),
                Err(error) => follower.scan_only(format!("inotify cannot be used: {error}")),
            }
        } else {
            follower.schedule.scan_only = true;
        }
        for source in known {
            follower.know(source);
        }
        Ok(follower)
    }

    /// A source of an earlier run. Those that come later were found later.
    fn know(&mut self, KnownSource { identity, position, path }: KnownSource) {
        // A file that was truncated after it was copied is another source's by now; the earlier run ended before it could
        // note that the first goes on in the copy.
        if let Some(earlier) = self.sources.of_inode(&identity.inode) {
            self.sources.change(earlier, |source| {
                source.state = State::Doubted { shorter: true, scans: 0 };
                source.identity.inode = Inode::NONE;
            });
        }
        let ended = identity.inode == Inode::NONE;
        self.sources.insert(Source {
            identity,
            path,
            aside: None,
            position,
            state: if ended { State::Ended } else { State::Live { scans_missed: 0 } },
            size: position.stored.max(identity.seen_bytes),
            signature: None,
            left: identity.left,
            told: ended,
            handle: None,
            used: 0,
            epoch: 0,
        });
    }

    /// Waits until something changed, for so long at most, and says what.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        let deadline = Instant::now() + timeout;
        loop {
            self.take_hints();
            let begin = Instant::now();
            if let Some(regular) = self.schedule.due(begin) {
                self.scan_once(regular);
                self.schedule.ran(begin, Instant::now(), regular);
            }
            let compares = self.compare_on();
            let now = Instant::now();
            if !self.changes.is_empty() || now >= deadline {
                return std::mem::take(&mut self.changes);
            }
            let until = self.schedule.next().map_or(now, |next| next.min(deadline));
            if compares {
                continue;
            }
            let rest = until.saturating_duration_since(now);
            match &self.watch {
                Some(watch) => watch.block(rest),
                None => std::thread::sleep(rest),
            }
        }
    }

    /// Takes what events say, without waiting, and scans if they ask for it.
    pub fn poll(&mut self) -> Vec<Change> {
        self.take_hints();
        if self.schedule.wanted {
            self.scan_once(false);
        }
        std::mem::take(&mut self.changes)
    }

    /// Looks at everything now.
    pub fn scan(&mut self) -> Vec<Change> {
        self.scan_once(true);
        std::mem::take(&mut self.changes)
    }

    /// What a source is known by at the moment: with its position, what a later run needs of it.
    pub fn identity(&self, id: SourceId) -> Option<Identity> {
        self.sources.get(id).map(Source::identity)
    }

    /// How much of a source was read.
    pub fn position(&self, id: SourceId) -> Option<Position> {
        self.sources.get(id).map(|source| source.position)
    }

    /// All sources, as a later run needs them.
    pub fn known(&self) -> Vec<KnownSource> {
        let known = |source: &Source| KnownSource {
            identity: source.identity(),
            position: source.position,
            path: source.path.clone(),
        };
        self.sources.iter().map(known).collect()
    }

    /// Paths that are not followed at the moment.
    pub fn refused(&self) -> impl Iterator<Item = Refused> {
        self.refused.all()
    }

    /// Patterns, as written, that no file is there for, as of the last scan.
    pub fn without_files(&self) -> &[PathBuf] {
        &self.empty
    }

    /// Files that are kept open.
    pub fn handles(&self) -> usize {
        self.sources.handles()
    }

    /// How often a file's head was read so far: files that do not change cost none.
    pub fn heads_read(&self) -> u64 {
        self.heads_read
    }

    /// Its file. Whoever keeps the handle keeps the file open: give it back with a slice or so.
    pub fn open(&mut self, id: SourceId) -> Result<Arc<File>, OpenError> {
        let source = self.sources.get(id).ok_or(OpenError::Unknown)?;
        match source.state {
            // Where it was, another file may be by now, or none; what is there is told by the next scan.
            State::Vanished if source.handle.is_none() && source.aside.is_none() => Err(OpenError::Moved),
            State::Live { .. } | State::Aside { .. } | State::Vanished => self.handle(id, None),
            State::Doubted { .. } => Err(OpenError::Moved),
            State::Ended => Err(OpenError::Unknown),
        }
    }

    /// To be called after `file` was read up to `position`, before the bytes are used. True if they are the source's, whose
    /// position it is from now on. If not, the file was truncated or replaced: the bytes are to be thrown away, and the
    /// next change tells more.
    ///
    /// `before` are bytes of the content that end at the position, as many as are at hand.
    pub fn confirm(&mut self, id: SourceId, file: &File, position: Position, before: &[u8]) -> bool {
        let Some(source) = self.sources.get(id) else { return false };
        let readable = matches!(source.state, State::Live { .. } | State::Aside { .. } | State::Vanished);
        let (identity, heads_read) = (source.identity, &mut self.heads_read);
        let plain = identity.compression == Compression::Plain;
        let mut look = || -> io::Result<Option<Tail>> {
            *heads_read += 1;
            let head = stored_head(file)?;
            let is_there = !plain || identity.tail.is_in(file)?;
            let tail = match plain {
                true => Tail::read(file, position.content, before)?,
                false if before.is_empty() => Some(identity.tail),
                false => Some(Tail::of(before, position.content)),
            };
            let stat = Stat::of_file(file)?;
            let whole = stat.signature.size >= position.stored && stat.inode == identity.inode;
            Ok(tail.filter(|_| is_there && whole && identity.stored.begins(&head)))
        };
        match look() {
            Ok(Some(tail)) if readable => {
                self.sources.change(id, |source| (source.position, source.identity.tail) = (position, tail));
                true
            }
            _ => {
                self.schedule.wanted = true;
                false
            }
        }
    }

    /// Asks for a scan soon.
    pub(super) fn again(&mut self) {
        self.schedule.wanted = true;
    }

    /// The open file of a source; opened where it was, or at `path`, if it is still the same.
    pub(super) fn handle(&mut self, id: SourceId, path: Option<&Path>) -> Result<Arc<File>, OpenError> {
        let source = self.sources.get(id).ok_or(OpenError::Unknown)?;
        if let Some(handle) = source.handle.clone() {
            self.sources.used(id);
            return Ok(handle);
        }
        let inode = source.identity.inode;
        let opened = match (path, &source.aside) {
            (None, Some(aside)) => open_aside(aside)?,
            (path, _) => self.open_at(path.unwrap_or(&source.path))?,
        };
        let file = match opened {
            Some((file, stat)) if stat.inode == inode => Arc::new(file),
            _ => {
                self.again();
                return Err(OpenError::Moved);
            }
        };
        self.keep(id, &file);
        Ok(file)
    }

    /// Opens the regular file that a path leads to, by the way that the last scan found and judged; `None` if that leads
    /// elsewhere by now.
    pub(super) fn open_at(&self, path: &Path) -> io::Result<Option<(File, Stat)>> {
        let Some(at) = self.paths.get(path) else { return Ok(None) };
        let opened = match &at.real {
            Some(real) => patterns::open_without_links(real),
            None => open(path),
        };
        let file = match opened {
            Err(error) if patterns::is_elsewhere(&error) => return Ok(None),
            opened => opened?,
        };
        let stat = Stat::of_file(&file)?;
        let same = stat.kind == FileType::RegularFile && (at.real.is_none() || stat.inode == at.inode);
        Ok(same.then_some((file, stat)))
    }

    /// Keeps a file open, as long as there are not too many.
    pub(super) fn keep(&mut self, id: SourceId, file: &Arc<File>) {
        self.sources.used(id);
        self.sources.change(id, |source| source.handle = Some(file.clone()));
        self.sources.close_idle(self.handles_max);
    }

    /// Looks at the file of a source.
    pub(super) fn look(&mut self, id: SourceId, file: &File) -> io::Result<Look> {
        self.heads_read += 1;
        let source = self.sources.get(id).expect("a source that is known");
        let head = stored_head(file)?;
        let Identity { stored, tail, compression, .. } = source.identity;
        let same = stored.begins(&head) && (compression != Compression::Plain || tail.is_in(file)?);
        Ok(Look { head, same, stat: Stat::of_file(file)? })
    }

    /// What the next look may be compared with; nothing if the file changed so lately that its times may stay as they are
    /// when it changes again.
    pub(super) fn trusted(&self, signature: Signature) -> Option<Signature> {
        let now = (self.now)().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i128);
        (now - signature.changed_ns > i128::from(FOLLOW_TICK_MS) * 1_000_000).then_some(signature)
    }

    /// Tells why a path is not followed, unless that was told.
    pub(super) fn refuse(&mut self, path: &Path, why: Refusal) {
        if self.refused.note(path, &why) {
            self.changes.push(Change::Refused { path: path.to_owned(), why });
        }
    }

    /// The path is followed: the next refusal is told.
    pub(super) fn accept(&mut self, path: &Path) {
        self.refused.over(path);
    }

    /// An id that no other source has: by the file, the time its inode changed, and a number.
    pub(super) fn new_id(&self, stat: &Stat) -> SourceId {
        let words = [
            u128::from(stat.inode.device),
            u128::from(stat.inode.number),
            u128::from(stat.inode.born_ns),
            stat.signature.changed_ns as u128,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let first = xxh3_64(&bytes);
        let ids = (0..).map(|number: u64| SourceId(first.wrapping_add(number)));
        ids.into_iter().find(|id| self.sources.get(*id).is_none()).expect("not all ids are taken")
    }

    pub(super) fn scan_only(&mut self, why: String) {
        self.schedule.scan_only = true;
        if !std::mem::replace(&mut self.told_scan_only, true) {
            self.changes.push(Change::ScanOnly { why });
        }
    }

    /// Looks where events point to.
    fn take_hints(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let mut written = HashSet::new();
        for hint in watch.hints() {
            match hint {
                Hint::Written(path) => {
                    written.insert(path);
                }
                Hint::Named(path) => {
                    let concerns = self.paths.contains_key(&path)
                        || self.patterns.list.iter().any(|pattern| pattern.concerns(&path));
                    self.schedule.wanted |= concerns;
                }
                Hint::Anything => self.schedule.wanted = true,
            }
        }
        for path in written {
            self.look_at_written(path);
        }
    }

    fn look_at_written(&mut self, path: PathBuf) {
        let Ok(stat) = Stat::of_path(&path) else { return self.again() };
        match self.sources.of_inode(&stat.inode) {
            Some(id) => match self.sources.get(id).expect("a source with a file") {
                Source { state: State::Live { .. }, path, .. } => {
                    // By the name that it has: a symbolic link's target is written to under another.
                    let path = path.clone();
                    self.look_at_known(id, &Seen { path, stat });
                }
                Source { state: State::Aside { .. } | State::Vanished, .. } => self.look_aside(id),
                Source { state: State::Doubted { .. } | State::Ended, .. } => self.again(),
            },
            _ if self.paths.contains_key(&path) || self.held.contains_key(&stat.inode) => self.again(),
            _ => {}
        }
    }

    /// One scan: what is there, what became of the sources, who is new.
    fn scan_once(&mut self, regular: bool) {
        self.scans += u64::from(regular);
        self.schedule.wanted = false;
        self.refused.begin();
        self.compare_left = FOLLOW_COMPARE_BYTES;
        let seen = self.expand();
        self.watch_folders();
        let there: HashSet<Inode> = seen.iter().map(|seen| seen.stat.inode).collect();
        self.tell_other_names(&seen);
        let mut done = HashSet::new();
        let mut newcomers = Vec::new();
        for seen in seen {
            if !done.insert(seen.stat.inode) {
                continue;
            }
            match self.sources.of_inode(&seen.stat.inode) {
                Some(id) => {
                    let seen = Seen { path: self.name_of(id, seen.path), ..seen };
                    self.look_at_known(id, &seen);
                    // It was unbound: it is another file with the same number.
                    if self.sources.of_inode(&seen.stat.inode).is_none() {
                        newcomers.push(seen);
                    }
                }
                None => newcomers.push(seen),
            }
        }
        self.look_for_missing(&there);
        self.held.retain(|inode, _| there.contains(inode));
        self.parts.retain(|inode, _| there.contains(inode));
        self.comparing.retain(|of| there.contains(&of.inode) && self.sources.of_inode(&of.inode).is_none());
        // A copy is younger than what it is of, which has to be known first.
        newcomers.sort_by_key(|seen| seen.stat.inode.born_ns);
        self.in_doubt = self.sources.iter().any(|source| matches!(source.state, State::Doubted { .. }));
        for seen in newcomers {
            self.look_at_newcomer(seen);
        }
        self.settle_doubts();
        while let Some(id) = self.sources.forget() {
            self.changes.push(Change::Forgotten { id });
        }
        self.refused.end();
        self.folders = Folders::default();
    }

    /// A source keeps its name while that leads to it, whatever other names it has.
    fn name_of(&self, id: SourceId, found: PathBuf) -> PathBuf {
        match self.sources.get(id) {
            Some(source) if self.leads_to(&source.path, source.identity.inode) => source.path.clone(),
            _ => found,
        }
    }

    /// Whether a path led to this file in the last scan.
    pub(super) fn leads_to(&self, path: &Path, inode: Inode) -> bool {
        self.paths.get(path).is_some_and(|at| at.inode == inode)
    }
}

/// Opens what a path names without waiting, should it have become a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Opens the file that is known to be at a path, and not what a link there leads to.
fn open_aside(path: &Path) -> io::Result<Option<(File, Stat)>> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => Stat::of_file(&file).map(|stat| Some((file, stat))),
        Err(error) if patterns::is_elsewhere(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The head of a content: the one known if it is as long, else that of the bytes.
pub(super) fn longer(known: Head, bytes: &[u8]) -> Head {
    let head = Head::of(bytes);
    if head.length() > known.length() { head } else { known }
}
