//! The journal: which slices were cut, and which of them are done, on disk before anything is sent.
//!
//! A slice is journaled before its first insert, with the config that it is processed under, and again when all its
//! inserts are acknowledged. Whatever dies in between, [`Journal::open`] says afterwards where each source stands and which slices are
//! *in doubt*: cut, maybe sent, not known to be done. Read again, processed under the same config and sent with
//! the tokens that follow from their ids, they change nothing where they had arrived.
//!
//! # What is on disk
//!
//! A journal is a directory:
//!
//! | file | what |
//! | --- | --- |
//! | `lock` | locked (`flock`) while a [`Journal`] is open; names its process and the newest segment |
//! | `segment-N` | a header, a snapshot of everything that was alive, then records, each with its checksum (`format.rs`) |
//! | `config-HASH.toml` | the text of each config that slices in doubt were cut under |
//! | `*.tmp` | what was being written when something died; means nothing |
//!
//! Every segment begins with a whole snapshot, so the newest alone counts; older ones are there only if something died
//! before it removed them. A segment is written under a temporary name, synced, renamed, and the directory synced, before
//! an older one is removed. That happens at every [`Journal::open`], so that nothing is ever appended to what a
//! crash or a failed sync has left, and whenever a segment has grown past its bound.
//!
//! A config may hold passwords and salts: files are of mode 0600 and the directory of 0700, whatever the umask.
//!
//! # What it promises
//!
//! - [`cut`](Journal::cut) returns once the slices are synced. They are in doubt after any crash until they are done.
//! - [`done`](Journal::done) does not wait for the disk. Losing it means that the slice is sent again under its tokens.
//! - A position is the end of the slices that are done without a gap. It is never stored ahead of them.
//! - A torn tail, which a crash leaves behind the last sync, is cut off, and [`Recovered::torn`] says so. Damage to what
//!   was synced is an error that names the place (`scan.rs` tells them apart). Damage to the last records that nothing
//!   was written behind cannot be told from a torn tail: their slices are cut again, the same, with the same tokens.
//! - After a write or a sync that failed, the journal takes nothing more. A later sync that succeeds says nothing about
//!   what an earlier one failed to write, so that only opening it again, which writes everything anew, goes on.
//! - It is as large as what is alive: [`JOURNAL_SLICES_MAX`](longshore_core::limits::JOURNAL_SLICES_MAX) slices,
//!   [`JOURNAL_SOURCES_MAX`](longshore_core::limits::JOURNAL_SOURCES_MAX) sources, and as much again before it is
//!   written anew.
//!
//! # How to use it
//!
//! One thread cuts, others report what is done: put the journal behind a mutex. Collect what is ready to be cut and
//! journal it at once, since each [`cut`](Journal::cut) costs a sync.
//!
//! ```
//! use longshore_core::slice::SliceId;
//! use longshore_ingest::content::Chain;
//! use longshore_ingest::journal::{ConfigHash, Journal, JournaledSlice, Machine, Options, Reached};
//!
//! # let folder = tempfile::tempdir()?;
//! # let (dir, config_text) = (folder.path().join("journal"), "version = 1");
//! // At start: what was in doubt is sent again first, each under the config that it was cut under.
//! let (mut journal, recovered) = Journal::open(&dir, Options::new(Machine::this()))?;
//! for slice in &recovered.in_doubt {
//!     let _config = &recovered.configs[&slice.config];
//!     // Read the source's bytes from slice.start to slice.end, compare the id that follows from them, decode, insert; then:
//!     journal.done(slice)?;
//! }
//!
//! // The config of this run is kept before anything is cut under it.
//! let config = journal.keep_config(config_text)?;
//!
//! // A source is looked up by its identity; a new one is made known, from the position on where it is to be read.
//! let identity = b"device 2049, inode 131, head 9f3c";
//! let known = recovered.sources.iter().find(|source| source.identity[..] == identity[..]);
//! let (source, reached) = match known {
//!     Some(source) => (source.number, source.cut_end),
//!     None => (journal.know(identity, "/var/log/shop/app.log", Reached::default())?, Reached::default()),
//! };
//!
//! // A slice is journaled, then sent, then done. It begins where the last one ended.
//! let slice = JournaledSlice {
//!     slice: SliceId(0x51c3), source, start: reached.position, end: reached.position + 4_096, before: reached.chain,
//!     after: Chain(0xb17e), config, records: Some(17), cut_ms: 1_795_000_000_000,
//! };
//! journal.cut(&[slice])?;
//! journal.done(&slice)?;
//! assert_eq!(journal.position(source), Some(4_096));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use longshore_core::limits::{JOURNAL_CONFIG_BYTES_MAX, JOURNAL_SEGMENT_BYTES, JOURNAL_SEGMENT_BYTES_CEILING};
use longshore_core::words::plural;

