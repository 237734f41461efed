//! Random writers against a follower and a reader that reads whatever it says is readable, judged by a naive model: which
//! words of 16 bytes were written, and which of them nobody could have read.
//!
//! A failing seed is printed; `LONGSHORE_FOLLOW_SEED=n cargo test -p longshore-ingest follow::tests::model` runs it alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Change, FollowOptions, Follower, Identity, KnownSource, Position, SourceId};
use crate::input::Compression;

const WORD: usize = 16;
const SEEDS: u64 = 300;
const STEPS: usize = 60;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One step of a writer; what a rotation does comes as several, with others in between.
#[derive(Debug, Clone)]
enum Step {
    Copy { from: PathBuf, to: PathBuf, bytes: u64 },
    Truncate { path: PathBuf },
    Zip { from: PathBuf, to: PathBuf, half: bool },
    Unlink { path: PathBuf },
}

struct World {
    seed: u64,
    random: Random,
    folder: tempfile::TempDir,
    options: FollowOptions,
    follower: Follower,
    /// What was read, by source.
    read: HashMap<SourceId, Vec<u8>>,
    /// What may be read, by source: where, how.
    sources: BTreeMap<SourceId, Readable>,
    written: u64,
    /// Words that nobody need read, since they were gone before anybody could.
    excused: BTreeSet<u64>,
    /// Files (by inode) that are in the follower's hands since the last restart.
    found: BTreeSet<u64>,
    pending: Vec<Step>,
    busy: BTreeSet<PathBuf>,
    names: u64,
    story: Vec<String>,
    /// Words that were said to be lost, by source. A copy that turns up later brings them back.
    lost_told: BTreeMap<SourceId, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Readable {
    compression: Compression,
    size: u64,
    position: Position,
}

impl World {
    fn new(seed: u64, events: bool) -> Self {
        let folder = if seed.is_multiple_of(2) && Path::new("/dev/shm").is_dir() {
            tempfile::tempdir_in("/dev/shm").expect("a folder")
        } else {
            tempfile::tempdir().expect("a folder")
        };
        fs::create_dir(folder.path().join("logs")).expect("a folder");
        fs::create_dir(folder.path().join("away")).expect("a folder");
        let patterns = vec![folder.path().join("logs/*.log*").into()];
        let options =
            FollowOptions { patterns, events, handles_max: 64, let_go: Duration::from_secs(3_600 * (seed / 2 % 2)) };
        let follower = Follower::new(&options, []).expect("patterns");
        World {
            seed,
            random: Random(seed),
            folder,
            options,
            follower,
            read: HashMap::new(),
            sources: BTreeMap::new(),
            written: 0,
            excused: BTreeSet::new(),
            found: BTreeSet::new(),
            pending: Vec::new(),
            busy: BTreeSet::new(),
            names: 0,
            story: Vec::new(),
            lost_told: BTreeMap::new(),
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn fail(&self, why: &str) -> ! {
        panic!("seed {} (events {}): {why}\n{}", self.seed, self.options.events, self.story.join("\n"));
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Plain files that no rotation is busy with: `rotated` ones, or those that are written to.
    fn files(&self, rotated: bool) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.logs())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| !path.is_symlink() && !path.extension().is_some_and(|ext| ext == "gz" || ext == "link"))
            .filter(|path| !self.busy.contains(path) && path.extension().is_some_and(|ext| (ext != "log") == rotated))
            .collect();
        files.sort();
        files
    }

    fn pick(&mut self, files: &[PathBuf]) -> Option<PathBuf> {
        (!files.is_empty()).then(|| files[self.random.below(files.len())].clone())
    }

    fn new_name(&mut self, of: &Path) -> PathBuf {
        self.names += 1;
        let mut name = of.as_os_str().to_owned();
        name.push(format!(".{}", self.names));
        name.into()
    }

    fn append(&mut self, path: &Path) {
        let words = if self.random.below(6) == 0 { 90 } else { 1 + self.random.below(6) };
        // Files of fewer than 64 bytes are not known again once they are gone: a limit that the documentation states.
        let empty = path.metadata().map_or(true, |meta| meta.len() == 0);
        let words = if empty { words.max(5) } else { words };
        let mut bytes = Vec::new();
        for _ in 0..words {
            bytes.extend(format!("{:015x}\n", self.written).bytes());
            self.written += 1;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all(&bytes).expect("written");
        let inode = file.metadata().expect("there").ino();
        self.note(format!("append {words} words to {} (inode {inode})", name(path)));
    }

    fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
        bytes.chunks_exact(WORD).map(|word| {
            let text = std::str::from_utf8(&word[..WORD - 1]).expect("text");
            u64::from_str_radix(text, 16).expect("a word as it was written")
        })
    }

