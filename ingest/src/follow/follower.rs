//! The follower: what it is told and asked, and the scan.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use longshore_core::limits::FOLLOW_TICK_MS;
use rustix::fs::{FileType, OFlags};
use xxhash_rust::xxh3::xxh3_64;

use super::content::stored_head;
use super::head::Head;
use super::identity::{Identity, Inode, Position, Signature, SourceId, Stat};
use super::known::{Source, Sources, State};
use super::newcomers::Held;
use super::patterns::PathPattern;
use super::schedule::Schedule;
use super::watch::{Hint, Watch};
use super::{Change, FollowError, FollowOptions, KnownSource, OpenError, Refusal};

/// Follows files; see [`follow`](super).
pub struct Follower {
    pub(super) patterns: Vec<PathPattern>,
    handles_max: usize,
    watch: Option<Watch>,
    schedule: Schedule,
    pub(super) sources: Sources,
    /// Files that may be copies.
    pub(super) held: HashMap<Inode, Held>,
    refused: HashMap<PathBuf, Refusal>,
    /// The file at each path, of the last scan.
    pub(super) paths: HashMap<PathBuf, Inode>,
    pub(super) changes: Vec<Change>,
    /// Regular scans so far.
    pub(super) scans: u64,
    /// Some file has content that is no source yet.
    pub(super) in_doubt: bool,
    /// Heads that were read so far.
    heads_read: u64,
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

impl Follower {
    /// Follows `options.patterns`, knowing some sources of earlier runs. Nothing is looked at yet.
    pub fn new(options: &FollowOptions, known: impl IntoIterator<Item = KnownSource>) -> Result<Self, FollowError> {
        let patterns = options.patterns.iter().map(|path| PathPattern::new(path)).collect::<Result<_, _>>()?;
        let mut follower = Follower {
            patterns,
            handles_max: options.handles_max,
            watch: None,
            schedule: Schedule::default(),
            sources: Sources::default(),
            held: HashMap::new(),
            refused: HashMap::new(),
            paths: HashMap::new(),
            changes: Vec::new(),
            scans: 0,
            in_doubt: false,
            heads_read: 0,
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
    fn know(&mut self, KnownSource { identity, position }: KnownSource) {
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
            path: PathBuf::new(),
            position,
            state: if ended { State::Ended } else { State::Live { scans_missed: 0 } },
            size: position.stored,
            signature: None,
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
            let now = Instant::now();
            if !self.changes.is_empty() || now >= deadline {
                return std::mem::take(&mut self.changes);
            }
            let until = self.schedule.next().map_or(now, |next| next.min(deadline));
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
        self.sources.get(id).map(|source| source.identity)
    }

    /// All sources, as a later run needs them.
    pub fn known(&self) -> Vec<KnownSource> {
        let known = |source: &Source| KnownSource { identity: source.identity, position: source.position };
        self.sources.iter().map(known).collect()
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
            State::Vanished if source.handle.is_none() => Err(OpenError::Moved),
            State::Live { .. } | State::Vanished => self.handle(id, None),
            State::Doubted { .. } | State::Stopped => Err(OpenError::Moved),
            State::Ended => Err(OpenError::Unknown),
        }
    }

    /// To be called after `file` was read up to `position`, before the bytes are used. True if they are the source's, whose
    /// position it is from now on. If not, the file was truncated or replaced: the bytes are to be thrown away, and the
    /// next change tells more.
    pub fn confirm(&mut self, id: SourceId, file: &File, position: Position) -> bool {
        let Some(source) = self.sources.get(id) else { return false };
        let readable = matches!(source.state, State::Live { .. } | State::Vanished);
        let (identity, heads_read) = (source.identity, &mut self.heads_read);
        let mut same = || -> io::Result<bool> {
            *heads_read += 1;
            let head = stored_head(file)?;
            let stat = Stat::of_file(file)?;
            let whole = stat.signature.size >= position.stored && stat.inode == identity.inode;
            Ok(whole && identity.stored.begins(&head))
        };
        if !readable || !same().unwrap_or(false) {
            self.schedule.wanted = true;
            return false;
        }
        self.sources.change(id, |source| source.position = position);
        true
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
        let file = open(path.unwrap_or(&source.path))?;
        if Stat::of_file(&file)?.inode != source.identity.inode {
            self.again();
            return Err(OpenError::Moved);
        }
        let file = Arc::new(file);
        self.keep(id, &file);
        Ok(file)
    }

    /// Keeps a file open, as long as there are not too many.
    pub(super) fn keep(&mut self, id: SourceId, file: &Arc<File>) {
        self.sources.used(id);
        self.sources.change(id, |source| source.handle = Some(file.clone()));
        self.sources.close_idle(self.handles_max);
    }

    /// The first bytes of a file as stored, and what the system says of it after they were read.
    pub(super) fn look(&mut self, file: &File) -> io::Result<(Vec<u8>, Stat)> {
        self.heads_read += 1;
        let head = stored_head(file)?;
        Ok((head, Stat::of_file(file)?))
    }

    /// What the next look may be compared with; nothing if the file changed so lately that its times may stay as they are
    /// when it changes again.
    pub(super) fn trusted(&self, signature: Signature) -> Option<Signature> {
        let now = (self.now)().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i128);
        (now - signature.changed_ns > i128::from(FOLLOW_TICK_MS) * 1_000_000).then_some(signature)
    }