mod disk;
mod error;
mod format;
mod inspect;
mod names;
mod open;
mod scan;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use disk::{Directory, Disk, DiskFile, LockedDirectory};
pub use error::{DiskError, OpenError, Refusal, WriteError};
pub use format::{ConfigHash, FORMAT_VERSION, JournaledSlice, Machine, Reached, SourceNumber};
pub use inspect::{Behind, Condition, Holder, Inspection, SegmentFile, inspect, kept_config};
pub use state::KnownSource;

use disk::append_all;
use format::{Header, Record};
use names::{LOCK, Note, TEMPORARY};
use state::State;

/// How a journal is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whose journal it is.
    pub machine: Machine,
    /// Take over a journal of another machine, on which no engine can run any more.
    pub adopt: bool,
    /// Bytes of a segment before it is written anew; [`JOURNAL_SEGMENT_BYTES`].
    pub segment_bytes: u64,
}

impl Options {
    /// The usual ones.
    pub fn new(machine: Machine) -> Options {
        Options { machine, adopt: false, segment_bytes: JOURNAL_SEGMENT_BYTES }
    }
}

/// What a journal knew when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// All sources, by number.
    pub sources: Vec<KnownSource>,
    /// Slices that were cut and are not done, in the order in which they were cut.
    pub in_doubt: Vec<JournaledSlice>,
    /// The configs of `in_doubt`, as their text was given.
    pub configs: BTreeMap<ConfigHash, String>,
    /// What a crash had left of records that were not synced, if it left something.
    pub torn: Option<Torn>,
}

/// A torn tail that was cut off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cut a torn tail of {} off the journal's {file} at offset {offset}: the engine or the machine died while it wrote; \
     what was acknowledged is there",
    plural(*bytes, "byte")
)]
pub struct Torn {
    /// Of which segment.
    pub file: String,
    /// Where it began.
    pub offset: u64,
    /// How long it was.
    pub bytes: u64,
}

/// An open journal. See the [module](self).
#[derive(Debug)]
pub struct Journal<D: Disk = LockedDirectory> {
    disk: D,
    options: Options,
    /// The segment that is written.
    header: Header,
    file: D::File,
    /// Its bytes.
    written: u64,
    /// Those that are durable.
    synced: u64,
    /// Those of its snapshot.
    snapshot_bytes: u64,
    state: State,
    configs: BTreeSet<ConfigHash>,
    /// The config of this run, kept even when nothing is in doubt under it.
    config: Option<ConfigHash>,
    /// The failure after which nothing more is written.
    poisoned: Option<String>,
}

impl Journal {
    /// Opens the journal in `dir`, made if it is not there, and holds its lock until it is dropped.
    pub fn open(dir: &Path, options: Options) -> Result<(Journal, Recovered), OpenError> {
        Journal::open_on(LockedDirectory::lock(dir)?, options)
    }
}

impl<D: Disk> Journal<D> {
    /// Where the journal is.
    pub fn dir(&self) -> &Path {
        self.disk.dir()
    }

    /// Bytes of the segment, for metrics.
    pub fn bytes(&self) -> u64 {
        self.written
    }

    /// Number of the segment: it grows with every snapshot.
    pub fn segment(&self) -> u64 {
        self.header.number
    }

    /// Slices that are cut and not done.
    pub fn in_doubt_count(&self) -> usize {
        self.state.in_doubt_count()
    }

    /// All sources, by number.
    pub fn sources(&self) -> Vec<KnownSource> {
        self.state.sources()
    }

    /// Everything of a source before this is stored.
    pub fn position(&self, source: SourceNumber) -> Option<u64> {
        self.state.position(source)
    }

    /// Keeps a config's text, so that slices cut under it can be processed under it again. Durable when this returns.
    pub fn keep_config(&mut self, text: &str) -> Result<ConfigHash, WriteError> {
        self.check_poison()?;
        if text.len() as u64 > JOURNAL_CONFIG_BYTES_MAX {
            return Err(Refusal::TooLong { what: "the config", bytes: text.len() }.into());
        }
        let hash = ConfigHash::of(text);
        if !self.configs.contains(&hash) {
            let kept = write_whole(&self.disk, &names::config(hash), text.as_bytes());
            self.poison(kept)?;
            self.configs.insert(hash);
        }
        self.config = Some(hash);
        Ok(hash)
    }

