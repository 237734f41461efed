//! Opens a journal: finds out what it knew, and writes that anew before anything is added.

use std::collections::BTreeMap;

use longshore_core::limits::{JOURNAL_CONFIG_BYTES_MAX, JOURNAL_SEGMENT_BYTES_CEILING};

use super::disk::Disk;
use super::error::OpenError;
use super::format::{ConfigHash, Header, HeaderFault, JournaledSlice};
use super::names::{self, LOCK, Note};
use super::scan::{Tail, scan};
use super::state::State;
use super::{Journal, Options, Recovered, Torn, begin_segment, disk_error};

/// What the newest segment says.
struct Found {
    header: Header,
    state: State,
    torn: Option<Torn>,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal on a disk that the caller holds; [`Journal::open`] takes the lock first.
    pub fn open_on(disk: D, options: Options) -> Result<(Journal<D>, Recovered), OpenError> {
        let names = disk.list().map_err(disk_error(&disk, "list the files of", ""))?;
        let newest = names.iter().filter_map(|name| names::segment_number(name)).max();
        // A note that cannot be read says nothing, as one that a power loss took.
        let note = disk.read(LOCK, 1 << 10).ok().and_then(|bytes| Note::parse(&bytes));
        let promised = match note {
            Some(note) => note.segment,
            // Configs are kept once there is a segment.
            None => u64::from(names.iter().any(|name| names::config_hash(name).is_some())),
        };
        if newest.unwrap_or(0) < promised {
            return Err(OpenError::Missing { dir: disk.dir().to_owned(), number: promised, newest });
        }
        let Found { header, state, torn } = match newest {
            Some(number) => read_segment(&disk, number, note, &options)?,
            None => {
                let header = Header { journal: disk.random(), machine: options.machine, number: 0 };
                Found { header, state: State::default(), torn: None }
            }
        };
        let in_doubt = state.in_doubt();
        let configs = read_configs(&disk, &in_doubt)?;
        let header = Header { number: header.number + 1, machine: options.machine, ..header };
        let (file, bytes) = begin_segment(&disk, &header, &state)?;
        let recovered = Recovered { sources: state.sources(), in_doubt, configs, torn };
        let mut journal = Journal {
            disk,
            options,
            header,
            file,
            written: bytes,
            synced: bytes,
            snapshot_bytes: bytes,
            state,
            configs: recovered.configs.keys().copied().collect(),
            config: None,
            poisoned: None,
        };
        journal.remove_obsolete();
        Ok((journal, recovered))
    }
}

fn read_segment<D: Disk>(disk: &D, number: u64, note: Option<Note>, options: &Options) -> Result<Found, OpenError> {
    let name = names::segment(number);
    let bytes = disk.read(&name, JOURNAL_SEGMENT_BYTES_CEILING).map_err(disk_error(disk, "read", &name))?;
    let file = disk.dir().join(&name);
    let scan = match scan(&bytes) {
        Ok(scan) => scan,
        Err(HeaderFault::Version(found)) => return Err(OpenError::Version { file, found }),
        Err(HeaderFault::Damaged(offset, expected)) => {
            return Err(OpenError::Damaged { file, offset: offset as u64, expected: expected.to_owned() });
        }
    };
    if scan.header.number != number {
        let expected = format!("the segment's number, {number} by its name, not {}", scan.header.number);
        return Err(OpenError::Damaged { file, offset: 40, expected });
    }
    if let Some(note) = note.filter(|note| note.journal != scan.header.journal) {
        let expected = format!("a segment of journal {:032x}, as the lock file says", note.journal);
        return Err(OpenError::Damaged { file, offset: 16, expected });
    }
    if scan.header.machine != options.machine && !options.adopt {
        let (dir, found) = (disk.dir().to_owned(), scan.header.machine);
        return Err(OpenError::OtherMachine { dir, found, this: options.machine });
    }
    let torn = match scan.tail {
        Tail::None => None,
        Tail::Torn => Some(Torn { file: name, offset: scan.end as u64, bytes: (bytes.len() - scan.end) as u64 }),
        Tail::Damaged(damage) => {
            return Err(OpenError::Damaged { file, offset: scan.end as u64, expected: damage.expected });
        }
    };
    Ok(Found { header: scan.header, state: scan.state, torn })
}

/// The texts of the configs that these slices were cut under.
fn read_configs<D: Disk>(disk: &D, in_doubt: &[JournaledSlice]) -> Result<BTreeMap<ConfigHash, String>, OpenError> {
    let mut slices = BTreeMap::<ConfigHash, usize>::new();
    for slice in in_doubt {
        *slices.entry(slice.config).or_default() += 1;
    }
    let mut configs = BTreeMap::new();
    for (hash, slices) in slices {
        let (name, file) = (names::config(hash), disk.dir().join(names::config(hash)));
        let bytes = match disk.read(&name, JOURNAL_CONFIG_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::MissingConfig { file, slices });
            }
            Err(error) => return Err(disk_error(disk, "read", &name)(error).into()),
        };
        let expected = || "the config's text as it was given, of the hash that its name says".to_owned();
        let text = names::text_of(hash, bytes);
        let text = text.ok_or_else(|| OpenError::Damaged { file, offset: 0, expected: expected() })?;
        configs.insert(hash, text);
    }
    Ok(configs)
}
