//! A disk in memory that fails, and that forgets what a crash would forget.
//!
//! A crash keeps of each file what was synced, and of the rest any number of bytes, some blocks of them zeros. It keeps
//! any of the names that were made, changed or removed since the directory was last synced. A sync that fails loses
//! what it should have written for good, though it can still be read until the crash, and later syncs succeed: so
//! Linux does. Everything follows from one seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::names::LOCK;
use super::{Disk, DiskFile};

/// Bytes that are lost together.
const BLOCK: usize = 32;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Bugs of the disk that the journal cannot survive: tests of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lies {
    /// Files are not synced, as if the journal did not ask for it.
    pub file_sync: bool,
    /// The directory is not, as if old segments were removed before.
    pub dir_sync: bool,
}

#[derive(Debug, Default)]
struct Inode {
    /// What reads return.
    current: Vec<u8>,
    /// What is durable, or lost for good: a prefix.
    platter: Vec<u8>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set { name: String, inode: usize, from: Option<String> },
    Remove(String),
}

impl NameChange {
    fn name(&self) -> &str {
        match self {
            NameChange::Set { name, .. } | NameChange::Remove(name) => name,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Set { name, inode, from } => {
                if let Some(from) = from {
                    names.remove(from);
                }
                names.insert(name.clone(), *inode);
            }
            NameChange::Remove(name) => drop(names.remove(name)),
        }
    }
}

#[derive(Debug)]
struct State {
    random: Random,
    lies: Lies,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Since the directory was synced.
    changes: Vec<NameChange>,
    /// Changes whose sync failed: maybe durable, maybe never.
    limbo: Vec<NameChange>,
    /// The lock file, now and as it is durable.
    note: Vec<u8>,
    durable_note: Vec<u8>,
    /// Operations until the machine dies.
    crash_in: Option<u64>,
    crashed: bool,
    /// Once in how many operations something fails.
    fault_once_in: Option<usize>,
    operations: u64,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Rc<RefCell<State>>);

/// A file on it.
#[derive(Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

fn dead() -> io::Error {
    io::Error::other("the machine died")
}

impl FaultyDisk {
    /// An empty one that fails as `seed` says, once [`plan`](Self::plan) asks for it.
    pub fn new(seed: u64, lies: Lies) -> FaultyDisk {
        FaultyDisk(Rc::new(RefCell::new(State {
            random: Random(seed),
            lies,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            limbo: Vec::new(),
            note: Vec::new(),
            durable_note: Vec::new(),
            crash_in: None,
            crashed: false,
            fault_once_in: None,
            operations: 0,
        })))
    }

    /// The machine dies after so many operations; a fault comes once in so many.
    pub fn plan(&self, crash_in: Option<u64>, fault_once_in: Option<usize>) {
        let mut state = self.0.borrow_mut();
        (state.crash_in, state.fault_once_in) = (crash_in, fault_once_in);
    }

    /// Whether the machine died.
    pub fn crashed(&self) -> bool {
        self.0.borrow().crashed
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// What is there when the machine is on again.
    pub fn restart(&self) {
        self.0.borrow_mut().restart();
    }

    /// Puts a file there, durable.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        if name == LOCK {
            state.note = bytes.to_vec();
            state.durable_note = bytes.to_vec();
            return;
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode { current: bytes.to_vec(), platter: bytes.to_vec() });
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    /// All files with their bytes.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.borrow();
        let file = |(name, &inode): (&String, &usize)| (name.clone(), state.inodes[inode].current.clone());
        let mut files: BTreeMap<_, _> = state.names.iter().map(file).collect();
        if !state.note.is_empty() {
            files.insert(LOCK.to_owned(), state.note.clone());
        }
        files
    }
}

