//! Journals that are not as they were written.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::{CONFIG, JournaledSlice, KnownSource, Record, options, slice, with_two_sources};
use crate::journal::format::{Header, RECORD_HEADER_BYTES};
use crate::journal::testing::{FaultyDisk, Lies};
use crate::journal::{Journal, Machine, OpenError, Reached, Recovered, names};

type Files = BTreeMap<String, Vec<u8>>;

/// What an opening says at some point of a journal's life.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    sources: Vec<KnownSource>,
    in_doubt: Vec<JournaledSlice>,
}

/// A small journal: its files, and what is known once the segment is that long.
struct Small {
    files: Files,
    segment: String,
    known: BTreeMap<usize, Known>,
    /// Where its last record but the unsynced ones ends.
    synced: usize,
}

fn open_files(files: &Files) -> Result<(Journal<FaultyDisk>, Recovered), OpenError> {
    let disk = FaultyDisk::new(2, Lies::default());
    files.iter().for_each(|(name, bytes)| disk.put(name, bytes));
    Journal::open_on(disk, options())
}

fn small() -> Small {
    let disk = FaultyDisk::new(1, Lies::default());
    let mut journal = with_two_sources(&disk);
    // Opened again, so that sources and a slice are in the snapshot.
    journal.cut(&[slice(0, 0, 10)]).unwrap();
    drop(journal);
    let (mut journal, _) = Journal::open_on(disk.clone(), options()).unwrap();
    journal.keep_config(CONFIG).unwrap();
    let mut known = BTreeMap::new();
    let mut note = |journal: &Journal<FaultyDisk>| {
        let (sources, in_doubt) = (journal.sources(), journal.state.in_doubt());
        known.insert(journal.bytes() as usize, Known { sources, in_doubt });
    };
    note(&journal);
    journal.cut(&[slice(0, 10, 20)]).unwrap();
    note(&journal);
    journal.done(&slice(0, 0, 10)).unwrap();
    note(&journal);
    journal.cut(&[slice(1, 50, 60)]).unwrap();
    note(&journal);
    let synced = journal.bytes() as usize;
    journal.done(&slice(0, 10, 20)).unwrap();
    note(&journal);
    journal.know(b"c", "c.log", Reached::at(5)).unwrap();
    note(&journal);
    let segment = names::segment(journal.segment());
    drop(journal);
    Small { files: disk.files(), segment, known, synced }
}

/// What the records say that end at or before this offset.
fn known_at(small: &Small, offset: usize) -> (usize, Known) {
    let (&at, known) = small.known.range(..=offset).next_back().expect("the snapshot is before");
    (at, known.clone())
}

#[test]
fn every_flipped_bit_is_an_error_or_where_it_cannot_be_told_apart_a_torn_tail() {
    let small = small();
    let last = known_at(&small, usize::MAX).1;
    let mut torn = 0;
    for (name, bytes) in &small.files {
        for bit in 0..bytes.len() * 8 {
            let mut files = small.files.clone();
            files.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let opened = open_files(&files);
            match opened {
                Err(OpenError::Damaged { file, offset, .. }) if *name == small.segment => {
                    assert!(file.ends_with(name) && offset as usize <= bit / 8, "bit {bit}: {offset}");
                    assert!(bit / 8 < small.synced, "bit {bit}: a crash may have done that");
                }
                Err(OpenError::Damaged { file, .. }) => assert!(file.ends_with(name) && name.ends_with(".toml")),
                Err(error) => panic!("bit {bit} of {name}: {error}"),
                Ok((_, recovered)) => {
                    let known = Known { sources: recovered.sources, in_doubt: recovered.in_doubt };
                    if *name == small.segment {
                        assert!(bit / 8 >= small.synced, "bit {bit} was synced, and passed");
                        let (at, before) = known_at(&small, bit / 8);
                        assert_eq!((known, recovered.torn.unwrap().offset), (before, at as u64), "bit {bit}");
                        torn += 1;
                    } else {
                        assert_eq!((name.as_str(), known), ("lock", last.clone()), "bit {bit}");
                    }
                }
            }
        }
    }
    let unsynced = small.files[&small.segment].len() - small.synced;
    assert_eq!(torn, 8 * unsynced);
}

#[test]
fn a_segment_cut_short_at_any_byte_says_what_stood_before_or_is_an_error() {
    let small = small();
    let snapshot = *small.known.keys().next().unwrap();
    for length in 0..small.files[&small.segment].len() {
        let mut files = small.files.clone();
        files.get_mut(&small.segment).unwrap().truncate(length);
        match open_files(&files) {
            Err(OpenError::Damaged { .. }) => assert!(length < snapshot, "{length}"),
            Err(error) => panic!("{length}: {error}"),
            Ok((_, recovered)) => {
                let (at, known) = known_at(&small, length);
                assert_eq!(Known { sources: recovered.sources, in_doubt: recovered.in_doubt }, known);
                assert_eq!(recovered.torn.map(|torn| torn.bytes), (length > at).then_some((length - at) as u64));
            }
        }
    }
}

