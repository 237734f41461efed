//! Looks at a journal without touching it: what `longshore doctor` prints.
//!
//! It takes no lock and writes nothing, so that it can be used while an engine holds the journal. The engine may write
//! or replace the segment meanwhile; what it was writing at that moment looks like a torn tail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::limits::{JOURNAL_CONFIG_BYTES_MAX, JOURNAL_SEGMENT_BYTES_CEILING};

use super::disk::Directory;
use super::error::DiskError;
use super::format::{ConfigHash, HeaderFault, JournaledSlice, Machine, Record, SourceNumber};
use super::names::{self, LOCK, Note};
use super::scan::{Damage, Tail, scan};
use super::state::{KnownSource, State};

/// How often a journal is listed again because its segment was replaced before it was read.
const ATTEMPTS_MAX: usize = 16;

/// What is in a journal's directory.
#[derive(Debug)]
pub struct Inspection {
    /// The directory.
    pub dir: PathBuf,
    /// Who holds it, or held it last, as the lock file says.
    pub holder: Option<Holder>,
    /// The machine that it belongs to.
    pub machine: Option<Machine>,
    /// All segments, by number. Only the last counts.
    pub segments: Vec<SegmentFile>,
    /// Records of the last segment that could be read.
    pub records: u64,
    /// How the last segment is.
    pub condition: Condition,
    /// Sources, by what could be read.
    pub sources: Vec<KnownSource>,
    /// Slices in doubt, by what could be read.
    pub in_doubt: Vec<JournaledSlice>,
    /// Configs that slices in doubt need, and that are absent or not what they were.
    pub bad_configs: Vec<ConfigHash>,
}

/// A process that the lock file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: u32,
    /// A process of that pid is there. It may be another one.
    pub alive: bool,
}

/// A segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its name.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// How long it is; none if it was gone when it was read.
    pub bytes: Option<u64>,
}

/// How a journal's newest segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of it can be read.
    Sound,
    /// It can be read up to `offset`; behind it is what a crash left, or what is being written. Opening cuts it off.
    Torn {
        /// Where the tail begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// Something that was synced is bad.
    Damaged {
        /// First bad byte: what is before was read.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is readable behind it.
        behind: Behind,
    },
    /// It is another version's.
    Version(u32),
    /// The lock file names a segment that is not there.
    Missing {
        /// Its number.
        number: u64,
    },
    /// There is no journal.
    Empty,
}

/// Records behind damage. They cannot be trusted to be all, so that they make no state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Where the first is.
    pub offset: Option<u64>,
    /// Slices that were cut.
    pub cut: u64,
    /// Slices that were done.
    pub done: u64,
    /// Other records.
    pub other: u64,
    /// The furthest end of a slice cut, by source.
    pub cut_ends: BTreeMap<SourceNumber, u64>,
}

impl Inspection {
    /// Whether an engine would open it.
    pub fn sound(&self) -> bool {
        matches!(self.condition, Condition::Sound | Condition::Torn { .. }) && self.bad_configs.is_empty()
    }
}

impl Behind {
    fn of(damage: &Damage) -> Behind {
        let mut behind = Behind { offset: damage.behind_offset.map(|offset| offset as u64), ..Behind::default() };
        for record in &damage.behind {
            match record {
                Record::Cut(cut) => {
                    behind.cut += 1;
                    let end = behind.cut_ends.entry(cut.source).or_default();
                    *end = cut.end.max(*end);
                }
                Record::Done { .. } => behind.done += 1,
                _ => behind.other += 1,
            }
        }
        behind
    }
}