    /// Tells why a path is not followed, unless that was told.
    pub(super) fn refuse(&mut self, path: &Path, why: Refusal) {
        if self.refused.get(path).is_some_and(|told| told.is_like(&why)) {
            return;
        }
        let copy = match &why {
            Refusal::Denied(error) => Refusal::Denied(error.kind().into()),
            Refusal::Damaged(error) => Refusal::Damaged(error.kind().into()),
            Refusal::Other(error) => Refusal::Other(error.kind().into()),
            Refusal::TooMany(_) => Refusal::TooMany(String::new()),
            Refusal::Folder(_) => Refusal::Folder(PathBuf::new()),
            Refusal::Special(kind) => Refusal::Special(kind),
            Refusal::Nothing => Refusal::Nothing,
        };
        self.refused.insert(path.to_owned(), copy);
        self.changes.push(Change::Refused { path: path.to_owned(), why });
    }

    /// The path is followed: the next refusal is told.
    pub(super) fn accept(&mut self, path: &Path) {
        self.refused.remove(path);
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

    fn scan_only(&mut self, why: String) {
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
                    let concerns =
                        self.paths.contains_key(&path) || self.patterns.iter().any(|pattern| pattern.concerns(&path));
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
            Some(id) if self.sources.get(id).is_some_and(|source| matches!(source.state, State::Live { .. })) => {
                // By the name that it has: a symbolic link's target is written to under another.
                let path = self.sources.get(id).map_or(path, |source| source.path.clone());
                self.look_at_known(id, &Seen { path, stat });
            }
            _ if self.paths.contains_key(&path) || self.held.contains_key(&stat.inode) => self.again(),
            _ => {}
        }
    }

    /// One scan: what is there, what became of the sources, who is new.
    fn scan_once(&mut self, regular: bool) {
        self.scans += u64::from(regular);
        self.schedule.wanted = false;
        let seen = self.expand();
        self.watch_folders(&seen);
        let there: HashSet<Inode> = seen.iter().map(|seen| seen.stat.inode).collect();
        self.paths = seen.iter().map(|seen| (seen.path.clone(), seen.stat.inode)).collect();
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
    }

    /// A source keeps its name while that leads to it, whatever other names it has.
    fn name_of(&self, id: SourceId, found: PathBuf) -> PathBuf {
        match self.sources.get(id) {
            Some(source) if self.paths.get(&source.path) == Some(&source.identity.inode) => source.path.clone(),
            _ => found,
        }
    }

    /// All files that the patterns lead to. A file may be there under several names.
    fn expand(&mut self) -> Vec<Seen> {
        let (mut paths, mut refused) = (Vec::new(), Vec::new());
        let mut nothing = Vec::new();
        for pattern in &self.patterns {
            let before = paths.len() + refused.len();
            pattern.expand(&mut paths, &mut refused);
            if paths.len() + refused.len() == before || (!pattern.is_wild() && !Path::new(pattern.text()).exists()) {
                nothing.push(PathBuf::from(pattern.text()));
            }
        }
        for (path, error) in refused {
            self.refuse(&path, Refusal::of(error));
        }
        if self.scans <= 1 {
            nothing.iter().for_each(|path| self.refuse(path, Refusal::Nothing));
        }
        let named: HashSet<PathBuf> =
            self.patterns.iter().filter(|pattern| !pattern.is_wild()).map(|p| PathBuf::from(p.text())).collect();
        paths.into_iter().filter_map(|path| self.stat(path, &named)).collect()
    }

    /// What a path leads to, if that can be followed.
    fn stat(&mut self, path: PathBuf, named: &HashSet<PathBuf>) -> Option<Seen> {
        let stat = match Stat::of_path(&path) {
            Ok(stat) => stat,
            // Gone since, or a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.refuse(&path, Refusal::of(error));
                return None;
            }
        };
        let why =
            match stat.kind {
                FileType::RegularFile => {
                    if self.refused.get(&path).is_some_and(|told| {
                        !matches!(told, Refusal::Denied(_) | Refusal::Damaged(_) | Refusal::TooMany(_))
                    }) {
                        self.accept(&path);
                    }
                    return Some(Seen { path, stat });
                }
                // A pattern for files has a right to match a folder, but not one where a file was.
                FileType::Directory if named.contains(&path) || self.paths.contains_key(&path) => {
                    Refusal::Folder(path.clone())
                }
                FileType::Directory => return None,
                FileType::Fifo => Refusal::Special("fifo"),
                FileType::Socket => Refusal::Special("socket"),
                _ => Refusal::Special("device"),
            };
        self.refuse(&path, why);
        None
    }

    fn watch_folders(&mut self, seen: &[Seen]) {
        let Some(watch) = &mut self.watch else { return };
        let roots = self.patterns.iter().map(PathPattern::watched);
        let mut folders: HashSet<PathBuf> = roots.collect();
        for Seen { path, .. } in seen {
            if let Some(parent) = path.parent()
                && !folders.contains(parent)
            {
                folders.insert(parent.to_owned());
            }
            // What a link leads to is written to in its own folder.
            if path.is_symlink()
                && let Some(target) = path.canonicalize().ok().as_deref().and_then(Path::parent)
            {
                folders.insert(target.to_owned());
            }
        }
        if let Some(why) = watch.set(folders.into_iter()) {
            self.scan_only(why);
        }
    }
}

/// Opens what a path names without waiting, should it have become a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// The head of a content: the one known if it is as long, else that of the bytes.
pub(super) fn longer(known: Head, bytes: &[u8]) -> Head {
    let head = Head::of(bytes);
    if head.length() > known.length() { head } else { known }
}