#[test]
fn a_record_copied_elsewhere_is_none() {
    let small = small();
    let bytes = &small.files[&small.segment];
    let header = Header::decode(bytes).unwrap();
    let cut = header.read(bytes, *small.known.keys().next().unwrap()).unwrap();
    assert_eq!(cut.record, Record::Cut(slice(0, 10, 20)));
    let copied = bytes[cut.end - RECORD_HEADER_BYTES - 53..cut.end].to_vec();
    let mut moved = bytes.clone();
    moved.extend(&copied);
    assert!(header.read(&moved, bytes.len()).is_err());
    // Nor in another segment or another journal, at the same offset.
    let at = cut.end - copied.len();
    for other in [Header { number: header.number + 1, ..header }, Header { journal: header.journal ^ 1, ..header }] {
        assert!(other.read(bytes, at).is_err());
    }
}

#[test]
fn a_hole_in_what_was_synced_is_damage_though_records_behind_it_are_whole() {
    let small = small();
    let first = *small.known.keys().next().unwrap();
    let mut files = small.files.clone();
    files.get_mut(&small.segment).unwrap()[first..first + 16].fill(0);
    match open_files(&files).unwrap_err() {
        OpenError::Damaged { offset, .. } => assert_eq!(offset, first as u64),
        error => panic!("{error}"),
    }
    // The same hole behind the last sync is what a crash leaves.
    let mut files = small.files.clone();
    files.get_mut(&small.segment).unwrap()[small.synced..small.synced + 16].fill(0);
    let (_, recovered) = open_files(&files).unwrap();
    assert_eq!(recovered.torn.unwrap().offset, small.synced as u64);
}

#[test]
fn a_segment_that_is_gone_or_was_put_back_from_a_backup_is_missed() {
    let small = small();
    let mut files = small.files.clone();
    files.remove(&small.segment);
    let missing = |files: &Files| match open_files(files) {
        Err(OpenError::Missing { number, newest, .. }) => (number, newest),
        other => panic!("{:?}", other.err()),
    };
    let number = names::segment_number(&small.segment).unwrap();
    assert_eq!(missing(&files), (number, None));
    let disk = FaultyDisk::new(1, Lies::default());
    drop(with_two_sources(&disk));
    files.insert(names::segment(1), disk.files()[&names::segment(1)].clone());
    assert_eq!(missing(&files), (number, Some(1)));
    // Without the lock file, too, a config tells that there was one.
    files.retain(|name, _| name.ends_with(".toml"));
    assert_eq!(missing(&files), (1, None));
}

#[test]
fn an_older_segment_that_was_not_removed_means_nothing() {
    let mut small = small();
    small.files.insert(names::segment(1), b"whatever".to_vec());
    small.files.insert("segment-00000000000000000009.tmp".to_owned(), b"whatever".to_vec());
    let (journal, recovered) = open_files(&small.files).unwrap();
    assert_eq!(recovered.sources.len(), 3);
    assert_eq!(journal.disk.files().keys().filter(|name| name.starts_with("segment")).count(), 1);
}

/// A segment with the header of that version, and its checksum.
fn set_version(segment: &mut [u8], version: u32) {
    segment[8..12].copy_from_slice(&version.to_le_bytes());
    let checksum = xxh3_64(&segment[..48]);
    segment[48..56].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_journal_of_another_version_or_of_another_machine_is_refused() {
    let small = small();
    let mut files = small.files.clone();
    for found in [1, 2, 4] {
        set_version(files.get_mut(&small.segment).unwrap(), found);
        let error = open_files(&files).unwrap_err();
        assert!(matches!(error, OpenError::Version { found: of, .. } if of == found), "{error}");
    }

    let disk = FaultyDisk::new(2, Lies::default());
    small.files.iter().for_each(|(name, bytes)| disk.put(name, bytes));
    let mut elsewhere = options();
    elsewhere.machine = Machine::named("another");
    let error = Journal::open_on(disk.clone(), elsewhere).unwrap_err();
    assert!(matches!(error, OpenError::OtherMachine { .. }), "{error}");
    elsewhere.adopt = true;
    drop(Journal::open_on(disk.clone(), elsewhere).unwrap());
    let error = Journal::open_on(disk, options()).unwrap_err();
    assert!(matches!(error, OpenError::OtherMachine { .. }), "adopted: {error}");
}

#[test]
fn a_config_that_slices_in_doubt_need_is_missed() {
    let small = small();
    let config = names::config(slice(0, 0, 1).config);
    let mut files = small.files.clone();
    files.remove(&config);
    let error = open_files(&files).unwrap_err();
    assert!(matches!(&error, OpenError::MissingConfig { slices: 1, .. }), "{error}");
    assert!(error.to_string().contains(&config), "{error}");
}