    /// What this file has need not have been read from now on.
    fn excuse(&mut self, path: &Path) {
        let bytes = fs::read(path).expect("read");
        self.excused.extend(Self::words_of(&bytes));
    }

    fn writer_begins(&mut self) {
        let what = self.random.below(20);
        let live = self.files(false);
        let rotated = self.files(true);
        match what {
            0..=6 => {
                let path = self.logs().join(format!("{}.log", self.random.below(3)));
                if !self.busy.contains(&path) && !path.is_symlink() {
                    self.append(&path);
                }
            }
            7 => {
                if let Some(path) = self.pick(&rotated) {
                    self.append(&path);
                }
            }
            8 | 9 => {
                if let Some(path) = self.pick(&live) {
                    let to = self.new_name(&path);
                    fs::rename(&path, &to).expect("renamed");
                    self.note(format!("rename {} to {}", name(&path), name(&to)));
                }
            }
            10..=12 => {
                if let Some(path) = self.pick(&live) {
                    let to = self.new_name(&path);
                    let bytes = path.metadata().expect("there").len();
                    self.busy.extend([path.clone(), to.clone()]);
                    // A beginning of a few bytes says nothing: a limit that the documentation states.
                    let part =
                        Some(self.random.below(bytes as usize + 1) as u64).filter(|part| *part >= 8).unwrap_or(0);
                    self.pending.push(Step::Copy { from: path.clone(), to: to.clone(), bytes: part });
                    self.pending.push(Step::Copy { from: path.clone(), to, bytes });
                    self.pending.push(Step::Truncate { path });
                }
            }
            13 => {
                if let Some(path) = self.pick(&live)
                    && self.random.below(3) == 0
                {
                    self.excuse(&path);
                    self.truncate(&path);
                    self.note(format!("truncate {} without a copy", name(&path)));
                }
            }
            14 | 15 => {
                if let Some(path) = self.pick(&rotated)
                    && path.metadata().expect("there").nlink() == 1
                {
                    let to = PathBuf::from(format!("{}.gz", path.display()));
                    self.busy.insert(path.clone());
                    self.pending.push(Step::Zip { from: path.clone(), to: to.clone(), half: true });
                    self.pending.push(Step::Zip { from: path.clone(), to, half: false });
                    self.pending.push(Step::Unlink { path });
                }
            }
            16 => {
                let all: Vec<PathBuf> = live.into_iter().chain(rotated).collect();
                if let Some(path) = self.pick(&all) {
                    self.delete(&path);
                }
            }
            17 => {
                let all: Vec<PathBuf> = live.into_iter().chain(rotated).collect();
                if let Some(path) = self.pick(&all) {
                    self.link(&path);
                }
            }
            _ => self.move_away_or_back(&rotated),
        }
    }

    /// What is written from now on has not been found yet.
    fn truncate(&mut self, path: &Path) {
        let file = File::options().write(true).truncate(true).open(path).expect("truncated");
        self.found.remove(&file.metadata().expect("there").ino());
    }

    fn delete(&mut self, path: &Path) {
        let meta = path.metadata().expect("there");
        // What the follower has open can be read to its end.
        if meta.nlink() == 1 && !self.found.contains(&meta.ino()) {
            self.excuse(path);
        }
        fs::remove_file(path).expect("deleted");
        if meta.nlink() == 1 {
            // Its number may be given to the next file.
            self.found.remove(&meta.ino());
        }
        self.note(format!("delete {}", name(path)));
    }

    fn link(&mut self, path: &Path) {
        let link = self.logs().join(format!("{}.log.link", self.random.below(3)));
        let _ = fs::remove_file(&link);
        if path.metadata().expect("there").nlink() == 1 && self.random.below(2) == 0 {
            // A hard link would keep the content of what is deleted: its last name is then the link's.
            std::os::unix::fs::symlink(path, &link).expect("linked");
            self.note(format!("symbolic link {} to {}", name(&link), name(path)));
        } else {
            let extra = self.new_name(path);
            fs::hard_link(path, &extra).expect("linked");
            self.note(format!("hard link {} to {}", name(&extra), name(path)));
        }
    }