impl State {
    /// One more operation. An error if it is the one that fails, or the machine is dead.
    fn tick(&mut self) -> io::Result<()> {
        self.operations += 1;
        match &mut self.crash_in {
            _ if self.crashed => return Err(dead()),
            Some(0) => {
                self.crashed = true;
                return Err(dead());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match self.fault_once_in {
            Some(times) if self.random.once_in(times) => match self.random.once_in(2) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Err(io::Error::from_raw_os_error(5)),
            },
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn restart(&mut self) {
        for inode in &mut self.inodes {
            let unsynced = inode.current.len() - inode.platter.len();
            let mut kept = inode.current[inode.platter.len()..][..self.random.below(unsynced + 1)].to_vec();
            if self.random.once_in(2) {
                kept.chunks_mut(BLOCK).filter(|_| self.random.once_in(3)).for_each(|block| block.fill(0));
            }
            inode.platter.extend(kept);
            inode.current = inode.platter.clone();
        }
        let changes: Vec<NameChange> = self.limbo.drain(..).chain(self.changes.drain(..)).collect();
        for change in changes {
            if self.random.once_in(2) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let torn = self.random.below(self.note.len() + 1);
        let old = self.durable_note.get(torn..).unwrap_or_default();
        self.note = [&self.note[..torn], old].concat();
        self.durable_note = self.note.clone();
        (self.crashed, self.crash_in) = (false, None);
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn dir(&self) -> &Path {
        Path::new("twin")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        // A lock file that cannot be read says nothing, so that a fault here would only hide what it knew.
        if name == LOCK {
            return Ok(state.note.clone());
        }
        state.tick()?;
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let bytes = state.inodes[inode].current.clone();
        assert!(bytes.len() as u64 <= bytes_max);
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(NameChange::Set { name: name.to_owned(), inode, from: None });
        Ok(FaultyFile { disk: self.clone(), inode })
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(name, LOCK);
        let mut state = self.0.borrow_mut();
        let outcome = state.tick();
        if outcome.is_ok() || state.random.once_in(2) {
            state.note = bytes.to_vec();
        }
        outcome
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let outcome = state.tick();
        // What fails may have happened.
        if outcome.is_ok() || state.random.once_in(2) {
            let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.change(NameChange::Set { name: to.to_owned(), inode, from: Some(from.to_owned()) });
        }
        outcome
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        state.change(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let outcome = state.tick();
        if state.lies.dir_sync && outcome.is_ok() {
            return Ok(());
        }
        let changes = std::mem::take(&mut state.changes);
        match outcome {
            Ok(()) => {
                changes.iter().for_each(|change| change.apply(&mut state.durable_names));
                // What became of a name before does not come back over what is durable of it now.
                state.limbo.retain(|old| !changes.iter().any(|new| new.name() == old.name()));
            }
            Err(_) => state.limbo.extend(changes),
        }
        outcome
    }

    fn random(&self) -> u128 {
        u128::from(self.0.borrow_mut().random.word())
    }
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.0.borrow_mut();
        let outcome = state.tick();
        let written = match (&outcome, state.fault_once_in) {
            (Ok(()), None) => bytes.len(),
            (Ok(()), Some(_)) if !state.random.once_in(4) => bytes.len(),
            (Ok(()), Some(_)) => 1 + state.random.below(bytes.len()),
            (Err(_), _) => state.random.below(bytes.len() + 1),
        };
        state.inodes[self.inode].current.extend_from_slice(&bytes[..written]);
        outcome.map(|()| written)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.0.borrow_mut();
        let outcome = state.tick();
        if state.lies.file_sync && outcome.is_ok() {
            return Ok(());
        }
        if state.crashed {
            return outcome;
        }
        let lost = outcome.is_err() && state.random.once_in(2);
        let inode = &mut state.inodes[self.inode];
        let from = inode.platter.len();
        match lost {
            // The kernel takes the pages for clean: no later sync writes them.
            true => inode.platter.resize(inode.current.len(), 0),
            false if outcome.is_ok() => inode.platter.extend_from_slice(&inode.current[from..]),
            false => {}
        }
        outcome
    }
}