/// Looks at the journal in `dir`.
pub fn inspect(dir: &Path) -> Result<Inspection, DiskError> {
    let directory = Directory::new(dir);
    let error = |action, name: &str| {
        let path = dir.join(name);
        move |source| DiskError { action, path, source }
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        let names = directory.list().map_err(error("list the files of", ""))?;
        let newest = names.iter().filter_map(|name| names::segment_number(name)).max();
        let note = directory.read(LOCK, 1 << 10).ok().and_then(|bytes| Note::parse(&bytes));
        let mut inspection = Inspection {
            dir: dir.to_owned(),
            holder: note
                .map(|note| Holder { pid: note.pid, alive: Path::new(&format!("/proc/{}", note.pid)).exists() }),
            machine: None,
            segments: segments(dir, &names),
            records: 0,
            condition: Condition::Empty,
            sources: Vec::new(),
            in_doubt: Vec::new(),
            bad_configs: Vec::new(),
        };
        if let Some(number) = newest {
            let name = names::segment(number);
            match directory.read(&name, JOURNAL_SEGMENT_BYTES_CEILING) {
                Ok(bytes) => inspection.read(&bytes, number, note),
                // The engine has written a newer one and removed this.
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS_MAX => continue,
                Err(e) => return Err(error("read", &name)(e)),
            }
        }
        if let Some(note) = note.filter(|note| newest.unwrap_or(0) < note.segment) {
            // The engine may have begun it after the names were listed.
            if attempts < ATTEMPTS_MAX {
                continue;
            }
            inspection.condition = Condition::Missing { number: note.segment };
        }
        inspection.bad_configs = bad_configs(&directory, &inspection.in_doubt);
        return Ok(inspection);
    }
}

fn segments(dir: &Path, names: &[String]) -> Vec<SegmentFile> {
    let segment = |file: &String| {
        let bytes = std::fs::metadata(dir.join(file)).ok().map(|metadata| metadata.len());
        Some(SegmentFile { file: file.clone(), number: names::segment_number(file)?, bytes })
    };
    names.iter().filter_map(segment).collect()
}

/// The text of a config that slices in doubt were cut under, as a journal keeps it; `None` if there is no such one in it, or
/// another text. Locks nothing.
pub fn kept_config(dir: &Path, hash: ConfigHash) -> Option<String> {
    let bytes = Directory::new(dir).read(&names::config(hash), JOURNAL_CONFIG_BYTES_MAX).ok()?;
    names::text_of(hash, bytes)
}

fn bad_configs(directory: &Directory, in_doubt: &[JournaledSlice]) -> Vec<ConfigHash> {
    let needed: BTreeSet<ConfigHash> = in_doubt.iter().map(|slice| slice.config).collect();
    let good = |hash: ConfigHash| {
        let bytes = directory.read(&names::config(hash), JOURNAL_CONFIG_BYTES_MAX).ok();
        bytes.is_some_and(|bytes| names::text_of(hash, bytes).is_some())
    };
    needed.into_iter().filter(|&hash| !good(hash)).collect()
}

impl Inspection {
    fn read(&mut self, bytes: &[u8], number: u64, note: Option<Note>) {
        let damaged = |offset, expected: String, damage: Option<&Damage>| Condition::Damaged {
            offset,
            expected,
            behind: damage.map(Behind::of).unwrap_or_default(),
        };
        let scan = match scan(bytes) {
            Ok(scan) => scan,
            Err(HeaderFault::Version(version)) => return self.condition = Condition::Version(version),
            Err(HeaderFault::Damaged(offset, expected)) => {
                return self.condition = damaged(offset as u64, expected.to_owned(), None);
            }
        };
        self.machine = Some(scan.header.machine);
        self.records = scan.records;
        self.take(&scan.state);
        let end = scan.end as u64;
        self.condition = match scan.tail {
            _ if scan.header.number != number => {
                damaged(40, format!("the segment's number, {number} by its name, not {}", scan.header.number), None)
            }
            _ if note.is_some_and(|note| note.journal != scan.header.journal) => {
                damaged(16, "a segment of the journal that the lock file names".to_owned(), None)
            }
            Tail::None => Condition::Sound,
            Tail::Torn => Condition::Torn { offset: end, bytes: bytes.len() as u64 - end },
            Tail::Damaged(damage) => damaged(end, damage.expected.clone(), Some(&damage)),
        };
    }

    fn take(&mut self, state: &State) {
        self.sources = state.sources();
        self.in_doubt = state.in_doubt();
    }
}