    /// Makes a source known, of which everything before `position` needs no reading. Durable with the next
    /// [`cut`](Journal::cut); if it is lost before, nothing of the source was sent.
    pub fn know(&mut self, identity: &[u8], name: &str, reached: Reached) -> Result<SourceNumber, WriteError> {
        self.check_poison()?;
        let record = self.state.introduce(identity, name, reached)?;
        let Record::Source { number, .. } = record else { unreachable!("that is what introduces a source") };
        self.write(&[record])?;
        Ok(number)
    }

    /// Says that a source is known by other bytes from now on, or has another name: a file that grew past its
    /// fingerprint, or was renamed. Durable with the next [`cut`](Journal::cut).
    pub fn identify(&mut self, source: SourceNumber, identity: &[u8], name: &str) -> Result<(), WriteError> {
        self.check_poison()?;
        let record = self.state.rename(source, identity, name)?;
        self.write(&[record])
    }

    /// Journals slices, in order; each begins where the last one of its source ended. All or, on an error, none of them may be
    /// sent. They are durable when this returns. One sync, however many they are.
    pub fn cut(&mut self, slices: &[JournaledSlice]) -> Result<(), WriteError> {
        self.check_poison()?;
        self.state.check_cuts(slices)?;
        if let Some(slice) = slices.iter().find(|slice| !self.configs.contains(&slice.config)) {
            return Err(Refusal::UnknownConfig(slice.config).into());
        }
        if slices.is_empty() {
            return Ok(());
        }
        self.compact_if_large()?;
        let records: Vec<Record> = slices.iter().map(|&slice| Record::Cut(slice)).collect();
        self.write_synced(&records)
    }

    /// Says that all inserts of a slice are acknowledged. Does not wait for the disk.
    pub fn done(&mut self, slice: &JournaledSlice) -> Result<(), WriteError> {
        self.check_poison()?;
        self.state.check_done(slice)?;
        let &JournaledSlice { source, start, slice, .. } = slice;
        self.write(&[Record::Done { source, start, slice }])
    }

    /// Forgets a source that will not be read again, and returns its slices in doubt, which are given up with it: nobody
    /// sends them again, and nobody knows whether they had arrived. Durable when this returns.
    pub fn forget(&mut self, source: SourceNumber) -> Result<Vec<JournaledSlice>, WriteError> {
        self.check_poison()?;
        let given_up = self.state.in_doubt_of(source)?;
        self.compact_if_large()?;
        self.write_synced(&[Record::Forgotten { source }])?;
        Ok(given_up)
    }

    /// Forgets sources that have nothing in doubt, with one sync.
    ///
    /// # Errors
    /// One of them is not known, or the disk failed.
    pub fn forget_all(&mut self, sources: &[SourceNumber]) -> Result<(), WriteError> {
        self.check_poison()?;
        if sources.is_empty() {
            return Ok(());
        }
        for &source in sources {
            if !self.state.in_doubt_of(source)?.is_empty() {
                return Err(Refusal::InDoubt(source).into());
            }
        }
        self.compact_if_large()?;
        let records: Vec<Record> = sources.iter().map(|&source| Record::Forgotten { source }).collect();
        self.write_synced(&records)
    }

    /// Random bits, of the disk's.
    pub(crate) fn random(&self) -> u128 {
        self.disk.random()
    }