    fn move_away_or_back(&mut self, rotated: &[PathBuf]) {
        let away = self.folder.path().join("away");
        let mut gone: Vec<PathBuf> =
            fs::read_dir(&away).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
        gone.sort();
        if let Some(path) = self.pick(&gone) {
            fs::rename(&path, self.logs().join(path.file_name().expect("a name"))).expect("moved");
            self.note(format!("back {}", name(&path)));
        } else if let Some(path) = self.pick(rotated) {
            fs::rename(&path, away.join(path.file_name().expect("a name"))).expect("moved");
            self.note(format!("away {}", name(&path)));
        }
    }

    fn writer_goes_on(&mut self) {
        if self.pending.is_empty() {
            return self.writer_begins();
        }
        let step = self.pending.remove(0);
        self.note(format!("{step:?}"));
        match step {
            Step::Copy { from, to, bytes } => {
                let content = fs::read(&from).expect("read");
                let done = to.metadata().map_or(0, |meta| meta.len());
                let mut file = OpenOptions::new().create(true).append(true).open(&to).expect("opened");
                file.write_all(&content[done as usize..bytes as usize]).expect("copied");
            }
            Step::Truncate { path } => {
                self.truncate(&path);
                self.busy.clear();
            }
            Step::Zip { from, to, half } => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&fs::read(&from).expect("read")).expect("compressed");
                let mut bytes = encoder.finish().expect("compressed");
                if half {
                    bytes.truncate(bytes.len() / 2);
                }
                fs::write(&to, &bytes).expect("written");
            }
            Step::Unlink { path } => {
                self.found.remove(&path.metadata().expect("there").ino());
                fs::remove_file(&path).expect("deleted");
                self.busy.clear();
            }
        }
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.note(format!("    {change:?}"));
            match change {
                Change::Found { id, path, compression, size, position }
                | Change::Rotated { id, path, compression, size, position }
                | Change::Back { id, path, compression, size, position } => {
                    let have = self.read.entry(id).or_default().len() as u64;
                    if position.content != have {
                        self.fail(&format!("{id:?} is to be read from {position:?}, {have} bytes were"));
                    }
                    if let Ok(meta) = path.metadata() {
                        self.found.insert(meta.ino());
                    }
                    self.lost_told.remove(&id);
                    self.sources.insert(id, Readable { compression, size, position });
                }
                Change::Grew { id, size } => {
                    self.sources.get_mut(&id).expect("a source that was found").size = size;
                }
                Change::Truncated { id, lost_bytes_min, .. } | Change::Rewritten { id, lost_bytes_min, .. } => {
                    self.sources.remove(&id);
                    self.lost_told.insert(id, lost_bytes_min / WORD as u64);
                }
                Change::Vanished { .. }
                | Change::LetGo { .. }
                | Change::Held { .. }
                | Change::OtherName { .. }
                | Change::Refused { .. }
                | Change::Forgotten { .. } => {}
                Change::ScanOnly { why } => self.fail(&why),
            }
        }
    }

    /// Reads some of what a source has. The writer may do something before the reader asks whether that was right.
    fn read_some(&mut self, id: SourceId, bytes_max: usize, interrupted: bool) {
        let Readable { compression, size, position } = self.sources[&id];
        if position.stored >= size {
            return;
        }
        let Ok(file) = self.follower.open(id) else { return };
        let (bytes, position) = if compression == Compression::Plain {
            let mut bytes = vec![0; ((size - position.stored) as usize).min(bytes_max)];
            let Ok(count) = file.read_at(&mut bytes, position.content) else { return };
            bytes.truncate(count);
            (bytes, Position::plain(position.content + count as u64))
        } else {
            let mut whole = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(StoredFrom(&file, 0));
            if let Err(error) = decoder.read_to_end(&mut whole) {
                self.fail(&format!("{id:?} is not whole: {error}"));
            }
            let rest = whole.split_off(position.content as usize);
            (rest, Position { content: whole.len() as u64, stored: size })
        };
        let position = match compression {
            Compression::Plain => position,
            _ => Position { content: position.content + bytes.len() as u64, ..position },
        };
        if interrupted {
            self.writer_goes_on();
        }
        let right = self.follower.confirm(id, &file, position, &bytes);
        self.note(format!("read {id:?}: {} bytes up to {position:?}, right: {right}", bytes.len()));
        if right {
            self.read.entry(id).or_default().extend(bytes);
            self.sources.get_mut(&id).expect("it is there").position = position;
        }
    }

    fn restart(&mut self) {
        let known: Vec<KnownSource> = self.follower.known();
        let known = known.into_iter().map(|KnownSource { identity, position, path }| {
            let bytes = identity.encode();
            assert_eq!(bytes.len(), Identity::BYTES);
            KnownSource { identity: Identity::decode(&bytes).expect("an identity"), position, path }
        });
        self.follower = Follower::new(&self.options, known).expect("patterns");
        self.sources.clear();
        self.found.clear();
        // What is nowhere but in files that were deleted is gone.
        let mut left = BTreeSet::new();
        for folder in ["logs", "away"] {
            for entry in fs::read_dir(self.folder.path().join(folder)).expect("the folder") {
                let path = entry.expect("an entry").path();
                let Ok(mut bytes) = fs::read(&path) else { continue };
                if path.extension().is_some_and(|ext| ext == "gz") {
                    let stored = std::mem::take(&mut bytes);
                    // A half is the copy of a file that is still there.
                    let _ = flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut bytes);
                }
                left.extend(Self::words_of(&bytes));
            }
        }
        self.excused.extend((0..self.written).filter(|word| !left.contains(word)));
        self.note("restart");
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=9 => self.writer_goes_on(),
            10 | 11 => {
                let changes = self.follower.scan();
                self.note("scan");
                self.take(changes);
            }
            12..=14 => {
                let changes = self.follower.poll();
                self.note("poll");
                self.take(changes);
            }
            15..=18 => {
                let ids: Vec<SourceId> = self.sources.keys().copied().collect();
                if !ids.is_empty() {
                    let id = ids[self.random.below(ids.len())];
                    let bytes_max = 1 + self.random.below(2_000);
                    let interrupted = self.random.below(4) == 0;
                    self.read_some(id, bytes_max, interrupted);
                }
            }
            _ if self.random.below(3) == 0 => self.restart(),
            _ => {}
        }
    }

    fn finish(&mut self) {
        while !self.pending.is_empty() {
            self.writer_goes_on();
        }
        for entry in fs::read_dir(self.folder.path().join("away")).expect("the folder") {
            let path = entry.expect("an entry").path();
            fs::rename(&path, self.logs().join(path.file_name().expect("a name"))).expect("moved");
        }
        for _ in 0..12 {
            let changes = self.follower.scan();
            self.note("last scans");
            self.take(changes);
            for id in self.sources.keys().copied().collect::<Vec<_>>() {
                self.read_some(id, usize::MAX, false);
            }
        }
    }

    fn judge(&self) {
        let mut times = vec![0_u32; self.written as usize];
        for bytes in self.read.values() {
            Self::words_of(bytes).for_each(|word| times[word as usize] += 1);
        }
        for (word, times) in times.iter().enumerate() {
            match times {
                1 => {}
                0 if self.excused.contains(&(word as u64)) => {}
                _ => self.fail(&format!("word {word:x} was read {times} times")),
            }
        }
        let missing = times.iter().filter(|times| **times == 0).count() as u64;
        let told: u64 = self.lost_told.values().sum();
        if told > missing {
            self.fail(&format!("{told} words were said to be lost, {missing} are"));
        }
    }
}

struct StoredFrom<'a>(&'a File, u64);

impl Read for StoredFrom<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read_at(into, self.1)?;
        self.1 += count as u64;
        Ok(count)
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn run(events: bool) {
    let alone = std::env::var("LONGSHORE_FOLLOW_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = alone.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let mut world = World::new(seed, events);
        for _ in 0..STEPS {
            world.step();
        }
        world.finish();
        world.judge();
    }
}

#[test]
fn every_word_is_read_once_or_was_gone_with_events() {
    run(true);
}

#[test]
fn every_word_is_read_once_or_was_gone_with_scans_alone() {
    run(false);
}