    /// Waits until all that was written is durable.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.check_poison()?;
        self.sync()
    }

    /// Waits until all that was written is durable, and closes the journal. Dropping it instead loses nothing that was
    /// promised, but slices that are done may be sent again.
    pub fn close(mut self) -> Result<(), WriteError> {
        self.flush()
    }

    fn check_poison(&self) -> Result<(), WriteError> {
        match &self.poisoned {
            Some(cause) => Err(WriteError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// After a failure nobody knows what of it reached the disk, and no later success says it.
    fn poison<T>(&mut self, result: Result<T, DiskError>) -> Result<T, WriteError> {
        if let Err(error) = &result {
            self.poisoned = Some(error.to_string());
        }
        Ok(result?)
    }

    /// Appends records that were checked against the state, and takes them in.
    fn write(&mut self, records: &[Record]) -> Result<(), WriteError> {
        self.append(records)?;
        self.take_in(records);
        Ok(())
    }

    /// The same, durable.
    fn write_synced(&mut self, records: &[Record]) -> Result<(), WriteError> {
        self.append(records)?;
        self.sync()?;
        self.take_in(records);
        Ok(())
    }

    fn append(&mut self, records: &[Record]) -> Result<(), WriteError> {
        let mut bytes = Vec::new();
        for record in records {
            self.header.write(record, self.written, self.synced, &mut bytes);
        }
        let name = names::segment(self.header.number);
        let appended = append_all(&mut self.file, &bytes).map_err(disk_error(&self.disk, "write", &name));
        self.poison(appended)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        let name = names::segment(self.header.number);
        let synced = self.file.sync().map_err(disk_error(&self.disk, "sync", &name));
        self.poison(synced)?;
        self.synced = self.written;
        Ok(())
    }

    fn take_in(&mut self, records: &[Record]) {
        for record in records {
            self.state.apply(record.clone()).expect("it was checked before it was written");
        }
    }

    /// Writes a new segment once this one is past its bound and at least half of it is over.
    fn compact_if_large(&mut self) -> Result<(), WriteError> {
        if self.written <= self.options.segment_bytes.max(2 * self.snapshot_bytes) {
            return Ok(());
        }
        let header = Header { number: self.header.number + 1, ..self.header };
        let begun = begin_segment(&self.disk, &header, &self.state);
        let (file, bytes) = self.poison(begun)?;
        (self.header, self.file) = (header, file);
        (self.written, self.synced, self.snapshot_bytes) = (bytes, bytes, bytes);
        self.remove_obsolete();
        Ok(())
    }

    /// Removes what the segment that was just begun makes obsolete: older segments, and configs that nothing in doubt
    /// was cut under. What cannot be removed means nothing, and is tried again the next time.
    fn remove_obsolete(&mut self) {
        let mut needed: BTreeSet<ConfigHash> = self.state.in_doubt().iter().map(|slice| slice.config).collect();
        needed.extend(self.config);
        let obsolete = |name: &String| match (names::segment_number(name), names::config_hash(name)) {
            (Some(number), _) => number < self.header.number,
            (_, Some(hash)) => !needed.contains(&hash),
            _ => name.ends_with(TEMPORARY),
        };
        match self.disk.list() {
            Ok(names) => {
                for name in names.iter().filter(|name| obsolete(name)) {
                    if let Err(error) = self.disk.remove(name) {
                        tracing::warn!("cannot remove {name} from the journal {}: {error}", self.dir().display());
                    }
                }
            }
            Err(error) => tracing::warn!("cannot list the journal {}: {error}", self.dir().display()),
        }
        self.configs.retain(|hash| needed.contains(hash));
    }
}

/// Gives an error of the system its place.
fn disk_error<D: Disk>(disk: &D, action: &'static str, name: &str) -> impl FnOnce(std::io::Error) -> DiskError {
    let path = disk.dir().join(name);
    move |source| DiskError { action, path, source }
}

/// Writes a file that is there whole, durable and under its name, or not at all.
fn write_whole<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Result<D::File, DiskError> {
    let temporary = format!("{name}{TEMPORARY}");
    let mut file = disk.create(&temporary).map_err(disk_error(disk, "create", &temporary))?;
    append_all(&mut file, bytes).map_err(disk_error(disk, "write", &temporary))?;
    file.sync().map_err(disk_error(disk, "sync", &temporary))?;
    disk.rename(&temporary, name).map_err(disk_error(disk, "rename to", name))?;
    disk.sync_dir().map_err(disk_error(disk, "sync the names of", name))?;
    Ok(file)
}

/// Writes a new segment that begins with `state`, and says in the lock file that it is there. Returns its bytes, too.
fn begin_segment<D: Disk>(disk: &D, header: &Header, state: &State) -> Result<(D::File, u64), DiskError> {
    let mut bytes = header.encode().to_vec();
    for record in state.snapshot() {
        header.write(&record, 0, 0, &mut bytes);
    }
    assert!(bytes.len() as u64 <= JOURNAL_SEGMENT_BYTES_CEILING, "what is alive is bounded");
    let file = write_whole(disk, &names::segment(header.number), &bytes)?;
    let note = Note { pid: std::process::id(), journal: header.journal, segment: header.number };
    disk.overwrite(LOCK, note.render().as_bytes()).map_err(disk_error(disk, "write", LOCK))?;
    Ok((file, bytes.len() as u64))
}

#[cfg(test)]
mod tests;
